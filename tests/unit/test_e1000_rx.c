/* The e1000's receiver: filters, rings, checksum status, tags, interrupts. */
#include "e1000_fixture.h"

static const u8 broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const u8 other[6] = {0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc};
static const u8 multicast[6] = {0x33, 0x33, 0xff, 0x12, 0x34, 0x56};

/* Whether a frame to `to` ends up in a buffer; *status is its descriptor's. */
static bool
arrives(struct fixture *f, const u8 *to, u8 *status)
{
	u8 frame[100];
	u32 at = rd(f, AT_RDH);

	fill_frame(frame, sizeof(frame), to, peer, 0x1234);
	assert_true(receive(f, frame, sizeof(frame)));
	*status = rx_status(f, at);
	wr(f, AT_RDT, (rd(f, AT_RDH) + RING - 1) % RING);
	memory_write(f->memory, RX_RING + at * 16 + 8, 8, 0);
	return rd(f, AT_RDH) != at;
}

static void
rctl_set(struct fixture *f, u64 bits)
{
	wr(f, AT_RCTL, (u32)(RCTL_EN | RCTL_SECRC | bits));
}

static void
a_frame_for_us_is_stored_and_described(void **state)
{
	struct fixture *f = *state;
	u8 frame[100], back[100];

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rx_size(f, 0), 100);
	assert_int_equal(rx_status(f, 0), 7); /* DD, EOP, IXSM */
	assert_int_equal(rx_errors(f, 0), 0);
	dma_read(f->memory, RX_BUFFERS, back, sizeof(back));
	assert_memory_equal(back, frame, sizeof(frame));
	assert_int_equal(rd(f, AT_RDH), 1);
	assert_int_equal(rd(f, AT_ICR), ICR_RXT0);
	assert_int_equal(rd(f, AT_GPRC), 1);
	assert_int_equal(rd(f, AT_GORCL), 104);
	assert_int_equal(rd(f, AT_PRC127), 1);
	assert_int_equal(memory_read(f->memory, RX_RING, 8), RX_BUFFERS); /* the address stays */
}

static void
short_frames_are_padded_as_on_a_wire(void **state)
{
	struct fixture *f = *state;
	u8 frame[42];

	bring_up(f);
	memory_write(f->memory, RX_BUFFERS + 42, 8, ~0ull);
	fill_frame(frame, sizeof(frame), station, peer, 0x0806);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rx_size(f, 0), 60);
	assert_true(memory_read(f->memory, RX_BUFFERS + 42, 8) == 0);
}

static void
the_frame_check_sequence_is_stored_unless_stripped(void **state)
{
	struct fixture *f = *state;
	u8 frame[64] = {0};
	u32 crc = ~0u;

	bring_up(f);
	wr(f, AT_RCTL, (u32)RCTL_EN);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rx_size(f, 0), 68);
	for (u32 i = 0; i < 64 * 8; i++)
		crc = crc >> 1 ^ ((crc ^ frame[i / 8] >> i % 8) & 1 ? 0xedb88320 : 0);
	assert_int_equal(memory_read(f->memory, RX_BUFFERS + 64, 4), (u32)~crc);
}

static void
broadcast_needs_bam(void **state)
{
	struct fixture *f = *state;
	u8 status;

	bring_up(f);
	assert_true(arrives(f, broadcast, &status));
	assert_int_equal(status & 0x80, 0);
	rctl_set(f, 0);
	assert_false(arrives(f, broadcast, &status));
	rctl_set(f, RCTL_MPE);
	assert_true(arrives(f, broadcast, &status));
}

static void
unicast_is_matched_by_any_of_the_sixteen_addresses_or_promiscuous_mode(void **state)
{
	struct fixture *f = *state;
	u8 status;

	bring_up(f);
	assert_true(arrives(f, station, &status));
	assert_false(arrives(f, other, &status));
	assert_int_equal(rd(f, AT_TPR), 2);
	assert_int_equal(rd(f, AT_GPRC), 1);
	for (u32 i = 1; i < 16; i++) {
		wr(f, AT_RA + i * 8, 0xaa005452);
		wr(f, AT_RA + i * 8 + 4, 0x0000ccbb);
		assert_false(arrives(f, other, &status)); /* not valid */
		wr(f, AT_RA + i * 8 + 4, 0x8000ccbb);
		assert_true(arrives(f, other, &status));
		assert_int_equal(status & 0x80, 0);
		wr(f, AT_RA + i * 8 + 4, 0);
	}
	rctl_set(f, RCTL_UPE);
	assert_true(arrives(f, other, &status));
	assert_int_equal(status & 0x80, 0x80); /* passed in-exact filter */
	assert_false(arrives(f, multicast, &status));
}

static void
multicast_is_matched_by_the_hash_for_every_offset(void **state)
{
	static const unsigned shift[] = {36, 35, 34, 32};
	struct fixture *f = *state;
	u64 address = 0;
	u8 status;

	bring_up(f);
	for (unsigned i = 0; i < 6; i++)
		address |= (u64)multicast[i] << i * 8;
	for (u64 offset = 0; offset < 4; offset++) {
		u32 hash = address >> shift[offset] & 0xfff;

		rctl_set(f, offset << 12);
		for (u32 i = 0; i < 128; i++)
			wr(f, AT_MTA + i * 4, i == hash / 32 ? ~(1u << hash % 32) : ~0u);
		assert_false(arrives(f, multicast, &status));
		for (u32 i = 0; i < 128; i++)
			wr(f, AT_MTA + i * 4, i == hash / 32 ? 1u << hash % 32 : 0);
		assert_true(arrives(f, multicast, &status));
		assert_int_equal(status & 0x80, 0x80);
		assert_false(arrives(f, other, &status)); /* the table is not for unicast */
	}
	rctl_set(f, RCTL_MPE);
	wr(f, AT_MTA + 0, 0);
	assert_true(arrives(f, multicast, &status));
	assert_false(arrives(f, other, &status));
}

static void
long_frames_need_lpe_and_may_take_many_descriptors(void **state)
{
	struct fixture *f = *state;
	static u8 frame[9014], back[9014];
	u32 done = 0;

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	assert_true(receive(f, frame, 1518));
	assert_int_equal(rd(f, AT_RDH), 1);
	assert_true(receive(f, frame, 1519));
	assert_int_equal(rd(f, AT_RDH), 1);
	assert_int_equal(rd(f, AT_ROC), 1);
	rctl_set(f, RCTL_LPE);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rd(f, AT_RDH), 6);
	for (u32 i = 1; i < 6; i++) {
		assert_int_equal(rx_size(f, i), i < 5 ? 2048 : 9014 - 4 * 2048);
		assert_int_equal(rx_status(f, i) & 3, i < 5 ? 1 : 3);
		dma_read(f->memory, RX_BUFFERS + i * 16384, back + done, rx_size(f, i));
		done += rx_size(f, i);
	}
	assert_memory_equal(back, frame, sizeof(frame));
}

static void
buffer_sizes_follow_bsize_and_bsex(void **state)
{
	static const struct {
		u64 rctl;
		u32 size;
	} test[] = {
		{0, 2048},
		{1 << 16, 1024},
		{2 << 16, 512},
		{3 << 16, 256},
		{1 << 16 | RCTL_BSEX, 16384},
		{2 << 16 | RCTL_BSEX, 8192},
		{3 << 16 | RCTL_BSEX, 4096},
	};
	static u8 frame[16380];
	struct fixture *f = *state;

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	for (unsigned i = 0; i < COUNT(test); i++) {
		u32 at = rd(f, AT_RDH), size = MIN(test[i].size * 3 + 100, 16380u);

		rctl_set(f, RCTL_LPE | test[i].rctl);
		assert_true(receive(f, frame, size));
		assert_int_equal(rx_size(f, at), MIN(test[i].size, size));
		wr(f, AT_RDT, (rd(f, AT_RDH) + RING - 1) % RING);
	}
}

static void
without_enough_descriptors_the_whole_frame_is_missed(void **state)
{
	struct fixture *f = *state;
	static u8 frame[5000];

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	rctl_set(f, RCTL_LPE);
	wr(f, AT_RDT, 2);
	assert_false(f->link.can_receive(f->link.card));
	assert_false(receive(f, frame, sizeof(frame)));
	assert_int_equal(rd(f, AT_RDH), 0);
	assert_int_equal(rx_status(f, 0), 0);
	assert_int_equal(rd(f, AT_MPC), 1);
	assert_int_equal(rd(f, AT_RNBC), 1);
	assert_true(rd(f, AT_ICR) & ICR_RXO);
	wr(f, AT_RDT, 3);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rd(f, AT_RDH), 3);
	assert_false(receive(f, frame, 60));
}

static void
new_descriptors_tell_the_back_end(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	for (unsigned i = 0; i < RING - 1; i++) {
		assert_true(f->link.can_receive(f->link.card));
		assert_true(receive(f, frame, sizeof(frame)));
	}
	assert_false(f->link.can_receive(f->link.card));
	assert_false(receive(f, frame, sizeof(frame)));
	assert_int_equal(f->ready_calls, 0);
	wr(f, AT_RDT, 0);
	assert_int_equal(f->ready_calls, 1);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rd(f, AT_RDH), 0); /* wrapped */
}

static void
a_receiver_that_is_off_drops(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	wr(f, AT_RCTL, 0);
	assert_true(f->link.can_receive(f->link.card));
	assert_false(receive(f, frame, sizeof(frame)));
	rctl_set(f, 0);
	e1000_set_link(f->e, false);
	assert_false(receive(f, frame, sizeof(frame)));
	e1000_set_link(f->e, true);
	pass_ns(f, 50000000);
	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_false(receive(f, frame, sizeof(frame)));
	assert_int_equal(rd(f, AT_RDH), 0);
}

static void
descriptors_without_a_buffer_are_used_up(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	memory_write(f->memory, RX_RING, 8, 0);
	memory_write(f->memory, RX_RING + 16, 8, 0);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rx_status(f, 0), 1);
	assert_int_equal(rx_status(f, 1), 1);
	assert_int_equal(rx_status(f, 2), 7);
	assert_int_equal(rd(f, AT_RDH), 3);
	/* A ring of nothing but them ends. */
	for (u32 i = 0; i < RING; i++)
		memory_write(f->memory, RX_RING + i * 16, 8, 0);
	assert_false(receive(f, frame, sizeof(frame)));
	assert_int_equal(rd(f, AT_RDH), rd(f, AT_RDT));
}

static void
head_or_tail_outside_of_the_ring_receives_nothing(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	wr(f, AT_RDT, 0xffff);
	assert_false(receive(f, frame, sizeof(frame)));
	wr(f, AT_RDT, 1);
	wr(f, AT_RDH, RING);
	assert_false(receive(f, frame, sizeof(frame)));
	wr(f, AT_RDLEN, 0);
	wr(f, AT_RDH, 0);
	wr(f, AT_RDT, 0);
	assert_false(f->link.can_receive(f->link.card));
	assert_false(receive(f, frame, sizeof(frame)));
}

/* ---- Checksums ---- */

static void
checksum_status(struct fixture *f, const u8 *frame, u32 size, u8 status, u8 errors)
{
	u32 at = rd(f, AT_RDH);

	assert_true(receive(f, frame, size));
	if ((rx_status(f, at) & 0x64) != status || rx_errors(f, at) != errors)
		fail_msg("status %02x errors %02x, not %02x %02x", rx_status(f, at), rx_errors(f, at), status, errors);
	wr(f, AT_RDT, (rd(f, AT_RDH) + RING - 1) % RING);
}

static void
receive_checksums_are_judged(void **state)
{
	struct fixture *f = *state;
	u8 frame[1000];

	bring_up(f);
	for (unsigned i = 0; i < 4; i++) {
		bool v6 = i & 1, tcp = i & 2;
		u32 header = fill_ip(frame, v6, tcp, 301), size = header + 301, transport = v6 ? 54 : 34;
		u8 good = v6 ? 0x20 : 0x60;

		memcpy(frame, station, 6);
		if (!v6)
			be16(frame + 24, 0xffff - internet_sum(frame + 14, 20, 0));
		be16(frame + transport + (tcp ? 16 : 6), 0xffff - transport_sum(frame + 14));
		wr(f, AT_RXCSUM, 0);
		checksum_status(f, frame, size, 0x04, 0);
		wr(f, AT_RXCSUM, (u32)(RXCSUM_IPOFL | RXCSUM_TUOFL));
		checksum_status(f, frame, size, good, 0);
		frame[size - 1] ^= 1;
		checksum_status(f, frame, size, good, 0x20);
		frame[size - 1] ^= 1;
		if (v6)
			continue;
		wr(f, AT_RXCSUM, (u32)RXCSUM_IPOFL);
		checksum_status(f, frame, size, 0x40, 0);
		wr(f, AT_RXCSUM, (u32)RXCSUM_TUOFL);
		checksum_status(f, frame, size, 0x20, 0);
		wr(f, AT_RXCSUM, (u32)(RXCSUM_IPOFL | RXCSUM_TUOFL));
		frame[22] ^= 1; /* time to live */
		checksum_status(f, frame, size, good, 0x40);
		frame[22] ^= 1;
		frame[20] |= 0x20; /* a fragment */
		be16(frame + 24, get16(frame + 24) - 0x2000);
		checksum_status(f, frame, size, 0x40, 0);
	}
}

static void
udp_without_checksum_and_other_types_are_not_judged(void **state)
{
	struct fixture *f = *state;
	u8 frame[200];

	bring_up(f);
	wr(f, AT_RXCSUM, (u32)(RXCSUM_IPOFL | RXCSUM_TUOFL));
	fill_ip(frame, false, false, 100);
	memcpy(frame, station, 6);
	be16(frame + 24, 0xffff - internet_sum(frame + 14, 20, 0));
	checksum_status(f, frame, 142, 0x40, 0);
	be16(frame + 12, 0x0806);
	checksum_status(f, frame, 142, 0x04, 0);
}

static void
damaged_ip_headers_do_not_lead_outside_of_the_frame(void **state)
{
	struct fixture *f = *state;
	u8 frame[64];

	bring_up(f);
	wr(f, AT_RXCSUM, (u32)(RXCSUM_IPOFL | RXCSUM_TUOFL));
	for (unsigned i = 0; i < 256; i++) {
		fill_ip(frame, false, true, 6);
		memcpy(frame, station, 6);
		frame[14] = (u8)i;
		be16(frame + 16, i * 257);
		assert_true(receive(f, frame, sizeof(frame)));
		fill_ip(frame, true, false, 0);
		memcpy(frame, station, 6);
		be16(frame + 18, i * 257);
		assert_true(receive(f, frame, sizeof(frame)));
		wr(f, AT_RDT, (rd(f, AT_RDH) + RING - 1) % RING);
	}
}

static void
the_packet_checksum_starts_at_pcss(void **state)
{
	struct fixture *f = *state;
	u8 frame[101];

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	wr(f, AT_RXCSUM, 14);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(memory_read(f->memory, RX_RING + 10, 2), internet_sum(frame + 14, 87, 0));
	wr(f, AT_RXCSUM, 200);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(memory_read(f->memory, RX_RING + 26, 2), 0);
}

/* ---- VLAN, control frames ---- */

static void
tags_are_stripped_in_vlan_mode(void **state)
{
	struct fixture *f = *state;
	u8 frame[104], back[100];

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x8100);
	be16(frame + 14, 0x6123);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rx_size(f, 0), 104);
	assert_int_equal(rx_status(f, 0) & 8, 0);
	wr(f, AT_CTRL, rd(f, AT_CTRL) | (u32)CTRL_VME);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rx_size(f, 1), 100);
	assert_int_equal(rx_status(f, 1) & 8, 8);
	assert_int_equal(memory_read(f->memory, RX_RING + 16 + 14, 2), 0x6123);
	dma_read(f->memory, RX_BUFFERS + 16384, back, sizeof(back));
	assert_memory_equal(back, frame, 12);
	assert_memory_equal(back + 12, frame + 16, 88);
}

static void
the_vlan_filter_has_a_bit_for_every_id(void **state)
{
	struct fixture *f = *state;
	u8 frame[64];

	bring_up(f);
	wr(f, AT_RCTL, (u32)(RCTL_EN | RCTL_SECRC | RCTL_VFE));
	for (u32 id = 0; id < 4096; id += 117) {
		fill_frame(frame, sizeof(frame), station, peer, 0x8100);
		be16(frame + 14, 0xe000 | id);
		assert_true(receive(f, frame, sizeof(frame)));
		assert_int_equal(rd(f, AT_GPRC), 0);
		wr(f, AT_VFTA + id / 32 * 4, 1u << id % 32);
		assert_true(receive(f, frame, sizeof(frame)));
		assert_int_equal(rd(f, AT_GPRC), 1);
		wr(f, AT_VFTA + id / 32 * 4, 0);
		wr(f, AT_RDT, (rd(f, AT_RDH) + RING - 1) % RING);
	}
	/* Untagged frames are not its business. */
	fill_frame(frame, sizeof(frame), station, peer, 0x0800);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rd(f, AT_GPRC), 1);
}

static void
pause_frames_are_counted_and_can_be_discarded(void **state)
{
	static const u8 pause[6] = {0x01, 0x80, 0xc2, 0x00, 0x00, 0x01};
	struct fixture *f = *state;
	u8 frame[60] = {0};

	bring_up(f);
	wr(f, AT_FCAL, 0x00c28001);
	wr(f, AT_FCAH, 0x0100);
	rctl_set(f, RCTL_MPE);
	fill_frame(frame, sizeof(frame), pause, peer, 0x8808);
	be16(frame + 14, 1);
	be16(frame + 16, 0);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rd(f, AT_XONRXC), 1);
	assert_int_equal(rd(f, AT_RDH), 1);
	be16(frame + 16, 100);
	rctl_set(f, RCTL_MPE | RCTL_DPF);
	assert_true(receive(f, frame, sizeof(frame)));
	assert_int_equal(rd(f, AT_XOFFRXC), 1);
	assert_int_equal(rd(f, AT_RDH), 1);
}

/* ---- Interrupts ---- */

static void
receive_delay_timers_gather_packets(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	wr(f, AT_RDTR, 10);
	wr(f, AT_RADV, 25);
	wr(f, AT_IMS, (u32)ICR_RXT0);
	receive(f, frame, sizeof(frame));
	pass_ns(f, 10 * 1024 - 1);
	assert_int_equal(f->irq, 0);
	pass_ns(f, 1);
	assert_int_equal(f->irq, 1);
	rd(f, AT_ICR);
	/* Packets every 8 units restart RDTR; RADV ends it after 25. */
	for (unsigned i = 0; i < 4; i++) {
		receive(f, frame, sizeof(frame));
		if (i < 3)
			pass_ns(f, 8 * 1024);
	}
	assert_int_equal(f->irq, 0);
	pass_ns(f, 1024);
	assert_int_equal(f->irq, 1);
	rd(f, AT_ICR);
	pass_ns(f, 1000000);
	assert_int_equal(f->irq, 0);
	/* FPD ends it at once, and only if something waits. */
	receive(f, frame, sizeof(frame));
	wr(f, AT_RDTR, (u32)DELAY_FLUSH | 10);
	assert_int_equal(f->irq, 1);
	assert_int_equal(rd(f, AT_RDTR), 10);
	rd(f, AT_ICR);
	wr(f, AT_RDTR, (u32)DELAY_FLUSH | 10);
	assert_int_equal(f->irq, 0);
}

static void
the_minimum_threshold_interrupts_once_when_crossed(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	for (u64 threshold = 0; threshold < 3; threshold++) {
		u32 left = RING >> (threshold + 1);

		wr(f, AT_CTRL, (u32)CTRL_RST);
		bring_up(f);
		rctl_set(f, threshold << 8);
		fill_frame(frame, sizeof(frame), station, peer, 0x1234);
		for (u32 i = 1; i < RING; i++) {
			receive(f, frame, sizeof(frame));
			assert_int_equal(!!(rd(f, AT_ICR) & ICR_RXDMT0), RING - 1 - i == left);
		}
	}
}

static void
small_packets_can_interrupt_at_once(void **state)
{
	struct fixture *f = *state;
	u8 frame[100];

	bring_up(f);
	wr(f, AT_RDTR, 1000);
	wr(f, AT_RSRPD, 70);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	receive(f, frame, 100);
	assert_int_equal(rd(f, AT_ICR), 0);
	receive(f, frame, 66);
	assert_int_equal(rd(f, AT_ICR), ICR_SRPD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_for_us_is_stored_and_described),
		TEST(short_frames_are_padded_as_on_a_wire),
		TEST(the_frame_check_sequence_is_stored_unless_stripped),
		TEST(broadcast_needs_bam),
		TEST(unicast_is_matched_by_any_of_the_sixteen_addresses_or_promiscuous_mode),
		TEST(multicast_is_matched_by_the_hash_for_every_offset),
		TEST(long_frames_need_lpe_and_may_take_many_descriptors),
		TEST(buffer_sizes_follow_bsize_and_bsex),
		TEST(without_enough_descriptors_the_whole_frame_is_missed),
		TEST(new_descriptors_tell_the_back_end),
		TEST(a_receiver_that_is_off_drops),
		TEST(descriptors_without_a_buffer_are_used_up),
		TEST(head_or_tail_outside_of_the_ring_receives_nothing),
		TEST(receive_checksums_are_judged),
		TEST(udp_without_checksum_and_other_types_are_not_judged),
		TEST(damaged_ip_headers_do_not_lead_outside_of_the_frame),
		TEST(the_packet_checksum_starts_at_pcss),
		TEST(tags_are_stripped_in_vlan_mode),
		TEST(the_vlan_filter_has_a_bit_for_every_id),
		TEST(pause_frames_are_counted_and_can_be_discarded),
		TEST(receive_delay_timers_gather_packets),
		TEST(the_minimum_threshold_interrupts_once_when_crossed),
		TEST(small_packets_can_interrupt_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
