/*
 * Intel 82441FX host bridge: the registers that firmware and drivers look at, shadowing of the BIOS area, and the hole
 * of the display adapter.
 *
 * Source: 82441FX data sheet (order 290549), "PCI Configuration Space Mapped Registers", "PAM - Programmable Attribute
 * Map Registers", "SMRAM - System Management RAM Control Register".
 * Not modelled: D_CLS (closing SMRAM for data), DRAM timing.
 */
#include "devices/i440fx.h"

#include <string.h>

#include "base/snapshot.h"

#define DISPLAY_BASE 0xa0000
#define DISPLAY_SIZE 0x20000

#define PAM0 0x59
#define PAM_READ BIT(0)  /* reads go to RAM, */
#define PAM_WRITE BIT(1) /* writes do */

#define SMRAM 0x72
#define SMRAM_OPEN BIT(6)
#define SMRAM_CLOSED BIT(5)
#define SMRAM_LOCKED BIT(4)
#define SMRAM_ENABLED BIT(3)

#define BIOS_AREA 0x20000u /* of an image, below 1 MiB */
#define SEGMENT_SIZE 0x4000u

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

/* What the PCI side of a segment reads as. */
static u8 *
pci_side(struct i440fx_segment *segment)
{
	struct i440fx *f = segment->bridge;

	return segment->base >= f->rom_base ? (u8 *)(uintptr_t)f->rom + (segment->base - f->rom_base) : f->open_bus;
}

/* Reads from PCI, writes to RAM: how firmware copies itself in place. */
static u64
copying_read(void *opaque, u64 offset, unsigned size)
{
	u64 value = 0;

	memcpy(&value, pci_side(opaque) + offset, size);
	return value;
}

static void
copying_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct i440fx_segment *segment = opaque;
	struct memory *m = segment->bridge->pci.bus->memory;
	u64 physical = segment->base + offset;

	if (physical + size > m->low_size)
		return;
	memory_written(m, physical, physical, size);
	memcpy(m->ram + physical, &value, size);
}

static const struct mmio_ops copying_ops = {copying_read, copying_write};

/*
 * Segment 0 is 0xf0000..0xfffff, by the high nibble of PAM0; the others are 16 KiB each from 0xc0000 up, by the low and
 * the high nibble of PAM1..PAM6 in turn.
 */
static u8
attributes(const struct i440fx *f, unsigned n)
{
	u8 reg = f->pci.config[PAM0 + (n + 1) / 2];

	return n % 2 == 0 ? reg >> 4 : reg & 15;
}

static void
update_shadows(struct i440fx *f)
{
	struct memory *m = f->pci.bus->memory;

	for (unsigned n = 0; f->shadows && n < I440FX_SEGMENTS; n++) {
		struct i440fx_segment *segment = &f->segment[n];
		bool ram = segment->base + segment->size <= m->low_size;

		switch (attributes(f, n) & (PAM_READ | PAM_WRITE)) {
		case 0:
			memory_show(m, segment->range, NULL, pci_side(segment));
			break;
		case PAM_READ:
			memory_show(m, segment->range, NULL, ram ? m->ram + segment->base : f->open_bus);
			break;
		case PAM_WRITE:
			memory_show(m, segment->range, &copying_ops, pci_side(segment));
			break;
		default:
			memory_unmap(m, segment->range);
			break;
		}
	}
}

/* SMRAM is at 0xa0000 (C_BASE_SEG 010b). Locked, it is closed, and stays so until a reset. */
static void
update_smram(struct i440fx *f)
{
	u8 *reg = &f->pci.config[SMRAM];

	if (*reg & SMRAM_LOCKED)
		*reg &= (u8)~SMRAM_OPEN;
	f->pci.writable[SMRAM] = *reg & SMRAM_LOCKED ? 0 : SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCKED | SMRAM_ENABLED;
	memory_set_smram(f->pci.bus->memory, *reg & SMRAM_OPEN && *reg & SMRAM_ENABLED, *reg & SMRAM_ENABLED);
}

static void
config_written(void *opaque, unsigned offset, unsigned size)
{
	if (offset + size > SMRAM && offset <= SMRAM)
		update_smram(opaque);
	if (offset + size > PAM0 && offset <= PAM0 + 6)
		update_shadows(opaque);
}

static void
reset(void *opaque)
{
	update_shadows(opaque);
	update_smram(opaque);
}

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
	d->config[SMRAM] = 0x02;
	d->writable[SMRAM] = SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCKED | SMRAM_ENABLED;
	d->config_written = config_written;
	d->reset = reset;
	f->shadows = false;
	pci_add(bus, d, PCI_DEVFN(0, 0));
	memory_map_mmio(bus->memory, "display", DISPLAY_BASE, DISPLAY_SIZE, &display_ops, NULL);
}

void
i440fx_set_firmware(struct i440fx *f, u8 *image, u32 size)
{
	struct pci_device *d = &f->pci;
	struct memory *m = d->bus->memory;
	u32 low = MIN(size, BIOS_AREA);

	assert(!f->shadows && size && size % 0x10000 == 0);
	f->rom = image + size - low;
	f->rom_base = 0x100000 - low;
	memset(f->open_bus, 0xff, sizeof(f->open_bus));
	memory_map_host(m, "firmware", 0x100000000ull - size, size, image, false);
	for (unsigned n = 0; n < I440FX_SEGMENTS; n++) {
		struct i440fx_segment *segment = &f->segment[n];

		segment->bridge = f;
		segment->base = n == 0 ? 0xf0000 : 0xc0000 + (n - 1) * SEGMENT_SIZE;
		segment->size = n == 0 ? 0x10000 : SEGMENT_SIZE;
		segment->range = memory_map_mmio(m, "shadow", segment->base, segment->size, &copying_ops, segment);
	}
	f->shadows = true;
	/* SeaBIOS knows this board, and fw_cfg on it, by the bridge's subsystem. */
	pci_set16(d->config, PCI_SUBSYSTEM_VENDOR_ID, 0x1af4);
	pci_set16(d->config, PCI_SUBSYSTEM_ID, 0x1100);
	memcpy(d->initial, d->config, sizeof(d->initial));
	update_shadows(f);
}

void
i440fx_state(struct i440fx *f, struct state *s)
{
	state_section(s, "i440fx", 1);
	pci_device_state(&f->pci, s);
	if (state_mode(s) == STATE_LOAD) {
		update_shadows(f);
		update_smram(f);
	}
}
