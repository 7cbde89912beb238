/* Descriptor loads and checks. SDM 3, "Protected-Mode Memory Management" and "Protection". */
#ifndef NB_CPU_SEGMENT_H
#define NB_CPU_SEGMENT_H

#include "cpu/state.h"

/* A descriptor as read from a table: 8 bytes (16 for system descriptors in IA-32e mode, `high`). */
struct descriptor {
	u64 low, high;
};

static inline u64
descriptor_base(u64 low)
{
	return BITS(low, 39, 16) | BITS(low, 63, 56) << 24;
}

static inline u32
descriptor_limit(u64 low)
{
	u32 limit = (u32)(BITS(low, 15, 0) | BITS(low, 51, 48) << 16);
	return low & BIT(55) ? limit << 12 | 0xfff : limit;
}

/* In the layout of struct segment's access. */
static inline u16
descriptor_access(u64 low)
{
	return (u16)(BITS(low, 47, 40) | (BITS(low, 55, 52) << 12));
}

/* Reads the descriptor of `selector`; false if null or beyond the table's limit. */
bool descriptor_read(struct vcpu *cpu, u16 selector, struct descriptor *d);
/* Sets the accessed bit in the table if clear. */
void descriptor_set_accessed(struct vcpu *cpu, u16 selector, struct descriptor *d);
void segment_from_descriptor(struct segment *seg, u16 selector, const struct descriptor *d);

/* MOV/POP/LDS... to a segment register other than CS, in every mode, with all checks. Calls cpu_mode_changed(). */
void segment_load(struct vcpu *cpu, unsigned seg, u16 selector);
/* Real and virtual-8086 mode: base = selector * 16. Keeps limit and access in real mode (unreal mode), sets them in VM86. */
void segment_load_real(struct vcpu *cpu, unsigned seg, u16 selector);
void ldtr_load(struct vcpu *cpu, u16 selector);
void tr_load(struct vcpu *cpu, u16 selector);

#endif
