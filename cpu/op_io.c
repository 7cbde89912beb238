/*
 * IN, OUT, INS, OUTS. SDM 1, "Input/Output". A repeated string instruction does one element at a time and stays on
 * itself, so that time, interrupts
 * and faults come in between as they do on a processor.
 */
#include "bus/ports.h"
#include "cpu/access.h"
#include "cpu/block.h"
#include "cpu/fault.h"
#include "cpu/hooks.h"
#include "cpu/string.h"
#include "vmx/intercept.h"

#define TSS_IO_MAP_BASE 102

/* SDM 1, "I/O Permission Bit Map": two bytes are always read. */
static void
check_permission(struct vcpu *cpu, u16 port, unsigned size)
{
	if (!cpu_protected(cpu) || (!cpu_vm86(cpu) && cpu->cpl <= (cpu->rflags & FLAG_IOPL) >> 12))
		return;
	unsigned type = cpu->tr.access & SEG_TYPE;
	if (cpu->tr.access & SEG_UNUSABLE || !(cpu->tr.access & SEG_P) || (type != 9 && type != 11) || cpu->tr.limit < TSS_IO_MAP_BASE + 1)
		raise_gp(cpu, 0);
	u32 offset = (u32)sys_read(cpu, cpu->tr.base + TSS_IO_MAP_BASE, 2) + port / 8;
	if (offset + 1 > cpu->tr.limit)
		raise_gp(cpu, 0);
	u32 map = (u32)sys_read(cpu, cpu->tr.base + offset, 2) >> (port & 7);
	if (map & ((1u << size) - 1))
		raise_gp(cpu, 0);
}

/* Reads or writes the port, past all checks. */
static u32
port_read(struct vcpu *cpu, u16 port, unsigned size)
{
	u32 value = ports_read(cpu->ports, port, size);
	if (unlikely(cpu->dr[7] & 0xff))
		cpu_io_breakpoints(cpu, port, size);
	if (unlikely(cpu->hooks))
		cpu->hooks->port(cpu->hooks->opaque, cpu, port, size, false, value);
	return value;
}

static void
port_write(struct vcpu *cpu, u16 port, unsigned size, u32 value)
{
	if (unlikely(cpu->hooks))
		cpu->hooks->port(cpu->hooks->opaque, cpu, port, size, true, value);
	ports_write(cpu->ports, port, size, value);
	if (unlikely(cpu->dr[7] & 0xff))
		cpu_io_breakpoints(cpu, port, size);
}

static void
in(struct vcpu *cpu, u16 port, unsigned size)
{
	check_permission(cpu, port, size);
	if (cpu->nonroot)
		vmx_intercept_io(cpu, port, size, true, false, false, 0);
	reg_set(cpu, RAX * 8, size, port_read(cpu, port, size));
}

static void
out(struct vcpu *cpu, u16 port, unsigned size)
{
	check_permission(cpu, port, size);
	if (cpu->nonroot)
		vmx_intercept_io(cpu, port, size, false, false, false, 0);
	port_write(cpu, port, size, (u32)reg_get(cpu, RAX * 8, size));
}

/* 64-bit operand size means 32 bits here. */
static unsigned
io_size(const struct insn *insn)
{
	return MIN(insn_osize(insn), 4u);
}

void
op_in_AL_Ib(struct vcpu *cpu, const struct insn *insn)
{
	in(cpu, (u8)insn->imm, 1);
}

void
op_in_rAX_Ib(struct vcpu *cpu, const struct insn *insn)
{
	in(cpu, (u8)insn->imm, io_size(insn));
}

void
op_in_AL_DX(struct vcpu *cpu, const struct insn *insn)
{
	(void)insn;
	in(cpu, (u16)cpu->r[RDX], 1);
}

void
op_in_rAX_DX(struct vcpu *cpu, const struct insn *insn)
{
	in(cpu, (u16)cpu->r[RDX], io_size(insn));
}

void
op_out_Ib_AL(struct vcpu *cpu, const struct insn *insn)
{
	out(cpu, (u8)insn->imm, 1);
}

void
op_out_Ib_rAX(struct vcpu *cpu, const struct insn *insn)
{
	out(cpu, (u8)insn->imm, io_size(insn));
}

void
op_out_DX_AL(struct vcpu *cpu, const struct insn *insn)
{
	(void)insn;
	out(cpu, (u16)cpu->r[RDX], 1);
}

void
op_out_DX_rAX(struct vcpu *cpu, const struct insn *insn)
{
	out(cpu, (u16)cpu->r[RDX], io_size(insn));
}

/* --- strings --- */

static unsigned
address_size(const struct insn *insn)
{
	return 1u << EA_ASIZE(insn->ea);
}

static bool
repeated(const struct insn *insn)
{
	return insn->prefix & (PREFIX_REP | PREFIX_REPNE);
}

/*
 * What a VM exit reports: the linear address before any segment check, since the exit comes before the fault of an
 * unusable segment or a limit
 * (rule PR-05).
 */
static u64
unchecked_linear(const struct vcpu *cpu, unsigned seg, u64 offset)
{
	if (cpu->long64)
		return seg >= FS ? cpu->seg[seg].base + offset : offset;
	return (u32)(cpu->seg[seg].base + offset);
}

/* False when there is nothing (more) to do. */
static bool
string_begin(struct vcpu *cpu, const struct insn *insn, unsigned size, bool input)
{
	unsigned asize = address_size(insn);
	if (repeated(insn) && !reg_get(cpu, RCX * 8, asize))
		return false;
	u16 port = (u16)cpu->r[RDX];
	check_permission(cpu, port, size);
	if (cpu->nonroot) {
		u64 offset = reg_get(cpu, (input ? RDI : RSI) * 8, asize);
		vmx_intercept_io(cpu, port, size, input, true, repeated(insn),
				 unchecked_linear(cpu, input ? ES : EA_SEG(insn->ea), offset));
	}
	return true;
}

static void
string_end(struct vcpu *cpu, const struct insn *insn, unsigned size, unsigned index)
{
	unsigned asize = address_size(insn);
	u64 step = cpu->rflags & FLAG_DF ? 0 - (u64)size : size;
	reg_set(cpu, index * 8, asize, reg_get(cpu, index * 8, asize) + step);
	if (!repeated(insn))
		return;
	u64 left = reg_get(cpu, RCX * 8, asize) - 1;
	reg_set(cpu, RCX * 8, asize, left);
	if (left) {
		cpu->next_rip = cpu->rip;
		string_goes_on(cpu, insn);
	}
}

static void
ins(struct vcpu *cpu, const struct insn *insn, unsigned size)
{
	if (!string_begin(cpu, insn, size, true))
		return;
	u64 linear = segment_linear(cpu, ES, reg_get(cpu, RDI * 8, address_size(insn)), size, ACCESS_WRITE);
	mem_probe_write(cpu, linear, size); /* the port is read only when the store cannot fault */
	mem_write(cpu, linear, size, port_read(cpu, (u16)cpu->r[RDX], size));
	string_end(cpu, insn, size, RDI);
}

static void
outs(struct vcpu *cpu, const struct insn *insn, unsigned size)
{
	if (!string_begin(cpu, insn, size, false))
		return;
	u64 linear = segment_linear(cpu, EA_SEG(insn->ea), reg_get(cpu, RSI * 8, address_size(insn)), size, ACCESS_READ);
	port_write(cpu, (u16)cpu->r[RDX], size, (u32)mem_read(cpu, linear, size));
	string_end(cpu, insn, size, RSI);
}

void
op_ins_Yb(struct vcpu *cpu, const struct insn *insn)
{
	ins(cpu, insn, 1);
}

void
op_ins_Yz(struct vcpu *cpu, const struct insn *insn)
{
	ins(cpu, insn, io_size(insn));
}

void
op_outs_Xb(struct vcpu *cpu, const struct insn *insn)
{
	outs(cpu, insn, 1);
}

void
op_outs_Xz(struct vcpu *cpu, const struct insn *insn)
{
	outs(cpu, insn, io_size(insn));
}
