/*
 * nestbox-test: runs the scenarios of a folder in parallel processes and reports in TAP and JUnit XML. docs/SCENARIOS.md, "Many scenarios".
 *
 * Results are kept in a folder: results.tsv with one line per scenario, and a folder for each that did not pass. Folders of several
 * runs (--shard, other hosts) are put together by --merge.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATUS_SKIPPED 77 /* of nestbox -script */
#define LINE 4096
#define LOG_TAIL 16384 /* bytes of a failed scenario's output in the report */

enum result { WAITING, RUNNING, PASS, FAIL, SKIP };
static const char *const result_names[] = {"waiting", "running", "pass", "fail", "skip"};

struct test {
	char *path, *name; /* name: relative to the folder given, without .lua */
	char *folder;      /* for what it leaves */
	enum result result;
	pid_t pid;
	double begun, seconds;
	unsigned long long instructions;
	char *message; /* one line */
	bool out_of_time;
};

static struct {
	struct test *test;
	size_t count, reported;
	const char *nestbox, *results, *junit;
	char **options; /* for nestbox */
	int option_count;
	long jobs, shard, shards;
	double limit; /* host seconds for one scenario, whatever it says itself */
	bool list, merge, keep;
} run = {.results = "nestbox-results", .shard = 1, .shards = 1, .limit = 3600};

static volatile sig_atomic_t interrupted;

static _Noreturn void __attribute__((format(printf, 1, 2)))
die(const char *format, ...)
{
	va_list list;

	fflush(stdout);
	fprintf(stderr, "nestbox-test: ");
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	exit(2);
}

static char * __attribute__((format(printf, 1, 2)))
text(const char *format, ...)
{
	char *result = NULL;
	va_list list;

	va_start(list, format);
	if (vasprintf(&result, format, list) < 0)
		die("out of memory");
	va_end(list);
	return result;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- Finding scenarios ---- */

static struct test *
add(const char *path, const char *name)
{
	struct test *t;

	run.test = realloc(run.test, (run.count + 1) * sizeof(*run.test));
	if (!run.test)
		die("out of memory");
	t = &run.test[run.count++];
	*t = (struct test){.path = path ? text("%s", path) : NULL, .name = text("%s", name), .message = text("%s", "")};
	return t;
}

static void
add_file(const char *path, const char *name)
{
	size_t length = strlen(name);

	add(path, name)->name[length > 4 && !strcmp(name + length - 4, ".lua") ? length - 4 : length] = 0;
}

/* Folders are searched; what begins with '_' or '.' is no scenario, but what scenarios include. */
static void
add_folder(const char *path, const char *prefix, unsigned depth)
{
	struct dirent **entry;
	int count = scandir(path, &entry, NULL, alphasort);

	if (count < 0)
		die("%s: %s", path, strerror(errno));
	for (int i = 0; i < count; i++) {
		const char *name = entry[i]->d_name;
		char *full = text("%s/%s", path, name), *own = text("%s%s", prefix, name), *deeper = text("%s/", own);
		size_t length = strlen(name);
		struct stat st;

		if (name[0] != '.' && name[0] != '_' && stat(full, &st) == 0) {
			if (S_ISDIR(st.st_mode) && depth < 16)
				add_folder(full, deeper, depth + 1);
			else if (S_ISREG(st.st_mode) && length > 4 && !strcmp(name + length - 4, ".lua"))
				add_file(full, own);
		}
		free(full);
		free(own);
		free(deeper);
		free(entry[i]);
	}
	free(entry);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct test *)a)->name, ((const struct test *)b)->name);
}

/* Every shards-th scenario, so that neighbours, which are often alike, spread. */
static void
take_shard(void)
{
	size_t kept = 0;

	qsort(run.test, run.count, sizeof(*run.test), by_name);
	for (size_t i = 0; i < run.count; i++)
		if ((long)(i % (size_t)run.shards) == run.shard - 1)
			run.test[kept++] = run.test[i];
	run.count = kept;
}

/* ---- Reporting ---- */

static void
tap(const struct test *t, size_t number)
{
	printf("%sok %zu - %s%s%s # time=%.2fs\n", t->result == FAIL ? "not " : "", number, t->name, t->result == SKIP ? " # SKIP " : "",
	       t->result == SKIP ? t->message : "", t->seconds);
	if (t->result == FAIL) {
		printf("  ---\n  message: '");
		for (const char *c = t->message; *c; c++)
			printf(*c == '\'' ? "''" : "%c", *c);
		printf("'\n");
		if (t->folder)
			printf("  left: '%s'\n", t->folder);
		printf("  ...\n");
	}
	fflush(stdout);
}

/* In the order of names, as soon as all before are there. */
static void
report(void)
{
	while (run.reported < run.count && run.test[run.reported].result > RUNNING) {
		tap(&run.test[run.reported], run.reported + 1);
		run.reported++;
	}
}

/* What XML cannot hold, and what no reader can rely on, becomes '?'. */
static void
put_xml(FILE *file, const char *s, size_t size)
{
	for (; size--; s++)
		switch (*s) {
		case '&': fputs("&amp;", file); break;
		case '<': fputs("&lt;", file); break;
		case '>': fputs("&gt;", file); break;
		case '"': fputs("&quot;", file); break;
		default: fputc((*s >= ' ' && *s < 127) || *s == '\n' || *s == '\t' ? *s : '?', file);
		}
}

static void
put_log(FILE *file, const struct test *t)
{
	char *path = text("%s/log.txt", t->folder), buffer[LOG_TAIL];
	FILE *log = fopen(path, "rb");
	size_t size;

	free(path);
	if (!log)
		return;
	if (fseek(log, -LOG_TAIL, SEEK_END) != 0)
		rewind(log);
	size = fread(buffer, 1, sizeof(buffer), log);
	fclose(log);
	fputs("      <system-out>", file);
	put_xml(file, buffer, size);
	fputs("</system-out>\n", file);
}

static void
write_junit(void)
{
	FILE *file = strcmp(run.junit, "-") != 0 ? fopen(run.junit, "w") : stdout;
	size_t of[SKIP + 1] = {0};
	double seconds = 0;

	if (!file)
		die("%s: %s", run.junit, strerror(errno));
	for (size_t i = 0; i < run.count; i++) {
		of[run.test[i].result]++;
		seconds += run.test[i].seconds;
	}
	fprintf(file, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"nestbox\" tests=\"%zu\" failures=\"%zu\" "
		      "errors=\"0\" skipped=\"%zu\" time=\"%.3f\">\n",
		run.count, of[FAIL], of[SKIP], seconds);
	for (size_t i = 0; i < run.count; i++) {
		const struct test *t = &run.test[i];
		const char *slash = strrchr(t->name, '/');

		fprintf(file, "    <testcase classname=\"");
		put_xml(file, slash ? t->name : "scenarios", slash ? (size_t)(slash - t->name) : 9);
		fprintf(file, "\" name=\"");
		put_xml(file, slash ? slash + 1 : t->name, strlen(slash ? slash + 1 : t->name));
		fprintf(file, "\" time=\"%.3f\">\n", t->seconds);
		if (t->result != PASS) {
			fprintf(file, "      <%s message=\"", t->result == SKIP ? "skipped" : "failure");
			put_xml(file, t->message, strlen(t->message));
			fprintf(file, "\"/>\n");
		}
		if (t->result == FAIL && t->folder)
			put_log(file, t);
		fprintf(file, "    </testcase>\n");
	}
	fprintf(file, "  </testsuite>\n</testsuites>\n");
	if (fflush(file) != 0 || ferror(file) || (file != stdout && fclose(file) != 0))
		die("%s: cannot write", run.junit);
}

/* result, seconds, instructions, name, folder, message. No field has tabs or line ends: see one_line(). */
static void
write_results(void)
{
	char *path = text("%s/results.tsv", run.results);
	FILE *file = fopen(path, "w");

	if (!file)
		die("%s: %s", path, strerror(errno));
	for (size_t i = 0; i < run.count; i++) {
		const struct test *t = &run.test[i];

		fprintf(file, "%s\t%.3f\t%llu\t%s\t%s\t%s\n", result_names[t->result], t->seconds, t->instructions, t->name,
			t->folder ? t->folder : "", t->message);
	}
	if (fclose(file) != 0)
		die("%s: %s", path, strerror(errno));
	free(path);
}

static char *
one_line(const char *s)
{
	char *copy = text("%s", s);

	for (char *c = copy; *c; c++)
		if (*c == '\t' || *c == '\n' || *c == '\r')
			*c = ' ';
	return copy;
}

/* ---- Merging ---- */

static bool
read_line(struct test *t, char *line, const char *from)
{
	char *field[6], *at = line;

	line[strcspn(line, "\n")] = 0;
	for (int i = 0; i < 6; i++)
		if (!(field[i] = strsep(&at, "\t")))
			return false;
	for (int i = PASS; i <= SKIP; i++)
		if (!strcmp(field[0], result_names[i]))
			t->result = (enum result)i;
	t->seconds = strtod(field[1], NULL);
	t->instructions = strtoull(field[2], NULL, 10);
	t->name = text("%s", field[3]);
	/* The folder as this host sees it. */
	t->folder = field[4][0] ? text("%s/%s", from, t->name) : NULL;
	t->message = text("%s", field[5]);
	return t->result >= PASS && !at;
}

static void
merge(const char *folder)
{
	char *path = text("%s/results.tsv", folder), *line = NULL;
	FILE *file = fopen(path, "r");
	size_t room = 0;

	if (!file)
		die("%s: %s", path, strerror(errno));
	while (getline(&line, &room, file) > 0) {
		struct test t = {0}, *found = NULL;

		if (!read_line(&t, line, folder))
			die("%s: not what nestbox-test writes", path);
		for (size_t i = 0; i < run.count && !found; i++)
			if (!strcmp(run.test[i].name, t.name))
				found = &run.test[i];
		/* Run more than once: one failure is enough. */
		if (!found)
			*add(NULL, t.name) = t;
		else if (t.result == FAIL || found->result == SKIP)
			*found = t;
	}
	free(line);
	free(path);
	fclose(file);
}

/* ---- Running ---- */

static void
make_folders(const char *path)
{
	char *copy = text("%s", path);

	for (char *c = copy + 1;; c++)
		if (*c == '/' || !*c) {
			bool end = !*c;

			*c = 0;
			if (mkdir(copy, 0777) != 0 && errno != EEXIST)
				die("%s: %s", copy, strerror(errno));
			if (end)
				break;
			*c = '/';
		}
	free(copy);
}

static void
remove_folder(const char *path)
{
	struct dirent **entry;
	int count = scandir(path, &entry, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		char *full = text("%s/%s", path, entry[i]->d_name);
		struct stat st;

		if (strcmp(entry[i]->d_name, ".") != 0 && strcmp(entry[i]->d_name, "..") != 0 && lstat(full, &st) == 0) {
			if (S_ISDIR(st.st_mode))
				remove_folder(full);
			else
				unlink(full);
		}
		free(full);
		free(entry[i]);
	}
	if (count >= 0)
		free(entry);
	rmdir(path);
}

static _Noreturn void
child(const struct test *t, char *log)
{
	const char **argv = calloc((size_t)run.option_count + 6, sizeof(*argv));
	int out = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666), in = open("/dev/null", O_RDONLY), argc = 0;

	setpgid(0, 0);
	if (!argv || out < 0 || in < 0)
		_exit(127);
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	argv[argc++] = run.nestbox;
	argv[argc++] = "-script";
	argv[argc++] = t->path;
	argv[argc++] = "-artifacts";
	argv[argc++] = t->folder;
	for (int i = 0; i < run.option_count; i++)
		argv[argc++] = run.options[i];
	execvp(run.nestbox, (char **)argv);
	fprintf(stderr, "%s: %s\n", run.nestbox, strerror(errno));
	_exit(127);
}

static void
start(struct test *t)
{
	char *log;

	t->folder = text("%s/%s", run.results, t->name);
	remove_folder(t->folder);
	make_folders(t->folder);
	log = text("%s/log.txt", t->folder);
	fflush(stdout);
	t->begun = now();
	t->result = RUNNING;
	t->pid = fork();
	if (t->pid < 0)
		die("fork: %s", strerror(errno));
	if (t->pid == 0)
		child(t, log);
	setpgid(t->pid, t->pid);
	free(log);
}

/* From the last line of the output, which is the verdict; otherwise what there is. */
static void
read_verdict(struct test *t)
{
	char *path = text("%s/log.txt", t->folder), line[LINE], last[LINE] = "";
	FILE *log = fopen(path, "r");
	bool verdict = false;

	while (log && fgets(line, sizeof(line), log)) {
		bool is = !strncmp(line, "PASS ", 5) || !strncmp(line, "FAIL ", 5) || !strncmp(line, "SKIP ", 5);

		if (is || (!verdict && line[strspn(line, " \t\r\n")]))
			memcpy(last, line, sizeof(last));
		verdict |= is;
	}
	if (log)
		fclose(log);
	free(path);
	if (verdict) {
		/* "PASS FILE: N instructions": the file's name may have colons. */
		size_t skip = 5 + strlen(t->path) + 2;

		memmove(last, strlen(last) > skip ? last + skip : "", strlen(last) > skip ? strlen(last + skip) + 1 : 1);
	}
	last[strcspn(last, "\n")] = 0;
	t->instructions = strtoull(last, NULL, 10);
	free(t->message);
	t->message = one_line(last);
}

static void
finish(struct test *t, int status)
{
	const char *problem = NULL;
	char *message, buffer[64];

	t->seconds = now() - t->begun;
	t->pid = 0;
	read_verdict(t);
	t->result = WIFEXITED(status) && WEXITSTATUS(status) == 0   ? PASS
		    : WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SKIPPED ? SKIP
										 : FAIL;
	if (t->out_of_time)
		problem = "killed: it took longer than --timeout";
	else if (WIFSIGNALED(status))
		problem = (snprintf(buffer, sizeof(buffer), "nestbox died by signal %d", WTERMSIG(status)), buffer);
	else if (t->result == FAIL && WEXITSTATUS(status) != 1)
		problem = (snprintf(buffer, sizeof(buffer), "nestbox ended with status %d", WEXITSTATUS(status)), buffer);
	if (problem) {
		message = text("%s; %s", problem, t->message);
		free(t->message);
		t->message = message;
	}
	if (t->result != FAIL && !run.keep) {
		remove_folder(t->folder);
		free(t->folder);
		t->folder = NULL;
	}
}

static void
on_signal(int number)
{
	if (number != SIGALRM)
		interrupted = number;
}

static void
run_all(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	const struct itimerval tick = {{1, 0}, {1, 0}};
	size_t next = 0;
	long running = 0;

	/* Interrupts waitpid(), also to look whether someone is out of time. */
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
	while (running || (next < run.count && !interrupted)) {
		int status;
		pid_t pid;

		while (running < run.jobs && next < run.count && !interrupted) {
			start(&run.test[next++]);
			running++;
		}
		pid = waitpid(-1, &status, 0);
		for (size_t i = 0; i < next; i++) {
			struct test *t = &run.test[i];

			if (!t->pid)
				continue;
			if (pid == t->pid) {
				finish(t, status);
				running--;
				report();
			} else if (interrupted || now() - t->begun > run.limit) {
				t->out_of_time = !interrupted;
				kill(-t->pid, SIGKILL);
			}
		}
	}
	if (interrupted)
		exit(128 + interrupted);
}

/* ---- The command line ---- */

static void
usage(FILE *out)
{
	fputs("Usage: nestbox-test [OPTION]... FOLDER|SCENARIO.lua... [-- NESTBOX-OPTION...]\n"
	      "       nestbox-test --merge [OPTION]... RESULTS...\n"
	      "Runs scenarios in parallel processes; prints TAP. Options behind -- go to each nestbox (-arg NAME=VALUE).\n\n"
	      "  -j, --jobs N        processes at a time; default: as many as processors\n"
	      "      --junit FILE    write JUnit XML, too\n"
	      "      --results DIR   where results.tsv and what failures leave go; default nestbox-results\n"
	      "      --shard I/N     only the I-th of N parts\n"
	      "      --merge         put the results of several folders together\n"
	      "      --timeout S     kill a scenario after S seconds, whatever its own budget; default 3600\n"
	      "      --nestbox FILE  default: beside this program, or found by PATH\n"
	      "      --keep          keep the folders of those that pass\n"
	      "      --list          only print names\n"
	      "Exit status: 0 all passed or were skipped, 1 something failed, 2 wrong usage or no scenario.\n",
	      out);
}

static const char *
find_nestbox(void)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 32);

	if (length > 0) {
		path[length] = 0;
		strcpy(strrchr(path, '/') + 1, "nestbox");
		if (access(path, X_OK) == 0)
			return text("%s", path);
	}
	return "nestbox";
}

static long
number(const char *option, const char *value)
{
	char *end;
	long n = strtol(value, &end, 10);

	if (end == value || *end || n < 1 || n > 100000)
		die("%s: '%s' is no number", option, value);
	return n;
}

static void
parse(int argc, char **argv)
{
	enum { JUNIT = 256, RESULTS, SHARD, MERGE, TIMEOUT, NESTBOX, KEEP, LIST };
	static const struct option options[] = {
		{"jobs", 1, NULL, 'j'},        {"junit", 1, NULL, JUNIT},     {"results", 1, NULL, RESULTS}, {"shard", 1, NULL, SHARD},
		{"merge", 0, NULL, MERGE},     {"timeout", 1, NULL, TIMEOUT}, {"nestbox", 1, NULL, NESTBOX}, {"keep", 0, NULL, KEEP},
		{"list", 0, NULL, LIST},       {"help", 0, NULL, 'h'},        {NULL, 0, NULL, 0},
	};
	char end;
	int c;

	run.jobs = sysconf(_SC_NPROCESSORS_ONLN);
	while ((c = getopt_long(argc, argv, "j:h", options, NULL)) != -1)
		switch (c) {
		case 'j': run.jobs = number("--jobs", optarg); break;
		case JUNIT: run.junit = optarg; break;
		case RESULTS: run.results = optarg; break;
		case MERGE: run.merge = true; break;
		case TIMEOUT: run.limit = (double)number("--timeout", optarg); break;
		case NESTBOX: run.nestbox = optarg; break;
		case KEEP: run.keep = true; break;
		case LIST: run.list = true; break;
		case SHARD:
			if (sscanf(optarg, "%ld/%ld%c", &run.shard, &run.shards, &end) != 2 || run.shards < 1 || run.shard < 1 ||
			    run.shard > run.shards)
				die("--shard: '%s' is no I/N with I from 1 to N", optarg);
			break;
		case 'h': usage(stdout); exit(0);
		default: usage(stderr); exit(2);
		}
}

int
main(int argc, char **argv)
{
	bool failed = false;
	int own = 1;

	/* What stands behind "--" is for nestbox. */
	while (own < argc && strcmp(argv[own], "--") != 0)
		own++;
	run.options = argv + own + 1;
	run.option_count = own < argc ? argc - own - 1 : 0;
	parse(own, argv);
	for (int i = optind; i < own; i++) {
		const char *slash = strrchr(argv[i], '/');
		struct stat st;

		if (run.merge) {
			merge(argv[i]);
			continue;
		}
		if (stat(argv[i], &st) != 0)
			die("%s: %s", argv[i], strerror(errno));
		if (S_ISDIR(st.st_mode))
			add_folder(argv[i], "", 0);
		else
			add_file(argv[i], slash ? slash + 1 : argv[i]);
	}
	if (!run.count)
		die("no scenario");
	if (!run.nestbox)
		run.nestbox = find_nestbox();
	take_shard();
	if (run.list) {
		for (size_t n = 0; n < run.count; n++)
			puts(run.test[n].name);
		return 0;
	}
	printf("TAP version 13\n1..%zu\n", run.count);
	if (run.merge) {
		report();
	} else {
		make_folders(run.results);
		run_all();
		write_results();
	}
	if (run.junit)
		write_junit();
	for (size_t n = 0; n < run.count; n++)
		failed |= run.test[n].result == FAIL;
	return failed;
}
