// SPDX-License-Identifier: BSD-3-Clause
// The certificate authority and the server certificate of registration: made at first start, kept in a directory.
#ifndef SLUICE_CTRL_REGISTER_TLS_H
#define SLUICE_CTRL_REGISTER_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/register_proof.h"

struct register_tls {
	char *ca_pem;	  /* certificate of the CA: the EdgeCA of credentials files */
	char *server_pem; /* leaf, then CA */
	char *key_pem;	  /* of the leaf; wiped when freed */
	uint8_t leaf_sha256[REGISTER_CERT_HASH_BYTES];
};

/* Loads ca.pem, ca-key.pem, server.pem and server-key.pem of `dir`, or makes what is missing (ECDSA P-256; directory
 * 0700, files 0600; each file whole or not at all). The server certificate is made again, under the same CA, where its
 * names are not exactly `names` (host names and addresses, at least one), or it ends within 30 days. A CA certificate
 * without its key, or a key that others may read, is an error: a CA is never replaced silently. 0, or negative errno with a sentence in err.
 * Free with register_tls_free(). */
int register_tls_load(const char *dir, const char *const *names, size_t name_count, struct register_tls *out, char *err,
		      size_t err_len);
void register_tls_free(struct register_tls *tls);

#endif
