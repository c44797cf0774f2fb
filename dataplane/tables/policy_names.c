// SPDX-License-Identifier: BSD-3-Clause
// What names are held against. Host names that rules write out, their domains and "*.domain" are in a hash table; all other
// patterns over host names of an account are one Hyperscan database, those over addresses of requests another: one scan per name.
// Lists, and the few shapes that are none of these, are asked one by one.
#include "dataplane/tables/policy_compiled.h"

#include <errno.h>
#include <hs/hs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCHES 8
#define NAME_MAX_BYTES 2048

struct bank {
	hs_database_t *db;
	hs_scratch_t *scratch[SCRATCHES];
	uint8_t busy[SCRATCHES];
	uint32_t *atoms; /* by pattern */
	uint32_t n, room;
	/* while it is made */
	char **patterns;
	unsigned *flags;
};

struct policy_names {
	struct policy_literals *literals;
	struct bank hosts, requests;
	uint32_t *slow[DIM_COUNT], n_slow[DIM_COUNT]; /* atoms that are asked one by one */
	struct bank regexes; /* of these: scratches alone */
};

/* ---- making ---- */

static bool bank_grow(struct bank *b)
{
	uint32_t room = b->room ? b->room * 2 : 64;
	uint32_t *atoms = realloc(b->atoms, room * sizeof(*atoms));
	char **patterns;
	unsigned *flags;

	if (!atoms)
		return false;
	b->atoms = atoms;
	patterns = realloc(b->patterns, room * sizeof(*patterns));
	if (!patterns)
		return false;
	b->patterns = patterns;
	flags = realloc(b->flags, room * sizeof(*flags));
	if (!flags)
		return false;
	b->flags = flags;
	b->room = room;
	return true;
}

static bool bank_put(struct bank *b, uint32_t atom, const struct policy_text *t, unsigned flags)
{
	if (t->failed || (b->n == b->room && !bank_grow(b)))
		return false;
	b->patterns[b->n] = strndup(t->at ? t->at : "", t->len);
	b->flags[b->n] = flags | HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY;
	b->atoms[b->n] = atom;
	return b->patterns[b->n++] != NULL;
}

static void put_literal(struct policy_text *t, const char *p, size_t n)
{
	char code[8];

	for (size_t i = 0; i < n; i++) {
		snprintf(code, sizeof(code), "\\x%02x", (unsigned char)p[i]);
		policy_text_put(t, code, 4);
	}
}

static void put_wildcard(struct policy_text *t, struct expr_bytes b)
{
	for (size_t i = 0; i < b.n; i++) {
		if (b.p[i] == '*') {
			policy_text_put(t, ".*", 2);
			continue;
		}
		if (b.p[i] == '\\' && i + 1 < b.n)
			i++;
		put_literal(t, b.p + i, 1);
	}
}

static void put_word(struct policy_text *t, const char *word)
{
	policy_text_put(t, word, strlen(word));
}

/* "begin … end" around one text. Domains: the name, or what stands behind one of its dots. */
static bool put_pattern(struct bank *b, uint32_t atom, const struct expr_node *node, struct expr_bytes text, bool domains)
{
	bool begin = true, end = true;
	struct policy_text t = {.len = 0};
	unsigned flags = HS_FLAG_DOTALL;
	bool ok;

	if (node->cmp == EXPR_CONTAINS)
		begin = end = false;
	else if (node->cmp == EXPR_TRUE)
		begin = node->lhs->func == EXPR_STARTS_WITH, end = node->lhs->func == EXPR_ENDS_WITH;
	if (begin)
		put_word(&t, domains ? "(?:^|\\.)" : "^");
	if (node->cmp == EXPR_WILDCARD || node->cmp == EXPR_STRICT_WILDCARD)
		put_wildcard(&t, text);
	else
		put_literal(&t, text.p, text.n);
	if (node->cmp == EXPR_WILDCARD)
		flags |= HS_FLAG_CASELESS;
	if (end)
		put_word(&t, "\\z");
	ok = bank_put(b, atom, &t, flags);
	free(t.at);
	return ok;
}

static bool plain_side(const struct expr_lhs *lhs)
{
	return (lhs->func == EXPR_FIELD_ITSELF || ((lhs->func == EXPR_STARTS_WITH || lhs->func == EXPR_ENDS_WITH) &&
						   lhs->arg->func == EXPR_FIELD_ITSELF));
}

/* The one comparison that the atom makes, on the name or (*domains) on it and its parents; NULL: another shape. */
static const struct expr_node *simple(const struct policy_atom *atom, bool *domains)
{
	const struct expr_node *node = atom->node;
	const struct expr_lhs *in;

	*domains = false;
	if (node->op == EXPR_ANY && node->kids->op == EXPR_CMP) {
		node = node->kids;
		if (node->cmp == EXPR_NE)
			return NULL;
		*domains = true;
	}
	if (node->op != EXPR_CMP || !plain_side(node->lhs))
		return NULL;
	in = node->lhs->arg ? node->lhs->arg : node->lhs;
	if (in->at > 0)
		return NULL;
	if (!expr_field_info(in->field)->array)
		*domains = false;
	return node;
}

/* A set of texts without ranges. */
static bool singles(const struct expr_node *node)
{
	for (size_t i = 0; i < node->n; i++)
		if (node->ranges[i].first.bytes.n != node->ranges[i].last.bytes.n ||
		    memcmp(node->ranges[i].first.bytes.p, node->ranges[i].last.bytes.p, node->ranges[i].first.bytes.n) != 0)
			return false;
	return true;
}

/* "*.domain" without another star: the key from the dot on, in lower case, and its length; 0: another shape. */
static size_t below_domain(struct expr_bytes pattern, char key[NAME_HOST_MAX])
{
	size_t n = pattern.n - 1;

	if (pattern.n < 3 || n > NAME_HOST_MAX || pattern.p[0] != '*' || pattern.p[1] != '.' || memchr(pattern.p + 1, '*', n) ||
	    memchr(pattern.p, '\\', pattern.n))
		return 0;
	for (size_t i = 0; i < n; i++)
		key[i] = (char)(pattern.p[i + 1] >= 'A' && pattern.p[i + 1] <= 'Z' ? pattern.p[i + 1] + 32 : pattern.p[i + 1]);
	return n;
}

/* As bank_atom, for what a hash table answers. */
static int literal_atom(struct policy_literals *l, uint32_t a, const struct policy_atom *atom)
{
	bool domains;
	const struct expr_node *node = simple(atom, &domains);
	enum policy_place place = domains ? PLACE_DOMAIN : PLACE_NAME;
	char key[NAME_HOST_MAX];
	size_t n;

	if (!node || node->lhs->func != EXPR_FIELD_ITSELF)
		return 0;
	switch (node->cmp) {
	case EXPR_EQ:
	case EXPR_NE:
		return policy_literals_put(l, place, node->value.bytes.p, node->value.bytes.n, a) ? 1 : -ENOMEM;
	case EXPR_IN:
		if (!singles(node))
			return 0;
		for (size_t i = 0; i < node->n; i++)
			if (!policy_literals_put(l, place, node->ranges[i].first.bytes.p, node->ranges[i].first.bytes.n, a))
				return -ENOMEM;
		return 1;
	case EXPR_WILDCARD:
		n = below_domain(node->value.bytes, key);
		if (!n)
			return 0;
		return policy_literals_put(l, PLACE_BELOW, key, n, a) ? 1 : -ENOMEM;
	default:
		return 0;
	}
}

/* 1: in the bank; 0: its shape is none for it; else an error. */
static int bank_atom(struct bank *b, uint32_t a, const struct policy_atom *atom)
{
	bool domains;
	const struct expr_node *node = simple(atom, &domains);
	struct policy_text t = {.len = 0};
	int rc = 1;

	if (!node)
		return 0;
	switch (node->cmp) {
	case EXPR_EQ:
	case EXPR_NE:
	case EXPR_CONTAINS:
	case EXPR_WILDCARD:
	case EXPR_STRICT_WILDCARD:
		return put_pattern(b, a, node, node->value.bytes, domains) ? 1 : -ENOMEM;
	case EXPR_TRUE:
		return put_pattern(b, a, node, node->lhs->with, domains) ? 1 : -ENOMEM;
	case EXPR_IN:
		if (!singles(node))
			return 0;
		for (size_t i = 0; i < node->n; i++)
			if (!put_pattern(b, a, node, node->ranges[i].first.bytes, domains))
				return -ENOMEM;
		return 1;
	case EXPR_MATCHES:
		if (domains)
			return 0;
		policy_text_put(&t, node->value.bytes.p, node->value.bytes.n);
		if (!bank_put(b, a, &t, node->lhs->fold ? HS_FLAG_CASELESS : 0))
			rc = -ENOMEM;
		free(t.at);
		return rc;
	default:
		return 0;
	}
}

/* Its first scratch for everybody. */
static int bank_clone(struct bank *b)
{
	for (unsigned i = 1; b->scratch[0] && i < SCRATCHES; i++)
		if (hs_clone_scratch(b->scratch[0], &b->scratch[i]) != HS_SUCCESS)
			return -ENOMEM;
	return 0;
}

static int bank_compile(struct bank *b, struct policy_error *error)
{
	hs_compile_error_t *e = NULL;
	unsigned *ids;
	hs_error_t rc;

	if (!b->n)
		return 0;
	ids = malloc(b->n * sizeof(*ids));
	for (uint32_t i = 0; ids && i < b->n; i++)
		ids[i] = i;
	rc = ids ? hs_compile_multi((const char *const *)b->patterns, b->flags, ids, b->n, HS_MODE_BLOCK, NULL, &b->db, &e) : HS_NOMEM;
	free(ids);
	if (rc != HS_SUCCESS) {
		snprintf(error->message, sizeof(error->message), "%u patterns over host names: %.180s", b->n,
			 e ? e->message : "out of memory");
		hs_free_compile_error(e);
		return rc == HS_NOMEM ? -ENOMEM : -EINVAL;
	}
	return hs_alloc_scratch(b->db, &b->scratch[0]) == HS_SUCCESS ? bank_clone(b) : -ENOMEM;
}

static void bank_forget(struct bank *b)
{
	for (uint32_t i = 0; b->patterns && i < b->n; i++)
		free(b->patterns[i]);
	free(b->patterns);
	free(b->flags);
	b->patterns = NULL;
	b->flags = NULL;
}

static void bank_free(struct bank *b)
{
	bank_forget(b);
	for (unsigned i = 0; i < SCRATCHES; i++)
		hs_free_scratch(b->scratch[i]);
	hs_free_database(b->db);
	free(b->atoms);
}

static bool slow_put(struct policy_names *n, unsigned d, uint32_t atom)
{
	uint32_t *more;

	if (n->n_slow[d] % 16 == 0) {
		more = realloc(n->slow[d], (n->n_slow[d] + 16) * sizeof(*more));
		if (!more)
			return false;
		n->slow[d] = more;
	}
	n->slow[d][n->n_slow[d]++] = atom;
	return true;
}

static struct bank *bank_of(struct policy_names *n, unsigned d)
{
	return d == DIM_SNI || d == DIM_HOST || d == DIM_FQDN ? &n->hosts : d == DIM_URI ? &n->requests : NULL;
}

int policy_names_make(const struct policy_atoms *atoms, struct policy_names **out, struct policy_error *error)
{
	struct policy_names *n = calloc(1, sizeof(*n));
	int rc = n && (n->literals = policy_literals_create()) ? 0 : -ENOMEM;

	*error = (struct policy_error){.rule = POLICY_RULE_DEFAULT, .message = "out of memory"};
	for (uint32_t i = 0; !rc && i < atoms->n; i++) {
		const struct policy_atom *a = &atoms->at[i];
		struct bank *b = bank_of(n, a->dim);

		if (a->dim < DIM_NAMES || a->dim == DIM_DETECTED)
			continue;
		rc = b == &n->hosts && a->ask == ASK_NODE ? literal_atom(n->literals, i, a) : 0;
		rc = rc || !b || a->ask != ASK_NODE ? rc : bank_atom(b, i, a);
		if (rc == 0)
			rc = slow_put(n, a->dim, i) && !(a->node && expr_scratch_fit(a->node, (void **)&n->regexes.scratch[0])) ? 1 : -ENOMEM;
		rc = rc < 0 ? rc : 0;
	}
	if (!rc)
		rc = bank_compile(&n->hosts, error);
	if (!rc)
		rc = bank_compile(&n->requests, error);
	if (!rc)
		rc = bank_clone(&n->regexes);
	if (rc) {
		policy_names_free(n);
		return rc;
	}
	bank_forget(&n->hosts);
	bank_forget(&n->requests);
	*out = n;
	return 0;
}

void policy_names_free(struct policy_names *n)
{
	if (!n)
		return;
	policy_literals_free(n->literals);
	bank_free(&n->hosts);
	bank_free(&n->requests);
	bank_free(&n->regexes);
	for (unsigned d = 0; d < DIM_COUNT; d++)
		free(n->slow[d]);
	free(n);
}

static size_t bank_bytes(const struct bank *b)
{
	size_t db = 0, scratch = 0;

	if (!b->db)
		return 0;
	hs_database_size(b->db, &db);
	hs_scratch_size(b->scratch[0], &scratch);
	return db + SCRATCHES * scratch + b->room * sizeof(*b->atoms);
}

size_t policy_names_bytes(const struct policy_names *n)
{
	return n ? policy_literals_bytes(n->literals) + bank_bytes(&n->hosts) + bank_bytes(&n->requests) : 0;
}

/* ---- asking ---- */

struct hits {
	const struct bank *bank;
	const struct policy_atoms *atoms;
	uint64_t *fired;
	enum policy_dim dim;
};

static void fire(void *user, uint32_t atom)
{
	struct hits *h = user;

	if (h->atoms->at[atom].dim == h->dim)
		h->fired[atom / 64] |= 1ull << atom % 64;
}

static int on_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *user)
{
	struct hits *h = user;

	(void)from, (void)to, (void)flags;
	fire(h, h->bank->atoms[id]);
	return 0;
}

/* A scratch of the bank that nobody else uses: there are more than busy workers, as a rule. */
static unsigned take_scratch(struct bank *b)
{
	for (unsigned i = 0;; i = (i + 1) % SCRATCHES) {
		if (!__atomic_load_n(&b->busy[i], __ATOMIC_RELAXED) && !__atomic_exchange_n(&b->busy[i], 1, __ATOMIC_ACQUIRE))
			return i;
		if (i == SCRATCHES - 1)
			sched_yield();
	}
}

static void scan(const struct bank *bank, const struct policy_atoms *atoms, enum policy_dim d, const char *text, size_t len,
		 uint64_t *fired)
{
	struct bank *b = (struct bank *)(uintptr_t)bank; /* its scratches */
	struct hits hits = {.bank = b, .atoms = atoms, .fired = fired, .dim = d};
	unsigned s;

	if (!b->db)
		return;
	s = take_scratch(b);
	hs_scan(b->db, text, (unsigned)len, 0, b->scratch[s], on_hit, &hits);
	__atomic_store_n(&b->busy[s], 0, __ATOMIC_RELEASE);
}

/* An atom that is no pattern: the interpreter. */
static bool ask_one(const struct policy_atom *a, const struct expr_env *env)
{
	const struct expr e = {.root = a->node};

	if (a->ask == ASK_PRESENT)
		return true;
	return (expr_eval(&e, env) == EXPR_YES) != a->flip;
}

void policy_names_ask(const struct policy_names *n, const struct policy_atoms *atoms, const struct policy_view *view, enum policy_dim d,
		      const struct name_text *text, uint64_t *fired)
{
	char low[NAME_MAX_BYTES];
	struct policy_facts facts;
	struct bank *regexes = (struct bank *)(uintptr_t)&n->regexes; /* its scratches */
	size_t len = text->len < sizeof(low) ? text->len : sizeof(low);
	unsigned s = 0;

	if (d == DIM_SNI || d == DIM_HOST || d == DIM_FQDN) {
		for (size_t i = 0; i < len; i++)
			low[i] = (char)(text->text[i] >= 'A' && text->text[i] <= 'Z' ? text->text[i] + 32 : text->text[i]);
		policy_literals_ask(n->literals, low, len, fire, &(struct hits){.atoms = atoms, .fired = fired, .dim = d});
		scan(&n->hosts, atoms, d, low, len, fired);
	} else if (d == DIM_URI) {
		scan(&n->requests, atoms, d, text->text, text->len, fired);
	}
	if (!n->n_slow[d])
		return;
	policy_facts_name(&facts, view, d, text);
	if (regexes->scratch[0]) {
		s = take_scratch(regexes);
		facts.env.regex_scratch = regexes->scratch[s];
	}
	for (uint32_t i = 0; i < n->n_slow[d]; i++) {
		uint32_t a = n->slow[d][i];

		if (ask_one(&atoms->at[a], &facts.env))
			fired[a / 64] |= 1ull << a % 64;
	}
	if (regexes->scratch[0])
		__atomic_store_n(&regexes->busy[s], 0, __ATOMIC_RELEASE);
}
