/*
 * What firmware does to the board before it loads a kernel, for direct boot, where no firmware runs: PCI windows and
 * interrupts, the interrupt controllers' vectors, ACPI tables.
 */
#include "machine/pc.h"

#include "devices/acpi_tables.h"

#define WINDOW_START 0xfe000000u /* memory windows go up from here to the IOAPIC, */
#define IO_START 0xc000u         /* ports from here */

struct allocator {
	u32 memory, ports;
};

static u32
allocate(u32 *next, u64 size, u64 end)
{
	u64 base = (*next + size - 1) & ~(size - 1);

	/* What does not fit stays unassigned; an operating system finds it another place. */
	if (base + size > end)
		return 0;
	*next = (u32)(base + size);
	return (u32)base;
}

static void
assign_windows(struct pci_device *d, struct allocator *next)
{
	u16 command = pci_get16(d->config, PCI_COMMAND);

	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pci_bar *bar = &d->bar[i];
		unsigned offset = i == PCI_BAR_ROM_INDEX ? PCI_ROM_BAR : PCI_BAR0 + 4 * i;
		u32 base;

		if (bar->kind == PCI_BAR_NONE)
			continue;
		if (bar->kind == PCI_BAR_IO) {
			base = allocate(&next->ports, bar->size, 0x10000);
			command |= base ? PCI_COMMAND_IO : 0;
		} else {
			base = allocate(&next->memory, MAX(bar->size, 4096u), IOAPIC_BASE);
			command |= base ? PCI_COMMAND_MEMORY : 0;
		}
		pci_config_write(d->bus, d->devfn, offset, 4, base);
	}
	pci_config_write(d->bus, d->devfn, PCI_COMMAND, 2, command);
}

/* Returns the ISA interrupts that PCI functions use, a bit each. */
static u16
assign_interrupts(struct pc *pc)
{
	/* PIRQA..D, as the ISA interrupts that PCI has to itself. The first card's slot is on PIRQC. */
	static const u8 route[4] = {11, 11, 10, 10};
	u16 used = 0;

	for (unsigned i = 0; i < 4; i++)
		pci_config_write(&pc->pci, PCI_DEVFN(1, 0), PIIX3_PIRQRC + i, 1, route[i]);
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		struct pci_device *d = pc->pci.device[devfn];
		u8 pin = d ? d->config[PCI_INTERRUPT_PIN] : 0, irq = pin ? route[((devfn >> 3) + pin - 2) & 3] : 0;

		if (pin)
			pci_config_write(&pc->pci, devfn, PCI_INTERRUPT_LINE, 1, irq);
		used |= (u16)(pin ? BIT(irq) : 0);
	}
	return used;
}

static void
set_up_pics(struct ports *ports, u16 pci)
{
	/* IRQ 9 (ACPI) and those in use by PCI are levels. */
	ports_write(ports, 0x4d1, 1, (BIT(9) | pci) >> 8);
	/* The vectors of real mode, and nobody but PCI let through. */
	ports_write(ports, 0x20, 1, 0x11);
	ports_write(ports, 0x21, 1, 0x08);
	ports_write(ports, 0x21, 1, 0x04);
	ports_write(ports, 0x21, 1, 0x01);
	ports_write(ports, 0x21, 1, 0xfb);
	ports_write(ports, 0xa0, 1, 0x11);
	ports_write(ports, 0xa1, 1, 0x70);
	ports_write(ports, 0xa1, 1, 0x02);
	ports_write(ports, 0xa1, 1, 0x01);
	ports_write(ports, 0xa1, 1, 0xf3);
}

void
pc_firmware_setup(struct pc *pc)
{
	struct allocator next = {WINDOW_START, IO_START};
	struct acpi_board board = {.cpus = pc->config->cpus, .pci_start = (u32)MEMORY_HOLE, .s3 = true,
				   .pm_base = ACPI_PM_BASE, .vga = pc->config->vga};

	set_up_pics(pc->sockets.ports, assign_interrupts(pc));
	for (unsigned devfn = 0; devfn < 256; devfn++)
		if (pc->pci.device[devfn])
			assign_windows(pc->pci.device[devfn], &next);

	for (unsigned i = 0; i < CONFIG_SERIALS; i++)
		board.serial[i] = pc->sockets.serial[i] != NULL;
	pc->facs = acpi_tables_install(pc->sockets.memory, &board);
}
