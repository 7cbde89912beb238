/* Intel 8254 programmable interval timer, and the speaker port 0x61. See pit.c. */
#ifndef NB_DEVICES_PIT_H
#define NB_DEVICES_PIT_H

#include "base/events.h"
#include "base/types.h"
#include "bus/irq.h"
#include "bus/ports.h"

struct state;

#define PIT_HZ 1193182

/* One counter. All times are ticks of the 1.193182 MHz clock. */
struct i8254_counter {
	u8 mode;   /* 0..5 */
	u8 access; /* RW1:RW0; 1 low byte, 2 high byte, 3 low then high */
	bool bcd, gate;
	bool high_next_write, high_next_read; /* flip-flops of access 3 */
	u8 written_low;
	bool written;      /* a count came since the control word */
	bool loaded;       /* counting element holds a count, and `start` is meaningful */
	bool half_written; /* mode 0: counting stands still between the two bytes */
	bool triggered;    /* modes 1 and 5: the gate has risen since the control word */
	u32 count;         /* initial count in force, 1..65536 */
	u64 start;         /* tick at which the counting element took `count` */
	u64 stopped;       /* elapsed ticks while the gate holds counting */
	bool paused;
	bool changing; /* modes 2, 3: `next` is taken at tick `change_at`; modes 1, 5: at the next trigger */
	u32 next;
	u64 change_at;
	bool count_latched, status_latched;
	u16 latched_count;
	u8 latched_status;
};

struct pit {
	struct events *events;
	struct i8254_counter counter[3];
	struct irq_line irq;
	bool irq_level;
	struct event edge; /* the next rising edge of counter 0 */
	bool speaker;      /* port 0x61 bit 1 */
};

/* Ports 0x40..0x43 and 0x61. `irq` is pulled by counter 0. */
void pit_init(struct pit *pit, struct events *events, struct ports *ports, const struct irq_line *irq);
void pit_reset(struct pit *pit);
void pit_state(struct pit *pit, struct state *s);

#endif
