/* SPDX-License-Identifier: BSD-3-Clause */
#include <netinet/in.h>
#include <sodium.h>
#include <string.h>

#include "lib/wg/crypto.h"
#include "topology/flood.h"

#define ETH_BYTES 14
#define IP_BYTES 20
#define HEADERS_BYTES (ETH_BYTES + IP_BYTES + 8)
#define IP_MORE_FRAGMENTS 0x2000

static const char *const kinds[] = {"random", "initiations", "initiations-one", "replay", "data-index", "data-tag", "lengths", "fragments"};

bool flood_spoofs(const char *kind)
{
	return strcmp(kind, "initiations-one") != 0 && strcmp(kind, "replay") != 0;
}

const char *flood_kinds(void)
{
	static char text[256];

	for (unsigned i = 0; !text[255] && i < sizeof(kinds) / sizeof(*kinds) && strlen(text) < 200; i++)
		strcat(strcat(text, i ? "|" : ""), kinds[i]);
	return text;
}

static void put16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void header_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	put16(ip + 10, 0);
	for (unsigned i = 0; i < IP_BYTES; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~sum & 0xffff);
}

void flood_new_source(struct frame *frame, uint32_t src)
{
	uint8_t *ip = frame->bytes + ETH_BYTES, *s = (uint8_t *)&src;

	s[0] = (uint8_t)(1 + s[0] % 126); /* 1.0.0.0 … 126.255.255.255: nothing the lab uses */
	memcpy(ip + 12, s, 4);
	header_checksum(ip);
}

/* Headers around `len` bytes of payload that stand in the frame. No UDP checksum: 0 is allowed in IPv4. */
static void headers(const struct flood *f, struct frame *frame, uint32_t len, unsigned fragment)
{
	uint8_t *eth = frame->bytes, *ip = eth + ETH_BYTES, *udp = ip + IP_BYTES;

	memcpy(eth, f->dst_mac, 6);
	memcpy(eth + 6, f->src_mac, 6);
	put16(eth + 12, 0x0800);
	memset(ip, 0, IP_BYTES + 8);
	ip[0] = 0x45;
	put16(ip + 2, IP_BYTES + 8 + len);
	put16(ip + 4, randombytes_uniform(65536));
	put16(ip + 6, fragment);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, &f->src, 4);
	memcpy(ip + 16, &f->dst, 4);
	header_checksum(ip);
	put16(udp, 1024 + randombytes_uniform(60000));
	memcpy(udp + 2, &f->port, 2);
	put16(udp + 4, 8 + len);
	frame->len = HEADERS_BYTES + len;
}

/* Random contents with a good type and a good MAC1: it costs the edge one X25519 to see that they are nothing. */
static uint32_t initiation(const struct flood *f, uint8_t *to)
{
	uint8_t key[WG_HASH_BYTES];
	struct wg_initiation *m = (struct wg_initiation *)to;

	randombytes_buf(to, WG_INITIATION_BYTES);
	wg_put_le32(to, WG_INITIATION);
	to[8 + 31] &= 0x7f;
	wg_hash2(key, "mac1----", 8, f->edge_key, WG_KEY_BYTES);
	wg_mac(m->macs.mac1, key, sizeof(key), to, WG_INITIATION_BYTES - sizeof(m->macs));
	memset(m->macs.mac2, 0, sizeof(m->macs.mac2));
	return WG_INITIATION_BYTES;
}

static uint32_t data(uint8_t *to, uint32_t index)
{
	uint32_t len = 32 + 16 * randombytes_uniform(80);

	randombytes_buf(to, len);
	wg_data_header(to, index, randombytes_uniform(1 << 20));
	return len;
}

/* A known type in too few or too many bytes; data can only be too short. */
static uint32_t wrong_length(uint8_t *to)
{
	static const uint32_t right[] = {WG_INITIATION_BYTES, WG_RESPONSE_BYTES, WG_COOKIE_REPLY_BYTES};
	uint32_t type = 1 + randombytes_uniform(4), len;

	do {
		len = type == WG_DATA ? 4 + randombytes_uniform(28) : 4 + randombytes_uniform(1400);
	} while (type != WG_DATA && len == right[type - 1]);
	randombytes_buf(to, len);
	wg_put_le32(to, type);
	return len;
}

bool flood_frame(const struct flood *f, const char *kind, struct frame *frame)
{
	uint8_t *to = frame->bytes + HEADERS_BYTES;
	uint32_t len;
	unsigned fragment = 0;

	if (!strcmp(kind, "random")) {
		len = randombytes_uniform(1200);
		randombytes_buf(to, len);
	} else if (!strncmp(kind, "initiations", 11)) {
		len = initiation(f, to);
	} else if (!strcmp(kind, "replay")) {
		len = f->datagram_len;
		memcpy(to, f->datagram, len);
	} else if (!strcmp(kind, "data-index")) {
		len = data(to, randombytes_random());
	} else if (!strcmp(kind, "data-tag") && f->n_indexes) {
		len = data(to, f->index[randombytes_uniform(f->n_indexes)]);
	} else if (!strcmp(kind, "lengths")) {
		len = wrong_length(to);
	} else if (!strcmp(kind, "fragments")) {
		len = 1024;
		randombytes_buf(to, len);
		fragment = IP_MORE_FRAGMENTS | (randombytes_uniform(2) ? randombytes_uniform(4096) : 0);
	} else {
		return false;
	}
	headers(f, frame, len, fragment);
	return true;
}
