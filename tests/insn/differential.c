/*
 * Random user-mode instructions on the host's processor and in nestbox: see differential.h.
 *
 *	differential [-seed N] [-count N] [-row PATTERN] [-case N] [-v]
 *
 * A case is determined by (seed, number): -case runs one. Exit status 1: something differs that undefined.def does not name, or a row that
 * should be covered was not. Where the host cannot take part, only the two ways to execute in nestbox are compared, and the status is 77.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "tests/insn/differential.h"

/* A row must have been tried so often before it counts that it never completed. */
#define TRIES_ENOUGH 200

static struct {
	u64 seed, first, count;
	const char *filter;
	bool verbose, single, without_host;
	unsigned differences_shown;
} options = {.seed = 1, .count = 50000, .differences_shown = 40};

static u16 rows[INSN_COUNT];
static unsigned row_count;
static u32 tried[INSN_COUNT], completed[INSN_COUNT], differed[INSN_COUNT];

/* Rows that can only fault here. */
static bool
always_faults(u16 op)
{
	static const char *const list[] = {
#define FAULTS(mnemonics, reason) mnemonics,
#define EXCLUDED(mnemonics, reason)
#include "tests/insn/excluded.def"
#undef EXCLUDED
#undef FAULTS
	};
	const struct insn_row *row = &insn_rows[op];
	char name[32];
	snprintf(name, sizeof name, "%.*s", (int)strcspn(row->syntax, " "), row->syntax);
	for (unsigned n = 0; n < COUNT(list); n++) {
		char copy[256], *save = NULL;
		snprintf(copy, sizeof copy, "%s", list[n]);
		for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
			if (fnmatch(p, name, 0) == 0 || fnmatch(p, row->id, 0) == 0)
				return true;
	}
	return row->attributes & CPL0;
}

static bool
row_wanted(u16 op)
{
	return !options.filter || fnmatch(options.filter, insn_rows[op].id, 0) == 0 || fnmatch(options.filter, insn_rows[op].syntax, 0) == 0;
}

static bool
run_case(u16 op, u64 number)
{
	static struct test_case c;
	static struct result host, fast, complete;
	if (!generate(&c, op, options.seed, number)) {
		if (options.verbose)
			fprintf(stderr, "%s: no encoding found\n", insn_rows[op].id);
		return true;
	}
	if (options.single)
		print_case(&c);
	guest_run(&c, false, &fast);
	if (options.without_host)
		host = fast;
	else
		host_run(&c, &host);
	guest_run(&c, true, &complete);
	tried[op]++;
	completed[op] += host.end.vector == VECTOR_BP && fast.end.vector == VECTOR_BP;
	if (options.single)
		fprintf(stderr, "  exception: host %u, nestbox %u\n", host.end.vector, fast.end.vector);
	bool print = options.single || options.verbose || (options.differences_shown && differed[op] < 2);
	bool same = compare(&c, &host, &fast, print);
	same = compare_exactly(&c, &fast, &complete, print) && same;
	if (!same) {
		differed[op]++;
		if (options.differences_shown)
			options.differences_shown--;
	}
	return same;
}

static unsigned
summary(u64 cases)
{
	unsigned covered = 0, missing = 0, left_out = 0, wrong = 0;
	for (u16 op = 0; op < INSN_COUNT; op++) {
		const char *why = row_excluded(op);
		if (!row_wanted(op))
			continue;
		if (why) {
			left_out++;
			if (options.verbose)
				printf("left out: %-28s %s\n", insn_rows[op].id, why);
			continue;
		}
		if (differed[op]) {
			wrong++;
			printf("differs: %-28s %u of %u cases\n", insn_rows[op].id, differed[op], tried[op]);
		}
		bool enough = completed[op] || (tried[op] && (tried[op] < TRIES_ENOUGH || always_faults(op)));
		if (enough) {
			covered++;
		} else {
			missing++;
			printf("not covered: %-28s %u tried, none completed\n", insn_rows[op].id, tried[op]);
		}
	}
	printf("%llu cases, seed %llu: %u rows covered, %u not, %u left out; %u rows differ\n", (unsigned long long)cases,
	       (unsigned long long)options.seed, covered, missing, left_out, wrong);
	return wrong + missing;
}

static u64
number_argument(const char *value)
{
	char *rest = NULL;
	u64 n = value ? strtoull(value, &rest, 0) : 0;
	if (!value || rest == value || *rest) {
		fprintf(stderr, "differential: a number is wanted, not \"%s\"\n", value ? value : "");
		exit(2);
	}
	return n;
}

static void
parse_options(int argc, char **argv)
{
	for (int n = 1; n < argc; n++) {
		const char *name = argv[n] + (argv[n][0] == '-' && argv[n][1] == '-');
		if (!strcmp(name, "-v")) {
			options.verbose = true;
		} else if (!strcmp(name, "-seed")) {
			options.seed = number_argument(argv[++n]);
		} else if (!strcmp(name, "-count")) {
			options.count = number_argument(argv[++n]);
		} else if (!strcmp(name, "-row") && n + 1 < argc) {
			options.filter = argv[++n];
		} else if (!strcmp(name, "-case")) {
			options.first = number_argument(argv[++n]);
			options.single = true;
		} else {
			fprintf(stderr, "usage: differential [-seed N] [-count N] [-row PATTERN] [-case N] [-v]\n");
			exit(2);
		}
	}
	if (options.single)
		options.count = 1;
}

int
main(int argc, char **argv)
{
	const char *reason;
	parse_options(argc, argv);
	struct random r = {.state = 1};
	random_fill(&r, fixed_page, FIXED_SIZE);
	guest_open();
	if (!host_open(&reason)) {
		fprintf(stderr, "differential: without the host: %s\n", reason);
		options.without_host = true;
	}
	for (u16 op = 0; op < INSN_COUNT; op++)
		if (!row_excluded(op))
			rows[row_count++] = op;
	u64 done = 0;
	for (u64 number = options.first; done < options.count; number++) {
		u16 op = rows[number % row_count];
		if (options.single || row_wanted(op)) {
			run_case(op, number);
			done++;
		}
		if (!done && number - options.first > row_count) {
			fprintf(stderr, "differential: no row is called \"%s\"\n", options.filter);
			return 2;
		}
	}
	if (options.single)
		return differed[rows[options.first % row_count]] != 0;
	return summary(done) ? 1 : options.without_host ? 77 : 0;
}
