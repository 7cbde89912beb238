/* machine/snapshot.c: snapshot files, whole, cut, altered, and of other machines. */
#include "machine/snapshot.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/snapshot.h"
#include "base/types.h"
#include "tests/unit/unit.h"

#define BIG 300000u /* more than a piece, and it does not compress */

struct machine_like {
	u32 a, version, absurd;
	u8 big[BIG];
	u64 last;
	bool shorter, longer, other_name;
};

static char directory[] = "/tmp/nb-snapshot-XXXXXX";
static char path[64];

static void
visit(void *opaque, struct state *s)
{
	struct machine_like *m = opaque;
	u8 extra = 0;

	state_section(s, "first", 1);
	STATE(s, m->a);
	if (m->a == m->absurd)
		state_fail(s, "a is absurd");
	state_section(s, "second", m->version);
	state_bytes(s, m->big, m->shorter ? BIG - 1 : BIG);
	if (m->longer)
		STATE(s, extra);
	state_section(s, m->other_name ? "fourth" : "third", 1);
	STATE(s, m->last);
}

static struct machine_like *
sample(void)
{
	struct machine_like *m = calloc(1, sizeof(*m));
	u32 random = 1;

	m->a = 5;
	m->version = 2;
	m->last = 0x1122334455667788;
	for (u32 i = 0; i < BIG; i++)
		m->big[i] = (u8)((random = random * 1664525 + 1013904223) >> 24);
	return m;
}

static u8 *
read_file(size_t *size)
{
	FILE *file = fopen(path, "rb");
	u8 *data = malloc(2 * BIG);

	*size = fread(data, 1, 2 * BIG, file);
	fclose(file);
	return data;
}

static void
write_file(const u8 *data, size_t size)
{
	FILE *file = fopen(path, "wb");

	assert_int_equal(fwrite(data, 1, size, file), size);
	fclose(file);
}

static void
save_sample(void)
{
	struct machine_like *m = sample();

	assert_null(snapshot_save(path, visit, m));
	free(m);
}

/* Loads into `m` (freed); the error must contain `text`. */
static void
expect_refusal(struct machine_like *m, const char *text)
{
	char *error = snapshot_load(path, visit, m);

	if (!error || !strstr(error, text) || strncmp(error, path, strlen(path)) != 0)
		fail_msg("'%s' instead of '%s'", error ? error : "accepted", text);
	free(error);
	free(m);
}

/* --- more than threads pack at once --- */

#define LARGE (20u * 1024 * 1024 + 123)

struct large {
	u8 bytes[LARGE];
	u32 after;
};

static void
visit_large(void *opaque, struct state *s)
{
	struct large *l = opaque;

	state_section(s, "large", 1);
	/* As RAM comes. */
	for (u32 at = 0; at < LARGE; at += 4096)
		state_bytes(s, l->bytes + at, MIN(4096u, LARGE - at));
	state_section(s, "after", 1);
	STATE(s, l->after);
}

/* The file's checksum and size. */
static u64
save_large(struct large *l, off_t *size)
{
	struct stat status;
	FILE *file;
	u8 *data;
	u64 sum;

	assert_null(snapshot_save(path, visit_large, l));
	assert_int_equal(stat(path, &status), 0);
	*size = status.st_size;
	data = malloc((size_t)*size);
	file = fopen(path, "rb");
	assert_int_equal(fread(data, 1, (size_t)*size, file), *size);
	fclose(file);
	sum = state_checksum(0, data, (size_t)*size);
	free(data);
	return sum;
}

static void
a_large_machine_makes_the_same_file_each_time(void **state)
{
	struct large *l = calloc(1, sizeof(*l)), *m = calloc(1, sizeof(*m));
	u32 random = 7;
	off_t size;
	u64 sum;
	char *error;

	(void)state;
	/* Half of it does not pack, half of it does. */
	for (u32 i = 0; i < LARGE; i++)
		l->bytes[i] = i < LARGE / 2 ? (u8)((random = random * 1664525 + 1013904223) >> 24) : (u8)(i >> 8);
	l->after = 99;
	sum = save_large(l, &size);
	assert_in_range(size, LARGE / 2 - 4096, LARGE / 2 + LARGE / 20);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(save_large(l, &size), sum);
	error = snapshot_load(path, visit_large, m);
	assert_null(error);
	assert_memory_equal(l, m, sizeof(*l));
	/* In the middle of a section that is long written. */
	assert_int_equal(truncate(path, size / 2), 0);
	error = snapshot_load(path, visit_large, m);
	assert_non_null(error);
	assert_non_null(strstr(error, "section 0 'large'"));
	free(error);
	free(l);
	free(m);
}

static void
what_was_saved_is_loaded(void **state)
{
	struct machine_like *m = sample(), *n = calloc(1, sizeof(*n));
	char *error;

	(void)state;
	save_sample();
	n->version = 2;
	error = snapshot_load(path, visit, n);
	assert_null(error);
	assert_memory_equal(m, n, sizeof(*m));
	free(m);
	free(n);
}

/* Not even one bit may differ; and nothing of a damaged file gets into the machine. */
static void
an_altered_byte_anywhere_is_refused(void **state)
{
	struct machine_like *untouched = calloc(1, sizeof(*untouched));
	size_t size;
	u8 *data;

	(void)state;
	save_sample();
	data = read_file(&size);
	for (size_t at = 0; at < size; at += at < 400 || at + 400 > size ? 1 : 997) {
		struct machine_like *m = calloc(1, sizeof(*m));
		char *error;

		data[at] ^= (u8)(1 << at % 8);
		write_file(data, size);
		error = snapshot_load(path, visit, m);
		assert_non_null(error);
		assert_true(strstr(error, "section") || strstr(error, "head") || strstr(error, "not a snapshot"));
		assert_memory_equal(m, untouched, sizeof(*m));
		free(error);
		free(m);
		data[at] ^= (u8)(1 << at % 8);
	}
	free(data);
	free(untouched);
}

/* Where each section begins, found by its mark. */
static unsigned
find_sections(const u8 *data, size_t size, size_t *at, unsigned room)
{
	unsigned count = 0;

	for (size_t i = 24; i + 64 <= size && count < room; i++)
		if (!memcmp(data + i, "nsec", 4) && (data[i + 32] == 'f' || data[i + 32] == 's' || data[i + 32] == 't' ||
						     data[i + 32] == 'e'))
			at[count++] = i;
	return count;
}

static void
each_section_is_named_when_it_is_altered_or_cut(void **state)
{
	static const char *const name[] = {"'first'", "'second'", "'third'", "'end'"};
	size_t size, at[8];
	u8 *data;

	(void)state;
	save_sample();
	data = read_file(&size);
	assert_int_equal(find_sections(data, size, at, 8), 4);
	for (unsigned i = 0; i < 4; i++) {
		data[at[i] + 64 + 2] ^= 0x40;
		write_file(data, size);
		expect_refusal(sample(), name[i]);
		data[at[i] + 64 + 2] ^= 0x40;
		write_file(data, at[i] + 64 + 3);
		expect_refusal(sample(), name[i]);
		/* In its head: then by the one before. */
		data[at[i] + 40] ^= 1;
		write_file(data, size);
		expect_refusal(sample(), i ? name[i - 1] : "head of section 0");
		data[at[i] + 40] ^= 1;
		write_file(data, at[i] + 10);
		expect_refusal(sample(), i ? name[i - 1] : "head of section 0");
		write_file(data, at[i]);
		expect_refusal(sample(), i ? name[i - 1] : "ends after");
	}
	free(data);
}

static void
a_file_cut_anywhere_or_with_more_behind_is_refused(void **state)
{
	size_t size;
	u8 *data;

	(void)state;
	save_sample();
	data = read_file(&size);
	for (size_t cut = 0; cut < size; cut += cut < 400 || cut + 400 > size ? 1 : 997) {
		write_file(data, cut);
		expect_refusal(sample(), "ends ");
	}
	data[size] = 0;
	write_file(data, size + 1);
	expect_refusal(sample(), "behind section 'end'");
	free(data);
}

static void
a_machine_with_other_sections_is_refused_by_the_sections_name(void **state)
{
	struct machine_like *m;

	(void)state;
	save_sample();
	m = sample();
	m->version = 3;
	expect_refusal(m, "section 'second' has version 2, this nestbox reads 3");
	m = sample();
	m->shorter = true;
	expect_refusal(m, "section 'second' has 1 bytes too many");
	m = sample();
	m->longer = true;
	expect_refusal(m, "section 'second' ends too early");
	m = sample();
	m->other_name = true;
	expect_refusal(m, "section 2 is 'third', where this machine has 'fourth'");
	m = sample();
	m->absurd = 5;
	expect_refusal(m, "section 'first': a is absurd");
}

static void
a_save_that_fails_leaves_the_former_file(void **state)
{
	struct machine_like *m = sample();
	char missing[100], *error;
	size_t before, after;
	u8 *old, *now;

	(void)state;
	save_sample();
	old = read_file(&before);
	snprintf(missing, sizeof(missing), "%s/no/such", directory);
	error = snapshot_save(missing, visit, m);
	assert_non_null(strstr(error, "No such file"));
	free(error);
	error = snapshot_save("/dev/null", visit, m);
	assert_non_null(strstr(error, "not a regular file"));
	free(error);
	now = read_file(&after);
	assert_int_equal(before, after);
	assert_memory_equal(old, now, before);
	free(old);
	free(now);
	free(m);
}

static void
what_is_no_snapshot_is_refused(void **state)
{
	(void)state;
	write_file((const u8 *)"This is a text, and not a snapshot.\n", 36);
	expect_refusal(sample(), "not a snapshot of nestbox");
	unlink(path);
	expect_refusal(sample(), "No such file");
	mkdir(path, 0700);
	expect_refusal(sample(), "not a regular file");
	rmdir(path);
}

static int
make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/snapshot", directory);
	return 0;
}

/* Only an empty folder goes: a temporary file left behind is a failure. */
static int
remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_saved_is_loaded),
		cmocka_unit_test(a_large_machine_makes_the_same_file_each_time),
		cmocka_unit_test(an_altered_byte_anywhere_is_refused),
		cmocka_unit_test(each_section_is_named_when_it_is_altered_or_cut),
		cmocka_unit_test(a_file_cut_anywhere_or_with_more_behind_is_refused),
		cmocka_unit_test(a_machine_with_other_sections_is_refused_by_the_sections_name),
		cmocka_unit_test(a_save_that_fails_leaves_the_former_file),
		cmocka_unit_test(what_is_no_snapshot_is_refused),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
