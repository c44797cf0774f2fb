// SPDX-License-Identifier: BSD-3-Clause
// Lists: one type each, canonical values, no duplicates.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/api.h"
#include "ctrl/model.h"
#include "lib/ip.h"

#define VALUE_MAX 512

static int canonical_ip(struct req *r, const char *value, char *out)
{
	struct ip_prefix p;

	if (check_network(r, "items", "item", value, true, &p) < 0)
		return -1;
	if (p.len == ip_addr_bits(&p.addr) && !strchr(value, '/'))
		ip_addr_format(&p.addr, out);
	else
		ip_prefix_format(&p, out);
	return 0;
}

/* Lower case, without a final dot; letters, digits, '-', '_' in labels of 1 to 63. */
static int canonical_domain(struct req *r, const char *value, char *out)
{
	size_t n = strlen(value), label = 0;

	if (n > 0 && value[n - 1] == '.')
		n--;
	if (n == 0 || n > 253)
		return req_fail(r, IPC_E_INVALID, "items", "item '%.60s': not a host name", value);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)value[i];

		if (c == '*')
			return req_fail(r, IPC_E_INVALID, "items", "item '%.260s': wildcards are not allowed in lists", value);
		if (c >= 0x80)
			return req_fail(r, IPC_E_INVALID, "items", "item '%.260s': give international names in their xn-- form", value);
		label = c == '.' ? 0 : label + 1;
		if ((c == '.' && (i == 0 || value[i - 1] == '.')) || (c != '.' && !isalnum(c) && c != '-' && c != '_') || label > 63)
			return req_fail(r, IPC_E_INVALID, "items", "item '%.260s': not a host name", value);
		out[i] = (char)tolower(c);
	}
	out[n] = 0;
	return 0;
}

static int canonical(struct req *r, const char *type, const char *value, char out[VALUE_MAX])
{
	if (strlen(value) > 254 || !value[0])
		return req_fail(r, IPC_E_INVALID, "items", "item '%.60s': must have 1 to 254 bytes", value);
	if (strcmp(type, "IP") == 0)
		return canonical_ip(r, value, out);
	if (strcmp(type, "DOMAIN") == 0)
		return canonical_domain(r, value, out);
	if (check_text(r, "items", value, 254) < 0 || (strcmp(type, "EMAIL") == 0 && check_email(r, "items", value) < 0))
		return -1;
	snprintf(out, VALUE_MAX, "%s", value);
	for (char *s = out; strcmp(type, "EMAIL") == 0 && *s; s++)
		*s = (char)tolower((unsigned char)*s);
	return 0;
}

/* What two values must share to be one: 10.0.0.1 and 10.0.0.1/32 are. */
static void identity(const char *type, const char *value, char out[VALUE_MAX])
{
	snprintf(out, VALUE_MAX, "%s", value);
	if (strcmp(type, "IP") == 0 && !strchr(value, '/'))
		snprintf(out, VALUE_MAX, "%s/%d", value, strchr(value, ':') ? 128 : 32);
}

/* Is the stored value the one of this identity? What identity() says, without making a text. */
static bool same_item(const char *type, const char *value, const char *id)
{
	size_t n = strlen(value);

	if (strncmp(value, id, n) != 0)
		return false;
	return !id[n] || (strcmp(type, "IP") == 0 && !strchr(value, '/') && strcmp(id + n, strchr(value, ':') ? "/128" : "/32") == 0);
}

/* One item of params as {"value", "description"?} with the canonical value: new reference or NULL. */
static json_t *read_item(struct req *r, const char *type, json_t *item)
{
	const char *value = json_string_value(item), *description = NULL, *key;
	char text[VALUE_MAX];
	json_t *v;

	if (json_is_object(item)) {
		json_object_foreach(item, key, v) {
			if (strcmp(key, "value") != 0 && strcmp(key, "description") != 0) {
				req_fail(r, IPC_E_UNKNOWN_FIELD, key, "items: unknown field '%s'", key);
				return NULL;
			}
		}
		value = json_string_value(json_object_get(item, "value"));
		description = json_string_value(json_object_get(item, "description"));
	}
	if (!value) {
		req_fail(r, IPC_E_INVALID, "items", "items: each must be a text or {value, description}");
		return NULL;
	}
	if ((description && check_text(r, "items", description, 255) < 0) || canonical(r, type, value, text) < 0)
		return NULL;
	return description && description[0] ? json_pack("{s:s, s:s}", "value", text, "description", description)
					     : json_pack("{s:s}", "value", text);
}

/* The identities of a list's items: a set. */
static json_t *identities(const char *type, json_t *items)
{
	json_t *set = json_object(), *it;
	char id[VALUE_MAX];
	size_t i;

	json_array_foreach(items, i, it) {
		identity(type, doc_str(it, "value"), id);
		json_object_set_new(set, id, json_integer((json_int_t)i));
	}
	return set;
}

/* Is it in the list already? `have` is the set of all identities; NULL where it was not worth making one. */
static bool is_there(const json_t *have, const char *type, const json_t *items, const char *id)
{
	const json_t *it;
	size_t i;

	if (have)
		return json_object_get(have, id) != NULL;
	json_array_foreach(items, i, it) {
		if (same_item(type, doc_str(it, "value"), id))
			return true;
	}
	return false;
}

#define FEW 16 /* items that are looked for one by one: a set of all that are there takes as long as about so many */

/* Appends items to an array of them, refusing duplicates by name. */
static int append_items(struct req *r, const char *type, json_t *to, json_t *items)
{
	json_t *have = json_array_size(items) > FEW ? identities(type, to) : NULL, *raw;
	char id[VALUE_MAX];
	size_t i;
	int ret = 0;

	if (json_array_size(to) + json_array_size(items) > LIMIT_ITEMS)
		ret = req_fail(r, IPC_E_LIMIT, "items", "items: %zu, a list holds at most %u", json_array_size(to) + json_array_size(items),
			       LIMIT_ITEMS);
	for (i = 0; ret == 0 && i < json_array_size(items); i++) {
		json_t *item;

		raw = json_array_get(items, i);
		item = read_item(r, type, raw);
		if (!item) {
			ret = -1;
			break;
		}
		identity(type, doc_str(item, "value"), id);
		if (is_there(have, type, to, id))
			ret = req_fail(r, IPC_E_EXISTS, "items", "item '%s': is in the list already", doc_str(item, "value"));
		if (have)
			json_object_set_new(have, id, json_true());
		json_array_append_new(to, item);
	}
	json_decref(have);
	return ret;
}

int list_write(struct req *r, json_t *doc, json_t **out)
{
	static const char *const types[] = {"IP", "DOMAIN", "EMAIL", "SERIAL"};
	const char *name = req_str(r, "name", doc ? doc_str(doc, "name") : ""), *type = req_str(r, "type", doc ? doc_str(doc, "type") : "");
	const char *description = req_str(r, "description", doc ? doc_str(doc, "description") : "");
	json_t *now, *items;
	char id[37], when[32];
	unsigned i = 0;

	if ((!doc || strcmp(name, doc_str(doc, "name")) != 0) && (check_name(r, T_LISTS, name) < 0 || check_free_name(r, T_LISTS, name) < 0))
		return -1;
	while (i < 4 && strcmp(type, types[i]) != 0)
		i++;
	if (i == 4)
		return req_fail(r, IPC_E_INVALID, "type", "type '%.40s': must be IP, DOMAIN, EMAIL or SERIAL", type);
	if (doc && strcmp(type, doc_str(doc, "type")) != 0)
		return req_fail(r, IPC_E_INVALID, "type", "list '%s': its type is %s and cannot change", name, doc_str(doc, "type"));
	if (check_text(r, "description", description, 1000) < 0 || (!doc && check_count(r, T_LISTS, r->account_id, LIMIT_LISTS) < 0))
		return -1;
	items = doc && !req_has(r, "items") ? json_deep_copy(json_object_get(doc, "items")) : json_array();
	if (req_has(r, "items") && append_items(r, type, items, req_get(r, "items")) < 0) {
		json_decref(items);
		return -1;
	}
	uuid_new(id);
	now = doc ? json_copy(doc)
		  : json_pack("{s:s, s:s, s:s, s:s}", "id", id, "account_id", r->account_id, "type", type, "created_at",
			      time_format(r->now, when));
	json_object_set_new(now, "name", json_string(name));
	if (description[0])
		json_object_set_new(now, "description", json_string(description));
	json_object_set_new(now, "items", items);
	*out = now;
	return req_put(r, T_LISTS, now);
}

static int answer(struct req *r, json_t *doc, int ret)
{
	if (ret == 0)
		ret = req_answer(r, "list", show_object(r, T_LISTS, doc));
	json_decref(doc);
	return ret;
}

int list_create(struct req *r)
{
	json_t *doc = NULL;
	int ret = list_write(r, NULL, &doc);

	return answer(r, doc, ret);
}

int list_list(struct req *r)
{
	return list_objects(r, T_LISTS);
}

int list_show(struct req *r)
{
	json_t *doc = req_find(r, T_LISTS, "list");

	return doc ? answer(r, doc, 0) : -1;
}

/* The list with other items (taken over). */
static json_t *with_items(const json_t *doc, json_t *items)
{
	json_t *now = json_copy((json_t *)(uintptr_t)doc);

	json_object_set_new(now, "items", items);
	return now;
}

int list_add(struct req *r)
{
	json_t *doc = req_find(r, T_LISTS, "list"), *now = doc ? with_items(doc, json_copy(json_object_get(doc, "items"))) : NULL;
	int ret = now ? append_items(r, doc_str(doc, "type"), json_object_get(now, "items"), req_get(r, "items")) : -1;

	if (ret == 0)
		ret = req_replace(r, T_LISTS, doc, now);
	json_decref(doc);
	return answer(r, now, ret);
}

/* Removes what `gone` (a set of identities) names; each must have been there. *out: the list without. */
static int remove_items(struct req *r, const json_t *doc, json_t *gone, json_t **out)
{
	json_t *kept = json_array(), *it;
	const char *type = doc_str(doc, "type");
	char id[VALUE_MAX];
	size_t i;

	json_array_foreach(json_object_get(doc, "items"), i, it) {
		identity(type, doc_str(it, "value"), id);
		if (json_object_get(gone, id))
			json_object_del(gone, id);
		else
			json_array_append(kept, it);
	}
	if (json_object_size(gone) > 0) {
		json_decref(kept);
		return req_fail(r, IPC_E_NOT_FOUND, "items", "item '%s': is not in the list", json_object_iter_key(json_object_iter(gone)));
	}
	*out = with_items(doc, kept);
	return req_replace(r, T_LISTS, doc, *out);
}

int list_remove(struct req *r)
{
	json_t *doc = req_find(r, T_LISTS, "list"), *gone = json_object(), *now = NULL;
	char id[VALUE_MAX];
	int ret = doc ? 0 : -1;

	for (size_t i = 0; ret == 0 && i < json_array_size(req_get(r, "items")); i++) {
		json_t *item = read_item(r, doc_str(doc, "type"), json_array_get(req_get(r, "items"), i));

		if (item) {
			identity(doc_str(doc, "type"), doc_str(item, "value"), id);
			json_object_set_new(gone, id, json_true());
		}
		ret = item ? 0 : -1;
		json_decref(item);
	}
	if (ret == 0)
		ret = remove_items(r, doc, gone, &now);
	json_decref(gone);
	json_decref(doc);
	return answer(r, now, ret);
}

struct user {
	const char *list_id;
	char rule[256];
};

static int find_user(json_t *rule, void *arg)
{
	struct user *u = arg;
	json_t *ref;
	size_t i;

	json_array_foreach(json_object_get(rule, "refs"), i, ref) {
		if (strcmp(json_string_value(ref), u->list_id) == 0) {
			snprintf(u->rule, sizeof(u->rule), "%s", doc_str(rule, "name"));
			return 1;
		}
	}
	return 0;
}

int list_remove_all(struct req *r, const json_t *doc)
{
	struct user u = {.list_id = doc_str(doc, "id")};

	if (store_each(r->st, T_RULES, r->account_id, find_user, &u) > 0)
		return req_fail(r, IPC_E_IN_USE, "list", "list '%s': rule '%s' uses it", doc_str(doc, "name"), u.rule);
	return req_del(r, T_LISTS, u.list_id);
}

int list_delete(struct req *r)
{
	json_t *doc = req_find(r, T_LISTS, "list");
	int ret = doc ? list_remove_all(r, doc) : -1;

	return answer(r, doc, ret);
}
