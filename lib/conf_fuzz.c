// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes the YAML reader and the conversions of values.
#include <stddef.h>
#include <stdint.h>

#include "lib/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sub {
	char *s;
	int64_t i;
};

struct all {
	char *s;
	bool b;
	int64_t i;
	uint64_t d, z;
	struct conf_strings l;
	struct sub m;
	struct conf_maps ms;
};

static const struct conf_key sub_keys[] = {
	{.name = "s", .type = CONF_STRING, .offset = offsetof(struct sub, s)},
	{.name = "i", .type = CONF_INT, .offset = offsetof(struct sub, i)},
	{.name = NULL},
};
static const struct conf_key keys[] = {
	{.name = "s", .type = CONF_STRING, .offset = offsetof(struct all, s)},
	{.name = "b", .type = CONF_BOOL, .offset = offsetof(struct all, b)},
	{.name = "i", .type = CONF_INT, .offset = offsetof(struct all, i), .min = 1, .max = 9},
	{.name = "d", .type = CONF_DURATION, .offset = offsetof(struct all, d)},
	{.name = "z", .type = CONF_SIZE, .offset = offsetof(struct all, z)},
	{.name = "l", .type = CONF_STRINGS, .offset = offsetof(struct all, l)},
	{.name = "m", .type = CONF_MAP, .offset = offsetof(struct all, m), .sub = sub_keys},
	{.name = "ms", .type = CONF_MAPS, .offset = offsetof(struct all, ms), .sub = sub_keys, .sub_size = sizeof(struct sub)},
	{.name = NULL},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct all out = {0};
	char err[64];
	struct conf_node *root = conf_parse("f", (const char *)data, size, err, sizeof(err));

	if (root)
		conf_read(root, keys, &out, err, sizeof(err));
	conf_release(keys, &out);
	conf_free(root);
	return 0;
}
