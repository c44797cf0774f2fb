// SPDX-License-Identifier: BSD-3-Clause
// Stage decrypt: ChaCha20-Poly1305 over the whole burst, in place (WireGuard paper, 5.4.6). Nothing of a packet is
// believed before its tag is right. What stays has its data at the inner packet (still padded), the tag cut off.
#include "dataplane/stages/stage.h"

#include <rte_cycles.h>

#include "lib/wg/wire.h"

unsigned stage_decrypt(struct worker *w, struct rte_mbuf **pkts, unsigned n)
{
	struct aead_op ops[BURST_MAX];
	unsigned kept = 0;
	uint64_t begin;

	for (unsigned i = 0; i < n; i++) {
		const struct pkt_meta *meta = pkt_meta(pkts[i]);

		ops[i] = (struct aead_op){
			.key = meta->session->rx_key,
			.counter = meta->counter,
			.data = rte_pktmbuf_mtod_offset(pkts[i], uint8_t *, WG_DATA_HEADER_BYTES),
			.len = (uint32_t)(pkts[i]->data_len - WG_DATA_OVERHEAD_BYTES),
		};
	}
	begin = rte_rdtsc();
	aead_open_burst(w->aead, ops, n);
	w->counters.aead_cycles += rte_rdtsc() - begin;
	for (unsigned i = 0; i < n; i++) {
		if (!ops[i].ok) {
			worker_drop(w, pkts[i], DROP_aead_failed);
			continue;
		}
		rte_pktmbuf_adj(pkts[i], WG_DATA_HEADER_BYTES);
		rte_pktmbuf_trim(pkts[i], WG_TAG_BYTES);
		pkts[kept++] = pkts[i];
	}
	return kept;
}
