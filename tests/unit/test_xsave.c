/*
 * FXSAVE and the XSAVE feature set. Areas are restored and saved again here and by the host's own instructions: the same bytes. The rules
 * about headers, which a host would answer with a signal, are checked one by one.
 */
#include "tests/unit/cpu_fixture.h"

#include <cpuid.h>

#include "cpu/x87_op.h"
#include "tests/unit/random.h"

void op_fxsave(struct vcpu *cpu, const struct insn *in);
void op_fxrstor(struct vcpu *cpu, const struct insn *in);
void op_xsave(struct vcpu *cpu, const struct insn *in);
void op_xsaveopt(struct vcpu *cpu, const struct insn *in);
void op_xsavec(struct vcpu *cpu, const struct insn *in);
void op_xsaves(struct vcpu *cpu, const struct insn *in);
void op_xrstor(struct vcpu *cpu, const struct insn *in);
void op_xrstors(struct vcpu *cpu, const struct insn *in);

#define AREA_A 0x10000
#define AREA_B 0x11fc0 /* its header is in the next page */
#define AREA_SIZE 2752
#define HEADER 512
#define COMPACTED BIT(63)
#define ALL (XCR0_X87 | XCR0_SSE | XCR0_AVX)

struct area {
	u8 bytes[AREA_SIZE];
} __attribute__((aligned(64)));

static struct processor *p;
static struct vcpu *cpu;

static int
set_up(void **state)
{
	(void)state;
	seed = 0x9e3779b97f4a7c15;
	p = processor_new("max", 1);
	cpu = p->cpu;
	cpus_reset(p->cpus);
	processor_long(cpu, 0);
	cpu->cr4 |= CR4_OSXSAVE | CR4_OSFXSR;
	cpu->xcr0 = ALL | XCR0_PKRU;
	cpu->long64 = true;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	processor_free(p);
	return 0;
}

/* One instruction on the area at `linear`. */
static int
run(operation op, u64 linear, bool wide, u64 mask)
{
	struct insn in = {.rb = RSI * 8, .rx = ZERO_SLOT, .ea = EA_MEM | DS << 2 | 3 << 5, .where = 4 << 12};
	in.prefix = wide ? 3 | PREFIX_W : 2;
	cpu->r[RSI] = linear;
	cpu->r[RAX] = (u32)mask;
	cpu->r[RDX] = mask >> 32;
	return execute(cpu, op, &in);
}

static void
put(u64 linear, const void *data, unsigned size)
{
	for (unsigned n = 0; n < size; n++)
		memory_write(p->memory, linear + n, 1, ((const u8 *)data)[n]);
}

static void
get(u64 linear, void *data, unsigned size)
{
	for (unsigned n = 0; n < size; n++)
		((u8 *)data)[n] = (u8)memory_read(p->memory, linear + n, 1);
}

static void
put_u64(u64 linear, u64 value)
{
	put(linear, &value, 8);
}

static u64
get_u64(u64 linear)
{
	u64 value;
	get(linear, &value, 8);
	return value;
}

static void
set_field(struct area *a, unsigned offset, u64 value, unsigned size)
{
	memcpy(a->bytes + offset, &value, size);
}

/* A restorable area in the standard format, with no exception pending and no pointers: AMD hosts handle those their own way. */
static void
random_area(struct area *a)
{
	for (unsigned n = 0; n < AREA_SIZE; n += 8)
		set_field(a, n, random_64(), 8);
	set_field(a, 0, 0x37f | random_below(4) << 10, 2);
	set_field(a, 2, random_64() & (X87_CC | X87_TOP | X87_EXCEPTIONS), 2);
	set_field(a, 4, random_64() & 0xff, 2);
	memset(a->bytes + 6, 0, 18);
	set_field(a, 24, 0x1f80 | (random_64() & 0xe07f), 8);
	for (unsigned i = 0; i < 8; i++)
		memset(a->bytes + 32 + i * 16 + 10, 0, 6);
	memset(a->bytes + HEADER, 0, 64);
	set_field(a, HEADER, random_below(8), 8);
}

static bool
host_has(unsigned bit)
{
	unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
	__get_cpuid_count(1, 0, &eax, &ebx, &ecx, &edx);
	if (!(ecx & 1 << 27) || !(ecx & 1 << 28))
		return false;
	eax = 0;
	__get_cpuid_count(0xd, 1, &eax, &ebx, &ecx, &edx);
	return eax >> bit & 1;
}

/* On the host: all of the state from `from`, then the components `load` of `from`, then `save` to `to`. */
#define HOST(name, instruction)                                                                                        \
	static void name(const struct area *initial, const struct area *from, u64 load, struct area *to, u64 save)     \
	{                                                                                                              \
		u32 mxcsr;                                                                                             \
		asm volatile(                                                                                          \
			"stmxcsr %[mxcsr]\n\t"                                                                         \
			"mov $7, %%eax\n\txor %%edx, %%edx\n\txrstor64 (%[initial])\n\t"                               \
			"mov %k[load], %%eax\n\txrstor64 (%[from])\n\t"                                                \
			"mov %k[save], %%eax\n\t" instruction " (%[to])\n\t"                                           \
			"fninit\n\tvzeroall\n\tldmxcsr %[mxcsr]"                                                       \
			: [mxcsr] "=m"(mxcsr)                                                                          \
			: [initial] "r"(initial), [from] "r"(from), [load] "r"(load), [to] "r"(to), [save] "r"(save)   \
			: "eax", "edx", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",      \
			  "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)",         \
			  "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");                                       \
	}
HOST(host_fxsave, "fxsave64")
HOST(host_xsave, "xsave64")
HOST(host_xsaveopt, "xsaveopt64")
HOST(host_xsavec, "xsavec64")

/* MXCSR_MASK is the host's; nothing is written outside 832 bytes. */
static void
compare(const struct area *host, const struct area *ours, const char *what, u64 load, u64 save)
{
	for (unsigned n = 0; n < 832; n++)
		if ((n < 28 || n >= 32) && host->bytes[n] != ours->bytes[n])
			fail_msg("%s: restored %llx, saved %llx: byte %u is %02x, on the host %02x", what,
				 (unsigned long long)load, (unsigned long long)save, n, ours->bytes[n], host->bytes[n]);
}

static void
against_host(operation op, void (*host)(const struct area *, const struct area *, u64, struct area *, u64),
	     const char *what)
{
	static struct area initial, from, host_to, our_to;
	for (unsigned n = 0; n < 1000; n++) {
		random_area(&initial);
		set_field(&initial, HEADER, 7, 8);
		random_area(&from);
		u64 load = random_below(8), save = random_below(8);
		memset(&host_to, 0xa5, sizeof host_to);
		memset(host_to.bytes + HEADER, 0, 64);
		set_field(&host_to, HEADER, random_below(8), 8);
		put(AREA_B, &host_to, AREA_SIZE);
		host(&initial, &from, load, &host_to, save);
		put(AREA_A, &initial, AREA_SIZE);
		assert_int_equal(run(op_xrstor, AREA_A, true, 7), NO_FAULT);
		put(AREA_A, &from, AREA_SIZE);
		assert_int_equal(run(op_xrstor, AREA_A, true, load), NO_FAULT);
		assert_int_equal(run(op, AREA_B, true, save), NO_FAULT);
		get(AREA_B, &our_to, AREA_SIZE);
		compare(&host_to, &our_to, what, load, save);
	}
}

static void
saving_is_what_the_host_does(void **state)
{
	(void)state;
	if (!host_has(0))
		skip();
	against_host(op_fxsave, host_fxsave, "FXSAVE64");
	against_host(op_xsave, host_xsave, "XSAVE64");
	against_host(op_xsaveopt, host_xsaveopt, "XSAVEOPT64");
	if (host_has(1))
		against_host(op_xsavec, host_xsavec, "XSAVEC64");
}

/* --- what is in the area --- */

static void
fxrstor_undoes_fxsave(void **state)
{
	(void)state;
	static struct area a, b;
	for (unsigned wide = 0; wide < 2; wide++) {
		random_area(&a);
		set_field(&a, 8, 0x12345678, 4);
		set_field(&a, 16, 0x9abcdef0, 4);
		put(AREA_A, &a, AREA_SIZE);
		assert_int_equal(run(op_fxrstor, AREA_A, wide, 0), NO_FAULT);
		put(AREA_B, &a, AREA_SIZE);
		assert_int_equal(run(op_fxsave, AREA_B, wide, 0), NO_FAULT);
		get(AREA_B, &b, AREA_SIZE);
		assert_int_equal(get_u64(AREA_B + 28) & 0xffffffff, 0xffff);
		memcpy(b.bytes + 28, a.bytes + 28, 4);
		assert_memory_equal(&a, &b, AREA_SIZE);
	}
}

static void
outside_64_bit_mode_only_eight_registers_are_touched(void **state)
{
	(void)state;
	static struct area a;
	memset(&a, 0, sizeof a);
	set_field(&a, 0, 0x37f, 2);
	set_field(&a, 24, 0x1f80, 4);
	memset(a.bytes + 160, 0x11, 256);
	memset(a.bytes + 576, 0x22, 256);
	set_field(&a, HEADER, 7, 8);
	put(AREA_A, &a, AREA_SIZE);
	memset(cpu->vec, 0x33, sizeof cpu->vec);
	cpu->long64 = false;
	assert_int_equal(run(op_xrstor, AREA_A, false, 7), NO_FAULT);
	assert_int_equal(cpu->vec[7].b[0], 0x11);
	assert_int_equal(cpu->vec[7].b[16], 0x22);
	assert_int_equal(cpu->vec[8].b[0], 0x33);
	assert_int_equal(cpu->vec[8].b[16], 0x33);
	memset(a.bytes, 0x44, AREA_SIZE);
	memset(a.bytes + HEADER, 0, 64);
	put(AREA_A, &a, AREA_SIZE);
	assert_int_equal(run(op_xsave, AREA_A, false, 7), NO_FAULT);
	assert_int_equal(get_u64(AREA_A + 160 + 7 * 16), 0x1111111111111111);
	assert_int_equal(get_u64(AREA_A + 160 + 8 * 16), 0x4444444444444444);
	assert_int_equal(get_u64(AREA_A + 576 + 8 * 16), 0x4444444444444444);
}

static void
pkru_lies_at_2688_in_the_standard_format_and_behind_avx_in_the_compacted_one(void **state)
{
	(void)state;
	cpu->pkru = 0x55555554;
	cpu->vec[3].q[3] = 1;
	assert_int_equal(run(op_xsave, AREA_A, true, ALL | XCR0_PKRU), NO_FAULT);
	assert_int_equal(get_u64(AREA_A + XSAVE_PKRU_OFFSET), 0x55555554);
	assert_int_equal(run(op_xsaves, AREA_B, true, ALL | XCR0_PKRU), NO_FAULT);
	assert_int_equal(get_u64(AREA_B + 576 + 256), 0x55555554);
	assert_int_equal(get_u64(AREA_B + HEADER + 8), COMPACTED | ALL | XCR0_PKRU);
	put_u64(AREA_B + 576 + 256, 0xabc);
	assert_int_equal(run(op_xrstors, AREA_B, true, ALL | XCR0_PKRU), NO_FAULT);
	assert_int_equal(cpu->pkru, 0xabc);
	assert_int_equal(run(op_xsavec, AREA_B, true, XCR0_PKRU), NO_FAULT);
	assert_int_equal(get_u64(AREA_B + 576), 0xabc);
	put_u64(AREA_B + HEADER, 0);
	assert_int_equal(run(op_xrstor, AREA_B, true, XCR0_PKRU), NO_FAULT);
	assert_int_equal(cpu->pkru, 0);
}

static void
mxcsr_that_is_not_initial_makes_compacted_sse_state_be_saved(void **state)
{
	(void)state;
	cpu->mxcsr = 0x1f80;
	memset(cpu->vec, 0, sizeof cpu->vec);
	assert_int_equal(run(op_xsavec, AREA_B, true, XCR0_SSE), NO_FAULT);
	assert_int_equal(get_u64(AREA_B + HEADER), 0);
	cpu->mxcsr = 0x1fa0;
	assert_int_equal(run(op_xsavec, AREA_B, true, XCR0_SSE), NO_FAULT);
	assert_int_equal(get_u64(AREA_B + HEADER), XCR0_SSE);
	/* initialized from a compacted area: MXCSR too; from a standard one MXCSR is loaded */
	put_u64(AREA_B + HEADER, 0);
	assert_int_equal(run(op_xrstor, AREA_B, true, XCR0_SSE), NO_FAULT);
	assert_int_equal(cpu->mxcsr, 0x1f80);
	put_u64(AREA_B + HEADER + 8, 0);
	assert_int_equal(run(op_xrstor, AREA_B, true, XCR0_AVX), NO_FAULT);
	assert_int_equal(cpu->mxcsr, 0x1fa0);
}

static void
a_restore_recomputes_the_pending_exception(void **state)
{
	(void)state;
	put_u64(AREA_A, 0x037e | (u64)X87_IE << 16);
	put_u64(AREA_A + 24, 0x1f80);
	assert_int_equal(run(op_fxrstor, AREA_A, true, 0), NO_FAULT);
	assert_int_equal(cpu->x87.status, X87_IE | X87_ES | X87_B);
}

/* --- faults --- */

static void
prepare(void)
{
	static const struct area zero;
	put(AREA_A, &zero, AREA_SIZE);
	put_u64(AREA_A + 24, 0x1f80);
}

static void
bad_headers_are_general_protection(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		u64 xstate_bv, xcomp_bv;
		unsigned offset; /* of one more byte to set, in the header */
		bool compacted_only;
	} bad[] = {
		{"standard: XSTATE_BV has a bit that XCR0 has not", 8, 0, 0, false},
		{"standard: byte 8", 0, 1, 0, false},
		{"standard: byte 23", 0, 0, 23, false},
		{"compacted: XSTATE_BV has a bit that XCOMP_BV has not", 4, COMPACTED | 3, 0, true},
		{"compacted: XCOMP_BV has a bit that XCR0 has not", 0, COMPACTED | 8, 0, true},
		{"compacted: byte 16", 0, COMPACTED | 3, 16, true},
		{"compacted: byte 63", 0, COMPACTED | 3, 63, true},
	};
	for (unsigned n = 0; n < COUNT(bad); n++) {
		prepare();
		put_u64(AREA_A + HEADER, bad[n].xstate_bv);
		put_u64(AREA_A + HEADER + 8, bad[n].xcomp_bv);
		if (bad[n].offset)
			memory_write(p->memory, AREA_A + HEADER + bad[n].offset, 1, 1);
		if (run(op_xrstor, AREA_A, true, 7) != VECTOR_GP)
			fail_msg("XRSTOR takes it: %s", bad[n].rule);
		if (run(op_xrstors, AREA_A, true, 7) != VECTOR_GP)
			fail_msg("XRSTORS takes it: %s", bad[n].rule);
	}
	prepare();
	assert_int_equal(run(op_xrstor, AREA_A, true, 7), NO_FAULT);
	assert_int_equal(run(op_xrstors, AREA_A, true, 7), VECTOR_GP); /* the standard format */
	put_u64(AREA_A + HEADER + 8, COMPACTED | 7);
	assert_int_equal(run(op_xrstors, AREA_A, true, 7), NO_FAULT);
	p->model.has[FEATURE_XSAVEC] = false;
	assert_int_equal(run(op_xrstor, AREA_A, true, 7), VECTOR_GP);
	/* a standard header has 24 bytes that are looked at */
	prepare();
	memory_write(p->memory, AREA_A + HEADER + 24, 1, 1);
	assert_int_equal(run(op_xrstor, AREA_A, true, 7), NO_FAULT);
}

static void
reserved_bits_of_mxcsr_are_general_protection_and_change_nothing(void **state)
{
	(void)state;
	prepare();
	put_u64(AREA_A, 0x0140);
	put_u64(AREA_A + 24, 0x11f80);
	cpu->x87.control = 0x37f;
	assert_int_equal(run(op_fxrstor, AREA_A, true, 0), VECTOR_GP);
	assert_int_equal(run(op_xrstor, AREA_A, true, 7), VECTOR_GP);
	assert_int_equal(cpu->x87.control, 0x37f);
	assert_int_equal(run(op_xrstor, AREA_A, true, XCR0_X87), NO_FAULT);
}

static void
faults_of_modes_and_addresses(void **state)
{
	(void)state;
	static const operation all[] = {op_xsave, op_xsaveopt, op_xsavec, op_xsaves, op_xrstor, op_xrstors};
	prepare();
	for (unsigned n = 0; n < COUNT(all); n++) {
		assert_int_equal(run(all[n], AREA_A + 32, true, 7), VECTOR_GP);
		cpu->cr0 |= CR0_TS;
		assert_int_equal(run(all[n], AREA_A, true, 7), VECTOR_NM);
		cpu->cr4 &= ~CR4_OSXSAVE;
		assert_int_equal(run(all[n], AREA_A, true, 7), VECTOR_UD);
		cpu->cr4 |= CR4_OSXSAVE;
		cpu->cr0 &= ~CR0_TS;
	}
	cpu->cpl = 3;
	assert_int_equal(run(op_xsaves, AREA_A, true, 7), VECTOR_GP);
	assert_int_equal(run(op_xrstors, AREA_A, true, 7), VECTOR_GP);
	cpu->cpl = 0;
	assert_int_equal(run(op_fxsave, AREA_A + 8, true, 0), VECTOR_GP);
	assert_int_equal(run(op_fxrstor, AREA_A + 8, true, 0), VECTOR_GP);
	cpu->cr0 |= CR0_TS;
	assert_int_equal(run(op_fxsave, AREA_A, true, 0), VECTOR_NM);
	cpu->cr0 |= CR0_EM;
	assert_int_equal(run(op_fxsave, AREA_A, true, 0), VECTOR_UD);
}

/* The second page is not mapped: nothing of the first may change. */
static void
a_save_that_faults_writes_nothing(void **state)
{
	(void)state;
	u64 end = 2 << 20; /* of what processor_long() maps */
	put_u64(end - 512, 0x5555555555555555);
	put_u64(end - 512 + 160, 0x5555555555555555);
	assert_int_equal(run(op_xsave, end - 512, true, 7), VECTOR_PF);
	assert_int_equal(get_u64(end - 512), 0x5555555555555555);
	assert_int_equal(get_u64(end - 512 + 160), 0x5555555555555555);
	assert_int_equal(run(op_fxsave, end - 512, true, 7), NO_FAULT);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(saving_is_what_the_host_does),
		TEST(fxrstor_undoes_fxsave),
		TEST(outside_64_bit_mode_only_eight_registers_are_touched),
		TEST(pkru_lies_at_2688_in_the_standard_format_and_behind_avx_in_the_compacted_one),
		TEST(mxcsr_that_is_not_initial_makes_compacted_sse_state_be_saved),
		TEST(a_restore_recomputes_the_pending_exception),
		TEST(bad_headers_are_general_protection),
		TEST(reserved_bits_of_mxcsr_are_general_protection_and_change_nothing),
		TEST(faults_of_modes_and_addresses),
		TEST(a_save_that_faults_writes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
