/* Exit qualification and instruction information of the executing instruction. SDM 3, "VM-Exit Instruction-Information Field". */
#include "vmx/information.h"

#define MEMORY_REGISTER BIT(10)
#define NO_INDEX BIT(22)
#define NO_BASE BIT(27)

/* Number of a general register that a decoded operand names by byte offset. */
static u32
number(u8 offset)
{
	return offset / 8;
}

static bool
is_register(u8 offset)
{
	return offset < 16 * 8;
}

static u32
memory_part(const struct insn *in)
{
	u32 info = (u32)(EA_SCALE(in->ea) | (u32)(EA_ASIZE(in->ea) - 1) << 7 | (u32)EA_SEG(in->ea) << 15);

	info |= is_register(in->rx) ? number(in->rx) << 18 : (u32)NO_INDEX;
	info |= is_register(in->rb) ? number(in->rb) << 23 : (u32)NO_BASE;
	return info;
}

u32
vmx_instruction_information(const struct vcpu *cpu, const struct insn *in, enum information_layout layout,
			    unsigned identity)
{
	u32 info = insn_is_mem(in) ? memory_part(in) : 0;
	u32 register_form = insn_is_mem(in) ? 0 : (u32)MEMORY_REGISTER | number(in->rs) << 3;

	switch (layout) {
	case INFORMATION_NONE:
		return 0;
	case INFORMATION_MEMORY:
		return info;
	case INFORMATION_TYPE:
		return info | number(in->rd) << 28;
	case INFORMATION_TABLE:
		return info | (!cpu->long64 && PREFIX_OSIZE(in->prefix) > 1 ? (u32)BIT(11) : 0) | identity << 28;
	case INFORMATION_SYSTEM:
		return info | register_form | identity << 28;
	case INFORMATION_FIELD:
		return info | register_form | number(in->rd) << 28;
	case INFORMATION_RANDOM:
		return number(in->rs) << 3 | (u32)(PREFIX_OSIZE(in->prefix) - 1) << 11;
	}
	return 0;
}

u32
vmx_string_information(const struct insn *in)
{
	return (u32)(EA_ASIZE(in->ea) - 1) << 7 | (u32)EA_SEG(in->ea) << 15;
}

u64
vmx_displacement(const struct vcpu *cpu, const struct insn *in)
{
	u64 displacement = (u64)(s64)in->disp;

	if (!insn_is_mem(in))
		return 0;
	/* The decoded displacement of a RIP-relative operand counts from the page of RIP. */
	if (in->rb == RIP_SLOT)
		displacement += cpu->rip_page;
	switch (EA_ASIZE(in->ea)) {
	case 1:
		return (u16)displacement;
	case 2:
		return (u32)displacement;
	default:
		return displacement;
	}
}
