/*
 * The one door for exceptions and VM exits.
 *
 * SDM 3, "Interrupt and Exception Handling" ("Error Code", "Exceptions and Interrupts Reference").
 */
#include "cpu/fault.h"

#include "cpu/insn.h"

enum { DOOR_EXCEPTION = 1, DOOR_LEAVE = 2 };

void
cpu_sync(struct vcpu *cpu)
{
	if (!cpu->current)
		return;
	cpu->rip = insn_rip(cpu, cpu->current);
	cpu->left -= cpu->current->idx;
	cpu->current = NULL;
}

void
cpu_leave(struct vcpu *cpu)
{
	cpu->is_delivering = false;
	longjmp(cpu->door, DOOR_LEAVE);
}

static _Noreturn void
raise_event(struct vcpu *cpu, const struct event_info *event)
{
	cpu_sync(cpu);
	cpu->event = *event;
	longjmp(cpu->door, DOOR_EXCEPTION);
}

void
raise_exception(struct vcpu *cpu, unsigned vector)
{
	raise_event(cpu, &(struct event_info){.vector = (u8)vector, .type = EVENT_HARDWARE_EXCEPTION});
}

/*
 * EXT, bit 0 of a selector error code, says that the fault came up while an event from outside the program was being delivered: everything but
 * INT n, INT3 and INTO. It is set here, in one place, for all the checks that a delivery or its task switch runs through.
 */
static bool
external_delivery(const struct vcpu *cpu)
{
	return cpu->is_delivering && cpu->delivering.type != EVENT_SOFTWARE_INTERRUPT &&
	       cpu->delivering.type != EVENT_SOFTWARE_EXCEPTION;
}

/* Real-address mode has no error codes: none is pushed, and a VM exit reports none. */
void
raise_error(struct vcpu *cpu, unsigned vector, u32 error)
{
	if (vector >= VECTOR_TS && vector <= VECTOR_GP && external_delivery(cpu))
		error |= 1;
	raise_event(cpu, &(struct event_info){
				 .vector = (u8)vector,
				 .type = EVENT_HARDWARE_EXCEPTION,
				 .has_error = cpu_protected(cpu),
				 .error = cpu_protected(cpu) ? error : 0,
			 });
}

void
raise_page_fault(struct vcpu *cpu, u64 linear, u32 error)
{
	raise_event(cpu, &(struct event_info){
				 .vector = VECTOR_PF,
				 .type = EVENT_HARDWARE_EXCEPTION,
				 .has_error = true,
				 .error = error,
				 .cr2 = linear,
			 });
}

void
raise_db(struct vcpu *cpu, u64 dr6_bits)
{
	raise_event(cpu, &(struct event_info){.vector = VECTOR_DB, .type = EVENT_HARDWARE_EXCEPTION, .cr2 = dr6_bits});
}
