/* The state of IDE channels in snapshots, and what of it a snapshot cannot say. See ide.c. */
#include "base/snapshot.h"
#include "devices/ide.h"

static void
drive_state(struct ide_drive *d, struct state *s)
{
	STATE(s, d->features);
	STATE(s, d->count);
	STATE(s, d->lba_low);
	STATE(s, d->lba_mid);
	STATE(s, d->lba_high);
	STATE(s, d->device);
	STATE(s, d->status);
	STATE(s, d->error);
	STATE(s, d->multiple);
	STATE(s, d->dma_mode);
	state_bool(s, &d->write_cache);
	state_bool(s, &d->attention);
	STATE(s, d->sense_key);
	STATE(s, d->sense_code);
}

/* Can it be what a snapshot says: a command that this kind of drive executes, within buffer and image? */
static bool
possible(const struct ide_channel *c)
{
	const struct ide_drive *d = &c->drive[c->selected & 1];
	u64 end = d->block ? d->block->sectors / (d->cdrom ? 4 : 1) : 0;
	bool writable = !c->writes || (d->block && !d->block->read_only);

	if (c->selected > 1 || c->phase >= IDE_PHASES || c->position > c->size || c->size > IDE_BUFFER ||
	    c->filled > IDE_BUFFER || c->bm_left > 0x10000 || c->drive[0].multiple > IDE_MAX_MULTIPLE ||
	    c->drive[1].multiple > IDE_MAX_MULTIPLE)
		return false;
	if (c->phase == IDE_IDLE)
		return true;
	/* A disk's `limit` may be left from the other drive's packet; then nothing is to be transferred. */
	if (!d->block || c->sector > end || c->sectors > end - c->sector || (!d->cdrom && ide_block_sectors(c) > IDE_MAX_MULTIPLE))
		return false;
	switch (c->phase) {
	case IDE_READ_DATA:
		return true;
	case IDE_READ:
		return !d->cdrom && !c->writes;
	case IDE_WRITE:
	case IDE_WRITE_DATA:
		return !d->cdrom && c->writes && writable && c->size <= c->sectors * BLOCK_SECTOR;
	case IDE_DMA_WAIT:
		return writable;
	case IDE_DMA:
		return !d->cdrom && writable;
	case IDE_FLUSH:
		return !d->cdrom;
	default: /* packets */
		return d->cdrom;
	}
}

void
ide_state(struct ide *ide, struct state *s)
{
	state_section(s, "ide", 1);
	pci_device_state(&ide->pci, s);
	for (unsigned i = 0; i < 2; i++) {
		struct ide_channel *c = &ide->channel[i];

		drive_state(&c->drive[0], s);
		drive_state(&c->drive[1], s);
		state_event(s, ide->events, &c->work);
		STATE(s, c->selected);
		STATE(s, c->control);
		state_bool(s, &c->intrq);
		STATE(s, c->bm_command);
		STATE(s, c->bm_status);
		STATE(s, c->bm_table);
		STATE(s, c->bm_next);
		STATE(s, c->bm_address);
		STATE(s, c->bm_left);
		state_bool(s, &c->bm_last);
		STATE(s, c->phase);
		state_bool(s, &c->dma);
		state_bool(s, &c->writes);
		STATE(s, c->sector);
		STATE(s, c->sectors);
		STATE(s, c->position);
		STATE(s, c->size);
		STATE(s, c->filled);
		STATE(s, c->limit);
		STATE(s, c->packet);
		STATE(s, c->buffer);
		if (state_mode(s) == STATE_LOAD && !possible(c)) {
			c->phase = IDE_IDLE;
			c->selected = 0;
			c->position = c->size = c->filled = 0;
			state_fail(s, "snapshot has an IDE command that cannot be");
		}
	}
}
