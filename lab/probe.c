/*
 * The lab's measured program: static, the same in L2, in a container of L1 and as a plain process of L1.
 *
 * It marks the begin and end of what is counted by an instruction that both observers see: CPUID with EAX = 0x4e420000 | phase << 4 | begin. In
 * L2 it always exits (SDM 3, "Instructions That Cause VM Exits Unconditionally"), so nestbox sees the exit and L1's kernel prints it as
 * kvm:kvm_cpuid. In L1 nothing exits: with PROBE_L1=1 the word goes to I/O port 0x80, where nestbox sees it, and into L1's trace by
 * trace_marker.
 * Phases are numbered from PROBE_FIRST on (default 1).
 * What the program has counted itself (getrusage) it prints only after the last phase, so that printing is in no phase.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define HUGE (512 * PAGE)
#define MARK 0x4e420000u

static struct {
	const char *name;
	long minor, major, count;
} phases[64];
static unsigned phase;
static long before_minor, before_major;
static int marker = -1; /* L1's trace_marker */

static void
die(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
mark(unsigned begin)
{
	uint32_t a = MARK | phase << 4 | begin, b, c = 0, d;
	char text[12];

	if (marker >= 0) {
		snprintf(text, sizeof(text), "%08x\n", a);
		if (begin && write(marker, text, 9) != 9)
			die("trace_marker");
		outl(a, 0x80);
		if (!begin && write(marker, text, 9) != 9)
			die("trace_marker");
		return;
	}
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

static void
begin(const char *name)
{
	struct rusage r;

	if (++phase >= 64)
		exit(1);
	phases[phase].name = name;
	getrusage(RUSAGE_SELF, &r);
	before_minor = r.ru_minflt;
	before_major = r.ru_majflt;
	mark(1);
}

static void
end(long count)
{
	struct rusage r;

	mark(0);
	getrusage(RUSAGE_SELF, &r);
	phases[phase].minor = r.ru_minflt - before_minor;
	phases[phase].major = r.ru_majflt - before_major;
	phases[phase].count = count;
}

/* One line per phase: number, name, what the caller counted, this process's minor and major faults. */
static void
report(void)
{
	for (unsigned i = 1; i < 64; i++)
		if (phases[i].name)
			printf("LAB phase %u %s count %ld minor %ld major %ld\n", i, phases[i].name, phases[i].count, phases[i].minor, phases[i].major);
	fflush(stdout);
}

static volatile char *
map(unsigned long pages, int advice)
{
	unsigned long bytes = pages * PAGE;
	char *p = mmap(NULL, bytes + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	p = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	if (madvise(p, bytes, advice) != 0)
		die("madvise");
	return p;
}

static void
touch(volatile char *p, unsigned long pages, int write)
{
	for (unsigned long i = 0; i < pages; i++)
		if (write)
			p[i * PAGE] = (char)i;
		else
			(void)p[i * PAGE];
}

/* Tells L1 on the console that a point is reached, and waits for its answer, a line. */
static void
point(const char *name)
{
	char line[80];

	printf("LAB point %s\n", name);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(1);
}

/*
 * touch PAGES PHASE...: phases are nothing, write, write-again, read, write-after-read, recycle (the same pages given back to the kernel and
 * written again), and each of them with the prefix huge- for memory advised as MADV_HUGEPAGE. Between phases: hold:PAGES takes so much
 * memory first, so that what the kernel gave back since its boot is used up; point:NAME waits for L1.
 */
static void
run_touch(int argc, char **argv)
{
	unsigned long pages = strtoul(argv[0], NULL, 0);
	volatile char *p[2] = {NULL, NULL};

	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		int huge = !strncmp(word, "huge-", 5);
		int advice = huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;

		if (!strncmp(word, "hold:", 5)) {
			unsigned long hold = strtoul(word + 5, NULL, 0);

			touch(map(hold, MADV_NOHUGEPAGE), hold, 1);
			continue;
		}
		if (!strncmp(word, "point:", 6)) {
			point(word + 6);
			continue;
		}
		word += huge ? 5 : 0;
		if (!strcmp(word, "write") || !strcmp(word, "read"))
			p[huge] = map(pages, advice);
		if (!strcmp(word, "recycle") && p[huge] && madvise((void *)p[huge], pages * PAGE, MADV_DONTNEED) != 0)
			die("madvise");
		if (strcmp(word, "nothing") && !p[huge]) {
			fprintf(stderr, "probe: %s comes before write or read\n", argv[i]);
			exit(1);
		}
		begin(argv[i]);
		if (strcmp(word, "nothing"))
			touch(p[huge], pages, strcmp(word, "read") != 0);
		end(strcmp(word, "nothing") ? (long)pages : 0);
	}
}

static void
fill(volatile char *p, unsigned long pages, int same)
{
	for (unsigned long i = 0; i < pages; i++) {
		volatile uint64_t *word = (volatile uint64_t *)(p + i * PAGE);

		for (unsigned j = 0; j < PAGE / 8; j++)
			word[j] = same ? 0x5a5a5a5a5a5a5a5aull : i * 512 + j + 1;
	}
}

static void
nap(double seconds)
{
	struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

/*
 * steps PAGES STEP...: one mapping of PAGES pages. Steps: fill (each page different), same (all pages equal), write, read (one access in each
 * page), write:N (the first N pages), fresh:N (writes N pages of a new mapping), sleep:SECONDS, point:NAME (L1 does something, then answers),
 * mark:NAME (begins a phase, which ends at the next mark, or at end).
 */
static void
run_steps(int argc, char **argv)
{
	unsigned long pages = strtoul(argv[0], NULL, 0);
	volatile char *p = map(pages, MADV_NOHUGEPAGE);
	int open = 0;

	for (int i = 1; i < argc; i++) {
		char *word = argv[i], *value = strchr(word, ':');

		if (value)
			*value++ = 0;
		if (!strcmp(word, "fill") || !strcmp(word, "same"))
			fill(p, pages, !strcmp(word, "same"));
		else if (!strcmp(word, "write") || !strcmp(word, "read"))
			touch(p, value ? strtoul(value, NULL, 0) : pages, !strcmp(word, "write"));
		else if (!strcmp(word, "fresh") && value)
			touch(map(strtoul(value, NULL, 0), MADV_NOHUGEPAGE), strtoul(value, NULL, 0), 1);
		else if (!strcmp(word, "sleep") && value)
			nap(strtod(value, NULL));
		else if (!strcmp(word, "point") && value)
			point(value);
		else if (!strcmp(word, "mark") && value) {
			if (open)
				end(0);
			begin(value);
			open = 1;
		} else if (!strcmp(word, "end") && open) {
			end(0);
			open = 0;
		} else {
			fprintf(stderr, "probe: unknown step %s\n", word);
			exit(1);
		}
	}
	if (open)
		end(0);
}

/* switch COUNT PAGES: two processes hand a byte to and fro COUNT times, each touching PAGES pages in between. */
static void
run_switch(int argc, char **argv)
{
	long count = strtol(argv[0], NULL, 0);
	unsigned long pages = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	int to[2], from[2];
	char byte = 0;
	volatile char *p = map(pages + 1, MADV_NOHUGEPAGE);
	pid_t child;

	if (pipe(to) != 0 || pipe(from) != 0)
		die("pipe");
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		close(to[1]);
		touch(p, pages, 1);
		while (read(to[0], &byte, 1) == 1) {
			touch(p, pages, 1);
			if (write(from[1], &byte, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	close(to[0]);
	touch(p, pages, 1);
	for (int warm = 0; warm < 16; warm++)
		if (write(to[1], &byte, 1) != 1 || read(from[0], &byte, 1) != 1)
			die("pipe");
	begin("switch");
	for (long i = 0; i < count; i++) {
		if (write(to[1], &byte, 1) != 1 || read(from[0], &byte, 1) != 1)
			die("pipe");
		touch(p, pages, 1);
	}
	end(2 * count);
	close(to[1]);
	waitpid(child, NULL, 0);
}

/* send ADDRESS PORT COUNT BYTES: COUNT datagrams, each waiting for its echo when BYTES is followed by the word echo. */
static void
run_send(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int s = socket(AF_INET, SOCK_DGRAM, 0), echo = argc > 4 && !strcmp(argv[4], "echo");
	long count, bytes, got = 0;
	char data[1472] = "nestbox lab";
	struct timeval patience = {.tv_sec = 2};

	if (argc < 4)
		exit(1);
	count = strtol(argv[2], NULL, 0);
	bytes = strtol(argv[3], NULL, 0);
	if (bytes < 1 || bytes > (long)sizeof(data))
		exit(1);
	to.sin_port = htons((uint16_t)atoi(argv[1]));
	if (s < 0 || inet_pton(AF_INET, argv[0], &to.sin_addr) != 1 || connect(s, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("socket");
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	/* The first one finds the neighbour's address and is not counted. */
	if (send(s, data, (size_t)bytes, 0) < 0)
		die("send");
	if (echo)
		recv(s, data, sizeof(data), 0);
	nap(0.2);
	begin(echo ? "echo" : "send");
	for (long i = 0; i < count; i++) {
		while (send(s, data, (size_t)bytes, 0) < 0)
			if (errno != ENOBUFS && errno != EAGAIN)
				die("send");
		if (echo && recv(s, data, sizeof(data), 0) >= 0)
			got++;
	}
	nap(0.05);
	end(echo ? got : count);
}

/* echo PORT: sends every datagram back; sink PORT: only counts. Ends when nothing has come for SECONDS. */
static void
run_receive(int argc, char **argv, int echo)
{
	struct sockaddr_in here = {.sin_family = AF_INET}, from;
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct timeval patience = {.tv_sec = argc > 1 ? atoi(argv[1]) : 10};
	char data[2048];
	long count = 0;

	here.sin_port = htons((uint16_t)atoi(argv[0]));
	if (s < 0 || bind(s, (struct sockaddr *)&here, sizeof(here)) != 0)
		die("bind");
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (;;) {
		socklen_t length = sizeof(from);
		ssize_t n = recvfrom(s, data, sizeof(data), 0, (struct sockaddr *)&from, &length);

		if (n < 0)
			break;
		count++;
		if (echo && sendto(s, data, (size_t)n, 0, (struct sockaddr *)&from, length) != n)
			die("sendto");
	}
	printf("LAB received %ld\n", count);
}

/* work PAGES ROUNDS: memory, system calls and arithmetic in a fixed mixture, for comparing L2, container and process. */
static void
run_work(int argc, char **argv)
{
	unsigned long pages = strtoul(argv[0], NULL, 0), rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;
	volatile uint64_t sum = 0;

	begin("memory");
	touch(map(pages, MADV_NOHUGEPAGE), pages, 1);
	end((long)pages);
	begin("syscalls");
	for (unsigned long i = 0; i < rounds; i++)
		getppid();
	end((long)rounds);
	begin("arithmetic");
	for (unsigned long i = 0; i < rounds * 100; i++)
		sum = sum * 6364136223846793005ull + 1442695040888963407ull;
	end((long)(rounds * 100));
	begin("processes");
	for (unsigned long i = 0; i < rounds / 100; i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		if (child < 0)
			die("fork");
		waitpid(child, NULL, 0);
	}
	end((long)(rounds / 100));
}

int
main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: probe touch|steps|switch|send|echo|sink|work|begin|end ARGUMENT...\n");
		return 1;
	}
	if (getenv("PROBE_FIRST"))
		phase = (unsigned)atoi(getenv("PROBE_FIRST")) - 1;
	if (getenv("PROBE_L1")) {
		marker = open("/sys/kernel/tracing/trace_marker", O_WRONLY);
		if (marker < 0 || iopl(3) != 0)
			die("marks");
	}
	/* In L1, around what its shell does: begin PHASE, end PHASE. */
	if (!strcmp(argv[1], "begin") || !strcmp(argv[1], "end")) {
		phase = (unsigned)atoi(argv[2]);
		mark(!strcmp(argv[1], "begin"));
		return 0;
	}
	if (!strcmp(argv[1], "touch"))
		run_touch(argc - 2, argv + 2);
	else if (!strcmp(argv[1], "steps"))
		run_steps(argc - 2, argv + 2);
	else if (!strcmp(argv[1], "switch"))
		run_switch(argc - 2, argv + 2);
	else if (!strcmp(argv[1], "send"))
		run_send(argc - 2, argv + 2);
	else if (!strcmp(argv[1], "echo") || !strcmp(argv[1], "sink"))
		run_receive(argc - 2, argv + 2, !strcmp(argv[1], "echo"));
	else if (!strcmp(argv[1], "work"))
		run_work(argc - 2, argv + 2);
	else {
		fprintf(stderr, "probe: unknown command %s\n", argv[1]);
		return 1;
	}
	report();
	return 0;
}
