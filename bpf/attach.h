/* SPDX-License-Identifier: BSD-3-Clause */
/* What is attached to an interface, and whose it is. Used by the loader only. */
#ifndef SLUICE_BPF_ATTACH_H
#define SLUICE_BPF_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Holds the interface for this process: another live process of ours must not have its program
 * replaced. An abstract unix socket, so it is bound to the network namespace and ends with the
 * process, however that ends. Returns a descriptor to close, or -EBUSY (somebody of ours lives), or
 * another negative errno.
 */
int attach_hold(uint32_t ifindex);

/*
 * Removes programs of ours that nobody holds from the interface, native and generic, alone or in
 * libxdp's dispatcher. Returns how many were removed; -EBUSY when a foreign program is in the way
 * (its name goes to foreign), other errors of the kernel. A dispatcher with others' programs is not
 * in the way.
 */
int attach_clean(uint32_t ifindex, char *foreign, size_t foreign_size);

/* Detaches the program with this id where it is attached directly. 0, -ENOENT when it is not, or
 * negative errno. */
int attach_remove(uint32_t ifindex, uint32_t prog_id);

#endif
