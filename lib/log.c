// SPDX-License-Identifier: BSD-3-Clause
// Logging: levels, rate limits that count what they hide, and the escaping of outside text.
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *log_program = "sluice";
static enum log_level log_threshold = LOG_LEVEL_INFO;
static bool log_json;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(const char *program, enum log_level level, bool json)
{
	log_program = program;
	log_json = json;
	log_set_level(level);
}

void log_set_level(enum log_level level)
{
	__atomic_store_n(&log_threshold, level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
	return __atomic_load_n(&log_threshold, __ATOMIC_RELAXED);
}

const char *log_level_name(enum log_level level)
{
	return (unsigned)level < 4 ? level_names[level] : "?";
}

bool log_level_parse(const char *text, enum log_level *out)
{
	for (unsigned i = 0; i < 4; i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* Decodes one character of valid UTF-8 (*cp) and returns its length; 0 where the bytes are not valid UTF-8. */
static unsigned utf8_decode(const uint8_t *s, size_t len, uint32_t *cp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned n;

	if (s[0] < 0x80) {
		*cp = s[0];
		return 1;
	}
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (len < n)
		return 0;
	*cp = s[0] & (0xffu >> (n + 1));
	for (unsigned i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (s[i] & 0x3fu);
	}
	if (*cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return n;
}

bool log_utf8_valid(const void *text, size_t len)
{
	const uint8_t *s = text;

	for (size_t i = 0; i < len;) {
		uint32_t cp;
		unsigned n = utf8_decode(s + i, len - i, &cp);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

/* Characters that change how the text around them looks, or that cannot be seen. */
static bool deceives(uint32_t cp)
{
	return (cp >= 0x80 && cp <= 0x9f) || cp == 0xad || cp == 0x061c || (cp >= 0x180b && cp <= 0x180e) ||
	       (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x206f) ||
	       cp == 0xfeff || (cp >= 0xfff9 && cp <= 0xfffb) || (cp >= 0xe0000 && cp <= 0xe007f);
}

/* Writes the escaped form of one character into piece (≥ 12 bytes) and returns its length. */
static size_t escape_one(char *piece, const uint8_t *s, unsigned n, uint32_t cp)
{
	static const char short_name[] = {['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r'};

	if (n == 0)
		return (size_t)sprintf(piece, "\\x%02x", s[0]);
	if (cp < sizeof(short_name) && short_name[cp] != 0)
		return (size_t)sprintf(piece, "\\%c", short_name[cp]);
	if (cp == '\\')
		return (size_t)sprintf(piece, "\\\\");
	if (cp < 0x20 || cp == 0x7f)
		return (size_t)sprintf(piece, "\\x%02x", (unsigned)cp);
	if (deceives(cp))
		return (size_t)sprintf(piece, "\\u{%x}", (unsigned)cp);
	memcpy(piece, s, n);
	return n;
}

size_t log_escape(char *out, size_t out_len, const void *text, size_t len)
{
	const uint8_t *s = text;
	size_t w = 0, mark = 0; /* mark: the last place where "..." still fits */

	for (size_t i = 0; i < len;) {
		char piece[16];
		uint32_t cp = 0;
		unsigned n = utf8_decode(s + i, len - i, &cp);
		size_t p = escape_one(piece, s + i, n, cp);

		if (w + p + 1 > out_len) {
			memcpy(out + mark, "...", 4);
			return mark + 3;
		}
		memcpy(out + w, piece, p);
		w += p;
		if (w + 4 <= out_len)
			mark = w;
		i += n == 0 ? 1 : n;
	}
	out[w] = 0;
	return w;
}

/* JSON needs only quotes and backslashes escaped on top of what log_escape() leaves. */
static size_t json_quote(char *out, const char *text)
{
	size_t w = 0;

	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			out[w++] = '\\';
		out[w++] = *text;
	}
	out[w] = 0;
	return w;
}

static void emit(enum log_level level, const char *text)
{
	char line[2 * LOG_TEXT_MAX + 256], quoted[2 * LOG_TEXT_MAX + 1];
	struct timespec ts;
	struct tm tm;
	char when[32];
	int n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	if (log_json) {
		json_quote(quoted, text);
		n = snprintf(line, sizeof(line), "{\"time\": \"%s.%03ldZ\", \"level\": \"%s\", \"program\": \"%s\", \"message\": \"%s\"}\n",
			     when, ts.tv_nsec / 1000000, log_level_name(level), log_program, quoted);
	} else {
		n = snprintf(line, sizeof(line), "%s.%03ldZ %s %s: %s\n", when, ts.tv_nsec / 1000000, log_level_name(level),
			     log_program, text);
	}
	if (n > (int)sizeof(line) - 1)
		n = (int)sizeof(line) - 1;
	ssize_t done = write(STDERR_FILENO, line, (size_t)n);
	(void)done; /* there is nobody to tell */
}

__attribute__((format(printf, 3, 0))) static void vlog(enum log_level level, uint64_t hidden, const char *fmt, va_list ap)
{
	char raw[LOG_TEXT_MAX], text[LOG_TEXT_MAX];
	int n = vsnprintf(raw, sizeof(raw), fmt, ap);
	size_t len;

	if (n < 0)
		return;
	len = (size_t)n < sizeof(raw) ? (size_t)n : sizeof(raw) - 1;
	len = log_escape(text, sizeof(text), raw, len);
	if (hidden > 0)
		snprintf(text + len, sizeof(text) - len, " (and %llu more like it not shown)", (unsigned long long)hidden);
	emit(level, text);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	va_list ap;
	int saved = errno;

	if (level > log_get_level())
		return;
	va_start(ap, fmt);
	vlog(level, 0, fmt, ap);
	va_end(ap);
	errno = saved;
}

bool log_rate_pass(struct log_rate *r, uint64_t now_ns, uint32_t per_s, uint32_t burst, uint64_t *hidden)
{
	uint64_t full = (uint64_t)burst * 1000;
	bool pass;

	*hidden = 0;
	while (__atomic_exchange_n(&r->busy, 1, __ATOMIC_ACQUIRE) != 0)
		;
	if (r->started == 0) {
		r->started = 1;
		r->last_ns = now_ns;
		r->tokens_milli = full;
	}
	if (now_ns > r->last_ns) {
		uint64_t ms = (now_ns - r->last_ns) / 1000000;

		r->last_ns += ms * 1000000;
		r->tokens_milli = ms > full ? full : r->tokens_milli + ms * per_s;
		if (r->tokens_milli > full)
			r->tokens_milli = full;
	}
	pass = r->tokens_milli >= 1000;
	if (pass) {
		r->tokens_milli -= 1000;
		*hidden = r->hidden;
		r->hidden = 0;
	} else {
		r->hidden++;
	}
	__atomic_store_n(&r->busy, 0, __ATOMIC_RELEASE);
	return pass;
}

void log_msg_rated(struct log_rate *r, enum log_level level, const char *fmt, ...)
{
	struct timespec ts;
	uint64_t hidden;
	va_list ap;

	if (level > log_get_level())
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (!log_rate_pass(r, (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec, 1, 5, &hidden))
		return;
	va_start(ap, fmt);
	vlog(level, hidden, fmt, ap);
	va_end(ap);
}
