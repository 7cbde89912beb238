/* System-management mode: SMI entry and RSM. SDM 3, "System Management Mode". */
#ifndef NB_CPU_SMM_H
#define NB_CPU_SMM_H

#include "cpu/state.h"

/*
 * Takes an SMI at an instruction boundary (cpu->rip is real): saves the state in SMRAM and goes to SMBASE + 8000h.
 * Wakes from HLT and MWAIT.
 */
void smm_enter(struct vcpu *cpu);

#endif
