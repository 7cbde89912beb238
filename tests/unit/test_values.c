/* machine/values.c: sizes, counts, dates, addresses, comma lists. */
#include "machine/values.h"

#include "tests/unit/unit.h"

static void
sizes_have_binary_letters_and_counts_decimal_ones(void **state)
{
	u64 v;

	(void)state;
	assert_true(parse_size("3", 1024, &v));
	assert_int_equal(v, 3072);
	assert_true(parse_size("4G", 1, &v));
	assert_int_equal(v, 4ull << 30);
	assert_true(parse_count("15G", &v));
	assert_int_equal(v, 15000000000ull);
	assert_true(parse_number("0x1F4", &v));
	assert_int_equal(v, 0x1f4);
}

static void
what_is_no_number_is_refused(void **state)
{
	static const char *const bad[] = {"", "-1", " 1", "1 ", "0x", "1X", "1KK", "18446744073709551616", "99999999T"};
	u64 v;

	(void)state;
	for (unsigned i = 0; i < COUNT(bad); i++) {
		if (parse_size(bad[i], 1, &v) || parse_count(bad[i], &v))
			fail_msg("'%s' was taken", bad[i]);
		if (i < 8 && parse_number(bad[i], &v))
			fail_msg("'%s' was taken as a number", bad[i]);
	}
}

static void
dates_are_utc(void **state)
{
	static const struct {
		const char *text;
		s64 seconds;
	} good[] = {
		{"1970-01-01", 0},
		{"2000-02-29T23:59:59", 951868799},
		{"2024-01-01", 1704067200},
		{"2024-03-01T12:00:00", 1709294400},
		{"2099-12-31T23:59:59", 4102444799},
	};
	static const char *const bad[] = {"",		"2024",	      "2024-13-01",	     "2023-02-29",	    "2024-01-32",
					  "2024-01-01T", "2024-01-01 00:00:00", "2024-01-01T24:00:00", "1969-12-31"};
	s64 s;

	(void)state;
	for (unsigned i = 0; i < COUNT(good); i++)
		if (!parse_date(good[i].text, &s) || s != good[i].seconds)
			fail_msg("%s: %lld", good[i].text, (long long)s);
	for (unsigned i = 0; i < COUNT(bad); i++)
		if (parse_date(bad[i], &s))
			fail_msg("'%s' was taken", bad[i]);
}

static void
station_addresses_have_six_bytes_and_are_no_group(void **state)
{
	static const char *const bad[] = {"", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:567", "52-54-00-12-34-56",
					  "01:00:5e:00:00:01", "53:54:00:12:34:56", "52:54:00:12:34:56:78", "52:54:00:12:34:5g"};
	u8 mac[6];

	(void)state;
	assert_true(parse_mac("50:01:00:1a:00:Fe", mac));
	assert_memory_equal(mac, "\x50\x01\x00\x1a\x00\xfe", 6);
	for (unsigned i = 0; i < COUNT(bad); i++)
		if (parse_mac(bad[i], mac))
			fail_msg("'%s' was taken", bad[i]);
}

static void
two_commas_are_one_comma_in_an_element(void **state)
{
	const char *at = "user,id=n0,tftp=/a,,b,flag";
	char *element, *key, *value;

	(void)state;
	element = next_pair(&at, &key, &value);
	assert_string_equal(key, "user");
	assert_null(value);
	free(element);
	element = next_pair(&at, &key, &value);
	assert_string_equal(key, "id");
	assert_string_equal(value, "n0");
	free(element);
	element = next_pair(&at, &key, &value);
	assert_string_equal(value, "/a,b");
	free(element);
	element = next_pair(&at, &key, &value);
	assert_string_equal(key, "flag");
	free(element);
	assert_null(next_pair(&at, &key, &value));
}

static void
seconds_and_switches(void **state)
{
	double seconds;
	bool on;

	(void)state;
	assert_true(parse_seconds("1.5", &seconds) && seconds == 1.5);
	assert_false(parse_seconds("inf", &seconds));
	assert_false(parse_seconds("-1", &seconds));
	assert_false(parse_seconds("1s", &seconds));
	assert_true(parse_switch("on", &on) && on);
	assert_true(parse_switch("no", &on) && !on);
	assert_false(parse_switch("maybe", &on));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_have_binary_letters_and_counts_decimal_ones),
		cmocka_unit_test(what_is_no_number_is_refused),
		cmocka_unit_test(dates_are_utc),
		cmocka_unit_test(station_addresses_have_six_bytes_and_are_no_group),
		cmocka_unit_test(two_commas_are_one_comma_in_an_element),
		cmocka_unit_test(seconds_and_switches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
