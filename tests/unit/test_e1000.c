/* The e1000's register file, resets, EEPROM, PHY, interrupts, statistics. */
#include "e1000_fixture.h"

/* ---- Registers ---- */

struct row {
	const char *name;
	u32 offset, alias, count, stride, reset, writable;
	bool plain;
};

/* Hooks of other files are named in the table: only whether there is one matters here. */
#define IS_NULL(text) (sizeof(text) == sizeof("NULL") && (text)[0] == 'N')
static const struct row rows[] = {
#define REG(name, offset, alias, count, stride, reset, writable, read, write)                                          \
	{#name, offset, alias, count, stride, reset, writable, IS_NULL(#read) && IS_NULL(#write)},
#include "devices/e1000_regs.def"
};

static void
every_plain_register_keeps_exactly_its_writable_bits(void **state)
{
	static const u32 pattern[] = {0x5a5a5a5a, 0xa5a5a5a5, 0x00000000, 0xffffffff};
	struct fixture *f = *state;
	unsigned checked = 0;

	for (unsigned i = 0; i < COUNT(rows); i++) {
		const struct row *r = &rows[i];
		if (!r->plain)
			continue;
		for (unsigned k = 0; k < r->count; k++) {
			u32 at = r->offset + k * r->stride, fixed = r->reset & ~r->writable;
			for (unsigned p = 0; p < COUNT(pattern); p++) {
				wr(f, at, pattern[p]);
				if (rd(f, at) != ((pattern[p] & r->writable) | fixed))
					fail_msg("%s[%u]: wrote %08x, read %08x", r->name, k, pattern[p], rd(f, at));
			}
			checked++;
		}
	}
	assert_true(checked > 500);
}

static void
an_alias_is_the_same_register(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < COUNT(rows); i++) {
		const struct row *r = &rows[i];
		if (!r->alias || !r->plain)
			continue;
		for (unsigned k = 0; k < r->count; k++) {
			wr(f, r->alias + k * r->stride, 0x13579bdf + k);
			if (rd(f, r->offset + k * r->stride) != ((0x13579bdf + k) & r->writable))
				fail_msg("%s[%u]", r->name, k);
		}
	}
	wr(f, 0x00040 + 4 * 4, 0x11223344); /* RA[4] */
	assert_int_equal(rd(f, AT_RA + 4 * 4), 0x11223344);
}

static void
no_two_rows_overlap(void **state)
{
	static u8 seen[E1000_REGISTER_SPACE / 4];

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < COUNT(rows); i++)
		for (unsigned k = 0; k < rows[i].count; k++) {
			u32 at[2] = {rows[i].offset, rows[i].alias};
			for (unsigned a = 0; a < 2; a++)
				if (at[a] && seen[(at[a] + k * rows[i].stride) / 4]++)
					fail_msg("%s[%u] at 0x%x", rows[i].name, k, at[a]);
		}
}

/* The pattern test of "ethtool -t" in Linux's driver: masks and the values written are the driver's. */
static void
linux_register_test_passes(void **state)
{
	static const struct {
		u32 offset, mask, write;
	} test[] = {
		{AT_FCAL, 0xffffffff, 0xffffffff},  {AT_FCAH, 0x0000ffff, 0xffffffff},
		{AT_FCT, 0x0000ffff, 0xffffffff},   {AT_VET, 0x0000ffff, 0xffffffff},
		{AT_RDTR, 0x0000ffff, 0xffffffff},  {AT_RDBAH, 0xffffffff, 0xffffffff},
		{AT_RDLEN, 0x000fff80, 0x000fffff}, {AT_RDH, 0x0000ffff, 0x0000ffff},
		{AT_RDT, 0x0000ffff, 0x0000ffff},   {AT_FCRTH, 0x0000fff8, 0x0000fff8},
		{AT_FCTTV, 0x0000ffff, 0x0000ffff}, {AT_TIPG, 0x3fffffff, 0x3fffffff},
		{AT_TDBAH, 0xffffffff, 0xffffffff}, {AT_TDLEN, 0x000fff80, 0x000fffff},
		{AT_RDBAL, 0xfffffff0, 0xffffffff}, {AT_TXCW, 0xc000ffff, 0x0000ffff},
		{AT_TDBAL, 0xfffffff0, 0xffffffff}, {AT_TIDV, 0x0000ffff, 0x0000ffff},
	};
	static const u32 pattern[] = {0x5a5a5a5a, 0xa5a5a5a5, 0x00000000, 0xffffffff};
	struct fixture *f = *state;
	u32 before = rd(f, AT_STATUS) & 0xfffff833;

	wr(f, AT_STATUS, 0xfffff833);
	assert_int_equal(rd(f, AT_STATUS) & 0xfffff833, before);
	for (unsigned i = 0; i < COUNT(test); i++)
		for (unsigned p = 0; p < COUNT(pattern); p++) {
			wr(f, test[i].offset, test[i].write & pattern[p]);
			if (rd(f, test[i].offset) != (test[i].write & pattern[p] & test[i].mask))
				fail_msg("register 0x%05x: %08x", test[i].offset, rd(f, test[i].offset));
		}
	wr(f, AT_RCTL, 0xffffffff);
	wr(f, AT_RCTL, 0x06dfb3fe);
	assert_int_equal(rd(f, AT_RCTL), 0x06dfb3fe);
	wr(f, AT_TCTL, 0xffffffff);
	for (unsigned i = 0; i < 16; i++)
		for (unsigned p = 0; p < COUNT(pattern); p++) {
			wr(f, AT_RA + i * 8 + 4, pattern[p]);
			assert_int_equal(rd(f, AT_RA + i * 8 + 4), pattern[p] & 0x8003ffff);
		}
}

static void
offsets_without_a_register_read_zero_and_are_counted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, 0x0000c), 0);
	wr(f, 0x0000c, 1);
	assert_int_equal(rd(f, 0x0ffff & ~3), 0);
	assert_int_equal(e1000_counters(f->e)->unknown_reads, 2);
	assert_int_equal(e1000_counters(f->e)->unknown_writes, 1);
}

static void
narrow_reads_take_lanes_and_narrow_writes_do_nothing(void **state)
{
	struct fixture *f = *state;

	wr(f, AT_FCAL, 0x11223344);
	assert_int_equal(memory_read(f->memory, BAR_MEMORY + AT_FCAL + 1, 1), 0x33);
	assert_int_equal(memory_read(f->memory, BAR_MEMORY + AT_FCAL + 2, 2), 0x1122);
	memory_write(f->memory, BAR_MEMORY + AT_FCAL, 1, 0xff);
	memory_write(f->memory, BAR_MEMORY + AT_FCAL, 2, 0xffff);
	assert_int_equal(rd(f, AT_FCAL), 0x11223344);
	memory_write(f->memory, BAR_MEMORY + AT_RDBAL, 8, 0x00000001fffffff0);
	assert_int_equal(rd(f, AT_RDBAH), 1);
	assert_true(memory_read(f->memory, BAR_MEMORY + AT_RDBAL, 8) == 0x00000001fffffff0);
}

static void
packet_buffer_memory_can_be_read_and_written(void **state)
{
	struct fixture *f = *state;

	wr(f, 0x10000, 1);
	wr(f, 0x1fffc, 2);
	assert_int_equal(rd(f, 0x10000), 1);
	assert_int_equal(rd(f, 0x1fffc), 2);
}

static void
registers_are_reached_through_the_io_window(void **state)
{
	struct fixture *f = *state;

	ports_write(f->ports, BAR_PORT, 4, AT_FCAL);
	ports_write(f->ports, BAR_PORT + 4, 4, 0xcafe1234);
	assert_int_equal(rd(f, AT_FCAL), 0xcafe1234);
	assert_int_equal(ports_read(f->ports, BAR_PORT, 4), AT_FCAL);
	assert_int_equal(ports_read(f->ports, BAR_PORT + 4, 4), 0xcafe1234);
	ports_write(f->ports, BAR_PORT, 4, 0xffffffff);
	ports_write(f->ports, BAR_PORT + 4, 4, 1);
	assert_int_equal(ports_read(f->ports, BAR_PORT + 4, 4), 0);
}

static void
pba_gives_transmit_what_receive_leaves(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, AT_PBA), 0x00100030);
	wr(f, AT_PBA, 0xffff0028);
	assert_int_equal(rd(f, AT_PBA), 0x00180028);
}

/* ---- Resets ---- */

static void
device_reset_through_io_clears_everything_but_the_phy(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	wr(f, AT_IMS, 4);
	wr(f, AT_ICS, 4);
	wr(f, AT_MTA, 0xffffffff);
	wr(f, AT_RA, 0);
	assert_int_equal(f->irq, 1);
	/* Linux resets the 82540 through the I/O window. */
	ports_write(f->ports, BAR_PORT, 4, AT_CTRL);
	ports_write(f->ports, BAR_PORT + 4, 4, rd(f, AT_CTRL) | (u32)CTRL_RST);
	assert_int_equal(f->irq, 0);
	assert_int_equal(rd(f, AT_CTRL) & CTRL_RST, 0);
	for (unsigned i = 0; i < COUNT(rows); i++)
		if (rows[i].plain && rd(f, rows[i].offset) != rows[i].reset && rows[i].offset != AT_RA)
			fail_msg("%s is %08x after reset", rows[i].name, rd(f, rows[i].offset));
	assert_int_equal(
		rd(f, AT_RCTL) | rd(f, AT_TCTL) | rd(f, AT_RDT) | rd(f, AT_TDT) | rd(f, AT_IMS) | rd(f, AT_ICR), 0);
	assert_int_equal(rd(f, AT_RA), 0x12005452);
	assert_int_equal(rd(f, AT_RA + 4), 0x80005634);
	assert_true(rd(f, AT_STATUS) & STATUS_LU);
}

static void
bus_reset_restarts_negotiation(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	pci_bus_reset(&f->bus);
	assert_int_equal(pci_config_read(&f->bus, SLOT, PCI_COMMAND, 2), 0);
	pci_config_write(&f->bus, SLOT, PCI_BAR0, 4, BAR_MEMORY);
	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_false(rd(f, AT_STATUS) & STATUS_LU);
	pass_ns(f, 50000000);
	assert_true(rd(f, AT_STATUS) & STATUS_LU);
}

static void
leaving_d3_resets_the_device(void **state)
{
	struct fixture *f = *state;

	wr(f, AT_FCAL, 5);
	pci_config_write(&f->bus, SLOT, 0xe0, 2, 3);
	assert_int_equal(pci_config_read(&f->bus, SLOT, 0xe0, 2), 3);
	assert_int_equal(rd(f, AT_FCAL), 5);
	pci_config_write(&f->bus, SLOT, 0xe0, 2, 0);
	assert_int_equal(rd(f, AT_FCAL), 0);
}

static void
configuration_space_is_that_of_an_82540em(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pci_config_read(&f->bus, SLOT, 0, 4), 0x100e8086);
	assert_int_equal(pci_config_read(&f->bus, SLOT, 8, 4) >> 8, 0x020000);
	assert_int_equal(pci_config_read(&f->bus, SLOT, PCI_INTERRUPT_PIN, 1), 1);
	pci_config_write(&f->bus, SLOT, PCI_BAR0, 4, 0xffffffff);
	assert_int_equal(pci_config_read(&f->bus, SLOT, PCI_BAR0, 4), 0xfffe0000);
	pci_config_write(&f->bus, SLOT, PCI_BAR0 + 8, 4, 0xffffffff);
	assert_int_equal(pci_config_read(&f->bus, SLOT, PCI_BAR0 + 8, 4), 0xffffffc1);
}

/* ---- EEPROM ---- */

static u16
eerd(struct fixture *f, u32 word)
{
	wr(f, AT_EERD, word << 8 | 1);
	assert_true(rd(f, AT_EERD) & 0x10);
	return (u16)(rd(f, AT_EERD) >> 16);
}

static void
eeprom_has_address_identifiers_and_checksum(void **state)
{
	struct fixture *f = *state;
	u16 sum = 0;

	for (u32 i = 0; i < 64; i++)
		sum = (u16)(sum + eerd(f, i));
	assert_int_equal(sum, 0xbaba);
	assert_int_equal(eerd(f, 0), 0x5452);
	assert_int_equal(eerd(f, 1), 0x1200);
	assert_int_equal(eerd(f, 2), 0x5634);
	assert_int_equal(eerd(f, 0xd), 0x100e);
	assert_int_equal(eerd(f, 0xe), 0x8086);
	assert_int_equal(eerd(f, 64), 0xffff);
}

#define SK 1u
#define CS 2u
#define DI 4u
#define DO 8u
#define REQ 0x40u
#define GNT 0x80u

static void
clock_out(struct fixture *f, u32 bits, unsigned count)
{
	while (count--) {
		u32 di = bits >> count & 1 ? DI : 0;
		wr(f, AT_EECD, REQ | CS | di);
		wr(f, AT_EECD, REQ | CS | di | SK);
		wr(f, AT_EECD, REQ | CS | di);
	}
}

static u16
clock_in(struct fixture *f, unsigned count)
{
	u32 value = 0;

	while (count--) {
		wr(f, AT_EECD, REQ | CS | SK);
		value = value << 1 | !!(rd(f, AT_EECD) & DO);
		wr(f, AT_EECD, REQ | CS);
	}
	return (u16)value;
}

static void
deselect(struct fixture *f)
{
	wr(f, AT_EECD, REQ);
	wr(f, AT_EECD, REQ | SK);
	wr(f, AT_EECD, REQ);
	wr(f, AT_EECD, REQ | CS);
}

/* As Linux does it on the 82540: start bit and opcode 110, six address bits, sixteen data bits. */
static u16
microwire_read(struct fixture *f, u32 word)
{
	u16 value;

	deselect(f);
	clock_out(f, 6, 3);
	clock_out(f, word, 6);
	value = clock_in(f, 16);
	deselect(f);
	return value;
}

static void
microwire_reads_what_eerd_reads(void **state)
{
	struct fixture *f = *state;

	wr(f, AT_EECD, REQ);
	assert_true(rd(f, AT_EECD) & GNT);
	for (u32 i = 0; i < 64; i++)
		assert_int_equal(microwire_read(f, i), eerd(f, i));
	wr(f, AT_EECD, 0);
	assert_false(rd(f, AT_EECD) & GNT);
	assert_true(rd(f, AT_EECD) & 0x100);  /* present */
	assert_false(rd(f, AT_EECD) & 0x200); /* 64 words */
}

static void
microwire_goes_on_to_the_next_word(void **state)
{
	struct fixture *f = *state;

	deselect(f);
	clock_out(f, 6, 3);
	clock_out(f, 63, 6);
	assert_false(rd(f, AT_EECD) & DO); /* the dummy bit */
	clock_in(f, 16);
	assert_int_equal(clock_in(f, 16), 0x5452);
}

static void
microwire_programs_only_when_enabled(void **state)
{
	struct fixture *f = *state;
	u16 before = eerd(f, 0x20);

	deselect(f);
	clock_out(f, 5, 3); /* WRITE */
	clock_out(f, 0x20, 6);
	clock_out(f, 0x1234, 16);
	deselect(f);
	assert_int_equal(eerd(f, 0x20), before);
	clock_out(f, 4, 3); /* EWEN */
	clock_out(f, 0x30, 6);
	deselect(f);
	clock_out(f, 5, 3);
	clock_out(f, 0x20, 6);
	clock_out(f, 0x1234, 16);
	deselect(f);
	assert_true(rd(f, AT_EECD) & DO); /* ready */
	assert_int_equal(eerd(f, 0x20), 0x1234);
	clock_out(f, 7, 3); /* ERASE */
	clock_out(f, 0x20, 6);
	deselect(f);
	assert_int_equal(eerd(f, 0x20), 0xffff);
	clock_out(f, 4, 3); /* EWDS */
	clock_out(f, 0x00, 6);
	deselect(f);
	clock_out(f, 5, 3);
	clock_out(f, 0x20, 6);
	clock_out(f, 0x4321, 16);
	deselect(f);
	assert_int_equal(eerd(f, 0x20), 0xffff);
}

static void
a_new_address_in_the_eeprom_is_loaded_by_reset(void **state)
{
	struct fixture *f = *state;

	deselect(f);
	clock_out(f, 4, 3);
	clock_out(f, 0x30, 6);
	deselect(f);
	clock_out(f, 5, 3);
	clock_out(f, 0, 6);
	clock_out(f, 0xbbaa, 16);
	deselect(f);
	wr(f, AT_CTRL, (u32)CTRL_RST);
	assert_int_equal(rd(f, AT_RA), 0x1200bbaa);
}

/* ---- PHY and link ---- */

static u16
phy_get(struct fixture *f, u32 reg)
{
	wr(f, AT_MDIC, 1u << 21 | reg << 16 | 2u << 26);
	assert_true(rd(f, AT_MDIC) & 1u << 28);
	assert_false(rd(f, AT_MDIC) & 1u << 30);
	return (u16)rd(f, AT_MDIC);
}

static void
phy_set(struct fixture *f, u32 reg, u16 value)
{
	wr(f, AT_MDIC, 1u << 21 | reg << 16 | 1u << 26 | value);
}

static void
phy_is_the_one_that_drivers_know(void **state)
{
	struct fixture *f = *state;

	assert_int_equal((u32)phy_get(f, 2) << 16 | (phy_get(f, 3) & 0xfff0), 0x01410c20);
	assert_int_equal(phy_get(f, 15) & 0x3000, 0x3000);
}

static void
another_phy_address_is_an_error(void **state)
{
	struct fixture *f = *state;

	wr(f, AT_MDIC, 2u << 21 | 2u << 16 | 2u << 26);
	assert_int_equal(rd(f, AT_MDIC) & 5u << 28, 5u << 28);
}

static void
mdic_interrupts_only_when_asked(void **state)
{
	struct fixture *f = *state;

	phy_get(f, 1);
	assert_int_equal(rd(f, AT_ICR) & ICR_MDAC, 0);
	wr(f, AT_MDIC, 1u << 21 | 1u << 16 | 2u << 26 | 1u << 29);
	assert_int_equal(rd(f, AT_ICR) & ICR_MDAC, ICR_MDAC);
}

static void
negotiation_ends_in_gigabit_full_duplex_with_an_interrupt(void **state)
{
	struct fixture *f = *state;

	pass_ns(f, 50000000);
	rd(f, AT_ICR);
	wr(f, AT_CTRL, (u32)CTRL_SLU);
	wr(f, AT_IMS, (u32)ICR_LSC);
	assert_true(rd(f, AT_STATUS) & STATUS_LU);
	phy_set(f, 0, 0x1340); /* restart */
	assert_false(rd(f, AT_STATUS) & STATUS_LU);
	assert_int_equal(phy_get(f, 1) & 0x24, 0);
	assert_int_equal(rd(f, AT_ICR), ICR_LSC);
	pass_ns(f, 50000000);
	assert_int_equal(f->irq, 1);
	assert_int_equal(rd(f, AT_ICR), ICR_LSC);
	assert_int_equal(rd(f, AT_STATUS) & 0xc3, 0x83);
	phy_get(f, 1);
	assert_int_equal(phy_get(f, 1) & 0x24, 0x24);
	assert_int_equal(phy_get(f, 17) & 0xec00, 0xac00);
	assert_int_equal(phy_get(f, 10) & 0x0c00, 0x0c00);
}

static void
link_status_in_the_phy_latches_low(void **state)
{
	struct fixture *f = *state;

	pass_ns(f, 50000000);
	phy_get(f, 1);
	assert_true(phy_get(f, 1) & 4);
	e1000_set_link(f->e, false);
	e1000_set_link(f->e, true);
	pass_ns(f, 50000000);
	assert_false(phy_get(f, 1) & 4);
	assert_true(phy_get(f, 1) & 4);
}

static void
what_is_advertised_decides_speed_and_duplex(void **state)
{
	static const struct {
		u16 advertise, gigabit;
		u32 status;
	} mode[] = {
		{0x0de1, 0x0200, 0x80 | 1}, {0x0de1, 0x0100, 0x80}, {0x0101, 0, 0x40 | 1},
		{0x0081, 0, 0x40},          {0x0041, 0, 0x00 | 1},  {0x0021, 0, 0x00},
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < COUNT(mode); i++) {
		phy_set(f, 4, mode[i].advertise);
		phy_set(f, 9, mode[i].gigabit);
		phy_set(f, 0, 0x1340);
		pass_ns(f, 50000000);
		if ((rd(f, AT_STATUS) & 0xc3) != (mode[i].status | 2))
			fail_msg("mode %u: STATUS %08x", i, rd(f, AT_STATUS));
	}
	phy_set(f, 4, 0x0001);
	phy_set(f, 9, 0);
	phy_set(f, 0, 0x1340);
	pass_ns(f, 50000000);
	assert_false(rd(f, AT_STATUS) & STATUS_LU);
}

static void
unplugging_the_cable_takes_the_link_down(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	wr(f, AT_IMS, (u32)ICR_LSC);
	e1000_set_link(f->e, false);
	assert_int_equal(f->irq, 1);
	pass_ns(f, 1000000000);
	assert_false(rd(f, AT_STATUS) & STATUS_LU);
	assert_int_equal(rd(f, AT_ICR), ICR_LSC);
	e1000_set_link(f->e, true);
	pass_ns(f, 50000000);
	assert_true(rd(f, AT_STATUS) & STATUS_LU);
	assert_int_equal(rd(f, AT_ICR), ICR_LSC);
}

static void
a_powered_down_phy_has_no_link(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	phy_set(f, 0, 0x1940);
	pass_ns(f, 1000000000);
	assert_false(rd(f, AT_STATUS) & STATUS_LU);
	phy_set(f, 0, 0x1140);
	pass_ns(f, 50000000);
	assert_true(rd(f, AT_STATUS) & STATUS_LU);
}

static void
phy_pages_are_stored_behind_the_page_select(void **state)
{
	struct fixture *f = *state;

	phy_set(f, 29, 5);
	phy_set(f, 30, 0x1111);
	phy_set(f, 29, 0xff03);
	phy_set(f, 30, 0x2222);
	phy_set(f, 29, 5);
	assert_int_equal(phy_get(f, 30), 0x1111);
}

/* ---- Interrupts ---- */

static void
causes_interrupt_only_through_the_mask_and_reading_clears_them(void **state)
{
	struct fixture *f = *state;

	rd(f, AT_ICR);
	wr(f, AT_ICS, 0x10);
	assert_int_equal(f->irq, 0);
	wr(f, AT_IMS, 0x10);
	assert_int_equal(f->irq, 1);
	assert_int_equal(rd(f, AT_IMS), 0x10);
	wr(f, AT_IMC, 0x10);
	assert_int_equal(f->irq, 0);
	assert_int_equal(rd(f, AT_ICR), 0x10);
	assert_int_equal(rd(f, AT_ICR), 0);
	wr(f, AT_IMS, 0x10);
	assert_int_equal(f->irq, 0);
	wr(f, AT_ICS, 0xffffffff);
	assert_int_equal(f->irq, 1);
	wr(f, AT_ICR, 0x10); /* writing ones clears */
	assert_int_equal(f->irq, 0);
	assert_int_equal(rd(f, AT_ICR), ICR_CAUSES & ~0x10u);
}

static void
throttle_spaces_interrupts(void **state)
{
	struct fixture *f = *state;

	rd(f, AT_ICR);
	wr(f, AT_ITR, 1000); /* 256 us */
	wr(f, AT_IMS, 0x10);
	wr(f, AT_ICS, 0x10);
	assert_int_equal(f->rises, 1);
	rd(f, AT_ICR);
	wr(f, AT_ICS, 0x10);
	assert_int_equal(f->irq, 0);
	pass_ns(f, 255999);
	assert_int_equal(f->irq, 0);
	pass_ns(f, 1);
	assert_int_equal(f->irq, 1);
	rd(f, AT_ICR);
	pass_ns(f, 256000);
	wr(f, AT_ICS, 0x10);
	assert_int_equal(f->irq, 1);
	assert_int_equal(f->rises, 3);
	assert_int_equal(e1000_counters(f->e)->interrupts, 3);
}

static void
a_throttled_cause_that_goes_away_does_not_interrupt(void **state)
{
	struct fixture *f = *state;

	rd(f, AT_ICR);
	wr(f, AT_ITR, 1000);
	wr(f, AT_IMS, 0x10);
	wr(f, AT_ICS, 0x10);
	rd(f, AT_ICR);
	wr(f, AT_ICS, 0x10);
	rd(f, AT_ICR);
	pass_ns(f, 1000000);
	assert_int_equal(f->rises, 1);
}

static void
a_shorter_throttle_takes_effect_at_once(void **state)
{
	struct fixture *f = *state;

	rd(f, AT_ICR);
	wr(f, AT_ITR, 0xffff);
	wr(f, AT_IMS, 0x10);
	wr(f, AT_ICS, 0x10);
	rd(f, AT_ICR);
	wr(f, AT_ICS, 0x10);
	wr(f, AT_ITR, 0);
	pass_ns(f, 1);
	assert_int_equal(f->rises, 2);
}

/* ---- Statistics ---- */

static void
counters_clear_when_read_and_stick_at_their_maximum(void **state)
{
	struct fixture *f = *state;

	f->e->r.GPRC[0] = UINT32_MAX - 1;
	e1000_count(f->e->r.GPRC, 1);
	e1000_count(f->e->r.GPRC, 5);
	assert_int_equal(rd(f, AT_GPRC), UINT32_MAX);
	assert_int_equal(rd(f, AT_GPRC), 0);
	e1000_count64(f->e->r.TORL, 0x1fffffff0);
	e1000_count64(f->e->r.TORL, 0x15);
	assert_int_equal(rd(f, AT_TORL), 5);
	assert_int_equal(rd(f, AT_TORH), 2);
	assert_int_equal(rd(f, AT_TORH), 0);
	assert_int_equal(rd(f, AT_TORL), 0);
	wr(f, AT_GPRC, 7);
	assert_int_equal(rd(f, AT_GPRC), 0);
}

/* ---- State ---- */

static void
visit(void *opaque, struct state *s)
{
	e1000_state(opaque, s);
}

static void
saved_state_comes_back_and_hashes_the_same(void **state)
{
	struct fixture *f = *state;
	u8 frame[60], *data;
	size_t size;
	u64 hash;

	bring_up(f);
	fill_frame(frame, sizeof(frame), station, peer, 0x1234);
	wr(f, AT_RDTR, 100);
	receive(f, frame, sizeof(frame));
	hash = state_hash(visit, f->e);
	data = state_save(visit, f->e, &size);
	pass_ns(f, 1000000);
	assert_int_equal(rd(f, AT_ICR), ICR_RXT0);
	wr(f, AT_CTRL, (u32)CTRL_RST);
	assert_true(state_hash(visit, f->e) != hash);
	assert_null(state_load(visit, f->e, data, size));
	assert_true(state_hash(visit, f->e) == hash);
	pass_ns(f, 1000000);
	assert_int_equal(rd(f, AT_ICR), ICR_RXT0);
	free(data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
the_expansion_rom_answers_where_its_bar_says(void **state)
{
	struct fixture *f = *state;
	u32 at = 0xfc100000;

	pci_config_write(&f->bus, SLOT, PCI_ROM_BAR, 4, 0xfffff800);
	assert_int_equal(pci_config_read(&f->bus, SLOT, PCI_ROM_BAR, 4), 0u - FIXTURE_ROM);
	pci_config_write(&f->bus, SLOT, PCI_ROM_BAR, 4, at);
	assert_int_equal(memory_read(f->memory, at, 2), 0xffff);
	pci_config_write(&f->bus, SLOT, PCI_ROM_BAR, 4, at | 1);
	assert_int_equal(memory_read(f->memory, at, 2), 0xaa55);
	assert_int_equal(memory_read(f->memory, at + FIXTURE_ROM - 1, 1), 0xa5);
	memory_write(f->memory, at, 2, 0);
	assert_int_equal(memory_read(f->memory, at, 2), 0xaa55);
	/* Beside the registers, not over them. */
	assert_int_equal(rd(f, AT_RA), 0x12005452);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_plain_register_keeps_exactly_its_writable_bits),
		TEST(an_alias_is_the_same_register),
		TEST(no_two_rows_overlap),
		TEST(linux_register_test_passes),
		TEST(offsets_without_a_register_read_zero_and_are_counted),
		TEST(narrow_reads_take_lanes_and_narrow_writes_do_nothing),
		TEST(packet_buffer_memory_can_be_read_and_written),
		TEST(registers_are_reached_through_the_io_window),
		TEST(pba_gives_transmit_what_receive_leaves),
		TEST(device_reset_through_io_clears_everything_but_the_phy),
		TEST(bus_reset_restarts_negotiation),
		TEST(leaving_d3_resets_the_device),
		TEST(configuration_space_is_that_of_an_82540em),
		TEST(the_expansion_rom_answers_where_its_bar_says),
		TEST(eeprom_has_address_identifiers_and_checksum),
		TEST(microwire_reads_what_eerd_reads),
		TEST(microwire_goes_on_to_the_next_word),
		TEST(microwire_programs_only_when_enabled),
		TEST(a_new_address_in_the_eeprom_is_loaded_by_reset),
		TEST(phy_is_the_one_that_drivers_know),
		TEST(another_phy_address_is_an_error),
		TEST(mdic_interrupts_only_when_asked),
		TEST(negotiation_ends_in_gigabit_full_duplex_with_an_interrupt),
		TEST(link_status_in_the_phy_latches_low),
		TEST(what_is_advertised_decides_speed_and_duplex),
		TEST(unplugging_the_cable_takes_the_link_down),
		TEST(a_powered_down_phy_has_no_link),
		TEST(phy_pages_are_stored_behind_the_page_select),
		TEST(causes_interrupt_only_through_the_mask_and_reading_clears_them),
		TEST(throttle_spaces_interrupts),
		TEST(a_throttled_cause_that_goes_away_does_not_interrupt),
		TEST(a_shorter_throttle_takes_effect_at_once),
		TEST(counters_clear_when_read_and_stick_at_their_maximum),
		TEST(saved_state_comes_back_and_hashes_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
