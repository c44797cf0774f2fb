// SPDX-License-Identifier: BSD-3-Clause
// Parses an expression of a rule in the scheme of its place.
#include "ctrl/expr_check.h"

#include <stdio.h>
#include <string.h>

static enum expr_scheme scheme_of(enum expr_group group, const char *filter)
{
	if (group == EXPR_GROUP_IDENTITY)
		return EXPR_IDENTITY;
	if (group == EXPR_GROUP_POSTURE)
		return EXPR_POSTURE;
	return strcmp(filter, "http") == 0 ? EXPR_HTTP : strcmp(filter, "dns") == 0 ? EXPR_DNS : EXPR_L4;
}

int expr_check(const char *text, enum expr_group group, const char *filter, const struct expr_lists *lists, uint32_t *fields, char *err,
	       size_t err_len)
{
	struct expr_error error;
	struct expr *e;
	int rc;

	*fields = 0;
	if (text[strspn(text, " \r\n")] == 0) {
		snprintf(err, err_len, "must not be empty (leave it out for 'always')");
		return -1;
	}
	rc = expr_parse(text, strlen(text), scheme_of(group, filter), lists, &e, &error);
	if (rc < 0) {
		if (error.message[0])
			expr_error_line(&error, err, err_len);
		else
			snprintf(err, err_len, "out of memory");
		return -1;
	}
	*fields = e->fields;
	expr_free(e);
	return 0;
}

static bool names(uint32_t fields, const enum expr_field *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fields & 1u << wanted[i])
			return true;
	}
	return false;
}

bool expr_uses_host(uint32_t fields)
{
	static const enum expr_field hosts[] = {EXPR_F_NET_SNI_HOST, EXPR_F_NET_SNI_DOMAINS, EXPR_F_HTTP_REQUEST_HOST,
						EXPR_F_HTTP_REQUEST_DOMAINS, EXPR_F_HTTP_REQUEST_URI, EXPR_F_DNS_FQDN, EXPR_F_DNS_DOMAINS};

	return names(fields, hosts, sizeof(hosts) / sizeof(hosts[0]));
}

bool expr_uses_address(uint32_t fields)
{
	static const enum expr_field addresses[] = {EXPR_F_NET_DST_IP, EXPR_F_HTTP_CONN_DST_IP};

	return names(fields, addresses, sizeof(addresses) / sizeof(addresses[0]));
}
