/* VGA with the Bochs VBE interface, PCI function 1234:1111. See vga.c. */
#ifndef NB_DEVICES_VGA_H
#define NB_DEVICES_VGA_H

#include "base/types.h"
#include "bus/display.h"
#include "devices/pci.h"

#define VGA_MEMORY 0x1000000u
#define VGA_VBE_REGISTERS 11
#define VGA_EDID 128u

struct events;

struct vga {
	struct pci_device pci;
	struct events *events;
	struct display display;

	u8 misc, feature;
	u8 sequencer_index, sequencer[8];
	u8 graphics_index, graphics[16];
	u8 crtc_index, crtc[32];
	u8 attribute_index, attribute[32];
	bool attribute_data; /* the next write to 0x3c0 is data */
	u8 dac[256][3];
	u8 dac_mask, dac_read, dac_write, dac_part;
	bool dac_reads;
	u32 latches; /* a byte per plane */
	u16 vbe_index, vbe[VGA_VBE_REGISTERS];

	u8 edid[VGA_EDID]; /* of the monitor; not state */
	u8 *memory; /* byte n of plane p is at 4n + p; linear modes use it as it is */
	/* For draw(), not state: pages of memory written since, and whether registers were. */
	u8 dirty[VGA_MEMORY / 4096];
	bool any_dirty, all_dirty;
};

/* `rom` (the caller's; may be NULL) of a power of two bytes is the expansion ROM. */
struct vga *vga_new(struct pci_bus *bus, unsigned devfn, struct events *events, const u8 *rom, u32 rom_size);
void vga_free(struct vga *v);
void vga_state(struct vga *v, struct state *s);

/* The registers, however they are reached: ports 0x3b4..0x3df as far as there are any, and those of VBE. */
u8 vga_register_read(struct vga *v, u16 port);
void vga_register_write(struct vga *v, u16 port, u8 byte);
u16 vga_vbe_read(const struct vga *v, unsigned index);
void vga_vbe_write(struct vga *v, unsigned index, u16 value);
/* vga_mmio.c: BAR 2 and the EDID. */
void vga_mmio_init(struct vga *v);
/* vga_draw.c: fills in v->display. */
void vga_draw_init(struct vga *v);

enum vbe_register {
	VBE_ID,
	VBE_XRES,
	VBE_YRES,
	VBE_BPP,
	VBE_ENABLE,
	VBE_BANK,
	VBE_VIRT_WIDTH,
	VBE_VIRT_HEIGHT,
	VBE_X_OFFSET,
	VBE_Y_OFFSET,
	VBE_MEMORY_64K
};
#define VBE_ENABLED BIT(0)
#define VBE_GET_CAPABILITIES BIT(1)
#define VBE_DAC_8BIT BIT(5)
#define VBE_NO_CLEAR BIT(7)

#endif
