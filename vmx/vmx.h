/*
 * State of one processor's VMX, and what the files of vmx/ call of each other. cpu/ sees only intercept.h.
 *
 * Fields marked "non-root" mean something only while cpu->nonroot is set.
 */
#ifndef NB_VMX_VMX_H
#define NB_VMX_VMX_H

#include "base/events.h"
#include "cpu/state.h"
#include "vmx/capability.h"
#include "vmx/intercept.h"
#include "vmx/vmcs.h"

#define CR0_FIXED0 0x80000021ull
#define CR4_FIXED0 CR4_VMXE

#define IA32_FEATURE_CONTROL_LOCK BIT(0)
#define IA32_FEATURE_CONTROL_VMX BIT(2) /* outside SMX */

enum vmx_reason {
#define REASON(number, name, saved_rf) REASON_##name = (number),
#include "vmx/exit_reasons.def"
#undef REASON
};
#define REASON_ENTRY_FAILURE 0x80000000u

enum vm_error {
#define VM_ERROR(number, name, text) VM_ERROR_##name = (number),
#include "vmx/vm_errors.def"
#undef VM_ERROR
};

/* Interruption-information fields: SDM 3, "VM-Entry Controls for Event Injection". */
#define INFO_VECTOR(info) ((u8)(info))
#define INFO_TYPE(info) ((unsigned)BITS(info, 10, 8))
#define INFO_ERROR_CODE BIT(11)
#define INFO_NMI_UNBLOCKING BIT(12)
#define INFO_VALID BIT(31)

/* Interruptibility state */
#define BLOCKING_STI BIT(0)
#define BLOCKING_MOV_SS BIT(1)
#define BLOCKING_SMI BIT(2)
#define BLOCKING_NMI BIT(3)

/* Pending debug exceptions */
#define PENDING_DEBUG_ENABLED BIT(12)
#define PENDING_DEBUG_BS BIT(14)

enum mtf { MTF_NONE, MTF_ARMED /* fires after the next instruction or event delivery */, MTF_PENDING };

/* Work that must be done before anything else at the next boundary. */
#define WORK_APIC_WRITE BIT(0)    /* APIC-write emulation of apic_write_offset */
#define WORK_TPR_THRESHOLD BIT(1) /* VM exit 43 */
#define WORK_EOI BIT(2)           /* VM exit 45 of eoi_vector */
#define WORK_TIMER BIT(3)         /* the preemption timer has run down */
#define WORK_APIC_EXIT BIT(4)     /* VM exit 56 of apic_write_offset */
#define WORK_EARLY (WORK_APIC_WRITE | WORK_TPR_THRESHOLD | WORK_EOI | WORK_APIC_EXIT)

/* The last VM exit in a debugger's words. */
struct vmx_exit_record {
	u32 reason;
	u64 qualification;
	const char *because; /* the control, bitmap or rule that decided */
};

struct vmx {
	struct vcpu *cpu;
	struct vmx_capability cap;
	u64 cr4_fixed1;

	bool operation;             /* in VMX operation */
	u64 vmxon_pointer, current; /* NO_VMCS when there is none */
	bool shadow;                /* the current VMCS is a shadow VMCS */
	u32 launched;
	struct vmcs vmcs; /* of `current` */

	/* non-root: the controls in force, with ignored fields as 0 */
	u32 pin, proc, sec;
	u64 eptp_tag;     /* vmx_eptp() */
	bool nmi_virtual; /* cpu->nmi_blocked is virtual-NMI blocking */
	u32 work;
	u16 apic_write_offset;
	u8 eoi_vector;
	bool virtual_interrupt; /* a pending virtual interrupt is recognized */
	u8 mtf;                 /* enum mtf */
	u64 ple_first, ple_last;
	u64 timer_deadline; /* TSC at which the preemption timer is 0 */
	struct event timer;

	/* for the VM exit under way */
	const struct event_info *exiting; /* the exception that exits itself */
	u32 interruption_info, interruption_error;
	bool no_idt_vectoring; /* the event under delivery is not reported */

	struct vmx_exit_record last;
	struct vmx_stats stats;
};

/* --- capability.c --- */
void vmx_capability_init(struct vmx *vmx, const struct cpu_model *model);

/* --- state.c --- */
/* Copies the current VMCS to its region / makes the region's contents current. */
void vmx_store_current(struct vmx *vmx);
void vmx_load_current(struct vmx *vmx, u64 address);

/* --- entry.c --- */
/* VM entry after the basic checks of VMLAUNCH and VMRESUME. Returns only when it fails with VMfail: the error number. */
enum vm_error vmx_enter(struct vcpu *cpu);
struct vmx_rule_value {
	const char *segment; /* NULL, or the segment register that the name belongs to */
	const char *name;    /* a VMCS field, a control, what a mask demands ("must be 0"); NULL ends the list */
	u64 value;
};
struct vmx_broken_rule {
	const char *id, *heading, *rule; /* in tests/rules.list; in SDM 3, "VM Entries"; the condition that does not hold */
	const struct vmx_rule_value *values;
};
typedef void (*vmx_doctor_callback)(void *opaque, const struct vmx_broken_rule *broken);
/* Evaluates all checks that VM entry would make now and reports every one that fails; returns their number. Changes nothing. */
unsigned vmx_entry_doctor(struct vcpu *cpu, vmx_doctor_callback report, void *opaque);

/* --- inject.c --- */
/* Does the entry-interruption field ask for an event that goes through the IDT? */
bool vmx_is_vectoring(u32 info);
/* Interruptibility, activity, pending debug exceptions and MTF as VM entry makes them. */
void vmx_enter_events(struct vcpu *cpu);
/* Delivers the event that the VMCS asks for. Everything else of the VM entry is complete. */
void vmx_inject(struct vcpu *cpu);

/* --- exit.c --- */
/* `because` is a static string for the debugger. Captures length and RIP of the executing instruction, and never returns. */
_Noreturn void vm_exit(struct vcpu *cpu, u32 reason, u64 qualification, const char *because);
/* The VM exit of the executing instruction, with its qualification and information. */
_Noreturn void vmx_exit_insn(struct vcpu *cpu, enum vmx_insn insn, const char *because);
/* A VM entry that failed after the checks of controls and host state: nothing is saved, host state is loaded. */
_Noreturn void vm_entry_failure(struct vcpu *cpu, u32 reason, u64 qualification, const char *because);

/* CR0 bits that VM entry and VM exit keep: ET, CD, NW, 28:19, 17, 15:6 (SDM 3, "Loading Guest Control Registers..."). */
#define CR0_KEPT (CR0_ET | CR0_CD | CR0_NW | 0x1ff80000ull | BIT(17) | 0xffc0ull)
#define VMCS_UNUSABLE BIT(16)

/* --- msr_list.c --- */
/* Returns 0, or the number (from 1) of the entry that failed. */
unsigned vmx_msr_load(struct vcpu *cpu, u64 address, u32 count);
/* Why entry number `entry` of an MSR-load area, at `address`, was not loaded. */
const char *vmx_msr_load_refusal(struct vcpu *cpu, u64 address, unsigned entry);
unsigned vmx_msr_store(struct vcpu *cpu, u64 address, u32 count);

/* --- boundary.c --- */
void vmx_timer_start(struct vcpu *cpu);
/* The value that the preemption-timer field is saved with. */
u32 vmx_timer_left(const struct vcpu *cpu);

/* --- ept.c --- */
bool vmx_eptp_valid(const struct vcpu *cpu, u64 eptp);
/* Bits of an EPTP that must be 0; memory type and walk length have their own rules. */
u64 vmx_eptp_reserved(const struct vcpu *cpu);
void vmx_select_eptp(struct vcpu *cpu);

/* --- apicv.c --- */
void vmx_apicv_enter(struct vcpu *cpu);
/* What WORK_EARLY asks for: emulation of APIC writes, trap-like VM exits. */
void vmx_apicv_work(struct vcpu *cpu);
void vmx_deliver_virtual_interrupt(struct vcpu *cpu);
/* An access by guest-physical address, of a paging structure that lies in the APIC-access page: always a VM exit (NR-54). */
_Noreturn void vmx_guest_physical_apic_access(struct vcpu *cpu);
bool vmx_posted_interrupt(struct vcpu *cpu, u8 vector);

/* --- ve.c --- */
/* True when the violation becomes a #VE: the caller raises it after this wrote the information area. */
bool vmx_convert_violation(struct vcpu *cpu, u64 qualification, u64 linear, u64 guest_physical);

/* Physical addresses in VMCS fields: aligned to 4 KiB, within the width. */
bool vmx_page_address(const struct vcpu *cpu, u64 address);
/* Canonical for the largest width that the processor supports. */
bool vmx_canonical(const struct vcpu *cpu, u64 linear);

static inline const struct vmcs *
vmx_vmcs(const struct vcpu *cpu)
{
	return &cpu->vmx->vmcs;
}
#define PIN_ON(vmx, name) ((vmx)->pin & VMX_MASK(PIN, name))
#define PROC_ON(vmx, name) ((vmx)->proc & VMX_MASK(PROC, name))
#define SEC_ON(vmx, name) ((vmx)->sec & VMX_MASK(SEC, name))
#define EXIT_ON(vmx, name) ((vmx)->vmcs.exit_controls & VMX_MASK(EXIT, name))
#define ENTRY_ON(vmx, name) ((vmx)->vmcs.entry_controls & VMX_MASK(ENTRY, name))

#endif
