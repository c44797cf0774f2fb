// SPDX-License-Identifier: BSD-3-Clause
// POST of JSON over TLS 1.3 to a server of one pinned authority. One thread per client.
#ifndef SLUICE_CONNECTOR_HTTPS_H
#define SLUICE_CONNECTOR_HTTPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTPS_ANSWER_MAX_BYTES (256 * 1024)

struct https;

struct https_answer {
	long status;
	char *text; /* NUL-terminated; the client's, until the next request */
	size_t length;
};

/* `ca_pem` is the only authority that the client will ever trust. `abort`: set to end a request early. NULL with a
 * sentence in err. */
struct https *https_create(const char *ca_pem, const atomic_bool *abort, char *err, size_t err_len);
void https_destroy(struct https *h);

/* Posts to https://HOST:PORT/PATH; `fresh`: over a new connection. False with a sentence in err where there is no answer. */
bool https_post(struct https *h, const char *host_port, const char *path, const char *body, bool fresh,
		unsigned timeout_ms, struct https_answer *out, char *err, size_t err_len);

/* SHA-256 of the leaf certificate of the last fresh connection. False: none. */
bool https_leaf_sha256(const struct https *h, uint8_t out[32]);

#endif
