// SPDX-License-Identifier: BSD-3-Clause
// Lists that rules name: addresses as sorted spans, names as sorted text.
#include "dataplane/tables/policy_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last address of a prefix. */
static void span_of_prefix(const struct ip_prefix *p, struct policy_span *out)
{
	unsigned bits = ip_addr_bits(&p->addr);

	out->first = out->last = p->addr;
	for (unsigned bit = p->len; bit < bits; bit++)
		out->last.bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
}

/* "address", "prefix", "first-last" or "first..last". */
static bool span_parse(const char *item, struct policy_span *out)
{
	char text[2 * IP_PREFIX_TEXT], why[128];
	const char *sep = strstr(item, "..");
	size_t skip = sep ? 2 : 1, len;
	struct ip_prefix prefix;

	if (!sep)
		sep = strchr(item, '-');
	if (!sep) {
		if (ip_prefix_parse(item, true, &prefix, why, sizeof(why)))
			return false;
		span_of_prefix(&prefix, out);
		return true;
	}
	len = (size_t)(sep - item);
	if (len >= sizeof(text))
		return false;
	memcpy(text, item, len);
	text[len] = '\0';
	return ip_addr_parse(text, &out->first) && ip_addr_parse(sep + skip, &out->last) &&
	       out->first.family == out->last.family && ip_addr_cmp(&out->first, &out->last) <= 0;
}

static int compare_spans(const void *a, const void *b)
{
	const struct policy_span *x = a, *y = b;
	int c = ip_addr_cmp(&x->first, &y->first);

	return c ? c : ip_addr_cmp(&x->last, &y->last);
}

uint32_t policy_spans_merge(struct policy_span *spans, uint32_t count)
{
	uint32_t n = 0;

	qsort(spans, count, sizeof(*spans), compare_spans);
	for (uint32_t i = 0; i < count; i++) {
		struct policy_span *last = n ? &spans[n - 1] : NULL;

		if (last && last->last.family == spans[i].first.family && ip_addr_cmp(&spans[i].first, &last->last) <= 0) {
			if (ip_addr_cmp(&spans[i].last, &last->last) > 0)
				last->last = spans[i].last;
			continue;
		}
		spans[n++] = spans[i];
	}
	return n;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *folded(const char *text)
{
	char *out = strdup(text);

	for (char *c = out; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return out;
}

static bool add_item(struct policy_list *list, const char *item, struct policy_error *error, int *rc)
{
	*rc = -EINVAL;
	if (list->type == EXPR_LIST_IP) {
		if (span_parse(item, &list->spans[list->n_spans])) {
			list->n_spans++;
			return true;
		}
		snprintf(error->message, sizeof(error->message), "list %s: '%.60s' is no address, prefix or range", list->id, item);
		return false;
	}
	*rc = -ENOMEM;
	list->texts[list->n_texts] = folded(item);
	return list->texts[list->n_texts] && ++list->n_texts;
}

struct policy_list *policy_list_make(const char *id, enum expr_list_type type, const char *const *items, size_t n,
				     struct policy_error *error, int *rc)
{
	struct policy_list *list = calloc(1, sizeof(*list));

	*rc = -ENOMEM;
	*error = (struct policy_error){.rule = POLICY_RULE_DEFAULT, .message = "out of memory"};
	if (!list)
		return NULL;
	snprintf(list->id, sizeof(list->id), "%s", id);
	list->type = type;
	list->items = n;
	if (type == EXPR_LIST_IP)
		list->spans = calloc(n + 1, sizeof(*list->spans));
	else
		list->texts = calloc(n + 1, sizeof(*list->texts));
	for (size_t i = 0; (list->spans || list->texts) && i < n; i++) {
		if (!add_item(list, items[i], error, rc)) {
			policy_list_free(list);
			return NULL;
		}
	}
	if (!list->spans && !list->texts) {
		policy_list_free(list);
		return NULL;
	}
	if (list->spans)
		list->n_spans = policy_spans_merge(list->spans, list->n_spans);
	else
		qsort(list->texts, list->n_texts, sizeof(*list->texts), compare_texts);
	return list;
}

void policy_list_free(struct policy_list *list)
{
	for (uint32_t i = 0; i < list->n_texts; i++)
		free(list->texts[i]);
	free(list->texts);
	free(list->spans);
	free(list);
}

static bool has_address(const struct policy_list *list, const struct ip_addr *a)
{
	uint32_t low = 0, high = list->n_spans;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (ip_addr_cmp(&list->spans[mid].first, a) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low && list->spans[low - 1].first.family == a->family && ip_addr_cmp(a, &list->spans[low - 1].last) <= 0;
}

/* Texts of lists are compared without regard to case whatever the field. */
static int compare_bytes(const struct expr_bytes *b, const char *text)
{
	size_t len = strlen(text), n = b->n < len ? b->n : len;

	for (size_t i = 0; i < n; i++) {
		int d = tolower((unsigned char)b->p[i]) - (unsigned char)text[i];

		if (d)
			return d;
	}
	return b->n < len ? -1 : b->n > len;
}

bool policy_list_has(const struct policy_list *list, const struct expr_value *v)
{
	uint32_t low = 0, high = list->n_texts;

	if (list->type == EXPR_LIST_IP)
		return v->kind == EXPR_IP && has_address(list, &v->ip);
	if (v->kind != EXPR_BYTES)
		return false;
	while (low < high) {
		uint32_t mid = (low + high) / 2;
		int c = compare_bytes(&v->bytes, list->texts[mid]);

		if (c == 0)
			return true;
		if (c > 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}
