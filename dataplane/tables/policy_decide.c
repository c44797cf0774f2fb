// SPDX-License-Identifier: BSD-3-Clause
// The decision of a flow: two tracks over three-valued rules (decisions 7 and 8; docs/policy.md), by the compiled form.
#include "dataplane/tables/policy_compiled.h"

#include <string.h>

#define TCP 6
#define UDP 17
#define DNS_PORT 53

/* Names are looked for in TCP and UDP; http speaks of all of these but name service, dns of name service alone. */
bool policy_track_applies(enum policy_filter filter, const struct policy_query *q)
{
	bool dns = q->dst_port == DNS_PORT;

	if (filter == POLICY_L4)
		return true;
	return (q->proto == TCP || q->proto == UDP) && (filter == POLICY_DNS) == dns;
}

bool policy_rule_counts(const struct policy_view_rule *rule, const struct policy_query *q)
{
	return !q->from_private || rule->filter != POLICY_L4 || rule->action != POLICY_ALLOW || rule->names_source;
}

/* ---- rows of a flow ---- */

/* A row that is made for one decision. */
struct made_row {
	_Alignas(64) uint64_t head[sizeof(struct policy_row) / 8]; /* struct policy_row; its words come next */
	uint64_t words[POLICY_BLOCKS_MAX * POLICY_BLOCK_WORDS];
};

static inline struct policy_row *row_of(struct made_row *made)
{
	return (struct policy_row *)(void *)made->head;
}

/* What holds for certain of a term whose bit is in all rows. */
struct flow {
	struct policy_search search; /* bits: the term may hold */
	const struct policy_row *sure; /* of these, those that do */
};

struct lookups {
	const struct route_table *table;
	uint32_t addr[64], flow[64];
	unsigned n;
};

static void look_up(struct lookups *l, uint32_t *out)
{
	static const uint32_t vnets[64];
	uint32_t found[64];

	if (!l->n)
		return;
	route_lookup_v4_bulk(l->table, vnets, l->addr, found, l->n);
	for (unsigned i = 0; i < l->n; i++)
		out[l->flow[i]] = found[i] == ROUTE_NONE ? 0 : found[i];
	l->n = 0;
}

/* The classes of the addresses of n ≤ 64 flows; 0: of no set. Those of one account are looked up together. */
static void classes_of(const struct policy_set *p, const struct policy_compiled *const *c, const struct policy_query *const *q, unsigned n,
		       bool source, uint32_t *out)
{
	struct lookups l;

	l.table = NULL;
	l.n = 0;
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *addr = source ? q[i]->src : q[i]->dst;
		const struct route_table *table;

		out[i] = 0;
		if (!c[i] || !(c[i]->used >> (source ? DIM_SRC : DIM_DST) & 1))
			continue;
		table = __atomic_load_n(&p->accounts[q[i]->account].addresses, __ATOMIC_ACQUIRE);
		if (q[i]->family != 4) {
			uint32_t found = route_lookup_v6(table, 0, addr);

			out[i] = found == ROUTE_NONE ? 0 : found;
			continue;
		}
		if (table != l.table)
			look_up(&l, out);
		l.table = table;
		memcpy(&l.addr[l.n], addr, 4);
		l.flow[l.n++] = i;
	}
	look_up(&l, out);
}

static inline void put(struct flow *f, const struct policy_row *row)
{
	f->search.rows[f->search.n++] = row;
}

static inline bool uses(const struct policy_compiled *c, enum policy_dim d)
{
	return c->used >> d & 1;
}

/* A class that is newer than the rows is asked again (changed()); until then it is of no set. */
static void put_address(struct flow *f, const struct policy_class_rows *rows, bool source, uint32_t class)
{
	const struct policy_row *row = NULL;

	if (class < rows->capacity)
		row = source ? __atomic_load_n(&rows->at[class].src, __ATOMIC_ACQUIRE) : __atomic_load_n(&rows->at[class].dst, __ATOMIC_ACQUIRE);
	put(f, row ? row : source ? rows->at[0].src : rows->at[0].dst);
}

static void put_who(struct flow *f, const struct policy_compiled *c, uint32_t id)
{
	const struct policy_who_rows *rows = __atomic_load_n(&c->who, __ATOMIC_ACQUIRE);
	const struct policy_row *row = rows && id < rows->capacity ? __atomic_load_n(&rows->at[id], __ATOMIC_ACQUIRE) : NULL;

	put(f, row ? row : c->nobody);
}

static void put_small(struct flow *f, const struct policy_set *p, const struct policy_compiled *c, const struct policy_query *q)
{
	bool ports = q->proto == TCP || q->proto == UDP;

	if (uses(c, DIM_DPORT))
		put(f, c->port_rows[1][c->port[1][ports ? q->dst_port : POLICY_PORTS - 1]]);
	if (uses(c, DIM_SPORT))
		put(f, c->port_rows[0][c->port[0][ports ? q->src_port : POLICY_PORTS - 1]]);
	if (uses(c, DIM_PROTO))
		put(f, c->proto[q->proto]);
	if (uses(c, DIM_VNET))
		put(f, __atomic_load_n(&c->vnets[q->vnet < p->n_vnets ? q->vnet : p->n_vnets], __ATOMIC_ACQUIRE));
	if (q->from_private)
		put(f, c->private_side);
}

/* Taken before the classes of addresses are looked up. As long as they are the same afterwards no list has changed in between. */
static inline const struct policy_class_rows *rows_of(const struct policy_compiled *c)
{
	return __atomic_load_n(&c->classes, __ATOMIC_ACQUIRE);
}

/* Rows of everything but names. */
static void put_known(struct flow *f, const struct policy_set *p, const struct policy_compiled *c, const struct policy_query *q,
		      const struct policy_class_rows *rows, uint32_t src, uint32_t dst)
{
	f->search.n = 0;
	f->sure = c->full;
	put(f, c->full);
	if (uses(c, DIM_DST))
		put_address(f, rows, false, dst);
	if (uses(c, DIM_SRC))
		put_address(f, rows, true, src);
	if (uses(c, DIM_WHO))
		put_who(f, c, q->identity);
	put_small(f, p, c, q);
}

/* ---- names ---- */

static void and_words(struct made_row *row, const uint64_t *bits, unsigned words)
{
	for (unsigned w = 0; bits && w < words; w++)
		row->words[w] &= bits[w];
}

static const struct name_text *text_of(const struct names *names, enum policy_dim d)
{
	switch (d) {
	case DIM_SNI:
		return &names->sni;
	case DIM_HOST:
		return &names->http_host;
	case DIM_URI:
		return &names->http_uri;
	case DIM_METHOD:
		return &names->http_method;
	default:
		return &names->dns_fqdn;
	}
}

static void and_row(struct made_row *to, const struct policy_row *row, unsigned blocks)
{
	const uint64_t *words = row->words;

	for (unsigned b = 0; b < blocks; b++) {
		bool there = row->summary >> b & 1;

		for (unsigned w = 0; w < POLICY_BLOCK_WORDS; w++)
			to->words[b * POLICY_BLOCK_WORDS + w] &= there ? words[w] : 0;
		words += there ? POLICY_BLOCK_WORDS : 0;
	}
}

static void known_name(const struct policy_compiled *c, const struct policy_view *view, enum policy_dim d, const struct name_text *text,
		       struct made_row *may, struct made_row *sure)
{
	uint64_t fired[POLICY_ATOMS_MAX / 64 + 1], bits[POLICY_BLOCKS_MAX * POLICY_BLOCK_WORDS];

	memset(fired, 0, (c->atoms.n / 64 + 1) * sizeof(fired[0]));
	policy_names_ask(c->names, &c->atoms, view, d, text, fired);
	policy_fire(c, d, fired, bits);
	and_words(may, bits, c->blocks * POLICY_BLOCK_WORDS);
	and_words(sure, bits, c->blocks * POLICY_BLOCK_WORDS);
}

/* Bits of terms that may hold by what is known of names, and of those that do. */
static void names_of(const struct policy_compiled *c, const struct policy_view *view, const struct names *names, struct made_row *may,
		     struct made_row *sure)
{
	unsigned words = c->blocks * POLICY_BLOCK_WORDS;

	memset(may->words, 0xff, words * sizeof(may->words[0]));
	memset(sure->words, 0xff, words * sizeof(sure->words[0]));
	for (unsigned d = DIM_NAMES; d < DIM_COUNT; d++) {
		const struct name_text *text = text_of(names, (enum policy_dim)d);
		unsigned state = d == DIM_DETECTED ? names->protocol_state : text->state;

		if (!uses(c, (enum policy_dim)d))
			continue;
		if (state == NAME_UNSEEN) {
			and_words(sure, c->free_of[d], words);
		} else if (state != NAME_KNOWN) {
			and_words(may, c->base[d], words);
			and_words(sure, c->base[d], words);
		} else if (d == DIM_DETECTED) {
			const struct policy_row *row = c->detected[names->protocol < DETECTED_COUNT ? names->protocol : DETECTED_NONE];

			and_row(may, row, c->blocks);
			and_row(sure, row, c->blocks);
		} else {
			known_name(c, view, (enum policy_dim)d, text, may, sure);
		}
	}
	row_of(may)->summary = row_of(sure)->summary = c->blocks < 64 ? (1ull << c->blocks) - 1 : ~0ull;
}

static void put_names(struct flow *f, const struct policy_compiled *c, const struct policy_view *view, const struct policy_query *q,
		      const struct names *names, struct made_row *may, struct made_row *sure)
{
	if (!(c->used >> DIM_NAMES))
		return;
	if (q->proto != TCP && q->proto != UDP) {
		put(f, c->nameless);
	} else if (!names) {
		f->sure = c->certain;
	} else {
		names_of(c, view, names, may, sure);
		put(f, row_of(may));
		f->sure = row_of(sure);
	}
}

/* ---- a track ---- */

static bool holds(const struct flow *f, uint32_t term)
{
	for (unsigned i = 0; i < f->search.n; i++)
		if (!policy_row_bit(f->search.rows[i], term))
			return false;
	return policy_row_bit(f->sure, term);
}

/* The first rule that may match: it decides, or nobody can say yet. */
static void run(const struct policy_set *p, const struct policy_compiled *c, const struct policy_view *view, const struct flow *f,
		enum policy_filter filter, struct policy_track *out)
{
	_Alignas(64) uint64_t bits[POLICY_BLOCK_WORDS];
	int block = p->search(&f->search, c->track[filter], bits);
	uint32_t term, rule;
	unsigned w = 0;

	*out = (struct policy_track){.pending = false};
	if (block < 0)
		return;
	while (!bits[w])
		w++;
	term = (uint32_t)block * POLICY_BLOCK_BITS + w * 64 + (unsigned)__builtin_ctzll(bits[w]);
	rule = c->terms[term].rule;
	out->decided = &view->rules[rule];
	if (f->sure == c->full || policy_row_bit(f->sure, term))
		return;
	for (term++; term < c->rule_end[rule]; term++)
		if (holds(f, term))
			return;
	out->decided = NULL;
	out->pending = true;
}

static void deny(struct policy_result *out, uint32_t rule, bool silent)
{
	out->verdict = POLICY_DENY;
	out->rule = rule;
	out->silent = silent;
}

/* Decision 7. A track that is decided to block needs no answer from the other. */
void policy_combine(const struct policy_view *view, const struct policy_query *q, const struct policy_track *l4, const struct policy_track *other,
		    struct policy_result *out)
{
	const struct policy_view_rule *l4_rule = l4->pending ? NULL : l4->decided;
	const struct policy_view_rule *other_rule = other->pending ? NULL : other->decided;
	bool allow = l4_rule ? l4_rule->action == POLICY_ALLOW : view->default_allow && !q->from_private;

	out->l4_rule = l4_rule ? l4_rule->index : POLICY_RULE_DEFAULT;
	out->other_rule = other_rule ? other_rule->index : POLICY_RULE_DEFAULT;
	out->off = other_rule && other_rule->action == POLICY_OFF;
	out->rule = out->l4_rule;
	if (!l4->pending && !allow) {
		deny(out, out->l4_rule, l4_rule && l4_rule->silent);
	} else if (other_rule && other_rule->action == POLICY_BLOCK) {
		deny(out, other_rule->index, other_rule->silent);
	} else if (l4->pending || other->pending) {
		out->verdict = POLICY_PENDING;
		out->inspect = true;
	} else {
		out->verdict = POLICY_PASS;
	}
}

static void decide(const struct policy_set *p, const struct policy_compiled *c, const struct policy_view *view, const struct policy_query *q,
		   const struct flow *f, struct policy_result *out)
{
	struct policy_track l4 = {.pending = false}, other = {.pending = false};

	*out = POLICY_REFUSED;
	if (c && c->blocks) {
		run(p, c, view, f, POLICY_L4, &l4);
		if (q->proto == TCP || q->proto == UDP)
			run(p, c, view, f, policy_track_applies(POLICY_DNS, q) ? POLICY_DNS : POLICY_HTTP, &other);
	}
	policy_combine(view, q, &l4, &other, out);
}

static const struct policy_view *view_of(const struct policy_set *p, const struct policy_query *q)
{
	return q->account < p->limits.accounts ? __atomic_load_n(&p->accounts[q->account].view, __ATOMIC_ACQUIRE) : NULL;
}

/*
 * Rules or a list have changed since: the classes may be of after the change, and a number that was one class when `rows` were
 * published may be another now. Numbers and rows are free only when readers have moved on, so equal pointers mean that nothing was.
 */
static bool changed(const struct policy_set *p, const struct policy_query *q, const struct policy_view *view, const struct policy_compiled *c,
		    const struct policy_class_rows *rows)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return view_of(p, q) != view || rows_of(c) != rows;
}

void policy_decide(const struct policy_set *p, const struct policy_query *q, const struct names *names, struct policy_result *out)
{
	const struct policy_class_rows *rows = NULL;
	const struct policy_compiled *c = NULL;
	const struct policy_view *view;
	struct made_row may, sure;
	uint32_t src, dst;
	struct flow f;

	*out = POLICY_REFUSED;
	do {
		view = view_of(p, q);
		if (!view)
			return;
		c = view->compiled;
		if (!c || !c->blocks)
			break;
		rows = rows_of(c);
		classes_of(p, &c, &q, 1, true, &src);
		classes_of(p, &c, &q, 1, false, &dst);
		put_known(&f, p, c, q, rows, src, dst);
	} while (changed(p, q, view, c, rows));
	if (c && c->blocks)
		put_names(&f, c, view, q, names, &may, &sure);
	decide(p, c, view, q, &f, out);
}

void policy_decide_burst(const struct policy_set *p, const struct policy_query *const *q, struct policy_result *out, unsigned n)
{
	const struct policy_class_rows *rows[64];
	const struct policy_compiled *c[64] = {NULL};
	const struct policy_view *view[64];
	uint32_t src[64], dst[64];
	struct flow f[64];

	for (unsigned i = 0; i < n; i++) {
		view[i] = view_of(p, q[i]);
		c[i] = view[i] && view[i]->compiled && view[i]->compiled->blocks ? view[i]->compiled : NULL;
		rows[i] = c[i] ? rows_of(c[i]) : NULL;
		if (c[i] && uses(c[i], DIM_DPORT))
			__builtin_prefetch(&c[i]->port[1][q[i]->dst_port]);
		if (c[i] && c[i]->who && q[i]->identity < c[i]->who->capacity)
			__builtin_prefetch(&c[i]->who->at[q[i]->identity]);
	}
	classes_of(p, c, q, n, true, src);
	classes_of(p, c, q, n, false, dst);
	for (unsigned i = 0; i < n; i++)
		if (rows[i] && dst[i] < rows[i]->capacity)
			__builtin_prefetch(&rows[i]->at[dst[i]]);
	for (unsigned i = 0; i < n; i++) {
		if (!c[i])
			continue;
		put_known(&f[i], p, c[i], q[i], rows[i], src[i], dst[i]);
		if (changed(p, q[i], view[i], c[i], rows[i])) {
			view[i] = NULL; /* alone, below */
			continue;
		}
		put_names(&f[i], c[i], view[i], q[i], NULL, NULL, NULL);
		for (unsigned r = 0; r < f[i].search.n; r++)
			__builtin_prefetch(f[i].search.rows[r]);
	}
	for (unsigned i = 0; i < n; i++) {
		if (view[i])
			decide(p, c[i], view[i], q[i], &f[i], &out[i]);
		else
			policy_decide(p, q[i], NULL, &out[i]);
	}
}

/* ---- explain ---- */

static enum policy_match term_match(const struct flow *f, uint32_t term, unsigned *reached)
{
	for (*reached = 0; *reached < f->search.n; ++*reached)
		if (!policy_row_bit(f->search.rows[*reached], term))
			return POLICY_NO;
	return policy_row_bit(f->sure, term) ? POLICY_YES : POLICY_UNKNOWN;
}

/* Names of the rows in the order in which put_known and put_names put them. */
static unsigned row_names(const struct policy_compiled *c, const struct policy_query *q, const char **out)
{
	static const struct {
		enum policy_dim dim;
		const char *name;
	} order[] = {{DIM_DST, "destination"}, {DIM_SRC, "source"},   {DIM_WHO, "identity"}, {DIM_DPORT, "destination port"},
		     {DIM_SPORT, "source port"}, {DIM_PROTO, "protocol"}, {DIM_VNET, "network"}};
	unsigned n = 0;

	out[n++] = "rule";
	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (uses(c, order[i].dim))
			out[n++] = order[i].name;
	if (q->from_private)
		out[n++] = "direction";
	out[n++] = "name";
	return n;
}

/* The best of a rule's terms: the one that came farthest says what failed. */
static void step_of(const struct policy_compiled *c, const struct policy_view *view, const struct flow *f, uint32_t r, const char *const *names,
		    struct policy_step *step)
{
	unsigned best = 0, reached;

	*step = (struct policy_step){.rule = view->rules[r].index, .filter = view->rules[r].filter, .action = view->rules[r].action, .match = POLICY_NO};
	for (uint32_t t = c->rule_first[r]; t < c->rule_end[r]; t++) {
		enum policy_match m = term_match(f, t, &reached);

		if (m == POLICY_YES || (m == POLICY_UNKNOWN && step->match == POLICY_NO))
			step->match = m;
		if (m == POLICY_NO && reached > best)
			best = reached;
	}
	if (step->match == POLICY_NO)
		step->failed = c->rule_first[r] == c->rule_end[r] ? "traffic" : names[best];
}

size_t policy_explain(const struct policy_set *p, const struct policy_query *q, const struct names *names, struct policy_step *steps,
		      size_t max, struct policy_result *out)
{
	const struct policy_view *view = view_of(p, q);
	const struct policy_compiled *c = view ? view->compiled : NULL;
	const char *row_name[POLICY_ROWS_MAX + 1];
	bool open[3] = {true, true, true};
	struct made_row may, sure;
	uint32_t src, dst;
	size_t told = 0;
	struct flow f;

	policy_decide(p, q, names, out);
	if (!c || !c->blocks)
		return 0;
	classes_of(p, &c, &q, 1, true, &src);
	classes_of(p, &c, &q, 1, false, &dst);
	put_known(&f, p, c, q, rows_of(c), src, dst);
	put_names(&f, c, view, q, names, &may, &sure);
	row_names(c, q, row_name);
	for (uint32_t r = 0; r < view->n_rules; r++) {
		struct policy_step step;

		if (!policy_track_applies(view->rules[r].filter, q))
			continue;
		step_of(c, view, &f, r, row_name, &step);
		step.decided = step.match == POLICY_YES && open[step.filter];
		open[step.filter] &= step.match == POLICY_NO;
		if (steps && told < max)
			steps[told] = step;
		told++;
	}
	return told;
}
