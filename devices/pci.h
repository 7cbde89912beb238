/*
 * One conventional PCI bus: configuration space, base address registers, INTx pins, bus mastering.
 *
 * Source: PCI Local Bus Specification 2.3, "Configuration Space"; configuration mechanism #1 as in the i440FX data
 * sheet.
 * Not modelled: bridges, parity errors, latency, target aborts other than master abort (reads ones, writes are
 * dropped). Message-signalled interrupts: msix.h.
 *
 * How a function is written (see e1000.c, piix3.c): embed a `struct pci_device`, pci_device_init() it, fill in the
 * type-0 header with pci_set16() and friends, name the bits that the guest may write in `writable`, describe the BARs
 * with pci_bar(), then pci_add().
 */
#ifndef NB_DEVICES_PCI_H
#define NB_DEVICES_PCI_H

#include "base/types.h"
#include "bus/irq.h"
#include "bus/memory.h"
#include "bus/ports.h"

struct state;
struct pci_bus;
struct pci_device;

/* Offsets in a type-0 header. */
#define PCI_VENDOR_ID 0x00
#define PCI_DEVICE_ID 0x02
#define PCI_COMMAND 0x04
#define PCI_COMMAND_IO BIT(0)
#define PCI_COMMAND_MEMORY BIT(1)
#define PCI_COMMAND_MASTER BIT(2)
#define PCI_COMMAND_INTX_DISABLE BIT(10)
#define PCI_STATUS 0x06
#define PCI_STATUS_INTERRUPT BIT(3)
#define PCI_STATUS_CAPABILITIES BIT(4)
#define PCI_REVISION 0x08
#define PCI_CLASS 0x09 /* programming interface, subclass, class: 3 bytes */
#define PCI_HEADER_TYPE 0x0e
#define PCI_BAR0 0x10
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID 0x2e
#define PCI_ROM_BAR 0x30
#define PCI_CAPABILITIES 0x34
#define PCI_INTERRUPT_LINE 0x3c
#define PCI_INTERRUPT_PIN 0x3d

#define PCI_DEVFN(slot, function) ((slot) << 3 | (function))

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_MEMORY, PCI_BAR_MEMORY64, PCI_BAR_IO, PCI_BAR_ROM };
#define PCI_BARS 7
#define PCI_BAR_ROM_INDEX 6 /* the expansion ROM */

/*
 * A decoded window. `ops` take offsets from the window's start for memory and I/O alike; fields are private to pci.c.
 */
struct pci_bar {
	enum pci_bar_kind kind;
	u64 size; /* a power of two; I/O at least 4, memory at least 16 */
	const struct mmio_ops *ops;
	void *opaque;
	struct pci_device *device;
	const char *name;
	bool mapped; /* follows from the configuration space */
	u64 base;
	unsigned range; /* in bus->memory, for memory windows */
};

struct pci_device {
	const char *name;
	u8 devfn;
	u8 config[256];
	u8 writable[256];     /* bits that the guest can write */
	u8 clear_on_one[256]; /* bits that the guest clears by writing 1 */
	u8 initial[256];      /* config at pci_add(): what reset goes back to */
	struct pci_bar bar[PCI_BARS];
	/*
	 * All may be NULL. `config_read` comes before the bytes are looked at, `config_written` after the bytes and BARs
	 * have changed; `reset` comes with the bus's RST#.
	 */
	void (*config_read)(void *opaque, unsigned offset, unsigned size);
	void (*config_written)(void *opaque, unsigned offset, unsigned size);
	void (*reset)(void *opaque);
	void *opaque;
	struct pci_bus *bus;
	bool intx; /* level of the function's own interrupt request, before PCI_COMMAND_INTX_DISABLE */
	bool pin;  /* level of the pin as the bus sees it; follows */
};

struct pci_bus {
	struct memory *memory;
	struct ports *ports;
	const struct apic_bus *apic;    /* where interrupt messages go; NULL: nowhere */
	struct pci_device *device[256]; /* by device and function number */
	u32 address;                    /* CONFIG_ADDRESS */
	/* PIRQ A..D: how many functions pull each, and who hears of changes (the south bridge). */
	unsigned pulled[4];
	void (*pirq)(void *opaque, unsigned pirq, int level);
	void *pirq_opaque;
	/* Told of byte writes to 0xcf9 (reset control), which lies inside CONFIG_ADDRESS. NULL: dropped. */
	void (*reset_control)(void *opaque, u8 value);
	u8 (*reset_control_read)(void *opaque);
	void *reset_opaque;
};

/* The bus of `memory` and `ports`; maps 0xcf8..0xcff. */
void pci_bus_init(struct pci_bus *bus, struct memory *memory, struct ports *ports);
/* RST#: every function's configuration space to its initial values, then its reset hook. */
void pci_bus_reset(struct pci_bus *bus);
/* CONFIG_ADDRESS only: the functions' own x_state() call pci_device_state(). */
void pci_bus_state(struct pci_bus *bus, struct state *s);

/*
 * An empty header with the usual writable bits: command (I/O, memory, master, INTx disable), cache line, latency,
 * interrupt line.
 */
void pci_device_init(struct pci_device *d, const char *name, void *opaque, u16 vendor, u16 device, u8 revision,
		     u32 class_code);
/*
 * BAR `index` (a MEMORY64 takes index and index + 1). Reads and writes reach `ops` with accesses of 1, 2, 4 (memory: or
 * 8) bytes.
 */
void pci_bar(struct pci_device *d, unsigned index, enum pci_bar_kind kind, u64 size, const struct mmio_ops *ops,
	     void *opaque, const char *name);
/* An expansion ROM: `image` of `size` bytes (a power of two, at least 2 KiB) stays the caller's. */
void pci_rom(struct pci_device *d, u64 size, const u8 *image, const char *name);
/* Plugs the function in; `devfn` must be free. From here on `initial` is fixed. */
void pci_add(struct pci_bus *bus, struct pci_device *d, unsigned devfn);
/* Configuration space, INTx level; after a load BARs and pins are as they were. For the owner's x_state(). */
void pci_device_state(struct pci_device *d, struct state *s);

/*
 * INTx request: a level; the pin follows Interrupt Pin, INTx disable and the bus's swizzle. The same level again does
 * nothing.
 */
void pci_intx(struct pci_device *d, int level);

/*
 * Bus-master accesses. False, and nothing happens (reads fill with ones), when the guest has not set bus master enable.
 * Addresses where no RAM answers are dropped and counted by bus/memory.
 */
bool pci_dma_read(struct pci_device *d, u64 address, void *buffer, u64 size);
bool pci_dma_write(struct pci_device *d, u64 address, const void *buffer, u64 size);

/*
 * A message-signalled interrupt: a store of 4 bytes by a bus master, which the processors take when it goes to their
 * APICs (SDM 3, "Message Signalled Interrupts"). False: the function is no bus master now.
 */
bool pci_message(struct pci_device *d, u64 address, u32 data);

/* Configuration accesses as the host bridge makes them. `size` 1, 2 or 4, naturally aligned. */
u32 pci_config_read(struct pci_bus *bus, unsigned devfn, unsigned offset, unsigned size);
void pci_config_write(struct pci_bus *bus, unsigned devfn, unsigned offset, unsigned size, u32 value);

static inline void
pci_set16(u8 *bytes, unsigned offset, u16 value)
{
	bytes[offset] = (u8)value;
	bytes[offset + 1] = (u8)(value >> 8);
}

static inline void
pci_set32(u8 *bytes, unsigned offset, u32 value)
{
	pci_set16(bytes, offset, (u16)value);
	pci_set16(bytes, offset + 2, (u16)(value >> 16));
}

static inline u16
pci_get16(const u8 *bytes, unsigned offset)
{
	return (u16)(bytes[offset] | bytes[offset + 1] << 8);
}

static inline u32
pci_get32(const u8 *bytes, unsigned offset)
{
	return pci_get16(bytes, offset) | (u32)pci_get16(bytes, offset + 2) << 16;
}

#endif
