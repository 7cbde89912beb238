/*
 * nestbox's side: a processor in 64-bit or compatibility mode at CPL 3 with the user memory of the case mapped, running by the real loop. An
 * exception goes through the IDT to a stub that says its vector by an OUT, at which the loop is left; the frame on the kernel's stack tells
 * the rest.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/events.h"
#include "bus/machine_control.h"
#include "bus/memory.h"
#include "bus/ports.h"
#include "cpu/cpuid.h"
#include "cpu/flags.h"
#include "cpu/tlb.h"
#include "cpu/vcpu.h"
#include "tests/insn/differential.h"

/* Physical memory: system tables in the first 2 MiB, which the kernel sees at KERNEL; then the user's pages. */
#define KERNEL 0xffff800000000000ull
#define GDT 0x10000
#define IDT 0x11000
#define TSS 0x12000
#define STACK_TOP 0x15000
#define STUBS 0x16000
#define TABLES 0x20000
#define USER_CODE 0x200000
#define USER_DATA 0x210000
#define USER_FIXED (USER_DATA + DATA_SIZE)
#define RAM (4u << 20)

/* The user's selectors are those that Linux gives programs. */
#define USER_CS 0x33
#define USER_CS32 0x23
#define USER_DS 0x2b
#define KERNEL_CS 0x10

static struct {
	struct cpu_model model;
	struct memory *memory;
	struct ports *ports;
	struct events *events;
	struct apic_bus bus;
	struct machine_control control;
	struct cpus *cpus;
	struct vcpu *cpu;
	unsigned vector;
} guest;

u8 fixed_page[FIXED_SIZE];

const struct vcpu *
guest_cpu(void)
{
	return guest.cpu;
}

static void
stub_out(void *opaque, u16 port, unsigned size, u32 value)
{
	(void)opaque, (void)size, (void)value;
	guest.vector = guest.cpu->cpl == 0 ? port : 32;
	guest.cpus->stop = true;
}

static void
put(u64 physical, u64 value)
{
	memory_write(guest.memory, physical, 8, value);
}

static void
map_user(u64 linear, u64 physical, unsigned size, u64 bits)
{
	for (unsigned n = 0; n < size; n += 4096)
		put(TABLES + 0x3000 + ((linear + n) >> 12 & 511) * 8, (physical + n) | bits);
}

static void
make_tables(void)
{
	put(TABLES, (TABLES + 0x1000) | 7);
	put(TABLES + (KERNEL >> 39 & 511) * 8, (TABLES + 0x4000) | 3);
	put(TABLES + 0x4000, (TABLES + 0x5000) | 3);
	put(TABLES + 0x5000, 0x83);
	put(TABLES + 0x1000 + (CODE_BASE >> 30) * 8, (TABLES + 0x2000) | 7);
	put(TABLES + 0x2000 + (CODE_BASE >> 21 & 511) * 8, (TABLES + 0x3000) | 7);
	const u64 nx = BIT(63);
	map_user(CODE_BASE, USER_CODE, CODE_SIZE, 5);
	map_user(DATA_BASE, USER_DATA, DATA_SIZE, 7 | nx);
	map_user(FIXED_BASE, USER_FIXED, FIXED_SIZE, 5 | nx);
	put(GDT + KERNEL_CS, 0x00af9b000000ffff);
	put(GDT + 0x18, 0x00cf93000000ffff);
	put(GDT + (USER_DS & ~7), 0x00cff3000000ffff);
	put(GDT + (USER_CS & ~7), 0x00affb000000ffff);
	put(GDT + (USER_CS32 & ~7), 0x00cffb000000ffff);
	put(TSS + 4, KERNEL + STACK_TOP); /* RSP0 */
	memory_write(guest.memory, TSS + 0x66, 2, 0x68); /* no I/O bitmap */
	for (unsigned vector = 0; vector < 32; vector++) {
		u64 handler = KERNEL + STUBS + vector * 16;
		unsigned dpl = vector == VECTOR_BP || vector == VECTOR_OF ? 3 : 0;
		put(IDT + vector * 16, (handler & 0xffff) | KERNEL_CS << 16 | (u64)(0x8e00 | dpl << 13) << 32 | (handler >> 16 & 0xffff) << 48);
		put(IDT + vector * 16 + 8, handler >> 32);
		memory_write(guest.memory, STUBS + vector * 16, 2, 0xe6 | vector << 8);
		memory_write(guest.memory, STUBS + vector * 16 + 2, 2, 0xfeeb);
	}
}

void
guest_open(void)
{
	static const struct port_ops ops = {.write = stub_out, .sizes = PORT_BYTE};
	char *error = cpu_model_parse("max", &guest.model);
	guest.memory = error ? NULL : memory_new(RAM, &error);
	if (error) {
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
	guest.ports = ports_new();
	guest.events = events_new(guest.model.hz);
	guest.cpus = cpus_new(1, &guest.model, guest.memory, guest.ports, guest.events, &guest.bus, &guest.control, 1);
	guest.cpu = guest.cpus->cpu[0];
	ports_map(guest.ports, "stubs", 0, 32, &ops, NULL);
	make_tables();
	dma_write(guest.memory, USER_FIXED, fixed_page, FIXED_SIZE);
	memset(guest.memory->ram + USER_CODE, CODE_FILL, CODE_SIZE);
	struct vcpu *cpu = guest.cpu;
	cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	cpu->cr3 = TABLES;
	cpu->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE | CR4_UMIP;
	cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	cpu->xcr0 = 7;
	cpu->gdtr.base = KERNEL + GDT;
	cpu->gdtr.limit = 0x4f;
	cpu->idtr.base = KERNEL + IDT;
	cpu->idtr.limit = 0x1ff;
	cpu->tr = (struct segment){.base = KERNEL + TSS, .limit = 0x67, .selector = 0x40, .access = SEG_P | 0xb};
	cpu->ldtr = (struct segment){.access = SEG_UNUSABLE};
}

static void
load(struct vcpu *cpu, const struct test_case *c)
{
	const struct registers *s = &c->start;
	bool compatibility = c->size == CODE32;
	memcpy(cpu->r, s->r, sizeof cpu->r);
	cpu->rip = s->rip;
	const struct segment data = {.limit = 0xffffffff, .selector = USER_DS, .access = SEG_G | SEG_DB | 0xf3};
	cpu->seg[CS] = (struct segment){
		.limit = 0xffffffff,
		.selector = compatibility ? USER_CS32 : USER_CS,
		.access = (u16)(SEG_G | (compatibility ? SEG_DB : SEG_L) | 0xfb),
	};
	for (unsigned n = 0; n < 6; n++)
		if (n != CS)
			cpu->seg[n] = n == SS || (compatibility && n < FS) ? data : (struct segment){.access = SEG_UNUSABLE};
	cpu->seg[FS].base = s->fs;
	cpu->seg[GS].base = s->gs;
	cpu->cpl = 3;
	memcpy(cpu->vec, s->vec, sizeof cpu->vec);
	cpu->mxcsr = s->mxcsr;
	cpu->x87 = (struct x87){.control = s->fcw, .status = s->fsw, .empty = (u8)~s->full};
	for (unsigned n = 0; n < 8; n++)
		cpu->x87.r[((s->fsw >> 11) + n) & 7] = (struct fpreg){s->significand[n], s->sign_exponent[n]};
	cpu->cr2 = 0;
	cpu->dr[6] = 0xffff0ff0;
	cpu->shadow = 0;
	cpu->pending = 0;
	cpu->pending_db = 0;
	cpu_set_rflags(cpu, s->rflags);
	cpu_mode_changed(cpu);
}

static void
store(struct vcpu *cpu, struct registers *e)
{
	static const u32 with_error = 1u << 8 | 0x1fu << 10 | 1u << 17;
	memset(e, 0, sizeof *e);
	u64 frame = cpu->r[RSP] - KERNEL, word[6] = {0};
	bool error = guest.vector < 32 && with_error >> guest.vector & 1;
	memory_peek(guest.memory, frame, word, error ? 48 : 40);
	const u64 *w = word + error;
	e->error = error ? (u32)word[0] : 0;
	e->vector = guest.vector;
	e->cr2 = e->vector == VECTOR_PF ? cpu->cr2 : 0;
	memcpy(e->r, cpu->r, sizeof e->r);
	e->rip = w[0];
	e->rflags = w[2];
	e->r[RSP] = w[3];
	e->fs = cpu->seg[FS].base;
	e->gs = cpu->seg[GS].base;
	memcpy(e->vec, cpu->vec, sizeof e->vec);
	e->mxcsr = cpu->mxcsr;
	e->fcw = cpu->x87.control;
	e->fsw = cpu->x87.status;
	e->full = (u8)~cpu->x87.empty;
	for (unsigned n = 0; n < 8; n++) {
		const struct fpreg *st = &cpu->x87.r[((e->fsw >> 11) + n) & 7];
		e->significand[n] = st->significand;
		e->sign_exponent[n] = st->sign_exponent;
	}
}

void
guest_run(const struct test_case *c, bool complete_forms, struct result *out)
{
	dma_write(guest.memory, USER_CODE + c->code_offset, c->code, c->code_length);
	dma_write(guest.memory, USER_DATA, c->data, DATA_SIZE);
	load(guest.cpu, c);
	guest.cpus->complete_forms = complete_forms;
	guest.vector = 32;
	cpus_run(guest.cpus);
	store(guest.cpu, &out->end);
	dma_read(guest.memory, USER_DATA, out->data, DATA_SIZE);
	static const u8 fill[INSNS_MAX * 15] = {[0 ... INSNS_MAX * 15 - 1] = CODE_FILL};
	dma_write(guest.memory, USER_CODE + c->code_offset, fill, c->code_length);
}
