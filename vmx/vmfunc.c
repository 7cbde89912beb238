/* VMFUNC. SDM 3, "VM Functions"; rules INS-11 and NR-76. */
#include "cpu/access.h"
#include "cpu/fault.h"
#include "cpu/insn.h"
#include "cpu/tlb.h"
#include "vmx/vmx.h"

#define EPTP_LIST_ENTRIES 512

/* NULL when done, or what the function fails by. */
static const char *
switch_eptp(struct vcpu *cpu, u32 index)
{
	struct vmcs *v = &cpu->vmx->vmcs;
	u64 eptp;

	if (index >= EPTP_LIST_ENTRIES)
		return "ECX is beyond the EPTP list";
	eptp = phys_read(cpu, v->eptp_list_address + 8ull * index, 8);
	if (!vmx_eptp_valid(cpu, eptp))
		return "EPTP list";
	v->eptp = eptp;
	if (VMX_ALLOWED(&cpu->vmx->cap, SEC, EPT_VIOLATION_VE))
		v->eptp_index = (u16)index;
	vmx_select_eptp(cpu);
	tlb_select(cpu);
	return NULL;
}

void
op_vmfunc(struct vcpu *cpu, const struct insn *in)
{
	u32 function = (u32)cpu->r[RAX];
	const char *failure = "VM-function controls";

	(void)in;
	if (!cpu->nonroot || !SEC_ON(cpu->vmx, ENABLE_VMFUNC) || function >= 64)
		raise_ud(cpu);
	if (cpu->vmx->vmcs.vm_function_controls & BIT(function))
		failure = switch_eptp(cpu, (u32)cpu->r[RCX]);
	if (failure)
		vm_exit(cpu, REASON_VMFUNC, 0, failure);
}
