// SPDX-License-Identifier: BSD-3-Clause
// Cycles of inspecting what real clients send, from the first packet to the names. By hand; one argument: the fixtures.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <x86intrin.h>

#include "dataplane/inspect/inspect.h"

#define RUNS    4001
#define SEGMENT 1220 /* inner MTU 1,280 less IPv6 and TCP headers */

static const struct inspect_limits limits = {.bytes = STREAM_MAX_BYTES, .packets = 64};
static struct inspector in;

static size_t load(const char *folder, const char *name, uint8_t *out, size_t size)
{
	char path[512];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.bin", folder, name);
	f = fopen(path, "rb");
	if (f != NULL) {
		n = fread(out, 1, size, f);
		fclose(f);
	}
	return n;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void tell(const char *name, size_t bytes, unsigned packets, uint64_t *cycles)
{
	qsort(cycles, RUNS, sizeof(*cycles), by_value);
	printf("%-22s %6zu bytes %2u packets  %7llu cycles min %7llu median  %s\n", name, bytes, packets,
	       (unsigned long long)cycles[0], (unsigned long long)cycles[RUNS / 2], detected_protocol_name(in.names.protocol));
}

static void tcp(const char *name, const uint8_t *data, size_t n)
{
	static uint64_t cycles[RUNS];
	unsigned packets = 0;

	for (unsigned r = 0; r < RUNS; r++) {
		uint64_t begin = __rdtsc();

		packets = 0;
		inspect_start(&in, INSPECT_TCP, 1, &limits);
		for (size_t at = 0; at < n && in.end == INSPECT_RUNNING; at += SEGMENT, packets++)
			inspect_segment(&in, (uint32_t)(1 + at), data + at, n - at < SEGMENT ? n - at : SEGMENT, false);
		cycles[r] = __rdtsc() - begin;
	}
	tell(name, n, packets, cycles);
}

static void udp(const char *name, const struct quic_crypto *crypto, const uint8_t *data, size_t n)
{
	static uint64_t cycles[RUNS];

	for (unsigned r = 0; r < RUNS; r++) {
		uint64_t begin = __rdtsc();

		inspect_start(&in, INSPECT_UDP, 0, &limits);
		inspect_datagram(&in, crypto, data, n);
		cycles[r] = __rdtsc() - begin;
	}
	tell(name, n, 1, cycles);
}

/* The dearest heads that fit the limits: many short lines; a hello of 64 records. */
static size_t long_head(uint8_t *out)
{
	size_t n = (size_t)sprintf((char *)out, "GET / HTTP/1.1\r\nHost: a\r\n");

	for (unsigned i = 0; i < HTTP_LINES_MAX - 1; i++)
		n += (size_t)sprintf((char *)out + n, "x-%057u:1\n", i);
	return n + (size_t)sprintf((char *)out + n, "\r\n");
}

static size_t long_hello(const uint8_t *hello, size_t n, uint8_t *out)
{
	size_t piece = (n - 5) / 64 + 1, at = 0;

	for (size_t i = 5; i < n; i += piece) {
		size_t here = n - i < piece ? n - i : piece;

		memcpy(out + at, "\x16\x03\x01\x00", 4);
		out[at + 4] = (uint8_t)here;
		memcpy(out + at + 5, hello + i, here);
		at += 5 + here;
	}
	return at;
}

int main(int argc, char **argv)
{
	static const char *const streams[] = {"http1-curl", "tls-curl", "tls-kubectl", "tls-mlkem", "ssh-openssh", "dns-tcp-node"};
	static const char *const datagrams[] = {"dns-udp-node", "quic-rfc9001", "quic-rfc9369"};
	struct quic_crypto *crypto = quic_crypto_create();
	static uint8_t data[20000], other[20000];
	size_t n;

	if (argc != 2 || crypto == NULL)
		return fprintf(stderr, "usage: inspect_bench FIXTURES\n"), 2;
	for (unsigned i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		if ((n = load(argv[1], streams[i], data, sizeof(data))) > 0)
			tcp(streams[i], data, n);
	n = load(argv[1], "tls-mlkem", data, sizeof(data));
	tcp("hello in 64 records", other, long_hello(data, n, other));
	tcp("head of 256 lines", other, long_head(other));
	for (unsigned i = 0; i < sizeof(datagrams) / sizeof(datagrams[0]); i++)
		if ((n = load(argv[1], datagrams[i], data, sizeof(data))) > 0)
			udp(datagrams[i], crypto, data, n);
	quic_crypto_destroy(crypto);
	return 0;
}
