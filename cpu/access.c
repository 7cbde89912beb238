/*
 * Guest loads and stores outside the inlined fast path: segmentation, translation, page crossing, MMIO, code pages. SDM 3, "Protection"
 * (limit and type checks), "Paging"; SDM 1, "Canonical Addressing".
 */
#include "cpu/access.h"

#include <string.h>

#include "bus/memory.h"
#include "cpu/block.h"
#include "cpu/fault.h"
#include "cpu/hooks.h"
#include "cpu/lapic.h"
#include "cpu/paging.h"
#include "cpu/string.h"
#include "cpu/tlb.h"
#include "vmx/intercept.h"

/* --- segmentation --- */

u64
insn_offset(const struct vcpu *cpu, const struct insn *in)
{
	u64 base = *(const u64 *)((const u8 *)cpu + in->rb), index = *(const u64 *)((const u8 *)cpu + in->rx);
	u64 offset = base + (index << EA_SCALE(in->ea)) + (u64)(s64)in->disp;
	unsigned asize = EA_ASIZE(in->ea);
	return asize == 3 ? offset : asize == 2 ? (u32)offset : (u16)offset;
}

static _Noreturn void
segment_fault(struct vcpu *cpu, unsigned seg)
{
	raise_error(cpu, seg == SS ? VECTOR_SS : VECTOR_GP, 0);
}

/* All bytes offset..offset+size-1 inside the limit of an expand-up or expand-down segment. */
static bool
within_limit(const struct segment *s, u64 offset, unsigned size)
{
	u64 last = offset + size - 1;
	bool expand_down = (s->access & (SEG_S | 0xc)) == (SEG_S | 0x4);
	if (!expand_down)
		return last <= s->limit && last >= offset;
	u64 top = s->access & SEG_DB ? 0xffffffff : 0xffff;
	return offset > s->limit && last <= top;
}

u64
segment_linear(struct vcpu *cpu, unsigned seg, u64 offset, unsigned size, unsigned access)
{
	const struct segment *s = &cpu->seg[seg];
	if (cpu->long64) {
		u64 linear = seg >= FS ? s->base + offset : offset;
		if (!linear_canonical(cpu, linear) || !linear_canonical(cpu, linear + size - 1))
			segment_fault(cpu, seg);
		return linear;
	}
	if (cpu_protected(cpu) && !cpu_vm86(cpu)) {
		bool code = s->access & 8;
		if (s->access & SEG_UNUSABLE || !(s->access & SEG_P))
			segment_fault(cpu, seg);
		if (access & ACCESS_WRITE && (code || !(s->access & 2)))
			segment_fault(cpu, seg);
		if (access & ACCESS_READ && code && !(s->access & 2))
			segment_fault(cpu, seg);
	}
	if (!within_limit(s, offset, size))
		segment_fault(cpu, seg);
	return (u32)(s->base + offset);
}

u64
insn_linear(struct vcpu *cpu, const struct insn *in, unsigned size, unsigned access)
{
	return segment_linear(cpu, EA_SEG(in->ea), insn_offset(cpu, in), size, access);
}

bool
cpu_flat_range(const struct vcpu *cpu, unsigned seg_a, u64 a, unsigned seg_b, u64 b, u64 size, bool down)
{
	if (cpu->long64)
		return true; /* one page: canonical as its first byte is */
	u64 low_a = down ? a + 8 - size : a, low_b = down ? b + 8 - size : b;
	return within_limit(&cpu->seg[seg_a], low_a, (unsigned)size) && within_limit(&cpu->seg[seg_b], low_b, (unsigned)size);
}

/* --- by physical target --- */

/* Every access that comes here may be to a watched page. */
static void
announce(struct vcpu *cpu, u64 linear, const struct tlb_target *t, unsigned size, bool write, u64 value)
{
	struct hook_access a = {.linear = linear, .physical = t->physical, .value = value, .size = size, .write = write};
	cpu->hooks->access(cpu->hooks->opaque, cpu, &a);
}

static u64
target_value(struct vcpu *cpu, u64 linear, const struct tlb_target *t, unsigned size)
{
	u64 value = 0;
	if (t->host) {
		memcpy(&value, t->host, size);
		return value;
	}
	if (t->special && vmx_apic_access(cpu, linear, t->physical, size, ACCESS_READ, &value))
		return value;
	if (!t->special && (t->physical & PAGE_MASK) == (cpu->msr.apic_base & PAGE_MASK) && cpu->lapic && lapic_enabled(cpu) && !lapic_x2apic(cpu))
		return lapic_read(cpu, t->physical & 0xfff, size);
	return memory_read(cpu->memory, t->physical, size);
}

static u64
target_read(struct vcpu *cpu, u64 linear, const struct tlb_target *t, unsigned size)
{
	u64 value = target_value(cpu, linear, t, size);
	if (unlikely(cpu->hooks) && cpu->hooks->watching)
		announce(cpu, linear, t, size, false, value);
	return value;
}

static void
target_write(struct vcpu *cpu, u64 linear, const struct tlb_target *t, unsigned size, u64 value)
{
	if (unlikely(cpu->hooks) && cpu->hooks->watching)
		announce(cpu, linear, t, size, true, value);
	if (t->host) {
		memcpy(t->host, &value, size);
		return;
	}
	if (t->special && vmx_apic_access(cpu, linear, t->physical, size, ACCESS_WRITE, &value))
		return;
	if (!t->special && (t->physical & PAGE_MASK) == (cpu->msr.apic_base & PAGE_MASK) && cpu->lapic && lapic_enabled(cpu) && !lapic_x2apic(cpu)) {
		lapic_write(cpu, t->physical & 0xfff, size, (u32)value);
		return;
	}
	if (unlikely(cpu->in_smm))
		phys_write(cpu, t->physical, size, value);
	else
		memory_write(cpu->memory, t->physical, size, value);
}

/* --- by linear address --- */

static void
check_alignment(struct vcpu *cpu, u64 linear, unsigned size)
{
	bool armed = cpu->mode & MODE_CHECKED && cpu->cpl == 3 && cpu->cr0 & CR0_AM && cpu->rflags & FLAG_AC;
	if (unlikely(armed) && size > 1 && linear & (MIN(size, 8) - 1))
		raise_error(cpu, VECTOR_AC, 0);
}

/* MODE_CHECKED: alignment checking (CPL 3) or data breakpoints are armed. */
static void
check_access(struct vcpu *cpu, u64 linear, unsigned size, unsigned access)
{
	if (likely(!(cpu->mode & MODE_CHECKED)))
		return;
	check_alignment(cpu, linear, size);
	cpu_data_breakpoints(cpu, linear, size, access & ACCESS_WRITE);
}

/* The next page's first byte, wrapping at 4 GiB outside 64-bit mode. */
static u64
next_page(const struct vcpu *cpu, u64 linear)
{
	u64 next = (linear & PAGE_MASK) + PAGE_SIZE;
	return cpu->long64 || cpu->efer & EFER_LMA ? next : (u32)next;
}

static bool
crosses_page(u64 linear, unsigned size)
{
	return (linear & 0xfff) + size > PAGE_SIZE;
}

static u64
read_slow(struct vcpu *cpu, u64 linear, unsigned size, unsigned access)
{
	struct tlb_target t, t2;
	if (!crosses_page(linear, size)) {
		tlb_translate(cpu, linear, access, &t);
		return target_read(cpu, linear, &t, size);
	}
	unsigned first = (unsigned)(PAGE_SIZE - (linear & 0xfff));
	u64 next = next_page(cpu, linear), value = 0;
	tlb_translate(cpu, linear, access, &t);
	tlb_translate(cpu, next, access, &t2);
	for (unsigned n = 0; n < size; n++) {
		struct tlb_target byte = n < first ? t : t2;
		unsigned at = n < first ? n : n - first;
		byte.physical += at;
		if (byte.host)
			byte.host += at;
		value |= (target_read(cpu, n < first ? linear + at : next + at, &byte, 1) & 0xff) << (n * 8);
	}
	return value;
}

static void
write_slow(struct vcpu *cpu, u64 linear, unsigned size, u64 value, unsigned access)
{
	struct tlb_target t, t2;
	if (!crosses_page(linear, size)) {
		tlb_translate(cpu, linear, access, &t);
		target_write(cpu, linear, &t, size, value);
		return;
	}
	unsigned first = (unsigned)(PAGE_SIZE - (linear & 0xfff));
	u64 next = next_page(cpu, linear);
	tlb_translate(cpu, linear, access, &t);
	tlb_translate(cpu, next, access, &t2);
	for (unsigned n = 0; n < size; n++) {
		struct tlb_target byte = n < first ? t : t2;
		unsigned at = n < first ? n : n - first;
		byte.physical += at;
		if (byte.host)
			byte.host += at;
		target_write(cpu, n < first ? linear + at : next + at, &byte, 1, value >> (n * 8) & 0xff);
	}
}

u64
mem_read(struct vcpu *cpu, u64 linear, unsigned size)
{
	check_access(cpu, linear, size, ACCESS_READ);
	struct tlb_entry *e = tlb_at(cpu->tlb, linear);
	if (((linear + size - 1) & PAGE_MASK) == e->tag_r) {
		u64 value = 0;
		memcpy(&value, (const void *)(uintptr_t)(linear + (u64)e->addend), size);
		return value;
	}
	return read_slow(cpu, linear, size, ACCESS_READ);
}

void
mem_write(struct vcpu *cpu, u64 linear, unsigned size, u64 value)
{
	check_access(cpu, linear, size, ACCESS_WRITE);
	struct tlb_entry *e = tlb_at(cpu->tlb, linear);
	if (((linear + size - 1) & PAGE_MASK) == e->tag_w) {
		memcpy((void *)(uintptr_t)(linear + (u64)e->addend), &value, size);
		return;
	}
	write_slow(cpu, linear, size, value, ACCESS_WRITE);
}

/* Translates for reading or writing all pages that the bytes lie in. */
static void
probe(struct vcpu *cpu, u64 linear, unsigned size, unsigned access)
{
	struct tlb_target t;
	for (unsigned done = 0; done < size;) {
		unsigned part = MIN(size - done, (unsigned)(PAGE_SIZE - (linear & 0xfff)));
		struct tlb_entry *e = tlb_at(access & ACCESS_SYSTEM ? cpu->context->entry[TLB_SUPERVISOR] : cpu->tlb, linear);
		if ((access & ACCESS_WRITE ? e->tag_w : e->tag_r) != (linear & PAGE_MASK))
			tlb_translate(cpu, linear, access, &t);
		done += part;
		linear = next_page(cpu, linear);
	}
}

void
mem_probe_write(struct vcpu *cpu, u64 linear, unsigned size)
{
	check_alignment(cpu, linear, size);
	probe(cpu, linear, size, ACCESS_WRITE);
}

void
mem_probe_read(struct vcpu *cpu, u64 linear, unsigned size)
{
	check_alignment(cpu, linear, size);
	probe(cpu, linear, size, ACCESS_READ);
}

/* Up to eight bytes at a time, the same pieces in every case; the pieces never cross a page. */
static unsigned
piece(u64 linear, unsigned left)
{
	unsigned to_page = (unsigned)(PAGE_SIZE - (linear & 0xfff)), n = MIN(MIN(left, to_page), 8);
	return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

void
mem_read_bytes(struct vcpu *cpu, u64 linear, void *data, unsigned size)
{
	struct tlb_entry *e = tlb_at(cpu->tlb, linear);
	if (likely(!(cpu->mode & MODE_CHECKED) && ((linear + size - 1) & PAGE_MASK) == e->tag_r && size <= PAGE_SIZE)) {
		memcpy(data, (const void *)(uintptr_t)(linear + (u64)e->addend), size);
		return;
	}
	mem_probe_read(cpu, linear, size);
	for (u8 *to = data; size;) {
		unsigned n = piece(linear, size);
		u64 v = mem_read(cpu, linear, n);
		memcpy(to, &v, n);
		to += n;
		size -= n;
		linear = (linear & 0xfff) + n == PAGE_SIZE ? next_page(cpu, linear) : linear + n;
	}
}

void
mem_write_bytes(struct vcpu *cpu, u64 linear, const void *data, unsigned size)
{
	struct tlb_entry *e = tlb_at(cpu->tlb, linear);
	if (likely(!(cpu->mode & MODE_CHECKED) && ((linear + size - 1) & PAGE_MASK) == e->tag_w && size <= PAGE_SIZE)) {
		memcpy((void *)(uintptr_t)(linear + (u64)e->addend), data, size);
		return;
	}
	mem_probe_write(cpu, linear, size);
	for (const u8 *from = data; size;) {
		unsigned n = piece(linear, size);
		u64 v = 0;
		memcpy(&v, from, n);
		mem_write(cpu, linear, n, v);
		from += n;
		size -= n;
		linear = (linear & 0xfff) + n == PAGE_SIZE ? next_page(cpu, linear) : linear + n;
	}
}

u8 *
mem_host_page(struct vcpu *cpu, u64 linear, unsigned access)
{
	struct tlb_entry *e = tlb_at(cpu->tlb, linear);
	u64 tag = access & ACCESS_WRITE ? e->tag_w : e->tag_r;
	if (cpu->mode & MODE_CHECKED)
		return NULL;
	if (tag != (linear & PAGE_MASK)) {
		struct tlb_target t;
		tlb_translate(cpu, linear, access, &t);
		tag = access & ACCESS_WRITE ? e->tag_w : e->tag_r;
		if (tag != (linear & PAGE_MASK))
			return NULL;
	}
	return (u8 *)(uintptr_t)(linear + (u64)e->addend);
}

u64
sys_read(struct vcpu *cpu, u64 linear, unsigned size)
{
	struct tlb_entry *e = tlb_at(cpu->context->entry[TLB_SUPERVISOR], linear);
	if (((linear + size - 1) & PAGE_MASK) == e->tag_r) {
		u64 value = 0;
		memcpy(&value, (const void *)(uintptr_t)(linear + (u64)e->addend), size);
		return value;
	}
	return read_slow(cpu, linear, size, ACCESS_READ | ACCESS_SYSTEM);
}

void
sys_write(struct vcpu *cpu, u64 linear, unsigned size, u64 value)
{
	struct tlb_entry *e = tlb_at(cpu->context->entry[TLB_SUPERVISOR], linear);
	if (((linear + size - 1) & PAGE_MASK) == e->tag_w) {
		memcpy((void *)(uintptr_t)(linear + (u64)e->addend), &value, size);
		return;
	}
	write_slow(cpu, linear, size, value, ACCESS_WRITE | ACCESS_SYSTEM);
}

void
sys_probe_write(struct vcpu *cpu, u64 linear, unsigned size)
{
	probe(cpu, linear, size, ACCESS_WRITE | ACCESS_SYSTEM);
}

u64
phys_read(struct vcpu *cpu, u64 physical, unsigned size)
{
	const u8 *smram = unlikely(cpu->in_smm) ? memory_smram(cpu->memory, physical & cpu->physical_mask) : NULL;
	u64 value = 0;
	if (smram) {
		memcpy(&value, smram, size);
		return value;
	}
	return memory_read(cpu->memory, physical & cpu->physical_mask, size);
}

void
phys_write(struct vcpu *cpu, u64 physical, unsigned size, u64 value)
{
	u8 *smram = unlikely(cpu->in_smm) ? memory_smram(cpu->memory, physical & cpu->physical_mask) : NULL;
	if (smram) {
		memory_written(cpu->memory, physical & cpu->physical_mask, physical & cpu->physical_mask, size);
		memcpy(smram, &value, size);
		return;
	}
	memory_write(cpu->memory, physical & cpu->physical_mask, size, value);
}

void
phys_write_by(struct vcpu *cpu, const char *writer, u64 physical, unsigned size, u64 value)
{
	cpu->memory->writer = writer;
	phys_write(cpu, physical, size, value);
	cpu->memory->writer = NULL;
}

bool
mem_peek(struct vcpu *cpu, u64 linear, void *data, unsigned size)
{
	for (u8 *to = data; size;) {
		unsigned n = MIN(size, (unsigned)(PAGE_SIZE - (linear & 0xfff)));
		u64 physical;
		if (!linear_peek(cpu, linear, NULL, &physical) || !memory_peek(cpu->memory, physical, to, n))
			return false;
		to += n;
		size -= n;
		linear = next_page(cpu, linear);
	}
	return true;
}

/* --- operands --- */

u64
rm_read(struct vcpu *cpu, const struct insn *in, unsigned size)
{
	return insn_is_mem(in) ? mem_read(cpu, insn_linear(cpu, in, size, ACCESS_READ), size) : reg_get(cpu, in->rs, size);
}

void
rm_write(struct vcpu *cpu, const struct insn *in, unsigned size, u64 value)
{
	if (insn_is_mem(in))
		mem_write(cpu, insn_linear(cpu, in, size, ACCESS_WRITE), size, value);
	else
		reg_set(cpu, in->rs, size, value);
}

u64
rm_read_modify(struct vcpu *cpu, const struct insn *in, unsigned size)
{
	if (!insn_is_mem(in))
		return reg_get(cpu, in->rs, size);
	u64 linear = insn_linear(cpu, in, size, ACCESS_READ | ACCESS_WRITE);
	mem_probe_write(cpu, linear, size);
	cpu->tmp = linear;
	return mem_read(cpu, linear, size);
}

void
rm_write_back(struct vcpu *cpu, const struct insn *in, unsigned size, u64 value)
{
	if (insn_is_mem(in))
		mem_write(cpu, cpu->tmp, size, value);
	else
		reg_set(cpu, in->rs, size, value);
}

void
vec_rm_read(struct vcpu *cpu, const struct insn *in, void *data, unsigned size, bool align)
{
	if (!insn_is_mem(in)) {
		memcpy(data, &cpu->vec[in->rs], size);
		return;
	}
	u64 linear = insn_linear(cpu, in, size, ACCESS_READ);
	if (align && linear & (size - 1))
		raise_gp(cpu, 0);
	mem_read_bytes(cpu, linear, data, size);
}

void
vec_rm_write(struct vcpu *cpu, const struct insn *in, const void *data, unsigned size, bool align)
{
	if (!insn_is_mem(in)) {
		memcpy(&cpu->vec[in->rs], data, size);
		return;
	}
	u64 linear = insn_linear(cpu, in, size, ACCESS_WRITE);
	if (align && linear & (size - 1))
		raise_gp(cpu, 0);
	mem_write_bytes(cpu, linear, data, size);
}

/* --- stack --- */

static u64
stack_mask(const struct vcpu *cpu)
{
	return cpu->long64 ? ~0ull : cpu->seg[SS].access & SEG_DB ? 0xffffffff : 0xffff;
}

void
stack_push(struct vcpu *cpu, unsigned size, u64 value)
{
	u64 mask = stack_mask(cpu), rsp = (cpu->r[RSP] - size) & mask;
	mem_write(cpu, segment_linear(cpu, SS, rsp, size, ACCESS_WRITE), size, value);
	cpu->r[RSP] = (cpu->r[RSP] & ~mask) | rsp;
}

u64
stack_peek(struct vcpu *cpu, unsigned size, unsigned depth)
{
	return mem_read(cpu, segment_linear(cpu, SS, (cpu->r[RSP] + depth) & stack_mask(cpu), size, ACCESS_READ), size);
}

u64
stack_pop(struct vcpu *cpu, unsigned size)
{
	u64 value = stack_peek(cpu, size, 0);
	stack_move(cpu, size);
	return value;
}

void
stack_move(struct vcpu *cpu, s64 delta)
{
	u64 mask = stack_mask(cpu);
	cpu->r[RSP] = (cpu->r[RSP] & ~mask) | ((cpu->r[RSP] + (u64)delta) & mask);
}
