// SPDX-License-Identifier: BSD-3-Clause
// Inspection of one flow.
#include "dataplane/inspect/inspect.h"

#include <string.h>

static const char *const end_names[INSPECT_END_COUNT] = {
	[INSPECT_RUNNING] = "running",
#define END(id, text) [INSPECT_END_##id] = #id,
	INSPECT_ENDS(END)
#undef END
};

const char *inspect_end_name(unsigned end)
{
	return end < INSPECT_END_COUNT ? end_names[end] : NULL;
}

void inspect_start(struct inspector *in, enum inspect_transport transport, uint32_t first_seq,
		   const struct inspect_limits *limits)
{
	in->names = NAMES_UNSEEN;
	in->transport = (uint8_t)transport;
	in->end = INSPECT_RUNNING;
	in->fin = false;
	in->packets = 0;
	in->base_seq = first_seq;
	in->fin_offset = 0;
	in->limits = *limits;
	memset(&in->quic, 0, sizeof(in->quic));
	memset(&in->http.progress, 0, sizeof(in->http.progress));
	in->http.has_method = in->http.has_host = in->http.has_uri = in->http.too_long = false;
	stream_init(&in->stream, limits->bytes);
}

static void missing(struct name_text *t)
{
	if (t->state == NAME_UNSEEN)
		t->state = NAME_MISSING;
}

static void known(struct name_text *t, const char *text, uint16_t len)
{
	*t = (struct name_text){.state = NAME_KNOWN, .len = len, .text = text};
}

static void missing_http(struct names *n)
{
	missing(&n->http_host);
	missing(&n->http_uri);
	missing(&n->http_method);
}

static void set_protocol(struct inspector *in, enum detected_protocol protocol)
{
	in->names.protocol = (uint8_t)protocol;
	in->names.protocol_state = NAME_KNOWN;
}

void inspect_end(struct inspector *in, enum inspect_end why)
{
	if (in->end != INSPECT_RUNNING)
		return;
	in->end = (uint8_t)why;
	missing(&in->names.sni);
	missing(&in->names.dns_fqdn);
	missing_http(&in->names);
	if (in->names.protocol_state == NAME_UNSEEN)
		set_protocol(in, DETECTED_NONE);
}

static enum inspect_step finish(struct inspector *in, enum inspect_end why)
{
	inspect_end(in, why);
	return INSPECT_FINAL;
}

/* The hello is read. With ECH the name in it is not the one that is asked for. */
static enum inspect_step found_hello(struct inspector *in, enum detected_protocol protocol, enum detected_protocol with_ech)
{
	const struct tls_hello *hello = &in->result.tls;

	set_protocol(in, hello->ech ? with_ech : protocol);
	if (!hello->ech && hello->sni_len > 0)
		known(&in->names.sni, hello->sni, hello->sni_len);
	return finish(in, INSPECT_END_names);
}

static enum inspect_step found_request(struct inspector *in)
{
	const struct http_request *r = &in->http;

	if (r->has_host)
		known(&in->names.http_host, r->host, r->host_len);
	if (r->has_uri)
		known(&in->names.http_uri, r->uri, r->uri_len);
	return finish(in, r->too_long ? INSPECT_END_limit_head : INSPECT_END_names);
}

static enum inspect_step found_question(struct inspector *in)
{
	set_protocol(in, DETECTED_DNS);
	if (in->result.dns.has_name)
		known(&in->names.dns_fqdn, in->result.dns.name, in->result.dns.len);
	return finish(in, INSPECT_END_names);
}

static enum inspect_step found(struct inspector *in, enum detected_protocol protocol)
{
	set_protocol(in, protocol);
	return finish(in, INSPECT_END_names);
}

/* RFC 4253 4.2. */
static enum parse ssh_banner(const uint8_t *p, size_t len)
{
	static const char banner[] = "SSH-";
	size_t n = len < sizeof(banner) - 1 ? len : sizeof(banner) - 1;

	if (memcmp(p, banner, n) != 0)
		return PARSE_BAD;
	return n == sizeof(banner) - 1 ? PARSE_DONE : PARSE_MORE;
}

/* True: what is in the stream may still become TLS; *step is set when it is, or never will fit. */
static bool try_tls(struct inspector *in, const uint8_t *p, size_t len, enum inspect_step *step)
{
	size_t need;
	enum parse tls = tls_records_hello(p, len, in->stream.limit, &in->result.tls, &need);

	if (tls == PARSE_BAD)
		return false;
	missing_http(&in->names);
	missing(&in->names.dns_fqdn); /* its length would begin with 22: none is so long */
	if (tls == PARSE_DONE)
		*step = found_hello(in, DETECTED_TLS, DETECTED_TLS_ECH);
	else if (need > in->stream.limit)
		*step = finish(in, INSPECT_END_limit_bytes);
	return true;
}

/* The same for protocols in lines of text. */
static bool try_text(struct inspector *in, const uint8_t *p, size_t len, enum inspect_step *step)
{
	enum parse ssh = ssh_banner(p, len), http2 = http2_preface(p, len);
	enum parse http = http_request(p, len, &in->http);

	if (ssh == PARSE_BAD && http2 == PARSE_BAD && http == PARSE_BAD)
		return false;
	missing(&in->names.sni);
	if (p[0] >= ' ') /* as the length of a DNS message it would be too long */
		missing(&in->names.dns_fqdn);
	if (ssh == PARSE_DONE) {
		*step = found(in, DETECTED_SSH);
	} else if (http2 == PARSE_DONE) {
		*step = found(in, DETECTED_HTTP2);
	} else if (in->http.has_method && http != PARSE_BAD) {
		set_protocol(in, DETECTED_HTTP);
		known(&in->names.http_method, in->http.method, in->http.method_len);
		if (http == PARSE_DONE)
			*step = found_request(in);
	} else if (http == PARSE_BAD && ssh == PARSE_BAD) {
		missing_http(&in->names); /* a preface has no names */
	}
	return true;
}

static enum inspect_step parse_tcp(struct inspector *in)
{
	const uint8_t *p = in->stream.bytes;
	size_t len = stream_prefix(&in->stream);
	enum inspect_step step = INSPECT_WAIT;
	enum parse dns;

	if (len == 0 || try_tls(in, p, len, &step) || try_text(in, p, len, &step))
		return step;
	dns = dns_tcp_query(p, len, &in->result.dns);
	if (dns == PARSE_DONE)
		return found_question(in);
	if (dns == PARSE_BAD)
		return finish(in, INSPECT_END_names);
	missing(&in->names.sni);
	missing_http(&in->names);
	return step;
}

enum inspect_step inspect_segment(struct inspector *in, uint32_t seq, const uint8_t *payload, size_t len, bool fin)
{
	int64_t offset = (int32_t)(seq - in->base_seq);
	enum inspect_step step = INSPECT_WAIT;
	enum stream_add added = STREAM_SEEN;
	bool first_fin;

	if (in->end != INSPECT_RUNNING)
		return INSPECT_FINAL;
	first_fin = fin && offset + (int64_t)len >= 0 && !in->fin;
	if (first_fin) {
		in->fin = true;
		in->fin_offset = (uint32_t)(offset + (int64_t)len);
	}
	if (offset < 0) { /* keepalive probes send a byte from before */
		size_t before = (size_t)-offset < len ? (size_t)-offset : len;

		payload += before;
		len -= before;
		offset = 0;
	}
	if (len > 0) {
		if (++in->packets > in->limits.packets)
			return finish(in, INSPECT_END_limit_packets);
		added = stream_add(&in->stream, (uint64_t)offset, payload, len);
	}
	if (added == STREAM_CONFLICT)
		return INSPECT_REFUSE;
	if (added == STREAM_FULL)
		return finish(in, INSPECT_END_limit_packets);
	if (added == STREAM_NEW)
		step = parse_tcp(in);
	if (step != INSPECT_WAIT)
		return step;
	if (in->fin && stream_prefix(&in->stream) >= in->fin_offset)
		return finish(in, INSPECT_END_closed);
	if (stream_prefix(&in->stream) == in->stream.limit)
		return finish(in, INSPECT_END_limit_bytes);
	return added == STREAM_SEEN && !first_fin && (size_t)offset + len <= in->stream.limit ? INSPECT_AGAIN : INSPECT_WAIT;
}

static enum inspect_step parse_quic(struct inspector *in)
{
	size_t need;

	set_protocol(in, DETECTED_QUIC);
	missing_http(&in->names);
	missing(&in->names.dns_fqdn);
	switch (tls_client_hello(in->stream.bytes, stream_prefix(&in->stream), &in->result.tls, &need)) {
	case PARSE_DONE:
		return found_hello(in, DETECTED_QUIC, DETECTED_QUIC);
	case PARSE_BAD:
		return finish(in, INSPECT_END_names);
	default:
		return need > in->stream.limit ? finish(in, INSPECT_END_limit_bytes) : INSPECT_WAIT;
	}
}

enum inspect_step inspect_datagram(struct inspector *in, const struct quic_crypto *crypto, const uint8_t *payload, size_t len)
{
	enum quic_result quic = QUIC_NOT;

	if (in->end != INSPECT_RUNNING)
		return INSPECT_FINAL;
	if (++in->packets > in->limits.packets)
		return finish(in, INSPECT_END_limit_packets);
	if (crypto != NULL)
		quic = quic_datagram(&in->quic, crypto, payload, len, &in->stream);
	if (quic == QUIC_CONFLICT)
		return INSPECT_REFUSE;
	if (quic == QUIC_BAD) {
		set_protocol(in, DETECTED_QUIC);
		return finish(in, INSPECT_END_names);
	}
	if (quic == QUIC_OPENED)
		return parse_quic(in);
	if (quic == QUIC_EARLY || in->quic.opened)
		return INSPECT_WAIT; /* behind the Initial that is still missing, or before it */
	if (dns_query(payload, len, &in->result.dns) == PARSE_DONE)
		return found_question(in);
	return finish(in, INSPECT_END_names);
}

enum inspect_step inspect_server_first(struct inspector *in, const uint8_t *payload, size_t len)
{
	if (in->end != INSPECT_RUNNING)
		return INSPECT_FINAL;
	if (in->stream.n_ranges == 0 && ssh_banner(payload, len) == PARSE_DONE)
		return found(in, DETECTED_SSH);
	return INSPECT_WAIT;
}
