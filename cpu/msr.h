/* Model-specific registers. msr.def has one row per MSR. */
#ifndef NB_CPU_MSR_H
#define NB_CPU_MSR_H

#include "cpu/state.h"

/*
 * Architectural read/write without intercepts: false = #GP(0) (the caller raises it; an unknown MSR is logged once per
 * address).
 */
bool msr_read(struct vcpu *cpu, u32 address, u64 *value);
bool msr_write(struct vcpu *cpu, u32 address, u64 value);
/* Debugger: name, or NULL; value without side effects. */
const char *msr_name(u32 address);
bool msr_peek(struct vcpu *cpu, u32 address, u64 *value);
void msr_reset(struct vcpu *cpu, bool init);

/*
 * Canonical for the widest linear address that the processor supports, whatever CR4.LA57 says: how WRMSR, WRFSBASE,
 * descriptor-table bases and
 * INVPCID are checked.
 */
bool msr_canonical(const struct vcpu *cpu, u64 linear);
/* MSR_MISC_FEATURES_ENABLES[0]: CPUID is #GP(0) at CPL > 0. */
bool msr_cpuid_faulting(const struct vcpu *cpu);

/* TSC as RDTSC gives it at the present virtualization level. */
u64 cpu_tsc(struct vcpu *cpu);

#endif
