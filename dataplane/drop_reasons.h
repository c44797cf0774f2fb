/* SPDX-License-Identifier: BSD-3-Clause */
/* The drop reasons as an enum and as text. Shared by workers, ports, control and the bpf loader. */
#ifndef DATAPLANE_DROP_REASONS_H
#define DATAPLANE_DROP_REASONS_H

enum drop_reason {
#define DROP_REASON(name, text) DROP_##name,
#include "dataplane/drop_reasons.def"
#undef DROP_REASON
	DROP_REASON_COUNT
};

/* name ("inner_spoofed") and one-line text of a reason; NULL past the end. Any thread. */
const char *drop_reason_name(unsigned reason);
const char *drop_reason_text(unsigned reason);

#endif
