// SPDX-License-Identifier: BSD-3-Clause
// Sets of addresses → classes: each prefix that some set names is in the route table, its next hop the class of all sets that
// cover it. A binary trie of the writer's finds the prefixes below one whose sets change, so one more item in a list costs what
// lies below it and no more.
#include "dataplane/tables/policy_compiled.h"
#include "dataplane/tables/route_trie.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct set {
	char *key;
	size_t key_len;
	uint32_t refs;  /* 0: free */
	uint32_t chain; /* in its bucket, or of free ones: index + 1 */
	struct ip_prefix *prefixes; /* sorted */
	uint32_t n;
};

struct class {
	uint32_t *sets; /* sorted; NULL with refs 0: free */
	uint32_t n, refs, chain;
};

struct node {
	struct route_key key;
	uint32_t kid[2], own, class; /* own: class of the sets that name just this prefix; 0: a fork */
	uint8_t len;
};

struct policy_classes {
	struct policy_set *p;
	uint32_t account;
	struct policy_class_ops ops;
	struct set *sets;
	uint32_t n_sets, room_sets, free_set;
	uint32_t buckets[4096]; /* sets by key */
	struct class *classes;
	uint32_t n_classes, room_classes, live_classes, *table, table_size;
	uint32_t *free_classes, n_free;
	struct node *nodes; /* 0: none */
	uint32_t n_nodes, room_nodes, free_node, root[2];
	struct route_table *table_of; /* what readers look addresses up in */
	uint32_t room_routes;
	int error;
};

#define ROUTES_FIRST 4096u

/* ---- classes ---- */

static uint32_t hash_sets(const uint32_t *sets, uint32_t n)
{
	uint64_t h = n;

	for (uint32_t i = 0; i < n; i++) {
		h = (h ^ sets[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 31;
	}
	return (uint32_t)h;
}

static bool classes_grow(struct policy_classes *c)
{
	uint32_t room = c->room_classes ? c->room_classes * 2 : 64;
	struct class *classes = realloc(c->classes, room * sizeof(*classes));
	uint32_t *list, *table;

	if (!classes)
		return false;
	c->classes = classes;
	list = realloc(c->free_classes, room * sizeof(*list));
	if (!list)
		return false;
	c->free_classes = list;
	table = calloc(room * 2, sizeof(*table));
	if (!table)
		return false;
	free(c->table);
	c->table = table;
	c->table_size = room * 2;
	c->room_classes = room;
	for (uint32_t i = 0; i < c->n_classes; i++) {
		if (!classes[i].refs)
			continue;
		classes[i].chain = table[hash_sets(classes[i].sets, classes[i].n) & (room * 2 - 1)];
		table[hash_sets(classes[i].sets, classes[i].n) & (room * 2 - 1)] = i + 1;
	}
	return true;
}

/* One reference more of the class of these sets. Class 0 is of none and is never freed. */
static uint32_t class_of(struct policy_classes *c, const uint32_t *sets, uint32_t n)
{
	uint32_t *slot, id;

	if (c->n_classes == c->room_classes && !classes_grow(c))
		goto failed;
	slot = &c->table[hash_sets(sets, n) & (c->table_size - 1)];
	for (uint32_t i = *slot; i; i = c->classes[i - 1].chain) {
		struct class *class = &c->classes[i - 1];

		if (class->n == n && !memcmp(class->sets, sets, n * sizeof(*sets))) {
			class->refs++;
			return i - 1;
		}
	}
	id = c->n_free ? c->free_classes[c->n_free - 1] : c->n_classes;
	c->classes[id] = (struct class){.sets = malloc((n + 1) * sizeof(*sets)), .n = n, .refs = 1, .chain = *slot};
	if (!c->classes[id].sets)
		goto failed;
	if (n)
		memcpy(c->classes[id].sets, sets, n * sizeof(*sets));
	if (c->n_free)
		c->n_free--;
	else
		c->n_classes++;
	*slot = id + 1;
	c->live_classes++;
	if (c->ops.made && !c->ops.made(c->ops.ctx, id, c->classes[id].sets, n))
		c->error = -ENOMEM;
	return id;
failed:
	c->error = -ENOMEM;
	c->classes[0].refs++;
	return 0;
}

struct resting {
	struct policy_classes *c;
	uint32_t id;
};

/* Readers may hold the number until they have moved on. */
static void class_rested(void *what)
{
	struct resting *r = what;

	r->c->free_classes[r->c->n_free++] = r->id;
	free(r);
}

static void class_put(struct policy_classes *c, uint32_t id)
{
	struct class *class = &c->classes[id];
	struct resting *r;
	uint32_t *slot;

	if (--class->refs)
		return;
	slot = &c->table[hash_sets(class->sets, class->n) & (c->table_size - 1)];
	while (*slot != id + 1)
		slot = &c->classes[*slot - 1].chain;
	*slot = class->chain;
	free(class->sets);
	class->sets = NULL;
	c->live_classes--;
	r = malloc(sizeof(*r));
	if (!r)
		return; /* the number is lost, nothing else */
	*r = (struct resting){c, id};
	policy_retire(c->p, class_rested, r);
}

/* The class of `id` with one set more, or less: one reference more. */
static uint32_t class_change(struct policy_classes *c, uint32_t id, uint32_t set, bool add)
{
	uint32_t n = c->classes[id].n, *sets = malloc((n + 1) * sizeof(*sets)), out = 0, result;

	if (!sets) {
		c->error = -ENOMEM;
		c->classes[id].refs++;
		return id;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t s = c->classes[id].sets[i];

		if (add && out == i && s > set)
			sets[out++] = set;
		if (s != set)
			sets[out++] = s;
		else if (add)
			sets[out++] = s;
	}
	if (add && (!out || sets[out - 1] < set))
		sets[out++] = set;
	result = class_of(c, sets, out);
	free(sets);
	return result;
}

/* The class of the sets of both: one reference more. */
static uint32_t class_union(struct policy_classes *c, uint32_t a, uint32_t b)
{
	const struct class *x = &c->classes[a], *y = &c->classes[b];
	uint32_t *sets, i = 0, j = 0, n = 0, result;

	if (!x->n || !y->n || a == b) {
		result = x->n ? a : b;
		c->classes[result].refs++;
		return result;
	}
	sets = malloc((x->n + y->n) * sizeof(*sets));
	if (!sets) {
		c->error = -ENOMEM;
		c->classes[b].refs++;
		return b;
	}
	while (i < x->n || j < y->n) {
		uint32_t s = j == y->n || (i < x->n && x->sets[i] <= y->sets[j]) ? x->sets[i++] : y->sets[j++];

		if (!n || sets[n - 1] != s)
			sets[n++] = s;
	}
	result = class_of(c, sets, n);
	free(sets);
	return result;
}

/* ---- the writer's trie ---- */

static unsigned key_bit(const struct route_key *k, unsigned at)
{
	return (unsigned)(k->w[at / 64] >> (63 - at % 64)) & 1;
}

static unsigned common(const struct route_key *a, const struct route_key *b, unsigned most)
{
	uint64_t d = a->w[0] ^ b->w[0];
	unsigned n = d ? (unsigned)__builtin_clzll(d) : 64;

	if (n == 64) {
		d = a->w[1] ^ b->w[1];
		n = d ? 64 + (unsigned)__builtin_clzll(d) : 128;
	}
	return n < most ? n : most;
}

static uint32_t node_make(struct policy_classes *c, struct route_key key, unsigned len)
{
	uint32_t n = c->free_node;

	if (n) {
		c->free_node = c->nodes[n].kid[0];
	} else {
		if (c->n_nodes + 1 >= c->room_nodes) {
			uint32_t room = c->room_nodes ? c->room_nodes * 2 : 256;
			struct node *nodes = realloc(c->nodes, room * sizeof(*nodes));

			if (!nodes) {
				c->error = -ENOMEM;
				return 0;
			}
			c->nodes = nodes;
			c->room_nodes = room;
		}
		n = ++c->n_nodes;
	}
	c->nodes[n] = (struct node){.key = route_key_cut(key, len), .len = (uint8_t)len};
	return n;
}

static void node_free(struct policy_classes *c, uint32_t n)
{
	c->nodes[n].kid[0] = c->free_node;
	c->free_node = n;
}

static struct route route_of(const struct node *node, uint8_t family)
{
	struct route r = { .next_hop = node->class, .family = family, .len = node->len};
	uint64_t w[2] = {__builtin_bswap64(node->key.w[0]), __builtin_bswap64(node->key.w[1])};

	memcpy(r.addr, w, family == 4 ? 4 : 16);
	return r;
}

static bool copy_routes(const struct policy_classes *c, struct route_table *to, uint32_t n, uint8_t family)
{
	struct route r;

	if (!n)
		return true;
	r = route_of(&c->nodes[n], family);
	if (c->nodes[n].class && route_add(to, &r) < 0)
		return false;
	return copy_routes(c, to, c->nodes[n].kid[0], family) && copy_routes(c, to, c->nodes[n].kid[1], family);
}

static void table_free(void *table)
{
	route_table_destroy(table);
}

/* A table with more room; readers go over to it. */
static bool table_grow(struct policy_classes *c)
{
	struct route_config config = {.vnets = 1, .retire = c->p->retire};
	struct route_table *old = c->table_of, *more;

	config.routes = c->room_routes ? c->room_routes * 4 : ROUTES_FIRST;
	if (config.routes > POLICY_ROUTES_MAX)
		return false;
	more = route_table_create(&config);
	if (!more)
		return false;
	if (!copy_routes(c, more, c->root[0], 4) || !copy_routes(c, more, c->root[1], 6)) {
		route_table_destroy(more);
		return false;
	}
	c->table_of = more;
	c->room_routes = config.routes;
	__atomic_store_n(&c->p->accounts[c->account].addresses, more, __ATOMIC_RELEASE);
	if (old)
		policy_retire(c->p, table_free, old);
	return true;
}

static int tell(struct policy_classes *c, const struct route *r, bool add)
{
	return add ? route_add(c->table_of, r) : route_delete(c->table_of, r);
}

/* Readers see what the node says now. */
static void node_tell(struct policy_classes *c, uint32_t n, uint8_t family)
{
	struct route r = route_of(&c->nodes[n], family);
	int rc = tell(c, &r, c->nodes[n].own != 0);

	if ((rc == -ENOSPC || rc == -EAGAIN) && table_grow(c))
		rc = tell(c, &r, c->nodes[n].own != 0);

	if (rc < 0 && rc != -ENOENT && !c->error)
		c->error = rc == -EAGAIN ? -ENOSPC : rc;
}

/* Classes at and below n, where the sets above are those of class `above`. */
static void refresh(struct policy_classes *c, uint32_t n, uint32_t above, uint8_t family)
{
	uint32_t class, old;

	if (!n)
		return;
	if (c->nodes[n].own) {
		class = class_union(c, above, c->nodes[n].own);
		old = c->nodes[n].class;
		if (class == old) {
			class_put(c, class);
			return; /* nor do those below change */
		}
		c->nodes[n].class = class;
		node_tell(c, n, family);
		class_put(c, old);
		above = class;
	}
	refresh(c, c->nodes[n].kid[0], above, family);
	refresh(c, c->nodes[n].kid[1], above, family);
}

/* The prefix of node n is named by one set more, or less. */
static void node_change(struct policy_classes *c, uint32_t n, uint32_t set, bool add, uint32_t above, uint8_t family)
{
	uint32_t old = c->nodes[n].own;

	c->nodes[n].own = class_change(c, old, set, add);
	if (!c->nodes[n].own) {
		/* no entry any more: those below hang from what is above */
		uint32_t class = c->nodes[n].class;

		node_tell(c, n, family);
		c->nodes[n].class = 0;
		c->classes[0].refs++;
		refresh(c, c->nodes[n].kid[0], above, family);
		refresh(c, c->nodes[n].kid[1], above, family);
		class_put(c, class);
	} else {
		refresh(c, n, above, family);
	}
	class_put(c, old);
}

/* A node that is neither an entry nor a fork makes room. */
static uint32_t prune(struct policy_classes *c, uint32_t n)
{
	struct node *node = &c->nodes[n];
	uint32_t only;

	if (node->own || (node->kid[0] && node->kid[1]))
		return n;
	only = node->kid[0] ? node->kid[0] : node->kid[1];
	c->classes[0].refs -= 2; /* its own, and its class: both 0 */
	node_free(c, n);
	return only;
}

/* The set names the prefix, or no longer: the new root of this part. */
static uint32_t change(struct policy_classes *c, uint32_t n, const struct route_key *key, unsigned len, uint32_t set, bool add,
		       uint32_t above, uint8_t family)
{
	unsigned shared = n ? common(key, &c->nodes[n].key, len < c->nodes[n].len ? len : c->nodes[n].len) : 0;
	uint32_t made, kid;

	if (n && shared == c->nodes[n].len && shared == len) {
		node_change(c, n, set, add, above, family);
		return prune(c, n);
	}
	if (n && shared == c->nodes[n].len) {
		unsigned side = key_bit(key, shared);

		kid = change(c, c->nodes[n].kid[side], key, len, set, add, c->nodes[n].own ? c->nodes[n].class : above, family);
		c->nodes[n].kid[side] = kid;
		return prune(c, n);
	}
	if (!add)
		return n;
	made = node_make(c, *key, len);
	if (!made)
		return n;
	c->classes[0].refs += 2;
	if (n && shared == len) {
		c->nodes[made].kid[key_bit(&c->nodes[n].key, len)] = n;
		node_change(c, made, set, true, above, family);
		return made;
	}
	node_change(c, made, set, true, above, family);
	if (!n)
		return made;
	kid = node_make(c, *key, shared);
	if (!kid) { /* undone */
		node_change(c, made, set, false, above, family);
		prune(c, made);
		return n;
	}
	c->classes[0].refs += 2;
	c->nodes[kid].kid[key_bit(key, shared)] = made;
	c->nodes[kid].kid[!key_bit(key, shared)] = n;
	return kid;
}

static void set_change(struct policy_classes *c, uint32_t set, const struct ip_prefix *prefix, bool add)
{
	struct route_key key = route_key_of(prefix->addr.bytes, prefix->addr.family);
	bool six = prefix->addr.family == 6;

	c->root[six] = change(c, c->root[six], &key, prefix->len, set, add, 0, prefix->addr.family);
}

/* ---- sets ---- */

struct policy_classes *policy_classes_create(struct policy_set *p, uint32_t account, struct policy_class_ops ops)
{
	struct policy_classes *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->p = p;
	c->account = account;
	if (!classes_grow(c) || class_of(c, NULL, 0) != 0 || c->error || !table_grow(c)) {
		policy_classes_free(c);
		return NULL;
	}
	c->ops = ops;
	return c;
}

void policy_classes_free(struct policy_classes *c)
{
	if (!c)
		return;
	route_table_destroy(c->table_of);
	for (uint32_t i = 0; i < c->n_sets; i++) {
		free(c->sets[i].key);
		free(c->sets[i].prefixes);
	}
	for (uint32_t i = 0; i < c->n_classes; i++)
		free(c->classes[i].sets);
	free(c->sets);
	free(c->classes);
	free(c->table);
	free(c->free_classes);
	free(c->nodes);
	free(c);
}

static uint32_t bucket_of(const char *key, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)key[i]) * 0x100000001b3u;
	return (uint32_t)(h >> 32 ^ h) % 4096;
}

uint32_t policy_set_find(const struct policy_classes *c, const char *key, size_t len)
{
	for (uint32_t i = c->buckets[bucket_of(key, len)]; i; i = c->sets[i - 1].chain)
		if (c->sets[i - 1].key_len == len && !memcmp(c->sets[i - 1].key, key, len))
			return i - 1;
	return POLICY_NONE;
}

static uint32_t set_slot(struct policy_classes *c)
{
	uint32_t at = c->free_set;

	if (at) {
		c->free_set = c->sets[at - 1].chain;
		return at - 1;
	}
	if (c->n_sets == c->room_sets) {
		uint32_t room = c->room_sets ? c->room_sets * 2 : 64;
		struct set *sets = realloc(c->sets, room * sizeof(*sets));

		if (!sets)
			return POLICY_NONE;
		c->sets = sets;
		c->room_sets = room;
	}
	return c->n_sets++;
}

uint32_t policy_set_get(struct policy_classes *c, const char *key, size_t len)
{
	uint32_t at = policy_set_find(c, key, len), bucket = bucket_of(key, len);
	char *copy;

	if (at != POLICY_NONE) {
		c->sets[at].refs++;
		return at;
	}
	copy = malloc(len);
	at = copy ? set_slot(c) : POLICY_NONE;
	if (at == POLICY_NONE) {
		free(copy);
		return POLICY_NONE;
	}
	memcpy(copy, key, len);
	c->sets[at] = (struct set){.key = copy, .key_len = len, .refs = 1, .chain = c->buckets[bucket]};
	c->buckets[bucket] = at + 1;
	return at;
}

void policy_set_put(struct policy_classes *c, uint32_t set)
{
	uint32_t *slot;

	if (--c->sets[set].refs)
		return;
	for (uint32_t i = 0; i < c->sets[set].n; i++)
		set_change(c, set, &c->sets[set].prefixes[i], false);
	slot = &c->buckets[bucket_of(c->sets[set].key, c->sets[set].key_len)];
	while (*slot != set + 1)
		slot = &c->sets[*slot - 1].chain;
	*slot = c->sets[set].chain;
	free(c->sets[set].key);
	free(c->sets[set].prefixes);
	c->sets[set] = (struct set){.chain = c->free_set};
	c->free_set = set + 1;
	c->error = 0;
}

/* Both sorted: what is in `old` alone goes, or what is in `new` alone comes. */
static void apply_one(struct policy_classes *c, uint32_t set, const struct ip_prefix *old, uint32_t n_old, const struct ip_prefix *new,
		      uint32_t n_new, bool add)
{
	uint32_t i = 0, j = 0;

	while (i < n_old || j < n_new) {
		int d = i == n_old ? 1 : j == n_new ? -1 : ip_prefix_cmp(&old[i], &new[j]);

		if (d != 0 && (d > 0) == add)
			set_change(c, set, add ? &new[j] : &old[i], add);
		i += d <= 0;
		j += d >= 0;
	}
}

/* First what comes: what is in both, written differently, is never missing. */
static void apply(struct policy_classes *c, uint32_t set, const struct ip_prefix *old, uint32_t n_old, const struct ip_prefix *new,
		  uint32_t n_new)
{
	apply_one(c, set, old, n_old, new, n_new, true);
	apply_one(c, set, old, n_old, new, n_new, false);
}

int policy_set_fill(struct policy_classes *c, uint32_t set, const struct policy_span *spans, uint32_t n)
{
	struct set *s = &c->sets[set];
	struct ip_prefix *prefixes;
	uint32_t count;
	int error;

	prefixes = policy_prefixes_of(spans, n, &count);
	if (!prefixes)
		return -ENOMEM;
	c->error = 0;
	apply(c, set, s->prefixes, s->n, prefixes, count);
	error = c->error;
	if (error) {
		apply(c, set, prefixes, count, s->prefixes, s->n);
		c->error = 0;
		free(prefixes);
		return error;
	}
	free(s->prefixes);
	s->prefixes = prefixes;
	s->n = count;
	return 0;
}

uint32_t policy_class_bound(const struct policy_classes *c)
{
	return c->n_classes;
}

const uint32_t *policy_class_sets(const struct policy_classes *c, uint32_t id, uint32_t *n)
{
	*n = c->classes[id].n;
	return c->classes[id].sets;
}

/* True: every address below n has an entry there. An entry that its two halves cover is nobody's. */
static bool mark(const struct policy_classes *c, uint32_t n, uint8_t *there)
{
	const struct node *node = &c->nodes[n];
	bool whole = n != 0;

	for (unsigned side = 0; n && side < 2; side++) {
		uint32_t kid = node->kid[side];

		whole = mark(c, kid, there) && c->nodes[kid].len == node->len + 1 && whole;
	}
	if (n && node->own && !whole)
		there[node->class] = 1;
	return n && (whole || node->own);
}

void policy_classes_mark(const struct policy_classes *c, uint8_t *there)
{
	there[0] = 1;
	if (!c->nodes)
		return;
	mark(c, c->root[0], there);
	mark(c, c->root[1], there);
}

uint32_t policy_classes_count(const struct policy_classes *c)
{
	return c->live_classes;
}

size_t policy_classes_bytes(const struct policy_classes *c)
{
	struct route_stats routes;
	size_t bytes = sizeof(*c) + c->room_nodes * sizeof(*c->nodes) + c->room_classes * (sizeof(*c->classes) + 12);

	for (uint32_t i = 0; i < c->n_sets; i++)
		bytes += c->sets[i].n * sizeof(struct ip_prefix);
	for (uint32_t i = 0; i < c->n_classes; i++)
		bytes += c->classes[i].sets ? c->classes[i].n * 4 : 0;
	route_table_stats(c->table_of, &routes);
	return bytes + routes.bytes_used;
}
