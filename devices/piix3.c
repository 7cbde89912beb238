/*
 * Intel 82371SB PCI-to-ISA bridge: steering of PCI interrupts, reset control, port 92h, coprocessor errors.
 *
 * Source: 82371SB data sheet (order 290550), "PIRQx Route Control Registers", "Reset Control Register", "Coprocessor Error Register"; port 92h as in
 * the PS/2.
 * The chips that it contains on the die (PIC, PIT, RTC, DMA) have files of their own. The routed interrupts reach PIC
 * and IOAPIC alike.
 * Not modelled: ISA timing, X-bus chip selects, SMI sources, the IDE and USB functions.
 */
#include "devices/piix3.h"

#include <string.h>

#include "base/snapshot.h"

#define RESET_HARD BIT(1)
#define RESET_CPU BIT(2)

#define PORT92_INIT BIT(0)
#define PORT92_A20 BIT(1)

static void
update_interrupts(struct piix3 *p)
{
	bool level[16] = {false};

	for (unsigned i = 0; i < 4; i++) {
		u8 route = p->pci.config[PIIX3_PIRQRC + i];

		if (p->pirq[i] && !(route & 0x80))
			level[route & 15] = true;
	}
	level[13] |= p->coprocessor_interrupt;
	for (unsigned n = 0; n < 16; n++) {
		if (level[n] == p->isa_level[n])
			continue;
		p->isa_level[n] = level[n];
		irq_set(&p->isa[n], level[n]);
	}
}

static void
set_pirq(void *opaque, unsigned pirq, int level)
{
	struct piix3 *p = opaque;

	p->pirq[pirq & 3] = level != 0;
	update_interrupts(p);
}

static void
config_written(void *opaque, unsigned offset, unsigned size)
{
	(void)offset;
	(void)size;
	update_interrupts(opaque);
}

static void
write_reset_control(void *opaque, u8 value)
{
	struct piix3 *p = opaque;
	bool rises = value & ~p->reset_control & RESET_CPU;

	p->reset_control = value & (RESET_HARD | RESET_CPU);
	if (!rises)
		return;
	if (value & RESET_HARD)
		p->control->reset(p->control->opaque, "port 0xcf9");
	else
		p->control->init(p->control->opaque, "port 0xcf9");
}

static u8
read_reset_control(void *opaque)
{
	struct piix3 *p = opaque;

	return p->reset_control;
}

static u32
port92_read(void *opaque, u16 port, unsigned size)
{
	struct piix3 *p = opaque;

	(void)port;
	(void)size;
	return p->port92;
}

static void
port92_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct piix3 *p = opaque;
	bool init = value & ~p->port92 & PORT92_INIT;

	(void)port;
	(void)size;
	p->port92 = value & (PORT92_INIT | PORT92_A20);
	/* The keyboard controller has a say too; what was written last counts. */
	p->control->a20(p->control->opaque, value & PORT92_A20);
	if (init)
		p->control->init(p->control->opaque, "port 0x92");
}

static const struct port_ops port92_ports = {port92_read, port92_write, PORT_BYTE};

void
piix3_set_ferr(void *opaque, unsigned number, int level)
{
	struct piix3 *p = opaque;
	bool active = level != 0;

	(void)number;
	if (active == p->ferr)
		return;
	p->ferr = active;
	if (active)
		p->coprocessor_interrupt = true;
	else
		p->control->ignne(p->control->opaque, false);
	update_interrupts(p);
}

static u32
coprocessor_read(void *opaque, u16 port, unsigned size)
{
	(void)opaque;
	(void)port;
	(void)size;
	return 0xff;
}

/* Takes the interrupt back; IGNNE# goes active only while FERR# is. */
static void
coprocessor_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct piix3 *p = opaque;

	(void)port;
	(void)size;
	(void)value;
	p->coprocessor_interrupt = false;
	if (p->ferr)
		p->control->ignne(p->control->opaque, true);
	update_interrupts(p);
}

static const struct port_ops coprocessor_ports = {coprocessor_read, coprocessor_write, PORT_BYTE};

static void
reset(void *opaque)
{
	struct piix3 *p = opaque;

	p->reset_control = 0;
	p->port92 = PORT92_A20;
	p->control->a20(p->control->opaque, true);
	p->ferr = p->coprocessor_interrupt = false;
	p->control->ignne(p->control->opaque, false);
	update_interrupts(p);
}

void
piix3_init(struct piix3 *p, struct pci_bus *bus, const struct irq_line isa[16], const struct machine_control *control)
{
	struct pci_device *d = &p->pci;

	memset(p, 0, sizeof(*p));
	p->control = control;
	memcpy(p->isa, isa, sizeof(p->isa));
	pci_device_init(d, "piix3", p, 0x8086, 0x7000, 0x00, 0x060100);
	d->config[PCI_HEADER_TYPE] = 0x80; /* more functions follow */
	pci_set16(d->config, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pci_set16(d->writable, PCI_COMMAND, 0);
	pci_set16(d->config, PCI_STATUS, 0x0200);
	d->config[0x4c] = 0x4d; /* ISA recovery timing */
	d->writable[0x4c] = 0xff;
	d->config[0x4e] = 0x03; /* X-bus chip select */
	d->writable[0x4e] = d->writable[0x4f] = 0xff;
	for (unsigned i = 0; i < 4; i++) {
		d->config[PIIX3_PIRQRC + i] = 0x80;
		d->writable[PIIX3_PIRQRC + i] = 0x8f;
	}
	d->config[0x69] = 0x02; /* top of memory */
	d->writable[0x69] = 0xfe;
	d->config_written = config_written;
	d->reset = reset;
	pci_add(bus, d, PCI_DEVFN(1, 0));
	bus->pirq = set_pirq;
	bus->pirq_opaque = p;
	bus->reset_control = write_reset_control;
	bus->reset_control_read = read_reset_control;
	bus->reset_opaque = p;
	p->port92 = PORT92_A20;
	ports_map(bus->ports, "port92", 0x92, 1, &port92_ports, p);
	ports_map(bus->ports, "coprocessor error", 0xf0, 1, &coprocessor_ports, p);
}

void
piix3_state(struct piix3 *p, struct state *s)
{
	state_section(s, "piix3", 2);
	pci_device_state(&p->pci, s);
	for (unsigned i = 0; i < COUNT(p->isa_level); i++)
		state_bool(s, &p->isa_level[i]);
	for (unsigned i = 0; i < COUNT(p->pirq); i++)
		state_bool(s, &p->pirq[i]);
	STATE(s, p->reset_control);
	STATE(s, p->port92);
	state_bool(s, &p->ferr);
	state_bool(s, &p->coprocessor_interrupt);
}
