/*
 * Every guest load and store outside the inlined fast path.
 *
 * All functions either complete or leave through the fault door (fault.h) with nothing changed. Sizes are in bytes. `linear` addresses
 * are after segmentation. Accesses may cross pages; a store that could fault on its second page changes nothing on the first.
 */
#ifndef NB_CPU_ACCESS_H
#define NB_CPU_ACCESS_H

#include "cpu/insn.h"

/* Who accesses: the program at its CPL, or the processor itself (descriptor tables, TSS, IDT: always supervisor, "implicit"). */
enum access { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_FETCH = 4, ACCESS_SYSTEM = 8 };

/* --- memory operand of an instruction --- */

/* Effective address (offset), cut to the address size. */
u64 insn_offset(const struct vcpu *cpu, const struct insn *in);
/*
 * Segment checks (limit, type, canonical: #GP(0) or #SS(0)) and segment base: offset -> linear address. `access`: ACCESS_READ and/or
 * ACCESS_WRITE.
 */
u64 segment_linear(struct vcpu *cpu, unsigned seg, u64 offset, unsigned size, unsigned access);
/* Both for the memory operand. */
u64 insn_linear(struct vcpu *cpu, const struct insn *in, unsigned size, unsigned access);

/* --- by linear address, with the program's rights (CPL, SMAP, PKRU, alignment check if armed) --- */
u64 mem_read(struct vcpu *cpu, u64 linear, unsigned size); /* 1..8 */
void mem_write(struct vcpu *cpu, u64 linear, unsigned size, u64 value);
void mem_read_bytes(struct vcpu *cpu, u64 linear, void *data, unsigned size); /* any size up to 4096 */
void mem_write_bytes(struct vcpu *cpu, u64 linear, const void *data, unsigned size);
/* Faults exactly as a write of `size` bytes would (sets A and D), but writes nothing: first half of read-modify-write. */
void mem_probe_write(struct vcpu *cpu, u64 linear, unsigned size);
void mem_probe_read(struct vcpu *cpu, u64 linear, unsigned size);

/* --- by linear address, as supervisor ("implicit supervisor-mode access": no SMAP by AC, no alignment check) --- */
u64 sys_read(struct vcpu *cpu, u64 linear, unsigned size);
void sys_write(struct vcpu *cpu, u64 linear, unsigned size, u64 value);
void sys_probe_write(struct vcpu *cpu, u64 linear, unsigned size);

/* --- by physical address (VMCS, MSR areas, page tables): not subject to paging or EPT --- */
u64 phys_read(struct vcpu *cpu, u64 physical, unsigned size);
void phys_write(struct vcpu *cpu, u64 physical, unsigned size, u64 value);
/* By the processor itself; `writer` is for those who watch memory. */
void phys_write_by(struct vcpu *cpu, const char *writer, u64 physical, unsigned size, u64 value);

/* --- debugger: no side effect; false when not mapped --- */
bool mem_peek(struct vcpu *cpu, u64 linear, void *data, unsigned size);
/*
 * linear -> guest-physical and physical as the present paging mode would, changing nothing; false if not mapped. Either result pointer may be
 * NULL.
 */
bool linear_peek(struct vcpu *cpu, u64 linear, u64 *guest_physical, u64 *physical);

/* --- general registers by byte offset --- */
static inline u64
reg_get(const struct vcpu *cpu, unsigned offset, unsigned size)
{
	const u8 *p = (const u8 *)cpu + offset;
	switch (size) {
	case 1: return *p;
	case 2: return *(const u16 *)p;
	case 4: return *(const u32 *)p;
	default: return *(const u64 *)p;
	}
}

/* 32-bit writes clear the upper half, 8- and 16-bit writes keep the rest. */
static inline void
reg_set(struct vcpu *cpu, unsigned offset, unsigned size, u64 value)
{
	u8 *p = (u8 *)cpu + offset;
	switch (size) {
	case 1: *p = (u8)value; break;
	case 2: *(u16 *)p = (u16)value; break;
	case 4: *(u64 *)p = (u32)value; break;
	default: *(u64 *)p = value; break;
	}
}

/* --- the E operand (ModRM.rm): register or memory --- */
u64 rm_read(struct vcpu *cpu, const struct insn *in, unsigned size);
void rm_write(struct vcpu *cpu, const struct insn *in, unsigned size, u64 value);
/* Read-modify-write: rm_read_modify() checks write permission too, and remembers the linear address in cpu->tmp; then rm_write_back(). */
u64 rm_read_modify(struct vcpu *cpu, const struct insn *in, unsigned size);
void rm_write_back(struct vcpu *cpu, const struct insn *in, unsigned size, u64 value);

/* The W/U operand of vector instructions: low `size` bytes (4, 8, 16 or 32) of register rs or memory. `align`: #GP(0) unless aligned to size. */
void vec_rm_read(struct vcpu *cpu, const struct insn *in, void *data, unsigned size, bool align);
void vec_rm_write(struct vcpu *cpu, const struct insn *in, const void *data, unsigned size, bool align);

/* --- stack, by SS and the stack address size --- */
/* Size 2, 4 or 8. push checks and writes before it moves RSP. */
void stack_push(struct vcpu *cpu, unsigned size, u64 value);
u64 stack_pop(struct vcpu *cpu, unsigned size);
/* The value `depth` bytes above the top, without moving it. */
u64 stack_peek(struct vcpu *cpu, unsigned size, unsigned depth);
/* RSP, ESP or SP += delta, by stack address size. */
void stack_move(struct vcpu *cpu, s64 delta);

#endif
