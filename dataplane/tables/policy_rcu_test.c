// SPDX-License-Identifier: BSD-3-Clause
// Policy read by threads while it changes: what is freed is nobody's any more (ASan, TSan), and no reader sees half of a change.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tables/policy_compiled.h"

#define READERS 2
#define WAITING_MAX 64
#define CHANGES 600

/* ---- quiescent states: a reader counts them; what is retired waits until each has counted on ---- */

struct waiting {
	retire_free_fn fn;
	void *owner;
	uint64_t what, seen[READERS];
};

struct bed {
	struct policy_set *p;
	uint64_t quiet[READERS]; /* each its reader's */
	bool running, end;
	struct waiting waiting[WAITING_MAX];
	uint32_t first, n, freed; /* a ring */
	uint32_t identity;
	uint64_t decisions[READERS], half[READERS][4]; /* wrong ones, by query */
};

static bool passed(struct bed *b, const struct waiting *w)
{
	for (unsigned i = 0; i < READERS; i++)
		if (__atomic_load_n(&b->quiet[i], __ATOMIC_ACQUIRE) == w->seen[i])
			return false;
	return true;
}

static void reclaim(struct bed *b, uint32_t most)
{
	while (b->n > most) {
		struct waiting w = b->waiting[b->first];

		while (!passed(b, &w))
			sched_yield();
		b->first = (b->first + 1) % WAITING_MAX;
		b->n--;
		b->freed++;
		w.fn(w.owner, w.what);
	}
}

static void retire(void *ctx, retire_free_fn fn, void *owner, uint64_t what)
{
	struct bed *b = ctx;
	struct waiting *w;

	if (!b->running) {
		fn(owner, what);
		return;
	}
	reclaim(b, WAITING_MAX - 2);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	w = &b->waiting[(b->first + b->n++) % WAITING_MAX];
	*w = (struct waiting){.fn = fn, .owner = owner, .what = what};
	for (unsigned i = 0; i < READERS; i++)
		w->seen[i] = __atomic_load_n(&b->quiet[i], __ATOMIC_ACQUIRE);
}

/* ---- readers ---- */

static struct policy_query query(const char *src, const char *dst, uint16_t port, uint32_t identity)
{
	struct policy_query q = {.identity = identity, .family = 4, .proto = 6, .src_port = 40000, .dst_port = port};
	struct ip_addr a;

	assert_true(ip_addr_parse(src, &a));
	memcpy(q.src, a.bytes, 16);
	assert_true(ip_addr_parse(dst, &a));
	memcpy(q.dst, a.bytes, 16);
	return q;
}

struct reader {
	struct bed *b;
	unsigned at;
};

/* Of each list and all rules: what must hold at any moment. */
enum { ALWAYS_LISTED, NEVER_BOTH, ONE_RULE, OF_A_GROUP, N_QUERIES };

static void *read_policy(void *arg)
{
	struct reader *r = arg;
	struct bed *b = r->b;
	const struct policy_query q[N_QUERIES] = {
		[ALWAYS_LISTED] = query("100.96.0.1", "10.0.0.200", 1, POLICY_IDENTITY_NONE),
		[NEVER_BOTH] = query("172.16.5.1", "172.17.5.1", 2, POLICY_IDENTITY_NONE),
		[ONE_RULE] = query("100.96.0.1", "192.0.2.1", 3, POLICY_IDENTITY_NONE),
		[OF_A_GROUP] = query("100.96.0.1", "192.0.2.1", 4, b->identity),
	};
	/* in bursts, without names, one set of rules leaves ONE_RULE pending */
	static const uint8_t wanted[N_QUERIES] = {POLICY_DENY, POLICY_PASS, POLICY_DENY, POLICY_DENY};
	const struct policy_query *each[32];
	struct policy_result got[32];
	struct names names = {.sni = {.state = NAME_KNOWN, .len = 16, .text = "www.evil.example"}};

	for (unsigned i = 0; i < 32; i++)
		each[i] = &q[i % N_QUERIES];
	while (!__atomic_load_n(&b->end, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 0; i < N_QUERIES; i++) {
			policy_decide(b->p, &q[i], &names, &got[0]);
			b->half[r->at][i] += got[0].verdict != wanted[i];
		}
		policy_decide_burst(b->p, each, got, 32);
		for (unsigned i = 0; i < 32; i++)
			b->half[r->at][i % N_QUERIES] += got[i].verdict != wanted[i % N_QUERIES] && (i % N_QUERIES != ONE_RULE || got[i].verdict == POLICY_PASS);
		b->decisions[r->at] += N_QUERIES + 32;
		__atomic_store_n(&b->quiet[r->at], b->quiet[r->at] + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* ---- the writer ---- */

static bool find_list(void *user, const char *name, struct expr_list *out)
{
	(void)user;
	snprintf(out->id, sizeof(out->id), "%s", name);
	out->type = strcmp(name, "hosts") ? EXPR_LIST_IP : EXPR_LIST_DOMAIN;
	return true;
}

static struct expr *parse(const char *text, enum expr_scheme scheme)
{
	const struct expr_lists lists = {.find = find_list};
	struct expr_error error;
	struct expr *e;

	if (expr_parse(text, strlen(text), scheme, &lists, &e, &error))
		fail_msg("%s: %s", text, error.message);
	return e;
}

static void free_expr(void *owner, uint64_t what)
{
	(void)owner;
	expr_free((struct expr *)(uintptr_t)what);
}

/* Either set of rules refuses port 3 by another rule; both are of lists, names and groups. */
static void put_rules(struct bed *b, bool other, struct expr *exprs[4])
{
	struct policy_rule rules[4] = {{.index = 0}};
	struct expr *old[4];
	struct policy_error error;

	memcpy(old, exprs, sizeof(old));
	exprs[0] = parse(other ? "net.dst.ip in $one" : "net.dst.port == 1 and net.dst.ip in $one", EXPR_L4);
	exprs[1] = parse("net.src.ip in $two and net.dst.ip in $two", EXPR_L4);
	exprs[2] = parse(other ? "net.dst.port == 3" : "net.sni.host in $hosts and net.dst.ip == 192.0.2.1 and net.dst.port in {3 5}", EXPR_L4);
	exprs[3] = parse("any(identity.groups.name[*] == \"dev\")", EXPR_IDENTITY);
	for (uint32_t i = 0; i < 4; i++)
		rules[i] = (struct policy_rule){.index = other ? 3 - i : i, .precedence = i, .action = POLICY_BLOCK, .name = "r",
						.traffic = i < 3 ? exprs[i] : NULL, .identity = i == 3 ? exprs[i] : NULL};
	if (policy_rules_set(b->p, 0, true, rules, 4, &error))
		fail_msg("%s", error.message);
	for (unsigned i = 0; i < 4; i++)
		if (old[i])
			retire(b, free_expr, NULL, (uint64_t)(uintptr_t)old[i]);
}

static void put_list(struct bed *b, const char *id, const char *const *items, size_t n)
{
	struct policy_error error;

	if (policy_list_put(b->p, 0, id, strcmp(id, "hosts") ? EXPR_LIST_IP : EXPR_LIST_DOMAIN, items, n, &error))
		fail_msg("%s", error.message);
}

static void change(struct bed *b, uint32_t i, struct expr *exprs[4])
{
	/* the same address, by other prefixes; other addresses with it */
	static const char *const one[4][3] = {{"10.0.0.0/8"}, {"10.0.0.0/25", "10.0.0.128/25", "10.9.0.0/16"}, {"10.0.0.200"}, {"10.0.0.100-10.0.1.5", "192.0.2.9"}};
	static const size_t n_one[4] = {1, 3, 1, 2};
	/* the two addresses, never both */
	static const char *const two[4][2] = {{"172.16.0.0/16"}, {"172.17.5.1"}, {"172.16.5.0/24", "10.0.0.0/16"}, {"172.17.0.0/16"}};
	static const size_t n_two[4] = {1, 1, 2, 1};
	static const char *const hosts[] = {"www.evil.example", "a.example"};
	char id[40], email[40];
	uint32_t who;

	put_list(b, "one", one[i % 4], n_one[i % 4]);
	put_list(b, "two", two[i / 2 % 4], n_two[i / 2 % 4]);
	if (i % 8 == 3)
		put_rules(b, i % 16 == 3, exprs);
	if (i % 16 == 5)
		put_list(b, "hosts", hosts, 1 + i % 32 / 16);
	snprintf(id, sizeof(id), "vnet-%u", i);
	policy_vnet_put(b->p, i % 3, i % 5 ? id : NULL);
	snprintf(email, sizeof(email), "%u@example.com", i);
	who = policy_identity_get(b->p, 0, &(struct policy_identity){.email = email});
	policy_identity_put(b->p, 0, who);
}

static void test_readers_while_it_changes(void **state)
{
	const struct policy_limits limits = POLICY_LIMITS_DEFAULT;
	const char *const dev[] = {"dev"};
	struct expr *exprs[4] = {NULL};
	struct reader readers[READERS];
	pthread_t threads[READERS];
	struct bed *b = calloc(1, sizeof(*b));
	uint64_t decisions = 0;

	(void)state;
	assert_non_null(b);
	b->p = policy_create(&limits, (struct retire_ops){retire, b});
	assert_non_null(b->p);
	put_list(b, "one", (const char *const[]){"10.0.0.0/8"}, 1);
	put_list(b, "two", (const char *const[]){"172.16.0.0/16"}, 1);
	put_list(b, "hosts", (const char *const[]){"www.evil.example"}, 1);
	b->identity = policy_identity_get(b->p, 0, &(struct policy_identity){.email = "ana@example.com", .groups = dev, .n_groups = 1});
	put_rules(b, false, exprs);
	b->running = true;
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){b, i};
		assert_int_equal(pthread_create(&threads[i], NULL, read_policy, &readers[i]), 0);
	}
	for (uint32_t i = 0; i < CHANGES; i++)
		change(b, i, exprs);
	reclaim(b, 0);
	__atomic_store_n(&b->end, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		decisions += b->decisions[i];
		for (unsigned q = 0; q < N_QUERIES; q++)
			if (b->half[i][q])
				fail_msg("reader %u: %llu decisions of query %u are of half a change", i, (unsigned long long)b->half[i][q], q);
	}
	b->running = false;
	print_message("%llu decisions beside %d changes, %u pieces freed\n", (unsigned long long)decisions, CHANGES, b->freed);
	assert_true(decisions > 1000 && b->freed > CHANGES);
	policy_destroy(b->p);
	for (unsigned i = 0; i < 4; i++)
		expr_free(exprs[i]);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_readers_while_it_changes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
