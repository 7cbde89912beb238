/*
 * Stack frames of event delivery and far calls.
 *
 * SDM 2, CALL and INT n (Operation: stack switches); SDM 3, "Stack Switching" and "Stack Switching in IA-32e Mode".
 */
#include "cpu/frame.h"

#include <string.h>

#include "cpu/access.h"
#include "cpu/fault.h"
#include "cpu/paging.h"
#include "cpu/segment.h"

u64
segment_stack_mask(const struct segment *ss)
{
	return ss->access & SEG_DB ? 0xffffffff : 0xffff;
}

u64
stack_mask(const struct vcpu *cpu)
{
	return cpu->long64 ? ~0ull : segment_stack_mask(&cpu->seg[SS]);
}

void
frame_current(struct vcpu *cpu, struct frame *f, unsigned size, bool wide)
{
	f->ss = cpu->seg[SS];
	f->sp = cpu->r[RSP];
	f->wide = wide;
	f->inner = false;
	f->error = 0;
	f->size = size;
	f->count = 0;
}

static _Noreturn void
raise_ts(struct vcpu *cpu, u16 selector)
{
	raise_error(cpu, VECTOR_TS, selector_error(selector));
}

/* SS:ESP for `level` from a 32-bit TSS, SS:SP from a 16-bit one. */
static u16
read_tss_stack(struct vcpu *cpu, unsigned level, u64 *sp)
{
	bool wide = cpu->tr.access & 8;
	unsigned size = wide ? 4 : 2, offset = wide ? level * 8 + 4 : level * 4 + 2;

	if (offset + size + 1 > cpu->tr.limit)
		raise_ts(cpu, cpu->tr.selector);
	*sp = sys_read(cpu, table_linear(cpu, cpu->tr.base, offset), size);
	return (u16)sys_read(cpu, table_linear(cpu, cpu->tr.base, offset + size), 2);
}

void
frame_inner(struct vcpu *cpu, struct frame *f, unsigned size, unsigned level)
{
	struct descriptor d;
	u16 selector;

	frame_current(cpu, f, size, false);
	f->inner = true;
	selector = read_tss_stack(cpu, level, &f->sp);
	f->error = selector_error(selector);
	if (selector_null(selector) || !descriptor_read(cpu, selector, &d) || SELECTOR_RPL(selector) != level ||
	    descriptor_dpl(d.low) != level || !descriptor_is_writable(d.low))
		raise_ts(cpu, selector);
	if (!descriptor_present(d.low))
		raise_error(cpu, VECTOR_SS, f->error);
	descriptor_set_accessed(cpu, selector, &d);
	segment_from_descriptor(&f->ss, selector, &d);
}

void
frame_tss64(struct vcpu *cpu, struct frame *f, unsigned offset, unsigned level)
{
	frame_current(cpu, f, 8, true);
	if (offset + 7 > cpu->tr.limit)
		raise_ts(cpu, cpu->tr.selector);
	f->sp = sys_read(cpu, cpu->tr.base + offset, 8);
	if (level == cpu->cpl)
		return;
	f->inner = true;
	segment_set_null(&f->ss, (u16)level, level);
}

static u64
frame_mask(const struct frame *f)
{
	return f->wide ? ~0ull : segment_stack_mask(&f->ss);
}

/* Linear address of stack offset `at`. */
static u64
frame_linear(const struct frame *f, u64 at)
{
	return f->wide ? at : (u32)(f->ss.base + at);
}

/* SS is a writable data segment: the limit decides. */
static bool
within_stack(const struct segment *ss, u64 at, unsigned size)
{
	u64 last = at + size - 1;

	if (ss->access & SEG_UNUSABLE)
		return false;
	if ((ss->access & SEG_TYPE & 0xc) == 4) /* expand-down */
		return at > ss->limit && last <= segment_stack_mask(ss);
	return last <= ss->limit;
}

static u64
frame_slot(const struct frame *f, unsigned n)
{
	return (f->sp - (u64)(n + 1) * f->size) & frame_mask(f);
}

void
frame_check(struct vcpu *cpu, const struct frame *f)
{
	for (unsigned n = 0; n < f->count; n++) {
		u64 at = frame_slot(f, n);
		bool ok = f->wide ? linear_canonical(cpu, at) && linear_canonical(cpu, at + f->size - 1)
				  : within_stack(&f->ss, at, f->size);
		if (!ok)
			raise_error(cpu, VECTOR_SS, f->error);
	}
}

/* The frame lies in one piece: neither the stack pointer nor the linear address wraps. */
static bool
frame_whole(const struct frame *f, u64 lowest)
{
	unsigned bytes = f->size * f->count;

	return ((f->sp - 1) & frame_mask(f)) >= bytes - 1 && (f->wide || lowest + bytes <= BIT(32));
}

static void
frame_write_items(struct vcpu *cpu, const struct frame *f)
{
	void (*probe)(struct vcpu *, u64, unsigned) = f->inner ? sys_probe_write : mem_probe_write;
	void (*write)(struct vcpu *, u64, unsigned, u64) = f->inner ? sys_write : mem_write;

	for (unsigned n = 0; n < f->count; n++)
		probe(cpu, frame_linear(f, frame_slot(f, n)), f->size);
	for (unsigned n = 0; n < f->count; n++)
		write(cpu, frame_linear(f, frame_slot(f, n)), f->size, f->item[n]);
}

/* In one piece, for a supervisor: no alignment check. */
static void
frame_write_whole(struct vcpu *cpu, const struct frame *f, u64 lowest)
{
	unsigned bytes = f->size * f->count;
	u8 image[FRAME_MAX * 8];

	if (f->inner) {
		sys_probe_write(cpu, lowest, bytes);
		for (unsigned n = 0; n < f->count; n++)
			sys_write(cpu, frame_linear(f, frame_slot(f, n)), f->size, f->item[n]);
		return;
	}
	for (unsigned n = 0; n < f->count; n++)
		memcpy(image + bytes - (n + 1) * f->size, &f->item[n], f->size);
	mem_write_bytes(cpu, lowest, image, bytes);
}

void
frame_write(struct vcpu *cpu, struct frame *f)
{
	u64 lowest = frame_linear(f, frame_slot(f, f->count - 1));

	if (frame_whole(f, lowest) && (f->inner || cpu->cpl < 3))
		frame_write_whole(cpu, f, lowest);
	else
		frame_write_items(cpu, f);
	f->sp = (f->sp & ~frame_mask(f)) | frame_slot(f, f->count - 1);
}

void
frame_commit(struct vcpu *cpu, const struct frame *f)
{
	/* On a 16-bit stack the rest of ESP stays. */
	cpu->r[RSP] = f->wide || !(f->ss.access & SEG_DB) ? f->sp : (u32)f->sp;
	if (f->inner)
		cpu->seg[SS] = f->ss;
}

void
stack_check_pop(struct vcpu *cpu, unsigned bytes)
{
	u64 mask = stack_mask(cpu), at = cpu->r[RSP] & mask;
	const struct segment *ss = &cpu->seg[SS];
	bool ok;

	if (cpu->long64)
		ok = linear_canonical(cpu, at) && linear_canonical(cpu, at + bytes - 1);
	else
		ok = within_stack(ss, at, bytes);
	if (!ok)
		raise_error(cpu, VECTOR_SS, 0);
}
