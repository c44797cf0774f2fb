// SPDX-License-Identifier: BSD-3-Clause
// Rows as text, as JSON, and as a picture.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "pktgen/bench.h"

void bench_progress(const struct bench *b, const char *format, ...)
{
	va_list args;

	if (!isatty(2))
		return;
	fprintf(stderr, "\r\033[K%4.0f s  ", (double)(bench_now_ns() - b->began_ns) / 1e9);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fflush(stderr);
}

unsigned bench_size_of(unsigned size, uint32_t sequence)
{
	static const unsigned mix[BENCH_IMIX_PARTS] = {64, 594, 64, 64, 594, 64, 1420, 64, 594, 64, 64, 594};

	return size == BENCH_IMIX ? mix[sequence % BENCH_IMIX_PARTS] : size;
}

double bench_mean_size(unsigned size)
{
	double sum = 0;

	for (uint32_t i = 0; i < BENCH_IMIX_PARTS; i++)
		sum += bench_size_of(size, i);
	return sum / BENCH_IMIX_PARTS;
}

static const struct bench_row *find_row(const struct bench *b, const struct bench_row *like, unsigned size)
{
	for (unsigned i = 0; i < b->n_rows; i++) {
		const struct bench_row *r = &b->rows[i];

		if (r->size == size && strcmp(r->name, like->name) == 0 && strcmp(r->aead_impl, like->aead_impl) == 0 &&
		    memcmp(&r->scale, &like->scale, sizeof(r->scale)) == 0)
			return r;
	}
	return NULL;
}

double bench_parts_ratio(const struct bench *b, const struct bench_row *row)
{
	double sum = 0;

	if (row->size != BENCH_IMIX)
		return 0;
	for (uint32_t i = 0; i < BENCH_IMIX_PARTS; i++) {
		const struct bench_row *part = find_row(b, row, bench_size_of(BENCH_IMIX, i));

		if (part == NULL)
			return 0;
		sum += part->total / BENCH_IMIX_PARTS;
	}
	return row->total / sum;
}

static double mpps(const struct bench *b, const struct bench_row *r)
{
	return r->total > 0 ? b->tsc_hz / r->total / 1e6 : 0;
}

static double gbps(const struct bench *b, const struct bench_row *r)
{
	return mpps(b, r) * bench_mean_size(r->size) * 8 / 1e3;
}

void bench_print_head(const struct bench *b)
{
	printf("%s, TSC %.3f GHz, core %.3f GHz; TSC cycles a packet: `total` of the best repetition, `median` of all\n", b->cpu,
	       b->tsc_hz / 1e9, b->core_hz / 1e9);
	printf("%-11s %5s %8s %8s %8s %6s %8s %8s %7s %7s %7s %8s %8s %7s %6s %8s  %s\n", "case", "size", "clients", "flows",
	       "routes", "rules", "total", "median", "aead", "rest", "p50", "p99", "Mpps", "Gbit/s", "lost", "verified", "aead");
}

void bench_add(struct bench *b, const struct bench_row *row)
{
	char size[12], ratio[32] = "";

	if (b->n_rows == BENCH_MAX_ROWS)
		return;
	b->rows[b->n_rows++] = *row;
	snprintf(size, sizeof(size), row->size == BENCH_IMIX ? "imix" : "%u", row->size);
	if (row->ratio > 0)
		snprintf(ratio, sizeof(ratio), "  x %.3f of %s", row->ratio, row->workers > 1 ? "one worker" : "its parts");
	if (isatty(2))
		fputs("\r\033[K", stderr);
	printf("%-11s %5s %8u %8u %8u %6u %8.1f %8.1f %7.1f %7.1f %7.1f %8.1f %8.2f %7.2f %6lu %8lu  %s%s\n", row->name, size,
	       row->scale.clients, row->scale.flows, row->scale.routes, row->scale.rules, row->total, row->median, row->aead,
	       row->rest, row->p50, row->p99, mpps(b, row), gbps(b, row), (unsigned long)row->lost,
	       (unsigned long)row->verified, row->aead_impl, ratio);
	fflush(stdout);
}

/* One decimal is more than the machine repeats. */
static json_t *rounded(double value)
{
	char text[32];
	double short_value;

	snprintf(text, sizeof(text), "%.4f", value);
	sscanf(text, "%lf", &short_value);
	return json_real(short_value);
}

static json_t *row_json(const struct bench *b, const struct bench_row *r)
{
	json_t *row = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:{s:o, s:o, s:o, s:o, s:o, s:o}, s:o, s:o, s:I, s:I, s:I, s:I, s:s}",
				"case", r->name, "size", (int)(bench_mean_size(r->size) + 0.5), "clients", (int)r->scale.clients, "flows",
				(int)r->scale.flows, "routes", (int)r->scale.routes, "rules", (int)r->scale.rules, "tenants",
				(int)r->scale.tenants, "packets", (json_int_t)r->packets, "cycles_per_packet", "total",
				rounded(r->total), "aead", rounded(r->aead), "rest", rounded(r->rest), "p50", rounded(r->p50), "p99",
				rounded(r->p99), "median", rounded(r->median), "mpps_per_core", rounded(mpps(b, r)), "gbps_per_core",
				rounded(gbps(b, r)), "tsc_hz", (json_int_t)b->tsc_hz, "core_hz", (json_int_t)b->core_hz, "lost",
				(json_int_t)r->lost, "verified", (json_int_t)r->verified, "aead_impl", r->aead_impl);

	json_object_set_new(row, "workers", json_integer(r->workers == 0 ? 1 : r->workers));
	if (r->size == BENCH_IMIX)
		json_object_set_new(row, "mix", json_string("imix"));
	if (r->ratio > 0)
		json_object_set_new(row, "ratio", rounded(r->ratio));
	return row;
}

int bench_write_json(const struct bench *b, const char *path)
{
	json_t *rows = json_array(), *doc;
	int rc = 0;

	for (unsigned i = 0; i < b->n_rows; i++)
		json_array_append_new(rows, row_json(b, &b->rows[i]));
	doc = json_pack("{s:s, s:s, s:b, s:o}", "version", SLUICE_VERSION, "cpu", b->cpu, "quick", b->options.quick, "rows", rows);
	if (doc == NULL || json_dump_file(doc, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0) {
		rc = errno == 0 ? -EIO : -errno;
		fprintf(stderr, "sluice-pktgen: cannot write %s: %s\n", path, strerror(-rc));
	}
	json_decref(doc);
	return rc;
}

/* ---- the picture ---- */

static bool in_picture(const struct bench_row *r)
{
	return strcmp(r->name, "up") == 0 || strcmp(r->name, "down") == 0 || strcmp(r->name, "newflow") == 0 ||
	       strcmp(r->name, "blocked") == 0;
}

static void write_script(const struct bench *b, FILE *f, const char *path)
{
	fprintf(f,
		"set terminal svg size 1100,520 background '#ffffff' font 'sans,12'\n"
		"set output '%s'\n"
		"set title \"%s, one worker: TSC cycles per packet\"\n"
		"set style data histograms\nset style histogram rowstacked\nset boxwidth 0.7\nset style fill solid border -1\n"
		"set ylabel 'cycles'\nset yrange [0:*]\nset grid ytics\nset xtics rotate by -40 scale 0\nset key top left\n"
		"plot '-' using 2:xtic(1) title 'AEAD, both directions' lc rgb '#4878a8', "
		"'-' using 2:xtic(1) title 'all the rest' lc rgb '#e08a3c'\n",
		path, b->cpu);
	for (unsigned part = 0; part < 2; part++) {
		for (unsigned i = 0; i < b->n_rows; i++) {
			const struct bench_row *r = &b->rows[i];

			if (in_picture(r))
				fprintf(f, "\"%s %.0f B%s, %u flows\" %.1f\n", r->name, bench_mean_size(r->size),
					r->size == BENCH_IMIX ? " mix" : "", r->scale.flows, part == 0 ? r->aead : r->rest);
		}
		fputs("e\n", f);
	}
}

bool bench_write_svg(const struct bench *b, const char *path)
{
	FILE *f;
	bool any = false;

	for (unsigned i = 0; i < b->n_rows; i++)
		any |= in_picture(&b->rows[i]);
	if (!any || strpbrk(path, "'\n") != NULL) {
		fprintf(stderr, "sluice-pktgen: --svg %s: %s\n", path, any ? "not a name for a picture" : "no case that has one was run");
		return false;
	}
	f = popen("gnuplot", "w");
	if (f != NULL)
		write_script(b, f, path);
	if (f != NULL && pclose(f) == 0)
		return true;
	fprintf(stderr, "sluice-pktgen: --svg %s: gnuplot failed or is not installed (package gnuplot-nox)\n", path);
	return false;
}
