// SPDX-License-Identifier: BSD-3-Clause
// TLS ClientHello: server name, ALPN, ECH.
#include "dataplane/inspect/tls.h"

#include <string.h>

#include "dataplane/inspect/bytes.h"
#include "dataplane/inspect/host.h"

#define RECORD_HANDSHAKE   22
#define RECORD_MAX         16384
#define RECORD_HEADER      5
#define RECORDS_MAX        64
#define MESSAGE_HEADER     4
#define MESSAGE_MAX        16384
#define TYPE_CLIENT_HELLO  1
#define EXT_SERVER_NAME    0
#define EXT_ALPN           16
#define EXT_ECH            0xfe0d
#define NAME_TYPE_HOST     0

/* RFC 6066 3: one host_name; another of that type, or what does not fit, makes the list worthless. */
static void read_server_name(struct bytes ext, struct tls_hello *out)
{
	struct bytes list = bytes_vector(&ext, 2);
	struct bytes host = {0};

	if (ext.left > 0)
		return;
	while (list.left > 0) {
		uint32_t type = bytes_be(&list, 1);
		struct bytes name = bytes_vector(&list, 2);

		if (list.short_of)
			return;
		if (type != NAME_TYPE_HOST)
			continue;
		if (host.p != NULL)
			return;
		host = name;
	}
	host_copy(host.p, host.left, out->sni, &out->sni_len);
}

/* RFC 7301 3.1. */
static void read_alpn(struct bytes ext, struct tls_hello *out)
{
	struct bytes list = bytes_vector(&ext, 2);

	while (list.left > 0) {
		struct bytes name = bytes_vector(&list, 1);
		size_t comma = out->alpn_len > 0;

		if (list.short_of || out->alpn_len + comma + name.left > TLS_ALPN_MAX)
			return;
		if (comma)
			out->alpn[out->alpn_len++] = ',';
		memcpy(out->alpn + out->alpn_len, name.p, name.left);
		out->alpn_len = (uint16_t)(out->alpn_len + name.left);
	}
}

static bool read_extensions(struct bytes list, struct tls_hello *out)
{
	unsigned names = 0;

	while (list.left > 0) {
		uint32_t type = bytes_be(&list, 2);
		struct bytes ext = bytes_vector(&list, 2);

		if (list.short_of)
			return false;
		if (type == EXT_ECH)
			out->ech = true;
		else if (type == EXT_ALPN)
			read_alpn(ext, out);
		else if (type == EXT_SERVER_NAME && names++ == 0)
			read_server_name(ext, out);
	}
	if (names > 1)
		out->sni_len = 0;
	return true;
}

/* RFC 8446 4.1.2; a hello without extensions is right (TLS 1.2). */
static bool read_hello(struct bytes body, struct tls_hello *out)
{
	struct bytes session, suites, compression, extensions;

	bytes_take(&body, 2 + 32); /* version, random */
	session = bytes_vector(&body, 1);
	suites = bytes_vector(&body, 2);
	compression = bytes_vector(&body, 1);
	if (session.left > 32 || suites.left < 2 || suites.left % 2 != 0 || compression.left == 0)
		return false;
	if (body.left == 0)
		return true;
	extensions = bytes_vector(&body, 2);
	return !body.short_of && body.left == 0 && read_extensions(extensions, out);
}

enum parse tls_client_hello(const uint8_t *message, size_t len, struct tls_hello *out, size_t *need)
{
	struct bytes b = {.p = message, .left = len};
	size_t body;

	memset(out, 0, sizeof(*out));
	*need = 0;
	if (len > 0 && message[0] != TYPE_CLIENT_HELLO)
		return PARSE_BAD;
	if (len < MESSAGE_HEADER)
		return PARSE_MORE;
	bytes_take(&b, 1);
	body = bytes_be(&b, 3);
	*need = MESSAGE_HEADER + body;
	if (b.left < body)
		return PARSE_MORE;
	if (read_hello(bytes_sub(&b, body), out))
		return PARSE_DONE;
	memset(out, 0, sizeof(*out));
	return PARSE_BAD;
}

/* A record's header as far as it is there. */
static enum parse read_record_header(const struct bytes *b, size_t *len)
{
	if ((b->left > 0 && b->p[0] != RECORD_HANDSHAKE) || (b->left > 1 && b->p[1] != 3))
		return PARSE_BAD;
	if (b->left < RECORD_HEADER)
		return PARSE_MORE;
	*len = (size_t)b->p[3] << 8 | b->p[4];
	return *len == 0 || *len > RECORD_MAX ? PARSE_BAD : PARSE_DONE;
}

enum parse tls_records_hello(const uint8_t *stream, size_t len, size_t max, struct tls_hello *out, size_t *need)
{
	struct bytes b = {.p = stream, .left = len};
	uint8_t message[MESSAGE_MAX];
	size_t n = 0, record;
	enum parse state;

	memset(out, 0, sizeof(*out));
	*need = 0;
	max = max < sizeof(message) ? max : sizeof(message);
	for (unsigned records = 0; (state = read_record_header(&b, &record)) == PARSE_DONE; records++) {
		const uint8_t *body;

		if (records == RECORDS_MAX) {
			*need = SIZE_MAX;
			return PARSE_MORE;
		}
		bytes_take(&b, RECORD_HEADER);
		record = record < b.left ? record : b.left;
		body = bytes_take(&b, record);
		if (n == 0) { /* as a rule all of it is in the first record: no copy */
			state = tls_client_hello(body, record, out, need);
			if (state != PARSE_MORE)
				return state;
		}
		record = record < max - n ? record : max - n; /* more than the message can use */
		memcpy(message + n, body, record);
		n += record;
		if (n >= *need) {
			state = tls_client_hello(message, n, out, need);
			if (state != PARSE_MORE)
				return state;
		}
		if (*need > max) /* said as soon as the header is there, whatever follows it: the answer may not depend on segments */
			return PARSE_MORE;
	}
	return state;
}
