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

#define SELECTOR_RPL(selector) ((selector) & 3u)
#define SELECTOR_TI 4u

/* Descriptor types, bits 43:40. SDM 3, "Code- and Data-Segment Descriptor Types" (S = 1) and "System Descriptor Types" (S = 0). */
#define TYPE_ACCESSED 1u
#define TYPE_DATA_WRITE 2u
#define TYPE_CODE_READ 2u
#define TYPE_CODE_CONFORMING 4u
#define TYPE_CODE 8u
#define TYPE_BUSY 2u /* of a TSS */
enum system_type {
	TYPE_TSS16 = 1,
	TYPE_LDT = 2,
	TYPE_TSS16_BUSY = 3,
	TYPE_CALL_GATE16 = 4,
	TYPE_TASK_GATE = 5,
	TYPE_INTERRUPT_GATE16 = 6,
	TYPE_TRAP_GATE16 = 7,
	TYPE_TSS32 = 9, /* 64-bit TSS in IA-32e mode; likewise the following */
	TYPE_TSS32_BUSY = 11,
	TYPE_CALL_GATE32 = 12,
	TYPE_INTERRUPT_GATE32 = 14,
	TYPE_TRAP_GATE32 = 15,
};

static inline unsigned
descriptor_type(u64 low)
{
	return BITS(low, 43, 40);
}

static inline unsigned
descriptor_dpl(u64 low)
{
	return BITS(low, 46, 45);
}

static inline bool
descriptor_present(u64 low)
{
	return low & BIT(47);
}

static inline bool
descriptor_is_system(u64 low)
{
	return !(low & BIT(44));
}

static inline bool
descriptor_is_code(u64 low)
{
	return !descriptor_is_system(low) && descriptor_type(low) & TYPE_CODE;
}

static inline bool
descriptor_is_conforming(u64 low)
{
	return descriptor_is_code(low) && descriptor_type(low) & TYPE_CODE_CONFORMING;
}

/* A data segment, or a readable code segment. */
static inline bool
descriptor_is_readable(u64 low)
{
	return !descriptor_is_system(low) && (!(descriptor_type(low) & TYPE_CODE) || descriptor_type(low) & TYPE_CODE_READ);
}

static inline bool
descriptor_is_writable(u64 low)
{
	return !descriptor_is_system(low) && !(descriptor_type(low) & TYPE_CODE) && descriptor_type(low) & TYPE_DATA_WRITE;
}

static inline bool
descriptor_is_64bit(const struct vcpu *cpu, u64 low)
{
	return cpu->efer & EFER_LMA && low & BIT(53);
}

/* L and D both set: reserved in IA-32e mode. */
static inline bool
descriptor_bad_size(const struct vcpu *cpu, u64 low)
{
	return descriptor_is_64bit(cpu, low) && low & BIT(54);
}

static inline bool
selector_null(u16 selector)
{
	return !(selector & ~3u);
}

/* The selector as error codes carry it; EXT is added by raise_error(). */
static inline u32
selector_error(u16 selector)
{
	return selector & 0xfffcu;
}

/* Linear address in a descriptor table or TSS: wraps at 4 GByte outside IA-32e mode. */
u64 table_linear(const struct vcpu *cpu, u64 base, u64 offset);

/* Reads the descriptor of `selector`; false if null or beyond the table's limit (or a 16-byte descriptor with a bad upper half). */
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

/* --- for far transfers: no check, no cpu_mode_changed() --- */
void segment_set_real(struct vcpu *cpu, unsigned seg, u16 selector);
/* Unusable; SS keeps a DPL, equal to the CPL. */
void segment_set_null(struct segment *seg, u16 selector, unsigned dpl);
/* Base 0, limit 4 GByte. */
void segment_set_flat(struct segment *seg, u16 selector, u16 access);
/* An available (or busy) TSS of the present mode. */
bool descriptor_is_tss(const struct vcpu *cpu, u64 low, bool busy);
void descriptor_set_busy(struct vcpu *cpu, u16 selector, struct descriptor *d, bool busy);
/* May DS, ES, FS, GS be loaded with it (type and privilege)? */
bool descriptor_loads_data(const struct vcpu *cpu, u16 selector, u64 low);
/* CS and CPL; the selector's RPL becomes the CPL. */
void cs_load(struct vcpu *cpu, u16 selector, const struct descriptor *d, unsigned cpl);
/* #GP(0) unless code of segment descriptor `low` can be at `rip`: its limit, or canonical in 64-bit mode. */
void code_target_check(struct vcpu *cpu, u64 low, u64 rip);

#endif
