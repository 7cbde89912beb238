/* The MSR-load and MSR-store areas. SDM 3, "Loading MSRs" (VM entries, VM exits) and "Saving MSRs"; VMX.md 3.6, 5.3, XL-02. */
#include "cpu/access.h"
#include "cpu/msr.h"
#include "vmx/vmx.h"

#define IA32_SMM_MONITOR_CTL 0x9b
#define IA32_SMBASE 0x9e
#define IA32_BIOS_UPDT_TRIG 0x79
#define IA32_BIOS_SIGN_ID 0x8b
#define IA32_FS_BASE 0xc0000100
#define IA32_GS_BASE 0xc0000101

struct msr_entry {
	u32 index, reserved;
	u64 value;
};

static struct msr_entry
read_entry(struct vcpu *cpu, u64 address)
{
	u64 low = phys_read(cpu, address, 8);

	return (struct msr_entry){(u32)low, (u32)(low >> 32), phys_read(cpu, address + 8, 8)};
}

/* The x2APIC range may not be touched by lists at all. */
static bool
is_x2apic(u32 index)
{
	return index >> 8 == 8;
}

static bool
load_one(struct vcpu *cpu, const struct msr_entry *entry)
{
	if (entry->reserved || is_x2apic(entry->index))
		return false;
	switch (entry->index) {
	case IA32_FS_BASE:
	case IA32_GS_BASE:
	case IA32_SMM_MONITOR_CTL:
	case IA32_BIOS_UPDT_TRIG:
	case IA32_BIOS_SIGN_ID:
		return false;
	default:
		return msr_write(cpu, entry->index, entry->value);
	}
}

unsigned
vmx_msr_load(struct vcpu *cpu, u64 address, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		struct msr_entry entry = read_entry(cpu, address + 16ull * i);

		/* Beyond the recommended maximum the manual promises nothing: fail there, which also bounds the loop. */
		if (i >= MSR_LIST_MAX || !load_one(cpu, &entry))
			return i + 1;
	}
	return 0;
}

unsigned
vmx_msr_store(struct vcpu *cpu, u64 address, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		struct msr_entry entry = read_entry(cpu, address + 16ull * i);
		u64 value;

		if (i >= MSR_LIST_MAX || entry.reserved || is_x2apic(entry.index) || entry.index == IA32_SMBASE ||
		    !msr_read(cpu, entry.index, &value))
			return i + 1;
		phys_write(cpu, address + 16ull * i + 8, 8, value);
	}
	return 0;
}
