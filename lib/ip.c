// SPDX-License-Identifier: BSD-3-Clause
// Addresses, prefixes and endpoints: parsing, canonical text, comparison, and the martian list.
#include "lib/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

bool ip_addr_parse(const char *text, struct ip_addr *out)
{
	struct ip_addr a = {.family = 4};

	if (inet_pton(AF_INET, text, a.bytes) == 1) {
		*out = a;
		return true;
	}
	a = (struct ip_addr){.family = 6};
	if (inet_pton(AF_INET6, text, a.bytes) == 1) {
		*out = a;
		return true;
	}
	return false;
}

char *ip_addr_format(const struct ip_addr *a, char *out)
{
	if (!inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, out, IP_ADDR_TEXT))
		out[0] = 0;
	return out;
}

unsigned ip_addr_bits(const struct ip_addr *a)
{
	return a->family == 4 ? 32 : 128;
}

int ip_addr_cmp(const struct ip_addr *a, const struct ip_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

void ip_addr_mask(struct ip_addr *a, unsigned len)
{
	unsigned n = a->family == 4 ? 4 : 16;

	for (unsigned i = 0; i < n; i++) {
		unsigned keep = len > i * 8 ? len - i * 8 : 0;

		if (keep < 8)
			a->bytes[i] = (uint8_t)(a->bytes[i] & ~(0xffu >> keep));
	}
}

void ip_addr_add(struct ip_addr *a, uint64_t n)
{
	unsigned carry = 0;

	for (int i = a->family == 4 ? 3 : 15; i >= 0; i--) {
		unsigned sum = a->bytes[i] + (unsigned)(n & 0xff) + carry;

		a->bytes[i] = (uint8_t)sum;
		carry = sum >> 8;
		n >>= 8;
	}
}

static int refuse(char *err, size_t err_len, const char *text, const char *why)
{
	char shown[80];

	log_escape(shown, sizeof(shown), text, strlen(text));
	snprintf(err, err_len, "%s: %s", shown, why);
	return -EINVAL;
}

/* One to three digits, no sign, no leading zero. */
static bool parse_len(const char *text, unsigned max, uint8_t *out)
{
	unsigned v = 0;
	size_t n = strlen(text);

	if (n == 0 || n > 3 || (n > 1 && text[0] == '0'))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (unsigned)(*text - '0');
	}
	if (v > max)
		return false;
	*out = (uint8_t)v;
	return true;
}

int ip_prefix_parse(const char *text, bool bare, struct ip_prefix *out, char *err, size_t err_len)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char addr[IP_ADDR_TEXT];
	struct ip_prefix p;
	struct ip_addr masked;

	if (n >= sizeof(addr))
		return refuse(err, err_len, text, "not an IPv4 or IPv6 address");
	memcpy(addr, text, n);
	addr[n] = 0;
	if (!ip_addr_parse(addr, &p.addr))
		return refuse(err, err_len, text, "not an IPv4 or IPv6 address");
	if (!slash && !bare)
		return refuse(err, err_len, text, "no prefix length");
	p.len = (uint8_t)ip_addr_bits(&p.addr);
	if (slash && !parse_len(slash + 1, ip_addr_bits(&p.addr), &p.len))
		return refuse(err, err_len, text,
			      p.addr.family == 4 ? "prefix length is not 0 to 32" : "prefix length is not 0 to 128");
	masked = p.addr;
	ip_addr_mask(&masked, p.len);
	if (ip_addr_cmp(&masked, &p.addr) != 0)
		return refuse(err, err_len, text, "host bits are set");
	*out = p;
	return 0;
}

char *ip_prefix_format(const struct ip_prefix *p, char *out)
{
	ip_addr_format(&p->addr, out);
	snprintf(out + strlen(out), IP_PREFIX_TEXT - strlen(out), "/%u", p->len);
	return out;
}

int ip_prefix_cmp(const struct ip_prefix *a, const struct ip_prefix *b)
{
	int c = ip_addr_cmp(&a->addr, &b->addr);

	return c != 0 ? c : (int)a->len - (int)b->len;
}

bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_addr *a)
{
	struct ip_addr masked = *a;

	ip_addr_mask(&masked, p->len);
	return ip_addr_cmp(&masked, &p->addr) == 0;
}

bool ip_prefix_covers(const struct ip_prefix *outer, const struct ip_prefix *inner)
{
	return outer->len <= inner->len && ip_prefix_contains(outer, &inner->addr);
}

bool ip_prefix_overlaps(const struct ip_prefix *a, const struct ip_prefix *b)
{
	return ip_prefix_covers(a, b) || ip_prefix_covers(b, a);
}

static const struct ip_prefix martians[] = {
	{{4, {0}}, 8},
	{{4, {127}}, 8},
	{{4, {169, 254}}, 16},
	{{4, {224}}, 4},
	{{4, {240}}, 4},
	{{6, {0}}, 128},
	{{6, {[15] = 1}}, 128},
	{{6, {0xfe, 0x80}}, 10},
	{{6, {0xff}}, 8},
	{{6, {[10] = 0xff, [11] = 0xff}}, 96},
};

bool ip_prefix_is_martian(const struct ip_prefix *p)
{
	for (size_t i = 0; i < sizeof(martians) / sizeof(martians[0]); i++) {
		if (ip_prefix_covers(&martians[i], p))
			return true;
	}
	return false;
}

bool ip_addr_is_martian(const struct ip_addr *a)
{
	struct ip_prefix p = {*a, (uint8_t)ip_addr_bits(a)};

	return ip_prefix_is_martian(&p);
}

static bool parse_port(const char *text, uint16_t *port)
{
	unsigned v = 0;
	size_t n = strlen(text);

	if (n == 0 || n > 5 || (n > 1 && text[0] == '0'))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (unsigned)(*text - '0');
	}
	if (v > 65535)
		return false;
	*port = (uint16_t)v;
	return true;
}

static bool is_dns_name(const char *host)
{
	size_t n = strlen(host);

	if (n == 0 || n > 253 || host[0] == '.' || strstr(host, ".."))
		return false;
	return strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

bool ip_hostport_split(const char *text, char *host, size_t host_len, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	bool brackets = text[0] == '[';
	struct ip_addr a;
	uint16_t p;
	size_t n;

	if (!colon || !parse_port(colon + 1, &p))
		return false;
	n = (size_t)(colon - text);
	if (brackets) {
		if (n < 2 || text[n - 1] != ']')
			return false;
		text++;
		n -= 2;
	}
	if (n >= host_len)
		return false;
	memcpy(host, text, n);
	host[n] = 0;
	if (brackets ? !ip_addr_parse(host, &a) || a.family != 6 : !is_dns_name(host))
		return false;
	*port = p;
	return true;
}

bool ip_endpoint_parse(const char *text, struct ip_endpoint *out)
{
	char host[IP_ADDR_TEXT];
	struct ip_endpoint e;

	if (!ip_hostport_split(text, host, sizeof(host), &e.port) || e.port == 0 || !ip_addr_parse(host, &e.addr))
		return false;
	*out = e;
	return true;
}

char *ip_endpoint_format(const struct ip_endpoint *e, char *out)
{
	char addr[IP_ADDR_TEXT];

	ip_addr_format(&e->addr, addr);
	snprintf(out, IP_ENDPOINT_TEXT, e->addr.family == 4 ? "%s:%u" : "[%s]:%u", addr, e->port);
	return out;
}
