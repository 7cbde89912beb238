/* IA32_VMX_* computed from controls.def and the CPU model. SDM 3, Appendix A; rules CAP-xx of VMX.md. */
#include "vmx/capability.h"

#include <stdio.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "vmx/intercept.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

#define IA32_VMX_BASIC 0x480
#define BASIC_REGION_SIZE (4096ull << 32)
#define BASIC_WRITE_BACK (6ull << 50)
#define BASIC_IO_INFORMATION BIT(54)
#define BASIC_TRUE_CONTROLS BIT(55)

struct control {
	enum vmx_word word;
	u8 bit;
	bool emulated;
	const char *option, *text;
};

static const struct control controls[] = {
#define CTL(word, bit, name, emulated, option, text) {VMX_##word, bit, emulated, option, text},
#include "vmx/controls.def"
#undef CTL
};

/* One line of dependency: without all of `needs`, the controls in `mask` go. */
static bool
needs(struct vmx_capability *cap, enum vmx_word word, u64 mask, enum vmx_word needs_word, u64 needs_mask)
{
	u64 before = cap->allowed[word];

	if (!vmx_allowed(cap, needs_word, needs_mask))
		cap->allowed[word] &= ~mask;
	return cap->allowed[word] != before;
}
#define NEEDS(word, name, other, other_name)                                                                           \
	changed |= needs(cap, VMX_##word, VMX_MASK(word, name), VMX_##other, VMX_MASK(other, other_name))
#define NEEDS_EACH_OTHER(word, name, other, other_name)                                                                \
	NEEDS(word, name, other, other_name);                                                                          \
	NEEDS(other, other_name, word, name)

/* CAP-24 to CAP-27: what must not be offered without something else. */
static bool
drop_dependents(struct vmx_capability *cap)
{
	bool changed = false;

	if (!VMX_ALLOWED(cap, PROC, SECONDARY_CONTROLS) && cap->allowed[VMX_SEC]) {
		cap->allowed[VMX_SEC] = 0;
		changed = true;
	}
	NEEDS(PROC, NMI_WINDOW_EXITING, PIN, VIRTUAL_NMIS);
	NEEDS(PIN, VIRTUAL_NMIS, PIN, NMI_EXITING);
	NEEDS(SEC, UNRESTRICTED_GUEST, SEC, ENABLE_EPT);
	NEEDS(SEC, UNRESTRICTED_GUEST, MISC, STORE_LMA);
	NEEDS(SEC, ENABLE_PML, SEC, ENABLE_EPT);
	NEEDS(SEC, ENABLE_PML, EPTCAP, ACCESSED_DIRTY);
	NEEDS(SEC, MODE_BASED_EXECUTE, SEC, ENABLE_EPT);
	NEEDS(SEC, EPT_VIOLATION_VE, SEC, ENABLE_EPT);
	NEEDS(SEC, VIRTUALIZE_X2APIC_MODE, PROC, TPR_SHADOW);
	NEEDS(SEC, APIC_REGISTER_VIRTUALIZATION, PROC, TPR_SHADOW);
	NEEDS(SEC, VIRTUAL_INTERRUPT_DELIVERY, PROC, TPR_SHADOW);
	NEEDS(SEC, VIRTUAL_INTERRUPT_DELIVERY, PIN, EXTERNAL_INTERRUPT_EXITING);
	NEEDS(PIN, POSTED_INTERRUPTS, SEC, VIRTUAL_INTERRUPT_DELIVERY);
	NEEDS(PIN, POSTED_INTERRUPTS, EXIT, ACKNOWLEDGE_INTERRUPT);
	NEEDS(EXIT, SAVE_PREEMPTION_TIMER, PIN, PREEMPTION_TIMER);
	NEEDS(VMFUNC, EPTP_SWITCHING, SEC, ENABLE_EPT);
	NEEDS(SEC, ENABLE_VMFUNC, VMFUNC, EPTP_SWITCHING);
	NEEDS(VMFUNC, EPTP_SWITCHING, SEC, ENABLE_VMFUNC);
	NEEDS_EACH_OTHER(ENTRY, LOAD_PERF_GLOBAL_CTRL, EXIT, LOAD_PERF_GLOBAL_CTRL);
	NEEDS_EACH_OTHER(ENTRY, LOAD_PAT, EXIT, LOAD_PAT);
	NEEDS(EXIT, SAVE_PAT, EXIT, LOAD_PAT);
	NEEDS_EACH_OTHER(ENTRY, LOAD_EFER, EXIT, LOAD_EFER);
	NEEDS(EXIT, SAVE_EFER, EXIT, LOAD_EFER);
	NEEDS(SEC, ENABLE_EPT, EPTCAP, WALK_4);
	NEEDS(EPTCAP, INVEPT, SEC, ENABLE_EPT);
	NEEDS(EPTCAP, INVEPT_SINGLE, EPTCAP, INVEPT);
	NEEDS(EPTCAP, INVEPT_ALL, EPTCAP, INVEPT);
	NEEDS(EPTCAP, INVVPID, SEC, ENABLE_VPID);
	NEEDS(EPTCAP, INVVPID_ADDRESS, EPTCAP, INVVPID);
	NEEDS(EPTCAP, INVVPID_SINGLE, EPTCAP, INVVPID);
	NEEDS(EPTCAP, INVVPID_ALL, EPTCAP, INVVPID);
	NEEDS(EPTCAP, INVVPID_SINGLE_GLOBALS, EPTCAP, INVVPID);
	if (!VMX_ALLOWED(cap, SEC, ENABLE_EPT) && (u32)cap->allowed[VMX_EPTCAP]) {
		cap->allowed[VMX_EPTCAP] &= ~0xffffffffull;
		changed = true;
	}
	return changed;
}

/* CAP-33: controls of instructions that the processor may not have. */
static u64
missing_instructions(const struct cpu_model *model)
{
	u64 missing = 0;

	if (!model->has[FEATURE_RDTSCP] && !model->has[FEATURE_RDPID])
		missing |= VMX_MASK(SEC, ENABLE_RDTSCP);
	if (!model->has[FEATURE_INVPCID])
		missing |= VMX_MASK(SEC, ENABLE_INVPCID);
	if (!model->has[FEATURE_XSAVES])
		missing |= VMX_MASK(SEC, ENABLE_XSAVES);
	if (!model->has[FEATURE_RDRAND])
		missing |= VMX_MASK(SEC, RDRAND_EXITING);
	if (!model->has[FEATURE_RDSEED])
		missing |= VMX_MASK(SEC, RDSEED_EXITING);
	if (!model->has[FEATURE_X2APIC])
		missing |= VMX_MASK(SEC, VIRTUALIZE_X2APIC_MODE);
	return missing;
}

#define TIMER_HZ_MAX (0xffffffffu / 10) /* Linux does not use a timer that runs for less than ten seconds */

void
vmx_capability_compute(const struct cpu_model *model, struct vmx_capability *cap)
{
	memset(cap, 0, sizeof(*cap));
	for (unsigned i = 0; i < COUNT(controls); i++)
		if (controls[i].emulated)
			cap->allowed[controls[i].word] |= BIT(controls[i].bit);
	for (unsigned word = 0; word < VMX_WORDS; word++)
		cap->allowed[word] &= ~model->vmx_disabled[word];
	cap->allowed[VMX_SEC] &= ~missing_instructions(model);
	while (drop_dependents(cap))
		;
	cap->timer_shift = 2;
	while (cap->timer_shift < 31 && model->hz >> cap->timer_shift > TIMER_HZ_MAX)
		cap->timer_shift++;
}

static u64
cr4_fixed1(const struct cpu_model *model)
{
	const struct {
		enum cpu_feature feature;
		u64 bits;
	} bit[] = {
		{FEATURE_VME, CR4_VME | CR4_PVI}, {FEATURE_TSC, CR4_TSD},           {FEATURE_DE, CR4_DE},
		{FEATURE_PSE, CR4_PSE},           {FEATURE_PAE, CR4_PAE},           {FEATURE_MCE, CR4_MCE},
		{FEATURE_PGE, CR4_PGE},           {FEATURE_BASE, CR4_PCE},          {FEATURE_FXSR, CR4_OSFXSR},
		{FEATURE_SSE, CR4_OSXMMEXCPT},    {FEATURE_UMIP, CR4_UMIP},         {FEATURE_LA57, CR4_LA57},
		{FEATURE_VMX, CR4_VMXE},          {FEATURE_FSGSBASE, CR4_FSGSBASE}, {FEATURE_PCID, CR4_PCIDE},
		{FEATURE_XSAVE, CR4_OSXSAVE},     {FEATURE_SMEP, CR4_SMEP},         {FEATURE_SMAP, CR4_SMAP},
		{FEATURE_PKU, CR4_PKE},
	};
	u64 fixed1 = 0;

	for (unsigned i = 0; i < COUNT(bit); i++)
		if (bit[i].feature == FEATURE_BASE || model->has[bit[i].feature])
			fixed1 |= bit[i].bits;
	return fixed1;
}

u64
vmx_cr4_fixed1(const struct vcpu *cpu)
{
	return cpu->vmx->cr4_fixed1;
}

void
vmx_capability_init(struct vmx *vmx, const struct cpu_model *model)
{
	vmx_capability_compute(model, &vmx->cap);
	vmx->cr4_fixed1 = cr4_fixed1(model);
}

/* CAP-20, CAP-21: allowed 0-settings below, allowed 1-settings above. */
static u64
control_msr(u64 allowed, u32 low, u32 default1)
{
	return (u64)((u32)allowed | default1) << 32 | low;
}

bool
vmx_capability_read(const struct vcpu *cpu, u32 address, u64 *value)
{
	const struct vmx_capability *cap;

	if (!cpu_has(cpu, FEATURE_VMX) || !cpu->vmx || address < IA32_VMX_BASIC || address > 0x491)
		return false;
	cap = &cpu->vmx->cap;
	switch (address) {
	case IA32_VMX_BASIC:
		*value = VMCS_REVISION | BASIC_REGION_SIZE | BASIC_WRITE_BACK | BASIC_IO_INFORMATION |
			 BASIC_TRUE_CONTROLS;
		return true;
	case 0x481:
	case 0x48d:
		*value = control_msr(cap->allowed[VMX_PIN], PIN_DEFAULT1, PIN_DEFAULT1);
		return true;
	case 0x482:
		*value = control_msr(cap->allowed[VMX_PROC], PROC_DEFAULT1, PROC_DEFAULT1);
		return true;
	case 0x48e:
		*value = control_msr(cap->allowed[VMX_PROC], PROC_DEFAULT1_TRUE, PROC_DEFAULT1);
		return true;
	case 0x483:
		*value = control_msr(cap->allowed[VMX_EXIT], EXIT_DEFAULT1, EXIT_DEFAULT1);
		return true;
	case 0x48f:
		*value = control_msr(cap->allowed[VMX_EXIT], EXIT_DEFAULT1_TRUE, EXIT_DEFAULT1);
		return true;
	case 0x484:
		*value = control_msr(cap->allowed[VMX_ENTRY], ENTRY_DEFAULT1, ENTRY_DEFAULT1);
		return true;
	case 0x490:
		*value = control_msr(cap->allowed[VMX_ENTRY], ENTRY_DEFAULT1_TRUE, ENTRY_DEFAULT1);
		return true;
	case 0x485:
		*value = cap->allowed[VMX_MISC] | cap->timer_shift | CR3_TARGETS << 16;
		return true;
	case 0x486:
		*value = CR0_FIXED0;
		return true;
	case 0x487:
		*value = 0xffffffff;
		return true;
	case 0x488:
		*value = CR4_FIXED0;
		return true;
	case 0x489:
		*value = cpu->vmx->cr4_fixed1;
		return true;
	case 0x48a:
		*value = vmcs_highest_index(cap) << 1;
		return true;
	case 0x48b:
		*value = cap->allowed[VMX_SEC] << 32;
		return VMX_ALLOWED(cap, PROC, SECONDARY_CONTROLS);
	case 0x48c:
		*value = cap->allowed[VMX_EPTCAP];
		return VMX_ALLOWED(cap, SEC, ENABLE_EPT) || VMX_ALLOWED(cap, SEC, ENABLE_VPID);
	default:
		*value = cap->allowed[VMX_VMFUNC];
		return VMX_ALLOWED(cap, SEC, ENABLE_VMFUNC);
	}
}

bool
vmx_capability_switch(struct cpu_model *model, const char *name, bool on)
{
	bool found = false;

	if (strncmp(name, "vmx-", 4) == 0)
		name += 4;
	for (unsigned i = 0; i < COUNT(controls); i++) {
		if (strcmp(controls[i].option, name) != 0)
			continue;
		found = true;
		if (on)
			model->vmx_disabled[controls[i].word] &= ~BIT(controls[i].bit);
		else
			model->vmx_disabled[controls[i].word] |= BIT(controls[i].bit);
	}
	return found;
}

const char *
vmx_capability_check(const struct cpu_model *model)
{
	struct vmx_capability cap;

	if (!model->has[FEATURE_VMX])
		return NULL;
	vmx_capability_compute(model, &cap);
	if (!VMX_ALLOWED(&cap, EXIT, HOST_ADDRESS_SPACE_SIZE) || !VMX_ALLOWED(&cap, ENTRY, IA32E_MODE_GUEST))
		return "VMX of a 64-bit processor has exit-host64 and entry-ia32e-mode";
	if (VMX_ALLOWED(&cap, SEC, ENABLE_EPT) &&
	    !(cap.allowed[VMX_EPTCAP] & (VMX_MASK(EPTCAP, UC) | VMX_MASK(EPTCAP, WB))))
		return "EPT needs a memory type: ept-wb or ept-uc";
	if (vmcs_highest_index(&cap) < 0x15)
		return "IA32_VMX_VMCS_ENUM would be below 2Ah";
	return NULL;
}

void
vmx_capability_help(void)
{
	static const char *const heading[VMX_WORDS] = {
		"pin-based controls", "primary controls", "secondary controls",         "VM-exit controls",
		"VM-entry controls",  "EPT and VPID",     "miscellaneous capabilities", "VM functions",
	};

	for (unsigned word = 0; word < VMX_WORDS; word++) {
		printf("VMX %s:\n", heading[word]);
		for (unsigned i = 0; i < COUNT(controls); i++)
			if (controls[i].word == word && controls[i].emulated)
				printf("  %-34s %s\n", controls[i].option, controls[i].text);
	}
}
