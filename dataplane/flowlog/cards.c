// SPDX-License-Identifier: BSD-3-Clause
// Name cards: numbers into texts, bounded.
#include "dataplane/flowlog/cards.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct card card;
	struct entry *next;	/* of its bucket */
	struct entry *younger;	/* of the retired */
	char texts[];
};

struct cards {
	uint32_t capacity[CARD_KINDS];
	uint64_t *owners[CARD_KINDS]; /* struct card_owner as one word */
	pthread_mutex_t lock;	      /* what follows */
	struct entry **buckets;
	uint32_t mask;
	uint32_t last; /* number given out last */
	struct entry *oldest, *youngest; /* retired cards */
	uint32_t n_retired;
};

static uint64_t pack(struct card_owner o)
{
	return (uint64_t)o.born << 32 | o.card;
}

static struct card_owner unpack(uint64_t word)
{
	return (struct card_owner){.card = (uint32_t)word, .born = (uint32_t)(word >> 32)};
}

struct cards *cards_create(const uint32_t capacity[CARD_KINDS])
{
	struct cards *c = calloc(1, sizeof(*c));
	uint64_t total = CARDS_RETIRED_MAX;
	uint32_t buckets = 1024;
	bool ok = c != NULL;

	for (unsigned k = 0; ok && k < CARD_KINDS; k++) {
		c->capacity[k] = capacity[k];
		c->owners[k] = calloc(capacity[k] + 1ull, sizeof(*c->owners[k]));
		ok = c->owners[k] != NULL;
		total += capacity[k];
	}
	while (buckets < total && buckets < 1u << 22)
		buckets *= 2;
	if (ok) {
		c->mask = buckets - 1;
		c->buckets = calloc(buckets, sizeof(struct entry *));
		ok = c->buckets != NULL && pthread_mutex_init(&c->lock, NULL) == 0;
	}
	if (ok)
		return c;
	cards_destroy(c);
	return NULL;
}

void cards_destroy(struct cards *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; c->buckets && i <= c->mask; i++) {
		for (struct entry *e = c->buckets[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	}
	for (unsigned k = 0; k < CARD_KINDS; k++)
		free(c->owners[k]);
	free(c->buckets);
	free(c);
}

struct card_owner cards_of(const struct cards *c, enum card_kind kind, uint32_t index)
{
	if (index >= c->capacity[kind])
		return (struct card_owner){0};
	return unpack(__atomic_load_n(&c->owners[kind][index], __ATOMIC_ACQUIRE));
}

void cards_lock(struct cards *c)
{
	pthread_mutex_lock(&c->lock);
}

void cards_unlock(struct cards *c)
{
	pthread_mutex_unlock(&c->lock);
}

static struct entry *find(const struct cards *c, uint32_t number)
{
	struct entry *e = c->buckets[number & c->mask];

	while (e && e->card.number != number)
		e = e->next;
	return e;
}

const struct card *cards_find(const struct cards *c, uint32_t number)
{
	const struct entry *e = number == CARD_NONE || number == CARD_DEFAULT ? NULL : find(c, number);

	return e ? &e->card : NULL;
}

bool card_is(const struct card *card, const char *text)
{
	return !strcmp(card->id, text) || (card->name[0] && !strcmp(card->name, text)) ||
	       (card->more[0] && !strcmp(card->more, text));
}

static char *put_text(char **at, const char *text)
{
	size_t len = strlen(text) + 1;
	char *here = *at;

	memcpy(here, text, len);
	*at += len;
	return here;
}

static struct entry *make_entry(const struct card *text)
{
	size_t len = strlen(text->id) + strlen(text->name) + strlen(text->more) + 3;
	struct entry *e = malloc(sizeof(*e) + len);
	char *at;

	if (!e)
		return NULL;
	*e = (struct entry){.card = *text};
	at = e->texts;
	e->card.id = put_text(&at, text->id);
	e->card.name = put_text(&at, text->name);
	e->card.more = put_text(&at, text->more);
	return e;
}

static void forget_oldest(struct cards *c)
{
	struct entry *e = c->oldest, **link = &c->buckets[e->card.number & c->mask];

	c->oldest = e->younger;
	if (!c->oldest)
		c->youngest = NULL;
	c->n_retired--;
	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	free(e);
}

static void retire(struct cards *c, struct entry *e)
{
	e->younger = NULL;
	if (c->youngest)
		c->youngest->younger = e;
	else
		c->oldest = e;
	c->youngest = e;
	if (++c->n_retired > CARDS_RETIRED_MAX)
		forget_oldest(c);
}

static bool same_text(const struct card *a, const struct card *b)
{
	return !strcmp(a->id, b->id) && !strcmp(a->name, b->name) && !strcmp(a->more, b->more) &&
	       a->has_v4 == b->has_v4 && a->has_v6 == b->has_v6 && !memcmp(a->v4, b->v4, sizeof(a->v4)) &&
	       !memcmp(a->v6, b->v6, sizeof(a->v6));
}

int cards_put(struct cards *c, enum card_kind kind, uint32_t index, const struct card *text)
{
	struct card_owner owner;
	struct entry *e, *old;
	bool same_owner;

	if (index >= c->capacity[kind])
		return -EINVAL;
	pthread_mutex_lock(&c->lock);
	owner = cards_of(c, kind, index);
	old = owner.card != CARD_NONE ? find(c, owner.card) : NULL;
	same_owner = old && owner.born != UINT32_MAX && !strcmp(old->card.id, text->id);
	if (same_owner && same_text(&old->card, text)) {
		pthread_mutex_unlock(&c->lock);
		return 0;
	}
	e = make_entry(text);
	if (!e) {
		pthread_mutex_unlock(&c->lock);
		return -ENOMEM;
	}
	do {
		c->last++;
	} while (c->last == CARD_NONE || c->last == CARD_DEFAULT || find(c, c->last));
	e->card.number = c->last;
	e->card.kind = (uint8_t)kind;
	e->next = c->buckets[c->last & c->mask];
	c->buckets[c->last & c->mask] = e;
	owner = (struct card_owner){.card = c->last, .born = same_owner ? owner.born : c->last};
	__atomic_store_n(&c->owners[kind][index], pack(owner), __ATOMIC_RELEASE);
	if (old)
		retire(c, old);
	pthread_mutex_unlock(&c->lock);
	return !same_owner;
}

void cards_drop(struct cards *c, enum card_kind kind, uint32_t index)
{
	struct card_owner owner = cards_of(c, kind, index);

	/* The card stays: a worker that is deciding right now may still note its number. */
	owner.born = UINT32_MAX;
	if (index < c->capacity[kind])
		__atomic_store_n(&c->owners[kind][index], pack(owner), __ATOMIC_RELEASE);
}
