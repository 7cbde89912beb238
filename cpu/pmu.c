/*
 * Architectural performance monitoring, version 2: four general and three fixed counters of 48 bits.
 *
 * Source: SDM 3, "Architectural Performance Monitoring"; SDM 4 for the MSRs; SDM 2, "RDPMC".
 * Events: instructions, core cycles, reference cycles and branches retired; besides these architectural ones the walks that
 * TLB misses cause (08h, 49h and 85h with unit mask 01h, as from Skylake on), which depend on the TLB of this emulator, and on its being empty
 * after a snapshot is loaded.
 * A processor that does not sleep retires an instruction per cycle, so instructions and both kinds of cycles are one
 * number; an iteration of a REP counts as an instruction, as everywhere here.
 * Nothing is counted while the program runs: a counter advances when somebody looks, by what the processor has done since, and
 * an event stands at the time of the first overflow that interrupts. Branches alone cost something: they single-step.
 * Not modelled: LLC events and mispredictions (CPUID says so), edge detection, AnyThread, PEBS, branch records, freezing.
 */
#include "cpu/pmu.h"

#include <stdlib.h>
#include <string.h>

#include "base/events.h"
#include "base/snapshot.h"
#include "cpu/cpuid.h"
#include "cpu/decode.h"
#include "cpu/lapic.h"

#define COUNTERS (PMU_GENERAL + PMU_FIXED)
#define WIDTH_MASK (BIT(PMU_WIDTH) - 1)

#define PERFCTR 0xc1
#define PERFEVTSEL 0x186
#define FIXED_CTR 0x309
#define PERF_CAPABILITIES 0x345
#define FIXED_CTR_CTRL 0x38d
#define GLOBAL_STATUS 0x38e
#define GLOBAL_CTRL 0x38f
#define GLOBAL_OVF_CTRL 0x390
#define PMC 0x4c1

#define CAPABILITY_FULL_WRITE BIT(13)

#define SELECT_USR BIT(16)
#define SELECT_OS BIT(17)
#define SELECT_INT BIT(20)
#define SELECT_EN BIT(22)
#define SELECT_INV BIT(23)
#define SELECT_CMASK(select) ((select) >> 24 & 0xff)
#define SELECT_RESERVED 0xffffffff00200000ull

#define FIXED_OS 1u
#define FIXED_USR 2u
#define FIXED_PMI 8u
#define FIXED_RESERVED (~0xfffull | 0x444) /* AnyThread too */

#define GLOBAL_ALL ((BIT(PMU_GENERAL) - 1) | (BIT(PMU_FIXED) - 1) << 32)
#define STATUS_COND_CHANGED BIT(63)
#define STATUS_BUFFER_OVERFLOW BIT(62)

#define BRANCH_EVENT 0x00c4

/* What a counter counts. The first three are sources whose totals exist anyway. */
enum source { NOTHING, TIME, LOADS, STORES, FETCHES, BRANCHES, SOURCES };

struct pmu {
	struct vcpu *cpu;
	u64 count[COUNTERS]; /* general ones, then fixed ones */
	u64 select[PMU_GENERAL];
	u64 fixed_control, global_control, global_status;
	bool user;         /* CPL 3 since the totals were last looked at */
	u64 seen[SOURCES]; /* totals then */
	u64 branches;      /* retired while anybody counted them */
	bool branches_interrupt;
	u8 owed; /* overflowed counters whose interrupts a loaded state still has to bring */
	struct event overflow;
};

/* --- what counts --- */

static unsigned
global_bit(unsigned n)
{
	return n < PMU_GENERAL ? n : 32 + n - PMU_GENERAL;
}

static unsigned
fixed_nibble(const struct pmu *p, unsigned n)
{
	return p->fixed_control >> (n - PMU_GENERAL) * 4 & 15;
}

static enum source
source_of(u16 event)
{
	switch (event) {
	case 0x003c: /* core cycles */
	case 0x013c: /* reference cycles */
	case 0x00c0: return TIME;
	case BRANCH_EVENT: return BRANCHES;
	case 0x0108: return LOADS;
	case 0x0149: return STORES;
	case 0x0185: return FETCHES;
	default: return NOTHING;
	}
}

static bool
enabled(const struct pmu *p, unsigned n)
{
	if (!(p->global_control >> global_bit(n) & 1))
		return false;
	return n < PMU_GENERAL ? p->select[n] & SELECT_EN : fixed_nibble(p, n) & (FIXED_OS | FIXED_USR);
}

static bool
counts_here(const struct pmu *p, unsigned n)
{
	if (!enabled(p, n))
		return false;
	if (n < PMU_GENERAL)
		return p->select[n] & (p->user ? SELECT_USR : SELECT_OS);
	return fixed_nibble(p, n) & (p->user ? FIXED_USR : FIXED_OS);
}

static bool
interrupts(const struct pmu *p, unsigned n)
{
	return n < PMU_GENERAL ? p->select[n] & SELECT_INT : fixed_nibble(p, n) & FIXED_PMI;
}

/* Nothing happens more than once in a cycle. So a counter mask of 1 changes nothing, a higher one is never reached, and INV is the rest. */
static u64
increment(const struct pmu *p, unsigned n, const u64 done[SOURCES])
{
	u64 select, events;

	if (n >= PMU_GENERAL)
		return done[TIME];
	select = p->select[n];
	events = done[source_of((u16)select)];
	if (SELECT_CMASK(select) == 0)
		return events;
	if (SELECT_CMASK(select) > 1)
		events = 0;
	return select & SELECT_INV ? done[TIME] - MIN(events, done[TIME]) : events;
}

/* --- counting --- */

static void
totals(const struct pmu *p, u64 total[SOURCES])
{
	const struct vcpu *cpu = p->cpu;

	total[NOTHING] = 0;
	total[TIME] = cpu_icount(cpu);
	total[LOADS] = cpu->stats.walks[0];
	total[STORES] = cpu->stats.walks[1];
	total[FETCHES] = cpu->stats.walks[2];
	total[BRANCHES] = p->branches;
}

/* Brings the counters up to now. Returns a mask of those that overflowed. */
static unsigned
advance(struct pmu *p)
{
	u64 total[SOURCES], done[SOURCES];
	unsigned mask = 0;

	totals(p, total);
	for (unsigned s = 0; s < SOURCES; s++)
		done[s] = total[s] - p->seen[s];
	memcpy(p->seen, total, sizeof(total));
	for (unsigned n = 0; n < COUNTERS; n++) {
		u64 add = counts_here(p, n) ? increment(p, n, done) : 0;

		if (add > WIDTH_MASK - p->count[n]) {
			p->global_status |= BIT(global_bit(n));
			mask |= 1u << n;
		}
		p->count[n] = (p->count[n] + add) & WIDTH_MASK;
	}
	return mask;
}

/* The same, with the interrupts of overflows. */
static void
catch_up(struct pmu *p)
{
	unsigned mask = advance(p) | p->owed;

	p->owed = 0;
	for (; mask; mask &= mask - 1)
		if (interrupts(p, (unsigned)__builtin_ctz(mask)))
			lapic_counter_overflow(p->cpu);
}

/* Instructions until the first counter that interrupts would overflow, at the earliest; UINT64_MAX if none will. */
static u64
next_overflow(const struct pmu *p)
{
	u64 next = UINT64_MAX;

	for (unsigned n = 0; n < COUNTERS; n++)
		if (counts_here(p, n) && interrupts(p, n) && (n >= PMU_GENERAL || source_of((u16)p->select[n]) != NOTHING))
			next = MIN(next, WIDTH_MASK - p->count[n] + 1);
	return next;
}

static void
plan(struct pmu *p)
{
	struct vcpu *cpu = p->cpu;
	u64 next = next_overflow(p);

	/* A processor that sleeps counts nothing: it looks again when it wakes. */
	cpu->pmu_waits = next != UINT64_MAX && cpu->activity != ACTIVITY_ACTIVE;
	if (next == UINT64_MAX || cpu->pmu_waits)
		event_disarm(cpu->events, &p->overflow);
	else
		event_arm(cpu->events, &p->overflow, cpu_time(cpu) + next);
}

/* The event: what looked like an overflow may not have been one, for a counter of rarer things or a processor that slept. */
static void
look(void *opaque, u64 now)
{
	struct pmu *p = opaque;

	(void)now;
	catch_up(p);
	plan(p);
}

/* What follows from the controls. */
static void
derive(struct pmu *p)
{
	struct vcpu *cpu = p->cpu;
	bool steps = false;

	cpu->pmu_active = p->branches_interrupt = false;
	for (unsigned n = 0; n < COUNTERS; n++) {
		cpu->pmu_active |= enabled(p, n);
		if (n < PMU_GENERAL && enabled(p, n) && source_of((u16)p->select[n]) == BRANCHES) {
			steps = true;
			p->branches_interrupt |= interrupts(p, n);
		}
	}
	p->user = cpu->cpl == 3;
	if (steps != cpu->pmu_steps) {
		cpu->pmu_steps = steps;
		cpu->exit_request = 1;
		cpu_mode_changed(cpu);
	}
}

/* To be called when a control has changed, after catch_up() before the change. */
static void
controls_changed(struct pmu *p)
{
	derive(p);
	plan(p);
}

void
pmu_mode_changed(struct vcpu *cpu)
{
	struct pmu *p = cpu->pmu;

	if (p->user == (cpu->cpl == 3))
		return;
	catch_up(p);
	p->user = cpu->cpl == 3;
	plan(p);
}

void
pmu_woken(struct vcpu *cpu)
{
	if (cpu->activity == ACTIVITY_ACTIVE)
		plan(cpu->pmu);
}

bool
insn_is_branch(const struct insn *in)
{
	static void (*const branch[])(struct vcpu *cpu, const struct insn *in) = {
		op_jcc,    op_jmp_J,	op_jmp_E,  op_call_J, op_call_E, op_ret,  op_ret_I,    op_jcxz, op_loop,  op_loope, op_loopne,
		op_jmp_A,  op_jmp_M,	op_call_A, op_call_M, op_retf,	 op_retf_I, op_iret,   op_int3, op_int_I, op_into,  op_int1,
		op_syscall, op_sysret, op_sysenter, op_sysexit,
	};

	for (unsigned i = 0; i < COUNT(branch); i++)
		if (insn_rows[in->op].op == branch[i])
			return true;
	return false;
}

void
pmu_retired(struct vcpu *cpu, const struct insn *in)
{
	struct pmu *p = cpu->pmu;

	if (!insn_is_branch(in))
		return;
	p->branches++;
	if (p->branches_interrupt)
		catch_up(p);
}

/* --- registers --- */

void
pmu_cpuid(u32 regs[4])
{
	/* Version, counters, their width, length of the vector in EBX, where a bit means "not there": LLC events, mispredictions. */
	regs[0] = 2 | PMU_GENERAL << 8 | PMU_WIDTH << 16 | 7 << 24;
	regs[1] = BIT(3) | BIT(4) | BIT(6);
	regs[3] = PMU_FIXED | PMU_WIDTH << 5;
}

static bool
in_range(u32 address, u32 base, unsigned count, unsigned *n)
{
	*n = address - base;
	return *n < count;
}

bool
pmu_owns(u32 address)
{
	unsigned n;

	return in_range(address, PERFCTR, PMU_GENERAL, &n) || in_range(address, PERFEVTSEL, PMU_GENERAL, &n) ||
	       in_range(address, FIXED_CTR, PMU_FIXED, &n) || in_range(address, PMC, PMU_GENERAL, &n) ||
	       in_range(address, FIXED_CTR_CTRL, 4, &n) || address == PERF_CAPABILITIES;
}

bool
pmu_msr_read(struct vcpu *cpu, u32 address, u64 *value)
{
	struct pmu *p = cpu->pmu;
	unsigned n;

	if (!p)
		return false;
	catch_up(p);
	if (in_range(address, PERFCTR, PMU_GENERAL, &n) || in_range(address, PMC, PMU_GENERAL, &n))
		*value = p->count[n];
	else if (in_range(address, PERFEVTSEL, PMU_GENERAL, &n))
		*value = p->select[n];
	else if (in_range(address, FIXED_CTR, PMU_FIXED, &n))
		*value = p->count[PMU_GENERAL + n];
	else if (address == FIXED_CTR_CTRL)
		*value = p->fixed_control;
	else if (address == GLOBAL_STATUS)
		*value = p->global_status;
	else if (address == GLOBAL_CTRL)
		*value = p->global_control;
	else if (address == GLOBAL_OVF_CTRL)
		*value = 0;
	else
		*value = CAPABILITY_FULL_WRITE;
	return true;
}

/* The bits of `value` that the register does not have. */
static u64
reserved(u32 address)
{
	unsigned n;

	if (in_range(address, PERFCTR, PMU_GENERAL, &n))
		return 0; /* 63:32 are ignored */
	if (in_range(address, PERFEVTSEL, PMU_GENERAL, &n))
		return SELECT_RESERVED;
	if (in_range(address, PMC, PMU_GENERAL, &n) || in_range(address, FIXED_CTR, PMU_FIXED, &n))
		return ~WIDTH_MASK;
	switch (address) {
	case FIXED_CTR_CTRL: return FIXED_RESERVED;
	case GLOBAL_CTRL: return ~GLOBAL_ALL;
	case GLOBAL_OVF_CTRL: return ~(GLOBAL_ALL | STATUS_COND_CHANGED | STATUS_BUFFER_OVERFLOW);
	default: return ~0ull;
	}
}

bool
pmu_msr_write(struct vcpu *cpu, u32 address, u64 value)
{
	struct pmu *p = cpu->pmu;
	unsigned n;

	if (!p || value & reserved(address) || address == GLOBAL_STATUS || address == PERF_CAPABILITIES)
		return false;
	catch_up(p);
	if (in_range(address, PERFCTR, PMU_GENERAL, &n))
		p->count[n] = (u64)(s64)(s32)value & WIDTH_MASK;
	else if (in_range(address, PMC, PMU_GENERAL, &n))
		p->count[n] = value;
	else if (in_range(address, FIXED_CTR, PMU_FIXED, &n))
		p->count[PMU_GENERAL + n] = value;
	else if (in_range(address, PERFEVTSEL, PMU_GENERAL, &n))
		p->select[n] = value;
	else if (address == FIXED_CTR_CTRL)
		p->fixed_control = value;
	else if (address == GLOBAL_CTRL)
		p->global_control = value;
	else
		p->global_status &= ~value;
	controls_changed(p);
	return true;
}

bool
pmu_read(struct vcpu *cpu, u32 index, u64 *value)
{
	struct pmu *p = cpu->pmu;
	bool fixed = index & BIT(30);
	u32 n = index & ~(u32)BIT(30);

	if (!p || n >= (fixed ? PMU_FIXED : PMU_GENERAL))
		return false;
	catch_up(p);
	*value = p->count[fixed ? PMU_GENERAL + n : n];
	return true;
}

/* --- making --- */

struct pmu *
pmu_new(struct vcpu *cpu)
{
	struct pmu *p = calloc(1, sizeof(*p));

	assert(p);
	p->cpu = cpu;
	event_init(&p->overflow, "pmu", EVENT_CLOCK, look, p);
	return p;
}

void
pmu_free(struct pmu *p)
{
	free(p);
}

void
pmu_reset(struct vcpu *cpu)
{
	struct pmu *p = cpu->pmu;

	memset(p->count, 0, sizeof(p->count));
	memset(p->select, 0, sizeof(p->select));
	p->fixed_control = p->global_status = 0;
	p->owed = 0;
	p->global_control = BIT(PMU_GENERAL) - 1;
	totals(p, p->seen);
	controls_changed(p);
}

void
pmu_state(struct vcpu *cpu, struct state *s)
{
	struct pmu *p = cpu->pmu, now = *p;

	/*
	 * Looking changes nothing. The counters are brought up to now, but not so the interrupts: one whose time has come waits for its event
	 * while other processors finish the slice.
	 */
	if (state_mode(s) != STATE_LOAD)
		now.owed |= (u8)advance(&now);
	state_section(s, "pmu", 3);
	STATE(s, now.count);
	STATE(s, now.select);
	STATE(s, now.fixed_control);
	STATE(s, now.global_control);
	STATE(s, now.global_status);
	STATE(s, now.owed);
	state_event(s, cpu->events, &p->overflow);
	if (state_mode(s) != STATE_LOAD)
		return;
	if (now.owed >> COUNTERS)
		state_fail(s, "pmu: an overflow of a counter that is not there");
	for (unsigned n = 0; n < COUNTERS; n++)
		if (now.count[n] > WIDTH_MASK)
			state_fail(s, "pmu: a counter wider than it is");
	memcpy(p->count, now.count, sizeof(p->count));
	memcpy(p->select, now.select, sizeof(p->select));
	p->fixed_control = now.fixed_control;
	p->global_control = now.global_control;
	p->global_status = now.global_status;
	p->owed = now.owed;
}

void
pmu_loaded(struct vcpu *cpu)
{
	struct pmu *p = cpu->pmu;

	totals(p, p->seen);
	derive(p);
	/*
	 * Nothing is planned anew. A processor that fell asleep keeps its event, which is too early by the time it slept; only one whose
	 * event has come meanwhile has none, and plans when it wakes (plan()).
	 */
	cpu->pmu_waits = next_overflow(p) != UINT64_MAX && !event_armed(&p->overflow);
}
