// SPDX-License-Identifier: BSD-3-Clause
// Routes of many virtual networks: the records of what was added, by a hash of the exact prefix,
// and the trie kept in step.
#include "dataplane/tables/route_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NO_RECORD	UINT32_MAX
#define MAX_VNETS	1000000u
#define MAX_ROUTES	(1u << 24)
#define WIDE_FROM	16384u /* routes of one family in one vnet */
#define WIDE_RETRY	4096u
#define SLACK_NODES	4096u /* what may wait for readers while changes go on */
#define NODES_PER_ROUTE 2u
#define WORDS_PER_NODE	6u
#define SLACK_WORDS	(1ull << 20)

struct route_table *route_table_create(const struct route_config *config)
{
	uint32_t nodes =
		config->nodes ? config->nodes : NODES_PER_ROUTE * config->routes + SLACK_NODES;
	struct route_table *rt;
	uint32_t heads = 16;

	if (!config->vnets || config->vnets > MAX_VNETS || !config->routes ||
	    config->routes > MAX_ROUTES || nodes > 1u << 28) {
		errno = EINVAL;
		return NULL;
	}
	rt = calloc(1, sizeof(*rt));
	if (!rt)
		return NULL;
	while (heads < config->routes)
		heads <<= 1;
	rt->vnets = config->vnets;
	rt->records_max = config->routes;
	rt->free_record = NO_RECORD;
	rt->wide_from = WIDE_FROM;
	rt->head_mask = heads - 1;
	rt->roots = calloc(rt->vnets, sizeof(*rt->roots));
	rt->vnet = calloc(rt->vnets, sizeof(*rt->vnet));
	rt->records = malloc((size_t)rt->records_max *
			     sizeof(*rt->records)); /* touched as they are used */
	rt->heads = malloc((size_t)heads * sizeof(*rt->heads));
	if (!rt->roots || !rt->vnet || !rt->records || !rt->heads ||
	    route_pool_init(&rt->pool, nodes, (uint64_t)nodes * WORDS_PER_NODE + SLACK_WORDS,
			    config->routes / WIDE_FROM + 1, config->retire) ||
	    getrandom(rt->secret, sizeof(rt->secret), 0) != (ssize_t)sizeof(rt->secret)) {
		route_table_destroy(rt);
		errno = ENOMEM;
		return NULL;
	}
	memset(rt->heads, 0xff, (size_t)heads * sizeof(*rt->heads));
	for (uint32_t i = 0; i < rt->vnets; i++)
		rt->vnet[i].first = NO_RECORD;
	rt->writer_bytes = rt->vnets * (sizeof(*rt->roots) + sizeof(*rt->vnet)) +
			   (size_t)rt->records_max * sizeof(*rt->records) +
			   (size_t)heads * sizeof(*rt->heads);
	return rt;
}

void route_table_destroy(struct route_table *rt)
{
	if (!rt)
		return;
	route_pool_fini(&rt->pool);
	free(rt->roots);
	free(rt->vnet);
	free(rt->records);
	free(rt->heads);
	free(rt);
}

/* ---- records ---- */

static inline unsigned int six(uint8_t family)
{
	return family == 6;
}

/* The link to the record of this exact prefix, or to NO_RECORD at its chain's end. */
static uint32_t *link_of(const struct route_table *rt, uint32_t vnet, uint8_t family,
			 unsigned int len, const struct route_key *key)
{
	uint32_t hash =
		keyed_hash(rt->secret, key->w[0], key->w[1], vnet, (uint64_t)family << 8 | len);
	uint32_t *link = &rt->heads[hash & rt->head_mask];

	while (*link != NO_RECORD) {
		struct route_record *r = &rt->records[*link];

		if (r->key.w[0] == key->w[0] && r->key.w[1] == key->w[1] && r->vnet == vnet &&
		    r->len == len && r->family == family)
			break;
		link = &r->chain;
	}
	return link;
}

/* The record of the longest prefix of `key` with a length from `from` to `to`; NULL if there is
 * none. */
static const struct route_record *covering(const struct route_table *rt, uint32_t vnet,
					   uint8_t family, struct route_key key, int from, int to)
{
	for (int len = to; len >= from; len--) {
		key = route_key_cut(key, (unsigned int)len);

		uint32_t found = *link_of(rt, vnet, family, (unsigned int)len, &key);

		if (found != NO_RECORD)
			return &rt->records[found];
	}
	return NULL;
}

/* A record for `r` at the end of its chain (*link) and the head of its vnet's list. There is room.
 */
static void record_add(struct route_table *rt, uint32_t *link, const struct route *r,
		       struct route_key key)
{
	struct route_vnet *vnet = &rt->vnet[r->vnet];
	uint32_t index = rt->free_record;

	if (index != NO_RECORD)
		rt->free_record = rt->records[index].next;
	else
		index = rt->records_touched++;
	rt->records[index] = (struct route_record){.key = key,
						   .vnet = r->vnet,
						   .next_hop = r->next_hop,
						   .chain = NO_RECORD,
						   .next = vnet->first,
						   .prev = NO_RECORD,
						   .len = r->len,
						   .family = r->family};
	*link = index;
	if (vnet->first != NO_RECORD)
		rt->records[vnet->first].prev = index;
	vnet->first = index;
	vnet->count[six(r->family)]++;
	rt->total[six(r->family)]++;
	rt->n_records++;
}

static void record_remove(struct route_table *rt, uint32_t *link)
{
	uint32_t index = *link;
	struct route_record *r = &rt->records[index];
	struct route_vnet *vnet = &rt->vnet[r->vnet];

	*link = r->chain;
	if (r->prev == NO_RECORD)
		vnet->first = r->next;
	else
		rt->records[r->prev].next = r->next;
	if (r->next != NO_RECORD)
		rt->records[r->next].prev = r->prev;
	vnet->count[six(r->family)]--;
	rt->total[six(r->family)]--;
	rt->n_records--;
	r->next = rt->free_record;
	rt->free_record = index;
}

static void record_show(const struct route_record *r, struct route *out)
{
	uint64_t w[2] = {__builtin_bswap64(r->key.w[0]), __builtin_bswap64(r->key.w[1])};

	memset(out, 0, sizeof(*out));
	out->vnet = r->vnet;
	out->next_hop = r->next_hop;
	out->family = r->family;
	out->len = r->len;
	memcpy(out->addr, w, sizeof(w)); /* a v4 key is zero past its first 4 bytes */
}

/* ---- changes ---- */

static bool valid(const struct route_table *rt, const struct route *r, struct route_key *key)
{
	struct route_key cut;

	if (r->vnet >= rt->vnets || (r->family != 4 && r->family != 6) ||
	    r->len > (r->family == 4 ? 32 : 128))
		return false;
	*key = route_key_of(r->addr, r->family);
	cut = route_key_cut(*key, r->len);
	return cut.w[0] == key->w[0] && cut.w[1] == key->w[1];
}

/* The error for a trie operation that found the pool empty. */
static int out_of(struct route_table *rt)
{
	rt->full = route_pool_nodes_left(&rt->pool) < 3 ? ROUTE_FULL_NODES : ROUTE_FULL_ENTRIES;
	return rt->pool.retired ? -EAGAIN : -ENOSPC;
}

/* A vnet that has grown large gets a wide root; tried again now and then if the pool had none. */
static void grow(struct route_table *rt, uint32_t vnet, uint8_t family)
{
	uint32_t count = rt->vnet[vnet].count[six(family)];

	if (count >= rt->wide_from && (count - rt->wide_from) % WIDE_RETRY == 0)
		route_trie_widen(&rt->pool, &rt->roots[vnet][six(family)]);
}

int route_add(struct route_table *rt, const struct route *r)
{
	struct route_key key;
	uint32_t *link;
	int err;

	if (!valid(rt, r, &key) || r->next_hop > ROUTE_NEXT_HOP_MAX)
		return -EINVAL;
	link = link_of(rt, r->vnet, r->family, r->len, &key);
	if (*link != NO_RECORD) {
		struct route_record *old = &rt->records[*link];

		if (old->next_hop == r->next_hop)
			return 1;
		rt->pool.spare = true;
		err = route_trie_replace(&rt->pool, &rt->roots[r->vnet][six(r->family)], key,
					 r->len, r->next_hop);
		rt->pool.spare = false;
		if (err)
			return out_of(rt);
		old->next_hop = r->next_hop;
		return 1;
	}
	if (rt->n_records == rt->records_max) {
		rt->full = ROUTE_FULL_ROUTES;
		return -ENOSPC;
	}
	err = route_trie_add(&rt->pool, &rt->roots[r->vnet][six(r->family)], key, r->len,
			     r->next_hop);
	if (err)
		return out_of(rt);
	record_add(rt, link, r, key);
	grow(rt, r->vnet, r->family);
	return 0;
}

int route_delete(struct route_table *rt, const struct route *r)
{
	const struct route_record *cover;
	struct route_key key;
	uint32_t *link, *root;
	int err;

	if (!valid(rt, r, &key))
		return -EINVAL;
	link = link_of(rt, r->vnet, r->family, r->len, &key);
	if (*link == NO_RECORD)
		return -ENOENT;
	root = &rt->roots[r->vnet][six(r->family)];
	cover = covering(rt, r->vnet, r->family, key, (int)route_trie_level(*root, r->len),
			 r->len - 1);
	rt->pool.spare = true;
	err = route_trie_delete(&rt->pool, root, key, r->len, cover ? cover->len : -1,
				cover ? cover->next_hop : 0);
	rt->pool.spare = false;
	if (err)
		return out_of(rt);
	record_remove(rt, link);
	if (rt->vnet[r->vnet].count[six(r->family)] == 0)
		route_trie_clear(&rt->pool, root);
	return 0;
}

uint32_t route_delete_vnet(struct route_table *rt, uint32_t vnet, uint32_t budget)
{
	uint32_t n = 0;
	struct route r;

	while (vnet < rt->vnets && n < budget && rt->vnet[vnet].first != NO_RECORD) {
		record_show(&rt->records[rt->vnet[vnet].first], &r);
		if (route_delete(rt, &r))
			break;
		n++;
	}
	return n;
}

enum route_full route_table_full(const struct route_table *rt)
{
	return rt->full;
}

const char *route_full_name(enum route_full full)
{
	switch (full) {
	case ROUTE_FULL_ROUTES:
		return "routes";
	case ROUTE_FULL_NODES:
		return "nodes";
	case ROUTE_FULL_ENTRIES:
		return "entries";
	default:
		return "nothing";
	}
}

/* ---- questions ---- */

int route_get(const struct route_table *rt, struct route *r)
{
	struct route_key key;
	uint32_t found;

	if (!valid(rt, r, &key))
		return -EINVAL;
	found = *link_of(rt, r->vnet, r->family, r->len, &key);
	if (found == NO_RECORD)
		return -ENOENT;
	r->next_hop = rt->records[found].next_hop;
	return 0;
}

int route_lookup_covering(const struct route_table *rt, uint32_t vnet, uint8_t family,
			  const uint8_t *addr, uint8_t max_len, struct route *out)
{
	const struct route_record *found;

	if (vnet >= rt->vnets || (family != 4 && family != 6) || max_len > (family == 4 ? 32 : 128))
		return -EINVAL;
	found = covering(rt, vnet, family, route_key_of(addr, family), 0, max_len);
	if (!found)
		return -ENOENT;
	record_show(found, out);
	return 0;
}

bool route_iterate(const struct route_table *rt, uint32_t vnet, uint32_t *cursor, struct route *out)
{
	uint32_t index;

	if (vnet >= rt->vnets)
		return false;
	/* the cursor is the record to show next, plus 2; 1 is the end */
	index = *cursor == 0 ? rt->vnet[vnet].first : *cursor == 1 ? NO_RECORD : *cursor - 2;
	if (index == NO_RECORD)
		return false;
	record_show(&rt->records[index], out);
	*cursor = rt->records[index].next == NO_RECORD ? 1 : rt->records[index].next + 2;
	return true;
}

uint32_t route_count(const struct route_table *rt, uint32_t vnet, uint8_t family)
{
	return vnet < rt->vnets ? rt->vnet[vnet].count[six(family)] : 0;
}

void route_table_stats(const struct route_table *rt, struct route_stats *out)
{
	const struct route_pool *p = &rt->pool;

	memset(out, 0, sizeof(*out)); /* the padding too: whole structs can be compared */
	out->routes_v4 = rt->total[0];
	out->routes_v6 = rt->total[1];
	out->nodes_used = p->nodes_used;
	out->nodes_max = p->nodes_max;
	out->entries_used = p->words_used;
	out->entries_max = (uint64_t)p->blocks_max * BLOCK_WORDS;
	out->wide_roots = p->wide_used;
	out->bytes_reader = rt->vnets * sizeof(*rt->roots) + p->nodes_used * sizeof(*p->nodes) +
			    p->words_used * sizeof(*p->entries) +
			    (size_t)p->wide_used * WIDE_SLOTS * sizeof(*p->wide);
	out->bytes_used = out->bytes_reader + rt->vnets * sizeof(*rt->vnet) +
			  rt->n_records * sizeof(*rt->records) +
			  ((size_t)rt->head_mask + 1) * sizeof(*rt->heads) + sizeof(*rt);
	out->bytes_reserved = p->bytes_reserved + rt->writer_bytes + sizeof(*rt);
}
