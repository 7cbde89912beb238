/*
 * Hardware task switches.
 *
 * SDM 3, "Task Management". What the manual leaves open: a 16-bit TSS clears the upper halves of the general registers; the present TSS must
 * have room for the state that is saved (#TS); the saved RFLAGS image is otherwise that of the interrupted program.
 */
#include "cpu/access.h"
#include "cpu/deliver.h"
#include "cpu/fault.h"
#include "cpu/paging.h"
#include "cpu/segment.h"
#include "cpu/tlb.h"
#include "vmx/intercept.h"

#define DR6_BT BIT(15)
#define DR7_LOCAL 0x155ull /* L0-L3, LE */
#define FLAGS_LOADED 0x3f7fd7ull

/* Where a TSS has its fields: registers in the order of their numbers, segments ES CS SS DS (FS GS). */
struct tss_layout {
	u32 limit; /* the least */
	unsigned size; /* of a field */
	unsigned cr3, ip, flags, gpr, seg, segments, ldt, trap;
	unsigned state_end; /* of what a switch saves, from ip on */
};
static const struct tss_layout tss16 = {0x2b, 2, 0, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a, 0, 0x2a};
static const struct tss_layout tss32 = {0x67, 4, 0x1c, 0x20, 0x24, 0x28, 0x48, 6, 0x60, 0x64, 0x60};

struct task {
	u32 cr3, ip, flags;
	u32 gpr[8];
	u16 seg[6], ldt;
	bool trap;
};

static const struct tss_layout *
layout_of(const struct segment *tr)
{
	return tr->access & 8 ? &tss32 : &tss16;
}

static u64
tss_read(struct vcpu *cpu, const struct segment *tr, unsigned offset, unsigned size)
{
	return sys_read(cpu, table_linear(cpu, tr->base, offset), size);
}

static void
tss_write(struct vcpu *cpu, const struct segment *tr, unsigned offset, unsigned size, u64 value)
{
	sys_write(cpu, table_linear(cpu, tr->base, offset), size, value);
}

static void
task_read(struct vcpu *cpu, const struct segment *tr, struct task *t)
{
	const struct tss_layout *l = layout_of(tr);

	*t = (struct task){.ip = (u32)tss_read(cpu, tr, l->ip, l->size), .flags = (u32)tss_read(cpu, tr, l->flags, l->size)};
	for (unsigned n = 0; n < 8; n++)
		t->gpr[n] = (u32)tss_read(cpu, tr, l->gpr + n * l->size, l->size);
	for (unsigned n = 0; n < l->segments; n++)
		t->seg[n] = (u16)tss_read(cpu, tr, l->seg + n * l->size, 2);
	t->ldt = (u16)tss_read(cpu, tr, l->ldt, 2);
	if (l == &tss32) {
		t->cr3 = (u32)tss_read(cpu, tr, l->cr3, 4);
		t->trap = tss_read(cpu, tr, l->trap, 2) & 1;
	}
}

static void
task_save(struct vcpu *cpu, u64 flags)
{
	const struct segment *tr = &cpu->tr;
	const struct tss_layout *l = layout_of(tr);

	tss_write(cpu, tr, l->ip, l->size, cpu->next_rip);
	tss_write(cpu, tr, l->flags, l->size, flags);
	for (unsigned n = 0; n < 8; n++)
		tss_write(cpu, tr, l->gpr + n * l->size, l->size, cpu->r[n]);
	for (unsigned n = 0; n < l->segments; n++)
		tss_write(cpu, tr, l->seg + n * l->size, 2, cpu->seg[n].selector);
}

/* The new TSS descriptor: available, or busy when returning to it. */
static void
check_new_tss(struct vcpu *cpu, u16 selector, enum task_switch_source source, struct descriptor *d)
{
	u32 error = selector_error(selector);

	if (selector & SELECTOR_TI || !descriptor_read(cpu, selector, d) || !descriptor_is_tss(cpu, d->low, source == TASK_IRET))
		raise_error(cpu, source == TASK_IRET ? VECTOR_TS : VECTOR_GP, error);
	if (!descriptor_present(d->low))
		raise_error(cpu, VECTOR_NP, error);
	if (descriptor_limit(d->low) < (descriptor_type(d->low) & 8 ? tss32.limit : tss16.limit))
		raise_error(cpu, VECTOR_TS, error);
}

static void
probe_busy(struct vcpu *cpu, u16 selector)
{
	sys_probe_write(cpu, table_linear(cpu, cpu->gdtr.base, (selector & ~7u) + 5), 1);
}

/* --- the new task's segments: faults belong to the new task --- */

static void
load_task_ldt(struct vcpu *cpu, u16 selector)
{
	struct descriptor d;

	if (selector_null(selector))
		return;
	if (selector & SELECTOR_TI || !descriptor_read(cpu, selector, &d) || !descriptor_is_system(d.low) ||
	    descriptor_type(d.low) != TYPE_LDT || !descriptor_present(d.low))
		raise_error(cpu, VECTOR_TS, selector_error(selector));
	segment_from_descriptor(&cpu->ldtr, selector, &d);
}

static void
load_task_cs(struct vcpu *cpu, u16 selector)
{
	u32 error = selector_error(selector);
	unsigned rpl = SELECTOR_RPL(selector);
	struct descriptor d;

	if (!descriptor_read(cpu, selector, &d) || !descriptor_is_code(d.low))
		raise_error(cpu, VECTOR_TS, error);
	if (descriptor_is_conforming(d.low) ? descriptor_dpl(d.low) > rpl : descriptor_dpl(d.low) != rpl)
		raise_error(cpu, VECTOR_TS, error);
	if (!descriptor_present(d.low))
		raise_error(cpu, VECTOR_NP, error);
	descriptor_set_accessed(cpu, selector, &d);
	cs_load(cpu, selector, &d, rpl);
}

static void
load_task_ss(struct vcpu *cpu, u16 selector)
{
	u32 error = selector_error(selector);
	struct descriptor d;

	if (!descriptor_read(cpu, selector, &d) || !descriptor_is_writable(d.low) || descriptor_dpl(d.low) != cpu->cpl ||
	    SELECTOR_RPL(selector) != cpu->cpl)
		raise_error(cpu, VECTOR_TS, error);
	if (!descriptor_present(d.low))
		raise_error(cpu, VECTOR_SS, error);
	descriptor_set_accessed(cpu, selector, &d);
	segment_from_descriptor(&cpu->seg[SS], selector, &d);
}

static void
load_task_data(struct vcpu *cpu, unsigned seg, u16 selector)
{
	u32 error = selector_error(selector);
	struct descriptor d;

	if (selector_null(selector))
		return;
	if (!descriptor_read(cpu, selector, &d) || !descriptor_loads_data(cpu, selector, d.low))
		raise_error(cpu, VECTOR_TS, error);
	if (!descriptor_present(d.low))
		raise_error(cpu, VECTOR_NP, error);
	descriptor_set_accessed(cpu, selector, &d);
	segment_from_descriptor(&cpu->seg[seg], selector, &d);
}

static void
load_task_segments(struct vcpu *cpu, const struct task *t)
{
	load_task_ldt(cpu, t->ldt);
	if (!cpu_vm86(cpu)) {
		load_task_cs(cpu, t->seg[CS]);
		load_task_ss(cpu, t->seg[SS]);
		for (unsigned seg = ES; seg <= GS; seg++)
			if (seg != CS && seg != SS)
				load_task_data(cpu, seg, t->seg[seg]);
	}
	cpu_mode_changed(cpu);
}

/* All that is loaded without a check. Segment registers hold their selectors, and are unusable until their descriptors are loaded. */
static void
task_load(struct vcpu *cpu, const struct task *t, bool nested)
{
	u64 flags = (t->flags & FLAGS_LOADED) | (nested ? FLAG_NT : 0);

	cpu->cr0 |= CR0_TS;
	cpu->dr[7] &= ~DR7_LOCAL;
	cpu->rip = t->ip;
	for (unsigned n = 0; n < 8; n++)
		cpu->r[n] = t->gpr[n];
	segment_set_null(&cpu->ldtr, t->ldt, 0);
	cpu_set_rflags(cpu, flags);
	cpu->cpl = flags & FLAG_VM ? 3 : SELECTOR_RPL(t->seg[CS]);
	for (unsigned seg = ES; seg <= GS; seg++) {
		if (flags & FLAG_VM)
			segment_set_real(cpu, seg, t->seg[seg]);
		else
			segment_set_null(&cpu->seg[seg], t->seg[seg], seg == SS ? cpu->cpl : 0);
	}
	cpu_mode_changed(cpu);
}

void
task_switch(struct vcpu *cpu, u16 selector, enum task_switch_source source, bool has_error, u32 error)
{
	bool nested = source == TASK_CALL || source == TASK_GATE, leaves = source == TASK_JUMP || source == TASK_IRET;
	const struct tss_layout *from = layout_of(&cpu->tr);
	u64 flags = cpu_rflags(cpu);
	u16 old_selector = cpu->tr.selector;
	struct descriptor d, old;
	struct segment tr;
	struct task t;

	check_new_tss(cpu, selector, source, &d);
	if (cpu->nonroot)
		vmx_intercept_task_switch(cpu, selector, source);

	/* Every access that can fault, before anything is written. */
	segment_from_descriptor(&tr, selector, &d);
	task_read(cpu, &tr, &t);
	if (cpu->tr.limit < from->limit)
		raise_error(cpu, VECTOR_TS, selector_error(old_selector));
	sys_probe_write(cpu, table_linear(cpu, cpu->tr.base, from->ip), from->state_end - from->ip);
	if (nested)
		sys_probe_write(cpu, table_linear(cpu, tr.base, 0), 2);
	if (source != TASK_IRET)
		probe_busy(cpu, selector);
	leaves = leaves && !selector_null(old_selector) && descriptor_read(cpu, old_selector, &old);
	if (leaves)
		probe_busy(cpu, old_selector);
	if (cpu->cr0 & CR0_PG && cpu->cr4 & CR4_PAE && layout_of(&tr) == &tss32)
		load_pdptes(cpu, t.cr3);

	cpu_sync(cpu);
	task_save(cpu, source == TASK_IRET ? flags & ~FLAG_NT : flags);
	if (leaves)
		descriptor_set_busy(cpu, old_selector, &old, false);
	if (nested)
		tss_write(cpu, &tr, 0, 2, old_selector);
	if (source != TASK_IRET) {
		/* A jump of a task to itself faulted above: its own TSS is busy. */
		descriptor_set_busy(cpu, selector, &d, true);
		segment_from_descriptor(&tr, selector, &d);
	}
	cpu->tr = tr;
	if (cpu->cr0 & CR0_PG && layout_of(&tr) == &tss32) {
		cpu->cr3 = t.cr3;
		tlb_flush_current(cpu, false);
	}
	task_load(cpu, &t, nested);
	load_task_segments(cpu, &t);

	if (t.trap) {
		cpu->pending_db |= DR6_BT;
		cpu_request(cpu, PEND_DB);
	}
	if (has_error)
		stack_push(cpu, layout_of(&cpu->tr)->size, error);
	if (cpu->rip > cpu->seg[CS].limit)
		raise_gp(cpu, 0);
}
