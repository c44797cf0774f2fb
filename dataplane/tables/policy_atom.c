// SPDX-License-Identifier: BSD-3-Clause
// Atoms: what rules ask of one dimension, each kept once.
#include "dataplane/tables/policy_compiled.h"

#include <stdlib.h>
#include <string.h>

void policy_text_put(struct policy_text *t, const void *bytes, size_t n)
{
	if (t->len + n > t->room) {
		size_t room = (t->len + n) * 2 + 256;
		char *at = realloc(t->at, room);

		if (!at) {
			t->failed = true;
			return;
		}
		t->at = at;
		t->room = room;
	}
	if (n)
		memcpy(t->at + t->len, bytes, n);
	t->len += n;
}

void policy_text_free(struct policy_text *t)
{
	free(t->at);
	*t = (struct policy_text){.len = 0};
}

static void put_number(struct policy_text *t, uint64_t v)
{
	policy_text_put(t, &v, sizeof(v));
}

static void put_bytes(struct policy_text *t, struct expr_bytes b)
{
	put_number(t, b.n);
	policy_text_put(t, b.p, b.n);
}

static void put_value(struct policy_text *t, const struct expr_value *v)
{
	put_number(t, v->kind);
	if (v->kind == EXPR_BYTES)
		put_bytes(t, v->bytes);
	else if (v->kind == EXPR_IP)
		policy_text_put(t, &v->ip, sizeof(v->ip));
	else
		put_number(t, v->kind == EXPR_INT ? (uint64_t)v->i : v->b);
}

/* A field of http and the one of l4 that means the same are one. */
static enum expr_field plain_field(enum expr_field f)
{
	switch (f) {
	case EXPR_F_HTTP_CONN_SRC_IP:
		return EXPR_F_NET_SRC_IP;
	case EXPR_F_HTTP_CONN_DST_IP:
		return EXPR_F_NET_DST_IP;
	case EXPR_F_HTTP_CONN_VNET_ID:
		return EXPR_F_NET_VNET_ID;
	default:
		return f;
	}
}

static void put_lhs(struct policy_text *t, const struct expr_lhs *lhs)
{
	for (; lhs; lhs = lhs->arg) {
		put_number(t, lhs->func);
		put_number(t, lhs->arg ? 0 : plain_field(lhs->field));
		put_bytes(t, lhs->func == EXPR_STARTS_WITH || lhs->func == EXPR_ENDS_WITH ? lhs->with : (struct expr_bytes){"", 0});
		put_number(t, (uint64_t)lhs->at);
		put_number(t, lhs->mapped);
	}
}

static void put_comparison(struct policy_text *t, const struct expr_node *node, bool flip)
{
	put_number(t, flip && node->cmp == EXPR_NE ? EXPR_EQ : node->cmp);
	put_lhs(t, node->lhs);
	switch (node->cmp) {
	case EXPR_TRUE:
		return;
	case EXPR_IN:
		put_number(t, node->n);
		for (size_t i = 0; i < node->n; i++) {
			put_value(t, &node->ranges[i].first);
			put_value(t, &node->ranges[i].last);
		}
		return;
	case EXPR_IN_LIST:
		policy_text_put(t, node->list.id, strlen(node->list.id) + 1);
		return;
	default:
		put_value(t, &node->value);
	}
}

void policy_node_key(struct policy_text *t, const struct expr_node *node, bool flip)
{
	put_number(t, node->op);
	if (node->op == EXPR_CMP) {
		put_comparison(t, node, flip);
		return;
	}
	for (const struct expr_node *k = node->kids; k; k = k->next)
		policy_node_key(t, k, false);
	put_number(t, UINT64_MAX);
}

enum policy_dim policy_field_dim(enum expr_field f)
{
	switch (plain_field(f)) {
	case EXPR_F_NET_SRC_IP:
		return DIM_SRC;
	case EXPR_F_NET_DST_IP:
		return DIM_DST;
	case EXPR_F_NET_SRC_PORT:
		return DIM_SPORT;
	case EXPR_F_NET_DST_PORT:
		return DIM_DPORT;
	case EXPR_F_NET_PROTOCOL:
		return DIM_PROTO;
	case EXPR_F_NET_VNET_ID:
		return DIM_VNET;
	case EXPR_F_NET_SNI_HOST:
	case EXPR_F_NET_SNI_DOMAINS:
		return DIM_SNI;
	case EXPR_F_NET_DETECTED_PROTOCOL:
		return DIM_DETECTED;
	case EXPR_F_HTTP_REQUEST_HOST:
	case EXPR_F_HTTP_REQUEST_DOMAINS:
		return DIM_HOST;
	case EXPR_F_HTTP_REQUEST_URI:
		return DIM_URI;
	case EXPR_F_HTTP_REQUEST_METHOD:
		return DIM_METHOD;
	case EXPR_F_DNS_FQDN:
	case EXPR_F_DNS_DOMAINS:
		return DIM_FQDN;
	default:
		return DIM_WHO;
	}
}

unsigned policy_node_dims(const struct expr_node *node)
{
	unsigned dims = 0;

	if (node->op == EXPR_CMP) {
		const struct expr_lhs *lhs = node->lhs;

		while (lhs->arg)
			lhs = lhs->arg;
		return 1u << policy_field_dim(lhs->field);
	}
	for (const struct expr_node *k = node->kids; k; k = k->next)
		dims |= policy_node_dims(k);
	return dims;
}

static uint32_t hash_key(const char *key, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)key[i]) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

static bool atoms_grow(struct policy_atoms *a)
{
	uint32_t room = a->room ? a->room * 2 : 64;
	struct policy_atom *at = realloc(a->at, room * sizeof(*at));
	uint32_t *table;

	if (!at)
		return false;
	a->at = at;
	a->room = room;
	table = calloc(room * 2, sizeof(*table));
	if (!table)
		return false;
	free(a->table);
	a->table = table;
	a->size = room * 2;
	for (uint32_t i = 0; i < a->n; i++) {
		uint32_t *slot = &table[hash_key(a->keys.at + at[i].key, at[i].key_len) & (a->size - 1)];

		at[i].chain = *slot;
		*slot = i + 1;
	}
	return true;
}

uint32_t policy_atom_intern(struct policy_atoms *a, enum policy_dim dim, enum policy_ask ask, const struct expr_node *node)
{
	size_t start = a->keys.len, len;
	uint8_t head[2] = {(uint8_t)dim, (uint8_t)ask};
	uint32_t *slot;

	if (a->n == a->room && !atoms_grow(a))
		return POLICY_NONE;
	policy_text_put(&a->keys, head, sizeof(head));
	if (ask == ASK_NODE)
		policy_node_key(&a->keys, node, true);
	if (a->keys.failed)
		return POLICY_NONE;
	len = a->keys.len - start;
	slot = &a->table[hash_key(a->keys.at + start, len) & (a->size - 1)];
	for (uint32_t i = *slot; i; i = a->at[i - 1].chain) {
		const struct policy_atom *atom = &a->at[i - 1];

		if (atom->key_len == len && !memcmp(a->keys.at + atom->key, a->keys.at + start, len)) {
			a->keys.len = start;
			return i - 1;
		}
	}
	a->at[a->n] = (struct policy_atom){.dim = (uint8_t)dim,
					   .ask = (uint8_t)ask,
					   .flip = node && node->op == EXPR_CMP && node->cmp == EXPR_NE,
					   .node = node,
					   .set = POLICY_NONE,
					   .same = POLICY_NONE,
					   .key = (uint32_t)start,
					   .key_len = (uint32_t)len,
					   .chain = *slot};
	*slot = a->n + 1;
	a->n_dim[dim]++;
	return a->n++;
}

void policy_atoms_free(struct policy_atoms *a)
{
	free(a->at);
	free(a->table);
	free(a->keys.at);
	*a = (struct policy_atoms){.n = 0};
}
