/* Intel 82540EM Gigabit Ethernet controller: one PCI function with a cable. See e1000.c. */
#ifndef NB_DEVICES_E1000_H
#define NB_DEVICES_E1000_H

#include "base/types.h"

struct e1000;
struct events;
struct memory;
struct nic_parts;
struct packet_link;
struct pci_bus;
struct state;

/* Adds the card to the bus at `devfn` and fills in the card's end of `link`; link->up counts from the first event on. */
struct e1000 *e1000_new(struct pci_bus *bus, int devfn, struct memory *memory, struct events *events,
			struct packet_link *link, const struct nic_parts *parts);
void e1000_free(struct e1000 *e);
/* Power on or PCI reset: all registers, the PHY and what the EEPROM loads. The EEPROM's words stay. */
void e1000_reset(struct e1000 *e);
void e1000_state(struct e1000 *e, struct state *s);

/* Plugs the cable in or out: link status change, as the PHY would see it. */
void e1000_set_link(struct e1000 *e, bool up);

/* Tells `access` of each access to a register in the memory window: offset, bytes, value written or read. Changes nothing. */
void e1000_observe(struct e1000 *e, void (*access)(void *opaque, u32 offset, unsigned size, bool write, u64 value), void *opaque);
/* The register at `offset` of the window, as e1000_regs.def calls it; NULL if there is none. */
const char *e1000_register_name(const struct e1000 *e, u32 offset);

/* What the card counted that no guest register shows. */
struct e1000_counters {
	u64 tx_bad_descriptors, rx_bad_descriptors; /* lengths or types that no chip would act on */
	u64 tx_dropped;                             /* frames too long, or with no cable */
	u64 unknown_reads, unknown_writes;          /* register offsets that the chip does not have */
	u64 interrupts;
};
const struct e1000_counters *e1000_counters(const struct e1000 *e);

#endif
