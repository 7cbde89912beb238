/*
 * Every FPU row of insn_x87.def against the host's own instruction: the same bytes, control words, stack, operands and
 * flags; the same FXSAVE image, memory, AX and flags afterwards. Functions that processors approximate may differ in
 * the last place.
 *
 * The access layer is replaced: a linear address is a host address.
 */
#include <sys/mman.h>

#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/decode.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/x87_op.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#define ROW_FPU(id, syntax, opcode, attributes, fn) {#id, syntax, opcode, FEATURE_FPU, attributes, fn},
#define ROW_FXSR(id, syntax, opcode, attributes, fn)
#define ROW_XSAVE(id, syntax, opcode, attributes, fn)
#define ROW_XSAVEOPT(id, syntax, opcode, attributes, fn)
#define ROW_XSAVEC(id, syntax, opcode, attributes, fn)
#define ROW_XSAVES(id, syntax, opcode, attributes, fn)
static const struct insn_row rows[] = {
#define INSN(id, syntax, opcode, feature, attributes, fn) ROW_##feature(id, syntax, opcode, attributes, fn)
#include "cpu/insn_x87.def"
#undef INSN
};

struct image {
	u16 control, status;
	u8 valid, reserved;
	u16 opcode;
	u64 ip, dp;
	u32 mxcsr, mxcsr_mask;
	struct {
		struct fpreg value;
	} st[8];
	u8 rest[352];
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct image) == 512, "FXSAVE area");

struct machine {
	struct image image;
	u64 rax, flags;
	u8 memory[128];
	u32 environment[7];
};

static u8 *code;
static struct cpu_model model;
static struct vcpu vcpu;

/* --- the replaced layers --- */

#define NO_FAULT (-1)
static jmp_buf door;
static bool door_open;
static int fault;

_Noreturn void
raise_exception(struct vcpu *cpu, unsigned vector)
{
	(void)cpu;
	if (!door_open) {
		fail_msg("fault %u", vector);
		abort();
	}
	fault = (int)vector;
	longjmp(door, 1);
}

_Noreturn void
raise_error(struct vcpu *cpu, unsigned vector, u32 error)
{
	(void)error;
	raise_exception(cpu, vector);
}

void
cpu_sync(struct vcpu *cpu)
{
	(void)cpu;
}

_Noreturn void
cpu_leave(struct vcpu *cpu)
{
	raise_exception(cpu, NO_FAULT);
}

void
cpu_mode_changed(struct vcpu *cpu)
{
	(void)cpu;
}

void
op_nop(struct vcpu *cpu, const struct insn *in)
{
	(void)cpu, (void)in;
}

u64
insn_offset(const struct vcpu *cpu, const struct insn *in)
{
	return *(const u64 *)((const u8 *)cpu + in->rb);
}

u64
insn_linear(struct vcpu *cpu, const struct insn *in, unsigned size, unsigned access)
{
	(void)size, (void)access;
	return insn_offset(cpu, in);
}

u64
mem_read(struct vcpu *cpu, u64 linear, unsigned size)
{
	u64 value = 0;
	(void)cpu;
	memcpy(&value, (const void *)(uintptr_t)linear, size);
	return value;
}

void
mem_write(struct vcpu *cpu, u64 linear, unsigned size, u64 value)
{
	(void)cpu;
	memcpy((void *)(uintptr_t)linear, &value, size);
}

void
mem_read_bytes(struct vcpu *cpu, u64 linear, void *data, unsigned size)
{
	(void)cpu;
	memcpy(data, (const void *)(uintptr_t)linear, size);
}

void
mem_write_bytes(struct vcpu *cpu, u64 linear, const void *data, unsigned size)
{
	(void)cpu;
	memcpy((void *)(uintptr_t)linear, data, size);
}

void
mem_probe_write(struct vcpu *cpu, u64 linear, unsigned size)
{
	(void)cpu, (void)linear, (void)size;
}

bool
mem_peek(struct vcpu *cpu, u64 linear, void *data, unsigned size)
{
	mem_read_bytes(cpu, linear, data, size);
	return true;
}

/* --- operands --- */

static struct fpreg
random_real(void)
{
	static const u64 significands[] = {0,
					   1,
					   SIGNIFICAND_ONE,
					   SIGNIFICAND_ONE | 1,
					   ~0ull,
					   SIGNIFICAND_ONE - 1,
					   0xc000000000000000,
					   0xc000000000000001,
					   0xa000000000000000,
					   0x4000000000000000,
					   0xfffffffffffff800,
					   0xfffffffffffffc00,
					   0x8000000000000400,
					   0xffffff8000000000,
					   0xffffff0000000000,
					   0x8000008000000000};
	static const u16 exponents[] = {0,      0,      1,      2,      0x3fff, 0x3ffe, 0x4000, 0x3fbe, 0x403d, 0x403e,
					0x403f, 0x7ffe, 0x7fff, 0x7fff, 0x3f80, 0x3f81, 0x407e, 0x407f, 0x3c00, 0x3c01,
					0x43fe, 0x43ff, 0x400e, 0x400d, 0x401e, 0x401d, 64,     63};
	struct fpreg v = {
		random_below(3) ? random_64() | SIGNIFICAND_ONE : significands[random_below(COUNT(significands))], 0};
	switch (random_below(4)) {
	case 0:
		v.sign_exponent = exponents[random_below(COUNT(exponents))];
		break;
	case 1:
		v.sign_exponent = (u16)(random_64() & 0x7fff);
		break;
	default:
		v.sign_exponent = (u16)(0x3fff - 40 + random_below(110));
		break;
	}
	if (random_below(8) == 0)
		v.significand &= ~0ull << random_below(64);
	v.sign_exponent |= (u16)(random_64() & 0x8000);
	return v;
}

/* Bytes that mean something as binary32, binary64, 80-bit format, integer or BCD. */
static void
random_memory(u8 *memory)
{
	for (unsigned n = 0; n < 128; n += 8) {
		u64 v = random_64();
		memcpy(memory + n, &v, 8);
	}
	u64 v = random_64();
	u32 w = (u32)v;
	static const u32 singles[] = {0,          1,          0x7fffff,   0x800000,   0x3f800000, 0x7f7fffff,
				      0x7f800000, 0x7f800001, 0x7fc00000, 0x7fc00001, 0x400000};
	static const u64 doubles[] = {0,
				      1,
				      0xfffffffffffff,
				      0x10000000000000,
				      0x3ff0000000000000,
				      0x7fefffffffffffff,
				      0x7ff0000000000000,
				      0x7ff0000000000001,
				      0x7ff8000000000000,
				      0x7ff8000000000001,
				      0x8000000000000};
	struct fpreg r = random_real();
	switch (random_below(6)) {
	case 0:
		w = singles[random_below(COUNT(singles))] | (w & 0x80000000);
		memcpy(memory, &w, 4);
		break;
	case 1:
		v = doubles[random_below(COUNT(doubles))] | (v & SIGNIFICAND_ONE);
		memcpy(memory, &v, 8);
		break;
	case 2:
		memcpy(memory, &r, 10);
		break;
	case 3:
		memset(memory, random_below(2) ? 0 : 0xff, random_below(11));
		break;
	case 4:
		v = 0x3ff0000000000000 + ((u64)random_below(200) << 52) - (100ull << 52) + (v >> 12);
		memcpy(memory, &v, 8);
		break;
	default:
		w = 0x3f800000 + (random_below(100) << 23) - (50 << 23) + (w >> 9);
		memcpy(memory, &w, 4);
		break;
	}
}

static void
random_machine(struct machine *m)
{
	memset(m, 0, sizeof *m);
	asm volatile("fxsave64 %0" : "=m"(m->image));
	static const u16 precisions[] = {0, 2, 3, 3};
	m->image.control = (u16)(X87_CONTROL_ONE | precisions[random_below(4)] << 8 | random_below(4) << 10 |
				 (random_64() & 0x1000));
	m->image.control |= random_below(2) ? X87_EXCEPTIONS : (u16)(random_64() & X87_EXCEPTIONS);
	m->image.status = (u16)(random_64() & (X87_CC | X87_TOP));
	if (random_below(2))
		m->image.status |= (u16)(random_64() & m->image.control & X87_EXCEPTIONS);
	if (random_below(8) == 0)
		m->image.status |= X87_SF;
	switch (random_below(4)) {
	case 0:
		m->image.valid = (u8)random_64();
		break;
	case 1:
		m->image.valid = 0xff;
		break;
	case 2: { /* full except where a push goes */
		unsigned top = m->image.status >> X87_TOP_SHIFT & 7;
		m->image.valid = (u8)~BIT((top + 7) & 7);
		break;
	}
	default: { /* at least ST(0) and ST(1), room for two pushes */
		unsigned top = m->image.status >> X87_TOP_SHIFT & 7;
		m->image.valid = (u8)(BIT(top) | BIT((top + 1) & 7) | (random_64() & ~BIT((top + 7) & 7)));
		break;
	}
	}
	m->image.opcode = 0;
	m->image.ip = m->image.dp = 0;
	for (unsigned i = 0; i < 8; i++) {
		struct fpreg v = random_real();
		memcpy(&m->image.st[i], &v, 10);
	}
	if (random_below(4) == 0)
		memcpy(&m->image.st[1], &m->image.st[0], 10);
	m->rax = random_64();
	m->flags = 0x202 | (random_64() & FLAGS_STATUS);
	random_memory(m->memory);
}

/* --- both sides --- */

static void
run_host(struct machine *m)
{
	/* below the red zone; no operand is addressed by RSP */
	asm volatile("sub $128, %%rsp\n\t"
		     "fxrstor64 (%[image])\n\t"
		     "pushq %[flags]\n\tpopfq\n\t"
		     "call *%[code]\n\t"
		     "fxsave64 (%[image])\n\t"
		     "fnstenv (%[environment])\n\t"
		     "fninit\n\t"
		     "pushfq\n\tpopq %[flags]\n\t"
		     "add $128, %%rsp"
		     : [flags] "+r"(m->flags), "+a"(m->rax)
		     : [code] "r"(code), "S"(m->memory), [image] "D"(&m->image), [environment] "d"(m->environment)
		     : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
		       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)",
		       "st(5)", "st(6)", "st(7)");
}

static void
run_ours(struct machine *m, const struct insn_row *row, const struct insn *in)
{
	struct vcpu *cpu = &vcpu;
	cpu->r[RAX] = m->rax;
	cpu->r[RSI] = (u64)(uintptr_t)m->memory;
	cc_set_raw(cpu, m->flags);
	x87_image_load(cpu, true, (const u8 *)&m->image);
	row->op(cpu, in);
	u32 mxcsr = m->image.mxcsr, mxcsr_mask = m->image.mxcsr_mask;
	x87_image_save(cpu, true, (u8 *)&m->image);
	m->image.mxcsr = mxcsr;
	m->image.mxcsr_mask = mxcsr_mask;
	m->rax = cpu->r[RAX];
	m->flags = (m->flags & ~FLAGS_STATUS) | cc_flags(cpu);
}

/* "D8 /0 m", "D8 C0+", "D9 E0", "9B" */
static void
make(const struct insn_row *row, struct insn *in)
{
	unsigned first = (unsigned)strtoul(row->opcode, NULL, 16), length = 2;
	const char *second = strchr(row->opcode, ' ');
	*in = (struct insn){.rb = ZERO_SLOT, .rx = ZERO_SLOT, .prefix = 2, .ea = DS << 2 | 3 << 5};
	u8 *p = code;
	*p++ = (u8)first;
	if (!second) {
		length = 1;
	} else if (second[1] == '/') {
		*p++ = (u8)((second[2] - '0') << 3 | 6);
		in->rb = RSI * 8;
		in->ea |= EA_MEM;
	} else {
		unsigned byte = (unsigned)strtoul(second, NULL, 16);
		if (strchr(second, '+'))
			byte += in->rs = (u8)random_below(8);
		*p++ = (u8)byte;
	}
	*p = 0xc3;
	in->where = (u16)((u64)(uintptr_t)code & 0xfff) | (u16)(length << 12);
}

static void
print(const char *name, const struct machine *m)
{
	printf("%-5s FCW %04x FSW %04x valid %02x ip %llx dp %llx rax %llx flags %llx\n", name, m->image.control,
	       m->image.status, m->image.valid, (unsigned long long)m->image.ip, (unsigned long long)m->image.dp,
	       (unsigned long long)m->rax, (unsigned long long)m->flags);
	for (unsigned i = 0; i < 8; i++)
		printf("   %04x.%016llx%s", m->image.st[i].value.sign_exponent,
		       (unsigned long long)m->image.st[i].value.significand, i == 4 ? "\n" : "");
	printf("\n      ");
	for (unsigned i = 0; i < 28; i++)
		printf("%02x ", m->memory[i]);
	printf("\n");
}

static bool
is_approximate(const struct insn_row *row)
{
	static const char *const names[] = {"F2XM1", "FYL2X", "FYL2XP1", "FPATAN", "FSIN", "FCOS", "FSINCOS", "FPTAN"};
	for (unsigned n = 0; n < COUNT(names); n++)
		if (!strcmp(row->id, names[n]))
			return true;
	return false;
}

static bool
is_environment(const struct insn_row *row)
{
	return strstr(row->id, "ENV") || !strcmp(row->id, "FNSAVE_Ms") || !strcmp(row->id, "FRSTOR_Ms");
}

static bool
is_control(const struct insn_row *row)
{
	return is_environment(row) || (!strncmp(row->id, "FN", 2) && strcmp(row->id, "FNOP")) ||
	       !strcmp(row->id, "FLDCW_Mw") || !strcmp(row->id, "FWAIT");
}

/*
 * What the manual leaves open, or what this host does its own way, is made equal. AMD processors save pointers in the
 * FXSAVE image only while an exception is pending: they are taken from the environment.
 */
static void
settle(const struct insn_row *row, struct machine *host, struct machine *ours)
{
	if (!is_control(row) || !strncmp(row->id, "FLDENV", 6) || !strncmp(row->id, "FRSTOR", 6)) {
		host->image.ip = host->environment[3];
		host->image.dp = host->environment[5] == (u32)(uintptr_t)host->memory ? (u32)(uintptr_t)ours->memory
										      : host->environment[5];
		ours->image.ip = (u32)ours->image.ip;
		ours->image.dp = (u32)ours->image.dp;
		host->image.opcode = host->environment[4] >> 16;
		if (!host->image.ip) { /* an interrupt in between, and the host's system does not keep pointers */
			host->image.ip = ours->image.ip;
			host->image.dp = ours->image.dp;
			host->image.opcode = ours->image.opcode;
		}
	}
	if (strstr(row->id, "COMI")) /* AMD: C1 unchanged; Intel: 0 */
		host->image.status = (u16)((host->image.status & ~X87_C1) | (ours->image.status & X87_C1));
	if (!ours->image.opcode) /* the host keeps that of every instruction */
		host->image.opcode = 0;
	if (is_environment(row)) {
		/* FOP, FCS and FDS */
		memcpy(host->memory + 16, ours->memory + 16, 4);
		memcpy(host->memory + 24, ours->memory + 24, 2);
	}
}

static bool
check_row(const struct insn_row *row, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		struct machine before, host, ours;
		struct insn in;
		make(row, &in);
		random_machine(&before);
		host = ours = before;
		run_host(&host);
		run_ours(&ours, row, &in);
		settle(row, &host, &ours);
		if (memcmp(&host.image, &ours.image, 160) || host.rax != ours.rax ||
		    (host.flags ^ ours.flags) & FLAGS_STATUS || memcmp(host.memory, ours.memory, sizeof host.memory)) {
			unsigned at = 0;
			while (at < 159 && ((u8 *)&host.image)[at] == ((u8 *)&ours.image)[at])
				at++;
			printf("%s, ST(%u), trial %u: image differs at %u\n", row->id, in.rs, n, at);
			print("from", &before);
			print("host", &host);
			print("ours", &ours);
			return false;
		}
	}
	return true;
}

/* --- functions that processors approximate --- */

/*
 * Units in the last place between two numbers of the same sign; 0 is the same, a large number is a different kind of
 * thing.
 */
static u64
distance(struct fpreg a, struct fpreg b)
{
	if (a.sign_exponent == b.sign_exponent && a.significand == b.significand)
		return 0;
	if ((a.sign_exponent ^ b.sign_exponent) & 0x8000 || is_nan(a) || is_nan(b))
		return ~0ull;
	if (a.sign_exponent == b.sign_exponent)
		return a.significand > b.significand ? a.significand - b.significand : b.significand - a.significand;
	struct fpreg low = exponent_of(a) < exponent_of(b) ? a : b, high = exponent_of(a) < exponent_of(b) ? b : a;
	if (exponent_of(high) - exponent_of(low) > 1)
		return ~0ull;
	/* the same exponent of two in the subnormal range */
	return exponent_of(low) ? (high.significand - SIGNIFICAND_ONE) * 2 + (~low.significand + 1)
				: high.significand - low.significand;
}

/* Inside the range that the manual gives, or special. */
static bool
documented(const struct insn_row *row, struct fpreg v)
{
	unsigned exponent = exponent_of(v);
	if (exponent == EXPONENT_MASK)
		return strcmp(row->id, "F2XM1") && strcmp(row->id, "FYL2XP1");
	if (!strcmp(row->id, "F2XM1"))
		return exponent < 0x3fff;
	if (!strcmp(row->id, "FYL2XP1"))
		return exponent < 0x3ffd || (exponent == 0x3ffd && v.significand < 0x95f6198000000000);
	return true;
}

/* Processors call some exact results inexact, and round others differently. */
#define INEXACT (X87_UE | X87_PE | X87_C1 | X87_ES | X87_B)

static bool
check_approximate(const struct insn_row *row, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		struct machine before, host, ours;
		struct insn in;
		make(row, &in);
		do
			random_machine(&before);
		while (!documented(row, before.image.st[0].value));
		host = ours = before;
		run_host(&host);
		run_ours(&ours, row, &in);
		settle(row, &host, &ours);
		u64 ulps = 0;
		for (unsigned i = 0; i < 8; i++)
			ulps = MAX(ulps, distance(host.image.st[i].value, ours.image.st[i].value));
		if (ulps > 1 || (host.image.status ^ ours.image.status) & ~INEXACT ||
		    host.image.valid != ours.image.valid) {
			printf("%s, trial %u: %llu units in the last place\n", row->id, n, (unsigned long long)ulps);
			print("from", &before);
			print("host", &host);
			print("ours", &ours);
			return false;
		}
	}
	return true;
}

static int
set_up(void **state)
{
	(void)state;
	seed = 0x9e3779b97f4a7c15;
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(code, MAP_FAILED);
	memset(model.has, 1, sizeof model.has);
	model.has[FEATURE_ZERO_FCS_FDS] = model.has[FEATURE_FDP_EXCPTN_ONLY] = false;
	vcpu.model = &model;
	vcpu.long64 = true;
	vcpu.cr0 = CR0_PE | CR0_NE;
	vcpu.rip_page = (u64)(uintptr_t)code & ~0xfffull;
	return 0;
}

static void
exact_instructions_do_what_the_host_does(void **state)
{
	(void)state;
	unsigned wrong = 0;
	for (unsigned n = 0; n < COUNT(rows); n++)
		if (!is_approximate(&rows[n]) && !is_control(&rows[n]))
			wrong += !check_row(&rows[n], 10000);
	assert_int_equal(wrong, 0);
}

static void
control_instructions_do_what_the_host_does(void **state)
{
	(void)state;
	unsigned wrong = 0;
	for (unsigned n = 0; n < COUNT(rows); n++)
		if (is_control(&rows[n]))
			wrong += !check_row(&rows[n], 3000);
	assert_int_equal(wrong, 0);
}

static void
approximations_are_within_one_unit_of_the_host(void **state)
{
	(void)state;
	unsigned wrong = 0;
	for (unsigned n = 0; n < COUNT(rows); n++)
		if (is_approximate(&rows[n]))
			wrong += !check_approximate(&rows[n], 10000);
	assert_int_equal(wrong, 0);
}

/* --- what the host cannot show --- */

static const struct insn_row *
row_named(const char *id)
{
	for (unsigned n = 0; n < COUNT(rows); n++)
		if (!strcmp(rows[n].id, id))
			return &rows[n];
	fail_msg("no row %s", id);
	abort();
}

/* One instruction with a memory operand at `memory`; returns the fault. */
static int
execute(const char *id, void *memory, unsigned operand_size)
{
	struct insn in;
	make(row_named(id), &in);
	in.prefix = operand_size == 2 ? 1 : 2;
	vcpu.r[RSI] = (u64)(uintptr_t)memory;
	fault = NO_FAULT;
	door_open = true;
	if (!setjmp(door))
		row_named(id)->op(&vcpu, &in);
	door_open = false;
	return fault;
}

static void
wait_obeys_monitor_coprocessor_and_pending_exceptions(void **state)
{
	(void)state;
	x87_init(&vcpu.x87);
	vcpu.cr0 = CR0_PE | CR0_NE | CR0_TS;
	assert_int_equal(execute("FWAIT", NULL, 4), NO_FAULT);
	vcpu.cr0 |= CR0_MP;
	assert_int_equal(execute("FWAIT", NULL, 4), VECTOR_NM);
	vcpu.cr0 &= ~CR0_TS;
	assert_int_equal(execute("FWAIT", NULL, 4), NO_FAULT);
	vcpu.x87.status = X87_ZE;
	x87_set_control(&vcpu.x87, 0x37b);
	assert_int_equal(execute("FWAIT", NULL, 4), VECTOR_MF);
	x87_set_control(&vcpu.x87, 0x37f);
	assert_int_equal(execute("FWAIT", NULL, 4), NO_FAULT);
}

static void
newer_models_keep_the_data_pointer_of_exceptions_only(void **state)
{
	(void)state;
	u32 one = 0x3f800000, signaling = 0x7f800001;
	model.has[FEATURE_FDP_EXCPTN_ONLY] = true;
	x87_init(&vcpu.x87);
	execute("FLD_Md", &one, 4);
	assert_int_equal(vcpu.x87.ip, (u64)(uintptr_t)code);
	assert_int_equal(vcpu.x87.dp, 0);
	execute("FADD_Md", &signaling, 4);
	assert_int_equal(vcpu.x87.status & X87_IE, X87_IE);
	assert_int_equal(vcpu.x87.dp, 0);
	assert_int_equal(vcpu.x87.opcode, 0);
	x87_init(&vcpu.x87);
	x87_set_control(&vcpu.x87, 0x37e);
	execute("FLD1", NULL, 4);
	execute("FADD_Md", &signaling, 4);
	assert_int_equal(vcpu.x87.dp, (u64)(uintptr_t)&signaling);
	assert_int_equal(vcpu.x87.opcode, 0x006); /* D8 06 */
}

static void
the_environment_in_real_mode_holds_linear_addresses(void **state)
{
	(void)state;
	u32 words[7];
	u16 half[7];
	vcpu.cr0 = 0;
	vcpu.long64 = false;
	x87_init(&vcpu.x87);
	vcpu.x87.ip = 0x2345;
	vcpu.x87.cs = 0x1000;
	vcpu.x87.dp = 0x8765;
	vcpu.x87.ds = 0xf000;
	vcpu.x87.opcode = 0x7ab;
	assert_int_equal(execute("FNSTENV_Ms", words, 4), NO_FAULT);
	const u32 expected[7] = {0xffff037f, 0xffff0000, 0xffffffff, 0xffff2345, 0x000017ab, 0xffff8765, 0x0000f000};
	assert_memory_equal(words, expected, sizeof words);
	assert_int_equal(execute("FNSTENV_Ms", half, 2), NO_FAULT);
	const u16 expected_half[7] = {0x037f, 0x0000, 0xffff, 0x2345, 0x17ab, 0x8765, 0xf000};
	assert_memory_equal(half, expected_half, sizeof half);
	words[4] = 0x0fedc7ab;
	assert_int_equal(execute("FLDENV_Ms", words, 4), NO_FAULT);
	assert_int_equal(vcpu.x87.ip, 0xfedc2345);
	assert_int_equal(vcpu.x87.opcode, 0x7ab);
	assert_int_equal(vcpu.x87.cs, 0);
}

static void
models_without_selectors_store_zeros(void **state)
{
	(void)state;
	u16 half[7];
	x87_init(&vcpu.x87);
	vcpu.x87.cs = 0x10;
	vcpu.x87.ds = 0x18;
	execute("FNSTENV_Ms", half, 2);
	assert_int_equal(half[4], 0x10);
	assert_int_equal(half[6], 0x18);
	model.has[FEATURE_ZERO_FCS_FDS] = true;
	execute("FNSTENV_Ms", half, 2);
	assert_int_equal(half[4], 0);
	assert_int_equal(half[6], 0);
}

/* A rounding mode that goes down must not round 1 - x^2/2 up to 1, nor sin x to x. */
static void
directed_rounding_sees_terms_that_no_digit_shows(void **state)
{
	(void)state;
	const struct fpreg tiny = {SIGNIFICAND_ONE, EXPONENT_BIAS - 200};
	static const struct {
		const char *id;
		u16 control;
		struct fpreg result;
	} cases[] = {
		{"FCOS", 0x73f | 0x40, {~0ull, EXPONENT_BIAS - 1}},
		{"FCOS", 0xb3f | 0x40, {SIGNIFICAND_ONE, EXPONENT_BIAS}},
		{"FSIN", 0x73f | 0x40, {~0ull, EXPONENT_BIAS - 201}},
		{"FSIN", 0xb3f | 0x40, {SIGNIFICAND_ONE, EXPONENT_BIAS - 200}},
		{"FPTAN", 0xb3f | 0x40, {SIGNIFICAND_ONE | 1, EXPONENT_BIAS - 200}},
		{"FPTAN", 0x73f | 0x40, {SIGNIFICAND_ONE, EXPONENT_BIAS - 200}},
		{"F2XM1", 0x73f | 0x40, {0xb17217f7d1cf79ab, EXPONENT_BIAS - 201}},
		{"F2XM1", 0xb3f | 0x40, {0xb17217f7d1cf79ac, EXPONENT_BIAS - 201}},
	};
	for (unsigned n = 0; n < COUNT(cases); n++) {
		x87_init(&vcpu.x87);
		x87_set_control(&vcpu.x87, cases[n].control);
		x87_set(&vcpu.x87, 0, tiny);
		execute(cases[n].id, NULL, 4);
		struct fpreg got = *x87_st(&vcpu.x87, !strcmp(cases[n].id, "FPTAN"));
		if (got.significand != cases[n].result.significand ||
		    got.sign_exponent != cases[n].result.sign_exponent)
			fail_msg("%s, FCW %x: %04x.%016llx", cases[n].id, cases[n].control, got.sign_exponent,
				 (unsigned long long)got.significand);
		assert_true(vcpu.x87.status & X87_PE);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(exact_instructions_do_what_the_host_does, set_up),
		cmocka_unit_test_setup(control_instructions_do_what_the_host_does, set_up),
		cmocka_unit_test_setup(approximations_are_within_one_unit_of_the_host, set_up),
		cmocka_unit_test_setup(wait_obeys_monitor_coprocessor_and_pending_exceptions, set_up),
		cmocka_unit_test_setup(newer_models_keep_the_data_pointer_of_exceptions_only, set_up),
		cmocka_unit_test_setup(the_environment_in_real_mode_holds_linear_addresses, set_up),
		cmocka_unit_test_setup(models_without_selectors_store_zeros, set_up),
		cmocka_unit_test_setup(directed_rounding_sees_terms_that_no_digit_shows, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
