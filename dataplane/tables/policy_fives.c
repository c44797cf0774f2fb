// SPDX-License-Identifier: BSD-3-Clause
// Rules over five fields for the policy tables and rte_acl, and flows for both.
#include "dataplane/tables/policy_fives.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tables/test_random.h"

#define FLOWS POLICY_FIVES_FLOWS
#define TEXT  4096u

void policy_fives_init(struct policy_fives *b)
{
	*b = (struct policy_fives){.rules = calloc(POLICY_FIVES_RULES, sizeof(*b->rules)),
				   .q = calloc(FLOWS, sizeof(*b->q)),
				   .each = calloc(FLOWS, sizeof(*b->each)),
				   .keys = calloc(FLOWS, sizeof(*b->keys)),
				   .key_at = calloc(FLOWS, sizeof(*b->key_at))};
	if (b->rules && b->q && b->each && b->keys && b->key_at)
		return;
	fprintf(stderr, "policy bench: no memory\n");
	exit(1);
}

void policy_fives_free(struct policy_fives *b)
{
	rte_acl_free(b->acl);
	free(b->rules);
	free(b->q);
	free(b->each);
	free(b->keys);
	free(b->key_at);
}

static bool find_list(void *user, const char *name, struct expr_list *out)
{
	(void)user;
	snprintf(out->id, sizeof(out->id), "%s", name);
	out->type = name[0] == 'd' ? EXPR_LIST_DOMAIN : EXPR_LIST_IP;
	return true;
}

struct expr *policy_fives_parse(const char *text, enum expr_scheme scheme)
{
	const struct expr_lists lists = {.find = find_list};
	struct expr_error error;
	struct expr *e;

	if (expr_parse(text, strlen(text), scheme, &lists, &e, &error)) {
		fprintf(stderr, "policy bench: %s: %s\n", text, error.message);
		exit(1);
	}
	return e;
}

enum { FIELD_PROTO, FIELD_SRC, FIELD_DST, FIELD_SPORT, FIELD_DPORT, FIELDS };
RTE_ACL_RULE_DEF(acl_rule, FIELDS);

struct five {
	uint32_t dst;
	unsigned len;
	uint16_t low, high;
	uint8_t proto;
};

static struct five fives[POLICY_FIVES_RULES];

static void make_fives(uint32_t n)
{
	static const unsigned lens[] = {16, 20, 24, 24, 28, 32, 32};
	static const uint16_t ports[][2] = {{443, 443}, {80, 80}, {22, 22}, {8000, 8100}, {0, 65535}, {1024, 65535}};
	uint64_t seed = 11;

	for (uint32_t i = 0; i < n; i++) {
		unsigned len = lens[test_below(&seed, 7)], port = test_below(&seed, 6);

		fives[i] = (struct five){.dst = 0x0a000000u | (uint32_t)(test_random(&seed) & 0xffffff),
					 .len = len,
					 .low = ports[port][0],
					 .high = ports[port][1],
					 .proto = test_below(&seed, 4) ? 6 : 17};
		fives[i].dst &= len == 32 ? ~0u : ~(~0u >> len);
	}
}

void policy_fives_rules(struct policy_fives *b, uint32_t n, bool people)
{
	char text[TEXT];

	make_fives(n);
	b->n = n;
	for (uint32_t i = 0; i < n; i++) {
		const struct five *f = &fives[i];
		const uint8_t *a = (const uint8_t *)&f->dst;

		snprintf(text, sizeof(text), "net.dst.ip in {%u.%u.%u.%u/%u} and net.dst.port in {%u..%u} and net.protocol == \"%s\"", a[3], a[2], a[1],
			 a[0], f->len, f->low, f->high, f->proto == 6 ? "tcp" : "udp");
		b->rules[i] = (struct policy_rule){
			.index = i, .precedence = i, .action = i % 3 ? POLICY_ALLOW : POLICY_BLOCK, .name = "bench", .traffic = policy_fives_parse(text, EXPR_L4)};
		snprintf(text, sizeof(text), "any(identity.groups.name[*] in {\"group%u\"})", i % 100);
		if (people)
			b->rules[i].identity = policy_fives_parse(text, EXPR_IDENTITY);
	}
}

void policy_fives_rules_free(struct policy_fives *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		expr_free((struct expr *)(uintptr_t)b->rules[i].traffic);
		expr_free((struct expr *)(uintptr_t)b->rules[i].identity);
	}
}

void policy_fives_acl(struct policy_fives *b)
{
	static const struct rte_acl_field_def defs[FIELDS] = {
		{.type = RTE_ACL_FIELD_TYPE_BITMASK, .size = 1, .field_index = FIELD_PROTO, .input_index = 0, .offset = 0},
		{.type = RTE_ACL_FIELD_TYPE_MASK, .size = 4, .field_index = FIELD_SRC, .input_index = 1, .offset = 4},
		{.type = RTE_ACL_FIELD_TYPE_MASK, .size = 4, .field_index = FIELD_DST, .input_index = 2, .offset = 8},
		{.type = RTE_ACL_FIELD_TYPE_RANGE, .size = 2, .field_index = FIELD_SPORT, .input_index = 3, .offset = 12},
		{.type = RTE_ACL_FIELD_TYPE_RANGE, .size = 2, .field_index = FIELD_DPORT, .input_index = 3, .offset = 14},
	};
	struct rte_acl_param param = {.name = "bench", .rule_size = RTE_ACL_RULE_SZ(FIELDS), .max_rule_num = 5000};
	struct rte_acl_config config = {.num_categories = 1, .num_fields = FIELDS};

	rte_acl_free(b->acl);
	b->acl = rte_acl_create(&param);
	memcpy(config.defs, defs, sizeof(defs));
	for (uint32_t i = 0; b->acl && i < b->n; i++) {
		struct acl_rule r = {.data = {.category_mask = 1, .priority = (int32_t)(RTE_ACL_MAX_PRIORITY - (int32_t)i), .userdata = i + 1}};

		r.field[FIELD_PROTO].value.u8 = fives[i].proto;
		r.field[FIELD_PROTO].mask_range.u8 = 0xff;
		r.field[FIELD_DST].value.u32 = fives[i].dst;
		r.field[FIELD_DST].mask_range.u32 = fives[i].len;
		r.field[FIELD_SPORT].mask_range.u16 = 65535;
		r.field[FIELD_DPORT].value.u16 = fives[i].low;
		r.field[FIELD_DPORT].mask_range.u16 = fives[i].high;
		if (rte_acl_add_rules(b->acl, (const struct rte_acl_rule *)&r, 1))
			exit(1);
	}
	if (!b->acl || rte_acl_build(b->acl, &config)) {
		fprintf(stderr, "policy bench: rte_acl does not take the rules\n");
		exit(1);
	}
}

/* Two thirds of the flows go into what some rule names. */
void policy_fives_flows(struct policy_fives *b, uint32_t people)
{
	static const uint16_t ports[] = {443, 80, 22, 8080, 5000, 53};
	uint64_t seed = 21;

	for (uint32_t i = 0; i < FLOWS; i++) {
		const struct five *f = &fives[test_below(&seed, b->n)];
		uint32_t dst = 0x0a000000u | (uint32_t)(test_random(&seed) & 0xffffff), src = 0x64600000u | (uint32_t)(test_random(&seed) & 0xfffff);
		struct policy_query *q = &b->q[i];

		if (i % 3)
			dst = f->len == 32 ? f->dst : f->dst | (dst & (~0u >> f->len));
		*q = (struct policy_query){.family = 4, .proto = test_below(&seed, 4) ? 6 : 17};
		q->identity = people ? test_below(&seed, people) : POLICY_IDENTITY_NONE;
		q->src_port = (uint16_t)(1024 + test_below(&seed, 60000));
		q->dst_port = ports[test_below(&seed, 6)];
		b->keys[i] = (struct acl_key){.proto = q->proto,
					      .src = __builtin_bswap32(src),
					      .dst = __builtin_bswap32(dst),
					      .sport = __builtin_bswap16(q->src_port),
					      .dport = __builtin_bswap16(q->dst_port)};
		memcpy(q->src, &b->keys[i].src, 4);
		memcpy(q->dst, &b->keys[i].dst, 4);
		b->each[i] = q;
		b->key_at[i] = (const uint8_t *)&b->keys[i];
	}
}

uint32_t policy_fives_differ(struct policy_fives *b, uint32_t *hits)
{
	uint32_t differ = 0, named = 0, out[POLICY_FIVES_BURST];
	struct policy_result r[POLICY_FIVES_BURST];

	for (uint32_t i = 0; i < POLICY_FIVES_FLOWS; i += POLICY_FIVES_BURST) {
		policy_decide_burst(b->p, b->each + i, r, POLICY_FIVES_BURST);
		rte_acl_classify(b->acl, b->key_at + i, out, POLICY_FIVES_BURST, 1);
		for (uint32_t j = 0; j < POLICY_FIVES_BURST; j++) {
			differ += r[j].rule + 1 != out[j];
			named += out[j] != 0;
		}
	}
	if (hits != NULL)
		*hits = named;
	return differ;
}
