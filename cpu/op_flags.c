/*
 * PUSHF, POPF, CLI, STI: IOPL, virtual-8086 mode extensions (VME) and protected-mode virtual interrupts (PVI).
 *
 * SDM 2, their Operation sections; SDM 3, "Protected-Mode Virtual Interrupts".
 */
#include "cpu/access.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "vmx/intercept.h"

static unsigned
iopl(const struct vcpu *cpu)
{
	return BITS(cpu->rflags, 13, 12);
}

static bool
vm86_below_iopl3(const struct vcpu *cpu)
{
	return cpu_protected(cpu) && cpu_vm86(cpu) && iopl(cpu) < 3;
}

static void
interrupts_may_open(struct vcpu *cpu)
{
	if (cpu->nonroot)
		vmx_window_changed(cpu);
	if (cpu->pending)
		cpu->exit_request = 1;
}

void
op_pushf(struct vcpu *cpu, const struct insn *in)
{
	u64 flags = cpu_rflags(cpu) & ~(FLAG_VM | FLAG_RF);

	if (vm86_below_iopl3(cpu)) {
		if (!(cpu->cr4 & CR4_VME) || insn_osize(in) != 2)
			raise_gp(cpu, 0);
		flags = (flags & ~FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
	}
	stack_push(cpu, insn_osize(in), flags);
}

/* What POPF takes from the image: never RF (cleared), VM, VIF, VIP or reserved bits. */
static u64
popf_taken(const struct vcpu *cpu, unsigned size)
{
	u64 taken = FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT;

	if (size > 2)
		taken |= FLAG_AC | FLAG_ID;
	if (!cpu_protected(cpu) || cpu->cpl == 0)
		taken |= FLAG_IF | FLAG_IOPL;
	else if (cpu->cpl <= iopl(cpu))
		taken |= FLAG_IF;
	return taken;
}

/* Virtual-8086 mode, IOPL < 3, CR4.VME: IF stands for VIF. */
static u64
popf_vme(struct vcpu *cpu, u64 old, u64 image)
{
	u64 taken = FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT;

	if (image & FLAG_TF || (image & FLAG_IF && old & FLAG_VIP))
		raise_gp(cpu, 0);
	return (old & ~(taken | FLAG_VIF)) | (image & taken) | (image & FLAG_IF ? FLAG_VIF : 0);
}

void
op_popf(struct vcpu *cpu, const struct insn *in)
{
	unsigned size = insn_osize(in);
	u64 old = cpu_rflags(cpu) & ~FLAG_RF, image, taken;
	bool below = vm86_below_iopl3(cpu);

	if (below && (!(cpu->cr4 & CR4_VME) || size != 2))
		raise_gp(cpu, 0);
	image = stack_peek(cpu, size, 0);
	taken = popf_taken(cpu, size);
	image = below ? popf_vme(cpu, old, image) : (old & ~taken) | (image & taken);
	stack_move(cpu, size);
	cpu_set_rflags(cpu, image);
	interrupts_may_open(cpu);
}

/* Which flag CLI and STI change: IF, VIF, or #GP(0). */
static u64
interrupt_flag(struct vcpu *cpu)
{
	if (!cpu_protected(cpu))
		return FLAG_IF;
	if (cpu_vm86(cpu)) {
		if (iopl(cpu) == 3)
			return FLAG_IF;
		if (cpu->cr4 & CR4_VME)
			return FLAG_VIF;
	} else {
		if (iopl(cpu) >= cpu->cpl)
			return FLAG_IF;
		if (cpu->cpl == 3 && cpu->cr4 & CR4_PVI)
			return FLAG_VIF;
	}
	raise_gp(cpu, 0);
}

void
op_cli(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	cpu->rflags &= ~interrupt_flag(cpu);
	interrupts_may_open(cpu);
}

void
op_sti(struct vcpu *cpu, const struct insn *in)
{
	u64 flag = interrupt_flag(cpu);

	(void)in;
	if (flag == FLAG_VIF && cpu->rflags & FLAG_VIP)
		raise_gp(cpu, 0);
	if (flag == FLAG_IF && !(cpu->rflags & FLAG_IF))
		cpu->shadow = SHADOW_STI;
	cpu->rflags |= flag;
	interrupts_may_open(cpu);
}
