/*
 * Every row of insn_sse.def and insn_avx.def against the host's own instruction: the same bytes, operands, MXCSR and flags; the same registers,
 * memory, MXCSR, flags and faults afterwards. Rows that the host lacks are counted and left out.
 *
 * The access layer and the fault door are replaced: a linear address is a host address inside one page, followed by one that faults.
 */
#define _GNU_SOURCE 1 /* register names of ucontext.h */
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/decode.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/simd_soft.h"
#include "cpu/x87.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

static const struct insn_row rows[] = {
#define INSN(id, syntax, opcode, feature, attributes, fn) {#id, syntax, opcode, FEATURE_##feature, attributes, fn},
#include "cpu/insn_sse.def"
#include "cpu/insn_avx.def"
#undef INSN
};

enum { EAX_REG, EBX_REG, ECX_REG, EDX_REG };
#define EAX EAX_REG
#define EBX EBX_REG
#define ECX ECX_REG
#define EDX EDX_REG
#define ARCH_CAP 0
#define NO_LEAF 0x7fffffff /* beyond the host's last leaf: nothing there */
static const struct {
	u32 leaf, subleaf, reg, bit;
} features[] = {
	{0, 0, 0, 0},
#define FEATURE(id, name, leaf, subleaf, reg, bit) {leaf, subleaf, reg, bit},
#include "cpu/cpuid.def"
#undef FEATURE
};

static bool
host_has(unsigned feature)
{
	u32 regs[4] = {0, 0, 0, 0};
	__get_cpuid_count(features[feature].leaf, features[feature].subleaf, &regs[0], &regs[1], &regs[2], &regs[3]);
	return regs[features[feature].reg] >> features[feature].bit & 1;
}

/* --- state that both sides start from and end in --- */

struct machine {
	u8 vec[16][32]; /* offset 0 */
	u64 mmx[8];     /* 512 */
	u64 r[16];      /* 576 */
	u64 flags;      /* 704 */
	u32 mxcsr;      /* 712 */
};

enum { FAULT_NONE = -1 };

static u8 *page; /* 4096 bytes that can be accessed, then 4096 that cannot */
static u8 *code;
static int host_fault, our_fault;

/* --- the host's side --- */

struct machine *host_machine;
void *host_code;
u64 host_scratch[4];
extern u8 host_return[];
void run_on_host(void);

#define EACH_VEC(f)                                                                                                       \
	f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#define LOAD_VEC(n) "vmovdqu " #n "*32(%rdi), %ymm" #n "\n"
#define STORE_VEC(n) "vmovdqu %ymm" #n ", " #n "*32(%rdi)\n"
#define EACH_MMX(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#define LOAD_MMX(n) "movq 512+" #n "*8(%rdi), %mm" #n "\n"
#define STORE_MMX(n) "movq %mm" #n ", 512+" #n "*8(%rdi)\n"
#define EACH_GPR(f)                                                                                                       \
	f(0, rax) f(1, rcx) f(2, rdx) f(3, rbx) f(5, rbp) f(6, rsi) f(8, r8) f(9, r9) f(10, r10) f(11, r11) f(12, r12)     \
		f(13, r13) f(14, r14) f(15, r15)
#define LOAD_GPR(n, name) "movq 576+" #n "*8(%rdi), %" #name "\n"
#define STORE_GPR(n, name) "movq %" #name ", 576+" #n "*8(%rdi)\n"

asm(".text\n"
	"run_on_host:\n"
	"push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n sub $8, %rsp\n"
	"movq host_machine(%rip), %rdi\n"
	"stmxcsr host_scratch(%rip)\n" EACH_VEC(LOAD_VEC) EACH_MMX(LOAD_MMX)
	"ldmxcsr 712(%rdi)\n"
	"pushq 704(%rdi)\n popfq\n" EACH_GPR(LOAD_GPR)
	"movq 576+7*8(%rdi), %rdi\n"
	"call *host_code(%rip)\n"
	".globl host_return\nhost_return:\n"
	"movq %rdi, 8+host_scratch(%rip)\n"
	"movq host_machine(%rip), %rdi\n" EACH_GPR(STORE_GPR)
	"pushfq\n popq 704(%rdi)\n"
	"movq 8+host_scratch(%rip), %rax\n movq %rax, 576+7*8(%rdi)\n"
	"stmxcsr 712(%rdi)\n" EACH_VEC(STORE_VEC) EACH_MMX(STORE_MMX)
	"emms\n vzeroupper\n cld\n"
	"ldmxcsr host_scratch(%rip)\n"
	"add $8, %rsp\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
	"ret\n");

static void
on_signal(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	ucontext_t *u = context;
	u64 rip = (u64)u->uc_mcontext.gregs[REG_RIP];
	if (rip < (u64)code || rip >= (u64)code + 64)
		abort();
	host_fault = (int)u->uc_mcontext.gregs[REG_TRAPNO];
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)(u64)host_return;
	u->uc_mcontext.gregs[REG_RSP] += 8;
	u->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)0x10000;
}

/* cmocka puts its own handlers in place before each test. */
static void
catch_faults(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
	int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	for (unsigned n = 0; n < COUNT(signals); n++)
		sigaction(signals[n], &action, NULL);
}

/* --- our side: the replaced access layer and fault door --- */

static jmp_buf door;

_Noreturn void
raise_exception(struct vcpu *cpu, unsigned vector)
{
	(void)cpu;
	our_fault = (int)vector;
	longjmp(door, 1);
}

_Noreturn void
raise_error(struct vcpu *cpu, unsigned vector, u32 error)
{
	(void)error;
	raise_exception(cpu, vector);
}

void
x87_pending_exception(struct vcpu *cpu)
{
	raise_exception(cpu, VECTOR_MF);
}

static u8 *
at(struct vcpu *cpu, u64 linear, unsigned size)
{
	u8 *p = (u8 *)(uintptr_t)linear;
	assert_true(p >= page && p < page + 8192);
	if (p + size > page + 4096)
		raise_exception(cpu, VECTOR_PF);
	return p;
}

u64
insn_offset(const struct vcpu *cpu, const struct insn *in)
{
	return *(const u64 *)((const u8 *)cpu + in->rb) + (*(const u64 *)((const u8 *)cpu + in->rx) << EA_SCALE(in->ea)) + (u64)(s64)in->disp;
}

u64
segment_linear(struct vcpu *cpu, unsigned seg, u64 offset, unsigned size, unsigned access)
{
	(void)cpu, (void)seg, (void)size, (void)access;
	return offset;
}

u64
insn_linear(struct vcpu *cpu, const struct insn *in, unsigned size, unsigned access)
{
	return segment_linear(cpu, EA_SEG(in->ea), insn_offset(cpu, in), size, access);
}

u64
mem_read(struct vcpu *cpu, u64 linear, unsigned size)
{
	u64 value = 0;
	memcpy(&value, at(cpu, linear, size), size);
	return value;
}

void
mem_write(struct vcpu *cpu, u64 linear, unsigned size, u64 value)
{
	memcpy(at(cpu, linear, size), &value, size);
}

void
mem_read_bytes(struct vcpu *cpu, u64 linear, void *data, unsigned size)
{
	memcpy(data, at(cpu, linear, size), size);
}

void
mem_probe_write(struct vcpu *cpu, u64 linear, unsigned size)
{
	at(cpu, linear, size);
}

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

void
vec_rm_read(struct vcpu *cpu, const struct insn *in, void *data, unsigned size, bool align)
{
	if (!insn_is_mem(in)) {
		memcpy(data, &cpu->vec[in->rs], size);
		return;
	}
	u64 linear = insn_offset(cpu, in);
	if (align && linear & (size - 1))
		raise_error(cpu, VECTOR_GP, 0);
	memcpy(data, at(cpu, linear, size), size);
}

void
vec_rm_write(struct vcpu *cpu, const struct insn *in, const void *data, unsigned size, bool align)
{
	if (!insn_is_mem(in)) {
		memcpy(&cpu->vec[in->rs], data, size);
		return;
	}
	u64 linear = insn_offset(cpu, in);
	if (align && linear & (size - 1))
		raise_error(cpu, VECTOR_GP, 0);
	memcpy(at(cpu, linear, size), data, size);
}

/* --- a row as bytes and as struct insn --- */

struct trial {
	const struct insn_row *row;
	u8 bytes[16];
	unsigned length;
	struct insn in;
	bool memory;
	u64 address;  /* of the memory operand */
	unsigned base; /* its register */
	s32 disp;
	int index; /* of a gather, else -1 */
};

static bool
has_word(const char *text, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = text; (p = strstr(p, word)); p++)
		if ((p == text || strchr(" ,.", p[-1])) && (!p[n] || strchr(" ,.", p[n])))
			return true;
	return false;
}

/* The operand that begins with one of the letters, e.g. "Wx"; NULL if none. */
static const char *
operand(const struct insn_row *row, const char *letters)
{
	const char *p = strchr(row->syntax, ' ');
	for (; p; p = strchr(p + 1, ','))
		if (strchr(letters, p[1]))
			return p + 1;
	return NULL;
}

static unsigned
random_register(bool general)
{
	unsigned n;
	do
		n = random_below(16);
	while (general && n == RSP);
	return n;
}

/* Hexadecimal bytes of the opcode column after the prefixes and maps. */
static u8
opcode_byte(const char *text, int *map, u8 *prefix)
{
	char buffer[96];
	snprintf(buffer, sizeof buffer, "%s", text);
	*map = 0;
	*prefix = 0;
	char *save = NULL;
	for (char *word = strtok_r(buffer, " .", &save); word; word = strtok_r(NULL, " .", &save)) {
		if (!strcmp(word, "0F38"))
			*map = 2;
		else if (!strcmp(word, "0F3A"))
			*map = 3;
		else if (strlen(word) != 2 || strspn(word, "0123456789ABCDEF") != 2)
			continue;
		else if (*map == 0 && (!strcmp(word, "66") || !strcmp(word, "F2") || !strcmp(word, "F3")))
			*prefix = (u8)strtoul(word, NULL, 16);
		else if (*map == 0 && !strcmp(word, "0F"))
			*map = 1;
		else if (*map == 1 && strncmp(text, "VEX", 3) && (!strcmp(word, "38") || !strcmp(word, "3A")))
			*map = word[1] == '8' ? 2 : 3;
		else
			return (u8)strtoul(word, NULL, 16);
	}
	abort();
}

static void
make_trial(const struct insn_row *row, struct trial *t)
{
	*t = (struct trial){.row = row, .index = -1};
	const char *op = row->opcode;
	bool vex = !strncmp(op, "VEX", 3), modrm = strchr(op, '/') != NULL;
	int map;
	u8 prefix, opcode = opcode_byte(op, &map, &prefix);
	const char *operands = strchr(row->syntax, ' ');
	bool y = operands && strchr(operands, 'y');
	bool v = has_word(row->syntax, "Ev");
	bool w_free = has_word(op, "WIG") || y || v || strstr(row->id, "CMPESTR");
	bool w = has_word(op, "W1") || (w_free && random_below(2));
	bool l = has_word(op, "256") || (has_word(op, "LIG") && random_below(2));
	struct insn *in = &t->in;
	unsigned reg = 0, rm = 0, vvvv = 0;
	const char *slash = strchr(op, '/');
	if (slash && slash[1] >= '0' && slash[1] <= '7')
		reg = (unsigned)(slash[1] - '0');
	else if (operand(row, "V"))
		reg = in->rd = (u8)random_register(false);
	else if (operand(row, "G"))
		reg = random_register(true), in->rd = (u8)(reg * 8);
	else if (operand(row, "P"))
		reg = in->rd = (u8)random_below(8);
	if (operand(row, "H"))
		vvvv = in->rv = (u8)random_register(false);
	else if (operand(row, "B"))
		vvvv = random_register(true), in->rv = (u8)(vvvv * 8);
	bool rex_needed = false;
	if (operand(row, "M"))
		t->memory = true;
	else if (operand(row, "UN") || has_word(op, "reg"))
		t->memory = false;
	else
		t->memory = random_below(3) == 0;
	if (!modrm) {
		t->memory = false;
	} else if (t->memory) {
		do
			t->base = random_register(true);
		while ((t->base & 7) == 4);
		rm = t->base;
		in->rb = (u8)(t->base * 8);
		in->rx = ZERO_SLOT;
		t->disp = in->disp = (s32)random_below(256) - 128;
		in->ea = EA_MEM | DS << 2 | 3 << 5;
		if (row->attributes & VSIB) {
			t->index = (int)random_register(false);
			in->rx = (u8)t->index;
			in->ea |= random_below(4);
		}
	} else if (operand(row, "E")) {
		rm = random_register(true);
		in->rs = (u8)(rm * 8);
		if (operand(row, "E")[1] == 'b' && rm >= 4 && rm < 8) {
			rex_needed = random_below(2);
			if (!rex_needed && reg < 8)
				in->rs = (u8)((rm - 4) * 8 + 1);
			w = w && rex_needed;
		}
	} else if (operand(row, "QN")) {
		rm = in->rs = (u8)random_below(8);
	} else if (operand(row, "WU")) {
		rm = in->rs = (u8)random_register(false);
	}
	if (!(in->ea & EA_MEM))
		in->ea = DS << 2 | 3 << 5;
	in->imm = (s8)random_64();
	bool x = t->index >= 8, osize = v && random_below(2);
	in->prefix = (u8)((w ? 3 : osize ? 1 : 2) | (w ? PREFIX_W : 0) | (l ? PREFIX_L : 0) | (vex ? PREFIX_VEX : 0) |
			  (prefix == 0xf2 && !vex ? PREFIX_REPNE : prefix == 0xf3 && !vex ? PREFIX_REP : 0));
	u8 *p = t->bytes;
	if (vex) {
		*p++ = 0xc4;
		*p++ = (u8)((reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (rm & 8 ? 0 : 0x20) | map);
		*p++ = (u8)((w ? 0x80 : 0) | (~vvvv & 15) << 3 | (l ? 4 : 0) | (prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : prefix == 0xf2 ? 3 : 0));
		*p++ = opcode;
	} else {
		if (osize)
			*p++ = 0x66;
		if (prefix)
			*p++ = prefix;
		u8 rex = (u8)((w ? 8 : 0) | (reg & 8 ? 4 : 0) | (rm & 8 ? 1 : 0));
		if (rex || rex_needed)
			*p++ = 0x40 | rex;
		*p++ = 0x0f;
		if (map > 1)
			*p++ = map == 2 ? 0x38 : 0x3a;
		*p++ = opcode;
	}
	if (modrm) {
		if (!t->memory) {
			*p++ = (u8)(0xc0 | (reg & 7) << 3 | (rm & 7));
		} else if (t->index >= 0) {
			*p++ = (u8)(0x84 | (reg & 7) << 3);
			*p++ = (u8)(EA_SCALE(in->ea) << 6 | (t->index & 7) << 3 | (rm & 7));
		} else {
			*p++ = (u8)(0x80 | (reg & 7) << 3 | (rm & 7));
		}
		if (t->memory) {
			memcpy(p, &t->disp, 4);
			p += 4;
		}
	}
	if (has_word(op, "ib") || has_word(op, "is4"))
		*p++ = (u8)in->imm;
	else
		in->imm = 0;
	t->length = (unsigned)(p - t->bytes);
	in->where = (u16)(t->length << 12);
	*p = 0xc3;
}

/* --- operands that reach the corners --- */

static u32
random_single(void)
{
	static const u32 corner[] = {
		0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc01234, 0xffc05678,
		0x7f801234, 0xffa05678, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff,
		0x4f000000, 0x4effffff, 0xcf000000, 0x5f000000, 0x3f000000, 0x3fc00000, 0x40200000, 0xc0200000,
		0x3effffff, 0x33800000, 0x38800000, 0x387fe000, 0x33000000, 0x477fe000, 0x477ff000, 0x00000003,
		0x00400000, 0x1a000000, 0x20000001, 0x80000000, 0x34000000, 0x38000000, 0x337fffff,
	};
	switch (random_below(4)) {
	case 0: return (u32)random_64();
	case 1: return corner[random_below(COUNT(corner))];
	case 2: return ((u32)random_64() & 0x807fffff) | (120 + random_below(16)) << 23;
	default: return ((u32)random_64() & 0x80000000) | random_below(8) << 23 | random_below(5);
	}
}

static u64
random_double(void)
{
	static const u64 corner[] = {
		0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
		0xfff0000000000000, 0x7ff8000000001234, 0xfff8000000005678, 0x7ff0000000001234, 0xfff4000000005678,
		1, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x41dfffffffc00000,
		0xc1e0000000000000, 0xc1e0000000200000, 0x43e0000000000000, 0xc3e0000000000000, 0x3fe0000000000000,
		0x3ff8000000000000, 0x4004000000000000, 0x47efffffe0000000, 0x47effffff0000000, 0x3810000000000000,
		0x380fffffe0000000, 0x36a0000000000000, 0x3690000000000000, 0x1e60000000000000, 0x3cb0000000000000,
	};
	switch (random_below(4)) {
	case 0: return random_64();
	case 1: return corner[random_below(COUNT(corner))];
	case 2: return (random_64() & 0x800fffffffffffff) | (u64)(1016 + random_below(16)) << 52;
	default: return (random_64() & 0x8000000000000000) | (u64)random_below(8) << 52 | random_below(5);
	}
}

static void
fill(u8 *p, unsigned size)
{
	unsigned kind = random_below(6);
	for (unsigned n = 0; n < size; n += 8) {
		u64 x = random_64();
		switch (kind) {
		case 0: break;
		case 1: x = random_single() | (u64)random_single() << 32; break;
		case 2: x = random_double(); break;
		case 3: x &= 0x0303030303030303; break; /* short strings, small counts */
		case 4: x &= 0x0003000300030003; break;
		default: x = (x & 0x8080808080808080) - (x >> 7 & 0x0101010101010101 & x); break; /* saturation */
		}
		memcpy(p + n, &x, 8);
	}
}

static void
make_machine(struct machine *m, struct trial *t)
{
	for (unsigned n = 0; n < 16; n++)
		fill(m->vec[n], 32);
	fill((u8 *)m->mmx, 64);
	for (unsigned n = 0; n < 16; n++)
		m->r[n] = random_below(2) ? random_64() : (u64)((s64)random_below(64) - 32);
	m->flags = (random_64() & FLAGS_STATUS) | 0x202;
	m->mxcsr = (u32)random_64() & 0xe07f;
	m->mxcsr |= random_below(3) ? 0x1f80 : (u32)random_64() & 0x1f80;
	if (random_below(3) == 0)
		m->mxcsr = 0x1fa0;
	for (unsigned n = 0; n < 4096; n += 64)
		fill(page + n, 64);
	unsigned offset = 1024 + random_below(2048);
	if (random_below(8) == 0)
		offset = 4096 - random_below(40);
	/* The manual wants SHA's operands aligned, some hosts do not. */
	if (random_below(4) || t->row->feature == FEATURE_SHA)
		offset &= ~31u;
	if (strstr(t->row->syntax, "mxcsr") && offset < 4092 && random_below(2))
		memcpy(page + offset, (u32[]){(u32)random_64() & 0xffff}, 4);
	if (strstr(t->row->syntax, "ldmxcsr"))
		page[MIN(offset + 2, 4095)] &= 0xfd; /* bit 17 is not reserved in some hosts */
	t->address = (u64)(uintptr_t)page + offset;
	bool maskmov = strstr(t->row->syntax, "maskmovq") || strstr(t->row->syntax, "maskmovdqu");
	if (t->memory)
		m->r[t->base] = t->address - (u64)(s64)t->disp;
	if (maskmov)
		m->r[RDI] = (u64)(uintptr_t)page + 1024 + random_below(2048);
	if (t->index >= 0) {
		/* Small offsets, a few beyond the page's end. */
		m->r[t->base] = (u64)(uintptr_t)page + 2048 - (u64)(s64)t->disp;
		bool quad = strstr(t->row->syntax, "gatherq");
		for (unsigned n = 0; n < 32; n += quad ? 8 : 4) {
			s64 index = (s64)random_below(500) - 250;
			if (random_below(32) == 0)
				index = 2400 >> EA_SCALE(t->in.ea);
			memcpy(m->vec[t->index] + n, &index, quad ? 8 : 4);
		}
	}
}

static void
run_ours(struct machine *m, struct trial *t, const struct fma_operation *fma)
{
	static struct vcpu cpu;
	memset(&cpu, 0, sizeof cpu);
	memcpy(cpu.r, m->r, sizeof m->r);
	for (unsigned n = 0; n < 16; n++)
		memcpy(&cpu.vec[n], m->vec[n], 32);
	for (unsigned n = 0; n < 8; n++)
		cpu.x87.r[n] = (struct fpreg){m->mmx[n], 0xffff};
	cpu.mxcsr = m->mxcsr;
	cpu.cr4 = CR4_OSXMMEXCPT;
	cpu.long64 = true;
	cc_set_raw(&cpu, m->flags);
	our_fault = FAULT_NONE;
	if (!setjmp(door)) {
		if (fma)
			fma_soft(&cpu, &t->in, fma);
		else
			t->row->op(&cpu, &t->in);
	}
	memcpy(m->r, cpu.r, sizeof m->r);
	for (unsigned n = 0; n < 16; n++)
		memcpy(m->vec[n], &cpu.vec[n], 32);
	for (unsigned n = 0; n < 8; n++)
		m->mmx[n] = cpu.x87.r[n].significand;
	m->mxcsr = cpu.mxcsr;
	m->flags = cpu.cc_y;
}

static void
dump(const char *who, const struct machine *m, const struct trial *t, int fault)
{
	fprintf(stderr, "%s: fault %d flags %04x mxcsr %04x\n", who, fault, (unsigned)m->flags & (unsigned)FLAGS_STATUS, m->mxcsr);
	unsigned numbers[4] = {t->in.rd & 15, t->in.rv & 15, t->in.rs & 15, 0};
	for (unsigned k = 0; k < 4; k++) {
		fprintf(stderr, "  v%-2u", numbers[k]);
		for (int n = 31; n >= 0; n--)
			fprintf(stderr, "%02x%s", m->vec[numbers[k]][n], n % 4 ? "" : " ");
		fprintf(stderr, "  mm%u %016llx\n", numbers[k] & 7, (unsigned long long)m->mmx[numbers[k] & 7]);
	}
	for (unsigned n = 0; n < 16; n++)
		fprintf(stderr, " r%u=%llx", n, (unsigned long long)m->r[n]);
	fprintf(stderr, "\n");
}

static bool
approximate(const struct insn_row *row)
{
	return strstr(row->syntax, "rcp") || strstr(row->syntax, "rsqrt");
}

/* Flags that the manual leaves undefined. */
static u64
defined_flags(const struct insn_row *row)
{
	if (!strncmp(row->syntax, "bextr", 5))
		return FLAG_ZF | FLAG_CF | FLAG_OF;
	if (row->feature == FEATURE_BMI1 || row->feature == FEATURE_BMI2)
		return FLAG_ZF | FLAG_CF | FLAG_OF | FLAG_SF;
	return FLAGS_STATUS;
}

enum outcome { SAME, DIFFERS, UNKNOWN_TO_HOST };

static enum outcome
try_row(const struct insn_row *row, const struct fma_operation *fma)
{
	struct trial t;
	struct machine start, host, ours;
	u8 page_start[4096], page_host[4096];
	make_trial(row, &t);
	make_machine(&start, &t);
	memcpy(page_start, page, 4096);
	memcpy(code, t.bytes, 16);
	host = ours = start;
	host_machine = &host;
	host_code = code;
	host_fault = FAULT_NONE;
	run_on_host();
	memcpy(page_host, page, 4096);
	memcpy(page, page_start, 4096);
	run_ours(&ours, &t, fma);
	if (host_fault == VECTOR_UD && our_fault != VECTOR_UD)
		return UNKNOWN_TO_HOST;
	/* How far a gather came before its fault is the processor's choice, and what it does to its mask. */
	bool same = host_fault == our_fault;
	if (same && (our_fault == FAULT_NONE || t.index < 0)) {
		same = (host.flags & defined_flags(row)) == (ours.flags & defined_flags(row)) && host.mxcsr == ours.mxcsr &&
		       !memcmp(page, page_host, 4096) && !memcmp(host.mmx, ours.mmx, sizeof host.mmx);
		for (unsigned n = 0; n < 16; n++)
			same = same && (n == RSP || host.r[n] == ours.r[n]);
		same = same && !memcmp(host.vec, ours.vec, sizeof host.vec);
	}
	if (!same) {
		fprintf(stderr, "%s (%s; %s):", row->id, row->syntax, row->opcode);
		for (unsigned n = 0; n < t.length; n++)
			fprintf(stderr, " %02x", t.bytes[n]);
		fprintf(stderr, "\n");
		dump("before", &start, &t, FAULT_NONE);
		dump("host", &host, &t, host_fault);
		dump("ours", &ours, &t, our_fault);
		if (t.memory && t.index < 0) {
			fprintf(stderr, "operand");
			for (int n = 31; n >= 0; n--)
				if (t.address + (unsigned)n < (u64)(uintptr_t)page + 4096)
					fprintf(stderr, " %02x", page_start[t.address - (u64)(uintptr_t)page + (unsigned)n]);
			fprintf(stderr, "\n");
		}
		return DIFFERS;
	}
	return SAME;
}

static unsigned trials = 400;

static void
every_row_does_what_the_host_does(void **unused)
{
	(void)unused;
	unsigned left_out = 0, bad = 0;
	catch_faults();
	if (!host_has(FEATURE_AVX))
		skip();
	for (unsigned n = 0; n < COUNT(rows); n++) {
		if (approximate(&rows[n]))
			continue;
		if (!host_has(rows[n].feature)) {
			left_out++;
			continue;
		}
		enum outcome outcome = SAME;
		for (unsigned k = 0; k < trials && outcome == SAME; k++)
			outcome = try_row(&rows[n], NULL);
		if (outcome == UNKNOWN_TO_HOST)
			print_error("%s is no instruction of the host\n", rows[n].id);
		bad += outcome != SAME;
	}
	assert_int_equal(bad, 0);
	print_message("%u rows, %u left out\n", (unsigned)COUNT(rows), left_out);
}

static void
fma_in_integers_does_what_the_host_does(void **unused)
{
	(void)unused;
	unsigned bad = 0;
	if (!host_has(FEATURE_FMA))
		skip();
	catch_faults();
	for (unsigned n = 0; n < COUNT(rows); n++) {
		if (rows[n].feature != FEATURE_FMA)
			continue;
		const char *digits = strpbrk(rows[n].syntax, "123");
		struct fma_operation op = {.x = (u8)(digits[0] - '1'), .y = (u8)(digits[1] - '1'), .z = (u8)(digits[2] - '1')};
		op.size = digits[4] == 's' ? 4 : 8;
		op.bytes = digits[3] == 'p' ? 16 : op.size;
		op.negate_product = rows[n].syntax[2] == 'n';
		const char *sign = rows[n].syntax + (op.negate_product ? 3 : 2);
		bool add = !strncmp(sign, "add", 3) || !strncmp(sign, "madd", 4);
		bool alternating = strstr(sign, "addsub") || strstr(sign, "subadd");
		op.negate_even = alternating ? strstr(sign, "addsub") != NULL : !add;
		op.negate_odd = alternating ? !op.negate_even : !add;
		enum outcome outcome = SAME;
		for (unsigned k = 0; k < trials * 4 && outcome == SAME; k++)
			outcome = try_row(&rows[n], &op);
		bad += outcome != SAME;
	}
	assert_int_equal(bad, 0);
}

void op_rcpss(struct vcpu *cpu, const struct insn *in);
void op_rsqrtss(struct vcpu *cpu, const struct insn *in);

static float
approximation(void (*op)(struct vcpu *cpu, const struct insn *in), float x)
{
	static struct vcpu cpu;
	struct insn in = {.rd = 1, .rs = 2};
	cpu.vec[2].f[0] = x;
	op(&cpu, &in);
	return cpu.vec[1].f[0];
}

static void
approximations_are_within_the_bound_of_the_manual(void **unused)
{
	(void)unused;
	const double bound = 1.5 / 4096;
	for (unsigned n = 0; n < 2000000; n++) {
		union {
			u32 bits;
			float f;
		} x = {.bits = ((u32)random_64() & 0x7fffff) | (1 + random_below(250)) << 23};
		double r = (double)approximation(op_rcpss, x.f) * x.f - 1, s = approximation(op_rsqrtss, x.f);
		s = s * s * x.f - 1; /* twice the error */
		assert_true(r <= bound && r >= -bound);
		assert_true(s <= 2 * bound && s >= -2 * bound);
	}
	union vec v = {.f = {1.0f, 4.0f, 0.25f, -2.0f}};
	assert_true(approximation(op_rcpss, v.f[1]) == 0.25f);
	assert_true(approximation(op_rsqrtss, v.f[1]) == 0.5f);
	assert_true(approximation(op_rsqrtss, v.f[2]) == 2.0f);
	assert_true(approximation(op_rcpss, v.f[3]) == -0.5f);
}

void op_vzeroall(struct vcpu *cpu, const struct insn *in);
void op_blendvps(struct vcpu *cpu, const struct insn *in);
void op_movd_load(struct vcpu *cpu, const struct insn *in);
void op_emms(struct vcpu *cpu, const struct insn *in);
void op_mmx_paddb(struct vcpu *cpu, const struct insn *in);

static void
outside_64_bit_mode_eight_registers_exist_and_w_is_ignored(void **unused)
{
	(void)unused;
	static struct vcpu cpu;
	memset(cpu.vec, 0x55, sizeof cpu.vec);
	op_vzeroall(&cpu, &(struct insn){.prefix = PREFIX_VEX | PREFIX_L});
	assert_true(cpu.vec[7].q[3] == 0);
	assert_true(cpu.vec[8].q[0] == 0x5555555555555555);
	cpu.vec[1].d[0] = 0x80000000; /* the mask is register 9 & 7 */
	op_blendvps(&cpu, &(struct insn){.rd = 2, .rv = 3, .rs = 10, .imm = (s8)0x90, .prefix = PREFIX_VEX});
	assert_true(cpu.vec[2].q[0] == 0x55555555);
	cpu.r[RCX] = 0x1122334455667788;
	op_movd_load(&cpu, &(struct insn){.rd = 4, .rs = RCX * 8, .prefix = PREFIX_VEX | PREFIX_W});
	assert_true(cpu.vec[4].q[0] == 0x55667788);
}

static void
mmx_takes_the_x87_registers_over_and_emms_gives_them_back(void **unused)
{
	(void)unused;
	static struct vcpu cpu = {.x87 = {.empty = 0xff, .status = 0x3c00}};
	cpu.x87.r[3].significand = 0x0102030405060708;
	op_mmx_paddb(&cpu, &(struct insn){.rd = 3, .rs = 3});
	assert_true(cpu.x87.r[3].significand == 0x020406080a0c0e10);
	assert_int_equal(cpu.x87.r[3].sign_exponent, 0xffff);
	assert_int_equal(cpu.x87.empty, 0);
	assert_int_equal(cpu.x87.status, 0x0400);
	op_emms(&cpu, &(struct insn){.rd = 0});
	assert_int_equal(cpu.x87.empty, 0xff);
	cpu.x87.status |= X87_ES;
	our_fault = FAULT_NONE;
	if (!setjmp(door))
		op_mmx_paddb(&cpu, &(struct insn){.rd = 3, .rs = 3});
	assert_int_equal(our_fault, VECTOR_MF);
	assert_true(cpu.x87.r[3].significand == 0x020406080a0c0e10);
}

static void
unmasked_exception_is_ud_when_the_system_does_not_ask_for_xm(void **unused)
{
	(void)unused;
	static struct vcpu cpu;
	cpu.mxcsr = 0x1f80 & ~0x200u; /* division by zero unmasked */
	our_fault = FAULT_NONE;
	if (!setjmp(door))
		fp_flags(&cpu, MXCSR_ZE);
	assert_int_equal(our_fault, VECTOR_UD);
	cpu.cr4 = CR4_OSXMMEXCPT;
	if (!setjmp(door))
		fp_flags(&cpu, MXCSR_ZE);
	assert_int_equal(our_fault, VECTOR_XM);
	our_fault = FAULT_NONE;
	if (!setjmp(door))
		fp_flags(&cpu, MXCSR_PE);
	assert_int_equal(our_fault, FAULT_NONE);
	assert_int_equal(cpu.mxcsr & MXCSR_FLAGS, MXCSR_ZE | MXCSR_PE);
}

static int
prepare(void **unused)
{
	(void)unused;
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || code == MAP_FAILED || mprotect(page + 4096, 4096, PROT_NONE))
		return -1;
	/* More of it by hand: NB_TRIALS=100000 */
	const char *more = getenv("NB_TRIALS");
	if (more)
		trials = (unsigned)strtoul(more, NULL, 10);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_does_what_the_host_does),
		cmocka_unit_test(fma_in_integers_does_what_the_host_does),
		cmocka_unit_test(approximations_are_within_the_bound_of_the_manual),
		cmocka_unit_test(outside_64_bit_mode_eight_registers_exist_and_w_is_ignored),
		cmocka_unit_test(mmx_takes_the_x87_registers_over_and_emms_gives_them_back),
		cmocka_unit_test(unmasked_exception_is_ud_when_the_system_does_not_ask_for_xm),
	};
	return cmocka_run_group_tests(tests, prepare, NULL);
}
