/*
 * Local APIC: xAPIC (MMIO page) and x2APIC (MSRs), timer (one-shot, periodic, TSC deadline), IPIs. SDM 3, "Advanced Programmable Interrupt
 * Controller".
 */
#ifndef NB_CPU_LAPIC_H
#define NB_CPU_LAPIC_H

#include "cpu/state.h"

struct state;

struct lapic *lapic_new(struct vcpu *cpu);
void lapic_free(struct lapic *apic);
void lapic_reset(struct vcpu *cpu, bool init);
void lapic_state(struct lapic *apic, struct state *s);

/* Register offset 0..0xff0 in the page; 32-bit registers. Sizes and alignments that the manual leaves undefined read zero / are ignored. */
u32 lapic_read(struct vcpu *cpu, u32 offset, unsigned size);
void lapic_write(struct vcpu *cpu, u32 offset, unsigned size, u32 value);
/* x2APIC MSRs 800h-8ffh; false = #GP(0). */
bool lapic_msr_read(struct vcpu *cpu, u32 address, u64 *value);
bool lapic_msr_write(struct vcpu *cpu, u32 address, u64 value);
/* IA32_APIC_BASE write: all state transitions; false = #GP(0). */
bool lapic_base_write(struct vcpu *cpu, u64 value);

/*
 * Is there an interrupt that IF=1 would let through now (IRR above PPR, or ExtINT from the PIC)? PEND_INTR is set whenever the answer may have
 * become yes.
 */
bool lapic_interrupt_pending(struct vcpu *cpu);
/* Takes it: IRR -> ISR (or INTA to the PIC); returns the vector. */
u8 lapic_acknowledge(struct vcpu *cpu);

/* A message for this processor (IPI, IOAPIC, MSI): sets IRR / NMI / INIT / SIPI... */
void lapic_accept(struct vcpu *cpu, const struct apic_message *message);
/* Vector of the SIPI that PEND_SIPI speaks of. */
u8 lapic_sipi_vector(struct vcpu *cpu);
/* EOI, as a write of the register does (posted-interrupt processing). */
void lapic_eoi(struct vcpu *cpu);
/* Finds the destinations of a message and delivers; false when nobody took it. Opaque is struct cpus. */
bool lapic_bus_send(void *cpus, const struct apic_message *message);
/* Self IPI of a vector: sets IRR. */
void lapic_set_irr(struct vcpu *cpu, u8 vector);

/* CR8 <-> TPR[7:4] */
u8 lapic_get_cr8(struct vcpu *cpu);
void lapic_set_cr8(struct vcpu *cpu, u8 value);
/* IA32_TSC_DEADLINE; TSC offset or adjust changed. */
u64 lapic_get_deadline(struct vcpu *cpu);
void lapic_set_deadline(struct vcpu *cpu, u64 tsc);
void lapic_tsc_changed(struct vcpu *cpu);
/* A performance counter overflowed: LVT entry 340h, which masks itself. */
void lapic_counter_overflow(struct vcpu *cpu);
/* LINT0 level from the PIC. */
void lapic_set_lint0(struct vcpu *cpu, int level);
u32 lapic_id(struct vcpu *cpu);
bool lapic_enabled(struct vcpu *cpu); /* IA32_APIC_BASE.EN */
bool lapic_x2apic(struct vcpu *cpu);

#endif
