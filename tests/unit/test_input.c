/* bus/input.c: polling in order, waiting on descriptors. */
#include "bus/input.h"

#include <unistd.h>

#include "tests/unit/unit.h"

static char order[8];
static u64 polled_at;

static void
note(void *opaque, u64 now)
{
	strcat(order, opaque);
	polled_at = now;
}

static void
sources_are_polled_in_the_order_they_were_added(void **state)
{
	struct input *input = input_new();
	struct input_source a = {.name = "a", .poll = note, .opaque = "a", .fd = -1};
	struct input_source b = {.name = "b", .poll = note, .opaque = "b", .fd = -1};

	(void)state;
	order[0] = 0;
	input_add(input, &b);
	input_add(input, &a);
	input_poll(input, 42);
	assert_string_equal(order, "ba");
	assert_int_equal(polled_at, 42);
	input_free(input);
}

static void
waiting_ends_when_a_descriptor_has_input(void **state)
{
	struct input *input = input_new();
	struct input_source a = {.name = "a", .poll = note, .opaque = "a", .fd = -1};
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	a.fd = fds[0];
	input_add(input, &a);
	input_wait(input, 1);
	assert_int_equal(write(fds[1], "x", 1), 1);
	input_wait(input, 1000 * 1000); /* the test would time out */
	close(fds[0]);
	close(fds[1]);
	input_free(input);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_are_polled_in_the_order_they_were_added),
		cmocka_unit_test(waiting_ends_when_a_descriptor_has_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
