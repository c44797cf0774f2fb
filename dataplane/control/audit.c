// SPDX-License-Identifier: BSD-3-Clause
// Audit rows from the edge to sluice-ctrl.
#include "dataplane/control/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/control/control.h"
#include "dataplane/control/sync.h"
#include "lib/log.h"

#define LINE_MAX_BYTES 4096

static void path_of(const struct control *c, char *out, size_t len)
{
	snprintf(out, len, "%s/audit.jsonl", c->edge->config.state_dir);
}

/* Appends the row and brings it to disk. */
static bool keep(const struct control *c, const json_t *row)
{
	char path[300], *line = json_dumps(row, JSON_COMPACT);
	bool ok = false;
	int fd;

	path_of(c, path, sizeof(path));
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && line)
		ok = dprintf(fd, "%s\n", line) > 0 && fsync(fd) == 0;
	if (!ok)
		log_error("audit: %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(line);
	return ok;
}

bool audit_call(struct control *c, const struct ipc_call *call, const json_t *params)
{
	const struct ipc_peer *peer = ipc_call_peer(call);
	json_t *row = json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:s,s:s,s:O}", "edge_id", c->edge->config.edge_id, "instance", c->instance,
				"at", (json_int_t)control_unix_s(), "uid", (json_int_t)peer->uid, "gid", (json_int_t)peer->gid,
				"pid", (json_int_t)peer->pid, "comm", peer->comm, "method", ipc_call_method(call), "params", params);
	bool ok;

	if (!row)
		return false;
	log_info("audit: user id %u (%s, process %d) calls %s", (unsigned)peer->uid, peer->comm, (int)peer->pid,
		 ipc_call_method(call));
	ok = sync_notify(c->sync, "edge.audit", row) || keep(c, row);
	json_decref(row);
	return ok;
}

void audit_flush(struct control *c)
{
	char path[300], line[LINE_MAX_BYTES];
	unsigned told = 0;
	FILE *f;

	path_of(c, path, sizeof(path));
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		json_t *row = json_loads(line, 0, NULL);

		json_object_set_new(row, "instance", json_string(c->instance)); /* it may be of an earlier run */
		if (row && !sync_notify(c->sync, "edge.audit", row)) {
			json_decref(row);
			fclose(f);
			return; /* all of it again next time: a row told twice is better than one lost */
		}
		told += row != NULL;
		json_decref(row);
	}
	fclose(f);
	unlink(path);
	if (told)
		log_info("audit: sluice-ctrl was told %u row%s that were kept here", told, told == 1 ? "" : "s");
}
