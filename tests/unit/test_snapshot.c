/* base/snapshot.c: hash, save and load of visited state; damaged snapshots. */
#include "base/snapshot.h"

#include "tests/unit/unit.h"

struct thing {
	u32 a;
	u8 bytes[100];
	u32 version;
};

static void
visit(void *opaque, struct state *s)
{
	struct thing *t = opaque;

	state_section(s, "thing", t->version);
	STATE(s, t->a);
	STATE(s, t->bytes);
	if (t->a > 1000)
		state_fail(s, "a is too large");
}

static struct thing
sample(void)
{
	struct thing t = {.a = 5, .version = 1};

	for (unsigned i = 0; i < sizeof(t.bytes); i++)
		t.bytes[i] = (u8)(i * 3);
	return t;
}

static void
every_bit_of_the_state_changes_the_hash(void **state)
{
	struct thing t = sample();
	u64 hash = state_hash(visit, &t);

	(void)state;
	for (unsigned i = 0; i < sizeof(t.bytes) * 8; i++) {
		t.bytes[i / 8] ^= (u8)BIT(i % 8);
		assert_int_not_equal(state_hash(visit, &t), hash);
		t.bytes[i / 8] ^= (u8)BIT(i % 8);
	}
	assert_int_equal(state_hash(visit, &t), hash);
	t.version = 2;
	assert_int_not_equal(state_hash(visit, &t), hash);
}

static void
the_hash_is_the_same_on_every_host(void **state)
{
	struct thing t = sample();

	(void)state;
	/* Changing this number changes every recorded hash. */
	assert_int_equal(state_hash(visit, &t), 0x736fe3082d1fd696ull);
}

static void
what_was_saved_is_loaded(void **state)
{
	struct thing t = sample(), u = {.version = 1};
	size_t size;
	u8 *saved = state_save(visit, &t, &size);

	(void)state;
	assert_null(state_load(visit, &u, saved, size));
	assert_memory_equal(&t, &u, sizeof(t));
	free(saved);
}

static void
expect_refusal(u8 *data, size_t size, u32 version, const char *reason)
{
	struct thing u = {.version = version};
	char *error = state_load(visit, &u, data, size);

	if (!error || !strstr(error, reason))
		fail_msg("'%s' instead of '%s'", error ? error : "accepted", reason);
	free(error);
}

static void
damaged_snapshots_are_refused_with_the_reason(void **state)
{
	struct thing t = sample();
	size_t size;
	u8 *saved = state_save(visit, &t, &size);

	(void)state;
	for (size_t cut = 0; cut < size; cut++)
		expect_refusal(saved, cut, 1, cut < 12 ? "ends too early" : "");
	expect_refusal(saved, size, 2, "version 1, not 2");
	saved = realloc(saved, size + 1);
	saved[size] = 0;
	expect_refusal(saved, size + 1, 1, "1 bytes too many");
	saved[0] ^= 1;
	expect_refusal(saved, size, 1, "no section 'thing'");
	saved[0] ^= 1;
	saved[12] ^= 1;
	expect_refusal(saved, size, 1, "no section 'thing'");
	saved[12] ^= 1;
	saved[12 + 5 + 2] = 1; /* a += 65536 */
	expect_refusal(saved, size, 1, "a is too large");
	free(saved);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bit_of_the_state_changes_the_hash),
		cmocka_unit_test(the_hash_is_the_same_on_every_host),
		cmocka_unit_test(what_was_saved_is_loaded),
		cmocka_unit_test(damaged_snapshots_are_refused_with_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
