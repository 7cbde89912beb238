/*
 * System-management mode. SDM 3, "System Management Mode".
 *
 * The 64-bit state-save map is the one of AMD64 Architecture Programmer's Manual 2, "SMM State-Save Area": it documents
 * the hidden parts of the
 * segment registers, and its revision, 20064h, is the one that the firmware for this board knows. SMBASE relocation is
 * there, I/O
 * instruction restart is not.
 *
 * An SMI in VMX operation gets the default treatment: being in non-root operation, CR4.VMXE and the PDPTEs are kept
 * inside the processor
 * (struct vcpu's smm), SMM runs outside VMX operation, RSM brings them back (rules SMM-01, SMM-02). No dual-monitor
 * treatment.
 * Which RAM is hidden outside SMM is the chipset's business: memory_set_smram().
 */
#include "cpu/smm.h"

#include <string.h>

#include "base/log.h"
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/tlb.h"
#include "cpu/vcpu.h"
#include "vmx/intercept.h"

LOG_CATEGORY("smm");

#define REVISION 0x20064u
#define ENTRY 0x8000u

/* Offsets from SMBASE. */
enum {
	SAVE_SEGMENTS = 0xfe00, /* ES CS SS DS FS GS, 16 bytes each: selector, attributes, limit (4 bytes), base (8 bytes) */
	SAVE_GDTR = 0xfe60,
	SAVE_LDTR = 0xfe70,
	SAVE_IDTR = 0xfe80,
	SAVE_TR = 0xfe90,
	SAVE_AUTO_HALT = 0xfec9, /* byte: 1 = RSM halts again */
	SAVE_EFER = 0xfed0,
	SAVE_REVISION = 0xfefc,
	SAVE_SMBASE = 0xff00,
	SAVE_CR4 = 0xff48,
	SAVE_CR3 = 0xff50,
	SAVE_CR0 = 0xff58,
	SAVE_DR7 = 0xff60,
	SAVE_DR6 = 0xff68,
	SAVE_RFLAGS = 0xff70,
	SAVE_RIP = 0xff78,
	SAVE_R15 = 0xff80, /* down to RAX at FFF8h */
};

/* Attributes: 7:0 as in the descriptor, 11:8 AVL, L, D/B, G. Bit 12, reserved in the map, keeps "unusable". */
#define ATTRIBUTE_UNUSABLE BIT(12)

static u64
load(struct vcpu *cpu, unsigned offset, unsigned size)
{
	return phys_read(cpu, (u64)cpu->smbase + offset, size);
}

static void
store(struct vcpu *cpu, unsigned offset, unsigned size, u64 value)
{
	phys_write(cpu, (u64)cpu->smbase + offset, size, value);
}

static void
store_segment(struct vcpu *cpu, unsigned offset, const struct segment *seg)
{
	u16 attributes = (u16)((seg->access & 0xff) | (seg->access >> 4 & 0xf00) | (seg->access & SEG_UNUSABLE ? ATTRIBUTE_UNUSABLE : 0));
	store(cpu, offset, 2, seg->selector);
	store(cpu, offset + 2, 2, attributes);
	store(cpu, offset + 4, 4, seg->limit);
	store(cpu, offset + 8, 8, seg->base);
}

static void
load_segment(struct vcpu *cpu, unsigned offset, struct segment *seg)
{
	u16 attributes = (u16)load(cpu, offset + 2, 2);
	seg->selector = (u16)load(cpu, offset, 2);
	seg->access = (u16)((attributes & 0xff) | (attributes & 0xf00) << 4 | (attributes & ATTRIBUTE_UNUSABLE ? SEG_UNUSABLE : 0));
	seg->limit = (u32)load(cpu, offset + 4, 4);
	seg->base = load(cpu, offset + 8, 8);
}

static void
save_state(struct vcpu *cpu)
{
	for (unsigned i = 0; i < 16; i++)
		store(cpu, SAVE_R15 + (15 - i) * 8, 8, cpu->r[i]);
	store(cpu, SAVE_RIP, 8, cpu->rip);
	store(cpu, SAVE_RFLAGS, 8, cpu_rflags(cpu));
	store(cpu, SAVE_DR6, 8, cpu->dr[6]);
	store(cpu, SAVE_DR7, 8, cpu->dr[7]);
	store(cpu, SAVE_CR0, 8, cpu->cr0);
	store(cpu, SAVE_CR3, 8, cpu->cr3);
	store(cpu, SAVE_CR4, 8, cpu->smm.vmxe ? cpu->cr4 & ~CR4_VMXE : cpu->cr4);
	store(cpu, SAVE_EFER, 8, cpu->efer);
	for (unsigned i = 0; i < 6; i++)
		store_segment(cpu, SAVE_SEGMENTS + i * 16, &cpu->seg[i]);
	store_segment(cpu, SAVE_LDTR, &cpu->ldtr);
	store_segment(cpu, SAVE_TR, &cpu->tr);
	store(cpu, SAVE_GDTR + 4, 2, cpu->gdtr.limit);
	store(cpu, SAVE_GDTR + 8, 8, cpu->gdtr.base);
	store(cpu, SAVE_IDTR + 4, 2, cpu->idtr.limit);
	store(cpu, SAVE_IDTR + 8, 8, cpu->idtr.base);
	store(cpu, SAVE_AUTO_HALT, 1, cpu->activity == ACTIVITY_HLT);
	store(cpu, SAVE_REVISION, 4, REVISION);
	store(cpu, SAVE_SMBASE, 4, cpu->smbase);
}

void
smm_enter(struct vcpu *cpu)
{
	cpu->smm.nonroot = cpu->nonroot;
	cpu->smm.vmxe = vmx_operation(cpu);
	cpu->smm.nmi_blocked = cpu->nmi_blocked;
	cpu->smm.shadow = cpu->shadow;
	memcpy(cpu->smm.pdpte, cpu->pdpte, sizeof(cpu->pdpte));
	cpu->in_smm = true; /* the state goes to SMRAM */
	save_state(cpu);

	cpu->nonroot = false;
	cpu->nmi_blocked = true;
	cpu->shadow = 0;
	cpu->activity = ACTIVITY_ACTIVE;
	cpu->monitor.armed = false;
	cpu->cr0 &= ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
	cpu->cr4 = 0;
	cpu->efer = 0;
	cpu->dr[7] = 0x400;
	for (unsigned i = 0; i < 6; i++)
		cpu->seg[i] = (struct segment){.limit = 0xffffffff, .access = SEG_G | SEG_P | SEG_S | 3};
	cpu->seg[CS].selector = (u16)(cpu->smbase >> 4);
	cpu->seg[CS].base = cpu->smbase;
	cpu->rip = ENTRY;
	cpu->cpl = 0;
	cpu_set_rflags(cpu, 2);
	tlb_address_mask_changed(cpu);
	cpu_mode_changed(cpu);
}

/* A state that cannot be: the processor shuts down, still in SMM. */
static void
shut_down(struct vcpu *cpu)
{
	log_warn("RSM to an invalid state: shutdown");
	cpu->activity = ACTIVITY_SHUTDOWN;
	cpu->exit_request = 1;
	cpu->cpus->triple_fault = cpu->cpus->stop = true;
	cpu->cpus->shutdown_cause = "shutdown by RSM to an invalid state";
	cpu->cpus->culprit = cpu;
}

static bool
valid_state(struct vcpu *cpu, u64 cr0, u64 cr4, u64 efer)
{
	u64 efer_bits = 0;
	if (cpu_has(cpu, FEATURE_SYSCALL))
		efer_bits |= EFER_SCE;
	if (cpu_has(cpu, FEATURE_LM))
		efer_bits |= EFER_LME | EFER_LMA;
	if (cpu_has(cpu, FEATURE_NX))
		efer_bits |= EFER_NXE;
	if (cr0 >> 32 || cr4 & ~cr4_supported(cpu->model) || efer & ~efer_bits)
		return false;
	if ((cr0 & CR0_PG && !(cr0 & CR0_PE)) || (cr0 & CR0_NW && !(cr0 & CR0_CD)))
		return false;
	return !(efer & EFER_LME && cr0 & CR0_PG && !(cr4 & CR4_PAE));
}

static void
restore_state(struct vcpu *cpu)
{
	for (unsigned i = 0; i < 16; i++)
		cpu->r[i] = load(cpu, SAVE_R15 + (15 - i) * 8, 8);
	cpu->dr[6] = (load(cpu, SAVE_DR6, 8) & 0xe00f) | 0xffff0ff0;
	cpu->dr[7] = (load(cpu, SAVE_DR7, 8) & 0xffff23ff) | 0x400;
	cpu->cr3 = load(cpu, SAVE_CR3, 8) & (BIT(cpu->model->physical_bits) - 1);
	for (unsigned i = 0; i < 6; i++)
		load_segment(cpu, SAVE_SEGMENTS + i * 16, &cpu->seg[i]);
	load_segment(cpu, SAVE_LDTR, &cpu->ldtr);
	load_segment(cpu, SAVE_TR, &cpu->tr);
	cpu->gdtr.limit = (u16)load(cpu, SAVE_GDTR + 4, 2);
	cpu->gdtr.base = load(cpu, SAVE_GDTR + 8, 8);
	cpu->idtr.limit = (u16)load(cpu, SAVE_IDTR + 4, 2);
	cpu->idtr.base = load(cpu, SAVE_IDTR + 8, 8);
	memcpy(cpu->pdpte, cpu->smm.pdpte, sizeof(cpu->pdpte));
}

#define RFLAGS_DEFINED 0x3f7fd7ull

void
op_rsm(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	if (!cpu->in_smm)
		raise_ud(cpu);
	u64 cr0 = load(cpu, SAVE_CR0, 8), cr4 = load(cpu, SAVE_CR4, 8), efer = load(cpu, SAVE_EFER, 8);
	if (cpu->smm.vmxe) {
		cr4 |= CR4_VMXE;
		if (!cpu->smm.nonroot)
			cr0 |= CR0_PE | CR0_PG | CR0_NE;
	}
	if (!valid_state(cpu, cr0, cr4, efer)) {
		shut_down(cpu);
		return;
	}
	restore_state(cpu);
	u64 rflags = (load(cpu, SAVE_RFLAGS, 8) & RFLAGS_DEFINED) | BIT(1);
	u64 rip = load(cpu, SAVE_RIP, 8);
	bool halt = load(cpu, SAVE_AUTO_HALT, 1) & 1;
	u32 smbase = (u32)load(cpu, SAVE_SMBASE, 4);

	cpu->cr0 = cr0 | CR0_ET;
	cpu->cr4 = cr4;
	cpu->efer = efer & EFER_LME && cr0 & CR0_PG ? efer | EFER_LMA : efer & ~EFER_LMA;
	cpu->cpl = !(cr0 & CR0_PE) ? 0 : rflags & FLAG_VM ? 3 : SEG_DPL(cpu->seg[SS].access);
	cpu->smbase = smbase;
	cpu->in_smm = false;
	cpu->nonroot = cpu->smm.nonroot;
	cpu->nmi_blocked = cpu->smm.nmi_blocked;
	cpu->shadow = cpu->smm.shadow;
	cpu->next_rip = rip;
	cpu_set_rflags(cpu, rflags);
	tlb_address_mask_changed(cpu);
	cpu_mode_changed(cpu);
	if (halt)
		cpu->activity = ACTIVITY_HLT;
	cpu->exit_request = 1; /* what was held off may come now */
}
