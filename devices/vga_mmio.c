/*
 * The VGA's registers in memory, and the monitor's EDID.
 *
 * Source: QEMU's docs/specs/standard-vga.rst for the layout; VESA Enhanced EDID Standard, release A, revision 2 (EDID 1.4).
 *
 *   BAR 2   0x000 EDID, 0x400 ports 0x3c0..0x3df, 0x500 VBE registers, 2 bytes each, 0x600 extended registers (none)
 *
 * DDC's wires (I2C) are not modelled: the adapter has read the EDID for its drivers, as firmware of virtual adapters does.
 */
#include <string.h>

#include "devices/vga.h"

#define AT_PORTS 0x400u
#define AT_VBE 0x500u
#define PORTS 32u

/* "Detailed Timing Descriptor": VESA DMT 1024 x 768 at 60 Hz. */
struct timing {
	unsigned clock_10khz;
	unsigned width, h_blank, h_front, h_sync;
	unsigned height, v_blank, v_front, v_sync;
	unsigned width_mm, height_mm;
};
static const struct timing preferred = {6500, 1024, 320, 24, 136, 768, 38, 3, 6, 320, 240};

static void
put_timing(u8 *at, const struct timing *t)
{
	pci_set16(at, 0, (u16)t->clock_10khz);
	at[2] = (u8)t->width;
	at[3] = (u8)t->h_blank;
	at[4] = (u8)(t->width >> 8 << 4 | t->h_blank >> 8);
	at[5] = (u8)t->height;
	at[6] = (u8)t->v_blank;
	at[7] = (u8)(t->height >> 8 << 4 | t->v_blank >> 8);
	at[8] = (u8)t->h_front;
	at[9] = (u8)t->h_sync;
	at[10] = (u8)(t->v_front << 4 | t->v_sync);
	at[12] = (u8)t->width_mm;
	at[13] = (u8)t->height_mm;
	at[14] = (u8)(t->width_mm >> 8 << 4 | t->height_mm >> 8);
	at[17] = 0x1e; /* separate digital syncs, both positive */
}

/* "Standard Timings": width / 8 - 31, aspect ratio (0 16:10, 1 4:3, 2 5:4, 3 16:9) and refresh rate - 60. */
static const struct {
	u16 width;
	u8 aspect;
} standard[8] = {{640, 1}, {800, 1}, {1024, 1}, {1280, 0}, {1280, 2}, {1600, 1}, {1920, 3}, {1920, 0}};

static void
fill_edid(u8 edid[VGA_EDID])
{
	static const u8 header[8] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
	static const u8 range[18] = {0, 0, 0, 0xfd, 0, 50, 75, 30, 100, 30, 0, 0x0a, ' ', ' ', ' ', ' ', ' ', ' '};
	static const char name[] = "\0\0\0\xfc\0nestbox\n     ";
	u8 sum = 0;

	memset(edid, 0, VGA_EDID);
	memcpy(edid, header, sizeof(header));
	edid[8] = 0x38; /* manufacturer: N, B, X, five bits each */
	edid[9] = 0x58;
	pci_set16(edid, 10, 1);
	edid[16] = 1;   /* week and year (from 1990) of manufacture */
	edid[17] = 34;
	edid[18] = 1;
	edid[19] = 4;
	edid[20] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
	edid[21] = 32;   /* cm */
	edid[22] = 24;
	edid[23] = 120;  /* gamma 2.2 */
	edid[24] = 0x06; /* sRGB, the first detailed timing is the preferred one */
	/* sRGB's primaries and white: "Color Characteristics". */
	memcpy(edid + 25, "\xee\x91\xa3\x54\x4c\x99\x26\x0f\x50\x54", 10);
	edid[35] = 0x21; /* established: 640 x 480 and 800 x 600 at 60 Hz, */
	edid[36] = 0x08; /* 1024 x 768 at 60 Hz */
	for (unsigned i = 0; i < COUNT(standard); i++) {
		edid[38 + 2 * i] = (u8)(standard[i].width / 8 - 31);
		edid[39 + 2 * i] = (u8)(standard[i].aspect << 6);
	}
	put_timing(edid + 54, &preferred);
	memcpy(edid + 72, range, sizeof(range));
	memcpy(edid + 90, name, 18);
	edid[108 + 3] = 0x10; /* a dummy descriptor */
	for (unsigned i = 0; i < VGA_EDID - 1; i++)
		sum = (u8)(sum + edid[i]);
	edid[VGA_EDID - 1] = (u8)-sum;
}

static u64
mmio_read(void *opaque, u64 offset, unsigned size)
{
	struct vga *v = opaque;
	u64 value = 0;

	if (offset < VGA_EDID) {
		for (unsigned i = 0; i < size && offset + i < VGA_EDID; i++)
			value |= (u64)v->edid[offset + i] << 8 * i;
	} else if (offset >= AT_PORTS && offset + size <= AT_PORTS + PORTS && size <= 2) {
		for (unsigned i = 0; i < size; i++)
			value |= (u64)vga_register_read(v, (u16)(0x3c0 + offset - AT_PORTS + i)) << 8 * i;
	} else if (offset >= AT_VBE && offset < AT_VBE + 2 * VGA_VBE_REGISTERS && size == 2) {
		value = vga_vbe_read(v, (unsigned)(offset - AT_VBE) / 2);
	}
	return value;
}

static void
mmio_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct vga *v = opaque;

	if (offset >= AT_PORTS && offset + size <= AT_PORTS + PORTS && size <= 2)
		for (unsigned i = 0; i < size; i++)
			vga_register_write(v, (u16)(0x3c0 + offset - AT_PORTS + i), (u8)(value >> 8 * i));
	else if (offset >= AT_VBE && offset < AT_VBE + 2 * VGA_VBE_REGISTERS && size == 2)
		vga_vbe_write(v, (unsigned)(offset - AT_VBE) / 2, (u16)value);
}

static const struct mmio_ops mmio = {mmio_read, mmio_write};

void
vga_mmio_init(struct vga *v)
{
	fill_edid(v->edid);
	pci_bar(&v->pci, 2, PCI_BAR_MEMORY, 4096, &mmio, v, "vga registers");
}
