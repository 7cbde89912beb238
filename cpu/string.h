/* Shared by the string instructions (op_string.c, op_io.c): how far one round of a REP may go. */
#ifndef NB_CPU_STRING_H
#define NB_CPU_STRING_H

#include "cpu/insn.h"

/* How many iterations may be done now: up to the next event; one when single-stepping. */
u64 string_budget(struct vcpu *cpu, const struct insn *in);
/* Accounts for `done` iterations, each one instruction; `more`: the instruction stays on itself. */
void string_charge(struct vcpu *cpu, const struct insn *in, u64 done, bool more);

/* The instruction stays on itself (next_rip is its own address), between two iterations; string_charge() says so too. */
void string_goes_on(struct vcpu *cpu, const struct insn *in);

/*
 * The host address behind `linear` for plain memory that the TLB knows (or now learns) with this permission; NULL when the access needs the
 * slow path (MMIO, code pages...). May fault, exactly as the access at `linear` would.
 */
u8 *mem_host_page(struct vcpu *cpu, u64 linear, unsigned access);
/* True when both ranges of `size` bytes (from the offsets up, or ending there when `down`) need no further segment checks. */
bool cpu_flat_range(const struct vcpu *cpu, unsigned seg_a, u64 a, unsigned seg_b, u64 b, u64 size, bool down);

#endif
