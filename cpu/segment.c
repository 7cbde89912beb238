/*
 * Descriptor tables, and loads of segment registers, LDTR and TR.
 *
 * SDM 3, "Protected-Mode Memory Management" and "Protection"; SDM 2, MOV, LLDT, LTR (Operation).
 */
#include "cpu/segment.h"

#include "cpu/access.h"
#include "cpu/fault.h"
#include "cpu/msr.h"
#include "cpu/paging.h"

#define DESCRIPTOR_ACCESSED BIT(40)
#define DESCRIPTOR_BUSY BIT(41)
#define DESCRIPTOR_S BIT(44)
#define ACCESS_BYTE 5 /* of the descriptor: type, S, DPL, P */

u64
table_linear(const struct vcpu *cpu, u64 base, u64 offset)
{
	return cpu->efer & EFER_LMA ? base + offset : (u32)(base + offset);
}

static bool
descriptor_table(const struct vcpu *cpu, u16 selector, u64 *base, u32 *limit)
{
	if (selector_null(selector))
		return false;
	if (selector & SELECTOR_TI) {
		if (cpu->ldtr.access & SEG_UNUSABLE)
			return false;
		*base = cpu->ldtr.base;
		*limit = cpu->ldtr.limit;
	} else {
		*base = cpu->gdtr.base;
		*limit = cpu->gdtr.limit;
	}
	return true;
}

/* LDT, TSS and call gate take 16 bytes in IA-32e mode; the other system types are not valid there. */
static bool
descriptor_is_long(const struct vcpu *cpu, u64 low)
{
	if (!(cpu->efer & EFER_LMA) || low & DESCRIPTOR_S)
		return false;
	switch (descriptor_type(low)) {
	case TYPE_LDT:
	case TYPE_TSS32:
	case TYPE_TSS32_BUSY:
	case TYPE_CALL_GATE32: return true;
	default: return false;
	}
}

bool
descriptor_read(struct vcpu *cpu, u16 selector, struct descriptor *d)
{
	u64 base;
	u32 limit, offset = selector & ~7u;

	if (!descriptor_table(cpu, selector, &base, &limit) || offset + 7 > limit)
		return false;
	d->low = sys_read(cpu, table_linear(cpu, base, offset), 8);
	d->high = 0;
	if (!descriptor_is_long(cpu, d->low))
		return true;
	if (offset + 15 > limit)
		return false;
	d->high = sys_read(cpu, table_linear(cpu, base, offset + 8), 8);
	/* The type field of the upper half must be zero, lest the second half of a descriptor be taken for one. */
	return !BITS(d->high, 44, 40);
}

static void
access_byte_write(struct vcpu *cpu, u16 selector, u64 low)
{
	u64 base = 0;
	u32 limit;

	descriptor_table(cpu, selector, &base, &limit);
	sys_write(cpu, table_linear(cpu, base, (selector & ~7u) + ACCESS_BYTE), 1, BITS(low, 47, 40));
}

void
descriptor_set_accessed(struct vcpu *cpu, u16 selector, struct descriptor *d)
{
	if (!(d->low & DESCRIPTOR_S) || d->low & DESCRIPTOR_ACCESSED)
		return;
	access_byte_write(cpu, selector, d->low | DESCRIPTOR_ACCESSED);
	d->low |= DESCRIPTOR_ACCESSED;
}

void
descriptor_set_busy(struct vcpu *cpu, u16 selector, struct descriptor *d, bool busy)
{
	u64 low = busy ? d->low | DESCRIPTOR_BUSY : d->low & ~DESCRIPTOR_BUSY;

	access_byte_write(cpu, selector, low);
	d->low = low;
}

void
segment_from_descriptor(struct segment *seg, u16 selector, const struct descriptor *d)
{
	seg->selector = selector;
	seg->base = descriptor_base(d->low);
	if (!(d->low & DESCRIPTOR_S))
		seg->base |= d->high << 32;
	seg->limit = descriptor_limit(d->low);
	seg->access = descriptor_access(d->low);
}

void
segment_set_null(struct segment *seg, u16 selector, unsigned dpl)
{
	*seg = (struct segment){.selector = selector, .access = (u16)(SEG_UNUSABLE | dpl << 5)};
}

void
segment_set_flat(struct segment *seg, u16 selector, u16 access)
{
	*seg = (struct segment){.limit = 0xffffffff, .selector = selector, .access = access};
}

void
segment_set_real(struct vcpu *cpu, unsigned seg, u16 selector)
{
	struct segment *s = &cpu->seg[seg];

	s->selector = selector;
	s->base = (u64)selector << 4;
	if (cpu_vm86(cpu)) {
		s->limit = 0xffff;
		s->access = SEG_P | SEG_S | 3 << 5 | TYPE_DATA_WRITE | TYPE_ACCESSED;
		return;
	}
	/* Limit, D and G stay ("unreal mode"); a segment left unusable by protected mode becomes usable. */
	if (s->access & SEG_UNUSABLE) {
		s->limit = 0xffff;
		s->access = 0;
	}
	s->access = (s->access & 0xf000) | SEG_P | SEG_S | TYPE_DATA_WRITE | TYPE_ACCESSED;
}

void
segment_load_real(struct vcpu *cpu, unsigned seg, u16 selector)
{
	segment_set_real(cpu, seg, selector);
	cpu_mode_changed(cpu);
}

bool
descriptor_loads_data(const struct vcpu *cpu, u16 selector, u64 low)
{
	unsigned dpl = descriptor_dpl(low);

	if (!descriptor_is_readable(low))
		return false;
	return descriptor_is_conforming(low) || (dpl >= SELECTOR_RPL(selector) && dpl >= cpu->cpl);
}

static void
load_null(struct vcpu *cpu, unsigned seg, u16 selector)
{
	if (seg == SS && (!cpu->long64 || cpu->cpl == 3 || SELECTOR_RPL(selector) != cpu->cpl))
		raise_gp(cpu, 0);
	segment_set_null(&cpu->seg[seg], selector, seg == SS ? cpu->cpl : 0);
}

static void
load_protected(struct vcpu *cpu, unsigned seg, u16 selector)
{
	struct descriptor d;

	if (!descriptor_read(cpu, selector, &d))
		raise_gp(cpu, selector_error(selector));
	if (seg == SS) {
		if (SELECTOR_RPL(selector) != cpu->cpl || !descriptor_is_writable(d.low) || descriptor_dpl(d.low) != cpu->cpl)
			raise_gp(cpu, selector_error(selector));
		if (!descriptor_present(d.low))
			raise_error(cpu, VECTOR_SS, selector_error(selector));
	} else {
		if (!descriptor_loads_data(cpu, selector, d.low))
			raise_gp(cpu, selector_error(selector));
		if (!descriptor_present(d.low))
			raise_error(cpu, VECTOR_NP, selector_error(selector));
	}
	descriptor_set_accessed(cpu, selector, &d);
	segment_from_descriptor(&cpu->seg[seg], selector, &d);
}

void
segment_load(struct vcpu *cpu, unsigned seg, u16 selector)
{
	if (!cpu_protected(cpu) || cpu_vm86(cpu))
		segment_set_real(cpu, seg, selector);
	else if (selector_null(selector))
		load_null(cpu, seg, selector);
	else
		load_protected(cpu, seg, selector);
	cpu_mode_changed(cpu);
}

static bool
system_base_canonical(const struct vcpu *cpu, const struct descriptor *d)
{
	return !(cpu->efer & EFER_LMA) || msr_canonical(cpu, descriptor_base(d->low) | d->high << 32);
}

void
ldtr_load(struct vcpu *cpu, u16 selector)
{
	struct descriptor d;

	if (selector_null(selector)) {
		segment_set_null(&cpu->ldtr, selector, 0);
		return;
	}
	if (selector & SELECTOR_TI || !descriptor_read(cpu, selector, &d) || d.low & DESCRIPTOR_S ||
	    descriptor_type(d.low) != TYPE_LDT)
		raise_gp(cpu, selector_error(selector));
	if (!descriptor_present(d.low))
		raise_error(cpu, VECTOR_NP, selector_error(selector));
	if (!system_base_canonical(cpu, &d))
		raise_gp(cpu, selector_error(selector));
	segment_from_descriptor(&cpu->ldtr, selector, &d);
}

bool
descriptor_is_tss(const struct vcpu *cpu, u64 low, bool busy)
{
	unsigned type = busy ? descriptor_type(low) ^ TYPE_BUSY : descriptor_type(low);

	if (low & DESCRIPTOR_S)
		return false;
	return type == TYPE_TSS32 || (type == TYPE_TSS16 && !(cpu->efer & EFER_LMA));
}

void
tr_load(struct vcpu *cpu, u16 selector)
{
	struct descriptor d;

	if (selector_null(selector))
		raise_gp(cpu, 0);
	if (selector & SELECTOR_TI || !descriptor_read(cpu, selector, &d) || !descriptor_is_tss(cpu, d.low, false))
		raise_gp(cpu, selector_error(selector));
	if (!descriptor_present(d.low))
		raise_error(cpu, VECTOR_NP, selector_error(selector));
	if (!system_base_canonical(cpu, &d))
		raise_gp(cpu, selector_error(selector));
	descriptor_set_busy(cpu, selector, &d, true);
	segment_from_descriptor(&cpu->tr, selector, &d);
}

void
cs_load(struct vcpu *cpu, u16 selector, const struct descriptor *d, unsigned cpl)
{
	segment_from_descriptor(&cpu->seg[CS], (u16)((selector & ~3u) | cpl), d);
	cpu->cpl = (u8)cpl;
}

void
code_target_check(struct vcpu *cpu, u64 low, u64 rip)
{
	if (descriptor_is_64bit(cpu, low)) {
		if (!linear_canonical(cpu, rip))
			raise_gp(cpu, 0);
	} else if (rip > descriptor_limit(low)) {
		raise_gp(cpu, 0);
	}
}
