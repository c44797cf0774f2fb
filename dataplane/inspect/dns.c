// SPDX-License-Identifier: BSD-3-Clause
// DNS questions.
#include "dataplane/inspect/dns.h"

#include <assert.h>

#include "dataplane/inspect/bytes.h"

#define HEADER        12
#define SHORTEST      (HEADER + 1 + 4) /* a question about the root */
#define LONGEST       4096
#define LABEL_MAX     63
#define WIRE_MAX      255
#define MASK_QUERY    0xf840u /* QR, opcode and the last reserved bit: zero in a standard query */
#define MASK_RCODE    0x000fu
#define QUESTIONS_MAX 16
#define ADDITIONAL_MAX 4
#define AUTHORITY_MAX 1 /* IXFR (RFC 1995 3) */
static_assert((WIRE_MAX - 4) * 4 + 3 <= NAME_DNS_MAX, "the longest name is four labels of bytes that are all escaped");

/* A query by its header; *questions is QDCOUNT. */
static bool is_query(struct bytes *b, uint32_t *questions)
{
	uint32_t flags, answers, authority, additional;

	bytes_be(b, 2); /* id */
	flags = bytes_be(b, 2);
	*questions = bytes_be(b, 2);
	answers = bytes_be(b, 2);
	authority = bytes_be(b, 2);
	additional = bytes_be(b, 2);
	return !b->short_of && (flags & (MASK_QUERY | MASK_RCODE)) == 0 && answers == 0 && authority <= AUTHORITY_MAX &&
	       additional <= ADDITIONAL_MAX && *questions <= QUESTIONS_MAX;
}

static void put(struct dns_question *out, unsigned c)
{
	out->name[out->len++] = (char)c;
}

static void put_escaped(struct dns_question *out, uint8_t c)
{
	bool plain = c > ' ' && c < 0x7f;

	if (!plain || c == '.' || c == '\\')
		put(out, '\\');
	if (plain) {
		put(out, c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
		return;
	}
	put(out, '0' + c / 100u);
	put(out, '0' + c / 10u % 10u);
	put(out, '0' + c % 10u);
}

/* The name's labels until the root. What WIRE_MAX bytes can say fits NAME_DNS_MAX characters. */
static bool read_name(struct bytes *b, struct dns_question *out)
{
	size_t wire = 0;

	for (;;) {
		uint32_t n = bytes_be(b, 1);
		const uint8_t *label = n <= LABEL_MAX ? bytes_take(b, n) : NULL;

		wire += 1 + n;
		if (label == NULL || wire > WIRE_MAX)
			return false;
		if (n == 0)
			break;
		if (out->len > 0)
			put(out, '.');
		for (uint32_t i = 0; i < n; i++)
			put_escaped(out, label[i]);
	}
	if (out->len == 0)
		put(out, '.');
	return true;
}

enum parse dns_query(const uint8_t *message, size_t len, struct dns_question *out)
{
	struct bytes b = {.p = message, .left = len};
	uint32_t questions;

	out->has_name = false;
	out->len = out->type = 0;
	if (!is_query(&b, &questions))
		return PARSE_BAD;
	if (questions != 1 || !read_name(&b, out))
		return PARSE_DONE;
	out->type = (uint16_t)bytes_be(&b, 2);
	bytes_be(&b, 2); /* class */
	out->has_name = !b.short_of;
	return PARSE_DONE;
}

enum parse dns_tcp_query(const uint8_t *stream, size_t len, struct dns_question *out)
{
	struct bytes b = {.p = stream, .left = len};
	uint32_t questions;
	size_t message;

	out->has_name = false;
	out->len = out->type = 0;
	if (len < 2)
		return PARSE_MORE;
	message = bytes_be(&b, 2);
	if (message < SHORTEST || message > LONGEST)
		return PARSE_BAD;
	if (b.left >= message)
		return dns_query(b.p, message, out);
	return b.left < HEADER || is_query(&b, &questions) ? PARSE_MORE : PARSE_BAD;
}
