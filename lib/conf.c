// SPDX-License-Identifier: BSD-3-Clause
// Configuration: the YAML tree. Values by table are in conf_read.c.
#include "lib/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <yaml.h>

#include "lib/log.h"

struct parse {
	yaml_parser_t yaml;
	const char *file; /* the root's copy */
	char *err;
	size_t err_len;
};

__attribute__((format(printf, 5, 0))) static int verror(const char *file, unsigned line, char *err, size_t err_len, const char *fmt, va_list ap)
{
	char why[512], shown[512];

	vsnprintf(why, sizeof(why), fmt, ap);
	log_escape(shown, sizeof(shown), why, strlen(why));
	snprintf(err, err_len, "%s:%u: %s", file, line, shown);
	return -EINVAL;
}

int conf_error(const struct conf_node *at, char *err, size_t err_len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(at->file, at->line, err, err_len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

__attribute__((format(printf, 3, 4))) static int fail(struct parse *p, size_t line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(p->file, (unsigned)line + 1, p->err, p->err_len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int next_event(struct parse *p, yaml_event_t *ev)
{
	if (yaml_parser_parse(&p->yaml, ev))
		return 0;
	return fail(p, p->yaml.problem_mark.line, "%s", p->yaml.problem ? p->yaml.problem : "not YAML");
}

static void node_free(struct conf_node *n)
{
	while (n) {
		struct conf_node *next = n->next;

		node_free(n->child);
		free(n->key);
		free(n->text);
		free(n);
		n = next;
	}
}

static struct conf_node *node_new(struct parse *p, enum conf_kind kind, size_t line)
{
	struct conf_node *n = calloc(1, sizeof(*n));

	if (n) {
		n->kind = kind;
		n->line = (unsigned)line + 1;
		n->file = p->file;
	}
	return n;
}

/* Text of a scalar event; NULL with the error set where it holds a NUL byte. */
static char *scalar_text(struct parse *p, const yaml_event_t *ev)
{
	const char *v = (const char *)ev->data.scalar.value;
	size_t n = ev->data.scalar.length;
	char *t;

	if (memchr(v, 0, n)) {
		fail(p, ev->start_mark.line, "a value holds a NUL character");
		return NULL;
	}
	t = strndup(v, n);
	if (!t)
		fail(p, ev->start_mark.line, "out of memory");
	return t;
}

static int parse_node(struct parse *p, yaml_event_t *ev, unsigned depth, struct conf_node **out);

static int parse_list(struct parse *p, unsigned depth, struct conf_node *list)
{
	struct conf_node **tail = &list->child;

	for (;;) {
		yaml_event_t ev;
		int ret = next_event(p, &ev);

		if (ret < 0)
			return ret;
		if (ev.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&ev);
			return 0;
		}
		ret = parse_node(p, &ev, depth + 1, tail);
		if (ret < 0)
			return ret;
		tail = &(*tail)->next;
	}
}

static int parse_pair(struct parse *p, yaml_event_t *key_ev, unsigned depth, const struct conf_node *map,
		      struct conf_node **tail)
{
	size_t line = key_ev->start_mark.line;
	yaml_event_t ev;
	char *key;
	int ret;

	if (key_ev->type != YAML_SCALAR_EVENT) {
		yaml_event_delete(key_ev);
		return fail(p, line, "a key must be plain text");
	}
	key = scalar_text(p, key_ev);
	yaml_event_delete(key_ev);
	if (!key)
		return -EINVAL;
	if (conf_get(map, key)) {
		ret = fail(p, line, "key '%s' stands here twice", key);
		free(key);
		return ret;
	}
	ret = next_event(p, &ev);
	if (ret == 0)
		ret = parse_node(p, &ev, depth + 1, tail);
	if (ret < 0) {
		free(key);
		return ret;
	}
	(*tail)->key = key;
	(*tail)->line = (unsigned)line + 1;
	return 0;
}

static int parse_map(struct parse *p, unsigned depth, struct conf_node *map)
{
	struct conf_node **tail = &map->child;

	for (;;) {
		yaml_event_t ev;
		int ret = next_event(p, &ev);

		if (ret < 0)
			return ret;
		if (ev.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&ev);
			return 0;
		}
		ret = parse_pair(p, &ev, depth, map, tail);
		if (ret < 0)
			return ret;
		tail = &(*tail)->next;
	}
}

/* Takes ev over. On failure *out may hold a part, which the caller's tree owns. */
static int parse_node(struct parse *p, yaml_event_t *ev, unsigned depth, struct conf_node **out)
{
	size_t line = ev->start_mark.line;
	yaml_event_type_t type = ev->type;
	struct conf_node *n = NULL;
	int ret = 0;

	if (depth > CONF_DEPTH_MAX)
		ret = fail(p, line, "nested deeper than %d", CONF_DEPTH_MAX);
	else if (type == YAML_ALIAS_EVENT)
		ret = fail(p, line, "aliases are not supported");
	else if (type != YAML_SCALAR_EVENT && type != YAML_SEQUENCE_START_EVENT && type != YAML_MAPPING_START_EVENT)
		ret = fail(p, line, "unexpected end");
	if (ret == 0) {
		n = node_new(p,
			     type == YAML_SCALAR_EVENT		 ? CONF_KIND_SCALAR
			     : type == YAML_SEQUENCE_START_EVENT ? CONF_KIND_LIST
								 : CONF_KIND_MAP,
			     line);
		ret = n ? 0 : fail(p, line, "out of memory");
	}
	if (n && type == YAML_SCALAR_EVENT) {
		n->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
		n->text = scalar_text(p, ev);
		ret = n->text ? 0 : -EINVAL;
	}
	yaml_event_delete(ev);
	*out = n;
	if (ret < 0 || type == YAML_SCALAR_EVENT)
		return ret;
	return type == YAML_SEQUENCE_START_EVENT ? parse_list(p, depth, n) : parse_map(p, depth, n);
}

/* Skips to the first node; *out stays NULL where the stream is empty. */
static int parse_stream(struct parse *p, struct conf_node **out)
{
	yaml_event_t ev;
	int ret;

	for (;;) {
		yaml_event_type_t type;

		ret = next_event(p, &ev);
		if (ret < 0)
			return ret;
		type = ev.type;
		if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT ||
		    type == YAML_ALIAS_EVENT) {
			if (*out) {
				size_t line = ev.start_mark.line;

				yaml_event_delete(&ev);
				return fail(p, line, "a second document is not supported");
			}
			ret = parse_node(p, &ev, 0, out);
			if (ret < 0)
				return ret;
			continue;
		}
		yaml_event_delete(&ev);
		if (type == YAML_STREAM_END_EVENT)
			return 0;
	}
}

struct conf_node *conf_parse(const char *name, const char *text, size_t len, char *err, size_t err_len)
{
	struct parse p = {.err = err, .err_len = err_len};
	struct conf_node *root = calloc(1, sizeof(*root)), *top = NULL;
	int ret = -ENOMEM;

	/* The root holds the file name, so that every node can point at it; it is handed out as the map itself. */
	if (!root || !(root->text = strdup(name)) || !yaml_parser_initialize(&p.yaml)) {
		snprintf(err, err_len, "%s:1: out of memory", name);
		node_free(root);
		return NULL;
	}
	root->kind = CONF_KIND_MAP;
	root->line = 1;
	root->file = p.file = root->text;
	if (len > CONF_FILE_MAX) {
		ret = fail(&p, 0, "longer than %d bytes", CONF_FILE_MAX);
	} else {
		yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
		yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text, len);
		ret = parse_stream(&p, &top);
	}
	yaml_parser_delete(&p.yaml);
	if (ret == 0 && top && top->kind == CONF_KIND_MAP) {
		root->child = top->child;
		root->line = top->line;
		top->child = NULL;
	} else if (ret == 0 && top && !(top->kind == CONF_KIND_SCALAR && top->text[0] == 0)) {
		ret = fail(&p, top->line - 1, "the file must hold keys and values");
	}
	node_free(top);
	if (ret < 0) {
		node_free(root);
		return NULL;
	}
	return root;
}

struct conf_node *conf_load(const char *path, char *err, size_t err_len)
{
	struct conf_node *root = NULL;
	char *text = malloc(CONF_FILE_MAX + 1);
	size_t len = 0;
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && text) {
		while (len <= CONF_FILE_MAX && (n = read(fd, text + len, CONF_FILE_MAX + 1 - len)) > 0)
			len += (size_t)n;
	}
	if (fd < 0 || !text || n < 0)
		snprintf(err, err_len, "%s: %s", path, strerror(errno));
	else
		root = conf_parse(path, text, len, err, err_len);
	if (fd >= 0)
		close(fd);
	free(text);
	return root;
}

void conf_free(struct conf_node *root)
{
	node_free(root);
}

const struct conf_node *conf_get(const struct conf_node *map, const char *key)
{
	for (const struct conf_node *n = map->child; n; n = n->next) {
		if (n->key && strcmp(n->key, key) == 0)
			return n;
	}
	return NULL;
}
