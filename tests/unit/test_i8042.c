#include "tests/unit/chip_fixture.h"

#include "devices/i8042.h"

#define DATA 0x60
#define COMMAND 0x64

struct board {
	struct fixture *f;
	struct i8042 k;
};

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct irq_line keyboard, mouse;

	b->f = fixture_new();
	keyboard = wire(b->f, 1);
	mouse = wire(b->f, 12);
	i8042_init(&b->k, b->f->ports, &keyboard, &mouse, &b->f->control);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct board *b = *state;

	fixture_free(b->f);
	free(b);
	return 0;
}

static bool
full(struct board *b)
{
	return in(b->f, COMMAND) & 1;
}

static bool
aux(struct board *b)
{
	return in(b->f, COMMAND) & 0x20;
}

static u8
read_data(struct board *b)
{
	assert_true(full(b));
	return in(b->f, DATA);
}

static u8
ask(struct board *b, u8 command)
{
	out(b->f, COMMAND, command);
	return read_data(b);
}

static void
set_command_byte(struct board *b, u8 value)
{
	out(b->f, COMMAND, 0x60);
	out(b->f, DATA, value);
}

static void
expect(struct board *b, const u8 *bytes, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		assert_int_equal(read_data(b), bytes[i]);
	assert_false(full(b));
}

#define EXPECT(b, ...) expect(b, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static void
linux_probes_the_controller(void **state)
{
	struct board *b = *state;
	u8 control;

	assert_false(full(b));
	assert_int_equal(ask(b, 0xaa), 0x55);
	control = ask(b, 0x20);
	assert_int_equal(control & 0x40, 0x40);
	set_command_byte(b, (control | 0x10) & 0xfe);
	assert_int_equal(ask(b, 0x20), (control | 0x10) & 0xfe);
	/* No multiplexer: the magic bytes come back as they were. */
	out(b->f, COMMAND, 0xd3);
	out(b->f, DATA, 0xf0);
	assert_true(aux(b));
	assert_int_equal(read_data(b), 0xf0);
	out(b->f, COMMAND, 0xd3);
	out(b->f, DATA, 0xa4);
	assert_int_equal(read_data(b), 0xa4);
	/* The mouse port can be switched. */
	out(b->f, COMMAND, 0xa7);
	assert_int_equal(ask(b, 0x20) & 0x20, 0x20);
	out(b->f, COMMAND, 0xa8);
	assert_int_equal(ask(b, 0x20) & 0x20, 0);
	assert_int_equal(ask(b, 0xa9), 0);
	assert_int_equal(ask(b, 0xab), 0);
}

/* i8042_check_aux(): a looped byte must interrupt on 12. */
static void
the_mouse_port_interrupts_on_12(void **state)
{
	struct board *b = *state;

	set_command_byte(b, 0x47);
	out(b->f, COMMAND, 0xd3);
	out(b->f, DATA, 0xa5);
	assert_int_equal(b->f->level[12], 1);
	assert_int_equal(b->f->level[1], 0);
	assert_int_equal(read_data(b), 0xa5);
	assert_int_equal(b->f->level[12], 0);
}

static void
linux_probes_the_keyboard(void **state)
{
	struct board *b = *state;

	set_command_byte(b, 0x05);
	out(b->f, DATA, 0xf2);
	EXPECT(b, 0xfa, 0xab, 0x83);
	out(b->f, DATA, 0xed);
	EXPECT(b, 0xfa);
	out(b->f, DATA, 0x07);
	EXPECT(b, 0xfa);
	assert_int_equal(b->k.device[0].leds, 7);
	out(b->f, DATA, 0xf0);
	EXPECT(b, 0xfa);
	out(b->f, DATA, 0x00);
	EXPECT(b, 0xfa, 0x02);
	out(b->f, DATA, 0xff);
	EXPECT(b, 0xfa, 0xaa);
	out(b->f, DATA, 0xee);
	EXPECT(b, 0xee);
	out(b->f, DATA, 0x12);
	EXPECT(b, 0xfe);
	/* Translated, as it is by default, the identity looks different. */
	set_command_byte(b, 0x45);
	out(b->f, DATA, 0xf2);
	EXPECT(b, 0xfa, 0xab, 0x41);
}

static void
keys_arrive_translated_one_interrupt_each(void **state)
{
	struct board *b = *state;

	assert_true(i8042_key(&b->k, 0x1e, true)); /* A */
	assert_int_equal(b->f->level[1], 1);
	assert_true(i8042_key(&b->k, 0x1e, false));
	assert_int_equal(read_data(b), 0x1e);
	assert_int_equal(b->f->rises[1], 2);
	EXPECT(b, 0x9e);
	assert_int_equal(b->f->level[1], 0);
	i8042_key(&b->k, 0xe048, true); /* up */
	i8042_key(&b->k, 0xe048, false);
	EXPECT(b, 0xe0, 0x48, 0xe0, 0xc8);
	i8042_key(&b->k, 0x41, true); /* F7, the odd one */
	EXPECT(b, 0x41);
	set_command_byte(b, 0x05);
	i8042_key(&b->k, 0x1e, false);
	EXPECT(b, 0xf0, 0x1c);
}

static void
a_disabled_keyboard_keeps_its_bytes(void **state)
{
	struct board *b = *state;

	out(b->f, COMMAND, 0xad);
	i8042_key(&b->k, 0x1e, true);
	assert_false(full(b));
	out(b->f, COMMAND, 0xae);
	EXPECT(b, 0x1e);
	out(b->f, DATA, 0xf5);
	EXPECT(b, 0xfa);
	assert_false(i8042_key(&b->k, 0x1e, true));
}

static void
a_full_queue_loses_keys_and_nothing_else(void **state)
{
	struct board *b = *state;
	unsigned taken = 0;

	while (i8042_key(&b->k, 0x1e, true))
		taken++;
	assert_in_range(taken, 32, 33);
	for (unsigned i = 0; i < taken; i++)
		assert_int_equal(read_data(b), 0x1e);
	assert_false(full(b));
}

static void
to_mouse(struct board *b, u8 value)
{
	out(b->f, COMMAND, 0xd4);
	out(b->f, DATA, value);
}

static void
linux_finds_a_wheel_mouse(void **state)
{
	static const u8 knock[] = {0xf3, 200, 0xf3, 100, 0xf3, 80};
	struct board *b = *state;

	set_command_byte(b, 0x47);
	to_mouse(b, 0xff);
	EXPECT(b, 0xfa, 0xaa, 0x00);
	to_mouse(b, 0xf2);
	EXPECT(b, 0xfa, 0x00);
	for (unsigned i = 0; i < COUNT(knock); i++) {
		to_mouse(b, knock[i]);
		EXPECT(b, 0xfa);
	}
	to_mouse(b, 0xf2);
	EXPECT(b, 0xfa, 0x03);
	to_mouse(b, 0xe9);
	EXPECT(b, 0xfa, 0x00, 0x02, 80);
	assert_false(i8042_mouse(&b->k, 1, 1, 0, 0));
	to_mouse(b, 0xf4);
	EXPECT(b, 0xfa);
	assert_true(i8042_mouse(&b->k, 5, -3, 1, 2));
	assert_true(aux(b));
	EXPECT(b, 0x2a, 5, 0xfd, 1);
}

static void
reset_pulses_init(void **state)
{
	struct board *b = *state;

	out(b->f, COMMAND, 0xff);
	assert_int_equal(b->f->inits, 0);
	out(b->f, COMMAND, 0xfe);
	assert_int_equal(b->f->inits, 1);
	out(b->f, COMMAND, 0xd1);
	out(b->f, DATA, 0x02);
	assert_int_equal(b->f->inits, 2);
	assert_int_equal(ask(b, 0xd0) & 0x02, 0x02);
}

static void
the_output_port_opens_and_closes_the_a20_gate(void **state)
{
	struct board *b = *state;

	out(b->f, COMMAND, 0xd1);
	out(b->f, DATA, 0xcf);
	assert_true(b->f->a20_open);
	out(b->f, COMMAND, 0xdd);
	assert_false(b->f->a20_open);
	out(b->f, COMMAND, 0xdf);
	assert_true(b->f->a20_open);
	out(b->f, COMMAND, 0xd1);
	out(b->f, DATA, 0xcd);
	assert_false(b->f->a20_open);
	assert_int_equal(b->f->inits, 0);
}

static void
visit(void *opaque, struct state *s)
{
	i8042_state(opaque, s);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;
	u64 seed = 4;

	for (unsigned i = 0; i < 500; i++) {
		sweep_ports(b->f, 0x60, 5, 100);
		i8042_key(&b->k, (unsigned)random_number(&seed), random_number(&seed) & 1);
		i8042_mouse(&b->k, (int)random_number(&seed) % 300, 2, 1, (unsigned)random_number(&seed));
		if (i % 10 == 0)
			assert_state_survives(visit, &b->k);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(linux_probes_the_controller),
		TEST(the_mouse_port_interrupts_on_12),
		TEST(linux_probes_the_keyboard),
		TEST(keys_arrive_translated_one_interrupt_each),
		TEST(a_disabled_keyboard_keeps_its_bytes),
		TEST(a_full_queue_loses_keys_and_nothing_else),
		TEST(linux_finds_a_wheel_mouse),
		TEST(reset_pulses_init),
		TEST(the_output_port_opens_and_closes_the_a20_gate),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
