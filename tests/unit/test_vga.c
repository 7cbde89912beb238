/* VGA registers and memory, the VBE interface, and what is seen of them. */
#include "tests/unit/chip_fixture.h"

#include "devices/vga.h"

#define VGA PCI_DEVFN(2, 0)
#define FRAMEBUFFER 0xe0000000u

struct bench {
	struct fixture *f;
	struct pci_bus bus;
	struct vga *vga;
};

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->f = fixture_new();
	pci_bus_init(&b->bus, b->f->memory, b->f->ports);
	b->vga = vga_new(&b->bus, VGA, b->f->events, NULL, 0);
	pci_config_write(&b->bus, VGA, PCI_BAR0, 4, FRAMEBUFFER);
	pci_config_write(&b->bus, VGA, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	vga_free(b->vga);
	fixture_free(b->f);
	free(b);
	return 0;
}

static void
reg(struct bench *b, u16 port, u8 index, u8 value)
{
	out(b->f, port, index);
	out(b->f, port + 1, value);
}

static void
attribute(struct bench *b, u8 index, u8 value)
{
	in(b->f, 0x3da);
	out(b->f, 0x3c0, index);
	out(b->f, 0x3c0, value);
}

static void
vbe(struct bench *b, u16 index, u16 value)
{
	ports_write(b->f->ports, 0x1ce, 2, index);
	ports_write(b->f->ports, 0x1cf, 2, value);
}

static u16
vbe_get(struct bench *b, u16 index)
{
	ports_write(b->f->ports, 0x1ce, 2, index);
	return (u16)ports_read(b->f->ports, 0x1cf, 2);
}

/* 80x25 with cells of 8x16, colour 7 white, and an 'A' whose only line is the first. */
static void
set_text_mode(struct bench *b)
{
	out(b->f, 0x3c2, 0x67);
	reg(b, 0x3c4, 1, 0x01);
	reg(b, 0x3c4, 2, 0x04); /* the font, in plane 2 */
	reg(b, 0x3c4, 4, 0x06);
	reg(b, 0x3ce, 5, 0x00);
	reg(b, 0x3ce, 6, 0x04);
	reg(b, 0x3ce, 8, 0xff);
	memory_write(b->f->memory, 0xa0000 + 'A' * 32, 1, 0x81);
	reg(b, 0x3c4, 2, 0x03);
	reg(b, 0x3c4, 4, 0x02);
	reg(b, 0x3ce, 5, 0x10);
	reg(b, 0x3ce, 6, 0x0e);
	reg(b, 0x3d4, 0x11, 0x00);
	reg(b, 0x3d4, 0x01, 79);
	reg(b, 0x3d4, 0x07, 0x1f);
	reg(b, 0x3d4, 0x09, 0x4f);
	reg(b, 0x3d4, 0x0a, 0x20); /* no cursor */
	reg(b, 0x3d4, 0x12, 0x8f);
	reg(b, 0x3d4, 0x13, 40);
	attribute(b, 7, 7);
	in(b->f, 0x3da);
	out(b->f, 0x3c0, 0x20);
	out(b->f, 0x3c8, 7);
	for (unsigned i = 0; i < 3; i++)
		out(b->f, 0x3c9, 63);
}

static void
text_is_read_as_text_and_drawn_by_the_font(void **state)
{
	struct bench *b = *state;
	const struct display *display = &b->vga->display;
	static u32 pixels[640 * 400];
	unsigned width, height;
	char *text;

	set_text_mode(b);
	memory_write(b->f->memory, 0xb8000 + 160 + 4, 2, 0x0741);
	memory_write(b->f->memory, 0xb8000 + 160 + 6, 2, 0x07c4);
	display->size(b->vga, &width, &height);
	assert_int_equal(width, 640);
	assert_int_equal(height, 400);
	text = display->text(b->vga);
	assert_memory_equal(text, "\n  A\xe2\x94\x80\n\n", 9);
	free(text);
	assert_true(display->draw(b->vga, pixels, false));
	assert_int_equal(pixels[16 * 640 + 16], 0xffffff);
	assert_int_equal(pixels[16 * 640 + 17], 0);
	assert_int_equal(pixels[16 * 640 + 23], 0xffffff);
	assert_int_equal(pixels[17 * 640 + 16], 0);
	/* An idle screen costs nothing. */
	assert_false(display->draw(b->vga, pixels, false));
	memory_write(b->f->memory, 0xb8000, 1, 'A');
	assert_true(display->draw(b->vga, pixels, false));
}

static void
no_picture_before_a_mode_is_set(void **state)
{
	struct bench *b = *state;
	unsigned width, height;

	b->vga->display.size(b->vga, &width, &height);
	assert_int_equal(width, 0);
	assert_null(b->vga->display.text(b->vga));
}

static void
planes_are_written_by_all_modes(void **state)
{
	struct bench *b = *state;
	struct memory *m = b->f->memory;

	out(b->f, 0x3c2, 0x67);
	reg(b, 0x3c4, 4, 0x06);
	reg(b, 0x3c4, 2, 0x0f);
	reg(b, 0x3ce, 6, 0x05);
	reg(b, 0x3ce, 8, 0xff);
	/* Write mode 0: set/reset in planes 0 and 1, data in the others, rotated by 4. */
	reg(b, 0x3ce, 0, 0x01);
	reg(b, 0x3ce, 1, 0x03);
	reg(b, 0x3ce, 3, 0x04);
	memory_write(m, 0xa0010, 1, 0xa1);
	assert_memory_equal(b->vga->memory + 0x40, "\xff\x00\x1a\x1a", 4);
	/* Mode 1 copies the latches. */
	memory_read(m, 0xa0010, 1);
	reg(b, 0x3ce, 5, 0x01);
	memory_write(m, 0xa0020, 1, 0);
	assert_memory_equal(b->vga->memory + 0x80, "\xff\x00\x1a\x1a", 4);
	/* Mode 2: a colour, under the bit mask. */
	reg(b, 0x3ce, 3, 0x00);
	reg(b, 0x3ce, 5, 0x02);
	reg(b, 0x3ce, 8, 0x0f);
	memory_read(m, 0xa0010, 1);
	memory_write(m, 0xa0010, 1, 0x0a);
	assert_memory_equal(b->vga->memory + 0x40, "\xf0\x0f\x10\x1f", 4);
	/* Mode 3: set/reset where data and bit mask are one. */
	reg(b, 0x3ce, 5, 0x03);
	memory_read(m, 0xa0010, 1);
	memory_write(m, 0xa0010, 1, 0x01);
	assert_memory_equal(b->vga->memory + 0x40, "\xf1\x0e\x10\x1e", 4);
	/* Reads: one plane, or a comparison of colours. */
	reg(b, 0x3ce, 4, 3);
	assert_int_equal(memory_read(m, 0xa0010, 1), 0x1e);
	reg(b, 0x3ce, 5, 0x08);
	reg(b, 0x3ce, 2, 0x0a);
	reg(b, 0x3ce, 7, 0x0f);
	assert_int_equal(memory_read(m, 0xa0010, 1), 0x0e);
}

static void
a_linear_mode_shows_what_changed(void **state)
{
	struct bench *b = *state;
	const struct display *display = &b->vga->display;
	u32 *pixels = calloc(800 * 600, 4);
	unsigned width, height;

	assert_int_equal(vbe_get(b, VBE_ID), 0xb0c5);
	vbe(b, VBE_XRES, 800);
	vbe(b, VBE_YRES, 600);
	vbe(b, VBE_BPP, 32);
	vbe(b, VBE_ENABLE, 0x41);
	assert_int_equal(vbe_get(b, VBE_VIRT_WIDTH), 800);
	display->size(b->vga, &width, &height);
	assert_int_equal(width, 800);
	assert_int_equal(height, 600);
	assert_true(display->draw(b->vga, pixels, false));
	memory_write(b->f->memory, FRAMEBUFFER + (100 * 800 + 5) * 4, 4, 0x123456);
	pixels[599 * 800] = 1; /* must stay: that line has not changed */
	assert_true(display->draw(b->vga, pixels, false));
	assert_int_equal(pixels[100 * 800 + 5], 0x123456);
	assert_int_equal(pixels[599 * 800], 1);
	assert_false(display->draw(b->vga, pixels, false));
	assert_null(display->text(b->vga));
	free(pixels);
}

static void
impossible_modes_are_not_switched_on(void **state)
{
	struct bench *b = *state;

	vbe(b, VBE_XRES, 4000);
	vbe(b, VBE_YRES, 600);
	vbe(b, VBE_BPP, 32);
	vbe(b, VBE_ENABLE, 1);
	assert_int_equal(vbe_get(b, VBE_ENABLE), 0);
	vbe(b, VBE_ENABLE, 2);
	assert_int_equal(vbe_get(b, VBE_XRES), 2560);
	assert_int_equal(vbe_get(b, VBE_YRES), 1600);
}

static void
visit(void *opaque, struct state *s)
{
	vga_state(((struct bench *)opaque)->vga, s);
}

/* 128 KiB of window from the last bank on. */
static void
the_window_ends_where_the_memory_does(void **state)
{
	struct bench *b = *state;

	vbe(b, VBE_XRES, 640);
	vbe(b, VBE_YRES, 480);
	vbe(b, VBE_BPP, 8);
	vbe(b, VBE_ENABLE, 1);
	out(b->f, 0x3c2, 0x67);
	reg(b, 0x3c4, 2, 0x0f);
	reg(b, 0x3c4, 4, 0x0e);
	reg(b, 0x3ce, 5, 0x00);
	reg(b, 0x3ce, 6, 0x00);
	reg(b, 0x3ce, 8, 0xff);
	vbe(b, VBE_BANK, 0xffff);
	assert_int_equal(vbe_get(b, VBE_BANK), 0xff);
	memory_write(b->f->memory, 0xaffff, 1, 0x5a);
	memory_write(b->f->memory, 0xb0000, 1, 0x5a);
	memory_write(b->f->memory, 0xbffff, 1, 0x5a);
	assert_int_equal(b->vga->memory[VGA_MEMORY - 1], 0x5a);
	assert_int_equal(memory_read(b->f->memory, 0xaffff, 1), 0x5a);
	assert_int_equal(memory_read(b->f->memory, 0xb0000, 1), 0xff);
	assert_int_equal(memory_read(b->f->memory, 0xbffff, 1), 0xff);
}

static void
random_software_does_no_harm(void **state)
{
	struct bench *b = *state;
	u32 *pixels = calloc((size_t)DISPLAY_MAX_WIDTH * DISPLAY_MAX_HEIGHT, 4);
	unsigned width, height, pictures = 0;
	u64 seed = 3;

	for (unsigned i = 0; i < 120; i++) {
		set_text_mode(b);
		sweep_ports(b->f, 0x3b0, 0x30, 200);
		if (i & 1) {
			for (u16 index = 1; index < 12; index++)
				if (index != VBE_ENABLE)
					vbe(b, index, (u16)(random_number(&seed) & (random_number(&seed) & 1 ? 0x7ff : 0x38)));
			vbe(b, VBE_BPP, (u16)(random_number(&seed) % 5 * 8));
			vbe(b, VBE_ENABLE, (u16)(random_number(&seed) | 0x81));
			vbe(b, VBE_VIRT_WIDTH, (u16)random_number(&seed));
			vbe(b, VBE_X_OFFSET, (u16)random_number(&seed));
			vbe(b, VBE_Y_OFFSET, (u16)random_number(&seed));
			vbe(b, VBE_BANK, (u16)random_number(&seed));
		}
		sweep_memory(b->f, 0xa0000, 0x20000, 200);
		sweep_memory(b->f, FRAMEBUFFER, VGA_MEMORY, 20);
		b->vga->display.size(b->vga, &width, &height);
		assert_true(width <= DISPLAY_MAX_WIDTH && height <= DISPLAY_MAX_HEIGHT);
		pictures += width && b->vga->display.draw(b->vga, pixels, true);
		free(b->vga->display.text(b->vga));
		if (i % 40 == 0)
			assert_state_survives(visit, b);
		vbe(b, VBE_ENABLE, 0);
	}
	assert_true(pictures > 5);
	free(pixels);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#define REGISTERS 0xe2000000u

static u32
mmio(struct bench *b, u32 offset, unsigned size)
{
	return (u32)memory_read(b->f->memory, REGISTERS + offset, size);
}

static void
registers_are_in_memory_too(void **state)
{
	struct bench *b = *state;

	pci_config_write(&b->bus, VGA, PCI_BAR0 + 8, 4, REGISTERS);
	ports_write(b->f->ports, 0x1ce, 2, 7);
	memory_write(b->f->memory, REGISTERS + 0x500 + 2 * VBE_XRES, 2, 2560);
	memory_write(b->f->memory, REGISTERS + 0x500 + 2 * VBE_YRES, 2, 1600);
	memory_write(b->f->memory, REGISTERS + 0x500 + 2 * VBE_BPP, 2, 32);
	memory_write(b->f->memory, REGISTERS + 0x500 + 2 * VBE_ENABLE, 2, 0x41);
	assert_int_equal(mmio(b, 0x500 + 2 * VBE_XRES, 2), 2560);
	assert_int_equal(mmio(b, 0x500 + 2 * VBE_ENABLE, 2), 0x41);
	assert_int_equal(ports_read(b->f->ports, 0x1ce, 2), 7);
	memory_write(b->f->memory, REGISTERS + 0x400 + 2, 1, 0x67); /* port 0x3c2 */
	assert_int_equal(in(b->f, 0x3cc), 0x67);
	assert_int_equal(mmio(b, 0x40c, 1), 0x67);
	/* Nothing there. */
	assert_int_equal(mmio(b, 0x600, 4), 0);
	memory_write(b->f->memory, REGISTERS + 0x516, 2, 1);
}

static void
the_monitor_has_an_edid(void **state)
{
	static const u8 header[8] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
	struct bench *b = *state;
	u8 edid[128], sum = 0;

	pci_config_write(&b->bus, VGA, PCI_BAR0 + 8, 4, REGISTERS);
	for (unsigned i = 0; i < 128; i += 4)
		pci_set32(edid, i, mmio(b, i, 4));
	for (unsigned i = 0; i < 128; i++)
		sum = (u8)(sum + edid[i]);
	assert_int_equal(sum, 0);
	assert_memory_equal(edid, header, 8);
	/* The preferred mode, as VESA's DMT has it: 1024 x 768, 65 MHz, 1344 x 806 in all. */
	assert_int_equal(pci_get16(edid, 54), 6500);
	assert_int_equal(edid[56] | (edid[58] & 0xf0) << 4, 1024);
	assert_int_equal(edid[57] | (edid[58] & 15) << 8, 320);
	assert_int_equal(edid[59] | (edid[61] & 0xf0) << 4, 768);
	assert_int_equal(edid[60], 38);
	assert_int_equal(mmio(b, 128, 4), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(text_is_read_as_text_and_drawn_by_the_font),
		TEST(registers_are_in_memory_too),
		TEST(the_monitor_has_an_edid),
		TEST(no_picture_before_a_mode_is_set),
		TEST(planes_are_written_by_all_modes),
		TEST(a_linear_mode_shows_what_changed),
		TEST(impossible_modes_are_not_switched_on),
		TEST(the_window_ends_where_the_memory_does),
		TEST(random_software_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
