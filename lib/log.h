// SPDX-License-Identifier: BSD-3-Clause
// One line per message to stderr: "2026-11-23T23:40:01.123Z warn sluice-ctrl: text", or one JSON object.
// All functions may be called from any thread; a message is written with one write(2), so lines never mix.
#ifndef SLUICE_LIB_LOG_H
#define SLUICE_LIB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Longest message text in bytes after escaping; what is longer is cut and ends in "...". */
#define LOG_TEXT_MAX 4096

/* Sets the name that every line carries (kept by pointer: give a literal), the level (default: info) and the form.
 * Before the first call the name is "sluice". Not thread-safe: call it at start. */
void log_init(const char *program, enum log_level level, bool json);

/* May be called at any time (SIGHUP). */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "error", "warn", "info" or "debug" → *out; false for anything else (*out untouched). */
bool log_level_parse(const char *text, enum log_level *out);
const char *log_level_name(enum log_level level);

/* Writes one message. The whole text is escaped as log_escape() does, so outside text may be given to %s as it is. */
void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_msg(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A token bucket for one place in the code. Zero-initialised = full. Safe for many threads. */
struct log_rate {
	uint32_t busy;    /* spin flag */
	uint32_t started; /* 0 until the first message filled the bucket */
	uint64_t last_ns;
	uint64_t tokens_milli; /* thousandths of a message */
	uint64_t hidden;       /* messages not shown since the last one shown */
};

/* True if a message may be shown now (CLOCK_MONOTONIC nanoseconds in now_ns): `burst` at once, `per_s` a second in the
 * long run. *hidden gets the number of messages hidden since the last one shown (0 where false is returned). */
bool log_rate_pass(struct log_rate *r, uint64_t now_ns, uint32_t per_s, uint32_t burst, uint64_t *hidden);

/* Like log_msg(), at most one message a second (burst 5) from this place; what was hidden is counted in the next line
 * as "text (and 17 more like it not shown)". */
#define log_rated(level, ...)                                                                      \
	do {                                                                                       \
		static struct log_rate log_rate_here;                                              \
		log_msg_rated(&log_rate_here, (level), __VA_ARGS__);                               \
	} while (0)
void log_msg_rated(struct log_rate *r, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Copies len bytes of outside text to out (NUL-terminated, at most out_len bytes with the NUL; out_len ≥ 8), with
 * controls (C0, DEL, C1), bidi and invisible formatting characters, backslashes' own ambiguity and invalid UTF-8
 * escaped: \n \t \r \\ \xHH \u{HEX}. Text that does not fit is cut at a character and ends in "...".
 * Returns the length written without the NUL. Safe to print on a terminal. */
size_t log_escape(char *out, size_t out_len, const void *text, size_t len);

/* True if len bytes are valid UTF-8 (no overlong forms, no surrogates, at most U+10FFFF). */
bool log_utf8_valid(const void *text, size_t len);

#endif
