/* National PC16550D serial port. See uart16550.c. */
#ifndef NB_DEVICES_UART16550_H
#define NB_DEVICES_UART16550_H

#include "base/events.h"
#include "base/types.h"
#include "bus/chardev.h"
#include "bus/irq.h"
#include "bus/ports.h"

struct state;

#define UART_FIFO 16

struct uart16550 {
	struct events *events;
	struct irq_line irq;
	struct chardev *chardev;
	bool irq_level;

	u8 ier, fcr, lcr, mcr, lsr, msr, scr;
	u16 divisor;
	u8 rbr; /* the last character read */
	u8 fifo[UART_FIFO],
		fifo_errors[UART_FIFO]; /* received characters, and the LSR error bits that came with each */
	u8 head, count;
	bool thre_pending;    /* the transmitter's interrupt, until IIR is read or THR written */
	bool timeout_pending; /* characters wait in the FIFO below the trigger level */
	struct event timeout;
};

/* Eight ports from `base`. Hooks itself into `chardev`, which may be NULL: then nothing is connected. */
void uart16550_init(struct uart16550 *u, struct events *events, struct ports *ports, u16 base,
		    const struct irq_line *irq, struct chardev *chardev);
void uart16550_reset(struct uart16550 *u);
void uart16550_state(struct uart16550 *u, struct state *s);

#endif
