/* A debugger on a processor with a hypervisor of a few instructions and its guest. */
#ifndef NB_TESTS_UNIT_DEBUGGER_FIXTURE_H
#define NB_TESTS_UNIT_DEBUGGER_FIXTURE_H

#include <unistd.h>

#include "tests/unit/vmx_fixture.h"

#include "bus/input.h"
#include "debugger/internal.h"

static struct vmx_fixture fixture, *f = &fixture;
static struct debugger *d;
static struct input *input;
static int quit_status;
static char *output;

#define ENTRY (HOST_CODE - 0x100)

static bool
run(void *opaque)
{
	(void)opaque;
	cpus_run(f->cpus);
	f->cpus->stop = false;
	return true;
}

static void
quit(void *opaque, int status)
{
	(void)opaque;
	quit_status = status;
}

static u64
hash(void *opaque)
{
	(void)opaque;
	return 0x1234;
}

static int
setup(void **state)
{
	static const struct debugger_host host = {.run = run, .quit = quit, .hash = hash};
	/* inc rbx; mov eax,0x681e; vmread rcx,rax; add rcx,2; vmwrite rax,rcx; vmresume */
	static const char hypervisor[] = "\x48\xff\xc3\xb8\x1e\x68\x00\x00\x0f\x78\xc1\x48\x83\xc1\x02\x0f\x79\xc1\x0f\x01\xc3";

	(void)state;
	/* A breakpoint that does not stop lets the guest run for ever. */
	alarm(60);
	fixture_make(f, "max");
	fixture_root(f);
	fixture_ept(f);
	poke(f, ENTRY, 8, 0xf4c2010f);          /* vmlaunch; hlt */
	/* The hypervisor counts in RBX, moves the guest on behind a two-byte instruction, resumes it. */
	for (unsigned i = 0; i < sizeof(hypervisor) - 1; i++)
		poke(f, HOST_CODE + i, 1, (u8)hypervisor[i]);
	input = input_new();
	d = debugger_new(f->cpus, input, &host);
	f->cpu->rip = ENTRY;
	f->cpu->vmx->launched = 0;
	quit_status = -1;
	output = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(output);
	debugger_free(d);
	input_free(input);
	fixture_free(f);
	return 0;
}

static const char *
command(const char *line)
{
	free(output);
	output = capture_line(d, line);
	return output;
}

static void
expect(const char *line, const char *text)
{
	const char *got = command(line);

	if (!strstr(got, text))
		fail_msg("%s: no '%s' in: %s", line, text, got);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
