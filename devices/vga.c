/*
 * VGA: registers, planar memory, the Bochs VBE interface with its linear framebuffer. What it looks like: vga_draw.c.
 *
 * Source: IBM "PS/2 Hardware Interface Technical Reference, Video Subsystem"; Intel OpenSource HD Graphics PRM,
 * "VGA and Extended VGA Registers"; Bochs's documentation of the VBE display interface ("vbe_display_api").
 * Not modelled: line compare, panning, smooth scrolling, blinking, CGA's interleaved graphics modes, interrupts of the
 * vertical retrace, DDC.
 */
#include "devices/vga.h"

#include <stdlib.h>
#include <string.h>

#include "base/events.h"
#include "base/snapshot.h"

#define WINDOW_BASE 0xa0000
#define WINDOW_SIZE 0x20000

#define FRAME_NS 16666667u
#define RETRACE_NS 640000u /* of each frame */
#define LINE_NS 31778u
#define BLANK_NS 6356u /* of each line */

#define STATUS_BLANK BIT(0)
#define STATUS_RETRACE BIT(3)

#define VBE_LATEST 0xb0c5
#define VBE_MAX_BPP 32

static void
touch(struct vga *v, u32 at)
{
	v->dirty[at / 4096] = 1;
	v->any_dirty = true;
}

static bool
vbe_on(const struct vga *v)
{
	return v->vbe[VBE_ENABLE] & VBE_ENABLED;
}

/* ---- Memory ---- */

/* Where in display memory the window at 0xa0000 leads; -1: it does not. */
static s32
window_offset(const struct vga *v, u64 offset)
{
	switch (v->graphics[6] >> 2 & 3) {
	case 0:
		return (s32)offset;
	case 1:
		return offset < 0x10000 ? (s32)offset : -1;
	case 2:
		return offset >= 0x10000 && offset < 0x18000 ? (s32)offset - 0x10000 : -1;
	default:
		return offset >= 0x18000 ? (s32)offset - 0x18000 : -1;
	}
}

/* A byte of each plane becomes the planes' bits of a mask, and so on. */
static u32
spread(u8 byte)
{
	return byte * 0x01010101u;
}

static u32
plane_mask(u8 bits)
{
	u32 mask = 0;

	for (unsigned plane = 0; plane < 4; plane++)
		if (bits & BIT(plane))
			mask |= 0xffu << 8 * plane;
	return mask;
}

static u32
load_planes(const struct vga *v, u32 at)
{
	u32 value;

	memcpy(&value, v->memory + 4 * (u64)at, 4);
	return value;
}

/*
 * How an address becomes a byte of a plane. Chain 4: the low two bits choose the plane; odd/even: the lowest one.
 * Returns false when the address leads outside.
 */
static bool
chain(const struct vga *v, u32 offset, u32 *at, u8 *planes)
{
	if (v->sequencer[4] & 0x08) {
		*planes = (u8)BIT(offset & 3);
		*at = offset >> 2;
		if (vbe_on(v))
			*at += (u32)v->vbe[VBE_BANK] << 14;
	} else if (!(v->sequencer[4] & 0x04)) {
		*planes = (u8)(offset & 1 ? 0x0a : 0x05);
		*at = offset >> 1;
	} else {
		*planes = 0x0f;
		*at = offset;
	}
	return *at < VGA_MEMORY / 4;
}

static u8
window_read_byte(struct vga *v, u64 offset)
{
	s32 window = window_offset(v, offset);
	u8 planes, result = 0;
	u32 at, value;

	if (window < 0 || !(v->misc & 2) || !chain(v, (u32)window, &at, &planes))
		return 0xff;
	v->latches = load_planes(v, at);
	if (planes != 0x0f) {
		unsigned plane = v->sequencer[4] & 0x08 ? offset & 3 : (v->graphics[4] & 2) | (offset & 1);

		return (u8)(v->latches >> 8 * plane);
	}
	if (!(v->graphics[5] & 0x08))
		return (u8)(v->latches >> 8 * (v->graphics[4] & 3));
	/* Read mode 1: which pixels have the colour to compare. */
	value = (v->latches ^ plane_mask(v->graphics[2])) & plane_mask(v->graphics[7]);
	for (unsigned plane = 0; plane < 4; plane++)
		result |= (u8)(value >> 8 * plane);
	return (u8)~result;
}

static u32
logical(const struct vga *v, u32 value)
{
	switch (v->graphics[3] >> 3 & 3) {
	case 1:
		return value & v->latches;
	case 2:
		return value | v->latches;
	case 3:
		return value ^ v->latches;
	default:
		return value;
	}
}

static void
window_write_byte(struct vga *v, u64 offset, u8 byte)
{
	s32 window = window_offset(v, offset);
	u32 at, value, mask, bits = spread(v->graphics[8]), writes, old;
	u8 planes, rotated = (u8)(byte >> (v->graphics[3] & 7) | byte << (8 - (v->graphics[3] & 7)));

	if (window < 0 || !(v->misc & 2) || !chain(v, (u32)window, &at, &planes))
		return;
	switch (v->graphics[5] & 3) {
	case 0:
		mask = plane_mask(v->graphics[1] & 15);
		value = (spread(rotated) & ~mask) | (plane_mask(v->graphics[0]) & mask);
		value = logical(v, value);
		break;
	case 1:
		value = v->latches;
		bits = ~0u;
		break;
	case 2:
		value = logical(v, plane_mask(byte));
		break;
	default:
		value = plane_mask(v->graphics[0]);
		bits &= spread(rotated);
		break;
	}
	value = (value & bits) | (v->latches & ~bits);
	writes = plane_mask(v->sequencer[2] & planes);
	old = load_planes(v, at);
	value = (old & ~writes) | (value & writes);
	if (value == old)
		return;
	memcpy(v->memory + 4 * (u64)at, &value, 4);
	touch(v, 4 * at);
	/* A font: every character may look different now. */
	v->all_dirty |= (writes & 0xff0000) && !(v->graphics[6] & 1);
}

static u64
window_read(void *opaque, u64 offset, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)window_read_byte(opaque, offset + i) << 8 * i;
	return value;
}

static void
window_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	for (unsigned i = 0; i < size; i++)
		window_write_byte(opaque, offset + i, (u8)(value >> 8 * i));
}

static const struct mmio_ops window_ops = {window_read, window_write};

static u64
linear_read(void *opaque, u64 offset, unsigned size)
{
	struct vga *v = opaque;
	u64 value = 0;

	if (offset + size <= VGA_MEMORY)
		memcpy(&value, v->memory + offset, size);
	return value;
}

static void
linear_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct vga *v = opaque;

	if (offset + size > VGA_MEMORY)
		return;
	memcpy(v->memory + offset, &value, size);
	touch(v, (u32)offset);
}

static const struct mmio_ops linear_ops = {linear_read, linear_write};

/* ---- The Bochs VBE interface ---- */

u16
vga_vbe_read(const struct vga *v, unsigned index)
{
	bool capabilities = v->vbe[VBE_ENABLE] & VBE_GET_CAPABILITIES;

	switch (index) {
	case VBE_MEMORY_64K:
		return VGA_MEMORY >> 16;
	case VBE_XRES:
		return capabilities ? DISPLAY_MAX_WIDTH : v->vbe[VBE_XRES];
	case VBE_YRES:
		return capabilities ? DISPLAY_MAX_HEIGHT : v->vbe[VBE_YRES];
	case VBE_BPP:
		return capabilities ? VBE_MAX_BPP : v->vbe[VBE_BPP];
	default:
		return index < VGA_VBE_REGISTERS ? v->vbe[index] : 0xffff;
	}
}

static unsigned
bytes_per_pixel(unsigned bpp)
{
	return bpp == 4 ? 0 : (bpp + 7) / 8;
}

/* How many lines of the virtual width fit. */
static u32
virtual_height(const struct vga *v)
{
	u32 line = v->vbe[VBE_BPP] == 4 ? v->vbe[VBE_VIRT_WIDTH] / 2u
					: v->vbe[VBE_VIRT_WIDTH] * bytes_per_pixel(v->vbe[VBE_BPP]);

	return line ? MIN(VGA_MEMORY / line, 0xffff) : 0;
}

static bool
mode_fits(const struct vga *v)
{
	unsigned bpp = v->vbe[VBE_BPP], width = v->vbe[VBE_XRES], height = v->vbe[VBE_YRES];

	if (bpp != 4 && bpp != 8 && bpp != 15 && bpp != 16 && bpp != 24 && bpp != 32)
		return false;
	return width && height && width <= DISPLAY_MAX_WIDTH && height <= DISPLAY_MAX_HEIGHT &&
	       (u64)width * height * (bpp == 4 ? 1 : bytes_per_pixel(bpp)) <= VGA_MEMORY;
}

static void
vbe_enable(struct vga *v, u16 value)
{
	bool was = vbe_on(v);

	v->vbe[VBE_ENABLE] = value;
	if (value & VBE_ENABLED && !was) {
		if (!mode_fits(v)) {
			v->vbe[VBE_ENABLE] &= (u16)~VBE_ENABLED;
			return;
		}
		v->vbe[VBE_VIRT_WIDTH] = v->vbe[VBE_XRES];
		v->vbe[VBE_VIRT_HEIGHT] = (u16)virtual_height(v);
		v->vbe[VBE_X_OFFSET] = v->vbe[VBE_Y_OFFSET] = 0;
		if (!(value & VBE_NO_CLEAR))
			memset(v->memory, 0, (u64)VGA_MEMORY);
	}
	if (!(value & VBE_ENABLED))
		v->vbe[VBE_BANK] = 0;
}

void
vga_vbe_write(struct vga *v, unsigned index, u16 value)
{
	v->all_dirty = true;
	switch (index) {
	case VBE_ID:
		if (value >= 0xb0c0 && value <= VBE_LATEST)
			v->vbe[VBE_ID] = value;
		break;
	case VBE_XRES:
	case VBE_YRES:
	case VBE_BPP:
		/* Only while switched off, so that a mode that is on always fits. */
		if (!vbe_on(v))
			v->vbe[index] = value;
		break;
	case VBE_ENABLE:
		vbe_enable(v, value);
		break;
	case VBE_BANK:
		v->vbe[VBE_BANK] = value & (VGA_MEMORY / 0x10000 - 1);
		break;
	case VBE_VIRT_WIDTH:
		if (value >= v->vbe[VBE_XRES]) {
			v->vbe[VBE_VIRT_WIDTH] = value;
			v->vbe[VBE_VIRT_HEIGHT] = (u16)virtual_height(v);
		}
		break;
	case VBE_X_OFFSET:
	case VBE_Y_OFFSET:
		v->vbe[index] = value;
		break;
	default:
		break;
	}
}

static u32
vbe_port_read(void *opaque, u16 port, unsigned size)
{
	struct vga *v = opaque;

	(void)size;
	return port == 0x1ce ? v->vbe_index : vga_vbe_read(v, v->vbe_index);
}

static void
vbe_port_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct vga *v = opaque;

	if (size != 2)
		return;
	if (port == 0x1ce)
		v->vbe_index = (u16)value;
	else
		vga_vbe_write(v, v->vbe_index, (u16)value);
}

static const struct port_ops vbe_ports = {vbe_port_read, vbe_port_write, PORT_BYTE | PORT_WORD};

/* ---- VGA registers ---- */

static u8
input_status(struct vga *v)
{
	u64 at = events_to_ns(v->events, events_now(v->events)) % FRAME_NS;
	bool retrace = at >= FRAME_NS - RETRACE_NS;

	v->attribute_data = false;
	return (u8)((retrace ? STATUS_RETRACE : 0) | (retrace || at % LINE_NS >= LINE_NS - BLANK_NS ? STATUS_BLANK : 0));
}

static void
attribute_write(struct vga *v, u8 value)
{
	if (!v->attribute_data)
		v->attribute_index = value & 0x3f;
	else
		v->attribute[v->attribute_index & 31] = value;
	v->attribute_data = !v->attribute_data;
	v->all_dirty = true;
}

static u8
dac_data_read(struct vga *v)
{
	u8 value = v->dac[v->dac_read][v->dac_part];

	if (++v->dac_part == 3) {
		v->dac_part = 0;
		v->dac_read++;
	}
	return value;
}

static void
dac_data_write(struct vga *v, u8 value)
{
	v->dac[v->dac_write][v->dac_part] = v->vbe[VBE_ENABLE] & VBE_DAC_8BIT ? value : value & 0x3f;
	if (++v->dac_part == 3) {
		v->dac_part = 0;
		v->dac_write++;
	}
	v->all_dirty = true;
}

/* The CRTC is at 0x3d4 in colour modes, at 0x3b4 in monochrome ones. */
static bool
decoded(const struct vga *v, u16 port)
{
	return (port & 0xfff0) == 0x3c0 || (port >= 0x3d0) == (v->misc & 1);
}

u8
vga_register_read(struct vga *v, u16 port)
{
	if (!decoded(v, port))
		return 0xff;
	switch (port) {
	case 0x3c0:
		return v->attribute_index;
	case 0x3c1:
		return v->attribute[v->attribute_index & 31];
	case 0x3c2:
		return 0x10; /* a colour monitor is there */
	case 0x3c4:
		return v->sequencer_index;
	case 0x3c5:
		return v->sequencer[v->sequencer_index & 7];
	case 0x3c6:
		return v->dac_mask;
	case 0x3c7:
		return v->dac_reads ? 3 : 0;
	case 0x3c8:
		return v->dac_write;
	case 0x3c9:
		return dac_data_read(v);
	case 0x3ca:
		return v->feature;
	case 0x3cc:
		return v->misc;
	case 0x3ce:
		return v->graphics_index;
	case 0x3cf:
		return v->graphics[v->graphics_index & 15];
	case 0x3b4:
	case 0x3d4:
		return v->crtc_index;
	case 0x3b5:
	case 0x3d5:
		return v->crtc[v->crtc_index & 31];
	case 0x3ba:
	case 0x3da:
		return input_status(v);
	default:
		return 0xff;
	}
}

static void
crtc_write(struct vga *v, u8 value)
{
	unsigned index = v->crtc_index & 31;

	/* Protected: registers 0 to 7, but for bit 4 (line compare) of register 7. */
	if (v->crtc[0x11] & 0x80 && index <= 7) {
		if (index == 7)
			v->crtc[7] = (u8)((v->crtc[7] & ~0x10) | (value & 0x10));
		return;
	}
	if (v->crtc[index] == value)
		return;
	v->crtc[index] = value;
	v->all_dirty = true;
}

void
vga_register_write(struct vga *v, u16 port, u8 byte)
{
	if (!decoded(v, port))
		return;
	switch (port) {
	case 0x3c0:
		attribute_write(v, byte);
		break;
	case 0x3c2:
		v->misc = byte;
		v->all_dirty = true;
		break;
	case 0x3c4:
		v->sequencer_index = byte;
		break;
	case 0x3c5:
		v->sequencer[v->sequencer_index & 7] = byte;
		/* The mask of planes changes all the time and shows nothing. */
		v->all_dirty |= (v->sequencer_index & 7) != 2;
		break;
	case 0x3c6:
		v->dac_mask = byte;
		v->all_dirty = true;
		break;
	case 0x3c7:
		v->dac_read = byte;
		v->dac_part = 0;
		v->dac_reads = true;
		break;
	case 0x3c8:
		v->dac_write = byte;
		v->dac_part = 0;
		v->dac_reads = false;
		break;
	case 0x3c9:
		dac_data_write(v, byte);
		break;
	case 0x3ce:
		v->graphics_index = byte;
		break;
	case 0x3cf:
		v->graphics[v->graphics_index & 15] = byte;
		v->all_dirty |= (v->graphics_index & 15) == 5 || (v->graphics_index & 15) == 6;
		break;
	case 0x3b4:
	case 0x3d4:
		v->crtc_index = byte;
		break;
	case 0x3b5:
	case 0x3d5:
		crtc_write(v, byte);
		break;
	case 0x3ba:
	case 0x3da:
		v->feature = byte;
		break;
	default:
		break;
	}
}

static u32
vga_port_read(void *opaque, u16 port, unsigned size)
{
	(void)size;
	return vga_register_read(opaque, port);
}

static void
vga_port_write(void *opaque, u16 port, unsigned size, u32 value)
{
	(void)size;
	vga_register_write(opaque, port, (u8)value);
}

static const struct port_ops vga_ports = {vga_port_read, vga_port_write, PORT_BYTE};

/* ---- The function ---- */

static void
reset(void *opaque)
{
	struct vga *v = opaque;

	v->misc = v->feature = 0;
	v->sequencer_index = v->graphics_index = v->crtc_index = v->attribute_index = 0;
	memset(v->sequencer, 0, sizeof(v->sequencer));
	memset(v->graphics, 0, sizeof(v->graphics));
	memset(v->crtc, 0, sizeof(v->crtc));
	memset(v->attribute, 0, sizeof(v->attribute));
	memset(v->vbe, 0, sizeof(v->vbe));
	v->vbe[VBE_ID] = VBE_LATEST;
	v->vbe[VBE_MEMORY_64K] = VGA_MEMORY >> 16;
	v->vbe_index = 0;
	v->attribute_data = v->dac_reads = false;
	v->dac_mask = 0xff;
	v->dac_read = v->dac_write = v->dac_part = 0;
	v->latches = 0;
	v->all_dirty = true;
}

struct vga *
vga_new(struct pci_bus *bus, unsigned devfn, struct events *events, const u8 *rom, u32 rom_size)
{
	struct vga *v = calloc(1, sizeof(*v));
	struct pci_device *d;

	if (!v)
		return NULL;
	v->memory = calloc(1, VGA_MEMORY);
	if (!v->memory) {
		free(v);
		return NULL;
	}
	v->events = events;
	d = &v->pci;
	pci_device_init(d, "vga", v, 0x1234, 0x1111, 0x02, 0x030000);
	pci_bar(d, 0, PCI_BAR_MEMORY, VGA_MEMORY, &linear_ops, v, "framebuffer");
	d->config[PCI_BAR0] |= 8; /* prefetchable */
	vga_mmio_init(v);
	if (rom)
		pci_rom(d, rom_size, rom, "vga-rom");
	d->reset = reset;
	pci_add(bus, d, devfn);
	memory_map_mmio(bus->memory, "vga", WINDOW_BASE, WINDOW_SIZE, &window_ops, v);
	ports_map(bus->ports, "vga", 0x3b4, 2, &vga_ports, v);
	ports_map(bus->ports, "vga", 0x3ba, 1, &vga_ports, v);
	ports_map(bus->ports, "vga", 0x3c0, 16, &vga_ports, v);
	ports_map(bus->ports, "vga", 0x3d4, 2, &vga_ports, v);
	ports_map(bus->ports, "vga", 0x3da, 1, &vga_ports, v);
	ports_map(bus->ports, "vbe", 0x1ce, 3, &vbe_ports, v);
	vga_draw_init(v);
	reset(v);
	return v;
}

void
vga_free(struct vga *v)
{
	if (!v)
		return;
	free(v->memory);
	free(v);
}

void
vga_state(struct vga *v, struct state *s)
{
	state_section(s, "vga", 1);
	pci_device_state(&v->pci, s);
	STATE(s, v->misc);
	STATE(s, v->feature);
	STATE(s, v->sequencer_index);
	STATE(s, v->sequencer);
	STATE(s, v->graphics_index);
	STATE(s, v->graphics);
	STATE(s, v->crtc_index);
	STATE(s, v->crtc);
	STATE(s, v->attribute_index);
	STATE(s, v->attribute);
	state_bool(s, &v->attribute_data);
	STATE(s, v->dac);
	STATE(s, v->dac_mask);
	STATE(s, v->dac_read);
	STATE(s, v->dac_write);
	STATE(s, v->dac_part);
	state_bool(s, &v->dac_reads);
	STATE(s, v->latches);
	STATE(s, v->vbe_index);
	STATE(s, v->vbe);
	state_bytes(s, v->memory, VGA_MEMORY);
	if (state_mode(s) != STATE_LOAD)
		return;
	v->all_dirty = true;
	if (v->dac_part > 2 || (vbe_on(v) && (!mode_fits(v) || v->vbe[VBE_VIRT_WIDTH] < v->vbe[VBE_XRES]))) {
		reset(v);
		state_fail(s, "snapshot has a display mode that cannot be");
	}
}
