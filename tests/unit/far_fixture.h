/*
 * A processor with descriptor tables, a TSS and stacks in low memory, for the tests of segments, event delivery, task switches and far transfers.
 *
 * Instructions go through the real decoder and are run as the run loop does it; what faults can be delivered or looked at.
 */
#ifndef NB_TESTS_UNIT_FAR_FIXTURE_H
#define NB_TESTS_UNIT_FAR_FIXTURE_H

#include "tests/unit/cpu_fixture.h"

#include "cpu/decode.h"
#include "cpu/deliver.h"
#include "cpu/flags.h"
#include "cpu/segment.h"

#define CODE 0x1000
#define GDT 0x2000
#define LDT 0x2800
#define IDT 0x3000
#define TSS 0x4000
#define TSS_OTHER 0x5000
#define STACK0 0x8000 /* of ring 0, by the TSS */
#define STACK1 0x8800
#define STACK 0x9000  /* where RSP starts */
#define STACK_IST 0xa008 /* not aligned to 16 */
#define HANDLER 0xb000

#define SEL_CODE0 0x08
#define SEL_DATA0 0x10
#define SEL_CODE3 0x1b
#define SEL_DATA3 0x23
#define SEL_TSS 0x28 /* and 30h in IA-32e mode */
#define SEL_CODE64 0x38
#define SEL_CODE64_3 0x43
#define SEL_OTHER 0x48 /* TSS */
#define SEL_LDT 0x50   /* and 58h */
#define SEL_CODE1 0x60
#define SEL_DATA1 0x69
#define SEL_CONFORMING 0x70
#define SEL_TEST 0x78 /* and 80h: for the test */
#define SEL_TEST2 0x88
#define GDT_LIMIT 0xff

#define A_CODE 0xc09b /* 32-bit, G, present, accessed */
#define A_DATA 0xc093
#define A_DPL(n) ((n) << 5)
#define A_CODE64 0xa09b
#define A_TSS 0x0089
#define A_TSS_BUSY 0x008b

static inline u64
make_descriptor(u32 base, u32 limit, unsigned access)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(access & 0xff) << 40 | (u64)(limit >> 16 & 15) << 48 |
	       (u64)(access >> 12) << 52 | (u64)(base >> 24) << 56;
}

static inline u64
make_gate(u16 selector, u32 offset, unsigned access)
{
	return (offset & 0xffff) | (u64)selector << 16 | (u64)access << 40 | (u64)(offset >> 16) << 48;
}

static inline void
put(struct vcpu *cpu, u64 physical, unsigned size, u64 value)
{
	memory_write(cpu->memory, physical, size, value);
}

static inline u64
get(struct vcpu *cpu, u64 physical, unsigned size)
{
	return memory_read(cpu->memory, physical, size);
}

static inline void
put_gdt(struct vcpu *cpu, u16 selector, u64 low)
{
	put(cpu, GDT + (selector & ~7u), 8, low);
}

static inline void
put_idt(struct vcpu *cpu, unsigned vector, u64 gate)
{
	if (cpu->efer & EFER_LMA) {
		put(cpu, IDT + vector * 16, 8, gate);
		put(cpu, IDT + vector * 16 + 8, 8, 0);
	} else {
		put(cpu, IDT + vector * 8, 8, gate);
	}
}

static inline void
put_tables(struct vcpu *cpu)
{
	put_gdt(cpu, SEL_CODE0, make_descriptor(0, 0xfffff, A_CODE));
	put_gdt(cpu, SEL_DATA0, make_descriptor(0, 0xfffff, A_DATA));
	put_gdt(cpu, SEL_CODE3, make_descriptor(0, 0xfffff, A_CODE | A_DPL(3)));
	put_gdt(cpu, SEL_DATA3, make_descriptor(0, 0xfffff, A_DATA | A_DPL(3)));
	put_gdt(cpu, SEL_TSS, make_descriptor(TSS, 0x8f, A_TSS_BUSY));
	put_gdt(cpu, SEL_CODE64, make_descriptor(0, 0xfffff, A_CODE64));
	put_gdt(cpu, SEL_CODE64_3, make_descriptor(0, 0xfffff, A_CODE64 | A_DPL(3)));
	put_gdt(cpu, SEL_OTHER, make_descriptor(TSS_OTHER, 0x67, A_TSS));
	put_gdt(cpu, SEL_LDT, make_descriptor(LDT, 0x3f, 0x82));
	put_gdt(cpu, SEL_CODE1, make_descriptor(0, 0xfffff, A_CODE | A_DPL(1)));
	put_gdt(cpu, SEL_DATA1, make_descriptor(0, 0xfffff, A_DATA | A_DPL(1)));
	put_gdt(cpu, SEL_CONFORMING, make_descriptor(0, 0xfffff, A_CODE | TYPE_CODE_CONFORMING));
	cpu->gdtr.base = GDT;
	cpu->gdtr.limit = GDT_LIMIT;
	cpu->idtr.base = IDT;
	cpu->idtr.limit = 0xfff;
	cpu->tr = (struct segment){.base = TSS, .limit = 0x8f, .selector = SEL_TSS, .access = A_TSS_BUSY};
	segment_set_null(&cpu->ldtr, 0, 0);
	if (cpu->efer & EFER_LMA) {
		put(cpu, TSS + 4, 8, STACK0);
		put(cpu, TSS + 12, 8, STACK1);
		put(cpu, TSS + 36, 8, STACK_IST);
	} else {
		put(cpu, TSS + 4, 4, STACK0);
		put(cpu, TSS + 8, 2, SEL_DATA0);
		put(cpu, TSS + 12, 4, STACK1);
		put(cpu, TSS + 16, 2, SEL_DATA1);
	}
	put(cpu, TSS + 0x66, 2, 0x88);
}

static inline void
set_selectors(struct vcpu *cpu, u16 cs, u16 ss)
{
	for (unsigned seg = 0; seg < 6; seg++)
		cpu->seg[seg].selector = seg == CS ? cs : ss;
	cpu->r[RSP] = STACK;
	cpu->rip = CODE;
}

static inline struct processor *
new_processor(void)
{
	struct processor *p = processor_new("max", 1);

	decode_init();
	p->cpu->activity = ACTIVITY_ACTIVE;
	p->cpu->rflags = 2;
	return p;
}

/* 32-bit protected mode without paging. */
static inline struct processor *
new_protected(unsigned cpl)
{
	struct processor *p = new_processor();

	processor_protected(p->cpu, cpl);
	put_tables(p->cpu);
	set_selectors(p->cpu, cpl == 0 ? SEL_CODE0 : cpl == 1 ? SEL_CODE1 | 1 : SEL_CODE3,
		      cpl == 0 ? SEL_DATA0 : cpl == 1 ? SEL_DATA1 : SEL_DATA3);
	return p;
}

/*
 * 64-bit mode. The first 2 MByte are mapped to themselves for everybody, the second 2 MByte to the first for supervisors only, and the third not
 * at all.
 */
static inline struct processor *
new_long(unsigned cpl)
{
	struct processor *p = new_processor();

	processor_long(p->cpu, cpl);
	put(p->cpu, 0x102008, 8, 0x83);
	put_tables(p->cpu);
	set_selectors(p->cpu, cpl == 0 ? SEL_CODE64 : SEL_CODE64_3, cpl == 0 ? SEL_DATA0 : SEL_DATA3);
	return p;
}

static inline struct processor *
new_real(void)
{
	struct processor *p = new_processor();
	struct vcpu *cpu = p->cpu;

	cpu->cr0 = CR0_ET;
	cpu->cpl = 0;
	for (unsigned seg = 0; seg < 6; seg++)
		cpu->seg[seg] = (struct segment){.limit = 0xffff, .access = 0x93};
	cpu->idtr.base = 0;
	cpu->idtr.limit = 0x3ff;
	cpu->rip = CODE;
	cpu->r[RSP] = STACK;
	cpu_mode_changed(cpu);
	return p;
}

static inline struct processor *
new_vm86(unsigned iopl)
{
	struct processor *p = new_protected(0);
	struct vcpu *cpu = p->cpu;

	cpu_set_rflags(cpu, FLAG_VM | iopl << 12 | 2);
	cpu->cpl = 3;
	for (unsigned seg = 0; seg < 6; seg++)
		segment_load_real(cpu, seg, 0);
	return p;
}

/* --- running --- */

static inline enum code_size
code_size(const struct vcpu *cpu)
{
	return cpu->long64 ? CODE64 : cpu->seg[CS].access & SEG_DB ? CODE32 : CODE16;
}

/* Runs the one instruction, at CS:RIP, as h_slow_end does it. Returns NO_FAULT, LEFT_BY_DOOR, or the vector: cpu->event has it, undelivered. */
static inline int
run(struct vcpu *cpu, const char *bytes, unsigned n)
{
	static struct insn in; /* outlives the longjmp */
	u64 linear = cpu->long64 ? cpu->rip : (u32)(cpu->seg[CS].base + cpu->rip);
	int door;

	for (unsigned k = 0; k < n; k++)
		put(cpu, (linear + k) & 0x1fffff, 1, (u8)bytes[k]);
	assert_int_equal(decode(cpu, code_size(cpu), (const u8 *)bytes, n, &in), DECODE_OK);
	assert_int_equal(insn_length(&in), n);
	in.where |= linear & 0xfff;
	cpu->rip_page = cpu->rip - (linear & 0xfff);
	cpu->current = &in;
	cpu->next_rip = insn_next_rip(cpu, &in);
	door = setjmp(cpu->door);
	if (door)
		return door == 1 ? cpu->event.vector : LEFT_BY_DOOR;
	insn_rows[in.op].op(cpu, &in);
	cpu->current = NULL;
	cpu->rip = cpu->next_rip;
	return NO_FAULT;
}
#define RUN(cpu, ...) run(cpu, (const char[]){__VA_ARGS__}, sizeof((const char[]){__VA_ARGS__}))

#define assert_faults(result, vector, code)                                                                            \
	do {                                                                                                           \
		assert_int_equal(result, vector);                                                                      \
		assert_int_equal(cpu->event.error, code);                                                              \
	} while (0)

/* Delivers; a fault comes back as its vector, undelivered. */
static inline int
deliver_once(struct vcpu *cpu, const struct event_info *event, bool injected)
{
	int door = setjmp(cpu->door);

	if (door)
		return door == 1 ? cpu->event.vector : LEFT_BY_DOOR;
	deliver_event(cpu, event, injected);
	return NO_FAULT;
}

/* Delivers, and what comes up meanwhile, as the run loop does. */
static inline void
deliver_through(struct vcpu *cpu, const struct event_info *event)
{
	if (setjmp(cpu->door))
		deliver_exception(cpu);
	else
		deliver_event(cpu, event, false);
}

#endif
