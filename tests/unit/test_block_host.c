/* Images on the host: formats, locks, snapshots, and a host that fails. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/block_host.h"

#define SECTORS 4096u

/* The linker puts it in the library's place: a host disk that fails when data is written back. */
static int sync_error;
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int
__wrap_fdatasync(int fd)
{
	errno = sync_error;
	return sync_error ? -1 : __real_fdatasync(fd);
}

static char directory[] = "/tmp/nestbox-test-XXXXXX";

static int
enter(void **state)
{
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int
leave(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void
make_raw(const char *path, u64 size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static void
put_text(const char *path, const char *text, u64 at)
{
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), (off_t)at), strlen(text));
	close(fd);
}

static struct block_host *
opened(const char *path, const char *format, bool snapshot)
{
	struct block_host_options options = {path, format, snapshot, false};
	struct block_host *h = NULL;
	char *error = block_host_new(&options, &h);

	if (error)
		fail_msg("%s", error);
	return h;
}

static void
assert_refused(const struct block_host_options *options, const char *why)
{
	struct block_host *h = NULL;
	char *error = block_host_new(options, &h);

	assert_null(h);
	if (!error || !strstr(error, why) || !strstr(error, options->path) || strchr(error, '\n'))
		fail_msg("'%s' does not say '%s'", error ? error : "(nothing)", why);
	free(error);
}

static void
write_sector(struct block_host *h, u64 sector, u8 value, int expected)
{
	struct block *block = block_host_block(h);
	u8 bytes[BLOCK_SECTOR];

	memset(bytes, value, sizeof(bytes));
	assert_int_equal(block->write(block->host, sector, 1, bytes), expected);
}

static u8
read_sector(struct block_host *h, u64 sector)
{
	struct block *block = block_host_block(h);
	u8 bytes[2 * BLOCK_SECTOR];

	assert_int_equal(block->read(block->host, sector, 1, bytes), 0);
	assert_int_equal(bytes[0], bytes[BLOCK_SECTOR - 1]);
	return bytes[0];
}

static void
raw_images_keep_what_is_written(void **state)
{
	struct block_host *h;

	(void)state;
	make_raw("raw", SECTORS * BLOCK_SECTOR);
	h = opened("raw", NULL, false);
	assert_string_equal(block_host_format(h), "raw");
	assert_int_equal(block_host_block(h)->sectors, SECTORS);
	write_sector(h, 5, 0x77, 0);
	assert_int_equal(block_host_block(h)->flush(block_host_block(h)->host), 0);
	block_host_free(h);
	h = opened("raw", "raw", false);
	assert_int_equal(read_sector(h, 5), 0x77);
	assert_int_equal(read_sector(h, 6), 0);
	block_host_free(h);
}

static void
what_a_snapshot_writes_is_forgotten(void **state)
{
	struct block *block;
	struct block_host *h;
	u8 bytes[4 * BLOCK_SECTOR];

	(void)state;
	make_raw("raw", SECTORS * BLOCK_SECTOR);
	h = opened("raw", NULL, false);
	write_sector(h, 10, 1, 0);
	block_host_free(h);
	h = opened("raw", NULL, true);
	block = block_host_block(h);
	write_sector(h, 11, 2, 0);
	write_sector(h, 13, 3, 0);
	assert_int_equal(block->read(block->host, 10, 4, bytes), 0);
	assert_int_equal(bytes[0], 1);
	assert_int_equal(bytes[512], 2);
	assert_int_equal(bytes[1024], 0);
	assert_int_equal(bytes[1536], 3);
	block_host_free(h);
	h = opened("raw", NULL, false);
	assert_int_equal(read_sector(h, 11), 0);
	block_host_free(h);
}

static void
bad_images_are_refused_by_one_line(void **state)
{
	(void)state;
	assert_refused(&(struct block_host_options){.path = "nowhere"}, "No such file");
	assert_refused(&(struct block_host_options){.path = "/dev/null"}, "neither a file nor a disk");
	make_raw("none", 0);
	assert_refused(&(struct block_host_options){.path = "none"}, "empty");
	make_raw("odd", 1000);
	assert_refused(&(struct block_host_options){.path = "odd"}, "truncated");
	make_raw("odd.iso", 3 * 512);
	assert_refused(&(struct block_host_options){.path = "odd.iso", .cdrom = true}, "truncated");
	make_raw("secret", 512);
	chmod("secret", 0);
	if (geteuid() != 0)
		assert_refused(&(struct block_host_options){.path = "secret"}, "Permission denied");
}

static void
an_image_has_one_writer_or_readers(void **state)
{
	struct block_host_options write = {.path = "raw"}, read = {.path = "raw", .snapshot = true};
	struct block_host *first, *second;

	(void)state;
	make_raw("raw", SECTORS * BLOCK_SECTOR);
	first = opened("raw", NULL, false);
	assert_refused(&write, "locked");
	assert_refused(&read, "locked");
	block_host_free(first);
	first = opened("raw", NULL, true);
	second = opened("raw", NULL, true);
	assert_refused(&write, "locked");
	block_host_free(first);
	block_host_free(second);
	block_host_free(opened("raw", NULL, false));
}

/* A guest that writes another format's head would own what that head names. */
static void
a_guessed_format_stays(void **state)
{
	struct block_host *h;
	struct block *block;
	u8 bytes[BLOCK_SECTOR] = "QFI\xfb";

	(void)state;
	make_raw("raw", SECTORS * BLOCK_SECTOR);
	h = opened("raw", NULL, false);
	block = block_host_block(h);
	assert_int_equal(block->write(block->host, 0, 1, bytes), EPERM);
	bytes[0] = 0xeb;
	assert_int_equal(block->write(block->host, 0, 1, bytes), 0);
	block_host_free(h);
	h = opened("raw", "raw", false);
	block = block_host_block(h);
	bytes[0] = 'Q';
	assert_int_equal(block->write(block->host, 0, 1, bytes), 0);
	block_host_free(h);
}

/* The guest hears of it, and what was written before is there. */
static void
a_full_host_disk_is_an_error_of_the_write(void **state)
{
	struct rlimit before, little = {100 * BLOCK_SECTOR, RLIM_INFINITY};
	struct block_host *h;

	(void)state;
	make_raw("raw", SECTORS * BLOCK_SECTOR);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	h = opened("raw", NULL, false);
	little.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	write_sector(h, 99, 0x11, 0);
	write_sector(h, 100, 0x22, EFBIG);
	write_sector(h, 98, 0x33, 0);
	assert_int_equal(block_host_statistics(h)->errors, 1);
	block_host_free(h);
	setrlimit(RLIMIT_FSIZE, &before);
	h = opened("raw", NULL, false);
	assert_int_equal(read_sector(h, 99), 0x11);
	assert_int_equal(read_sector(h, 98), 0x33);
	assert_int_equal(read_sector(h, 100), 0);
	block_host_free(h);
}

/* What was lost stays lost, even if the host's next attempt says that all is well. */
static void
a_flush_that_fails_is_told_from_then_on(void **state)
{
	struct block_host *h;
	struct block *block;
	char text[512] = "";
	int messages, standard = dup(2);

	(void)state;
	make_raw("raw", SECTORS * BLOCK_SECTOR);
	h = opened("raw", NULL, false);
	block = block_host_block(h);
	write_sector(h, 1, 0x11, 0);
	assert_int_equal(block->flush(block->host), 0);
	fflush(stderr);
	messages = open("messages", O_RDWR | O_CREAT | O_TRUNC, 0666);
	dup2(messages, 2);
	sync_error = ENOSPC;
	assert_int_equal(block->flush(block->host), ENOSPC);
	sync_error = 0;
	assert_int_equal(block->flush(block->host), ENOSPC);
	assert_int_equal(block_host_statistics(h)->errors, 2);
	block_host_free(h);
	fflush(stderr);
	dup2(standard, 2);
	close(standard);
	assert_true(pread(messages, text, sizeof(text) - 1, 0) > 0);
	close(messages);
	assert_string_equal(text, "nestbox: raw: cannot flush: No space left on device (the guest is told)\n");
}

static void
a_file_cut_off_while_in_use_is_an_error_of_the_read(void **state)
{
	struct block_host *h;
	struct block *block;
	u8 bytes[BLOCK_SECTOR];

	(void)state;
	make_raw("raw", SECTORS * BLOCK_SECTOR);
	h = opened("raw", NULL, true);
	block = block_host_block(h);
	assert_int_equal(truncate("raw", 512), 0);
	assert_int_equal(block->read(block->host, 0, 1, bytes), 0);
	assert_int_equal(block->read(block->host, 1, 1, bytes), EIO);
	block_host_free(h);
}

/* ---- What needs other programs ---- */

static bool
have(const char *program)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	if (system(command) == 0)
		return true;
	print_message("skipped: no %s\n", program);
	return false;
}

static int
children(void)
{
	return system("pgrep -P $PPID qemu-nbd >/dev/null") == 0;
}

static void
formats_of_others_are_served(void **state)
{
	static const char *const format[] = {"qcow2", "vmdk", "vdi", "vhdx", "vpc"};

	(void)state;
	if (!have("qemu-img") || !have("qemu-nbd"))
		skip();
	for (unsigned i = 0; i < COUNT(format); i++) {
		char command[128];
		struct block_host *h;

		snprintf(command, sizeof(command), "qemu-img create -q -f %s image 8M", format[i]);
		assert_int_equal(system(command), 0);
		h = opened("image", NULL, false);
		assert_string_equal(block_host_format(h), format[i]);
		assert_true(block_host_block(h)->sectors >= 16384);
		write_sector(h, 5000, (u8)(0x40 + i), 0);
		assert_int_equal(block_host_block(h)->flush(block_host_block(h)->host), 0);
		/* The server has the image to itself. */
		assert_refused(&(struct block_host_options){.path = "image"}, "locked");
		block_host_free(h);
		assert_false(children());
		h = opened("image", format[i], true);
		assert_int_equal(read_sector(h, 5000), 0x40 + i);
		write_sector(h, 5000, 1, 0);
		assert_int_equal(read_sector(h, 5000), 1);
		block_host_free(h);
		h = opened("image", format[i], false);
		assert_int_equal(read_sector(h, 5000), 0x40 + i);
		block_host_free(h);
		unlink("image");
	}
}

static void
damaged_images_are_refused_by_one_line(void **state)
{
	(void)state;
	if (!have("qemu-img") || !have("qemu-nbd"))
		skip();
	make_raw("short.qcow2", 600);
	put_text("short.qcow2", "QFI\xfb", 0);
	assert_refused(&(struct block_host_options){.path = "short.qcow2"}, "qcow2 image: ");
	make_raw("bad.vhdx", 1 << 20);
	put_text("bad.vhdx", "vhdxfile", 0);
	assert_refused(&(struct block_host_options){.path = "bad.vhdx"}, "vhdx image: ");
	make_raw("raw", 1 << 20);
	assert_refused(&(struct block_host_options){.path = "raw", .format = "qcow2"}, "qcow2 image: ");
	assert_false(children());
}

static void
locks_are_those_of_qemu(void **state)
{
	struct block_host *h;

	(void)state;
	if (!have("qemu-io"))
		skip();
	make_raw("raw", SECTORS * BLOCK_SECTOR);
	h = opened("raw", NULL, false);
	assert_int_not_equal(system("qemu-io -f raw -c 'write 0 512' raw >/dev/null 2>&1"), 0);
	assert_int_not_equal(system("qemu-img convert -f raw -O raw raw copy >/dev/null 2>&1"), 0);
	block_host_free(h);
	h = opened("raw", NULL, true);
	assert_int_not_equal(system("qemu-io -f raw -c 'write 0 512' raw >/dev/null 2>&1"), 0);
	assert_int_equal(system("qemu-img convert -f raw -O raw raw copy >/dev/null 2>&1"), 0);
	block_host_free(h);
	assert_int_equal(system("qemu-io -f raw -c 'write 0 512' raw >/dev/null 2>&1"), 0);
	/* And the other way round. */
	/* Its first write says that it has the image. */
	make_raw("raw", 0);
	make_raw("raw", SECTORS * BLOCK_SECTOR);
	assert_int_equal(system("qemu-io -f raw -c 'write 0 512' -c 'sleep 4000' raw >/dev/null 2>&1 & "
				"for i in $(seq 100); do od -An -tx1 -N1 raw | grep -q cd && exit; sleep 0.1; done; exit 1"), 0);
	assert_refused(&(struct block_host_options){.path = "raw"}, "locked");
}

/* nbdkit's error filter fails as told: writes while the file "fail" is there. */
static void
a_failing_server_is_an_error_of_the_request(void **state)
{
	static const u8 bytes[BLOCK_SECTOR];
	struct block_host *h;
	char uri[128];

	(void)state;
	if (!have("nbdkit"))
		skip();
	assert_int_equal(system("nbdkit -U $PWD/socket -P $PWD/pid --filter=error memory 8M error-pwrite=EIO "
				"error-pwrite-rate=100% error-pwrite-file=$PWD/fail </dev/null >/dev/null 2>&1"), 0);
	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s/socket", directory);
	h = opened(uri, NULL, false);
	assert_string_equal(block_host_format(h), "nbd");
	write_sector(h, 3, 0x21, 0);
	make_raw("fail", 1);
	write_sector(h, 3, 0x22, EIO);
	write_sector(h, 4, 0x23, EIO);
	unlink("fail");
	assert_int_equal(read_sector(h, 3), 0x21);
	write_sector(h, 4, 0x24, 0);
	assert_int_equal(block_host_statistics(h)->errors, 2);
	/* The server goes away: errors from then on, no hang. */
	assert_int_equal(system("kill $(cat pid)"), 0);
	usleep(300000);
	write_sector(h, 5, 0x25, block_host_block(h)->write(block_host_block(h)->host, 5, 1, bytes));
	assert_true(block_host_statistics(h)->errors >= 3);
	block_host_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw_images_keep_what_is_written),
		cmocka_unit_test(what_a_snapshot_writes_is_forgotten),
		cmocka_unit_test(bad_images_are_refused_by_one_line),
		cmocka_unit_test(an_image_has_one_writer_or_readers),
		cmocka_unit_test(a_guessed_format_stays),
		cmocka_unit_test(a_full_host_disk_is_an_error_of_the_write),
		cmocka_unit_test(a_flush_that_fails_is_told_from_then_on),
		cmocka_unit_test(a_file_cut_off_while_in_use_is_an_error_of_the_read),
		cmocka_unit_test(formats_of_others_are_served),
		cmocka_unit_test(damaged_images_are_refused_by_one_line),
		cmocka_unit_test(locks_are_those_of_qemu),
		cmocka_unit_test(a_failing_server_is_an_error_of_the_request),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
