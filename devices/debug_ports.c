/*
 * Ports for debugging that real PCs do not have: text output at 0x402 (as SeaBIOS writes its log) and 0xe9 (as Bochs
 * has it), "Shutdown" at 0x8900 (as Bochs has it), and the isa-debug-exit device of QEMU's documentation.
 */
#include "devices/debug_ports.h"

#include "base/snapshot.h"

#define PRESENT 0xe9 /* reading an output port gives this, which is how software finds it */

static u32
output_read(void *opaque, u16 port, unsigned size)
{
	(void)opaque;
	(void)port;
	(void)size;
	return PRESENT;
}

static void
output_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct debug_ports *d = opaque;
	u8 byte = (u8)value;

	(void)port;
	(void)size;
	chardev_write(d->output, &byte, 1);
}

static const struct port_ops output_ports = {output_read, output_write, PORT_BYTE};

static u32
no_read(void *opaque, u16 port, unsigned size)
{
	(void)opaque;
	(void)port;
	(void)size;
	return ~0u;
}

static void
shutdown_write(void *opaque, u16 port, unsigned size, u32 value)
{
	static const char word[] = "Shutdown";
	struct debug_ports *d = opaque;

	(void)port;
	(void)size;
	d->matched = (u8)value == word[d->matched] ? d->matched + 1 : (u8)value == word[0];
	if (word[d->matched] != '\0')
		return;
	d->matched = 0;
	d->control->power_off(d->control->opaque, "port 0x8900");
}

static const struct port_ops shutdown_ports = {no_read, shutdown_write, PORT_BYTE};

static void
exit_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct debug_ports *d = opaque;

	(void)port;
	(void)size;
	/* The host keeps the low eight bits only. */
	d->control->exit(d->control->opaque, (int)((value << 1 | 1) & 0xff));
}

static u32
exit_read(void *opaque, u16 port, unsigned size)
{
	(void)opaque;
	(void)port;
	(void)size;
	return 0;
}

static const struct port_ops exit_ports = {exit_read, exit_write, PORT_BYTE | PORT_WORD | PORT_LONG};

void
debug_ports_init(struct debug_ports *d, struct ports *ports, struct chardev *output,
		 const struct machine_control *control)
{
	*d = (struct debug_ports){.output = output, .control = control};
	ports_map(ports, "debug", 0x402, 1, &output_ports, d);
	ports_map(ports, "debug", 0xe9, 1, &output_ports, d);
	ports_map(ports, "shutdown", 0x8900, 1, &shutdown_ports, d);
}

void
debug_ports_add_exit(struct debug_ports *d, struct ports *ports, u16 base, unsigned size)
{
	ports_map(ports, "isa-debug-exit", base, size, &exit_ports, d);
}

void
debug_ports_state(struct debug_ports *d, struct state *s)
{
	state_section(s, "debug_ports", 1);
	STATE(s, d->matched);
	d->matched &= 7;
}
