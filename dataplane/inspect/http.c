// SPDX-License-Identifier: BSD-3-Clause
// The head of an HTTP/1.x request.
#include "dataplane/inspect/http.h"

#include <string.h>
#include <strings.h>

#include "dataplane/inspect/host.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct text {
	const uint8_t *p;
	size_t len;
};

/* RFC 9110 5.6.2. */
static bool is_token_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* The line at the place where reading goes on, without its end. False: its end is not there yet. */
static bool take_line(const uint8_t *stream, size_t len, struct http_progress *at, struct text *line)
{
	const uint8_t *begin = stream + at->at, *lf = memchr(begin, '\n', len - at->at);
	size_t n;

	if (lf == NULL)
		return false;
	n = (size_t)(lf - begin);
	*line = (struct text){begin, n > 0 && lf[-1] == '\r' ? n - 1 : n};
	at->at += (uint32_t)n + 1;
	return true;
}

static void skip_empty_lines(const uint8_t *stream, size_t len, struct http_progress *at)
{
	while (at->at < len) {
		const uint8_t *p = stream + at->at;
		uint32_t n = p[0] == '\n' ? 1 : len - at->at > 1 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;

		if (n == 0)
			return;
		at->at += n;
	}
}

/* The method's length from the bytes that are there: 0 when they cannot begin a request line. */
static enum parse read_method(struct text in, size_t *len)
{
	size_t n = 0;

	while (n < in.len && n <= HTTP_METHOD_MAX && is_token_byte(in.p[n]))
		n++;
	*len = n;
	if (n > HTTP_METHOD_MAX)
		return PARSE_BAD;
	if (n == in.len)
		return PARSE_MORE;
	return n > 0 && in.p[n] == ' ' ? PARSE_DONE : PARSE_BAD;
}

/* "HTTP/1." DIGIT. */
static bool is_version(struct text v)
{
	return v.len == 8 && memcmp(v.p, "HTTP/1.", 7) == 0 && v.p[7] >= '0' && v.p[7] <= '9';
}

/* Method SP target SP version; HTTP/0.9 has no version. Blanks around are cut as lenient origins do (RFC 9112 3). */
static bool split_request_line(struct text line, size_t method_len, struct text *target, bool *simple)
{
	struct text rest = {line.p + method_len, line.len - method_len};
	const uint8_t *space;

	while (rest.len > 0 && is_blank(rest.p[0])) {
		rest.p++;
		rest.len--;
	}
	while (rest.len > 0 && is_blank(rest.p[rest.len - 1]))
		rest.len--;
	space = memrchr(rest.p, ' ', rest.len);
	*simple = space == NULL;
	*target = rest;
	if (space == NULL)
		return rest.len > 0 && rest.p[0] == '/' && method_len == 3 && memcmp(line.p, "GET", 3) == 0;
	if (!is_version((struct text){space + 1, (size_t)(rest.p + rest.len - space) - 1}))
		return false;
	while (space > rest.p && is_blank(space[-1]))
		space--;
	target->len = (size_t)(space - rest.p);
	return target->len > 0;
}

static void trim(struct text *t)
{
	while (t->len > 0 && is_blank(t->p[0])) {
		t->p++;
		t->len--;
	}
	while (t->len > 0 && is_blank(t->p[t->len - 1]))
		t->len--;
}

static void read_header_line(const uint8_t *stream, struct text line, struct http_progress *h)
{
	const uint8_t *colon = memchr(line.p, ':', line.len);
	size_t name = colon == NULL ? 0 : (size_t)(colon - line.p);
	struct text value;

	if (is_blank(line.p[0])) { /* obs-fold: belongs to the line before */
		h->host_unclear |= h->was_host;
		return;
	}
	h->was_host = false;
	while (name > 0 && is_blank(line.p[name - 1]))
		name--;
	if (name != 4 || strncasecmp((const char *)line.p, "host", 4) != 0)
		return;
	value = (struct text){colon + 1, line.len - (size_t)(colon - line.p) - 1};
	trim(&value);
	h->was_host = true;
	h->hosts++;
	h->host_unclear |= line.p + name != colon;
	h->value = (uint32_t)(value.p - stream);
	h->value_len = (uint32_t)value.len;
}

static bool has_prefix(struct text t, const char *prefix, size_t len)
{
	return t.len >= len && strncasecmp((const char *)t.p, prefix, len) == 0;
}

/* The authority of an absolute target; path is what follows it. */
static bool split_absolute(struct text target, struct text *authority, struct text *path)
{
	size_t scheme = has_prefix(target, "http://", 7) ? 7 : has_prefix(target, "https://", 8) ? 8 : 0, n = 0;

	if (scheme == 0)
		return false;
	target.p += scheme;
	target.len -= scheme;
	while (n < target.len && strchr("/?#", target.p[n]) == NULL)
		n++;
	*authority = (struct text){target.p, n};
	*path = (struct text){target.p + n, target.len - n};
	return true;
}

static void set_uri(struct http_request *out, struct text path)
{
	static const char scheme[] = "http://";
	size_t slash = path.len == 0 || path.p[0] != '/', n = sizeof(scheme) - 1;

	if (n + out->host_len + slash + path.len > NAME_URI_MAX) {
		out->too_long = true;
		return;
	}
	memcpy(out->uri, scheme, n);
	memcpy(out->uri + n, out->host, out->host_len);
	n += out->host_len;
	if (slash)
		out->uri[n++] = '/';
	if (path.len > 0)
		memcpy(out->uri + n, path.p, path.len);
	out->uri_len = (uint16_t)(n + path.len);
	out->has_uri = true;
}

/* The head is whole: host and URI from target and Host header. */
static void conclude(const uint8_t *stream, struct http_request *r)
{
	const struct http_progress *h = &r->progress;
	bool connect = r->method_len == 7 && memcmp(r->method, "CONNECT", 7) == 0;
	struct text target = {stream + h->target, h->target_len}, authority = {stream + h->value, h->value_len};
	struct text path = target;
	bool absolute = !connect && split_absolute(target, &authority, &path);
	size_t host_len;

	if (connect)
		authority = target;
	if (h->hosts > 1 || h->host_unclear)
		return;
	if (!host_of_authority(authority.p, authority.len, &host_len) ||
	    !host_copy(authority.p, host_len, r->host, &r->host_len))
		return;
	r->has_host = true;
	if (absolute || target.p[0] == '/')
		set_uri(r, path);
}

/* DONE: the request line is whole, and more follows unless *simple. */
static enum parse read_request_line(const uint8_t *stream, size_t len, struct http_request *r, bool *simple)
{
	struct http_progress *h = &r->progress;
	struct text line, target;
	size_t method_len;
	enum parse state;

	skip_empty_lines(stream, len, h);
	if (len - h->at == 1 && stream[h->at] == '\r')
		return PARSE_MORE;
	state = read_method((struct text){stream + h->at, len - h->at}, &method_len);
	if (state != PARSE_DONE)
		return state;
	if (!take_line(stream, len, h, &line))
		return PARSE_MORE;
	if (!split_request_line(line, method_len, &target, simple))
		return PARSE_BAD;
	r->has_method = true;
	r->method_len = (uint16_t)method_len;
	memcpy(r->method, line.p, method_len);
	h->target = (uint32_t)(target.p - stream);
	h->target_len = (uint32_t)target.len;
	return PARSE_DONE;
}

enum parse http_request(const uint8_t *stream, size_t len, struct http_request *r)
{
	struct http_progress *h = &r->progress;
	struct text line;

	if (h->bad)
		return PARSE_BAD;
	if (!r->has_method) {
		bool simple;
		enum parse state = read_request_line(stream, len, r, &simple);

		h->bad = state == PARSE_BAD;
		if (state != PARSE_DONE || simple)
			return state;
	}
	while (take_line(stream, len, h, &line)) {
		if (line.len == 0) {
			conclude(stream, r);
			return PARSE_DONE;
		}
		if (++h->lines > HTTP_LINES_MAX) {
			r->too_long = true;
			return PARSE_DONE;
		}
		read_header_line(stream, line, h);
	}
	return PARSE_MORE;
}

enum parse http2_preface(const uint8_t *stream, size_t len)
{
	size_t n = len < sizeof(preface) - 1 ? len : sizeof(preface) - 1;

	if (memcmp(stream, preface, n) != 0)
		return PARSE_BAD;
	return n == sizeof(preface) - 1 ? PARSE_DONE : PARSE_MORE;
}
