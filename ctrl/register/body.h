// SPDX-License-Identifier: BSD-3-Clause
// Bodies of the registration requests (docs/protocols.md, 2): JSON text to structures, everything checked. Pure.
#ifndef SLUICE_CTRL_REGISTER_BODY_H
#define SLUICE_CTRL_REGISTER_BODY_H

#include <stddef.h>

#include "ctrl/register_backend.h"

#define REGISTER_BODY_MAX_BYTES (16 * 1024)

/* Each takes a body of `length` bytes (any bytes, need not end in NUL; above REGISTER_BODY_MAX_BYTES is refused) and
 * fills those fields of a zeroed `out` that the request has. Returns NULL, or what is wrong in a few static words for
 * the log. Unknown and repeated keys are wrong. */
const char *register_body_challenge(const char *body, size_t length, struct register_request *out);
const char *register_body_register(const char *body, size_t length, struct register_request *out);
const char *register_body_goodbye(const char *body, size_t length, struct register_request *out);

#endif
