/*
 * ATAPI CD-ROM drives: the packet commands that firmware, boot loaders and operating systems send.
 *
 * Source: ATA/ATAPI-6 (T13/1410D), "PACKET"; SFF-8020i, "CD-ROM packet commands"; MMC-5, "Command descriptions".
 * Not modelled: audio, other media than a data CD of one track, ejecting (the tray stays), raw sectors.
 */
#include <string.h>

#include "base/log.h"
#include "devices/ide.h"

LOG_CATEGORY("atapi");

#define CD_BLOCK 2048u
#define CD_CHUNK (IDE_BUFFER / CD_BLOCK)
#define RESPONSE_LIMIT 512u

/* The interrupt reason, in the sector count register. */
#define REASON_COMMAND BIT(0)
#define REASON_TO_HOST BIT(1)

#define SENSE_MEDIUM 0x03
#define SENSE_ILLEGAL 0x05
#define SENSE_ATTENTION 0x06

#define CODE_READ_ERROR 0x11
#define CODE_BAD_COMMAND 0x20
#define CODE_BAD_ADDRESS 0x21
#define CODE_BAD_FIELD 0x24
#define CODE_RESET 0x29

static u32
get_big32(const u8 *bytes)
{
	return (u32)bytes[0] << 24 | (u32)bytes[1] << 16 | (u32)bytes[2] << 8 | bytes[3];
}

static u32
get_big16(const u8 *bytes)
{
	return (u32)bytes[0] << 8 | bytes[1];
}

static void
put_big32(u8 *bytes, u32 value)
{
	for (unsigned i = 0; i < 4; i++)
		bytes[i] = (u8)(value >> (24 - 8 * i));
}

static void
put_big16(u8 *bytes, u32 value)
{
	bytes[0] = (u8)(value >> 8);
	bytes[1] = (u8)value;
}

static u32
blocks(const struct ide_drive *d)
{
	return (u32)MIN(d->block->sectors / (CD_BLOCK / BLOCK_SECTOR), 0xffffffffu);
}

static void
put_text(u8 *at, const char *text, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (u8)(*text ? *text++ : ' ');
}

void
atapi_identify(struct ide_channel *c)
{
	static const char model[] = "NESTBOX CD-ROM";
	u8 *w = c->buffer;

	memset(w, 0, BLOCK_SECTOR);
	c->filled = 0;
	pci_set16(w, 0, 0x85c0); /* ATAPI, CD-ROM, removable, DRQ within 50 us, packets of 12 bytes */
	memset(w + 2 * 10, ' ', 20);
	memset(w + 2 * 23, ' ', 8);
	memset(w + 2 * 27, ' ', 40);
	for (unsigned i = 0; model[i]; i++)
		w[(2 * 27 + i) ^ 1] = (u8)model[i];
	pci_set16(w, 2 * 49, 0x0b00); /* LBA, DMA, IORDY */
	pci_set16(w, 2 * 53, 0x0007);
	pci_set16(w, 2 * 63, 0x0007);
	pci_set16(w, 2 * 64, 0x0003);
	for (unsigned i = 65; i <= 68; i++)
		pci_set16(w, 2 * i, 120);
	pci_set16(w, 2 * 80, 0x007e);
	pci_set16(w, 2 * 82, 0x0210); /* DEVICE RESET, PACKET */
	pci_set16(w, 2 * 83, 0x4000);
	pci_set16(w, 2 * 84, 0x4000);
	pci_set16(w, 2 * 85, 0x0210);
	pci_set16(w, 2 * 87, 0x4000);
	pci_set16(w, 2 * 88, 0x0007);
}

/* The end of a command: status phase. */
static void
complete(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);

	c->filled = c->sectors = 0;
	d->sense_key = d->sense_code = 0;
	d->count[0] = REASON_COMMAND | REASON_TO_HOST;
	ide_finish(c, 0);
}

static void
fail(struct ide_channel *c, u8 key, u8 code)
{
	struct ide_drive *d = ide_selected(c);

	c->filled = c->sectors = 0;
	d->sense_key = key;
	d->sense_code = code;
	d->count[0] = REASON_COMMAND | REASON_TO_HOST;
	ide_finish(c, (u8)(key << 4 | IDE_ABRT));
}

void
atapi_begin(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	u32 limit = d->lba_mid[0] | (u32)d->lba_high[0] << 8;

	c->dma = d->features[0] & 1;
	c->writes = false;
	c->sectors = c->filled = 0;
	c->limit = limit >= 2 ? limit & 0xfffe : 0xfffe;
	c->phase = IDE_PACKET_DATA;
	c->position = 0;
	c->size = sizeof(c->packet);
	d->count[0] = REASON_COMMAND;
	d->status = IDE_DRDY | IDE_DRQ;
}

/* Offers [position, size) of the buffer. */
static void
offer(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	u32 size = MIN(c->limit, c->filled - c->position);

	c->size = c->position + size;
	c->phase = IDE_READ_DATA;
	d->count[0] = REASON_TO_HOST;
	d->lba_mid[0] = (u8)size;
	d->lba_high[0] = (u8)(size >> 8);
	d->status = IDE_DRDY | IDE_DSC | IDE_DRQ;
	ide_set_intrq(c, true);
}

/* False: the disc cannot be read, and the command has ended. */
static bool
refill(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	u32 count = MIN(c->sectors, CD_CHUNK);
	const u32 ratio = CD_BLOCK / BLOCK_SECTOR;

	if (d->block->read(d->block->host, c->sector * ratio, count * ratio, c->buffer)) {
		fail(c, SENSE_MEDIUM, CODE_READ_ERROR);
		return false;
	}
	c->sector += count;
	c->sectors -= count;
	c->position = c->size = 0;
	c->filled = count * CD_BLOCK;
	return true;
}

static void
by_dma(struct ide_channel *c)
{
	do {
		if (!c->filled && !refill(c))
			return;
		if (ide_bus_master(c, c->filled) < c->filled) {
			/* A table shorter than the data: what does not fit is lost, and the transfer is over. */
			c->sectors = 0;
		}
		c->filled = 0;
	} while (c->sectors);
	/* As for disks, more room than data leaves the bus master active. */
	if (c->bm_last && !c->bm_left)
		c->bm_status &= (u8)~IDE_BM_ACTIVE;
	complete(c);
}

void
atapi_next(struct ide_channel *c)
{
	if (c->dma) {
		by_dma(c);
		return;
	}
	/* Data of a block that was already handed out lies before `size`. */
	c->position = c->size;
	if (c->position < c->filled)
		offer(c);
	else if (!c->sectors)
		complete(c);
	else if (refill(c))
		offer(c);
}

/* The data phase begins: a response in the buffer, or sectors of the disc. */
static void
send(struct ide_channel *c)
{
	c->position = c->size = 0;
	if (!c->dma) {
		ide_busy(c, IDE_PACKET_NEXT, MIN(c->sectors, CD_CHUNK) * (CD_BLOCK / BLOCK_SECTOR));
		return;
	}
	c->phase = IDE_DMA_WAIT;
	ide_selected(c)->count[0] = REASON_TO_HOST;
	ide_selected(c)->status = IDE_DRDY | IDE_DSC | IDE_DRQ;
	if (c->bm_command & IDE_BM_START)
		ide_busy(c, IDE_PACKET_NEXT, c->sectors * (CD_BLOCK / BLOCK_SECTOR));
}

/* `size` bytes of the buffer, cut to what the host allows. */
static void
respond(struct ide_channel *c, u32 size, u32 allowed)
{
	c->filled = MIN(size, allowed);
	c->sectors = 0;
	if (c->filled)
		send(c);
	else
		complete(c);
}

static void
read_blocks(struct ide_channel *c, u32 first, u32 count)
{
	u32 all = blocks(ide_selected(c));

	if (first >= all || count > all - first) {
		fail(c, SENSE_ILLEGAL, CODE_BAD_ADDRESS);
		return;
	}
	c->sector = first;
	c->sectors = count;
	if (count)
		send(c);
	else
		complete(c);
}

static void
inquiry(struct ide_channel *c)
{
	u8 *b = c->buffer;

	if (c->packet[1] & 3) {
		fail(c, SENSE_ILLEGAL, CODE_BAD_FIELD);
		return;
	}
	b[0] = 0x05; /* CD-ROM */
	b[1] = 0x80; /* removable */
	b[2] = 0x00;
	b[3] = 0x21; /* ATAPI, format 1 */
	b[4] = 31;
	put_text(b + 8, "NESTBOX", 8);
	put_text(b + 16, "CD-ROM", 16);
	put_text(b + 32, "0.1", 4);
	respond(c, 36, c->packet[4]);
}

static void
request_sense(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	u8 *b = c->buffer;

	b[0] = 0x70;
	b[2] = d->sense_key;
	b[7] = 10;
	b[12] = d->sense_code;
	if (d->attention && !d->sense_key) {
		b[2] = SENSE_ATTENTION;
		b[12] = CODE_RESET;
	}
	d->attention = false;
	respond(c, 18, c->packet[4]);
}

static void
put_address(u8 *at, u32 block, bool msf)
{
	if (msf) {
		block += 150;
		at[0] = 0;
		at[1] = (u8)(block / 75 / 60);
		at[2] = (u8)(block / 75 % 60);
		at[3] = (u8)(block % 75);
	} else {
		put_big32(at, block);
	}
}

static void
read_toc(struct ide_channel *c)
{
	const u8 *p = c->packet;
	bool msf = p[1] & 2;
	u8 *b = c->buffer, format = (p[2] & 15) ? p[2] & 15 : p[9] >> 6;
	u32 size = 4, allowed = get_big16(p + 7);

	b[2] = b[3] = 1; /* first and last track, or session */
	switch (format) {
	case 0: /* tracks from the one asked for, and the lead-out */
		if (p[6] > 1 && p[6] != 0xaa) {
			fail(c, SENSE_ILLEGAL, CODE_BAD_FIELD);
			return;
		}
		if (p[6] <= 1) {
			b[size + 1] = 0x14; /* data */
			b[size + 2] = 1;
			put_address(b + size + 4, 0, msf);
			size += 8;
		}
		b[size + 1] = 0x14;
		b[size + 2] = 0xaa;
		put_address(b + size + 4, blocks(ide_selected(c)), msf);
		size += 8;
		break;
	case 1: /* the one session */
		b[size + 1] = 0x14;
		b[size + 2] = 1;
		put_address(b + size + 4, 0, msf);
		size += 8;
		break;
	default:
		fail(c, SENSE_ILLEGAL, CODE_BAD_FIELD);
		return;
	}
	put_big16(b, size - 2);
	respond(c, size, allowed);
}

static void
get_configuration(struct ide_channel *c)
{
	u8 *b = c->buffer;

	put_big16(b + 6, 0x0008); /* current profile: CD-ROM */
	b[8 + 3] = 4;             /* feature 0: profile list, current */
	b[8 + 2] = 0x03;
	put_big16(b + 12, 0x0008);
	b[14] = 1;
	put_big32(b, 12);
	respond(c, 16, get_big16(c->packet + 7));
}

static void
mode_sense(struct ide_channel *c)
{
	u8 *b = c->buffer, page = c->packet[2] & 0x3f;
	u32 size = 8, allowed = c->packet[0] == 0x1a ? c->packet[4] : get_big16(c->packet + 7);

	if (c->packet[0] == 0x1a || (page != 0x01 && page != 0x2a && page != 0x3f)) {
		fail(c, SENSE_ILLEGAL, CODE_BAD_FIELD);
		return;
	}
	if (page != 0x2a) { /* read error recovery */
		b[size] = 0x01;
		b[size + 1] = 6;
		b[size + 3] = 5; /* retries */
		size += 8;
	}
	if (page != 0x01) { /* capabilities */
		b[size] = 0x2a;
		b[size + 1] = 18;
		b[size + 4] = 0x70;               /* multi-session, mode 2 forms */
		b[size + 6] = 0x29;               /* tray, lock */
		put_big16(b + size + 8, 706);     /* speed: 4 times */
		put_big16(b + size + 12, 512);    /* KiB of buffer */
		put_big16(b + size + 14, 706);
		size += 20;
	}
	put_big16(b, size - 2);
	b[2] = 0x01; /* data CD, 120 mm */
	respond(c, size, allowed);
}

static void
event_status(struct ide_channel *c)
{
	u8 *b = c->buffer;

	if (!(c->packet[1] & 1)) {
		fail(c, SENSE_ILLEGAL, CODE_BAD_FIELD);
		return;
	}
	b[3] = 0x10; /* only media events are told about */
	if (c->packet[4] & 0x10) {
		b[1] = 6;
		b[2] = 4;
		b[5] = 0x02; /* no change; a disc is there */
		respond(c, 8, get_big16(c->packet + 7));
		return;
	}
	b[1] = 2;
	b[2] = 0x80; /* no such events */
	respond(c, 4, get_big16(c->packet + 7));
}

static void
disc_information(struct ide_channel *c)
{
	u8 *b = c->buffer;

	put_big16(b, 32);
	b[2] = 0x0e; /* complete, last session complete */
	b[3] = b[4] = b[5] = b[6] = 1;
	b[7] = 0x20;
	respond(c, 34, get_big16(c->packet + 7));
}

void
atapi_execute(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);
	const u8 *p = c->packet;

	log_debug("packet %02x %02x %02x%02x%02x%02x %02x%02x%02x%02x", p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8],
		  p[9]);
	memset(c->buffer, 0, RESPONSE_LIMIT);
	/* After a reset the first command that looks at the medium is told of it. */
	if (d->attention && p[0] != 0x03 && p[0] != 0x12 && p[0] != 0x4a && p[0] != 0x46) {
		d->attention = false;
		fail(c, SENSE_ATTENTION, CODE_RESET);
		return;
	}
	switch (p[0]) {
	case 0x00: /* TEST UNIT READY */
	case 0x1b: /* START STOP UNIT */
	case 0x1e: /* PREVENT ALLOW MEDIUM REMOVAL */
	case 0x2b: /* SEEK */
	case 0xbb: /* SET CD SPEED */
		complete(c);
		break;
	case 0x03:
		request_sense(c);
		break;
	case 0x12:
		inquiry(c);
		break;
	case 0x1a:
	case 0x5a:
		mode_sense(c);
		break;
	case 0x25: /* READ CAPACITY */
		put_big32(c->buffer, blocks(d) - 1);
		put_big32(c->buffer + 4, CD_BLOCK);
		respond(c, 8, 8);
		break;
	case 0x28: /* READ (10) */
		read_blocks(c, get_big32(p + 2), get_big16(p + 7));
		break;
	case 0xa8: /* READ (12) */
		read_blocks(c, get_big32(p + 2), get_big32(p + 6));
		break;
	case 0xbe: /* READ CD: user data only */
		if ((p[9] & 0xf8) == 0x10)
			read_blocks(c, get_big32(p + 2), (u32)p[6] << 16 | get_big16(p + 7));
		else if ((p[9] & 0xf8) == 0)
			complete(c);
		else
			fail(c, SENSE_ILLEGAL, CODE_BAD_FIELD);
		break;
	case 0x43:
		read_toc(c);
		break;
	case 0x46:
		get_configuration(c);
		break;
	case 0x4a:
		event_status(c);
		break;
	case 0x51:
		disc_information(c);
		break;
	case 0xbd: /* MECHANISM STATUS */
		c->buffer[5] = 1;
		respond(c, 8, get_big16(p + 8));
		break;
	default:
		log_debug("packet command %#x is not there", p[0]);
		fail(c, SENSE_ILLEGAL, CODE_BAD_COMMAND);
		break;
	}
}
