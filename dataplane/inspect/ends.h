/* SPDX-License-Identifier: BSD-3-Clause */
/* How inspection of a flow may end. */
#ifndef DATAPLANE_INSPECT_ENDS_H
#define DATAPLANE_INSPECT_ENDS_H

#include <stdbool.h>

/* Why inspection of a flow ended. One list feeds the enum, the counters and the docs. END(id, text) */
#define INSPECT_ENDS(END)                                                                                   \
	END(names, "all that could be learned was")                                                         \
	END(closed, "the client ended its side, or reset")                                                   \
	END(decided, "the verdict did not need the rest")                                                    \
	END(mid_stream, "the flow was taken up, or came to be inspected, after its first bytes")             \
	/* limits: decided without the name, by the setting inspect_unknown */                              \
	END(limit_bytes, "more bytes than inspect_max_bytes without a name")                                 \
	END(limit_packets, "too many packets or pieces without a name")                                      \
	END(limit_held, "more packets, or a fragment, than are held")                                        \
	END(limit_head, "HTTP target longer than 2,048 bytes, or more than 256 header lines")                \
	END(timeout, "no name within inspect_timeout_ms of the first byte held")                             \
	END(no_inspector, "all inspectors of the worker, or the client's share of them, were in use")

enum inspect_end {
	INSPECT_RUNNING,
#define END(id, text) INSPECT_END_##id,
	INSPECT_ENDS(END)
#undef END
	INSPECT_END_COUNT
};

#define INSPECT_END_FIRST_LIMIT INSPECT_END_limit_bytes

/* "names" …; "running" for INSPECT_RUNNING; NULL out of range. */
const char *inspect_end_name(unsigned end);
/* True for the ends that leave it to the setting inspect_unknown. */
static inline bool inspect_end_is_limit(enum inspect_end end)
{
	return end >= INSPECT_END_FIRST_LIMIT;
}

#endif
