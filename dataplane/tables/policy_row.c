// SPDX-License-Identifier: BSD-3-Clause
// Rows: sparse bitmaps over terms, interned.
#include "dataplane/tables/policy_compiled.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK (1u << 20)

bool policy_rows_init(struct policy_rows *rows, unsigned blocks)
{
	*rows = (struct policy_rows){.blocks = blocks, .size = 256};
	rows->table = calloc(rows->size, sizeof(*rows->table));
	return rows->table != NULL;
}

void policy_rows_free(struct policy_rows *rows)
{
	for (uint32_t i = 0; i < rows->n_chunks; i++)
		free(rows->chunks[i]);
	free(rows->chunks);
	free(rows->table);
	*rows = (struct policy_rows){.n = 0};
}

static void *take(struct policy_rows *rows, size_t bytes)
{
	void *at;

	if (!rows->n_chunks || rows->used + bytes > CHUNK) {
		void **chunks = realloc(rows->chunks, (rows->n_chunks + 1) * sizeof(*chunks));

		if (!chunks)
			return NULL;
		rows->chunks = chunks;
		chunks[rows->n_chunks] = aligned_alloc(64, CHUNK);
		if (!chunks[rows->n_chunks])
			return NULL;
		rows->n_chunks++;
		rows->used = 0;
		rows->bytes += CHUNK;
	}
	at = (char *)rows->chunks[rows->n_chunks - 1] + rows->used;
	rows->used += bytes;
	return at;
}

static uint64_t hash_bits(const uint64_t *bits, unsigned words)
{
	uint64_t h = 0x9e3779b97f4a7c15ull;

	for (unsigned i = 0; i < words; i++) {
		h = (h ^ bits[i]) * 0xbf58476d1ce4e5b9ull;
		h ^= h >> 29;
	}
	return h;
}

static uint64_t summary_of(const uint64_t *bits, unsigned blocks)
{
	uint64_t summary = 0;

	for (unsigned b = 0; b < blocks; b++) {
		const uint64_t *w = bits + b * POLICY_BLOCK_WORDS;

		if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
			summary |= 1ull << b;
	}
	return summary;
}

static bool same(const struct policy_row *row, const uint64_t *bits, unsigned blocks)
{
	const uint64_t *w = row->words;

	for (unsigned b = 0; b < blocks; b++) {
		if (!(row->summary >> b & 1))
			continue;
		if (memcmp(w, bits + b * POLICY_BLOCK_WORDS, sizeof(*w) * POLICY_BLOCK_WORDS) != 0)
			return false;
		w += POLICY_BLOCK_WORDS;
	}
	return true;
}

static void grow(struct policy_rows *rows)
{
	uint32_t size = rows->size * 4;
	struct policy_row **table = calloc(size, sizeof(*table));

	if (!table)
		return; /* longer chains, nothing worse */
	for (uint32_t i = 0; i < rows->size; i++) {
		for (struct policy_row *r = rows->table[i], *next; r; r = next) {
			next = r->chain;
			r->chain = table[r->hash & (size - 1)];
			table[r->hash & (size - 1)] = r;
		}
	}
	free(rows->table);
	rows->table = table;
	rows->size = size;
}

const struct policy_row *policy_row_intern(struct policy_rows *rows, const uint64_t *bits)
{
	uint64_t hash = hash_bits(bits, rows->blocks * POLICY_BLOCK_WORDS), summary = summary_of(bits, rows->blocks);
	struct policy_row *row = rows->table[hash & (rows->size - 1)];
	uint64_t *w;

	for (; row; row = row->chain)
		if (row->hash == hash && row->summary == summary && same(row, bits, rows->blocks))
			return row;
	row = take(rows, sizeof(*row) + (size_t)__builtin_popcountll(summary) * POLICY_BLOCK_BITS / 8);
	if (!row)
		return NULL;
	if (rows->n++ >= 2 * rows->size)
		grow(rows);
	*row = (struct policy_row){.summary = summary, .hash = hash, .chain = rows->table[hash & (rows->size - 1)]};
	rows->table[hash & (rows->size - 1)] = row;
	w = row->words;
	for (unsigned b = 0; b < rows->blocks; b++) {
		if (!(summary >> b & 1))
			continue;
		memcpy(w, bits + b * POLICY_BLOCK_WORDS, sizeof(*w) * POLICY_BLOCK_WORDS);
		w += POLICY_BLOCK_WORDS;
	}
	return row;
}

bool policy_row_bit(const struct policy_row *row, uint32_t bit)
{
	unsigned b = bit / POLICY_BLOCK_BITS;
	const uint64_t *w;

	if (!(row->summary >> b & 1))
		return false;
	w = row->words + (size_t)__builtin_popcountll(row->summary & ((1ull << b) - 1)) * POLICY_BLOCK_WORDS;
	return w[bit % POLICY_BLOCK_BITS / 64] >> bit % 64 & 1;
}
