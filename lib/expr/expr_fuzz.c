// SPDX-License-Identifier: BSD-3-Clause
// Any bytes as an expression, in the scheme that the first byte picks: an error lies inside the text, a tree evaluates, and
// what two-valued logic promises holds: "not (E)" is the opposite of E, "(E) and (E)" is E.
#include "lib/expr/expr.h"
#include "lib/expr/test_env.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const environments[] = {
	"",
	"net.src.ip=10.0.0.1 net.dst.ip=2001:db8::1 net.src.port=1 net.dst.port=443 net.protocol=tcp net.vnet_id=a net.sni.host=? "
	"net.sni.domains=? net.detected_protocol=? http.conn.src_ip=10.0.0.1 http.conn.dst_ip=1.1.1.1 http.request.host=? dns.fqdn=?",
	"net.sni.host=a.b net.sni.domains=a.b,b net.detected_protocol=tls http.request.host=a http.request.domains=@empty "
	"http.request.uri=http://a/b http.request.method=GET dns.fqdn=a.b dns.domains=a.b,b identity.email=a@b identity.name=A "
	"identity.groups.name=a,b device_posture.checks.passed=x device_posture.checks.failed=@empty",
};

static int value(const char *text, size_t len, enum expr_scheme scheme, const char *environment)
{
	struct expr_error error;
	struct test_env env;
	struct expr *e;
	int v;

	if (expr_parse(text, len, scheme, &test_lists, &e, &error))
		return -1;
	test_env_init(&env, environment);
	v = expr_eval(e, &env.env);
	test_env_free(&env);
	expr_free(e);
	return v;
}

static void check_laws(const char *text, size_t len, enum expr_scheme scheme)
{
	static char other[2 * 4096 + 64];
	int not_len = snprintf(other, sizeof(other), "not (%.*s)", (int)len, text);
	int got, opposite;

	for (size_t i = 0; i < sizeof(environments) / sizeof(environments[0]); i++) {
		got = value(text, len, scheme, environments[i]);
		opposite = value(other, (size_t)not_len, scheme, environments[i]);
		if (got < 0 || opposite < 0) /* nested too deep with one more */
			continue;
		if (got == EXPR_UNKNOWN ? opposite != EXPR_UNKNOWN : opposite != (got == EXPR_NO))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct expr_error error;
	struct expr *e;
	enum expr_scheme scheme;
	const char *text = (const char *)data + 1;
	char *caret;

	if (size < 1 || size > 4096)
		return 0;
	scheme = (enum expr_scheme)(data[0] % EXPR_SCHEMES);
	if (expr_parse(text, size - 1, scheme, &test_lists, &e, &error)) {
		if (e || error.offset > size - 1 || error.offset + error.length > size - 1 || !error.line || !error.column || !error.message[0])
			abort();
		caret = expr_error_caret(&error, text, size - 1);
		free(caret);
		return 0;
	}
	expr_free(e);
	if (!memchr(text, 0, size - 1))
		check_laws(text, size - 1, scheme);
	return 0;
}
