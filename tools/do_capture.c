// SPDX-License-Identifier: BSD-3-Clause
// capture: live packets of the edge into a pcapng file, each with what became of it as its comment.
#include "tools/ctl.h"
#include "tools/packet_text.h"
#include "tools/pcapng.h"
#include "tools/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#define PACKET_MAX 4096

struct capture {
	struct ctl *ctl;
	FILE *file;
	unsigned long long packets, lost;
	int error; /* errno of the file */
};

static void write_packet(struct capture *c, json_t *packet)
{
	const char *data = packet_member(packet, "data");
	uint8_t bytes[PACKET_MAX];
	char comment[1024];
	size_t n = 0;

	if (sodium_base642bin(bytes, sizeof(bytes), data, strlen(data), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return;
	packet_verdict(packet, comment, sizeof(comment));
	if (!pcapng_packet(c->file, json_integer_value(json_object_get(packet, "time_ns")), json_is_true(json_object_get(packet, "received")),
			   bytes, (uint32_t)n, (uint32_t)json_integer_value(json_object_get(packet, "length")), comment) &&
	    c->error == 0)
		c->error = errno ? errno : EIO;
	c->packets++;
}

static void on_packets(const char *method, json_t *params, void *user)
{
	json_t *packets = json_object_get(params, "packets"), *packet;
	struct capture *c = user;
	size_t i;

	if (strcmp(method, "capture.packets") != 0)
		return;
	c->lost += (unsigned long long)json_integer_value(json_object_get(params, "lost"));
	json_array_foreach(packets, i, packet)
		write_packet(c, packet);
	if (fflush(c->file) == EOF && c->error == 0)
		c->error = errno;
}

/* Payloads are in it: for its owner alone. "-": standard output. */
static FILE *open_file(const char *path)
{
	int fd = !strcmp(path, "-") ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (fd >= 0 && !f)
		close(fd);
	return f;
}

static int finish(struct capture *c, const char *path, int rc)
{
	json_t *result;

	if (fclose(c->file) == EOF && c->error == 0)
		c->error = errno;
	if (c->error != 0)
		return ctl_fail(c->ctl, "io", NULL, "%s: %s", path, strerror(c->error));
	if (rc < 0 || !strcmp(path, "-"))
		return rc;
	if (!c->ctl->json) {
		fprintf(c->ctl->out, "%llu packets in %s%s", c->packets, path, c->lost ? "" : "\n");
		if (c->lost)
			fprintf(c->ctl->out, "; %llu more came faster than they were read\n", c->lost);
		return 0;
	}
	result = json_pack("{s:s, s:I, s:I}", "file", path, "packets", (json_int_t)c->packets, "lost", (json_int_t)c->lost);
	json_dumpf(result, c->ctl->out, JSON_INDENT(2));
	fputc('\n', c->ctl->out);
	json_decref(result);
	return 0;
}

int run_capture(struct ctl *ctl, const struct ctl_inv *inv)
{
	const char *path = inv_get(inv, "--write");
	bool outer = inv_has(inv, "--outer");
	struct capture c = {.ctl = ctl};
	json_t *params = ctl_params(ctl, inv);

	if (!params)
		return -1;
	if (outer && inv_has(inv, "--inner")) {
		json_decref(params);
		return ctl_fail(ctl, "usage", "inner", "--inner and --outer exclude each other");
	}
	c.file = open_file(path);
	if (!c.file) {
		json_decref(params);
		return ctl_fail(ctl, "io", NULL, "%s: %s", path, strerror(errno));
	}
	if (!pcapng_begin(c.file, outer ? PCAPNG_LINK_ETHERNET : PCAPNG_LINK_RAW, outer ? "sluice-edge outer" : "sluice-edge inner"))
		c.error = errno;
	return finish(&c, path, ctl_stream(ctl, "capture", params, false, on_packets, &c));
}
