/* x87 helpers that others need. */
#ifndef NB_CPU_X87_H
#define NB_CPU_X87_H

#include "cpu/state.h"

#define X87_ES BIT(7) /* status word: an unmasked exception is pending */

/* An unmasked x87 exception is pending at a waiting instruction: #MF with CR0.NE, else the external way (IRQ 13). May return. */
void x87_pending_exception(struct vcpu *cpu);

#endif
