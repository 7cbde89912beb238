/* Exit qualification and instruction information of the executing instruction. SDM 3, "VM-Exit Instruction-Information Field". */
#ifndef NB_VMX_INFORMATION_H
#define NB_VMX_INFORMATION_H

#include "cpu/insn.h"

/* Layouts of the field beyond the common memory part. */
enum information_layout {
	INFORMATION_NONE,
	INFORMATION_MEMORY, /* VMCLEAR, VMPTRLD, VMPTRST, VMXON, XSAVES, XRSTORS */
	INFORMATION_TYPE,   /* INVEPT, INVVPID, INVPCID: Reg2 */
	INFORMATION_TABLE,  /* SGDT, SIDT, LGDT, LIDT: operand size and identity */
	INFORMATION_SYSTEM, /* SLDT, STR, LLDT, LTR: Reg1 or memory, and identity */
	INFORMATION_FIELD,  /* VMREAD, VMWRITE: Reg1 or memory, and Reg2 */
	INFORMATION_RANDOM, /* RDRAND, RDSEED: destination and operand size */
};

u32 vmx_instruction_information(const struct vcpu *cpu, const struct insn *in, enum information_layout layout,
				unsigned identity);
/* INS and OUTS: address size and segment. */
u32 vmx_string_information(const struct insn *in);
/* The displacement of the memory operand; 0 without one. */
u64 vmx_displacement(const struct vcpu *cpu, const struct insn *in);

#endif
