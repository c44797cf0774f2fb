// SPDX-License-Identifier: BSD-3-Clause
// The AEAD by intel-ipsec-mb's burst of jobs. Version 1.3 works on one buffer at a time; its kernels are AVX2 or AVX-512.
#include <intel-ipsec-mb.h>
#include <sodium.h>
#include <stdlib.h>

#include "lib/aead/aead_impl.h"

struct ipsec_mb {
	IMB_MGR *manager;
	IMB_JOB *jobs[AEAD_MAX_BURST];
	uint8_t nonces[AEAD_MAX_BURST][16];
	uint8_t tags[AEAD_MAX_BURST][AEAD_TAG_BYTES];
};

static void ipsec_mb_destroy(void *state)
{
	struct ipsec_mb *mb = state;

	if (!mb)
		return;
	if (mb->manager) {
		sodium_memzero(mb->manager, imb_get_mb_mgr_size());
		free_mb_mgr(mb->manager);
	}
	sodium_memzero(mb, sizeof(*mb));
	free(mb);
}

static const char *ipsec_mb_create(void **state)
{
	struct ipsec_mb *mb = calloc(1, sizeof(*mb));
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (!mb)
		return "no memory";
	mb->manager = alloc_mb_mgr(0);
	if (!mb->manager) {
		free(mb);
		return "no memory for a manager";
	}
	init_mb_mgr_auto(mb->manager, &arch);
	if (arch == IMB_ARCH_NONE || imb_get_errno(mb->manager) != 0) {
		ipsec_mb_destroy(mb);
		return "CPU is not supported";
	}
	*state = mb;
	return NULL;
}

static void fill_job(IMB_JOB *job, const struct aead_op *op, const uint8_t *nonce, uint8_t *tag,
		     IMB_CIPHER_DIRECTION direction)
{
	*job = (IMB_JOB){
		.enc_keys = op->key,
		.dec_keys = op->key,
		.key_len_in_bytes = AEAD_KEY_BYTES,
		.src = op->data,
		.dst = op->data,
		.msg_len_to_cipher_in_bytes = op->len,
		.msg_len_to_hash_in_bytes = op->len,
		.iv = nonce,
		.iv_len_in_bytes = 12,
		.auth_tag_output = tag,
		.auth_tag_output_len_in_bytes = AEAD_TAG_BYTES,
		.cipher_mode = IMB_CIPHER_CHACHA20_POLY1305,
		.cipher_direction = direction,
		.hash_alg = IMB_AUTH_CHACHA20_POLY1305,
		.chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH :
							      IMB_ORDER_HASH_CIPHER,
	};
}

/* One burst through the manager. It completes this AEAD in order and at once; status is looked at by the caller. */
static void run(struct ipsec_mb *mb, struct aead_op *ops, unsigned n, IMB_CIPHER_DIRECTION direction)
{
	/* The queue may end inside a burst: then it gives fewer, and the rest comes with the next round. */
	for (unsigned done = 0; done < n;) {
		uint32_t got = IMB_GET_NEXT_BURST(mb->manager, n - done, mb->jobs);
		IMB_JOB *submitted[AEAD_MAX_BURST];

		if (!got) {
			IMB_FLUSH_BURST(mb->manager, AEAD_MAX_BURST, mb->jobs);
			continue;
		}
		for (uint32_t i = 0; i < got; i++) {
			struct aead_op *op = &ops[done + i];
			uint8_t *tag = direction == IMB_DIR_ENCRYPT ? op->data + op->len :
								      mb->tags[done + i];

			aead_nonce(mb->nonces[done + i], op->counter);
			fill_job(mb->jobs[i], op, mb->nonces[done + i], tag, direction);
			submitted[i] = mb->jobs[i];
		}
		IMB_SUBMIT_BURST_NOCHECK(mb->manager, got, mb->jobs);
		for (uint32_t i = 0; i < got; i++)
			ops[done + i].ok = submitted[i]->status == IMB_STATUS_COMPLETED;
		done += got;
	}
}

static void ipsec_mb_seal(void *state, struct aead_op *ops, unsigned n)
{
	run(state, ops, n, IMB_DIR_ENCRYPT);
}

static void ipsec_mb_open(void *state, struct aead_op *ops, unsigned n)
{
	struct ipsec_mb *mb = state;

	run(mb, ops, n, IMB_DIR_DECRYPT);
	for (unsigned i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];

		op->ok &= sodium_memcmp(mb->tags[i], op->data + op->len, AEAD_TAG_BYTES) == 0;
		if (!op->ok)
			sodium_memzero(op->data, op->len);
	}
}

const struct aead_impl aead_ipsec_mb = {
	.name = "ipsec-mb",
	.create = ipsec_mb_create,
	.destroy = ipsec_mb_destroy,
	.seal = ipsec_mb_seal,
	.open = ipsec_mb_open,
};
