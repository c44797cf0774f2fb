// SPDX-License-Identifier: BSD-3-Clause
// Names of the stages, for those who show them.
#include "dataplane/worker.h"

static const char *const stage_names[STAGE_COUNT] = {
#define STAGE(name, text) #name,
	WORKER_STAGES(STAGE)
#undef STAGE
};

static const char *const stage_texts[STAGE_COUNT] = {
#define STAGE(name, text) text,
	WORKER_STAGES(STAGE)
#undef STAGE
};

const char *worker_stage_name(unsigned stage)
{
	return stage < STAGE_COUNT ? stage_names[stage] : NULL;
}

const char *worker_stage_text(unsigned stage)
{
	return stage < STAGE_COUNT ? stage_texts[stage] : NULL;
}
