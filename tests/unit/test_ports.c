/* bus/ports.c: ownership, splitting, remapping. */
#include "bus/ports.h"

#include "tests/unit/unit.h"

struct probe {
	u16 port;
	u32 value;
	unsigned size, writes;
	u32 reads_as;
};

static u32
probe_read(void *opaque, u16 port, unsigned size)
{
	struct probe *p = opaque;

	p->port = port;
	p->size = size;
	return p->reads_as;
}

static void
probe_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct probe *p = opaque;

	p->port = port;
	p->size = size;
	p->value = value;
	p->writes++;
}

static const struct port_ops bytes = {probe_read, probe_write, PORT_BYTE};
static const struct port_ops all = {probe_read, probe_write, PORT_BYTE | PORT_WORD | PORT_LONG};

static void
where_nobody_is_reads_are_ones(void **state)
{
	struct ports *p = ports_new();

	(void)state;
	assert_int_equal(ports_read(p, 0x80, 1), 0xff);
	assert_int_equal(ports_read(p, 0x80, 2), 0xffff);
	assert_int_equal(ports_read(p, 0xffff, 4), 0xffffffff);
	ports_write(p, 0xffff, 4, 0);
	ports_free(p);
}

static void
a_range_takes_whole_the_sizes_that_it_names(void **state)
{
	struct ports *p = ports_new();
	struct probe a = {.reads_as = 0x11223344};

	(void)state;
	ports_map(p, "a", 0xcf8, 8, &all, &a);
	ports_write(p, 0xcfc, 4, 0xdeadbeef);
	assert_int_equal(a.size, 4);
	assert_int_equal(a.value, 0xdeadbeef);
	ports_write(p, 0xcfe, 2, 0xdeadbeef);
	assert_int_equal(a.value, 0xbeef);
	assert_int_equal(ports_read(p, 0xcf8, 4), 0x11223344);
	assert_int_equal(ports_read(p, 0xcf8, 2), 0x3344);
	assert_int_equal(ports_read(p, 0xcf8, 1), 0x44);
	ports_free(p);
}

static void
other_sizes_are_split_into_bytes_to_their_owners(void **state)
{
	struct ports *p = ports_new();
	struct probe a = {.reads_as = 0x1a1}, b = {.reads_as = 0xb2};

	(void)state;
	ports_map(p, "a", 0x60, 1, &bytes, &a);
	ports_map(p, "b", 0x61, 1, &bytes, &b);
	assert_int_equal(ports_read(p, 0x60, 2), 0xb2a1);
	assert_int_equal(ports_read(p, 0x60, 4), 0xffffb2a1);
	ports_write(p, 0x60, 2, 0x5566);
	assert_int_equal(a.value, 0x66);
	assert_int_equal(b.value, 0x55);
	assert_int_equal(b.port, 0x61);
	ports_free(p);
}

static void
a_later_range_takes_over_and_unmap_leaves_nobody(void **state)
{
	struct ports *p = ports_new();
	struct probe a = {.reads_as = 1}, b = {.reads_as = 2};

	(void)state;
	ports_map(p, "a", 0x100, 4, &bytes, &a);
	ports_map(p, "b", 0x102, 4, &bytes, &b);
	assert_int_equal(ports_read(p, 0x101, 1), 1);
	assert_int_equal(ports_read(p, 0x102, 1), 2);
	ports_unmap(p, 0x102, 4);
	assert_int_equal(ports_read(p, 0x101, 1), 1);
	assert_int_equal(ports_read(p, 0x102, 1), 0xff);
	ports_free(p);
}

static void
a_guest_may_move_a_range_for_ever(void **state)
{
	struct ports *p = ports_new();
	struct probe a = {.reads_as = 1};

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		ports_map(p, "a", (u16)(i % 1000 * 64), 64, &bytes, &a);
		ports_unmap(p, (u16)(i % 1000 * 64), 64);
	}
	ports_map(p, "a", 0xffff, 1, &bytes, &a);
	assert_int_equal(ports_read(p, 0xffff, 2), 0xff01);
	ports_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_nobody_is_reads_are_ones),
		cmocka_unit_test(a_range_takes_whole_the_sizes_that_it_names),
		cmocka_unit_test(other_sizes_are_split_into_bytes_to_their_owners),
		cmocka_unit_test(a_later_range_takes_over_and_unmap_leaves_nobody),
		cmocka_unit_test(a_guest_may_move_a_range_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
