/* The pair of 8259A interrupt controllers of a PC. See pic.c. */
#ifndef NB_DEVICES_PIC_H
#define NB_DEVICES_PIC_H

#include "base/types.h"
#include "bus/irq.h"
#include "bus/ports.h"

struct state;

/* One 8259A. Names are the data sheet's. */
struct i8259a {
	u8 lines; /* levels at IR0..IR7 */
	u8 irr;   /* latched edges; level inputs follow `lines` */
	u8 imr, isr;
	u8 elcr;                        /* inputs that are level-triggered */
	u8 base;                        /* ICW2: vector of IR0 */
	u8 lowest;                      /* the input with the lowest priority; 7 after ICW1 */
	u8 init;                        /* the initialization word that is awaited: 0, 2, 3 or 4 */
	bool needs_icw4, single, level; /* ICW1 */
	bool auto_eoi, special_nested;  /* ICW4 */
	bool rotate_on_auto_eoi, special_mask, read_isr, poll; /* OCW2, OCW3 */
};

struct pic {
	struct i8259a chip[2]; /* master, slave */
	struct irq_line intr;
	bool intr_level;
};

/* Ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1. */
void pic_init(struct pic *pic, struct ports *ports, const struct irq_line *intr);
void pic_reset(struct pic *pic);
/* The `set` of an irq_line; number 0..15. */
void pic_set(void *pic, unsigned number, int level);
/* INTA cycle: for struct apic_bus. Without a request: the spurious vector (IR7). */
u8 pic_acknowledge(void *pic);
void pic_state(struct pic *pic, struct state *s);

#endif
