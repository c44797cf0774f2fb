// SPDX-License-Identifier: BSD-3-Clause
// Host names that rules write out: whole names, domains, and "*.domain". One pass over a name from its end hashes each of its
// parents; each is looked up once.
#include "dataplane/tables/policy_compiled.h"

#include <stdlib.h>
#include <string.h>

struct literal {
	uint64_t hash;
	char *key;
	uint32_t len, atom;
	uint8_t place; /* enum policy_place */
};

struct policy_literals {
	struct literal *at; /* open addressing; key NULL: free */
	uint32_t n, size;
};

static uint64_t mix(uint64_t h, char c)
{
	h = (h ^ (uint8_t)c) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

static void insert(struct policy_literals *l, struct literal one)
{
	uint32_t i = (uint32_t)one.hash & (l->size - 1);

	while (l->at[i].key)
		i = (i + 1) & (l->size - 1);
	l->at[i] = one;
}

static bool grow(struct policy_literals *l)
{
	struct policy_literals more = {.n = l->n, .size = l->size ? l->size * 2 : 256};

	more.at = calloc(more.size, sizeof(*more.at));
	if (!more.at)
		return false;
	for (uint32_t i = 0; i < l->size; i++)
		if (l->at[i].key)
			insert(&more, l->at[i]);
	free(l->at);
	*l = more;
	return true;
}

struct policy_literals *policy_literals_create(void)
{
	return calloc(1, sizeof(struct policy_literals));
}

void policy_literals_free(struct policy_literals *l)
{
	for (uint32_t i = 0; l && i < l->size; i++)
		free(l->at[i].key);
	free(l ? l->at : NULL);
	free(l);
}

bool policy_literals_put(struct policy_literals *l, enum policy_place place, const char *key, size_t len, uint32_t atom)
{
	struct literal one = {.key = malloc(len + 1), .len = (uint32_t)len, .atom = atom, .place = (uint8_t)place};

	if (!one.key || (2 * (l->n + 1) > l->size && !grow(l))) {
		free(one.key);
		return false;
	}
	memcpy(one.key, key, len);
	for (size_t i = len; i-- > 0;)
		one.hash = mix(one.hash, key[i]);
	insert(l, one);
	l->n++;
	return true;
}

/* places: a bit per enum policy_place that this end of the name is. */
static void look_up(const struct policy_literals *l, uint64_t hash, const char *text, size_t len, unsigned places,
		    void (*hit)(void *user, uint32_t atom), void *user)
{
	for (uint32_t i = (uint32_t)hash & (l->size - 1); l->at[i].key; i = (i + 1) & (l->size - 1))
		if (l->at[i].hash == hash && places >> l->at[i].place & 1 && l->at[i].len == len && !memcmp(l->at[i].key, text, len))
			hit(user, l->at[i].atom);
}

void policy_literals_ask(const struct policy_literals *l, const char *text, size_t len, void (*hit)(void *user, uint32_t atom), void *user)
{
	uint64_t hash = 0;

	if (!l->n)
		return;
	for (size_t i = len; i-- > 0;) {
		if (text[i] == '.')
			look_up(l, hash, text + i + 1, len - i - 1, 1u << PLACE_DOMAIN, hit, user);
		hash = mix(hash, text[i]);
		if (text[i] == '.')
			look_up(l, hash, text + i, len - i, 1u << PLACE_BELOW, hit, user);
	}
	look_up(l, hash, text, len, 1u << PLACE_NAME | 1u << PLACE_DOMAIN, hit, user);
}

size_t policy_literals_bytes(const struct policy_literals *l)
{
	size_t bytes = l ? l->size * sizeof(*l->at) : 0;

	for (uint32_t i = 0; l && i < l->size; i++)
		bytes += l->at[i].key ? l->at[i].len + 16 : 0;
	return bytes;
}
