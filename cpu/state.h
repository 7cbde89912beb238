/*
 * struct vcpu: all architectural state of one virtual processor, and the hot fields of the execution core.
 *
 * The first 256 bytes are addressed by the byte offsets that decoded instructions carry (insn.h): general registers, the always-zero slot,
 * the page of RIP (for RIP-relative operands) and the segment registers (for FS and GS bases).
 */
#ifndef NB_CPU_STATE_H
#define NB_CPU_STATE_H

#include <setjmp.h>

#include "base/types.h"
#include "bus/irq.h"

struct vcpu;
struct insn;
struct cpus;
struct lapic;
struct pmu;
struct vmx;
struct memory;
struct ports;
struct events;
struct tlb_context;
struct tlb_contexts;
struct tlb_entry;
struct jump_entry;
struct block_cache;

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { ES, CS, SS, DS, FS, GS };

/*
 * A segment register with its hidden part. `access` has the layout of the VMCS access-rights field (SDM 3, "Guest Register State"): 3:0 type,
 * 4 S, 6:5 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G; bit 8 here is "unusable" (bit 16 there). `limit` is in bytes, already scaled.
 */
struct segment {
	u64 base;
	u32 limit;
	u16 selector;
	u16 access;
};
#define SEG_TYPE 0x000f
#define SEG_S 0x0010
#define SEG_DPL(access) (((access) >> 5) & 3)
#define SEG_P 0x0080
#define SEG_UNUSABLE 0x0100
#define SEG_L 0x2000
#define SEG_DB 0x4000
#define SEG_G 0x8000

/* RFLAGS */
#define FLAG_CF BIT(0)
#define FLAG_PF BIT(2)
#define FLAG_AF BIT(4)
#define FLAG_ZF BIT(6)
#define FLAG_SF BIT(7)
#define FLAG_TF BIT(8)
#define FLAG_IF BIT(9)
#define FLAG_DF BIT(10)
#define FLAG_OF BIT(11)
#define FLAG_IOPL (BIT(12) | BIT(13))
#define FLAG_NT BIT(14)
#define FLAG_RF BIT(16)
#define FLAG_VM BIT(17)
#define FLAG_AC BIT(18)
#define FLAG_VIF BIT(19)
#define FLAG_VIP BIT(20)
#define FLAG_ID BIT(21)
#define FLAGS_STATUS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_VME BIT(0)
#define CR4_PVI BIT(1)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_LA57 BIT(12)
#define CR4_VMXE BIT(13)
#define CR4_SMXE BIT(14)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

enum {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_NMI = 2,
	VECTOR_BP = 3,
	VECTOR_OF = 4,
	VECTOR_BR = 5,
	VECTOR_UD = 6,
	VECTOR_NM = 7,
	VECTOR_DF = 8,
	VECTOR_TS = 10,
	VECTOR_NP = 11,
	VECTOR_SS = 12,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_MF = 16,
	VECTOR_AC = 17,
	VECTOR_MC = 18,
	VECTOR_XM = 19,
	VECTOR_VE = 20,
};

/* A vector register; AVX's upper half is q[2..3]. */
union vec {
	u8 b[32];
	u16 w[16];
	u32 d[8];
	u64 q[4];
	s8 sb[32];
	s16 sw[16];
	s32 sd[8];
	s64 sq[4];
	float f[8];
	double g[4];
} __attribute__((aligned(32)));

/* An x87 register: the 80-bit format as in memory. MMX registers are the significands. */
struct fpreg {
	u64 significand;
	u16 sign_exponent;
};

/* x87 state. `tag` is the full 16-bit tag word's "empty" bits only: bit n set = physical register n is empty (others are computed). */
struct x87 {
	struct fpreg r[8]; /* physical registers; ST(i) is r[(top + i) & 7], top = status[13:11] */
	u16 control, status;
	u8 empty;
	u16 opcode;
	u64 ip, dp;
	u16 cs, ds;
};

/* Interruption types, as VMX encodes them: SDM 3, "VM-Entry Controls for Event Injection". */
enum event_type {
	EVENT_EXTERNAL = 0,
	EVENT_NMI = 2,
	EVENT_HARDWARE_EXCEPTION = 3,
	EVENT_SOFTWARE_INTERRUPT = 4, /* INT n */
	EVENT_PRIVILEGED_SOFTWARE = 5, /* INT1 */
	EVENT_SOFTWARE_EXCEPTION = 6, /* INT3, INTO */
	EVENT_OTHER = 7,
};

/* An interrupt or exception on its way through the IDT. */
struct event_info {
	u8 vector;
	u8 type; /* enum event_type */
	bool has_error;
	u32 error;
	u8 insn_len; /* types 4, 5, 6: RIP is pushed advanced by it */
	u64 cr2; /* #PF: the linear address. #DB: the DR6 bits to set (fault or trap causes) */
};

enum activity { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_SIPI, ACTIVITY_MWAIT };

/* vcpu.pending: what the run loop must look at before the next instruction. */
#define PEND_INTR BIT(0)       /* the local APIC or the PIC may have an interrupt to deliver (lapic_interrupt_pending) */
#define PEND_NMI BIT(1)
#define PEND_SMI BIT(2)
#define PEND_INIT BIT(3)
#define PEND_SIPI BIT(4)
#define PEND_DB BIT(5)         /* trap-type #DB: pending_db holds DR6 bits */
#define PEND_MTF BIT(6)        /* monitor trap flag exit after the next boundary */
#define PEND_VMX BIT(7)        /* vmx_pending() has something: preemption timer, windows, virtual interrupt, APIC-write... */
#define PEND_FLAGS_CHANGED BIT(8) /* breakpoints, TF or the like need single stepping: recompute `step` */

/* vcpu.shadow: blocking for one instruction boundary */
#define SHADOW_STI BIT(0)
#define SHADOW_MOV_SS BIT(1)

/* Lazy flags: cc_op = kind * 4 + log2(size in bytes). flags.h computes from them. */
enum cc_kind { CC_RAW, CC_ADD, CC_SUB, CC_LOGIC, CC_RES };

struct vcpu {
	/* --- addressed by byte offset from decoded instructions; keep within 256 bytes --- */
	u64 r[16];
	u64 zero;
	u64 rip_page; /* linear page of the executing block minus CS base: RIP = rip_page + insn offset in page */
	struct segment seg[6];
	u64 two_gib; /* constant 2^31: index of RIP-relative operands whose adjusted displacement does not fit 32 bits */

	/* --- hot --- */
	s64 left; /* instructions until the run loop must look again, as of the block's start */
	struct tlb_entry *tlb;
	struct jump_entry *jumps;
	u64 cc_x, cc_y;
	u32 cc_op;
	u32 exit_request; /* non-zero: leave the block after the present instruction */
	const struct insn *link; /* the direct jump that left its block for want of a target, or NULL */
	const struct insn *current; /* the instruction that a slow handler is executing, else NULL */
	u64 rip; /* valid between blocks, and in slow handlers as the address of the instruction if END; else insn_rip() */
	u64 next_rip; /* END instructions: where to go on; preset to the following instruction */
	u64 rflags; /* all bits but the status flags, which are lazy; bit 1 always set */
	u64 icount_end, time_end; /* retired instructions, and virtual time, when left == 0 */
	u32 mode; /* enum mode_bits of the present state (block.h), recomputed by cpu_mode_changed() */
	u8 cpl;
	bool long64; /* 64-bit mode: EFER.LMA and CS.L */
	bool nonroot; /* VMX non-root operation */
	u8 shadow;
	u32 pending;
	u8 activity; /* enum activity */
	bool step; /* single instruction at a time: TF, breakpoints, MTF */
	bool pmu_active, pmu_steps, pmu_waits; /* counters run; one counts branches; an overflow is due after sleep (pmu.c) */
	u64 rsp_at_start; /* scratch for instructions that restore RSP on a fault */
	u64 tmp;

	/* --- other architectural state --- */
	struct segment ldtr, tr;
	struct {
		u64 base;
		u16 limit;
	} gdtr, idtr;
	u64 cr0, cr2, cr3, cr4, xcr0;
	u64 efer;
	u64 pdpte[4]; /* PAE paging: loaded by MOV CR3 and VM entry */
	u64 dr[8]; /* DR0-3, 6, 7 */
	u32 mxcsr, pkru;
	union vec vec[16];
	struct x87 x87;
	bool ferr; /* FERR# is driven: CR0.NE was clear when a waiting instruction met an exception, which is still pending */
	u64 fault_icount; /* instructions retired when the last exception was delivered */
	u64 rep_rip, rep_icount; /* where the last iteration of a REP string instruction ended that was not the last one: cpu_between_iterations() */
	u64 pending_db; /* DR6 bits of trap-type debug exceptions not yet delivered */
	bool nmi_blocked; /* between NMI delivery and IRET (or virtual NMI blocking in non-root with virtual NMIs) */
	bool in_smm;
	u32 smbase;
	struct {
		bool nonroot, vmxe, nmi_blocked;
		u8 shadow;
		u64 pdpte[4];
	} smm; /* what an SMI saves inside the processor (smm.c) */
	u64 physical_mask; /* of addresses that this processor drives: without bit 20 while A20M# counts (tlb_address_mask_changed) */

	/* MONITOR's line, and what it held then (monitor.h) */
	struct {
		u64 physical;
		u8 line[64];
		bool armed, masked_interrupts;
	} monitor;

	/* MSRs by role; cpu/msr.def names each */
	struct {
		u64 star, lstar, cstar, fmask, kernel_gs_base;
		u64 sysenter_cs, sysenter_esp, sysenter_eip;
		u64 tsc_offset; /* TSC = time + offset (+ VMX offset and multiplier in non-root) */
		u64 tsc_aux, tsc_adjust, pat, mtrr_def_type, mtrr_fixed[11], mtrr_phys[16];
		u64 misc_enable, feature_control, spec_ctrl, xss, debugctl, apic_base, arch_capabilities;
		u64 other[64]; /* rows of msr.def of the plain stored kind: index given by the row */
	} msr;

	/* --- fault door and event delivery --- */
	jmp_buf door;
	struct event_info event; /* what raise_*() carries through the door */
	struct event_info delivering; /* what is being delivered through the IDT, valid when `is_delivering` */
	bool is_delivering;
	bool iret_unblocks_nmi; /* the IRET being executed: NMI blocking was removed by it */

	/* --- relations --- */
	struct lapic *lapic;
	struct pmu *pmu; /* NULL when the model has none */
	struct vmx *vmx; /* NULL when the model has no VMX */
	struct memory *memory;
	struct ports *ports;
	struct events *events;
	struct cpus *cpus; /* all processors and the machine they share */
	const struct cpu_model *model; /* cpuid.h */
	struct tlb_contexts *contexts;
	struct tlb_context *context; /* the present one */
	struct block_cache *blocks;
	unsigned index; /* 0..n-1; also the initial APIC id */
	u64 seed; /* RDRAND, RDSEED stream */
	int intr_line; /* level of the PIC's INTR into LINT0 (boot processor) */

	struct {
		u64 decoded, blocks, tlb_fills, tlb_flushes, slow, walks[3] /* load, store, fetch */, exceptions[32], interrupts, halts;
		/* Of these, in VMX non-root operation; instructions there as of the last VM exit, which began at `entered`. */
		u64 guest_exceptions[32], guest_tlb_fills, guest_instructions, entered;
		/* Executed in VMX root operation, failing or not: by enum vmx_insn; INVEPT and INVVPID by type. */
		u64 vmx_insns[48], invept[4], invvpid[4];
	} stats;
	struct hooks *hooks; /* cpu/hooks.h; NULL when nobody listens */
};
_Static_assert(offsetof(struct vcpu, two_gib) + 8 <= 256, "byte offsets fit a u8");

/* The status flags made real, with all other bits: the architectural RFLAGS. */
u64 cpu_rflags(struct vcpu *cpu);
/* Sets all of RFLAGS as given (the caller has applied its mask); bit 1 is forced. Re-evaluates TF stepping and alignment mode. */
void cpu_set_rflags(struct vcpu *cpu, u64 rflags);

/* To be called after CR0, CR4, EFER, CPL, CS, SS, a data segment, RFLAGS.VM/AC, XCR0, PKRU... changed outside the core's own code. */
void cpu_mode_changed(struct vcpu *cpu);

/* Virtual time now, in cycles, and instructions retired so far (the executing instruction not counted). */
u64 cpu_time(const struct vcpu *cpu);
u64 cpu_icount(const struct vcpu *cpu);

/*
 * Is the next instruction a REP string instruction some of whose iterations are done? Interrupts and traps push RF then: SDM 3,
 * "Instruction-Breakpoint Exception Condition". Between instructions only.
 */
static inline bool
cpu_between_iterations(const struct vcpu *cpu)
{
	return unlikely(cpu->rip == cpu->rep_rip) && cpu_icount(cpu) == cpu->rep_icount;
}

static inline bool
cpu_protected(const struct vcpu *cpu)
{
	return cpu->cr0 & CR0_PE;
}

static inline bool
cpu_vm86(const struct vcpu *cpu)
{
	return cpu->rflags & FLAG_VM;
}

/*
 * Asks the run loop to look at `pending` at the next boundary. When another processor is running, its slice ends there, so that this one gets its
 * turn.
 */
void cpu_request(struct vcpu *cpu, u32 pend);

#endif
