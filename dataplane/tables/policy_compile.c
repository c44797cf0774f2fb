// SPDX-License-Identifier: BSD-3-Clause
// Rules → terms → rows.
#include "dataplane/tables/policy_compiled.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t *policy_bits(const struct policy_compiled *c)
{
	return calloc(c->blocks ? c->blocks : 1, POLICY_BLOCK_BITS / 8);
}

/* ---- terms ---- */

struct builder {
	struct policy_compiled *c;
	uint32_t room_terms, room_literals, n_literals, n_real;
	struct policy_error *error;
};

static bool reserve(void **at, uint32_t *room, uint32_t wanted, size_t size)
{
	uint32_t more = *room ? *room : 256;
	void *p;

	if (wanted <= *room)
		return true;
	while (more < wanted)
		more *= 2;
	p = realloc(*at, more * size);
	if (!p)
		return false;
	*at = p;
	*room = more;
	return true;
}

static int put_terms(struct builder *b, uint32_t rule, const struct policy_dnf *dnf)
{
	struct policy_compiled *c = b->c;

	if (!reserve((void **)&c->terms, &b->room_terms, c->n_terms + dnf->n, sizeof(*c->terms)))
		return -ENOMEM;
	for (uint32_t i = 0; i < dnf->n; i++) {
		const struct policy_clause *clause = &dnf->clauses[i];

		if (!reserve((void **)&c->literals, &b->room_literals, b->n_literals + clause->n, sizeof(*c->literals)))
			return -ENOMEM;
		c->terms[c->n_terms++] =
			(struct policy_term){.first = b->n_literals, .n = (uint16_t)clause->n, .rule = (uint16_t)rule};
		if (clause->n)
			memcpy(c->literals + b->n_literals, clause->literals, clause->n * sizeof(*c->literals));
		b->n_literals += clause->n;
	}
	b->n_real += dnf->n;
	return 0;
}

/* Up to the next whole block: terms of no rule, which no row has. */
static int pad_block(struct builder *b)
{
	struct policy_compiled *c = b->c;
	uint32_t n = (c->n_terms + POLICY_BLOCK_BITS - 1) / POLICY_BLOCK_BITS * POLICY_BLOCK_BITS;

	if (!reserve((void **)&c->terms, &b->room_terms, n, sizeof(*c->terms)))
		return -ENOMEM;
	while (c->n_terms < n)
		c->terms[c->n_terms++] = (struct policy_term){.rule = UINT16_MAX};
	return 0;
}

static int too_long(struct builder *b, const struct policy_set *p, const struct policy_view_rule *rule, bool of_rule)
{
	b->error->rule = rule->index;
	if (of_rule)
		snprintf(b->error->message, sizeof(b->error->message),
			 "its traffic comes to more than %u alternatives: write it as several rules, or without 'not' around 'and'",
			 p->limits.terms_per_rule);
	else
		snprintf(b->error->message, sizeof(b->error->message), "the rules up to it come to more than %u terms, the most an account may have",
			 p->limits.terms);
	return -ENOSPC;
}

static int make_terms(struct builder *b, const struct policy_set *p, const struct policy_view *view)
{
	struct policy_compiled *c = b->c;
	int rc = 0;

	for (uint32_t r = 0; !rc && r < view->n_rules; r++) {
		const struct policy_view_rule *rule = &view->rules[r];
		struct policy_scrap *scraps = NULL;
		struct policy_dnf dnf;

		if (r && rule->filter != view->rules[r - 1].filter)
			rc = pad_block(b);
		rc = rc ? rc : policy_dnf_make(&c->atoms, rule->traffic ? rule->traffic->root : NULL, p->limits.terms_per_rule, &scraps, &dnf);
		if (rc == -ENOSPC)
			too_long(b, p, rule, true);
		if (!rc && (b->n_real + dnf.n > p->limits.terms || c->atoms.n > POLICY_ATOMS_MAX))
			rc = too_long(b, p, rule, false);
		c->rule_first[r] = c->n_terms;
		rc = rc ? rc : put_terms(b, r, &dnf);
		c->rule_end[r] = c->n_terms;
		policy_scraps_free(scraps);
	}
	if (!rc)
		rc = pad_block(b);
	c->blocks = c->n_terms / POLICY_BLOCK_BITS;
	for (uint32_t r = 0; !rc && r < view->n_rules; r++)
		for (uint32_t at = c->rule_first[r] / POLICY_BLOCK_BITS; at * POLICY_BLOCK_BITS < c->rule_end[r]; at++)
			c->track[view->rules[r].filter] |= 1ull << at;
	return rc;
}

/* ---- atoms' uses and the rows that no value of a dimension changes ---- */

static bool index_uses(struct policy_compiled *c, uint32_t n_literals)
{
	uint32_t at = 0;

	c->uses = malloc((n_literals + 1) * sizeof(*c->uses));
	if (!c->uses)
		return false;
	for (uint32_t i = 0; i < n_literals; i++)
		c->atoms.at[c->literals[i] >> 1].n_uses++;
	for (uint32_t i = 0; i < c->atoms.n; i++) {
		c->atoms.at[i].first_use = at;
		at += c->atoms.at[i].n_uses;
		c->atoms.at[i].n_uses = 0;
	}
	for (uint32_t t = 0; t < c->n_terms; t++) {
		for (uint32_t i = 0; i < c->terms[t].n; i++) {
			struct policy_atom *a = &c->atoms.at[c->literals[c->terms[t].first + i] >> 1];

			c->uses[a->first_use + a->n_uses++] = t;
		}
	}
	return true;
}

static bool dense_rows(struct policy_compiled *c)
{
	for (uint32_t i = 0; i < c->atoms.n; i++)
		if (c->atoms.at[i].n_uses)
			c->used |= 1u << c->atoms.at[i].dim;
	for (unsigned d = 0; d < DIM_COUNT; d++) {
		if (!(c->used >> d & 1))
			continue;
		c->base[d] = policy_bits(c);
		c->free_of[d] = policy_bits(c);
		if (!c->base[d] || !c->free_of[d])
			return false;
		for (uint32_t t = 0; t < c->n_terms; t++) {
			bool holds = true, is_free = true;

			if (c->terms[t].rule == UINT16_MAX)
				continue;
			for (uint32_t i = 0; i < c->terms[t].n; i++) {
				uint32_t lit = c->literals[c->terms[t].first + i];

				if (c->atoms.at[lit >> 1].dim != d)
					continue;
				is_free = false;
				holds &= lit & 1;
			}
			if (holds)
				policy_bit_set(c->base[d], t);
			if (is_free)
				policy_bit_set(c->free_of[d], t);
		}
	}
	return true;
}

/* Of term t, the literals on dimension d. */
static bool term_holds(const struct policy_compiled *c, uint32_t t, enum policy_dim d, const uint64_t *fired)
{
	const struct policy_term *term = &c->terms[t];

	for (uint32_t i = 0; i < term->n; i++) {
		uint32_t lit = c->literals[term->first + i], a = lit >> 1;

		if (c->atoms.at[a].dim == d && (fired[a / 64] >> a % 64 & 1) == (lit & 1))
			return false;
	}
	return true;
}

void policy_fire(const struct policy_compiled *c, enum policy_dim d, const uint64_t *fired, uint64_t *bits)
{
	memcpy(bits, c->base[d], c->blocks * POLICY_BLOCK_BITS / 8);
	for (uint32_t w = 0; w <= c->atoms.n / 64; w++) {
		for (uint64_t left = fired[w]; left; left &= left - 1) {
			const struct policy_atom *a = &c->atoms.at[w * 64 + (unsigned)__builtin_ctzll(left)];

			for (uint32_t u = 0; u < a->n_uses; u++) {
				uint32_t t = c->uses[a->first_use + u];

				if (term_holds(c, t, d, fired))
					bits[t / 64] |= 1ull << t % 64;
				else
					bits[t / 64] &= ~(1ull << t % 64);
			}
		}
	}
}

/* Terms that ask names: certain without any of them, and where all are missing. */
static bool names_rows(struct policy_compiled *c, const struct policy_view *view)
{
	uint64_t *full = policy_bits(c), *certain = policy_bits(c), *nameless = policy_bits(c), *side = policy_bits(c);
	bool ok = full && certain && nameless && side;

	for (uint32_t t = 0; ok && t < c->n_terms; t++) {
		const struct policy_view_rule *rule = c->terms[t].rule == UINT16_MAX ? NULL : &view->rules[c->terms[t].rule];

		if (!rule)
			continue;
		policy_bit_set(full, t);
		policy_bit_set(certain, t);
		policy_bit_set(nameless, t);
		if (rule->filter != POLICY_L4 || rule->action != POLICY_ALLOW || rule->names_source)
			policy_bit_set(side, t);
	}
	for (unsigned d = DIM_NAMES; ok && d < DIM_COUNT; d++) {
		for (uint32_t w = 0; c->base[d] && w < c->blocks * POLICY_BLOCK_WORDS; w++) {
			certain[w] &= c->free_of[d][w];
			nameless[w] &= c->base[d][w];
		}
	}
	if (ok) {
		c->full = policy_row_intern(&c->rows, full);
		c->certain = policy_row_intern(&c->rows, certain);
		c->nameless = policy_row_intern(&c->rows, nameless);
		c->private_side = policy_row_intern(&c->rows, side);
		ok = c->full && c->certain && c->nameless && c->private_side;
	}
	free(full);
	free(certain);
	free(nameless);
	free(side);
	return ok;
}

/* The row of dimension d for one value, by the interpreter. NULL without memory. */
static const struct policy_row *ask_row(struct policy_compiled *c, enum policy_dim d, const struct policy_facts *f, bool present)
{
	uint64_t *fired = calloc(c->atoms.n / 64 + 1, sizeof(*fired)), *bits = policy_bits(c);
	const struct policy_row *row = NULL;

	for (uint32_t i = 0; fired && i < c->atoms.n; i++) {
		const struct policy_atom *a = &c->atoms.at[i];
		const struct expr e = {.root = a->node};

		if (a->dim != d)
			continue;
		if (a->ask == ASK_PRESENT ? present : (expr_eval(&e, &f->env) == EXPR_YES) != a->flip)
			policy_bit_set(fired, i);
	}
	if (fired && bits) {
		policy_fire(c, d, fired, bits);
		row = policy_row_intern(&c->rows, bits);
	}
	free(fired);
	free(bits);
	return row;
}

static bool small_rows(struct policy_set *p, struct policy_compiled *c, const struct policy_view *view)
{
	struct policy_facts f;
	bool ok = true;

	for (unsigned i = 0; ok && i < 256 && (c->used & 1u << DIM_PROTO); i++) {
		policy_facts_none(&f, view);
		policy_facts_proto(&f, (uint8_t)i);
		c->proto[i] = ask_row(c, DIM_PROTO, &f, true);
		ok = c->proto[i] != NULL;
	}
	for (unsigned i = 0; ok && i < DETECTED_COUNT && (c->used & 1u << DIM_DETECTED); i++) {
		policy_facts_none(&f, view);
		policy_facts_detected(&f, (enum detected_protocol)i);
		c->detected[i] = ask_row(c, DIM_DETECTED, &f, true);
		ok = c->detected[i] != NULL;
	}
	if (!(c->used & 1u << DIM_VNET))
		return ok;
	c->vnets = calloc(p->n_vnets + 1, sizeof(*c->vnets));
	for (uint32_t v = 0; ok && c->vnets && v <= p->n_vnets; v++)
		ok = policy_compiled_vnet(p, c, view, v);
	return ok && c->vnets;
}

bool policy_compiled_vnet(struct policy_set *p, struct policy_compiled *c, const struct policy_view *view, uint32_t vnet)
{
	const char *id = vnet < p->n_vnets ? p->vnets[vnet] : NULL;
	const struct policy_row *row;
	struct policy_facts f;

	if (!c->vnets)
		return true;
	if (!id && vnet < p->n_vnets && c->vnets[p->n_vnets]) {
		row = c->vnets[p->n_vnets];
	} else {
		policy_facts_none(&f, view);
		if (id)
			policy_facts_vnet(&f, id);
		row = ask_row(c, DIM_VNET, &f, id != NULL);
	}
	__atomic_store_n(&c->vnets[vnet], row, __ATOMIC_RELEASE);
	return row != NULL;
}

/* ---- addresses ---- */

static bool class_rows_grow(struct policy_set *p, struct policy_compiled *c, uint32_t id)
{
	uint32_t capacity = c->classes ? c->classes->capacity : 64;
	struct policy_class_rows *old = c->classes, *rows;

	while (capacity <= id)
		capacity *= 2;
	rows = calloc(1, sizeof(*rows) + capacity * sizeof(rows->at[0]));
	if (!rows)
		return false;
	rows->capacity = capacity;
	if (old)
		memcpy(rows->at, old->at, old->capacity * sizeof(old->at[0]));
	__atomic_store_n(&c->classes, rows, __ATOMIC_RELEASE);
	if (old)
		policy_retire(p, free, old);
	return true;
}

static void fire_set(const struct policy_compiled *c, const uint32_t *atoms, uint32_t set, uint64_t *fired)
{
	for (uint32_t a = set < c->n_set_atoms ? atoms[set] : POLICY_NONE; a != POLICY_NONE; a = c->atoms.at[a].same)
		policy_bit_set(fired, a);
}

static bool among(const uint32_t *sets, uint32_t n, uint32_t set)
{
	for (uint32_t i = 0; i < n; i++)
		if (sets[i] == set)
			return true;
	return false;
}

/* What is in all these sets is in the list that changes, too. */
static bool overlaid(const struct policy_compiled *c, const uint32_t *sets, uint32_t n)
{
	const struct policy_overlay *o = &c->overlay;

	return o->set != POLICY_NONE && (among(sets, n, o->set) || among(sets, n, o->added)) && !among(sets, n, o->removed);
}

static const struct policy_row *class_row(struct policy_compiled *c, enum policy_dim d, const uint32_t *sets, uint32_t n, uint64_t *fired,
					  uint64_t *bits)
{
	const uint32_t *atoms = c->set_atom[d == DIM_DST];

	if (!(c->used >> d & 1))
		return c->full;
	memset(fired, 0, (c->atoms.n / 64 + 1) * sizeof(*fired));
	for (uint32_t i = 0; i < n; i++)
		if (sets[i] != c->overlay.set)
			fire_set(c, atoms, sets[i], fired);
	if (overlaid(c, sets, n))
		fire_set(c, atoms, c->overlay.set, fired);
	policy_fire(c, d, fired, bits);
	return policy_row_intern(&c->rows, bits);
}

bool policy_compiled_class(struct policy_set *p, struct policy_compiled *c, uint32_t id, const uint32_t *sets, uint32_t n)
{
	uint64_t *fired, *bits;
	const struct policy_row *src = NULL, *dst = NULL;

	if (!(c->used & (1u << DIM_SRC | 1u << DIM_DST)))
		return true;
	if ((!c->classes || id >= c->classes->capacity) && !class_rows_grow(p, c, id))
		return false;
	fired = malloc((c->atoms.n / 64 + 1) * sizeof(*fired));
	bits = policy_bits(c);
	if (fired && bits) {
		src = class_row(c, DIM_SRC, sets, n, fired, bits);
		dst = class_row(c, DIM_DST, sets, n, fired, bits);
	}
	free(fired);
	free(bits);
	__atomic_store_n(&c->classes->at[id].dst, dst, __ATOMIC_RELAXED);
	__atomic_store_n(&c->classes->at[id].src, src, __ATOMIC_RELEASE);
	return src && dst;
}

/* Rows of the classes that either overlay says something of, into `rows`. */
static bool overlay_rows(struct policy_compiled *c, const struct policy_classes *classes, const struct policy_overlay *a,
			 const struct policy_overlay *b, struct policy_class_rows *rows)
{
	uint64_t *fired = malloc((c->atoms.n / 64 + 1) * sizeof(*fired)), *bits = policy_bits(c);
	bool ok = fired && bits;

	for (uint32_t id = 0; ok && id < policy_class_bound(classes) && id < rows->capacity; id++) {
		uint32_t n;
		const uint32_t *sets = policy_class_sets(classes, id, &n);

		if (!sets || !(among(sets, n, a->added) || among(sets, n, a->removed) || among(sets, n, b->added) || among(sets, n, b->removed)))
			continue;
		rows->at[id].src = class_row(c, DIM_SRC, sets, n, fired, bits);
		rows->at[id].dst = class_row(c, DIM_DST, sets, n, fired, bits);
		ok = rows->at[id].src && rows->at[id].dst;
	}
	free(fired);
	free(bits);
	return ok;
}

bool policy_compiled_overlay(struct policy_set *p, struct policy_compiled *c, const struct policy_classes *classes, const struct policy_overlay *over)
{
	struct policy_overlay had = c->overlay;
	struct policy_class_rows *old = c->classes, *rows;
	size_t bytes = sizeof(*old) + (old ? old->capacity : 0) * sizeof(old->at[0]);

	c->overlay = *over;
	if (!old)
		return true;
	rows = malloc(bytes);
	if (rows)
		memcpy(rows, old, bytes);
	if (!rows || !overlay_rows(c, classes, &had, over, rows)) {
		free(rows);
		c->overlay = had;
		return false;
	}
	__atomic_store_n(&c->classes, rows, __ATOMIC_RELEASE);
	policy_retire(p, free, old);
	return true;
}

/* Spans of a comparison; the last address of a family is all ones. */
struct policy_span *policy_atom_spans(const struct expr_node *node, uint32_t *n)
{
	struct policy_span *out = calloc(node->cmp == EXPR_IN ? node->n + 1 : 1, sizeof(*out));
	struct ip_addr least = {.family = node->value.ip.family}, most = least;

	if (!out)
		return NULL;
	memset(most.bytes, 0xff, most.family == 4 ? 4 : 16);
	*n = 1;
	out[0] = (struct policy_span){node->value.ip, node->value.ip};
	switch (node->cmp) {
	case EXPR_GT:
		*n = ip_addr_cmp(&out[0].first, &most) < 0;
		ip_addr_add(&out[0].first, 1);
		out[0].last = most;
		break;
	case EXPR_GE:
		out[0].last = most;
		break;
	case EXPR_LT:
		*n = ip_addr_cmp(&out[0].first, &least) > 0;
		for (unsigned i = most.family == 4 ? 4 : 16; i-- > 0;)
			if (out[0].last.bytes[i]--)
				break;
		out[0].first = least;
		break;
	case EXPR_LE:
		out[0].first = least;
		break;
	case EXPR_IN:
		for (size_t i = 0; i < node->n; i++)
			out[i] = (struct policy_span){node->ranges[i].first.ip, node->ranges[i].last.ip};
		*n = policy_spans_merge(out, (uint32_t)node->n);
		break;
	default:
		break;
	}
	return out;
}

static uint32_t literal_set(struct policy_classes *classes, const struct expr_node *node, int *rc)
{
	uint32_t n, set = POLICY_NONE;
	struct policy_span *spans = policy_atom_spans(node, &n);
	struct policy_text key = {.len = 0};
	bool known;

	policy_text_put(&key, "S", 1);
	if (spans)
		policy_text_put(&key, spans, n * sizeof(*spans));
	if (spans && !key.failed) {
		known = policy_set_find(classes, key.at, key.len) != POLICY_NONE;
		set = policy_set_get(classes, key.at, key.len);
		if (set != POLICY_NONE && !known)
			*rc = policy_set_fill(classes, set, spans, n);
	}
	free(spans);
	free(key.at);
	return set;
}

static uint32_t list_set(struct policy_classes *classes, const struct policy_view *view, const char *id, int *rc)
{
	const struct policy_list *list = policy_view_list(view, id);
	char key[1 + sizeof(list->id)];
	size_t len = (size_t)snprintf(key, sizeof(key), "L%s", id);
	bool known = policy_set_find(classes, key, len) != POLICY_NONE;
	uint32_t set = policy_set_get(classes, key, len);

	if (set != POLICY_NONE && (!known || !list))
		*rc = policy_set_fill(classes, set, list ? list->spans : NULL, list ? list->n_spans : 0);
	return set;
}

static int make_sets(struct policy_compiled *c, const struct policy_view *view, struct policy_classes *classes)
{
	uint32_t most = 0;
	int rc = 0;

	c->sets = malloc((c->atoms.n + 1) * sizeof(*c->sets));
	if (!c->sets)
		return -ENOMEM;
	for (uint32_t i = 0; !rc && i < c->atoms.n; i++) {
		struct policy_atom *a = &c->atoms.at[i];

		if (a->dim != DIM_SRC && a->dim != DIM_DST)
			continue;
		a->set = a->node->cmp == EXPR_IN_LIST ? list_set(classes, view, a->node->list.id, &rc) : literal_set(classes, a->node, &rc);
		if (a->set == POLICY_NONE)
			return -ENOMEM;
		c->sets[c->n_sets++] = a->set;
		most = a->set > most ? a->set : most;
	}
	c->n_set_atoms = most + 1;
	for (unsigned side = 0; side < 2; side++) {
		c->set_atom[side] = malloc(c->n_set_atoms * sizeof(uint32_t));
		if (!c->set_atom[side])
			return -ENOMEM;
		memset(c->set_atom[side], 0xff, c->n_set_atoms * sizeof(uint32_t));
	}
	for (uint32_t i = 0; !rc && i < c->atoms.n; i++) {
		struct policy_atom *a = &c->atoms.at[i];

		if (a->set == POLICY_NONE)
			continue;
		a->same = c->set_atom[a->dim == DIM_DST][a->set];
		c->set_atom[a->dim == DIM_DST][a->set] = i;
	}
	return rc;
}

static int make_classes(struct policy_set *p, struct policy_compiled *c, const struct policy_view *view, struct policy_classes *classes)
{
	int rc = make_sets(c, view, classes);

	for (uint32_t id = 0; !rc && id < policy_class_bound(classes); id++) {
		uint32_t n;
		const uint32_t *sets = policy_class_sets(classes, id, &n);

		if (sets && !policy_compiled_class(p, c, id, sets, n))
			rc = -ENOMEM;
	}
	return rc;
}

/* ---- all of it ---- */

static bool node_asks_list(const struct expr_node *node, const char *id)
{
	if (node->op == EXPR_CMP)
		return node->cmp == EXPR_IN_LIST && !strcmp(node->list.id, id);
	for (const struct expr_node *k = node->kids; k; k = k->next)
		if (node_asks_list(k, id))
			return true;
	return false;
}

bool policy_compiled_asks_list(const struct policy_compiled *c, const char *id)
{
	if (policy_who_asks_list(c->who_exprs, id))
		return true;
	for (uint32_t i = 0; i < c->atoms.n; i++) {
		const struct policy_atom *a = &c->atoms.at[i];

		if ((a->dim == DIM_PROTO || a->dim == DIM_VNET || a->dim == DIM_DETECTED) && a->node && node_asks_list(a->node, id))
			return true;
	}
	return false;
}

size_t policy_compiled_bytes(const struct policy_compiled *c)
{
	size_t bytes = sizeof(*c) + c->rows.bytes + c->rows.size * sizeof(void *) + policy_names_bytes(c->names);

	for (unsigned d = 0; d < DIM_COUNT; d++)
		bytes += c->base[d] ? 2 * c->blocks * POLICY_BLOCK_BITS / 8 : 0;
	for (unsigned side = 0; side < 2; side++)
		bytes += c->port[side] ? POLICY_PORTS * (sizeof(uint16_t) + sizeof(void *)) : 0;
	bytes += c->classes ? c->classes->capacity * sizeof(c->classes->at[0]) : 0;
	bytes += c->who ? c->who->capacity * sizeof(c->who->at[0]) : 0;
	return bytes + c->n_terms * sizeof(*c->terms) + c->atoms.room * sizeof(*c->atoms.at) + c->atoms.keys.room;
}

void policy_compiled_free(struct policy_compiled *c)
{
	if (!c)
		return;
	policy_who_free(c->who_exprs);
	policy_names_free((struct policy_names *)(uintptr_t)c->names);
	for (unsigned d = 0; d < DIM_COUNT; d++) {
		free(c->base[d]);
		free(c->free_of[d]);
	}
	for (unsigned side = 0; side < 2; side++) {
		free((void *)(uintptr_t)c->port[side]);
		free(c->port_rows[side]);
		free(c->set_atom[side]);
	}
	free(c->vnets);
	free(c->classes);
	free(c->who);
	free(c->terms);
	free(c->rule_first);
	free(c->rule_end);
	free(c->literals);
	free(c->uses);
	free(c->sets);
	policy_rows_free(&c->rows);
	policy_atoms_free(&c->atoms);
	free(c);
}

static int make_rows(struct policy_set *p, struct policy_compiled *c, const struct policy_view *view, struct policy_error *error)
{
	struct policy_account *a = &p->accounts[c->account];
	bool ok;
	int rc = 0;

	for (uint32_t r = 0; r < view->n_rules; r++)
		if (view->rules[r].identity || view->rules[r].posture)
			c->used |= 1u << DIM_WHO;
	ok = names_rows(c, view) && small_rows(p, c, view);
	if (ok && (c->used & 1u << DIM_SPORT))
		ok = policy_compile_ports(c, DIM_SPORT);
	if (ok && (c->used & 1u << DIM_DPORT))
		ok = policy_compile_ports(c, DIM_DPORT);
	if (ok && (c->used & 1u << DIM_WHO))
		ok = policy_compile_who(p, c, view);
	if (!ok)
		return -ENOMEM;
	if (c->used & (1u << DIM_SRC | 1u << DIM_DST)) {
		if (!a->classes)
			a->classes = policy_classes_create(p, c->account, (struct policy_class_ops){policy_class_made, a});
		rc = a->classes ? make_classes(p, c, view, a->classes) : -ENOMEM;
		if (rc == -ENOSPC)
			snprintf(error->message, sizeof(error->message), "the addresses that rules and lists name are too many for the table of addresses");
	}
	if (!rc && c->used >> DIM_NAMES) {
		struct policy_names *names;

		rc = policy_names_make(&c->atoms, &names, error);
		c->names = rc ? NULL : names;
	}
	return rc;
}

int policy_compile(struct policy_set *p, uint32_t account, struct policy_view *view, struct policy_compiled **out, struct policy_error *error)
{
	struct policy_compiled *c = calloc(1, sizeof(*c));
	struct builder b = {.c = c, .error = error};
	int rc = -ENOMEM;

	*error = (struct policy_error){.rule = POLICY_RULE_DEFAULT, .message = "out of memory"};
	if (!c)
		return rc;
	c->account = account;
	c->overlay = NO_OVERLAY;
	c->refs = 1;
	c->rule_first = calloc(view->n_rules + 1, sizeof(*c->rule_first));
	c->rule_end = calloc(view->n_rules + 1, sizeof(*c->rule_end));
	if (c->rule_first && c->rule_end)
		rc = make_terms(&b, p, view);
	if (!rc && (!index_uses(c, b.n_literals) || !dense_rows(c) || !policy_rows_init(&c->rows, c->blocks)))
		rc = -ENOMEM;
	c->n_real = b.n_real;
	if (!rc)
		rc = make_rows(p, c, view, error);
	if (rc) {
		for (uint32_t i = 0; i < c->n_sets; i++)
			policy_set_put(p->accounts[account].classes, c->sets[i]);
		policy_compiled_free(c);
		return rc;
	}
	*out = c;
	return 0;
}
