/*
 * Architectural performance monitoring, version 2. SDM 3, "Performance Monitoring"; see pmu.c.
 */
#ifndef NB_CPU_PMU_H
#define NB_CPU_PMU_H

#include "cpu/insn.h"
#include "cpu/state.h"

struct state;

#define PMU_GENERAL 4
#define PMU_FIXED 3
#define PMU_WIDTH 48

struct pmu *pmu_new(struct vcpu *cpu);
void pmu_free(struct pmu *pmu);
/* RESET#. INIT changes nothing. */
void pmu_reset(struct vcpu *cpu);
void pmu_state(struct vcpu *cpu, struct state *s);
void pmu_loaded(struct vcpu *cpu); /* after that, once the clock and the instruction count are loaded too */

/* CPUID leaf 0Ah. */
void pmu_cpuid(u32 regs[4]);
/* Is this one of the counters' MSRs? The other two: false is #GP(0). */
bool pmu_owns(u32 address);
bool pmu_msr_read(struct vcpu *cpu, u32 address, u64 *value);
bool pmu_msr_write(struct vcpu *cpu, u32 address, u64 value);
/* RDPMC with this ECX; false is #GP(0). */
bool pmu_read(struct vcpu *cpu, u32 index, u64 *value);

/* Instructions that the branch events and DEBUGCTL.BTF know, taken or not. */
bool insn_is_branch(const struct insn *in);
/* For the run loop, and only when vcpu.pmu_active, .pmu_steps or .pmu_waits say so: the mode changed; an instruction retired; awake again. */
void pmu_mode_changed(struct vcpu *cpu);
void pmu_retired(struct vcpu *cpu, const struct insn *in);
void pmu_woken(struct vcpu *cpu);

#endif
