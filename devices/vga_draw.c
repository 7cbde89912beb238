/* What a VGA shows: text and graphics modes as pixels, text as text. Sources: see vga.c. */
#include <stdlib.h>
#include <string.h>

#include "devices/vga.h"

#define MEMORY_MASK (VGA_MEMORY - 1)

enum kind { NOTHING, TEXT, PLANAR, LINEAR8, VBE };

struct mode {
	enum kind kind;
	unsigned width, height;
	unsigned columns, rows, cell_width, cell_height; /* text */
	u32 start, stride;                               /* in bytes of v->memory */
	unsigned bpp;
};

static void
get_vga_mode(const struct vga *v, struct mode *m)
{
	const u8 *crtc = v->crtc;
	unsigned columns = crtc[1] + 1u, lines = (crtc[0x12] | (crtc[7] & 0x02) << 7 | (crtc[7] & 0x40) << 3) + 1u;
	unsigned scan = (crtc[9] & 0x1f) + 1u;
	u32 start = (u32)crtc[0x0c] << 8 | crtc[0x0d];

	/* Screen off, or no mode has been set. */
	if (v->sequencer[1] & 0x20 || !(v->attribute_index & 0x20) || lines < 2)
		return;
	m->start = start * 4;
	if (!(v->graphics[6] & 1)) {
		m->kind = TEXT;
		m->cell_width = v->sequencer[1] & 1 ? 8 : 9;
		m->cell_height = scan;
		m->columns = MIN(columns, DISPLAY_MAX_WIDTH / 9);
		m->rows = lines / scan;
		m->stride = crtc[0x13] * 2u * 4;
		m->width = m->columns * m->cell_width;
		m->height = m->rows * m->cell_height;
		return;
	}
	if (crtc[9] & 0x80)
		scan *= 2;
	m->height = lines / scan;
	if (v->graphics[5] & 0x40) {
		m->kind = LINEAR8;
		m->width = columns * 4;
		m->stride = crtc[0x13] * 8u;
	} else if (!(v->graphics[5] & 0x20)) {
		m->kind = PLANAR;
		m->width = columns * 8;
		m->stride = crtc[0x13] * 2u * 4;
	}
}

static void
get_mode(const struct vga *v, struct mode *m)
{
	*m = (struct mode){0};
	if (!(v->vbe[VBE_ENABLE] & VBE_ENABLED)) {
		get_vga_mode(v, m);
	} else {
		m->bpp = v->vbe[VBE_BPP];
		m->width = v->vbe[VBE_XRES];
		m->height = v->vbe[VBE_YRES];
		if (m->bpp == 4) {
			m->kind = PLANAR;
			m->stride = v->vbe[VBE_VIRT_WIDTH] / 8u * 4;
			m->start = v->vbe[VBE_Y_OFFSET] * m->stride + v->vbe[VBE_X_OFFSET] / 8u * 4;
		} else {
			unsigned bytes = (m->bpp + 7) / 8;

			m->kind = VBE;
			m->stride = v->vbe[VBE_VIRT_WIDTH] * bytes;
			m->start = v->vbe[VBE_Y_OFFSET] * m->stride + v->vbe[VBE_X_OFFSET] * bytes;
		}
	}
	if (m->kind == NOTHING || !m->width || !m->height)
		*m = (struct mode){0};
	m->height = MIN(m->height, DISPLAY_MAX_HEIGHT);
	if (m->kind == TEXT)
		m->rows = m->height / m->cell_height;
}

static u32
dac_colour(const struct vga *v, u8 index)
{
	const u8 *rgb = v->dac[index & v->dac_mask];

	if (v->vbe[VBE_ENABLE] & VBE_DAC_8BIT)
		return (u32)rgb[0] << 16 | (u32)rgb[1] << 8 | rgb[2];
	/* Six bits to eight: the top ones are repeated below. */
	return (u32)((rgb[0] << 2 & 0xff) | rgb[0] >> 4) << 16 | (u32)((rgb[1] << 2 & 0xff) | rgb[1] >> 4) << 8 |
	       (u32)((rgb[2] << 2 & 0xff) | rgb[2] >> 4);
}

/* One of 16 colours, through the attribute controller's palette. */
static u32
palette_colour(const struct vga *v, unsigned index)
{
	u8 entry = v->attribute[index & 15];

	if (v->attribute[0x10] & 0x80)
		entry = (u8)((entry & 0x0f) | (v->attribute[0x14] & 0x0f) << 4);
	else
		entry = (u8)((entry & 0x3f) | (v->attribute[0x14] & 0x0c) << 4);
	return dac_colour(v, entry);
}

/* ---- Text ---- */

static const u8 *
cell_at(const struct vga *v, const struct mode *m, unsigned row, unsigned column)
{
	return v->memory + ((m->start + row * m->stride + column * 4) & MEMORY_MASK & ~3u);
}

static u32
font_base(const struct vga *v, u8 attribute)
{
	u8 map = v->sequencer[3];
	unsigned select = attribute & 0x08 ? (map >> 2 & 3) | (map >> 3 & 4) : (map & 3) | (map >> 2 & 4);

	/* Maps 0..3 at 0, 16, 32, 48 KiB; 4..7 8 KiB above them. */
	return (select & 3) * 0x4000 + (select >> 2) * 0x2000;
}

static void
draw_cell(const struct vga *v, const struct mode *m, u32 *pixels, unsigned row, unsigned column)
{
	const u8 *cell = cell_at(v, m, row, column);
	u8 character = cell[0], attribute = cell[1];
	u32 font = font_base(v, attribute) + character * 32u;
	u32 front = palette_colour(v, attribute & 15);
	/* With blinking switched on, the top bit is no colour. */
	u32 back = palette_colour(v, attribute >> 4 & (v->attribute[0x10] & 0x08 ? 7 : 15));
	u32 place = (u32)v->crtc[0x0e] << 8 | v->crtc[0x0f];
	bool cursor = !(v->crtc[0x0a] & 0x20) && cell == v->memory + (place * 4 & MEMORY_MASK);
	u32 *line = pixels + (size_t)row * m->cell_height * m->width + column * m->cell_width;

	for (unsigned y = 0; y < m->cell_height; y++, line += m->width) {
		u8 bits = v->memory[4 * (u64)(font + y) + 2];
		bool line_drawing = character >= 0xc0 && character <= 0xdf && v->attribute[0x10] & 0x04;

		if (cursor && y >= (v->crtc[0x0a] & 0x1fu) && y <= (v->crtc[0x0b] & 0x1fu))
			bits = 0xff;
		for (unsigned x = 0; x < 8; x++)
			line[x] = bits & 0x80 >> x ? front : back;
		if (m->cell_width == 9)
			line[8] = (line_drawing || bits == 0xff) && bits & 1 ? front : back;
	}
}

/* The upper half of code page 437, and its lower controls. */
static const u16 low_437[32] = {
	' ',    0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
	0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
	0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
};
static const u16 high_437[128] = {
	0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee,
	0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6,
	0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa,
	0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502,
	0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514,
	0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550,
	0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c,
	0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4,
	0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320,
	0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

static char *
put_utf8(char *to, u16 code)
{
	if (code < 0x80) {
		*to++ = (char)code;
	} else if (code < 0x800) {
		*to++ = (char)(0xc0 | code >> 6);
		*to++ = (char)(0x80 | (code & 0x3f));
	} else {
		*to++ = (char)(0xe0 | code >> 12);
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	}
	return to;
}

static char *
text(void *adapter)
{
	const struct vga *v = adapter;
	char *string, *to;
	struct mode m;

	get_mode(v, &m);
	if (m.kind != TEXT)
		return NULL;
	string = to = malloc((size_t)m.rows * (m.columns * 3 + 1) + 1);
	for (unsigned row = 0; to && row < m.rows; row++) {
		char *end = to;

		for (unsigned column = 0; column < m.columns; column++) {
			u8 c = *cell_at(v, &m, row, column);

			to = put_utf8(to, c < 32 ? low_437[c] : c >= 128 ? high_437[c - 128] : c);
			if (c != 0 && c != ' ' && c != 0xff)
				end = to;
		}
		to = end;
		*to++ = '\n';
	}
	if (to)
		*to = 0;
	return string;
}

/* ---- Graphics ---- */

static void
draw_planar(const struct vga *v, const struct mode *m, u32 *line, u32 at)
{
	u32 colour[16];

	for (unsigned i = 0; i < 16; i++)
		colour[i] = palette_colour(v, i & v->attribute[0x12]);
	for (unsigned x = 0; x < m->width; x++) {
		const u8 *planes = v->memory + ((at + x / 8 * 4) & MEMORY_MASK & ~3u);
		unsigned bit = 7 - x % 8;

		line[x] = colour[(planes[0] >> bit & 1) | (planes[1] >> bit & 1) << 1 | (planes[2] >> bit & 1) << 2 |
				 (planes[3] >> bit & 1) << 3];
	}
}

static u32
five(u32 bits)
{
	bits &= 31;
	return bits << 3 | bits >> 2;
}

static u32
pixel(const struct vga *v, const u8 *memory, u32 at, unsigned bpp)
{
	u32 low = memory[at & MEMORY_MASK], value;

	if (bpp == 8)
		return dac_colour(v, (u8)low);
	value = low | (u32)memory[(at + 1) & MEMORY_MASK] << 8;
	if (bpp == 15)
		return five(value >> 10) << 16 | five(value >> 5) << 8 | five(value);
	if (bpp == 16)
		return five(value >> 11) << 16 | ((value >> 3 & 0xfc) | (value >> 9 & 3)) << 8 | five(value);
	return value | (u32)memory[(at + 2) & MEMORY_MASK] << 16;
}

static void
draw_linear(const struct vga *v, const struct mode *m, u32 *line, u32 at)
{
	unsigned bpp = m->kind == LINEAR8 ? 8 : m->bpp, bytes = (bpp + 7) / 8;

	for (unsigned x = 0; x < m->width; x++)
		line[x] = pixel(v, v->memory, at + x * bytes, bpp);
}

static bool
line_dirty(const struct vga *v, const struct mode *m, u32 at)
{
	unsigned bytes = m->kind == VBE ? (m->bpp + 7) / 8 : 1;
	u32 length = m->kind == PLANAR ? m->width / 2 : m->width * bytes;

	for (u32 page = at / 4096; page <= (at + length) / 4096; page++)
		if (v->dirty[page % COUNT(v->dirty)])
			return true;
	return false;
}

static void
size(void *adapter, unsigned *width, unsigned *height)
{
	struct mode m;

	get_mode(adapter, &m);
	*width = m.width;
	*height = m.height;
}

static bool
draw(void *adapter, u32 *pixels, bool all)
{
	struct vga *v = adapter;
	struct mode m;
	bool everything = all;

	all |= v->all_dirty;
	if (!all && !v->any_dirty)
		return false;
	get_mode(v, &m);
	if (m.kind == TEXT) {
		/* Lines below the last whole row of characters. */
		memset(pixels, 0, (size_t)m.width * m.height * 4);
		for (unsigned row = 0; row < m.rows; row++)
			for (unsigned column = 0; column < m.columns; column++)
				draw_cell(v, &m, pixels, row, column);
	}
	for (unsigned y = 0; m.kind != TEXT && y < m.height; y++) {
		u32 at = m.start + y * m.stride, *line = pixels + (size_t)y * m.width;

		if (!all && !line_dirty(v, &m, at))
			continue;
		if (m.kind == PLANAR)
			draw_planar(v, &m, line, at);
		else
			draw_linear(v, &m, line, at);
	}
	/* Who asks for everything may be another one than who follows the changes. */
	if (!everything) {
		memset(v->dirty, 0, sizeof(v->dirty));
		v->any_dirty = v->all_dirty = false;
	}
	return m.width != 0;
}

void
vga_draw_init(struct vga *v)
{
	v->display = (struct display){size, draw, text, v};
}
