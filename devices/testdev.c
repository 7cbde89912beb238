/*
 * pc-testdev as QEMU documents it:
 *   0xe0..0xe3    a latch for accesses of 1, 2 or 4 bytes
 *   0xe4          "flush page": the mapping of a page under the guest changes; nothing to do on a software MMU
 *   0x2000 + n    level of interrupt input n
 *   0xff000000    64 KiB of memory that is reached as MMIO, so that every access leaves a virtual machine
 */
#include "devices/testdev.h"

#include <string.h>

#include "base/snapshot.h"

static u32
latch_read(void *opaque, u16 port, unsigned size)
{
	struct testdev *t = opaque;

	(void)size;
	return t->latch >> (port & 3) * 8;
}

static void
latch_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct testdev *t = opaque;
	unsigned shift = (port & 3) * 8;
	u32 mask = (u32)(~0ull >> (64 - size * 8)) << shift;

	t->latch = (t->latch & ~mask) | (value << shift & mask);
}

static const struct port_ops latch_ports = {latch_read, latch_write, PORT_BYTE | PORT_WORD | PORT_LONG};

static u32
zero_read(void *opaque, u16 port, unsigned size)
{
	(void)opaque;
	(void)port;
	(void)size;
	return 0;
}

static void
flush_write(void *opaque, u16 port, unsigned size, u32 value)
{
	(void)opaque;
	(void)port;
	(void)size;
	(void)value;
}

static const struct port_ops flush_ports = {zero_read, flush_write, PORT_BYTE | PORT_WORD | PORT_LONG};

static void
irq_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct testdev *t = opaque;

	(void)size;
	irq_set(&t->irq[(port - 0x2000u) % TESTDEV_IRQS], (value & 0xff) != 0);
}

static const struct port_ops irq_ports = {zero_read, irq_write, PORT_BYTE | PORT_WORD | PORT_LONG};

static u64
ram_read(void *opaque, u64 offset, unsigned size)
{
	struct testdev *t = opaque;
	u64 value = 0;

	memcpy(&value, t->ram + offset, size);
	return value;
}

static void
ram_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct testdev *t = opaque;

	memcpy(t->ram + offset, &value, size);
}

static const struct mmio_ops ram_ops = {ram_read, ram_write};

void
testdev_init(struct testdev *t, struct memory *memory, struct ports *ports, const struct irq_line irq[TESTDEV_IRQS])
{
	memset(t, 0, sizeof(*t));
	t->present = true;
	memcpy(t->irq, irq, sizeof(t->irq));
	ports_map(ports, "testdev-latch", 0xe0, 4, &latch_ports, t);
	ports_map(ports, "testdev-flush", 0xe4, 4, &flush_ports, t);
	ports_map(ports, "testdev-irq", 0x2000, TESTDEV_IRQS, &irq_ports, t);
	memory_map_mmio(memory, "testdev-ram", TESTDEV_RAM_BASE, TESTDEV_RAM_SIZE, &ram_ops, t);
}

void
testdev_reset(struct testdev *t)
{
	t->latch = 0;
	for (unsigned i = 0; i < TESTDEV_IRQS; i++)
		irq_set(&t->irq[i], 0);
}

void
testdev_state(struct testdev *t, struct state *s)
{
	state_section(s, "testdev", 1);
	STATE(s, t->latch);
	STATE(s, t->ram);
}
