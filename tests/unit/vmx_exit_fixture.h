/*
 * For the tests of guests that the run loop runs: a host whose code at HOST_RIP ends the run, and an IDT whose handlers do so too. run() enters the
 * guest at GUEST_CODE; expect_exit() says how it must have come back.
 */
#ifndef NB_TESTS_UNIT_VMX_EXIT_FIXTURE_H
#define NB_TESTS_UNIT_VMX_EXIT_FIXTURE_H

#include "tests/unit/vmx_fixture.h"

static struct vmx_fixture fixture, *f = &fixture;

static inline int
setup(void **state)
{
	(void)state;
	fixture_make(f, "max");
	fixture_root(f);
	fixture_host(f);
	/* An IDT of 64-bit interrupt gates at 0x60000 for vectors 0..255: handlers at 0x70000 + 16 * vector, each OUT 0x80, HLT. */
	for (unsigned vector = 0; vector < 256; vector++) {
		u64 handler = 0x70000 + 16 * vector;

		poke(f, 0x60000 + 16 * vector, 8,
		     (handler & 0xffff) | 0x08ull << 16 | 0x8e00ull << 32 | (handler >> 16) << 48);
		poke(f, 0x60000 + 16 * vector + 8, 8, 0);
		poke(f, handler, 4, 0xf480e6);
	}
	poke(f, 0x62008, 8, 0x00af9b000000ffffull);
	poke(f, 0x62010, 8, 0x00cf93000000ffffull);
	f->v->guest_idtr_base = f->v->host_idtr_base = 0x60000;
	f->v->guest_idtr_limit = 0xfff;
	f->v->guest_gdtr_base = f->v->host_gdtr_base = 0x62000;
	f->v->guest_gdtr_limit = 0xff;
	f->v->proc_controls |= (u32)(VMX_MASK(PROC, SECONDARY_CONTROLS));
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

#define PROC_SET(name) (f->v->proc_controls |= (u32)VMX_MASK(PROC, name))
#define PIN_SET(name) (f->v->pin_controls |= (u32)VMX_MASK(PIN, name))
#define SEC_SET(name) (f->v->sec_controls |= (u32)VMX_MASK(SEC, name))
#define EXIT_SET(name) (f->v->exit_controls |= (u32)VMX_MASK(EXIT, name))
#define ENTRY_SET(name) (f->v->entry_controls |= (u32)VMX_MASK(ENTRY, name))

/* VMLAUNCH, and on until somebody writes the mark port: the host after a VM exit or VMfail, or a guest's handler. */
static inline void
run(void)
{
	assert_false(f->cpu->nonroot);
	f->cpu->vmx->launched = 0;
	f->cpu->rip = HOST_ENTRY;
	cpus_run(f->cpus);
	if (!f->cpu->nonroot && f->cpu->rip == HOST_ENTRY + 5)
		fail_msg("entry failed: error %u", f->v->vm_instruction_error);
}

static inline void
expect_exit(u32 reason, u64 qualification, u64 rip)
{
	if (f->cpu->nonroot)
		fail_msg("no VM exit: RIP %llx", (unsigned long long)f->cpu->rip);
	if (f->v->exit_reason != reason || f->v->exit_qualification != qualification || f->v->guest_rip != rip)
		fail_msg("exit %u, qualification %llx, RIP %llx", f->v->exit_reason,
			 (unsigned long long)f->v->exit_qualification, (unsigned long long)f->v->guest_rip);
}

#endif
