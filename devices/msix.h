/* MSI-X of a PCI function: a table of messages that stand for interrupts. See msix.c. */
#ifndef NB_DEVICES_MSIX_H
#define NB_DEVICES_MSIX_H

#include "base/types.h"
#include "devices/pci.h"

#define MSIX_VECTORS 64u
#define MSIX_ENTRY 16u
#define MSIX_WINDOW 0x1000u /* of the BAR: the table, and the pending bits in its second half */

struct msix {
	struct pci_device *pci;
	unsigned capability; /* offset in the configuration space */
	unsigned vectors;
	u8 table[MSIX_VECTORS * MSIX_ENTRY];
	u64 pending;
};

/*
 * Gives the function, before pci_add(), a capability at `capability` (the caller links it into the list) and BAR `bar`
 * with `vectors` entries, all masked.
 */
void msix_init(struct msix *m, struct pci_device *pci, unsigned capability, unsigned bar, unsigned vectors);
void msix_reset(struct msix *m);
/* The owner's config_written() passes on every write: masks may be gone. */
void msix_config_written(struct msix *m);
/* While this is true the function must not use its pin. */
bool msix_enabled(const struct msix *m);
/* Sends the vector's message, now or when it is unmasked. Vectors that are not there (0xffff) do nothing. */
void msix_raise(struct msix *m, unsigned vector);
void msix_state(struct msix *m, struct state *s);

#endif
