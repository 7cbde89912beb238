#include "tests/unit/chip_fixture.h"

#include "devices/pic.h"

#define MASTER 0x20
#define SLAVE 0xa0

struct board {
	struct fixture *f;
	struct pic pic;
};

/* As Linux does it: edge-triggered, cascade on 2, vectors 0x30 and 0x38, everything masked. */
static void
linux_init(struct board *b)
{
	out(b->f, MASTER, 0x11);
	out(b->f, MASTER + 1, 0x30);
	out(b->f, MASTER + 1, 0x04);
	out(b->f, MASTER + 1, 0x01);
	out(b->f, SLAVE, 0x11);
	out(b->f, SLAVE + 1, 0x38);
	out(b->f, SLAVE + 1, 0x02);
	out(b->f, SLAVE + 1, 0x01);
	out(b->f, MASTER + 1, 0xff);
	out(b->f, SLAVE + 1, 0xff);
}

static int
setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));
	struct irq_line intr;

	b->f = fixture_new();
	intr = wire(b->f, 0);
	pic_init(&b->pic, b->f->ports, &intr);
	linux_init(b);
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

static void
unmask_all(struct board *b)
{
	out(b->f, MASTER + 1, 0);
	out(b->f, SLAVE + 1, 0);
}

static void
an_edge_asks_and_is_acknowledged_with_its_vector(void **state)
{
	struct board *b = *state;

	unmask_all(b);
	pic_set(&b->pic, 4, 1);
	assert_int_equal(b->f->level[0], 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x34);
	assert_int_equal(b->f->level[0], 0);
	/* The line is still up, but an edge counts once. */
	out(b->f, MASTER, 0x20);
	assert_int_equal(b->f->level[0], 0);
	pic_set(&b->pic, 4, 0);
	pic_set(&b->pic, 4, 1);
	assert_int_equal(b->f->level[0], 1);
}

static void
a_masked_edge_waits_for_the_mask_to_open(void **state)
{
	struct board *b = *state;

	pic_set(&b->pic, 3, 1);
	assert_int_equal(b->f->level[0], 0);
	out(b->f, MASTER, 0x0a);
	assert_int_equal(in(b->f, MASTER), 0x08);
	out(b->f, MASTER + 1, 0xf7);
	assert_int_equal(b->f->level[0], 1);
}

static void
the_slave_interrupts_through_the_cascade(void **state)
{
	struct board *b = *state;

	unmask_all(b);
	pic_set(&b->pic, 12, 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x3c);
	out(b->f, MASTER, 0x0b);
	out(b->f, SLAVE, 0x0b);
	assert_int_equal(in(b->f, MASTER), 0x04);
	assert_int_equal(in(b->f, SLAVE), 0x10);
	/* A lower slave input must wait for both EOIs, a higher master one need not. */
	pic_set(&b->pic, 14, 1);
	assert_int_equal(b->f->level[0], 0);
	pic_set(&b->pic, 1, 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x31);
	out(b->f, MASTER, 0x61);
	out(b->f, SLAVE, 0x64);
	assert_int_equal(b->f->level[0], 0);
	out(b->f, MASTER, 0x62);
	assert_int_equal(b->f->level[0], 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x3e);
}

static void
a_lower_priority_waits_and_a_higher_one_nests(void **state)
{
	struct board *b = *state;

	unmask_all(b);
	pic_set(&b->pic, 5, 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x35);
	pic_set(&b->pic, 6, 1);
	assert_int_equal(b->f->level[0], 0);
	pic_set(&b->pic, 1, 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x31);
	out(b->f, MASTER, 0x20); /* nonspecific: the highest, input 1 */
	assert_int_equal(b->f->level[0], 0);
	out(b->f, MASTER, 0x20);
	assert_int_equal(pic_acknowledge(&b->pic), 0x36);
}

static void
acknowledge_without_request_is_spurious_7(void **state)
{
	struct board *b = *state;

	unmask_all(b);
	assert_int_equal(pic_acknowledge(&b->pic), 0x37);
	out(b->f, MASTER, 0x0b);
	assert_int_equal(in(b->f, MASTER), 0);
}

static void
a_level_input_asks_until_its_line_falls(void **state)
{
	struct board *b = *state;

	out(b->f, 0x4d0, 0xff);
	out(b->f, 0x4d1, 0xff);
	assert_int_equal(in(b->f, 0x4d0), 0xf8);
	assert_int_equal(in(b->f, 0x4d1), 0xde);
	unmask_all(b);
	pic_set(&b->pic, 11, 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x3b);
	out(b->f, SLAVE, 0x20);
	out(b->f, MASTER, 0x20);
	assert_int_equal(b->f->level[0], 1);
	pic_set(&b->pic, 11, 0);
	assert_int_equal(b->f->level[0], 0);
}

static void
automatic_eoi_leaves_nothing_in_service(void **state)
{
	struct board *b = *state;

	out(b->f, MASTER, 0x11);
	out(b->f, MASTER + 1, 0x30);
	out(b->f, MASTER + 1, 0x04);
	out(b->f, MASTER + 1, 0x03);
	out(b->f, MASTER + 1, 0);
	pic_set(&b->pic, 6, 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x36);
	out(b->f, MASTER, 0x0b);
	assert_int_equal(in(b->f, MASTER), 0);
}

static void
rotation_gives_the_served_input_the_lowest_priority(void **state)
{
	struct board *b = *state;

	unmask_all(b);
	pic_set(&b->pic, 3, 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x33);
	out(b->f, MASTER, 0xa0); /* rotate on nonspecific EOI: 4 is highest now */
	pic_set(&b->pic, 3, 0);
	pic_set(&b->pic, 3, 1);
	pic_set(&b->pic, 7, 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x37);
	out(b->f, MASTER, 0xc7); /* set priority: 7 lowest, as at the start */
	out(b->f, MASTER, 0x20);
	assert_int_equal(pic_acknowledge(&b->pic), 0x33);
}

static void
special_mask_mode_lets_lower_priorities_through(void **state)
{
	struct board *b = *state;

	unmask_all(b);
	pic_set(&b->pic, 1, 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x31);
	pic_set(&b->pic, 6, 1);
	assert_int_equal(b->f->level[0], 0);
	out(b->f, MASTER + 1, 0x02);
	out(b->f, MASTER, 0x68);
	assert_int_equal(b->f->level[0], 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x36);
	out(b->f, MASTER, 0x48);
}

static void
special_fully_nested_mode_lets_the_slave_nest(void **state)
{
	struct board *b = *state;

	out(b->f, MASTER, 0x11);
	out(b->f, MASTER + 1, 0x30);
	out(b->f, MASTER + 1, 0x04);
	out(b->f, MASTER + 1, 0x11);
	unmask_all(b);
	pic_set(&b->pic, 12, 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x3c);
	pic_set(&b->pic, 9, 1);
	assert_int_equal(b->f->level[0], 1);
	assert_int_equal(pic_acknowledge(&b->pic), 0x39);
}

static void
poll_acknowledges_by_reading(void **state)
{
	struct board *b = *state;

	unmask_all(b);
	pic_set(&b->pic, 4, 1);
	out(b->f, MASTER, 0x0c);
	assert_int_equal(in(b->f, MASTER), 0x84);
	out(b->f, MASTER, 0x0b);
	assert_int_equal(in(b->f, MASTER), 0x10);
	out(b->f, MASTER, 0x0c);
	assert_int_equal(in(b->f, MASTER), 0x00);
}

static void
the_mask_reads_back_as_linux_probes_it(void **state)
{
	struct board *b = *state;

	out(b->f, SLAVE + 1, 0xff);
	out(b->f, MASTER + 1, 0xfb);
	assert_int_equal(in(b->f, MASTER + 1), 0xfb);
}

static void
icw1_clears_latched_edges(void **state)
{
	struct board *b = *state;

	pic_set(&b->pic, 4, 1);
	linux_init(b);
	unmask_all(b);
	assert_int_equal(b->f->level[0], 0);
}

static void
visit(void *opaque, struct state *s)
{
	pic_state(opaque, s);
}

static void
random_accesses_do_no_harm(void **state)
{
	struct board *b = *state;
	u64 seed = 5;

	for (unsigned i = 0; i < 50000; i++) {
		static const u16 port[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};

		pic_set(&b->pic, random_number(&seed) % 16, random_number(&seed) & 1);
		out(b->f, port[random_number(&seed) % 6], (u8)random_number(&seed));
		in(b->f, port[random_number(&seed) % 6]);
		if (random_number(&seed) % 3 == 0)
			pic_acknowledge(&b->pic);
		if (i % 1000 == 0)
			assert_state_survives(visit, &b->pic);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(an_edge_asks_and_is_acknowledged_with_its_vector),
		TEST(a_masked_edge_waits_for_the_mask_to_open),
		TEST(the_slave_interrupts_through_the_cascade),
		TEST(a_lower_priority_waits_and_a_higher_one_nests),
		TEST(acknowledge_without_request_is_spurious_7),
		TEST(a_level_input_asks_until_its_line_falls),
		TEST(automatic_eoi_leaves_nothing_in_service),
		TEST(rotation_gives_the_served_input_the_lowest_priority),
		TEST(special_mask_mode_lets_lower_priorities_through),
		TEST(special_fully_nested_mode_lets_the_slave_nest),
		TEST(poll_acknowledges_by_reading),
		TEST(the_mask_reads_back_as_linux_probes_it),
		TEST(icw1_clears_latched_edges),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
