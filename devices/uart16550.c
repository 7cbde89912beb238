/*
 * National PC16550D universal asynchronous receiver/transmitter with FIFOs, as COM1 and COM2.
 *
 * Source: PC16550D data sheet, "Registers", "FIFO Interrupt Mode Operation". OUT2 gates the interrupt line, as on every
 * PC.
 * Characters leave at once whatever the baud rate, so THR and the shift register are always empty; the transmitter
 * interrupt still comes after each write. Received characters come as fast as the guest takes them.
 * Not modelled: DMA pins, parity and framing (the host's bytes are always well formed), sending a break.
 */
#include "devices/uart16550.h"

#include <string.h>

#include "base/snapshot.h"

enum { RBR_THR_DLL, IER_DLM, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_RECEIVED BIT(0)
#define IER_TRANSMITTER BIT(1)
#define IER_LINE BIT(2)
#define IER_MODEM BIT(3)

#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_TRANSMITTER 0x02
#define IIR_RECEIVED 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO 0xc0

#define FCR_ENABLE BIT(0)
#define FCR_CLEAR_RECEIVER BIT(1)

#define LCR_BREAK BIT(6)
#define LCR_DLAB BIT(7)

#define MCR_DTR BIT(0)
#define MCR_RTS BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)

#define LSR_DR BIT(0)
#define LSR_OE BIT(1)
#define LSR_BI BIT(4)
#define LSR_ERRORS 0x1e
#define LSR_THRE BIT(5)
#define LSR_TEMT BIT(6)
#define LSR_FIFO_ERROR BIT(7)

#define MSR_CTS BIT(4)
#define MSR_DSR BIT(5)
#define MSR_RI BIT(6)
#define MSR_DCD BIT(7)

static unsigned
room_in_fifo(const struct uart16550 *u)
{
	return (u->fcr & FCR_ENABLE ? UART_FIFO : 1) - MIN(u->count, u->fcr & FCR_ENABLE ? UART_FIFO : 1);
}

static unsigned
trigger_level(const struct uart16550 *u)
{
	static const u8 level[4] = {1, 4, 8, 14};

	return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

static u8
interrupt_identity(const struct uart16550 *u)
{
	if (u->ier & IER_LINE && u->lsr & LSR_ERRORS)
		return IIR_LINE;
	if (u->ier & IER_RECEIVED && u->count >= trigger_level(u))
		return IIR_RECEIVED;
	if (u->ier & IER_RECEIVED && u->timeout_pending)
		return IIR_TIMEOUT;
	if (u->ier & IER_TRANSMITTER && u->thre_pending)
		return IIR_TRANSMITTER;
	if (u->ier & IER_MODEM && u->msr & 0x0f)
		return IIR_MODEM;
	return IIR_NONE;
}

static void
update(struct uart16550 *u)
{
	bool level = interrupt_identity(u) != IIR_NONE && (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	if (level != u->irq_level) {
		u->irq_level = level;
		irq_set(&u->irq, level);
	}
}

/* The time of four characters, after which characters below the trigger level are reported. */
static u64
four_characters(const struct uart16550 *u)
{
	unsigned bits = 1 + 5 + (u->lcr & 3) + (u->lcr & 8 ? 1 : 0) + (u->lcr & 4 ? 2 : 1);

	/* The baud clock is 115200 Hz / divisor; a divisor of 0 counts as the largest. */
	return mul_div(4 * bits * (u->divisor ? u->divisor : 65536), events_hz(u->events), 115200);
}

/* A character came or went: the timeout starts over, if it can be heard at all. */
static void
restart_timeout(struct uart16550 *u)
{
	u->timeout_pending = false;
	if (u->fcr & FCR_ENABLE && u->ier & IER_RECEIVED && u->count && u->count < trigger_level(u))
		event_arm(u->events, &u->timeout, events_now(u->events) + four_characters(u));
	else
		event_disarm(u->events, &u->timeout);
}

static void
timeout(void *opaque, u64 now)
{
	struct uart16550 *u = opaque;

	(void)now;
	u->timeout_pending = u->count != 0;
	update(u);
}

/* The errors of the character on top of the FIFO show in LSR. */
static void
reveal_errors(struct uart16550 *u)
{
	u8 any = 0;

	for (unsigned i = 0; i < u->count; i++)
		any |= u->fifo_errors[(u->head + i) % UART_FIFO];
	u->lsr &= (u8)~(LSR_DR | LSR_FIFO_ERROR);
	if (u->count) {
		u->lsr |= LSR_DR | u->fifo_errors[u->head];
		u->fifo_errors[u->head] = 0;
	}
	if (any && u->fcr & FCR_ENABLE)
		u->lsr |= LSR_FIFO_ERROR;
}

static void
put(struct uart16550 *u, u8 byte, u8 errors)
{
	if (!room_in_fifo(u)) {
		/* Overrun: the shift register's character is lost; without FIFO the waiting one is. */
		u->lsr |= LSR_OE;
		if (!(u->fcr & FCR_ENABLE))
			u->fifo[u->head] = byte;
		return;
	}
	u->fifo[(u->head + u->count) % UART_FIFO] = byte;
	u->fifo_errors[(u->head + u->count) % UART_FIFO] = errors;
	u->count++;
	reveal_errors(u);
	restart_timeout(u);
}

static u8
take(struct uart16550 *u)
{
	if (u->count) {
		u->rbr = u->fifo[u->head];
		u->head = (u8)((u->head + 1) % UART_FIFO);
		u->count--;
		reveal_errors(u);
		restart_timeout(u);
	}
	return u->rbr;
}

static void
clear_receiver(struct uart16550 *u)
{
	u->head = u->count = 0;
	memset(u->fifo_errors, 0, sizeof(u->fifo_errors));
	reveal_errors(u);
	restart_timeout(u);
}

/*
 * Modem inputs: the other end is there and ready, or in loopback the four outputs. Low nibble: what changed since MSR
 * was read.
 */
static void
update_modem(struct uart16550 *u)
{
	u8 inputs, before = u->msr & 0xf0, changed;

	if (u->mcr & MCR_LOOP)
		inputs = (u8)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
			      (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
	else
		inputs = u->chardev ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
	changed = (u8)(before ^ inputs);
	/* RI counts only when it ends. */
	if (inputs & MSR_RI)
		changed &= (u8)~MSR_RI;
	u->msr = (u8)(inputs | (u->msr & 0x0f) | changed >> 4);
}

static void
transmit(struct uart16550 *u, u8 byte)
{
	if (u->mcr & MCR_LOOP)
		put(u, byte, 0);
	else
		chardev_write(u->chardev, &byte, 1);
	u->thre_pending = true;
}

static u32
uart_read(void *opaque, u16 port, unsigned size)
{
	struct uart16550 *u = opaque;
	u8 value = 0;

	(void)size;
	switch (port & 7) {
	case RBR_THR_DLL:
		value = u->lcr & LCR_DLAB ? (u8)u->divisor : take(u);
		break;
	case IER_DLM:
		value = u->lcr & LCR_DLAB ? (u8)(u->divisor >> 8) : u->ier;
		break;
	case IIR_FCR:
		value = interrupt_identity(u);
		/* Reading it is one of the two ways to quiet the transmitter. */
		if (value == IIR_TRANSMITTER)
			u->thre_pending = false;
		if (u->fcr & FCR_ENABLE)
			value |= IIR_FIFO;
		break;
	case LCR:
		value = u->lcr;
		break;
	case MCR:
		value = u->mcr;
		break;
	case LSR:
		value = u->lsr;
		u->lsr &= (u8)~LSR_ERRORS;
		break;
	case MSR:
		value = u->msr;
		u->msr &= 0xf0;
		break;
	case SCR:
		value = u->scr;
		break;
	}
	update(u);
	return value;
}

static void
write_ier(struct uart16550 *u, u8 value)
{
	bool rises = value & ~u->ier & IER_TRANSMITTER;

	u->ier = value & 0x0f;
	/* An empty transmitter reports itself when it is enabled. */
	if (rises)
		u->thre_pending = true;
	restart_timeout(u);
}

static void
write_fcr(struct uart16550 *u, u8 value)
{
	/* Changing the mode empties both FIFOs. The other bits count only together with "enable". */
	bool changes = (value ^ u->fcr) & FCR_ENABLE;

	u->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
	if (changes || (value & FCR_ENABLE && value & FCR_CLEAR_RECEIVER))
		clear_receiver(u);
	else
		restart_timeout(u);
}

static void
write_lcr(struct uart16550 *u, u8 value)
{
	bool break_begins = value & ~u->lcr & LCR_BREAK;

	u->lcr = value;
	/* In loopback the receiver sees the break as a zero character. */
	if (break_begins && u->mcr & MCR_LOOP)
		put(u, 0, LSR_BI);
}

static void
uart_write(void *opaque, u16 port, unsigned size, u32 word)
{
	struct uart16550 *u = opaque;
	u8 value = (u8)word;

	(void)size;
	switch (port & 7) {
	case RBR_THR_DLL:
		if (u->lcr & LCR_DLAB)
			u->divisor = (u16)((u->divisor & 0xff00) | value);
		else
			transmit(u, value);
		break;
	case IER_DLM:
		if (u->lcr & LCR_DLAB)
			u->divisor = (u16)((u->divisor & 0x00ff) | value << 8);
		else
			write_ier(u, value);
		break;
	case IIR_FCR:
		write_fcr(u, value);
		break;
	case LCR:
		write_lcr(u, value);
		break;
	case MCR:
		u->mcr = value & 0x1f;
		update_modem(u);
		break;
	case SCR:
		u->scr = value;
		break;
	default: /* LSR and MSR: factory test only */
		break;
	}
	update(u);
}

static size_t
room(void *device)
{
	struct uart16550 *u = device;

	/* In loopback the line is cut off; it is kinder to let the host wait. */
	return u->mcr & MCR_LOOP ? 0 : room_in_fifo(u);
}

static void
receive(void *device, const u8 *data, size_t size)
{
	struct uart16550 *u = device;

	if (u->mcr & MCR_LOOP)
		return;
	for (size_t i = 0; i < size; i++)
		put(u, data[i], 0);
	update(u);
}

static const struct port_ops uart_ports = {uart_read, uart_write, PORT_BYTE};

void
uart16550_init(struct uart16550 *u, struct events *events, struct ports *ports, u16 base, const struct irq_line *irq,
	       struct chardev *chardev)
{
	memset(u, 0, sizeof(*u));
	assert(base % 8 == 0);
	u->events = events;
	u->irq = *irq;
	u->chardev = chardev;
	event_init(&u->timeout, "uart", EVENT_DEVICE, timeout, u);
	if (chardev) {
		chardev->receive = receive;
		chardev->room = room;
		chardev->device = u;
	}
	ports_map(ports, "uart16550", base, 8, &uart_ports, u);
	uart16550_reset(u);
}

void
uart16550_reset(struct uart16550 *u)
{
	u->ier = u->fcr = u->lcr = u->mcr = u->msr = u->scr = u->rbr = 0;
	u->divisor = 12; /* 9600 baud; the data sheet leaves it open */
	u->lsr = LSR_THRE | LSR_TEMT;
	u->thre_pending = false;
	clear_receiver(u);
	update_modem(u);
	u->msr &= 0xf0;
	update(u);
}

void
uart16550_state(struct uart16550 *u, struct state *s)
{
	state_section(s, "uart16550", 1);
	STATE(s, u->ier);
	STATE(s, u->fcr);
	STATE(s, u->lcr);
	STATE(s, u->mcr);
	STATE(s, u->lsr);
	STATE(s, u->msr);
	STATE(s, u->scr);
	STATE(s, u->divisor);
	STATE(s, u->rbr);
	STATE(s, u->fifo);
	STATE(s, u->fifo_errors);
	STATE(s, u->head);
	STATE(s, u->count);
	state_bool(s, &u->thre_pending);
	state_bool(s, &u->timeout_pending);
	state_bool(s, &u->irq_level);
	state_event(s, u->events, &u->timeout);
	u->head %= UART_FIFO;
	u->count = MIN(u->count, UART_FIFO);
}
