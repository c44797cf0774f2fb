// SPDX-License-Identifier: BSD-3-Clause
// What sluice-ctrl asks of the expression language when a rule is written. Pure.
#ifndef SLUICE_CTRL_EXPR_CHECK_H
#define SLUICE_CTRL_EXPR_CHECK_H

#include <stdbool.h>
#include <stddef.h>

enum expr_group { EXPR_GROUP_TRAFFIC, EXPR_GROUP_IDENTITY, EXPR_GROUP_POSTURE };

/* Called for each "$ref" outside strings. `ref` has no "$". True if it names a list of the account. */
typedef bool expr_list_fn(const char *ref, void *arg);

/* Checks one expression of a rule with this filter ("l4", "http", "dns"). 0, or -1 with a sentence in err. */
int expr_check(const char *text, enum expr_group group, const char *filter, expr_list_fn *list, void *arg, char *err, size_t err_len);

/* True if the expression asks for a host name, or for an address: for the warning that a name is only the client's claim. */
bool expr_uses_host(const char *text);
bool expr_uses_address(const char *text);

#endif
