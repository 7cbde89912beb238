/*
 * VM entry: the order of checks and loads. SDM 3, "VM Entries".
 *
 * All checks come first; guest state is loaded only when they have passed, so that a failure leaves nothing to undo.
 */
#include "base/log.h"
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/hooks.h"
#include "cpu/msr.h"
#include "cpu/tlb.h"
#include "vmx/check.h"

LOG_CATEGORY("vmx");

#define DR7_FIXED 0x400ull
#define DR7_ZERO (BIT(12) | BIT(14) | BIT(15))
#define IA32_PERF_GLOBAL_CTRL 0x38f

bool
check_failed(struct check *c, const char *id, const char *rule, const struct vmx_rule_value *values)
{
	const struct vmx_broken_rule broken = {id, c->heading, rule, values};

	if (c->failures++ == 0) {
		c->id = id;
		c->rule = rule;
	}
	if (!c->report)
		return true;
	c->report(c->opaque, &broken);
	return false;
}

bool
check_pat(u64 pat)
{
	for (unsigned i = 0; i < 8; i++, pat >>= 8)
		if ((u8)pat > 7 || (u8)pat == 2 || (u8)pat == 3)
			return false;
	return true;
}

u64
check_efer_reserved(const struct vcpu *cpu)
{
	u64 valid = EFER_LME | EFER_LMA;

	if (cpu_has(cpu, FEATURE_SYSCALL))
		valid |= EFER_SCE;
	if (cpu_has(cpu, FEATURE_NX))
		valid |= EFER_NXE;
	return ~valid;
}

/* IA32_PERF_GLOBAL_CTRL has a bit for each counter that CPUID leaf 0Ah reports, and does not exist below version 2. */
u64
check_perf_global_reserved(struct vcpu *cpu)
{
	u32 regs[4];
	unsigned version, general, fixed;

	cpuid_query(cpu, 0xa, 0, regs);
	version = (u8)regs[0];
	general = (u8)(regs[0] >> 8);
	fixed = regs[3] & 31;
	if (version < 2)
		return ~0ull;
	return ~((BIT(MIN(general, 32u)) - 1) | (BIT(fixed) - 1) << 32);
}

u64
check_pdpte_reserved(const struct vcpu *cpu)
{
	return BITS(~0ull, 2, 1) << 1 | BITS(~0ull, 8, 5) << 5 | ~0ull << cpu->model->physical_bits;
}

bool
check_pdpte(const struct vcpu *cpu, u64 pdpte)
{
	return !(pdpte & 1) || !(pdpte & check_pdpte_reserved(cpu));
}

static void
check_init(struct check *c, struct vcpu *cpu)
{
	const struct vmcs *v = vmx_vmcs(cpu);

	*c = (struct check){.cpu = cpu, .vmx = cpu->vmx, .v = v};
	c->pin = v->pin_controls;
	c->proc = v->proc_controls;
	c->sec = PROC(SECONDARY_CONTROLS) ? v->sec_controls : 0;
	c->exit = v->exit_controls;
	c->entry = v->entry_controls;
}

unsigned
vmx_entry_doctor(struct vcpu *cpu, vmx_doctor_callback report, void *opaque)
{
	struct check c;

	check_init(&c, cpu);
	c.report = report;
	c.opaque = opaque;
	check_controls(&c);
	check_host(&c);
	check_guest(&c);
	return c.failures;
}

/* LD-08. SS.DPL and the bases of FS and GS count even when the register is unusable. */
static void
load_segment(struct segment *seg, u16 selector, u64 base, u32 limit, u32 access)
{
	seg->selector = selector;
	seg->base = base;
	seg->limit = limit;
	seg->access = (u16)((access & 0xf0ff) | (access & VMCS_UNUSABLE ? SEG_UNUSABLE : 0));
}

#define LOAD_SEGMENT(to, name)                                                                                         \
	load_segment(to, v->guest_##name##_selector, v->guest_##name##_base, v->guest_##name##_limit,                  \
		     v->guest_##name##_access)

static void
load_segments(struct vcpu *cpu, const struct vmcs *v)
{
	LOAD_SEGMENT(&cpu->seg[ES], es);
	LOAD_SEGMENT(&cpu->seg[CS], cs);
	LOAD_SEGMENT(&cpu->seg[SS], ss);
	LOAD_SEGMENT(&cpu->seg[DS], ds);
	LOAD_SEGMENT(&cpu->seg[FS], fs);
	LOAD_SEGMENT(&cpu->seg[GS], gs);
	LOAD_SEGMENT(&cpu->ldtr, ldtr);
	LOAD_SEGMENT(&cpu->tr, tr);
	cpu->seg[ES].base = (u32)cpu->seg[ES].base;
	cpu->seg[SS].base = (u32)cpu->seg[SS].base;
	cpu->seg[DS].base = (u32)cpu->seg[DS].base;
	cpu->gdtr.base = v->guest_gdtr_base;
	cpu->gdtr.limit = (u16)v->guest_gdtr_limit;
	cpu->idtr.base = v->guest_idtr_base;
	cpu->idtr.limit = (u16)v->guest_idtr_limit;
	cpu->cpl = SEG_DPL(cpu->seg[SS].access);
}

static u64
guest_efer(const struct vcpu *cpu, const struct vmcs *v)
{
	bool long_mode = ENTRY_ON(cpu->vmx, IA32E_MODE_GUEST);
	u64 efer = cpu->efer & ~EFER_LMA;

	if (ENTRY_ON(cpu->vmx, LOAD_EFER))
		return v->guest_efer;
	if (v->guest_cr0 & CR0_PG)
		efer &= ~EFER_LME;
	return efer | (long_mode ? EFER_LMA : 0) | (long_mode && (v->guest_cr0 & CR0_PG) ? EFER_LME : 0);
}

static void
load_pdpte_registers(struct vcpu *cpu, const struct vmcs *v)
{
	if (!(cpu->cr0 & CR0_PG) || !(cpu->cr4 & CR4_PAE) || (cpu->efer & EFER_LMA))
		return;
	if (SEC_ON(cpu->vmx, ENABLE_EPT)) {
		cpu->pdpte[0] = v->guest_pdpte0;
		cpu->pdpte[1] = v->guest_pdpte1;
		cpu->pdpte[2] = v->guest_pdpte2;
		cpu->pdpte[3] = v->guest_pdpte3;
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		cpu->pdpte[i] = phys_read(cpu, (v->guest_cr3 & ~31ull) + 8 * i, 8);
}

/* "Loading Guest Control Registers, Debug Registers, and MSRs" and the headings after it; LD-01 to LD-10. */
static void
load_guest(struct vcpu *cpu, const struct vmcs *v)
{
	struct vmx *vmx = cpu->vmx;

	cpu->monitor.armed = false; /* LD-11 */
	cpu->cr0 = (v->guest_cr0 & ~CR0_KEPT) | (cpu->cr0 & CR0_KEPT);
	cpu->cr3 = v->guest_cr3;
	cpu->cr4 = v->guest_cr4;
	cpu->efer = guest_efer(cpu, v);
	if (ENTRY_ON(vmx, LOAD_DEBUG_CONTROLS)) {
		cpu->dr[7] = ((u32)v->guest_dr7 & ~DR7_ZERO) | DR7_FIXED;
		cpu->msr.debugctl = v->guest_debugctl;
	}
	if (ENTRY_ON(vmx, LOAD_PAT))
		cpu->msr.pat = v->guest_pat;
	if (ENTRY_ON(vmx, LOAD_PERF_GLOBAL_CTRL) && cpu->pmu)
		msr_write(cpu, IA32_PERF_GLOBAL_CTRL, v->guest_perf_global_ctrl);
	cpu->msr.sysenter_cs = v->guest_sysenter_cs;
	cpu->msr.sysenter_esp = v->guest_sysenter_esp;
	cpu->msr.sysenter_eip = v->guest_sysenter_eip;
	load_segments(cpu, v);
	load_pdpte_registers(cpu, v);
	cpu->r[RSP] = v->guest_rsp;
	cpu->rip = v->guest_rip;
	cpu->long64 = (cpu->efer & EFER_LMA) && (cpu->seg[CS].access & SEG_L);
	cpu_set_rflags(cpu, v->guest_rflags);
}

/* The controls in force from now on. */
static void
take_controls(struct vmx *vmx, const struct check *c)
{
	vmx->pin = c->pin;
	vmx->proc = c->proc;
	vmx->sec = c->sec;
	vmx->work = 0;
	vmx->virtual_interrupt = false;
	vmx->no_idt_vectoring = false;
	vmx->ple_first = vmx->ple_last = 0;
}

struct teller {
	struct vcpu *cpu;
	unsigned number;
};

static void
tell_hooks(void *opaque, const struct vmx_broken_rule *broken)
{
	struct teller *t = opaque;

	t->cpu->hooks->entry_refused(t->cpu->hooks->opaque, t->cpu, broken, t->number++);
}

static void
msr_load_failed(struct vcpu *cpu, const struct vmcs *v, unsigned entry)
{
	u64 address = v->entry_msr_load_address + 16ull * (entry - 1);
	const struct vmx_rule_value values[] = {
		NAMED("entry", entry),
		NAMED("of", v->entry_msr_load_count),
		NAMED("at", address),
		NAMED("MSR", (u32)phys_read(cpu, address, 4)),
		NAMED("reserved", (u32)phys_read(cpu, address + 4, 4)),
		NAMED("value", phys_read(cpu, address + 8, 8)),
		{NULL, NULL, 0},
	};
	const struct vmx_broken_rule broken = {"VE-MSR", "Loading MSRs", vmx_msr_load_refusal(cpu, address, entry),
					       values};

	cpu->vmx->stats.failed_entries++;
	log_info("VM entry fails: MSR-load entry %u: %s", entry, broken.rule);
	if (cpu->hooks)
		cpu->hooks->entry_refused(cpu->hooks->opaque, cpu, &broken, 0);
	vm_entry_failure(cpu, REASON_MSR_LOAD_FAIL, entry, "VM-entry MSR-load area");
}

enum vm_error
vmx_enter(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	const struct vmcs *v = &vmx->vmcs;
	enum vm_error error = 0;
	struct check c;
	unsigned entry;

	check_init(&c, cpu);
	if (!check_controls(&c))
		error = VM_ERROR_ENTRY_CONTROLS;
	else if (!check_host(&c))
		error = VM_ERROR_ENTRY_HOST_STATE;
	else
		check_guest(&c);
	if (c.failures) {
		vmx->stats.failed_entries++;
		log_info("VM entry fails by %s: %s", c.id, c.rule);
		if (cpu->hooks)
			vmx_entry_doctor(cpu, tell_hooks, &(struct teller){cpu, 0});
	}
	if (error)
		return error;
	if (c.failures) {
		/* Time passes, as when the MSR-load area fails: the host may enter again at once, for ever. */
		cpu_sync(cpu);
		cpu->left--;
		vm_entry_failure(cpu, REASON_INVALID_STATE, c.qualification, c.id);
	}

	/* VMLAUNCH or VMRESUME ends here, as an instruction that is retired: nothing below belongs to it any more. */
	cpu_sync(cpu);
	cpu->left--;
	take_controls(vmx, &c);
	load_guest(cpu, v);
	entry = vmx_msr_load(cpu, v->entry_msr_load_address, v->entry_msr_load_count);
	if (entry)
		msr_load_failed(cpu, v, entry);
	vmx->launched = 1;
	vmx->stats.entries++;

	cpu->nonroot = true;
	cpu->stats.entered = cpu_icount(cpu);
	vmx_select_eptp(cpu);
	if (!SEC_ON(vmx, ENABLE_VPID))
		tlb_flush_vpid(cpu, 0); /* LD-12 */
	vmx_timer_start(cpu);
	vmx_enter_events(cpu);
	cpu_mode_changed(cpu);
	vmx_apicv_enter(cpu);
	vmx_window_changed(cpu);
	cpu_request(cpu, PEND_INTR);
	if (unlikely(cpu->hooks))
		cpu->hooks->vm_entry(cpu->hooks->opaque, cpu);
	vmx_inject(cpu);
	cpu_leave(cpu);
}
