/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The compiled form of an account's rules. A rule's traffic is a disjunction of terms, a term a conjunction of literals, a
 * literal an atom or its negation; an atom asks one dimension of a flow (its destination, its SNI …). Terms stand in order of
 * evaluation. For each value that a dimension can have there is a row: one bit per term, set where all the term's literals on
 * this dimension hold. A term matches where all rows have its bit.
 */
#ifndef DATAPLANE_TABLES_POLICY_COMPILED_H
#define DATAPLANE_TABLES_POLICY_COMPILED_H

#include "dataplane/tables/policy_internal.h"
#include "dataplane/tables/route_table.h"

#define POLICY_BLOCK_BITS 512u
#define POLICY_BLOCK_WORDS 8u
#define POLICY_BLOCKS_MAX 64u /* one summary word */
#define POLICY_TERMS_MAX ((POLICY_BLOCKS_MAX - 3) * POLICY_BLOCK_BITS) /* three tracks begin at a block each */
#define POLICY_ATOMS_MAX 65536u
#define POLICY_PORTS 65537u /* 65,536: the protocol has none */
#define POLICY_NONE UINT32_MAX

/* From DIM_SNI on only inspection knows: these can be unseen. */
enum policy_dim {
	DIM_WHO, DIM_PROTO, DIM_VNET, DIM_SRC, DIM_DST, DIM_SPORT, DIM_DPORT,
	DIM_SNI, DIM_DETECTED, DIM_HOST, DIM_URI, DIM_METHOD, DIM_FQDN,
	DIM_COUNT
};
#define DIM_NAMES DIM_SNI

/* ---- rows (policy_row.c) ---- */

/* Sparse: only blocks with a bit set are there, in order; summary tells which. */
struct policy_row {
	uint64_t summary;
	uint64_t hash;
	struct policy_row *chain;
	uint64_t pad[5];
	uint64_t words[]; /* 64-byte aligned */
};

struct policy_rows {
	struct policy_row **table; /* by hash */
	uint32_t size, n;
	unsigned blocks;
	void **chunks;
	uint32_t n_chunks;
	size_t used, bytes; /* of the last chunk; of all */
};

bool policy_rows_init(struct policy_rows *rows, unsigned blocks);
void policy_rows_free(struct policy_rows *rows);
/* The row with these bits (blocks × 8 words); equal ones are one. NULL without memory. */
const struct policy_row *policy_row_intern(struct policy_rows *rows, const uint64_t *bits);
bool policy_row_bit(const struct policy_row *row, uint32_t bit);

/* ---- atoms and terms (policy_atom.c, policy_dnf.c) ---- */

enum policy_ask { ASK_NODE, ASK_PRESENT /* is there a value at all? */ };

struct policy_atom {
	uint8_t dim, ask;
	bool flip;                     /* the node says !=, the atom == */
	const struct expr_node *node;  /* a comparison, or any() or all() over one dimension */
	uint32_t set;                  /* DIM_SRC, DIM_DST: id of its set of addresses */
	uint32_t same;                 /* the next atom of this dimension that means the same set, written differently */
	uint32_t first_use, n_uses;    /* in uses[]: terms that name it */
	uint32_t key, key_len, chain;  /* in the key text */
};

struct policy_term {
	uint32_t first; /* literal */
	uint16_t n;
	uint16_t rule; /* place in the view */
};

#define LITERAL(atom, negated) ((atom) << 1 | (negated))

struct policy_text {
	char *at;
	size_t len, room;
	bool failed;
};

void policy_text_put(struct policy_text *t, const void *bytes, size_t n);
void policy_text_free(struct policy_text *t);
/* A text that two nodes share only if they ask the same; != as == where `flip`. */
void policy_node_key(struct policy_text *t, const struct expr_node *node, bool flip);
/* Bit d set: dimension d is asked. */
unsigned policy_node_dims(const struct expr_node *node);
enum policy_dim policy_field_dim(enum expr_field f);

struct policy_atoms {
	struct policy_atom *at;
	uint32_t n, room;
	uint32_t *table, size;
	struct policy_text keys;
	uint32_t n_dim[DIM_COUNT];
};

/* Its index, POLICY_NONE without memory. */
uint32_t policy_atom_intern(struct policy_atoms *atoms, enum policy_dim dim, enum policy_ask ask, const struct expr_node *node);
void policy_atoms_free(struct policy_atoms *atoms);

struct policy_clause {
	uint32_t n;
	uint32_t *literals; /* sorted */
};

struct policy_dnf {
	uint32_t n;
	struct policy_clause *clauses;
};

struct policy_scrap; /* memory of one disjunctive form */
void policy_scraps_free(struct policy_scrap *scraps);
/* 0, -ENOSPC (more than `most` clauses), -ENOMEM. */
int policy_dnf_make(struct policy_atoms *atoms, const struct expr_node *root, uint32_t most, struct policy_scrap **scraps,
		    struct policy_dnf *out);

/* ---- sets of addresses and their classes (policy_class.c): one thread, the writer's, but for the lookup ---- */

struct policy_classes;

struct policy_class_ops {
	bool (*made)(void *ctx, uint32_t id, const uint32_t *sets, uint32_t n); /* before readers can meet it */
	void *ctx;
};

/* Prefixes of one account in the table of addresses: a range of a list comes to several. */
#define POLICY_ROUTES_MAX (16u << 20)

struct policy_classes *policy_classes_create(struct policy_set *p, uint32_t account, struct policy_class_ops ops);
void policy_classes_free(struct policy_classes *c);
/* The set of this key, made empty; one more reference. POLICY_NONE without memory. */
uint32_t policy_set_get(struct policy_classes *c, const char *key, size_t len);
uint32_t policy_set_find(const struct policy_classes *c, const char *key, size_t len);
void policy_set_put(struct policy_classes *c, uint32_t set); /* the last one empties it */
/* Makes the set what the spans say (sorted, disjoint). 0, -ENOSPC, -ENOMEM with the set as it was. */
int policy_set_fill(struct policy_classes *c, uint32_t set, const struct policy_span *spans, uint32_t n);
uint32_t policy_class_bound(const struct policy_classes *c);
/* Sets of a class; NULL: there is no such class. Class 0 is of no set. */
const uint32_t *policy_class_sets(const struct policy_classes *c, uint32_t id, uint32_t *n);
/* there[id] = 1 for each class that some address has now ([policy_class_bound]). */
void policy_classes_mark(const struct policy_classes *c, uint8_t *there);
uint32_t policy_classes_count(const struct policy_classes *c);
size_t policy_classes_bytes(const struct policy_classes *c);

/* ---- names that are written out (policy_literals.c) ---- */

enum policy_place {
	PLACE_NAME,   /* the name */
	PLACE_DOMAIN, /* the name or a parent of it */
	PLACE_BELOW,  /* key begins with a dot: what the name ends in */
};

struct policy_literals;
struct policy_literals *policy_literals_create(void);
void policy_literals_free(struct policy_literals *l);
/* The key is copied. False without memory. */
bool policy_literals_put(struct policy_literals *l, enum policy_place place, const char *key, size_t len, uint32_t atom);
/* Calls hit for the atom of each key that is at its place in the text. */
void policy_literals_ask(const struct policy_literals *l, const char *text, size_t len, void (*hit)(void *user, uint32_t atom), void *user);
size_t policy_literals_bytes(const struct policy_literals *l);

/* ---- names (policy_names.c) ---- */

struct policy_names;
/* Compiles what host names and addresses of requests are held against. 0, -EINVAL with *error, -ENOMEM. */
int policy_names_make(const struct policy_atoms *atoms, struct policy_names **out, struct policy_error *error);
void policy_names_free(struct policy_names *n);
size_t policy_names_bytes(const struct policy_names *n);
/* Sets bit a of fired for each atom a of dimension d that holds for the known text. */
void policy_names_ask(const struct policy_names *n, const struct policy_atoms *atoms, const struct policy_view *view, enum policy_dim d,
		      const struct name_text *text, uint64_t *fired);

/* ---- all of it ---- */

struct policy_class_rows {
	uint32_t capacity;
	struct {
		const struct policy_row *src, *dst; /* NULL: no such class yet */
	} at[];
};

/* A set of addresses that is to be seen with `added` and without `removed` (sets too); POLICY_NONE: there is none. */
struct policy_overlay {
	uint32_t set, added, removed;
};
#define NO_OVERLAY ((struct policy_overlay){POLICY_NONE, POLICY_NONE, POLICY_NONE})

struct policy_who_rows {
	uint32_t capacity;
	const struct policy_row *at[]; /* by identity; NULL: not there yet */
};

struct policy_who_exprs;

struct policy_compiled {
	/* readers */
	uint32_t used; /* dimensions that some term asks */
	unsigned blocks;
	uint64_t track[3]; /* blocks of l4, http, dns */
	struct policy_class_rows *classes;
	struct policy_who_rows *who;
	const struct policy_row *nobody;
	const struct policy_row *proto[256];
	const struct policy_row *detected[DETECTED_COUNT];
	const struct policy_row **vnets; /* [limits.vnets + 1]; the last: no id */
	const uint16_t *port[2];         /* source, destination: [POLICY_PORTS] into port_rows */
	const struct policy_row **port_rows[2];
	const struct policy_row *certain; /* names unseen: terms that ask none */
	const struct policy_row *nameless; /* all names missing */
	const struct policy_row *private_side; /* terms that count where the private side opens */
	const struct policy_row *full;
	struct policy_term *terms; /* [blocks × 512]; rule 0xffff: padding */
	uint32_t *rule_first, *rule_end; /* by place in the view: its terms */
	const struct policy_names *names;

	/* names, and the writer */
	struct policy_atoms atoms;
	uint32_t *literals, *uses;
	uint64_t *base[DIM_COUNT]; /* dense: every atom of the dimension says no */
	uint64_t *free_of[DIM_COUNT]; /* dense: terms without a literal on it; NULL where no term has one */

	/* writer */
	uint32_t refs, n_terms, n_real; /* with padding and without */
	uint32_t account;
	struct policy_rows rows;
	uint32_t *set_atom[2]; /* source, destination: set id → atom */
	uint32_t n_set_atoms;
	uint32_t *sets, n_sets; /* held */
	struct policy_who_exprs *who_exprs;
	struct policy_overlay overlay; /* of the list that changes just now */
	struct policy_compiled *grave; /* next one whose sets wait to be put back */
	size_t bytes;
};

/* For the rules and lists of `view`. 0, or an error with *error. Sets become known to the account's classes. */
int policy_compile(struct policy_set *p, uint32_t account, struct policy_view *view, struct policy_compiled **out, struct policy_error *error);
void policy_compiled_free(struct policy_compiled *c); /* but for its sets */
size_t policy_compiled_bytes(const struct policy_compiled *c);
/* The row of dimension d where the atoms of fired (a bit each) hold: dense. */
void policy_fire(const struct policy_compiled *c, enum policy_dim d, const uint64_t *fired, uint64_t *bits);
/* Fills what depends on one class, person, vnet. False without memory. */
/* A class that did not exist: its row in what is published. ctx: struct policy_account. */
bool policy_class_made(void *ctx, uint32_t id, const uint32_t *sets, uint32_t n);
bool policy_compiled_class(struct policy_set *p, struct policy_compiled *c, uint32_t id, const uint32_t *sets, uint32_t n);
/* From one moment on, readers see the sets as the overlay says. False without memory: all is as before. */
bool policy_compiled_overlay(struct policy_set *p, struct policy_compiled *c, const struct policy_classes *classes, const struct policy_overlay *over);
/* Makes the set of a list's addresses those of `new`, all at once. 0, -ENOSPC, -ENOMEM with the set as it was. */
int policy_set_swap(struct policy_account *a, uint32_t set, const struct policy_list *old, const struct policy_list *new);
bool policy_compiled_person(struct policy_set *p, struct policy_compiled *c, const struct policy_view *view, uint32_t id,
			    const struct policy_person *who);
bool policy_compiled_vnet(struct policy_set *p, struct policy_compiled *c, const struct policy_view *view, uint32_t vnet);
bool policy_compile_ports(struct policy_compiled *c, enum policy_dim d);
/* Who: rows of identities (policy_who.c). */
bool policy_compile_who(struct policy_set *p, struct policy_compiled *c, const struct policy_view *view);
bool policy_who_asks_list(const struct policy_who_exprs *w, const char *id);
/* True where rows that are made beforehand depend on what is in the list of texts. */
bool policy_compiled_asks_list(const struct policy_compiled *c, const char *id);
void policy_who_free(struct policy_who_exprs *w);
/* Spans of a comparison of addresses, sorted and disjoint: heap, NULL without memory. */
struct policy_span *policy_atom_spans(const struct expr_node *node, uint32_t *n);
uint64_t *policy_bits(const struct policy_compiled *c); /* zeroed, heap */
static inline void policy_bit_set(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= 1ull << i % 64;
}

/* Does y hold whenever x does (NULL: always true)? A no may mean that it cannot be seen. */
bool policy_implies(const struct expr_node *x, const struct expr_node *y, const struct policy_view *view);

/* ---- search (policy_search.c) ---- */

#define POLICY_ROWS_MAX 10

struct policy_search {
	const struct policy_row *rows[POLICY_ROWS_MAX];
	unsigned n;
};

/*
 * The first block of `blocks` (a bit each), from low to high, in which the AND of all rows has a bit: its number, and the bits in
 * *out (64-byte aligned); -1: none.
 */
typedef int (*policy_search_fn)(const struct policy_search *s, uint64_t blocks, uint64_t out[POLICY_BLOCK_WORDS]);
int policy_search_portable(const struct policy_search *s, uint64_t blocks, uint64_t out[POLICY_BLOCK_WORDS]);
int policy_search_avx512(const struct policy_search *s, uint64_t blocks, uint64_t out[POLICY_BLOCK_WORDS]);
bool policy_search_has_avx512(void);

#endif
