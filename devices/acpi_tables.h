/* The ACPI tables of the board: RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT, HPET. See acpi_tables.c. */
#ifndef NB_DEVICES_ACPI_TABLES_H
#define NB_DEVICES_ACPI_TABLES_H

#include "base/types.h"

struct memory;

#define ACPI_TABLES_BASE 0xe0000ull
#define ACPI_TABLES_LIMIT 0x20000u

/* What differs from board to board. */
struct acpi_board {
	unsigned cpus;              /* APIC IDs are 0..cpus - 1 */
	bool serial[4];             /* COM1..COM4 */
	bool vga;                   /* a display adapter is there */
	bool s3;                    /* suspend to RAM works */
	u16 pm_base;                /* the power management registers' first port */
	u32 pci_start;              /* the PCI memory window below 4 GiB, up to the IOAPIC */
	u64 pci64_start, pci64_end; /* and above; 0: none. `pci64_end` is the last byte. */
};

/*
 * The tables as they lie in guest memory at physical address `base` (64-byte aligned), RSDP first. Heap; *size is at
 * most ACPI_TABLES_LIMIT.
 * *facs, if not NULL, is the offset of the FACS, where the waking vector is.
 */
u8 *acpi_tables_build(const struct acpi_board *board, u64 base, u32 *size, u32 *facs);
/* Builds them at ACPI_TABLES_BASE in RAM. Returns the address of the FACS. */
u64 acpi_tables_install(struct memory *memory, const struct acpi_board *board);

#endif
