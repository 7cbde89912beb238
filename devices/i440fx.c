/*
 * Intel 82441FX host bridge: the registers that firmware and drivers look at, and the hole of the display adapter.
 *
 * Source: 82441FX data sheet (order 290549), "PCI Configuration Space Mapped Registers".
 * Not modelled: shadowing by the PAM registers (they keep what is written; 0xc0000..0xfffff is RAM), SMRAM, DRAM
 * timing.
 */
#include "devices/i440fx.h"

#include "base/snapshot.h"

#define DISPLAY_BASE 0xa0000
#define DISPLAY_SIZE 0x20000

/* No display adapter is there: reads float high. */
static u64
display_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque;
	(void)offset;
	(void)size;
	return ~0ull;
}

static void
display_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	(void)opaque;
	(void)offset;
	(void)size;
	(void)value;
}

static const struct mmio_ops display_ops = {display_read, display_write};

void
i440fx_init(struct i440fx *f, struct pci_bus *bus)
{
	struct pci_device *d = &f->pci;

	pci_device_init(d, "i440fx", f, 0x8086, 0x1237, 0x02, 0x060000);
	pci_set16(d->config, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pci_set16(d->writable, PCI_COMMAND, 0);
	pci_set16(d->config, PCI_STATUS, 0x0280); /* fast back-to-back, medium DEVSEL# */
	d->writable[0x50] = 0xff;                 /* PMCCFG */
	d->writable[0x51] = 0xff;
	for (unsigned i = 0x57; i <= 0x5f; i++) /* DRAM control, PAM */
		d->writable[i] = 0xff;
	for (unsigned i = 0x60; i <= 0x67; i++) /* DRAM row boundaries */
		d->writable[i] = 0xff;
	d->config[0x72] = 0x02; /* SMRAM */
	d->writable[0x72] = 0x78;
	pci_add(bus, d, PCI_DEVFN(0, 0));
	memory_map_mmio(bus->memory, "display", DISPLAY_BASE, DISPLAY_SIZE, &display_ops, NULL);
}

void
i440fx_state(struct i440fx *f, struct state *s)
{
	state_section(s, "i440fx", 1);
	pci_device_state(&f->pci, s);
}
