#include "devices/pci.h"

#include <string.h>

#include "base/log.h"
#include "base/snapshot.h"

LOG_CATEGORY("pci");

#define CONFIG_ENABLE BIT(31)
#define MESSAGE_PAGES 0xfeeu /* bits 31:20 of the addresses that mean an APIC */

void
pci_device_init(struct pci_device *d, const char *name, void *opaque, u16 vendor, u16 device, u8 revision,
		u32 class_code)
{
	memset(d, 0, sizeof(*d));
	d->name = name;
	d->opaque = opaque;
	pci_set16(d->config, PCI_VENDOR_ID, vendor);
	pci_set16(d->config, PCI_DEVICE_ID, device);
	d->config[PCI_REVISION] = revision;
	d->config[PCI_CLASS] = (u8)class_code;
	pci_set16(d->config, PCI_CLASS + 1, (u16)(class_code >> 8));
	pci_set16(d->writable, PCI_COMMAND,
		  PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	d->writable[0x0c] = 0xff; /* cache line size */
	d->writable[0x0d] = 0xff; /* latency timer */
	d->writable[PCI_INTERRUPT_LINE] = 0xff;
}

static unsigned
bar_offset(unsigned index)
{
	return index == PCI_BAR_ROM_INDEX ? PCI_ROM_BAR : PCI_BAR0 + 4 * index;
}

void
pci_bar(struct pci_device *d, unsigned index, enum pci_bar_kind kind, u64 size, const struct mmio_ops *ops,
	void *opaque, const char *name)
{
	unsigned at = bar_offset(index);

	assert(index < PCI_BARS && (size & (size - 1)) == 0 && size >= (kind == PCI_BAR_IO ? 4 : 16));
	assert(kind != PCI_BAR_MEMORY64 || index < 5);
	d->bar[index] =
		(struct pci_bar){.kind = kind, .size = size, .ops = ops, .opaque = opaque, .device = d, .name = name};
	pci_set32(d->writable, at, (u32)~(size - 1));
	switch (kind) {
	case PCI_BAR_IO:
		assert(size <= 0x100);
		pci_set32(d->config, at, 1);
		break;
	case PCI_BAR_MEMORY64:
		pci_set32(d->config, at, 4);
		pci_set32(d->writable, at + 4, (u32)(~(size - 1) >> 32));
		break;
	case PCI_BAR_ROM:
		assert(size >= 2048);
		d->writable[at] |= 1; /* address decode enable */
		break;
	default:
		break;
	}
}

void
pci_rom(struct pci_device *d, u64 size, const u8 *image, const char *name)
{
	pci_bar(d, PCI_BAR_ROM_INDEX, PCI_BAR_ROM, size, NULL, (void *)(uintptr_t)image, name);
}

/* The window's address, or 0 when the function does not answer. */
static u64
bar_decode(const struct pci_device *d, unsigned index)
{
	const struct pci_bar *bar = &d->bar[index];
	u16 command = pci_get16(d->config, PCI_COMMAND);
	u32 low = pci_get32(d->config, bar_offset(index));
	u64 base;

	switch (bar->kind) {
	case PCI_BAR_IO:
		base = low & ~3ull;
		return command & PCI_COMMAND_IO && base + bar->size <= 0x10000 ? base : 0;
	case PCI_BAR_ROM:
		base = low & ~0x7ffull;
		if (!(low & 1))
			return 0;
		break;
	case PCI_BAR_MEMORY64:
		base = (low & ~15ull) | (u64)pci_get32(d->config, bar_offset(index) + 4) << 32;
		break;
	default:
		base = low & ~15ull;
		break;
	}
	/*
	 * A window that ends at the top is the sizing pattern of software that left decoding on: firmware and APICs
	 * live there.
	 */
	if (!(command & PCI_COMMAND_MEMORY) || base >= BIT(52) - bar->size || base + bar->size == BIT(32))
		return 0;
	return base;
}

static u32
bar_port_read(void *opaque, u16 port, unsigned size)
{
	struct pci_bar *bar = opaque;
	u64 offset = port - bar->base;

	if (offset + size > bar->size)
		return ~0u;
	return (u32)bar->ops->read(bar->opaque, offset, size);
}

static void
bar_port_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct pci_bar *bar = opaque;
	u64 offset = port - bar->base;

	if (offset + size <= bar->size)
		bar->ops->write(bar->opaque, offset, size, value);
}

static const struct port_ops bar_ports = {bar_port_read, bar_port_write, PORT_BYTE | PORT_WORD | PORT_LONG};

static void
bar_update(struct pci_device *d, unsigned index)
{
	struct pci_bar *bar = &d->bar[index];
	u64 base = bar_decode(d, index);

	if (bar->kind == PCI_BAR_NONE || base == (bar->mapped ? bar->base : 0))
		return;
	log_debug("%s: %s %s %#llx", d->name, bar->name, base ? "at" : "not decoded, was at",
		  (unsigned long long)(base ? base : bar->base));
	if (bar->kind == PCI_BAR_IO) {
		if (bar->mapped)
			ports_unmap(d->bus->ports, (u16)bar->base, (unsigned)bar->size);
		bar->base = base;
		if (base)
			ports_map(d->bus->ports, bar->name, (u16)base, (unsigned)bar->size, &bar_ports, bar);
	} else {
		bar->base = base;
		if (base)
			memory_move(d->bus->memory, bar->range, base);
		else
			memory_unmap(d->bus->memory, bar->range);
	}
	bar->mapped = base != 0;
}

static unsigned
swizzle(const struct pci_device *d, unsigned pin)
{
	/* As on the boards of the time: INTA# of slot 1 is PIRQA, and each further slot is turned by one. */
	return ((d->devfn >> 3) + pin - 2) & 3;
}

static void
pin_update(struct pci_device *d, bool tell)
{
	struct pci_bus *bus = d->bus;
	bool pin = d->intx && !(pci_get16(d->config, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
	unsigned pirq = swizzle(d, d->config[PCI_INTERRUPT_PIN]);

	d->config[PCI_STATUS] =
		(u8)((d->config[PCI_STATUS] & ~PCI_STATUS_INTERRUPT) | (d->intx ? PCI_STATUS_INTERRUPT : 0));
	if (pin == d->pin || !d->config[PCI_INTERRUPT_PIN])
		return;
	d->pin = pin;
	bus->pulled[pirq] += pin ? 1 : -1u;
	if (tell && bus->pirq && bus->pulled[pirq] == (pin ? 1 : 0))
		bus->pirq(bus->pirq_opaque, pirq, pin);
}

void
pci_intx(struct pci_device *d, int level)
{
	if (d->intx == (level != 0))
		return;
	d->intx = level != 0;
	pin_update(d, true);
}

void
pci_add(struct pci_bus *bus, struct pci_device *d, unsigned devfn)
{
	assert(devfn < 256 && !bus->device[devfn] && d->config[PCI_INTERRUPT_PIN] <= 4);
	d->devfn = (u8)devfn;
	d->bus = bus;
	bus->device[devfn] = d;
	memcpy(d->initial, d->config, sizeof(d->initial));
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct pci_bar *bar = &d->bar[i];

		if (bar->kind == PCI_BAR_MEMORY || bar->kind == PCI_BAR_MEMORY64)
			bar->range = memory_map_mmio(bus->memory, bar->name, 0, bar->size, bar->ops, bar->opaque);
		else if (bar->kind == PCI_BAR_ROM)
			bar->range = memory_map_host(bus->memory, bar->name, 0, bar->size, bar->opaque, false);
		if (bar->kind != PCI_BAR_NONE && bar->kind != PCI_BAR_IO)
			memory_unmap(bus->memory, bar->range);
		bar_update(d, i);
	}
}

static void
device_update(struct pci_device *d, bool tell)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		bar_update(d, i);
	pin_update(d, tell);
}

u32
pci_config_read(struct pci_bus *bus, unsigned devfn, unsigned offset, unsigned size)
{
	const struct pci_device *d = bus->device[devfn & 255];
	u32 value = ~0u;

	if (!d)
		return size == 4 ? ~0u : (u32)BIT(8 * size) - 1;
	if (d->config_read)
		d->config_read(d->opaque, offset, size);
	value = 0;
	for (unsigned i = 0; i < size; i++)
		value |= (u32)(offset + i < 256 ? d->config[offset + i] : 0xff) << 8 * i;
	return value;
}

void
pci_config_write(struct pci_bus *bus, unsigned devfn, unsigned offset, unsigned size, u32 value)
{
	struct pci_device *d = bus->device[devfn & 255];

	if (!d || offset + size > 256)
		return;
	for (unsigned i = 0; i < size; i++) {
		u8 byte = (u8)(value >> 8 * i);
		u8 *at = &d->config[offset + i], mask = d->writable[offset + i];

		*at = (u8)((*at & ~mask) | (byte & mask));
		*at &= (u8)~(byte & d->clear_on_one[offset + i]);
	}
	device_update(d, true);
	if (d->config_written)
		d->config_written(d->opaque, offset, size);
}

bool
pci_dma_read(struct pci_device *d, u64 address, void *buffer, u64 size)
{
	if (!(pci_get16(d->config, PCI_COMMAND) & PCI_COMMAND_MASTER)) {
		memset(buffer, 0xff, size);
		return false;
	}
	dma_read(d->bus->memory, address, buffer, size);
	return true;
}

bool
pci_dma_write(struct pci_device *d, u64 address, const void *buffer, u64 size)
{
	if (!(pci_get16(d->config, PCI_COMMAND) & PCI_COMMAND_MASTER))
		return false;
	dma_write_by(d->bus->memory, d->name, address, buffer, size);
	return true;
}

bool
pci_message(struct pci_device *d, u64 address, u32 data)
{
	const struct apic_bus *apic = d->bus->apic;
	u8 bytes[4];
	/*
	 *    31    20 19         12 11  4  3   2  1 0        15    14   10:8       7:0
	 *   | 0xfee  | destination |     |RH |DM |   |      |level|    |delivery | vector |
	 */
	const struct apic_message message = {
		.destination = (u32)BITS(address, 19, 12),
		.vector = (u8)data,
		.delivery = (u8)BITS(data, 10, 8),
		.logical = BITS(address, 2, 2),
		.level = BITS(data, 15, 15),
		.assert_ = true,
	};

	if (!(pci_get16(d->config, PCI_COMMAND) & PCI_COMMAND_MASTER))
		return false;
	if (address >> 20 == MESSAGE_PAGES) {
		log_debug("%s: vector %#x to %#x", d->name, message.vector, message.destination);
		if (apic && apic->send)
			apic->send(apic->cpus, &message);
		return true;
	}
	pci_set32(bytes, 0, data);
	dma_write(d->bus->memory, address, bytes, sizeof(bytes));
	return true;
}

/*
 * Configuration mechanism #1. CONFIG_ADDRESS takes 32-bit accesses only; the reset control register of the south bridge
 * lies inside it.
 *
 *    31        24 23      16 15     11 10      8 7         2 1 0
 *   | E | zero   | bus      | device  | function | register | 0 |
 */
static u32
config_port_read(void *opaque, u16 port, unsigned size)
{
	struct pci_bus *bus = opaque;
	unsigned lanes = MIN(size, 4u - (port & 3));
	u32 value;

	if (port == 0xcf8 && size == 4)
		return bus->address;
	if (port == 0xcf9 && size == 1)
		return bus->reset_control_read ? bus->reset_control_read(bus->reset_opaque) : 0;
	if (port < 0xcfc || !(bus->address & CONFIG_ENABLE) || BITS(bus->address, 23, 16) != 0)
		return ~0u;
	value = pci_config_read(bus, BITS(bus->address, 15, 8), (bus->address & 0xfc) + (port & 3), lanes);
	/* Nobody drives the lanes beyond the register. */
	return lanes < size ? value | ~0u << 8 * lanes : value;
}

static void
config_port_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct pci_bus *bus = opaque;

	if (port == 0xcf8 && size == 4)
		bus->address = value & 0x80fffffc;
	else if (port == 0xcf9 && size == 1 && bus->reset_control)
		bus->reset_control(bus->reset_opaque, (u8)value);
	if (port < 0xcfc || !(bus->address & CONFIG_ENABLE) || BITS(bus->address, 23, 16) != 0)
		return;
	pci_config_write(bus, BITS(bus->address, 15, 8), (bus->address & 0xfc) + (port & 3), MIN(size, 4u - (port & 3)),
			 value);
}

static const struct port_ops config_ports = {config_port_read, config_port_write, PORT_BYTE | PORT_WORD | PORT_LONG};

void
pci_bus_init(struct pci_bus *bus, struct memory *memory, struct ports *ports)
{
	memset(bus, 0, sizeof(*bus));
	bus->memory = memory;
	bus->ports = ports;
	ports_map(ports, "pci-config", 0xcf8, 8, &config_ports, bus);
}

void
pci_bus_reset(struct pci_bus *bus)
{
	bus->address = 0;
	for (unsigned i = 0; i < 256; i++) {
		struct pci_device *d = bus->device[i];

		if (!d)
			continue;
		memcpy(d->config, d->initial, sizeof(d->config));
		d->intx = false;
		device_update(d, true);
		if (d->reset)
			d->reset(d->opaque);
	}
}

void
pci_bus_state(struct pci_bus *bus, struct state *s)
{
	state_section(s, "pci", 1);
	STATE(s, bus->address);
}

void
pci_device_state(struct pci_device *d, struct state *s)
{
	STATE(s, d->config);
	state_bool(s, &d->intx);
	/* Quietly: the interrupt controllers and the south bridge have their own state of the same wires. */
	if (state_mode(s) == STATE_LOAD)
		device_update(d, false);
}
