// SPDX-License-Identifier: BSD-3-Clause
// The sync client.
#include "dataplane/control/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <poll.h>
#include <sodium.h>

#include "dataplane/control/audit.h"
#include "dataplane/control/control.h"
#include "dataplane/control/grace.h"
#include "dataplane/control/runtime.h"
#include "dataplane/control/state.h"
#include "dataplane/handshake.h"
#include "lib/ipc/client.h"
#include "lib/log.h"

#define BACKOFF_MIN_MS   100
#define BACKOFF_MAX_MS   5000
#define SUBSCRIBE_MS     10000 /* the answer to a subscription must come within this */
#define FILE_WAIT_MS     2000  /* no tables from sluice-ctrl for so long after start: those of the file */
#define WAITING_MAX      64    /* revisions that wait for their grace period */
#define STEPS_A_TURN     4

struct waiting {
	uint64_t revision, token;
	json_t *errors, *warnings;
};

struct sync {
	struct control *control;
	struct ipc_client *client;
	int watched_fd; /* −1: none */
	short watched_events;
	bool subscribed, paused, finishing, file_tried;
	uint64_t next_try_ms, subscribe_by_ms, started_ms;
	unsigned backoff_ms, endpoints_version;
	uint64_t open_revision; /* of the change that is coming */
	unsigned n_waiting;
	struct waiting waiting[WAITING_MAX];
	char epoch[64];
	struct sync_status status;
};

struct sync *sync_create(struct control *control)
{
	struct sync *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->control = control;
	s->watched_fd = -1;
	s->backoff_ms = BACKOFF_MIN_MS;
	s->started_ms = control_now_ms();
	s->status.since_s = control_unix_s();
	return s;
}

static void drop_waiting(struct sync *s)
{
	for (unsigned i = 0; i < s->n_waiting; i++) {
		json_decref(s->waiting[i].errors);
		json_decref(s->waiting[i].warnings);
	}
	s->n_waiting = 0;
}

static void disconnect(struct sync *s, const char *why)
{
	bool told = s->status.connected;

	if (s->watched_fd >= 0)
		loop_remove(s->control->loop, s->watched_fd);
	s->watched_fd = -1;
	ipc_client_free(s->client);
	s->client = NULL;
	/* A change whose end came is whole; one that is still open will come again. */
	if (!s->finishing)
		apply_abort(s->control->apply);
	s->subscribed = s->status.connected = s->paused = false;
	s->next_try_ms = control_now_ms() + s->backoff_ms;
	s->backoff_ms = s->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : s->backoff_ms * 2;
	if (told) {
		s->status.since_s = control_unix_s();
		log_warn("sluice-ctrl is gone (%s): forwarding goes on with the tables of revision %llu", why,
			 (unsigned long long)s->status.applied);
	}
}

void sync_free(struct sync *s)
{
	if (!s)
		return;
	if (s->client) {
		s->status.connected = false;
		disconnect(s, "stopping");
	}
	drop_waiting(s);
	free(s);
}

void sync_status_get(const struct sync *s, struct sync_status *out)
{
	*out = s->status;
	out->epoch = s->epoch;
}

/* ---- what comes ---- */

static void on_begin(struct sync *s, const json_t *params)
{
	json_int_t revision = json_integer_value(json_object_get(params, "revision"));

	s->open_revision = revision > 0 ? (uint64_t)revision : 0;
	s->status.configured = s->open_revision;
	apply_begin(s->control->apply, s->open_revision, json_is_true(json_object_get(params, "snapshot")),
		    control_unix_s());
}

static void on_rows(struct sync *s, const json_t *params)
{
	const char *table = json_string_value(json_object_get(params, "table"));

	if (table)
		apply_rows(s->control->apply, table, json_object_get(params, "put"), json_object_get(params, "delete"));
}

/* What the end leaves to do takes many turns; nothing new is read before it is done. */
static void on_end(struct sync *s)
{
	apply_end(s->control->apply);
	s->finishing = true;
	s->paused = true;
	ipc_client_pause(s->client, true);
}

static void on_notification(struct ipc_client *c, const char *method, json_t *params, void *user)
{
	struct sync *s = user;

	(void)c;
	if (!strcmp(method, "sync.begin"))
		on_begin(s, params);
	else if (!strcmp(method, "sync.rows"))
		on_rows(s, params);
	else if (!strcmp(method, "sync.end"))
		on_end(s);
}

static void on_subscribed(struct ipc_client *c, json_t *result, const struct ipc_error *e, void *user)
{
	struct sync *s = user;
	const char *epoch = json_string_value(json_object_get(result, "epoch"));

	(void)c;
	if (!result || !epoch) {
		log_warn("sluice-ctrl refuses the subscription: %s", e ? e->message : "no epoch in its answer");
		s->subscribe_by_ms = 0;
		return;
	}
	if (strcmp(s->epoch, epoch) != 0)
		s->status.applied = 0;
	snprintf(s->epoch, sizeof(s->epoch), "%s", epoch);
	s->subscribed = s->status.connected = true;
	s->status.since_s = control_unix_s();
	s->backoff_ms = BACKOFF_MIN_MS;
	runtime_merge(s->control->runtime, json_object_get(result, "runtime"));
	runtime_give(s->control->runtime);
	runtime_tell_all(s->control->runtime);
	log_info("subscribed to sluice-ctrl: revision %lld, %s", json_integer_value(json_object_get(result, "revision")),
		 json_string_value(json_object_get(result, "mode")) ? json_string_value(json_object_get(result, "mode"))
								    : "");
	audit_flush(s->control);
}

/* ---- connecting ---- */

static json_t *public_keys(const struct sync *s)
{
	uint8_t keys[EDGE_MAX_KEYS][32];
	unsigned n = handshake_public_keys(s->control->edge->handshake, keys);
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++) {
		char text[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)];

		sodium_bin2base64(text, sizeof(text), keys[i], 32, sodium_base64_VARIANT_ORIGINAL);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *endpoints(struct sync *s)
{
	static char texts[EDGE_MAX_LISTEN * 4][IP_ENDPOINT_TEXT + 32];
	size_t n = net_endpoints(s->control->net, texts, EDGE_MAX_LISTEN * 4);
	json_t *list = json_array();

	s->endpoints_version = net_endpoints_version(s->control->net);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

/* Tables from a file do not count: after a start the whole is asked for. */
static void subscribe(struct sync *s, uint64_t now_ms)
{
	bool known = s->status.source == SYNC_CTRL && s->status.applied > 0;
	json_t *params = json_pack("{s:s,s:s,s:s,s:I,s:s?,s:i,s:o,s:o}", "edge_id", s->control->edge->config.edge_id,
				   "instance", s->control->instance, "version", SLUICE_VERSION, "revision",
				   known ? (json_int_t)s->status.applied : (json_int_t)0, "epoch",
				   known ? s->epoch : NULL, "workers", (int)s->control->edge->n_workers, "public_keys",
				   public_keys(s), "endpoints", endpoints(s));

	s->subscribe_by_ms = now_ms + SUBSCRIBE_MS;
	if (!params || ipc_client_request(s->client, "sync.subscribe", params, on_subscribed, s))
		s->subscribe_by_ms = 0;
	json_decref(params);
}

static void on_ready(void *arg, uint32_t events)
{
	struct sync *s = arg;
	int rc;

	(void)events;
	rc = s->client ? ipc_client_run(s->client) : 0;
	if (rc)
		disconnect(s, strerror(-rc));
}

static void watch(struct sync *s)
{
	short want = s->client ? ipc_client_events(s->client) : 0;
	uint32_t events = (want & POLLIN ? (uint32_t)EPOLLIN : 0) | (want & POLLOUT ? (uint32_t)EPOLLOUT : 0);

	if (!s->client)
		return;
	if (s->watched_fd < 0) {
		s->watched_fd = ipc_client_fd(s->client);
		loop_add(s->control->loop, s->watched_fd, events, on_ready, s);
	} else if (want != s->watched_events) {
		loop_modify(s->control->loop, s->watched_fd, events);
	}
	s->watched_events = want;
}

static void dial(struct sync *s, uint64_t now_ms)
{
	char err[256] = "";
	int error;

	s->client = ipc_client_connect(s->control->edge->config.ctrl_socket, err, sizeof(err), &error);
	if (!s->client) {
		log_rated(s->backoff_ms == BACKOFF_MIN_MS ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "%s", err);
		disconnect(s, err);
		return;
	}
	ipc_client_on_notification(s->client, on_notification, s);
	subscribe(s, now_ms);
}

/* sluice-ctrl is not there: the tables of the last run. */
static void load_file(struct sync *s)
{
	uint64_t revision = 0;
	char err[512] = "";
	int rc = state_load(s->control->state, control_unix_s(), &revision, err, sizeof(err));

	runtime_load_file(s->control->runtime);
	if (rc < 0) {
		log_warn("%s", err);
		apply_abort(s->control->apply);
	}
	if (rc != 1) {
		log_warn("no tables: sluice-ctrl does not answer and there is none from an earlier run");
		return;
	}
	s->status.source = SYNC_FILE;
	s->status.applied = revision;
	runtime_give(s->control->runtime);
	log_warn("sluice-ctrl does not answer: forwarding with the tables of revision %llu from an earlier run",
		 (unsigned long long)revision);
}

/* ---- answering ---- */

/* The change is in the tables; its answer waits for the workers. */
static void change_done(struct sync *s)
{
	struct waiting *w;

	s->finishing = false;
	s->status.source = SYNC_CTRL;
	state_changed(s->control->state, s->open_revision, s->epoch);
	if (s->n_waiting == WAITING_MAX) {
		/* The oldest is told by the ones after it. */
		json_decref(s->waiting[0].errors);
		json_decref(s->waiting[0].warnings);
		memmove(&s->waiting[0], &s->waiting[1], sizeof(s->waiting) - sizeof(s->waiting[0]));
		s->n_waiting--;
	}
	w = &s->waiting[s->n_waiting++];
	*w = (struct waiting){s->open_revision, grace_start(s->control->edge), apply_errors(s->control->apply),
			      json_deep_copy(apply_warnings(s->control->apply))};
}

static void answer(struct sync *s, struct waiting *w)
{
	json_t *params = json_pack("{s:s,s:s,s:I,s:O,s:O}", "edge_id", s->control->edge->config.edge_id, "instance",
				   s->control->instance, "revision", (json_int_t)w->revision, "errors", w->errors,
				   "warnings", w->warnings);

	s->status.applied = w->revision;
	if (params && s->client && s->subscribed)
		ipc_client_notify(s->client, "sync.applied", params);
	json_decref(params);
	json_decref(w->errors);
	json_decref(w->warnings);
}

static void answer_all(struct sync *s)
{
	unsigned n = 0;

	while (n < s->n_waiting && grace_passed(s->control->edge, s->waiting[n].token))
		answer(s, &s->waiting[n++]);
	memmove(s->waiting, s->waiting + n, (s->n_waiting - n) * sizeof(s->waiting[0]));
	s->n_waiting -= n;
}

static void step(struct sync *s)
{
	for (unsigned i = 0; i < STEPS_A_TURN && s->finishing; i++)
		if (apply_step(s->control->apply))
			change_done(s);
}

/* Reading goes on when the last change is done and no file is being written. */
static void go_on(struct sync *s)
{
	bool pause = s->finishing || state_writing(s->control->state);

	if (!s->client || pause == s->paused)
		return;
	s->paused = pause;
	ipc_client_pause(s->client, pause);
	if (!pause)
		on_ready(s, 0);
}

int sync_turn(struct sync *s, uint64_t now_ms)
{
	if (s->finishing)
		step(s);
	answer_all(s);
	if (s->status.source == SYNC_NONE && !s->subscribed && !s->file_tried &&
	    now_ms >= s->started_ms + (s->client ? FILE_WAIT_MS : BACKOFF_MIN_MS)) {
		s->file_tried = true; /* once */
		load_file(s);
	}
	if (!s->client && now_ms >= s->next_try_ms)
		dial(s, now_ms);
	if (s->client && !s->subscribed && now_ms >= s->subscribe_by_ms)
		disconnect(s, "no answer to the subscription");
	if (s->subscribed && s->endpoints_version != net_endpoints_version(s->control->net))
		subscribe(s, now_ms);
	go_on(s);
	watch(s);
	if (s->finishing)
		return 0;
	return s->n_waiting ? 1 : s->client ? 100 : (int)(s->next_try_ms > now_ms ? s->next_try_ms - now_ms : 1);
}

bool sync_notify(struct sync *s, const char *method, const json_t *params)
{
	return s->client && s->subscribed && ipc_client_notify(s->client, method, params) == 0;
}

void sync_report(struct sync *s)
{
	json_t *report;

	runtime_collect(s->control->runtime);
	if (!s->subscribed)
		return;
	while ((report = runtime_report(s->control->runtime))) {
		size_t n = json_array_size(json_object_get(report, "peers"));
		int rc;

		json_object_set_new(report, "edge_id", json_string(s->control->edge->config.edge_id));
		json_object_set_new(report, "instance", json_string(s->control->instance));
		rc = ipc_client_notify(s->client, "edge.report", report);
		json_decref(report);
		if (!rc)
			runtime_told(s->control->runtime);
		if (rc || n < 500)
			break;
	}
}
