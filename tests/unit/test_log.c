/* base/log.c: what -log SPEC enables. */
#include "base/log.h"

#include "tests/unit/unit.h"

static void
configure(const char *spec)
{
	const char *error = log_configure(spec);

	if (error)
		fail_msg("%s: %s", spec, error);
}

static void
warnings_are_on_and_info_is_off_by_default(void **state)
{
	struct log_category c = {"fresh", -1};

	(void)state;
	assert_true(log_enabled(&c, LOG_ERROR));
	assert_true(log_enabled(&c, LOG_WARN));
	assert_false(log_enabled(&c, LOG_INFO));
}

static void
one_category_can_be_louder_than_the_rest(void **state)
{
	struct log_category a = {"one", -1}, b = {"two", -1};

	(void)state;
	configure("error,one=debug");
	assert_true(log_enabled(&a, LOG_DEBUG));
	assert_false(log_enabled(&b, LOG_WARN));
	assert_true(log_enabled(&b, LOG_ERROR));
	configure("warn");
}

static void
a_later_spec_reaches_categories_already_in_use(void **state)
{
	static struct log_category c = {"three", -1};

	(void)state;
	assert_false(log_enabled(&c, LOG_INFO));
	configure("three=info");
	assert_true(log_enabled(&c, LOG_INFO));
	configure("three=error");
	assert_false(log_enabled(&c, LOG_WARN));
}

static void
bad_specs_are_refused_by_name(void **state)
{
	static const struct {
		const char *spec, *names;
	} bad[] = {{"loud", "loud"}, {"e1000=loud", "loud"}, {"=debug", "no name"}, {"a=", "''"}};

	(void)state;
	for (unsigned i = 0; i < COUNT(bad); i++) {
		const char *error = log_configure(bad[i].spec);

		if (!error || !strstr(error, bad[i].names))
			fail_msg("%s: %s", bad[i].spec, error ? error : "accepted");
		free((char *)error);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(warnings_are_on_and_info_is_off_by_default),
		cmocka_unit_test(one_category_can_be_louder_than_the_rest),
		cmocka_unit_test(a_later_spec_reaches_categories_already_in_use),
		cmocka_unit_test(bad_specs_are_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
