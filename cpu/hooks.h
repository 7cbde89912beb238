/*
 * What a debugger or tracer listens to. vcpu.hooks is NULL when nobody does, and then nothing here costs more than that test on slow paths:
 * fast handlers and TLB hits know nothing of hooks.
 *
 * Instructions are announced by page offset: the block builder ends blocks before an announced offset and keeps no block that begins at one, so
 * the run loop comes by there each time. Watched pages are withheld from the TLB, so accesses to them take the slow path.
 * Listeners change nothing of the machine. They may call hooks_stop().
 * Not announced: accesses by page walks, DMA and VMX's own structures; but `written` hears of all writes.
 */
#ifndef NB_CPU_HOOKS_H
#define NB_CPU_HOOKS_H

#include "cpu/state.h"

struct vmx_broken_rule;

/* The number of XCR0 among control registers. */
#define HOOK_XCR0 0x100u

/* One data access by linear address. After it when reading, before it when writing. */
struct hook_access {
	u64 linear, physical, value;
	unsigned size;
	bool write;
};

struct hooks {
	void *opaque;
	u64 announced[64]; /* by offset in the page: instructions that `instruction` wants to see */
	bool stepping;     /* it wants to see all */
	bool watching;     /* some page may interest it: else nobody asks `watched`, nor tells `access` */
	/* Before an instruction at cpu->rip, everything real. True: do not execute it; the listener has called hooks_stop(). */
	bool (*instruction)(void *opaque, struct vcpu *cpu);
	/* Does any byte of the 4 KiB page interest the listener? */
	bool (*watched)(void *opaque, struct vcpu *cpu, u64 linear, u64 guest_physical, u64 physical);
	/* An access to a page of which `watched` said so. */
	void (*access)(void *opaque, struct vcpu *cpu, const struct hook_access *a);
	/*
	 * Bytes of a page of hooks_watch_writes() are about to change. `writer`: a device, "page walk"...; NULL: an instruction, whose store
	 * `access` has just heard of. `cpu`: the processor under way, or whichever where none is.
	 */
	void (*written)(void *opaque, struct vcpu *cpu, u64 physical, u64 size, const char *writer);
	/* Of the instruction under way: its value read, or about to be written. */
	void (*port)(void *opaque, struct vcpu *cpu, u16 port, unsigned size, bool write, u32 value);
	void (*msr)(void *opaque, struct vcpu *cpu, u32 address, bool write, u64 value);
	/* By MOV, LMSW, CLTS and XSETBV, before the checks of the value; not what VM entry and exit, task switches and resets load. */
	void (*cr_write)(void *opaque, struct vcpu *cpu, unsigned cr, u64 value);
	/* CS, CR0, EFER, RFLAGS.VM or the like may have changed. Often nothing has. */
	void (*mode)(void *opaque, struct vcpu *cpu);
	/* An event begins its way through the IDT. */
	void (*event)(void *opaque, struct vcpu *cpu, const struct event_info *event, bool injected);
	void (*triple_fault)(void *opaque, struct vcpu *cpu);
	/* Instead of the end of a VM exit; `code` is the VMX-abort indicator. The processor stays in shutdown. */
	void (*vmx_abort)(void *opaque, struct vcpu *cpu, u32 code);
	/* VMX. A VM exit: the guest's state is saved, the host's not yet loaded. */
	void (*vm_exit)(void *opaque, struct vcpu *cpu, u32 reason, bool entry_failed);
	/* Guest state is loaded, an injected event not yet delivered. */
	void (*vm_entry)(void *opaque, struct vcpu *cpu);
	/* A VM entry fails, by VMfail or by an exit that follows: called for each rule that is broken, `number` counts from 0. */
	void (*entry_refused)(void *opaque, struct vcpu *cpu, const struct vmx_broken_rule *broken, unsigned number);
	/* VMWRITE changes a field of the current VMCS, which still holds the old value. */
	void (*vmwrite)(void *opaque, struct vcpu *cpu, u64 encoding, u64 value);
};

/* All processors report to `hooks` from now on; NULL: to nobody. */
void hooks_set(struct cpus *cpus, struct hooks *hooks);
/* To be called, from outside cpus_run(), after `announced` or `stepping` changed; after the answers of `watched` changed. */
void hooks_instructions_changed(struct cpus *cpus);
void hooks_watches_changed(struct cpus *cpus);
/* Writes to the RAM at [first, last], until hooks_unwatch_writes(). Reads are as fast as ever. From outside cpus_run(). */
void hooks_watch_writes(struct cpus *cpus, u64 first, u64 last);
void hooks_unwatch_writes(struct cpus *cpus);
/* Leaves cpus_run() at the next boundary between instructions. */
void hooks_stop(struct vcpu *cpu);

/* For the core. */
bool hooks_instruction(struct vcpu *cpu, u64 linear);
static inline bool
hooks_announced(const struct hooks *hooks, u64 offset)
{
	return hooks->announced[offset >> 6 & 63] >> (offset & 63) & 1;
}

#endif
