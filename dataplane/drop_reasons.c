// SPDX-License-Identifier: BSD-3-Clause
// Names and texts of the drop reasons, from the one list.
#include "dataplane/drop_reasons.h"

#include <stddef.h>

static const char *const names[DROP_REASON_COUNT] = {
#define DROP_REASON(name, text) #name,
#include "dataplane/drop_reasons.def"
#undef DROP_REASON
};

static const char *const texts[DROP_REASON_COUNT] = {
#define DROP_REASON(name, text) text,
#include "dataplane/drop_reasons.def"
#undef DROP_REASON
};

const char *drop_reason_name(unsigned reason)
{
	return reason < DROP_REASON_COUNT ? names[reason] : NULL;
}

const char *drop_reason_text(unsigned reason)
{
	return reason < DROP_REASON_COUNT ? texts[reason] : NULL;
}
