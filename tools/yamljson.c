// SPDX-License-Identifier: BSD-3-Clause
// YAML in and out through libyaml's events.
#include "tools/yamljson.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
	yaml_parser_t parser;
	char *why;
	size_t why_size;
	bool failed;
};

static json_t *complain(struct reader *r, const yaml_mark_t *at, const char *what)
{
	if (!r->failed)
		snprintf(r->why, r->why_size, "line %zu: %s", at->line + 1, what);
	r->failed = true;
	return NULL;
}

static bool next(struct reader *r, yaml_event_t *e)
{
	if (yaml_parser_parse(&r->parser, e))
		return true;
	memset(e, 0, sizeof(*e));
	complain(r, &r->parser.problem_mark, r->parser.problem ? r->parser.problem : "not YAML");
	return false;
}

/* A whole decimal number without leading zeros. */
static bool is_int(const char *s)
{
	s += *s == '-' || *s == '+';
	if (!isdigit((unsigned char)*s) || (*s == '0' && s[1]))
		return false;
	return strspn(s, "0123456789") == strlen(s) && strlen(s) <= 18;
}

static bool is_float(const char *s)
{
	bool dot = false, exp = false;
	char *end;

	for (const char *c = s; *c; c++) {
		dot |= *c == '.';
		exp |= *c == 'e' || *c == 'E';
		if (!strchr("0123456789+-.eE", *c))
			return false;
	}
	if ((!dot && !exp) || !isdigit((unsigned char)s[*s == '-' || *s == '+']))
		return false;
	return isfinite(strtod(s, &end)) && !*end;
}

/* What a plain scalar means. */
static json_t *plain(const char *s, size_t len)
{
	if (strlen(s) != len)
		return NULL;
	if (!*s || !strcmp(s, "~") || !strcmp(s, "null") || !strcmp(s, "Null") || !strcmp(s, "NULL"))
		return json_null();
	if (!strcmp(s, "true") || !strcmp(s, "True") || !strcmp(s, "TRUE"))
		return json_true();
	if (!strcmp(s, "false") || !strcmp(s, "False") || !strcmp(s, "FALSE"))
		return json_false();
	if (is_int(s))
		return json_integer(strtoll(s, NULL, 10));
	if (is_float(s))
		return json_real(strtod(s, NULL));
	return json_stringn(s, len);
}

static json_t *value(struct reader *r, yaml_event_t *e, unsigned depth);

static json_t *sequence(struct reader *r, unsigned depth)
{
	json_t *array = json_array();
	yaml_event_t e;

	while (next(r, &e)) {
		json_t *v;

		if (e.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&e);
			return array;
		}
		v = value(r, &e, depth + 1);
		if (!v)
			break;
		json_array_append_new(array, v);
	}
	json_decref(array);
	return NULL;
}

/* One "key: value"; the key's event is given and deleted here. */
static bool pair(struct reader *r, json_t *obj, yaml_event_t *e, unsigned depth)
{
	const yaml_mark_t at = e->start_mark;
	char *key = NULL;
	yaml_event_t ve;
	bool ok = false;
	json_t *v;

	if (e->type != YAML_SCALAR_EVENT || strlen((char *)e->data.scalar.value) != e->data.scalar.length) {
		complain(r, &at, "a key must be text");
	} else {
		key = strdup((char *)e->data.scalar.value);
		if (json_object_get(obj, key))
			complain(r, &at, "this key stands here twice");
	}
	yaml_event_delete(e);
	if (!r->failed && next(r, &ve)) {
		v = value(r, &ve, depth + 1);
		ok = v && !json_object_set_new(obj, key, v);
		if (v && !ok)
			complain(r, &at, "a key must be UTF-8 text");
	}
	free(key);
	return ok;
}

static json_t *mapping(struct reader *r, unsigned depth)
{
	json_t *obj = json_object();
	yaml_event_t e;

	while (next(r, &e)) {
		if (e.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&e);
			return obj;
		}
		if (!pair(r, obj, &e, depth))
			break;
	}
	json_decref(obj);
	return NULL;
}

/* Deletes the event. */
static json_t *value(struct reader *r, yaml_event_t *e, unsigned depth)
{
	const yaml_mark_t at = e->start_mark;
	yaml_event_type_t type = e->type;
	json_t *v = NULL;
	bool odd;

	odd = (type == YAML_SCALAR_EVENT && (e->data.scalar.anchor || e->data.scalar.tag)) ||
	      (type == YAML_SEQUENCE_START_EVENT && (e->data.sequence_start.anchor || e->data.sequence_start.tag)) ||
	      (type == YAML_MAPPING_START_EVENT && (e->data.mapping_start.anchor || e->data.mapping_start.tag));
	if (type == YAML_SCALAR_EVENT && !odd) {
		const char *text = (const char *)e->data.scalar.value;
		size_t len = e->data.scalar.length;

		v = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain(text, len) : json_stringn(text, len);
		if (!v)
			complain(r, &at, "not UTF-8 text");
	}
	yaml_event_delete(e);
	if (odd || type == YAML_ALIAS_EVENT)
		return complain(r, &at, "anchors, aliases and tags are not taken");
	if (type == YAML_SCALAR_EVENT)
		return v;
	if (depth >= YAML_DEPTH_MAX)
		return complain(r, &at, "nested too deep");
	return type == YAML_SEQUENCE_START_EVENT ? sequence(r, depth) : mapping(r, depth);
}

json_t *yaml_parse(const char *text, size_t len, char *why, size_t why_size)
{
	struct reader r = {.why = why, .why_size = why_size};
	json_t *v = NULL;
	yaml_event_t e;

	snprintf(why, why_size, "out of memory");
	if (!yaml_parser_initialize(&r.parser))
		return NULL;
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	while (!r.failed && next(&r, &e)) {
		if (e.type == YAML_STREAM_START_EVENT || e.type == YAML_DOCUMENT_END_EVENT ||
		    (e.type == YAML_DOCUMENT_START_EVENT && !v)) {
			yaml_event_delete(&e);
		} else if (e.type == YAML_STREAM_END_EVENT) {
			yaml_event_delete(&e);
			break;
		} else if (e.type == YAML_DOCUMENT_START_EVENT) {
			complain(&r, &e.start_mark, "one document only");
			yaml_event_delete(&e);
		} else {
			v = value(&r, &e, 0);
		}
	}
	yaml_parser_delete(&r.parser);
	if (!r.failed)
		return v ? v : json_null();
	json_decref(v);
	return NULL;
}

static bool emit(yaml_emitter_t *em, yaml_event_t *e)
{
	return yaml_emitter_emit(em, e) == 1;
}

static bool put_scalar(yaml_emitter_t *em, const char *text, size_t len, bool is_text)
{
	yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
	yaml_event_t e;

	if (is_text) {
		json_t *as_plain = plain(text, len);

		style = json_is_string(as_plain) ? YAML_ANY_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
		for (size_t i = 0; i < len; i++)
			if (!isprint((unsigned char)text[i]))
				style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
		json_decref(as_plain);
	}
	yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)text, (int)len, 1, 1, style);
	return emit(em, &e);
}

static bool put(yaml_emitter_t *em, json_t *v);

static bool put_object(yaml_emitter_t *em, json_t *v)
{
	yaml_event_t e;
	const char *key;
	json_t *m;

	yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
	if (!emit(em, &e))
		return false;
	json_object_foreach(v, key, m)
		if (!put_scalar(em, key, strlen(key), true) || !put(em, m))
			return false;
	yaml_mapping_end_event_initialize(&e);
	return emit(em, &e);
}

static bool put_array(yaml_emitter_t *em, json_t *v)
{
	yaml_event_t e;
	json_t *m;
	size_t i;

	yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
	if (!emit(em, &e))
		return false;
	json_array_foreach(v, i, m)
		if (!put(em, m))
			return false;
	yaml_sequence_end_event_initialize(&e);
	return emit(em, &e);
}

static bool put(yaml_emitter_t *em, json_t *v)
{
	char buf[64];

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return put_object(em, v);
	case JSON_ARRAY:
		return put_array(em, v);
	case JSON_STRING:
		return put_scalar(em, json_string_value(v), json_string_length(v), true);
	case JSON_INTEGER:
		snprintf(buf, sizeof(buf), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		snprintf(buf, sizeof(buf), "%.17g", json_real_value(v));
		if (!strpbrk(buf, ".e"))
			strcat(buf, ".0");
		break;
	default:
		snprintf(buf, sizeof(buf), "%s", json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
	}
	return put_scalar(em, buf, strlen(buf), false);
}

static bool print_document(yaml_emitter_t *em, json_t *v)
{
	yaml_event_t e;

	yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING);
	if (!emit(em, &e))
		return false;
	yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1);
	if (!emit(em, &e) || !put(em, v))
		return false;
	yaml_document_end_event_initialize(&e, 1);
	if (!emit(em, &e))
		return false;
	yaml_stream_end_event_initialize(&e);
	return emit(em, &e);
}

int yaml_print(FILE *out, json_t *v)
{
	yaml_emitter_t em;
	bool ok;

	if (!yaml_emitter_initialize(&em))
		return -EIO;
	yaml_emitter_set_output_file(&em, out);
	yaml_emitter_set_width(&em, -1);
	yaml_emitter_set_unicode(&em, 0);
	ok = print_document(&em, v);
	yaml_emitter_delete(&em);
	return ok ? 0 : -EIO;
}
