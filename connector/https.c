// SPDX-License-Identifier: BSD-3-Clause
// libcurl with everything pinned.
#include "connector/https.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <curl/curl.h>
#include <sodium.h>

struct https {
	CURL *curl;
	struct curl_slist *headers;
	int ca_fd;
	char ca_path[64];
	const atomic_bool *abort;
	char error[CURL_ERROR_SIZE];
	size_t length;
	bool has_leaf;
	uint8_t leaf_sha256[32];
	char text[HTTPS_ANSWER_MAX_BYTES + 1];
};

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct https *h = arg;

	if (n * size > HTTPS_ANSWER_MAX_BYTES - h->length)
		return 0;
	memcpy(h->text + h->length, data, n * size);
	h->length += n * size;
	return n * size;
}

static int on_progress(void *arg, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
	const struct https *h = arg;

	(void)dt;
	(void)dn;
	(void)ut;
	(void)un;
	return h->abort && atomic_load(h->abort);
}

/* The authority as a file that only this process sees: this libcurl takes no CA from memory. */
static bool store_ca(struct https *h, const char *ca_pem)
{
	size_t n = strlen(ca_pem);

	h->ca_fd = memfd_create("edge-ca", MFD_CLOEXEC);
	if (h->ca_fd < 0 || write(h->ca_fd, ca_pem, n) != (ssize_t)n)
		return false;
	snprintf(h->ca_path, sizeof(h->ca_path), "/proc/self/fd/%d", h->ca_fd);
	return true;
}

static bool set_options(struct https *h)
{
	CURL *c = h->curl;
	bool good = true;

#define SET(option, value) good &= curl_easy_setopt(c, option, value) == CURLE_OK
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
	SET(CURLOPT_CAINFO, h->ca_path);
	SET(CURLOPT_CAPATH, NULL); /* not the system's authorities */
	SET(CURLOPT_CERTINFO, 1L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, 5000L);
	SET(CURLOPT_HTTPHEADER, h->headers);
	SET(CURLOPT_WRITEFUNCTION, on_data);
	SET(CURLOPT_WRITEDATA, h);
	SET(CURLOPT_ERRORBUFFER, h->error);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, h);
#undef SET
	return good;
}

struct https *https_create(const char *ca_pem, const atomic_bool *abort, char *err, size_t err_len)
{
	struct https *h = calloc(1, sizeof(*h));

	if (h) {
		h->abort = abort;
		h->ca_fd = -1;
		h->curl = curl_easy_init();
		h->headers = curl_slist_append(NULL, "Content-Type: application/json");
		h->headers = curl_slist_append(h->headers, "Expect:");
	}
	if (!h || !h->curl || !store_ca(h, ca_pem) || !set_options(h)) {
		snprintf(err, err_len, "the HTTPS client does not start: %s", strerror(errno));
		https_destroy(h);
		return NULL;
	}
	return h;
}

void https_destroy(struct https *h)
{
	if (!h)
		return;
	if (h->curl)
		curl_easy_cleanup(h->curl);
	curl_slist_free_all(h->headers);
	if (h->ca_fd >= 0)
		close(h->ca_fd);
	free(h);
}

/* From the PEM that libcurl reports of the chain's first certificate. */
static void note_leaf(struct https *h)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	struct curl_certinfo *info = NULL;
	const char *pem = NULL, *end;
	uint8_t der[16384];
	size_t bytes = 0;

	h->has_leaf = false;
	curl_easy_getinfo(h->curl, CURLINFO_CERTINFO, &info);
	for (struct curl_slist *s = info && info->num_of_certs > 0 ? info->certinfo[0] : NULL; s; s = s->next)
		if (!strncmp(s->data, "Cert:", 5))
			pem = strstr(s->data, begin);
	end = pem ? strstr(pem, "-----END") : NULL;
	if (!end)
		return;
	pem += sizeof(begin) - 1;
	if (sodium_base642bin(der, sizeof(der), pem, (size_t)(end - pem), "\r\n ", &bytes, NULL,
			      sodium_base64_VARIANT_ORIGINAL))
		return;
	crypto_hash_sha256(h->leaf_sha256, der, bytes);
	h->has_leaf = true;
}

bool https_leaf_sha256(const struct https *h, uint8_t out[32])
{
	memcpy(out, h->leaf_sha256, 32);
	return h->has_leaf;
}

bool https_post(struct https *h, const char *host_port, const char *path, const char *body, bool fresh,
		unsigned timeout_ms, struct https_answer *out, char *err, size_t err_len)
{
	char url[512];
	CURLcode code;

	snprintf(url, sizeof(url), "https://%s%s", host_port, path);
	h->length = 0;
	h->error[0] = 0;
	curl_easy_setopt(h->curl, CURLOPT_URL, url);
	curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
	curl_easy_setopt(h->curl, CURLOPT_FRESH_CONNECT, (long)fresh);
	curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	code = curl_easy_perform(h->curl);
	if (code != CURLE_OK) {
		snprintf(err, err_len, "%s: %s", host_port, h->error[0] ? h->error : curl_easy_strerror(code));
		return false;
	}
	if (fresh)
		note_leaf(h);
	h->text[h->length] = 0;
	out->text = h->text;
	out->length = h->length;
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &out->status);
	return true;
}
