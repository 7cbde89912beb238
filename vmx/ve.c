/* Virtualization exceptions. SDM 3, "Convertible EPT Violations" and "Virtualization-Exception Information"; rules NR-66 to NR-68. */
#include "cpu/access.h"
#include "vmx/vmx.h"

/* The information area */
#define VE_REASON 0x00
#define VE_BUSY 0x04 /* software clears it when it has read the rest */
#define VE_QUALIFICATION 0x08
#define VE_LINEAR 0x10
#define VE_PHYSICAL 0x18
#define VE_EPTP_INDEX 0x20

bool
vmx_convert_violation(struct vcpu *cpu, u64 qualification, u64 linear, u64 guest_physical)
{
	const struct vmcs *v = vmx_vmcs(cpu);
	u64 area = v->ve_information_address;

	if (!cpu_protected(cpu) || cpu->is_delivering || phys_read(cpu, area + VE_BUSY, 4) != 0)
		return false;
	phys_write(cpu, area + VE_REASON, 4, REASON_EPT_VIOLATION);
	phys_write(cpu, area + VE_BUSY, 4, 0xffffffff);
	phys_write(cpu, area + VE_QUALIFICATION, 8, qualification);
	phys_write(cpu, area + VE_LINEAR, 8, linear);
	phys_write(cpu, area + VE_PHYSICAL, 8, guest_physical);
	phys_write(cpu, area + VE_EPTP_INDEX, 2, v->eptp_index);
	return true;
}
