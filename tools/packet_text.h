// SPDX-License-Identifier: BSD-3-Clause
// What became of a packet that trace or capture was shown, in words.
#ifndef SLUICE_TOOLS_PACKET_TEXT_H
#define SLUICE_TOOLS_PACKET_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* "sent to k8s (node7), rule default" or "dropped at decide: policy_block, rule r"; escaped. Returns out. */
char *packet_verdict(json_t *packet, char *out, size_t size);
/* A text member; "" where there is none. */
const char *packet_member(json_t *packet, const char *key);

#endif
