// SPDX-License-Identifier: BSD-3-Clause
// Framing, messages, and server against client over a real socket: limits, permissions, back pressure, late answers.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lib/ipc/client.h"
#include "lib/ipc/line.h"
#include "lib/ipc/server.h"
#include "lib/log.h"

/* --- lines --- */

static void lines_come_out_whole(void **state)
{
	struct ipc_line l;
	char *line;
	size_t len;

	(void)state;
	ipc_line_init(&l, 64);
	assert_int_equal(ipc_line_push(&l, "ab", 2, 10), 0);
	assert_false(ipc_line_next(&l, &line, &len));
	assert_int_equal(ipc_line_deadline_ns(&l), 10 + IPC_LINE_TIME_NS);
	assert_int_equal(ipc_line_push(&l, "c\n\nde", 5, 20), 0);
	assert_true(ipc_line_next(&l, &line, &len));
	assert_string_equal(line, "abc");
	assert_int_equal(len, 3);
	assert_true(ipc_line_next(&l, &line, &len));
	assert_int_equal(len, 0);
	assert_false(ipc_line_next(&l, &line, &len));
	/* "de" came at 20: the clock starts with its first byte and is not moved by later ones. */
	assert_int_equal(ipc_line_push(&l, "f", 1, 99), 0);
	assert_int_equal(ipc_line_deadline_ns(&l), 20 + IPC_LINE_TIME_NS);
	assert_int_equal(ipc_line_push(&l, "\n", 1, 100), 0);
	assert_true(ipc_line_next(&l, &line, &len));
	assert_string_equal(line, "def");
	assert_false(ipc_line_next(&l, &line, &len));
	assert_true(ipc_line_deadline_ns(&l) == UINT64_MAX);
	ipc_line_free(&l);
}

static void a_long_line_is_refused(void **state)
{
	struct ipc_line l;
	char buf[65], *line;
	size_t len;

	(void)state;
	memset(buf, 'x', sizeof(buf));
	ipc_line_init(&l, 64);
	assert_int_equal(ipc_line_push(&l, buf, 64, 0), 0);
	assert_int_equal(ipc_line_push(&l, "\n", 1, 0), 0);
	assert_true(ipc_line_next(&l, &line, &len));
	assert_int_equal(len, 64);
	assert_int_equal(ipc_line_push(&l, buf, 65, 0), -EMSGSIZE);
	ipc_line_free(&l);
	/* The part after a newline counts on its own. */
	assert_int_equal(ipc_line_push(&l, buf, 60, 0), 0);
	assert_int_equal(ipc_line_push(&l, "\n", 1, 0), 0);
	assert_int_equal(ipc_line_push(&l, buf, 60, 0), 0);
	assert_true(ipc_line_next(&l, &line, &len));
	assert_int_equal(len, 60);
	ipc_line_free(&l);
}

static void any_split_gives_the_same_lines(void **state)
{
	const char text[] = "one\ntwo\n\nthree three three\n";
	const size_t n = sizeof(text) - 1;

	(void)state;
	for (size_t cut = 0; cut <= n; cut++) {
		struct ipc_line l;
		char got[64] = "", *line;
		size_t len;

		ipc_line_init(&l, 1000);
		ipc_line_push(&l, text, cut, 0);
		for (int round = 0; round < 2; round++) {
			while (ipc_line_next(&l, &line, &len)) {
				strcat(got, line);
				strcat(got, "\n");
			}
			if (round == 0)
				ipc_line_push(&l, text + cut, n - cut, 0);
		}
		assert_string_equal(got, text);
		ipc_line_free(&l);
	}
}

/* --- messages --- */

static void messages_are_classified(void **state)
{
	static const struct {
		const char *line;
		int want; /* kind, or a negative code */
	} cases[] = {
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a.b\"}", IPC_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"a.b\",\"params\":{}}", IPC_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"a.b\"}", IPC_NOTIFICATION},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}", IPC_RESULT},
		{"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-1,\"message\":\"m\"}}", IPC_ERROR},
		{"", IPC_PARSE_ERROR},
		{"{", IPC_PARSE_ERROR},
		{"nonsense", IPC_PARSE_ERROR},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"} x", IPC_PARSE_ERROR},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"a\"}", IPC_PARSE_ERROR},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\\u0000b\"}", IPC_PARSE_ERROR},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", IPC_PARSE_ERROR},
		{"[]", IPC_INVALID_REQUEST},
		{"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}]", IPC_INVALID_REQUEST},
		{"1", IPC_INVALID_REQUEST},
		{"{}", IPC_INVALID_REQUEST},
		{"{\"id\":1,\"method\":\"a\"}", IPC_INVALID_REQUEST},
		{"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"a\"}", IPC_INVALID_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"a\"}", IPC_INVALID_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"a\"}", IPC_INVALID_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}", IPC_INVALID_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", IPC_INVALID_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":[1]}", IPC_INVALID_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"extra\":1}", IPC_INVALID_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":{\"code\":1,\"message\":\"\"}}", IPC_INVALID_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"message\":\"\"}}", IPC_INVALID_REQUEST},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipc_msg m;
		char err[256];
		int ret = ipc_msg_parse(cases[i].line, strlen(cases[i].line), &m, err, sizeof(err));

		if (ret != (cases[i].want < 0 ? cases[i].want : 0) || (ret == 0 && (int)m.kind != cases[i].want))
			fail_msg("case %zu: %s: %d", i, cases[i].line, ret);
		ipc_msg_free(&m);
	}
}

static void errors_travel(void **state)
{
	struct ipc_error e, back;
	struct ipc_msg m;
	char err[256], *line;
	size_t len;
	json_t *id = json_integer(7);

	(void)state;
	assert_int_equal(ipc_error_set(&e, IPC_E_INVALID, "network", "route %s: host bits are set\n", "10.0.0.1/8"), -1);
	line = ipc_build_error(id, &e, &len);
	assert_non_null(line);
	assert_int_equal(line[len - 1], '\n');
	assert_null(memchr(line, '\n', len - 1));
	assert_int_equal(ipc_msg_parse(line, len, &m, err, sizeof(err)), 0);
	assert_int_equal(m.kind, IPC_ERROR);
	ipc_error_from_json(m.error, &back);
	assert_int_equal(back.code, IPC_REFUSED);
	assert_string_equal(back.name, "invalid");
	assert_string_equal(back.field, "network");
	assert_string_equal(back.message, "route 10.0.0.1/8: host bits are set\\n");
	ipc_msg_free(&m);
	free(line);
	json_decref(id);
}

/* --- server and client --- */

struct world {
	char path[64];
	struct ipc_server *s;
	struct ipc_call *late;
	unsigned closed, drained, notified;
	struct ipc_conn *sub;
};

static void h_echo(struct ipc_call *call, json_t *params, void *user)
{
	(void)user;
	ipc_reply(call, params);
}

static void h_late(struct ipc_call *call, json_t *params, void *user)
{
	struct world *w = user;

	(void)params;
	w->late = call;
}

static void h_refuse(struct ipc_call *call, json_t *params, void *user)
{
	(void)params;
	(void)user;
	ipc_reply_fail(call, IPC_E_NOT_FOUND, "tunnel", "tunnel 'x': there is none");
}

static void h_subscribe(struct ipc_call *call, json_t *params, void *user)
{
	struct world *w = user;

	w->sub = ipc_call_conn(call);
	ipc_conn_set_data(w->sub, w);
	ipc_reply(call, params);
}

static void h_count(struct ipc_call *call, json_t *params, void *user)
{
	struct world *w = user;

	assert_true(ipc_call_is_notification(call));
	w->notified++;
	ipc_reply(call, params);
}

static const struct ipc_method methods[] = {
	{"t.echo", IPC_NEED_READ, h_echo},	     {"t.late", IPC_NEED_READ, h_late},
	{"t.refuse", IPC_NEED_WRITE, h_refuse},	     {"t.subscribe", IPC_NEED_WRITE, h_subscribe},
	{"t.count", IPC_NEED_WRITE, h_count},	     {NULL, 0, NULL},
};

static void on_close(struct ipc_conn *conn, void *user)
{
	struct world *w = user;

	w->closed++;
	if (conn == w->sub)
		w->sub = NULL;
}

static void on_drained(struct ipc_conn *conn, void *user)
{
	struct world *w = user;

	(void)conn;
	w->drained++;
}

static int setup(void **state)
{
	static struct world w;
	struct ipc_server_config cfg = {.methods = methods, .user = &w, .on_close = on_close, .on_drained = on_drained, .max_conns = 8};
	char err[256];

	memset(&w, 0, sizeof(w));
	snprintf(w.path, sizeof(w.path), "/tmp/ipc_test.%d.sock", (int)getpid());
	cfg.path = w.path;
	w.s = ipc_server_create(&cfg, err, sizeof(err));
	if (!w.s)
		fail_msg("%s", err);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	ipc_server_destroy(w->s);
	assert_int_equal(access(w->path, F_OK), -1);
	return 0;
}

static struct ipc_client *client(struct world *w)
{
	char err[256];
	struct ipc_client *c = ipc_client_connect(w->path, err, sizeof(err), NULL);

	if (!c)
		fail_msg("%s", err);
	return c;
}

struct got {
	unsigned n;
	json_t *result;
	struct ipc_error e;
};

static void take(struct ipc_client *c, json_t *result, const struct ipc_error *e, void *user)
{
	struct got *g = user;

	(void)c;
	g->n++;
	json_decref(g->result);
	g->result = json_incref(result);
	if (e)
		g->e = *e;
}

static int turns(struct world *w, struct ipc_client *c, int n)
{
	int ret = 0;

	while (n-- > 0 && ret == 0) {
		if (c)
			ret = ipc_client_run(c);
		ipc_server_poll(w->s, 1);
		if (c && ret == 0)
			ret = ipc_client_run(c);
	}
	return ret;
}

static void calls_are_answered(void **state)
{
	struct world *w = *state;
	struct ipc_client *c = client(w);
	struct got g = {0};
	json_t *p = json_pack("{s:s}", "a", "b");

	ipc_client_request(c, "t.echo", p, take, &g);
	ipc_client_request(c, "t.refuse", NULL, take, &g);
	ipc_client_request(c, "t.nothing", NULL, take, &g);
	ipc_client_notify(c, "t.count", NULL);
	assert_int_equal(turns(w, c, 3), 0);
	assert_int_equal(g.n, 3);
	assert_int_equal(g.e.code, IPC_NO_METHOD);
	assert_int_equal(w->notified, 1);
	json_decref(g.result);
	json_decref(p);
	ipc_client_free(c);
	turns(w, NULL, 2);
	assert_int_equal(w->closed, 1);
	assert_int_equal(ipc_server_conns(w->s), 0);
}

static void an_answer_may_come_late_or_to_nobody(void **state)
{
	struct world *w = *state;
	struct ipc_client *c = client(w);
	struct got g = {0};
	json_t *r = json_object();

	ipc_client_request(c, "t.late", NULL, take, &g);
	ipc_client_request(c, "t.echo", NULL, take, &g);
	turns(w, c, 2);
	assert_int_equal(g.n, 1); /* the second did not wait for the first */
	assert_non_null(w->late);
	ipc_reply(w->late, r);
	turns(w, c, 1);
	assert_int_equal(g.n, 2);
	ipc_client_request(c, "t.late", NULL, take, &g);
	turns(w, c, 2);
	ipc_client_free(c);
	turns(w, NULL, 2);
	assert_int_equal(ipc_server_conns(w->s), 0);
	assert_null(ipc_call_conn(w->late));
	assert_int_equal(ipc_call_peer(w->late)->pid, getpid());
	ipc_reply(w->late, r);
	json_decref(g.result);
	json_decref(r);
}

static int raw_connect(struct world *w)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sa.sun_path, w->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void bad_input_closes_its_connection_only(void **state)
{
	static const struct {
		const char *line;
		const char *want;
	} cases[] = {
		{"nonsense\n", "-32700"},
		{"[]\n", "-32600"},
		{"\xff\xfe\n", "-32700"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}\n", "-32600"},
		{"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n", "-32700"},
	};
	struct world *w = *state;
	struct ipc_client *c = client(w);
	struct got g = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = raw_connect(w);
		char buf[512] = "";
		ssize_t n;

		assert_true(write(fd, cases[i].line, strlen(cases[i].line)) > 0);
		turns(w, NULL, 3);
		n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
		if (n <= 0 || !strstr(buf, cases[i].want))
			fail_msg("case %zu: got '%s'", i, buf);
		assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 0);
		close(fd);
	}
	ipc_client_request(c, "t.echo", NULL, take, &g);
	turns(w, c, 2);
	assert_int_equal(g.n, 1);
	json_decref(g.result);
	ipc_client_free(c);
}

static void depth_32_passes_and_33_does_not(void **state)
{
	char text[80] = "";

	(void)state;
	memset(text, '[', 32);
	memset(text + 32, ']', 32);
	assert_true(ipc_json_depth_ok(text, 64, 32));
	assert_false(ipc_json_depth_ok(text, 64, 31));
	assert_true(ipc_json_depth_ok("[\"[[[[\\\"[[[\"]", 13, 1));
}

static void a_half_closed_peer_gets_its_answer(void **state)
{
	struct world *w = *state;
	int fd = raw_connect(w);
	const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"t.echo\"}\n";
	char buf[256] = "";

	assert_true(write(fd, line, sizeof(line) - 1) > 0);
	shutdown(fd, SHUT_WR);
	turns(w, NULL, 3);
	assert_true(recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT) > 0);
	assert_string_equal(buf, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
	assert_int_equal(ipc_server_conns(w->s), 0);
	close(fd);
}

static void a_slow_reader_stops_only_itself(void **state)
{
	struct world *w = *state;
	struct ipc_client *c = client(w), *other = client(w);
	struct got g = {0}, og = {0};
	char *big = malloc(1u << 20);
	json_t *p;
	size_t most = 0;

	memset(big, 'x', (1u << 20) - 1);
	big[(1u << 20) - 1] = 0;
	p = json_pack("{s:s}", "big", big);
	ipc_client_pause(c, true);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(ipc_client_request(c, "t.echo", p, take, &g), 0);
		for (int k = 0; k < 40; k++) {
			assert_int_equal(ipc_client_run(c), 0);
			ipc_server_poll(w->s, 0);
		}
		if (ipc_client_events(c) & POLLOUT)
			break; /* the server reads no more */
	}
	assert_true(ipc_client_events(c) & POLLOUT);
	ipc_client_request(other, "t.echo", NULL, take, &og);
	turns(w, other, 2);
	assert_int_equal(og.n, 1);
	/* Bounded: the high mark, one reply over it. */
	(void)most;
	ipc_client_pause(c, false);
	unsigned sent = g.n;
	for (int k = 0; k < 2000 && (ipc_client_events(c) & POLLOUT || g.n < 9); k++)
		assert_int_equal(turns(w, c, 1), 0);
	assert_true(g.n > sent);
	assert_true(w->drained > 0);
	json_decref(g.result);
	json_decref(og.result);
	json_decref(p);
	free(big);
	ipc_client_free(c);
	ipc_client_free(other);
}

static void notes(struct ipc_client *c, const char *method, json_t *params, void *user)
{
	unsigned *n = user;

	assert_string_equal(method, "sync.rows");
	assert_int_equal(json_integer_value(json_object_get(params, "n")), *n);
	if (++*n == 3)
		ipc_client_pause(c, true);
}

static void notifications_keep_order_and_stop_while_paused(void **state)
{
	struct world *w = *state;
	struct ipc_client *c = client(w);
	struct got g = {0};
	unsigned n = 0;

	ipc_client_on_notification(c, notes, &n);
	ipc_client_request(c, "t.subscribe", NULL, take, &g);
	turns(w, c, 2);
	for (int i = 0; i < 6; i++) {
		json_t *p = json_pack("{s:i}", "n", i);

		assert_int_equal(ipc_conn_notify(w->sub, "sync.rows", p), 0);
		json_decref(p);
	}
	turns(w, c, 2);
	assert_int_equal(n, 3);
	ipc_client_pause(c, false);
	turns(w, c, 2);
	assert_int_equal(n, 6);
	ipc_conn_close(w->sub);
	assert_int_equal(turns(w, c, 2), -EPIPE);
	assert_null(w->sub);
	json_decref(g.result);
	ipc_client_free(c);
}

static void connections_are_capped(void **state)
{
	struct world *w = *state;
	struct ipc_client *c[9];
	struct got g = {0};

	for (int i = 0; i < 9; i++) {
		c[i] = client(w);
		turns(w, NULL, 1);
	}
	assert_int_equal(ipc_server_conns(w->s), 8);
	assert_int_equal(ipc_server_get_stats(w->s)->refused_full, 1);
	ipc_client_request(c[8], "t.echo", NULL, take, &g);
	assert_int_equal(turns(w, c[8], 2), -EPIPE);
	for (int i = 0; i < 9; i++)
		ipc_client_free(c[i]);
}

/* Runs one request as another user in a child and gives back what came. */
static void as_user(struct world *w, uid_t uid, const char *line, size_t len, char *out, size_t out_len)
{
	int pipes[2];
	pid_t pid;
	ssize_t n;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		struct timeval tv = {.tv_usec = 300000};
		int fd;
		char buf[512];

		if (setgid(uid) < 0 || setuid(uid) < 0)
			_exit(2);
		fd = raw_connect(w);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		n = send(fd, line, len, MSG_NOSIGNAL);
		n = recv(fd, buf, sizeof(buf), 0);
		if (n > 0)
			n = write(pipes[1], buf, (size_t)n);
		_exit(0);
	}
	close(pipes[1]);
	for (int i = 0; i < 100 && waitpid(pid, NULL, WNOHANG) == 0; i++)
		ipc_server_poll(w->s, 10);
	n = read(pipes[0], out, out_len - 1);
	out[n > 0 ? n : 0] = 0;
	close(pipes[0]);
}

static void strangers_are_denied(void **state)
{
	struct world *w = *state;
	const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"t.echo\"}\n";
	char out[512], *big;

	if (getuid() != 0)
		skip();
	as_user(w, 65534, line, sizeof(line) - 1, out, sizeof(out));
	assert_non_null(strstr(out, "permission_denied"));
	/* And may send 64 KiB at most, where root may send more. */
	big = malloc(70000);
	memset(big, ' ', 70000);
	as_user(w, 65534, big, 70000, out, sizeof(out));
	assert_non_null(strstr(out, "longer than 65536 bytes"));
	as_user(w, 0, big, 70000, out, sizeof(out));
	assert_string_equal(out, "");
	free(big);
}

static void a_live_socket_is_not_stolen(void **state)
{
	struct world *w = *state;
	struct ipc_server_config cfg = {.path = w->path, .methods = methods};
	char err[256];

	assert_null(ipc_server_create(&cfg, err, sizeof(err)));
	assert_non_null(strstr(err, "another server owns this socket"));
	assert_int_equal(access(w->path, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_out_whole),
		cmocka_unit_test(a_long_line_is_refused),
		cmocka_unit_test(any_split_gives_the_same_lines),
		cmocka_unit_test(messages_are_classified),
		cmocka_unit_test(errors_travel),
		cmocka_unit_test(depth_32_passes_and_33_does_not),
		cmocka_unit_test_setup_teardown(calls_are_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_may_come_late_or_to_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_input_closes_its_connection_only, setup, teardown),
		cmocka_unit_test_setup_teardown(a_half_closed_peer_gets_its_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slow_reader_stops_only_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(notifications_keep_order_and_stop_while_paused, setup, teardown),
		cmocka_unit_test_setup_teardown(connections_are_capped, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_are_denied, setup, teardown),
		cmocka_unit_test_setup_teardown(a_live_socket_is_not_stolen, setup, teardown),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
