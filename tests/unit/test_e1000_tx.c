/* The e1000's transmitter: rings, descriptors, offloads. RFC 1071 judges the checksums of what came out. */
#include "e1000_fixture.h"

static void
put_legacy(struct fixture *f, const u8 *frame, u32 size, u64 flags)
{
	put_bytes(f, TX_BUFFERS, frame, size);
	tx_put(f, TX_BUFFERS, size | TX_IFCS | TX_RS | flags);
}

static void
a_legacy_descriptor_sends_its_frame_and_is_written_back(void **state)
{
	struct fixture *f = *state;
	u8 frame[100];

	bring_up(f);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(f->frames, 1);
	assert_int_equal(f->sent[0].size, sizeof(frame));
	assert_memory_equal(f->sent[0].data, frame, sizeof(frame));
	assert_int_equal(tx_status(f, 0), 1);
	assert_int_equal(rd(f, AT_TDH), 1);
	assert_int_equal(rd(f, AT_ICR), ICR_TXDW | ICR_TXQE);
	assert_int_equal(rd(f, AT_GPTC), 1);
	assert_int_equal(rd(f, AT_PTC127), 1);
	assert_int_equal(rd(f, AT_GOTCL), 104);
}

static void
without_report_status_nothing_is_written_back(void **state)
{
	struct fixture *f = *state;
	u8 frame[100];

	bring_up(f);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	put_bytes(f, TX_BUFFERS, frame, sizeof(frame));
	tx_put(f, TX_BUFFERS, sizeof(frame) | TX_EOP | TX_IFCS);
	doorbell(f);
	assert_int_equal(f->frames, 1);
	assert_int_equal(tx_status(f, 0), 0);
	assert_int_equal(rd(f, AT_ICR), ICR_TXQE);
}

static void
a_frame_may_lie_in_several_buffers(void **state)
{
	struct fixture *f = *state;
	u8 frame[1514];

	bring_up(f);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	put_bytes(f, TX_BUFFERS, frame, 14);
	put_bytes(f, TX_BUFFERS + 0x1001, frame + 14, 1000);
	put_bytes(f, TX_BUFFERS + 0x3003, frame + 1014, 500);
	tx_put(f, TX_BUFFERS, 14 | TX_IFCS);
	doorbell(f);
	assert_int_equal(f->frames, 0);
	tx_put(f, TX_BUFFERS + 0x1001, 1000 | TX_IFCS);
	tx_put(f, TX_BUFFERS + 0x3003, 500 | TX_IFCS | TX_EOP | TX_RS);
	doorbell(f);
	assert_int_equal(f->frames, 1);
	assert_int_equal(f->sent[0].size, sizeof(frame));
	assert_memory_equal(f->sent[0].data, frame, sizeof(frame));
}

static void
short_frames_are_padded_when_asked(void **state)
{
	static const u8 zero[18];
	struct fixture *f = *state;
	u8 frame[42];

	bring_up(f);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(f->sent[0].size, 60);
	assert_memory_equal(f->sent[0].data, frame, 42);
	assert_memory_equal(f->sent[0].data + 42, zero, 18);
	wr(f, AT_TCTL, rd(f, AT_TCTL) & ~8u);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(f->sent[1].size, 42);
}

static void
legacy_checksum_covers_start_to_end(void **state)
{
	struct fixture *f = *state;
	u8 frame[14 + 20 + 20 + 101];
	u32 end = fill_ip(frame, false, true, 101);

	bring_up(f);
	/* The driver leaves the pseudo header's sum in the field. */
	be16(frame + 34 + 16, internet_sum(frame + 26, 8, 6 + 20 + 101));
	assert_int_equal(end, 54);
	put_bytes(f, TX_BUFFERS, frame, sizeof(frame));
	tx_put(f, TX_BUFFERS, sizeof(frame) | TX_IFCS | TX_RS | TX_EOP | TX_IC | (u64)(34 + 16) << 16 | (u64)34 << 40);
	doorbell(f);
	assert_int_equal(transport_sum(f->sent[0].data + 14), 0xffff);
	assert_true(get16(f->sent[0].data + 50) != get16(frame + 50));
}

static void
legacy_checksum_outside_of_the_frame_is_ignored(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	bring_up(f);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	put_bytes(f, TX_BUFFERS, frame, sizeof(frame));
	tx_put(f, TX_BUFFERS, 60 | TX_IFCS | TX_EOP | TX_IC | (u64)59 << 16 | (u64)14 << 40);
	tx_put(f, TX_BUFFERS, 60 | TX_IFCS | TX_EOP | TX_IC | (u64)16 << 16 | (u64)60 << 40);
	doorbell(f);
	assert_memory_equal(f->sent[0].data, frame, 60);
	assert_memory_equal(f->sent[1].data, frame, 60);
}

/* The context as Linux's e1000_tso() and e1000_tx_csum() write it. */
static void
put_context(struct fixture *f, bool v6, bool tcp, u32 payload, u32 mss)
{
	u64 ip = 14, transport = v6 ? 54 : 34, header = transport + (tcp ? 20 : 8);
	u64 low = ip | (v6 ? 0 : (ip + 10) << 8 | (transport - 1) << 16) | transport << 32 |
		  (transport + (tcp ? 16 : 6)) << 40;
	u64 high = payload | TX_DEXT | (tcp ? BIT(24) : 0) | (v6 ? 0 : BIT(25)) | (mss ? TX_TSE : 0) | header << 40 |
		   (u64)mss << 48;

	tx_put(f, low, high);
}

static void
checksum_case(struct fixture *f, bool v6, bool tcp, u32 payload)
{
	u8 frame[2000], *ip = frame + 14;
	u32 at = fill_ip(frame, v6, tcp, payload), transport = v6 ? 54 : 34, size = at + payload, sent = f->frames;

	be16(frame + transport + (tcp ? 16 : 6),
	     internet_sum(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, (tcp ? 6 : 17) + size - transport));
	put_bytes(f, TX_BUFFERS, frame, size);
	put_context(f, v6, tcp, 0, 0);
	tx_put(f, TX_BUFFERS, size | TX_DATA | TX_EOP | TX_IFCS | TX_RS | (v6 ? (u64)2 << 40 : (u64)3 << 40));
	doorbell(f);
	assert_int_equal(f->frames, sent + 1);
	ip = f->sent[sent].data + 14;
	assert_int_equal(transport_sum(ip), 0xffff);
	if (!v6)
		assert_int_equal(internet_sum(ip, 20, 0), 0xffff);
}

static void
context_checksums_are_right_for_tcp_and_udp_over_v4_and_v6(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	for (unsigned i = 0; i < 16; i++) {
		checksum_case(f, i & 1, i & 2, 1 + i * 83);
		pass_ns(f, 100000);
	}
}

static void
a_udp_checksum_of_zero_is_sent_as_ones(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];
	u32 sum;

	bring_up(f);
	fill_ip(frame, false, true, 6);
	fill_ip(frame, false, false, 18);
	memset(frame + 42, 0, 18);
	be16(frame + 40, internet_sum(frame + 26, 8, 17 + 26));
	sum = internet_sum(frame + 34, 26, 0);
	be16(frame + 42, 0xffff - sum); /* now everything sums up to 0xffff */
	put_bytes(f, TX_BUFFERS, frame, sizeof(frame));
	put_context(f, false, false, 0, 0);
	tx_put(f, TX_BUFFERS, sizeof(frame) | TX_DATA | TX_EOP | TX_IFCS | (u64)2 << 40);
	doorbell(f);
	assert_int_equal(get16(f->sent[0].data + 40), 0xffff);
}

static void
segmentation_case(struct fixture *f, bool v6, bool tcp, u32 payload, u32 mss, u32 split)
{
	static u8 packet[70000];
	u32 header = fill_ip(packet, v6, tcp, payload), transport = v6 ? 54 : 34, size = header + payload, done = 0;
	u32 first = f->frames, count = (payload + mss - 1) / mss;
	u8 *ip = packet + 14;

	/* Lengths are zero, the checksum field has the pseudo header without length. */
	be16(v6 ? ip + 4 : ip + 2, 0);
	be16(packet + transport + (tcp ? 16 : 6), internet_sum(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, tcp ? 6 : 17));
	put_bytes(f, TX_BUFFERS, packet, size);
	put_context(f, v6, tcp, payload, mss);
	for (u32 at = 0; at < size; at += split) {
		u32 part = MIN(split, size - at);
		tx_put(f, TX_BUFFERS + at,
		       part | TX_DATA | TX_TSE | TX_IFCS | (at + part == size ? TX_EOP | TX_RS : 0) |
			       (at == 0 ? (v6 ? (u64)2 << 40 : (u64)3 << 40) : 0));
	}
	doorbell(f);
	pass_ns(f, 2000000);
	assert_int_equal(f->frames - first, count);
	for (u32 i = 0; i < count; i++) {
		const u8 *frame = f->sent[first + i].data, *t = frame + transport;
		u32 part = MIN(mss, payload - done), length = header + part;

		assert_int_equal(f->sent[first + i].size, MAX(length, 60));
		assert_memory_equal(frame, packet, 14);
		assert_memory_equal(frame + header, packet + header + done, part);
		assert_int_equal(transport_sum(frame + 14), 0xffff);
		if (v6) {
			assert_int_equal(get16(frame + 18), length - 54);
		} else {
			assert_int_equal(get16(frame + 16), length - 14);
			assert_int_equal(get16(frame + 18), (get16(ip + 4) + i) & 0xffff);
			assert_int_equal(internet_sum(frame + 14, 20, 0), 0xffff);
		}
		if (tcp) {
			assert_int_equal(get32(t + 4), get32(packet + transport + 4) + done);
			assert_int_equal(t[13], i == count - 1 ? 0x19 : 0x10);
		} else {
			assert_int_equal(get16(t + 4), 8 + part);
		}
		done += part;
	}
	rd(f, AT_ICR);
}

static void
segmentation_cuts_headers_and_payload_right(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	segmentation_case(f, false, true, 5000, 1460, 100000);
	segmentation_case(f, false, true, 2920, 1460, 1000); /* no remainder, buffers that cross segments */
	segmentation_case(f, false, true, 1, 1460, 100000);
	segmentation_case(f, true, true, 5000, 1440, 777);
	segmentation_case(f, true, true, 64000, 1440, 4096);
	segmentation_case(f, false, false, 3000, 1472, 100000);
	segmentation_case(f, true, false, 3000, 1000, 100000);
	segmentation_case(f, false, true, 500, 1, 100000);
	assert_int_equal(rd(f, AT_TSCTC), 8);
	assert_int_equal(e1000_counters(f->e)->tx_bad_descriptors, 0);
}

static void
headers_may_come_in_pieces(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	segmentation_case(f, false, true, 300, 100, 17);
}

static void
both_contexts_are_remembered(void **state)
{
	struct fixture *f = *state;
	u8 frame[100];

	bring_up(f);
	put_context(f, false, true, 0, 0);
	segmentation_case(f, false, true, 5000, 1460, 100000);
	/* Still the first context: no new one is needed. */
	fill_ip(frame, false, true, 46);
	be16(frame + 50, internet_sum(frame + 26, 8, 6 + 66));
	put_bytes(f, TX_BUFFERS, frame, sizeof(frame));
	tx_put(f, TX_BUFFERS, sizeof(frame) | TX_DATA | TX_EOP | TX_IFCS | (u64)3 << 40);
	doorbell(f);
	assert_int_equal(transport_sum(f->sent[f->frames - 1].data + 14), 0xffff);
}

static void
vlan_tags_are_inserted_only_in_vlan_mode(void **state)
{
	struct fixture *f = *state;
	u8 frame[100];

	bring_up(f);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	put_legacy(f, frame, sizeof(frame), TX_EOP | TX_VLE | (u64)0x6123 << 48);
	doorbell(f);
	assert_int_equal(f->sent[0].size, 100);
	wr(f, AT_CTRL, rd(f, AT_CTRL) | (u32)CTRL_VME);
	put_legacy(f, frame, sizeof(frame), TX_EOP | TX_VLE | (u64)0x6123 << 48);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(f->sent[1].size, 104);
	assert_memory_equal(f->sent[1].data, frame, 12);
	assert_int_equal(get32(f->sent[1].data + 12), 0x81006123);
	assert_memory_equal(f->sent[1].data + 16, frame + 12, 88);
	assert_int_equal(f->sent[2].size, 100);
}

static void
segments_are_tagged_each(void **state)
{
	struct fixture *f = *state;
	u8 packet[2100];
	u32 header = fill_ip(packet, false, true, 2000);

	bring_up(f);
	wr(f, AT_CTRL, rd(f, AT_CTRL) | (u32)CTRL_VME);
	put_bytes(f, TX_BUFFERS, packet, header + 2000);
	put_context(f, false, true, 2000, 1000);
	tx_put(f, TX_BUFFERS,
	       (header + 2000) | TX_DATA | TX_TSE | TX_EOP | TX_IFCS | TX_VLE | (u64)3 << 40 | (u64)0x0042 << 48);
	doorbell(f);
	assert_int_equal(f->frames, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(f->sent[i].size, header + 1000 + 4);
		assert_int_equal(get32(f->sent[i].data + 12), 0x81000042);
		assert_memory_equal(f->sent[i].data + header + 4, packet + header + i * 1000, 1000);
	}
}

static void
transmit_delay_timers_hold_the_interrupt_back(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	bring_up(f);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	wr(f, AT_TIDV, 10);
	wr(f, AT_TADV, 15);
	wr(f, AT_IMS, (u32)ICR_TXDW);
	put_legacy(f, frame, sizeof(frame), TX_EOP | TX_IDE);
	doorbell(f);
	assert_int_equal(f->irq, 0);
	pass_ns(f, 10 * 1024 - 1);
	assert_int_equal(f->irq, 0);
	pass_ns(f, 1);
	assert_int_equal(f->irq, 1);
	rd(f, AT_ICR);
	/* A second packet restarts TIDV, but not TADV. */
	put_legacy(f, frame, sizeof(frame), TX_EOP | TX_IDE);
	doorbell(f);
	pass_ns(f, 8 * 1024);
	put_legacy(f, frame, sizeof(frame), TX_EOP | TX_IDE);
	doorbell(f);
	pass_ns(f, 7 * 1024 - 1);
	assert_int_equal(f->irq, 0);
	pass_ns(f, 1);
	assert_int_equal(f->irq, 1);
	rd(f, AT_ICR);
	/* Without IDE at once. */
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(f->irq, 1);
}

static void
the_fifo_drains_at_line_rate(void **state)
{
	struct fixture *f = *state;
	u8 frame[1514];
	u64 start;

	bring_up(f);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	start = now(f);
	for (unsigned i = 0; i < RING - 1; i++)
		put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	/* 16 KiB of FIFO are 10 or 11 frames of 1538 bytes on the wire. */
	assert_in_range(f->frames, 10, 12);
	assert_int_equal(rd(f, AT_ICR) & ICR_TXQE, 0);
	pass_ns(f, 100000);
	assert_in_range(f->frames, 18, 20); /* 8 more in 100 us */
	pass_ns(f, 1000000);
	assert_int_equal(f->frames, RING - 1);
	assert_in_range(f->sent[RING - 2].time - start, 230000, 260000);
	assert_int_equal(rd(f, AT_ICR) & ICR_TXQE, ICR_TXQE);
}

static void
a_ring_of_nothing_is_worked_off_in_slices(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	/* The largest ring, over memory full of zeros: legacy descriptors without data or end of packet. */
	wr(f, AT_TDBAL, 0x400000);
	wr(f, AT_TDLEN, 0xfff80);
	wr(f, AT_TDT, 0xfff7);
	assert_int_equal(rd(f, AT_TDH), 256);
	pass_ns(f, 10000);
	assert_int_equal(rd(f, AT_TDH), 512);
	pass_ns(f, 10000000);
	assert_int_equal(rd(f, AT_TDH), 0xfff7);
	assert_int_equal(f->frames, 0);
}

static void
head_or_tail_outside_of_the_ring_stops_it(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	wr(f, AT_TDT, RING);
	assert_int_equal(rd(f, AT_TDH), 0);
	wr(f, AT_TDT, 0xffff);
	assert_int_equal(rd(f, AT_TDH), 0);
	assert_true(events_next(f->events) == UINT64_MAX);
	wr(f, AT_TDH, 0xffff);
	wr(f, AT_TDT, 1);
	wr(f, AT_TDLEN, 0);
	wr(f, AT_TDH, 0);
	wr(f, AT_TDT, 0);
	pass_ns(f, 1000000);
	assert_int_equal(f->frames, 0);
	assert_int_equal(events_next(f->events) == UINT64_MAX, 1);
}

static void
too_long_a_frame_is_dropped_and_counted(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	bring_up(f);
	for (unsigned i = 0; i < 6; i++)
		tx_put(f, TX_BUFFERS, 0xffff | (i == 5 ? TX_EOP | TX_RS : 0));
	doorbell(f);
	assert_int_equal(f->frames, 0);
	assert_int_equal(e1000_counters(f->e)->tx_bad_descriptors, 1);
	assert_int_equal(tx_status(f, 5), 1);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(f->frames, 1);
}

static void
hostile_segmentation_contexts_are_dropped_and_counted(void **state)
{
	struct fixture *f = *state;
	u64 data = 0xfffff | TX_DATA | TX_TSE | TX_EOP | (u64)3 << 40;

	bring_up(f);
	tx_put(f, ~0ull, 0xfffff | TX_DEXT | TX_TSE | (u64)255 << 40); /* MSS 0 */
	tx_put(f, TX_BUFFERS, data);
	tx_put(f, ~0ull, 0xfffff | TX_DEXT | TX_TSE | (u64)0xffff << 48 | (u64)255 << 40); /* MSS too large */
	tx_put(f, TX_BUFFERS, data);
	tx_put(f, ~0ull, 0xfffff | TX_DEXT | TX_TSE | (u64)1000 << 48); /* no header */
	tx_put(f, TX_BUFFERS, data);
	tx_put(f, 0, 0 | TX_DEXT | TX_TSE | (u64)1000 << 48 | (u64)54 << 40); /* no payload announced */
	tx_put(f, TX_BUFFERS, data);
	tx_put(f, TX_BUFFERS, 60 | TX_DEXT | BIT(22) | TX_EOP); /* reserved type */
	doorbell(f);
	pass_ns(f, 100000000);
	assert_int_equal(f->frames, 0);
	assert_int_equal(rd(f, AT_TDH), rd(f, AT_TDT));
	assert_int_equal(e1000_counters(f->e)->tx_bad_descriptors, 5);
}

static void
wild_offsets_in_a_context_do_nothing(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	tx_put(f, ~0ull, 2000 | TX_DEXT | TX_TSE | (u64)1000 << 48 | (u64)54 << 40 | BIT(24) | BIT(25));
	tx_put(f, TX_BUFFERS, 2054 | TX_DATA | TX_TSE | TX_EOP | (u64)3 << 40);
	doorbell(f);
	assert_int_equal(f->frames, 2);
	assert_int_equal(f->sent[1].size, 1054);
}

static void
a_context_in_the_middle_of_a_segmented_packet_drops_it(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	tx_put(f, 0, 2000 | TX_DEXT | TX_TSE | (u64)1000 << 48 | (u64)200 << 40);
	tx_put(f, TX_BUFFERS, 100 | TX_DATA | TX_TSE);
	tx_put(f, 0, 2000 | TX_DEXT | TX_TSE | (u64)20 << 48 | (u64)20 << 40);
	tx_put(f, TX_BUFFERS, 0xfffff | TX_DATA | TX_TSE | TX_EOP);
	doorbell(f);
	pass_ns(f, 1000000);
	assert_int_equal(f->frames, 0);
	assert_int_equal(rd(f, AT_TDH), rd(f, AT_TDT));
}

static void
nothing_is_sent_without_link_bus_mastering_or_enable(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	bring_up(f);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	e1000_set_link(f->e, false);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(f->frames, 0);
	assert_int_equal(e1000_counters(f->e)->tx_dropped, 1);
	assert_int_equal(rd(f, AT_TDH), 1);
	e1000_set_link(f->e, true);
	pass_ns(f, 50000000);
	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(rd(f, AT_TDH), 1);
	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(f->frames, 1);
	wr(f, AT_TCTL, 0);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(f->frames, 1);
	wr(f, AT_TCTL, 0x0003f0fa);
	assert_int_equal(f->frames, 2);
}

static void
descriptors_running_low_interrupt(void **state)
{
	struct fixture *f = *state;
	u8 frame[60];

	bring_up(f);
	fill_frame(frame, sizeof(frame), peer, station, 0x1234);
	wr(f, AT_TXDCTL, 1u << 25); /* below 8 */
	for (unsigned i = 0; i < 9; i++)
		put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_true(rd(f, AT_ICR) & ICR_TXD_LOW);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_false(rd(f, AT_ICR) & ICR_TXD_LOW);
}

static void
loopback_brings_frames_back(void **state)
{
	struct fixture *f = *state;
	u8 frame[100], back[100];

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, station, 0x1234);
	/* PHY loopback as in the driver's self test: power the MAC's link down too. */
	wr(f, AT_MDIC, 1u << 21 | 0u << 16 | 1u << 26 | 0x4140);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(f->frames, 0);
	assert_int_equal(rx_status(f, 0) & 3, 3);
	dma_read(f->memory, RX_BUFFERS, back, sizeof(back));
	assert_memory_equal(back, frame, sizeof(frame));
	/* MAC loopback */
	wr(f, AT_MDIC, 1u << 21 | 0u << 16 | 1u << 26 | 0x1140);
	wr(f, AT_RCTL, rd(f, AT_RCTL) | 0x40);
	put_legacy(f, frame, sizeof(frame), TX_EOP);
	doorbell(f);
	assert_int_equal(f->frames, 0);
	assert_int_equal(rx_status(f, 1) & 3, 3);
	assert_false(receive(f, frame, sizeof(frame)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_legacy_descriptor_sends_its_frame_and_is_written_back),
		TEST(without_report_status_nothing_is_written_back),
		TEST(a_frame_may_lie_in_several_buffers),
		TEST(short_frames_are_padded_when_asked),
		TEST(legacy_checksum_covers_start_to_end),
		TEST(legacy_checksum_outside_of_the_frame_is_ignored),
		TEST(context_checksums_are_right_for_tcp_and_udp_over_v4_and_v6),
		TEST(a_udp_checksum_of_zero_is_sent_as_ones),
		TEST(segmentation_cuts_headers_and_payload_right),
		TEST(headers_may_come_in_pieces),
		TEST(both_contexts_are_remembered),
		TEST(vlan_tags_are_inserted_only_in_vlan_mode),
		TEST(segments_are_tagged_each),
		TEST(transmit_delay_timers_hold_the_interrupt_back),
		TEST(the_fifo_drains_at_line_rate),
		TEST(a_ring_of_nothing_is_worked_off_in_slices),
		TEST(head_or_tail_outside_of_the_ring_stops_it),
		TEST(too_long_a_frame_is_dropped_and_counted),
		TEST(hostile_segmentation_contexts_are_dropped_and_counted),
		TEST(wild_offsets_in_a_context_do_nothing),
		TEST(a_context_in_the_middle_of_a_segmented_packet_drops_it),
		TEST(nothing_is_sent_without_link_bus_mastering_or_enable),
		TEST(descriptors_running_low_interrupt),
		TEST(loopback_brings_frames_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
