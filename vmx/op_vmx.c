/*
 * VMX instructions. SDM 3, "VMX Instruction Reference"; rules INS-xx and INV-xx.
 * Not modelled: SMX, and the dual-monitor treatment of SMIs (VMCALL in root operation always fails with error 1).
 */
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/hooks.h"
#include "cpu/flags.h"
#include "cpu/tlb.h"
#include "cpu/vcpu.h"
#include "vmx/vmx.h"

static void
succeed(struct vcpu *cpu)
{
	cc_set_raw(cpu, 0);
}

static void
fail_invalid(struct vcpu *cpu)
{
	cc_set_raw(cpu, FLAG_CF);
}

/* VMfail: with a current VMCS the error number goes there. */
static void
fail(struct vcpu *cpu, enum vm_error error)
{
	struct vmx *vmx = cpu->vmx;

	if (vmx->current == NO_VMCS) {
		fail_invalid(cpu);
		return;
	}
	vmx->vmcs.vm_instruction_error = error;
	cc_set_raw(cpu, FLAG_ZF);
}

static bool
bad_mode(const struct vcpu *cpu)
{
	return !cpu_protected(cpu) || cpu_vm86(cpu) || ((cpu->efer & EFER_LMA) && !cpu->long64);
}

static void
check_cpl(struct vcpu *cpu)
{
	if (cpu->cpl != 0)
		raise_gp(cpu, 0);
}

/* What all but VMXON, VMCALL and VMFUNC begin with: #UD, VM exit, #GP(0), in this order. */
static void
check_common(struct vcpu *cpu, enum vmx_insn insn)
{
	if (!vmx_operation(cpu) || bad_mode(cpu))
		raise_ud(cpu);
	if (cpu->nonroot)
		vmx_intercept_insn(cpu, insn);
	check_cpl(cpu);
	cpu->stats.vmx_insns[insn] += !cpu->nonroot;
}

static u64
read_pointer(struct vcpu *cpu, const struct insn *in)
{
	return mem_read(cpu, insn_linear(cpu, in, 8, ACCESS_READ), 8);
}

static unsigned
operand_size(const struct vcpu *cpu)
{
	return cpu->long64 ? 8 : 4;
}

void
op_vmxon(struct vcpu *cpu, const struct insn *in)
{
	struct vmx *vmx = cpu->vmx;
	u64 pointer, enabled = IA32_FEATURE_CONTROL_LOCK | IA32_FEATURE_CONTROL_VMX;
	u32 revision;

	if (!(cpu->cr4 & CR4_VMXE) || bad_mode(cpu))
		raise_ud(cpu);
	if (cpu->nonroot)
		vmx_intercept_insn(cpu, VMX_INSN_VMXON);
	check_cpl(cpu);
	if (vmx->operation) {
		fail(cpu, VM_ERROR_VMXON_IN_ROOT);
		return;
	}
	if (cpu->physical_mask != ~0ull || (cpu->cr0 & CR0_FIXED0) != CR0_FIXED0 || (cpu->cr4 & ~vmx->cr4_fixed1) ||
	    (cpu->msr.feature_control & enabled) != enabled)
		raise_gp(cpu, 0);
	pointer = read_pointer(cpu, in);
	if (!vmx_page_address(cpu, pointer)) {
		fail_invalid(cpu);
		return;
	}
	revision = (u32)phys_read(cpu, pointer, 4);
	if (revision != VMCS_REVISION) {
		fail_invalid(cpu);
		return;
	}
	vmx->operation = true;
	cpu->monitor.armed = false;
	vmx->vmxon_pointer = pointer;
	vmx->current = NO_VMCS;
	tlb_address_mask_changed(cpu);
	succeed(cpu);
}

void
op_vmxoff(struct vcpu *cpu, const struct insn *in)
{
	struct vmx *vmx = cpu->vmx;

	(void)in;
	check_common(cpu, VMX_INSN_VMXOFF);
	vmx_store_current(vmx);
	vmx->operation = false;
	cpu->monitor.armed = false;
	vmx->vmxon_pointer = vmx->current = NO_VMCS;
	succeed(cpu);
	tlb_address_mask_changed(cpu);
	/* A latched INIT is taken now. */
	cpu_request(cpu, 0);
}

void
op_vmclear(struct vcpu *cpu, const struct insn *in)
{
	struct vmx *vmx = cpu->vmx;
	u64 address;

	check_common(cpu, VMX_INSN_VMCLEAR);
	address = read_pointer(cpu, in);
	if (!vmx_page_address(cpu, address)) {
		fail(cpu, VM_ERROR_VMCLEAR_ADDRESS);
		return;
	}
	if (address == vmx->vmxon_pointer) {
		fail(cpu, VM_ERROR_VMCLEAR_VMXON_POINTER);
		return;
	}
	if (address == vmx->current) {
		vmx_store_current(vmx);
		vmx->current = NO_VMCS;
	}
	phys_write(cpu, address + VMCS_REGION_LAUNCHED, 4, 0);
	succeed(cpu);
}

void
op_vmptrld(struct vcpu *cpu, const struct insn *in)
{
	struct vmx *vmx = cpu->vmx;
	u64 address;
	u32 revision;

	check_common(cpu, VMX_INSN_VMPTRLD);
	address = read_pointer(cpu, in);
	if (!vmx_page_address(cpu, address)) {
		fail(cpu, VM_ERROR_VMPTRLD_ADDRESS);
		return;
	}
	if (address == vmx->vmxon_pointer) {
		fail(cpu, VM_ERROR_VMPTRLD_VMXON_POINTER);
		return;
	}
	revision = (u32)phys_read(cpu, address, 4);
	if (VMX_ALLOWED(&vmx->cap, SEC, VMCS_SHADOWING))
		revision &= ~VMCS_SHADOW;
	if (revision != VMCS_REVISION) {
		fail(cpu, VM_ERROR_VMPTRLD_REVISION);
		return;
	}
	if (address != vmx->current) {
		vmx_store_current(vmx);
		vmx_load_current(vmx, address);
	}
	succeed(cpu);
}

void
op_vmptrst(struct vcpu *cpu, const struct insn *in)
{
	check_common(cpu, VMX_INSN_VMPTRST);
	mem_write(cpu, insn_linear(cpu, in, 8, ACCESS_WRITE), 8, cpu->vmx->current);
	succeed(cpu);
}

/*
 * INS-06, INS-07: does VMREAD or VMWRITE of `encoding` in non-root operation go to the shadow VMCS? If not it has exited.
 */
static void
intercept_field(struct vcpu *cpu, u64 encoding, bool write)
{
	struct vmx *vmx = cpu->vmx;
	u64 bitmap = write ? vmx->vmcs.vmwrite_bitmap : vmx->vmcs.vmread_bitmap;

	enum vmx_insn insn = write ? VMX_INSN_VMWRITE : VMX_INSN_VMREAD;

	if (!SEC_ON(vmx, VMCS_SHADOWING))
		vmx_exit_insn(cpu, insn, "always without VMCS shadowing");
	if (encoding >> 15 != 0)
		vmx_exit_insn(cpu, insn, "the encoding is beyond the bitmap");
	if (phys_read(cpu, bitmap + encoding / 8, 1) >> (encoding & 7) & 1)
		vmx_exit_insn(cpu, insn, write ? "VMWRITE bitmap" : "VMREAD bitmap");
}

/* The part of VMREAD and VMWRITE before the operands count. The register that holds the encoding is rd. */
static u64
begin_field_access(struct vcpu *cpu, const struct insn *in, bool write)
{
	u64 encoding = reg_get(cpu, in->rd, operand_size(cpu));

	if (!vmx_operation(cpu) || bad_mode(cpu))
		raise_ud(cpu);
	if (cpu->nonroot)
		intercept_field(cpu, encoding, write);
	check_cpl(cpu);
	cpu->stats.vmx_insns[write ? VMX_INSN_VMWRITE : VMX_INSN_VMREAD] += !cpu->nonroot;
	return encoding;
}

/* The VMCS that VMREAD and VMWRITE work on: false if there is none. */
static bool
accessed_vmcs(const struct vcpu *cpu, u64 *region)
{
	*region = cpu->nonroot ? cpu->vmx->vmcs.vmcs_link_pointer : cpu->vmx->current;
	return *region != NO_VMCS;
}

void
op_vmread(struct vcpu *cpu, const struct insn *in)
{
	struct vmx *vmx = cpu->vmx;
	u64 encoding = begin_field_access(cpu, in, false), region, value;
	const struct vmcs_field *field;

	if (!accessed_vmcs(cpu, &region)) {
		fail_invalid(cpu);
		return;
	}
	field = vmcs_lookup(&vmx->cap, encoding);
	if (!field) {
		fail(cpu, VM_ERROR_UNSUPPORTED_COMPONENT);
		return;
	}
	if (!cpu->nonroot)
		value = vmcs_get(&vmx->vmcs, field, encoding);
	else if (encoding & 1)
		value = phys_read(cpu, region + VMCS_REGION_FIELDS + field->offset + 4, 4);
	else
		value = phys_read(cpu, region + VMCS_REGION_FIELDS + field->offset, field->size);
	rm_write(cpu, in, operand_size(cpu), value);
	succeed(cpu);
}

void
op_vmwrite(struct vcpu *cpu, const struct insn *in)
{
	struct vmx *vmx = cpu->vmx;
	u64 encoding = begin_field_access(cpu, in, true), region, value;
	const struct vmcs_field *field;

	if (!accessed_vmcs(cpu, &region)) {
		fail_invalid(cpu);
		return;
	}
	value = rm_read(cpu, in, operand_size(cpu));
	field = vmcs_lookup(&vmx->cap, encoding);
	if (!field) {
		fail(cpu, VM_ERROR_UNSUPPORTED_COMPONENT);
		return;
	}
	if (vmcs_type(encoding) == VMCS_READ_ONLY && !VMX_ALLOWED(&vmx->cap, MISC, VMWRITE_READ_ONLY)) {
		fail(cpu, VM_ERROR_READ_ONLY_COMPONENT);
		return;
	}
	if (unlikely(cpu->hooks) && !cpu->nonroot)
		cpu->hooks->vmwrite(cpu->hooks->opaque, cpu, encoding, value);
	if (!cpu->nonroot)
		vmcs_set(&vmx->vmcs, field, encoding, value);
	else if (encoding & 1)
		phys_write(cpu, region + VMCS_REGION_FIELDS + field->offset + 4, 4, (u32)value);
	else
		phys_write(cpu, region + VMCS_REGION_FIELDS + field->offset, field->size, value);
	succeed(cpu);
}

/* INS-08 */
static void
enter(struct vcpu *cpu, bool launch)
{
	struct vmx *vmx = cpu->vmx;

	check_common(cpu, launch ? VMX_INSN_VMLAUNCH : VMX_INSN_VMRESUME);
	if (vmx->current == NO_VMCS || vmx->shadow)
		fail_invalid(cpu);
	else if (cpu->shadow & SHADOW_MOV_SS)
		fail(cpu, VM_ERROR_ENTRY_MOV_SS);
	else if (launch && vmx->launched)
		fail(cpu, VM_ERROR_VMLAUNCH_NOT_CLEAR);
	else if (!launch && !vmx->launched)
		fail(cpu, VM_ERROR_VMRESUME_NOT_LAUNCHED);
	else
		fail(cpu, vmx_enter(cpu));
}

void
op_vmlaunch(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	enter(cpu, true);
}

void
op_vmresume(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	enter(cpu, false);
}

/* INS-09 */
void
op_vmcall(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	if (!vmx_operation(cpu))
		raise_ud(cpu);
	if (cpu->nonroot)
		vmx_intercept_insn(cpu, VMX_INSN_VMCALL);
	if (bad_mode(cpu))
		raise_ud(cpu);
	check_cpl(cpu);
	fail(cpu, VM_ERROR_VMCALL_IN_ROOT);
}

struct descriptor128 {
	u64 low, high;
};

static struct descriptor128
read_descriptor(struct vcpu *cpu, const struct insn *in)
{
	u64 linear = insn_linear(cpu, in, 16, ACCESS_READ);
	struct descriptor128 d;

	mem_read_bytes(cpu, linear, &d, sizeof(d));
	return d;
}

enum { INVEPT_SINGLE = 1, INVEPT_ALL = 2 };
enum { INVVPID_ADDRESS, INVVPID_SINGLE, INVVPID_ALL, INVVPID_SINGLE_GLOBALS };

void
op_invept(struct vcpu *cpu, const struct insn *in)
{
	const struct vmx_capability *cap = &cpu->vmx->cap;
	struct descriptor128 d;
	u64 type;

	if (!VMX_ALLOWED(cap, EPTCAP, INVEPT)) /* CAP-32 */
		raise_ud(cpu);
	check_common(cpu, VMX_INSN_INVEPT);
	type = reg_get(cpu, in->rd, operand_size(cpu));
	if (!((type == INVEPT_SINGLE && VMX_ALLOWED(cap, EPTCAP, INVEPT_SINGLE)) ||
	      (type == INVEPT_ALL && VMX_ALLOWED(cap, EPTCAP, INVEPT_ALL)))) {
		fail(cpu, VM_ERROR_INVALIDATION_OPERAND); /* INV-02 */
		return;
	}
	d = read_descriptor(cpu, in);
	if (type == INVEPT_SINGLE && !vmx_eptp_valid(cpu, d.low)) {
		fail(cpu, VM_ERROR_INVALIDATION_OPERAND); /* INV-03 */
		return;
	}
	cpu->stats.invept[type]++;
	if (type == INVEPT_SINGLE)
		tlb_flush_ept(cpu, BITS(d.low, 51, 12));
	else
		tlb_flush_ept_all(cpu);
	succeed(cpu);
}

void
op_invvpid(struct vcpu *cpu, const struct insn *in)
{
	const struct vmx_capability *cap = &cpu->vmx->cap;
	struct descriptor128 d;
	u64 type;

	if (!VMX_ALLOWED(cap, EPTCAP, INVVPID))
		raise_ud(cpu);
	check_common(cpu, VMX_INSN_INVVPID);
	type = reg_get(cpu, in->rd, operand_size(cpu));
	/* The capability bits of the four types follow each other. */
	if (type > INVVPID_SINGLE_GLOBALS || !(cap->allowed[VMX_EPTCAP] & VMX_MASK(EPTCAP, INVVPID_ADDRESS) << type)) {
		fail(cpu, VM_ERROR_INVALIDATION_OPERAND); /* INV-04 */
		return;
	}
	d = read_descriptor(cpu, in);
	/* INV-05, INV-06, INV-07 */
	if (d.low >> 16 || (type != INVVPID_ALL && d.low == 0) ||
	    (type == INVVPID_ADDRESS && !vmx_canonical(cpu, d.high))) {
		fail(cpu, VM_ERROR_INVALIDATION_OPERAND);
		return;
	}
	cpu->stats.invvpid[type]++;
	if (type == INVVPID_ADDRESS)
		tlb_flush_vpid_page(cpu, (u16)d.low, d.high);
	else if (type == INVVPID_ALL)
		tlb_flush_vpid_all(cpu);
	else
		tlb_flush_vpid(cpu, (u16)d.low);
	succeed(cpu);
}
