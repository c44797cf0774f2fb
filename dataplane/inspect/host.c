// SPDX-License-Identifier: BSD-3-Clause
// Host names as clients write them.
#include "dataplane/inspect/host.h"

#include <string.h>

static bool is_host_byte(uint8_t c)
{
	return c > ' ' && c < 0x7f && strchr("/?#@\\,<>\"", c) == NULL;
}

bool host_copy(const uint8_t *host, size_t len, char out[NAME_HOST_MAX], uint16_t *out_len)
{
	if (len > 0 && host[len - 1] == '.')
		len--;
	if (len == 0 || len > NAME_HOST_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_host_byte(host[i]))
			return false;
	for (size_t i = 0; i < len; i++)
		out[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] + ('a' - 'A') : host[i]);
	*out_len = (uint16_t)len;
	return true;
}

bool host_of_authority(const uint8_t *authority, size_t len, size_t *host_len)
{
	const uint8_t *end = memchr(authority, len > 0 && authority[0] == '[' ? ']' : ':', len);
	size_t n = len;

	if (len > 0 && authority[0] == '[') {
		if (end == NULL)
			return false;
		n = (size_t)(end - authority) + 1;
	} else if (end != NULL) {
		n = (size_t)(end - authority);
	}
	if (n == 0 || (n < len && authority[n] != ':'))
		return false;
	for (size_t i = n + 1; i < len; i++)
		if (authority[i] < '0' || authority[i] > '9')
			return false;
	*host_len = n;
	return true;
}
