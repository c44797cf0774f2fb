/* SPDX-License-Identifier: BSD-3-Clause */
/* peers: many WireGuard clients in one process. What its files share. Single thread. */
#ifndef TOPOLOGY_PEERS_H
#define TOPOLOGY_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum probe { PROBE_PING, PROBE_PULL, PROBE_HANDSHAKE, PROBES };

#define PHASES_MAX 256

/* Starts a phase; the one before ends. False when there were too many. */
bool stats_phase(const char *name, uint64_t now_ns);
/* The current phase, to be kept with what is sent in it. */
unsigned stats_current(void);
void stats_sent(enum probe probe);
/* An answer to what was sent in that phase came after so long. */
void stats_answered(unsigned phase, enum probe probe, uint64_t took_ns);
/* Prints, as one line of JSON, every phase that ended at least grace_ns ago and was not printed. */
void stats_report(uint64_t now_ns, uint64_t grace_ns);

/* Inner IPv4 packets, addresses in network byte order; the length of what was written at `to`. */
uint32_t packet_echo(uint8_t *to, uint32_t src, uint32_t dst, uint16_t id, uint16_t seq);
uint32_t packet_udp(uint8_t *to, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, const void *data, uint32_t len);
uint32_t packet_syn(uint8_t *to, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, uint32_t seq);
/* The Internet checksum (RFC 1071) as it goes on the wire, with a start value of the caller's. */
uint16_t packet_checksum(const uint8_t *data, size_t len, uint32_t sum);

#endif
