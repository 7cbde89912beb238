/*
 * The one door for exceptions and VM exits.
 *
 * raise_*() never return: they note the event, make RIP and the instruction count of the executing instruction real (cpu_sync), and jump
 * to the run loop, which delivers it (deliver.h) or turns it into a VM exit. RIP then is that of the faulting instruction.
 */
#ifndef NB_CPU_FAULT_H
#define NB_CPU_FAULT_H

#include "cpu/state.h"

_Noreturn void raise_exception(struct vcpu *cpu, unsigned vector); /* fault without error code */
_Noreturn void raise_error(struct vcpu *cpu, unsigned vector, u32 error); /* fault with error code */
_Noreturn void raise_page_fault(struct vcpu *cpu, u64 linear, u32 error); /* CR2 is written at delivery */
_Noreturn void raise_db(struct vcpu *cpu, u64 dr6_bits); /* fault-type #DB: instruction breakpoint, general detect */

static inline _Noreturn void
raise_gp(struct vcpu *cpu, u32 error)
{
	raise_error(cpu, VECTOR_GP, error);
}

static inline _Noreturn void
raise_ud(struct vcpu *cpu)
{
	raise_exception(cpu, VECTOR_UD);
}

/*
 * Makes RIP and the instruction count real for the executing instruction: cpu->rip becomes its address, `left` loses the instructions before it,
 * cpu->current becomes NULL. Does nothing when that has been done.
 */
void cpu_sync(struct vcpu *cpu);

/* Back to the run loop, at cpu->rip, after cpu_sync() or a completed change of state (VM exit, VM entry, RSM...). */
_Noreturn void cpu_leave(struct vcpu *cpu);

#endif
