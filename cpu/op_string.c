/*
 * String instructions. A REP form does as many iterations as fit: each iteration counts as one instruction, and an interrupt, a timer or a
 * single step may come between any two. Runs inside one page of plain memory are done in one go.
 */
#include <string.h>

#include "cpu/access.h"
#include "cpu/alu.h"
#include "cpu/string.h"
#include "cpu/tlb.h"

#define REP(in) ((in)->prefix & (PREFIX_REP | PREFIX_REPNE))

static u64
address_mask(const struct insn *in)
{
	unsigned asize = EA_ASIZE(in->ea);
	return asize == 1 ? 0xffff : asize == 2 ? 0xffffffff : ~0ull;
}

/* rSI, rDI or rCX written by address size (a 32-bit write clears the upper half). */
static void
register_write(struct vcpu *cpu, const struct insn *in, unsigned reg, u64 value)
{
	reg_set(cpu, reg * 8, 1u << EA_ASIZE(in->ea), value);
}

u64
string_budget(struct vcpu *cpu, const struct insn *in)
{
	if (cpu->step)
		return 1;
	s64 left = cpu->left - in->idx;
	return left < 1 ? 1 : (u64)left;
}

void
string_charge(struct vcpu *cpu, const struct insn *in, u64 done, bool more)
{
	if (done > 1)
		cpu->left -= (s64)done - 1;
	if (more) {
		cpu->next_rip = insn_rip(cpu, in);
		string_goes_on(cpu, in);
	}
}

/* An END instruction: after it the run loop has RIP and the count of instructions as they are here. */
void
string_goes_on(struct vcpu *cpu, const struct insn *in)
{
	cpu->rep_rip = cpu->next_rip;
	cpu->rep_icount = cpu->icount_end - (u64)(cpu->left - (cpu->current ? in->idx + 1 : 1));
}

/* What every string instruction needs for this round. */
struct string_run {
	unsigned size;
	s64 step;
	u64 mask, count, budget, si, di;
};

/* False: REP with a zero count, nothing to do. */
static bool
string_begin(struct vcpu *cpu, const struct insn *in, struct string_run *run)
{
	run->size = 1u << PREFIX_OSIZE(in->prefix);
	run->step = cpu->rflags & FLAG_DF ? -(s64)run->size : (s64)run->size;
	run->mask = address_mask(in);
	run->si = cpu->r[RSI] & run->mask;
	run->di = cpu->r[RDI] & run->mask;
	run->count = REP(in) ? cpu->r[RCX] & run->mask : 1;
	run->budget = MIN(run->count, string_budget(cpu, in));
	return run->count;
}

/*
 * How many elements from `linear` on lie in its page (in the direction of DF), at most `limit`; 1 if address wrap or a misaligned element
 * needs care.
 */
static u64
elements_in_page(const struct string_run *run, u64 offset, u64 linear, u64 limit)
{
	u64 in_page = run->step > 0 ? (4096 - (linear & 4095)) / run->size : (linear & 4095) / run->size + 1;
	if ((linear & 4095) + run->size > 4096)
		in_page = 1;
	u64 to_wrap = run->step > 0 ? (run->mask - offset) / run->size : offset / run->size;
	return MAX(1, MIN(MIN(in_page, to_wrap), limit));
}

/* Registers and count after `done` elements of a REP (or the one element). */
static void
string_end(struct vcpu *cpu, const struct insn *in, struct string_run *run, u64 done, bool si, bool di, bool stop)
{
	if (si)
		register_write(cpu, in, RSI, run->si + (u64)run->step * done);
	if (di)
		register_write(cpu, in, RDI, run->di + (u64)run->step * done);
	if (REP(in)) {
		register_write(cpu, in, RCX, run->count - done);
		string_charge(cpu, in, done, !stop && run->count != done);
	}
}

void
op_movs(struct vcpu *cpu, const struct insn *in)
{
	struct string_run run;
	if (!string_begin(cpu, in, &run))
		return;
	u64 from = segment_linear(cpu, EA_SEG(in->ea), run.si, run.size, ACCESS_READ);
	u64 to = segment_linear(cpu, ES, run.di, run.size, ACCESS_WRITE);
	u64 n = elements_in_page(&run, run.si, from, run.budget);
	n = elements_in_page(&run, run.di, to, n);
	if (n > 1 && !cpu_flat_range(cpu, EA_SEG(in->ea), run.si, ES, run.di, n * run.size, run.step < 0))
		n = 1;
	if (n > 1) {
		u64 low = run.step > 0 ? 0 : (n - 1) * run.size;
		u8 *source = mem_host_page(cpu, from, ACCESS_READ), *target = mem_host_page(cpu, to, ACCESS_WRITE);
		if (source && target) {
			source -= low;
			target -= low;
			size_t bytes = n * run.size;
			bool overlap = source < target + bytes && target < source + bytes;
			if (!overlap) {
				memcpy(target, source, bytes);
			} else {
				/* Element by element, in the guest's order: an overlapping copy replicates. */
				for (u64 k = 0; k < n; k++) {
					u64 at = run.step > 0 ? k * run.size : (n - 1 - k) * run.size;
					u64 v;
					memcpy(&v, source + at, run.size <= 8 ? run.size : 8);
					memcpy(target + at, &v, run.size);
				}
			}
			string_end(cpu, in, &run, n, true, true, false);
			return;
		}
	}
	u64 v = mem_read(cpu, from, run.size);
	mem_write(cpu, to, run.size, v);
	string_end(cpu, in, &run, 1, true, true, false);
}

void
op_stos(struct vcpu *cpu, const struct insn *in)
{
	struct string_run run;
	if (!string_begin(cpu, in, &run))
		return;
	u64 to = segment_linear(cpu, ES, run.di, run.size, ACCESS_WRITE);
	u64 n = elements_in_page(&run, run.di, to, run.budget);
	if (n > 1 && !cpu_flat_range(cpu, ES, run.di, ES, run.di, n * run.size, run.step < 0))
		n = 1;
	u8 *target = n > 1 ? mem_host_page(cpu, to, ACCESS_WRITE) : NULL;
	if (target) {
		target -= run.step > 0 ? 0 : (n - 1) * run.size;
		u64 v = cpu->r[RAX];
		switch (run.size) {
		case 1: memset(target, (u8)v, n); break;
		default:
			for (u64 k = 0; k < n; k++)
				memcpy(target + k * run.size, &v, run.size);
		}
		string_end(cpu, in, &run, n, false, true, false);
		return;
	}
	mem_write(cpu, to, run.size, cpu->r[RAX]);
	string_end(cpu, in, &run, 1, false, true, false);
}

void
op_lods(struct vcpu *cpu, const struct insn *in)
{
	struct string_run run;
	if (!string_begin(cpu, in, &run))
		return;
	u64 v = mem_read(cpu, segment_linear(cpu, EA_SEG(in->ea), run.si, run.size, ACCESS_READ), run.size);
	reg_set(cpu, RAX * 8, run.size, v);
	string_end(cpu, in, &run, 1, true, false, false);
}

/* REPE (F3) goes on while equal, REPNE (F2) while different. */
static bool
comparison_stops(struct vcpu *cpu, const struct insn *in)
{
	return in->prefix & PREFIX_REPNE ? cc_zf(cpu) : !cc_zf(cpu);
}

void
op_cmps(struct vcpu *cpu, const struct insn *in)
{
	struct string_run run;
	if (!string_begin(cpu, in, &run))
		return;
	u64 a = mem_read(cpu, segment_linear(cpu, EA_SEG(in->ea), run.si, run.size, ACCESS_READ), run.size);
	u64 b = mem_read(cpu, segment_linear(cpu, ES, run.di, run.size, ACCESS_READ), run.size);
	alu_sub(cpu, a, b, PREFIX_OSIZE(in->prefix));
	string_end(cpu, in, &run, 1, true, true, comparison_stops(cpu, in));
}

void
op_scas(struct vcpu *cpu, const struct insn *in)
{
	struct string_run run;
	if (!string_begin(cpu, in, &run))
		return;
	u64 b = mem_read(cpu, segment_linear(cpu, ES, run.di, run.size, ACCESS_READ), run.size);
	alu_sub(cpu, cpu->r[RAX], b, PREFIX_OSIZE(in->prefix));
	string_end(cpu, in, &run, 1, false, true, comparison_stops(cpu, in));
}
