/* An e1000 on user networking: frames through both rings, back pressure, and the same state hash in each run. */
#include "base/snapshot.h"
#include "bus/input.h"
#include "e1000_fixture.h"
#include "net/net.h"

#define PINGS 200u
#define PING_SIZE 98u

struct both {
	struct fixture *f;
	struct input *input;
	struct net_backend *net;
	u32 rx_head; /* what the driver looks at next */
	u8 gateway_mac[6];
};

static int
setup_both(void **state)
{
	struct both *b = calloc(1, sizeof(*b));
	char *error;

	b->f = fixture_new();
	b->input = input_new();
	error = net_create("user,restrict=on", b->f->events, b->input, &b->f->link, &b->net);
	if (error)
		fail_msg("%s", error);
	bring_up(b->f);
	*state = b;
	return 0;
}

static int
teardown_both(void **state)
{
	struct both *b = *state;

	net_free(b->net);
	input_free(b->input);
	fixture_free(b->f);
	free(b);
	return 0;
}

static void
queue_frame(struct both *b, const u8 *frame, u32 size)
{
	u32 at = TX_BUFFERS + b->f->tx_tail * 2048;

	put_bytes(b->f, at, frame, size);
	tx_put(b->f, at, size | TX_EOP | TX_IFCS | TX_RS);
}

/* The next received frame, or 0; gives the descriptor back. */
static u32
take_frame(struct both *b, u8 *frame)
{
	u32 at = b->rx_head, size = rx_size(b->f, at);

	if (!(rx_status(b->f, at) & 1))
		return 0;
	dma_read(b->f->memory, RX_BUFFERS + at * 16384, frame, size);
	memory_write(b->f->memory, RX_RING + at * 16 + 8, 8, 0);
	b->rx_head = (at + 1) % RING;
	return size;
}

static void
give_descriptors(struct both *b)
{
	wr(b->f, AT_RDT, (b->rx_head + RING - 1) % RING);
}

static void
arp_for_gateway(struct both *b)
{
	u8 frame[60] = {0}, answer[2048];

	memset(frame, 0xff, 6);
	memcpy(frame + 6, station, 6);
	memcpy(frame + 12, (u8[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, 10);
	memcpy(frame + 22, station, 6);
	memcpy(frame + 28, (u8[]){10, 0, 2, 15}, 4);
	memcpy(frame + 38, (u8[]){10, 0, 2, 2}, 4);
	queue_frame(b, frame, sizeof(frame));
	doorbell(b->f);
	pass_ns(b->f, 9999);
	assert_int_equal(take_frame(b, answer), 0);
	pass_ns(b->f, 1);
	assert_int_equal(take_frame(b, answer), 64);
	memcpy(b->gateway_mac, answer + 22, 6);
	give_descriptors(b);
}

static void
make_ping(struct both *b, u8 *frame, u32 sequence)
{
	fill_frame(frame, PING_SIZE, b->gateway_mac, station, 0x0800);
	memset(frame + 14, 0, 28);
	frame[14] = 0x45;
	be16(frame + 16, 84);
	frame[22] = 64;
	frame[23] = 1;
	memcpy(frame + 26, (u8[]){10, 0, 2, 15, 10, 0, 2, 2}, 8);
	be16(frame + 24, 0xffff - internet_sum(frame + 14, 20, 0));
	frame[34] = 8;
	be16(frame + 40, sequence);
	be16(frame + 36, 0xffff - internet_sum(frame + 34, 64, 0));
}

/* Sends pings as fast as the ring takes them, and looks at the receive ring rarely, so that it runs full. */
static void
flood(struct both *b)
{
	u8 frame[2048];
	u32 sent = 0, seen = 0;

	wr(b->f, AT_RXCSUM, (u32)(RXCSUM_IPOFL | RXCSUM_TUOFL));
	for (unsigned round = 0; round < 100 && seen < PINGS; round++) {
		u32 size;

		while (sent < PINGS && (b->f->tx_tail + 1) % RING != rd(b->f, AT_TDH)) {
			make_ping(b, frame, sent++);
			queue_frame(b, frame, PING_SIZE);
			doorbell(b->f);
		}
		pass_ns(b->f, 500000);
		while ((size = take_frame(b, frame))) {
			assert_int_equal(size, PING_SIZE);
			assert_int_equal(get16(frame + 40), seen++);
			assert_int_equal(internet_sum(frame + 34, 64, 0), 0xffff);
		}
		give_descriptors(b);
	}
	assert_int_equal(seen, PINGS);
	assert_int_equal(rd(b->f, AT_MPC), 0);
	assert_int_equal(net_statistics(b->net)->dropped, 0);
}

static void
no_ping_is_lost_when_the_receive_ring_runs_full(void **state)
{
	arp_for_gateway(*state);
	flood(*state);
}

static void
visit(void *opaque, struct state *s)
{
	struct both *b = opaque;

	e1000_state(b->f->e, s);
	net_state(b->net, s);
	memory_state(b->f->memory, s);
}

static void
two_runs_end_in_the_same_state(void **state)
{
	struct both *b = *state;
	void *other;
	u64 hash;

	arp_for_gateway(b);
	flood(b);
	hash = state_hash(visit, b);
	setup_both(&other);
	arp_for_gateway(other);
	flood(other);
	assert_true(state_hash(visit, other) == hash);
	teardown_both(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_both, teardown_both)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_ping_is_lost_when_the_receive_ring_runs_full),
		TEST(two_runs_end_in_the_same_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
