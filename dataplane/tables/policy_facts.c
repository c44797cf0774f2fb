// SPDX-License-Identifier: BSD-3-Clause
// What is known of a flow, for the interpreter of expressions.
#include "dataplane/tables/policy_compiled.h"

#include <string.h>

#define TCP 6
#define UDP 17

const struct policy_list *policy_view_list(const struct policy_view *view, const char *id)
{
	uint32_t low = 0, high = view->n_lists;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		int c = strcmp(view->lists[mid]->id, id);

		if (c == 0)
			return view->lists[mid];
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static bool in_list(void *user, const struct expr_list *list, const struct expr_value *v)
{
	const struct policy_list *found = policy_view_list(user, list->id);

	return found && policy_list_has(found, v);
}

static void know(struct policy_facts *f, enum expr_field field, const struct expr_value *v, size_t n)
{
	f->env.slots[field] = (struct expr_slot){.state = EXPR_KNOWN, .v = v, .n = n};
}

static void know_text(struct policy_facts *f, enum expr_field field, struct expr_value *v, const char *text, size_t len)
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

static void name_facts(struct policy_facts *f, const struct names *names);

/* A name, and where `domains` is a field, the name and each of its parents. */
static void name_fact(struct policy_facts *f, enum expr_field field, struct expr_value *v, const struct name_text *name, int domains,
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
	for (at = name->text; at && n < POLICY_DOMAINS_MAX; n++) {
		each[n] = (struct expr_value){.kind = EXPR_BYTES, .bytes = {at, (size_t)(end - at)}};
		at = memchr(at, '.', (size_t)(end - at));
		at = at ? at + 1 : NULL;
	}
	know(f, (enum expr_field)domains, each, n);
}

void policy_facts_detected(struct policy_facts *f, enum detected_protocol protocol)
{
	const char *text = detected_protocol_name(protocol);

	know_text(f, EXPR_F_NET_DETECTED_PROTOCOL, &f->detected, text, strlen(text));
}

void policy_facts_name(struct policy_facts *f, const struct policy_view *view, unsigned dim, const struct name_text *text)
{
	struct names names = names_missing;

	policy_facts_none(f, view);
	*(dim == DIM_SNI ? &names.sni : dim == DIM_HOST ? &names.http_host : dim == DIM_URI ? &names.http_uri :
	  dim == DIM_METHOD ? &names.http_method : &names.dns_fqdn) = *text;
	name_facts(f, &names);
}

static void name_facts(struct policy_facts *f, const struct names *names)
{
	name_fact(f, EXPR_F_NET_SNI_HOST, &f->sni, &names->sni, EXPR_F_NET_SNI_DOMAINS, f->domains[0]);
	name_fact(f, EXPR_F_HTTP_REQUEST_HOST, &f->host, &names->http_host, EXPR_F_HTTP_REQUEST_DOMAINS, f->domains[1]);
	name_fact(f, EXPR_F_HTTP_REQUEST_URI, &f->uri, &names->http_uri, -1, NULL);
	name_fact(f, EXPR_F_HTTP_REQUEST_METHOD, &f->method, &names->http_method, -1, NULL);
	name_fact(f, EXPR_F_DNS_FQDN, &f->fqdn, &names->dns_fqdn, EXPR_F_DNS_DOMAINS, f->domains[2]);
	if (names->protocol_state == NAME_UNSEEN)
		f->env.slots[EXPR_F_NET_DETECTED_PROTOCOL].state = EXPR_UNSEEN;
	else if (names->protocol_state == NAME_KNOWN)
		policy_facts_detected(f, (enum detected_protocol)names->protocol);
}

static void address_fact(struct policy_facts *f, enum expr_field a, enum expr_field b, struct expr_value *v, uint8_t family,
			 const uint8_t bytes[16])
{
	*v = (struct expr_value){.kind = EXPR_IP, .ip.family = family};
	memcpy(v->ip.bytes, bytes, family == 4 ? 4 : 16);
	know(f, a, v, 1);
	know(f, b, v, 1);
}

void policy_facts_person(struct policy_facts *f, const struct policy_person *who)
{
	if (who->email.bytes.n)
		know(f, EXPR_F_IDENTITY_EMAIL, &who->email, 1);
	if (who->name.bytes.n)
		know(f, EXPR_F_IDENTITY_NAME, &who->name, 1);
	know(f, EXPR_F_IDENTITY_GROUPS_NAME, who->groups, who->n_groups);
	know(f, EXPR_F_POSTURE_PASSED, who->passed, who->n_passed);
	know(f, EXPR_F_POSTURE_FAILED, who->failed, who->n_failed);
}

void policy_facts_none(struct policy_facts *f, const struct policy_view *view)
{
	memset(&f->env, 0, sizeof(f->env));
	f->env.in_list = in_list;
	f->env.user = (void *)(uintptr_t)view;
}

void policy_facts_proto(struct policy_facts *f, uint8_t proto)
{
	know_text(f, EXPR_F_NET_PROTOCOL, &f->proto, protocol_name(proto), strlen(protocol_name(proto)));
}

void policy_facts_vnet(struct policy_facts *f, const char *id)
{
	know_text(f, EXPR_F_NET_VNET_ID, &f->vnet, id, strlen(id));
	know(f, EXPR_F_HTTP_CONN_VNET_ID, &f->vnet, 1);
}

void policy_facts_flow(struct policy_facts *f, const struct policy_set *p, const struct policy_account *a, const struct policy_view *view,
		       const struct policy_query *q, const struct names *names)
{
	const struct policy_persons *persons = __atomic_load_n(&a->persons, __ATOMIC_ACQUIRE);
	const struct policy_person *who =
		persons && q->identity < persons->capacity ? __atomic_load_n(&persons->at[q->identity], __ATOMIC_ACQUIRE) : NULL;
	const char *vnet = q->vnet < p->n_vnets ? __atomic_load_n(&p->vnets[q->vnet], __ATOMIC_ACQUIRE) : NULL;

	policy_facts_none(f, view);
	address_fact(f, EXPR_F_NET_SRC_IP, EXPR_F_HTTP_CONN_SRC_IP, &f->src, q->family, q->src);
	address_fact(f, EXPR_F_NET_DST_IP, EXPR_F_HTTP_CONN_DST_IP, &f->dst, q->family, q->dst);
	policy_facts_proto(f, q->proto);
	if (vnet)
		policy_facts_vnet(f, vnet);
	if (who)
		policy_facts_person(f, who);
	if (q->proto != TCP && q->proto != UDP)
		return;
	f->sport = (struct expr_value){.kind = EXPR_INT, .i = q->src_port};
	f->dport = (struct expr_value){.kind = EXPR_INT, .i = q->dst_port};
	know(f, EXPR_F_NET_SRC_PORT, &f->sport, 1);
	know(f, EXPR_F_NET_DST_PORT, &f->dport, 1);
	name_facts(f, names ? names : &NAMES_UNSEEN);
}
