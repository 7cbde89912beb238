/* Bytes -> struct insn, by the rows of insn.def. */
#ifndef NB_CPU_DECODE_H
#define NB_CPU_DECODE_H

#include "cpu/insn.h"

enum insn_attribute {
	LOCK = BIT(0),  /* LOCK allowed with a memory destination */
	CPL0 = BIT(1),  /* #GP(0) unless CPL = 0; checked before the handler runs (VMX intercepts come after it) */
	END = BIT(2),   /* ends the block; handler may set cpu->next_rip, change modes, call deliver_event(); cpu->rip is real when it runs */
	I64 = BIT(3),   /* #UD in 64-bit mode */
	O64 = BIT(4),   /* #UD outside 64-bit mode */
	D64 = BIT(5),   /* operand size defaults to 64 in 64-bit mode (66 makes it 16) */
	F64 = BIT(6),   /* operand size is 64 in 64-bit mode, whatever the prefixes */
	PROT = BIT(7),  /* #UD in real and virtual-8086 mode */
	NOFP = BIT(8),  /* no #NM/#UD check although the feature is FPU, SSE or AVX (FNINIT-like exceptions do their own) */
	EXITS = BIT(9), /* may cause a VM exit (documentation) */
	STR = BIT(10),  /* string instruction: REP handled by the handler, which may stay on itself */
	NOMF = BIT(11), /* x87 without the pending-exception check (FNxxx control instructions) */
	NOOSZ = BIT(12), /* operand size not changed by 66 */
	VSIB = BIT(13), /* the index is a vector register: rx is its number; #UD without SIB or with 16-bit addresses */
};

struct insn_row {
	const char *id, *syntax, *opcode;
	u16 feature;
	u16 attributes;
	void (*op)(struct vcpu *cpu, const struct insn *in);
};
extern const struct insn_row insn_rows[];

/* Decoding depends on: code size 16, 32, 64. */
enum code_size { CODE16 = 0, CODE32 = 1, CODE64 = 2 };

enum decode_result { DECODE_OK, DECODE_MORE /* needs more bytes than given */, DECODE_UD, DECODE_TOO_LONG /* over 15 bytes: #GP(0) */ };

/* Parses the rows; asserts on a malformed or overlapping one. Once per process; constant data afterwards. */
void decode_init(void);
/*
 * Decodes the instruction at bytes[0..n). Fills everything of *out but fn, where's page offset, and idx. A row whose feature the model lacks is #UD.
 */
enum decode_result decode(const struct vcpu *cpu, enum code_size size, const u8 *bytes, unsigned n, struct insn *out);

#endif
