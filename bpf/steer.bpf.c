// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * The front door: UDP to a listen endpoint (local address and port) goes to the AF_XDP socket of
 * its rx queue; everything else belongs to the kernel. What cannot be WireGuard, fragments and
 * denied sources end here, counted by reason.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

#include "bpf/outer_parse.h"
#include "bpf/steer.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024); /* the loader sets it */
	__type(key, struct steer_endpoint_key);
	__type(value, __u32);
} steer_listen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536); /* the loader sets it */
	__type(key, struct steer_deny_key);
	__type(value, __u32);
} steer_deny SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536); /* the loader sets it */
	__type(key, struct steer_deny_key);
	__type(value, __u32);
} steer_allow SEC(".maps");

/* When the next handshake message of a source is due: theoretical arrival time, ns of bpf_ktime_get_ns(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536); /* the loader sets it */
	__type(key, struct steer_source_key);
	__type(value, __u64);
} steer_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_CLASSES);
	__type(key, __u32);
	__type(value, __u64);
} steer_global SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536); /* the loader sets it */
	__type(key, struct steer_source_key);
	__type(value, __u32);
} steer_known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} steer_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_settings);
} steer_settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_counters);
} steer_counters SEC(".maps");

/* First in libxdp's dispatcher order among programs of the usual priority; what we pass goes on to
 * the next. */
struct {
	__uint(priority, 40);
	__uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(sluice_steer);

static __always_inline int is_listen(const struct outer_headers *h, __be16 port)
{
	struct steer_endpoint_key key = {.port_be16 = port, .family = h->family};

	__builtin_memcpy(key.addr, h->dst, sizeof(key.addr));
	return bpf_map_lookup_elem(&steer_listen, &key) != NULL;
}

static __always_inline void source_prefix(const struct outer_headers *h, struct steer_deny_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->family = h->family;
	key->prefixlen = h->family == 4 ? 8 + 32 : 8 + 128;
	__builtin_memcpy(key->addr, h->src, sizeof(key->addr));
}

/* The source's leading bits: /32 and /24, or /64 and /48; all of an IPv6 address for the known ones. */
static __always_inline void source_key(const struct outer_headers *h, __u8 len, struct steer_source_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->family = h->family;
	key->len = len;
	switch (len) {
	case 24:
		__builtin_memcpy(key->addr, h->src, 3);
		break;
	case 32:
		__builtin_memcpy(key->addr, h->src, 4);
		break;
	case 48:
		__builtin_memcpy(key->addr, h->src, 6);
		break;
	case 64:
		__builtin_memcpy(key->addr, h->src, 8);
		break;
	default:
		__builtin_memcpy(key->addr, h->src, 16);
		break;
	}
}

/* One message at `now` against a bucket. Other CPUs may be at it too: after three lost races it is one too many. */
static __always_inline int bucket_take(__u64 *tat, __u64 now, const struct steer_rate *rate)
{
	if (!rate->interval_ns)
		return 1;
	for (int i = 0; i < 3; i++) {
		__u64 old = *(volatile __u64 *)tat;
		__u64 due = old > now ? old : now;

		if (due - now > rate->window_ns)
			return 0;
		if (__sync_val_compare_and_swap(tat, old, due + rate->interval_ns) == old)
			return 1;
	}
	return 0;
}

static __always_inline int source_take(const struct outer_headers *h, __u8 len, __u64 now, const struct steer_rate *rate)
{
	struct steer_source_key key;
	__u64 *tat, first = now + rate->interval_ns;

	if (!rate->interval_ns)
		return 1;
	source_key(h, len, &key);
	tat = bpf_map_lookup_elem(&steer_sources, &key);
	if (tat)
		return bucket_take(tat, now, rate);
	bpf_map_update_elem(&steer_sources, &key, &first, BPF_ANY);
	return 1;
}

static __always_inline int is_known(const struct outer_headers *h)
{
	struct steer_source_key key;

	source_key(h, h->family == 4 ? 32 : 128, &key);
	return bpf_map_lookup_elem(&steer_known, &key) != NULL;
}

/* The last 16 bytes of messages 1 and 2 are zero where there is no MAC2 (paper, 5.4.4). */
static __always_inline int has_mac2(const __u8 *data, const __u8 *data_end, const struct outer_headers *h)
{
	const __u8 *p = data + (__u64)h->payload_off + (h->type[0] == 1 ? 132 : 76);
	__u64 mac2[2];

	if (h->type[0] > 2 || p + 16 > data_end)
		return 0;
	__builtin_memcpy(mac2, p, 16);
	return (mac2[0] | mac2[1]) != 0;
}

/* Decision 33: only while the edge is under load. The reason to drop a handshake message, or STEER_COUNTERS. */
static __always_inline __u32 meter(const __u8 *data, const __u8 *data_end, const struct outer_headers *h,
				   const struct steer_settings *settings)
{
	__u32 class = STEER_CLASS_NEW;
	__u64 now = bpf_ktime_get_ns();
	__u64 *tat;

	if (is_known(h)) {
		class = STEER_CLASS_KNOWN;
	} else {
		if (!source_take(h, h->family == 4 ? 32 : 64, now, &settings->source) ||
		    !source_take(h, h->family == 4 ? 24 : 48, now, &settings->aggregate))
			return STEER_DROP_xdp_source_rate;
		if (has_mac2(data, data_end, h))
			class = STEER_CLASS_MAC2;
	}
	tat = bpf_map_lookup_elem(&steer_global, &class);
	if (!tat)
		return STEER_COUNTERS;
	/* a constant index each: the verifier knows no bound of `class` */
	const struct steer_rate *rate = class == STEER_CLASS_KNOWN  ? &settings->global[STEER_CLASS_KNOWN]
					: class == STEER_CLASS_MAC2 ? &settings->global[STEER_CLASS_MAC2]
								    : &settings->global[STEER_CLASS_NEW];

	return bucket_take(tat, now, rate) ? STEER_COUNTERS : STEER_DROP_xdp_global_rate;
}

/* The reason to drop a packet for us, or STEER_COUNTERS: none. */
static __always_inline __u32 drop_reason(const __u8 *data, const __u8 *data_end, enum outer_parse_result parsed,
					 const struct outer_headers *h)
{
	const __u32 zero = 0;
	const struct steer_settings *settings = bpf_map_lookup_elem(&steer_settings, &zero);
	struct steer_deny_key source;

	if (!settings)
		return STEER_COUNTERS;
	if (settings->deny_active || settings->allow_active) {
		source_prefix(h, &source);
		if (settings->deny_active && bpf_map_lookup_elem(&steer_deny, &source))
			return STEER_DROP_xdp_denied;
		if (settings->allow_active && !bpf_map_lookup_elem(&steer_allow, &source))
			return STEER_DROP_xdp_not_allowed;
	}
	switch (outer_judge(parsed, h)) {
	case OUTER_FRAGMENT:
		return STEER_DROP_xdp_fragment;
	case OUTER_MALFORMED:
		return STEER_DROP_xdp_malformed;
	case OUTER_CHECKSUM:
		return STEER_DROP_xdp_checksum;
	case OUTER_TYPE:
		return STEER_DROP_xdp_type;
	case OUTER_LENGTH:
		return STEER_DROP_xdp_length;
	case OUTER_HANDSHAKE:
		return settings->under_load ? meter(data, data_end, h, settings) : STEER_COUNTERS;
	case OUTER_DATA:
		break;
	}
	return STEER_COUNTERS;
}

SEC("xdp.frags")
int sluice_steer(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data;
	const void *data_end = (const void *)(long)ctx->data_end;
	__u32 frame_len = (__u32)bpf_xdp_get_buff_len(ctx);
	struct outer_headers h;
	enum outer_parse_result parsed = outer_parse(data, data_end, frame_len, &h);

	if (parsed == OUTER_PARSE_OTHER)
		return XDP_PASS;
	/* ports are 0 in a fragment, and the entry with port 0 stands for the address */
	if ((parsed != OUTER_PARSE_FRAGMENT && !h.dst_port_be16) || !is_listen(&h, h.dst_port_be16))
		return XDP_PASS;

	const __u32 zero = 0;
	struct steer_counters *counters = bpf_map_lookup_elem(&steer_counters, &zero);

	if (!counters)
		return XDP_PASS;
	counters->c[STEER_RX]++;
	counters->c[STEER_RX_BYTES] += frame_len;

	switch (drop_reason(data, data_end, parsed, &h)) {
#define X(name)                                   \
	case STEER_DROP_##name:                   \
		counters->c[STEER_DROP_##name]++; \
		return XDP_DROP;
		STEER_DROPS(X)
#undef X
	default:
		break;
	}
	long verdict = bpf_redirect_map(&steer_sockets, ctx->rx_queue_index, XDP_PASS);

	if (verdict == XDP_REDIRECT)
		counters->c[STEER_REDIRECTED]++;
	else
		counters->c[STEER_KERNEL]++;
	return (int)verdict;
}

char _license[] SEC("license") = "Dual BSD/GPL";
