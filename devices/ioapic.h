/* I/O APIC with 24 inputs. See ioapic.c. */
#ifndef NB_DEVICES_IOAPIC_H
#define NB_DEVICES_IOAPIC_H

#include "base/types.h"
#include "bus/irq.h"
#include "bus/memory.h"

struct state;

#define IOAPIC_BASE 0xfec00000ull
#define IOAPIC_INPUTS 24

struct ioapic {
	struct apic_bus *bus;
	u8 id;
	u8 select; /* IOREGSEL */
	u32 lines; /* levels at the inputs */
	u64 redirection[IOAPIC_INPUTS];
};

/* Maps the registers at IOAPIC_BASE; fills in bus->eoi and bus->ioapic. */
void ioapic_init(struct ioapic *io, struct memory *memory, struct apic_bus *bus);
void ioapic_reset(struct ioapic *io);
/* The `set` of an irq_line; number 0..23. */
void ioapic_set(void *ioapic, unsigned number, int level);
/* A processor ended the service of a level-triggered vector: for struct apic_bus. */
void ioapic_eoi(void *ioapic, u8 vector);
void ioapic_state(struct ioapic *io, struct state *s);

#endif
