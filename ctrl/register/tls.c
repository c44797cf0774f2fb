// SPDX-License-Identifier: BSD-3-Clause
// CA and server certificate with GnuTLS.
#include "ctrl/register/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sodium.h>

#include "lib/ip.h"

enum {
	DAY_S = 86400,
	CA_DAYS = 7300,
	LEAF_DAYS = 825,
	LEAF_RENEW_DAYS = 30,
	FILE_MAX_BYTES = 65536,
};

struct pair {
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t key;
};

struct work {
	const char *dir;
	const char *const *names;
	size_t name_count;
	char *err;
	size_t err_len;
	struct pair ca, leaf;
};

static int fail(struct work *w, int err, const char *what, const char *why)
{
	snprintf(w->err, w->err_len, "tls-dir %s: %s: %s", w->dir, what, why);
	return err;
}

static int fail_tls(struct work *w, const char *what, int code)
{
	return fail(w, -EINVAL, what, gnutls_strerror(code));
}

static void pair_free(struct pair *p)
{
	if (p->crt)
		gnutls_x509_crt_deinit(p->crt);
	if (p->key)
		gnutls_x509_privkey_deinit(p->key);
	memset(p, 0, sizeof(*p));
}

static void datum_wipe(gnutls_datum_t *d)
{
	if (d->data) {
		sodium_memzero(d->data, d->size);
		gnutls_free(d->data);
	}
	memset(d, 0, sizeof(*d));
}

/* Reads a file of the directory; *out is heap text. -ENOENT where there is none. */
static int read_file(struct work *w, const char *name, bool secret, gnutls_datum_t *out)
{
	char path[4096];
	struct stat st;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : fail(w, -errno, name, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
		close(fd);
		return fail(w, -EINVAL, name, "not a small regular file");
	}
	if (secret && st.st_mode & 077) {
		close(fd);
		return fail(w, -EPERM, name, "others may read or write it; make it 0600");
	}
	out->data = gnutls_malloc((size_t)st.st_size + 1);
	n = out->data ? read(fd, out->data, (size_t)st.st_size) : -1;
	close(fd);
	if (n != st.st_size) {
		datum_wipe(out);
		return fail(w, -EIO, name, "cannot be read whole");
	}
	out->size = (unsigned)n;
	out->data[n] = 0;
	return 0;
}

static int write_file(struct work *w, const char *name, const gnutls_datum_t *text)
{
	char path[4096], tmp[4096 + 8];
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(w, -errno, name, strerror(errno));
	if (write(fd, text->data, text->size) != (ssize_t)text->size || fsync(fd))
		err = errno ? -errno : -EIO;
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(tmp, path))
		err = -errno;
	if (err) {
		unlink(tmp);
		return fail(w, err, name, strerror(-err));
	}
	return 0;
}

static bool pair_matches(const struct pair *p)
{
	uint8_t a[20], b[20];
	size_t a_bytes = sizeof(a), b_bytes = sizeof(b);

	return gnutls_x509_crt_get_key_id(p->crt, GNUTLS_KEYID_USE_SHA1, a, &a_bytes) >= 0 &&
	       gnutls_x509_privkey_get_key_id(p->key, GNUTLS_KEYID_USE_SHA1, b, &b_bytes) >= 0 &&
	       a_bytes == b_bytes && !memcmp(a, b, a_bytes);
}

static int pair_import(struct work *w, const char *name, const gnutls_datum_t *crt,
		       const gnutls_datum_t *key, struct pair *p)
{
	int code;

	gnutls_x509_privkey_init(&p->key);
	code = gnutls_x509_privkey_import(p->key, key, GNUTLS_X509_FMT_PEM);
	if (code >= 0 && crt->data) {
		gnutls_x509_crt_init(&p->crt);
		code = gnutls_x509_crt_import(p->crt, crt, GNUTLS_X509_FMT_PEM);
	}
	if (code < 0)
		return fail_tls(w, name, code);
	if (!p->crt)
		return -ENODATA;
	return pair_matches(p) ? 0 : fail(w, -EINVAL, name, "its key is another's");
}

/* 0 and a pair; -ENOENT: neither file is there; -ENODATA: the key alone is there (and loaded). */
static int pair_load(struct work *w, const char *crt_name, const char *key_name, struct pair *p)
{
	gnutls_datum_t crt = {0}, key = {0};
	int has_crt = read_file(w, crt_name, false, &crt);
	int has_key = read_file(w, key_name, true, &key);
	int err = -EINVAL; /* said by read_file() */

	if (has_crt == -ENOENT && has_key == -ENOENT)
		err = -ENOENT;
	else if (!has_crt && has_key == -ENOENT)
		err = fail(w, -EINVAL, key_name, "is missing while its certificate is there");
	else if (!has_key && (!has_crt || has_crt == -ENOENT))
		err = pair_import(w, crt_name, &crt, &key, p);
	datum_wipe(&crt);
	datum_wipe(&key);
	return err;
}

static int key_make(struct pair *p)
{
	gnutls_x509_privkey_init(&p->key);
	return gnutls_x509_privkey_generate(p->key, GNUTLS_PK_ECDSA,
					    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
}

/* Unsigned certificate for the pair's key, with serial, dates and subject. */
static int crt_begin(struct pair *p, const char *cn, unsigned days)
{
	uint8_t serial[16];
	time_t now = time(NULL);

	randombytes_buf(serial, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and no leading zero */
	gnutls_x509_crt_init(&p->crt);
	gnutls_x509_crt_set_version(p->crt, 3);
	gnutls_x509_crt_set_serial(p->crt, serial, sizeof(serial));
	gnutls_x509_crt_set_activation_time(p->crt, now - DAY_S);
	gnutls_x509_crt_set_expiration_time(p->crt, now + (time_t)days * DAY_S);
	gnutls_x509_crt_set_dn_by_oid(p->crt, GNUTLS_OID_X520_COMMON_NAME, 0, cn,
				      (unsigned)strlen(cn));
	return gnutls_x509_crt_set_key(p->crt, p->key);
}

static int pair_store(struct work *w, const char *crt_name, const char *key_name,
		      const struct pair *p)
{
	gnutls_datum_t crt = {0}, key = {0};
	int err;

	if (gnutls_x509_crt_export2(p->crt, GNUTLS_X509_FMT_PEM, &crt) < 0 ||
	    gnutls_x509_privkey_export2(p->key, GNUTLS_X509_FMT_PEM, &key) < 0)
		err = fail(w, -ENOMEM, crt_name, "cannot be encoded");
	else
		err = write_file(w, key_name, &key);
	if (!err)
		err = write_file(w, crt_name, &crt);
	datum_wipe(&crt);
	datum_wipe(&key);
	return err;
}

/* Makes the CA's certificate, and its key where there is none yet. Subject and key id follow from the key, so a
 * certificate made again for the same key is trusted by whoever pinned the first. */
static int ca_make(struct work *w)
{
	char cn[64], id[17];
	uint8_t key_id[20];
	size_t key_id_bytes = sizeof(key_id);
	gnutls_x509_crt_t crt;
	int code = w->ca.key ? 0 : key_make(&w->ca);

	if (code < 0)
		return fail_tls(w, "ca-key.pem", code);
	gnutls_x509_privkey_get_key_id(w->ca.key, GNUTLS_KEYID_USE_SHA1, key_id, &key_id_bytes);
	sodium_bin2hex(id, sizeof(id), key_id, 8);
	snprintf(cn, sizeof(cn), "Sluice registration CA %s", id);
	code = crt_begin(&w->ca, cn, CA_DAYS);
	if (code < 0)
		return fail_tls(w, "ca.pem", code);
	crt = w->ca.crt;
	gnutls_x509_crt_set_basic_constraints(crt, 1, 0);
	gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
	gnutls_x509_crt_set_subject_key_id(crt, key_id, key_id_bytes);
	code = gnutls_x509_crt_sign2(crt, crt, w->ca.key, GNUTLS_DIG_SHA256, 0);
	return code < 0 ? fail_tls(w, "ca.pem", code) : pair_store(w, "ca.pem", "ca-key.pem", &w->ca);
}

static int leaf_add_name(gnutls_x509_crt_t crt, const char *name)
{
	struct ip_addr ip;

	if (ip_addr_parse(name, &ip))
		return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip.bytes,
							    ip.family == 4 ? 4 : 16,
							    GNUTLS_FSAN_APPEND);
	return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
						    (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

static int leaf_make(struct work *w)
{
	uint8_t key_id[20];
	size_t key_id_bytes = sizeof(key_id);
	int code = key_make(&w->leaf);

	if (code >= 0)
		code = crt_begin(&w->leaf, "Sluice registration", LEAF_DAYS);
	for (size_t i = 0; code >= 0 && i < w->name_count; i++)
		code = leaf_add_name(w->leaf.crt, w->names[i]);
	if (code < 0)
		return fail_tls(w, "server.pem", code);
	gnutls_x509_crt_set_basic_constraints(w->leaf.crt, 0, -1);
	gnutls_x509_crt_set_key_usage(w->leaf.crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
	gnutls_x509_crt_set_key_purpose_oid(w->leaf.crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
	gnutls_x509_crt_get_key_id(w->ca.crt, GNUTLS_KEYID_USE_SHA1, key_id, &key_id_bytes);
	gnutls_x509_crt_set_authority_key_id(w->leaf.crt, key_id, key_id_bytes);
	code = gnutls_x509_crt_sign2(w->leaf.crt, w->ca.crt, w->ca.key, GNUTLS_DIG_SHA256, 0);
	return code < 0 ? fail_tls(w, "server.pem", code)
			: pair_store(w, "server.pem", "server-key.pem", &w->leaf);
}

static bool leaf_has_name(gnutls_x509_crt_t crt, unsigned index, const char *name)
{
	char san[512];
	size_t size = sizeof(san) - 1;
	struct ip_addr ip;
	int type = gnutls_x509_crt_get_subject_alt_name(crt, index, san, &size, NULL);

	if (type == GNUTLS_SAN_IPADDRESS)
		return ip_addr_parse(name, &ip) && size == (ip.family == 4 ? 4 : 16) &&
		       !memcmp(ip.bytes, san, size);
	return type == GNUTLS_SAN_DNSNAME && size == strlen(name) && !memcmp(san, name, size);
}

/* True where the loaded leaf is this CA's, for exactly these names, and lasts. */
static bool leaf_serves(struct work *w)
{
	char san[512];
	size_t size = sizeof(san);
	unsigned status = 0;

	if (gnutls_x509_crt_get_expiration_time(w->leaf.crt) <
		    time(NULL) + LEAF_RENEW_DAYS * DAY_S ||
	    gnutls_x509_crt_verify(w->leaf.crt, &w->ca.crt, 1, 0, &status) < 0 || status)
		return false;
	for (size_t i = 0; i < w->name_count; i++)
		if (!leaf_has_name(w->leaf.crt, (unsigned)i, w->names[i]))
			return false;
	return gnutls_x509_crt_get_subject_alt_name(w->leaf.crt, (unsigned)w->name_count, san,
						    &size, NULL) ==
	       GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
}

static char *pem_of(gnutls_x509_crt_t first, gnutls_x509_crt_t second)
{
	gnutls_datum_t a = {0}, b = {0};
	char *text = NULL;

	if (gnutls_x509_crt_export2(first, GNUTLS_X509_FMT_PEM, &a) >= 0 &&
	    (!second || gnutls_x509_crt_export2(second, GNUTLS_X509_FMT_PEM, &b) >= 0) &&
	    asprintf(&text, "%.*s%.*s", (int)a.size, a.data, (int)b.size,
		     b.data ? (char *)b.data : "") < 0)
		text = NULL;
	gnutls_free(a.data);
	gnutls_free(b.data);
	return text;
}

static int export_all(struct work *w, struct register_tls *out)
{
	size_t hash_bytes = sizeof(out->leaf_sha256);
	gnutls_datum_t key = {0};

	out->ca_pem = pem_of(w->ca.crt, NULL);
	out->server_pem = pem_of(w->leaf.crt, w->ca.crt);
	if (gnutls_x509_privkey_export2(w->leaf.key, GNUTLS_X509_FMT_PEM, &key) >= 0)
		out->key_pem = strndup((char *)key.data, key.size);
	datum_wipe(&key);
	if (!out->ca_pem || !out->server_pem || !out->key_pem ||
	    gnutls_x509_crt_get_fingerprint(w->leaf.crt, GNUTLS_DIG_SHA256, out->leaf_sha256,
					    &hash_bytes) < 0)
		return fail(w, -ENOMEM, "certificates", "cannot be encoded");
	return 0;
}

static int load_or_make(struct work *w, struct register_tls *out)
{
	int err = pair_load(w, "ca.pem", "ca-key.pem", &w->ca);

	if (err == -ENOENT || err == -ENODATA)
		err = ca_make(w);
	if (err)
		return err;
	err = pair_load(w, "server.pem", "server-key.pem", &w->leaf);
	if (err || !leaf_serves(w)) {
		/* whatever is wrong with the leaf, the CA makes a new one */
		pair_free(&w->leaf);
		err = leaf_make(w);
	}
	return err ? err : export_all(w, out);
}

int register_tls_load(const char *dir, const char *const *names, size_t name_count,
		      struct register_tls *out, char *err_text, size_t err_len)
{
	struct work w = {.dir = dir, .names = names, .name_count = name_count, .err = err_text,
			 .err_len = err_len};
	int err;

	memset(out, 0, sizeof(*out));
	if (!name_count)
		return fail(&w, -EINVAL, "register.names", "no name for the certificate");
	if (mkdir(dir, 0700) && errno != EEXIST)
		return fail(&w, -errno, "cannot be made", strerror(errno));
	err = load_or_make(&w, out);
	pair_free(&w.ca);
	pair_free(&w.leaf);
	if (err)
		register_tls_free(out);
	return err;
}

void register_tls_free(struct register_tls *tls)
{
	free(tls->ca_pem);
	free(tls->server_pem);
	if (tls->key_pem)
		sodium_memzero(tls->key_pem, strlen(tls->key_pem));
	free(tls->key_pem);
	memset(tls, 0, sizeof(*tls));
}
