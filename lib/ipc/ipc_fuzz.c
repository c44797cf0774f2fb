// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes the line splitter (the first byte decides how the stream is cut) and the message parser; a message that parses
// must survive being built again.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ipc/line.h"
#include "lib/ipc/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_line(const char *line, size_t len)
{
	struct ipc_msg m, again;
	struct ipc_error e;
	char err[128], *out = NULL;
	size_t out_len = 0;

	if (ipc_msg_parse(line, len, &m, err, sizeof(err)) != 0)
		return;
	if (m.kind == IPC_REQUEST || m.kind == IPC_NOTIFICATION)
		out = ipc_build_notification(m.method, m.params, &out_len);
	else if (m.kind == IPC_RESULT)
		out = ipc_build_result(m.id, m.result, &out_len);
	if (m.kind == IPC_ERROR) {
		ipc_error_from_json(m.error, &e);
		out = ipc_build_error(m.id, &e, &out_len);
	}
	if (!out || memchr(out, '\n', out_len - 1) || ipc_msg_parse(out, out_len, &again, err, sizeof(err)) != 0)
		abort();
	ipc_msg_free(&again);
	ipc_msg_free(&m);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step, lines = 0, want = 0, total = 0;
	struct ipc_line l;
	char *line;
	size_t len;

	if (size < 2)
		return 0;
	step = 1 + data[0];
	data++;
	size--;
	for (size_t i = 0; i < size; i++)
		want += data[i] == '\n';
	ipc_line_init(&l, 4096);
	for (size_t i = 0; i < size; i += step) {
		size_t n = size - i < step ? size - i : step;

		if (ipc_line_push(&l, data + i, n, i) < 0)
			goto out;
		while (ipc_line_next(&l, &line, &len)) {
			lines++;
			total += len + 1;
			one_line(line, len);
		}
	}
	if (lines != want || total + (l.end - l.start) != size)
		abort();
out:
	ipc_line_free(&l);
	return 0;
}
