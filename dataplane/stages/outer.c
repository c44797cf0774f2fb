// SPDX-License-Identifier: BSD-3-Clause
// Stage outer: UDP, IP and Ethernet headers towards the peer's endpoint, by the kernel's own routes and neighbours.
// The reply leaves from the address that the peer contacted (decision 29).
#include "dataplane/stages/outer_headers.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "dataplane/outer/outer.h"
#include "dataplane/ports/port.h"
#include "dataplane/stages/inner.h"

#define ASK_AGAIN_NS 1000000000ull

static void to_outer_addr(struct outer_addr *to, const uint8_t from[16], uint8_t family)
{
	memcpy(to->b, from, 16);
	to->family = family == 4 ? AF_INET : AF_INET6;
}

void outer_path_refresh(struct worker *w, const struct endpoint *ep, struct outer_path *path)
{
	const struct outer_snapshot *snap = __atomic_load_n(&w->edge->outer, __ATOMIC_ACQUIRE);
	struct outer_addr dst, src;
	struct outer_result result;

	/* what is not resolved is asked again once a second: the request for a neighbour may have been lost */
	if (path->generation == outer_generation(snap) &&
	    (path->status == 0 || w->now_ns - path->asked_ns < ASK_AGAIN_NS))
		return;
	path->asked_ns = w->now_ns;
	to_outer_addr(&dst, ep->remote, ep->family);
	to_outer_addr(&src, ep->local, ep->family);
	outer_resolve(snap, &dst, &src, &result);
	path->generation = outer_generation(snap);
	switch (result.status) {
	case OUTER_OK:
		path->status = 0;
		path->port = result.port_id;
		path->mtu = result.mtu;
		memcpy(path->l2, result.dst_mac, 6);
		memcpy(path->l2 + 6, result.src_mac, 6);
		path->l2[12] = ep->family == 4 ? 0x08 : 0x86;
		path->l2[13] = ep->family == 4 ? 0x00 : 0xdd;
		break;
	case OUTER_NEIGH_UNRESOLVED:
		path->status = 1 + DROP_outer_neighbour;
		neighbour_wanted(w, result.ifindex, &result.next_hop);
		break;
	default:
		path->status = 1 + DROP_outer_no_route;
		break;
	}
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_udp(uint8_t *udp, const struct endpoint *ep, unsigned len)
{
	memcpy(udp, &ep->local_port_be, 2);
	memcpy(udp + 2, &ep->remote_port_be, 2);
	put16(udp + 4, len);
	put16(udp + 6, 0); /* IPv4: no checksum, the payload authenticates itself */
}

static void put_ipv4(uint8_t *ip, const struct endpoint *ep, unsigned udp_len, uint8_t tos)
{
	/* DF: the path MTU is ours to mind */
	const uint8_t head[12] = {0x45, tos, (uint8_t)((20 + udp_len) >> 8), (uint8_t)(20 + udp_len), 0, 0, 0x40, 0, 64, INNER_UDP};
	uint32_t w[5];
	uint64_t sum;

	memcpy(w, head, 12);
	memcpy(w + 3, ep->local, 4);
	memcpy(w + 4, ep->remote, 4);
	/* RFC 1071, 2(B): the sum is the same in any byte order */
	sum = (uint64_t)w[0] + w[1] + w[2] + w[3] + w[4];
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	w[2] |= (uint32_t)(uint16_t)~sum << 16; /* bytes 10 and 11 */
	memcpy(ip, w, 20);
}

static void put_ipv6(uint8_t *ip, const struct endpoint *ep, unsigned udp_len, uint8_t tos)
{
	uint8_t *udp = ip + 40;
	uint16_t sum;

	memset(ip, 0, 8);
	ip[0] = (uint8_t)(0x60 | tos >> 4);
	ip[1] = (uint8_t)(tos << 4);
	put16(ip + 4, udp_len);
	ip[6] = INNER_UDP;
	ip[7] = 64;
	memcpy(ip + 8, ep->local, 16);
	memcpy(ip + 24, ep->remote, 16);
	sum = inner_l4_checksum(6, ip + 8, ip + 24, INNER_UDP, udp, udp_len);
	if (sum == 0)
		sum = 0xffff; /* RFC 6935: zero would say "none" */
	memcpy(udp + 6, &sum, 2);
}

bool outer_encapsulate(struct rte_mbuf *m, const struct endpoint *ep, const struct outer_path *path, uint8_t tos)
{
	unsigned udp_len = m->data_len + 8u, ip_len = ep->family == 4 ? 20 : 40;
	uint8_t *p = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)(14 + ip_len + 8));

	if (p == NULL)
		return false;
	memcpy(p, path->l2, 14);
	put_udp(p + 14 + ip_len, ep, udp_len);
	if (ep->family == 4)
		put_ipv4(p + 14, ep, udp_len, tos);
	else
		put_ipv6(p + 14, ep, udp_len, tos);
	return true;
}

unsigned stage_outer(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	uint8_t dscp = settings_get(w->edge->records)->outer_dscp;
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		struct pkt_meta *meta = pkt_meta(pkts[i]);
		struct peer *peer = &w->edge->peers[meta->out_peer];

		outer_path_refresh(w, &peer->endpoint, &peer->path);
		if (peer->path.status != 0) {
			worker_drop(w, pkts[i], (enum drop_reason)(peer->path.status - 1));
			continue;
		}
		if (!outer_encapsulate(pkts[i], &peer->endpoint, &peer->path, (uint8_t)(dscp << 2 | meta->ecn))) {
			worker_drop(w, pkts[i], DROP_no_mbuf);
			continue;
		}
		tx_append(w, peer->path.port, pkts[i]);
		pkts[kept++] = pkts[i];
	}
	return kept;
}
