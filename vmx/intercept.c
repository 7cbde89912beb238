/*
 * Instructions and events that cause VM exits. SDM 3, "Instructions That Cause VM Exits", "Other Causes of VM Exits", "Changes to Instruction
 * Behavior in VMX Non-Root Operation"; rules IX-xx, NR-xx.
 */
#include "vmx/intercept.h"

#include "cpu/access.h"
#include "cpu/decode.h"
#include "cpu/fault.h"
#include "cpu/lapic.h"
#include "cpu/msr.h"
#include "vmx/information.h"
#include "vmx/vmx.h"

enum qualification { QUALIFY_NONE, QUALIFY_DISPLACEMENT, QUALIFY_LINEAR };

/* What decides, and what is recorded. Word VMX_WORDS: always exits. */
struct insn_rule {
	u16 reason;
	u8 word;
	u8 layout, identity, qualification;
	u64 mask;
	const char *because;
};

#define UNCONDITIONAL VMX_WORDS, 0, "always"
#define BY(word, name) VMX_##word, VMX_MASK(word, name), #word " " #name
#define RULE_(reason, layout, identity, qualification, word, mask, because)                                            \
	{                                                                                                              \
		REASON_##reason, word, INFORMATION_##layout, identity, QUALIFY_##qualification, mask, because          \
	}
#define RULE(...) RULE_(__VA_ARGS__)

static const struct insn_rule rules[] = {
	[VMX_INSN_CPUID] = RULE(CPUID, NONE, 0, NONE, UNCONDITIONAL),
	[VMX_INSN_GETSEC] = RULE(GETSEC, NONE, 0, NONE, UNCONDITIONAL),
	[VMX_INSN_HLT] = RULE(HLT, NONE, 0, NONE, BY(PROC, HLT_EXITING)),
	[VMX_INSN_INVD] = RULE(INVD, NONE, 0, NONE, UNCONDITIONAL),
	[VMX_INSN_INVLPG] = RULE(INVLPG, NONE, 0, LINEAR, BY(PROC, INVLPG_EXITING)),
	[VMX_INSN_RDPMC] = RULE(RDPMC, NONE, 0, NONE, BY(PROC, RDPMC_EXITING)),
	[VMX_INSN_RDTSC] = RULE(RDTSC, NONE, 0, NONE, BY(PROC, RDTSC_EXITING)),
	[VMX_INSN_RSM] = RULE(RSM, NONE, 0, NONE, UNCONDITIONAL),
	[VMX_INSN_VMCALL] = RULE(VMCALL, NONE, 0, NONE, UNCONDITIONAL),
	[VMX_INSN_VMCLEAR] = RULE(VMCLEAR, MEMORY, 0, DISPLACEMENT, UNCONDITIONAL),
	[VMX_INSN_VMLAUNCH] = RULE(VMLAUNCH, NONE, 0, NONE, UNCONDITIONAL),
	[VMX_INSN_VMPTRLD] = RULE(VMPTRLD, MEMORY, 0, DISPLACEMENT, UNCONDITIONAL),
	[VMX_INSN_VMPTRST] = RULE(VMPTRST, MEMORY, 0, DISPLACEMENT, UNCONDITIONAL),
	[VMX_INSN_VMREAD] = RULE(VMREAD, FIELD, 0, DISPLACEMENT, UNCONDITIONAL),
	[VMX_INSN_VMRESUME] = RULE(VMRESUME, NONE, 0, NONE, UNCONDITIONAL),
	[VMX_INSN_VMWRITE] = RULE(VMWRITE, FIELD, 0, DISPLACEMENT, UNCONDITIONAL),
	[VMX_INSN_VMXOFF] = RULE(VMOFF, NONE, 0, NONE, UNCONDITIONAL),
	[VMX_INSN_VMXON] = RULE(VMON, MEMORY, 0, DISPLACEMENT, UNCONDITIONAL),
	[VMX_INSN_INVEPT] = RULE(INVEPT, TYPE, 0, DISPLACEMENT, UNCONDITIONAL),
	[VMX_INSN_INVVPID] = RULE(INVVPID, TYPE, 0, DISPLACEMENT, UNCONDITIONAL),
	[VMX_INSN_RDTSCP] = RULE(RDTSCP, NONE, 0, NONE, BY(PROC, RDTSC_EXITING)),
	[VMX_INSN_WBINVD] = RULE(WBINVD, NONE, 0, NONE, BY(SEC, WBINVD_EXITING)),
	[VMX_INSN_XSETBV] = RULE(XSETBV, NONE, 0, NONE, UNCONDITIONAL),
	[VMX_INSN_RDRAND] = RULE(RDRAND, RANDOM, 0, NONE, BY(SEC, RDRAND_EXITING)),
	[VMX_INSN_RDSEED] = RULE(RDSEED, RANDOM, 0, NONE, BY(SEC, RDSEED_EXITING)),
	[VMX_INSN_INVPCID] = RULE(INVPCID, TYPE, 0, DISPLACEMENT, BY(PROC, INVLPG_EXITING)),
	[VMX_INSN_MWAIT] = RULE(MWAIT_INSTRUCTION, NONE, 0, NONE, BY(PROC, MWAIT_EXITING)),
	[VMX_INSN_MONITOR] = RULE(MONITOR_INSTRUCTION, NONE, 0, NONE, BY(PROC, MONITOR_EXITING)),
	[VMX_INSN_PAUSE] = RULE(PAUSE_INSTRUCTION, NONE, 0, NONE, BY(PROC, PAUSE_EXITING)),
	[VMX_INSN_SGDT] = RULE(GDTR_IDTR, TABLE, 0, DISPLACEMENT, BY(SEC, DESCRIPTOR_TABLE_EXITING)),
	[VMX_INSN_SIDT] = RULE(GDTR_IDTR, TABLE, 1, DISPLACEMENT, BY(SEC, DESCRIPTOR_TABLE_EXITING)),
	[VMX_INSN_LGDT] = RULE(GDTR_IDTR, TABLE, 2, DISPLACEMENT, BY(SEC, DESCRIPTOR_TABLE_EXITING)),
	[VMX_INSN_LIDT] = RULE(GDTR_IDTR, TABLE, 3, DISPLACEMENT, BY(SEC, DESCRIPTOR_TABLE_EXITING)),
	[VMX_INSN_SLDT] = RULE(LDTR_TR, SYSTEM, 0, DISPLACEMENT, BY(SEC, DESCRIPTOR_TABLE_EXITING)),
	[VMX_INSN_STR] = RULE(LDTR_TR, SYSTEM, 1, DISPLACEMENT, BY(SEC, DESCRIPTOR_TABLE_EXITING)),
	[VMX_INSN_LLDT] = RULE(LDTR_TR, SYSTEM, 2, DISPLACEMENT, BY(SEC, DESCRIPTOR_TABLE_EXITING)),
	[VMX_INSN_LTR] = RULE(LDTR_TR, SYSTEM, 3, DISPLACEMENT, BY(SEC, DESCRIPTOR_TABLE_EXITING)),
};

static bool
rule_applies(const struct vmx *vmx, const struct insn_rule *rule)
{
	switch (rule->word) {
	case VMX_PROC:
		return vmx->proc & rule->mask;
	case VMX_SEC:
		return vmx->sec & rule->mask;
	default:
		return true;
	}
}

static u64
linear_operand(const struct vcpu *cpu, const struct insn *in)
{
	u64 linear = insn_offset(cpu, in);

	/* Bases of segments other than FS and GS count only outside 64-bit mode; nothing is checked. */
	if (!cpu->long64 || EA_SEG(in->ea) >= FS)
		linear += cpu->seg[EA_SEG(in->ea)].base;
	return cpu->long64 ? linear : (u32)linear;
}

void
vmx_exit_insn(struct vcpu *cpu, enum vmx_insn insn, const char *because)
{
	const struct insn_rule *rule = &rules[insn];
	const struct insn *in = cpu->current;
	struct vmx *vmx = cpu->vmx;
	u64 qualification = 0;

	if (in && rule->layout != INFORMATION_NONE)
		vmx->vmcs.exit_instruction_info =
			vmx_instruction_information(cpu, in, (enum information_layout)rule->layout, rule->identity);
	if (insn == VMX_INSN_MWAIT)
		qualification = cpu->monitor.armed;
	else if (in && rule->qualification == QUALIFY_DISPLACEMENT)
		qualification = vmx_displacement(cpu, in);
	else if (in && rule->qualification == QUALIFY_LINEAR)
		qualification = linear_operand(cpu, in);
	vm_exit(cpu, rule->reason, qualification, because);
}

void
vmx_intercept_insn(struct vcpu *cpu, enum vmx_insn insn)
{
	if (unlikely(rule_applies(cpu->vmx, &rules[insn])))
		vmx_exit_insn(cpu, insn, rules[insn].because);
}

/* IX-12 */
void
vmx_intercept_xsaves(struct vcpu *cpu, bool restore, u64 requested)
{
	struct vmx *vmx = cpu->vmx;

	if (!(requested & cpu->msr.xss & vmx->vmcs.xss_exiting_bitmap) || !cpu->current)
		return;
	vmx->vmcs.exit_instruction_info = vmx_instruction_information(cpu, cpu->current, INFORMATION_MEMORY, 0);
	vm_exit(cpu, restore ? REASON_XRSTORS : REASON_XSAVES, vmx_displacement(cpu, cpu->current),
		"XSS-exiting bitmap");
}

/* IX-06 */
static bool
io_bitmap_hit(struct vcpu *cpu, u16 port, unsigned size)
{
	const struct vmcs *v = vmx_vmcs(cpu);

	for (unsigned i = 0; i < size; i++) {
		unsigned p = port + i;
		u64 bitmap = p & 0x8000 ? v->io_bitmap_b : v->io_bitmap_a;

		if (p > 0xffff || (phys_read(cpu, bitmap + (p & 0x7fff) / 8, 1) >> (p & 7) & 1))
			return true;
	}
	return false;
}

/* IN and OUT with the port in the instruction: E4 to E7. */
static bool
port_is_immediate(const struct insn *in)
{
	const char *opcode = insn_rows[in->op].opcode;

	return opcode[0] == 'E' && opcode[1] >= '4' && opcode[1] <= '7';
}

void
vmx_intercept_io(struct vcpu *cpu, u16 port, unsigned size, bool in, bool string, bool rep, u64 linear)
{
	struct vmx *vmx = cpu->vmx;
	u64 qualification = (size - 1) | (u64)in << 3 | (u64)string << 4 | (u64)rep << 5 | (u64)port << 16;
	const char *because = "I/O bitmap";

	if (PROC_ON(vmx, IO_BITMAPS)) {
		if (!io_bitmap_hit(cpu, port, size))
			return;
		if (port + size > 0x10000)
			because = "the ports wrap around";
	} else if (PROC_ON(vmx, UNCONDITIONAL_IO_EXITING)) {
		because = "PROC UNCONDITIONAL_IO_EXITING";
	} else {
		return;
	}
	if (string) {
		vmx->vmcs.guest_linear_address = linear;
		if (cpu->current && VMX_ALLOWED(&vmx->cap, BASIC, IO_INFORMATION))
			vmx->vmcs.exit_instruction_info = vmx_string_information(cpu->current);
	} else if (cpu->current && port_is_immediate(cpu->current)) {
		qualification |= BIT(6);
	}
	vm_exit(cpu, REASON_IO_INSTRUCTION, qualification, because);
}

/* IX-07 */
void
vmx_intercept_msr(struct vcpu *cpu, u32 address, bool write)
{
	struct vmx *vmx = cpu->vmx;
	const char *because = "MSR bitmap";
	u64 bitmap = vmx->vmcs.msr_bitmap + (write ? 0x800 : 0);

	if (!PROC_ON(vmx, MSR_BITMAPS)) {
		because = "no MSR bitmap";
	} else if (address <= 0x1fff || (address >= 0xc0000000 && address <= 0xc0001fff)) {
		u64 byte = bitmap + (address >> 31 ? 0x400 : 0) + (address & 0x1fff) / 8;

		if (!(phys_read(cpu, byte, 1) >> (address & 7) & 1))
			return;
	} else {
		because = "MSR outside the bitmap";
	}
	vm_exit(cpu, write ? REASON_MSR_WRITE : REASON_MSR_READ, 0, because);
}

enum cr_access { CR_WRITE, CR_READ, CR_CLTS, CR_LMSW };

static _Noreturn void
cr_exit(struct vcpu *cpu, enum cr_access access, unsigned cr, unsigned gpr, const char *because)
{
	vm_exit(cpu, REASON_CR_ACCESS, cr | (u64)access << 4 | (u64)gpr << 8, because);
}

/* IX-04 */
static bool
is_cr3_target(const struct vmcs *v, u64 value)
{
	const u64 target[CR3_TARGETS] = {v->cr3_target_0, v->cr3_target_1, v->cr3_target_2, v->cr3_target_3};

	for (unsigned i = 0; i < v->cr3_target_count && i < CR3_TARGETS; i++)
		if (target[i] == value)
			return true;
	return false;
}

u64
vmx_intercept_cr_write(struct vcpu *cpu, unsigned cr, u64 value, unsigned gpr)
{
	const struct vmx *vmx = cpu->vmx;
	const struct vmcs *v = &vmx->vmcs;

	switch (cr) {
	case 0:
		if ((value ^ v->cr0_read_shadow) & v->cr0_mask)
			cr_exit(cpu, CR_WRITE, 0, gpr, "CR0 guest/host mask");
		return (cpu->cr0 & v->cr0_mask) | (value & ~v->cr0_mask); /* NR-02 */
	case 3:
		if (PROC_ON(vmx, CR3_LOAD_EXITING) && !is_cr3_target(v, value))
			cr_exit(cpu, CR_WRITE, 3, gpr, "PROC CR3_LOAD_EXITING");
		return value;
	case 4:
		if ((value ^ v->cr4_read_shadow) & v->cr4_mask)
			cr_exit(cpu, CR_WRITE, 4, gpr, "CR4 guest/host mask");
		return (cpu->cr4 & v->cr4_mask) | (value & ~v->cr4_mask);
	case 8:
		if (PROC_ON(vmx, CR8_LOAD_EXITING))
			cr_exit(cpu, CR_WRITE, 8, gpr, "PROC CR8_LOAD_EXITING");
		return value;
	default:
		return value;
	}
}

u64
vmx_intercept_cr_read(struct vcpu *cpu, unsigned cr, u64 value, unsigned gpr)
{
	const struct vmx *vmx = cpu->vmx;
	const struct vmcs *v = &vmx->vmcs;

	switch (cr) {
	case 0:
		return (value & ~v->cr0_mask) | (v->cr0_read_shadow & v->cr0_mask); /* NR-01 */
	case 3:
		if (PROC_ON(vmx, CR3_STORE_EXITING))
			cr_exit(cpu, CR_READ, 3, gpr, "PROC CR3_STORE_EXITING");
		return value;
	case 4:
		return (value & ~v->cr4_mask) | (v->cr4_read_shadow & v->cr4_mask);
	case 8:
		if (PROC_ON(vmx, CR8_STORE_EXITING))
			cr_exit(cpu, CR_READ, 8, gpr, "PROC CR8_STORE_EXITING");
		return value;
	default:
		return value;
	}
}

/* IX-01, NR-06 */
void
vmx_intercept_clts(struct vcpu *cpu)
{
	const struct vmcs *v = vmx_vmcs(cpu);

	if (v->cr0_mask & v->cr0_read_shadow & CR0_TS)
		cr_exit(cpu, CR_CLTS, 0, 0, "CR0 guest/host mask");
}

bool
vmx_clts_ignored(struct vcpu *cpu)
{
	const struct vmcs *v = vmx_vmcs(cpu);

	return (v->cr0_mask & ~v->cr0_read_shadow) & CR0_TS;
}

/* IX-02, NR-07 */
u64
vmx_intercept_lmsw(struct vcpu *cpu, u16 source, bool memory, u64 linear)
{
	struct vmcs *v = &cpu->vmx->vmcs;
	u64 loaded = CR0_MP | CR0_EM | CR0_TS, mask;
	u64 differs = (source ^ v->cr0_read_shadow) & v->cr0_mask;

	if ((differs & loaded) || (differs & source & CR0_PE)) {
		if (memory)
			v->guest_linear_address = linear;
		vm_exit(cpu, REASON_CR_ACCESS, (u64)CR_LMSW << 4 | (u64)memory << 6 | (u64)source << 16,
			"CR0 guest/host mask");
	}
	mask = (loaded | (source & CR0_PE)) & ~v->cr0_mask;
	return (cpu->cr0 & ~mask) | (source & mask);
}

void
vmx_intercept_dr(struct vcpu *cpu, unsigned dr, bool write, unsigned gpr)
{
	if (PROC_ON(cpu->vmx, MOV_DR_EXITING))
		vm_exit(cpu, REASON_DR_ACCESS, (dr & 7) | (write ? 0 : BIT(4)) | (u64)gpr << 8, "PROC MOV_DR_EXITING");
}

void
vmx_intercept_task_switch(struct vcpu *cpu, u16 selector, unsigned source)
{
	vm_exit(cpu, REASON_TASK_SWITCH, selector | (u64)source << 30, "always");
}

/* NR-29 */
static bool
exception_exits(const struct vmcs *v, const struct event_info *event)
{
	bool bit = v->exception_bitmap >> event->vector & 1;

	if (event->vector != VECTOR_PF)
		return bit;
	return bit == ((event->error & v->pf_error_mask) == v->pf_error_match);
}

/* DR6 bits that the qualification of a debug exception shows: B3:0, BD, BS. */
#define DEBUG_QUALIFICATION 0x600full

static u64
exception_qualification(const struct vcpu *cpu, const struct event_info *event)
{
	if (event->type != EVENT_HARDWARE_EXCEPTION)
		return 0;
	if (event->vector == VECTOR_PF)
		return cpu->long64 ? event->cr2 : (u32)event->cr2;
	return event->vector == VECTOR_DB ? event->cr2 & DEBUG_QUALIFICATION : 0;
}

/* IF-05: the IRET that faults has already removed NMI blocking. */
static u32
nmi_unblocking(const struct vcpu *cpu, const struct event_info *event)
{
	if (!cpu->iret_unblocks_nmi || event->vector == VECTOR_DF || cpu->is_delivering)
		return 0;
	return INFO_NMI_UNBLOCKING;
}

void
vmx_intercept_event(struct vcpu *cpu, const struct event_info *event)
{
	struct vmx *vmx = cpu->vmx;
	struct vmcs *v = &vmx->vmcs;
	bool software = event->type == EVENT_SOFTWARE_EXCEPTION || event->type == EVENT_PRIVILEGED_SOFTWARE;

	/* A delivery counts as the instruction that the monitor trap flag waits for. */
	if (vmx->mtf == MTF_ARMED)
		vmx->mtf = MTF_PENDING;
	if (event->type != EVENT_HARDWARE_EXCEPTION && !software)
		return;
	if (event->vector > 31 || !exception_exits(v, event))
		return;
	vmx->exiting = event;
	vmx->interruption_info = (u32)(INFO_VALID | event->vector | (u32)event->type << 8) | nmi_unblocking(cpu, event);
	if (event->has_error && cpu_protected(cpu)) {
		vmx->interruption_info |= INFO_ERROR_CODE;
		vmx->interruption_error = event->error;
	}
	if (software)
		v->exit_instruction_length = event->insn_len;
	/* IF-07: a double fault that exits itself is not reported as happening during a delivery. */
	vmx->no_idt_vectoring = event->vector == VECTOR_DF;
	vm_exit(cpu, REASON_EXCEPTION_NMI, exception_qualification(cpu, event), "exception bitmap");
}

void
vmx_intercept_triple_fault(struct vcpu *cpu)
{
	cpu->vmx->no_idt_vectoring = true;
	vm_exit(cpu, REASON_TRIPLE_FAULT, 0, "always");
}

void
vmx_intercept_init(struct vcpu *cpu)
{
	vm_exit(cpu, REASON_INIT_SIGNAL, 0, "always");
}

void
vmx_intercept_sipi(struct vcpu *cpu, u8 vector)
{
	if (cpu->activity == ACTIVITY_WAIT_SIPI)
		vm_exit(cpu, REASON_SIPI_SIGNAL, vector, "always");
}

bool
vmx_intercept_nmi(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (!PIN_ON(vmx, NMI_EXITING)) {
		if (vmx->mtf == MTF_ARMED)
			vmx->mtf = MTF_PENDING;
		return true;
	}
	cpu->pending &= ~PEND_NMI;
	vmx->interruption_info = (u32)(INFO_VALID | VECTOR_NMI | EVENT_NMI << 8);
	vm_exit(cpu, REASON_EXCEPTION_NMI, 0, "PIN NMI_EXITING");
}

bool
vmx_nmi_regardless_of_blocking(const struct vcpu *cpu)
{
	return PIN_ON(cpu->vmx, VIRTUAL_NMIS);
}

bool
vmx_interrupt_regardless_of_if(struct vcpu *cpu)
{
	return PIN_ON(cpu->vmx, EXTERNAL_INTERRUPT_EXITING);
}

bool
vmx_intercept_interrupt(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	u8 vector;

	/* INJ-21, INJ-22 */
	if (cpu->activity == ACTIVITY_SHUTDOWN || cpu->activity == ACTIVITY_WAIT_SIPI)
		return false;
	if (!PIN_ON(vmx, EXTERNAL_INTERRUPT_EXITING))
		return true;
	/* EV-08: as natively, although the manual leaves it open. */
	if (cpu->shadow & (SHADOW_STI | SHADOW_MOV_SS))
		return false;
	if (PIN_ON(vmx, POSTED_INTERRUPTS) || EXIT_ON(vmx, ACKNOWLEDGE_INTERRUPT)) {
		vector = lapic_acknowledge(cpu);
		if (PIN_ON(vmx, POSTED_INTERRUPTS) && vmx_posted_interrupt(cpu, vector)) {
			vmx_boundary(cpu, false);
			return false;
		}
		vmx->interruption_info = (u32)(INFO_VALID | vector | EVENT_EXTERNAL << 8);
	}
	vm_exit(cpu, REASON_EXTERNAL_INTERRUPT, 0, "PIN EXTERNAL_INTERRUPT_EXITING");
}

/* IX-09, NR-20 */
void
vmx_pause(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;
	u64 now;

	if (PROC_ON(vmx, PAUSE_EXITING))
		vm_exit(cpu, REASON_PAUSE_INSTRUCTION, 0, "PROC PAUSE_EXITING");
	if (!SEC_ON(vmx, PAUSE_LOOP_EXITING) || cpu->cpl != 0)
		return;
	now = cpu_time(cpu) + cpu->msr.tsc_offset;
	if (now - vmx->ple_last > vmx->vmcs.ple_gap)
		vmx->ple_first = now;
	else if (now - vmx->ple_first > vmx->vmcs.ple_window)
		vm_exit(cpu, REASON_PAUSE_INSTRUCTION, 0, "SEC PAUSE_LOOP_EXITING");
	vmx->ple_last = now;
}

bool
vmx_cr0_refused(const struct vcpu *cpu, u64 cr0)
{
	u64 fixed = CR0_FIXED0;

	if (!vmx_operation(cpu))
		return false;
	if (cpu->nonroot && SEC_ON(cpu->vmx, UNRESTRICTED_GUEST))
		fixed &= ~(CR0_PE | CR0_PG);
	return (cr0 & fixed) != fixed;
}

bool
vmx_cr4_refused(const struct vcpu *cpu, u64 cr4)
{
	return vmx_operation(cpu) && !(cr4 & CR4_VMXE);
}

bool
vmx_insn_enabled(const struct vcpu *cpu, enum vmx_insn insn)
{
	const struct vmx *vmx = cpu->vmx;

	if (!cpu->nonroot)
		return true;
	switch (insn) {
	case VMX_INSN_RDTSCP:
		return SEC_ON(vmx, ENABLE_RDTSCP);
	case VMX_INSN_INVPCID:
		return SEC_ON(vmx, ENABLE_INVPCID);
	case VMX_INSN_XSAVES:
	case VMX_INSN_XRSTORS:
		return SEC_ON(vmx, ENABLE_XSAVES);
	default:
		return true;
	}
}

/* NR-17 */
u64
vmx_guest_tsc(const struct vcpu *cpu, u64 tsc)
{
	const struct vmx *vmx = cpu->vmx;

	if (!cpu->nonroot || !PROC_ON(vmx, TSC_OFFSETTING))
		return tsc;
	if (SEC_ON(vmx, TSC_SCALING))
		tsc = (u64)((u128)tsc * vmx->vmcs.tsc_multiplier >> 48);
	return tsc + vmx->vmcs.tsc_offset;
}

u16
vmx_vpid(const struct vcpu *cpu)
{
	return cpu->nonroot && SEC_ON(cpu->vmx, ENABLE_VPID) ? cpu->vmx->vmcs.vpid : 0;
}

u64
vmx_eptp(const struct vcpu *cpu)
{
	return cpu->nonroot ? cpu->vmx->eptp_tag : 0;
}

bool
vmx_ept_enabled(const struct vcpu *cpu)
{
	return cpu->nonroot && SEC_ON(cpu->vmx, ENABLE_EPT);
}
