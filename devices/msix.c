/*
 * MSI-X: capability, table and pending bits of a PCI function.
 *
 * Source: PCI Local Bus Specification 3.0, "MSI-X Capability and Table Structure".
 *
 *   capability    [ BIR | pending bits' offset ][ BIR | table's offset ][ control | next | 11h ]
 *   table entry   [ vector control, bit 0: masked | data | address, high half | address ]
 */
#include "devices/msix.h"

#include <string.h>

#include "base/snapshot.h"

#define CAPABILITY_ID 0x11
#define CONTROL 2
#define CONTROL_MASK BIT(14)
#define CONTROL_ENABLE BIT(15)
#define TABLE 4
#define PENDING 8

#define ENTRY_DATA 8
#define ENTRY_CONTROL 12
#define PENDING_AT (MSIX_WINDOW / 2)

_Static_assert(MSIX_VECTORS * MSIX_ENTRY <= PENDING_AT, "the table ends where the pending bits begin");

static u16
control(const struct msix *m)
{
	return pci_get16(m->pci->config, m->capability + CONTROL);
}

bool
msix_enabled(const struct msix *m)
{
	return control(m) & CONTROL_ENABLE;
}

/* Sends what is pending and no longer held back. */
static void
service(struct msix *m)
{
	if ((control(m) & (CONTROL_ENABLE | CONTROL_MASK)) != CONTROL_ENABLE)
		return;
	for (unsigned i = 0; i < m->vectors && m->pending; i++) {
		const u8 *entry = m->table + i * MSIX_ENTRY;

		if (!(m->pending & BIT(i)) || entry[ENTRY_CONTROL] & 1)
			continue;
		if (pci_message(m->pci, pci_get32(entry, 0) | (u64)pci_get32(entry, 4) << 32, pci_get32(entry, ENTRY_DATA)))
			m->pending &= ~BIT(i);
	}
}

void
msix_raise(struct msix *m, unsigned vector)
{
	if (vector >= m->vectors || !msix_enabled(m))
		return;
	m->pending |= BIT(vector);
	service(m);
}

void
msix_config_written(struct msix *m)
{
	service(m);
}

static u64
window_read(void *opaque, u64 offset, unsigned size)
{
	struct msix *m = opaque;
	u64 value = 0;

	for (unsigned i = 0; i < size; i++) {
		u64 at = offset + i;
		u8 byte = 0;

		if (at < m->vectors * MSIX_ENTRY)
			byte = m->table[at];
		else if (at >= PENDING_AT && at < PENDING_AT + 8)
			byte = (u8)(m->pending >> (at - PENDING_AT) * 8);
		value |= (u64)byte << 8 * i;
	}
	return value;
}

/* "Software must use only aligned full DWORD or QWORD accesses": the effect of others is not defined, so there is none. */
static void
window_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct msix *m = opaque;

	if (size < 4 || offset & 3 || offset + size > m->vectors * MSIX_ENTRY)
		return;
	for (unsigned i = 0; i < size; i += 4) {
		unsigned at = (unsigned)offset + i;
		u32 part = (u32)(value >> 8 * i);

		pci_set32(m->table, at, at % MSIX_ENTRY == ENTRY_CONTROL ? part & 1 : part);
	}
	service(m);
}

static const struct mmio_ops window = {window_read, window_write};

void
msix_init(struct msix *m, struct pci_device *pci, unsigned capability, unsigned bar, unsigned vectors)
{
	u8 *at = pci->config + capability;

	assert(vectors >= 1 && vectors <= MSIX_VECTORS);
	m->pci = pci;
	m->capability = capability;
	m->vectors = vectors;
	at[0] = CAPABILITY_ID;
	pci_set16(at, CONTROL, (u16)(vectors - 1));
	pci_set32(at, TABLE, bar);
	pci_set32(at, PENDING, PENDING_AT | bar);
	pci_set16(pci->writable, capability + CONTROL, CONTROL_ENABLE | CONTROL_MASK);
	pci_bar(pci, bar, PCI_BAR_MEMORY, MSIX_WINDOW, &window, m, "msix");
	msix_reset(m);
}

void
msix_reset(struct msix *m)
{
	memset(m->table, 0, sizeof(m->table));
	for (unsigned i = 0; i < m->vectors; i++)
		m->table[i * MSIX_ENTRY + ENTRY_CONTROL] = 1;
	m->pending = 0;
}

void
msix_state(struct msix *m, struct state *s)
{
	STATE(s, m->table);
	STATE(s, m->pending);
}
