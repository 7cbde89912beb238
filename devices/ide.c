/*
 * The IDE function of the PIIX3, and the ATA disks on it.
 *
 * Source: 82371SB data sheet (order 290550), "IDE Controller Functions"; "Programming Interface for Bus Master IDE
 * Controller" 1.0; ATA/ATAPI-6 (T13/1410D), "Register definitions", "Command descriptions". CD-ROM drives: atapi.c.
 * Not modelled: timing registers (they keep what is written), switching the ports off, SMART, security, power states,
 * overlapped commands, tracks and heads other than 16 heads of 63 sectors.
 *
 * A command with data keeps the drive busy for a fixed virtual time per sector. Data moves from and to the image at the
 * end of that time, in blocks that fit the channel's buffer.
 */
#include "devices/ide.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

LOG_CATEGORY("ide");

/*
 * What a channel without drives reads as: the lines float high, but for DD7, which the host pulls down, so that BSY seems clear
 * (ATA/ATAPI-6, "Signal descriptions") and software does not wait for a drive that is not there.
 */
#define OPEN_BUS 0x7f

#define COMMAND_NS 20000 /* from command to first data, */
#define SECTOR_NS 2000   /* and per sector on top */

#define HEADS 16
#define SECTORS 63

#define DEVICE_SLAVE BIT(4)
#define DEVICE_LBA BIT(6)
#define CONTROL_NIEN BIT(1)
#define CONTROL_SRST BIT(2)
#define CONTROL_HOB BIT(7)

#define BM_TO_MEMORY BIT(3)
#define BM_ERROR BIT(1)
#define BM_INTERRUPT BIT(2)
#define BM_DRIVES 0x60

void
ide_set_intrq(struct ide_channel *c, bool on)
{
	if (on && !c->intrq)
		c->bm_status |= BM_INTERRUPT;
	c->intrq = on;
	irq_set(&c->irq, on && !(c->control & CONTROL_NIEN));
}

void
ide_finish(struct ide_channel *c, u8 error)
{
	struct ide_drive *d = ide_selected(c);

	c->phase = IDE_IDLE;
	c->size = c->position = 0;
	d->error = error;
	d->status = (u8)(IDE_DRDY | IDE_DSC | (error ? IDE_ERR : 0));
	ide_set_intrq(c, true);
}

void
ide_busy(struct ide_channel *c, enum ide_phase phase, u32 sectors)
{
	struct events *events = c->ide->events;

	c->phase = (u8)phase;
	ide_selected(c)->status = IDE_BSY;
	event_arm(events, &c->work,
		  events_now(events) + events_from_ns(events, COMMAND_NS + (u64)sectors * SECTOR_NS));
}

/* ---- Bus master ---- */

/* Loads the next region of the table. False: the last one is used up. */
static bool
next_region(struct ide_channel *c)
{
	u8 entry[8];

	if (c->bm_last || !pci_dma_read(&c->ide->pci, c->bm_next, entry, sizeof(entry)))
		return false;
	c->bm_next += 8;
	c->bm_address = pci_get32(entry, 0) & ~1u;
	c->bm_left = pci_get16(entry, 4) & 0xfffe;
	if (!c->bm_left)
		c->bm_left = 0x10000;
	c->bm_last = entry[7] & 0x80;
	return true;
}

u32
ide_bus_master(struct ide_channel *c, u32 size)
{
	struct pci_device *pci = &c->ide->pci;
	u32 done = 0;

	while (done < size) {
		u32 piece;

		if (!c->bm_left && !next_region(c))
			return done;
		piece = MIN(c->bm_left, size - done);
		if (c->writes ? !pci_dma_read(pci, c->bm_address, c->buffer + done, piece)
			      : !pci_dma_write(pci, c->bm_address, c->buffer + done, piece))
			return done;
		c->bm_address += piece;
		c->bm_left -= piece;
		done += piece;
	}
	return done;
}

/* ---- ATA commands ---- */

static bool
is_extended(u8 command)
{
	return command == 0x24 || command == 0x25 || command == 0x29 || command == 0x34 || command == 0x35 ||
	       command == 0x39 || command == 0x42;
}

/* Where the task file points, and how many sectors it asks for. False: outside the disk. */
static bool
get_address(struct ide_channel *c, bool extended)
{
	struct ide_drive *d = ide_selected(c);
	u32 low = d->lba_low[0], mid = d->lba_mid[0], high = d->lba_high[0], head = d->device & 15;

	if (extended) {
		c->sector = low | mid << 8 | high << 16 | (u64)d->lba_low[1] << 24 | (u64)d->lba_mid[1] << 32 |
			    (u64)d->lba_high[1] << 40;
		c->sectors = d->count[0] | (u32)d->count[1] << 8;
		c->sectors = c->sectors ? c->sectors : 65536;
	} else {
		if (d->device & DEVICE_LBA)
			c->sector = low | mid << 8 | high << 16 | head << 24;
		else if (low == 0 || low > SECTORS)
			return false;
		else
			c->sector = ((u64)(mid | high << 8) * HEADS + head) * SECTORS + low - 1;
		c->sectors = d->count[0] ? d->count[0] : 256;
	}
	return c->sector < d->block->sectors && c->sectors <= d->block->sectors - c->sector;
}

/* After an error the task file names the sector. */
static void
put_address(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);

	d->lba_low[0] = (u8)c->sector;
	d->lba_mid[0] = (u8)(c->sector >> 8);
	d->lba_high[0] = (u8)(c->sector >> 16);
	d->device = (u8)((d->device & 0xf0) | (c->sector >> 24 & 15));
	d->lba_low[1] = (u8)(c->sector >> 24);
	d->lba_mid[1] = (u8)(c->sector >> 32);
	d->lba_high[1] = (u8)(c->sector >> 40);
}

/* One block between image and buffer. False: the command has ended with an error. */
static bool
transfer(struct ide_channel *c, u32 count)
{
	struct ide_drive *d = ide_selected(c);
	int error = c->writes ? d->block->write(d->block->host, c->sector, count, c->buffer)
			      : d->block->read(d->block->host, c->sector, count, c->buffer);

	if (error) {
		put_address(c);
		ide_finish(c, IDE_UNC);
		return false;
	}
	c->sector += count;
	c->sectors -= count;
	return true;
}

static void
offer(struct ide_channel *c, enum ide_phase phase, u32 size)
{
	c->phase = (u8)phase;
	c->position = 0;
	c->size = size;
	ide_selected(c)->status = IDE_DRDY | IDE_DSC | IDE_DRQ;
}

static void
begin_transfer(struct ide_channel *c, u8 command, bool writes, bool multiple, bool dma)
{
	struct ide_drive *d = ide_selected(c);

	c->writes = writes;
	c->dma = dma;
	c->limit = multiple ? d->multiple : 1;
	if (c->limit == 0)
		ide_finish(c, IDE_ABRT);
	else if (!get_address(c, is_extended(command)))
		ide_finish(c, IDE_IDNF);
	else if (writes && d->block->read_only)
		ide_finish(c, IDE_ABRT);
	else if (dma) {
		c->phase = IDE_DMA_WAIT;
		d->status = IDE_DRDY | IDE_DSC | IDE_DRQ;
		if (c->bm_command & IDE_BM_START)
			ide_busy(c, IDE_DMA, c->sectors);
	} else if (writes)
		offer(c, IDE_WRITE_DATA, ide_block_sectors(c) * BLOCK_SECTOR);
	else
		ide_busy(c, IDE_READ, ide_block_sectors(c));
}

static void
run_dma(struct ide_channel *c)
{
	while (c->sectors) {
		u32 count = MIN(c->sectors, IDE_BUFFER / BLOCK_SECTOR), size = count * BLOCK_SECTOR;

		if (!c->writes && !transfer(c, count))
			break;
		if (ide_bus_master(c, size) < size) {
			/* The table was too short: the bus master stops, and the drive waits for more. */
			c->bm_status &= (u8)~IDE_BM_ACTIVE;
			ide_selected(c)->status = IDE_DRDY | IDE_DSC | IDE_DRQ;
			c->phase = IDE_IDLE;
			return;
		}
		if (c->writes && !transfer(c, count))
			break;
	}
	if (c->bm_last && !c->bm_left)
		c->bm_status &= (u8)~IDE_BM_ACTIVE;
	if (c->phase != IDE_IDLE)
		ide_finish(c, 0);
}

/* Words of IDENTIFY DEVICE hold text with the first character in the high byte. */
static void
put_text(u8 *at, const char *text, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i ^ 1] = (u8)(*text ? *text++ : ' ');
}

static void
identify(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	/* At least one: firmware divides by it. */
	u64 sectors = d->block->sectors, cylinders = MAX(MIN(sectors / (HEADS * SECTORS), 16383), 1);
	u8 *w = c->buffer;
	char serial[] = "NB00001";

	memset(w, 0, BLOCK_SECTOR);
	serial[6] = (char)('1' + 2 * c->number + c->selected);
	pci_set16(w, 0, 0x0040); /* fixed */
	pci_set16(w, 2, (u16)cylinders);
	pci_set16(w, 2 * 3, HEADS);
	pci_set16(w, 2 * 6, SECTORS);
	put_text(w + 2 * 10, serial, 20);
	put_text(w + 2 * 23, "0.1", 8);
	put_text(w + 2 * 27, "NESTBOX DISK", 40);
	pci_set16(w, 2 * 47, 0x8000 | IDE_MAX_MULTIPLE);
	pci_set16(w, 2 * 49, 0x0b00); /* LBA, DMA, IORDY */
	pci_set16(w, 2 * 50, 0x4000);
	pci_set16(w, 2 * 53, 0x0007); /* words 54-58, 64-70 and 88 hold */
	pci_set16(w, 2 * 54, (u16)cylinders);
	pci_set16(w, 2 * 55, HEADS);
	pci_set16(w, 2 * 56, SECTORS);
	pci_set32(w, 2 * 57, (u32)(cylinders * HEADS * SECTORS));
	pci_set16(w, 2 * 59, d->multiple ? 0x0100 | d->multiple : 0);
	pci_set32(w, 2 * 60, (u32)MIN(sectors, 0x0fffffffu));
	pci_set16(w, 2 * 63, 0x0007 | ((d->dma_mode & 0xf8) == 0x20 ? 0x100 << (d->dma_mode & 7) : 0));
	pci_set16(w, 2 * 64, 0x0003); /* PIO 3, 4 */
	for (unsigned i = 65; i <= 68; i++)
		pci_set16(w, 2 * i, 120);
	pci_set16(w, 2 * 80, 0x007e); /* ATA-1 to ATA/ATAPI-6 */
	pci_set16(w, 2 * 82, 0x0020); /* write cache */
	pci_set16(w, 2 * 83, 0x7400); /* FLUSH CACHE, FLUSH CACHE EXT, 48-bit addresses */
	pci_set16(w, 2 * 84, 0x4000);
	pci_set16(w, 2 * 85, d->write_cache ? 0x0020 : 0);
	pci_set16(w, 2 * 86, 0x3400);
	pci_set16(w, 2 * 87, 0x4000);
	pci_set16(w, 2 * 88, 0x0007 | ((d->dma_mode & 0xf8) == 0x40 ? 0x100 << (d->dma_mode & 7) : 0));
	pci_set16(w, 2 * 93, 0x6001 | (c->selected ? 0x0200 : 0)); /* hardware reset result; 40-conductor cable */
	pci_set32(w, 2 * 100, (u32)sectors);
	pci_set32(w, 2 * 102, (u32)(sectors >> 32));
}

static void
set_signature(struct ide_drive *d)
{
	d->count[0] = d->lba_low[0] = 1;
	d->lba_mid[0] = d->cdrom ? 0x14 : 0;
	d->lba_high[0] = d->cdrom ? 0xeb : 0;
	d->device &= DEVICE_SLAVE;
}

static void
reset_drive(struct ide_drive *d)
{
	if (!d->block)
		return;
	set_signature(d);
	d->error = 1; /* diagnostics passed */
	d->status = d->cdrom ? 0 : IDE_DRDY | IDE_DSC;
	d->multiple = IDE_MAX_MULTIPLE;
	d->sense_key = d->sense_code = 0;
}

static void
reset_channel(struct ide_channel *c)
{
	event_disarm(c->ide->events, &c->work);
	c->phase = IDE_IDLE;
	c->position = c->size = 0;
	c->selected = 0;
	for (unsigned i = 0; i < 2; i++)
		reset_drive(&c->drive[i]);
	ide_set_intrq(c, false);
}

static void
set_features(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	u8 mode = d->count[0];

	switch (d->features[0]) {
	case 0x02:
	case 0x82:
		d->write_cache = d->features[0] == 0x02;
		break;
	case 0x03: /* transfer mode: PIO, multiword DMA 0..2, Ultra DMA 0..2 */
		if (mode > 0x0c && (mode & 0xf8) != 0x20 && (mode & 0xf8) != 0x40) {
			ide_finish(c, IDE_ABRT);
			return;
		}
		if ((mode & 0xf0) && (mode & 7) > 2) {
			ide_finish(c, IDE_ABRT);
			return;
		}
		d->dma_mode = mode;
		break;
	case 0x55: /* look-ahead, power-on defaults: nothing to do */
	case 0xaa:
	case 0x66:
	case 0xcc:
		break;
	default:
		ide_finish(c, IDE_ABRT);
		return;
	}
	ide_finish(c, 0);
}

static void
native_max(struct ide_channel *c, bool extended)
{
	struct ide_drive *d = ide_selected(c);

	c->sector = extended ? d->block->sectors - 1 : MIN(d->block->sectors, 0x10000000u) - 1;
	put_address(c);
	ide_finish(c, 0);
}

static void
ata_command(struct ide_channel *c, u8 command)
{
	struct ide_drive *d = ide_selected(c);

	switch (command) {
	case 0x20: /* READ SECTORS */
	case 0x21:
	case 0x24:
		begin_transfer(c, command, false, false, false);
		break;
	case 0x29: /* READ MULTIPLE */
	case 0xc4:
		begin_transfer(c, command, false, true, false);
		break;
	case 0x30: /* WRITE SECTORS */
	case 0x31:
	case 0x34:
		begin_transfer(c, command, true, false, false);
		break;
	case 0x39: /* WRITE MULTIPLE */
	case 0xc5:
		begin_transfer(c, command, true, true, false);
		break;
	case 0x25: /* READ DMA */
	case 0xc8:
	case 0xc9:
		begin_transfer(c, command, false, false, true);
		break;
	case 0x35: /* WRITE DMA */
	case 0xca:
	case 0xcb:
		begin_transfer(c, command, true, false, true);
		break;
	case 0x40: /* READ VERIFY SECTORS */
	case 0x41:
	case 0x42:
		ide_finish(c, get_address(c, is_extended(command)) ? 0 : IDE_IDNF);
		break;
	case 0xc6: /* SET MULTIPLE MODE */
		if (d->count[0] > IDE_MAX_MULTIPLE || (d->count[0] & (d->count[0] - 1))) {
			ide_finish(c, IDE_ABRT);
		} else {
			d->multiple = d->count[0];
			ide_finish(c, 0);
		}
		break;
	case 0xe7: /* FLUSH CACHE */
	case 0xea:
		ide_busy(c, IDE_FLUSH, 0);
		break;
	case 0xec:
		identify(c);
		c->writes = c->dma = false;
		c->sectors = 0;
		offer(c, IDE_READ_DATA, BLOCK_SECTOR);
		ide_set_intrq(c, true);
		break;
	case 0xef:
		set_features(c);
		break;
	case 0x27: /* READ NATIVE MAX ADDRESS */
	case 0xf8:
		native_max(c, command == 0x27);
		break;
	case 0xe5: /* CHECK POWER MODE: active */
	case 0x98:
		d->count[0] = 0xff;
		ide_finish(c, 0);
		break;
	case 0x10 ... 0x1f: /* RECALIBRATE, SEEK, INITIALIZE DEVICE PARAMETERS, power */
	case 0x70 ... 0x7f:
	case 0x91:
	case 0x94 ... 0x97:
	case 0xe0 ... 0xe3:
		ide_finish(c, 0);
		break;
	default:
		log_debug("command %#x is not there", command);
		if (command == 0xa1)
			set_signature(d);
		ide_finish(c, IDE_ABRT);
		break;
	}
}

static void
cd_command(struct ide_channel *c, u8 command)
{
	struct ide_drive *d = ide_selected(c);

	switch (command) {
	case 0xa0:
		atapi_begin(c);
		break;
	case 0xa1:
		atapi_identify(c);
		c->writes = c->dma = false;
		c->sectors = 0;
		offer(c, IDE_READ_DATA, BLOCK_SECTOR);
		ide_set_intrq(c, true);
		break;
	case 0x08: /* DEVICE RESET */
		reset_drive(d);
		c->phase = IDE_IDLE;
		break;
	case 0xef:
		set_features(c);
		break;
	case 0xe5:
		d->count[0] = 0xff;
		ide_finish(c, 0);
		break;
	case 0xe0 ... 0xe3:
	case 0xe7:
		ide_finish(c, 0);
		break;
	default:
		/* IDENTIFY DEVICE and READ SECTORS tell this way what the drive is. */
		set_signature(d);
		ide_finish(c, IDE_ABRT);
		break;
	}
}

static void
write_command(struct ide_channel *c, u8 command)
{
	struct ide_drive *d = ide_selected(c);

	if (command == 0x90) { /* EXECUTE DEVICE DIAGNOSTIC: both */
		reset_channel(c);
		ide_set_intrq(c, true);
		return;
	}
	if (!d->block || (d->status & IDE_BSY && command != 0x08))
		return;
	log_debug("channel %u drive %u: command %#x", c->number, c->selected, command);
	event_disarm(c->ide->events, &c->work);
	ide_set_intrq(c, false);
	d->error = 0;
	c->sector = c->sectors = 0;
	if (d->cdrom)
		cd_command(c, command);
	else
		ata_command(c, command);
}

/* The drive has finished what it was busy with. */
static void
work(void *opaque, u64 now)
{
	struct ide_channel *c = opaque;
	struct ide_drive *d = ide_selected(c);
	u32 count;

	(void)now;
	switch (c->phase) {
	case IDE_READ:
		count = ide_block_sectors(c);
		if (!transfer(c, count))
			return;
		offer(c, IDE_READ_DATA, count * BLOCK_SECTOR);
		ide_set_intrq(c, true);
		break;
	case IDE_WRITE:
		if (!transfer(c, c->size / BLOCK_SECTOR))
			return;
		if (!c->sectors) {
			ide_finish(c, 0);
			return;
		}
		offer(c, IDE_WRITE_DATA, ide_block_sectors(c) * BLOCK_SECTOR);
		ide_set_intrq(c, true);
		break;
	case IDE_DMA:
		run_dma(c);
		break;
	case IDE_FLUSH:
		ide_finish(c, d->block->flush(d->block->host) ? IDE_ABRT : 0);
		break;
	case IDE_PACKET:
		atapi_execute(c);
		break;
	case IDE_PACKET_NEXT:
		atapi_next(c);
		break;
	default:
		break;
	}
}

/* The host has moved the whole block. */
static void
block_done(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);

	switch (c->phase) {
	case IDE_READ_DATA:
		if (d->cdrom && c->filled) {
			ide_busy(c, IDE_PACKET_NEXT, 0);
		} else if (c->sectors && !d->cdrom) {
			ide_busy(c, IDE_READ, ide_block_sectors(c));
		} else {
			c->phase = IDE_IDLE;
			c->size = c->position = 0;
			d->status = IDE_DRDY | IDE_DSC;
		}
		break;
	case IDE_WRITE_DATA:
		ide_busy(c, IDE_WRITE, c->size / BLOCK_SECTOR);
		break;
	case IDE_PACKET_DATA:
		memcpy(c->packet, c->buffer, sizeof(c->packet));
		ide_busy(c, IDE_PACKET, 0);
		break;
	default:
		break;
	}
}

/* ---- Registers ---- */

static u32
data_read(void *opaque, u16 port, unsigned size)
{
	struct ide_channel *c = opaque;
	u32 value = 0, piece = MIN(size, c->size - c->position);

	(void)port;
	if (c->phase != IDE_READ_DATA)
		return ~0u;
	memcpy(&value, c->buffer + c->position, piece);
	c->position += piece;
	if (c->position == c->size)
		block_done(c);
	return value;
}

static void
data_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct ide_channel *c = opaque;
	u32 piece = MIN(size, c->size - c->position);

	(void)port;
	if (c->phase != IDE_WRITE_DATA && c->phase != IDE_PACKET_DATA)
		return;
	memcpy(c->buffer + c->position, &value, piece);
	c->position += piece;
	if (c->position == c->size)
		block_done(c);
}

static const struct port_ops data_ports = {data_read, data_write, PORT_BYTE | PORT_WORD | PORT_LONG};

static u8
read_status(const struct ide_channel *c)
{
	const struct ide_drive *d = &c->drive[c->selected];

	if (c->control & CONTROL_SRST)
		return IDE_BSY;
	return d->block ? d->status : 0;
}

static u32
task_read(void *opaque, u16 port, unsigned size)
{
	struct ide_channel *c = opaque;
	struct ide_drive *d = ide_selected(c);
	unsigned old = c->control & CONTROL_HOB ? 1 : 0;

	(void)size;
	if (!c->drive[0].block && !c->drive[1].block)
		return OPEN_BUS;
	if (!d->block && (port & 7) != 6)
		return 0;
	switch (port & 7) {
	case 1:
		return d->error;
	case 2:
		return d->count[old];
	case 3:
		return d->lba_low[old];
	case 4:
		return d->lba_mid[old];
	case 5:
		return d->lba_high[old];
	case 6:
		return (u8)((d->device & ~DEVICE_SLAVE) | 0xa0 | (c->selected ? DEVICE_SLAVE : 0));
	default:
		ide_set_intrq(c, false);
		return read_status(c);
	}
}

static void
put_register(u8 *reg, u8 value)
{
	reg[1] = reg[0];
	reg[0] = value;
}

static void
task_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct ide_channel *c = opaque;
	u8 byte = (u8)value;

	(void)size;
	if ((port & 7) == 7) {
		write_command(c, byte);
		return;
	}
	c->control &= (u8)~CONTROL_HOB;
	/* A busy drive's registers are its own. */
	if (ide_selected(c)->block && ide_selected(c)->status & IDE_BSY)
		return;
	/* Both drives listen. */
	for (unsigned i = 0; i < 2; i++) {
		struct ide_drive *d = &c->drive[i];

		switch (port & 7) {
		case 1:
			put_register(d->features, byte);
			break;
		case 2:
			put_register(d->count, byte);
			break;
		case 3:
			put_register(d->lba_low, byte);
			break;
		case 4:
			put_register(d->lba_mid, byte);
			break;
		case 5:
			put_register(d->lba_high, byte);
			break;
		default:
			d->device = byte;
			break;
		}
	}
	if ((port & 7) == 6 && c->phase == IDE_IDLE)
		c->selected = byte & DEVICE_SLAVE ? 1 : 0;
}

static const struct port_ops task_ports = {task_read, task_write, PORT_BYTE};

static u32
control_read(void *opaque, u16 port, unsigned size)
{
	struct ide_channel *c = opaque;

	(void)port;
	(void)size;
	return c->drive[0].block || c->drive[1].block ? read_status(c) : OPEN_BUS;
}

static void
control_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct ide_channel *c = opaque;
	bool was = c->control & CONTROL_SRST;

	(void)port;
	(void)size;
	c->control = (u8)value;
	if (value & CONTROL_SRST && !was)
		reset_channel(c);
	ide_set_intrq(c, c->intrq);
}

static const struct port_ops control_ports = {control_read, control_write, PORT_BYTE};

/* Per channel: 0 command, 2 status, 4..7 table of physical regions. */
static u8
bm_read_byte(const struct ide_channel *c, unsigned offset)
{
	switch (offset) {
	case 0:
		return c->bm_command;
	case 2:
		return c->bm_status;
	case 4 ... 7:
		return (u8)(c->bm_table >> 8 * (offset - 4));
	default:
		return 0;
	}
}

static void
write_bm_command(struct ide_channel *c, u8 value)
{
	bool started = value & ~c->bm_command & IDE_BM_START;

	c->bm_command = value & (IDE_BM_START | BM_TO_MEMORY);
	if (!(value & IDE_BM_START)) {
		c->bm_status &= (u8)~IDE_BM_ACTIVE;
		/* Stopped in the middle: the drive waits for a reset. */
		if (c->phase == IDE_DMA) {
			event_disarm(c->ide->events, &c->work);
			c->phase = IDE_IDLE;
			ide_selected(c)->status = IDE_DRDY | IDE_DSC | IDE_DRQ;
		}
		return;
	}
	if (!started)
		return;
	c->bm_status |= IDE_BM_ACTIVE;
	c->bm_next = c->bm_table;
	c->bm_left = 0;
	c->bm_last = false;
	if (c->phase == IDE_DMA_WAIT)
		ide_busy(c, ide_selected(c)->cdrom ? IDE_PACKET_NEXT : IDE_DMA, c->sectors);
}

static void
bm_write_byte(struct ide_channel *c, unsigned offset, u8 value)
{
	switch (offset) {
	case 0:
		write_bm_command(c, value);
		break;
	case 2:
		c->bm_status = (u8)((c->bm_status & ~BM_DRIVES & ~(value & (BM_ERROR | BM_INTERRUPT))) |
				    (value & BM_DRIVES));
		break;
	case 4 ... 7:
		c->bm_table &= ~(0xffu << 8 * (offset - 4));
		c->bm_table |= (u32)value << 8 * (offset - 4);
		c->bm_table &= ~3u;
		break;
	default:
		break;
	}
}

static u64
bm_read(void *opaque, u64 offset, unsigned size)
{
	struct ide *ide = opaque;
	u64 value = 0;

	for (unsigned i = 0; i < size; i++, offset++)
		value |= (u64)bm_read_byte(&ide->channel[offset >> 3 & 1], offset & 7) << 8 * i;
	return value;
}

static void
bm_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct ide *ide = opaque;

	for (unsigned i = 0; i < size; i++, offset++)
		bm_write_byte(&ide->channel[offset >> 3 & 1], offset & 7, (u8)(value >> 8 * i));
}

static const struct mmio_ops bm_ops = {bm_read, bm_write};

/* ---- The function ---- */

static void
reset(void *opaque)
{
	struct ide *ide = opaque;

	for (unsigned i = 0; i < 2; i++) {
		struct ide_channel *c = &ide->channel[i];

		c->control = c->bm_command = c->bm_status = 0;
		c->bm_table = c->bm_next = c->bm_address = c->bm_left = 0;
		c->bm_last = false;
		for (unsigned n = 0; n < 2; n++) {
			c->drive[n].write_cache = true;
			c->drive[n].dma_mode = 0;
			c->drive[n].attention = c->drive[n].cdrom;
		}
		reset_channel(c);
		c->bm_status = 0;
	}
}

struct ide *
ide_new(struct pci_bus *bus, struct events *events, const struct irq_line irq[2], struct block *const drive[IDE_PLACES],
	const bool cdrom[IDE_PLACES])
{
	static const u16 base[2] = {0x1f0, 0x170};
	struct ide *ide = calloc(1, sizeof(*ide));
	struct pci_device *d;

	if (!ide)
		return NULL;
	ide->events = events;
	d = &ide->pci;
	pci_device_init(d, "ide", ide, 0x8086, 0x7010, 0x00, 0x010180);
	pci_set16(d->config, PCI_STATUS, 0x0280);
	pci_set16(d->writable, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	/* IDETIM: the ports are decoded from the start, since there may be no firmware to ask for it. */
	d->config[0x41] = d->config[0x43] = 0x80;
	for (unsigned i = 0x40; i <= 0x4b; i++)
		d->writable[i] = 0xff;
	pci_bar(d, 4, PCI_BAR_IO, 16, &bm_ops, ide, "ide-bus-master");
	d->reset = reset;
	for (unsigned i = 0; i < 2; i++) {
		struct ide_channel *c = &ide->channel[i];

		c->ide = ide;
		c->number = i;
		c->irq = irq[i];
		event_init(&c->work, "ide", EVENT_DEVICE, work, c);
		for (unsigned n = 0; n < 2; n++) {
			c->drive[n].block = drive[2 * i + n];
			c->drive[n].cdrom = drive[2 * i + n] && cdrom[2 * i + n];
			c->drive[n].channel = c;
		}
		ports_map(bus->ports, "ide-data", base[i], 1, &data_ports, c);
		ports_map(bus->ports, "ide", base[i] + 1, 7, &task_ports, c);
		ports_map(bus->ports, "ide-control", base[i] + 0x206, 1, &control_ports, c);
	}
	pci_add(bus, d, PCI_DEVFN(1, 1));
	reset(ide);
	return ide;
}

void
ide_free(struct ide *ide)
{
	if (!ide)
		return;
	for (unsigned i = 0; i < 2; i++)
		event_disarm(ide->events, &ide->channel[i].work);
	free(ide);
}
