/* Processors as machine/ sees them: make, reset, run. */
#ifndef NB_CPU_VCPU_H
#define NB_CPU_VCPU_H

#include "cpu/state.h"

struct state;
struct cpu_model;
struct machine_control;

#define LONG_SLICE (1u << 24) /* cycles of a slice with nothing to interrupt it */

/* What all processors share. */
struct cpus {
	unsigned count;
	struct vcpu **cpu;
	struct memory *memory;
	struct ports *ports;
	struct events *events;
	struct apic_bus *bus;
	const struct machine_control *control;
	u64 quantum; /* cycles per slice when count > 1 */
	u64 now; /* start of the slice */
	u64 slice_end;
	/* Between calls of cpus_run(): the slice is not over, it was the turn of cpu[turn], which has begun (never with one processor). */
	bool in_slice, in_turn;
	unsigned turn;
	struct vcpu *running; /* whose instructions execute now, or NULL */
	struct irq_line ferr; /* FERR#, to the board; may be left unconnected */
	bool ignne; /* IGNNE# is active */
	bool a20_masked; /* A20M# is active */
	bool complete_forms; /* decode every instruction afresh and execute its complete form: slow, and must change nothing */
	bool stop; /* leave cpus_run() at the next boundary */
	bool triple_fault; /* set with stop when a processor shut down outside VMX non-root operation, by whatever: */
	const char *shutdown_cause; /* in words for the user, not of the machine's state */
	struct vcpu *culprit;
};

/* `model` as parsed by cpu_model_parse() (cpuid.h); seed for RDRAND. Fills bus->send and bus->cpus. */
struct cpus *cpus_new(unsigned count, const struct cpu_model *model, struct memory *memory, struct ports *ports,
		      struct events *events, struct apic_bus *bus, const struct machine_control *control, u64 seed);
void cpus_free(struct cpus *cpus);
/* RESET#: processor 0 starts at the reset vector, the others wait for SIPI. */
void cpus_reset(struct cpus *cpus);
/* INIT# of one processor (port 0x92, i8042). */
void cpus_init(struct cpus *cpus, unsigned index);
/* Runs until `stop`; events fire inside. Returns then. */
void cpus_run(struct cpus *cpus);
void cpus_state(struct cpus *cpus, struct state *s);
/* Level of the PIC's INTR output: the `set` of an irq_line with opaque = cpus. */
void cpus_set_intr(void *cpus, unsigned number, int level);
/* The A20M# pin of all processors: `open` is inactive, as after cpus_new(). RESET# does not change it. */
void cpus_set_a20(struct cpus *cpus, bool open);
/* Instructions retired by all processors. */
u64 cpus_icount(const struct cpus *cpus);
/* Registers as text, for triple faults and stops. */
void vcpu_print(struct vcpu *cpu);

#endif
