// SPDX-License-Identifier: BSD-3-Clause
// sluice-pktgen: packets for the edge, measured.
#include <stdio.h>
#include <string.h>

#include "pktgen/bench.h"

static const char usage[] =
	"usage: sluice-pktgen bench [OPTIONS]   cycles per packet of the edge's own code (bench --help says more)\n"
	"       sluice-pktgen --version | --help\n";

int main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "bench") == 0)
		return bench_main(argc - 1, argv + 1);
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("sluice-pktgen %s\n", SLUICE_VERSION);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc >= 2)
		fprintf(stderr, "sluice-pktgen: no such command: %s\n", argv[1]);
	fputs(usage, stderr);
	return 2;
}
