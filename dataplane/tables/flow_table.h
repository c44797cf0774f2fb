// SPDX-License-Identifier: BSD-3-Clause
// Flows of one worker: fixed capacity, no atomics, no allocation after creation. One thread (the
// worker) calls everything here; others send it a message.
//
// One entry serves both directions: the key is the client's view. Hash collisions cannot be
// crafted: the hash is keyed with the table's secret.
#ifndef DATAPLANE_TABLES_FLOW_TABLE_H
#define DATAPLANE_TABLES_FLOW_TABLE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/tables/flow_tcp.h"

/** The client's view. Every byte counts in the comparison: zero the whole key first (flow_key_v4(),
 * _v6()). */
struct flow_key {
	uint8_t remote_addr[16]; /* in the private network; v4: first 4 bytes, rest zero */
	uint32_t client;	 /* client index */
	uint16_t client_port_be; /* ICMP echo: the identifier; protocols without ports: 0 */
	uint16_t remote_port_be; /* ICMP: 0 */
	uint8_t proto;		 /* IP protocol */
	uint8_t family;		 /* 4 or 6; 0 marks a free entry */
	uint8_t zero[6];
} __attribute__((aligned(16)));
static_assert(sizeof(struct flow_key) == 32, "two flow keys share a cache line");

enum flow_verdict {
	FLOW_VERDICT_PENDING, /* not decided, or to be decided again */
	FLOW_VERDICT_ALLOW,
	FLOW_VERDICT_BLOCK,
};

/** Bits of flow_entry.flags that the table's users share; the rest is free. */
#define FLOW_FLAG_FROM_REMOTE 0x01 /* the private side sent the first packet */
#define FLOW_FLAG_MID_STREAM  0x02 /* taken up without its beginning */
#define FLOW_FLAG_LOGGED      0x04 /* its start is in the flow log */
#define FLOW_FLAG_SILENT      0x08 /* blocked: its packets are not answered */
#define FLOW_FLAG_REFUSED     0x10 /* counted as a blocked flow */
#define FLOW_FLAG_ROUTED      0x20 /* its connection does not live in its connector: it may move to another */

/** An entry: first line read for each packet, second line written for each packet, third line seldom. */
struct flow_entry {
	/* hot */
	struct flow_key key;   /* written by the table alone */
	uint8_t verdict;       /* enum flow_verdict */
	uint8_t tcp_state;     /* enum flow_tcp_state */
	uint8_t flags;	       /* FLOW_FLAG_* */
	uint8_t timeout_class; /* enum flow_class */
	uint32_t rule;	     /* index of the rule that decided; UINT32_MAX the account's default */
	uint32_t tunnel;     /* tunnel index */
	uint32_t session;    /* peer id of the connector session that carries the flow */
	uint32_t gen_policy; /* generations it was decided under */
	uint32_t gen_client;
	uint32_t gen_routes;
	uint32_t last_seen; /* ticks, FLOW_TICKS_PER_S; by the worker for each packet */
	/* cold */
	uint64_t packets_up __attribute__((aligned(64)));
	uint64_t bytes_up;
	uint64_t packets_down;
	uint64_t bytes_down;
	uint64_t start_ns; /* of the first packet; the worker's clock */
	uint64_t revision; /* of the tables it was decided under */
	uint32_t hash;	   /* flow_hash(); written by the table alone */
	uint32_t counted_rule; /* whose counters its packets go to: rule as it was when story_decided was called */
	uint64_t user;	   /* free for the worker */
	/* touched at its beginning, its end, and when it is decided again (stages/story.h) */
	uint64_t id __attribute__((aligned(64))); /* in the flow log; 0: never told */
	uint64_t folded_bytes_up, folded_bytes_down; /* what the counters of rule, route and client have of it */
	uint32_t folded_packets_up, folded_packets_down; /* the same, modulo 2^32 */
	uint32_t card_client, card_account, card_vnet, card_rule, card_tunnel, card_connector; /* name cards */
	uint32_t route;	     /* route index */
	uint32_t route_born; /* which owner of that index */
};
static_assert(sizeof(struct flow_entry) == 192, "a flow is three cache lines");
static_assert(offsetof(struct flow_entry, packets_up) == 64 && offsetof(struct flow_entry, id) == 128,
	      "what is read, what is written, and what is seldom touched are apart");

/** last_seen counts these: 125 ms. Ages are compared modulo 2^32. */
#define FLOW_TICKS_PER_S 8

/** Silence allowed for each class, in ticks; an entry ages out when it was silent for longer. */
struct flow_timeouts {
	uint32_t ticks[FLOW_CLASS_COUNT];
};

/** Told of each insert and each removal, whatever the cause (also ageing, export, import): e.g.
 * flows per client. */
struct flow_hooks {
	void (*inserted)(void *ctx, const struct flow_entry *e); /* NULL: not wanted */
	void (*removed)(void *ctx, const struct flow_entry *e);	 /* entry is still whole */
	void *ctx;
};

struct flow_config {
	uint32_t capacity;  /* flows; a power of two, 16 … 2^24 */
	uint64_t secret[6]; /* random bits, own to this table */
	struct flow_hooks hooks;
};

struct flow_stats {
	uint32_t capacity;
	uint32_t used;
	uint64_t inserted;
	uint64_t removed;      /* all causes; inserted − removed = used */
	uint64_t aged;	       /* of those, by flow_age() */
	uint64_t refused_full; /* inserts that found the table full */
};

struct flow_table;

/** Bytes that a table of `capacity` flows takes (about 210 a flow); 0 when the capacity is not
 * allowed. */
size_t flow_table_size(uint32_t capacity);

/**
 * Makes a table in `mem` (flow_table_size() bytes, aligned to 64, from any allocator; the caller
 * frees it when done). Clears it. NULL when a field of `config` is out of range or `mem` is NULL or
 * not aligned.
 */
struct flow_table *flow_table_init(void *mem, const struct flow_config *config);

/** The keyed hash (NH of RFC 4418 section 5.2 over 64-bit words, folded). */
uint32_t flow_hash(const struct flow_table *ft, const struct flow_key *key);

/** hashes[i] = flow_hash(keys[i]). */
void flow_hash_bulk(const struct flow_table *ft, const struct flow_key *keys, uint32_t *hashes,
		    unsigned int n);

/** The entry of `key`, or NULL. */
struct flow_entry *flow_lookup(const struct flow_table *ft, const struct flow_key *key,
			       uint32_t hash);

/**
 * out[i] = flow_lookup(keys[i], hashes[i]) for i < n ≤ 64, with the memory fetched ahead. Pointers
 * stay valid until the entry is removed.
 */
void flow_lookup_bulk(const struct flow_table *ft, const struct flow_key *keys,
		      const uint32_t *hashes, unsigned int n, struct flow_entry **out);

/**
 * A new entry for `key`, all zero but key and hash. NULL when the table is full (counted).
 * The key must not be in the table (look it up first; within a burst, after each insert).
 */
struct flow_entry *flow_insert(struct flow_table *ft, const struct flow_key *key, uint32_t hash);

/** Removes an entry; `e` must be live. */
void flow_remove(struct flow_table *ft, struct flow_entry *e);

/**
 * Looks at the next `budget` slots and removes what was silent too long; each is shown to `aged`
 * (may be NULL) first. Returns how many were removed. Calling it with capacity/N each turn looks at
 * each flow every N turns.
 */
uint32_t flow_age(struct flow_table *ft, uint32_t now_tick, uint32_t budget,
		  const struct flow_timeouts *timeouts,
		  void (*aged)(void *ctx, struct flow_entry *e), void *ctx);

/**
 * Shows live entries to `visit`, from *cursor (start with 0) on, at most `budget` slots looked at.
 * `visit` may change or remove the entry it is shown; it returns false to stop after it. True: more
 * to come, call again.
 */
bool flow_iterate(struct flow_table *ft, uint32_t *cursor, uint32_t budget,
		  bool (*visit)(void *ctx, struct flow_entry *e), void *ctx);

/**
 * Takes flows of `client` out of the table: copies up to `max` of them to `out`, removes them, and
 * returns how many. *cursor starts with 0; at most `budget` slots are looked at; *more is set false
 * when all slots were seen.
 */
uint32_t flow_export_client(struct flow_table *ft, uint32_t client, uint32_t *cursor,
			    uint32_t budget, struct flow_entry *out, uint32_t max, bool *more);

/** Puts an exported flow into this table. The entry, or NULL: full (counted) or the key is here
 * already. */
struct flow_entry *flow_import(struct flow_table *ft, const struct flow_entry *from);

/** Removes flows of `client` as flow_export_client() does, without copies. */
uint32_t flow_remove_client(struct flow_table *ft, uint32_t client, uint32_t *cursor,
			    uint32_t budget, bool *more);

void flow_table_stats(const struct flow_table *ft, struct flow_stats *out);

/* Written as four words: keys are read as words right after, and one written in pieces would have to wait for them. */
static inline void flow_key_words(struct flow_key *k, const uint64_t remote[2], uint32_t client, uint8_t proto,
				  uint8_t family, uint16_t client_port_be, uint16_t remote_port_be)
{
	uint64_t w[4] = {remote[0], remote[1],
			 client | (uint64_t)client_port_be << 32 | (uint64_t)remote_port_be << 48,
			 proto | (uint64_t)family << 8};

	static_assert(offsetof(struct flow_key, client) == 16 && offsetof(struct flow_key, client_port_be) == 20 &&
			      offsetof(struct flow_key, remote_port_be) == 22 && offsetof(struct flow_key, proto) == 24 &&
			      offsetof(struct flow_key, family) == 25 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
		      "the key's last two words are made as numbers");
	memcpy(k, w, sizeof(*k));
}

/** A whole key. Addresses and ports in network byte order. */
static inline void flow_key_v4(struct flow_key *k, uint32_t client, uint32_t remote_be,
			       uint8_t proto, uint16_t client_port_be, uint16_t remote_port_be)
{
	const uint64_t remote[2] = {remote_be, 0};

	flow_key_words(k, remote, client, proto, 4, client_port_be, remote_port_be);
}

static inline void flow_key_v6(struct flow_key *k, uint32_t client, const uint8_t remote[16],
			       uint8_t proto, uint16_t client_port_be, uint16_t remote_port_be)
{
	uint64_t words[2];

	memcpy(words, remote, 16);
	flow_key_words(k, words, client, proto, 6, client_port_be, remote_port_be);
}

#endif
