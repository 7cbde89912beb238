/* bus/input.c: polling in order, waiting on descriptors. */
#include "bus/input.h"

#include <unistd.h>

#include "base/snapshot.h"
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

/* ---- The log ---- */

static char said[64], heard[64], parting[300];
static u64 icount;

static void
clock_of_test(void *opaque, u64 *time, u64 *count)
{
	(void)opaque;
	*time = icount * 2;
	*count = icount;
}

static void
parted(void *opaque, const char *text)
{
	(void)opaque;
	snprintf(parting, sizeof(parting), "%s", text);
}

/* The host says what is in `said`. */
struct host {
	struct input *input;
	struct input_source source;
	unsigned polls;
};

static void
host_poll(void *opaque, u64 now)
{
	struct host *h = opaque;

	(void)now;
	h->polls++;
	if (*said)
		input_push(h->input, &h->source, 7, said, strlen(said));
	*said = 0;
}

static void
host_take(void *opaque, u32 kind, const u8 *data, size_t size)
{
	(void)opaque;
	assert_int_equal(kind, 7);
	snprintf(heard + strlen(heard), sizeof(heard) - strlen(heard), "%llu:%.*s ", (unsigned long long)icount, (int)size, (const char *)data);
}

static struct host *
host_new(bool replays)
{
	struct host *h = calloc(1, sizeof(*h));

	h->input = input_new();
	if (replays)
		input_replay(h->input);
	else
		input_log(h->input);
	h->source = (struct input_source){.name = "host", .poll = host_poll, .opaque = h, .fd = -1, .take = host_take};
	input_set_clock(h->input, clock_of_test, parted, NULL);
	input_add(h->input, &h->source);
	heard[0] = parting[0] = 0;
	return h;
}

static void
host_free(struct host *h)
{
	input_free(h->input);
	free(h);
}

/* Points 1..4, with words at 2 and 4; 3 is the guest's own. */
static void
day(struct host *h, const char *first, const char *second)
{
	icount = 10;
	input_poll(h->input, 20);
	icount = 20;
	strcpy(said, first);
	input_poll(h->input, 40);
	icount = 25;
	if (input_point(h->input))
		h->polls++;
	icount = 30;
	strcpy(said, second);
	input_poll(h->input, 60);
}

static u8 file[4096];
static size_t file_size, file_at;

static void
put(void *opaque, const void *data, size_t size)
{
	(void)opaque;
	memcpy(file + file_size, data, size);
	file_size += size;
}

static char *
get(void *opaque, void *data, size_t size)
{
	(void)opaque;
	if (file_size - file_at < size)
		return strdup("cut");
	memcpy(data, file + file_at, size);
	file_at += size;
	return NULL;
}

static const struct state_store store = {.put = put, .get = get};

static void
write_day(void)
{
	struct host *h = host_new(false);

	day(h, "one", "two");
	assert_string_equal(heard, "20:one 30:two ");
	assert_int_equal(h->polls, 4);
	file_size = file_at = 0;
	input_write(h->input, &store);
	host_free(h);
}

static void
a_replay_hears_the_same_at_the_same_time_and_asks_nobody(void **state)
{
	struct host *h;

	(void)state;
	write_day();
	h = host_new(true);
	assert_null(input_read(h->input, &store, file_size));
	day(h, "other", "words");
	assert_string_equal(heard, "20:one 30:two ");
	assert_int_equal(h->polls, 0);
	assert_string_equal(parting, "");
	said[0] = 0;
	host_free(h);
}

static void
a_replay_that_comes_by_elsewhere_is_noticed(void **state)
{
	struct host *h;

	(void)state;
	write_day();
	h = host_new(true);
	assert_null(input_read(h->input, &store, file_size));
	icount = 10;
	input_poll(h->input, 20);
	icount = 21;
	input_poll(h->input, 40);
	assert_non_null(strstr(parting, "recorded at time 40, instruction 20, point 2; here it is time 42, instruction 21, point 2"));
	host_free(h);
}

static void
the_past_is_replayed_and_the_present_is_real(void **state)
{
	struct host *h = host_new(false);
	struct input_position morning = input_position(h->input), noon;

	(void)state;
	day(h, "one", "two");
	noon = input_position(h->input);
	assert_false(input_in_past(h->input));
	input_return(h->input, &morning);
	assert_true(input_in_past(h->input));
	heard[0] = 0;
	h->polls = 0;
	day(h, "", "");
	assert_string_equal(heard, "20:one 30:two ");
	assert_int_equal(h->polls, 0);
	assert_false(input_in_past(h->input));
	icount = 40;
	strcpy(said, "three");
	input_poll(h->input, 80);
	assert_string_equal(heard, "20:one 30:two 40:three ");
	/* The last word again; and another future. */
	input_return(h->input, &noon);
	input_poll(h->input, 80);
	assert_string_equal(heard, "20:one 30:two 40:three 40:three ");
	input_return(h->input, &noon);
	input_forget_future(h->input);
	assert_false(input_in_past(h->input));
	strcpy(said, "four");
	input_poll(h->input, 80);
	assert_non_null(strstr(heard, "40:four"));
	assert_string_equal(parting, "");
	host_free(h);
}

/* Whatever bytes: refused, or at least harmless. */
static void
logs_that_cannot_be_are_refused(void **state)
{
	static const struct {
		size_t at;
		u8 value;
		const char *reason;
	} test[] = {
		{0, 33, "sources"},                         {4, 'g', "does not have"}, {4 + 31, 1, "without a name"},
		{4 + 32 + 7, 1, "more input"},              {4 + 32 + 8, 9, "cannot be"}, /* point 9 before point 4 */
		{4 + 32 + 8 + 24, 1, "cannot be"},          /* source 1 */
		{4 + 32 + 8 + 32, 200, "cannot be"},        /* size */
		{4 + 32 + 8 + 36, 1, "cannot be"},          /* zero */
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(test); i++) {
		struct host *h = host_new(true);
		char *error;

		write_day();
		heard[0] = 0;
		file[test[i].at] = test[i].value;
		error = input_read(h->input, &store, file_size);
		if (!error || !strstr(error, test[i].reason))
			fail_msg("%u: '%s' instead of '%s'", i, error ? error : "accepted", test[i].reason);
		free(error);
		host_free(h);
	}
	for (size_t cut = 0; cut < 4 + 32 + 8 + 43; cut++) {
		struct host *h = host_new(true);
		char *error;

		write_day();
		file_size = cut;
		error = input_read(h->input, &store, 1000);
		assert_non_null(error);
		free(error);
		host_free(h);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_are_polled_in_the_order_they_were_added),
		cmocka_unit_test(a_replay_hears_the_same_at_the_same_time_and_asks_nobody),
		cmocka_unit_test(a_replay_that_comes_by_elsewhere_is_noticed),
		cmocka_unit_test(the_past_is_replayed_and_the_present_is_real),
		cmocka_unit_test(logs_that_cannot_be_are_refused),
		cmocka_unit_test(waiting_ends_when_a_descriptor_has_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
