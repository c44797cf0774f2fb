/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What netlink says, as plain arrays, and how it is read. Inside dataplane/outer/ only; control
 * thread only.
 */
#ifndef SLUICE_DATAPLANE_OUTER_TABLES_H
#define SLUICE_DATAPLANE_OUTER_TABLES_H

#include <libmnl/libmnl.h>

#include "dataplane/outer/outer.h"

/* A growing array of equal items. */
struct outer_vec {
	void *items;
	size_t n, capacity, size; /* size of one item in bytes: set before the first push */
};

/* A zeroed new item at the end, or NULL: out of memory. Pointers into the array end with the next
 * push. */
void *outer_vec_push(struct outer_vec *vec);
void outer_vec_free(struct outer_vec *vec);

struct outer_neigh_key {
	uint32_t ifindex;
	struct outer_addr addr;
	uint8_t zero[3]; /* no padding: keys are compared as bytes */
};

struct outer_neigh {
	struct outer_neigh_key key;
	uint16_t state; /* NUD_… */
	uint8_t mac[6];
	bool has_mac;
	bool used;	    /* a worker has asked for it */
	uint64_t probed_ms; /* when we last had it probed */
};

struct outer_next_hop {
	uint32_t ifindex;
	struct outer_addr gateway; /* family 0: the destination is on the link */
};

struct outer_route {
	struct outer_addr dst; /* family always set */
	uint8_t prefix_len;
	uint8_t type; /* RTN_UNICAST, RTN_UNREACHABLE … */
	uint32_t metric;
	uint32_t mtu;		    /* 0: the link's */
	struct outer_addr prefsrc;  /* family 0: none */
	uint32_t first_hop, n_hops; /* in the array of next hops */
};

struct outer_tables {
	struct outer_vec links;	 /* struct outer_link */
	struct outer_vec locals; /* struct outer_local */
	struct outer_vec neighs; /* struct outer_neigh, sorted by key */
	struct outer_vec routes; /* struct outer_route */
	struct outer_vec hops;	 /* struct outer_next_hop */
};

void outer_tables_init(struct outer_tables *tables);
void outer_tables_free(struct outer_tables *tables);

/*
 * Read a kind of thing anew from the kernel over a socket for requests (not the monitor's),
 * replacing what the tables held. 0 or negative errno; on failure the old content stays.
 */
int outer_dump_links(struct mnl_socket *nl, struct outer_tables *tables);
int outer_dump_locals(struct mnl_socket *nl, struct outer_tables *tables);
int outer_dump_neighs(struct mnl_socket *nl, struct outer_tables *tables);
int outer_dump_routes(struct mnl_socket *nl, struct outer_tables *tables);

/* Parses RTM_NEWNEIGH / RTM_DELNEIGH; false: not an IP neighbour on a link. */
bool outer_parse_neigh(const struct nlmsghdr *nlh, struct outer_neigh *neigh);
/* Whether RTM_NEWROUTE / RTM_DELROUTE speaks of the main table. */
bool outer_route_is_main(const struct nlmsghdr *nlh);

/* Asks the kernel to resolve or confirm a neighbour (NTF_USE). 0 or negative errno. */
int outer_use_neigh(struct mnl_socket *nl, const struct outer_neigh_key *key);

/* Finds, or says where to insert (as an index). */
struct outer_neigh *outer_neigh_find(const struct outer_tables *tables,
				     const struct outer_neigh_key *key, size_t *where);
/* Stores or removes one neighbour; `used` and `probed_ms` of a known one stay. False: out of
 * memory. */
bool outer_neigh_put(struct outer_tables *tables, const struct outer_neigh *neigh);
void outer_neigh_remove(struct outer_tables *tables, const struct outer_neigh_key *key);
/* Whether packets can go to it now. */
bool outer_neigh_usable(const struct outer_neigh *neigh);

#endif
