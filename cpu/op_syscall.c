/* SYSCALL, SYSRET, SYSENTER, SYSEXIT. SDM 2, their Operation sections (the behaviour of Intel processors). */
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/paging.h"
#include "cpu/segment.h"
#include "vmx/intercept.h"

#define DR6_BS BIT(14)

/* Flat segments as these instructions load them: accessed, present, G; DPL to be added. */
#define FLAT_CODE64 0xa09bu
#define FLAT_CODE32 0xc09bu
#define FLAT_DATA 0xc093u

static void
load_flat(struct vcpu *cpu, u16 cs, u16 ss, bool code64, unsigned cpl)
{
	u16 dpl = (u16)(cpl << 5);

	segment_set_flat(&cpu->seg[CS], (u16)(cs | cpl), (u16)((code64 ? FLAT_CODE64 : FLAT_CODE32) | dpl));
	segment_set_flat(&cpu->seg[SS], (u16)(ss | cpl), (u16)(FLAT_DATA | dpl));
	cpu->cpl = (u8)cpl;
}

static void
flags_changed(struct vcpu *cpu, u64 rflags)
{
	cpu_set_rflags(cpu, rflags);
	cpu_mode_changed(cpu);
	if (cpu->nonroot)
		vmx_window_changed(cpu);
	if (cpu->pending)
		cpu->exit_request = 1;
}

/* For SYSCALL and SYSRET, TF as they leave it decides over the trap; see insn_is_software_interrupt(). */
static void
trap_on_new_tf(struct vcpu *cpu)
{
	if (!(cpu->rflags & FLAG_TF))
		return;
	cpu->pending_db |= DR6_BS;
	cpu_request(cpu, PEND_DB);
}

void
op_syscall(struct vcpu *cpu, const struct insn *in)
{
	u64 flags = cpu_rflags(cpu) & ~FLAG_RF;
	u16 selector = (u16)BITS(cpu->msr.star, 47, 32) & 0xfffc;

	(void)in;
	/* AMD64 Architecture Programmer's Manual 3, "SYSCALL": there, compatibility mode has an entry of its own. */
	if (!(cpu->long64 || (cpu->model->amd && cpu->efer & EFER_LMA)) || !(cpu->efer & EFER_SCE))
		raise_ud(cpu);
	cpu->r[RCX] = cpu->next_rip;
	cpu->r[R11] = flags;
	cpu->next_rip = cpu->long64 ? cpu->msr.lstar : cpu->msr.cstar;
	load_flat(cpu, selector, (u16)(selector + 8), true, 0);
	flags_changed(cpu, flags & ~cpu->msr.fmask);
	trap_on_new_tf(cpu);
}

void
op_sysret(struct vcpu *cpu, const struct insn *in)
{
	bool code64 = insn_osize(in) == 8;
	u16 selector = (u16)BITS(cpu->msr.star, 63, 48);

	if (!cpu->long64 || !(cpu->efer & EFER_SCE))
		raise_ud(cpu);
	if (cpu->cpl != 0)
		raise_gp(cpu, 0);
	if (code64 && !linear_canonical(cpu, cpu->r[RCX]))
		raise_gp(cpu, 0);
	cpu->next_rip = code64 ? cpu->r[RCX] : (u32)cpu->r[RCX];
	load_flat(cpu, (u16)(selector + (code64 ? 16 : 0)), (u16)(selector + 8), code64, 3);
	flags_changed(cpu, cpu->r[R11] & 0x3c7fd7);
	trap_on_new_tf(cpu);
}

void
op_sysenter(struct vcpu *cpu, const struct insn *in)
{
	bool ia32e = cpu->efer & EFER_LMA;
	u16 selector = cpu->msr.sysenter_cs & 0xfffc;

	(void)in;
	if (!cpu_protected(cpu) || !selector)
		raise_gp(cpu, 0);
	cpu->r[RSP] = ia32e ? cpu->msr.sysenter_esp : (u32)cpu->msr.sysenter_esp;
	cpu->next_rip = ia32e ? cpu->msr.sysenter_eip : (u32)cpu->msr.sysenter_eip;
	load_flat(cpu, selector, (u16)(selector + 8), ia32e, 0);
	flags_changed(cpu, cpu_rflags(cpu) & ~(FLAG_VM | FLAG_IF | FLAG_RF));
}

void
op_sysexit(struct vcpu *cpu, const struct insn *in)
{
	bool code64 = insn_osize(in) == 8;
	u16 selector = cpu->msr.sysenter_cs & 0xfffc;

	if (!cpu_protected(cpu) || !selector || cpu->cpl != 0)
		raise_gp(cpu, 0);
	if (code64 && (!linear_canonical(cpu, cpu->r[RCX]) || !linear_canonical(cpu, cpu->r[RDX])))
		raise_gp(cpu, 0);
	cpu->r[RSP] = code64 ? cpu->r[RCX] : (u32)cpu->r[RCX];
	cpu->next_rip = code64 ? cpu->r[RDX] : (u32)cpu->r[RDX];
	selector = (u16)(selector + (code64 ? 32 : 16));
	load_flat(cpu, selector, (u16)(selector + 8), code64, 3);
	flags_changed(cpu, cpu_rflags(cpu) & ~FLAG_RF);
}
