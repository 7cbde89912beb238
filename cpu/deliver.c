/*
 * Delivery of interrupts and exceptions through the interrupt vector table or the IDT.
 *
 * SDM 2, "INT n/INTO/INT3/INT1" (Operation); SDM 3, "Interrupt and Exception Handling", "8086 Emulation" (virtual-8086 mode with and without
 * CR4.VME). FRED and shadow stacks are not modelled.
 */
#include "cpu/deliver.h"

#include "cpu/access.h"
#include "cpu/fault.h"
#include "cpu/hooks.h"
#include "cpu/frame.h"
#include "cpu/segment.h"
#include "cpu/vcpu.h"
#include "vmx/intercept.h"

#define DR6_FIXED 0xffff0ff0ull /* RTM and BLD too: set means not so */
#define DR6_ACTIVE_LOW (BIT(11) | BIT(16))
#define DR6_BREAKPOINTS 0xfull
#define DR6_BD BIT(13)
#define DR6_CAUSES (DR6_BREAKPOINTS | DR6_BD | BIT(14) | BIT(15))
#define DR7_GD BIT(13)
#define DEBUGCTL_LBR BIT(0)
#define DEBUGCTL_BTF BIT(1)
#define ERROR_IDT 2u /* error code: the selector part is a vector */

/* --- what an event does to the processor before it goes through a gate --- */

bool
event_sets_rf(const struct event_info *event)
{
	if (event->type != EVENT_HARDWARE_EXCEPTION || event->vector == VECTOR_DF || event->vector == VECTOR_MC)
		return false;
	return event->vector != VECTOR_DB || event->cr2 & DR6_BD;
}

/* INT n, INT3 and INTO: the program asks, and the gate's DPL decides whether it may. */
static bool
from_program(const struct event_info *event)
{
	return event->type == EVENT_SOFTWARE_INTERRUPT || event->type == EVENT_SOFTWARE_EXCEPTION;
}

static void
note_debug_exception(struct vcpu *cpu, u64 causes)
{
	cpu->dr[6] = (cpu->dr[6] & ~DR6_BREAKPOINTS) | DR6_FIXED | (causes & DR6_CAUSES);
	cpu->dr[6] &= ~(causes & DR6_ACTIVE_LOW);
	cpu->dr[7] &= ~DR7_GD;
	cpu->msr.debugctl &= ~(DEBUGCTL_LBR | DEBUGCTL_BTF);
}

/* Not done for events that VM entry injects: there CR2, DR6 and RF are what the VMCS and the program left. */
static void
note_event(struct vcpu *cpu, const struct event_info *event)
{
	if (event->type == EVENT_HARDWARE_EXCEPTION && event->vector == VECTOR_PF)
		cpu->cr2 = event->cr2;
	if (event->type == EVENT_HARDWARE_EXCEPTION && event->vector == VECTOR_DB)
		note_debug_exception(cpu, event->cr2);
	if (event->type == EVENT_NMI)
		cpu->nmi_blocked = true;
	/*
	 * Debug traps that MOV SS holds back are lost when the next instruction faults or is INT1; they outlive INT n, INT3 and INTO, and
	 * meet the handler's first instruction.
	 */
	if (!from_program(event)) {
		cpu->pending_db = 0;
		cpu->pending &= ~(u32)PEND_DB;
	}
	/*
	 * RF becomes what the image pushed has. It is set here, not in the image only, so that a VM exit or a double fault on the way sees
	 * it too; the delivery clears it in the end.
	 */
	if (event_sets_rf(event))
		cpu->rflags |= FLAG_RF;
	else if (event->type < EVENT_SOFTWARE_INTERRUPT && cpu_between_iterations(cpu))
		cpu->rflags |= FLAG_RF;
	else if (event->type >= EVENT_SOFTWARE_INTERRUPT)
		cpu->rflags &= ~FLAG_RF;
}

static u64
return_rip(const struct vcpu *cpu, const struct event_info *event)
{
	u64 rip = event->type >= EVENT_SOFTWARE_INTERRUPT ? cpu->rip + event->insn_len : cpu->rip;

	return cpu->long64 ? rip : (u32)rip;
}

/* --- through an interrupt vector table --- */

static void
enter_by_vector(struct vcpu *cpu, const struct event_info *event, u32 entry, u64 image, u64 flags)
{
	struct frame f;

	frame_current(cpu, &f, 2, false);
	frame_push(&f, image);
	frame_push(&f, cpu->seg[CS].selector);
	frame_push(&f, return_rip(cpu, event));
	frame_check(cpu, &f);
	frame_write(cpu, &f);

	frame_commit(cpu, &f);
	segment_set_real(cpu, CS, (u16)(entry >> 16));
	cpu->rip = (u16)entry;
	cpu_set_rflags(cpu, flags);
	cpu_mode_changed(cpu);
}

static void
deliver_real(struct vcpu *cpu, const struct event_info *event)
{
	u64 flags = cpu_rflags(cpu);
	u32 offset = event->vector * 4u;

	if (offset + 3 > cpu->idtr.limit)
		raise_gp(cpu, 0);
	enter_by_vector(cpu, event, (u32)sys_read(cpu, table_linear(cpu, cpu->idtr.base, offset), 4), flags,
			flags & ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF));
}

bool
vme_redirects(struct vcpu *cpu, unsigned vector)
{
	u32 offset;

	if (cpu->tr.limit < 0x67)
		raise_gp(cpu, 0);
	/* The redirection map is the 32 bytes below the I/O permission map. */
	offset = (u32)sys_read(cpu, table_linear(cpu, cpu->tr.base, 0x66), 2) - 32 + vector / 8;
	if (offset > cpu->tr.limit)
		raise_gp(cpu, 0);
	return !(sys_read(cpu, table_linear(cpu, cpu->tr.base, offset), 1) >> (vector & 7) & 1);
}

/* INT n of a virtual-8086 program, redirected to its own vector table at linear 0. */
static void
deliver_vme(struct vcpu *cpu, const struct event_info *event)
{
	u64 flags = cpu_rflags(cpu), image = flags, after = flags & ~(FLAG_TF | FLAG_RF);

	if ((flags & FLAG_IOPL) == FLAG_IOPL) {
		after &= ~FLAG_IF;
	} else {
		image = (flags & ~FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
		after &= ~FLAG_VIF;
	}
	enter_by_vector(cpu, event, (u32)mem_read(cpu, event->vector * 4u, 4), image, after);
}

/* --- through the IDT --- */

/* A gate, and the code that it leads to. */
struct gate {
	unsigned type, dpl, ist;
	u16 selector;
	u64 offset;
	struct descriptor code;
	unsigned size; /* of the items pushed */
	unsigned cpl;  /* of the handler */
};

static u32
idt_error(const struct event_info *event)
{
	return event->vector * 8u | ERROR_IDT;
}

static bool
gate_type_valid(unsigned type, bool ia32e)
{
	switch (type) {
	case TYPE_INTERRUPT_GATE32:
	case TYPE_TRAP_GATE32: return true;
	case TYPE_TASK_GATE:
	case TYPE_INTERRUPT_GATE16:
	case TYPE_TRAP_GATE16: return !ia32e;
	default: return false;
	}
}

static void
gate_read(struct vcpu *cpu, const struct event_info *event, struct gate *g)
{
	bool ia32e = cpu->efer & EFER_LMA;
	u32 bytes = ia32e ? 16 : 8, offset = event->vector * bytes;
	u64 low;

	if (offset + bytes - 1 > cpu->idtr.limit)
		raise_gp(cpu, idt_error(event));
	low = sys_read(cpu, table_linear(cpu, cpu->idtr.base, offset), 8);
	g->type = descriptor_type(low);
	g->selector = (u16)BITS(low, 31, 16);
	g->offset = BITS(low, 15, 0) | BITS(low, 63, 48) << 16;
	g->ist = ia32e ? BITS(low, 34, 32) : 0;
	if (ia32e)
		g->offset |= sys_read(cpu, table_linear(cpu, cpu->idtr.base, offset + 8), 8) << 32;
	if (!descriptor_is_system(low) || !gate_type_valid(g->type, ia32e))
		raise_gp(cpu, idt_error(event));
	if (from_program(event) && descriptor_dpl(low) < cpu->cpl)
		raise_gp(cpu, idt_error(event));
	if (!descriptor_present(low))
		raise_error(cpu, VECTOR_NP, idt_error(event));
	g->size = ia32e ? 8 : g->type & 8 ? 4 : 2;
	if (g->size == 2)
		g->offset &= 0xffff;
}

/* TRAP-OR-INTERRUPT-GATE of the manual: the code segment. */
static void
gate_code_check(struct vcpu *cpu, struct gate *g)
{
	u32 error = selector_error(g->selector);
	bool ia32e = cpu->efer & EFER_LMA;

	if (!descriptor_read(cpu, g->selector, &g->code)) /* null: the error code is 0 */
		raise_gp(cpu, error);
	if (!descriptor_is_code(g->code.low) || descriptor_dpl(g->code.low) > cpu->cpl)
		raise_gp(cpu, error);
	if (ia32e && (!descriptor_is_64bit(cpu, g->code.low) || descriptor_bad_size(cpu, g->code.low)))
		raise_gp(cpu, error);
	if (!descriptor_present(g->code.low))
		raise_error(cpu, VECTOR_NP, error);
	g->cpl = descriptor_is_conforming(g->code.low) ? cpu->cpl : descriptor_dpl(g->code.low);
	/* A virtual-8086 program is left for ring 0 only. */
	if (cpu_vm86(cpu) && g->cpl != 0)
		raise_gp(cpu, error);
}

static void
gate_stack(struct vcpu *cpu, const struct gate *g, struct frame *f)
{
	if (!(cpu->efer & EFER_LMA)) {
		if (g->cpl < cpu->cpl)
			frame_inner(cpu, f, g->size, g->cpl);
		else
			frame_current(cpu, f, g->size, false);
		return;
	}
	if (g->ist)
		frame_tss64(cpu, f, TSS64_IST(g->ist), g->cpl);
	else if (g->cpl < cpu->cpl)
		frame_tss64(cpu, f, TSS64_RSP(g->cpl), g->cpl);
	else
		frame_current(cpu, f, 8, true);
	f->sp &= ~0xfull;
}

static void
gate_frame(struct vcpu *cpu, const struct event_info *event, const struct gate *g, struct frame *f)
{
	if (cpu_vm86(cpu)) {
		frame_push(f, cpu->seg[GS].selector);
		frame_push(f, cpu->seg[FS].selector);
		frame_push(f, cpu->seg[DS].selector);
		frame_push(f, cpu->seg[ES].selector);
	}
	if (g->size == 8 || f->inner) {
		frame_push(f, cpu->seg[SS].selector);
		frame_push(f, cpu->r[RSP]);
	}
	frame_push(f, cpu_rflags(cpu));
	frame_push(f, cpu->seg[CS].selector);
	frame_push(f, return_rip(cpu, event));
	if (event->has_error)
		frame_push(f, event->error);
}

static void
enter_by_gate(struct vcpu *cpu, const struct event_info *event, struct gate *g)
{
	u64 flags = cpu_rflags(cpu);
	struct frame f;

	gate_code_check(cpu, g);
	gate_stack(cpu, g, &f);
	gate_frame(cpu, event, g, &f);
	frame_check(cpu, &f);
	code_target_check(cpu, g->code.low, g->offset);
	descriptor_set_accessed(cpu, g->selector, &g->code);
	frame_write(cpu, &f);

	frame_commit(cpu, &f);
	if (flags & FLAG_VM)
		for (unsigned seg = ES; seg <= GS; seg++)
			if (seg != CS && seg != SS)
				segment_set_null(&cpu->seg[seg], 0, 0);
	cs_load(cpu, g->selector, &g->code, g->cpl);
	cpu->rip = g->offset;
	flags &= ~(FLAG_TF | FLAG_VM | FLAG_RF | FLAG_NT);
	if (!(g->type & 1))
		flags &= ~FLAG_IF;
	cpu_set_rflags(cpu, flags);
	cpu_mode_changed(cpu);
}

static void
deliver_protected(struct vcpu *cpu, const struct event_info *event)
{
	struct gate g;

	gate_read(cpu, event, &g);
	if (g.type == TYPE_TASK_GATE) {
		cpu->next_rip = return_rip(cpu, event);
		task_switch(cpu, g.selector, TASK_GATE, event->has_error, event->error);
		return;
	}
	enter_by_gate(cpu, event, &g);
}

static void
deliver(struct vcpu *cpu, const struct event_info *event, bool injected)
{
	cpu->iret_unblocks_nmi = false;
	cpu->delivering = *event;
	cpu->is_delivering = true;
	cpu->activity = ACTIVITY_ACTIVE;
	cpu->shadow = 0;
	if (!injected)
		note_event(cpu, event);
	if (unlikely(cpu->hooks))
		cpu->hooks->event(cpu->hooks->opaque, cpu, event, injected);

	if (!cpu_protected(cpu))
		deliver_real(cpu, event);
	else if (cpu_vm86(cpu) && cpu->cr4 & CR4_VME && event->type == EVENT_SOFTWARE_INTERRUPT &&
		 vme_redirects(cpu, event->vector))
		deliver_vme(cpu, event);
	else
		deliver_protected(cpu, event);

	cpu->is_delivering = false;
	if (cpu->nonroot)
		vmx_window_changed(cpu);
}

void
deliver_event(struct vcpu *cpu, const struct event_info *event, bool injected)
{
	struct event_info e = *event; /* the caller's may be cpu->event or cpu->delivering */

	if (cpu->nonroot && !injected)
		vmx_intercept_event(cpu, &e);
	deliver(cpu, &e, injected);
}

/* --- faults during delivery --- */

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

/* SDM 3, "Interrupt 8 - Double Fault Exception", table of exception classes. */
static enum fault_class
fault_class(const struct event_info *event)
{
	if (event->type != EVENT_HARDWARE_EXCEPTION)
		return BENIGN;
	switch (event->vector) {
	case VECTOR_DE:
	case VECTOR_TS:
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_GP: return CONTRIBUTORY;
	case VECTOR_PF:
	case VECTOR_VE: return PAGE_FAULT;
	case VECTOR_DF: return DOUBLE_FAULT;
	default: return BENIGN;
	}
}

static void
shut_down(struct vcpu *cpu)
{
	if (cpu->nonroot)
		vmx_intercept_triple_fault(cpu);
	if (cpu->hooks)
		cpu->hooks->triple_fault(cpu->hooks->opaque, cpu);
	cpu->is_delivering = false;
	cpu->activity = ACTIVITY_SHUTDOWN;
	cpu->cpus->triple_fault = true;
	cpu->cpus->shutdown_cause = "triple fault";
	cpu->cpus->stop = true;
	cpu->cpus->culprit = cpu;
}

void
deliver_exception(struct vcpu *cpu)
{
	const struct event_info second = cpu->event;
	enum fault_class before, now = fault_class(&second);

	if (!cpu->is_delivering) {
		deliver_event(cpu, &second, false);
		return;
	}
	before = fault_class(&cpu->delivering);
	if (cpu->nonroot)
		vmx_intercept_event(cpu, &second);
	if (now == BENIGN || before == BENIGN || (before == CONTRIBUTORY && now == PAGE_FAULT)) {
		deliver(cpu, &second, false);
		return;
	}
	/* CR2 follows every page fault, even one that ends in a double or triple fault. */
	if (second.vector == VECTOR_PF)
		cpu->cr2 = second.cr2;
	if (before == DOUBLE_FAULT) {
		shut_down(cpu);
		return;
	}
	cpu->is_delivering = false;
	deliver_event(cpu,
		      &(struct event_info){
			      .vector = VECTOR_DF,
			      .type = EVENT_HARDWARE_EXCEPTION,
			      .has_error = cpu_protected(cpu),
		      },
		      false);
}
