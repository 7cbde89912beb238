/*
 * What VMX does between two instructions: the monitor trap flag, the preemption timer, windows, virtual interrupts. SDM 3, "Other Causes of VM
 * Exits", "VMX-Preemption Timer", "Interrupt-Window Exiting and Virtual-Interrupt Delivery"; rules INJ-17 and NR-21 to NR-44.
 *
 * PEND_VMX stays set while a window is asked for or a virtual interrupt is recognized, so that every END instruction (STI, POPF, IRET...) comes
 * by here and nobody needs to say that a window may have opened.
 */
#include "vmx/vmx.h"

/* Timer and windows of these activity states: INJ-20 to INJ-22. */
static bool
takes_interrupts(const struct vcpu *cpu)
{
	return cpu->activity != ACTIVITY_SHUTDOWN && cpu->activity != ACTIVITY_WAIT_SIPI;
}

static u64
raw_tsc(const struct vcpu *cpu)
{
	return cpu_time(cpu) + cpu->msr.tsc_offset;
}

void
vmx_timer_start(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	u64 now = raw_tsc(cpu);
	unsigned shift = vmx->cap.timer_shift;
	u32 value = vmx->vmcs.preemption_timer_value;

	if (!PIN_ON(vmx, PREEMPTION_TIMER))
		return;
	vmx->timer_deadline = ((now >> shift) + value) << shift;
	if (value == 0)
		vmx->work |= WORK_TIMER;
	else
		event_arm(cpu->events, &vmx->timer, cpu_time(cpu) + (vmx->timer_deadline - now));
}

u32
vmx_timer_left(const struct vcpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;
	u64 now = raw_tsc(cpu) >> vmx->cap.timer_shift, deadline = vmx->timer_deadline >> vmx->cap.timer_shift;

	if ((vmx->work & WORK_TIMER) || deadline <= now)
		return 0;
	return (u32)(deadline - now);
}

void
vmx_window_changed(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	u32 windows = (u32)(VMX_MASK(PROC, INTERRUPT_WINDOW_EXITING) | VMX_MASK(PROC, NMI_WINDOW_EXITING));

	if (!cpu->nonroot)
		return;
	if (vmx->work || vmx->virtual_interrupt || (vmx->proc & windows))
		cpu_request(cpu, PEND_VMX);
	else
		cpu->pending &= ~(u32)PEND_VMX;
}

/* Monitor trap flag, APIC-write emulation, TPR below threshold: above debug traps. */
static void
early_boundary(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (unlikely(vmx->work & WORK_EARLY))
		vmx_apicv_work(cpu);
	if (vmx->mtf == MTF_PENDING && takes_interrupts(cpu))
		vm_exit(cpu, REASON_MONITOR_TRAP_FLAG, 0,
			PROC_ON(vmx, MONITOR_TRAP_FLAG) ? "PROC MONITOR_TRAP_FLAG" : "injected by the VM entry");
}

static bool
nmi_waits(const struct vcpu *cpu)
{
	return (cpu->pending & PEND_NMI) && (PIN_ON(cpu->vmx, VIRTUAL_NMIS) || !cpu->nmi_blocked) && !cpu->shadow;
}

static void
late_boundary(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	bool mov_ss = cpu->shadow & SHADOW_MOV_SS;
	bool open = (cpu->rflags & FLAG_IF) && !(cpu->shadow & (SHADOW_STI | SHADOW_MOV_SS)) && takes_interrupts(cpu);

	if (cpu->activity == ACTIVITY_WAIT_SIPI)
		return;
	if (vmx->work & WORK_TIMER)
		vm_exit(cpu, REASON_PREEMPTION_TIMER, 0, "PIN PREEMPTION_TIMER");
	if (PROC_ON(vmx, NMI_WINDOW_EXITING) && !cpu->nmi_blocked && !mov_ss)
		vm_exit(cpu, REASON_NMI_WINDOW, 0, "PROC NMI_WINDOW_EXITING");
	if (!open || nmi_waits(cpu))
		return;
	if (PROC_ON(vmx, INTERRUPT_WINDOW_EXITING))
		vm_exit(cpu, REASON_INTERRUPT_WINDOW, 0, "PROC INTERRUPT_WINDOW_EXITING");
	if (vmx->virtual_interrupt)
		vmx_deliver_virtual_interrupt(cpu);
}

void
vmx_boundary(struct vcpu *cpu, bool early)
{
	if (early)
		early_boundary(cpu);
	else
		late_boundary(cpu);
	vmx_window_changed(cpu);
}

bool
vmx_steps(const struct vcpu *cpu)
{
	return cpu->vmx->mtf != MTF_NONE;
}

void
vmx_after_step(struct vcpu *cpu)
{
	if (cpu->vmx->mtf == MTF_ARMED)
		cpu->vmx->mtf = MTF_PENDING;
}

/* NR-33 */
void
vmx_iret(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (PIN_ON(vmx, NMI_EXITING) && !vmx->nmi_virtual)
		return;
	cpu->iret_unblocks_nmi = cpu->nmi_blocked;
	cpu->nmi_blocked = false;
}

/* NR-77 */
bool
vmx_mwait_stays_awake(const struct vcpu *cpu)
{
	return !(cpu->rflags & FLAG_IF) && (PROC_ON(cpu->vmx, INTERRUPT_WINDOW_EXITING) || cpu->vmx->virtual_interrupt);
}
