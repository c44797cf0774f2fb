// SPDX-License-Identifier: BSD-3-Clause
// The receiver index of a WireGuard session (sender_index / receiver_index of the paper,
// section 5.4): chosen by the edge so that it leads to the edge, the worker and the slot, and so
// that guesses rarely hit.
//
//   bit 31                                   0
//   [ edge number: e bits ][ keyed permutation of ( 0 … 0 | worker | slot ) ]
#ifndef DATAPLANE_TABLES_PEER_INDEX_H
#define DATAPLANE_TABLES_PEER_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#define PEER_INDEX_ROUNDS 4

/** Read-only after peer_index_init(): any thread. */
struct peer_index {
	uint32_t edge;	    /* edge number, shifted to its place */
	uint32_t edge_mask; /* its bits; 0 for e = 0 */
	uint32_t rest_mask; /* the permuted bits */
	uint32_t low_mask;  /* Feistel halves: low … */
	uint32_t high_mask; /* … and high, unshifted */
	uint8_t low_bits;
	uint8_t slot_bits;
	uint32_t workers;
	uint32_t slots; /* per worker */
	uint64_t key[PEER_INDEX_ROUNDS][3];
};

/**
 * edge_bits 0 … 8, edge_number < 2^edge_bits, workers ≥ 1, slots_per_worker ≥ 1, and the bits for
 * worker and slot must leave at least 4 of the 32 − edge_bits spare (so at most 1 guess in 16 names
 * a slot at all). key: 32 random bytes, new at each start of the edge. 0 or -EINVAL.
 */
int peer_index_init(struct peer_index *c, unsigned int edge_bits, uint32_t edge_number,
		    uint32_t workers, uint32_t slots_per_worker, const uint8_t key[32]);

/** worker < workers, slot < slots_per_worker. A plain number: whoever writes it to the wire makes
 * it little-endian. */
uint32_t peer_index_encode(const struct peer_index *c, uint32_t worker, uint32_t slot);

/** The inverse. False (nothing written): another edge's number, or no worker and slot of this edge.
 */
bool peer_index_decode(const struct peer_index *c, uint32_t index, uint32_t *worker,
		       uint32_t *slot);

/** The edge number in `index` (0 when there are no edge bits): for a fleet that routes by it. */
uint32_t peer_index_edge(const struct peer_index *c, uint32_t index);

/*
 * Slots of one worker. A freed slot rests before it is handed out again, so that a late packet with
 * its index finds nobody rather than another session. O(1). One thread (whoever assigns indexes).
 */

/** A key's lifetime is Reject-After-Time, 180 s; the margin covers packets on their way. */
#define PEER_SLOT_REST_NS (190ull * 1000 * 1000 * 1000)

struct peer_slots;

/** `slots` ≥ 1. NULL when memory is out or slots is 0. */
struct peer_slots *peer_slots_create(uint32_t slots, uint64_t rest_ns);
void peer_slots_destroy(struct peer_slots *s);

/** A free slot, or -ENOSPC (all in use), -EAGAIN (the free ones rest). now_ns: a clock that does
 * not run back. */
int64_t peer_slots_take(struct peer_slots *s, uint64_t now_ns);

/** Gives `slot` back; it rests from now_ns on. 0, or -EINVAL when it is out of range or not taken.
 */
int peer_slots_give(struct peer_slots *s, uint32_t slot, uint64_t now_ns);

/** Slots in use; slots that are neither in use nor ready at now_ns. */
uint32_t peer_slots_used(const struct peer_slots *s);
uint32_t peer_slots_resting(const struct peer_slots *s, uint64_t now_ns);

#endif
