// SPDX-License-Identifier: BSD-3-Clause
// The one renderer. Which blocks a document has follows from its shape, so a server's new key shows without a change here.
#include "tools/render.h"
#include "tools/ctl.h"
#include "lib/log.h"

#include <ctype.h>
#include <errno.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_COLUMNS 64

/* Rows of a block: the flattened members of an object, or one line of a table. */
struct cell {
	char *path; /* "a.b" */
	json_t *value;
};

struct cells {
	struct cell *v;
	size_t n;
};

static bool is_rows(json_t *v)
{
	return json_is_array(v) && json_array_size(v) && json_is_object(json_array_get(v, 0));
}

static void cells_free(struct cells *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i].path);
	free(c->v);
}

/* Members of obj with nested objects flattened; arrays of objects only where rows says so. */
static void flatten(struct cells *c, const char *prefix, json_t *obj, bool rows)
{
	const char *key;
	json_t *value;

	json_object_foreach(obj, key, value) {
		char *path = NULL;

		if (asprintf(&path, "%s%s%s", prefix, *prefix ? "." : "", key) < 0)
			return;
		if (json_is_object(value) && json_object_size(value)) {
			flatten(c, path, value, rows);
			free(path);
		} else if (is_rows(value) && !rows) {
			free(path);
		} else {
			struct cell *v = reallocarray(c->v, c->n + 1, sizeof(*v));

			if (!v) {
				free(path);
				return;
			}
			c->v = v;
			c->v[c->n++] = (struct cell){path, value};
		}
	}
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

static bool is_time(const char *key)
{
	return key && (ends_with(key, "_at") || ends_with(key, "last_handshake") || ends_with(key, "since") ||
		       ends_with(key, "lease_expires"));
}

static char *human_number(const char *key, double n)
{
	static const char *const si[] = {"", "k", "M", "G", "T", "P", "E"};
	static const char *const iec[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	bool bytes = key && strstr(key, "bytes");
	double base = bytes ? 1024 : 1000;
	char *out = NULL;
	size_t i = 0;

	for (; n >= base && i < 6; i++)
		n /= base;
	return asprintf(&out, i ? "%.1f%s" : "%.0f%s", n, bytes ? iec[i] : si[i]) < 0 ? NULL : out;
}

static char *number(const char *key, json_t *value, bool human)
{
	long long n = json_integer_value(value);
	char *out = NULL, buf[32];
	time_t at = (time_t)n;
	struct tm tm;

	if (is_time(key) && n > 100000000 && n < 100000000000LL && gmtime_r(&at, &tm)) {
		strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
		return strdup(buf);
	}
	if (human && n >= 1000)
		return human_number(key, (double)n);
	return asprintf(&out, "%lld", n) < 0 ? NULL : out;
}

static char *escaped(json_t *value)
{
	size_t len = json_string_length(value), room = len * 10 + 16;
	char *out = malloc(room);

	if (out)
		log_escape(out, room, json_string_value(value), len);
	return out;
}

static char *joined(const char *key, json_t *array, bool human)
{
	char *out = NULL;
	size_t len = 0, i;
	json_t *v;
	FILE *f = open_memstream(&out, &len);

	if (!f)
		return NULL;
	if (is_rows(array))
		fprintf(f, "%zu", json_array_size(array));
	else
		json_array_foreach(array, i, v) {
			char *cell = render_cell(key, v, human);

			fprintf(f, "%s%s", i ? ", " : "", cell ? cell : "");
			free(cell);
		}
	fclose(f);
	return out;
}

char *render_cell(const char *key, json_t *value, bool human)
{
	char *out = NULL;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return escaped(value);
	case JSON_INTEGER:
		return number(key, value, human);
	case JSON_REAL:
		return asprintf(&out, "%.6g", json_real_value(value)) < 0 ? NULL : out;
	case JSON_TRUE:
		return strdup("true");
	case JSON_FALSE:
		return strdup("false");
	case JSON_ARRAY:
		return joined(key, value, human);
	case JSON_OBJECT: /* an empty one, or one inside an array */
		out = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII);
		return out;
	default:
		return strdup("-");
	}
}

static struct libscols_table *new_table(bool headings)
{
	struct libscols_table *tb = scols_new_table();

	if (!tb)
		return NULL;
	scols_table_set_termforce(tb, SCOLS_TERMFORCE_NEVER); /* never cut to the terminal's width */
	scols_table_enable_noheadings(tb, !headings);
	scols_table_enable_noencoding(tb, 1); /* cells are escaped already */
	scols_table_set_column_separator(tb, "  ");
	return tb;
}

static int print_table(FILE *out, struct libscols_table *tb)
{
	char *text = NULL;
	int rc = scols_print_table_to_string(tb, &text);

	if (!rc && text && *text)
		fprintf(out, "%s%s", text, ends_with(text, "\n") ? "" : "\n");
	free(text);
	scols_unref_table(tb);
	return rc ? -ENOMEM : 0;
}

static int set_cell(struct libscols_line *line, size_t column, const char *key, json_t *value, bool human)
{
	char *text = render_cell(key, value, human);

	return text ? scols_line_refer_data(line, column, text) : -ENOMEM;
}

static int print_pairs(FILE *out, json_t *obj, bool human)
{
	struct libscols_table *tb = new_table(false);
	struct cells cells = {0};
	bool numbers = true;
	int rc = tb ? 0 : -ENOMEM;

	flatten(&cells, "", obj, false);
	for (size_t i = 0; i < cells.n; i++)
		numbers = numbers && json_is_number(cells.v[i].value) && !is_time(cells.v[i].path);
	if (!rc && (!scols_table_new_column(tb, "key", 0, 0) ||
		    !scols_table_new_column(tb, "value", 0, numbers ? SCOLS_FL_RIGHT : 0)))
		rc = -ENOMEM;
	for (size_t i = 0; !rc && i < cells.n; i++) {
		struct libscols_line *line = scols_table_new_line(tb, NULL);
		json_t *key = json_string(cells.v[i].path);

		rc = !line || !key || set_cell(line, 0, NULL, key, false) || set_cell(line, 1, cells.v[i].path, cells.v[i].value, human)
			     ? -ENOMEM
			     : 0;
		json_decref(key);
	}
	cells_free(&cells);
	if (!rc)
		return print_table(out, tb);
	scols_unref_table(tb);
	return rc;
}

struct columns {
	char *key[MAX_COLUMNS];
	bool number[MAX_COLUMNS]; /* every value is one */
	size_t n;
};

static void add_column(struct columns *cols, const char *key)
{
	for (size_t i = 0; i < cols->n; i++)
		if (!strcmp(cols->key[i], key))
			return;
	if (cols->n < MAX_COLUMNS && (cols->key[cols->n] = strdup(key)))
		cols->number[cols->n++] = true;
}

static json_t *member(const struct cells *row, const char *path)
{
	for (size_t i = 0; i < row->n; i++)
		if (!strcmp(row->v[i].path, path))
			return row->v[i].value;
	return NULL;
}

/* Columns that occur: the view's in its order, else all keys as they come. */
static void find_columns(struct columns *cols, const struct cells *rows, size_t nrows, const struct ctl_view *view)
{
	bool all;

	for (const char *const *c = view ? view->columns : NULL; c && *c; c++)
		for (size_t i = 0; i < nrows; i++)
			if (member(&rows[i], *c))
				add_column(cols, *c);
	all = cols->n == 0;
	for (size_t i = 0; all && i < nrows; i++)
		for (size_t k = 0; k < rows[i].n; k++)
			add_column(cols, rows[i].v[k].path);
	for (size_t c = 0; c < cols->n; c++)
		for (size_t i = 0; i < nrows; i++) {
			json_t *v = member(&rows[i], cols->key[c]);

			if (v && !json_is_number(v) && !json_is_null(v) && !is_rows(v))
				cols->number[c] = false;
			if (is_time(cols->key[c]))
				cols->number[c] = false;
		}
}

static int add_columns(struct libscols_table *tb, const struct columns *cols)
{
	for (size_t c = 0; c < cols->n; c++) {
		char title[128];
		size_t i;

		for (i = 0; cols->key[c][i] && i < sizeof(title) - 1; i++)
			title[i] = (char)toupper((unsigned char)cols->key[c][i]);
		title[i] = 0;
		if (!scols_table_new_column(tb, title, 0, cols->number[c] ? SCOLS_FL_RIGHT : 0))
			return -ENOMEM;
	}
	return 0;
}

static int add_lines(struct libscols_table *tb, const struct columns *cols, const struct cells *rows, size_t nrows, bool human)
{
	for (size_t i = 0; i < nrows; i++) {
		struct libscols_line *line = scols_table_new_line(tb, NULL);

		for (size_t c = 0; c < cols->n; c++)
			if (!line || set_cell(line, c, cols->key[c], member(&rows[i], cols->key[c]), human))
				return -ENOMEM;
	}
	return 0;
}

static int print_rows(FILE *out, json_t *array, const struct ctl_view *view, bool human)
{
	size_t n = json_array_size(array), i;
	struct cells *rows = calloc(n ? n : 1, sizeof(*rows));
	struct libscols_table *tb = new_table(true);
	struct columns cols = {0};
	json_t *v;
	int rc = rows && tb ? 0 : -ENOMEM;

	json_array_foreach(array, i, v) {
		if (rows)
			flatten(&rows[i], "", v, true);
	}
	if (!rc)
		find_columns(&cols, rows, n, view);
	if (!rc && !(rc = add_columns(tb, &cols)))
		rc = add_lines(tb, &cols, rows, n, human);
	for (i = 0; rows && i < n; i++)
		cells_free(&rows[i]);
	for (i = 0; i < cols.n; i++)
		free(cols.key[i]);
	free(rows);
	if (!rc)
		return print_table(out, tb);
	scols_unref_table(tb);
	return rc;
}

static void heading(FILE *out, const char *name, bool *first, bool wanted)
{
	json_t *text = json_string(name);
	char *shown = render_cell(NULL, text, false);

	if (wanted)
		fprintf(out, "%s%s:\n", *first ? "" : "\n", shown ? shown : "");
	*first = false;
	json_decref(text);
	free(shown);
}

/* Tables inside an object come after its pairs, each under its path. */
static int print_inner_rows(FILE *out, const char *prefix, json_t *obj, bool human)
{
	const char *key;
	json_t *v;
	int rc = 0;

	json_object_foreach(obj, key, v) {
		char path[256];
		bool first = false;

		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", key);
		if (json_is_object(v))
			rc = rc ? rc : print_inner_rows(out, path, v, human);
		if (!is_rows(v))
			continue;
		heading(out, path, &first, true);
		rc = rc ? rc : print_rows(out, v, NULL, human);
	}
	return rc;
}

static int print_block(FILE *out, const char *key, json_t *v, const struct ctl_view *view, bool human)
{
	int rc;

	if (json_is_array(v))
		return print_rows(out, v, view && !strcmp(view->key, key) ? view : NULL, human);
	rc = print_pairs(out, v, human);
	return rc ? rc : print_inner_rows(out, "", v, human);
}

int render_text(FILE *out, json_t *doc, const struct ctl_view *view, bool human)
{
	json_t *plain = json_object(), *v;
	size_t blocks = 0;
	bool first = true;
	const char *key;
	int rc = 0;

	json_object_foreach(doc, key, v) {
		if ((json_is_object(v) && json_object_size(v)) || is_rows(v))
			blocks++;
		else if (!json_is_array(v) || !view || strcmp(view->key, key))
			json_object_set(plain, key, v);
		else if (!json_array_size(v))
			fputs("(none)\n", out);
		else
			for (size_t i = 0; i < json_array_size(v); i++) { /* a list of plain values: one a line */
				char *cell = render_cell(key, json_array_get(v, i), human);

				fprintf(out, "%s\n", cell ? cell : "");
				free(cell);
			}
	}
	blocks += json_object_size(plain) > 0;
	if (json_object_size(plain)) {
		rc = print_pairs(out, plain, human);
		first = false;
	}
	json_object_foreach(doc, key, v) {
		if (rc || !((json_is_object(v) && json_object_size(v)) || is_rows(v)))
			continue;
		heading(out, key, &first, blocks > 1);
		rc = print_block(out, key, v, view, human);
	}
	json_decref(plain);
	return rc;
}

void render_json(FILE *out, json_t *doc, bool one_line)
{
	json_dumpf(doc, out, (one_line ? JSON_COMPACT : JSON_INDENT(2)) | JSON_ENSURE_ASCII);
	fputc('\n', out);
}
