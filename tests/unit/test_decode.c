/* The decoder: rows parse and do not overlap, operands land where insn.h says, prefixes and lengths obey SDM 2, "Instruction Format". */
#include "tests/unit/cpu_fixture.h"

#include "cpu/decode.h"

static struct vcpu *
cpu_of(void **state)
{
	return ((struct processor *)*state)->cpu;
}

static int
setup(void **state)
{
	struct processor *p = processor_new("max", 1);
	processor_long(p->cpu, 0);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	processor_free(*state);
	return 0;
}

#define DECODE(cpu, size, in, ...)                                                                                                         \
	decode(cpu, size, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}), in)

static void
operands_and_addresses_are_decoded(void **state)
{
	struct vcpu *cpu = cpu_of(state);
	struct insn in;
	/* mov r10,[r12+r9*4-0x80] */
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x4f, 0x8b, 0x54, 0x8c, 0x80), DECODE_OK);
	assert_int_equal(in.op, INSN_MOV_Gv_Ev);
	assert_int_equal(in.rd, R10 * 8);
	assert_int_equal(in.rb, R12 * 8);
	assert_int_equal(in.rx, R9 * 8);
	assert_int_equal(EA_SCALE(in.ea), 2);
	assert_int_equal(EA_SEG(in.ea), DS);
	assert_int_equal(in.disp, -0x80);
	assert_int_equal(insn_osize(&in), 8);
	assert_int_equal(insn_length(&in), 5);
	/* mov eax,[rsp]: SIB without index, stack segment */
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x8b, 0x04, 0x24), DECODE_OK);
	assert_int_equal(in.rx, ZERO_SLOT);
	assert_int_equal(EA_SEG(in.ea), SS);
	/* mov eax,[rip+0x10] */
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x8b, 0x05, 0x10, 0, 0, 0), DECODE_OK);
	assert_int_equal(in.rb, RIP_SLOT);
	/* the same bytes are [disp32] in 32-bit code, and mov ax,[di] plus one more instruction in 16-bit code */
	assert_int_equal(DECODE(cpu, CODE32, &in, 0x8b, 0x05, 0x10, 0, 0, 0), DECODE_OK);
	assert_int_equal(in.rb, ZERO_SLOT);
	assert_int_equal(DECODE(cpu, CODE16, &in, 0x8b, 0x05), DECODE_OK);
	assert_int_equal(in.rb, RDI * 8);
	assert_int_equal(insn_osize(&in), 2);
	/* [bp+si+2] in 16-bit code is on the stack segment */
	assert_int_equal(DECODE(cpu, CODE16, &in, 0x8b, 0x42, 0x02), DECODE_OK);
	assert_int_equal(EA_SEG(in.ea), SS);
	assert_int_equal(in.rx, RSI * 8);
}

static void
byte_registers_depend_on_rex(void **state)
{
	struct vcpu *cpu = cpu_of(state);
	struct insn in;
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x88, 0xe0), DECODE_OK); /* mov al,ah */
	assert_int_equal(in.rd, RAX * 8 + 1);
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x40, 0x88, 0xe0), DECODE_OK); /* mov al,spl */
	assert_int_equal(in.rd, RSP * 8);
	assert_int_equal(PREFIX_OSIZE(in.prefix), 0);
}

static void
rex_counts_only_next_to_the_opcode(void **state)
{
	struct vcpu *cpu = cpu_of(state);
	struct insn in;
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x48, 0x66, 0x01, 0xd8), DECODE_OK);
	assert_int_equal(insn_osize(&in), 2);
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x66, 0x48, 0x01, 0xd8), DECODE_OK);
	assert_int_equal(insn_osize(&in), 8);
}

static void
lock_needs_a_memory_destination(void **state)
{
	struct vcpu *cpu = cpu_of(state);
	struct insn in;
	assert_int_equal(DECODE(cpu, CODE64, &in, 0xf0, 0x01, 0x03), DECODE_OK);
	assert_int_equal(DECODE(cpu, CODE64, &in, 0xf0, 0x01, 0xc3), DECODE_UD);
	assert_int_equal(DECODE(cpu, CODE64, &in, 0xf0, 0x03, 0x03), DECODE_UD);
	assert_int_equal(DECODE(cpu, CODE64, &in, 0xf0, 0x39, 0x03), DECODE_UD); /* CMP writes nothing */
}

static void
length_is_limited_to_15_bytes(void **state)
{
	struct vcpu *cpu = cpu_of(state);
	struct insn in;
	u8 bytes[32];
	memset(bytes, 0x66, sizeof(bytes));
	bytes[14] = 0x90;
	assert_int_equal(decode(cpu, CODE64, bytes, 15, &in), DECODE_OK);
	assert_int_equal(insn_length(&in), 15);
	bytes[14] = 0x66;
	bytes[15] = 0x90;
	assert_int_equal(decode(cpu, CODE64, bytes, 16, &in), DECODE_TOO_LONG);
}

static void
short_input_asks_for_more(void **state)
{
	struct vcpu *cpu = cpu_of(state);
	struct insn in;
	const u8 bytes[] = {0x48, 0x81, 0x84, 0x8d, 1, 2, 3, 4, 5, 6, 7, 8}; /* add qword [rbp+rcx*4+disp32],imm32 */
	for (unsigned n = 0; n < sizeof(bytes); n++)
		assert_int_equal(decode(cpu, CODE64, bytes, n, &in), DECODE_MORE);
	assert_int_equal(decode(cpu, CODE64, bytes, sizeof(bytes), &in), DECODE_OK);
	assert_int_equal(in.imm, 0x08070605);
}

static void
modes_and_features_gate_encodings(void **state)
{
	struct vcpu *cpu = cpu_of(state);
	struct insn in;
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x06), DECODE_UD);	    /* push es */
	assert_int_equal(DECODE(cpu, CODE32, &in, 0x06), DECODE_OK);
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x0f, 0x05), DECODE_OK);  /* syscall */
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x62, 0xf1), DECODE_UD);  /* EVEX */
	assert_int_equal(DECODE(cpu, CODE64, &in, 0x66, 0xc5, 0xf8, 0x77), DECODE_UD); /* 66 before VEX */
	assert_int_equal(DECODE(cpu, CODE64, &in, 0xf3, 0x0f, 0xbc, 0xc1), DECODE_OK);
	assert_int_equal(in.op, INSN_TZCNT);
	struct cpu_model old = *cpu->model;
	old.has[FEATURE_BMI1] = false;
	cpu->model = &old;
	assert_int_equal(DECODE(cpu, CODE64, &in, 0xf3, 0x0f, 0xbc, 0xc1), DECODE_OK);
	assert_int_equal(in.op, INSN_BSF);
}

/* Whatever the bytes, the decoder answers, and says nothing longer than it was given. */
static void
random_bytes_are_survived(void **state)
{
	struct vcpu *cpu = cpu_of(state);
	u64 seed = 7;
	for (unsigned trial = 0; trial < 300000; trial++) {
		u8 bytes[16];
		for (unsigned n = 0; n < sizeof(bytes); n++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			bytes[n] = (u8)(seed >> 56);
		}
		struct insn in;
		unsigned given = 1 + trial % 15;
		enum decode_result r = decode(cpu, (enum code_size)(trial % 3), bytes, given, &in);
		if (r == DECODE_OK) {
			assert_in_range(insn_length(&in), 1, given);
			assert_in_range(in.op, 0, INSN_COUNT - 1);
		}
	}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(operands_and_addresses_are_decoded), TEST(byte_registers_depend_on_rex),  TEST(rex_counts_only_next_to_the_opcode),
		TEST(lock_needs_a_memory_destination),	  TEST(length_is_limited_to_15_bytes), TEST(short_input_asks_for_more),
		TEST(modes_and_features_gate_encodings),  TEST(random_bytes_are_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
