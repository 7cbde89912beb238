/* Intel 82441FX (440FX) host bridge, PCI function 00:00.0. See i440fx.c. */
#ifndef NB_DEVICES_I440FX_H
#define NB_DEVICES_I440FX_H

#include "devices/pci.h"

struct i440fx {
	struct pci_device pci;
};

void i440fx_init(struct i440fx *f, struct pci_bus *bus);
void i440fx_state(struct i440fx *f, struct state *s);

#endif
