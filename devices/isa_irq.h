/*
 * The board's interrupt inputs 0..23, where several chips may pull one wire: the wired OR in front of PIC and IOAPIC.
 *
 * Inputs 0..15 are the ISA interrupts: they reach the PIC pair (but 2, its cascade) and the IOAPIC input of the same
 * number, with ISA interrupt 0 at IOAPIC input 2, as on the boards that the MADT's interrupt source overrides describe.
 * 16..23 reach the IOAPIC only.
 */
#ifndef NB_DEVICES_ISA_IRQ_H
#define NB_DEVICES_ISA_IRQ_H

#include "base/types.h"
#include "bus/irq.h"

#define ISA_IRQS 24

/* Who pulls. One bit each, so that a chip's own repeated levels do not count twice. */
enum isa_source {
	ISA_FROM_TIMER, /* PIT, RTC or HPET behind the legacy-replacement switch */
	ISA_FROM_KEYBOARD,
	ISA_FROM_SERIAL, /* and the three that follow: COM1..COM4 */
	ISA_FROM_SERIAL_LAST = ISA_FROM_SERIAL + 3,
	ISA_FROM_ACPI,
	ISA_FROM_PCI,
	ISA_FROM_HPET,
	ISA_FROM_TEST,
	ISA_FROM_IDE,
};

struct state;

struct isa_irq {
	u16 pulled[ISA_IRQS]; /* bits by enum isa_source */
	struct irq_line pic[16];
	struct irq_line ioapic[ISA_IRQS];
};

/* `pic` and `ioapic` are input 0 of each; input n has number n. */
void isa_irq_init(struct isa_irq *isa, const struct irq_line *pic, const struct irq_line *ioapic);
/* The end that `source` pulls for `input`. */
struct irq_line isa_irq_line(struct isa_irq *isa, enum isa_source source, unsigned input);
void isa_irq_state(struct isa_irq *isa, struct state *s);

#endif
