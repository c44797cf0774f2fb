// SPDX-License-Identifier: BSD-3-Clause
// What sluice-ctrl asks of the expression language when a rule is written. Pure.
#ifndef SLUICE_CTRL_EXPR_CHECK_H
#define SLUICE_CTRL_EXPR_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/expr/expr.h"

enum expr_group { EXPR_GROUP_TRAFFIC, EXPR_GROUP_IDENTITY, EXPR_GROUP_POSTURE };

/* Checks one expression of a rule with this filter ("l4", "http", "dns"). 0, with the fields that it names in *fields (bit f:
 * enum expr_field f); or -1 with a sentence in err ("line 1, column 15: expected an address, found 'x'"). */
int expr_check(const char *text, enum expr_group group, const char *filter, const struct expr_lists *lists, uint32_t *fields, char *err,
	       size_t err_len);

/* True if the fields ask for a host name, or for an address: for the warning that a name is only the client's claim. */
bool expr_uses_host(uint32_t fields);
bool expr_uses_address(uint32_t fields);

#endif
