/* The board, wired top to bottom in pc_new(). */
#include "machine/pc.h"

#include <stdlib.h>
#include <string.h>

#include "base/snapshot.h"
#include "base/stop.h"
#include "devices/e1000.h"
#include "devices/flash.h"
#include "devices/ide.h"
#include "devices/vga.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"
#include "machine/firmware.h"

static const u16 com_port[CONFIG_SERIALS] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
static const u8 com_irq[CONFIG_SERIALS] = {4, 3, 4, 3};

/* Slot 2 is the display adapter's, where software of such boards expects it. */
#define VGA_SLOT 2
#define FIRST_CARD_SLOT 3
#define SLOTS 32

/* The slot of a card: the wanted one, or with -1 the first that is free. False: it is taken, or all are. */
static bool
find_slot(const struct pc *pc, int wanted, unsigned *slot)
{
	*slot = wanted >= 0 ? (unsigned)wanted : FIRST_CARD_SLOT;
	while (wanted < 0 && *slot < SLOTS && pc->pci.device[PCI_DEVFN(*slot, 0)])
		++*slot;
	return *slot < SLOTS && !pc->pci.device[PCI_DEVFN(*slot, 0)];
}

static char *
add_nics(struct pc *pc)
{
	const struct config *config = pc->config;

	for (unsigned i = 0; i < config->nics; i++) {
		const struct config_nic *nic = &config->nic[i];
		struct packet_link *link = pc->sockets.link[i] ? pc->sockets.link[i] : &pc->unplugged[i];
		struct nic_parts parts = {0};
		unsigned slot;

		if (!find_slot(pc, nic->slot, &slot))
			return error_string("%s %u: PCI slot %u is taken", config_nic_name(nic->model), i, slot);
		memcpy(parts.mac, nic->mac, sizeof(parts.mac));
		if (pc->sockets.firmware) {
			parts.rom = pc->sockets.firmware->nic_rom[i];
			parts.rom_size = pc->sockets.firmware->nic_rom_size[i];
		}
		if (nic->model == NIC_E1000)
			pc->nic[i] = e1000_new(&pc->pci, PCI_DEVFN((int)slot, 0), pc->sockets.memory, pc->sockets.events,
					       link, &parts);
		else
			pc->virtio_net[i] = virtio_net_new(&pc->pci, PCI_DEVFN(slot, 0), pc->sockets.events, link, &parts,
							   nic->model == NIC_VIRTIO ? VIRTIO_TRANSITIONAL : VIRTIO_MODERN);
		if (!pc->nic[i] && !pc->virtio_net[i])
			return error_string("out of memory");
	}
	return NULL;
}

static char *
add_drives(struct pc *pc)
{
	const struct pc_sockets *sockets = &pc->sockets;
	const struct irq_line irq[2] = {isa_irq_line(&pc->isa, ISA_FROM_IDE, 14), isa_irq_line(&pc->isa, ISA_FROM_IDE, 15)};
	bool cdrom[CONFIG_IDE_DRIVES], any = sockets->firmware != NULL;

	for (unsigned i = 0; i < CONFIG_IDE_DRIVES; i++) {
		cdrom[i] = pc->config->drive[i].cdrom;
		any |= sockets->drive[i] != NULL;
	}
	if (!any)
		return NULL;
	pc->ide = ide_new(&pc->pci, sockets->events, irq, sockets->drive, cdrom);
	return pc->ide ? NULL : error_string("out of memory");
}

static char *
add_virtio_drives(struct pc *pc)
{
	for (unsigned i = 0; i < CONFIG_VIRTIO_DRIVES; i++) {
		const struct config_drive *drive = &pc->config->drive[CONFIG_IDE_DRIVES + i];
		struct block *block = pc->sockets.drive[CONFIG_IDE_DRIVES + i];
		unsigned slot;
		char serial[] = "nestbox0";

		if (!block)
			continue;
		if (!find_slot(pc, drive->slot, &slot))
			return error_string("virtio-blk-pci %s: PCI slot %u is taken", drive->file, slot);
		serial[7] = (char)('0' + i);
		pc->virtio_blk[i] = virtio_blk_new(&pc->pci, PCI_DEVFN(slot, 0), pc->sockets.events, block,
						   drive->serial ? drive->serial : serial,
						   drive->modern ? VIRTIO_MODERN : VIRTIO_TRANSITIONAL);
		if (!pc->virtio_blk[i])
			return error_string("out of memory");
	}
	return NULL;
}

/* Ends where the firmware's image begins. */
static char *
add_flash(struct pc *pc)
{
	u64 size = pc->sockets.flash->sectors * BLOCK_SECTOR, top = 0x100000000ull - pc->sockets.firmware->bios_size;
	char *error;

	if (size == 0 || size % FLASH_BLOCK != 0 || size > 0x800000)
		return error_string("%s: flash is a multiple of 4 KiB, at most 8 MiB long", pc->config->flash.file);
	pc->flash = flash_new(pc->sockets.memory, top - size, pc->sockets.flash, &error);
	return error;
}

struct pc *
pc_new(const struct config *config, const struct pc_sockets *sockets, char **error)
{
	struct pc *pc = calloc(1, sizeof(*pc));
	struct memory *memory = sockets->memory;
	struct ports *ports = sockets->ports;
	struct events *events = sockets->events;
	const struct machine_control *control = sockets->control;
	struct irq_line pic_input, ioapic_input, isa_timer, isa_clock, isa_hpet, isa_keyboard, isa_mouse, isa_sci;
	struct irq_line pit_out, rtc_out, pci_lines[16], test_lines[TESTDEV_IRQS];

	if (!pc) {
		*error = error_string("out of memory");
		return NULL;
	}
	pc->config = config;
	pc->sockets = *sockets;

	/* Interrupt controllers. */
	pic_init(&pc->pic, ports, &sockets->intr);
	ioapic_init(&pc->ioapic, memory, sockets->apic_bus);
	sockets->apic_bus->acknowledge = pic_acknowledge;
	sockets->apic_bus->pic = &pc->pic;
	pic_input = (struct irq_line){pic_set, &pc->pic, 0};
	ioapic_input = (struct irq_line){ioapic_set, &pc->ioapic, 0};
	isa_irq_init(&pc->isa, &pic_input, &ioapic_input);

	/* Time. The HPET stands between PIT and RTC and their interrupts. */
	isa_timer = isa_irq_line(&pc->isa, ISA_FROM_TIMER, 0);
	isa_clock = isa_irq_line(&pc->isa, ISA_FROM_TIMER, 8);
	isa_hpet = isa_irq_line(&pc->isa, ISA_FROM_HPET, 0);
	hpet_init(&pc->hpet, events, memory, &isa_timer, &isa_clock, &isa_hpet);
	pit_out = hpet_legacy_in(&pc->hpet, 0);
	rtc_out = hpet_legacy_in(&pc->hpet, 1);
	pit_init(&pc->pit, events, ports, &pit_out);
	rtc_init(&pc->rtc, events, ports, &rtc_out, config->rtc);
	rtc_set_memory(&pc->rtc, memory->low_size, memory->ram_size - memory->low_size);
	rtc_set_cmos(&pc->rtc, 0x14, 0x06); /* equipment: FPU, mouse; no display, no diskette */
	rtc_set_cmos(&pc->rtc, 0x5f, (u8)(config->cpus - 1));

	/* What hangs on the ISA bus. */
	dma_init(&pc->dma, ports);
	isa_keyboard = isa_irq_line(&pc->isa, ISA_FROM_KEYBOARD, 1);
	isa_mouse = isa_irq_line(&pc->isa, ISA_FROM_KEYBOARD, 12);
	i8042_init(&pc->i8042, ports, &isa_keyboard, &isa_mouse, control);
	for (unsigned i = 0; i < CONFIG_SERIALS; i++) {
		struct irq_line irq = isa_irq_line(&pc->isa, ISA_FROM_SERIAL + i, com_irq[i]);

		if (sockets->serial[i])
			uart16550_init(&pc->serial[i], events, ports, com_port[i], &irq, sockets->serial[i]);
	}

	/* The PCI bus and the chipset. */
	pci_bus_init(&pc->pci, memory, ports);
	pc->pci.apic = sockets->apic_bus;
	i440fx_init(&pc->i440fx, &pc->pci);
	for (unsigned i = 0; i < 16; i++)
		pci_lines[i] = isa_irq_line(&pc->isa, ISA_FROM_PCI, i);
	piix3_init(&pc->piix3, &pc->pci, pci_lines, control);
	isa_sci = isa_irq_line(&pc->isa, ISA_FROM_ACPI, 9);
	acpi_pm_init(&pc->acpi_pm, &pc->pci, events, &isa_sci, control);
	pc->rtc.alarm = acpi_pm_rtc_alarm;
	pc->rtc.alarm_opaque = &pc->acpi_pm;

	/* For firmware, tests and debugging. */
	fw_cfg_init(&pc->fw_cfg, memory, ports);
	fw_cfg_add_number(&pc->fw_cfg, FW_CFG_RAM_SIZE, memory->ram_size, 8);
	fw_cfg_add_number(&pc->fw_cfg, FW_CFG_NO_GRAPHIC, !config->vga, 2);
	fw_cfg_add_number(&pc->fw_cfg, FW_CFG_CPUS, config->cpus, 2);
	fw_cfg_add_number(&pc->fw_cfg, FW_CFG_MAX_CPUS, config->cpus, 2);
	debug_ports_init(&pc->debug_ports, ports, sockets->debug, control);
	if (config->debug_exit.present)
		debug_ports_add_exit(&pc->debug_ports, ports, config->debug_exit.iobase, config->debug_exit.iosize);
	for (unsigned i = 0; i < TESTDEV_IRQS; i++)
		test_lines[i] = isa_irq_line(&pc->isa, ISA_FROM_TEST, i);
	if (config->testdev)
		testdev_init(&pc->testdev, memory, ports, test_lines);
	if (sockets->firmware)
		firmware_install(sockets->firmware, pc);

	/* PCI cards. */
	*error = NULL;
	if (sockets->firmware && sockets->flash)
		*error = add_flash(pc);
	if (!*error && config->vga) {
		pc->vga = vga_new(&pc->pci, PCI_DEVFN(VGA_SLOT, 0), events, sockets->vga_rom, sockets->vga_rom_size);
		if (!pc->vga)
			*error = error_string("out of memory");
	}
	if (!*error)
		*error = add_drives(pc);
	if (!*error)
		*error = add_nics(pc);
	if (!*error)
		*error = add_virtio_drives(pc);
	if (*error) {
		pc_free(pc);
		return NULL;
	}
	return pc;
}

void
pc_free(struct pc *pc)
{
	if (!pc)
		return;
	for (unsigned i = 0; i < CONFIG_NICS; i++) {
		e1000_free(pc->nic[i]);
		virtio_net_free(pc->virtio_net[i]);
	}
	for (unsigned i = 0; i < CONFIG_VIRTIO_DRIVES; i++)
		virtio_blk_free(pc->virtio_blk[i]);
	flash_free(pc->flash);
	ide_free(pc->ide);
	vga_free(pc->vga);
	free(pc);
}

void
pc_reset(struct pc *pc)
{
	/* Who pulls lines before who listens to them. */
	pci_bus_reset(&pc->pci);
	for (unsigned i = 0; i < CONFIG_SERIALS; i++)
		if (pc->sockets.serial[i])
			uart16550_reset(&pc->serial[i]);
	i8042_reset(&pc->i8042);
	dma_reset(&pc->dma);
	pit_reset(&pc->pit);
	rtc_reset(&pc->rtc);
	hpet_reset(&pc->hpet);
	testdev_reset(&pc->testdev);
	fw_cfg_reset(&pc->fw_cfg);
	if (pc->flash)
		flash_reset(pc->flash);
	ioapic_reset(&pc->ioapic);
	pic_reset(&pc->pic);
	/* The loader takes the place of firmware, so the board has to look as firmware leaves it. */
	if (config_direct_boot(pc->config))
		pc_firmware_setup(pc);
}

void
pc_state(struct pc *pc, struct state *s)
{
	isa_irq_state(&pc->isa, s);
	pic_state(&pc->pic, s);
	ioapic_state(&pc->ioapic, s);
	pit_state(&pc->pit, s);
	rtc_state(&pc->rtc, s);
	hpet_state(&pc->hpet, s);
	dma_state(&pc->dma, s);
	i8042_state(&pc->i8042, s);
	for (unsigned i = 0; i < CONFIG_SERIALS; i++)
		if (pc->sockets.serial[i])
			uart16550_state(&pc->serial[i], s);
	pci_bus_state(&pc->pci, s);
	i440fx_state(&pc->i440fx, s);
	piix3_state(&pc->piix3, s);
	acpi_pm_state(&pc->acpi_pm, s);
	fw_cfg_state(&pc->fw_cfg, s);
	debug_ports_state(&pc->debug_ports, s);
	if (pc->testdev.present)
		testdev_state(&pc->testdev, s);
	if (pc->flash)
		flash_state(pc->flash, s);
	if (pc->vga)
		vga_state(pc->vga, s);
	if (pc->ide)
		ide_state(pc->ide, s);
	for (unsigned i = 0; i < CONFIG_NICS; i++) {
		if (pc->nic[i])
			e1000_state(pc->nic[i], s);
		if (pc->virtio_net[i])
			virtio_net_state(pc->virtio_net[i], s);
	}
	for (unsigned i = 0; i < CONFIG_VIRTIO_DRIVES; i++)
		if (pc->virtio_blk[i])
			virtio_blk_state(pc->virtio_blk[i], s);
}
