/*
 * What lies at the reset vector in direct boot, where no firmware does: a few instructions that call for it, and what
 * firmware would do then. By the shutdown byte in CMOS it goes on where software has said, or starts all over.
 *
 * Source: IBM PC AT Technical Reference, BIOS listing ("Shutdown" codes 5 and 0Ah: jump by the pointer at 40h:67h).
 * Codes that return from block moves and from tests of extended memory mean "start over" too.
 */
#include <string.h>

#include "bus/memory.h"
#include "bus/ports.h"
#include "cpu/vcpu.h"
#include "machine/machine.h"
#include "machine/pc.h"

#define ROM_BASE 0xfffff000u
#define LOW_COPY 0xffff0u /* where programs jump to that want a restart */
#define CALL_PORT 0xea

#define CMOS_SHUTDOWN 0x0f
#define JUMP_POINTER 0x467

static const u8 code[] = {
	0xe6, CALL_PORT, /* out CALL_PORT, al */
	0xf4,            /* hlt */
	0xeb, 0xfd,      /* jmp to the hlt */
};

static u32
call_read(void *opaque, u16 port, unsigned size)
{
	(void)opaque;
	(void)port;
	(void)size;
	return ~0u;
}

static void
call_write(void *opaque, u16 port, unsigned size, u32 value)
{
	(void)port;
	(void)size;
	(void)value;
	machine_call_firmware(opaque);
}

static const struct port_ops call_ports = {call_read, call_write, PORT_BYTE};

void
reset_vector_map(struct machine *machine)
{
	memcpy(machine->reset_page + 0xff0, code, sizeof(code));
	memory_map_host(machine->memory, "reset-vector", ROM_BASE, sizeof(machine->reset_page), machine->reset_page, false);
	ports_map(machine->ports, "reset-vector", CALL_PORT, 1, &call_ports, machine);
}

void
reset_vector_copy(struct machine *machine)
{
	dma_write(machine->memory, LOW_COPY, code, sizeof(code));
}

bool
reset_vector_jump(struct machine *machine)
{
	struct vcpu *cpu = machine->cpus->cpu[0];
	u8 shutdown = machine->pc->rtc.cmos[CMOS_SHUTDOWN];
	u32 pointer = (u32)memory_read(machine->memory, JUMP_POINTER, 4);

	if (shutdown != 0x05 && shutdown != 0x0a)
		return false;
	cpus_init(machine->cpus, 0);
	cpu->seg[CS].selector = (u16)(pointer >> 16);
	cpu->seg[CS].base = pointer >> 16 << 4;
	cpu->rip = pointer & 0xffff;
	cpu_mode_changed(cpu);
	return true;
}
