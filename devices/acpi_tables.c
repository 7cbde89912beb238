/*
 * The ACPI tables of the board, made from what the chips' headers say.
 *
 * Source: ACPI 6.4, "ACPI Software Programming Model" (tables, 5.2), "Configuration" (resources); IA-PC HPET
 * Specification, "ACPI 2.0 HPET Description Table". Not described: DMA controllers, PIT, PIC, speaker (which software
 * finds without), thermal zones, batteries.
 */
#include "devices/acpi_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "bus/memory.h"
#include "devices/acpi_pm.h"
#include "devices/aml.h"
#include "devices/hpet.h"
#include "devices/ioapic.h"

#define LOCAL_APIC_BASE 0xfee00000u
#define RSDP_SIZE 36
#define SCI 9

static void
fix_checksum(u8 *table, u32 size, unsigned at)
{
	u8 sum = 0;

	table[at] = 0;
	for (u32 i = 0; i < size; i++)
		sum += table[i];
	table[at] = (u8)-sum;
}

/* A table in the making; returns where it begins. */
static u32
begin(struct aml *a, const char *signature, u8 revision)
{
	static const u8 zeros[64];
	u32 at;

	aml_bytes(a, zeros, -a->size & 63);
	at = a->size;
	aml_bytes(a, signature, 4);
	aml_number(a, 0, 4); /* length, by end() */
	aml_number(a, revision, 1);
	aml_number(a, 0, 1); /* checksum, by end() */
	aml_bytes(a, "NESTBX", 6);
	aml_bytes(a, "NESTBOX ", 8);
	aml_number(a, 1, 4);
	aml_bytes(a, "NBOX", 4);
	aml_number(a, 1, 4);
	return at;
}

static void
end(struct aml *a, u32 at)
{
	u32 size = a->size - at;

	memcpy(a->bytes + at + 4, &size, 4);
	fix_checksum(a->bytes + at, size, 9);
}

/* Generic address structure. */
static void
gas(struct aml *a, u8 space, u8 bits, u64 address)
{
	aml_number(a, space, 1);
	aml_number(a, bits, 1);
	aml_number(a, 0, 1);
	aml_number(a, 0, 1);
	aml_number(a, address, 8);
}

#define GAS_MEMORY 0
#define GAS_IO 1

static u32
facs(struct aml *a)
{
	u8 zeros[64] = {0};
	u32 at;

	aml_bytes(a, zeros, -a->size & 63);
	at = a->size;
	aml_bytes(a, "FACS", 4);
	aml_number(a, 64, 4);
	aml_bytes(a, zeros, 24);
	aml_number(a, 1, 1); /* version */
	aml_bytes(a, zeros, 31);
	return at;
}

static u32
fadt(struct aml *a, const struct acpi_board *board, u64 facs_address, u64 dsdt_address)
{
	u32 at = begin(a, "FACP", 3);

	aml_number(a, facs_address, 4);
	aml_number(a, dsdt_address, 4);
	aml_number(a, 0, 1);
	aml_number(a, 0, 1); /* preferred profile: unspecified */
	aml_number(a, SCI, 2);
	aml_number(a, ACPI_SMI_COMMAND, 4);
	aml_number(a, ACPI_ENABLE_VALUE, 1);
	aml_number(a, ACPI_DISABLE_VALUE, 1);
	aml_number(a, 0, 2);                /* S4BIOS_REQ, PSTATE_CNT */
	aml_number(a, board->pm_base, 8);     /* PM1a_EVT_BLK; no PM1b */
	aml_number(a, board->pm_base + 4, 8); /* PM1a_CNT_BLK; no PM1b */
	aml_number(a, 0, 4);                  /* PM2_CNT_BLK */
	aml_number(a, board->pm_base + ACPI_PM_TIMER, 4);
	aml_number(a, board->pm_base + ACPI_PM_GPE0, 8); /* GPE0_BLK; no GPE1 */
	aml_number(a, 4, 1);                           /* lengths: PM1_EVT, */
	aml_number(a, 2, 1);                           /* PM1_CNT, */
	aml_number(a, 0, 1);                           /* PM2_CNT, */
	aml_number(a, 4, 1);                           /* PM_TMR, */
	aml_number(a, 4, 2);                           /* GPE0, GPE1 */
	aml_number(a, 0, 2);                           /* GPE1_BASE, CST_CNT */
	aml_number(a, 0x0fff, 2);                      /* P_LVL2_LAT, P_LVL3_LAT: no C2, C3 */
	aml_number(a, 0x0fff, 2);
	aml_number(a, 0, 4);      /* FLUSH_SIZE, FLUSH_STRIDE */
	aml_number(a, 0, 2);      /* DUTY_OFFSET, DUTY_WIDTH */
	aml_number(a, 0, 2);      /* DAY_ALRM, MON_ALRM */
	aml_number(a, 0x32, 1);   /* CENTURY */
	aml_number(a, board->vga ? 0x0003 : 0x0007, 2); /* legacy devices, 8042, no VGA */
	aml_number(a, 0, 1);
	/* WBINVD, C1 on all processors, no fixed sleep button, reset register. The power button is a fixed one. */
	aml_number(a, BIT(0) | BIT(2) | BIT(5) | BIT(10), 4);
	gas(a, GAS_IO, 8, 0xcf9);
	aml_number(a, 0x06, 1); /* RESET_VALUE */
	aml_number(a, 0, 3);
	aml_number(a, 0, 8); /* X_FIRMWARE_CTRL: the FACS lies below 4 GiB */
	aml_number(a, dsdt_address, 8);
	gas(a, GAS_IO, 32, board->pm_base);
	gas(a, 0, 0, 0);
	gas(a, GAS_IO, 16, board->pm_base + 4);
	gas(a, 0, 0, 0);
	gas(a, 0, 0, 0);
	gas(a, GAS_IO, 32, board->pm_base + ACPI_PM_TIMER);
	gas(a, GAS_IO, 32, board->pm_base + ACPI_PM_GPE0);
	gas(a, 0, 0, 0);
	end(a, at);
	assert(a->size - at == 244);
	return at;
}

static void
madt_override(struct aml *a, u8 source, u32 input, u16 flags)
{
	aml_number(a, 2 | 10 << 8, 2);
	aml_number(a, 0, 1); /* ISA */
	aml_number(a, source, 1);
	aml_number(a, input, 4);
	aml_number(a, flags, 2);
}

static u32
madt(struct aml *a, const struct acpi_board *board)
{
	static const u8 level[] = {5, 9, 10, 11}; /* SCI and what PCI may use */
	bool x2apic = false;
	u32 at = begin(a, "APIC", 3);

	aml_number(a, LOCAL_APIC_BASE, 4);
	aml_number(a, 1, 4); /* a PIC pair, too */
	for (unsigned id = 0; id < board->cpus; id++) {
		if (id < 255) {
			aml_number(a, 0 | 8 << 8, 2);
			aml_number(a, id, 1); /* processor UID */
			aml_number(a, id, 1);
			aml_number(a, 1, 4); /* enabled */
		} else {
			x2apic = true;
			aml_number(a, 9 | 16 << 8, 4);
			aml_number(a, id, 4);
			aml_number(a, 1, 4);
			aml_number(a, id, 4);
		}
	}
	aml_number(a, 1 | 12 << 8, 2);
	aml_number(a, 0, 2); /* ID 0 */
	aml_number(a, IOAPIC_BASE, 4);
	aml_number(a, 0, 4); /* input 0 is global interrupt 0 */
	madt_override(a, 0, 2, 0);
	for (unsigned i = 0; i < COUNT(level); i++)
		madt_override(a, level[i], level[i], 0x0d); /* level, active high */
	aml_number(a, 4 | 6 << 8, 2);                       /* NMI at LINT1 of all processors */
	aml_number(a, 0xff, 1);
	aml_number(a, 0, 2);
	aml_number(a, 1, 1);
	if (x2apic) {
		aml_number(a, 10 | 12 << 8, 2);
		aml_number(a, 0, 2);
		aml_number(a, 0xffffffff, 4);
		aml_number(a, 1, 1);
		aml_number(a, 0, 3);
	}
	end(a, at);
	return at;
}

static u32
hpet(struct aml *a)
{
	u32 at = begin(a, "HPET", 1);

	aml_number(a, HPET_CAPABILITIES, 4);
	gas(a, GAS_MEMORY, 64, HPET_BASE);
	aml_number(a, 0, 1);   /* number */
	aml_number(a, HPET_LEAST_PERIOD, 2);
	aml_number(a, 0, 1);   /* no page protection */
	end(a, at);
	return at;
}

/* One PCI interrupt link: which ISA interrupt PIRQ `n` goes to, in a register of the PIIX3. */
static void
link_device(struct aml *a, unsigned n)
{
	static const u32 possible[] = {5, 10, 11}, none[] = {0};
	char name[] = "LNKA", reg[] = "\\_SB.PCI0.ISA.PRQ0";

	name[3] = (char)('A' + n);
	reg[strlen(reg) - 1] = (char)('0' + n);
	aml_open_device(a, name);
	aml_define_eisa_id(a, "_HID", "PNP0C0F");
	aml_define_integer(a, "_UID", n + 1);
	aml_define(a, "_PRS");
	aml_open_resources(a);
	aml_interrupts(a, possible, COUNT(possible));
	aml_close_resources(a);

	/* Bit 7 of the register is "not routed". */
	aml_open_method(a, "_STA", 0);
	aml_open_if_less(a, reg, 0x80);
	aml_op(a, AML_RETURN);
	aml_integer(a, 0x0b);
	aml_close(a);
	aml_op(a, AML_RETURN);
	aml_integer(a, 0x09);
	aml_close(a);

	aml_open_method(a, "_DIS", 0);
	aml_op(a, AML_OR);
	aml_name(a, reg);
	aml_integer(a, 0x80);
	aml_name(a, reg);
	aml_close(a);

	aml_open_method(a, "_CRS", 0);
	aml_define(a, "BUF");
	aml_open_resources(a);
	aml_interrupts(a, none, 1);
	aml_close_resources(a);
	aml_op(a, AML_CREATE_DWORD_FIELD);
	aml_name(a, "BUF");
	aml_integer(a, 5);
	aml_name(a, "IRQN");
	aml_open_if_less(a, reg, 0x80);
	aml_op(a, AML_STORE);
	aml_name(a, reg);
	aml_name(a, "IRQN");
	aml_close(a);
	aml_op(a, AML_RETURN);
	aml_name(a, "BUF");
	aml_close(a);

	aml_open_method(a, "_SRS", 1);
	aml_op(a, AML_CREATE_DWORD_FIELD);
	aml_op(a, AML_ARG0);
	aml_integer(a, 5);
	aml_name(a, "IRQN");
	aml_op(a, AML_STORE);
	aml_name(a, "IRQN");
	aml_name(a, reg);
	aml_close(a);
	aml_close(a);
}

/* {address, pin, link, 0} for INTA#..INTD# of every slot, turned as pci.c turns them. */
static void
routing(struct aml *a)
{
	aml_define(a, "_PRT");
	aml_open_package(a, 31 * 4);
	for (unsigned slot = 1; slot < 32; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			char name[] = "LNKA";

			name[3] = (char)('A' + ((slot + pin - 1) & 3));
			aml_open_package(a, 4);
			aml_integer(a, (u64)slot << 16 | 0xffff);
			aml_integer(a, pin);
			aml_name(a, name);
			aml_integer(a, 0);
			aml_close(a);
		}
	}
	aml_close(a);
}

static void
host_bridge_resources(struct aml *a, const struct acpi_board *board)
{
	aml_define(a, "_CRS");
	aml_open_resources(a);
	aml_bus_window(a, 0x00, 0xff);
	aml_io(a, 0xcf8, 8);
	aml_io_window(a, 0x0000, 0x0cf7);
	aml_io_window(a, 0x0d00, 0xffff);
	aml_memory_window(a, 0x000a0000, 0x000bffff);
	aml_memory_window(a, board->pci_start, (u32)IOAPIC_BASE - 1);
	if (board->pci64_start)
		aml_memory64_window(a, board->pci64_start, board->pci64_end);
	aml_close_resources(a);
}

static void
isa_device(struct aml *a, const char *name, const char *id, unsigned uid, u16 port, u16 ports, u16 port2, int irq)
{
	aml_open_device(a, name);
	aml_define_eisa_id(a, "_HID", id);
	if (uid)
		aml_define_integer(a, "_UID", uid);
	aml_define_integer(a, "_STA", 0x0f);
	aml_define(a, "_CRS");
	aml_open_resources(a);
	if (ports)
		aml_io(a, port, ports);
	if (port2)
		aml_io(a, port2, ports);
	if (irq >= 0)
		aml_irq(a, (unsigned)irq);
	aml_close_resources(a);
	aml_close(a);
}

/* Ports of the board that no driver claims by another device. */
static void
board_resources(struct aml *a, const struct acpi_board *board)
{
	aml_open_device(a, "MBRD");
	aml_define_eisa_id(a, "_HID", "PNP0C02");
	aml_define_integer(a, "_UID", 1);
	aml_define(a, "_CRS");
	aml_open_resources(a);
	aml_io(a, 0x92, 1);
	aml_io(a, ACPI_SMI_COMMAND, 2);
	aml_io(a, 0x4d0, 2);
	aml_io(a, 0x510, 12);
	aml_io(a, board->pm_base, 64);
	aml_close_resources(a);
	aml_close(a);
}

static void
isa_bridge(struct aml *a, const struct acpi_board *board)
{
	static const char *const registers[4] = {"PRQ0", "PRQ1", "PRQ2", "PRQ3"};
	static const u16 com_port[4] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	static const u8 com_irq[4] = {4, 3, 4, 3};

	aml_open_device(a, "ISA");
	aml_define_integer(a, "_ADR", 1 << 16);
	aml_region(a, "PIRQ", AML_PCI_CONFIG, 0x60, 4);
	aml_byte_fields(a, "PIRQ", registers, COUNT(registers));
	isa_device(a, "RTC", "PNP0B00", 0, 0x70, 2, 0, 8);
	isa_device(a, "KBD", "PNP0303", 0, 0x60, 1, 0x64, 1);
	isa_device(a, "MOU", "PNP0F13", 0, 0, 0, 0, 12);
	for (unsigned i = 0; i < 4; i++) {
		char name[] = "COM1";

		name[3] = (char)('1' + i);
		if (board->serial[i])
			isa_device(a, name, "PNP0501", i + 1, com_port[i], 8, 0, com_irq[i]);
	}
	board_resources(a, board);
	aml_close(a);
}

static void
sleep_state(struct aml *a, const char *name, u8 type)
{
	aml_define(a, name);
	aml_open_package(a, 4);
	aml_integer(a, type);
	aml_integer(a, type);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_close(a);
}

static u32
dsdt(struct aml *a, const struct acpi_board *board)
{
	u32 at = begin(a, "DSDT", 2);

	if (board->s3)
		sleep_state(a, "\\_S3", ACPI_S3_TYPE);
	sleep_state(a, "\\_S5", ACPI_S5_TYPE);
	aml_open_scope(a, "\\_SB");
	aml_open_device(a, "PCI0");
	aml_define_eisa_id(a, "_HID", "PNP0A03");
	aml_define_integer(a, "_UID", 0);
	aml_define_integer(a, "_BBN", 0);
	host_bridge_resources(a, board);
	routing(a);
	isa_bridge(a, board);
	aml_close(a);
	for (unsigned n = 0; n < 4; n++)
		link_device(a, n);

	aml_open_device(a, "HPET");
	aml_define_eisa_id(a, "_HID", "PNP0103");
	aml_define_integer(a, "_UID", 0);
	aml_define(a, "_CRS");
	aml_open_resources(a);
	aml_memory32(a, (u32)HPET_BASE, 0x400, true);
	aml_close_resources(a);
	aml_close(a);

	for (unsigned id = 0; id < board->cpus; id++) {
		char name[5];

		snprintf(name, sizeof(name), "C%03X", id & 0xfff);
		aml_open_device(a, name);
		aml_define(a, "_HID");
		aml_string(a, "ACPI0007");
		aml_define_integer(a, "_UID", id);
		aml_close(a);
	}
	aml_close(a);
	assert(a->depth == 0);
	end(a, at);
	return at;
}

static u32
root_table(struct aml *a, const char *signature, unsigned size, u64 base, const u32 *tables, unsigned count)
{
	u32 at = begin(a, signature, 1);

	for (unsigned i = 0; i < count; i++)
		aml_number(a, base + tables[i], size);
	end(a, at);
	return at;
}

u8 *
acpi_tables_build(const struct acpi_board *board, u64 base, u32 *size, u32 *facs_offset)
{
	struct aml a = {0};
	u8 zeros[RSDP_SIZE] = {0}, *rsdp;
	u32 facs_at, dsdt_at, table[3], rsdt, xsdt;
	u64 xsdt_address;

	aml_bytes(&a, zeros, RSDP_SIZE);
	facs_at = facs(&a);
	dsdt_at = dsdt(&a, board);
	table[0] = fadt(&a, board, base + facs_at, base + dsdt_at);
	table[1] = madt(&a, board);
	table[2] = hpet(&a);
	rsdt = root_table(&a, "RSDT", 4, base, table, COUNT(table));
	xsdt = root_table(&a, "XSDT", 8, base, table, COUNT(table));

	rsdp = a.bytes;
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "NESTBX", 6);
	rsdp[15] = 2; /* revision */
	rsdt += (u32)base;
	memcpy(rsdp + 16, &rsdt, 4);
	rsdp[20] = RSDP_SIZE;
	xsdt_address = base + xsdt;
	memcpy(rsdp + 24, &xsdt_address, 8);
	fix_checksum(rsdp, 20, 8);
	fix_checksum(rsdp, RSDP_SIZE, 32);

	assert(a.size <= ACPI_TABLES_LIMIT);
	*size = a.size;
	if (facs_offset)
		*facs_offset = facs_at;
	return a.bytes;
}

u64
acpi_tables_install(struct memory *memory, const struct acpi_board *board)
{
	u32 size, facs_offset;
	u8 *tables = acpi_tables_build(board, ACPI_TABLES_BASE, &size, &facs_offset);

	dma_write(memory, ACPI_TABLES_BASE, tables, size);
	free(tables);
	return ACPI_TABLES_BASE + facs_offset;
}
