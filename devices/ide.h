/* The IDE function of the PIIX3: two channels with ATA disks and ATAPI CD-ROM drives. See ide.c. */
#ifndef NB_DEVICES_IDE_H
#define NB_DEVICES_IDE_H

#include "base/events.h"
#include "base/types.h"
#include "bus/block.h"
#include "bus/irq.h"
#include "devices/pci.h"

#define IDE_PLACES 4
#define IDE_BUFFER 65536u

/* A drive: its task file, and what it remembers between commands. */
struct ide_drive {
	struct block *block; /* NULL: nothing is plugged in */
	bool cdrom;
	/* The registers as written; [1] holds the value before the last, which 48-bit commands take, too. */
	u8 features[2], count[2], lba_low[2], lba_mid[2], lba_high[2];
	u8 device, status, error;
	u8 multiple;                   /* sectors per block of READ MULTIPLE */
	u8 dma_mode;                   /* as SET FEATURES takes it */
	bool write_cache, attention;   /* CD: a unit attention is pending */
	u8 sense_key, sense_code;      /* CD */
	struct ide_channel *channel;
};

struct ide_channel {
	struct ide *ide;
	unsigned number;
	struct irq_line irq;
	struct ide_drive drive[2];
	struct event work; /* the end of what the selected drive is busy with */
	u8 selected, control;
	bool intrq;
	/* Bus master: registers, and how far the table of physical regions has been walked. */
	u8 bm_command, bm_status;
	u32 bm_table, bm_next, bm_address, bm_left;
	bool bm_last;
	/* The command in execution. */
	u8 phase;
	bool dma, writes;
	u64 sector;          /* next one, of 512 bytes (of 2048 for a CD) */
	u32 sectors;         /* still to transfer */
	u32 position, size;  /* in the buffer: the block that is offered to the host */
	u32 filled;          /* CD: bytes in the buffer, of which the block is a part */
	u32 limit;           /* CD: bytes that the host takes at once */
	u8 packet[12];
	u8 buffer[IDE_BUFFER];
};

struct ide {
	struct pci_device pci;
	struct events *events;
	struct ide_channel channel[2];
};

/*
 * Function 1 of slot 1. `drive`: primary master, primary slave, secondary master, secondary slave; NULL: nothing there.
 * `irq`: of the two channels.
 */
struct ide *ide_new(struct pci_bus *bus, struct events *events, const struct irq_line irq[2],
		    struct block *const drive[IDE_PLACES], const bool cdrom[IDE_PLACES]);
void ide_free(struct ide *ide);
void ide_state(struct ide *ide, struct state *s);

/* ---- Between ide.c, ide_state.c and atapi.c ---- */

#define IDE_ERR BIT(0)
#define IDE_DRQ BIT(3)
#define IDE_DSC BIT(4)
#define IDE_DRDY BIT(6)
#define IDE_BSY BIT(7)

#define IDE_ABRT BIT(2)
#define IDE_IDNF BIT(4)
#define IDE_UNC BIT(6)

enum ide_phase {
	IDE_IDLE,
	IDE_READ,        /* busy: the next block comes from the disk */
	IDE_READ_DATA,   /* the host takes it */
	IDE_WRITE,       /* busy: a block goes to the disk */
	IDE_WRITE_DATA,  /* the host gives it */
	IDE_DMA_WAIT,    /* the host has to start the bus master */
	IDE_DMA,         /* busy with it */
	IDE_FLUSH,
	IDE_PACKET_DATA, /* the host gives the packet */
	IDE_PACKET,      /* busy: the packet is executed */
	IDE_PACKET_NEXT, /* busy: the next block of its data */
	IDE_PHASES
};

#define IDE_MAX_MULTIPLE 16 /* sectors of a block */

/* Bus master, command and status */
#define IDE_BM_START BIT(0)
#define IDE_BM_ACTIVE BIT(0)

static inline struct ide_drive *
ide_selected(struct ide_channel *c)
{
	return &c->drive[c->selected];
}

/* Of a disk's command, the next block. */
static inline u32
ide_block_sectors(const struct ide_channel *c)
{
	return MIN(c->sectors, c->limit);
}

void ide_set_intrq(struct ide_channel *c, bool on);
void ide_finish(struct ide_channel *c, u8 error);
/* Busy for the time that `sectors` of 512 bytes take, then `phase`. */
void ide_busy(struct ide_channel *c, enum ide_phase phase, u32 sectors);
/* Moves bytes of the buffer by the bus master. Returns how many went before the table or the permission ended. */
u32 ide_bus_master(struct ide_channel *c, u32 size);

/* atapi.c */
void atapi_identify(struct ide_channel *c);
void atapi_begin(struct ide_channel *c);   /* command PACKET */
void atapi_execute(struct ide_channel *c); /* the packet is there */
void atapi_next(struct ide_channel *c);    /* the host has taken a block */

#endif
