// SPDX-License-Identifier: BSD-3-Clause
// The file of the last tables: what was written is read back, whatever the ids; what is damaged is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/control/apply_bed.h"
#include "dataplane/control/state.h"
#include "lib/log.h"

static const struct bed_size sizes = BED_SIZE;
static char dir[64], path[128];

/* Ids as a hostile configuration would have them. */
#define ROWS                                                                                                            \
	"{'accounts':{'put':[{'id':'a','name':'\\\\u202e','default_action':'block'}]},"                                       \
	"'vnets':{'put':[{'id':'v\\\\\\\"q','account_id':'a','name':'v','is_default':true}]},"                                \
	"'tunnels':{'put':[{'id':'t\\\\\\\\b\\\\n','account_id':'a','name':'t','affinity':'none','sessions':8},"               \
	"{'id':'u','account_id':'a','name':'u','affinity':'client','sessions':2}]},"                                          \
	"'routes':{'put':[{'key':'v\\\\\\\"q/10.0.0.0/8','tunnel_id':'t\\\\\\\\b\\\\n'},{'key':'v\\\\\\\"q/2001:db8::/32','tunnel_id':'u'}]}," \
	"'settings':{'put':[{'key':'mtu','value':1300}]},'deny':{'put':[{'network':'192.0.2.0/24'}]}}"

static struct bed *written(struct state **state)
{
	struct bed *b = bed_create(&sizes);
	char err[256] = "";

	bed_change(b, true, ROWS);
	assert_int_equal(apply_refused_count(b->apply), 0);
	*state = state_create(dir, "edge1", b->apply, err, sizeof(err));
	if (!*state)
		fail_msg("%s", err);
	state_changed(*state, 7, "epoch");
	state_flush(*state);
	return b;
}

static int load(struct bed *b, const char *edge_id, uint64_t *revision, char err[256])
{
	struct state *s = state_create(dir, edge_id, b->apply, err, 256);
	int rc;

	assert_non_null(s);
	rc = state_load(s, b->now_s, revision, err, 256);
	state_free(s);
	return rc;
}

static void test_round_trip(void **unused)
{
	struct bed *back = bed_create(&sizes), *b;
	struct state *s;
	struct stat st;
	uint64_t revision = 0;
	char err[256] = "", *x, *y;

	(void)unused;
	b = written(&s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600); /* preshared keys are in it */
	if (load(back, "edge1", &revision, err) != 1)
		fail_msg("%s", err);
	assert_int_equal(revision, 7);
	assert_int_equal(apply_refused_count(back->apply), 0);
	x = bed_dump(b);
	y = bed_dump(back);
	assert_string_equal(x, y);
	assert_non_null(strstr(x, "10.0.0.0/8"));
	assert_int_equal(back->n_denied, 1);
	free(x);
	free(y);
	state_free(s);
	bed_destroy(b);
	bed_destroy(back);
}

static void test_no_file(void **unused)
{
	struct bed *b = bed_create(&sizes);
	uint64_t revision = 0;
	char err[256] = "";

	(void)unused;
	unlink(path);
	assert_int_equal(load(b, "edge1", &revision, err), 0);
	bed_destroy(b);
}

static void test_another_edges_file(void **unused)
{
	struct bed *b, *other = bed_create(&sizes);
	struct state *s;
	uint64_t revision = 0;
	char err[256] = "";

	(void)unused;
	b = written(&s);
	assert_int_equal(load(other, "edge2", &revision, err), -EINVAL);
	assert_non_null(strstr(err, "not of this edge"));
	state_free(s);
	bed_destroy(b);
	bed_destroy(other);
}

/* Cut anywhere, and with any byte replaced by a quote: never taken for whole unless it is the same. */
static void test_damage(void **unused)
{
	struct bed *b;
	struct state *s;
	static char text[65536];
	char err[256];
	size_t len;
	FILE *f;

	(void)unused;
	b = written(&s);
	f = fopen(path, "r");
	len = fread(text, 1, sizeof(text), f);
	fclose(f);
	for (size_t cut = 0; cut < len; cut += 1 + len / 97) {
		struct bed *other = bed_create(&sizes);
		uint64_t revision = 0;

		f = fopen(path, "w");
		fwrite(text, 1, cut, f);
		fclose(f);
		assert_int_equal(load(other, "edge1", &revision, err), -EINVAL);
		assert_non_null(strstr(err, path));
		bed_destroy(other);
	}
	for (size_t at = 0; at + 1 < len; at += 1 + len / 97) {
		struct bed *other = bed_create(&sizes);
		uint64_t revision = 0;
		char was = text[at];

		text[at] = '"';
		f = fopen(path, "w");
		fwrite(text, 1, len, f);
		fclose(f);
		text[at] = was;
		load(other, "edge1", &revision, err); /* whatever it says: nothing breaks (ASan) */
		bed_destroy(other);
	}
	state_free(s);
	bed_destroy(b);
}

/* A writer that dies leaves the last whole file. */
static void test_a_write_cut_short(void **unused)
{
	struct bed *b, *back = bed_create(&sizes);
	struct state *s;
	uint64_t revision = 0;
	char err[256] = "", tmp[160];
	FILE *f;

	(void)unused;
	b = written(&s);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "w");
	fputs("{\"format\":1,", f);
	fclose(f);
	assert_int_equal(load(back, "edge1", &revision, err), 1);
	state_free(s);
	bed_destroy(b);
	bed_destroy(back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_no_file), cmocka_unit_test(test_another_edges_file),
		cmocka_unit_test(test_damage),     cmocka_unit_test(test_a_write_cut_short),
	};
	int rc;

	log_set_level(LOG_LEVEL_ERROR);
	snprintf(dir, sizeof(dir), "/tmp/sluice-state-test.XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/tables.jsonl", dir);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	strcat(path, ".new");
	unlink(path);
	rmdir(dir);
	return rc;
}
