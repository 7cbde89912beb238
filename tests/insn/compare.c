/* What of the end states must be the same, by undefined.def, and how a difference is told. */
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "tests/insn/differential.h"

#define CF FLAG_CF
#define PF FLAG_PF
#define AF FLAG_AF
#define ZF FLAG_ZF
#define SF FLAG_SF
#define OF FLAG_OF
#define C0 BIT(24)
#define C1 BIT(25)
#define C2 BIT(26)
#define C3 BIT(27)
#define WHOLE BIT(32)
#define APPROXIMATE BIT(33)
#define ULPS BIT(34)
#define POINTERS BIT(35)
#define ADDRESS BIT(36)
#define X87 BIT(37)
#define OPERANDS BIT(38)
#define MEMORY BIT(39)
#define PE BIT(40)
#define REGISTERS BIT(41)

/* The state that a condition looks at is the start's: after other instructions it may be another, and the condition counts as met. */
enum when {
	ALWAYS, FAULT, MEMORY_FAULT, REGISTER_FORM, MEMORY_FORM, SOURCE_ZERO, MXCSR_MM, W_IN_32_BIT,
	/* by the start state */
	NO_COUNT, MISALIGNED, PENDING, OUT_OF_RANGE, COUNT_NOT_0, COUNT_NOT_1, COUNT_OF_SIZE, COUNT_OVER_SIZE,
};

static const struct {
	const char *mnemonics;
	u64 what;
	enum when when;
	const char *reason;
} undefined[] = {
#define UNDEFINED(mnemonics, what, when, reason) {mnemonics, what, when, reason},
#include "tests/insn/undefined.def"
#undef UNDEFINED
};

static unsigned
shift_count(const struct test_case *c, const struct step *s)
{
	const char *syntax = insn_rows[s->op].syntax;
	size_t n = strlen(syntax);
	unsigned count = !strcmp(syntax + n - 2, ",1") ? 1 : !strcmp(syntax + n - 2, "CL") ? (unsigned)c->start.r[RCX] : (unsigned)s->in.imm;
	return count & (insn_osize(&s->in) == 8 ? 63 : 31);
}

/* Offset of the memory operand before the instruction, if it is the first. */
static u64
start_offset(const struct test_case *c, const struct step *s)
{
	const struct insn *in = &s->in;
	u64 offset = (u64)(s64)in->disp;
	if (!insn_is_mem(in)) /* MOV with an address in the immediate */
		return (u64)in->imm;
	if (in->rb == RIP_SLOT)
		offset += s->rip + s->length;
	else if (in->rb < 128)
		offset += c->start.r[in->rb / 8];
	if (in->rx < 128)
		offset += c->start.r[in->rx / 8] << EA_SCALE(in->ea);
	return EA_ASIZE(in->ea) == 3 ? offset : EA_ASIZE(in->ea) == 2 ? (u32)offset : (u16)offset;
}

static u64
start_linear(const struct test_case *c, const struct step *s)
{
	unsigned segment = EA_SEG(s->in.ea);
	if (c->size != CODE64)
		return (u32)start_offset(c, s);
	return start_offset(c, s) + (segment == FS ? c->start.fs : segment == GS ? c->start.gs : 0);
}

static bool
is_memory_fault(const struct registers *e)
{
	return e->vector == VECTOR_PF || e->vector == VECTOR_GP || e->vector == VECTOR_SS;
}

/* ST(0) beyond what the instruction is defined for: 1 for F2XM1, 1 - sqrt(1/2) for FYL2XP1. */
static bool
out_of_range(const struct test_case *c, const struct step *s)
{
	unsigned exponent = c->start.sign_exponent[0] & 0x7fff;
	u64 significand = c->start.significand[0];
	if (!strcmp(insn_rows[s->op].id, "F2XM1"))
		return exponent > 0x3fff || (exponent == 0x3fff && significand > BIT(63));
	return exponent > 0x3ffd || (exponent == 0x3ffd && significand > 0x95f619980c4336f7);
}

static bool
applies(const struct test_case *c, const struct step *s, const struct result *host, const struct result *ours, enum when when)
{
	if (c->steps > 1 && when > W_IN_32_BIT)
		return true;
	unsigned bits = insn_osize(&s->in) * 8;
	switch (when) {
	case ALWAYS: return true;
	case FAULT: return host->end.vector != VECTOR_BP;
	case MEMORY_FAULT: return is_memory_fault(&host->end) || is_memory_fault(&ours->end);
	case REGISTER_FORM: return !insn_is_mem(&s->in);
	case MEMORY_FORM: return insn_is_mem(&s->in);
	case NO_COUNT: {
		unsigned asize = EA_ASIZE(s->in.ea);
		u64 count = asize == 3 ? c->start.r[RCX] : asize == 2 ? (u32)c->start.r[RCX] : (u16)c->start.r[RCX];
		return s->in.prefix & (PREFIX_REP | PREFIX_REPNE) && !count;
	}
	case MXCSR_MM: return host->end.mxcsr & BIT(17);
	case W_IN_32_BIT: return c->size != CODE64 && s->in.prefix & PREFIX_W;
	case PENDING: return c->start.fsw & BIT(7) && insn_is_mem(&s->in);
	case OUT_OF_RANGE: return out_of_range(c, s);
	case MISALIGNED: return insn_is_mem(&s->in) && start_linear(c, s) & 15;
	case SOURCE_ZERO: return ours->end.rflags & FLAG_ZF;
	case COUNT_NOT_0: return shift_count(c, s) != 0;
	case COUNT_NOT_1: return shift_count(c, s) > 1;
	case COUNT_OF_SIZE: return shift_count(c, s) >= bits;
	case COUNT_OVER_SIZE: return shift_count(c, s) > bits;
	}
	return true;
}

static bool
matches(const char *patterns, const char *syntax)
{
	char name[32];
	size_t length = strcspn(syntax, " ");
	snprintf(name, sizeof name, "%.*s", (int)length, syntax);
	while (*patterns) {
		char pattern[32];
		size_t n = strcspn(patterns, " ");
		snprintf(pattern, sizeof pattern, "%.*s", (int)n, patterns);
		if (fnmatch(pattern, name, 0) == 0)
			return true;
		patterns += n + strspn(patterns + n, " ");
	}
	return false;
}

/* Which lines of undefined.def are a row's: found once. */
static u64 row_lines[INSN_COUNT];
static bool row_lines_known[INSN_COUNT];
_Static_assert(COUNT(undefined) <= 64, "a bit each");

static u64
lines_of(u16 op)
{
	if (!row_lines_known[op]) {
		row_lines_known[op] = true;
		for (unsigned n = 0; n < COUNT(undefined); n++)
			if (matches(undefined[n].mnemonics, insn_rows[op].syntax))
				row_lines[op] |= BIT(n);
	}
	return row_lines[op];
}

static u64
undefined_after(const struct test_case *c, const struct result *host, const struct result *ours)
{
	u64 what = 0;
	for (unsigned k = 0; k < c->steps; k++)
		for (u64 lines = lines_of(c->step[k].op); lines; lines &= lines - 1) {
			unsigned n = (unsigned)__builtin_ctzll(lines);
			if (applies(c, &c->step[k], host, ours, undefined[n].when))
				what |= undefined[n].what;
		}
	return what;
}

bool
row_is_defined(u16 op)
{
	const struct insn_row *row = &insn_rows[op];
	for (u64 lines = lines_of(op); lines; lines &= lines - 1)
		if (undefined[__builtin_ctzll(lines)].what & ~AF)
			return false;
	/* What ends a block may jump; x87 has its pending exceptions, and MMX needs not have them. */
	return !(row->attributes & (END | CPL0 | STR)) && row->feature != FEATURE_FPU && row->feature != FEATURE_FXSR &&
	       row->feature != FEATURE_XSAVE && strcmp(row->id, "PUSHF") && strcmp(row->id, "LAHF");
}

/* --- telling --- */

static void
print_registers(const char *who, const struct registers *s)
{
	static const char *const name[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
	fprintf(stderr, "%s", who);
	for (unsigned n = 0; n < 16; n++)
		fprintf(stderr, " %s=%llx", name[n], (unsigned long long)s->r[n]);
	fprintf(stderr, " rip=%llx rflags=%llx fs=%llx gs=%llx mxcsr=%x fcw=%x fsw=%x full=%02x\n", (unsigned long long)s->rip,
		(unsigned long long)s->rflags, (unsigned long long)s->fs, (unsigned long long)s->gs, s->mxcsr, s->fcw, s->fsw, s->full);
}

static void
print_vector(const char *who, const u8 *p)
{
	fprintf(stderr, "%s", who);
	for (int n = 31; n >= 0; n--)
		fprintf(stderr, "%02x%s", p[n], n % 8 ? "" : " ");
	fprintf(stderr, "\n");
}

void
print_case(const struct test_case *c)
{
	fprintf(stderr, "-seed %llu -case %llu%s:", (unsigned long long)c->seed, (unsigned long long)c->number, c->size == CODE64 ? "" : " (32-bit)");
	for (unsigned k = 0; k < c->steps; k++) {
		const struct step *s = &c->step[k];
		fprintf(stderr, "%s %s (%s):", k ? ";" : "", insn_rows[s->op].id, insn_rows[s->op].syntax);
		for (unsigned n = 0; n < s->length; n++)
			fprintf(stderr, " %02x", s->bytes[n]);
		if (s->target)
			fprintf(stderr, " [%llx]", (unsigned long long)s->target);
	}
	fprintf(stderr, "\n");
	print_registers(" start", &c->start);
	const struct step *s = &c->step[c->steps - 1];
	if (s->target >= DATA_BASE && s->target < DATA_BASE + DATA_SIZE) {
		fprintf(stderr, " operand");
		for (u64 at = s->target - DATA_BASE; at < MIN(s->target - DATA_BASE + 32, DATA_SIZE); at++)
			fprintf(stderr, " %02x", c->data[at]);
		fprintf(stderr, "\n");
	}
	unsigned feature = insn_rows[s->op].feature;
	if (insn_pattern(s->op)->rd == REG_NUMBER || insn_pattern(s->op)->rs == REG_NUMBER || insn_pattern(s->op)->rv == REG_NUMBER) {
		char who[16];
		const unsigned numbers[4] = {s->in.rd & 15, s->in.rv & 15, s->in.rs & 15, 0};
		for (unsigned n = 0; n < 4; n++) {
			snprintf(who, sizeof who, "  v%-3u ", numbers[n]);
			print_vector(who, c->start.vec[numbers[n]]);
		}
	}
	if (feature == FEATURE_FPU || feature == FEATURE_MMX || insn_pattern(s->op)->rd == REG_NUMBER3 || insn_pattern(s->op)->rs == REG_NUMBER3)
		for (unsigned n = 0; n < 8; n++)
			fprintf(stderr, "  st%u %04x %016llx\n", n, c->start.sign_exponent[n], (unsigned long long)c->start.significand[n]);
}

/* --- comparing --- */

struct comparison {
	const struct test_case *c;
	bool print, told, same;
	const char *first, *second;
	const struct registers *a, *b;
};

static void
differ(struct comparison *k, const char *what, unsigned number, u64 a, u64 b)
{
	if (k->print && !k->told) {
		print_case(k->c);
		fprintf(stderr, "  ends: %s by exception %u at %llx, %s by %u at %llx\n", k->first, k->a->vector, (unsigned long long)k->a->rip,
			k->second, k->b->vector, (unsigned long long)k->b->rip);
	}
	k->told = true;
	k->same = false;
	if (k->print && number)
		fprintf(stderr, "  %s%u: %s %llx, %s %llx\n", what, number, k->first, (unsigned long long)a, k->second, (unsigned long long)b);
	else if (k->print)
		fprintf(stderr, "  %s: %s %llx, %s %llx\n", what, k->first, (unsigned long long)a, k->second, (unsigned long long)b);
}

static void
check(struct comparison *k, const char *what, unsigned number, u64 a, u64 b)
{
	if (a != b)
		differ(k, what, number, a, b);
}

/* Both within 1.5 * 2^-12 of the truth. */
static bool
nearly(u32 a, u32 b)
{
	float x, y;
	memcpy(&x, &a, 4);
	memcpy(&y, &b, 4);
	return a == b || (isfinite(x) && isfinite(y) && fabsf(x - y) <= 3.0f / 4096 * fabsf(y) * 1.001f);
}

static void
compare_vectors(struct comparison *k, const struct registers *a, const struct registers *b, u64 undefined_bits)
{
	for (unsigned n = 0; n < 16; n++) {
		if (!memcmp(a->vec[n], b->vec[n], 32))
			continue;
		bool same = undefined_bits & APPROXIMATE;
		for (unsigned d = 0; d < 8 && same; d++) {
			u32 x, y;
			memcpy(&x, a->vec[n] + d * 4, 4);
			memcpy(&y, b->vec[n] + d * 4, 4);
			same = nearly(x, y);
		}
		const struct insn *last = &k->c->step[k->c->steps - 1].in;
		if (same || (undefined_bits & OPERANDS && (n == last->rd || n == last->rv)))
			continue;
		differ(k, "vector ", n, 0, 0);
		if (k->print) {
			print_vector("    ", a->vec[n]);
			print_vector("    ", b->vec[n]);
		}
	}
}

/* Normal numbers in the order of their size are consecutive. */
static bool
few_ulps(const struct registers *a, const struct registers *b, unsigned n)
{
	u64 x = (u64)a->sign_exponent[n] << 63 | (a->significand[n] & ~BIT(63));
	u64 y = (u64)b->sign_exponent[n] << 63 | (b->significand[n] & ~BIT(63));
	unsigned exponents = (unsigned)(a->sign_exponent[n] - b->sign_exponent[n] + 1);
	return exponents <= 2 && x - y + 4 <= 8;
}

static void
compare_x87(struct comparison *k, const struct registers *a, const struct registers *b, u64 undefined_bits)
{
	u64 conditions = 0;
	for (unsigned n = 0; n < 4; n++)
		if (undefined_bits & C0 << n)
			conditions |= n == 3 ? BIT(14) : BIT(8 + n);
	if (undefined_bits & PE)
		conditions |= (a->fcw & 0x30) == 0x30 ? 0x30 : 0x30 | BIT(7) | BIT(15);
	check(k, "fcw", 0, a->fcw, b->fcw);
	check(k, "fsw", 0, a->fsw & ~conditions, b->fsw & ~conditions);
	check(k, "full", 0, a->full, b->full);
	for (unsigned n = 0; n < 8; n++) {
		if (undefined_bits & ULPS && few_ulps(a, b, n))
			continue;
		check(k, "st exponent ", n, a->sign_exponent[n], b->sign_exponent[n]);
		check(k, "st ", n, a->significand[n], b->significand[n]);
	}
}

/* Bytes of a stored image that hold pointers, or MXCSR_MASK. */
static bool
in_pointers(const struct test_case *c, u64 at)
{
	const struct step *s = &c->step[c->steps - 1];
	const char *syntax = insn_rows[s->op].syntax;
	u64 offset = at + DATA_BASE - start_linear(c, s);
	bool environment = !strncmp(syntax, "fnst", 4) || !strncmp(syntax, "fnsa", 4);
	if (!environment)
		return (offset >= 6 && offset < 24) || (offset >= 28 && offset < 32);
	return insn_osize(&s->in) == 2 ? offset >= 6 && offset < 14 : offset >= 12 && offset < 28;
}

static void
compare_data(struct comparison *k, const u8 *a, const u8 *b, u64 undefined_bits)
{
	if (undefined_bits & MEMORY || !memcmp(a, b, DATA_SIZE))
		return;
	unsigned count = 0;
	for (unsigned n = 0; n < DATA_SIZE && count < 16; n++) {
		if (a[n] == b[n] || (undefined_bits & POINTERS && in_pointers(k->c, n)))
			continue;
		count++;
		differ(k, "memory ", n, a[n], b[n]);
	}
}

/* The instruction at which the case ended. */
static const struct step *
last_step(const struct test_case *c, const struct registers *e)
{
	for (unsigned n = 0; n < c->steps; n++)
		if (c->step[n].rip == e->rip)
			return &c->step[n];
	return &c->step[c->steps - 1];
}

static bool
offset_not_canonical(const struct test_case *c, const struct step *s)
{
	const struct insn *in = &s->in;
	if (insn_rows[s->op].attributes & STR)
		return c->size == CODE64 && EA_SEG(in->ea) >= FS;
	bool memory = insn_is_mem(in) || insn_pattern(s->op)->imm == IMM_MOFFS;
	if (c->size != CODE64 || !memory || EA_SEG(in->ea) < FS || insn_rows[s->op].attributes & VSIB)
		return false;
	if (c->steps > 1)
		return true;
	u64 offset = start_offset(c, s);
	return (u64)((s64)(offset << 16) >> 16) != offset || (u64)((s64)((offset + 63) << 16) >> 16) != offset + 63;
}

static void
compare_all(struct comparison *k, const struct result *a, const struct result *b, u64 undefined_bits)
{
	const struct registers *x = &a->end, *y = &b->end;
	/* A vector operand both misaligned and not canonical, by way of SS: which is found first is the processor's choice. */
	const struct step *last = last_step(k->c, x);
	bool either = x->vector == VECTOR_GP && y->vector == VECTOR_SS && insn_rows[last->op].feature != FEATURE_BASE;
	/* AMD's processors want the offset canonical too, not only its sum with the base. */
	either |= x->vector == VECTOR_GP && y->vector != VECTOR_GP && offset_not_canonical(k->c, last);
	if (either && y->vector == VECTOR_BP)
		return;
	if (!either && !(undefined_bits & ADDRESS && is_memory_fault(x) && is_memory_fault(y))) {
		check(k, "exception", 0, x->vector, y->vector);
		/* Linux does not tell programs what is mapped in its own half. */
		u32 hidden = x->cr2 >= 0x7ffffffff000 ? 1 : 0;
		if (x->vector == y->vector)
			check(k, "error code", 0, x->error | hidden, y->error | hidden);
		check(k, "cr2", 0, x->cr2, y->cr2);
	}
	check(k, "rip", 0, x->rip, y->rip);
	/* Upper halves are not kept while 32-bit code executes. */
	bool wide = k->c->size == CODE64;
	for (unsigned n = 0; n < (wide ? 16 : 8) && !(undefined_bits & REGISTERS); n++)
		check(k, "register ", n, wide ? x->r[n] : (u32)x->r[n], wide ? y->r[n] : (u32)y->r[n]);
	u64 flags = ~(undefined_bits & FLAGS_STATUS) & ~(u64)FLAG_RF;
	check(k, "rflags", 0, x->rflags & flags, y->rflags & flags);
	/* simd_fp.h does not model PE after an unmasked overflow or underflow. */
	u32 unbounded = x->vector == VECTOR_XM && x->mxcsr & ~(x->mxcsr >> 7) & 0x18 ? 0x20 : 0;
	check(k, "fs", 0, x->fs, y->fs);
	check(k, "gs", 0, x->gs, y->gs);
	check(k, "mxcsr", 0, x->mxcsr | unbounded, y->mxcsr | unbounded);
	compare_vectors(k, x, y, undefined_bits);
	if (!(undefined_bits & X87))
		compare_x87(k, x, y, undefined_bits);
	compare_data(k, a->data, b->data, undefined_bits);
}

bool
compare(const struct test_case *c, const struct result *host, const struct result *ours, bool print)
{
	struct comparison k = {.c = c, .print = print, .same = true, .first = "host", .second = "nestbox", .a = &host->end, .b = &ours->end};
	u64 undefined_bits = undefined_after(c, host, ours);
	if (undefined_bits & WHOLE)
		return true;
	compare_all(&k, host, ours, undefined_bits);
	return k.same;
}

bool
compare_exactly(const struct test_case *c, const struct result *fast, const struct result *complete, bool print)
{
	struct comparison k = {.c = c, .print = print, .same = true, .first = "fast", .second = "complete", .a = &fast->end, .b = &complete->end};
	compare_all(&k, fast, complete, 0);
	return k.same;
}
