/*
 * The run loop: slices of virtual time, boundaries between instructions, and the fault door.
 *
 * Processors take turns: each runs to the end of the slice, which is the next event or, with several processors, at most a quantum away. A
 * processor's own clock is time_end - left; it may stand a little ahead of the slice's end when another processor armed an earlier event.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/events.h"
#include "base/snapshot.h"
#include "base/stop.h"
#include "bus/machine_control.h"
#include "bus/memory.h"
#include "cpu/access.h"
#include "cpu/block.h"
#include "cpu/cpuid.h"
#include "cpu/decode.h"
#include "cpu/deliver.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/hooks.h"
#include "cpu/lapic.h"
#include "cpu/monitor.h"
#include "cpu/msr.h"
#include "cpu/pmu.h"
#include "cpu/smm.h"
#include "cpu/tlb.h"
#include "cpu/vcpu.h"
#include "vmx/intercept.h"

#define DR6_BS BIT(14)
#define DEBUGCTL_BTF BIT(1) /* TF traps after branches taken only */
/* Set in vcpu.shadow while the instruction after STI or MOV SS executes: what is still there afterwards is over. */
#define SHADOW_ENDS 0x80
#define QUANTUM 1000

u64
cpu_time(const struct vcpu *cpu)
{
	return cpu->time_end - (u64)cpu->left + (cpu->current ? cpu->current->idx : 0);
}

u64
cpu_icount(const struct vcpu *cpu)
{
	return cpu->icount_end - (u64)cpu->left + (cpu->current ? cpu->current->idx : 0);
}

/* --- modes --- */

static bool
flat_data(const struct segment *s)
{
	return s->base == 0 && s->limit == 0xffffffff && (s->access & (SEG_P | SEG_UNUSABLE | SEG_S | 8 | 4 | 2)) == (SEG_P | SEG_S | 2);
}

static u32
mode_of(const struct vcpu *cpu)
{
	u32 mode = 0;
	bool protected = cpu_protected(cpu) && !cpu_vm86(cpu);
	if (cpu->long64)
		mode |= MODE_CODE64 | MODE_FLAT | MODE_CS_FLAT;
	else {
		const struct segment *cs = &cpu->seg[CS];
		if (cs->access & SEG_DB)
			mode |= MODE_CODE32;
		if (cpu->seg[SS].access & SEG_DB)
			mode |= MODE_STACK32;
		if (cs->base == 0 && cs->limit == 0xffffffff)
			mode |= MODE_CS_FLAT;
		if (protected && flat_data(&cpu->seg[DS]) && flat_data(&cpu->seg[ES]) && flat_data(&cpu->seg[SS]))
			mode |= MODE_FLAT;
	}
	if (cpu->cpl == 0)
		mode |= MODE_CPL0;
	if (protected)
		mode |= MODE_PROTECTED;
	if (cpu->cr0 & CR0_EM)
		mode |= MODE_EM;
	if (cpu->cr0 & CR0_TS)
		mode |= MODE_TS;
	if (cpu->cr4 & CR4_OSFXSR)
		mode |= MODE_OSFXSR;
	if (cpu->cr4 & CR4_OSXSAVE && (cpu->xcr0 & 6) == 6)
		mode |= MODE_AVX;
	if (cpu->cpl == 3 && cpu->cr0 & CR0_AM && cpu->rflags & FLAG_AC)
		mode |= MODE_CHECKED;
	return mode;
}

/* Breakpoint n of DR7 is enabled and of R/W kind `kinds` (a set of bits by kind). */
static bool
breakpoints_of_kind(const struct vcpu *cpu, unsigned kinds)
{
	for (unsigned n = 0; n < 4; n++)
		if (cpu->dr[7] >> (n * 2) & 3 && kinds & 1u << BITS(cpu->dr[7], 17 + n * 4, 16 + n * 4))
			return true;
	return false;
}

void
cpu_mode_changed(struct vcpu *cpu)
{
	cpu->long64 = cpu->efer & EFER_LMA && cpu->seg[CS].access & SEG_L;
	cpu->mode = mode_of(cpu);
	if (breakpoints_of_kind(cpu, 0xa))
		cpu->mode |= MODE_CHECKED;
	if (unlikely(cpu->pmu_active))
		pmu_mode_changed(cpu);
	cpu->step = cpu->pmu_steps || cpu->rflags & (FLAG_TF | FLAG_RF) || breakpoints_of_kind(cpu, 1) || (cpu->nonroot && vmx_steps(cpu)) ||
		    (cpu->hooks && cpu->hooks->stepping);
	if (unlikely(cpu->hooks))
		cpu->hooks->mode(cpu->hooks->opaque, cpu);
	cpu->link = NULL;
	tlb_select(cpu);
}

/* --- debug registers: data breakpoints are traps, instruction breakpoints faults --- */

static u64
breakpoint_hits(const struct vcpu *cpu, u64 linear, unsigned size, unsigned kinds)
{
	static const u8 length[4] = {1, 2, 8, 4};
	u64 hits = 0;
	for (unsigned n = 0; n < 4; n++) {
		if (!(cpu->dr[7] >> (n * 2) & 3) || !(kinds & 1u << BITS(cpu->dr[7], 17 + n * 4, 16 + n * 4)))
			continue;
		unsigned bytes = length[BITS(cpu->dr[7], 19 + n * 4, 18 + n * 4)];
		u64 at = cpu->dr[n] & ~(u64)(bytes - 1);
		if (linear < at + bytes && at < linear + size)
			hits |= BIT(n);
	}
	return hits;
}

void
cpu_data_breakpoints(struct vcpu *cpu, u64 linear, unsigned size, bool write)
{
	u64 hits = breakpoint_hits(cpu, linear, size, write ? 0xa : 0x8);
	if (hits) {
		cpu->pending_db |= hits;
		cpu_request(cpu, PEND_DB);
	}
}

void
cpu_io_breakpoints(struct vcpu *cpu, u16 port, unsigned size)
{
	u64 hits = cpu->cr4 & CR4_DE ? breakpoint_hits(cpu, port, size, 0x4) : 0;
	if (hits) {
		cpu->pending_db |= hits;
		cpu_request(cpu, PEND_DB);
	}
}

static void
check_instruction_breakpoints(struct vcpu *cpu)
{
	if (cpu->rflags & FLAG_RF || cpu_between_iterations(cpu))
		return;
	u64 linear = cpu->long64 ? cpu->rip : (u32)(cpu->seg[CS].base + cpu->rip);
	u64 hits = breakpoint_hits(cpu, linear, 1, 1);
	if (hits)
		raise_db(cpu, hits);
}

/* --- boundaries --- */

static void
wake(struct vcpu *cpu)
{
	if (cpu->activity == ACTIVITY_HLT || cpu->activity == ACTIVITY_MWAIT)
		cpu->activity = ACTIVITY_ACTIVE;
}

static void
take_init(struct vcpu *cpu)
{
	cpu->pending &= ~(u32)PEND_INIT;
	cpus_init(cpu->cpus, cpu->index);
}

static void
take_sipi(struct vcpu *cpu)
{
	cpu->pending &= ~(u32)PEND_SIPI;
	u8 vector = lapic_sipi_vector(cpu);
	if (cpu->nonroot)
		vmx_intercept_sipi(cpu, vector);
	if (cpu->activity != ACTIVITY_WAIT_SIPI)
		return;
	cpu->seg[CS].selector = (u16)(vector << 8);
	cpu->seg[CS].base = (u64)vector << 12;
	cpu->rip = 0;
	cpu->activity = ACTIVITY_ACTIVE;
	cpu_mode_changed(cpu);
}

static void
deliver_pending_debug(struct vcpu *cpu)
{
	struct event_info e = {.vector = VECTOR_DB, .type = EVENT_HARDWARE_EXCEPTION, .cr2 = cpu->pending_db};
	cpu->pending &= ~(u32)PEND_DB;
	cpu->pending_db = 0;
	wake(cpu);
	deliver_event(cpu, &e, false);
	cpu->shadow = 0;
}

static void
take_nmi(struct vcpu *cpu)
{
	if (cpu->nonroot && !vmx_intercept_nmi(cpu))
		return;
	struct event_info e = {.vector = VECTOR_NMI, .type = EVENT_NMI};
	cpu->pending &= ~(u32)PEND_NMI;
	wake(cpu);
	cpu->nmi_blocked = true;
	cpu->stats.interrupts++;
	deliver_event(cpu, &e, false);
}

static void
take_interrupt(struct vcpu *cpu)
{
	if (!lapic_interrupt_pending(cpu)) {
		cpu->pending &= ~(u32)PEND_INTR;
		return;
	}
	if (cpu->nonroot && !vmx_intercept_interrupt(cpu))
		return;
	if (!(cpu->rflags & FLAG_IF) || cpu->shadow & (SHADOW_STI | SHADOW_MOV_SS))
		return;
	struct event_info e = {.vector = lapic_acknowledge(cpu), .type = EVENT_EXTERNAL};
	wake(cpu);
	cpu->stats.interrupts++;
	deliver_event(cpu, &e, false);
}

/*
 * All that can happen between two instructions, in the order of SDM 3, "Priorities Among Concurrent Events". May change RIP, or go through the
 * door.
 */
static void
boundary(struct vcpu *cpu)
{
	cpu->exit_request = 0;
	if (cpu->pending & PEND_INIT) {
		if (cpu->nonroot && cpu->activity != ACTIVITY_WAIT_SIPI) {
			cpu->pending &= ~(u32)PEND_INIT;
			vmx_intercept_init(cpu);
		} else if (!vmx_operation(cpu)) {
			take_init(cpu);
		}
	}
	if (cpu->pending & PEND_SIPI)
		take_sipi(cpu);
	if (cpu->activity == ACTIVITY_WAIT_SIPI || cpu->activity == ACTIVITY_SHUTDOWN) {
		if (cpu->activity == ACTIVITY_WAIT_SIPI)
			return;
	}
	if (cpu->pending & PEND_SMI && !cpu->in_smm) {
		cpu->pending &= ~(u32)PEND_SMI;
		smm_enter(cpu);
	}
	if (cpu->nonroot && cpu->pending & (PEND_VMX | PEND_MTF))
		vmx_boundary(cpu, true);
	if (cpu->pending & PEND_DB && !(cpu->shadow & SHADOW_MOV_SS))
		deliver_pending_debug(cpu);
	if (cpu->nonroot && cpu->pending & PEND_VMX)
		vmx_boundary(cpu, false);
	bool nmi_blocked = cpu->nmi_blocked && !(cpu->nonroot && vmx_nmi_regardless_of_blocking(cpu));
	if (cpu->pending & PEND_NMI && !nmi_blocked && !(cpu->shadow & (SHADOW_STI | SHADOW_MOV_SS)))
		take_nmi(cpu);
	if (cpu->pending & PEND_INTR) {
		bool open = cpu->rflags & FLAG_IF && !(cpu->shadow & (SHADOW_STI | SHADOW_MOV_SS));
		if (open || (cpu->nonroot && vmx_interrupt_regardless_of_if(cpu)) || !lapic_interrupt_pending(cpu))
			take_interrupt(cpu);
	}
}

/* --- running --- */

#ifdef NB_NO_TAILCALL
static void
run(struct vcpu *cpu, const struct insn *i)
{
	while (i)
		i = i->fn(cpu, i);
}
#else
#define run(cpu, i) ((i)->fn((cpu), (i)))
#endif

/* One instruction by itself: TF, RF, instruction breakpoints, monitor trap flag, or the shadow of STI and MOV SS. */
static void
run_one(struct vcpu *cpu)
{
	u64 flags = cpu->rflags, rip = cpu->rip;
	if (unlikely(cpu->hooks) && hooks_instruction(cpu, cpu->long64 ? cpu->rip : (u32)(cpu->seg[CS].base + cpu->rip)))
		return;
	if (cpu->step) {
		/* SDM 3, "Debug Exceptions": none on the instruction after MOV SS. */
		if (!(cpu->shadow & SHADOW_MOV_SS))
			check_instruction_breakpoints(cpu);
		if (flags & FLAG_RF) {
			cpu->rflags &= ~FLAG_RF;
			cpu_mode_changed(cpu);
		}
	}
	if (cpu->shadow)
		cpu->shadow |= SHADOW_ENDS;
	const struct insn *i = block_alone(cpu);
	run(cpu, i);
	if (cpu->shadow & SHADOW_ENDS)
		cpu->shadow = 0;
	if (unlikely(cpu->pmu_steps))
		pmu_retired(cpu, i);
	bool quiet = cpu->msr.debugctl & DEBUGCTL_BTF && !(insn_is_branch(i) && cpu->rip != rip + insn_length(i));
	if (flags & FLAG_TF && !insn_is_software_interrupt(i) && !quiet) {
		cpu->pending_db |= DR6_BS;
		cpu->pending |= PEND_DB;
	}
	if (cpu->nonroot)
		vmx_after_step(cpu);
}

static void
run_block(struct vcpu *cpu)
{
	const struct insn *link = cpu->link, *i;
	cpu->link = NULL;
	if (unlikely(cpu->cpus->complete_forms)) {
		if (cpu->hooks && hooks_instruction(cpu, cpu->long64 ? cpu->rip : (u32)(cpu->seg[CS].base + cpu->rip)))
			return;
		run(cpu, block_alone(cpu));
		return;
	}
	const struct insn *cached = cpu->mode & MODE_CS_FLAT ? cpu->jumps[jump_index(cpu->rip)].target : block_stub.insn;
	if (cpu->jumps[jump_index(cpu->rip)].rip == cpu->rip && block_of(cached)->mode == cpu->mode && block_of(cached)->n != INT64_MAX) {
		i = cached;
	} else {
		u64 page = cpu->rip_page;
		i = block_find(cpu);
		if (unlikely(!i))
			return;
		if (page != cpu->rip_page)
			link = NULL;
	}
	if (link && (cpu->rip & PAGE_MASK) == cpu->rip_page && cpu->mode & MODE_CS_FLAT)
		block_link(cpu, link, i);
	if (cpu->mode & MODE_CS_FLAT)
		cpu->rip_page = cpu->rip & PAGE_MASK;
	if (cpu->left < block_of(i)->n)
		i = block_scratch(cpu, (unsigned)cpu->left);
	run(cpu, i);
}

/*
 * An exception on top of another, with no instruction between them, takes a cycle: time must pass for a guest whose handler faults at once, for
 * ever.
 */
static void
charge_exception(struct vcpu *cpu)
{
	u64 icount = cpu_icount(cpu);
	if (icount == cpu->fault_icount && cpu->left > 0) {
		cpu->left--;
		cpu->icount_end--;
	}
	cpu->fault_icount = icount;
}

/* What came through the door: an exception to deliver (1), or a completed change of state (2). */
static void
after_door(struct vcpu *cpu, int what)
{
	cpu->link = NULL;
	cpu->shadow &= (u8)~SHADOW_ENDS;
	if (unlikely(cpu->pmu_waits))
		pmu_woken(cpu);
	if (what == 1) {
		if (cpu->event.vector < 32) {
			cpu->stats.exceptions[cpu->event.vector]++;
			cpu->stats.guest_exceptions[cpu->event.vector] += cpu->nonroot;
		}
		charge_exception(cpu);
		deliver_exception(cpu);
		cpu->shadow = 0;
	}
}

/* The clock stops where the processor went to sleep; run_turn() moves it on when it runs again. */
static void
idle(struct vcpu *cpu)
{
	cpu->icount_end -= (u64)cpu->left;
	cpu->time_end -= (u64)cpu->left;
	cpu->left = 0;
}

/*
 * Runs one processor until its clock reaches the slice's end or, `resumed`, the rest of that. True: its turn is over. False: `stop` is set, or
 * the instruction count is one that an event waits for.
 */
static bool
run_turn(struct vcpu *cpu, bool resumed)
{
	struct cpus *cpus = cpu->cpus;
	u64 now = MAX(cpu->time_end - (u64)cpu->left, cpus->now), retired = cpu->icount_end - (u64)cpu->left;
	u64 wanted = events_next_icount(cpus->events);
	if (cpus->slice_end <= now)
		return true;
	u64 room = cpus->slice_end - now;
	if (wanted != UINT64_MAX) {
		u64 done = cpus_icount(cpus);
		room = wanted > done ? MIN(room, wanted - done) : 0;
		/* One alone takes no turns: its slice ends where it likes. */
		if (cpus->count == 1)
			cpus->slice_end = now + room;
	}
	cpu->left = (s64)room;
	cpu->time_end = now + room;
	cpu->icount_end = retired + room;
	if (!resumed && cpu->activity == ACTIVITY_MWAIT && monitor_triggered(cpu))
		cpu->activity = ACTIVITY_ACTIVE;
	cpus->running = cpu;
	volatile bool asleep = false; /* through the door, too */
	int what = setjmp(cpu->door);
	if (what)
		after_door(cpu, what);
	while (cpu->left > 0 && !cpus->stop) {
		if (unlikely(cpu->exit_request | cpu->pending)) {
			u64 rip = cpu->rip;
			boundary(cpu);
			if (unlikely(cpu->pmu_waits))
				pmu_woken(cpu);
			if (cpu->rip != rip)
				cpu->link = NULL;
			if (cpu->left <= 0 || cpus->stop)
				break;
		}
		if (unlikely(cpu->activity != ACTIVITY_ACTIVE)) {
			idle(cpu);
			asleep = true;
			break;
		}
		if (unlikely(cpu->step | cpu->shadow))
			run_one(cpu);
		else
			run_block(cpu);
	}
	cpus->running = NULL;
	return asleep || cpu->time_end - (u64)cpu->left >= cpus->slice_end;
}

/* Could this processor do anything before the next event? */
static bool
runnable(struct vcpu *cpu)
{
	if (cpu->activity == ACTIVITY_ACTIVE)
		return true;
	if (cpu->pending & (PEND_INIT | PEND_SIPI | PEND_SMI | PEND_VMX | PEND_MTF | PEND_DB))
		return true;
	if (cpu->activity == ACTIVITY_WAIT_SIPI || cpu->activity == ACTIVITY_SHUTDOWN)
		return false;
	return cpu->pending & (PEND_NMI | PEND_INTR) || (cpu->activity == ACTIVITY_MWAIT && monitor_triggered(cpu));
}

/* Fixes the end of the next slice. False: events that were due have fired instead. */
static bool
begin_slice(struct cpus *cpus)
{
	u64 next = events_next(cpus->events), done = cpus_icount(cpus);
	if (MIN(next, events_next_stop(cpus->events)) <= cpus->now) {
		events_run(cpus->events, cpus->now);
		return false;
	}
	if (events_next_icount(cpus->events) <= done) {
		events_run_icount(cpus->events, done, cpus->now);
		return false;
	}
	unsigned active = 0;
	for (unsigned n = 0; n < cpus->count; n++)
		active += runnable(cpus->cpu[n]);
	if (next == UINT64_MAX && !active)
		stop_host_error("all processors are halted and no event can wake them");
	/* One alone needs no turns: cpu_request() ends its slice when it wakes another. */
	u64 limit = cpus->now + (active > 1 ? cpus->quantum : LONG_SLICE);
	cpus->slice_end = MIN(next, limit);
	cpus->turn = 0;
	cpus->in_slice = true;
	return true;
}

/*
 * One processor after the other. Whoever sets `stop` does not change who runs when: the slice goes on where it was left, at the next call.
 */
static void
run_slice(struct cpus *cpus)
{
	for (; cpus->turn < cpus->count; cpus->turn++) {
		struct vcpu *cpu = cpus->cpu[cpus->turn];
		if (!cpus->in_turn && !runnable(cpu))
			continue;
		bool over = run_turn(cpu, cpus->in_turn);
		while (!over && !cpus->stop) {
			cpus->in_turn = true;
			events_run_icount(cpus->events, cpus_icount(cpus), cpu_time(cpu));
			if (!cpus->stop)
				over = run_turn(cpu, true);
		}
		cpus->in_turn = !over;
		if (cpus->stop) {
			cpus->turn += over;
			return;
		}
	}
	cpus->in_slice = false;
	cpus->now = cpus->slice_end;
}

void
cpus_run(struct cpus *cpus)
{
	cpus->stop = false;
	while (!cpus->stop)
		if (cpus->in_slice || begin_slice(cpus))
			run_slice(cpus);
	if (cpus->count == 1 && cpus->in_slice) {
		cpus->in_slice = cpus->in_turn = false;
		cpus->now = MAX(cpus->now, MIN(cpu_time(cpus->cpu[0]), cpus->slice_end));
	}
}

/* --- time, as events see it --- */

static u64
now(void *opaque)
{
	struct cpus *cpus = opaque;
	return cpus->running ? cpu_time(cpus->running) : cpus->in_turn ? cpu_time(cpus->cpu[cpus->turn]) : cpus->now;
}

/* An event was armed: the running processor must not go beyond it. */
static void
sooner(void *opaque, u64 time)
{
	struct cpus *cpus = opaque;
	struct vcpu *cpu = cpus->running;
	if (!cpu || time >= cpus->slice_end)
		return;
	/* The instruction being executed completes first. */
	s64 least = cpu->current ? cpu->current->idx + 1 : 0;
	u64 start = cpu->time_end - (u64)cpu->left;
	s64 wanted = time > start ? (s64)(time - start) : 0;
	wanted = MAX(wanted, least);
	if (wanted < cpu->left) {
		u64 cut = (u64)(cpu->left - wanted);
		cpu->left -= (s64)cut;
		cpu->time_end -= cut;
		cpu->icount_end -= cut;
	}
	/* Also when the processor stops before that, where somebody wants to see it. */
	cpus->slice_end = MIN(cpus->slice_end, start + (u64)wanted);
	cpu->exit_request = 1;
}

void
cpu_request(struct vcpu *cpu, u32 pend)
{
	struct cpus *cpus = cpu->cpus;
	cpu->pending |= pend;
	cpu->exit_request = 1;
	if (cpus->running && cpus->running != cpu)
		sooner(cpus, cpu_time(cpus->running) + 1);
}

/* --- making, resetting, looking --- */

static void
map_changed(void *opaque)
{
	struct cpus *cpus = opaque;
	for (unsigned n = 0; n < cpus->count; n++) {
		tlb_flush_all(cpus->cpu[n]);
		cpus->cpu[n]->exit_request = 1;
	}
}

struct cpus *
cpus_new(unsigned count, const struct cpu_model *model, struct memory *memory, struct ports *ports, struct events *events, struct apic_bus *bus,
	 const struct machine_control *control, u64 seed)
{
	decode_init();
	fast_init();
	block_stub.insn[0].fn = h_undefined;
	struct cpus *cpus = calloc(1, sizeof *cpus);
	assert(cpus);
	*cpus = (struct cpus){.count = count, .memory = memory, .ports = ports, .events = events, .bus = bus, .control = control, .quantum = QUANTUM};
	cpus->cpu = calloc(count, sizeof *cpus->cpu);
	struct block_cache *blocks = block_cache_new(memory);
	for (unsigned n = 0; n < count; n++) {
		struct vcpu *cpu = aligned_alloc(64, (sizeof *cpu + 63) / 64 * 64);
		assert(cpu);
		memset(cpu, 0, sizeof *cpu);
		cpus->cpu[n] = cpu;
		cpu->index = n;
		cpu->model = model;
		cpu->memory = memory;
		cpu->ports = ports;
		cpu->events = events;
		cpu->cpus = cpus;
		cpu->blocks = blocks;
		cpu->contexts = tlb_new();
		cpu->two_gib = BIT(31);
		cpu->seed = seed + n * 0x9e3779b97f4a7c15ull;
		cpu->lapic = lapic_new(cpu);
		cpu->pmu = model->has[FEATURE_PMU] ? pmu_new(cpu) : NULL;
		cpu->vmx = model->has[FEATURE_VMX] ? vmx_new(cpu) : NULL;
	}
	memory->code_written = block_code_written;
	memory->map_changed = map_changed;
	memory->opaque = cpus;
	bus->send = lapic_bus_send;
	bus->cpus = cpus;
	events_set_source(events, now, sooner, cpus);
	if (count > 1)
		events_stops_wait(events);
	cpus_reset(cpus);
	return cpus;
}

void
cpus_free(struct cpus *cpus)
{
	block_cache_free(cpus->cpu[0]->blocks);
	for (unsigned n = 0; n < cpus->count; n++) {
		struct vcpu *cpu = cpus->cpu[n];
		lapic_free(cpu->lapic);
		pmu_free(cpu->pmu);
		if (cpu->vmx)
			vmx_free(cpu->vmx);
		tlb_free(cpu->contexts);
		free(cpu);
	}
	free(cpus->cpu);
	free(cpus);
}

/* SDM 3, "Processor State After Reset" (table of the states following power-up, reset or INIT). */
static void
reset_registers(struct vcpu *cpu, bool init)
{
	memset(cpu->r, 0, sizeof cpu->r);
	cpu->r[RDX] = cpu->model->signature;
	for (unsigned n = 0; n < 6; n++)
		cpu->seg[n] = (struct segment){.limit = 0xffff, .access = SEG_P | SEG_S | 3};
	cpu->seg[CS] = (struct segment){.base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .access = SEG_P | SEG_S | 0xb};
	cpu->ldtr = (struct segment){.limit = 0xffff, .access = SEG_P | 2};
	cpu->tr = (struct segment){.limit = 0xffff, .access = SEG_P | 0xb};
	cpu->gdtr.base = cpu->idtr.base = 0;
	cpu->gdtr.limit = cpu->idtr.limit = 0xffff;
	cpu->rip = 0xfff0;
	cpu->rflags = BIT(1);
	cc_set_raw(cpu, 0);
	cpu->cpl = 0;
	cpu->cr0 = CR0_ET | (init ? cpu->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW);
	cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->efer = 0;
	memset(cpu->dr, 0, sizeof cpu->dr);
	cpu->dr[6] = 0xffff0ff0;
	cpu->dr[7] = 0x400;
	cpu->shadow = 0;
	cpu->pending_db = 0;
	cpu->nmi_blocked = cpu->is_delivering = cpu->in_smm = false;
	cpu->pending &= init ? PEND_SMI : 0;
	if (!init) {
		cpu->xcr0 = 1;
		cpu->pkru = 0;
		cpu->mxcsr = 0x1f80;
		cpu->smbase = 0x30000;
		memset(cpu->vec, 0, sizeof cpu->vec);
		cpu->x87 = (struct x87){.control = 0x40, .empty = 0};
		cpu->ferr = false;
		cpu->rep_icount = cpu->fault_icount = ~0ull;
	}
}

static void
reset_one(struct vcpu *cpu, bool init)
{
	reset_registers(cpu, init);
	msr_reset(cpu, init);
	lapic_reset(cpu, init);
	if (!init && cpu->pmu)
		pmu_reset(cpu);
	if (!init && cpu->vmx)
		vmx_reset(cpu);
	cpu->nonroot = false;
	cpu->activity = cpu->msr.apic_base & BIT(8) ? ACTIVITY_ACTIVE : ACTIVITY_WAIT_SIPI;
	tlb_address_mask_changed(cpu);
	tlb_flush_all(cpu);
	cpu_mode_changed(cpu);
}

void
cpus_reset(struct cpus *cpus)
{
	for (unsigned n = 0; n < cpus->count; n++) {
		cpus->cpu[n]->msr.apic_base = n ? 0 : BIT(8);
		reset_one(cpus->cpu[n], false);
	}
}

void
cpus_init(struct cpus *cpus, unsigned index)
{
	reset_one(cpus->cpu[index], true);
}

void
cpus_set_a20(struct cpus *cpus, bool open)
{
	cpus->a20_masked = !open;
	for (unsigned n = 0; n < cpus->count; n++)
		tlb_address_mask_changed(cpus->cpu[n]);
}

void
cpus_set_intr(void *opaque, unsigned number, int level)
{
	(void)number;
	struct cpus *cpus = opaque;
	lapic_set_lint0(cpus->cpu[0], level);
}

u64
cpus_icount(const struct cpus *cpus)
{
	u64 sum = 0;
	for (unsigned n = 0; n < cpus->count; n++)
		sum += cpu_icount(cpus->cpu[n]);
	return sum;
}

void
vcpu_print(struct vcpu *cpu)
{
	static const char *const name[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
					     "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
	static const char *const segment[6] = {"ES", "CS", "SS", "DS", "FS", "GS"};
	cpu_sync(cpu);
	fprintf(stderr, "CPU %u: instruction %llu, time %llu%s%s\n", cpu->index, (unsigned long long)cpu_icount(cpu),
		(unsigned long long)cpu_time(cpu), cpu->nonroot ? ", VMX non-root" : vmx_operation(cpu) ? ", VMX root" : "",
		cpu->activity == ACTIVITY_ACTIVE ? "" : ", not active");
	for (unsigned n = 0; n < 16; n++)
		fprintf(stderr, "%s=%016llx%c", name[n], (unsigned long long)cpu->r[n], n % 4 == 3 ? '\n' : ' ');
	fprintf(stderr, "RIP=%016llx RFL=%08llx CPL=%u\n", (unsigned long long)cpu->rip, (unsigned long long)cpu_rflags(cpu), cpu->cpl);
	for (unsigned n = 0; n < 6; n++)
		fprintf(stderr, "%s =%04x base=%016llx limit=%08x access=%04x\n", segment[n], cpu->seg[n].selector,
			(unsigned long long)cpu->seg[n].base, cpu->seg[n].limit, cpu->seg[n].access);
	fprintf(stderr, "LDT=%04x base=%016llx limit=%08x access=%04x\n", cpu->ldtr.selector, (unsigned long long)cpu->ldtr.base, cpu->ldtr.limit,
		cpu->ldtr.access);
	fprintf(stderr, "TR =%04x base=%016llx limit=%08x access=%04x\n", cpu->tr.selector, (unsigned long long)cpu->tr.base, cpu->tr.limit,
		cpu->tr.access);
	fprintf(stderr, "GDT base=%016llx limit=%04x  IDT base=%016llx limit=%04x\n", (unsigned long long)cpu->gdtr.base, cpu->gdtr.limit,
		(unsigned long long)cpu->idtr.base, cpu->idtr.limit);
	fprintf(stderr, "CR0=%08llx CR2=%016llx CR3=%016llx CR4=%08llx EFER=%llx XCR0=%llx\n", (unsigned long long)cpu->cr0,
		(unsigned long long)cpu->cr2, (unsigned long long)cpu->cr3, (unsigned long long)cpu->cr4, (unsigned long long)cpu->efer,
		(unsigned long long)cpu->xcr0);
	u8 code[16];
	u64 linear = cpu->long64 ? cpu->rip : (u32)(cpu->seg[CS].base + cpu->rip);
	if (mem_peek(cpu, linear, code, sizeof code)) {
		fprintf(stderr, "code:");
		for (unsigned n = 0; n < sizeof code; n++)
			fprintf(stderr, " %02x", code[n]);
		fprintf(stderr, "\n");
	}
}
