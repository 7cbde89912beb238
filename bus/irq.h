/* Interrupt wires, and messages on the APIC bus. */
#ifndef NB_BUS_IRQ_H
#define NB_BUS_IRQ_H

#include "base/types.h"

/* One wire, as its driver sees it. `set` takes the level (0 or 1); setting the same level again is allowed and does nothing. */
struct irq_line {
	void (*set)(void *opaque, unsigned number, int level);
	void *opaque;
	unsigned number;
};

static inline void
irq_set(const struct irq_line *line, int level)
{
	if (line->set)
		line->set(line->opaque, line->number, level);
}

/* Delivery modes of APIC messages: SDM 3, "Interrupt Command Register (ICR)". */
enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};

struct apic_message {
	u32 destination; /* 8 bits from IOAPIC/MSI/xAPIC, 32 bits from x2APIC */
	u8 vector;
	u8 delivery; /* enum apic_delivery */
	bool logical; /* destination mode */
	bool level;   /* trigger mode: level */
	bool assert_; /* INIT de-assert has false */
};

/*
 * What joins processors and interrupt controllers without either seeing the other. machine/pc.c fills it in: `send` and `intr` belong to the
 * processors, `eoi` and `acknowledge` to IOAPIC and PIC.
 */
struct apic_bus {
	/* A message from IOAPIC or an MSI write, delivered to the local APICs. Returns false when no APIC took it. */
	bool (*send)(void *cpus, const struct apic_message *message);
	void *cpus;
	/* A level-triggered vector was EOId: to the IOAPIC. */
	void (*eoi)(void *ioapic, u8 vector);
	void *ioapic;
	/* INTA cycle: the PIC pair's vector for the processor that takes an ExtINT. */
	u8 (*acknowledge)(void *pic);
	void *pic;
};

#endif
