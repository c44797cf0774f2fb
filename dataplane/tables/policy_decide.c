// SPDX-License-Identifier: BSD-3-Clause
// The decision of a flow: two tracks over three-valued rules (decisions 7 and 8; docs/policy.md).
#include "dataplane/tables/policy_internal.h"

#include <string.h>

#include "dataplane/inspect/names.h"

#define TCP 6
#define UDP 17
#define DNS_PORT 53
#define DOMAINS_MAX 128

/* Values that the environment of a decision points to. */
struct facts {
	struct expr_env env;
	const struct policy_view *view;
	struct expr_value src, dst, sport, dport, proto, vnet, sni, host, uri, method, fqdn, detected;
	struct expr_value sni_domains[DOMAINS_MAX], host_domains[DOMAINS_MAX], fqdn_domains[DOMAINS_MAX];
};

static bool in_list(void *user, const struct expr_list *list, const struct expr_value *v)
{
	const struct policy_view *view = user;
	uint32_t low = 0, high = view->n_lists;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		int c = strcmp(view->lists[mid]->id, list->id);

		if (c == 0)
			return policy_list_has(view->lists[mid], v);
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

static void know(struct facts *f, enum expr_field field, const struct expr_value *v, size_t n)
{
	f->env.slots[field] = (struct expr_slot){.state = EXPR_KNOWN, .v = v, .n = n};
}

static void know_text(struct facts *f, enum expr_field field, struct expr_value *v, const char *text, size_t len)
{
	*v = (struct expr_value){.kind = EXPR_BYTES, .bytes = {text, len}};
	know(f, field, v, 1);
}

static const char *protocol_name(uint8_t proto)
{
	switch (proto) {
	case TCP:
		return "tcp";
	case UDP:
		return "udp";
	case 1:
		return "icmp";
	case 58:
		return "icmpv6";
	default:
		return "other";
	}
}

/* A name, and where `domains` is a field, the name and each of its parents. */
static void name_fact(struct facts *f, enum expr_field field, struct expr_value *v, const struct name_text *name, int domains,
		      struct expr_value *each)
{
	const char *at, *end;
	size_t n = 0;

	if (name->state == NAME_UNSEEN) {
		f->env.slots[field].state = EXPR_UNSEEN;
		if (domains >= 0)
			f->env.slots[domains].state = EXPR_UNSEEN;
		return;
	}
	if (name->state != NAME_KNOWN)
		return;
	know_text(f, field, v, name->text, name->len);
	if (domains < 0)
		return;
	end = name->text + name->len;
	for (at = name->text; at && n < DOMAINS_MAX; n++) {
		each[n] = (struct expr_value){.kind = EXPR_BYTES, .bytes = {at, (size_t)(end - at)}};
		at = memchr(at, '.', (size_t)(end - at));
		at = at ? at + 1 : NULL;
	}
	know(f, (enum expr_field)domains, each, n);
}

static void name_facts(struct facts *f, const struct names *names)
{
	name_fact(f, EXPR_F_NET_SNI_HOST, &f->sni, &names->sni, EXPR_F_NET_SNI_DOMAINS, f->sni_domains);
	name_fact(f, EXPR_F_HTTP_REQUEST_HOST, &f->host, &names->http_host, EXPR_F_HTTP_REQUEST_DOMAINS, f->host_domains);
	name_fact(f, EXPR_F_HTTP_REQUEST_URI, &f->uri, &names->http_uri, -1, NULL);
	name_fact(f, EXPR_F_HTTP_REQUEST_METHOD, &f->method, &names->http_method, -1, NULL);
	name_fact(f, EXPR_F_DNS_FQDN, &f->fqdn, &names->dns_fqdn, EXPR_F_DNS_DOMAINS, f->fqdn_domains);
	if (names->protocol_state == NAME_UNSEEN) {
		f->env.slots[EXPR_F_NET_DETECTED_PROTOCOL].state = EXPR_UNSEEN;
	} else if (names->protocol_state == NAME_KNOWN) {
		const char *text = detected_protocol_name((enum detected_protocol)names->protocol);

		know_text(f, EXPR_F_NET_DETECTED_PROTOCOL, &f->detected, text, strlen(text));
	}
}

static void address_fact(struct facts *f, enum expr_field a, enum expr_field b, struct expr_value *v, uint8_t family,
			 const uint8_t bytes[16])
{
	*v = (struct expr_value){.kind = EXPR_IP, .ip.family = family};
	memcpy(v->ip.bytes, bytes, family == 4 ? 4 : 16);
	know(f, a, v, 1);
	know(f, b, v, 1);
}

static void person_facts(struct facts *f, const struct policy_person *who)
{
	if (who->email.bytes.n)
		know(f, EXPR_F_IDENTITY_EMAIL, &who->email, 1);
	if (who->name.bytes.n)
		know(f, EXPR_F_IDENTITY_NAME, &who->name, 1);
	know(f, EXPR_F_IDENTITY_GROUPS_NAME, who->groups, who->n_groups);
	know(f, EXPR_F_POSTURE_PASSED, who->passed, who->n_passed);
	know(f, EXPR_F_POSTURE_FAILED, who->failed, who->n_failed);
}

/* Everything known of the flow. What nobody sets is missing. */
static void gather(struct facts *f, const struct policy_set *p, const struct policy_account *a, const struct policy_view *view,
		   const struct policy_query *q, const struct names *names)
{
	const struct policy_persons *persons = __atomic_load_n(&a->persons, __ATOMIC_ACQUIRE);
	const struct policy_person *who =
		persons && q->identity < persons->capacity ? __atomic_load_n(&persons->at[q->identity], __ATOMIC_ACQUIRE) : NULL;
	const char *vnet = q->vnet < p->n_vnets ? __atomic_load_n(&p->vnets[q->vnet], __ATOMIC_ACQUIRE) : NULL;

	memset(&f->env, 0, sizeof(f->env));
	f->env.in_list = in_list;
	f->env.user = (void *)(uintptr_t)view;
	address_fact(f, EXPR_F_NET_SRC_IP, EXPR_F_HTTP_CONN_SRC_IP, &f->src, q->family, q->src);
	address_fact(f, EXPR_F_NET_DST_IP, EXPR_F_HTTP_CONN_DST_IP, &f->dst, q->family, q->dst);
	know_text(f, EXPR_F_NET_PROTOCOL, &f->proto, protocol_name(q->proto), strlen(protocol_name(q->proto)));
	if (vnet) {
		know_text(f, EXPR_F_NET_VNET_ID, &f->vnet, vnet, strlen(vnet));
		know(f, EXPR_F_HTTP_CONN_VNET_ID, &f->vnet, 1);
	}
	if (who)
		person_facts(f, who);
	if (q->proto != TCP && q->proto != UDP)
		return;
	f->sport = (struct expr_value){.kind = EXPR_INT, .i = q->src_port};
	f->dport = (struct expr_value){.kind = EXPR_INT, .i = q->dst_port};
	know(f, EXPR_F_NET_SRC_PORT, &f->sport, 1);
	know(f, EXPR_F_NET_DST_PORT, &f->dport, 1);
	name_facts(f, names ? names : &NAMES_UNSEEN);
}

/* expr_eval, where out of memory is the safe side of `unknown`. */
static enum expr_tri ask(const struct expr *e, const struct facts *f)
{
	int r = e ? expr_eval(e, &f->env) : EXPR_YES;

	return r < 0 ? EXPR_UNKNOWN : (enum expr_tri)r;
}

/* The rule's answer; *failed names the first of its expressions that said no. */
static enum expr_tri match(const struct policy_view_rule *rule, const struct facts *f, const char **failed)
{
	const struct expr *const parts[] = {rule->identity, rule->posture, rule->traffic};
	static const char *const names[] = {"identity", "posture", "traffic"};
	enum expr_tri all = EXPR_YES;

	*failed = NULL;
	for (unsigned i = 0; i < 3; i++) {
		enum expr_tri one = ask(parts[i], f);

		if (one == EXPR_NO) {
			*failed = names[i];
			return EXPR_NO;
		}
		if (one == EXPR_UNKNOWN)
			all = EXPR_UNKNOWN;
	}
	return all;
}

/* Names are looked for in TCP and UDP; http speaks of all of these but name service, dns of name service alone. */
static bool track_applies(enum policy_filter filter, const struct policy_query *q)
{
	bool dns = q->dst_port == DNS_PORT;

	if (filter == POLICY_L4)
		return true;
	return (q->proto == TCP || q->proto == UDP) && (filter == POLICY_DNS) == dns;
}

struct track {
	bool pending;
	const struct policy_view_rule *decided;
};

/* Rules first … of one filter, in their order. Steps are told to `steps` from *told on. */
static void walk(const struct policy_view *view, enum policy_filter filter, const struct policy_query *q, const struct facts *f,
		 struct track *out, struct policy_step *steps, size_t max, size_t *told)
{
	*out = (struct track){.pending = false};
	if (!track_applies(filter, q))
		return;
	for (uint32_t i = 0; i < view->n_rules; i++) {
		const struct policy_view_rule *rule = &view->rules[i];
		enum expr_tri answer;
		const char *failed;

		if (rule->filter != filter || (out->decided && !steps))
			continue;
		answer = match(rule, f, &failed);
		if (steps && *told < max)
			steps[*told] = (struct policy_step){.rule = rule->index,
							    .filter = filter,
							    .action = rule->action,
							    .match = answer == EXPR_NO    ? POLICY_NO
								     : answer == EXPR_YES ? POLICY_YES
											  : POLICY_UNKNOWN,
							    .failed = failed,
							    .decided = answer == EXPR_YES && !out->decided && !out->pending};
		(*told)++;
		if (out->decided)
			continue;
		if (answer == EXPR_UNKNOWN)
			out->pending = true;
		else if (answer == EXPR_YES)
			out->decided = rule;
	}
}

static void deny(struct policy_result *out, uint32_t rule, bool silent)
{
	out->verdict = POLICY_DENY;
	out->rule = rule;
	out->silent = silent;
}

/* Decision 7. A track that is decided to block needs no answer from the other. */
static void combine(const struct policy_view *view, const struct policy_query *q, const struct track *l4, const struct track *other,
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

static size_t decide(const struct policy_set *p, const struct policy_query *q, const struct names *names, struct policy_step *steps,
		     size_t max, struct policy_result *out)
{
	const struct policy_account *a = q->account < p->limits.accounts ? &p->accounts[q->account] : NULL;
	const struct policy_view *view = a ? __atomic_load_n(&a->view, __ATOMIC_ACQUIRE) : NULL;
	struct track l4, http, dns;
	struct facts facts;
	size_t told = 0;

	*out = (struct policy_result){
		.verdict = POLICY_DENY, .rule = POLICY_RULE_DEFAULT, .l4_rule = POLICY_RULE_DEFAULT, .other_rule = POLICY_RULE_DEFAULT};
	if (!view)
		return 0;
	gather(&facts, p, a, view, q, names);
	walk(view, POLICY_L4, q, &facts, &l4, steps, max, &told);
	walk(view, POLICY_HTTP, q, &facts, &http, steps, max, &told);
	walk(view, POLICY_DNS, q, &facts, &dns, steps, max, &told);
	combine(view, q, &l4, track_applies(POLICY_DNS, q) ? &dns : &http, out);
	return told;
}

void policy_decide(const struct policy_set *p, const struct policy_query *q, const struct names *names, struct policy_result *out)
{
	decide(p, q, names, NULL, 0, out);
}

void policy_decide_burst(const struct policy_set *p, const struct policy_query *const *q, struct policy_result *out, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		decide(p, q[i], NULL, NULL, 0, &out[i]);
}

size_t policy_explain(const struct policy_set *p, const struct policy_query *q, const struct names *names, struct policy_step *steps,
		      size_t max, struct policy_result *out)
{
	static struct policy_step none;

	return decide(p, q, names, steps ? steps : &none, steps ? max : 0, out);
}

uint32_t policy_covered_by(const struct policy_set *p, uint32_t account, uint32_t rule)
{
	const struct policy_view *view = account < p->limits.accounts ? p->accounts[account].view : NULL;
	uint32_t at;

	for (at = 0; view && at < view->n_rules && view->rules[at].index != rule; at++)
		;
	if (!view || at == view->n_rules)
		return POLICY_RULE_DEFAULT;
	for (uint32_t i = 0; i < at; i++) {
		const struct policy_view_rule *r = &view->rules[i];

		if (r->filter == view->rules[at].filter && !r->traffic && !r->identity && !r->posture)
			return r->index;
	}
	return POLICY_RULE_DEFAULT;
}
