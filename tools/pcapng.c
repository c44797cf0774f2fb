// SPDX-License-Identifier: BSD-3-Clause
// pcapng blocks.
#include "tools/pcapng.h"

#include <string.h>

#define BLOCK_SECTION   0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET    6u
#define OPTION_COMMENT  1u
#define OPTION_NAME     2u /* of an interface */
#define OPTION_FLAGS    2u /* of a packet */
#define OPTION_TSRESOL  9u

#define BODY_MAX 8192

struct block {
	uint8_t body[BODY_MAX];
	uint32_t n;
};

static void put(struct block *b, const void *p, uint32_t len)
{
	if (b->n + len > BODY_MAX)
		len = BODY_MAX - b->n;
	memcpy(b->body + b->n, p, len);
	b->n += len;
	while (b->n % 4 != 0 && b->n < BODY_MAX)
		b->body[b->n++] = 0;
}

static void put32(struct block *b, uint32_t v)
{
	put(b, &v, sizeof(v));
}

static void put16s(struct block *b, uint16_t first, uint16_t second)
{
	uint16_t v[2] = {first, second};

	put(b, v, sizeof(v));
}

static void option(struct block *b, uint16_t code, const void *value, uint16_t len)
{
	put16s(b, code, len);
	put(b, value, len);
}

static bool write_block(FILE *f, uint32_t type, struct block *b)
{
	uint32_t total = b->n + 12;

	return fwrite(&type, 4, 1, f) == 1 && fwrite(&total, 4, 1, f) == 1 && (b->n == 0 || fwrite(b->body, b->n, 1, f) == 1) &&
	       fwrite(&total, 4, 1, f) == 1;
}

bool pcapng_begin(FILE *f, uint16_t link_type, const char *interface)
{
	struct block section = {.n = 0}, iface = {.n = 0};
	const int64_t unknown = -1;
	const uint8_t nanoseconds = 9;

	put32(&section, 0x1a2b3c4d);
	put16s(&section, 1, 0);
	put(&section, &unknown, sizeof(unknown));
	put16s(&iface, link_type, 0);
	put32(&iface, 0); /* no snap length */
	option(&iface, OPTION_NAME, interface, (uint16_t)strlen(interface));
	option(&iface, OPTION_TSRESOL, &nanoseconds, 1);
	put32(&iface, 0); /* end of options */
	return write_block(f, BLOCK_SECTION, &section) && write_block(f, BLOCK_INTERFACE, &iface);
}

bool pcapng_packet(FILE *f, int64_t time_ns, bool received, const void *data, uint32_t kept, uint32_t length, const char *comment)
{
	const uint32_t flags = received ? 1 : 2; /* inbound, outbound */
	struct block b = {.n = 0};
	size_t len = comment ? strlen(comment) : 0;

	put32(&b, 0); /* interface */
	put32(&b, (uint32_t)((uint64_t)time_ns >> 32));
	put32(&b, (uint32_t)time_ns);
	put32(&b, kept);
	put32(&b, length);
	put(&b, data, kept);
	if (len > 0)
		option(&b, OPTION_COMMENT, comment, (uint16_t)(len > 1024 ? 1024 : len));
	option(&b, OPTION_FLAGS, &flags, sizeof(flags));
	put32(&b, 0);
	return write_block(f, BLOCK_PACKET, &b);
}
