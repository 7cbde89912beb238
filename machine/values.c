/* Values as users write them. */
#include "machine/values.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/stop.h"

static bool
number(const char *text, u64 *value, const char **end)
{
	bool hex = text[0] == '0' && (text[1] | 0x20) == 'x';
	char *stop;

	/* strtoull takes blanks and signs, and wraps negative numbers round. */
	if (!isdigit((unsigned char)*text) || (hex && !isxdigit((unsigned char)text[2])))
		return false;
	errno = 0;
	*value = strtoull(text, &stop, hex ? 16 : 10);
	*end = stop;
	return errno == 0;
}

bool
parse_number(const char *text, u64 *value)
{
	const char *end;

	return number(text, value, &end) && *end == 0;
}

static bool
scaled(const char *text, u64 unit, u64 base, u64 *value)
{
	static const char letters[] = "KMGT";
	const char *end, *letter;
	u128 product;

	if (!number(text, value, &end))
		return false;
	if (*end) {
		letter = strchr(letters, toupper((unsigned char)*end));
		if (!letter || end[1] != 0)
			return false;
		unit = 1;
		for (const char *l = letters; l <= letter; l++)
			unit *= base;
	}
	product = (u128)*value * unit;
	*value = (u64)product;
	return product <= INT64_MAX;
}

bool
parse_size(const char *text, u64 unit, u64 *bytes)
{
	return scaled(text, unit, 1024, bytes);
}

bool
parse_count(const char *text, u64 *count)
{
	return scaled(text, 1, 1000, count);
}

bool
parse_seconds(const char *text, double *seconds)
{
	char *end;

	if (!isdigit((unsigned char)*text) && *text != '.')
		return false;
	*seconds = strtod(text, &end);
	return end != text && *end == 0 && isfinite(*seconds) && *seconds < 1e9;
}

bool
parse_switch(const char *text, bool *on)
{
	*on = !strcmp(text, "on") || !strcmp(text, "yes") || !strcmp(text, "true");
	return *on || !strcmp(text, "off") || !strcmp(text, "no") || !strcmp(text, "false");
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static s64
days(int year, int month, int day)
{
	static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	s64 y = month > 2 ? year : year - 1;
	s64 leaps = y / 4 - y / 100 + y / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);

	return (s64)(year - 1970) * 365 + leaps + before[month - 1] + day - 1;
}

bool
parse_date(const char *text, s64 *seconds)
{
	static const int length[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year, month, day, hour = 0, minute = 0, second = 0, used = 0;

	if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || used == 0)
		return false;
	if (text[used]) {
		int more = 0;

		if (sscanf(text + used, "T%2d:%2d:%2d%n", &hour, &minute, &second, &more) != 3 || text[used + more])
			return false;
	}
	/* The RTC knows the years of two centuries. */
	if (year < 1970 || year > 2099 || month < 1 || month > 12 || day < 1 || day > length[month - 1] || hour < 0 ||
	    hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
		return false;
	if (month == 2 && day == 29 && (year % 4 != 0))
		return false;
	*seconds = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
	return true;
}

bool
parse_mac(const char *text, u8 mac[6])
{
	for (unsigned i = 0; i < 6; i++, text += 3) {
		char digits[3] = {text[0], text[0] ? text[1] : 0, 0};

		if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]))
			return false;
		if (text[2] != (i == 5 ? 0 : ':'))
			return false;
		mac[i] = (u8)strtoul(digits, NULL, 16);
	}
	/* A card's own address is no group address. */
	return !(mac[0] & 1);
}

char *
next_element(const char **at)
{
	const char *from = *at;
	char *element, *to;

	if (!*from)
		return NULL;
	to = element = error_string("%s", from);
	for (; *from; from++) {
		if (from[0] == ',' && from[1] != ',')
			break;
		from += from[0] == ',';
		*to++ = *from;
	}
	*to = 0;
	*at = *from ? from + 1 : from;
	return element;
}

char *
next_pair(const char **at, char **key, char **value)
{
	char *element = next_element(at);

	if (!element)
		return NULL;
	*key = element;
	*value = strchr(element, '=');
	if (*value)
		*(*value)++ = 0;
	return element;
}

bool
parse_slot(const char *text, int *slot)
{
	char *end;
	unsigned long value = strtoul(text, &end, 16);

	if (end == text || (*end && strcmp(end, ".0") != 0) || value < 2 || value > 31)
		return false;
	*slot = (int)value;
	return true;
}
