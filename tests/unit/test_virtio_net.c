/* The virtio network card: frames in and out, offloads, filters. */
#include "tests/unit/virtio_fixture.h"

#define CSUM BIT(0)
#define MRG_RXBUF BIT(15)
#define CTRL_FEATURES (BIT(17) | BIT(18) | BIT(19) | BIT(20) | BIT(23))

static int
setup(void **state)
{
	*state = fixture_new(VIRTIO_TRANSITIONAL);
	return 0;
}

static int
teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

static void
set_header(u8 *header, u8 flags, u8 gso_type, u32 header_size, u32 gso_size, u32 start, u32 offset)
{
	memset(header, 0, 12);
	header[0] = flags;
	header[1] = gso_type;
	pci_set16(header, 2, (u16)header_size);
	pci_set16(header, 4, (u16)gso_size);
	pci_set16(header, 6, (u16)start);
	pci_set16(header, 8, (u16)offset);
}

static void
buffers(struct fixture *f, unsigned count, u32 size)
{
	for (unsigned i = 0; i < count; i++) {
		put_descriptor(f, f->ring[RX].descriptors, i, BUFFERS + 0x10000 * (i + 1), size, WRITE, 0);
		offer(f, RX, i);
	}
	ring_bell(f, RX);
}

static void
a_frame_goes_out_in_pieces_and_indirectly(void **state)
{
	struct fixture *f = *state;
	u8 frame[300], header[12] = {0};

	fill_frame(frame, sizeof(frame), peer, station, 0x0800);
	bring_up(f, VIRTIO_F_INDIRECT_DESC);
	dma_write(f->memory, BUFFERS, header, 12);
	dma_write(f->memory, BUFFERS + 12, frame, sizeof(frame));
	/* A header cut in the middle, an empty piece, the rest. */
	put_descriptor(f, BUFFERS + 0x8000, 0, BUFFERS, 5, NEXT, 3);
	put_descriptor(f, BUFFERS + 0x8000, 3, BUFFERS + 5, 0, NEXT, 1);
	put_descriptor(f, BUFFERS + 0x8000, 1, BUFFERS + 5, 307, 0, 0);
	put_descriptor(f, f->ring[TX].descriptors, 7, BUFFERS + 0x8000, 64, INDIRECT, 0);
	offer(f, TX, 7);
	ring_bell(f, TX);
	assert_int_equal(f->frames, 1);
	assert_int_equal(f->sent[0].size, 300);
	assert_memory_equal(f->sent[0].data, frame, 300);
	assert_int_equal(memory_read(f->memory, f->ring[TX].device + 4, 4), 7);
}

static void
frames_of_impossible_size_are_counted_and_used_up(void **state)
{
	struct fixture *f = *state;
	static const u32 size[] = {0, 11, 25, 70000, 0xffffffff};

	bring_up(f, 0);
	for (unsigned i = 0; i < COUNT(size); i++) {
		put_descriptor(f, f->ring[TX].descriptors, 0, BUFFERS, size[i], 0, 0);
		offer(f, TX, 0);
		ring_bell(f, TX);
	}
	assert_int_equal(f->frames, 0);
	assert_int_equal(used_index(f, TX), COUNT(size));
	assert_int_equal(virtio_net_counters(f->n)->tx_bad, COUNT(size));
}

static void
a_full_ring_goes_out_over_several_events(void **state)
{
	struct fixture *f = *state;
	u8 frame[60], header[12] = {0};

	bring_up(f, 0);
	fill_frame(frame, sizeof(frame), peer, station, 0x0800);
	for (unsigned i = 0; i < RING; i++)
		send_frame(f, header, 12, frame, sizeof(frame));
	ring_bell(f, TX);
	for (unsigned i = 0; i < RING; i++)
		send_frame(f, header, 12, frame, sizeof(frame));
	ring_bell(f, TX);
	assert_int_equal(f->frames, 2 * RING);
}

static void
checksums_are_filled_in(void **state)
{
	struct fixture *f = *state;

	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned tcp = 0; tcp < 2; tcp++) {
			u8 frame[400], header[12];
			u32 payload = 101, start = 14 + (v6 ? 40 : 20), size = fill_ip(frame, v6, tcp, payload) + payload;
			u32 length = size - start;
			u16 pseudo = internet_sum(frame + (v6 ? 22 : 26), v6 ? 32 : 8, (tcp ? 6 : 17) + length);

			be16(frame + start + (tcp ? 16 : 6), pseudo);
			set_header(header, 1, 0, 0, 0, start, tcp ? 16 : 6);
			bring_up(f, CSUM);
			f->frames = 0;
			send_frame(f, header, 12, frame, size);
			ring_bell(f, TX);
			assert_int_equal(f->frames, 1);
			assert_int_equal(f->sent[0].size, size);
			assert_int_equal(transport_sum(f->sent[0].data + 14), 0xffff);
		}
}

static void
checksums_beyond_the_frame_are_refused(void **state)
{
	static const u16 at[][2] = {{100, 0}, {60, 39}, {0xffff, 0xffff}, {99, 1}};
	struct fixture *f = *state;
	u8 frame[100], header[12];

	fill_frame(frame, sizeof(frame), peer, station, 0x0800);
	bring_up(f, CSUM);
	for (unsigned i = 0; i < COUNT(at); i++) {
		set_header(header, 1, 0, 0, 0, at[i][0], at[i][1]);
		send_frame(f, header, 12, frame, sizeof(frame));
		ring_bell(f, TX);
	}
	assert_int_equal(f->frames, 0);
	assert_int_equal(virtio_net_counters(f->n)->tx_bad, COUNT(at));
}

static void
long_tcp_is_cut_into_segments(void **state)
{
	struct fixture *f = *state;
	static u8 frame[40000];

	for (unsigned v6 = 0; v6 < 2; v6++) {
		u32 payload = 30001, start = 14 + (v6 ? 40 : 20), headers = fill_ip(frame, v6, true, 0), sum = 0;
		u8 header[12];

		fill_ip(frame, v6, true, payload);
		/* Longer than what an IP header can say: the fields count for nothing. */
		set_header(header, 1, v6 ? 4 : 1, headers, 1448, start, 16);
		bring_up(f, CSUM | BIT(11) | BIT(12));
		f->frames = 0;
		send_frame(f, header, 12, frame, headers + payload);
		ring_bell(f, TX);
		assert_int_equal(f->frames, 21);
		for (unsigned i = 0; i < f->frames; i++) {
			const u8 *sent = f->sent[i].data;
			u32 size = f->sent[i].size - headers;

			assert_int_equal(size, i < 20 ? 1448 : 30001 - 20 * 1448);
			assert_int_equal(transport_sum(sent + 14), 0xffff);
			if (!v6) {
				assert_int_equal(internet_sum(sent + 14, 20, 0), 0xffff);
				assert_int_equal(get16(sent + 18), (0x1fff + i) & 0xffff);
			}
			assert_int_equal(get32(sent + start + 4), get32(frame + start + 4) + sum);
			assert_int_equal(sent[start + 13], i < 20 ? 0x10 : 0x19);
			assert_memory_equal(sent + headers, frame + headers + sum, size);
			sum += size;
		}
		assert_int_equal(sum, payload);
	}
}

static void
segmentation_that_makes_no_sense_is_refused(void **state)
{
	static const struct {
		u8 flags, type;
		u16 mss, start, offset;
	} bad[] = {
		{0, 1, 1448, 34, 16}, {1, 1, 0, 34, 16},     {1, 1, 7, 34, 16},     {1, 1, 65535, 34, 16}, {1, 3, 1448, 34, 6},
		{1, 1, 1448, 33, 16}, {1, 1, 1448, 4000, 16}, {1, 4, 1448, 54, 16}, {1, 1, 1448, 34, 6},   {1, 0x7f, 1448, 34, 16},
	};
	struct fixture *f = *state;
	static u8 frame[4000];
	u32 size = fill_ip(frame, false, true, 3000) + 3000;

	bring_up(f, CSUM | BIT(11) | BIT(12));
	for (unsigned i = 0; i < COUNT(bad); i++) {
		u8 header[12];

		set_header(header, bad[i].flags, bad[i].type, 54, bad[i].mss, bad[i].start, bad[i].offset);
		send_frame(f, header, 12, frame, size);
		ring_bell(f, TX);
		if (f->frames)
			fail_msg("case %u was sent", i);
	}
	assert_int_equal(virtio_net_counters(f->n)->tx_bad, COUNT(bad));
}

static void
a_frame_comes_in(void **state)
{
	struct fixture *f = *state;
	u8 frame[100], got[112];

	fill_frame(frame, sizeof(frame), station, peer, 0x0800);
	bring_up(f, 0);
	assert_false(f->link.can_receive(f->link.card));
	buffers(f, 2, 2048);
	assert_true(f->ready_calls > 0);
	assert_true(f->link.can_receive(f->link.card));
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(used_index(f, RX), 1);
	assert_int_equal(used_size(f, RX, 0), 112);
	dma_read(f->memory, BUFFERS + 0x10000, got, sizeof(got));
	assert_int_equal(got[10], 1); /* num_buffers */
	assert_memory_equal(got + 12, frame, 100);
	assert_int_equal(f->pin, 1);
}

static void
merged_buffers_share_a_frame(void **state)
{
	struct fixture *f = *state;
	u8 frame[1000], got[400];

	fill_frame(frame, sizeof(frame), station, peer, 0x0800);
	bring_up(f, MRG_RXBUF);
	buffers(f, 2, 400);
	/* Too few: nothing is used up. */
	assert_false(receive(f, frame, sizeof(frame)));
	assert_int_equal(used_index(f, RX), 0);
	put_descriptor(f, f->ring[RX].descriptors, 2, BUFFERS + 0x30000, 400, WRITE, 0);
	offer(f, RX, 2);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(used_index(f, RX), 3);
	assert_int_equal(used_size(f, RX, 0), 400);
	assert_int_equal(used_size(f, RX, 2), 212);
	dma_read(f->memory, BUFFERS + 0x10000, got, sizeof(got));
	assert_int_equal(got[10], 3);
	assert_memory_equal(got + 12, frame, 388);
	dma_read(f->memory, BUFFERS + 0x30000, got, sizeof(got));
	assert_memory_equal(got, frame + 788, 212);
}

static void
one_buffer_too_small_is_a_dropped_frame(void **state)
{
	struct fixture *f = *state;
	u8 frame[1000];

	fill_frame(frame, sizeof(frame), station, peer, 0x0800);
	bring_up(f, 0);
	buffers(f, 2, 400);
	assert_false(receive(f, frame, sizeof(frame)));
	assert_int_equal(virtio_net_counters(f->n)->rx_dropped, 1);
	assert_true(receive(f, frame, 300));
	assert_int_equal(used_index(f, RX), 1);
}

/* Sends a command; returns its acknowledgement. */
static u8
command(struct fixture *f, u8 class, u8 which, const void *data, u32 size)
{
	u64 table = f->ring[CTRL].descriptors;
	const u8 head[2] = {class, which};

	dma_write(f->memory, BUFFERS, head, 2);
	dma_write(f->memory, BUFFERS + 2, data, size);
	memory_write(f->memory, BUFFERS + 0x800, 1, 0x55);
	put_descriptor(f, table, 0, BUFFERS, 2 + size, NEXT, 1);
	put_descriptor(f, table, 1, BUFFERS + 0x800, 1, WRITE, 0);
	offer(f, CTRL, 0);
	ring_bell(f, CTRL);
	return (u8)memory_read(f->memory, BUFFERS + 0x800, 1);
}

static bool
takes(struct fixture *f, const u8 *to)
{
	u16 before = used_index(f, RX);
	u8 frame[60];

	fill_frame(frame, sizeof(frame), to, peer, 0x0800);
	receive(f, frame, sizeof(frame));
	return used_index(f, RX) != before;
}

static void
the_driver_chooses_what_it_receives(void **state)
{
	static const u8 other[6] = {2, 3, 4, 5, 6, 7}, third[6] = {2, 3, 4, 5, 6, 8}, group[6] = {1, 0, 0x5e, 0, 0, 1};
	static const u8 all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct fixture *f = *state;
	u8 off = 0, on = 1, table[20] = {1, 0, 0, 0, 2, 3, 4, 5, 6, 7, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1};

	bring_up(f, CTRL_FEATURES);
	buffers(f, 12, 2048);
	assert_true(takes(f, other)); /* promiscuous at first */
	assert_int_equal(command(f, 0, 0, &off, 1), 0);
	assert_false(takes(f, other));
	assert_true(takes(f, station));
	assert_true(takes(f, all));
	assert_false(takes(f, group));
	assert_int_equal(command(f, 1, 0, table, sizeof(table)), 0);
	assert_true(takes(f, other));
	assert_false(takes(f, third));
	assert_true(takes(f, group));
	assert_int_equal(command(f, 0, 5, &on, 1), 0);
	assert_false(takes(f, all));
	assert_int_equal(command(f, 1, 1, third, 6), 0);
	assert_true(takes(f, third));
	assert_int_equal(memory_read(f->memory, DEVICE_CONFIG + 5, 1), 8);
	/* Commands that are none. */
	assert_int_equal(command(f, 0, 6, &on, 1), 1);
	assert_int_equal(command(f, 1, 0, table, 7), 1);
	assert_int_equal(command(f, 9, 0, &on, 1), 1);
	table[3] = 0x80;
	assert_int_equal(command(f, 1, 0, table, sizeof(table)), 1);
}

static void
vlans_are_filtered(void **state)
{
	struct fixture *f = *state;
	u8 off = 0, id[2] = {5, 0}, frame[64];

	bring_up(f, CTRL_FEATURES);
	buffers(f, 4, 2048);
	assert_int_equal(command(f, 0, 0, &off, 1), 0);
	fill_frame(frame, sizeof(frame), station, peer, 0x8100);
	be16(frame + 14, 0x6005);
	receive(f, frame, sizeof(frame));
	assert_int_equal(used_index(f, RX), 0);
	assert_int_equal(command(f, 2, 0, id, 2), 0);
	receive(f, frame, sizeof(frame));
	assert_int_equal(used_index(f, RX), 1);
	assert_int_equal(command(f, 2, 1, id, 2), 0);
	receive(f, frame, sizeof(frame));
	assert_int_equal(used_index(f, RX), 1);
}

static void
the_link_can_go_down(void **state)
{
	struct fixture *f = *state;

	bring_up(f, BIT(16));
	assert_int_equal(memory_read(f->memory, DEVICE_CONFIG + 6, 2), 1);
	virtio_net_set_link(f->n, false);
	assert_int_equal(memory_read(f->memory, DEVICE_CONFIG + 6, 2), 0);
	assert_int_equal(rd(f, 0x1000, 1), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_frame_goes_out_in_pieces_and_indirectly, setup, teardown),
		cmocka_unit_test_setup_teardown(frames_of_impossible_size_are_counted_and_used_up, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_ring_goes_out_over_several_events, setup, teardown),
		cmocka_unit_test_setup_teardown(checksums_are_filled_in, setup, teardown),
		cmocka_unit_test_setup_teardown(checksums_beyond_the_frame_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(long_tcp_is_cut_into_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(segmentation_that_makes_no_sense_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_frame_comes_in, setup, teardown),
		cmocka_unit_test_setup_teardown(merged_buffers_share_a_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(one_buffer_too_small_is_a_dropped_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(the_driver_chooses_what_it_receives, setup, teardown),
		cmocka_unit_test_setup_teardown(vlans_are_filtered, setup, teardown),
		cmocka_unit_test_setup_teardown(the_link_can_go_down, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
