// SPDX-License-Identifier: BSD-3-Clause
// Names of flows that inspection is through with.
#include "dataplane/inspect/kept.h"

#include <stdbool.h>
#include <string.h>

#define SCHEME_LEN 7 /* "http://" */

enum what { KEPT_NO_NAME, KEPT_SNI, KEPT_HOST, KEPT_URI /* and the host in it */, KEPT_FQDN };

struct kept {
	uint32_t next_free;
	uint8_t protocol;
	uint8_t what; /* enum what: of the text behind the method */
	uint8_t method_len;
	uint8_t host_len; /* KEPT_URI: of the host in it */
	uint16_t len;
	char text[KEPT_TEXT];
};

struct kept_pool {
	uint32_t n, free;
	struct kept slots[];
};

size_t kept_pool_size(uint32_t n)
{
	return sizeof(struct kept_pool) + (size_t)n * sizeof(struct kept);
}

struct kept_pool *kept_pool_init(void *mem, uint32_t n)
{
	struct kept_pool *p = mem;

	p->n = n;
	p->free = n > 0 ? 0 : KEPT_NONE;
	for (uint32_t i = 0; i < n; i++)
		p->slots[i].next_free = i + 1 < n ? i + 1 : KEPT_NONE;
	return p;
}

/* Takes the name that a flow of this kind has: it has at most one. */
static bool put_name(struct kept *k, enum what what, const struct name_text *t)
{
	if (k->what != KEPT_NO_NAME || t->state != NAME_KNOWN || t->len > KEPT_TEXT - k->method_len)
		return false;
	memcpy(k->text + k->method_len, t->text, t->len);
	k->len = t->len;
	k->what = (uint8_t)what;
	return true;
}

uint32_t kept_put(struct kept_pool *p, const struct names *names)
{
	uint32_t slot = p->free;
	struct kept *k;

	if (slot == KEPT_NONE)
		return KEPT_NONE;
	k = &p->slots[slot];
	p->free = k->next_free;
	k->protocol = names->protocol;
	k->what = KEPT_NO_NAME;
	k->method_len = k->host_len = 0;
	k->len = 0;
	if (names->http_method.state == NAME_KNOWN && names->http_method.len <= UINT8_MAX) {
		k->method_len = (uint8_t)names->http_method.len;
		memcpy(k->text, names->http_method.text, k->method_len);
	}
	if (names->http_host.state == NAME_KNOWN && put_name(k, KEPT_URI, &names->http_uri))
		k->host_len = (uint8_t)names->http_host.len;
	put_name(k, KEPT_HOST, &names->http_host);
	put_name(k, KEPT_SNI, &names->sni);
	put_name(k, KEPT_FQDN, &names->dns_fqdn);
	return slot;
}

void kept_get(const struct kept_pool *p, uint32_t slot, struct names *out)
{
	const struct kept *k = &p->slots[slot];
	const struct name_text name = {.state = NAME_KNOWN, .len = k->len, .text = k->text + k->method_len};

	*out = names_missing;
	out->protocol = k->protocol;
	if (k->method_len > 0)
		out->http_method = (struct name_text){.state = NAME_KNOWN, .len = k->method_len, .text = k->text};
	switch ((enum what)k->what) {
	case KEPT_NO_NAME:
		break;
	case KEPT_SNI:
		out->sni = name;
		break;
	case KEPT_HOST:
		out->http_host = name;
		break;
	case KEPT_URI:
		out->http_uri = name;
		out->http_host = (struct name_text){.state = NAME_KNOWN, .len = k->host_len, .text = name.text + SCHEME_LEN};
		break;
	case KEPT_FQDN:
		out->dns_fqdn = name;
		break;
	}
}

void kept_free(struct kept_pool *p, uint32_t slot)
{
	p->slots[slot].next_free = p->free;
	p->free = slot;
}
