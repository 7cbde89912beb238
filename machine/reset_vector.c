/*
 * What direct boot has in place of firmware: a page of code (bios/direct.S) with the reset vector and BIOS services, the
 * interrupt vectors and the BIOS data area that go with it, and what firmware would do when software jumps to the reset
 * vector. By the shutdown byte in CMOS it goes on where software has said, or starts all over.
 *
 * Source: IBM PC AT Technical Reference, BIOS listing ("Shutdown" codes 5 and 0Ah: jump by the pointer at 40h:67h) and
 * BIOS data area. Codes that return from block moves and from tests of extended memory mean "start over" too.
 */
#include <string.h>

#include "bios/direct.h"
#include "bus/memory.h"
#include "bus/ports.h"
#include "cpu/vcpu.h"
#include "machine/loader_internal.h"
#include "machine/machine.h"
#include "machine/pc.h"

#define CMOS_SHUTDOWN 0x0f
#define CMOS_EQUIPMENT 0x14

#define BDA_SERIAL 0x400 /* base ports, a word each */
#define BDA_EBDA 0x40e   /* segment */
#define BDA_EQUIPMENT 0x410
#define BDA_MEMORY 0x413 /* KiB below the extended BIOS data area */
#define BDA_VIDEO_MODE 0x449
#define BDA_COLUMNS 0x44a
#define BDA_CRTC 0x463
#define BDA_JUMP_POINTER 0x467
#define BDA_LAST_ROW 0x484

#define EQUIPMENT_SERIALS 9 /* bit position of their number */
#define TEXT_80X25 3

_Static_assert(E820_MAX <= BIOS_DIRECT_MAP_MAX, "the memory map has room in the page");

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
	struct e820 map[E820_MAX];
	unsigned entries = loader_e820(machine->memory, map);
	u8 *table = machine->reset_page + (bios_direct_map - bios_direct);

	memcpy(machine->reset_page, bios_direct, BIOS_DIRECT_SIZE);
	put16(table, (u16)entries);
	memcpy(table + 2, map, entries * sizeof(map[0]));
	memory_map_host(machine->memory, "reset-vector", BIOS_DIRECT_HIGH, sizeof(machine->reset_page), machine->reset_page,
			false);
	ports_map(machine->ports, "reset-vector", BIOS_DIRECT_CALL_PORT, 1, &call_ports, machine);
}

/* The BIOS data area, as far as the services and kernels read it. */
static void
write_data_area(struct machine *machine)
{
	static const u16 com_port[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	struct memory *m = machine->memory;
	unsigned serials = 0;

	for (unsigned i = 0; i < CONFIG_SERIALS && i < COUNT(com_port); i++)
		if (machine->pc->sockets.serial[i])
			memory_write(m, BDA_SERIAL + 2 * serials++, 2, com_port[i]);
	memory_write(m, BDA_EBDA, 2, LOW_END >> 4);
	memory_write(m, BDA_MEMORY, 2, LOW_END >> 10);
	memory_write(m, BDA_EQUIPMENT, 2, machine->pc->rtc.cmos[CMOS_EQUIPMENT] | serials << EQUIPMENT_SERIALS);
	memory_write(m, BDA_VIDEO_MODE, 1, TEXT_80X25);
	memory_write(m, BDA_COLUMNS, 2, 80);
	memory_write(m, BDA_CRTC, 2, 0x3d4);
	memory_write(m, BDA_LAST_ROW, 1, 24);
}

void
reset_vector_copy(struct machine *machine)
{
	dma_write(machine->memory, BIOS_DIRECT_LOW, machine->reset_page, sizeof(machine->reset_page));
	for (unsigned vector = 0; vector < 256; vector++)
		memory_write(machine->memory, vector * 4, 4,
			     get16(bios_direct_vectors + 2 * vector) | (u32)BIOS_DIRECT_SEGMENT << 16);
	write_data_area(machine);
}

bool
reset_vector_jump(struct machine *machine)
{
	struct vcpu *cpu = machine->cpus->cpu[0];
	u8 shutdown = machine->pc->rtc.cmos[CMOS_SHUTDOWN];
	u32 pointer = (u32)memory_read(machine->memory, BDA_JUMP_POINTER, 4);

	if (shutdown != 0x05 && shutdown != 0x0a)
		return false;
	cpus_init(machine->cpus, 0);
	cpu->seg[CS].selector = (u16)(pointer >> 16);
	cpu->seg[CS].base = pointer >> 16 << 4;
	cpu->rip = pointer & 0xffff;
	cpu_mode_changed(cpu);
	return true;
}
