/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Name cards: what a client, rule, tunnel … was called at some time. A card never changes; a new name is a new card with a
 * higher number. So a flow that notes numbers is logged under the right names however long it lives, although the index of
 * what it belonged to may be somebody else's by then.
 *
 *   control thread   cards_put, cards_drop, as rows come and go
 *   workers          cards_of: two words of the index' owner, no lock
 *   log and control  cards_find, between cards_lock and cards_unlock
 *
 * Cards that have been replaced are kept in the order of replacement, at most CARDS_RETIRED_MAX of them; what is older is
 * logged without names. Numbers are 32 bits: four billion changes of names in a run.
 */
#ifndef DATAPLANE_FLOWLOG_CARDS_H
#define DATAPLANE_FLOWLOG_CARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum card_kind { CARD_ACCOUNT, CARD_VNET, CARD_TUNNEL, CARD_CLIENT, CARD_CONNECTOR, CARD_RULE, CARD_KINDS };

#define CARDS_RETIRED_MAX 65536
#define CARD_NONE         0
#define CARD_DEFAULT      UINT32_MAX /* in place of a rule: the account's default action decided */

struct card {
	uint32_t number;
	uint8_t kind; /* enum card_kind */
	bool has_v4, has_v6;
	uint8_t v4[4], v6[16]; /* clients: inner addresses, network order */
	const char *id, *name; /* never NULL; "" where there is none */
	const char *more;      /* clients: e-mail; connectors: host name; else "" */
};

/* Who an index belongs to: read by workers as one word. */
struct card_owner {
	uint32_t card; /* the newest card of the owner; of the last owner when nobody has the index now */
	uint32_t born; /* the owner's first card; UINT32_MAX: nobody has the index */
};

struct cards;

/* One array of owners per kind, capacity[kind] long. NULL when memory is short. */
struct cards *cards_create(const uint32_t capacity[CARD_KINDS]);
void cards_destroy(struct cards *c);

/*
 * The index belongs to text->id and is called so from now on; number and kind of `text` are not looked at, texts are copied.
 * The same id at the same index is a new name of the same owner; nothing happens where all is as it was. 0; 1: a new
 * owner; -EINVAL (index), -ENOMEM. Control thread.
 */
int cards_put(struct cards *c, enum card_kind kind, uint32_t index, const struct card *text);
/* Nobody has the index any more. Before the index is retired. Control thread. */
void cards_drop(struct cards *c, enum card_kind kind, uint32_t index);

/* The owner of an index; zeroes where the index is out of range or was never used. Any thread. */
struct card_owner cards_of(const struct cards *c, enum card_kind kind, uint32_t index);

/* Any thread but the workers. */
void cards_lock(struct cards *c);
void cards_unlock(struct cards *c);
/* The card of a number, valid until cards_unlock; NULL when it is not known any more. */
const struct card *cards_find(const struct cards *c, uint32_t number);
/* True if `text` is the card's name, e-mail or host name, or id. */
bool card_is(const struct card *card, const char *text);

#endif
