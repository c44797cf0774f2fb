/* SPDX-License-Identifier: BSD-3-Clause */
/* Host names as clients write them, made comparable. Pure functions. */
#ifndef DATAPLANE_INSPECT_HOST_H
#define DATAPLANE_INSPECT_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/inspect/names.h"

/*
 * Copies a host name in lower case (ASCII) without one dot at its end. False, with out untouched: empty, longer than
 * NAME_HOST_MAX, or a byte that no host name has: controls, space, DEL, beyond ASCII, and any of "/?#@\,<>\"".
 */
bool host_copy(const uint8_t *host, size_t len, char out[NAME_HOST_MAX], uint16_t *out_len);

/*
 * Splits "host", "host:port", "[v6]", "[v6]:port" (RFC 3986 3.2, without userinfo). host_len: bytes of the host,
 * brackets included. False: no host, a bracket left open, or a port that is not digits (an empty one is allowed).
 */
bool host_of_authority(const uint8_t *authority, size_t len, size_t *host_len);

#endif
