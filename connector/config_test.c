// SPDX-License-Identifier: BSD-3-Clause
// Tests of the connector's configuration, the scenario's files first.
#include "connector/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "8e343b13-a087-48ea-825f-9783931ff2a5"
#define ACCOUNT "0123456789abcdef0123456789abcdef"
#define SECRET "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define FOUR "\"AccountTag\": \"" ACCOUNT "\", \"TunnelID\": \"" ID "\", \"TunnelName\": \"api-zt\", \"TunnelSecret\": \"" SECRET "\""
#define FULL "{" FOUR ", \"EdgeCA\": \"PEM\", \"Edge\": \"edge.example:8443\"}"

static char dir[] = "/tmp/sluice-config-XXXXXX", config_path[64], creds_path[64], ca_path[64];
static const char *env_names[8], *env_values[8];

static char *test_env(const char *name)
{
	for (int i = 0; i < 8 && env_names[i]; i++)
		if (!strcmp(env_names[i], name))
			return (char *)(uintptr_t)env_values[i];
	return NULL;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

/* `config` may hold one %s for the credentials path. */
static int load(struct connector_config *c, const char *config, const char *creds, const char *tunnel, char *err)
{
	char text[2048];

	snprintf(text, sizeof(text), "credentials-file: %s\n%s", creds_path, config);
	put(config_path, text);
	put(creds_path, creds);
	err[0] = 0;
	return config_load(c, config_path, tunnel, test_env, err, 512);
}

static int setup(void **state)
{
	(void)state;
	memset(env_names, 0, sizeof(env_names));
	return 0;
}

static int setup_group(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(config_path, sizeof(config_path), "%s/config.yaml", dir);
	snprintf(creds_path, sizeof(creds_path), "%s/creds.json", dir);
	snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", dir);
	put(ca_path, "FILE PEM");
	return 0;
}

static int teardown_group(void **state)
{
	(void)state;
	unlink(config_path);
	unlink(creds_path);
	unlink(ca_path);
	return rmdir(dir);
}

static void the_scenario_as_it_stands(void **state)
{
	struct connector_config c;
	char err[512];

	(void)state;
	if (load(&c, "tunnel: " ID "\nmetrics: 0.0.0.0:8081\nwarp-routing:\n    enabled: true\n", FULL, NULL, err))
		fail_msg("%s", err);
	assert_string_equal(c.tunnel, ID);
	assert_string_equal(c.metrics, "0.0.0.0:8081");
	assert_true(c.warp_routing.enabled);
	assert_int_equal(c.mode, CONNECTOR_MODE_USERSPACE);
	assert_int_equal(c.grace_ms, 30000);
	assert_int_equal(c.secret_bytes, 32);
	assert_int_equal(c.secret[31], 1);
	assert_string_equal(c.edge.v[0], "edge.example:8443");
	assert_string_equal(c.edge_ca_pem, "PEM");
	config_free(&c);
}

static void four_fields_work_with_edge_and_ca(void **state)
{
	struct connector_config c;
	char err[512], text[256];

	(void)state;
	snprintf(text, sizeof(text), "edge: [a.example:1, '[::1]:2']\nedge-ca: %s\n", ca_path);
	if (load(&c, text, "{" FOUR "}", "api-zt", err))
		fail_msg("%s", err);
	assert_int_equal(c.edge.n, 2);
	assert_string_equal(c.edge.v[1], "[::1]:2");
	assert_string_equal(c.edge_ca_pem, "FILE PEM");
	config_free(&c);

	env_names[0] = "TUNNEL_EDGE";
	env_values[0] = "b.example:1, c.example:2";
	env_names[1] = "TUNNEL_EDGE_CA";
	env_values[1] = ca_path;
	env_names[2] = "TUNNEL_METRICS";
	env_values[2] = "127.0.0.1:1";
	if (load(&c, "edge: [a.example:1]\n", FULL, NULL, err))
		fail_msg("%s", err);
	assert_int_equal(c.edge.n, 2);
	assert_string_equal(c.edge.v[0], "b.example:1");
	assert_string_equal(c.edge.v[1], "c.example:2");
	assert_string_equal(c.edge_ca_pem, "FILE PEM");
	assert_string_equal(c.metrics, "127.0.0.1:1");
	config_free(&c);
}

static void credentials_from_the_environment_alone(void **state)
{
	struct connector_config c;
	char err[512];

	(void)state;
	put(creds_path, FULL);
	env_names[0] = "TUNNEL_CRED_FILE";
	env_values[0] = creds_path;
	assert_int_equal(config_load(&c, NULL, NULL, test_env, err, sizeof(err)), 0);
	config_free(&c);
	env_names[0] = NULL;
	assert_int_equal(config_load(&c, NULL, NULL, test_env, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "TUNNEL_CRED_FILE"));
	config_free(&c);
}

static void each_error_names_what(void **state)
{
	static const struct {
		const char *config, *creds, *tunnel;
		const char *words[3];
	} cases[] = {
		/* 0 */ {"sokcet: 1\n", FULL, NULL, {"config.yaml:2", "sokcet"}},
		/* 1 */ {"warp-routing:\n  enabld: true\n", FULL, NULL, {"config.yaml:3", "enabld"}},
		/* 2 */ {"mode: tap\n", FULL, NULL, {"config.yaml:2", "tap"}},
		/* 3 */ {"grace-period: 4m\n", FULL, NULL, {"config.yaml:2", "grace-period"}},
		/* 4 */ {"mtu: 1279\n", FULL, NULL, {"config.yaml:2", "mtu"}},
		/* 5 */ {"", "{" FOUR "}", NULL, {"edge", "edge-ca"}},
		/* 6 */ {"edge: [a:1]\n", "{" FOUR "}", NULL, {"edge", "edge-ca"}},
		/* 7 */ {"edge: [nonsense]\n", FULL, NULL, {"edge", "nonsense"}},
		/* 8 */ {"edge-ca: /nowhere/ca.pem\n", FULL, NULL, {"/nowhere/ca.pem"}},
		/* 9 */ {"tunnel: other\n", FULL, NULL, {"config.yaml", "other", ID}},
		/* 10 */ {"", FULL, "other", {"command line", "other", "api-zt"}},
		/* 11 */ {"metrics: nonsense\n", FULL, NULL, {"metrics", "nonsense"}},
		/* 12 */ {"", "{", NULL, {"creds.json", "not a JSON object"}},
		/* 13 */ {"", "[]", NULL, {"creds.json", "not a JSON object"}},
		/* 14 */ {"", "{" FOUR ", \"Tunnel\": 1}", NULL, {"creds.json", "Tunnel is not a known key"}},
		/* 15 */ {"", "{\"TunnelSecret\": \"AAAA\"}", NULL, {"TunnelSecret", "shorter than 32"}},
		/* 16 */ {"", "{\"TunnelSecret\": \"?\"}", NULL, {"TunnelSecret", "not base64"}},
		/* 17 */ {"", "{\"AccountTag\": \"a\", \"TunnelSecret\": \"" SECRET "\"}", NULL, {"TunnelID"}},
		/* 18 */ {"", "{\"TunnelID\": \"a\", \"TunnelSecret\": \"" SECRET "\"}", NULL, {"AccountTag"}},
		/* 19 */ {"", "{\"AccountTag\": \"a\", \"TunnelID\": \"a\"}", NULL, {"TunnelSecret"}},
		/* 20 */ {"", "{\"AccountTag\": 1}", NULL, {"AccountTag is not a text"}},
		/* 21 */ {"", "{\"Edge\": []}", NULL, {"Edge"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct connector_config c;
		char err[512];
		int got = load(&c, cases[i].config, cases[i].creds, cases[i].tunnel, err);

		config_free(&c);
		if (got != -1)
			fail_msg("case %zu passed", i);
		for (int w = 0; w < 3 && cases[i].words[w]; w++)
			if (!strstr(err, cases[i].words[w]))
				fail_msg("case %zu: no \"%s\" in: %s", i, cases[i].words[w], err);
		assert_null(strchr(err, '\n'));
		assert_null(strstr(err, SECRET));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_scenario_as_it_stands, setup),
		cmocka_unit_test_setup(four_fields_work_with_edge_and_ca, setup),
		cmocka_unit_test_setup(credentials_from_the_environment_alone, setup),
		cmocka_unit_test_setup(each_error_names_what, setup),
	};

	return cmocka_run_group_tests_name("connector_config", tests, setup_group, teardown_group);
}
