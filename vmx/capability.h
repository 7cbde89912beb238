/* What this processor's VMX can do: controls.def, less what -cpu switched off. SDM 3, Appendix A, "VMX Capability Reporting Facility". */
#ifndef NB_VMX_CAPABILITY_H
#define NB_VMX_CAPABILITY_H

#include "base/types.h"

struct cpu_model;

enum vmx_word { VMX_PIN, VMX_PROC, VMX_SEC, VMX_EXIT, VMX_ENTRY, VMX_EPTCAP, VMX_MISC, VMX_VMFUNC, VMX_BASIC, VMX_WORDS };

/* PIN_x, PROC_x... as masks. */
enum vmx_control_bit {
#define CTL(word, bit, name, emulated, option, text) word##_##name##_BIT = (bit),
#include "vmx/controls.def"
#undef CTL
};
#define VMX_MASK(word, name) BIT(word##_##name##_BIT)

/* The 1-settings of controls that the manual reserves as 1 ("default1"), and those that the TRUE MSRs still demand. */
#define PIN_DEFAULT1 0x00000016u
#define PROC_DEFAULT1 0x0401e172u
#define PROC_DEFAULT1_TRUE 0x04006172u
#define EXIT_DEFAULT1 0x00036dffu
#define EXIT_DEFAULT1_TRUE 0x00036dfbu
#define ENTRY_DEFAULT1 0x000011ffu
#define ENTRY_DEFAULT1_TRUE 0x000011fbu

#define CR3_TARGETS 4
#define MSR_LIST_MAX 512

struct vmx_capability {
	u64 allowed[VMX_WORDS]; /* allowed 1-settings, without the default1 bits that have no name */
	/*
	 * The preemption timer counts when this bit of the TSC changes. Processors report 5. There a VM entry and exit cost more
	 * than 32 cycles, so that the timer never stands still over a short visit to the guest; here each costs an instruction,
	 * and a finer timer keeps that true. Linux wants the timer to run at less than 429 MHz: 2 for clocks up to 1.7 GHz.
	 */
	u8 timer_shift;
};

/* Drops what depends on something that is switched off, so that the result is always consistent. */
void vmx_capability_compute(const struct cpu_model *model, struct vmx_capability *cap);

static inline bool
vmx_allowed(const struct vmx_capability *cap, enum vmx_word word, u64 mask)
{
	return (cap->allowed[word] & mask) == mask;
}
#define VMX_ALLOWED(cap, word, name) vmx_allowed(cap, VMX_##word, VMX_MASK(word, name))

#endif
