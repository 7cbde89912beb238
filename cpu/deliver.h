/* Delivery of interrupts and exceptions through the IVT or IDT; IRET; task switches. SDM 3, chapters on interrupt handling and task management. */
#ifndef NB_CPU_DELIVER_H
#define NB_CPU_DELIVER_H

#include "cpu/insn.h"

/*
 * Delivers `event` at cpu->rip (synced). While it works, cpu->is_delivering is set and cpu->delivering holds the event: exceptions raised inside
 * leave through the door, and the run loop calls deliver_nested() for the contributory / double / triple fault rules.
 * In VMX non-root operation asks vmx_intercept_event() first (VM-entry injected events do not come through there: `injected`).
 */
void deliver_event(struct vcpu *cpu, const struct event_info *event, bool injected);

/*
 * Called by the run loop when an exception (cpu->event) came through the door: combines it with cpu->delivering if one was under way (#DF, triple
 * fault -> vmx_intercept_triple_fault() or activity SHUTDOWN), else delivers it.
 */
void deliver_exception(struct vcpu *cpu);

/* The RFLAGS image that delivery pushes has RF set: faults, but for instruction breakpoints. */
bool event_sets_rf(const struct event_info *event);
/*
 * Virtual-8086 mode with CR4.VME: INT `vector` goes to the program's own vector table, says the TSS's redirection map. #GP(0) if the TSS is too
 * short.
 */
bool vme_redirects(struct vcpu *cpu, unsigned vector);

/*
 * RFLAGS.TF set before the instruction does not make a trap after it: those that go through a gate clear it, SYSCALL looks at what IA32_FMASK
 * left (op_syscall() raises that trap itself, as op_into() does when it does nothing).
 */
static inline bool
insn_is_software_interrupt(const struct insn *in)
{
	return in->op == INSN_INT3 || in->op == INSN_INT_Ib || in->op == INSN_INTO || in->op == INSN_INT1 || in->op == INSN_SYSCALL;
}

enum task_switch_source { TASK_CALL = 0, TASK_IRET = 1, TASK_JUMP = 2, TASK_GATE = 3 };

/*
 * SDM 3, "Task Switching": from the check of the new TSS descriptor on. `error`: pushed on the new stack if has_error. cpu->next_rip must be
 * the return address, which goes to the old TSS; afterwards cpu->rip is the new task's. The executing instruction is synced (cpu_sync): a
 * fault after the switch belongs to the new task.
 */
void task_switch(struct vcpu *cpu, u16 selector, enum task_switch_source source, bool has_error, u32 error);

#endif
