// SPDX-License-Identifier: BSD-3-Clause
// Identities of clients, interned: equal ones share an id.
#include "dataplane/tables/policy_compiled.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The whole identity as one text: every part with its length before it. */
struct key_builder {
	char *at;
	size_t len;
};

static void put_text(struct key_builder *b, const char *text, bool fold)
{
	uint32_t n = (uint32_t)strlen(text);

	if (b->at) {
		memcpy(b->at + b->len, &n, 4);
		for (uint32_t i = 0; i < n; i++)
			b->at[b->len + 4 + i] = fold ? (char)tolower((unsigned char)text[i]) : text[i];
	}
	b->len += 4 + n;
}

static void put_all(struct key_builder *b, const char *const *texts, size_t n)
{
	uint32_t count = (uint32_t)n;

	if (b->at)
		memcpy(b->at + b->len, &count, 4);
	b->len += 4;
	for (size_t i = 0; i < n; i++)
		put_text(b, texts[i], false);
}

static size_t build_key(const struct policy_identity *id, char *at)
{
	struct key_builder b = {.at = at};

	put_text(&b, id->email ? id->email : "", true);
	put_text(&b, id->name ? id->name : "", false);
	put_all(&b, id->groups, id->n_groups);
	put_all(&b, id->passed, id->n_passed);
	put_all(&b, id->failed, id->n_failed);
	return b.len;
}

/* Reads what build_key wrote. */
static const char *take_text(const char *at, struct expr_value *v)
{
	uint32_t n;

	memcpy(&n, at, 4);
	*v = (struct expr_value){.kind = EXPR_BYTES, .bytes = {at + 4, n}};
	return at + 4 + n;
}

static const char *take_all(const char *at, struct expr_value **values, size_t *n, struct expr_value **room)
{
	uint32_t count;

	memcpy(&count, at, 4);
	at += 4;
	*values = *room;
	*n = count;
	*room += count;
	for (uint32_t i = 0; i < count; i++)
		at = take_text(at, &(*values)[i]);
	return at;
}

static uint64_t hash_key(const char *key, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a; ids come from the operator, not from the wire */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)key[i]) * 0x100000001b3u;
	return h;
}

static struct policy_person *person_make(const struct policy_identity *id)
{
	size_t len = build_key(id, NULL), n = id->n_groups + id->n_passed + id->n_failed;
	struct policy_person *person = calloc(1, sizeof(*person) + n * sizeof(struct expr_value) + len);
	struct expr_value *room;
	const char *at;

	if (!person)
		return NULL;
	room = (struct expr_value *)(person + 1);
	person->key = (char *)(room + n);
	person->key_len = build_key(id, person->key);
	person->hash = hash_key(person->key, len);
	at = take_text(take_text(person->key, &person->email), &person->name);
	at = take_all(at, &person->groups, &person->n_groups, &room);
	at = take_all(at, &person->passed, &person->n_passed, &room);
	take_all(at, &person->failed, &person->n_failed, &room);
	return person;
}

static void hash_insert(struct policy_account *a, uint32_t id)
{
	uint32_t at = (uint32_t)a->persons->at[id]->hash & (a->hash_size - 1);

	while (a->by_hash[at])
		at = (at + 1) & (a->hash_size - 1);
	a->by_hash[at] = id + 1;
}

static void hash_rebuild(struct policy_account *a)
{
	memset(a->by_hash, 0, a->hash_size * sizeof(*a->by_hash));
	for (uint32_t id = 0; id < a->persons_used; id++)
		if (a->persons->at[id])
			hash_insert(a, id);
}

static void hash_remove(struct policy_account *a, uint32_t id)
{
	uint32_t mask = a->hash_size - 1, at = (uint32_t)a->persons->at[id]->hash & mask;

	while (a->by_hash[at] != id + 1)
		at = (at + 1) & mask;
	a->by_hash[at] = 0;
	/* those behind it move up, as linear probing wants */
	for (uint32_t next = (at + 1) & mask; a->by_hash[next]; next = (next + 1) & mask) {
		uint32_t moved = a->by_hash[next] - 1;

		a->by_hash[next] = 0;
		hash_insert(a, moved);
	}
}

static uint32_t find(const struct policy_account *a, const struct policy_person *person)
{
	uint32_t at = (uint32_t)person->hash & (a->hash_size - 1);

	for (; a->hash_size && a->by_hash[at]; at = (at + 1) & (a->hash_size - 1)) {
		const struct policy_person *p = a->persons->at[a->by_hash[at] - 1];

		if (p->hash == person->hash && p->key_len == person->key_len && !memcmp(p->key, person->key, p->key_len))
			return a->by_hash[at] - 1;
	}
	return POLICY_IDENTITY_NONE;
}

/* Twice the room. Readers go on in the old array until they have moved on. */
static bool grow(struct policy_set *p, struct policy_account *a)
{
	uint32_t capacity = a->persons ? 2 * a->persons->capacity : 64;
	struct policy_persons *persons = calloc(1, sizeof(*persons) + capacity * sizeof(persons->at[0]));
	const struct policy_persons *old;
	uint32_t *free_ids = calloc(capacity, sizeof(*free_ids)), *hash = calloc(2 * (size_t)capacity, sizeof(*hash));

	if (!persons || !free_ids || !hash) {
		free(persons);
		free(free_ids);
		free(hash);
		return false;
	}
	if (a->persons_used)
		memcpy(persons->at, a->persons->at, a->persons_used * sizeof(persons->at[0]));
	if (a->n_free)
		memcpy(free_ids, a->free_persons, a->n_free * sizeof(*free_ids));
	free(a->free_persons);
	free(a->by_hash);
	a->free_persons = free_ids;
	a->by_hash = hash;
	a->hash_size = 2 * capacity;
	persons->capacity = capacity;
	old = a->persons;
	__atomic_store_n(&a->persons, persons, __ATOMIC_RELEASE);
	if (old)
		policy_retire(p, free, old);
	hash_rebuild(a);
	return true;
}

uint32_t policy_identity_get(struct policy_set *p, uint32_t account, const struct policy_identity *identity)
{
	struct policy_account *a = account < p->limits.accounts ? &p->accounts[account] : NULL;
	struct policy_person *person = a ? person_make(identity) : NULL;
	uint32_t id;

	if (!person)
		return POLICY_IDENTITY_NONE;
	id = find(a, person);
	if (id != POLICY_IDENTITY_NONE) {
		((struct policy_person *)(uintptr_t)a->persons->at[id])->refs++;
		free(person);
		return id;
	}
	if (!a->n_free && a->persons_used == (a->persons ? a->persons->capacity : 0) && !grow(p, a)) {
		free(person);
		return POLICY_IDENTITY_NONE;
	}
	id = a->n_free ? a->free_persons[--a->n_free] : a->persons_used++;
	person->refs = 1;
	__atomic_store_n(&a->persons->at[id], person, __ATOMIC_RELEASE);
	hash_insert(a, id);
	if (a->view && a->view->compiled && !policy_compiled_person(p, a->view->compiled, a->view, id, person)) {
		policy_identity_put(p, account, id);
		return POLICY_IDENTITY_NONE;
	}
	return id;
}

void policy_identity_put(struct policy_set *p, uint32_t account, uint32_t id)
{
	struct policy_account *a = account < p->limits.accounts ? &p->accounts[account] : NULL;
	struct policy_person *person;

	if (!a || !a->persons || id >= a->persons_used || !a->persons->at[id])
		return;
	person = (struct policy_person *)(uintptr_t)a->persons->at[id];
	if (--person->refs)
		return;
	hash_remove(a, id);
	if (a->view && a->view->compiled)
		policy_compiled_person(p, a->view->compiled, a->view, id, NULL);
	__atomic_store_n(&a->persons->at[id], NULL, __ATOMIC_RELEASE);
	a->free_persons[a->n_free++] = id;
	policy_retire(p, free, person);
}
