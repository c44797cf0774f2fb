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

static __always_inline int is_denied(const struct outer_headers *h)
{
	const __u32 zero = 0;
	const struct steer_settings *settings = bpf_map_lookup_elem(&steer_settings, &zero);
	struct steer_deny_key key = {.prefixlen = 8 + 128, .family = h->family};

	if (!settings || !settings->deny_active)
		return 0;
	__builtin_memcpy(key.addr, h->src, sizeof(key.addr));
	if (h->family == 4)
		key.prefixlen = 8 + 32;
	return bpf_map_lookup_elem(&steer_deny, &key) != NULL;
}

/* The reason to drop a packet for us, or STEER_COUNTERS: none. */
static __always_inline __u32 drop_reason(enum outer_parse_result parsed,
					 const struct outer_headers *h)
{
	if (is_denied(h))
		return STEER_DROP_xdp_denied;
	if (parsed == OUTER_PARSE_FRAGMENT)
		return STEER_DROP_xdp_fragment;
	if (parsed == OUTER_PARSE_MALFORMED)
		return STEER_DROP_xdp_malformed;
	switch (outer_wg_check(h)) {
	case OUTER_WG_TYPE:
		return STEER_DROP_xdp_type;
	case OUTER_WG_LENGTH:
		return STEER_DROP_xdp_length;
	case OUTER_WG_OK:
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

	switch (drop_reason(parsed, &h)) {
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
