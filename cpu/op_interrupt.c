/* INT n, INT3, INTO and INT1. SDM 2, "INT n/INTO/INT3/INT1"; delivery is deliver.c's. */
#include "cpu/access.h"
#include "cpu/deliver.h"
#include "cpu/fault.h"
#include "cpu/flags.h"

#define DR6_BS BIT(14)

static void
software_event(struct vcpu *cpu, const struct insn *in, unsigned vector, enum event_type type)
{
	struct event_info e = {.vector = (u8)vector, .type = (u8)type, .insn_len = (u8)insn_length(in)};

	deliver_event(cpu, &e, false);
	cpu->next_rip = cpu->rip;
}

/*
 * Virtual-8086 mode with IOPL < 3: only a redirected INT n does not trap. That #GP is the instruction's own, not one of a delivery, hence
 * here.
 */
void
op_int_I(struct vcpu *cpu, const struct insn *in)
{
	unsigned vector = (u8)in->imm;

	if (cpu_protected(cpu) && cpu_vm86(cpu) && (cpu->rflags & FLAG_IOPL) != FLAG_IOPL &&
	    !(cpu->cr4 & CR4_VME && vme_redirects(cpu, vector)))
		raise_gp(cpu, 0);
	software_event(cpu, in, vector, EVENT_SOFTWARE_INTERRUPT);
}

void
op_int3(struct vcpu *cpu, const struct insn *in)
{
	software_event(cpu, in, VECTOR_BP, EVENT_SOFTWARE_EXCEPTION);
}

void
op_into(struct vcpu *cpu, const struct insn *in)
{
	if (cc_flags(cpu) & FLAG_OF) {
		software_event(cpu, in, VECTOR_OF, EVENT_SOFTWARE_EXCEPTION);
	} else if (cpu->rflags & FLAG_TF) { /* see insn_is_software_interrupt() */
		cpu->pending_db |= DR6_BS;
		cpu_request(cpu, PEND_DB);
	}
}

/* A debug exception that leaves DR6 and DR7 alone. */
void
op_int1(struct vcpu *cpu, const struct insn *in)
{
	software_event(cpu, in, VECTOR_DB, EVENT_PRIVILEGED_SOFTWARE);
}
