// SPDX-License-Identifier: BSD-3-Clause
// Fuzzer of all parsers: the first byte chooses which one; what an answer promises is checked.
#include <stdlib.h>
#include <string.h>

#include "dataplane/inspect/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct inspector in, again;

static void check(int holds)
{
	if (!holds)
		abort();
}

static void check_names(const struct inspector *i)
{
	const struct name_text *t = &i->names.sni;

	for (unsigned k = 0; k < 5; k++) {
		check(t[k].state <= NAME_KNOWN);
		check(i->end == INSPECT_RUNNING || t[k].state != NAME_UNSEEN);
		check(t[k].state != NAME_KNOWN || (t[k].len > 0 && t[k].text >= (const char *)i && t[k].text + t[k].len <= (const char *)(i + 1)));
	}
	check(i->end == INSPECT_RUNNING || i->names.protocol_state == NAME_KNOWN);
	check(i->names.protocol < DETECTED_COUNT);
}

/* Segments as the input says (offset, length, bytes), beside the same bytes in one piece where they are whole. */
static void fuzz_segments(const uint8_t *data, size_t size)
{
	const struct inspect_limits limits = {.bytes = STREAM_MAX_BYTES, .packets = 200};

	inspect_start(&in, INSPECT_TCP, 0, &limits);
	while (size > 3) {
		size_t n = data[2] < size - 3 ? data[2] : size - 3;
		int32_t at = (int16_t)(data[0] << 8 | data[1]);

		inspect_segment(&in, (uint32_t)at, data + 3, n, data[0] == 0x33);
		check_names(&in);
		data += 3 + n;
		size -= 3 + n;
	}
	inspect_end(&in, INSPECT_END_timeout);
	check_names(&in);
}

/* The same bytes whole and in two pieces: the same names. */
static void fuzz_cut(const uint8_t *data, size_t size)
{
	const struct inspect_limits limits = {.bytes = STREAM_MAX_BYTES, .packets = 200};
	size_t cut;

	if (size < 2)
		return;
	cut = data[0] % size;
	inspect_start(&in, INSPECT_TCP, 0, &limits);
	inspect_start(&again, INSPECT_TCP, 0, &limits);
	inspect_segment(&in, 0, data, size, false);
	inspect_segment(&again, 0, data, cut, false);
	inspect_segment(&again, (uint32_t)cut, data + cut, size - cut, false);
	check_names(&in);
	check_names(&again);
	for (unsigned k = 0; k < 5; k++) {
		const struct name_text *a = &in.names.sni + k, *b = &again.names.sni + k;

		check(a->state == b->state && a->len == b->len &&
		      (a->state != NAME_KNOWN || memcmp(a->text, b->text, a->len) == 0));
	}
	check(in.names.protocol == again.names.protocol && in.end == again.end);
}

static void fuzz_datagrams(const uint8_t *data, size_t size)
{
	const struct inspect_limits limits = {.bytes = STREAM_MAX_BYTES, .packets = 3};
	static struct quic_crypto *crypto;

	if (crypto == NULL)
		crypto = quic_crypto_create();
	inspect_start(&in, INSPECT_UDP, 0, &limits);
	inspect_datagram(&in, crypto, data, size / 2);
	inspect_datagram(&in, crypto, data + size / 2, size - size / 2);
	check_names(&in);
}

static void fuzz_frames(const uint8_t *data, size_t size)
{
	static struct stream s;
	struct tls_hello hello;
	size_t need;

	stream_init(&s, STREAM_MAX_BYTES);
	quic_initial_frames(data, size, &s);
	tls_client_hello(s.bytes, stream_prefix(&s), &hello, &need);
	check(hello.sni_len <= NAME_HOST_MAX && hello.alpn_len <= TLS_ALPN_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(const uint8_t *, size_t) = {fuzz_segments, fuzz_cut, fuzz_datagrams, fuzz_frames};
	uint8_t *copy;

	if (size < 1 || size > 20000)
		return 0;
	copy = malloc(size);
	memcpy(copy, data + 1, size - 1);
	kinds[data[0] % 4](copy, size - 1);
	free(copy);
	return 0;
}
