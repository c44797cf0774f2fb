// SPDX-License-Identifier: BSD-3-Clause
// Migrations of the store's file, and its statements. Not for others.
#ifndef SLUICE_CTRL_STORE_SCHEMA_H
#define SLUICE_CTRL_STORE_SCHEMA_H

#include "ctrl/store.h"

/* Number of migrations; PRAGMA user_version of an up-to-date file. */
#define STORE_SCHEMA_VERSION 2
extern const char *const store_migrations[STORE_SCHEMA_VERSION];
extern const char *const store_sql[ST_N];

#endif
