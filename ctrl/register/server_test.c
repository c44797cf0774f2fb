// SPDX-License-Identifier: BSD-3-Clause
// Tests of the registration server over real HTTPS on loopback, with a store of two tunnels in memory.
#include "ctrl/register/register.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <sodium.h>

#include "lib/log.h"

#define ACCOUNT "0123456789abcdef0123456789abcdef"
#define TUNNEL "8e343b13-a087-48ea-825f-9783931ff2a5"
#define OTHER_TUNNEL "11111111-a087-48ea-825f-9783931ff2a5"
#define CONNECTOR "00000000-1111-4222-8333-444444444444"

/* The store: what the tests set, and what the server did with it. */
static struct {
	uint8_t secret[32], second_secret[32], other_secret[32];
	bool has_second, deleted;
	unsigned others;
	bool delay, refuse;		/* put: answer from the loop's next turn; refuse */
	struct register_call *delayed;
	atomic_uint puts, goodbyes;
	struct register_request last;
	char last_goodbye[64];
} store;

static struct register_server *server;
static char dir[] = "/tmp/sluice-register-XXXXXX", base_url[64], ca_path[128];
static pthread_t loop;
static atomic_bool loop_stop;

static int store_tunnel(void *ctx, const char *account_tag, const char *tunnel_id, const char *connector_id,
			struct register_tunnel *out)
{
	(void)ctx;
	(void)connector_id;
	if (strcmp(account_tag, ACCOUNT) || store.deleted)
		return -ENOENT;
	if (!strcmp(tunnel_id, OTHER_TUNNEL)) {
		out->secret_count = 1;
		out->secrets[0].length_bytes = 32;
		memcpy(out->secrets[0].bytes, store.other_secret, 32);
		return 0;
	}
	if (strcmp(tunnel_id, TUNNEL))
		return -ENOENT;
	out->secret_count = store.has_second ? 2 : 1;
	out->secrets[0].length_bytes = out->secrets[1].length_bytes = 32;
	memcpy(out->secrets[0].bytes, store.secret, 32);
	memcpy(out->secrets[1].bytes, store.second_secret, 32);
	out->other_connectors = store.others;
	return 0;
}

static void store_answer(struct register_call *call)
{
	json_t *edges = json_pack("[{s:s, s:i, s:[s], s:[s]}]", "edge_id", "edge1", "workers", 2, "public_keys",
				  "AAAA", "endpoints", "203.0.113.1:51820");
	const struct register_answer answer = {
		.lease_s = 60, .tunnel_name = "api-zt", .sessions = 2, .mtu = 1280, .edges = edges};

	register_call_answer(call, &answer);
	json_decref(edges);
}

static void store_put(void *ctx, const struct register_request *request, struct register_call *call)
{
	(void)ctx;
	store.last = *request;
	atomic_fetch_add(&store.puts, 1);
	if (store.refuse)
		register_call_refuse(call, "session_keys[0] belongs to another peer");
	else if (store.delay)
		store.delayed = call;
	else
		store_answer(call);
}

static void store_goodbye(void *ctx, const char *account_tag, const char *tunnel_id, const char *connector_id)
{
	(void)ctx;
	(void)account_tag;
	(void)tunnel_id;
	snprintf(store.last_goodbye, sizeof(store.last_goodbye), "%s", connector_id);
	atomic_fetch_add(&store.goodbyes, 1);
}

/* The daemon's loop. */
static void *run_loop(void *arg)
{
	struct pollfd p = {.fd = register_server_fd(server), .events = POLLIN};

	(void)arg;
	while (!atomic_load(&loop_stop)) {
		int ready = poll(&p, 1, 50);

		if (store.delayed && !ready) {
			store_answer(store.delayed);
			store.delayed = NULL;
		}
		if (ready > 0)
			register_server_dispatch(server);
	}
	return NULL;
}

static void start_server(uint64_t life_ms)
{
	static const char *const listen[] = {"127.0.0.1:0"}, *const names[] = {"localhost", "127.0.0.1"};
	const struct register_server_config config = {
		.listen = listen,
		.listen_count = 1,
		.tls_dir = dir,
		.names = names,
		.name_count = 2,
		.challenge_life_ms = life_ms,
		.backend = {NULL, store_tunnel, store_put, store_goodbye},
	};
	char err[256] = "";

	if (register_server_create(&config, &server, err, sizeof(err)))
		fail_msg("%s", err);
	snprintf(base_url, sizeof(base_url), "https://127.0.0.1:%u/v1/", register_server_port(server, 0));
	atomic_store(&loop_stop, false);
	pthread_create(&loop, NULL, run_loop, NULL);
}

static void stop_server(void)
{
	atomic_store(&loop_stop, true);
	pthread_join(loop, NULL);
	register_server_destroy(server);
	server = NULL;
}

static int setup_group(void **state)
{
	(void)state;
	log_init("register-test", LOG_LEVEL_ERROR, false);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	memset(store.secret, 1, 32);
	memset(store.second_secret, 2, 32);
	memset(store.other_secret, 3, 32);
	if (!mkdtemp(dir))
		return -1;
	snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", dir);
	start_server(0);
	return 0;
}

static int teardown_group(void **state)
{
	char path[512];
	struct dirent *e;
	DIR *d = opendir(dir);

	(void)state;
	stop_server();
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		unlink(path);
	}
	closedir(d);
	rmdir(dir);
	return 0;
}

static int reset(void **state)
{
	(void)state;
	store.has_second = store.deleted = store.delay = store.refuse = false;
	store.others = 0;
	atomic_store(&store.puts, 0);
	atomic_store(&store.goodbyes, 0);
	return 0;
}

struct reply {
	CURLcode code;
	long status;
	char text[4096];
	size_t bytes;
	uint8_t cert_sha256[32];
};

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct reply *r = arg;

	if (n > sizeof(r->text) - 1 - r->bytes)
		return 0;
	memcpy(r->text + r->bytes, data, n * size);
	r->bytes += n;
	return n;
}

/* SHA-256 of the leaf, from the PEM that curl reports. */
static void hash_leaf(CURL *curl, uint8_t out[32])
{
	struct curl_certinfo *info = NULL;
	const char *pem = NULL, *end;
	uint8_t der[4096];
	size_t der_bytes = 0;

	curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info);
	for (struct curl_slist *s = info && info->num_of_certs ? info->certinfo[0] : NULL; s; s = s->next)
		if (!strncmp(s->data, "Cert:", 5))
			pem = strstr(s->data, "-----BEGIN CERTIFICATE-----");
	assert_non_null(pem);
	pem += strlen("-----BEGIN CERTIFICATE-----");
	end = strstr(pem, "-----END");
	assert_non_null(end);
	assert_int_equal(sodium_base642bin(der, sizeof(der), pem, (size_t)(end - pem), "\r\n", &der_bytes, NULL,
					   sodium_base64_VARIANT_ORIGINAL),
			 0);
	crypto_hash_sha256(out, der, der_bytes);
}

static struct reply request(const char *path, const char *ca, long tls, const char *body, size_t bytes)
{
	struct reply r = {0};
	CURL *curl = curl_easy_init();
	char url[128];

	snprintf(url, sizeof(url), "%s%s", base_url, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, tls);
	curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
	if (body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)bytes);
	}
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r);
	r.code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r.status);
	if (r.code == CURLE_OK)
		hash_leaf(curl, r.cert_sha256);
	curl_easy_cleanup(curl);
	return r;
}

static struct reply post(const char *path, const char *body)
{
	return request(path, ca_path, CURL_SSLVERSION_TLSv1_3, body, strlen(body));
}

struct caller {
	const char *account_tag, *tunnel_id;
	uint8_t secret[32];
	uint8_t nonce[32], cert_sha256[32], proof[32];
	uint8_t keys[2][32];
};

/* Asks for a challenge that must say that it lives `seconds`. */
static void challenge_for(struct caller *c, int seconds)
{
	char body[256], *base64;
	struct reply r;
	json_t *root;

	snprintf(body, sizeof(body), "{\"version\": 1, \"account_tag\": \"%s\", \"tunnel_id\": \"%s\"}", c->account_tag,
		 c->tunnel_id);
	r = post("challenge", body);
	assert_int_equal(r.code, CURLE_OK);
	assert_int_equal(r.status, 200);
	memcpy(c->cert_sha256, r.cert_sha256, 32);
	root = json_loads(r.text, 0, NULL);
	assert_non_null(root);
	base64 = strdup(json_string_value(json_object_get(root, "nonce")));
	assert_int_equal(json_integer_value(json_object_get(root, "expires_in_s")), seconds);
	assert_int_equal(sodium_base642bin(c->nonce, 32, base64, strlen(base64), NULL, NULL, NULL,
					   sodium_base64_VARIANT_ORIGINAL),
			 0);
	free(base64);
	json_decref(root);
}

static void challenge(struct caller *c)
{
	challenge_for(c, 30);
}

static struct caller caller_make(void)
{
	struct caller c = {.account_tag = ACCOUNT, .tunnel_id = TUNNEL};

	memcpy(c.secret, store.secret, 32);
	memset(c.keys[0], 0x44, 32);
	memset(c.keys[1], 0x55, 32);
	return c;
}

static struct register_proof_fields fields_of(const struct caller *c)
{
	return (struct register_proof_fields){
		.nonce = c->nonce,
		.account_tag = c->account_tag,
		.tunnel_id = c->tunnel_id,
		.connector_id = CONNECTOR,
		.session_keys = c->keys,
		.session_key_count = 2,
		.hostname = "node-1",
		.client_version = "0.1.0",
		.mode = "userspace",
		.cert_sha256 = c->cert_sha256,
	};
}

static char *base64_of(const uint8_t *bytes, char out[64])
{
	return sodium_bin2base64(out, 64, bytes, 32, sodium_base64_VARIANT_ORIGINAL);
}

static struct reply send_register(const struct caller *c)
{
	char nonce[64], proof[64], key0[64], key1[64];
	json_t *body = json_pack("{s:i, s:s, s:s, s:s, s:s, s:[s, s], s:s, s:s, s:s, s:b, s:i, s:s}", "version", 1,
				 "account_tag", c->account_tag, "tunnel_id", c->tunnel_id, "connector_id", CONNECTOR,
				 "nonce", base64_of(c->nonce, nonce), "session_keys", base64_of(c->keys[0], key0),
				 base64_of(c->keys[1], key1), "hostname", "node-1", "client_version", "0.1.0", "mode",
				 "userspace", "preserve_source", 0, "mtu", 1280, "proof", base64_of(c->proof, proof));
	char *text = json_dumps(body, 0);
	struct reply r = post("register", text);

	free(text);
	json_decref(body);
	return r;
}

static struct reply prove_and_register(struct caller *c)
{
	const struct register_proof_fields f = fields_of(c);

	register_proof_register(c->secret, sizeof(c->secret), &f, c->proof);
	return send_register(c);
}

#define assert_refused(got)                                                                        \
	do {                                                                                       \
		struct reply r_ = (got);                                                           \
		assert_int_equal(r_.code, CURLE_OK);                                               \
		assert_int_equal(r_.status, 401);                                                  \
		assert_string_equal(r_.text, "{\"error\": \"unauthorized\"}");                     \
		assert_int_equal(atomic_load(&store.puts), 0);                                     \
	} while (0)

static void good_registration(void **state)
{
	struct caller c = caller_make();
	struct reply r;
	json_t *root;

	(void)state;
	challenge(&c);
	r = prove_and_register(&c);
	assert_int_equal(r.status, 200);
	root = json_loads(r.text, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(root, "lease_s")), 60);
	assert_string_equal(json_string_value(json_object_get(root, "tunnel_name")), "api-zt");
	assert_int_equal(json_integer_value(json_object_get(root, "sessions")), 2);
	assert_int_equal(json_array_size(json_object_get(root, "edges")), 1);
	json_decref(root);
	assert_string_equal(store.last.connector_id, CONNECTOR);
	assert_string_equal(store.last.hostname, "node-1");
	assert_int_equal(store.last.session_key_count, 2);
	assert_memory_equal(store.last.session_keys[1], c.keys[1], 32);
	assert_int_equal(strncmp(store.last.remote, "127.0.0.1:", 10), 0);
}

static void answer_may_come_later(void **state)
{
	struct caller c = caller_make();

	(void)state;
	store.delay = true;
	challenge(&c);
	assert_int_equal(prove_and_register(&c).status, 200);
}

static void store_may_refuse(void **state)
{
	struct caller c = caller_make();
	struct reply r;

	(void)state;
	store.refuse = true;
	challenge(&c);
	r = prove_and_register(&c);
	assert_int_equal(r.status, 401);
	assert_string_equal(r.text, "{\"error\": \"unauthorized\"}");
}

static void either_secret_proves_while_a_rotation_overlaps(void **state)
{
	struct caller c = caller_make();

	(void)state;
	memcpy(c.secret, store.second_secret, 32);
	challenge(&c);
	assert_refused(prove_and_register(&c)); /* known to the store, but not valid now */
	store.has_second = true;
	challenge(&c);
	assert_int_equal(prove_and_register(&c).status, 200);
}

static void wrong_secret(void **state)
{
	struct caller c = caller_make();

	(void)state;
	c.secret[0] ^= 1;
	challenge(&c);
	assert_refused(prove_and_register(&c));
}

static void unknown_tunnel_and_account(void **state)
{
	struct caller c = caller_make();

	(void)state;
	c.tunnel_id = "99999999-a087-48ea-825f-9783931ff2a5";
	challenge(&c);
	assert_refused(prove_and_register(&c));
	c = caller_make();
	c.account_tag = "ffffffffffffffffffffffffffffffff";
	challenge(&c);
	assert_refused(prove_and_register(&c));
}

static void deleted_tunnel(void **state)
{
	struct caller c = caller_make();

	(void)state;
	challenge(&c);
	store.deleted = true;
	assert_refused(prove_and_register(&c));
}

static void replayed_proof(void **state)
{
	struct caller c = caller_make();

	(void)state;
	challenge(&c);
	assert_int_equal(prove_and_register(&c).status, 200);
	atomic_store(&store.puts, 0);
	assert_refused(send_register(&c));
}

static void challenge_of_another_tunnel(void **state)
{
	struct caller c = caller_make();

	(void)state;
	c.tunnel_id = OTHER_TUNNEL;
	challenge(&c);
	c.tunnel_id = TUNNEL;
	assert_refused(prove_and_register(&c));
}

static void made_up_nonce(void **state)
{
	struct caller c = caller_make();

	(void)state;
	challenge(&c);
	randombytes_buf(c.nonce, 32);
	assert_refused(prove_and_register(&c));
}

static void proof_for_another_server(void **state)
{
	struct caller c = caller_make();

	(void)state;
	challenge(&c);
	c.cert_sha256[0] ^= 1;
	assert_refused(prove_and_register(&c));
}

static void too_many_connectors(void **state)
{
	struct caller c = caller_make();
	struct reply r;

	(void)state;
	store.others = REGISTER_CONNECTORS_MAX - 1;
	challenge(&c);
	assert_int_equal(prove_and_register(&c).status, 200); /* the 64th */
	atomic_store(&store.puts, 0);
	store.others = REGISTER_CONNECTORS_MAX;
	challenge(&c);
	r = prove_and_register(&c);
	assert_int_equal(r.status, 429);
	assert_string_equal(r.text, "{\"error\": \"limit\"}");
	assert_int_equal(atomic_load(&store.puts), 0);
	/* only a caller who knows the secret is told so */
	c.secret[0] ^= 1;
	challenge(&c);
	assert_refused(prove_and_register(&c));
}

static struct reply send_goodbye(const struct caller *c)
{
	char nonce[64], proof[64], body[1024];

	snprintf(body, sizeof(body),
		 "{\"version\": 1, \"account_tag\": \"%s\", \"tunnel_id\": \"%s\", \"connector_id\": \"%s\", "
		 "\"nonce\": \"%s\", \"proof\": \"%s\"}",
		 c->account_tag, c->tunnel_id, CONNECTOR, base64_of(c->nonce, nonce), base64_of(c->proof, proof));
	return post("goodbye", body);
}

static void goodbye(void **state)
{
	struct caller c = caller_make();
	struct register_proof_fields f = fields_of(&c);
	struct reply r;

	(void)state;
	challenge(&c);
	register_proof_register(c.secret, 32, &f, c.proof); /* a registration's proof takes no leave */
	assert_int_equal(send_goodbye(&c).status, 401);
	assert_int_equal(atomic_load(&store.goodbyes), 0);
	register_proof_goodbye(c.secret, 32, &f, c.proof);
	r = send_goodbye(&c);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.text, "{}");
	assert_int_equal(atomic_load(&store.goodbyes), 1);
	assert_string_equal(store.last_goodbye, CONNECTOR);
}

#define IDS "\"version\": 1, \"account_tag\": \"a\", \"tunnel_id\": \"t\""
#define B32 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define REST "\"hostname\": \"h\", \"client_version\": \"v\", \"mode\": \"tun\", \"preserve_source\": true, \"mtu\": 1280"
#define CONN "\"connector_id\": \"" CONNECTOR "\""
#define NONCE "\"nonce\": \"" B32 "\""
#define PROOF "\"proof\": \"" B32 "\""
#define KEYS "\"session_keys\": [\"" B32 "\"]"

static void malformed_bodies(void **state)
{
	static const struct {
		const char *path, *body;
		long status;
	} cases[] = {
		/* 0 */ {"challenge", "", 400},
		/* 1 */ {"challenge", "{", 400},
		/* 2 */ {"challenge", "[]", 400},
		/* 3 */ {"challenge", "{" IDS "} x", 400},
		/* 4 */ {"challenge", "{\"version\": 2, \"account_tag\": \"a\", \"tunnel_id\": \"t\"}", 400},
		/* 5 */ {"challenge", "{\"version\": 1, \"account_tag\": \"a\"}", 400},
		/* 6 */ {"challenge", "{" IDS ", \"more\": 1}", 400},
		/* 7 */ {"challenge", "{" IDS ", \"version\": 1}", 400},
		/* 8 */ {"challenge", "{\"version\": 1, \"account_tag\": \"a b\", \"tunnel_id\": \"t\"}", 400},
		/* 9 */ {"challenge", "{\"version\": 1, \"account_tag\": \"\", \"tunnel_id\": \"t\"}", 400},
		/* 10 */ {"challenge", "{" IDS "}", 200},
		/* 11: well-formed, so judged */
		{"register", "{" IDS "," CONN "," NONCE "," KEYS "," REST "," PROOF "}", 401},
		/* 12 */ {"register", "{" IDS "," CONN "," NONCE "," REST "," PROOF "}", 400},
		/* 13 */ {"register", "{" IDS "," CONN "," NONCE ", \"session_keys\": []," REST "," PROOF "}", 400},
		/* 14: the same key twice */
		{"register",
		 "{" IDS "," CONN "," NONCE ", \"session_keys\": [\"" B32 "\", \"" B32 "\"]," REST "," PROOF "}", 400},
		/* 15: a key of 31 bytes */
		{"register",
		 "{" IDS "," CONN "," NONCE ", \"session_keys\": [\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\"],"
		 REST "," PROOF "}", 400},
		/* 16: upper case */
		{"register", "{" IDS ", \"connector_id\": \"00000000-1111-4222-8333-44444444444A\"," NONCE "," KEYS
		 "," REST "," PROOF "}", 400},
		/* 17 */ {"register", "{" IDS "," CONN "," NONCE "," KEYS ", \"hostname\": \"h\\u0000\", "
		 "\"client_version\": \"v\", \"mode\": \"tun\", \"preserve_source\": true, \"mtu\": 1280," PROOF "}", 400},
		/* 18 */ {"register", "{" IDS "," CONN "," NONCE "," KEYS ", \"hostname\": \"h\", "
		 "\"client_version\": \"v\", \"mode\": \"tap\", \"preserve_source\": true, \"mtu\": 1280," PROOF "}", 400},
		/* 19 */ {"register", "{" IDS "," CONN "," NONCE "," KEYS ", \"hostname\": \"h\", "
		 "\"client_version\": \"v\", \"mode\": \"tun\", \"preserve_source\": true, \"mtu\": 575," PROOF "}", 400},
		/* 20 */ {"register", "{" IDS "," CONN "," NONCE "," KEYS ", \"hostname\": \"h\", "
		 "\"client_version\": \"v\", \"mode\": \"tun\", \"preserve_source\": 1, \"mtu\": 1280," PROOF "}", 400},
		/* 21 */ {"goodbye", "{" IDS "," CONN "," NONCE "," PROOF "}", 401},
		/* 22 */ {"goodbye", "{" IDS "," CONN "," NONCE "," PROOF "," KEYS "}", 400},
		/* 23 */ {"other", "{}", 404},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply r = post(cases[i].path, cases[i].body);

		if (r.status != cases[i].status)
			fail_msg("case %zu: %ld, not %ld: %s", i, r.status, cases[i].status, r.text);
		if (r.status == 400)
			assert_string_equal(r.text, "{\"error\": \"bad_request\"}");
	}
	assert_int_equal(request("register", ca_path, CURL_SSLVERSION_TLSv1_3, NULL, 0).status, 405);
}

static void oversized_body(void **state)
{
	static char body[16 * 1024 + 2];
	struct reply r;

	(void)state;
	memset(body, ' ', sizeof(body) - 1);
	memcpy(body, "{" IDS "}", strlen("{" IDS "}"));
	body[16 * 1024] = 0; /* exactly the limit, by spaces */
	assert_int_equal(post("challenge", body).status, 200);
	body[16 * 1024] = ' ';
	r = post("challenge", body);
	assert_int_equal(r.status, 400);
	assert_string_equal(r.text, "{\"error\": \"bad_request\"}");
}

static void old_tls_and_other_authorities_fail(void **state)
{
	(void)state;
	assert_int_equal(request("challenge", ca_path, CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2, "{}", 2)
				 .code,
			 CURLE_SSL_CONNECT_ERROR);
	assert_int_equal(request("challenge", "/etc/ssl/certs/ca-certificates.crt", CURL_SSLVERSION_TLSv1_3, "{}", 2)
				 .status,
			 0);
}

static void expired_challenge(void **state)
{
	struct caller c = caller_make();

	(void)state;
	stop_server();
	start_server(200);
	challenge_for(&c, 0);
	usleep(300 * 1000);
	assert_refused(prove_and_register(&c));
	stop_server();
	start_server(0);
}

static void certificate_is_kept_and_private(void **state)
{
	struct caller a = caller_make(), b = caller_make();
	char path[128];
	struct stat st;

	(void)state;
	challenge(&a);
	stop_server();
	start_server(0);
	challenge(&b);
	assert_memory_equal(a.cert_sha256, b.cert_sha256, 32);
	/* a nonce of the run before does not serve */
	assert_refused(prove_and_register(&a));
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = {"ca.pem", "ca-key.pem", "server.pem", "server-key.pem"};

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void lost_files_are_made_again_under_the_same_authority(void **state)
{
	struct caller a = caller_make(), b = caller_make();
	char path[128], old_ca[128];

	(void)state;
	challenge(&a);
	stop_server();
	snprintf(path, sizeof(path), "%s/server-key.pem", dir);
	unlink(path);
	snprintf(old_ca, sizeof(old_ca), "%s/pinned.pem", dir);
	rename(ca_path, old_ca); /* the key alone stays: a client still trusts what it pinned */
	start_server(0);
	{
		struct reply r = request("challenge", old_ca, CURL_SSLVERSION_TLSv1_3, "{" IDS "}", strlen("{" IDS "}"));

		assert_int_equal(r.status, 200);
	}
	challenge(&b);
	assert_memory_not_equal(a.cert_sha256, b.cert_sha256, 32);
}

static void keys_that_others_may_read_stop_the_start(void **state)
{
	static const char *const listen[] = {"127.0.0.1:0"}, *const names[] = {"localhost"};
	const struct register_server_config config = {
		.listen = listen, .listen_count = 1, .tls_dir = dir, .names = names, .name_count = 1};
	struct register_server *s = NULL;
	char path[128], err[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/ca-key.pem", dir);
	chmod(path, 0640);
	assert_int_not_equal(register_server_create(&config, &s, err, sizeof(err)), 0);
	assert_non_null(strstr(err, "ca-key.pem: others may read or write it"));
	chmod(path, 0600);
	snprintf(path, sizeof(path), "%s/gone.pem", dir);
	{
		char key[128];

		snprintf(key, sizeof(key), "%s/ca-key.pem", dir);
		rename(key, path);
		assert_int_not_equal(register_server_create(&config, &s, err, sizeof(err)), 0);
		assert_non_null(strstr(err, "is missing while its certificate is there"));
		rename(path, key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(good_registration, reset),
		cmocka_unit_test_setup(answer_may_come_later, reset),
		cmocka_unit_test_setup(store_may_refuse, reset),
		cmocka_unit_test_setup(either_secret_proves_while_a_rotation_overlaps, reset),
		cmocka_unit_test_setup(wrong_secret, reset),
		cmocka_unit_test_setup(unknown_tunnel_and_account, reset),
		cmocka_unit_test_setup(deleted_tunnel, reset),
		cmocka_unit_test_setup(replayed_proof, reset),
		cmocka_unit_test_setup(challenge_of_another_tunnel, reset),
		cmocka_unit_test_setup(made_up_nonce, reset),
		cmocka_unit_test_setup(proof_for_another_server, reset),
		cmocka_unit_test_setup(too_many_connectors, reset),
		cmocka_unit_test_setup(goodbye, reset),
		cmocka_unit_test_setup(malformed_bodies, reset),
		cmocka_unit_test_setup(oversized_body, reset),
		cmocka_unit_test_setup(old_tls_and_other_authorities_fail, reset),
		cmocka_unit_test_setup(expired_challenge, reset),
		cmocka_unit_test_setup(certificate_is_kept_and_private, reset),
		cmocka_unit_test_setup(lost_files_are_made_again_under_the_same_authority, reset),
		cmocka_unit_test_setup(keys_that_others_may_read_stop_the_start, reset),
	};

	return cmocka_run_group_tests_name("register_server", tests, setup_group, teardown_group);
}
