/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the parsers share: bytes under construction, and the fixtures. */
#ifndef DATAPLANE_INSPECT_TEST_UTIL_H
#define DATAPLANE_INSPECT_TEST_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(s) ((const uint8_t *)(s)), (sizeof(s) - 1)

struct builder {
	size_t n;
	uint8_t b[40000];
};

static inline void put_be(struct builder *t, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		t->b[t->n++] = (uint8_t)(v >> (8 * bytes));
}

static inline void put_bytes(struct builder *t, const void *p, size_t n)
{
	memcpy(t->b + t->n, p, n);
	t->n += n;
}

/* A length of `bytes` bytes that stands for what follows until close_vector. */
static inline size_t open_vector(struct builder *t, unsigned bytes)
{
	put_be(t, 0, bytes);
	return t->n;
}

static inline void close_vector(struct builder *t, size_t opened, unsigned bytes)
{
	size_t end = t->n, len = end - opened;

	t->n = opened - bytes;
	put_be(t, len, bytes);
	t->n = end;
}

/* A copy of exactly n bytes on the heap, so that the sanitizer sees a read beyond. The caller frees it. */
static inline uint8_t *exact(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	memcpy(copy, p, n);
	return copy;
}

#ifdef FIXTURES
/* Reads FIXTURES/name.bin into out; its length. */
static inline size_t fixture(const char *name, uint8_t *out, size_t size)
{
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.bin", FIXTURES, name);
	f = fopen(path, "rb");
	if (f == NULL)
		fail_msg("no fixture %s", path);
	n = fread(out, 1, size, f);
	fclose(f);
	return n;
}
#endif

#endif
