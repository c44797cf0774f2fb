// SPDX-License-Identifier: BSD-3-Clause
// TCP states of flows: numbered conversations, and properties over every state and flag.
#include "dataplane/tables/flow_tcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* One packet of a conversation: direction, flags, what must come out. */
struct packet {
	char dir;	   /* '>' up, '<' down, 0 end */
	const char *flags; /* of S F R A P */
	uint8_t state;
	char note; /* 'x' does not fit, 'n' new start */
};

struct conversation {
	const char *name;
	struct packet packets[14];
};

static const struct conversation conversations[] = {
	/* 1 */ {"open, data, close by the client",
		 {{'>', "S", FLOW_TCP_SYN_UP, 0},
		  {'<', "SA", FLOW_TCP_SYN_BOTH, 0},
		  {'>', "A", FLOW_TCP_ESTABLISHED, 0},
		  {'>', "PA", FLOW_TCP_ESTABLISHED, 0},
		  {'<', "A", FLOW_TCP_ESTABLISHED, 0},
		  {'>', "FA", FLOW_TCP_FIN_UP, 0},
		  {'<', "A", FLOW_TCP_FIN_UP, 0},
		  {'<', "FA", FLOW_TCP_FIN_BOTH, 0},
		  {'>', "A", FLOW_TCP_FIN_BOTH, 0}}},
	/* 2 */
	{"opened and closed by the private side",
	 {{'<', "S", FLOW_TCP_SYN_DOWN, 0},
	  {'>', "SA", FLOW_TCP_SYN_BOTH, 0},
	  {'<', "A", FLOW_TCP_ESTABLISHED, 0},
	  {'<', "FA", FLOW_TCP_FIN_DOWN, 0},
	  {'>', "PA", FLOW_TCP_FIN_DOWN, 0},
	  {'>', "FA", FLOW_TCP_FIN_BOTH, 0}}},
	/* 3 */
	{"SYN and SYN+ACK retransmitted",
	 {{'>', "S", FLOW_TCP_SYN_UP, 0},
	  {'>', "S", FLOW_TCP_SYN_UP, 0},
	  {'<', "SA", FLOW_TCP_SYN_BOTH, 0},
	  {'>', "S", FLOW_TCP_SYN_BOTH, 0},
	  {'<', "SA", FLOW_TCP_SYN_BOTH, 0},
	  {'>', "A", FLOW_TCP_ESTABLISHED, 0},
	  {'<', "SA", FLOW_TCP_ESTABLISHED, 0}}},
	/* 4 */ {"refused", {{'>', "S", FLOW_TCP_SYN_UP, 0}, {'<', "RA", FLOW_TCP_RESET, 0}}},
	/* 5 */
	{"simultaneous open",
	 {{'>', "S", FLOW_TCP_SYN_UP, 0},
	  {'<', "S", FLOW_TCP_SYN_BOTH, 0},
	  {'>', "SA", FLOW_TCP_SYN_BOTH, 0},
	  {'<', "A", FLOW_TCP_ESTABLISHED, 0}}},
	/* 6 */
	{"no beginning: nothing but a SYN fits",
	 {{'>', "A", FLOW_TCP_NONE, 'x'},
	  {'<', "PA", FLOW_TCP_NONE, 'x'},
	  {'>', "FA", FLOW_TCP_NONE, 'x'},
	  {'<', "R", FLOW_TCP_NONE, 'x'},
	  {'<', "SA", FLOW_TCP_NONE, 'x'},
	  {'>', "S", FLOW_TCP_SYN_UP, 0}}},
	/* 7 */
	{"data before the answer does not fit",
	 {{'>', "S", FLOW_TCP_SYN_UP, 0},
	  {'>', "A", FLOW_TCP_SYN_UP, 'x'},
	  {'<', "PA", FLOW_TCP_SYN_UP, 'x'},
	  {'>', "SA", FLOW_TCP_SYN_UP, 'x'},
	  {'>', "FA", FLOW_TCP_SYN_UP, 'x'}}},
	/* 8 */
	{"reset while open; late data fits; ports used again",
	 {{'>', "S", FLOW_TCP_SYN_UP, 0},
	  {'<', "SA", FLOW_TCP_SYN_BOTH, 0},
	  {'>', "A", FLOW_TCP_ESTABLISHED, 0},
	  {'<', "R", FLOW_TCP_RESET, 0},
	  {'>', "PA", FLOW_TCP_RESET, 0},
	  {'>', "S", FLOW_TCP_SYN_UP, 'n'}}},
	/* 9 */
	{"closed; ports used again from the other side",
	 {{'>', "S", FLOW_TCP_SYN_UP, 0},
	  {'<', "SA", FLOW_TCP_SYN_BOTH, 0},
	  {'>', "FA", FLOW_TCP_FIN_UP, 0},
	  {'>', "FA", FLOW_TCP_FIN_UP, 0},
	  {'<', "FA", FLOW_TCP_FIN_BOTH, 0},
	  {'<', "S", FLOW_TCP_SYN_DOWN, 'n'}}},
	/* 10 */
	{"SYN inside an open connection changes nothing",
	 {{'>', "S", FLOW_TCP_SYN_UP, 0},
	  {'<', "SA", FLOW_TCP_SYN_BOTH, 0},
	  {'>', "A", FLOW_TCP_ESTABLISHED, 0},
	  {'>', "S", FLOW_TCP_ESTABLISHED, 0},
	  {'<', "S", FLOW_TCP_ESTABLISHED, 0}}},
	/* 11 */
	{"nonsense flags never fit",
	 {{'>', "SF", FLOW_TCP_NONE, 'x'},
	  {'>', "SR", FLOW_TCP_NONE, 'x'},
	  {'>', "", FLOW_TCP_NONE, 'x'},
	  {'>', "S", FLOW_TCP_SYN_UP, 0},
	  {'<', "SFA", FLOW_TCP_SYN_UP, 'x'},
	  {'<', "SRA", FLOW_TCP_SYN_UP, 'x'},
	  {'<', "SA", FLOW_TCP_SYN_BOTH, 0},
	  {'>', "F", FLOW_TCP_SYN_BOTH, 'x'},
	  {'>', "P", FLOW_TCP_SYN_BOTH, 'x'},
	  {'>', "FRA", FLOW_TCP_SYN_BOTH, 'x'}}},
	/* 12 */
	{"ECN set-up bits do not matter",
	 {{'>', "SEC", FLOW_TCP_SYN_UP, 0}, {'<', "SAE", FLOW_TCP_SYN_BOTH, 0}}},
};

static uint8_t flags_of(const char *s)
{
	uint8_t f = 0;

	for (; *s; s++)
		f |= *s == 'S'	 ? FLOW_TCP_FLAG_SYN
		     : *s == 'F' ? FLOW_TCP_FLAG_FIN
		     : *s == 'R' ? FLOW_TCP_FLAG_RST
		     : *s == 'A' ? FLOW_TCP_FLAG_ACK
		     : *s == 'P' ? 0x08
		     : *s == 'E' ? 0x40
				 : 0x80;
	return f;
}

static void test_conversations(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(conversations) / sizeof(conversations[0]); i++) {
		uint8_t tcp = FLOW_TCP_NONE;

		for (const struct packet *p = conversations[i].packets; p->dir; p++) {
			struct flow_tcp_step s =
				flow_tcp_next(tcp, flags_of(p->flags), p->dir == '>');

			if (s.state != p->state || s.fits != (p->note != 'x') ||
			    s.new_start != (p->note == 'n'))
				fail_msg("%zu (%s), packet %zu: %s fits=%d new=%d, expected %s",
					 i + 1, conversations[i].name,
					 (size_t)(p - conversations[i].packets) + 1,
					 flow_tcp_name(s.state), s.fits, s.new_start,
					 flow_tcp_name(p->state));
			tcp = s.state;
		}
	}
}

/* Every state, every flag byte, both directions. */
static void test_properties(void **state)
{
	(void)state;
	for (unsigned int st = 0; st < FLOW_TCP_STATE_COUNT; st++) {
		for (unsigned int f = 0; f < 512; f++) {
			uint8_t flags = (uint8_t)f;
			struct flow_tcp_step s = flow_tcp_next((uint8_t)st, flags, f & 256);

			assert_true(s.state < FLOW_TCP_STATE_COUNT);
			if (!s.fits)
				assert_true(s.state == st && !s.new_start);
			if (s.new_start)
				assert_true(st >= FLOW_TCP_FIN_BOTH && (flags & FLOW_TCP_FLAG_SYN));
			if (s.state == FLOW_TCP_RESET && st != FLOW_TCP_RESET)
				assert_true(flags & FLOW_TCP_FLAG_RST);
			if (s.fits && (flags & FLOW_TCP_FLAG_SYN))
				assert_false(flags & (FLOW_TCP_FLAG_FIN | FLOW_TCP_FLAG_RST));
			if (s.state == FLOW_TCP_ESTABLISHED && st != FLOW_TCP_ESTABLISHED)
				assert_int_equal(st, FLOW_TCP_SYN_BOTH);
		}
	}
	assert_false(flow_tcp_next(FLOW_TCP_STATE_COUNT, FLOW_TCP_FLAG_SYN, true).fits);
}

static void test_mid_stream(void **state)
{
	(void)state;
	assert_int_equal(flow_tcp_mid_stream(flags_of("PA"), true), FLOW_TCP_ESTABLISHED);
	assert_int_equal(flow_tcp_mid_stream(flags_of("A"), false), FLOW_TCP_ESTABLISHED);
	assert_int_equal(flow_tcp_mid_stream(flags_of("FA"), true), FLOW_TCP_FIN_UP);
	assert_int_equal(flow_tcp_mid_stream(flags_of("FA"), false), FLOW_TCP_FIN_DOWN);
	assert_int_equal(flow_tcp_mid_stream(flags_of("SA"), false), FLOW_TCP_SYN_BOTH);
	assert_int_equal(flow_tcp_mid_stream(flags_of("R"), true), FLOW_TCP_NONE);
	assert_int_equal(flow_tcp_mid_stream(flags_of("S"), true), FLOW_TCP_NONE);
	assert_int_equal(flow_tcp_mid_stream(0, true), FLOW_TCP_NONE);
}

static void test_classes(void **state)
{
	static const uint8_t want[FLOW_TCP_STATE_COUNT] = {
		[FLOW_TCP_NONE] = FLOW_CLASS_TCP_OPENING,
		[FLOW_TCP_SYN_UP] = FLOW_CLASS_TCP_OPENING,
		[FLOW_TCP_SYN_DOWN] = FLOW_CLASS_TCP_OPENING,
		[FLOW_TCP_SYN_BOTH] = FLOW_CLASS_TCP_OPENING,
		[FLOW_TCP_ESTABLISHED] = FLOW_CLASS_TCP_OPEN,
		[FLOW_TCP_FIN_UP] = FLOW_CLASS_TCP_OPEN,
		[FLOW_TCP_FIN_DOWN] = FLOW_CLASS_TCP_OPEN,
		[FLOW_TCP_FIN_BOTH] = FLOW_CLASS_TCP_CLOSING,
		[FLOW_TCP_RESET] = FLOW_CLASS_TCP_CLOSING,
	};

	(void)state;
	for (uint8_t s = 0; s < FLOW_TCP_STATE_COUNT; s++) {
		assert_int_equal(flow_tcp_class(s), want[s]);
		assert_int_equal(flow_class_of(6, s), want[s]);
		assert_string_not_equal(flow_tcp_name(s), "?");
	}
	assert_int_equal(flow_class_of(17, 0), FLOW_CLASS_UDP);
	assert_int_equal(flow_class_of(1, 0), FLOW_CLASS_ICMP);
	assert_int_equal(flow_class_of(58, 0), FLOW_CLASS_ICMP);
	assert_int_equal(flow_class_of(47, 0), FLOW_CLASS_OTHER);
	assert_string_equal(flow_tcp_name(FLOW_TCP_STATE_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversations),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_mid_stream),
		cmocka_unit_test(test_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
