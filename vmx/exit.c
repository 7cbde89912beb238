/* VM exits: recording, saving guest state, loading host state. SDM 3, "VM Exits". */
#include "base/log.h"
#include "cpu/access.h"
#include "cpu/fault.h"
#include "cpu/hooks.h"
#include "cpu/insn.h"
#include "cpu/msr.h"
#include "cpu/tlb.h"
#include "cpu/vcpu.h"
#include "vmx/check.h"

LOG_CATEGORY("vmx");

#define IA32_PERF_GLOBAL_CTRL 0x38f

enum abort { ABORT_SAVE_MSRS = 1, ABORT_HOST_PDPTES = 2, ABORT_LOAD_MSRS = 4, ABORT_ADDRESS_SPACE = 6 };

/* VMCS-10, 5.7: nothing but RESET gets the processor out of this. */
static _Noreturn void
vmx_abort(struct vcpu *cpu, enum abort code)
{
	log_error("VMX abort %d of processor %u, VMCS %#llx", code, cpu->index, (unsigned long long)cpu->vmx->current);
	phys_write(cpu, cpu->vmx->current + VMCS_REGION_ABORT, 4, code);
	if (cpu->hooks)
		cpu->hooks->vmx_abort(cpu->hooks->opaque, cpu, code);
	cpu->activity = ACTIVITY_SHUTDOWN;
	if (cpu->cpus) {
		cpu->cpus->triple_fault = cpu->cpus->stop = true;
		cpu->cpus->shutdown_cause = "VMX shutdown (VMX abort)";
		cpu->cpus->culprit = cpu;
	}
	cpu_leave(cpu);
}

enum saved_rf { RF_KEEP, RF_CLEAR, RF_EVENT, RF_ACCESS };

/* As the delivery of `event` pushes RF: set for faults, but not for an instruction breakpoint's. */
static bool
pushes_rf(const struct event_info *event)
{
	if (event->type != EVENT_HARDWARE_EXCEPTION || event->vector == VECTOR_DF || event->vector == VECTOR_MC)
		return false;
	return event->vector != VECTOR_DB || (event->cr2 & BIT(13));
}

/* SV-11 */
static u64
saved_rflags(struct vcpu *cpu, u32 reason, const struct event_info *event)
{
	static const u8 rules[VMX_REASONS] = {
#define REASON(number, name, saved_rf) [number] = RF_##saved_rf,
#include "vmx/exit_reasons.def"
#undef REASON
	};
	u64 rflags = cpu_rflags(cpu);
	bool interrupt = reason == REASON_EXTERNAL_INTERRUPT ||
			 (reason == REASON_EXCEPTION_NMI && INFO_TYPE(cpu->vmx->interruption_info) == EVENT_NMI);

	/* As the interrupt would have pushed it. */
	if (interrupt && cpu_between_iterations(cpu))
		return rflags | FLAG_RF;
	switch (rules[reason & 0xffff]) {
	case RF_CLEAR:
		return rflags & ~FLAG_RF;
	case RF_EVENT:
		if (event)
			return pushes_rf(event) ? rflags | FLAG_RF : rflags;
		return reason == REASON_TASK_SWITCH ? rflags & ~FLAG_RF : rflags;
	case RF_ACCESS:
		return !event || pushes_rf(event) ? rflags | FLAG_RF : rflags;
	default:
		return rflags;
	}
}

/* IF-07: what was being delivered when the exit happened. Returns it, or NULL. */
static const struct event_info *
record_vectoring(struct vcpu *cpu, struct vmcs *v)
{
	const struct event_info *event = &cpu->delivering;

	v->idt_vectoring_info = 0;
	if (!cpu->is_delivering || cpu->vmx->no_idt_vectoring)
		return NULL;
	v->idt_vectoring_info = (u32)(INFO_VALID | event->vector | (u32)event->type << 8);
	if (event->has_error) {
		v->idt_vectoring_info |= INFO_ERROR_CODE;
		v->idt_vectoring_error = event->error;
	}
	if (event->type >= EVENT_SOFTWARE_INTERRUPT)
		v->exit_instruction_length = event->insn_len;
	return event;
}

/* SV-07 */
static u32
saved_access(const struct segment *seg)
{
	return seg->access & SEG_UNUSABLE ? (seg->access & 0xf0ff) | (u32)VMCS_UNUSABLE : seg->access & 0xf0ffu;
}

#define SAVE_SEGMENT(from, name)                                                                                       \
	do {                                                                                                           \
		v->guest_##name##_selector = (from)->selector;                                                         \
		v->guest_##name##_base = (from)->base;                                                                 \
		v->guest_##name##_limit = (from)->limit;                                                               \
		v->guest_##name##_access = saved_access(from);                                                         \
	} while (0)

static void
save_segments(struct vcpu *cpu, struct vmcs *v)
{
	SAVE_SEGMENT(&cpu->seg[ES], es);
	SAVE_SEGMENT(&cpu->seg[CS], cs);
	SAVE_SEGMENT(&cpu->seg[SS], ss);
	SAVE_SEGMENT(&cpu->seg[DS], ds);
	SAVE_SEGMENT(&cpu->seg[FS], fs);
	SAVE_SEGMENT(&cpu->seg[GS], gs);
	SAVE_SEGMENT(&cpu->ldtr, ldtr);
	SAVE_SEGMENT(&cpu->tr, tr);
	/* SS.DPL is the CPL whatever SS holds. */
	v->guest_ss_access = (v->guest_ss_access & ~0x60u) | (u32)cpu->cpl << 5;
	v->guest_es_base = (u32)v->guest_es_base;
	v->guest_ss_base = (u32)v->guest_ss_base;
	v->guest_ds_base = (u32)v->guest_ds_base;
	v->guest_gdtr_base = cpu->gdtr.base;
	v->guest_gdtr_limit = cpu->gdtr.limit;
	v->guest_idtr_base = cpu->idtr.base;
	v->guest_idtr_limit = cpu->idtr.limit;
}

/* SV-14. DR6 bits become the field's; bit 12 says that a matched breakpoint is enabled. */
static u64
saved_pending_debug(const struct vcpu *cpu, u32 reason)
{
	u64 causes = cpu->pending & PEND_DB ? cpu->pending_db & (0xf | PENDING_DEBUG_BS) : 0;
	bool keeps;

	switch (reason) {
	case REASON_INIT_SIGNAL:
	case REASON_MONITOR_TRAP_FLAG:
	case REASON_TPR_BELOW_THRESHOLD:
	case REASON_EOI_INDUCED:
	case REASON_APIC_WRITE:
		keeps = true;
		break;
	default:
		keeps = cpu->shadow & SHADOW_MOV_SS;
		break;
	}
	if (!keeps)
		return 0;
	for (unsigned i = 0; i < 4; i++)
		if ((causes & BIT(i)) && (cpu->dr[7] >> (2 * i) & 3))
			causes |= PENDING_DEBUG_ENABLED;
	return causes;
}

static void
save_guest(struct vcpu *cpu, u32 reason, u64 rflags)
{
	struct vmx *vmx = cpu->vmx;
	struct vmcs *v = &vmx->vmcs;

	v->guest_cr0 = cpu->cr0;
	v->guest_cr3 = cpu->cr3;
	v->guest_cr4 = cpu->cr4;
	v->guest_sysenter_cs = (u32)cpu->msr.sysenter_cs;
	v->guest_sysenter_esp = cpu->msr.sysenter_esp;
	v->guest_sysenter_eip = cpu->msr.sysenter_eip;
	if (EXIT_ON(vmx, SAVE_DEBUG_CONTROLS)) {
		v->guest_dr7 = cpu->dr[7];
		v->guest_debugctl = cpu->msr.debugctl;
	}
	if (EXIT_ON(vmx, SAVE_PAT))
		v->guest_pat = cpu->msr.pat;
	if (EXIT_ON(vmx, SAVE_EFER))
		v->guest_efer = cpu->efer;
	save_segments(cpu, v);
	v->guest_rip = cpu->rip;
	v->guest_rsp = cpu->r[RSP];
	v->guest_rflags = rflags;
	v->guest_activity = cpu->activity > ACTIVITY_WAIT_SIPI ? ACTIVITY_ACTIVE : cpu->activity;
	v->guest_interruptibility =
		(cpu->shadow & (SHADOW_STI | SHADOW_MOV_SS)) | (cpu->nmi_blocked ? BLOCKING_NMI : 0);
	v->guest_pending_debug = saved_pending_debug(cpu, reason);
	if (EXIT_ON(vmx, SAVE_PREEMPTION_TIMER))
		v->preemption_timer_value = vmx_timer_left(cpu);
	if (SEC_ON(vmx, ENABLE_EPT) && (cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !(cpu->efer & EFER_LMA)) {
		v->guest_pdpte0 = cpu->pdpte[0];
		v->guest_pdpte1 = cpu->pdpte[1];
		v->guest_pdpte2 = cpu->pdpte[2];
		v->guest_pdpte3 = cpu->pdpte[3];
	}
}

#define ACCESS_CODE64 (0x9b | SEG_L | SEG_G)
#define ACCESS_CODE32 (0x9b | SEG_DB | SEG_G)
#define ACCESS_DATA (0x93 | SEG_DB | SEG_G)
#define ACCESS_TSS 0x8b

/* HS-02, HS-03 */
static void
load_data_segment(struct segment *seg, u16 selector, u64 base)
{
	*seg = (struct segment){base, 0xffffffff, selector, ACCESS_DATA};
	if (selector == 0)
		seg->access |= SEG_UNUSABLE;
}

static void
load_host_segments(struct vcpu *cpu, const struct vmcs *v, bool host64)
{
	cpu->seg[CS] = (struct segment){0, 0xffffffff, v->host_cs_selector, host64 ? ACCESS_CODE64 : ACCESS_CODE32};
	load_data_segment(&cpu->seg[SS], v->host_ss_selector, 0);
	load_data_segment(&cpu->seg[DS], v->host_ds_selector, 0);
	load_data_segment(&cpu->seg[ES], v->host_es_selector, 0);
	load_data_segment(&cpu->seg[FS], v->host_fs_selector, v->host_fs_base);
	load_data_segment(&cpu->seg[GS], v->host_gs_selector, v->host_gs_base);
	cpu->tr = (struct segment){v->host_tr_base, 0x67, v->host_tr_selector, ACCESS_TSS};
	cpu->ldtr = (struct segment){0, 0, 0, SEG_UNUSABLE};
	cpu->gdtr.base = v->host_gdtr_base;
	cpu->idtr.base = v->host_idtr_base;
	cpu->gdtr.limit = cpu->idtr.limit = 0xffff;
	cpu->cpl = 0;
}

/* "Loading Host Control Registers, Debug Registers, MSRs" and the headings after it. */
static void
load_host(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	const struct vmcs *v = &vmx->vmcs;
	bool host64 = EXIT_ON(vmx, HOST_ADDRESS_SPACE_SIZE);

	cpu->cr0 = (v->host_cr0 & ~CR0_KEPT) | (cpu->cr0 & CR0_KEPT);
	cpu->cr3 = v->host_cr3;
	cpu->cr4 = host64 ? v->host_cr4 | CR4_PAE : v->host_cr4 & ~CR4_PCIDE;
	cpu->dr[7] = 0x400;
	cpu->msr.debugctl = 0;
	cpu->msr.sysenter_cs = v->host_sysenter_cs;
	cpu->msr.sysenter_esp = v->host_sysenter_esp;
	cpu->msr.sysenter_eip = v->host_sysenter_eip;
	cpu->efer = (cpu->efer & ~(EFER_LMA | EFER_LME)) | (host64 ? EFER_LMA | EFER_LME : 0);
	if (EXIT_ON(vmx, LOAD_EFER))
		cpu->efer = v->host_efer;
	if (EXIT_ON(vmx, LOAD_PAT))
		cpu->msr.pat = v->host_pat;
	if (EXIT_ON(vmx, LOAD_PERF_GLOBAL_CTRL) && cpu->pmu)
		msr_write(cpu, IA32_PERF_GLOBAL_CTRL, v->host_perf_global_ctrl);
	load_host_segments(cpu, v, host64);
	cpu->r[RSP] = v->host_rsp;
	cpu->rip = v->host_rip;
	cpu->long64 = host64;
	cpu_set_rflags(cpu, 2);
	cpu->activity = ACTIVITY_ACTIVE;
	cpu->monitor.armed = false;
	cpu->shadow = 0;
	cpu->pending_db = 0;
	cpu->pending &= ~(PEND_DB | PEND_MTF | PEND_VMX);
	cpu->is_delivering = false;
	cpu->iret_unblocks_nmi = false;
	if (!host64 && (cpu->cr4 & CR4_PAE)) { /* XL-01 */
		for (unsigned i = 0; i < 4; i++) {
			cpu->pdpte[i] = phys_read(cpu, (cpu->cr3 & ~31ull) + 8 * i, 8);
			if (!check_pdpte(cpu, cpu->pdpte[i]))
				vmx_abort(cpu, ABORT_HOST_PDPTES);
		}
	}
}

static _Noreturn void
finish(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	const struct vmcs *v = &vmx->vmcs;

	event_disarm(cpu->events, &vmx->timer);
	vmx->work = 0;
	vmx->mtf = MTF_NONE;
	vmx->virtual_interrupt = vmx->no_idt_vectoring = vmx->nmi_virtual = false;
	vmx->interruption_info = 0;
	vmx->exiting = NULL;
	load_host(cpu);
	if (vmx_msr_load(cpu, v->exit_msr_load_address, v->exit_msr_load_count))
		vmx_abort(cpu, ABORT_LOAD_MSRS);
	if (!SEC_ON(vmx, ENABLE_VPID))
		tlb_flush_vpid(cpu, 0); /* HL-14 */
	cpu_mode_changed(cpu);
	cpu_request(cpu, PEND_INTR);
	cpu_leave(cpu);
}

static void
count(struct vmx *vmx, u32 reason, u64 qualification, const char *because)
{
	unsigned basic = reason & 0xffff;

	if (basic < VMX_REASONS)
		vmx->stats.exits[basic]++;
	vmx->last = (struct vmx_exit_record){reason, qualification, because};
}

void
vm_exit(struct vcpu *cpu, u32 reason, u64 qualification, const char *because)
{
	struct vmx *vmx = cpu->vmx;
	struct vmcs *v = &vmx->vmcs;
	bool nmi = reason == REASON_EXCEPTION_NMI && INFO_TYPE(vmx->interruption_info) == EVENT_NMI;
	const struct event_info *vectoring;
	bool nmi_blocked;
	u64 rflags;

	if (cpu->current)
		v->exit_instruction_length = insn_length(cpu->current);
	cpu_sync(cpu);
	cpu->stats.guest_instructions += cpu_icount(cpu) - cpu->stats.entered;
	count(vmx, reason, qualification, because);
	log_debug("VM exit %u (%s), qualification %#llx, RIP %#llx: %s", reason, vmx_reason_name(reason),
		  (unsigned long long)qualification, (unsigned long long)cpu->rip, because);

	v->exit_reason = reason;
	v->exit_qualification = qualification;
	v->exit_interruption_info = vmx->interruption_info;
	if (vmx->interruption_info & INFO_ERROR_CODE)
		v->exit_interruption_error = vmx->interruption_error;
	vectoring = record_vectoring(cpu, v);
	v->entry_interruption_info &= ~(u32)INFO_VALID; /* IF-11 */
	/* An exception that exits itself pushes RF by its own rule; the one under delivery does not count then. */
	rflags = saved_rflags(cpu, reason, vmx->exiting ? vmx->exiting : vectoring);
	save_guest(cpu, reason, rflags);
	if (unlikely(cpu->hooks))
		cpu->hooks->vm_exit(cpu->hooks->opaque, cpu, reason, false);
	if (VMX_ALLOWED(&vmx->cap, MISC, STORE_LMA)) { /* IF-12 */
		v->entry_controls &= ~(u32)VMX_MASK(ENTRY, IA32E_MODE_GUEST);
		if (cpu->efer & EFER_LMA)
			v->entry_controls |= (u32)VMX_MASK(ENTRY, IA32E_MODE_GUEST);
	}
	/* EV-09: what blocked virtual NMIs says nothing about physical ones, which the entry unblocked. */
	nmi_blocked = nmi || (!vmx->nmi_virtual && cpu->nmi_blocked);
	cpu->nonroot = false;
	cpu->nmi_blocked = nmi_blocked;
	if ((cpu->efer & EFER_LMA) && !EXIT_ON(vmx, HOST_ADDRESS_SPACE_SIZE))
		vmx_abort(cpu, ABORT_ADDRESS_SPACE);
	if (vmx_msr_store(cpu, v->exit_msr_store_address, v->exit_msr_store_count))
		vmx_abort(cpu, ABORT_SAVE_MSRS);
	finish(cpu);
}

void
vm_entry_failure(struct vcpu *cpu, u32 reason, u64 qualification, const char *because)
{
	struct vmcs *v = &cpu->vmx->vmcs;

	cpu_sync(cpu);
	count(cpu->vmx, reason, qualification, because);
	v->exit_reason = reason | REASON_ENTRY_FAILURE;
	v->exit_qualification = qualification;
	if (unlikely(cpu->hooks))
		cpu->hooks->vm_exit(cpu->hooks->opaque, cpu, reason, true);
	cpu->nonroot = false;
	finish(cpu);
}
