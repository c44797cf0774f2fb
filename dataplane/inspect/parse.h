/* SPDX-License-Identifier: BSD-3-Clause */
/* What every parser of a flow's first bytes answers. */
#ifndef DATAPLANE_INSPECT_PARSE_H
#define DATAPLANE_INSPECT_PARSE_H

enum parse {
	PARSE_MORE, /* right so far, and not whole */
	PARSE_DONE, /* whole: the result is filled */
	PARSE_BAD   /* it will never be of this form */
};

#endif
