/* Delivery of interrupts and exceptions through the IVT or IDT; IRET; task switches. SDM 3, chapters on interrupt handling and task management. */
#ifndef NB_CPU_DELIVER_H
#define NB_CPU_DELIVER_H

#include "cpu/state.h"

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

enum task_switch_source { TASK_CALL = 0, TASK_IRET = 1, TASK_JUMP = 2, TASK_GATE = 3 };

/* SDM 3, "Task Switching". `error`: pushed on the new stack if has_error. cpu->next_rip / cpu->rip must be the return address. */
void task_switch(struct vcpu *cpu, u16 selector, enum task_switch_source source, bool has_error, u32 error);

#endif
