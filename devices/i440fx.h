/* Intel 82441FX (440FX) host bridge, PCI function 00:00.0. See i440fx.c. */
#ifndef NB_DEVICES_I440FX_H
#define NB_DEVICES_I440FX_H

#include "devices/pci.h"

#define I440FX_SEGMENTS 13

struct i440fx;

/* One piece of 0xc0000..0xfffff that a nibble of the PAM registers switches. */
struct i440fx_segment {
	struct i440fx *bridge;
	u32 base, size;
	unsigned range; /* in bus->memory */
};

struct i440fx {
	struct pci_device pci;
	struct i440fx_segment segment[I440FX_SEGMENTS];
	bool shadows;      /* the PAM registers act */
	const u8 *rom;     /* what lies on the ISA bus below 1 MiB, */
	u32 rom_base;      /* from here up to there; */
	u8 open_bus[0x10000]; /* where nothing does: as long as the longest segment */
};

void i440fx_init(struct i440fx *f, struct pci_bus *bus);
/*
 * Firmware: `image` (the caller's, a multiple of 64 KiB) ends at 4 GiB, its last 128 KiB at 1 MiB, and from now on the
 * PAM registers switch between it and RAM. Without this, 0xc0000..0xfffff is RAM.
 */
void i440fx_set_firmware(struct i440fx *f, u8 *image, u32 size);
void i440fx_state(struct i440fx *f, struct state *s);

#endif
