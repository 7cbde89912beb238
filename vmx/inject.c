/* SDM 3, "Event Injection" and "Special Features of VM Entry". */
#include "cpu/deliver.h"
#include "vmx/vmx.h"

/* DR6 bits that the pending-debug-exceptions field carries at the same places. */
#define DR6_CAUSES (0xfull | PENDING_DEBUG_BS)

bool
vmx_is_vectoring(u32 info)
{
	return (info & INFO_VALID) && INFO_TYPE(info) != EVENT_OTHER;
}

/* INJ-14: does what the pending-debug-exceptions field holds survive the entry? */
static bool
debug_exceptions_stay(const struct vmcs *v)
{
	u32 info = v->entry_interruption_info;

	if (!(v->guest_pending_debug & (PENDING_DEBUG_ENABLED | PENDING_DEBUG_BS)))
		return false;
	if (!vmx_is_vectoring(info))
		return v->guest_activity != ACTIVITY_SHUTDOWN && v->guest_activity != ACTIVITY_WAIT_SIPI;
	return (INFO_TYPE(info) == EVENT_SOFTWARE_INTERRUPT || INFO_TYPE(info) == EVENT_SOFTWARE_EXCEPTION) &&
	       (v->guest_interruptibility & BLOCKING_MOV_SS);
}

void
vmx_enter_events(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	const struct vmcs *v = &vmx->vmcs;
	bool vectoring = vmx_is_vectoring(v->entry_interruption_info);

	cpu->shadow = vectoring ? 0 : v->guest_interruptibility & (SHADOW_STI | SHADOW_MOV_SS);
	cpu->activity = vectoring ? ACTIVITY_ACTIVE : (u8)v->guest_activity;
	/* INJ-16. With virtual NMIs the entry unblocks physical ones. */
	cpu->nmi_blocked = v->guest_interruptibility & BLOCKING_NMI;
	vmx->nmi_virtual = PIN_ON(vmx, VIRTUAL_NMIS);
	cpu->iret_unblocks_nmi = false;
	cpu->is_delivering = false;
	cpu->pending &= ~(PEND_DB | PEND_MTF | PEND_VMX);
	cpu->pending_db = 0;
	if (debug_exceptions_stay(v)) {
		cpu->pending_db = v->guest_pending_debug & DR6_CAUSES;
		cpu_request(cpu, PEND_DB);
	}
	vmx->mtf = MTF_NONE;
	if ((v->entry_interruption_info & INFO_VALID) && !vectoring)
		vmx->mtf = MTF_PENDING; /* INJ-12 */
	else if (PROC_ON(vmx, MONITOR_TRAP_FLAG))
		vmx->mtf = vectoring ? MTF_PENDING : MTF_ARMED; /* NR-26 */
	if (vmx->mtf)
		cpu_request(cpu, PEND_MTF);
}

void
vmx_inject(struct vcpu *cpu)
{
	const struct vmcs *v = vmx_vmcs(cpu);
	u32 info = v->entry_interruption_info;
	struct event_info event = {
		.vector = INFO_VECTOR(info),
		.type = (u8)INFO_TYPE(info),
		.has_error = info & INFO_ERROR_CODE,
		.error = (u16)v->entry_error_code,
		.insn_len = (u8)v->entry_instruction_length,
	};

	if (!vmx_is_vectoring(info))
		return;
	/* INJ-07: CR2 and DR6 stay as they are. */
	if (event.type == EVENT_HARDWARE_EXCEPTION && event.vector == VECTOR_PF)
		event.cr2 = cpu->cr2;
	if (event.type == EVENT_NMI)
		cpu->nmi_blocked = true;
	deliver_event(cpu, &event, true);
}
