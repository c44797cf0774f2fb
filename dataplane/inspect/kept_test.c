// SPDX-License-Identifier: BSD-3-Clause
// Kept names come back as they were, or missing.
#include "dataplane/inspect/kept.h"

#include "dataplane/inspect/test_util.h"

static struct name_text text(const char *t)
{
	return (struct name_text){.state = NAME_KNOWN, .len = (uint16_t)strlen(t), .text = t};
}

static void assert_same(const struct name_text *a, const struct name_text *b)
{
	assert_int_equal(a->state, b->state);
	if (a->state != NAME_KNOWN)
		return;
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->text, b->text, a->len);
}

static void assert_comes_back(struct kept_pool *p, const struct names *in, const struct names *want)
{
	uint32_t slot = kept_put(p, in);
	struct names out;

	assert_int_not_equal(slot, KEPT_NONE);
	kept_get(p, slot, &out);
	assert_int_equal(out.protocol_state, NAME_KNOWN);
	assert_int_equal(out.protocol, want->protocol);
	assert_same(&out.sni, &want->sni);
	assert_same(&out.http_host, &want->http_host);
	assert_same(&out.http_uri, &want->http_uri);
	assert_same(&out.http_method, &want->http_method);
	assert_same(&out.dns_fqdn, &want->dns_fqdn);
	kept_free(p, slot);
}

static void test_kinds(void **state)
{
	struct kept_pool *p = kept_pool_init(malloc(kept_pool_size(1)), 1);
	struct names n = names_missing;

	(void)state;
	assert_comes_back(p, &n, &n);
	n.protocol = DETECTED_TLS;
	n.sni = text("www.app.example");
	assert_comes_back(p, &n, &n);
	n = names_missing;
	n.protocol = DETECTED_DNS;
	n.dns_fqdn = text("a.b");
	assert_comes_back(p, &n, &n);
	n = names_missing;
	n.protocol = DETECTED_HTTP;
	n.http_method = text("OPTIONS");
	assert_comes_back(p, &n, &n);
	n.http_host = text("h.example");
	assert_comes_back(p, &n, &n);
	n.http_uri = text("http://h.example/path?q");
	assert_comes_back(p, &n, &n);
	free(p);
}

static void test_too_long(void **state)
{
	struct kept_pool *p = kept_pool_init(malloc(kept_pool_size(1)), 1);
	struct names n = names_missing, want;
	char uri[KEPT_TEXT + 2], name[KEPT_TEXT + 2];

	(void)state;
	n.protocol = DETECTED_HTTP;
	n.http_method = text("GET");
	n.http_host = text("h");
	snprintf(uri, sizeof(uri), "http://h/%0*d", KEPT_TEXT - 3 - 9, 0);
	n.http_uri = text(uri);
	assert_comes_back(p, &n, &n);
	snprintf(uri, sizeof(uri), "http://h/%0*d", KEPT_TEXT - 3 - 8, 0);
	n.http_uri = text(uri);
	want = n;
	want.http_uri = (struct name_text){.state = NAME_MISSING};
	assert_comes_back(p, &n, &want);
	n = want = names_missing;
	snprintf(name, sizeof(name), "%0*d", KEPT_TEXT + 1, 0);
	n.dns_fqdn = text(name);
	assert_comes_back(p, &n, &want);
	free(p);
}

/* What is not known is not kept, whatever its other fields say. */
static void test_only_what_is_known(void **state)
{
	struct kept_pool *p = kept_pool_init(malloc(kept_pool_size(1)), 1);
	struct names n = names_missing;
	char method[300];

	(void)state;
	n.http_method = (struct name_text){.state = NAME_MISSING, .len = 3, .text = "GET"};
	n.sni = (struct name_text){.state = NAME_MISSING, .len = 1, .text = "a"};
	assert_comes_back(p, &n, &names_missing);
	n = names_missing;
	n.http_uri = text("http://h/"); /* without its host nobody knows where that is in it */
	assert_comes_back(p, &n, &names_missing);
	n = names_missing;
	memset(method, 'M', sizeof(method));
	n.http_method = (struct name_text){.state = NAME_KNOWN, .len = sizeof(method), .text = method};
	assert_comes_back(p, &n, &names_missing);
	free(p);
}

static void test_slots(void **state)
{
	struct kept_pool *p = kept_pool_init(malloc(kept_pool_size(3)), 3);
	uint32_t slots[3];
	struct names n;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		n = names_missing;
		n.sni = text((const char *[]){"one", "two", "three"}[i]);
		slots[i] = kept_put(p, &n);
		assert_int_not_equal(slots[i], KEPT_NONE);
	}
	assert_int_equal(kept_put(p, &n), KEPT_NONE);
	kept_free(p, slots[1]);
	assert_int_equal(kept_put(p, &n), slots[1]);
	kept_get(p, slots[0], &n);
	assert_memory_equal(n.sni.text, "one", 3);
	free(p);
	p = kept_pool_init(malloc(kept_pool_size(0)), 0);
	assert_int_equal(kept_put(p, &names_missing), KEPT_NONE);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_only_what_is_known),
		cmocka_unit_test(test_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
