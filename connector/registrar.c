// SPDX-License-Identifier: BSD-3-Clause
// The registration thread.
#include "connector/registrar.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <jansson.h>
#include <sodium.h>

#include "connector/https.h"
#include "lib/log.h"

enum {
	TIMEOUT_MS = 15000,
	BACKOFF_MIN_MS = 1000,
	BACKOFF_MAX_MS = 60000,
};

struct registrar {
	struct registrar_config config;
	struct https *https;
	pthread_t thread;
	int event_fd;
	size_t turn; /* which address is tried */
	atomic_bool abort;
	atomic_uint_fast64_t successes, failures;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	bool stop, kicked, has_answer, registered;
	unsigned goodbye_ms;
	struct registration answer;
};

unsigned registrar_backoff_ms(unsigned failures, unsigned min_ms, uint32_t random)
{
	uint64_t full = min_ms ? min_ms : BACKOFF_MIN_MS;

	for (unsigned i = 1; i < failures && full < BACKOFF_MAX_MS; i++)
		full *= 2;
	if (full > BACKOFF_MAX_MS)
		full = BACKOFF_MAX_MS;
	return (unsigned)(full - full / 2 * random / UINT32_MAX);
}

static char *base64(const uint8_t *bytes, char out[64])
{
	return sodium_bin2base64(out, 64, bytes, 32, sodium_base64_VARIANT_ORIGINAL);
}

static bool refused(const struct https_answer *a, const char *address, char *err, size_t err_len)
{
	char text[128];

	if (a->status == 200)
		return false;
	log_escape(text, sizeof(text), a->text, a->length < 100 ? a->length : 100);
	if (a->status == 401)
		snprintf(err, err_len, "%s: unauthorized (the reason is in the log of sluice-ctrl)", address);
	else if (a->status == 429)
		snprintf(err, err_len, "%s: the tunnel has as many connectors as it may", address);
	else
		snprintf(err, err_len, "%s: HTTP %ld: %s", address, a->status, text);
	return true;
}

/* Asks for a nonce over a new connection, whose certificate the proof will name. */
static bool challenge(struct registrar *r, const char *address, unsigned timeout_ms, uint8_t nonce[REGISTER_NONCE_BYTES],
		      uint8_t leaf[REGISTER_CERT_HASH_BYTES], char *err, size_t err_len)
{
	struct https_answer answer;
	json_t *body = json_pack("{s:i, s:s, s:s}", "version", 1, "account_tag", r->config.account_tag, "tunnel_id",
				 r->config.tunnel_id);
	char *text = json_dumps(body, JSON_COMPACT);
	bool good = https_post(r->https, address, "/v1/challenge", text, true, timeout_ms, &answer, err, err_len);

	free(text);
	json_decref(body);
	if (!good || refused(&answer, address, err, err_len))
		return false;
	if (!registration_parse_nonce(answer.text, answer.length, nonce)) {
		snprintf(err, err_len, "%s: the challenge is not of the form", address);
		return false;
	}
	if (!https_leaf_sha256(r->https, leaf)) {
		snprintf(err, err_len, "%s: the certificate cannot be read", address);
		return false;
	}
	return true;
}

static struct register_proof_fields fields_of(const struct registrar *r, const uint8_t *nonce, const uint8_t *leaf)
{
	const struct registrar_config *c = &r->config;

	return (struct register_proof_fields){
		.nonce = nonce,
		.account_tag = c->account_tag,
		.tunnel_id = c->tunnel_id,
		.connector_id = c->connector_id,
		.session_keys = c->session_keys,
		.session_key_count = c->session_key_count,
		.hostname = c->hostname,
		.client_version = c->version,
		.mode = c->mode,
		.cert_sha256 = leaf,
	};
}

static char *register_body(const struct registrar *r, const uint8_t *nonce, const uint8_t *proof)
{
	const struct registrar_config *c = &r->config;
	json_t *keys = json_array(), *body;
	char a[64], b[64], *text;

	for (size_t i = 0; i < c->session_key_count; i++)
		json_array_append_new(keys, json_string(base64(c->session_keys[i], a)));
	body = json_pack("{s:i, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:b, s:i, s:s}", "version", 1, "account_tag",
			 c->account_tag, "tunnel_id", c->tunnel_id, "connector_id", c->connector_id, "nonce",
			 base64(nonce, a), "session_keys", keys, "hostname", c->hostname, "client_version", c->version,
			 "mode", c->mode, "preserve_source", c->preserve_source, "mtu", (int)c->mtu, "proof",
			 base64(proof, b));
	text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	return text;
}

static bool try_register(struct registrar *r, const char *address, struct registration *out, char *err, size_t err_len)
{
	uint8_t nonce[REGISTER_NONCE_BYTES] = {0}, leaf[REGISTER_CERT_HASH_BYTES] = {0};
	uint8_t proof[REGISTER_PROOF_BYTES];
	struct register_proof_fields fields = fields_of(r, nonce, leaf);
	struct https_answer answer;
	const char *wrong;
	char *body;
	bool good;

	if (!challenge(r, address, TIMEOUT_MS, nonce, leaf, err, err_len))
		return false;
	register_proof_register(r->config.secret, r->config.secret_bytes, &fields, proof);
	body = register_body(r, nonce, proof);
	if (!body) {
		snprintf(err, err_len, "the host name is not UTF-8");
		return false;
	}
	good = https_post(r->https, address, "/v1/register", body, false, TIMEOUT_MS, &answer, err, err_len);
	free(body);
	if (!good || refused(&answer, address, err, err_len))
		return false;
	wrong = registration_parse(answer.text, answer.length, out);
	if (wrong)
		snprintf(err, err_len, "%s: the answer is not of the form: %s", address, wrong);
	return !wrong;
}

static void say_goodbye(struct registrar *r, unsigned timeout_ms)
{
	const char *address = r->config.edge[r->turn % r->config.edge_count];
	uint8_t nonce[REGISTER_NONCE_BYTES] = {0}, leaf[REGISTER_CERT_HASH_BYTES] = {0};
	uint8_t proof[REGISTER_PROOF_BYTES];
	struct register_proof_fields fields = fields_of(r, nonce, leaf);
	char err[512], a[64], b[64], *text = NULL;
	struct https_answer answer;
	json_t *body;

	atomic_store(&r->abort, false);
	if (challenge(r, address, timeout_ms / 2, nonce, leaf, err, sizeof(err))) {
		register_proof_goodbye(r->config.secret, r->config.secret_bytes, &fields, proof);
		body = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "version", 1, "account_tag", r->config.account_tag,
				 "tunnel_id", r->config.tunnel_id, "connector_id", r->config.connector_id, "nonce",
				 base64(nonce, a), "proof", base64(proof, b));
		text = json_dumps(body, JSON_COMPACT);
		json_decref(body);
		if (https_post(r->https, address, "/v1/goodbye", text, false, timeout_ms / 2, &answer, err, sizeof(err)) &&
		    !refused(&answer, address, err, sizeof(err)))
			err[0] = 0;
		free(text);
	}
	if (err[0])
		log_warn("goodbye failed, the lease will run out: %s", err);
}

/* Waits; true: stop. A kick ends the wait early where `kickable`. */
static bool wait_ms(struct registrar *r, uint64_t ms, bool kickable)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&r->lock);
	while (!r->stop && !(kickable && r->kicked))
		if (pthread_cond_timedwait(&r->wake, &r->lock, &until) == ETIMEDOUT)
			break;
	r->kicked = false;
	stop = r->stop;
	pthread_mutex_unlock(&r->lock);
	return stop;
}

static void publish(struct registrar *r, const struct registration *answer)
{
	pthread_mutex_lock(&r->lock);
	r->answer = *answer;
	r->has_answer = r->registered = true;
	pthread_mutex_unlock(&r->lock);
	atomic_fetch_add(&r->successes, 1);
	eventfd_write(r->event_fd, 1);
}

static void *run(void *arg)
{
	struct registrar *r = arg;
	unsigned failures = 0, pause_ms;
	struct registration answer;
	char err[1024];

	for (;;) {
		const char *address = r->config.edge[r->turn % r->config.edge_count];

		if (try_register(r, address, &answer, err, sizeof(err))) {
			if (failures || !atomic_load(&r->successes))
				log_info("registered at %s for tunnel %s", address, answer.tunnel_name);
			failures = 0;
			publish(r, &answer);
			pause_ms = answer.lease_s * 1000 / 3;
			/* no edge is there yet: ask again soon */
			if (!answer.edge_count && pause_ms > 2000)
				pause_ms = 2000;
		} else {
			if (atomic_load(&r->abort))
				break;
			failures++;
			r->turn++;
			atomic_fetch_add(&r->failures, 1);
			pthread_mutex_lock(&r->lock);
			r->registered = false;
			pthread_mutex_unlock(&r->lock);
			pause_ms = registrar_backoff_ms(failures, r->config.backoff_min_ms, randombytes_random());
			log_warn("registration failed, next attempt in %u ms: %s", pause_ms, err);
		}
		if (wait_ms(r, pause_ms, !failures))
			break;
	}
	if (r->goodbye_ms && atomic_load(&r->successes))
		say_goodbye(r, r->goodbye_ms);
	return NULL;
}

struct registrar *registrar_create(const struct registrar_config *config, char *err, size_t err_len)
{
	struct registrar *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (!r) {
		snprintf(err, err_len, "out of memory");
		return NULL;
	}
	r->config = *config;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	r->https = https_create(config->ca_pem, &r->abort, err, err_len);
	if (!r->https) {
		free(r);
		return NULL;
	}
	r->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (r->event_fd < 0 || pthread_create(&r->thread, NULL, run, r)) {
		snprintf(err, err_len, "the registration thread does not start");
		https_destroy(r->https);
		free(r);
		return NULL;
	}
	return r;
}

int registrar_fd(const struct registrar *r)
{
	return r->event_fd;
}

bool registrar_take(struct registrar *r, struct registration *out)
{
	eventfd_t ignored;
	bool has;

	eventfd_read(r->event_fd, &ignored);
	pthread_mutex_lock(&r->lock);
	has = r->has_answer;
	if (has)
		*out = r->answer;
	r->has_answer = false;
	pthread_mutex_unlock(&r->lock);
	return has;
}

void registrar_kick(struct registrar *r)
{
	pthread_mutex_lock(&r->lock);
	r->kicked = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

void registrar_destroy(struct registrar *r, unsigned goodbye_ms)
{
	if (!r)
		return;
	atomic_store(&r->abort, true);
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	r->goodbye_ms = goodbye_ms;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	https_destroy(r->https);
	close(r->event_fd);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void registrar_stats_get(struct registrar *r, struct registrar_stats *out)
{
	out->successes = atomic_load(&r->successes);
	out->failures = atomic_load(&r->failures);
	pthread_mutex_lock(&r->lock);
	out->registered = r->registered;
	pthread_mutex_unlock(&r->lock);
}
