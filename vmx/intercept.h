/*
 * What cpu/ asks of vmx/: "does this exit, and how?"
 *
 * cpu/ calls the vmx_intercept_* functions only when cpu->nonroot is set (the inline wrappers test it). Those
 * that decide for a VM exit do not return:
 * they complete the exit (save guest, load host) and go through cpu_leave(). They are called after the faults
 * that have priority over the exit and
 * before anything is committed. The instruction being executed is cpu->current (or cpu->rip is already real).
 * Rules: SDM 3, "VMX Non-Root Operation"; ids of tests/rules.list stand beside the code.
 */
#ifndef NB_VMX_INTERCEPT_H
#define NB_VMX_INTERCEPT_H

#include "cpu/insn.h"

struct state;
struct cpu_model;
struct translation;

/* Instructions whose exit is decided by a control bit, or that always exit. One row each in exit_reasons.def. */
enum vmx_insn {
	VMX_INSN_CPUID, VMX_INSN_GETSEC, VMX_INSN_HLT, VMX_INSN_INVD, VMX_INSN_INVLPG, VMX_INSN_RDPMC, VMX_INSN_RDTSC, VMX_INSN_RSM,
	VMX_INSN_VMCALL, VMX_INSN_VMCLEAR, VMX_INSN_VMLAUNCH, VMX_INSN_VMPTRLD, VMX_INSN_VMPTRST, VMX_INSN_VMREAD, VMX_INSN_VMRESUME,
	VMX_INSN_VMWRITE, VMX_INSN_VMXOFF, VMX_INSN_VMXON, VMX_INSN_INVEPT, VMX_INSN_INVVPID, VMX_INSN_RDTSCP, VMX_INSN_WBINVD, VMX_INSN_XSETBV,
	VMX_INSN_RDRAND, VMX_INSN_RDSEED, VMX_INSN_INVPCID, VMX_INSN_MWAIT, VMX_INSN_MONITOR, VMX_INSN_PAUSE,
	VMX_INSN_SGDT, VMX_INSN_SIDT, VMX_INSN_LGDT, VMX_INSN_LIDT, VMX_INSN_SLDT, VMX_INSN_STR, VMX_INSN_LLDT, VMX_INSN_LTR,
	VMX_INSN_XSAVES, VMX_INSN_XRSTORS, /* vmx_intercept_xsaves() decides these */
};

/*
 * The exit's instruction-information and qualification (displacement, linear address of INVLPG...) are made
 * from cpu->current.
 */
void vmx_intercept_insn(struct vcpu *cpu, enum vmx_insn insn);
/* XSAVES/XRSTORS: exits if (edx:eax & IA32_XSS & XSS-exiting bitmap) != 0. `requested` = EDX:EAX. */
void vmx_intercept_xsaves(struct vcpu *cpu, bool restore, u64 requested);
/*
 * IN/OUT/INS/OUTS. `linear`: of the string operand for INS/OUTS (already segment-checked), `string`, `rep`;
 * size 1, 2, 4.
 */
void vmx_intercept_io(struct vcpu *cpu, u16 port, unsigned size, bool in, bool string, bool rep, u64 linear);
void vmx_intercept_msr(struct vcpu *cpu, u32 address, bool write);
/*
 * MOV to CR0/3/4/8, MOV from CR3/8, CLTS, LMSW. May also answer "no exit, but the value written is this"
 * (masks): returns the value to load.
 */
u64 vmx_intercept_cr_write(struct vcpu *cpu, unsigned cr, u64 value, unsigned gpr /* register number */);
/* MOV from CR: the value the guest sees (read shadow for CR0/4), or exits (CR3, CR8). */
u64 vmx_intercept_cr_read(struct vcpu *cpu, unsigned cr, u64 value, unsigned gpr);
void vmx_intercept_clts(struct vcpu *cpu); /* exits, or returns when CLTS goes on; */
bool vmx_clts_ignored(struct vcpu *cpu); /* CR0.TS owned by the host with shadow 0: CLTS does nothing */
/* LMSW: returns the new CR0 to load. `linear` of a memory operand. */
u64 vmx_intercept_lmsw(struct vcpu *cpu, u16 source, bool memory, u64 linear);
void vmx_intercept_dr(struct vcpu *cpu, unsigned dr, bool write, unsigned gpr);
void vmx_intercept_task_switch(struct vcpu *cpu, u16 selector, unsigned source /* enum task_switch_source */);
/*
 * Before delivery of anything through the IDT (not for injected events): exception bitmap, #PF error
 * mask/match, NMI.
 */
void vmx_intercept_event(struct vcpu *cpu, const struct event_info *event);
/* After #DF escalation failed. Outside non-root never called. */
void vmx_intercept_triple_fault(struct vcpu *cpu);

/* --- the run loop --- */
/*
 * INIT, SIPI, SMI, NMI, external interrupt at a boundary. External interrupt: returns true when the guest takes
 * it itself (no exit control).
 */
void vmx_intercept_init(struct vcpu *cpu);
void vmx_intercept_sipi(struct vcpu *cpu, u8 vector);
bool vmx_intercept_nmi(struct vcpu *cpu); /* returns true: deliver it in the guest */
/*
 * True when an NMI must be taken although cpu->nmi_blocked: with virtual NMIs that is virtual-NMI blocking,
 * which holds off no physical NMI.
 */
bool vmx_nmi_regardless_of_blocking(const struct vcpu *cpu);
/*
 * The local APIC or PIC has an interrupt: exits (also when RFLAGS.IF=0), processes posted interrupts, or
 * returns true: the guest's IDT takes it when IF allows.
 */
bool vmx_intercept_interrupt(struct vcpu *cpu);
/* True when an external interrupt must be looked at although RFLAGS.IF is 0 (external-interrupt exiting). */
bool vmx_interrupt_regardless_of_if(struct vcpu *cpu);
/*
 * PEND_VMX / PEND_MTF at an instruction boundary, in the manual's priority order; called twice: `early` for MTF,
 * APIC-write and TPR-below-threshold
 * exits that come before traps; later for preemption timer, NMI window, interrupt window, virtual-interrupt
 * delivery. May exit or deliver.
 */
void vmx_boundary(struct vcpu *cpu, bool early);
/*
 * The monitor trap flag wants single steps; vmx_after_step() tells that an instruction completed in non-root
 * operation.
 */
bool vmx_steps(const struct vcpu *cpu);
void vmx_after_step(struct vcpu *cpu);
/*
 * RFLAGS.IF, shadow, NMI blocking changed: recompute whether windows are open (sets PEND_VMX). Cheap; called at
 * STI, POPF, IRET, delivery...
 */
void vmx_window_changed(struct vcpu *cpu);
/* NMI blocking as IRET removes it (virtual NMIs). */
void vmx_iret(struct vcpu *cpu);

/* MWAIT that interrupts end although RFLAGS.IF is 0: does a window or virtual interrupt keep it from waiting? */
bool vmx_mwait_stays_awake(const struct vcpu *cpu);

/* --- paging --- */
/*
 * EPT: guest-physical -> physical for the present EPTP; raises the EPT violation / misconfiguration exit (or
 * #VE). Fills physical and rights
 * (intersected), sets EPT A/D, does PML. `linear_valid`: the access has a linear address; `final`: it is the
 * access itself, not a paging-structure
 * entry. `user`: the guest linear page is user mode (MBEC, advanced information). `guest_writable`, `guest_nx`:
 * for advanced exit information.
 */
struct ept_access {
	u64 guest_physical;
	u64 linear;
	unsigned access; /* enum access */
	bool linear_valid, final, user, guest_writable, guest_nx;
};
void vmx_ept_translate(struct vcpu *cpu, const struct ept_access *a, struct translation *t);
/* Same walk with no side effects; false = would exit. */
bool vmx_ept_peek(struct vcpu *cpu, u64 guest_physical, u64 *physical);
bool vmx_ept_enabled(const struct vcpu *cpu); /* in non-root with "enable EPT" */
/*
 * Guest-physical address of a PAE PDPTE reload goes through EPT: vmx_ept_translate. With EPT, MOV CR3 and VM
 * entry load PDPTEs through it.
 */

/*
 * APIC virtualization. The physical page that an access (of `size` bytes, enum access) hits is the APIC-access
 * page: true = handled or
 * virtualized: *value read or written; may exit. Called for pages that the walk marked `special`.
 */
bool vmx_apic_access(struct vcpu *cpu, u64 linear, u64 physical, unsigned size, unsigned access, u64 *value);
/* CLFLUSH or MONITOR of an address in the APIC-access page: always a VM exit. */
_Noreturn void vmx_apic_touched(struct vcpu *cpu, u64 linear, u64 physical, bool monitor);
bool vmx_is_apic_access_page(const struct vcpu *cpu, u64 physical);
/*
 * x2APIC MSRs and CR8 in non-root with virtualization: true = handled (*value). After the MSR bitmap / CR8
 * exits were asked.
 */
bool vmx_virtual_msr_read(struct vcpu *cpu, u32 address, u64 *value);
bool vmx_virtual_msr_write(struct vcpu *cpu, u32 address, u64 value);
bool vmx_virtual_cr8_read(struct vcpu *cpu, u64 *value);
bool vmx_virtual_cr8_write(struct vcpu *cpu, u64 value);

/* TSC of the guest: applies offset and multiplier in non-root; identity in root. */
u64 vmx_guest_tsc(const struct vcpu *cpu, u64 tsc);
/* TLB tags: VPID 0 in root or without VPID; EP4TA (EPTP with its low mode bits) or 0. */
u16 vmx_vpid(const struct vcpu *cpu);
u64 vmx_eptp(const struct vcpu *cpu);
/* PAUSE in the guest: PAUSE exiting and PAUSE-loop exiting. */
void vmx_pause(struct vcpu *cpu);
/*
 * CR0/CR4 bits that VMX operation fixes: true = #GP(0) on MOV CR (in root and non-root, with unrestricted
 * guest's relaxations).
 */
bool vmx_cr0_refused(const struct vcpu *cpu, u64 cr0);
bool vmx_cr4_refused(const struct vcpu *cpu, u64 cr4);
/* In VMX operation at all (A20M ignored, INIT blocked in root...). */
bool vmx_operation(const struct vcpu *cpu);
/*
 * Instruction and exit of the secondary controls: is the instruction enabled in non-root? RDTSCP, INVPCID,
 * XSAVES, user wait... else #UD.
 */
bool vmx_insn_enabled(const struct vcpu *cpu, enum vmx_insn insn);

/* IA32_VMX_* capability MSRs: false = #GP(0). */
bool vmx_capability_read(const struct vcpu *cpu, u32 address, u64 *value);
/* "-ept,-vpid" of -cpu: false if the name is no VMX capability. */
bool vmx_capability_switch(struct cpu_model *model, const char *name, bool on);
/*
 * NULL, or the broken consistency rule in words, to be freed. What is switched off takes with it what needs it; only what was asked
 * for by name must be there.
 */
char *vmx_capability_check(const struct cpu_model *model);
void vmx_capability_help(void);

struct vmx *vmx_new(struct vcpu *cpu);
void vmx_free(struct vmx *vmx);
void vmx_reset(struct vcpu *cpu);
void vmx_state(struct vmx *vmx, struct state *s);

/* Counters for -stats: exits by basic reason, entries, failed entries. */
#define VMX_REASONS 80
struct vmx_stats {
	u64 exits[VMX_REASONS];
	u64 entries, failed_entries;
};
const struct vmx_stats *vmx_get_stats(const struct vcpu *cpu);
const char *vmx_reason_name(unsigned basic_reason); /* as in the Linux kvm_exit tracepoint: "EPT_VIOLATION"... NULL if none */

#endif
