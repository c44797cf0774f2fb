// SPDX-License-Identifier: BSD-3-Clause
/* Reads links, addresses, routes and neighbours from rtnetlink into plain arrays. */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/outer/outer_tables.h"

#define DUMP_TRIES   8
#define REQUEST_SIZE 256

static size_t addr_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

/* Takes an address attribute; false when its length is not the family's. */
static bool get_addr(const struct nlattr *attr, int family, struct outer_addr *addr)
{
	size_t len = addr_len(family);

	if (!attr || mnl_attr_get_payload_len(attr) != len)
		return false;
	memset(addr, 0, sizeof(*addr));
	memcpy(addr->b, mnl_attr_get_payload(attr), len);
	addr->family = (uint8_t)family;
	return true;
}

static uint32_t get_u32(const struct nlattr *attr)
{
	return attr && mnl_attr_get_payload_len(attr) == sizeof(uint32_t) ? mnl_attr_get_u32(attr)
									  : 0;
}

/* Fills a table of the attributes in a piece of a message, by type up to `max`; of one type the
 * last wins. */
static void index_bytes(const void *bytes, size_t len, const struct nlattr **table, uint16_t max)
{
	const char *pos = bytes;

	memset(table, 0, sizeof(*table) * ((size_t)max + 1));
	while (len >= sizeof(struct nlattr)) {
		const struct nlattr *attr = (const void *)pos;
		size_t step = MNL_ALIGN(attr->nla_len);

		if (!mnl_attr_ok(attr, (int)len))
			break;
		if (mnl_attr_get_type(attr) <= max)
			table[mnl_attr_get_type(attr)] = attr;
		pos += step;
		len = len > step ? len - step : 0;
	}
}

/* The same for a message behind its fixed header of that many bytes. */
static void index_attrs(const struct nlmsghdr *nlh, size_t header, const struct nlattr **table,
			uint16_t max)
{
	size_t len = mnl_nlmsg_get_payload_len(nlh);

	header = MNL_ALIGN(header);
	index_bytes((const char *)mnl_nlmsg_get_payload(nlh) + header,
		    len > header ? len - header : 0, table, max);
}

static int link_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[IFLA_MAX + 1];
	struct outer_tables *into = data;

	if (nlh->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	struct outer_link *link = outer_vec_push(&into->links);

	if (!link) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	index_attrs(nlh, sizeof(*ifi), attrs, IFLA_MAX);
	link->ifindex = (uint32_t)ifi->ifi_index;
	link->mtu = get_u32(attrs[IFLA_MTU]);
	link->up = (ifi->ifi_flags & IFF_UP) && (ifi->ifi_flags & IFF_LOWER_UP);
	if (attrs[IFLA_ADDRESS] && mnl_attr_get_payload_len(attrs[IFLA_ADDRESS]) == 6)
		memcpy(link->mac, mnl_attr_get_payload(attrs[IFLA_ADDRESS]), 6);
	if (attrs[IFLA_IFNAME])
		strncpy(link->name, mnl_attr_get_str(attrs[IFLA_IFNAME]), sizeof(link->name) - 1);
	return MNL_CB_OK;
}

static int local_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[IFA_MAX + 1];
	struct outer_tables *into = data;
	struct outer_local local;

	if (nlh->nlmsg_type != RTM_NEWADDR ||
	    (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6))
		return MNL_CB_OK;
	memset(&local, 0, sizeof(local));
	index_attrs(nlh, sizeof(*ifa), attrs, IFA_MAX);
	/* on a point-to-point link IFA_ADDRESS is the other side */
	if (!get_addr(attrs[IFA_LOCAL] ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS], ifa->ifa_family,
		      &local.addr))
		return MNL_CB_OK;
	uint32_t flags = attrs[IFA_FLAGS] ? get_u32(attrs[IFA_FLAGS]) : ifa->ifa_flags;

	local.ifindex = ifa->ifa_index;
	local.prefix_len = ifa->ifa_prefixlen;
	local.tentative =
		(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) && !(flags & IFA_F_OPTIMISTIC);
	struct outer_local *slot = outer_vec_push(&into->locals);

	if (!slot) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	*slot = local;
	return MNL_CB_OK;
}

bool outer_parse_neigh(const struct nlmsghdr *nlh, struct outer_neigh *neigh)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[NDA_MAX + 1];

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ndm) ||
	    (ndm->ndm_family != AF_INET && ndm->ndm_family != AF_INET6) ||
	    (ndm->ndm_flags & NTF_PROXY))
		return false;
	memset(neigh, 0, sizeof(*neigh));
	index_attrs(nlh, sizeof(*ndm), attrs, NDA_MAX);
	if (!get_addr(attrs[NDA_DST], ndm->ndm_family, &neigh->key.addr))
		return false;
	neigh->key.ifindex = (uint32_t)ndm->ndm_ifindex;
	neigh->state = ndm->ndm_state;
	if (attrs[NDA_LLADDR] && mnl_attr_get_payload_len(attrs[NDA_LLADDR]) == 6) {
		memcpy(neigh->mac, mnl_attr_get_payload(attrs[NDA_LLADDR]), 6);
		neigh->has_mac = true;
	}
	return true;
}

static int neigh_cb(const struct nlmsghdr *nlh, void *data)
{
	struct outer_neigh neigh;

	if (nlh->nlmsg_type == RTM_NEWNEIGH && outer_parse_neigh(nlh, &neigh) &&
	    !outer_neigh_put(data, &neigh)) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

bool outer_route_is_main(const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[RTA_MAX + 1];

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm) || (rtm->rtm_flags & RTM_F_CLONED) ||
	    (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6))
		return false;
	index_attrs(nlh, sizeof(*rtm), attrs, RTA_MAX);
	return (attrs[RTA_TABLE] ? get_u32(attrs[RTA_TABLE]) : rtm->rtm_table) == RT_TABLE_MAIN;
}

static bool add_hop(struct outer_tables *into, struct outer_route *route, int family,
		    uint32_t ifindex, const struct nlattr *gateway, const struct nlattr *via)
{
	struct outer_next_hop *hop = outer_vec_push(&into->hops);

	if (!hop)
		return false;
	hop->ifindex = ifindex;
	if (gateway) {
		get_addr(gateway, family, &hop->gateway);
	} else if (via) { /* IPv4 over an IPv6 next hop (RFC 5549) */
		const struct rtvia *rtvia = mnl_attr_get_payload(via);
		size_t len = mnl_attr_get_payload_len(via);

		if (len >= sizeof(*rtvia) &&
		    len - sizeof(*rtvia) == addr_len(rtvia->rtvia_family)) {
			memcpy(hop->gateway.b, rtvia->rtvia_addr, len - sizeof(*rtvia));
			hop->gateway.family = (uint8_t)rtvia->rtvia_family;
		}
	}
	route->n_hops++;
	return true;
}

static bool add_multipath(struct outer_tables *into, struct outer_route *route, int family,
			  const struct nlattr *multipath)
{
	const char *pos = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath);

	while (left >= sizeof(struct rtnexthop)) {
		const struct rtnexthop *nh = (const void *)pos;
		const struct nlattr *attrs[RTA_MAX + 1];
		size_t len = nh->rtnh_len;

		if (len < sizeof(*nh) || len > left)
			break;
		index_bytes(pos + sizeof(*nh), len - sizeof(*nh), attrs, RTA_MAX);
		if (!(nh->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) &&
		    !add_hop(into, route, family, (uint32_t)nh->rtnh_ifindex, attrs[RTA_GATEWAY],
			     attrs[RTA_VIA]))
			return false;
		len = RTNH_ALIGN(len);
		pos += len;
		left = left > len ? left - len : 0;
	}
	return true;
}

static bool add_hops(struct outer_tables *into, struct outer_route *route, const struct rtmsg *rtm,
		     const struct nlattr **attrs)
{
	if (rtm->rtm_type != RTN_UNICAST)
		return true;
	if (attrs[RTA_MULTIPATH])
		return add_multipath(into, route, rtm->rtm_family, attrs[RTA_MULTIPATH]);
	if (!attrs[RTA_OIF] || (rtm->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)))
		return true;
	return add_hop(into, route, rtm->rtm_family, get_u32(attrs[RTA_OIF]), attrs[RTA_GATEWAY],
		       attrs[RTA_VIA]);
}

static uint32_t metric_mtu(const struct nlattr *metrics)
{
	const struct nlattr *attrs[RTAX_MAX + 1];

	if (!metrics)
		return 0;
	index_bytes(mnl_attr_get_payload(metrics), mnl_attr_get_payload_len(metrics), attrs,
		    RTAX_MAX);
	return get_u32(attrs[RTAX_MTU]);
}

static bool type_matters(uint8_t type)
{
	return type == RTN_UNICAST || type == RTN_UNREACHABLE || type == RTN_BLACKHOLE ||
	       type == RTN_PROHIBIT || type == RTN_THROW;
}

static int route_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[RTA_MAX + 1];
	struct outer_tables *into = data;
	struct outer_route route;

	if (nlh->nlmsg_type != RTM_NEWROUTE || !outer_route_is_main(nlh) || rtm->rtm_tos ||
	    !type_matters(rtm->rtm_type))
		return MNL_CB_OK;
	memset(&route, 0, sizeof(route));
	index_attrs(nlh, sizeof(*rtm), attrs, RTA_MAX);
	route.dst.family = rtm->rtm_family;
	if (rtm->rtm_dst_len && !get_addr(attrs[RTA_DST], rtm->rtm_family, &route.dst))
		return MNL_CB_OK;
	route.prefix_len = rtm->rtm_dst_len;
	route.type = rtm->rtm_type;
	route.metric = get_u32(attrs[RTA_PRIORITY]);
	route.mtu = metric_mtu(attrs[RTA_METRICS]);
	get_addr(attrs[RTA_PREFSRC], rtm->rtm_family, &route.prefsrc);
	route.first_hop = (uint32_t)into->hops.n;
	bool ok = add_hops(into, &route, rtm, attrs);

	if (ok && route.type == RTN_UNICAST && !route.n_hops)
		return MNL_CB_OK; /* every way of it is dead */
	struct outer_route *slot = ok ? outer_vec_push(&into->routes) : NULL;

	if (!slot) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	*slot = route;
	return MNL_CB_OK;
}

/* Receives answers to request `seq` until its end. 0 or negative errno; -EINTR: the kernel's table
 * changed meanwhile. */
static int collect(struct mnl_socket *nl, uint32_t seq, mnl_cb_t cb, void *data)
{
	static char buf[32768] __attribute__((aligned(8))); /* control thread only */
	unsigned portid = mnl_socket_get_portid(nl);
	int res = MNL_CB_OK;

	while (res > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));

		if (n < 0)
			return -errno;
		res = mnl_cb_run(buf, (size_t)n, seq, portid, cb, data);
	}
	return res < 0 ? -errno : 0;
}

/* Throws away what an interrupted dump left in the socket: the kernel makes the rest of it while we
 * read. */
static void drain(const struct mnl_socket *nl)
{
	static char buf[32768];

	while (recv(mnl_socket_get_fd(nl), buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

/* One dump, into empty tables; again while the kernel says it was interrupted by a change. */
static int dump(struct mnl_socket *nl, uint16_t type, uint8_t family, mnl_cb_t cb,
		struct outer_tables *into)
{
	static uint32_t seq;
	char buf[REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++seq;
	/* every request header here begins with its family */
	uint8_t *header =
		mnl_nlmsg_put_extra_header(nlh, type == RTM_GETLINK    ? sizeof(struct ifinfomsg)
						: type == RTM_GETADDR  ? sizeof(struct ifaddrmsg)
						: type == RTM_GETNEIGH ? sizeof(struct ndmsg)
								       : sizeof(struct rtmsg));
	header[0] = family;
	drain(nl);
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return collect(nl, seq, cb, into);
}

static int dump_families(struct mnl_socket *nl, uint16_t type, const uint8_t *families, size_t n,
			 mnl_cb_t cb, struct outer_tables *fresh)
{
	int res = -EINTR;

	for (int tries = 0; tries < DUMP_TRIES && res == -EINTR; tries++) {
		outer_tables_free(fresh);
		outer_tables_init(fresh);
		res = 0;
		for (size_t i = 0; i < n && !res; i++)
			res = dump(nl, type, families[i], cb, fresh);
	}
	return res;
}

static const uint8_t any_family[] = {AF_UNSPEC};
static const uint8_t both_families[] = {AF_INET, AF_INET6};

static void take(struct outer_vec *into, struct outer_vec *from)
{
	outer_vec_free(into);
	*into = *from;
	memset(from, 0, sizeof(*from));
}

int outer_dump_links(struct mnl_socket *nl, struct outer_tables *tables)
{
	struct outer_tables fresh;

	outer_tables_init(&fresh);
	int res = dump_families(nl, RTM_GETLINK, any_family, 1, link_cb, &fresh);

	if (!res)
		take(&tables->links, &fresh.links);
	outer_tables_free(&fresh);
	return res;
}

int outer_dump_locals(struct mnl_socket *nl, struct outer_tables *tables)
{
	struct outer_tables fresh;

	outer_tables_init(&fresh);
	int res = dump_families(nl, RTM_GETADDR, both_families, 2, local_cb, &fresh);

	if (!res)
		take(&tables->locals, &fresh.locals);
	outer_tables_free(&fresh);
	return res;
}

int outer_dump_routes(struct mnl_socket *nl, struct outer_tables *tables)
{
	struct outer_tables fresh;

	outer_tables_init(&fresh);
	int res = dump_families(nl, RTM_GETROUTE, both_families, 2, route_cb, &fresh);

	if (!res) {
		take(&tables->routes, &fresh.routes);
		take(&tables->hops, &fresh.hops);
	}
	outer_tables_free(&fresh);
	return res;
}

int outer_dump_neighs(struct mnl_socket *nl, struct outer_tables *tables)
{
	struct outer_tables fresh;

	outer_tables_init(&fresh);
	int res = dump_families(nl, RTM_GETNEIGH, both_families, 2, neigh_cb, &fresh);

	if (!res) {
		struct outer_neigh *neighs = fresh.neighs.items;

		for (size_t i = 0; i < fresh.neighs.n; i++) {
			const struct outer_neigh *old =
				outer_neigh_find(tables, &neighs[i].key, NULL);

			if (!old)
				continue;
			neighs[i].used = old->used;
			neighs[i].probed_ms = old->probed_ms;
		}
		take(&tables->neighs, &fresh.neighs);
	}
	outer_tables_free(&fresh);
	return res;
}

static int ignore_cb(const struct nlmsghdr *nlh, void *data)
{
	(void)nlh;
	(void)data;
	return MNL_CB_OK;
}

int outer_use_neigh(struct mnl_socket *nl, const struct outer_neigh_key *key)
{
	static uint32_t seq = 1U << 31; /* apart from those of dumps */
	char buf[REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = RTM_NEWNEIGH;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
	nlh->nlmsg_seq = ++seq;
	struct ndmsg *ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));

	ndm->ndm_family = key->addr.family;
	ndm->ndm_ifindex = (int)key->ifindex;
	ndm->ndm_flags = NTF_USE;
	mnl_attr_put(nlh, NDA_DST, addr_len(key->addr.family), key->addr.b);
	drain(nl);
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return collect(nl, seq, ignore_cb, NULL);
}
