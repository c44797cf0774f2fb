// SPDX-License-Identifier: BSD-3-Clause
// The writer's side of policy: accounts, their rules and lists, published as a whole.
#include "dataplane/tables/policy_compiled.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void free_retired(void *owner, uint64_t what)
{
	void (**box)(void *) = (void (**)(void *))(uintptr_t)what;

	(void)owner;
	(*box)(((void **)box)[1]);
	free(box);
}

void policy_retire(struct policy_set *p, void (*free_fn)(void *), const void *what)
{
	void *ptr = (void *)(uintptr_t)what;
	void **box;

	if (!p->retire.retire) {
		free_fn(ptr);
		return;
	}
	box = malloc(2 * sizeof(*box));
	if (!box)
		return; /* lost, never freed too early */
	*(void (**)(void *))(void *)box = free_fn;
	box[1] = ptr;
	p->retire.retire(p->retire.ctx, free_retired, p, (uint64_t)(uintptr_t)box);
}

struct policy_set *policy_create(const struct policy_limits *limits, struct retire_ops retire)
{
	struct policy_set *p;

	if (!limits->accounts || !limits->rules || limits->rules >= UINT16_MAX || !limits->lists || !limits->terms_per_rule ||
	    limits->terms > POLICY_TERMS_MAX || limits->list_entries > 4000000) {
		errno = EINVAL;
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->limits = *limits;
	p->retire = retire;
	p->n_vnets = limits->vnets;
	p->accounts = calloc(limits->accounts, sizeof(*p->accounts));
	p->vnets = calloc(limits->vnets + 1, sizeof(*p->vnets));
	policy_force_portable(p, false);
	if (!p->accounts || !p->vnets) {
		free(p->accounts);
		free(p->vnets);
		free(p);
		errno = ENOMEM;
		return NULL;
	}
	for (uint32_t i = 0; i < limits->accounts; i++)
		p->accounts[i].set = p;
	return p;
}

void policy_force_portable(struct policy_set *p, bool portable)
{
	p->search = !portable && policy_search_has_avx512() ? policy_search_avx512 : policy_search_portable;
}

/* No reader is left in it; its sets go at the next change, not in the middle of the one that may be under way. */
static void compiled_put(struct policy_set *p, struct policy_compiled *c)
{
	if (!c || --c->refs)
		return;
	c->grave = p->graves;
	p->graves = c;
}

/* whole: the set itself goes, tables of addresses and all: nothing is retired any more. */
static void bury(struct policy_set *p, bool whole)
{
	while (p->graves) {
		struct policy_compiled *c = p->graves;

		p->graves = c->grave;
		for (uint32_t i = 0; !whole && i < c->n_sets; i++)
			policy_set_put(p->accounts[c->account].classes, c->sets[i]);
		policy_compiled_free(c);
	}
}

bool policy_class_made(void *ctx, uint32_t id, const uint32_t *sets, uint32_t n)
{
	struct policy_account *a = ctx;

	return !a->view || !a->view->compiled || policy_compiled_class(a->set, a->view->compiled, id, sets, n);
}

static void view_free(void *what)
{
	struct policy_view *view = what;

	compiled_put(view->set, view->compiled);
	free(view->rules);
	free(view->lists);
	free(view);
}

static void list_free(void *what)
{
	policy_list_free(what);
}

/* A view that shares what it can with the account's last one; NULL when out of memory. */
static struct policy_view *view_make(struct policy_set *p, const struct policy_view *old, uint32_t n_rules, uint32_t n_lists)
{
	struct policy_view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	view->set = p;
	view->default_allow = old && old->default_allow;
	view->n_rules = n_rules;
	view->n_lists = n_lists;
	view->rules = calloc(n_rules + 1, sizeof(*view->rules));
	view->lists = calloc(n_lists + 1, sizeof(*view->lists));
	if (!view->rules || !view->lists) {
		view_free(view);
		return NULL;
	}
	return view;
}

static void publish(struct policy_set *p, struct policy_account *a, struct policy_view *view)
{
	const struct policy_view *old = a->view;

	__atomic_store_n(&a->view, view, __ATOMIC_RELEASE);
	if (old)
		policy_retire(p, view_free, old);
}

/* Where the list `id` is, or would be. */
static uint32_t list_place(const struct policy_view *view, const char *id, bool *found)
{
	uint32_t low = 0, high = view ? view->n_lists : 0;

	*found = false;
	while (low < high) {
		uint32_t mid = (low + high) / 2;
		int c = strcmp(view->lists[mid]->id, id);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int refuse(struct policy_error *error, uint32_t rule, int rc, const char *message)
{
	error->rule = rule;
	snprintf(error->message, sizeof(error->message), "%s", message);
	return rc;
}

static int check_list(const struct policy_set *p, const struct policy_account *a, const struct policy_list *old, size_t n, const char *id,
		      struct policy_error *error)
{
	uint64_t entries = a->list_entries - (old ? old->items : 0) + n;

	if (!old && a->view && a->view->n_lists >= p->limits.lists) {
		error->rule = POLICY_RULE_DEFAULT;
		snprintf(error->message, sizeof(error->message), "list %.40s: the account has %u lists, the most there can be", id,
			 p->limits.lists);
		return -ENOSPC;
	}
	if (entries > p->limits.list_entries) {
		error->rule = POLICY_RULE_DEFAULT;
		snprintf(error->message, sizeof(error->message), "list %.40s: the lists of the account would have %llu items, at most %u fit",
			 id, (unsigned long long)entries, p->limits.list_entries);
		return -ENOSPC;
	}
	return 0;
}

/* The view goes on with what is compiled, or with a new one where that depends on what is in the list. */
static int take_compiled(struct policy_set *p, struct policy_account *a, struct policy_view *view, const char *id, struct policy_error *error)
{
	struct policy_compiled *c = a->view ? a->view->compiled : NULL;

	if (c && policy_compiled_asks_list(c, id))
		return policy_compile(p, c->account, view, &view->compiled, error);
	view->compiled = c;
	if (c)
		c->refs++;
	return 0;
}

/* The addresses of a list that some rule names. */
static int fill_set(struct policy_account *a, const struct policy_list *old, const struct policy_list *list, struct policy_error *error)
{
	char key[1 + sizeof(list->id)];
	size_t len = (size_t)snprintf(key, sizeof(key), "L%s", list->id);
	uint32_t set = a->classes ? policy_set_find(a->classes, key, len) : POLICY_NONE;
	int rc = set == POLICY_NONE ? 0 : policy_set_swap(a, set, old, list);

	if (rc) {
		error->rule = POLICY_RULE_DEFAULT;
		snprintf(error->message, sizeof(error->message), "list %.40s: %s", list->id,
			 rc == -ENOSPC ? "its prefixes do not fit in the table of addresses" : "out of memory");
	}
	return rc;
}

int policy_list_put(struct policy_set *p, uint32_t account, const char *id, enum expr_list_type type, const char *const *items, size_t n,
		    struct policy_error *error)
{
	struct policy_account *a = account < p->limits.accounts ? &p->accounts[account] : NULL;
	const struct policy_list *old = NULL;
	struct policy_view *view;
	struct policy_list *list;
	uint32_t at, had;
	bool found;
	int rc;

	if (!a || strlen(id) >= sizeof(list->id))
		return refuse(error, POLICY_RULE_DEFAULT, -EINVAL, "list: no such account, or an id that is too long");
	bury(p, false);
	at = list_place(a->view, id, &found);
	had = a->view ? a->view->n_lists : 0;
	if (found)
		old = a->view->lists[at];
	rc = check_list(p, a, old, n, id, error);
	if (rc)
		return rc;
	list = policy_list_make(id, type, items, n, error, &rc);
	if (!list)
		return rc;
	view = view_make(p, a->view, a->view ? a->view->n_rules : 0, had + !found);
	if (!view) {
		policy_list_free(list);
		return refuse(error, POLICY_RULE_DEFAULT, -ENOMEM, "out of memory");
	}
	if (a->view) {
		memcpy(view->rules, a->view->rules, a->view->n_rules * sizeof(*view->rules));
		memcpy(view->lists, a->view->lists, at * sizeof(*view->lists));
		memcpy(view->lists + at + 1, a->view->lists + at + found, (had - at - found) * sizeof(*view->lists));
	}
	view->lists[at] = list;
	rc = fill_set(a, old, list, error);
	if (!rc) {
		rc = take_compiled(p, a, view, id, error);
		if (rc && old)
			fill_set(a, list, old, &(struct policy_error){0});
	}
	if (rc) {
		view_free(view);
		policy_list_free(list);
		return rc;
	}
	a->list_entries += n - (old ? old->items : 0);
	publish(p, a, view);
	if (old)
		policy_retire(p, list_free, old);
	return 0;
}

void policy_list_delete(struct policy_set *p, uint32_t account, const char *id)
{
	struct policy_account *a = account < p->limits.accounts ? &p->accounts[account] : NULL;
	struct policy_list empty = {.type = EXPR_LIST_IP};
	struct policy_error ignored;
	const struct policy_list *old;
	struct policy_view *view;
	bool found;
	uint32_t at;

	if (!a || !a->view || strlen(id) >= sizeof(empty.id))
		return;
	snprintf(empty.id, sizeof(empty.id), "%s", id);
	bury(p, false);
	at = list_place(a->view, id, &found);
	if (!found)
		return;
	old = a->view->lists[at];
	view = view_make(p, a->view, a->view->n_rules, a->view->n_lists - 1);
	if (!view)
		return;
	memcpy(view->rules, a->view->rules, a->view->n_rules * sizeof(*view->rules));
	memcpy(view->lists, a->view->lists, at * sizeof(*view->lists));
	memcpy(view->lists + at, a->view->lists + at + 1, (a->view->n_lists - at - 1) * sizeof(*view->lists));
	if (take_compiled(p, a, view, id, &ignored)) {
		view_free(view);
		return;
	}
	fill_set(a, old, &empty, &ignored);
	a->list_entries -= old->items;
	publish(p, a, view);
	policy_retire(p, list_free, old);
}

/* l4, then http and dns; among these `off` before all others; then by precedence. */
static int compare_rules(const void *a, const void *b)
{
	const struct policy_view_rule *x = a, *y = b;
	bool x_off = x->action == POLICY_OFF, y_off = y->action == POLICY_OFF;

	if (x->filter != y->filter)
		return x->filter < y->filter ? -1 : 1;
	if (x_off != y_off)
		return x_off ? -1 : 1;
	if (x->precedence != y->precedence)
		return x->precedence < y->precedence ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int check_rules(const struct policy_set *p, const struct policy_account *a, const struct policy_rule *rules, size_t n,
		       struct policy_error *error)
{
	uint32_t had = a->view ? a->view->n_rules : 0;

	if (n > p->limits.rules || p->rules_total - had + n > p->limits.rules_total) {
		error->rule = n > p->limits.rules ? rules[p->limits.rules].index : POLICY_RULE_DEFAULT;
		snprintf(error->message, sizeof(error->message), "%zu rules: an account may have %u, all accounts together %u", n,
			 p->limits.rules, p->limits.rules_total);
		return -ENOSPC;
	}
	for (size_t i = 0; i < n; i++) {
		if (rules[i].index < p->limits.rules_total && (rules[i].filter != POLICY_L4 || rules[i].action != POLICY_OFF))
			continue;
		error->rule = rules[i].index;
		snprintf(error->message, sizeof(error->message), "rule %.60s: its index or action is not one that rules of its filter have",
			 rules[i].name ? rules[i].name : "?");
		return -EINVAL;
	}
	return 0;
}

/* "rule 'x': …" */
static void name_rule(const struct policy_rule *rules, size_t n, struct policy_error *error)
{
	char message[sizeof(error->message)];

	for (size_t i = 0; error->rule != POLICY_RULE_DEFAULT && i < n; i++) {
		if (rules[i].index != error->rule)
			continue;
		memcpy(message, error->message, sizeof(message));
		snprintf(error->message, sizeof(error->message), "rule %.60s: %.180s", rules[i].name ? rules[i].name : "?", message);
	}
}

int policy_rules_set(struct policy_set *p, uint32_t account, bool default_allow, const struct policy_rule *rules, size_t n,
		     struct policy_error *error)
{
	struct policy_account *a = account < p->limits.accounts ? &p->accounts[account] : NULL;
	struct policy_view *view;
	struct timespec t0, t1;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	if (!a)
		return refuse(error, POLICY_RULE_DEFAULT, -EINVAL, "rules: no such account");
	rc = check_rules(p, a, rules, n, error);
	if (rc)
		return rc;
	view = view_make(p, a->view, (uint32_t)n, a->view ? a->view->n_lists : 0);
	if (!view)
		return refuse(error, POLICY_RULE_DEFAULT, -ENOMEM, "out of memory");
	view->default_allow = default_allow;
	for (size_t i = 0; i < n; i++)
		view->rules[i] = (struct policy_view_rule){.index = rules[i].index,
							   .precedence = rules[i].precedence,
							   .filter = rules[i].filter,
							   .action = rules[i].action,
							   .silent = rules[i].silent,
							   .names_source = rules[i].traffic && rules[i].traffic->fields & 1u << EXPR_F_NET_SRC_IP,
							   .traffic = rules[i].traffic,
							   .identity = rules[i].identity,
							   .posture = rules[i].posture};
	qsort(view->rules, n, sizeof(*view->rules), compare_rules);
	if (a->view)
		memcpy(view->lists, a->view->lists, a->view->n_lists * sizeof(*view->lists));
	bury(p, false);
	rc = policy_compile(p, account, view, &view->compiled, error);
	if (rc) {
		view_free(view);
		name_rule(rules, n, error);
		return rc;
	}
	p->rules_total += (uint32_t)n - (a->view ? a->view->n_rules : 0);
	publish(p, a, view);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	a->last_compile_ns = (uint64_t)(t1.tv_sec - t0.tv_sec) * 1000000000u + (uint64_t)t1.tv_nsec - (uint64_t)t0.tv_nsec;
	return 0;
}

int policy_vnet_put(struct policy_set *p, uint32_t vnet, const char *id)
{
	const char *old, *copy = id ? strdup(id) : NULL;

	if (vnet >= p->n_vnets || (id && !copy)) {
		free((void *)(uintptr_t)copy);
		return vnet >= p->n_vnets ? -EINVAL : -ENOMEM;
	}
	old = p->vnets[vnet];
	__atomic_store_n(&p->vnets[vnet], copy, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < p->limits.accounts; i++)
		if (p->accounts[i].view && p->accounts[i].view->compiled)
			policy_compiled_vnet(p, p->accounts[i].view->compiled, p->accounts[i].view, vnet);
	if (old)
		policy_retire(p, free, old);
	return 0;
}

void policy_account_delete(struct policy_set *p, uint32_t account)
{
	struct policy_account *a = account < p->limits.accounts ? &p->accounts[account] : NULL;
	const struct policy_view *view = a ? a->view : NULL;

	if (!a)
		return;
	__atomic_store_n(&a->view, NULL, __ATOMIC_RELEASE);
	if (view) {
		p->rules_total -= view->n_rules;
		for (uint32_t i = 0; i < view->n_lists; i++)
			policy_retire(p, list_free, view->lists[i]);
		policy_retire(p, view_free, view);
	}
	for (uint32_t i = 0; i < a->persons_used; i++)
		if (a->persons->at[i])
			policy_retire(p, free, a->persons->at[i]);
	if (a->persons) {
		const void *old = a->persons;

		__atomic_store_n(&a->persons, NULL, __ATOMIC_RELEASE);
		policy_retire(p, free, old);
	}
	free(a->free_persons);
	free(a->by_hash);
	*a = (struct policy_account){.set = p, .classes = a->classes, .addresses = a->addresses};
}

void policy_destroy(struct policy_set *p)
{
	if (!p)
		return;
	p->retire.retire = NULL; /* no reader is left */
	for (uint32_t i = 0; i < p->limits.accounts; i++)
		policy_account_delete(p, i);
	bury(p, true);
	for (uint32_t i = 0; i < p->limits.accounts; i++)
		policy_classes_free(p->accounts[i].classes);
	for (uint32_t i = 0; i < p->n_vnets; i++)
		free((void *)(uintptr_t)p->vnets[i]);
	free(p->vnets);
	free(p->accounts);
	free(p);
}

void policy_stats(const struct policy_set *p, uint32_t account, struct policy_stats *out)
{
	const struct policy_account *a = account < p->limits.accounts ? &p->accounts[account] : NULL;

	memset(out, 0, sizeof(*out));
	if (!a)
		return;
	out->identities = a->persons_used - a->n_free;
	out->list_entries = a->list_entries;
	out->last_compile_ns = a->last_compile_ns;
	out->bytes = (a->persons ? a->persons->capacity : 0) * (sizeof(void *) + 4 * sizeof(uint32_t));
	out->bytes += a->classes ? policy_classes_bytes(a->classes) : 0;
	out->classes = a->classes ? policy_classes_count(a->classes) : 0;
	if (!a->view)
		return;
	out->rules = a->view->n_rules;
	out->lists = a->view->n_lists;
	if (a->view->compiled) {
		out->terms = a->view->compiled->n_real;
		out->bytes += policy_compiled_bytes(a->view->compiled);
	}
	out->bytes += a->view->n_rules * sizeof(*a->view->rules);
	for (uint32_t i = 0; i < a->view->n_lists; i++)
		out->bytes += a->view->lists[i]->items * sizeof(struct policy_span);
}
