/* IA32_VMX_* computed from controls.def and the CPU model. SDM 3, Appendix A; rules CAP-xx. */
#include "vmx/capability.h"

#include <stdio.h>
#include <string.h>

#include "base/stop.h"
#include "cpu/cpuid.h"
#include "vmx/intercept.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

#define IA32_VMX_BASIC 0x480
#define BASIC_REGION_SIZE (4096ull << 32)
#define BASIC_WRITE_BACK (6ull << 50)

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

/* CAP-24 to CAP-27: what must not be offered without something else. */
static const struct need {
	u8 word, bit, needs_word, needs_bit;
} needs[] = {
#define NEEDS(word, name, other, other_name)                                                                           \
	{                                                                                                              \
		VMX_##word, word##_##name##_BIT, VMX_##other, other##_##other_name##_BIT                               \
	}
#define NEED_EACH_OTHER(word, name, other, other_name)                                                                 \
	NEEDS(word, name, other, other_name), NEEDS(other, other_name, word, name)
	NEEDS(PROC, NMI_WINDOW_EXITING, PIN, VIRTUAL_NMIS),
	NEEDS(PIN, VIRTUAL_NMIS, PIN, NMI_EXITING),
	NEEDS(SEC, UNRESTRICTED_GUEST, SEC, ENABLE_EPT),
	NEEDS(SEC, UNRESTRICTED_GUEST, MISC, STORE_LMA),
	NEEDS(SEC, ENABLE_PML, SEC, ENABLE_EPT),
	NEEDS(SEC, ENABLE_PML, EPTCAP, ACCESSED_DIRTY),
	NEEDS(SEC, MODE_BASED_EXECUTE, SEC, ENABLE_EPT),
	NEEDS(SEC, EPT_VIOLATION_VE, SEC, ENABLE_EPT),
	NEEDS(SEC, VIRTUALIZE_X2APIC_MODE, PROC, TPR_SHADOW),
	NEEDS(SEC, APIC_REGISTER_VIRTUALIZATION, PROC, TPR_SHADOW),
	NEEDS(SEC, VIRTUAL_INTERRUPT_DELIVERY, PROC, TPR_SHADOW),
	NEEDS(SEC, VIRTUAL_INTERRUPT_DELIVERY, PIN, EXTERNAL_INTERRUPT_EXITING),
	NEEDS(PIN, POSTED_INTERRUPTS, SEC, VIRTUAL_INTERRUPT_DELIVERY),
	NEEDS(PIN, POSTED_INTERRUPTS, EXIT, ACKNOWLEDGE_INTERRUPT),
	NEEDS(EXIT, SAVE_PREEMPTION_TIMER, PIN, PREEMPTION_TIMER),
	NEEDS(VMFUNC, EPTP_SWITCHING, SEC, ENABLE_EPT),
	NEED_EACH_OTHER(SEC, ENABLE_VMFUNC, VMFUNC, EPTP_SWITCHING),
	NEED_EACH_OTHER(ENTRY, LOAD_PERF_GLOBAL_CTRL, EXIT, LOAD_PERF_GLOBAL_CTRL),
	NEED_EACH_OTHER(ENTRY, LOAD_PAT, EXIT, LOAD_PAT),
	NEEDS(EXIT, SAVE_PAT, EXIT, LOAD_PAT),
	NEED_EACH_OTHER(ENTRY, LOAD_EFER, EXIT, LOAD_EFER),
	NEEDS(EXIT, SAVE_EFER, EXIT, LOAD_EFER),
	NEEDS(SEC, ENABLE_EPT, EPTCAP, WALK_4),
	NEEDS(EPTCAP, INVEPT, SEC, ENABLE_EPT),
	NEEDS(EPTCAP, INVEPT_SINGLE, EPTCAP, INVEPT),
	NEEDS(EPTCAP, INVEPT_ALL, EPTCAP, INVEPT),
	NEEDS(EPTCAP, INVVPID, SEC, ENABLE_VPID),
	NEEDS(EPTCAP, INVVPID_ADDRESS, EPTCAP, INVVPID),
	NEEDS(EPTCAP, INVVPID_SINGLE, EPTCAP, INVVPID),
	NEEDS(EPTCAP, INVVPID_ALL, EPTCAP, INVVPID),
	NEEDS(EPTCAP, INVVPID_SINGLE_GLOBALS, EPTCAP, INVVPID),
	NEEDS(EPTCAP, EXECUTE_ONLY, SEC, ENABLE_EPT),
	NEEDS(EPTCAP, UC, SEC, ENABLE_EPT),
	NEEDS(EPTCAP, WB, SEC, ENABLE_EPT),
	NEEDS(EPTCAP, PAGE_2M, SEC, ENABLE_EPT),
	NEEDS(EPTCAP, PAGE_1G, SEC, ENABLE_EPT),
	NEEDS(EPTCAP, ACCESSED_DIRTY, SEC, ENABLE_EPT),
	NEEDS(EPTCAP, ADVANCED_EXIT_INFO, SEC, ENABLE_EPT),
};

static bool
has(const struct vmx_capability *cap, unsigned word, unsigned bit)
{
	return cap->allowed[word] >> bit & 1;
}

static bool
drop_dependents(struct vmx_capability *cap)
{
	bool changed = false;

	if (!VMX_ALLOWED(cap, PROC, SECONDARY_CONTROLS) && cap->allowed[VMX_SEC]) {
		cap->allowed[VMX_SEC] = 0;
		changed = true;
	}
	for (unsigned i = 0; i < COUNT(needs); i++) {
		const struct need *n = &needs[i];

		if (!has(cap, n->word, n->bit) || has(cap, n->needs_word, n->needs_bit))
			continue;
		cap->allowed[n->word] &= ~BIT(n->bit);
		changed = true;
	}
	/* What has no row of its own, like the walk length. */
	if (!VMX_ALLOWED(cap, SEC, ENABLE_EPT))
		cap->allowed[VMX_EPTCAP] &= ~0xffffffffull;
	return changed;
}

/* CAP-33: controls of instructions that the processor may not have; either feature is enough. */
static const struct {
	u8 bit;
	enum cpu_feature feature, other;
} instructions[] = {
	{SEC_ENABLE_RDTSCP_BIT, FEATURE_RDTSCP, FEATURE_RDPID},
	{SEC_ENABLE_INVPCID_BIT, FEATURE_INVPCID, FEATURE_INVPCID},
	{SEC_ENABLE_XSAVES_BIT, FEATURE_XSAVES, FEATURE_XSAVES},
	{SEC_RDRAND_EXITING_BIT, FEATURE_RDRAND, FEATURE_RDRAND},
	{SEC_RDSEED_EXITING_BIT, FEATURE_RDSEED, FEATURE_RDSEED},
	{SEC_VIRTUALIZE_X2APIC_MODE_BIT, FEATURE_X2APIC, FEATURE_X2APIC},
};

static u64
missing_instructions(const struct cpu_model *model)
{
	u64 missing = 0;

	for (unsigned i = 0; i < COUNT(instructions); i++)
		if (!model->has[instructions[i].feature] && !model->has[instructions[i].other])
			missing |= BIT(instructions[i].bit);
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
	/* CAP-24 */
	if (address >= 0x48d && address <= 0x490 && !VMX_ALLOWED(cap, BASIC, TRUE_CONTROLS))
		return false;
	switch (address) {
	case IA32_VMX_BASIC:
		*value = VMCS_REVISION | BASIC_REGION_SIZE | BASIC_WRITE_BACK | cap->allowed[VMX_BASIC];
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
		if (on) {
			model->vmx_disabled[controls[i].word] &= ~BIT(controls[i].bit);
			model->vmx_wanted[controls[i].word] |= BIT(controls[i].bit);
		} else {
			model->vmx_disabled[controls[i].word] |= BIT(controls[i].bit);
			model->vmx_wanted[controls[i].word] &= ~BIT(controls[i].bit);
		}
	}
	return found;
}

static const char *
option(unsigned word, unsigned bit)
{
	for (unsigned i = 0; i < COUNT(controls); i++)
		if (controls[i].word == word && controls[i].bit == bit)
			return controls[i].option;
	return "?";
}

/* Why a capability that was asked for is not there. */
static char *
refusal(const struct cpu_model *model, const struct vmx_capability *cap, const struct control *c)
{
	if (!c->emulated)
		return error_string("%s is not modelled", c->option);
	if (c->word == VMX_SEC && !VMX_ALLOWED(cap, PROC, SECONDARY_CONTROLS))
		return error_string("%s needs secondary-ctls", c->option);
	for (unsigned i = 0; i < COUNT(instructions); i++)
		if (c->word == VMX_SEC && instructions[i].bit == c->bit && !model->has[instructions[i].feature])
			return error_string("%s needs %s", c->option, cpu_feature_name(instructions[i].feature));
	/* First what was switched off itself, then what is missing for its own needs. */
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < COUNT(needs); i++) {
			const struct need *n = &needs[i];

			if (n->word != c->word || n->bit != c->bit || has(cap, n->needs_word, n->needs_bit))
				continue;
			if (pass || (model->vmx_disabled[n->needs_word] >> n->needs_bit & 1))
				return error_string("%s needs %s", c->option, option(n->needs_word, n->needs_bit));
		}
	}
	return error_string("%s needs ept", c->option);
}

char *
vmx_capability_check(const struct cpu_model *model)
{
	struct vmx_capability cap;

	if (!model->has[FEATURE_VMX])
		return NULL;
	vmx_capability_compute(model, &cap);
	for (unsigned i = 0; i < COUNT(controls); i++)
		if (model->vmx_wanted[controls[i].word] >> controls[i].bit & 1 &&
		    !has(&cap, controls[i].word, controls[i].bit))
			return refusal(model, &cap, &controls[i]);
	if (!VMX_ALLOWED(&cap, EXIT, HOST_ADDRESS_SPACE_SIZE) || !VMX_ALLOWED(&cap, ENTRY, IA32E_MODE_GUEST))
		return error_string("a 64-bit processor has exit-host64 and entry-ia32e-mode");
	if (VMX_ALLOWED(&cap, SEC, ENABLE_EPT) &&
	    !(cap.allowed[VMX_EPTCAP] & (VMX_MASK(EPTCAP, UC) | VMX_MASK(EPTCAP, WB))))
		return error_string("ept needs a memory type: ept-wb or ept-uc");
	if (vmcs_highest_index(&cap) < 0x15)
		return error_string("IA32_VMX_VMCS_ENUM would be below 2Ah");
	return NULL;
}

void
vmx_capability_help(void)
{
	static const char *const heading[VMX_WORDS] = {
		"pin-based controls", "primary controls", "secondary controls",         "VM-exit controls",
		"VM-entry controls",  "EPT and VPID",     "miscellaneous capabilities", "VM functions", "basic information",
	};

	for (unsigned word = 0; word < VMX_WORDS; word++) {
		printf("VMX %s:\n", heading[word]);
		for (unsigned i = 0; i < COUNT(controls); i++)
			if (controls[i].word == word && controls[i].emulated)
				printf("  %-34s %s\n", controls[i].option, controls[i].text);
	}
}
