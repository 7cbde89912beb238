/*
 * Processors with memory, ports and a clock that the test moves, for calling handlers and chip functions of cpu/ directly. Faults come back as
 * vector numbers.
 */
#ifndef NB_TESTS_UNIT_CPU_FIXTURE_H
#define NB_TESTS_UNIT_CPU_FIXTURE_H

#include "tests/unit/unit.h"

#include "base/events.h"
#include "bus/machine_control.h"
#include "bus/memory.h"
#include "bus/ports.h"
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/insn.h"
#include "cpu/vcpu.h"

#define NO_FAULT (-1)
#define LEFT_BY_DOOR 256 /* a VM exit or the like */

struct processor {
	struct cpu_model model;
	struct memory *memory;
	struct ports *ports;
	struct events *events;
	struct apic_bus bus;
	struct machine_control control;
	struct cpus *cpus;
	struct vcpu *cpu; /* number 0 */
	unsigned eois;
	u8 last_eoi, pic_vector;
};

static inline void
processor_eoi(void *opaque, u8 vector)
{
	struct processor *p = opaque;
	p->eois++;
	p->last_eoi = vector;
}

static inline u8
processor_acknowledge(void *opaque)
{
	return ((struct processor *)opaque)->pic_vector;
}

static inline struct processor *
processor_new(const char *model, unsigned count)
{
	struct processor *p = calloc(1, sizeof(*p));
	char *error = cpu_model_parse(model, &p->model);
	if (error)
		fail_msg("%s", error);
	p->memory = memory_new(16 << 20, &error);
	p->ports = ports_new();
	p->events = events_new(p->model.hz);
	p->bus = (struct apic_bus){.eoi = processor_eoi, .ioapic = p, .acknowledge = processor_acknowledge, .pic = p};
	p->cpus = cpus_new(count, &p->model, p->memory, p->ports, p->events, &p->bus, &p->control, 1);
	p->cpu = p->cpus->cpu[0];
	return p;
}

static inline void
processor_free(struct processor *p)
{
	cpus_free(p->cpus);
	events_free(p->events);
	ports_free(p->ports);
	memory_free(p->memory);
	free(p);
}

/* Sets the clock of everything, firing what is due on the way. */
static inline void
processor_at(struct processor *p, u64 time)
{
	for (u64 next; (next = events_next(p->events)) <= time;) {
		p->cpus->now = MAX(next, p->cpus->now);
		events_run(p->events, p->cpus->now);
	}
	p->cpus->now = time;
	for (unsigned i = 0; i < p->cpus->count; i++) {
		p->cpus->cpu[i]->left = 0;
		p->cpus->cpu[i]->time_end = time;
	}
}

/* Flat 64-bit or 32-bit protected mode without paging being on for the latter; CPL as given. */
static inline void
processor_protected(struct vcpu *cpu, unsigned cpl)
{
	cpu->cr0 = CR0_PE | CR0_ET;
	for (unsigned i = 0; i < 6; i++)
		cpu->seg[i] = (struct segment){
			.limit = 0xffffffff,
			.access = (u16)(SEG_G | SEG_DB | SEG_P | SEG_S | cpl << 5 | (i == CS ? 0xb : 3)),
		};
	cpu->cpl = (u8)cpl;
	cpu_mode_changed(cpu);
}

/* IA-32e paging that maps the first 2 MiB to themselves, for everybody. Tables at 1 MiB. */
static inline void
processor_long(struct vcpu *cpu, unsigned cpl)
{
	const u64 tables = 0x100000;
	processor_protected(cpu, cpl);
	memory_write(cpu->memory, tables, 8, (tables + 0x1000) | 7);
	memory_write(cpu->memory, tables + 0x1000, 8, (tables + 0x2000) | 7);
	memory_write(cpu->memory, tables + 0x2000, 8, 0x87);
	cpu->cr3 = tables;
	cpu->cr4 |= CR4_PAE;
	cpu->efer = EFER_LME | EFER_LMA;
	cpu->cr0 |= CR0_PG;
	cpu->seg[CS].access = (u16)((cpu->seg[CS].access & ~SEG_DB) | SEG_L);
	cpu_mode_changed(cpu);
}

typedef void (*operation)(struct vcpu *cpu, const struct insn *in);

/* Executes the handler at RIP 1000h; returns NO_FAULT, a vector or LEFT_BY_DOOR. */
static inline int
execute(struct vcpu *cpu, operation op, const struct insn *in)
{
	volatile int result = NO_FAULT;
	cpu->rip = 0x1000;
	cpu->next_rip = 0x1002;
	cpu->rip_page = 0x1000;
	cpu->current = NULL;
	switch (setjmp(cpu->door)) {
	case 0: op(cpu, in); break;
	case 1: result = cpu->event.vector; break;
	default: result = LEFT_BY_DOOR; break;
	}
	return result;
}

#endif
