// SPDX-License-Identifier: BSD-3-Clause
// What a new store, and a new account, start with; and the settings with their defaults and ranges.
#ifndef SLUICE_CTRL_DEFAULTS_H
#define SLUICE_CTRL_DEFAULTS_H

#include "ctrl/store.h"

#define DEFAULT_POOL_V4 "100.96.0.0/12"

/* The account "default" with its virtual network, in the open transaction. 0 or negative errno. */
int defaults_create(struct store *st);

/* A new account with a default virtual network named "default". pools may be NULL (v4: DEFAULT_POOL_V4, v6: a random ULA
 * /64), else must be checked already. *id gets the new id. 0 or negative errno. */
int defaults_account(struct store *st, const char *name, const char *action, const char *pool_v4, const char *pool_v6,
		     char id[33]);

struct setting_def {
	const char *key;
	int64_t value, min, max; /* of whole numbers */
	const char *text;	 /* not NULL: the setting is a text, and this its default */
	const char *help;
	const char *choices; /* "a|b": the text is one of them; NULL: host:port or empty */
};
extern const struct setting_def setting_defs[]; /* ends with a NULL key */
const struct setting_def *setting_find(const char *key);

#endif
