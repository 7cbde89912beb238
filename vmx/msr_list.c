/* The MSR-load and MSR-store areas. SDM 3, "Loading MSRs" (VM entries, VM exits) and "Saving MSRs"; rule XL-02. */
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

/* NULL when nothing but WRMSR itself can refuse the entry. */
static const char *
refusal(const struct msr_entry *entry)
{
	if (entry->reserved)
		return "bits 63:32 are 0";
	if (is_x2apic(entry->index))
		return "the MSR is not of the x2APIC (800H to 8FFH)";
	switch (entry->index) {
	case IA32_FS_BASE:
	case IA32_GS_BASE:
		return "the MSR is not the base of FS or GS";
	case IA32_SMM_MONITOR_CTL:
		return "the MSR is not IA32_SMM_MONITOR_CTL";
	case IA32_BIOS_UPDT_TRIG:
	case IA32_BIOS_SIGN_ID:
		return "the MSR does not update microcode";
	default:
		return NULL;
	}
}

static bool
load_one(struct vcpu *cpu, const struct msr_entry *entry)
{
	return !refusal(entry) && msr_write(cpu, entry->index, entry->value);
}

const char *
vmx_msr_load_refusal(struct vcpu *cpu, u64 address, unsigned entry)
{
	struct msr_entry e = read_entry(cpu, address);
	const char *why = entry > MSR_LIST_MAX ? "the list is within the recommended maximum" : refusal(&e);

	return why ? why : "WRMSR of the value does not fault";
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
