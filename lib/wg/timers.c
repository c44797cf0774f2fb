// SPDX-License-Identifier: BSD-3-Clause
// When to rekey, retry, keep alive, expire and give up: pure decisions over stamps.
#include "lib/wg/timers.h"

/* A keepalive asked for is not asked for again that soon; the data path may be another thread. */
#define KEEPALIVE_REPEAT_NS WG_NS_PER_S
/* Receiving with a key this old, the initiator rekeys while a passive keepalive can still be sent (6.2). */
#define LASTMINUTE_NS (WG_REJECT_AFTER_TIME_NS - WG_KEEPALIVE_TIMEOUT_NS - WG_REKEY_TIMEOUT_NS)
#define NO_ANSWER_NS (WG_KEEPALIVE_TIMEOUT_NS + WG_REKEY_TIMEOUT_NS)

/* Stamps are written by another thread: each is read once. */
static struct wg_stamps read_stamps(const struct wg_stamps *stamps)
{
	return (struct wg_stamps){
		.data_tx_ns = __atomic_load_n(&stamps->data_tx_ns, __ATOMIC_RELAXED),
		.data_rx_ns = __atomic_load_n(&stamps->data_rx_ns, __ATOMIC_RELAXED),
		.auth_tx_ns = __atomic_load_n(&stamps->auth_tx_ns, __ATOMIC_RELAXED),
		.auth_rx_ns = __atomic_load_n(&stamps->auth_rx_ns, __ATOMIC_RELAXED),
		.unanswered_tx_ns = __atomic_load_n(&stamps->unanswered_tx_ns, __ATOMIC_RELAXED),
		.unacked_rx_ns = __atomic_load_n(&stamps->unacked_rx_ns, __ATOMIC_RELAXED),
	};
}

static uint64_t max_ns(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Whether `at` has come; else it bounds the next poll. */
static bool due(uint64_t at, uint64_t now_ns, uint64_t *next_ns)
{
	if (now_ns >= at)
		return true;
	if (at < *next_ns)
		*next_ns = at;
	return false;
}

bool wg_keypair_usable(const struct wg_keypair_info *keypair, uint64_t now_ns)
{
	return keypair->present && now_ns < keypair->born_ns + WG_REJECT_AFTER_TIME_NS &&
	       keypair->tx_counter < WG_REJECT_AFTER_MESSAGES;
}

/* Rekey-After-Time and Rekey-After-Messages, on sending and, for the initiator near the end, on receiving (6.2). */
static bool rekey_wanted(struct wg_timers *t, const struct wg_stamps *s,
			 const struct wg_keypair_info *keypair, uint64_t now_ns, uint64_t *next_ns)
{
	if (!keypair->present)
		return false;
	if (s->auth_tx_ns > t->gave_up_ns && keypair->tx_counter >= WG_REKEY_AFTER_MESSAGES)
		return true;
	if (!keypair->initiator)
		return false;
	if (due(keypair->born_ns + WG_REKEY_AFTER_TIME_NS, now_ns, next_ns) &&
	    s->auth_tx_ns > t->gave_up_ns &&
	    s->auth_tx_ns >= keypair->born_ns + WG_REKEY_AFTER_TIME_NS)
		return true;
	if (t->lastminute_born_ns != keypair->born_ns &&
	    s->auth_rx_ns >= keypair->born_ns + LASTMINUTE_NS) {
		t->lastminute_born_ns = keypair->born_ns;
		return true;
	}
	return false;
}

/* Content was sent and nothing came back for Keepalive-Timeout + Rekey-Timeout (6.5): the session may be dead. */
static bool answer_missing(struct wg_timers *t, const struct wg_stamps *s, uint64_t now_ns,
			   uint64_t *next_ns)
{
	uint64_t began_ns = s->unanswered_tx_ns;

	if (!began_ns)
		return false;
	if (began_ns <= t->answer_base_ns) {
		/* A handshake came in between: count from the first content seen after it. */
		if (s->data_tx_ns <= t->answer_base_ns)
			return false;
		if (t->unanswered_seen_ns <= t->answer_base_ns)
			t->unanswered_seen_ns = s->data_tx_ns;
		began_ns = t->unanswered_seen_ns;
	}
	if (!due(began_ns + NO_ANSWER_NS + t->jitter_ns, now_ns, next_ns))
		return false;
	t->answer_base_ns = now_ns;
	return true;
}

/* Passive and persistent keepalives. Without a session to send on, they ask for one. */
static bool keepalive_due(struct wg_timers *t, const struct wg_stamps *s, bool usable,
			  uint64_t now_ns, uint64_t *next_ns)
{
	bool is_due = false;

	if (s->unacked_rx_ns && (usable || s->unacked_rx_ns != t->unacked_seen_ns) &&
	    due(s->unacked_rx_ns + WG_KEEPALIVE_TIMEOUT_NS, now_ns, next_ns)) {
		is_due = true;
		if (!usable)
			t->unacked_seen_ns = s->unacked_rx_ns;
	}
	if (t->persistent_keepalive_ns) {
		uint64_t last_ns = max_ns(max_ns(s->auth_tx_ns, s->auth_rx_ns),
					  max_ns(t->initiation_tx_ns, t->handshake_rx_ns));

		if (!last_ns || due(last_ns + t->persistent_keepalive_ns, now_ns, next_ns))
			is_due = true;
	}
	return is_due;
}

/* When an initiation that is wanted, or retried, may go out; or whether the attempt ends. */
static unsigned attempt(struct wg_timers *t, uint64_t now_ns, uint64_t *next_ns)
{
	if (t->attempt_began_ns) {
		if (t->wanted) {
			t->wanted = false;
			t->attempt_began_ns = now_ns;
		}
		if (due(t->attempt_began_ns + WG_REKEY_ATTEMPT_TIME_NS, now_ns, next_ns)) {
			wg_timers_stop(t);
			t->gave_up_ns = now_ns;
			return WG_GIVE_UP;
		}
		return due(t->retry_ns, now_ns, next_ns) ? WG_SEND_INITIATION : 0;
	}
	if (!t->wanted)
		return 0;
	if (!t->initiation_tx_ns || due(t->initiation_tx_ns + WG_REKEY_TIMEOUT_NS, now_ns, next_ns))
		return WG_SEND_INITIATION;
	return 0;
}

unsigned wg_timers_poll(struct wg_timers *timers, const struct wg_stamps *stamps,
			const struct wg_keypair_info *keypair, uint64_t now_ns, uint64_t *next_ns)
{
	struct wg_stamps s = read_stamps(stamps);
	struct wg_keypair_info kp = *keypair;
	uint64_t next = UINT64_MAX;
	unsigned actions = 0;
	bool usable;

	if (timers->session_ns && due(timers->session_ns + WG_ZERO_KEYS_AFTER_NS, now_ns, &next)) {
		timers->session_ns = 0;
		kp.present = false;
		actions |= WG_EXPIRE_KEYS;
	}
	usable = wg_keypair_usable(&kp, now_ns);
	/* The rules below start an attempt; they do not prolong one, as a packet of the owner does. */
	if (rekey_wanted(timers, &s, &kp, now_ns, &next) && !timers->attempt_began_ns)
		timers->wanted = true;
	if (answer_missing(timers, &s, now_ns, &next) && !timers->attempt_began_ns)
		timers->wanted = true;
	if (keepalive_due(timers, &s, usable, now_ns, &next)) {
		if (!usable) {
			if (!timers->attempt_began_ns)
				timers->wanted = true;
		} else if (!timers->keepalive_ns ||
			   due(timers->keepalive_ns + KEEPALIVE_REPEAT_NS, now_ns, &next)) {
			timers->keepalive_ns = now_ns;
			actions |= WG_SEND_KEEPALIVE;
		}
	}
	actions |= attempt(timers, now_ns, &next);
	if (next_ns)
		*next_ns = next;
	return actions;
}

void wg_timers_want(struct wg_timers *timers)
{
	timers->wanted = true;
}

void wg_timers_initiation_sent(struct wg_timers *timers, uint64_t now_ns, uint64_t jitter_ns)
{
	timers->jitter_ns =
		jitter_ns < WG_REKEY_JITTER_MAX_NS ? jitter_ns : WG_REKEY_JITTER_MAX_NS;
	timers->initiation_tx_ns = now_ns;
	if (!timers->attempt_began_ns) {
		timers->attempt_began_ns = now_ns;
		timers->attempts = 0;
	}
	timers->attempts++;
	timers->retry_ns = now_ns + WG_REKEY_TIMEOUT_NS + timers->jitter_ns;
	timers->wanted = false;
}

void wg_timers_initiation_received(struct wg_timers *timers, uint64_t now_ns)
{
	timers->handshake_rx_ns = now_ns;
	timers->answer_base_ns = now_ns;
}

void wg_timers_session(struct wg_timers *timers, uint64_t now_ns)
{
	timers->session_ns = now_ns;
}

void wg_timers_complete(struct wg_timers *timers, uint64_t now_ns)
{
	timers->handshake_rx_ns = now_ns;
	timers->answer_base_ns = now_ns;
	wg_timers_stop(timers);
}

void wg_timers_stop(struct wg_timers *timers)
{
	timers->attempt_began_ns = 0;
	timers->retry_ns = 0;
	timers->attempts = 0;
	timers->wanted = false;
}
