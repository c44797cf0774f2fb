// SPDX-License-Identifier: BSD-3-Clause
// rtnetlink and nfnetlink requests, by libmnl.
#include "connector/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <libmnl/libmnl.h>

enum {
	ROUTE_METRIC = 4096,
	POSTROUTING_PRIORITY = 100, /* NF_IP_PRI_NAT_SRC */
};

/* Sends and reads the acknowledgments of `acks` messages. 0 or the first error, negative. */
static int talk(struct mnl_socket *nl, const void *data, size_t bytes, unsigned acks)
{
	char buffer[8192];

	if (mnl_socket_sendto(nl, data, bytes) < 0)
		return -errno;
	while (acks) {
		ssize_t n = mnl_socket_recvfrom(nl, buffer, sizeof(buffer));
		const struct nlmsghdr *h = (const void *)buffer;
		int left = (int)n;

		if (n < 0)
			return -errno;
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			if (e->error)
				return e->error;
			acks--;
		}
	}
	return 0;
}

static int talk_once(const struct nlmsghdr *h)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int err;

	if (!nl)
		return -errno;
	err = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : talk(nl, h, h->nlmsg_len, 1);
	mnl_socket_close(nl);
	return err;
}

int netlink_link_up(unsigned ifindex, unsigned mtu)
{
	char buffer[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct nlattr *spec, *family;
	struct ifinfomsg *link;

	h->nlmsg_type = RTM_NEWLINK;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	link = mnl_nlmsg_put_extra_header(h, sizeof(*link));
	link->ifi_index = (int)ifindex;
	link->ifi_flags = link->ifi_change = IFF_UP;
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	family = mnl_attr_nest_start(h, AF_INET6);
	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, family);
	mnl_attr_nest_end(h, spec);
	return talk_once(h);
}

int netlink_route_add(unsigned ifindex, const struct ip_prefix *to)
{
	char buffer[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct rtmsg *r;

	h->nlmsg_type = RTM_NEWROUTE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
	r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
	r->rtm_family = to->addr.family == 6 ? AF_INET6 : AF_INET;
	r->rtm_dst_len = to->len;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_STATIC;
	r->rtm_scope = to->addr.family == 6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	r->rtm_type = RTN_UNICAST;
	mnl_attr_put(h, RTA_DST, to->addr.family == 6 ? 16 : 4, to->addr.bytes);
	mnl_attr_put_u32(h, RTA_OIF, ifindex);
	mnl_attr_put_u32(h, RTA_PRIORITY, ROUTE_METRIC);
	return talk_once(h);
}

static struct nlmsghdr *nft_message(struct mnl_nlmsg_batch *b, uint16_t type, uint16_t flags, uint8_t family, uint32_t seq)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(mnl_nlmsg_batch_current(b));
	struct nfgenmsg *g;
	bool frame = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;

	h->nlmsg_type = frame ? type : (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = seq;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	g->res_id = frame ? htons(NFNL_SUBSYS_NFTABLES) : 0;
	return h;
}

/* One expression of a rule: its name, and an open nest for its data. */
static struct nlattr *expression(struct nlmsghdr *h, const char *name, struct nlattr **element)
{
	*element = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
	mnl_attr_put_strz(h, NFTA_EXPR_NAME, name);
	return mnl_attr_nest_start(h, NFTA_EXPR_DATA);
}

static void expression_end(struct nlmsghdr *h, struct nlattr *data, struct nlattr *element)
{
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, element);
}

/* iifname IFACE masquerade */
static void put_rule(struct nlmsghdr *h, const char *iface)
{
	char name[IFNAMSIZ] = "";
	struct nlattr *list, *data, *element, *value;

	snprintf(name, sizeof(name), "%s", iface);
	list = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);
	data = expression(h, "meta", &element);
	mnl_attr_put_u32(h, NFTA_META_KEY, htonl(NFT_META_IIFNAME));
	mnl_attr_put_u32(h, NFTA_META_DREG, htonl(NFT_REG_1));
	expression_end(h, data, element);
	data = expression(h, "cmp", &element);
	mnl_attr_put_u32(h, NFTA_CMP_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(h, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
	value = mnl_attr_nest_start(h, NFTA_CMP_DATA);
	mnl_attr_put(h, NFTA_DATA_VALUE, sizeof(name), name);
	mnl_attr_nest_end(h, value);
	expression_end(h, data, element);
	data = expression(h, "masq", &element);
	expression_end(h, data, element);
	mnl_attr_nest_end(h, list);
}

static void put_chain(struct nlmsghdr *h, const char *table)
{
	struct nlattr *hook;

	mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, table);
	mnl_attr_put_strz(h, NFTA_CHAIN_NAME, "postrouting");
	mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, "nat");
	hook = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(h, NFTA_HOOK_HOOKNUM, htonl(NF_INET_POST_ROUTING));
	mnl_attr_put_u32(h, NFTA_HOOK_PRIORITY, htonl(POSTROUTING_PRIORITY));
	mnl_attr_nest_end(h, hook);
}

static int send_table(struct mnl_socket *nl, const char *table, const char *iface)
{
	uint32_t seq = (uint32_t)time(NULL);
	char buffer[4096];
	struct mnl_nlmsg_batch *b = mnl_nlmsg_batch_start(buffer, sizeof(buffer));
	struct nlmsghdr *h;
	int err;

	nft_message(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, seq);
	mnl_nlmsg_batch_next(b);
	h = nft_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, NFPROTO_INET, seq + 1);
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, table);
	mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_OWNER));
	mnl_nlmsg_batch_next(b);
	put_chain(nft_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, seq + 2), table);
	mnl_nlmsg_batch_next(b);
	h = nft_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, NFPROTO_INET, seq + 3);
	mnl_attr_put_strz(h, NFTA_RULE_TABLE, table);
	mnl_attr_put_strz(h, NFTA_RULE_CHAIN, "postrouting");
	put_rule(h, iface);
	mnl_nlmsg_batch_next(b);
	nft_message(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, seq + 4);
	mnl_nlmsg_batch_next(b);
	err = talk(nl, mnl_nlmsg_batch_head(b), mnl_nlmsg_batch_size(b), 3);
	mnl_nlmsg_batch_stop(b);
	return err;
}

struct mnl_socket *netlink_masquerade(const char *table, const char *iface, char *err, size_t err_len)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int failed = nl ? (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : send_table(nl, table, iface)) : -errno;

	if (!failed)
		return nl;
	snprintf(err, err_len, "mode: tun: masquerading by nftables (table inet %s): %s%s", table, strerror(-failed),
		 failed == -EOPNOTSUPP || failed == -ENOENT || failed == -EPROTONOSUPPORT
			 ? "; the kernel needs nf_tables, nft_nat and nft_masq (or set preserve-source: true)"
			 : "");
	if (nl)
		mnl_socket_close(nl);
	return NULL;
}
