// SPDX-License-Identifier: BSD-3-Clause
/* Feeds the maps of the steering program: endpoints, lists, meters, sockets; reads its counters. */
#include "bpf/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bpf/internal.h"

/* A set of keys of one size, sorted, as a map shall hold them. */
struct key_set {
	void *keys;
	size_t n, size;
};

static size_t compare_size; /* control thread only */

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, compare_size);
}

static void key_set_sort(struct key_set *set)
{
	compare_size = set->size;
	if (set->n)
		qsort(set->keys, set->n, set->size, compare_keys);
}

static bool key_set_has(const struct key_set *set, const void *key)
{
	compare_size = set->size;
	return set->n && bsearch(key, set->keys, set->n, set->size, compare_keys);
}

/* Deletes what is in the map and not in the set. The next key is fetched before one goes. */
static int map_sweep(int map_fd, const struct key_set *set)
{
	unsigned char key[32], next[32];
	bool more = bpf_map_get_next_key(map_fd, NULL, key) == 0;

	while (more) {
		more = bpf_map_get_next_key(map_fd, key, next) == 0;
		if (!key_set_has(set, key) && bpf_map_delete_elem(map_fd, key) < 0 &&
		    errno != ENOENT)
			return -errno;
		memcpy(key, next, set->size);
	}
	return 0;
}

/* Makes a map hold exactly the keys of the set, adding before removing. */
static int map_replace(int map_fd, struct key_set *set)
{
	const uint32_t one = 1;

	key_set_sort(set);
	for (size_t i = 0; i < set->n; i++) {
		const char *key = (const char *)set->keys + i * set->size;

		if (bpf_map_update_elem(map_fd, key, &one, BPF_ANY) < 0)
			return -errno;
	}
	return map_sweep(map_fd, set);
}

static int endpoint_key(const struct steer_endpoint *ep, struct steer_endpoint_key *key)
{
	static const uint8_t any[16];
	size_t len = ep->family == AF_INET ? 4 : 16;

	if ((ep->family != AF_INET && ep->family != AF_INET6) || !ep->port_be16 ||
	    !memcmp(ep->addr, any, len))
		return -EINVAL;
	memset(key, 0, sizeof(*key));
	memcpy(key->addr, ep->addr, len);
	key->port_be16 = ep->port_be16;
	key->family = ep->family == AF_INET ? 4 : 6;
	return 0;
}

int steer_set_endpoints(struct steer *steer, const struct steer_endpoint *eps, size_t n)
{
	if (n > steer->max_endpoints)
		return -E2BIG;
	struct steer_endpoint_key *keys = calloc(2 * n + 1, sizeof(*keys));
	struct key_set set = {keys, 2 * n, sizeof(*keys)};
	int err = keys ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++) {
		err = endpoint_key(&eps[i], &keys[2 * i]);
		keys[2 * i + 1] = keys[2 * i];
		keys[2 * i + 1].port_be16 = 0;
	}
	if (!err)
		err = map_replace(steer->listen_fd, &set);
	free(keys);
	return err;
}

static int prefix_key(const struct steer_prefix *prefix, struct steer_deny_key *key)
{
	size_t len = prefix->family == AF_INET ? 4 : 16;

	if ((prefix->family != AF_INET && prefix->family != AF_INET6) || prefix->len > 8 * len)
		return -EINVAL;
	memset(key, 0, sizeof(*key));
	key->prefixlen = 8U + prefix->len;
	key->family = prefix->family == AF_INET ? 4 : 6;
	for (unsigned bit = 0; bit < prefix->len; bit++)
		key->addr[bit / 8] |= prefix->addr[bit / 8] & (uint8_t)(0x80 >> bit % 8);
	return 0;
}

static int write_settings(struct steer *steer, const struct steer_settings *settings)
{
	const uint32_t zero = 0;

	if (bpf_map_update_elem(steer->settings_fd, &zero, settings, BPF_ANY) < 0)
		return -errno;
	steer->settings = *settings;
	return 0;
}

/* Makes a trie hold exactly these prefixes. */
static int set_prefixes(int map_fd, const struct steer_prefix *prefixes, size_t n)
{
	struct steer_deny_key *keys = calloc(n + 1, sizeof(*keys));
	struct key_set set = {keys, n, sizeof(*keys)};
	int err = keys ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++)
		err = prefix_key(&prefixes[i], &keys[i]);
	if (!err)
		err = map_replace(map_fd, &set);
	free(keys);
	return err;
}

int steer_set_denied(struct steer *steer, const struct steer_prefix *prefixes, size_t n)
{
	struct steer_settings settings = steer->settings;

	if (n > steer->max_denied)
		return -E2BIG;
	int err = set_prefixes(steer->deny_fd, prefixes, n);

	settings.deny_active = n > 0;
	return err ? err : write_settings(steer, &settings);
}

/* The list is in force only while it has entries, so that no packet meets an empty one. */
int steer_set_allowed(struct steer *steer, const struct steer_prefix *prefixes, size_t n)
{
	struct steer_settings settings = steer->settings;
	int err = 0;

	if (n > steer->max_allowed)
		return -E2BIG;
	settings.allow_active = n > 0;
	if (!n)
		err = write_settings(steer, &settings);
	if (!err)
		err = set_prefixes(steer->allow_fd, prefixes, n);
	return err || !n ? err : write_settings(steer, &settings);
}

int steer_set_rates(struct steer *steer, const struct steer_rates *rates)
{
	struct steer_settings settings = steer->settings;

	settings.source = rates->source;
	settings.aggregate = rates->aggregate;
	memcpy(settings.global, rates->global, sizeof(settings.global));
	return write_settings(steer, &settings);
}

int steer_set_under_load(struct steer *steer, bool under_load)
{
	struct steer_settings settings = steer->settings;

	settings.under_load = under_load;
	return write_settings(steer, &settings);
}

int steer_set_known(struct steer *steer, const struct steer_prefix *addresses, size_t n)
{
	if (n > steer->max_known)
		return -E2BIG;
	struct steer_source_key *keys = calloc(n + 1, sizeof(*keys));
	struct key_set set = {keys, n, sizeof(*keys)};
	int err = keys ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++) {
		bool v4 = addresses[i].family == AF_INET;

		if ((!v4 && addresses[i].family != AF_INET6) || addresses[i].len != (v4 ? 32 : 128))
			err = -EINVAL;
		keys[i].family = v4 ? 4 : 6;
		keys[i].len = addresses[i].len;
		memcpy(keys[i].addr, addresses[i].addr, v4 ? 4 : 16);
	}
	if (!err)
		err = map_replace(steer->known_fd, &set);
	free(keys);
	return err;
}

int steer_set_socket(struct steer *steer, uint32_t queue, int fd)
{
	if (queue >= STEER_MAX_QUEUES)
		return -EINVAL;
	if (fd < 0)
		return bpf_map_delete_elem(steer->sockets_fd, &queue) < 0 && errno != ENOENT
			       ? -errno
			       : 0;
	return bpf_map_update_elem(steer->sockets_fd, &queue, &fd, BPF_ANY) < 0 ? -errno : 0;
}

int steer_read_counters(const struct steer *steer, struct steer_counters *out)
{
	const uint32_t zero = 0;
	int n_cpus = libbpf_num_possible_cpus();

	if (n_cpus < 0)
		return n_cpus;
	struct steer_counters *each = calloc((size_t)n_cpus, sizeof(*each));

	if (!each)
		return -ENOMEM;
	memset(out, 0, sizeof(*out));
	int err = bpf_map_lookup_elem(steer->counters_fd, &zero, each) < 0 ? -errno : 0;

	for (int cpu = 0; cpu < n_cpus && !err; cpu++)
		for (int i = 0; i < STEER_COUNTERS; i++)
			out->c[i] += each[cpu].c[i];
	free(each);
	return err;
}
