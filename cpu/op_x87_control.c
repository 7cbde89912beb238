/*
 * x87 control: control, status and tag words, the environment, whole-state save and restore.
 *
 * Source: SDM 2, the instructions by name; SDM 1, "Saving the x87 FPU's State with FSTENV/FNSTENV and FSAVE/FNSAVE"
 * (the four formats).
 */
#include <string.h>

#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/x87.h"

void
op_fwait(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		raise_exception(cpu, VECTOR_NM);
	if (cpu->x87.status & X87_ES)
		x87_pending_exception(cpu);
}

void
op_fninit(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	x87_init(&cpu->x87);
	x87_flags_changed(cpu);
}

void
op_fnclex(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	cpu->x87.status &= (u16) ~(X87_EXCEPTIONS | X87_SF | X87_ES | X87_B);
	x87_flags_changed(cpu);
}

void
op_fnstcw(struct vcpu *cpu, const struct insn *in)
{
	mem_write(cpu, insn_linear(cpu, in, 2, ACCESS_WRITE), 2, cpu->x87.control);
}

void
op_fldcw(struct vcpu *cpu, const struct insn *in)
{
	x87_set_control(&cpu->x87, (u16)mem_read(cpu, insn_linear(cpu, in, 2, ACCESS_READ), 2));
	x87_flags_changed(cpu);
}

void
op_fnstsw(struct vcpu *cpu, const struct insn *in)
{
	mem_write(cpu, insn_linear(cpu, in, 2, ACCESS_WRITE), 2, cpu->x87.status);
}

void
op_fnstsw_ax(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	reg_set(cpu, RAX * 8, 2, cpu->x87.status);
}

/*
 * The environment: seven words of 16 or 32 bits: FCW, FSW, FTW, then the pointers.
 *	protected:		FIP, FCS (32-bit format: FOP in 26:16), FDP, FDS
 *	real, virtual-8086:	FIP[15:0], FIP[31:16] << 12 | FOP, FDP[15:0], FDP[31:16] << 12; linear addresses
 * The upper halves that hold nothing are stored as ones.
 */
#define ENVIRONMENT_WORDS 7

static unsigned
word_size(const struct insn *in)
{
	return insn_osize(in) == 2 ? 2 : 4;
}

static bool
real_format(const struct vcpu *cpu)
{
	return !cpu_protected(cpu) || cpu_vm86(cpu);
}

static void
build_environment(const struct vcpu *cpu, unsigned size, u8 *image)
{
	const struct x87 *x = &cpu->x87;
	bool selectors = !cpu_has(cpu, FEATURE_ZERO_FCS_FDS);
	u32 cs = selectors ? x->cs : 0, ds = selectors ? x->ds : 0, ones = 0xffff0000;
	u32 words[ENVIRONMENT_WORDS] = {
		x->control | ones, x->status | ones, x87_tag_word(x) | ones, (u32)x->ip, cs, (u32)x->dp, ds};
	if (real_format(cpu)) {
		u32 ip = (cs << 4) + (u32)x->ip, dp = (ds << 4) + (u32)x->dp;
		words[3] = (ip & 0xffff) | ones;
		words[4] = ip >> 16 << 12 | x->opcode;
		words[5] = (dp & 0xffff) | ones;
		words[6] = dp >> 16 << 12;
	} else {
		words[4] |= (u32)x->opcode << 16;
		words[6] |= ones;
	}
	for (unsigned n = 0; n < ENVIRONMENT_WORDS; n++)
		memcpy(image + n * size, &words[n], size);
}

static void
load_environment(struct vcpu *cpu, unsigned size, const u8 *image)
{
	struct x87 *x = &cpu->x87;
	u32 words[ENVIRONMENT_WORDS] = {0};
	for (unsigned n = 0; n < ENVIRONMENT_WORDS; n++)
		memcpy(&words[n], image + n * size, size);
	x->status = (u16)words[1];
	x->empty = 0;
	for (unsigned n = 0; n < 8; n++)
		x->empty |= (u8)(((words[2] >> n * 2 & 3) == 3) << n);
	x->cs = x->ds = 0;
	if (real_format(cpu)) {
		x->ip = (words[3] & 0xffff) | (words[4] & 0x0ffff000) << 4;
		x->dp = (words[5] & 0xffff) | (words[6] & 0x0ffff000) << 4;
		x->opcode = words[4] & 0x7ff;
	} else {
		x->ip = words[3];
		x->dp = words[5];
		x->opcode = size == 4 ? words[4] >> 16 & 0x7ff : 0;
		if (!cpu_has(cpu, FEATURE_ZERO_FCS_FDS)) {
			x->cs = (u16)words[4];
			x->ds = (u16)words[6];
		}
	}
	x87_set_control(x, (u16)words[0]);
	x87_flags_changed(cpu);
}

#define IMAGE_MAX (ENVIRONMENT_WORDS * 4 + 80)

void
op_fnstenv(struct vcpu *cpu, const struct insn *in)
{
	u8 image[IMAGE_MAX];
	unsigned size = word_size(in), bytes = ENVIRONMENT_WORDS * size;
	build_environment(cpu, size, image);
	mem_write_bytes(cpu, insn_linear(cpu, in, bytes, ACCESS_WRITE), image, bytes);
	x87_set_control(&cpu->x87, cpu->x87.control | X87_EXCEPTIONS);
	x87_flags_changed(cpu);
}

void
op_fldenv(struct vcpu *cpu, const struct insn *in)
{
	u8 image[IMAGE_MAX];
	unsigned size = word_size(in), bytes = ENVIRONMENT_WORDS * size;
	mem_read_bytes(cpu, insn_linear(cpu, in, bytes, ACCESS_READ), image, bytes);
	load_environment(cpu, size, image);
}

void
op_fnsave(struct vcpu *cpu, const struct insn *in)
{
	u8 image[IMAGE_MAX];
	unsigned size = word_size(in), bytes = ENVIRONMENT_WORDS * size;
	build_environment(cpu, size, image);
	for (unsigned i = 0; i < 8; i++, bytes += 10)
		memcpy(image + bytes, x87_st(&cpu->x87, i), 10);
	mem_write_bytes(cpu, insn_linear(cpu, in, bytes, ACCESS_WRITE), image, bytes);
	x87_init(&cpu->x87);
	x87_flags_changed(cpu);
}

void
op_frstor(struct vcpu *cpu, const struct insn *in)
{
	u8 image[IMAGE_MAX];
	unsigned size = word_size(in), environment = ENVIRONMENT_WORDS * size, bytes = environment + 80;
	mem_read_bytes(cpu, insn_linear(cpu, in, bytes, ACCESS_READ), image, bytes);
	load_environment(cpu, size, image);
	for (unsigned i = 0; i < 8; i++)
		memcpy(x87_st(&cpu->x87, i), image + environment + i * 10, 10);
}
