/* Intel 82371SB (PIIX3) PCI-to-ISA bridge, PCI function 00:01.0. See piix3.c. */
#ifndef NB_DEVICES_PIIX3_H
#define NB_DEVICES_PIIX3_H

#include "bus/irq.h"
#include "bus/machine_control.h"
#include "devices/pci.h"

#define PIIX3_PIRQRC 0x60 /* four bytes: where PIRQA..D go; bit 7 nowhere */

struct piix3 {
	struct pci_device pci;
	const struct machine_control *control;
	struct irq_line isa[16]; /* ends of the ISA interrupts that PCI may pull */
	bool isa_level[16];
	bool pirq[4];
	u8 reset_control; /* port 0xcf9 */
	u8 port92;
	bool ferr, coprocessor_interrupt;
};

/* `isa`: one line for each of the 16 ISA interrupts. Takes the bus's PIRQs and port 0xcf9; maps ports 0x92 and 0xf0. */
void piix3_init(struct piix3 *p, struct pci_bus *bus, const struct irq_line isa[16],
		const struct machine_control *control);
/* FERR# of the processors (active: 1), the `set` of an irq_line with opaque = the bridge: ISA interrupt 13 until port 0xf0 is written. */
void piix3_set_ferr(void *piix3, unsigned number, int level);
void piix3_state(struct piix3 *p, struct state *s);

#endif
