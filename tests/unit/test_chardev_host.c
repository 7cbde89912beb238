/* machine/chardev_host.c: files, sockets, pseudo-terminals, and the text that -expect waits for. */
#include "machine/chardev_host.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bus/chardev.h"
#include "bus/input.h"
#include "machine/config.h"
#include "tests/unit/unit.h"

static struct input *input;
static u8 received[64];
static size_t received_size, room;

static void
receive(void *device, const u8 *data, size_t size)
{
	(void)device;
	assert_true(size <= room);
	memcpy(received + received_size, data, size);
	received_size += size;
	room -= size;
}

static size_t
get_room(void *device)
{
	(void)device;
	return room;
}

static struct chardev_host *
make(struct config_serial serial)
{
	struct chardev_host *h;
	char *error = chardev_host_new(&serial, "serial0", input, &h);

	if (error)
		fail_msg("%s", error);
	if (h) {
		chardev_host_chardev(h)->receive = receive;
		chardev_host_chardev(h)->room = get_room;
	}
	return h;
}

static void
say(struct chardev_host *h, const char *text)
{
	chardev_write(chardev_host_chardev(h), text, strlen(text));
}

static int
setup(void **state)
{
	(void)state;
	input = input_new();
	received_size = 0;
	room = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	input_free(input);
	return 0;
}

static void
a_file_holds_what_was_printed(void **state)
{
	char path[] = "serial-XXXXXX", data[64] = "";
	struct chardev_host *h;
	int fd = mkstemp(path);

	(void)state;
	h = make((struct config_serial){SERIAL_FILE, path});
	say(h, "one\ntwo");
	assert_int_equal(read(fd, data, sizeof(data)), 4);
	chardev_host_flush(h);
	assert_int_equal(read(fd, data + 4, sizeof(data) - 4), 3);
	assert_string_equal(data, "one\ntwo");
	chardev_host_free(h);
	close(fd);
	unlink(path);
}

static void
a_file_that_cannot_be_made_is_an_error_that_names_it(void **state)
{
	struct config_serial serial = {SERIAL_FILE, "/no/such/dir/file"};
	struct chardev_host *h;
	char *error = chardev_host_new(&serial, "serial0", input, &h);

	(void)state;
	assert_non_null(strstr(error, "/no/such/dir/file"));
	free(error);
}

static unsigned met;

static void
count_met(void *opaque)
{
	(void)opaque;
	met++;
}

static void
the_expected_text_is_found_across_writes_and_false_starts(void **state)
{
	struct chardev_host *h = make((struct config_serial){SERIAL_NULL, NULL});

	(void)state;
	met = 0;
	chardev_host_expect(h, "aabaaa", count_met, NULL);
	say(h, "xaabaa");
	assert_int_equal(met, 0);
	say(h, "baa");
	assert_int_equal(met, 0);
	say(h, "a");
	assert_int_equal(met, 1);
	say(h, "abaaa"); /* overlapping with the first */
	assert_int_equal(met, 2);
	chardev_host_free(h);
}

static int
dial(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void
a_unix_socket_serves_one_client_after_the_other(void **state)
{
	char path[] = "socket-XXXXXX", data[16] = "";
	struct chardev_host *h;
	struct stat st;

	(void)state;
	close(mkstemp(path));
	unlink(path);
	h = make((struct config_serial){SERIAL_UNIX, path});
	say(h, "nobody listens\n");
	for (int client = 0; client < 2; client++) {
		int fd = dial(path);

		input_poll(input, 0);
		say(h, "hello\n");
		assert_int_equal(read(fd, data, sizeof(data)), 6);
		assert_int_equal(write(fd, "abc", 3), 3);
		received_size = 0;
		room = 2;
		input_poll(input, 0);
		assert_int_equal(received_size, 2);
		room = 8;
		input_poll(input, 0);
		assert_int_equal(received_size, 3);
		assert_memory_equal(received, "abc", 3);
		close(fd);
		input_poll(input, 0);
		say(h, "gone\n");
	}
	chardev_host_free(h);
	assert_int_not_equal(stat(path, &st), 0);
}

static void
a_socket_left_by_a_dead_run_is_replaced_but_a_file_is_not(void **state)
{
	char path[] = "socket-XXXXXX";
	struct config_serial serial = {SERIAL_UNIX, path};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct chardev_host *h;
	char *error;
	int fd;

	(void)state;
	close(mkstemp(path));
	error = chardev_host_new(&serial, "serial0", input, &h);
	assert_non_null(strstr(error, path));
	free(error);
	unlink(path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	chardev_host_free(make(serial));
}

static void
a_pseudo_terminal_that_nobody_reads_does_not_stop_the_guest(void **state)
{
	struct chardev_host *h = make((struct config_serial){SERIAL_PTY, NULL});

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		say(h, "a line of text that nobody reads\n");
	chardev_host_free(h);
}

static void
none_is_no_port_at_all(void **state)
{
	(void)state;
	assert_null(make((struct config_serial){SERIAL_NONE, NULL}));
	assert_null(chardev_host_chardev(NULL));
}

int
main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		test(a_file_holds_what_was_printed),
		test(a_file_that_cannot_be_made_is_an_error_that_names_it),
		test(the_expected_text_is_found_across_writes_and_false_starts),
		test(a_unix_socket_serves_one_client_after_the_other),
		test(a_socket_left_by_a_dead_run_is_replaced_but_a_file_is_not),
		test(a_pseudo_terminal_that_nobody_reads_does_not_stop_the_guest),
		test(none_is_no_port_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
