/* MONITOR and MWAIT: what the run loop asks of a processor in ACTIVITY_MWAIT. SDM 2, "MWAIT - Monitor Wait". */
#ifndef NB_CPU_MONITOR_H
#define NB_CPU_MONITOR_H

#include "cpu/state.h"

/*
 * Was the armed line written since MONITOR (or is none armed)? Then MWAIT ends. To be asked at the start of every slice
 * and after events ran.
 * cpu->monitor.masked_interrupts: an interrupt that RFLAGS.IF holds back wakes too (without being delivered).
 */
bool monitor_triggered(struct vcpu *cpu);

#endif
