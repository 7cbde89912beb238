/*
 * Call frame information (.debug_frame, .eh_frame) by libdw: one frame up. DWARF 5, "Call Frame Information" and "DWARF Expressions".
 * Not known: register rules that need more than the few operators that compilers and assemblers use here.
 */
#include <stdlib.h>
#include <string.h>

#include <dwarf.h>

#include "debugger/symbols.h"

#define STACK 16

void
cfi_open(struct table *t)
{
	if (t->cfi_tried || !t->elf || gelf_getclass(t->elf) != ELFCLASS64)
		return;
	t->cfi_tried = true;
	t->dwarf = dwarf_begin_elf(t->elf, DWARF_C_READ, NULL);
	if (t->dwarf)
		t->cfi = dwarf_getcfi(t->dwarf);
	t->eh_cfi = dwarf_getcfi_elf(t->elf);
}

void
cfi_free(struct table *t)
{
	if (t->eh_cfi)
		dwarf_cfi_end(t->eh_cfi);
	if (t->dwarf)
		dwarf_end(t->dwarf);
}

struct stack {
	u64 value[STACK];
	unsigned n;
};

static bool
push(struct stack *s, u64 value)
{
	if (s->n == STACK)
		return false;
	s->value[s->n++] = value;
	return true;
}

/* Of the operators with two operands; top of the stack is `b`. */
static bool
combine(struct stack *s, unsigned atom)
{
	u64 a, b;

	if (s->n < 2)
		return false;
	b = s->value[--s->n];
	a = s->value[s->n - 1];
	switch (atom) {
	case DW_OP_plus: a += b; break;
	case DW_OP_minus: a -= b; break;
	case DW_OP_and: a &= b; break;
	case DW_OP_shl: a = b < 64 ? a << b : 0; break;
	case DW_OP_ge: a = (s64)a >= (s64)b; break;
	default: return false;
	}
	s->value[s->n - 1] = a;
	return true;
}

static bool
operate(struct debugger *d, struct stack *s, const Dwarf_Op *op, const struct frame *f, u64 cfa)
{
	u64 *top = s->n ? &s->value[s->n - 1] : NULL;

	if (op->atom >= DW_OP_breg0 && op->atom < DW_OP_breg0 + DWARF_REGISTERS)
		return push(s, f->r[op->atom - DW_OP_breg0] + op->number);
	if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
		return push(s, op->atom - DW_OP_lit0);
	switch (op->atom) {
	case DW_OP_bregx: return op->number < DWARF_REGISTERS && push(s, f->r[op->number] + op->number2);
	case DW_OP_call_frame_cfa: return push(s, cfa);
	case DW_OP_plus_uconst:
		if (top)
			*top += op->number;
		return top;
	case DW_OP_deref: return top && d_peek(d, d->cpu, ADDRESS_LINEAR, *top, top, 8);
	case DW_OP_const1u:
	case DW_OP_const2u:
	case DW_OP_const4u:
	case DW_OP_const8u:
	case DW_OP_constu:
	case DW_OP_const1s:
	case DW_OP_const2s:
	case DW_OP_const4s:
	case DW_OP_const8s:
	case DW_OP_consts: return push(s, op->number);
	default: return combine(s, op->atom);
	}
}

/* *value: what the operations make. *address: it is where the value lies. *undefined: the register has no value. */
static bool
evaluate_operations(struct debugger *d, const Dwarf_Op *ops, size_t n, const struct frame *f, u64 cfa, u64 *value, bool *address)
{
	struct stack s = {.n = 0};

	*address = true;
	if (n == 1 && ops->atom >= DW_OP_reg0 && ops->atom < DW_OP_reg0 + DWARF_REGISTERS) {
		*value = f->r[ops->atom - DW_OP_reg0];
		*address = false;
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		if (ops[i].atom == DW_OP_stack_value) {
			*address = false;
			break;
		}
		if (!operate(d, &s, &ops[i], f, cfa))
			return false;
	}
	if (!s.n)
		return false;
	*value = s.value[s.n - 1];
	return true;
}

static bool
step_by(struct debugger *d, Dwarf_CFI *cfi, u64 bias, struct frame *f)
{
	struct frame up = *f;
	Dwarf_Frame *frame = NULL;
	Dwarf_Op *ops, memory[3];
	size_t n;
	u64 cfa;
	bool address, signal = false, good = false;
	Dwarf_Addr start, end;

	if (!cfi || dwarf_cfi_addrframe(cfi, f->r[DWARF_RIP] - bias - !f->interrupted, &frame) != 0)
		return false;
	if (dwarf_frame_cfa(frame, &ops, &n) == 0 && n && evaluate_operations(d, ops, n, f, 0, &cfa, &address)) {
		good = true;
		dwarf_frame_info(frame, &start, &end, &signal);
		up.r[DWARF_RSP] = cfa;
		for (int i = 0; i < DWARF_REGISTERS && good; i++) {
			u64 value;

			if (dwarf_frame_register(frame, i, memory, &ops, &n) != 0 || (n == 0 && ops == memory)) {
				/* Undefined: fine for scratch registers, the end of the stack for the return address. */
				good = i != DWARF_RIP;
				continue;
			}
			if (n == 0)
				continue; /* same value */
			if (!evaluate_operations(d, ops, n, f, cfa, &value, &address) ||
			    (address && !d_peek(d, d->cpu, ADDRESS_LINEAR, value, &value, 8)))
				good = false;
			else
				up.r[i] = value;
		}
	}
	free(frame);
	if (!good)
		return false;
	up.interrupted = signal;
	*f = up;
	return true;
}

bool
cfi_step(struct debugger *d, struct table *t, struct frame *f)
{
	cfi_open(t);
	return step_by(d, t->cfi, t->bias, f) || step_by(d, t->eh_cfi, t->bias, f);
}
