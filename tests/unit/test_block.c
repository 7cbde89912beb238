/*
 * The execution core: blocks, links, budgets, self-modifying code. The strongest test compares the fast forms with the complete forms over random
 * programs, at random stopping points.
 */
#include "tests/unit/cpu_fixture.h"

#include "base/snapshot.h"
#include "cpu/flags.h"
#include "cpu/tlb.h"

#define CODE 0x10000u
#define DATA 0x20000u
#define STACK 0x30000u

static struct processor *
new_machine(void)
{
	struct processor *p = processor_new("max", 1);
	processor_long(p->cpu, 0);
	p->cpu->rip = CODE;
	p->cpu->r[RSP] = STACK;
	return p;
}

static void
stop(void *opaque, u64 now)
{
	(void)now;
	((struct cpus *)opaque)->stop = true;
}

/* Runs to exactly `time`. */
static void
run_to(struct processor *p, u64 time)
{
	struct event event;
	event_init(&event, "stop", EVENT_STOP, stop, p->cpus);
	event_arm(p->events, &event, time);
	cpus_run(p->cpus);
	event_disarm(p->events, &event);
}

static void
load(struct processor *p, u64 at, const void *code, size_t size)
{
	dma_write(p->memory, at, code, size);
}

/* --- random programs --- */

static u64
next(u64 *seed)
{
	u64 z = *seed += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

struct program {
	u8 byte[8192];
	unsigned size;
	u64 *seed;
};

static void
emit(struct program *g, unsigned n, ...)
{
	va_list list;
	va_start(list, n);
	while (n--)
		g->byte[g->size++] = (u8)va_arg(list, int);
	va_end(list);
}

static void
emit32(struct program *g, u32 v)
{
	memcpy(g->byte + g->size, &v, 4);
	g->size += 4;
}

/* A register that programs may spoil: not RSP, not RBX (data pointer), not R15 (index kept small). */
static unsigned
any_register(struct program *g)
{
	static const u8 usable[] = {RAX, RCX, RDX, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14};
	return usable[next(g->seed) % COUNT(usable)];
}

/* ModRM (and SIB) with a register, [rbx+disp8] or [rbx+r15*2+disp32] as the rm operand; prefixes and opcode first. */
static void
emit_modrm(struct program *g, unsigned prefix66, bool w, unsigned opcode, bool two_byte, unsigned reg, bool may_be_memory)
{
	unsigned form = may_be_memory ? next(g->seed) % 3 : 0, rm = any_register(g);
	unsigned rex = 0x40 | (w ? 8 : 0) | (reg & 8 ? 4 : 0) | (form == 0 && rm & 8 ? 1 : 0) | (form == 2 ? 2 : 0);
	if (prefix66)
		emit(g, 1, 0x66);
	emit(g, 1, rex);
	if (two_byte)
		emit(g, 1, 0x0f);
	emit(g, 1, opcode);
	if (form == 0)
		emit(g, 1, 0xc0 | (reg & 7) << 3 | (rm & 7));
	else if (form == 1)
		emit(g, 2, 0x40 | (reg & 7) << 3 | RBX, (int)(next(g->seed) & 0x7f));
	else {
		emit(g, 2, 0x84 | (reg & 7) << 3, 0x40 | (R15 & 7) << 3 | RBX);
		emit32(g, (u32)(next(g->seed) & 0xfff));
	}
}

static void
emit_random(struct program *g)
{
	unsigned width = next(g->seed) % 4, reg = any_register(g), pick = next(g->seed) % 16;
	bool byte = width == 0, w = width == 3;
	unsigned p66 = width == 1;
	switch (pick) {
	case 0:
	case 1: emit_modrm(g, p66, w, (next(g->seed) % 8) * 8 + (byte ? 0 : 1), false, reg, true); break; /* op E,G */
	case 2:
	case 3: emit_modrm(g, p66, w, (next(g->seed) % 8) * 8 + (byte ? 2 : 3), false, reg, true); break; /* op G,E */
	case 4:
		emit_modrm(g, p66, w, byte ? 0x80 : 0x83, false, next(g->seed) % 8, true);
		emit(g, 1, (int)next(g->seed) & 0xff);
		break;
	case 5: emit_modrm(g, p66, w, byte ? 0x88 : 0x89, false, reg, true); break;
	case 6: emit_modrm(g, p66, w, byte ? 0x8a : 0x8b, false, reg, true); break;
	case 7: emit_modrm(g, 0, w, 0xb6 + next(g->seed) % 2 + (next(g->seed) % 2) * 8, true, reg, true); break; /* movzx, movsx */
	case 8: emit_modrm(g, p66, w, byte ? 0xc0 : 0xc1, false, (unsigned[]){0, 1, 4, 5, 7}[next(g->seed) % 5], next(g->seed) & 1);
		emit(g, 1, (int)next(g->seed) & 0x3f);
		break;
	case 9: emit_modrm(g, 0, w, 0xaf, true, reg, true); break; /* imul */
	case 10: emit_modrm(g, 0, w, 0x40 + next(g->seed) % 16, true, reg, true); break; /* cmov */
	case 11: emit_modrm(g, 0, false, 0x90 + next(g->seed) % 16, true, 0, true); break; /* setcc */
	case 12: emit_modrm(g, p66, w, byte ? 0xfe : 0xff, false, next(g->seed) % 2, true); break; /* inc, dec */
	case 13: emit_modrm(g, p66, w, byte ? 0x84 : 0x85, false, reg, true); break; /* test */
	case 14: /* compare or test, then a short jump over a few bytes of nops */
		emit_modrm(g, p66, w, (next(g->seed) & 1 ? 0x38 : 0x84) + (byte ? 0 : 1), false, reg, true);
		emit(g, 2, 0x70 + next(g->seed) % 16, 2);
		emit(g, 2, 0x90, 0x90);
		break;
	default: /* lea reg,[rbx+8] */
		emit_modrm(g, 0, w, 0x8d, false, reg, false);
		g->byte[g->size - 1] = (u8)((g->byte[g->size - 1] & 0x38) | 0x40 | RBX);
		emit(g, 1, 8);
		break;
	}
}

/* A loop over random instructions, with a call and returns on the way. */
static void
make_program(struct program *g, u64 *seed)
{
	*g = (struct program){.seed = seed};
	unsigned count = 20 + next(seed) % 200;
	for (unsigned n = 0; n < count; n++) {
		emit_random(g);
		if (next(seed) % 16 == 0)
			emit(g, 4, 0x50 + RAX, 0x50 + RDI, 0x58 + RDX, 0x58 + RCX); /* pushes and pops */
		if (next(seed) % 24 == 0) /* call over the next two bytes to a ret */
			emit(g, 8, 0xe8, 2, 0, 0, 0, 0xeb, 1, 0xc3);
	}
	emit(g, 1, 0xe9);
	emit32(g, (u32)-(s32)(g->size + 4));
}

static void
visit_processors(void *opaque, struct state *s)
{
	cpus_state(opaque, s);
}

static void
visit_memory(void *opaque, struct state *s)
{
	memory_state(opaque, s);
}

static u64
hash_of(struct processor *p)
{
	return state_hash(visit_processors, p->cpus) ^ state_hash(visit_memory, p->memory);
}

static struct processor *
load_program(const struct program *g, u64 seed, unsigned offset)
{
	struct processor *p = new_machine();
	u8 data[0x3000];
	for (unsigned n = 0; n < sizeof(data); n++)
		data[n] = (u8)next(&seed);
	load(p, DATA, data, sizeof(data));
	load(p, CODE + offset, g->byte, g->size);
	p->cpu->rip = CODE + offset;
	for (unsigned n = 0; n < 16; n++)
		if (n != RSP)
			p->cpu->r[n] = next(&seed);
	p->cpu->r[RBX] = DATA;
	p->cpu->r[R15] = next(&seed) & 0x7ff;
	return p;
}

static void
random_programs_end_alike_in_fast_and_complete_forms(void **state)
{
	(void)state;
	u64 seed = 11;
	for (unsigned trial = 0; trial < 60; trial++) {
		static struct program g;
		make_program(&g, &seed);
		u64 data_seed = next(&seed);
		unsigned offset = next(&seed) % 4096; /* so that code crosses pages here and there */
		struct processor *fast = load_program(&g, data_seed, offset), *slow = load_program(&g, data_seed, offset);
		slow->cpus->complete_forms = true;
		u64 time = 0;
		for (unsigned stops = 0; stops < 12; stops++) {
			time += 1 + next(&seed) % (stops & 1 ? 2000 : 40);
			run_to(fast, time);
			run_to(slow, time);
			assert_int_equal(cpu_icount(fast->cpu), time);
			if (hash_of(fast) != hash_of(slow)) {
				vcpu_print(fast->cpu);
				vcpu_print(slow->cpu);
				fail_msg("program %u differs after %llu instructions", trial, (unsigned long long)time);
			}
		}
		processor_free(fast);
		processor_free(slow);
	}
}

/* --- self-modifying code --- */

static void
a_store_to_code_counts_from_the_next_instruction_on(void **state)
{
	(void)state;
	struct processor *p = new_machine();
	static const u8 code[] = {
		0xb8, 1, 0, 0, 0,		 /* mov eax,1 */
		0xc6, 0x05, 0, 0, 0, 0, 0x44, /* mov byte [rip],44h: the next instruction, in the same block */
		0x41, 0xff, 0xc0,		 /* inc r8d becomes inc eax (44 ff c0) */
		0xb9, 7, 0, 0, 0, 0xeb, 0xfe, /* mov ecx,7; jmp $ */
	};
	load(p, CODE, code, sizeof(code));
	run_to(p, 20);
	assert_int_equal(p->cpu->r[R8], 0);
	assert_int_equal(p->cpu->r[RAX], 2);
	assert_int_equal(p->cpu->r[RCX], 7);
	processor_free(p);
}

static void
code_rewritten_by_dma_is_decoded_again(void **state)
{
	(void)state;
	struct processor *p = new_machine();
	static const u8 loop[] = {0x48, 0xff, 0xc0, 0xeb, 0xfb}; /* inc rax; jmp -5 */
	load(p, CODE, loop, sizeof(loop));
	run_to(p, 1000);
	assert_int_equal(p->cpu->r[RAX], 500);
	static const u8 other[] = {0x48, 0xff, 0xc1}; /* inc rcx */
	load(p, CODE, other, sizeof(other));
	run_to(p, 2000);
	assert_int_equal(p->cpu->r[RAX], 500);
	assert_int_equal(p->cpu->r[RCX], 500);
	processor_free(p);
}

/* --- translations --- */

static void
invlpg_drops_a_changed_mapping_and_code_follows(void **state)
{
	(void)state;
	struct processor *p = new_machine();
	struct vcpu *cpu = p->cpu;
	/* A 4 KiB table for 2 MiB..4 MiB: page 0 of it first maps CODE, then CODE + 0x1000. */
	memory_write(p->memory, 0x102008, 8, 0x104000 | 7);
	memory_write(p->memory, 0x104000, 8, CODE | 7);
	static const u8 one[] = {0xb8, 1, 0, 0, 0, 0xeb, 0xf9}, two[] = {0xb8, 2, 0, 0, 0, 0xeb, 0xf9};
	load(p, CODE, one, sizeof(one));
	load(p, CODE + 0x1000, two, sizeof(two));
	cpu->rip = 0x200000;
	run_to(p, 10);
	assert_int_equal(cpu->r[RAX], 1);
	memory_write(p->memory, 0x104000, 8, (CODE + 0x1000) | 7);
	tlb_flush_page(cpu, 0x200000);
	run_to(p, 20);
	assert_int_equal(cpu->r[RAX], 2);
	processor_free(p);
}

static void
accessed_and_dirty_flags_are_set_by_use(void **state)
{
	(void)state;
	struct processor *p = new_machine();
	memory_write(p->memory, 0x102008, 8, 0x104000 | 7);
	memory_write(p->memory, 0x104000, 8, DATA | 7);
	memory_write(p->memory, 0x104008, 8, (DATA + 0x1000) | 7);
	/* mov eax,[0x200000]; mov [0x201000],eax; jmp $ */
	static const u8 code[] = {0x8b, 0x04, 0x25, 0, 0, 0x20, 0, 0x89, 0x04, 0x25, 0, 0x10, 0x20, 0, 0xeb, 0xfe};
	load(p, CODE, code, sizeof(code));
	run_to(p, 10);
	assert_int_equal(memory_read(p->memory, 0x104000, 8) & 0x60, 0x20);
	assert_int_equal(memory_read(p->memory, 0x104008, 8) & 0x60, 0x60);
	processor_free(p);
}

static void
string_instructions_stop_at_the_event_and_go_on(void **state)
{
	(void)state;
	struct processor *p = new_machine();
	static const u8 code[] = {0xf3, 0xaa, 0xeb, 0xfe}; /* rep stosb; jmp $ */
	load(p, CODE, code, sizeof(code));
	p->cpu->r[RDI] = DATA;
	p->cpu->r[RCX] = 9000;
	p->cpu->r[RAX] = 0x5a;
	run_to(p, 1234);
	assert_int_equal(p->cpu->r[RCX], 9000 - 1234);
	assert_int_equal(p->cpu->r[RDI], DATA + 1234);
	assert_int_equal(memory_read(p->memory, DATA + 1233, 2), 0x005a);
	run_to(p, 10000);
	assert_int_equal(p->cpu->r[RCX], 0);
	assert_int_equal(memory_read(p->memory, DATA + 8999, 2), 0x005a);
	processor_free(p);
}

static void
a_breakpoint_on_a_repeated_instruction_is_met_once(void **state)
{
	(void)state;
	struct processor *p = new_machine();
	static const u8 code[] = {0xf3, 0xaa, 0xeb, 0xfe}; /* rep stosb; jmp $ */
	load(p, CODE, code, sizeof(code));
	p->cpu->r[RDI] = DATA;
	p->cpu->r[RCX] = 100;
	/* As after the handler's IRET: RF holds through all iterations. */
	p->cpu->dr[0] = CODE;
	p->cpu->dr[7] = 0x402;
	cpu_set_rflags(p->cpu, FLAG_RF | 2);
	cpu_mode_changed(p->cpu);
	run_to(p, 50);
	assert_int_equal(p->cpu->r[RCX], 50);
	assert_true(cpu_between_iterations(p->cpu));
	run_to(p, 100);
	assert_int_equal(p->cpu->r[RCX], 0);
	assert_false(cpu_between_iterations(p->cpu));
	run_to(p, 200);
	assert_int_equal(p->cpu->stats.exceptions[VECTOR_DB], 0);
	processor_free(p);
}

static u8 device[0x2000];

static u64
device_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque;
	assert_int_equal(size, 1);
	assert_true(offset < sizeof(device));
	return device[offset];
}

static void
device_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	(void)opaque;
	(void)offset;
	(void)size;
	(void)value;
}

static void
code_runs_from_memory_through_pages_of_a_device_and_out(void **state)
{
	(void)state;
	static const struct mmio_ops ops = {device_read, device_write};
	for (unsigned shift = 0; shift < 5; shift++) {
		struct processor *p = new_machine();
		/* mov eax, imm32 across the beginning; add eax, imm32 across the middle and the end; jmp to the next, and at last in place. */
		static const u8 move[] = {0xb8, 0x11, 0x22, 0x33, 0x44, 0xe9}, add[] = {0x05, 0x01, 0x02, 0x03, 0x04, 0xe9};
		static const u8 again[] = {0xeb, 0xfe};
		const u64 base = 0x40000, at[] = {base - 1 - shift, base + 0xfff - shift, base + 0x1fff - shift};
		u8 image[0x2020] = {0};
		for (unsigned n = 0; n < 3; n++) {
			u64 from = at[n] - (base - 16);
			memcpy(image + from, n ? add : move, 6);
			memcpy(image + from + 6, &(s32){0x1000 - 10}, 4);
		}
		memcpy(image + (at[2] - (base - 16)) + 5, again, 2);
		load(p, base - 16, image, sizeof(image));
		memcpy(device, image + 16, sizeof(device));
		/* What RAM below has is not what runs. */
		for (u64 n = 0; n < sizeof(device); n++)
			memory_write(p->memory, base + n, 1, 0xf4);
		memory_map_mmio(p->memory, "device", base, sizeof(device), &ops, NULL);
		p->cpu->rip = at[0];
		run_to(p, 20);
		assert_int_equal(p->cpu->rip, at[2] + 5);
		assert_int_equal(p->cpu->r[RAX], 0x44332211 + 2 * 0x04030201);
		processor_free(p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_programs_end_alike_in_fast_and_complete_forms),
		cmocka_unit_test(a_store_to_code_counts_from_the_next_instruction_on),
		cmocka_unit_test(code_rewritten_by_dma_is_decoded_again),
		cmocka_unit_test(invlpg_drops_a_changed_mapping_and_code_follows),
		cmocka_unit_test(accessed_and_dirty_flags_are_set_by_use),
		cmocka_unit_test(a_breakpoint_on_a_repeated_instruction_is_met_once),
		cmocka_unit_test(code_runs_from_memory_through_pages_of_a_device_and_out),
		cmocka_unit_test(string_instructions_stop_at_the_event_and_go_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
