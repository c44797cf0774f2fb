// SPDX-License-Identifier: BSD-3-Clause
// JSON-RPC 2.0 messages: strict parsing, classification, building.
#include "lib/ipc/rpc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

int ipc_error_set(struct ipc_error *e, const char *name, const char *field, const char *fmt, ...)
{
	char raw[sizeof(e->message)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	e->code = IPC_REFUSED;
	snprintf(e->name, sizeof(e->name), "%s", name);
	log_escape(e->field, sizeof(e->field), field ? field : "", field ? strlen(field) : 0);
	if (log_utf8_valid(raw, strlen(raw)))
		memcpy(e->message, raw, sizeof(raw));
	else
		log_escape(e->message, sizeof(e->message), raw, strlen(raw));
	return -1;
}

bool ipc_json_depth_ok(const char *text, size_t len, unsigned max)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > max)
				return false;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return true;
}

json_t *ipc_json_parse(const char *text, size_t len, char *err, size_t err_len)
{
	json_error_t je;
	json_t *j;

	if (!ipc_json_depth_ok(text, len, IPC_DEPTH_MAX)) {
		snprintf(err, err_len, "nested deeper than %d", IPC_DEPTH_MAX);
		return NULL;
	}
	if (memchr(text, 0, len)) { /* jansson takes one at the end for the end of the text */
		snprintf(err, err_len, "not JSON: a NUL byte");
		return NULL;
	}
	j = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (!j) {
		char shown[JSON_ERROR_TEXT_LENGTH];

		log_escape(shown, sizeof(shown), je.text, strlen(je.text));
		snprintf(err, err_len, "not JSON: %s (at byte %d)", shown, je.position);
	}
	return j;
}

static int refuse(struct ipc_msg *m, char *err, size_t err_len, const char *why)
{
	snprintf(err, err_len, "not a JSON-RPC 2.0 message: %s", why);
	ipc_msg_free(m);
	return IPC_INVALID_REQUEST;
}

/* True if every key of the object is one of the names. */
static bool only_keys(json_t *obj, const char *const *names)
{
	const char *key;
	json_t *v;

	json_object_foreach(obj, key, v) {
		unsigned i = 0;

		while (names[i] && strcmp(names[i], key) != 0)
			i++;
		if (!names[i])
			return false;
	}
	return true;
}

static int classify_call(struct ipc_msg *m, char *err, size_t err_len)
{
	static const char *const keys[] = {"jsonrpc", "id", "method", "params", NULL};
	json_t *method = json_object_get(m->root, "method");

	if (!only_keys(m->root, keys))
		return refuse(m, err, err_len, "an unknown member");
	if (!json_is_string(method) || json_string_length(method) == 0 || json_string_length(method) > 64)
		return refuse(m, err, err_len, "method must be a text of 1 to 64 bytes");
	m->method = json_string_value(method);
	m->params = json_object_get(m->root, "params");
	if (m->params && !json_is_object(m->params))
		return refuse(m, err, err_len, "params must be an object");
	m->kind = m->id ? IPC_REQUEST : IPC_NOTIFICATION;
	return 0;
}

static int classify_reply(struct ipc_msg *m, char *err, size_t err_len)
{
	static const char *const keys[] = {"jsonrpc", "id", "result", "error", NULL};

	m->result = json_object_get(m->root, "result");
	m->error = json_object_get(m->root, "error");
	if (!only_keys(m->root, keys) || !m->id || !m->result == !m->error)
		return refuse(m, err, err_len, "neither a call nor a reply");
	if (m->error && (!json_is_object(m->error) || !json_is_integer(json_object_get(m->error, "code")) ||
			 !json_is_string(json_object_get(m->error, "message"))))
		return refuse(m, err, err_len, "error must hold code and message");
	m->kind = m->error ? IPC_ERROR : IPC_RESULT;
	return 0;
}

int ipc_msg_parse(const char *line, size_t len, struct ipc_msg *m, char *err, size_t err_len)
{
	const char *version;

	*m = (struct ipc_msg){0};
	m->root = ipc_json_parse(line, len, err, err_len);
	if (!m->root)
		return IPC_PARSE_ERROR;
	if (json_is_array(m->root))
		return refuse(m, err, err_len, "batches are not supported");
	if (!json_is_object(m->root))
		return refuse(m, err, err_len, "it must be an object");
	version = json_string_value(json_object_get(m->root, "jsonrpc"));
	if (!version || strcmp(version, "2.0") != 0)
		return refuse(m, err, err_len, "jsonrpc must be \"2.0\"");
	m->id = json_object_get(m->root, "id");
	if (m->id && !json_is_string(m->id) && !json_is_integer(m->id) && !json_is_null(m->id))
		return refuse(m, err, err_len, "id must be a text, a whole number or null");
	if (json_object_get(m->root, "method"))
		return classify_call(m, err, err_len);
	return classify_reply(m, err, err_len);
}

void ipc_msg_free(struct ipc_msg *m)
{
	json_decref(m->root);
	*m = (struct ipc_msg){0};
}

struct text {
	char *p;
	size_t len, cap;
	bool failed;
};

static int text_add(const char *s, size_t n, void *arg)
{
	struct text *t = arg;

	if (t->failed)
		return -1;
	if (t->len + n + 1 > t->cap) {
		size_t cap = t->cap ? t->cap : 256;
		char *p;

		while (cap < t->len + n + 1)
			cap *= 2;
		p = malloc(cap);
		if (!p) {
			t->failed = true;
			return -1;
		}
		if (t->p) {
			memcpy(p, t->p, t->len);
			explicit_bzero(t->p, t->len);
			free(t->p);
		}
		t->p = p;
		t->cap = cap;
	}
	memcpy(t->p + t->len, s, n);
	t->len += n;
	return 0;
}

static void text_str(struct text *t, const char *s)
{
	text_add(s, strlen(s), t);
}

static void text_json(struct text *t, const json_t *j)
{
	if (!j)
		text_str(t, "null");
	else if (json_dump_callback(j, text_add, t, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
		t->failed = true;
}

static char *text_end(struct text *t, size_t *len)
{
	text_str(t, "\n");
	if (t->failed) {
		free(t->p);
		return NULL;
	}
	t->p[t->len] = 0;
	*len = t->len;
	return t->p;
}

static void text_call(struct text *t, const char *method, const json_t *params)
{
	json_t *m = json_string(method);

	text_str(t, "\"method\":");
	text_json(t, m);
	json_decref(m);
	if (params) {
		text_str(t, ",\"params\":");
		text_json(t, params);
	}
	text_str(t, "}");
}

char *ipc_build_request(json_int_t id, const char *method, const json_t *params, size_t *len)
{
	struct text t = {0};
	char head[64];

	snprintf(head, sizeof(head), "{\"jsonrpc\":\"2.0\",\"id\":%lld,", (long long)id);
	text_str(&t, head);
	text_call(&t, method, params);
	return text_end(&t, len);
}

char *ipc_build_notification(const char *method, const json_t *params, size_t *len)
{
	struct text t = {0};

	text_str(&t, "{\"jsonrpc\":\"2.0\",");
	text_call(&t, method, params);
	return text_end(&t, len);
}

char *ipc_build_result(const json_t *id, const json_t *result, size_t *len)
{
	struct text t = {0};

	text_str(&t, "{\"jsonrpc\":\"2.0\",\"id\":");
	text_json(&t, id);
	text_str(&t, ",\"result\":");
	text_json(&t, result);
	text_str(&t, "}");
	return text_end(&t, len);
}

char *ipc_build_error(const json_t *id, const struct ipc_error *e, size_t *len)
{
	struct text t = {0};
	json_t *err = json_pack("{s:i, s:s}", "code", e->code, "message", e->message);

	if (err && e->name[0])
		json_object_set_new(err, "data",
				    json_pack("{s:s, s:s?}", "code", e->name, "field", e->field[0] ? e->field : NULL));
	text_str(&t, "{\"jsonrpc\":\"2.0\",\"id\":");
	text_json(&t, id);
	text_str(&t, ",\"error\":");
	text_json(&t, err);
	text_str(&t, "}");
	if (!err)
		t.failed = true;
	json_decref(err);
	return text_end(&t, len);
}

static void copy_text(char *out, size_t out_len, const json_t *j)
{
	const char *s = json_string_value(j);

	log_escape(out, out_len, s ? s : "", s ? strlen(s) : 0);
}

void ipc_error_from_json(const json_t *error, struct ipc_error *e)
{
	const json_t *data = json_object_get(error, "data");
	json_int_t code = json_integer_value(json_object_get(error, "code"));

	*e = (struct ipc_error){.code = code < 0 && code >= -100000 ? (int)code : IPC_REFUSED};
	copy_text(e->name, sizeof(e->name), json_object_get(data, "code"));
	copy_text(e->field, sizeof(e->field), json_object_get(data, "field"));
	copy_text(e->message, sizeof(e->message), json_object_get(error, "message"));
}
