/* Model-specific registers. msr.def has one row per MSR. */
#ifndef NB_CPU_MSR_H
#define NB_CPU_MSR_H

#include "cpu/state.h"

/* Architectural read/write without intercepts: false = #GP(0) (the caller raises it; an unknown MSR is logged once per address). */
bool msr_read(struct vcpu *cpu, u32 address, u64 *value);
bool msr_write(struct vcpu *cpu, u32 address, u64 value);
/* Debugger: name, or NULL; value without side effects. */
const char *msr_name(u32 address);
bool msr_peek(struct vcpu *cpu, u32 address, u64 *value);
void msr_reset(struct vcpu *cpu, bool init);

/* TSC as RDTSC gives it at the present virtualization level. */
u64 cpu_tsc(struct vcpu *cpu);

#endif
