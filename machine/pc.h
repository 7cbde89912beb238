/*
 * The board: a PC with i440FX and PIIX3, without its processors, memory and host ends. pc.c wires it in one function.
 */
#ifndef NB_MACHINE_PC_H
#define NB_MACHINE_PC_H

#include "bus/irq.h"
#include "bus/packet.h"
#include "devices/acpi_pm.h"
#include "devices/debug_ports.h"
#include "devices/dma.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i440fx.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/isa_irq.h"
#include "devices/pci.h"
#include "devices/pic.h"
#include "devices/piix3.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "devices/testdev.h"
#include "devices/uart16550.h"
#include "machine/config.h"

struct block;
struct chardev;
struct e1000;
struct firmware;
struct flash;
struct ide;
struct vga;
struct virtio_blk;
struct virtio_net;

/* What the board is plugged into. Everything must outlive the board. */
struct pc_sockets {
	struct memory *memory;
	struct ports *ports;
	struct events *events;
	/*
	 * The board fills in eoi, ioapic, acknowledge and pic; the processors fill in send and cpus, before or after.
	 */
	struct apic_bus *apic_bus;
	struct irq_line intr; /* the PIC's INTR output: cpus_set_intr() */
	const struct machine_control *control;
	/* COM1..COM4; NULL: the port is not there. */
	struct chardev *serial[CONFIG_SERIALS];
	/* What is written to ports 0x402 and 0xe9; NULL: dropped. */
	struct chardev *debug;
	/* One cable per config.nic; NULL: link down. */
	struct packet_link *link[CONFIG_NICS];
	/* As config.drive; NULL: empty. */
	struct block *drive[CONFIG_DRIVES];
	/* NULL: direct boot. */
	struct firmware *firmware;
	/* What firmware keeps its variables in; NULL: nothing. */
	struct block *flash;
	/* The display adapter's expansion ROM; NULL: none. */
	const u8 *vga_rom;
	u32 vga_rom_size;
};

struct pc {
	const struct config *config;
	struct pc_sockets sockets;
	struct isa_irq isa;
	struct pic pic;
	struct ioapic ioapic;
	struct pit pit;
	struct rtc rtc;
	struct hpet hpet;
	struct dma dma;
	struct i8042 i8042;
	struct uart16550 serial[CONFIG_SERIALS];
	struct pci_bus pci;
	struct i440fx i440fx;
	struct piix3 piix3;
	struct acpi_pm acpi_pm;
	struct fw_cfg fw_cfg;
	struct debug_ports debug_ports;
	struct testdev testdev;
	struct flash *flash; /* NULL: none */
	struct vga *vga; /* NULL: none */
	struct ide *ide; /* NULL: direct boot without drives */
	/* One of the two for each card. */
	struct e1000 *nic[CONFIG_NICS];
	struct virtio_net *virtio_net[CONFIG_NICS];
	struct virtio_blk *virtio_blk[CONFIG_VIRTIO_DRIVES];
	/* address of the FACS after pc_reset() for direct boot: the waking vector of S3 is at 12 and 24 in it */
	u64 facs;
	struct packet_link unplugged[CONFIG_NICS]; /* cables of cards without a back end */
};

/* Makes and wires everything; the state is that of power on. Returns NULL and sets *error (heap). */
struct pc *pc_new(const struct config *config, const struct pc_sockets *sockets, char **error);
void pc_free(struct pc *pc);
/*
 * Hard reset of the board's chips (not of processors and RAM). For direct boot this then does what firmware would: PCI
 * windows and interrupts are assigned, ACPI tables lie at 0xe0000. Call it before the loader.
 */
void pc_reset(struct pc *pc);
void pc_state(struct pc *pc, struct state *s);
/* The part of pc_reset() that stands in for firmware; pc_firmware.c. */
void pc_firmware_setup(struct pc *pc);

#endif
