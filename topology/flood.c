/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends bad packets from a raw socket on one interface, as fast as they go or at a given rate, and says as JSON how many.
 * `flood sink IFACE` instead puts an XDP program on an interface that drops everything, until standard input ends: the
 * floor to compare with.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "topology/flood.h"

#define BURST 64
#define TEMPLATES 4096

static struct flood self;
static struct frame *templates;
static double seconds = 30, rate;

static void die(const char *what, const char *value)
{
	fprintf(stderr, "flood: %s: %s\n", what, value);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- the floor ------------------------------------------------------------------------------- */
static int sink(const char *name)
{
	static const struct bpf_insn drop[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP},
		{.code = BPF_JMP | BPF_EXIT},
	};
	unsigned index = if_nametoindex(name);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "sink", "BSD", drop, 2, NULL);
	char byte;

	if (!index)
		die(name, strerror(errno));
	if (fd < 0 || bpf_xdp_attach((int)index, fd, XDP_FLAGS_DRV_MODE, NULL))
		die("XDP", strerror(errno));
	puts("sink");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return bpf_xdp_detach((int)index, XDP_FLAGS_DRV_MODE, NULL) ? 1 : 0;
}

/* --- the flood ------------------------------------------------------------------------------- */
static int packet_socket(const char *name)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name)};
	struct ifreq request;
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW, 0); /* protocol 0: it receives nothing */

	memset(&request, 0, sizeof(request));
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || ioctl(fd, SIOCGIFHWADDR, &request) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)))
		die(name, strerror(errno));
	memcpy(self.src_mac, request.ifr_hwaddr.sa_data, 6);
	return fd;
}

static void run(int fd, bool spoof)
{
	static struct frame frames[BURST];
	struct mmsghdr messages[BURST];
	struct iovec vectors[BURST];
	unsigned long long sent = 0, refused = 0;
	double began = now(), took;
	uint64_t state;

	memset(messages, 0, sizeof(messages));
	randombytes_buf(&state, sizeof(state));
	while ((took = now() - began) < seconds) {
		int n;

		if (rate > 0 && (double)sent > took * rate) {
			usleep(200);
			continue;
		}
		for (unsigned i = 0; i < BURST; i++) {
			const struct frame *from = &templates[(sent + i) % TEMPLATES];

			frames[i].len = from->len;
			memcpy(frames[i].bytes, from->bytes, from->len);
			state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
			if (spoof)
				flood_new_source(&frames[i], (uint32_t)(state >> 32));
			vectors[i] = (struct iovec){frames[i].bytes, frames[i].len};
			messages[i].msg_hdr.msg_iov = &vectors[i];
			messages[i].msg_hdr.msg_iovlen = 1;
		}
		n = sendmmsg(fd, messages, BURST, 0);
		sent += n > 0 ? (unsigned)n : 0;
		refused += n < BURST;
		if (n < 0 && errno != ENOBUFS && errno != EAGAIN)
			die("sendmmsg", strerror(errno));
	}
	printf("{\"sent\": %llu, \"seconds\": %.3f, \"refused\": %llu}\n", sent, took, refused);
}

/* --- start ----------------------------------------------------------------------------------- */
static void bytes_from(uint8_t *to, size_t room, const char *hex, uint32_t *len)
{
	size_t n;

	if (sodium_hex2bin(to, room, hex, strlen(hex), ":", &n, NULL))
		die("not hexadecimal", hex);
	*len = (uint32_t)n;
}

static void option(int o)
{
	uint32_t len;

	if (o == 'S' && inet_pton(AF_INET, optarg, &self.src) != 1)
		die("not an IPv4 address", optarg);
	if (o == 'D' && inet_pton(AF_INET, optarg, &self.dst) != 1)
		die("not an IPv4 address", optarg);
	if (o == 'p')
		self.port = htons((uint16_t)atoi(optarg));
	else if (o == 'm')
		bytes_from(self.dst_mac, 6, optarg, &len);
	else if (o == 'k')
		bytes_from(self.edge_key, sizeof(self.edge_key), optarg, &len);
	else if (o == 'x' && self.n_indexes < INDEXES_MAX)
		self.index[self.n_indexes++] = (uint32_t)strtoul(optarg, NULL, 0);
	else if (o == 'd')
		bytes_from(self.datagram, 1400, optarg, &self.datagram_len);
	else if (o == 's')
		seconds = atof(optarg);
	else if (o == 'r')
		rate = atof(optarg);
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: flood KIND --iface NAME --mac NEXT-HOP --src IP --dst IP --port N [--key HEX] [--index N]… [--datagram HEX]\n"
		"             [--seconds S] [--rate PACKETS-PER-SECOND]\n       flood sink IFACE\nKIND: %s\n", flood_kinds());
	exit(to == stdout ? 0 : 2);
}

int main(int argc, char **argv)
{
	static const struct option table[] = {{"iface", 1, NULL, 'i'},   {"mac", 1, NULL, 'm'},      {"src", 1, NULL, 'S'},
					      {"dst", 1, NULL, 'D'},     {"port", 1, NULL, 'p'},     {"key", 1, NULL, 'k'},
					      {"index", 1, NULL, 'x'},   {"datagram", 1, NULL, 'd'}, {"seconds", 1, NULL, 's'},
					      {"rate", 1, NULL, 'r'},    {"help", 0, NULL, 'h'},     {NULL, 0, NULL, 0}};
	const char *iface = NULL;
	int fd;

	if (sodium_init() < 0)
		die("libsodium", "no randomness");
	for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
		if (o == 'h' || o == '?')
			usage(o == 'h' ? stdout : stderr);
		if (o == 'i')
			iface = optarg;
		else
			option(o);
	}
	if (optind + 2 == argc && !strcmp(argv[optind], "sink"))
		return sink(argv[optind + 1]);
	if (optind + 1 != argc || !iface)
		usage(stderr);
	fd = packet_socket(iface);
	templates = calloc(TEMPLATES, sizeof(*templates));
	for (unsigned i = 0; templates && i < TEMPLATES; i++)
		if (!flood_frame(&self, argv[optind], &templates[i]))
			usage(stderr);
	if (!templates)
		die("memory", strerror(errno));
	run(fd, flood_spoofs(argv[optind]));
	free(templates);
	return 0;
}
