// SPDX-License-Identifier: BSD-3-Clause
// Inside route_table: changes to the trie. Each builds what is new beside the old, publishes it by
// one store of a value, and retires the old. What a node's child inherits is stored in place: an
// address depends on one such word only.
#include "dataplane/tables/route_trie.h"

#include <errno.h>
#include <string.h>

#define SLOTS	  256u
#define MAX_STEPS 17 /* 16 levels of 8 bits, and one to spare */

/* The way down to where a prefix belongs. */
struct walk {
	unsigned int n;		    /* nodes passed: all are above the level and match the key */
	uint32_t *where[MAX_STEPS]; /* where the value that leads to nodes[i] stands */
	uint32_t nodes[MAX_STEPS];
	uint32_t *last; /* the value that the way ends in … */
	uint32_t value;
	unsigned int slot; /* … of this slot of nodes[n − 1], if n > 0 */
};

/* A change of one prefix, as its level sees it. */
struct edit {
	unsigned int lo, hi; /* slots */
	unsigned int code;
	uint32_t to; /* leaf value for the slots that the prefix has, or takes over when adding */
	bool adding;
};

static inline struct route_node *node_at(const struct route_pool *p, uint32_t value)
{
	return &p->nodes[value & VALUE_INDEX];
}

static inline bool is_wide(uint32_t root)
{
	return (root & (VALUE_CHILD | VALUE_WIDE)) == (VALUE_CHILD | VALUE_WIDE);
}

static inline uint32_t edited(const struct edit *e, unsigned int slot, uint32_t leaf)
{
	if (slot < e->lo || slot >= e->hi)
		return leaf;
	if (e->adding)
		return value_code(leaf) < e->code ? e->to : leaf;
	return value_code(leaf) == e->code ? e->to : leaf;
}

/* How many leading bits of `key` agree with the prefix of `n`, in whole bytes, at most `limit` and
 * n->depth. */
static unsigned int common_bits(const struct route_node *n, const struct route_key *key,
				unsigned int limit)
{
	uint64_t x = n->prefix[0] ^ key->w[0], y = n->prefix[1] ^ key->w[1];
	unsigned int same = x	? (unsigned int)__builtin_clzll(x)
			    : y ? 64 + (unsigned int)__builtin_clzll(y)
				: 128;

	same &= ~7u;
	if (same > n->depth)
		same = n->depth;
	return same < limit ? same : limit;
}

static void walk_down(const struct route_pool *p, uint32_t *root, const struct route_key *key,
		      unsigned int depth, struct walk *w)
{
	w->n = 0;
	w->slot = 0;
	w->last = root;
	if (is_wide(*root))
		w->last = &route_pool_wide_slots(
			p, *root & VALUE_INDEX)[key->w[0] >> (64 - WIDE_BITS)];
	for (;;) {
		const struct route_node *n;

		w->value = *w->last;
		if (!value_is_child(w->value))
			return;
		n = node_at(p, w->value);
		if (n->depth >= depth || common_bits(n, key, 128) < n->depth)
			return;
		w->where[w->n] = w->last;
		w->nodes[w->n++] = w->value & VALUE_INDEX;
		w->slot = route_key_byte(key, n->depth);
		w->last = &p->entries[n->base + route_node_run(n, w->slot)];
	}
}

static void expand(const struct route_pool *p, const struct route_node *n, uint32_t slots[SLOTS])
{
	const uint32_t *entry = &p->entries[n->base] - 1;

	for (unsigned int i = 0; i < SLOTS; i++) {
		entry += n->runs[i / 64] >> i % 64 & 1;
		slots[i] = *entry;
	}
}

/* Fills in the run bits of `n` and their entries (one more is scratched). Returns how many runs. */
static unsigned int compress(const uint32_t slots[SLOTS], struct route_node *n,
			     uint32_t entries[SLOTS + 1])
{
	unsigned int runs = 0;

	for (unsigned int w = 0; w < 4; w++) {
		uint64_t bits = 0;

		n->before[w] = (uint8_t)runs; /* at most 192 */
		for (unsigned int i = 64 * w; i < 64 * w + 64; i++) {
			uint64_t starts = i == 0 || slots[i] != slots[i - 1];

			bits |= starts << i % 64;
			entries[runs] = slots[i]; /* overwritten unless a run starts here */
			runs += (unsigned int)starts;
		}
		n->runs[w] = bits;
	}
	return runs;
}

/* A node with these slots; POOL_NONE when the pool is out. */
static uint32_t build(struct route_pool *p, const uint32_t slots[SLOTS], struct route_key prefix,
		      unsigned int depth, uint32_t inherited)
{
	struct route_node shape;
	uint32_t entries[SLOTS + 1], node;
	unsigned int runs = compress(slots, &shape, entries);
	struct route_node *n;

	node = route_pool_node(p, runs);
	if (node == POOL_NONE)
		return POOL_NONE;
	n = &p->nodes[node];
	memcpy(n->runs, shape.runs, sizeof(n->runs));
	memcpy(n->before, shape.before, sizeof(n->before));
	memcpy(&p->entries[n->base], entries, runs * sizeof(entries[0]));
	prefix = route_key_cut(prefix, depth);
	memcpy(n->prefix, prefix.w, sizeof(n->prefix));
	n->depth = (uint8_t)depth;
	n->inherited = inherited;
	return node;
}

static uint32_t rebuild(struct route_pool *p, const struct route_node *old,
			const uint32_t slots[SLOTS])
{
	return build(p, slots, (struct route_key){{old->prefix[0], old->prefix[1]}}, old->depth,
		     old->inherited);
}

/* A copy that takes over the entries of `old`, which is then to be retired without them. */
static uint32_t copy_node(struct route_pool *p, uint32_t old, uint32_t inherited)
{
	uint32_t node = route_pool_bare_node(p);

	if (node == POOL_NONE)
		return POOL_NONE;
	p->nodes[node] = p->nodes[old];
	p->nodes[node].inherited = inherited;
	return node;
}

/* Whether the slot that the walk ends in has its run for itself. */
static bool alone(const struct route_pool *p, const struct walk *w)
{
	const struct route_node *n;
	unsigned int s = w->slot;

	if (w->n == 0)
		return true;
	n = &p->nodes[w->nodes[w->n - 1]];
	return (n->runs[s / 64] >> s % 64 & 1) &&
	       (s == 255 || (n->runs[(s + 1) / 64] >> (s + 1) % 64 & 1));
}

/* Puts a child where the walk ends. */
static int publish(struct route_pool *p, const struct walk *w, uint32_t child)
{
	uint32_t slots[SLOTS], old, new;

	if (alone(p, w)) {
		value_store(w->last, VALUE_CHILD | child);
		return 0;
	}
	old = w->nodes[w->n - 1];
	expand(p, &p->nodes[old], slots);
	slots[w->slot] = VALUE_CHILD | child;
	new = rebuild(p, &p->nodes[old], slots);
	if (new == POOL_NONE)
		return -ENOSPC;
	value_store(w->where[w->n - 1], VALUE_CHILD | new);
	route_pool_retire(p, old, true);
	return 0;
}

/* What the children in the edit's range inherit. */
static void edit_children(struct route_pool *p, const uint32_t slots[SLOTS], const struct edit *e)
{
	for (unsigned int i = e->lo; i < e->hi; i++) {
		if (value_is_child(slots[i])) {
			struct route_node *c = node_at(p, slots[i]);

			value_store(&c->inherited, edited(e, i, c->inherited));
		}
	}
}

static void edit_slots(uint32_t slots[SLOTS], const struct edit *e)
{
	for (unsigned int i = e->lo; i < e->hi; i++)
		if (!value_is_child(slots[i]))
			slots[i] = edited(e, i, slots[i]);
}

/* A level whose values stand alone: a wide root, or the value of a vnet without one. */
static void edit_values(struct route_pool *p, uint32_t *values, const struct edit *e)
{
	for (unsigned int i = e->lo; i < e->hi; i++) {
		uint32_t *v =
			value_is_child(values[i]) ? &node_at(p, values[i])->inherited : &values[i];
		uint32_t to = edited(e, i, *v);

		if (to != *v)
			value_store(v, to);
	}
}

/*
 * The level that `len` belongs to: its array of values, or NULL for a node, whose depth is then
 * *depth. Fills in the edit's range and code.
 */
static uint32_t *level_of(const struct route_pool *p, uint32_t *root, const struct route_key *key,
			  unsigned int len, struct edit *e, unsigned int *depth)
{
	if (is_wide(*root) && len <= WIDE_BITS) {
		e->lo = (unsigned int)(key->w[0] >> (64 - WIDE_BITS));
		e->hi = e->lo + (1u << (WIDE_BITS - len));
		e->code = len + 1;
		return route_pool_wide_slots(p, *root & VALUE_INDEX);
	}
	if (len == 0) {
		e->lo = 0;
		e->hi = 1;
		e->code = 1;
		return root;
	}
	*depth = (len - 1) / 8 * 8;
	e->lo = route_key_byte(key, *depth);
	e->hi = e->lo + (1u << (*depth + 8 - len));
	e->code = len - *depth;
	return NULL;
}

unsigned int route_trie_level(uint32_t root, unsigned int len)
{
	if (len == 0 || (is_wide(root) && len <= WIDE_BITS))
		return 0;
	return (len - 1) / 8 * 8 + 1;
}

/* The prefix joins a node that is there. */
static int add_inside(struct route_pool *p, const struct walk *w, const struct edit *e)
{
	uint32_t slots[SLOTS], old = w->value & VALUE_INDEX, new;

	expand(p, &p->nodes[old], slots);
	edit_slots(slots, e);
	new = rebuild(p, &p->nodes[old], slots);
	if (new == POOL_NONE)
		return -ENOSPC;
	value_store(w->last, VALUE_CHILD | new);
	edit_children(p, slots, e);
	route_pool_retire(p, old, true);
	return 0;
}

/* A node of its own, where the walk ended in a leaf. */
static int add_below_leaf(struct route_pool *p, const struct walk *w, struct route_key key,
			  unsigned int depth, const struct edit *e)
{
	uint32_t slots[SLOTS] = {0}, new;
	int err;

	edit_slots(slots, e);
	new = build(p, slots, key, depth, w->value);
	if (new == POOL_NONE)
		return -ENOSPC;
	err = publish(p, w, new);
	if (err)
		route_pool_drop(p, new, true);
	return err;
}

/* The walk ended above a node that is deeper, or elsewhere: it gets a parent, at `split`, that both
 * hang on. */
static int add_above(struct route_pool *p, const struct walk *w, struct route_key key,
		     unsigned int depth, unsigned int split, const struct edit *e)
{
	const uint32_t old = w->value & VALUE_INDEX;
	const struct route_node *c = &p->nodes[old];
	const struct route_key old_key = {{c->prefix[0], c->prefix[1]}};
	const unsigned int old_slot = route_key_byte(&old_key, split);
	uint32_t slots[SLOTS] = {0}, copy, own = POOL_NONE, top;

	if (split == depth) /* the prefix lives in the new parent */
		edit_slots(slots, e);
	copy = copy_node(p, old, slots[old_slot]);
	if (copy == POOL_NONE)
		return -ENOSPC;
	if (split != depth) {
		uint32_t own_slots[SLOTS] = {0};

		edit_slots(own_slots, e);
		own = build(p, own_slots, key, depth, VALUE_NONE);
		slots[route_key_byte(&key, split)] = VALUE_CHILD | own;
	}
	slots[old_slot] = VALUE_CHILD | copy;
	top = split != depth && own == POOL_NONE ? POOL_NONE
						 : build(p, slots, key, split, c->inherited);
	if (top == POOL_NONE) {
		if (own != POOL_NONE)
			route_pool_drop(p, own, true);
		route_pool_drop(p, copy, false);
		return -ENOSPC;
	}
	value_store(w->last, VALUE_CHILD | top);
	route_pool_retire(p, old, false);
	return 0;
}

int route_trie_add(struct route_pool *p, uint32_t *root, struct route_key key, unsigned int len,
		   uint32_t next_hop)
{
	struct edit e = {.adding = true};
	unsigned int depth = 0, split;
	uint32_t *values = level_of(p, root, &key, len, &e, &depth);
	struct walk w;

	e.to = value_leaf(e.code, next_hop);
	if (values) {
		edit_values(p, values, &e);
		return 0;
	}
	walk_down(p, root, &key, depth, &w);
	if (!value_is_child(w.value))
		return add_below_leaf(p, &w, key, depth, &e);
	split = common_bits(node_at(p, w.value), &key, depth);
	if (split == depth && node_at(p, w.value)->depth == depth)
		return add_inside(p, &w, &e);
	return add_above(p, &w, key, depth, split, &e);
}

/* What a node would hold after an edit. */
struct contents {
	uint32_t slots[SLOTS];
	bool changed;
	unsigned int leaves, children; /* runs of leaf values that are routes; children */
	uint32_t child;		       /* the last child … */
	uint32_t child_inherits;       /* … and its inheritance */
};

static void look_inside(const struct route_pool *p, const struct route_node *n,
			const struct edit *e, struct contents *c)
{
	c->changed = false;
	c->leaves = c->children = 0;
	expand(p, n, c->slots);
	for (unsigned int i = 0; i < SLOTS; i++) {
		uint32_t v = c->slots[i];

		if (value_is_child(v)) {
			c->children++;
			c->child = v;
			c->child_inherits = node_at(p, v)->inherited;
			if (e)
				c->child_inherits = edited(e, i, c->child_inherits);
			c->leaves += c->child_inherits != VALUE_NONE;
		} else {
			c->slots[i] = e ? edited(e, i, v) : v;
			c->changed |= c->slots[i] != v;
			c->leaves += c->slots[i] != VALUE_NONE;
		}
	}
}

static unsigned int runs_of(const uint32_t slots[SLOTS])
{
	unsigned int runs = 1;

	for (unsigned int i = 1; i < SLOTS; i++)
		runs += slots[i] != slots[i - 1];
	return runs;
}

/* An only child takes its parent's place. */
static bool lift_child(struct route_pool *p, uint32_t *where, uint32_t node, uint32_t child)
{
	uint32_t copy = copy_node(p, child & VALUE_INDEX, p->nodes[node].inherited);

	if (copy == POOL_NONE)
		return false;
	value_store(where, VALUE_CHILD | copy);
	route_pool_retire(p, child & VALUE_INDEX, false);
	route_pool_retire(p, node, true);
	return true;
}

/*
 * Brings the node at *where to what `e` makes of it (NULL: only makes it smaller if it can be). 0,
 * 1 when it is gone and its parent should be looked at, -ENOSPC with nothing changed.
 */
static int settle(struct route_pool *p, uint32_t *where, const struct edit *e)
{
	uint32_t node = *where & VALUE_INDEX, new;
	struct route_node *n = &p->nodes[node];
	struct contents c;

	look_inside(p, n, e, &c);
	if (!c.leaves && !c.children) {
		value_store(where, n->inherited);
		route_pool_retire(p, node, true);
		return 1;
	}
	if (!c.leaves && c.children == 1 && lift_child(p, where, node, c.child))
		return 0;
	if (!c.changed && (n->order == 0 || runs_of(c.slots) > BLOCK_WORDS << (n->order - 1))) {
		if (e)
			edit_children(p, c.slots, e);
		return 0;
	}
	new = rebuild(p, n, c.slots);
	if (new == POOL_NONE)
		return c.changed ? -ENOSPC : 0;
	value_store(where, VALUE_CHILD | new);
	if (e)
		edit_children(p, c.slots, e);
	route_pool_retire(p, node, true);
	return 0;
}

static int edit_prefix(struct route_pool *p, uint32_t *root, const struct route_key *key,
		       unsigned int len, struct edit *e)
{
	unsigned int depth = 0;
	uint32_t *values = level_of(p, root, key, len, e, &depth);
	struct walk w;
	int rc;

	if (values) {
		edit_values(p, values, e);
		return 0;
	}
	walk_down(p, root, key, depth, &w);
	rc = settle(p, w.last, e);
	for (unsigned int i = w.n; rc == 1 && i > 0; i--)
		rc = settle(p, w.where[i - 1], NULL);
	return rc < 0 ? rc : 0;
}

int route_trie_replace(struct route_pool *p, uint32_t *root, struct route_key key, unsigned int len,
		       uint32_t next_hop)
{
	struct edit e = {0};
	unsigned int depth;

	level_of(p, root, &key, len, &e, &depth);
	e.to = value_leaf(e.code, next_hop);
	return edit_prefix(p, root, &key, len, &e);
}

int route_trie_delete(struct route_pool *p, uint32_t *root, struct route_key key, unsigned int len,
		      int cover_len, uint32_t cover_next_hop)
{
	struct edit e = {0};
	unsigned int depth;

	level_of(p, root, &key, len, &e, &depth);
	if (cover_len >= 0)
		e.to = value_leaf(e.code - (len - (unsigned int)cover_len), cover_next_hop);
	return edit_prefix(p, root, &key, len, &e);
}

/* The value of one slot of a wide root to be: the narrow trie walked for these 16 bits. Codes
 * become those of a wide level. */
static uint32_t narrow_value(const struct route_pool *p, uint32_t value, uint32_t bits,
			     uint32_t *inherited)
{
	const struct route_key key = {{(uint64_t)bits << (64 - WIDE_BITS), 0}};
	unsigned int shift = 0; /* from the codes of the level that `value` is on */

	*inherited = VALUE_NONE;
	for (;;) {
		const struct route_node *n = value_is_child(value) ? node_at(p, value) : NULL;
		uint32_t leaf = n ? n->inherited : value;

		if (leaf != VALUE_NONE)
			*inherited = leaf + value_leaf(shift, 0);
		if (!n ||
		    common_bits(n, &key, WIDE_BITS) < (n->depth < WIDE_BITS ? n->depth : WIDE_BITS))
			return *inherited;
		if (n->depth >= WIDE_BITS)
			return value;
		shift = n->depth + 1u;
		value = p->entries[n->base + route_node_run(n, route_key_byte(&key, n->depth))];
	}
}

/* The part of a narrow trie that a wide root replaces; what is below lives on in copies. */
static void retire_top(struct route_pool *p, uint32_t value)
{
	const struct route_node *n = node_at(p, value);

	if (!value_is_child(value))
		return;
	if (n->depth < WIDE_BITS) {
		for (unsigned int i = 0; i < SLOTS; i++)
			if (n->runs[i / 64] >> i % 64 & 1)
				retire_top(p, p->entries[n->base + route_node_run(n, i)]);
	}
	route_pool_retire(p, value & VALUE_INDEX, n->depth < WIDE_BITS);
}

bool route_trie_widen(struct route_pool *p, uint32_t *root)
{
	uint32_t narrow = *root, wide, inherited, copies = 0, *slots;

	if (is_wide(narrow))
		return false;
	for (uint32_t i = 0; i < WIDE_SLOTS; i++)
		copies += value_is_child(narrow_value(p, narrow, i, &inherited));
	if (route_pool_nodes_left(p) < copies)
		return false;
	wide = route_pool_wide(p);
	if (wide == POOL_NONE)
		return false;
	slots = route_pool_wide_slots(p, wide);
	for (uint32_t i = 0; i < WIDE_SLOTS; i++) {
		uint32_t v = narrow_value(p, narrow, i, &inherited);

		slots[i] = value_is_child(v)
				   ? VALUE_CHILD | copy_node(p, v & VALUE_INDEX, inherited)
				   : v;
	}
	value_store(root, VALUE_CHILD | VALUE_WIDE | wide);
	retire_top(p, narrow);
	return true;
}

void route_trie_clear(struct route_pool *p, uint32_t *root)
{
	uint32_t old = *root;

	if (!is_wide(old))
		return;
	value_store(root, VALUE_NONE);
	route_pool_retire_wide(p, old & VALUE_INDEX);
}
