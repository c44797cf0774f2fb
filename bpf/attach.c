// SPDX-License-Identifier: BSD-3-Clause
/* Tells our XDP programs on an interface from others', and removes what a crash of ours left
 * behind. */
#include "bpf/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "bpf/steer.h"

/* Whether a live process with our rights listens at addr. A stranger's socket must not keep us from
 * starting. */
static bool holder_lives(const struct sockaddr_un *addr, socklen_t len)
{
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t cred_len = sizeof(cred);
	bool lives = false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return false;
	/* a full backlog says EAGAIN: then nobody can be asked, and somebody listens */
	if (connect(fd, (const struct sockaddr *)addr, len) < 0)
		lives = errno == EAGAIN;
	else if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len))
		lives = cred.uid == 0 || cred.uid == geteuid();
	close(fd);
	return lives;
}

int attach_hold(uint32_t ifindex)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "sluice-steer-%u", ifindex);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&addr, len) < 0) {
		if (errno == EADDRINUSE && holder_lives(&addr, len)) {
			close(fd);
			return -EBUSY;
		}
		return fd;
	}
	if (listen(fd, 16) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* Fills the name of a loaded program; returns a descriptor of it, or negative errno. */
static int prog_open(uint32_t prog_id, char *name, size_t size)
{
	struct bpf_prog_info info;
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(prog_id);

	if (fd < 0)
		return -errno;
	memset(&info, 0, sizeof(info));
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	snprintf(name, size, "%s", info.name);
	return fd;
}

static int detach_fd(uint32_t ifindex, int prog_fd, uint32_t mode_flag)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = prog_fd);

	return bpf_xdp_detach((int)ifindex, mode_flag | XDP_FLAGS_REPLACE, &opts);
}

/* Our programs inside libxdp's dispatcher: how many were removed, or negative errno. */
static int clean_dispatcher(uint32_t ifindex)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex((int)ifindex);
	int removed = 0;

	if (libxdp_get_error(mp))
		return 0;
	if (!xdp_multiprog__is_legacy(mp)) {
		enum xdp_attach_mode mode = xdp_multiprog__attach_mode(mp);
		struct xdp_program *prog = NULL;

		while ((prog = xdp_multiprog__next_prog(prog, mp))) {
			if (strcmp(xdp_program__name(prog), STEER_PROG_NAME) != 0)
				continue;
			int err = xdp_program__detach(prog, (int)ifindex, mode, 0);

			if (err) {
				removed = err;
				break;
			}
			removed++;
		}
	}
	xdp_multiprog__close(mp);
	return removed;
}

/* One attachment point: 1 removed, 0 nothing or a dispatcher, -EBUSY foreign, or negative errno. */
static int clean_one(uint32_t ifindex, uint32_t prog_id, uint32_t mode_flag, char *foreign,
		     size_t foreign_size)
{
	char name[BPF_OBJ_NAME_LEN] = "";
	int err = 0;

	if (!prog_id)
		return 0;
	int fd = prog_open(prog_id, name, sizeof(name));

	if (fd == -ENOENT) /* went away meanwhile */
		return 0;
	if (fd < 0)
		return fd;
	if (!strcmp(name, STEER_PROG_NAME)) {
		err = detach_fd(ifindex, fd, mode_flag);
		if (!err)
			err = 1;
	} else if (strcmp(name, "xdp_dispatcher") != 0) {
		snprintf(foreign, foreign_size, "%s (id %u)", *name ? name : "without a name",
			 prog_id);
		err = -EBUSY;
	}
	close(fd);
	return err;
}

int attach_clean(uint32_t ifindex, char *foreign, size_t foreign_size)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int err = bpf_xdp_query((int)ifindex, 0, &query);

	if (err)
		return err;
	int native =
		clean_one(ifindex, query.drv_prog_id, XDP_FLAGS_DRV_MODE, foreign, foreign_size);
	if (native < 0)
		return native;
	int generic =
		clean_one(ifindex, query.skb_prog_id, XDP_FLAGS_SKB_MODE, foreign, foreign_size);
	if (generic < 0)
		return generic;
	int multi = clean_dispatcher(ifindex);

	return multi < 0 ? multi : native + generic + multi;
}

int attach_remove(uint32_t ifindex, uint32_t prog_id)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int err = bpf_xdp_query((int)ifindex, 0, &query);
	uint32_t flag;

	if (err)
		return err;
	if (query.drv_prog_id == prog_id)
		flag = XDP_FLAGS_DRV_MODE;
	else if (query.skb_prog_id == prog_id)
		flag = XDP_FLAGS_SKB_MODE;
	else
		return -ENOENT;
	int fd = bpf_prog_get_fd_by_id(prog_id);

	if (fd < 0)
		return -errno;
	err = detach_fd(ifindex, fd, flag);
	close(fd);
	return err;
}
