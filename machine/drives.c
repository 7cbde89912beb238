/* -drive, -cdrom, -device virtio-blk-pci, -boot: what disks there are, where they are plugged in, and the order of booting. */
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "machine/block_host.h"
#include "machine/config.h"
#include "machine/values.h"

/* What -drive says, before it has a place. */
struct drive_options {
	struct config_drive drive;
	int place; /* of the IDE controller; -1: the first free one */
	int bus;   /* the cable that `place` counts on; -1: it counts on both */
	bool virtio, flash;
};

static void
forget(struct config_drive *drive)
{
	free(drive->file);
	free(drive->format);
	free(drive->id);
	free(drive->serial);
	*drive = (struct config_drive){0};
}

static int
first_free(const struct config *config, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		if (!config->drive[i].file)
			return (int)i;
	return -1;
}

/* The first flash is the firmware's image, the second has its variables. */
static char *
plug_flash(struct config *config, struct drive_options *o)
{
	int unit = o->place >= 0 ? o->place : config->bios ? 1 : 0;

	if (unit > 1 || (unit == 0 ? config->bios != NULL : config->flash.file != NULL))
		return error_string("-drive if=pflash,file=%s: no unit, or taken: 0 has firmware, 1 its variables", o->drive.file);
	if (unit == 0) {
		config->bios = config_keep(config, error_string("%s", o->drive.file));
	} else {
		config->flash = o->drive;
		o->drive = (struct config_drive){0};
	}
	return NULL;
}

/* Moves the drive to its place; what `o` still has is the caller's. */
static char *
plug(struct config *config, struct drive_options *o)
{
	struct config_drive *drive = &o->drive;
	int place = o->place;

	if (o->flash)
		return plug_flash(config, o);

	if (o->virtio || drive->loose)
		place = first_free(config, CONFIG_IDE_DRIVES, CONFIG_VIRTIO_DRIVES);
	/* A CD without a place goes where PCs have it. */
	else if (place < 0 && drive->cdrom && !config->drive[2].file)
		place = 2;
	else if (place < 0)
		place = first_free(config, 0, CONFIG_IDE_DRIVES);
	if (place < 0)
		return error_string("-drive file=%s: more than %d drives", drive->file,
				    o->virtio || drive->loose ? CONFIG_VIRTIO_DRIVES : CONFIG_IDE_DRIVES);
	if (config->drive[place].file)
		return error_string("-drive file=%s: index=%d is taken by %s", drive->file, place,
				    config->drive[place].file);
	drive->slot = -1;
	config->drive[place] = *drive;
	*drive = (struct config_drive){0};
	return NULL;
}

static void
set_text(char **to, const char *text)
{
	free(*to);
	*to = error_string("%s", text);
}

static char *
apply_interface(struct drive_options *o, const char *text)
{
	o->virtio = !strcmp(text, "virtio");
	o->flash = !strcmp(text, "pflash");
	o->drive.loose = !strcmp(text, "none");
	return o->virtio || o->flash || o->drive.loose || !strcmp(text, "ide")
		       ? NULL
		       : error_string("-drive: if=%s is not modelled, only ide, virtio, pflash and none", text);
}

static char *
apply_key(struct drive_options *o, const char *key, const char *text)
{
	struct config_drive *drive = &o->drive;
	u64 number;

	if (!text)
		text = "";
	if (!strcmp(key, "file")) {
		if (!*text)
			return error_string("-drive: file= has no path");
		set_text(&drive->file, text);
	} else if (!strcmp(key, "id")) {
		set_text(&drive->id, text);
	} else if (!strcmp(key, "serial")) {
		set_text(&drive->serial, text);
	} else if (!strcmp(key, "format")) {
		if (!block_format_known(text))
			return error_string("-drive: format=%s is none of %s", text, block_formats());
		set_text(&drive->format, text);
	} else if (!strcmp(key, "snapshot")) {
		if (!parse_switch(text, &drive->snapshot))
			return error_string("-drive: snapshot=%s is neither on nor off", text);
	} else if (!strcmp(key, "if")) {
		return apply_interface(o, text);
	} else if (!strcmp(key, "media")) {
		if (strcmp(text, "disk") != 0 && strcmp(text, "cdrom") != 0)
			return error_string("-drive: media=%s is neither disk nor cdrom", text);
		drive->cdrom = text[0] == 'c';
	} else if (!strcmp(key, "readonly")) {
		bool yes;

		/* Firmware's image is read only anyway; of nothing else is this modelled. */
		if (!parse_switch(text, &yes) || (yes && !o->flash))
			return error_string("-drive: readonly=%s, which only if=pflash,unit=0 before it has", text);
	} else if (!strcmp(key, "index") || !strcmp(key, "unit")) {
		if (!parse_number(text, &number) || number >= CONFIG_IDE_DRIVES)
			return error_string("-drive: index=%s is no place from 0 to 3", text);
		o->place = (int)number;
	} else if (!strcmp(key, "bus")) {
		if (!parse_number(text, &number) || number >= CONFIG_IDE_DRIVES / 2)
			return error_string("-drive: bus=%s is neither 0 nor 1", text);
		o->bus = (int)number;
	} else if (!strcmp(key, "cache")) {
		/* The host's cache is used as the guest sees it: what it flushes is on the disk. That is writeback; to none it is the same. */
		if (strcmp(text, "writeback") != 0 && strcmp(text, "none") != 0 && strcmp(text, "unsafe") != 0)
			return error_string("-drive: cache=%s is none of writeback, none, unsafe (what is flushed is always on the disk)", text);
	} else {
		return error_string("-drive: unknown property '%s'", key);
	}
	return NULL;
}

char *
config_add_drive(struct config *config, const char *value)
{
	struct drive_options o = {.place = -1, .bus = -1};
	char *element, *key, *text, *error = NULL;

	for (; !error && (element = next_pair(&value, &key, &text)); free(element))
		error = apply_key(&o, key, text);
	if (!error && !o.drive.file)
		error = error_string("-drive: has no file=PATH");
	if (!error && o.bus >= 0 && o.place > 1)
		error = error_string("-drive file=%s: unit=%d is no place from 0 to 1 of a bus", o.drive.file, o.place);
	if (!error && o.bus >= 0)
		o.place = o.bus * 2 + MAX(o.place, 0);
	if (!error && o.virtio && o.place >= 0)
		error = error_string("-drive file=%s: index= is for if=ide", o.drive.file);
	if (!error)
		error = plug(config, &o);
	forget(&o.drive);
	return error;
}

static struct config_drive *
find_loose(struct config *config, const char *id)
{
	for (unsigned i = CONFIG_IDE_DRIVES; i < CONFIG_DRIVES; i++) {
		struct config_drive *drive = &config->drive[i];

		if (drive->file && drive->loose && drive->id && !strcmp(drive->id, id))
			return drive;
	}
	return NULL;
}

char *
config_add_virtio_blk(struct config *config, const char *value, bool modern)
{
	struct config_drive *drive = NULL;
	char *element, *key, *text, *serial = NULL, *error = NULL;
	int slot = -1;

	for (; !error && (element = next_pair(&value, &key, &text)); free(element)) {
		if (!text)
			text = "";
		if (!strcmp(key, "drive")) {
			drive = find_loose(config, text);
			if (!drive)
				error = error_string("-device virtio-blk-pci: there is no -drive if=none,id=%s before it", text);
		} else if (!strcmp(key, "addr")) {
			if (!parse_slot(text, &slot))
				error = error_string("-device virtio-blk-pci: addr=%s is no slot from 02 to 1f", text);
		} else if (!strcmp(key, "serial")) {
			set_text(&serial, text);
		} else if (strcmp(key, "id") != 0 && strcmp(key, "bus") != 0 && strcmp(key, "bootindex") != 0) {
			error = error_string("-device virtio-blk-pci: unknown property '%s'", key);
		}
	}
	if (!error && !drive)
		error = error_string("-device virtio-blk-pci: has no drive=ID");
	if (error) {
		free(serial);
		return error;
	}
	drive->loose = false;
	drive->modern = modern;
	drive->slot = slot;
	if (serial) {
		free(drive->serial);
		drive->serial = serial;
	}
	return NULL;
}

char *
config_check_drives(const struct config *config)
{
	for (unsigned i = 0; i < CONFIG_DRIVES; i++) {
		const struct config_drive *drive = &config->drive[i];

		if (drive->file && drive->loose)
			return error_string("-drive file=%s: if=none, and no -device takes it", drive->file);
		if (drive->file && drive->cdrom && i >= CONFIG_IDE_DRIVES)
			return error_string("-drive file=%s: media=cdrom needs if=ide", drive->file);
	}
	return NULL;
}

char *
config_add_image(struct config *config, const char *path, int place, bool cdrom)
{
	struct drive_options o = {.drive = {.file = error_string("%s", path), .cdrom = cdrom}, .place = place};
	char *error = plug(config, &o);

	forget(&o.drive);
	return error;
}

char *
config_set_boot(struct config *config, const char *value)
{
	char *element, *key, *text, *error = NULL;

	for (; !error && (element = next_pair(&value, &key, &text)); free(element)) {
		const char *order = !text ? key : !strcmp(key, "order") ? text : NULL;

		if (order && *order && strlen(order) <= CONFIG_BOOT_ORDER && strspn(order, "acdn") == strlen(order))
			strcpy(config->boot_order, order);
		else if (order)
			error = error_string("-boot: '%s' is no order: up to %d of a, c, d, n", order, CONFIG_BOOT_ORDER);
		else if (strcmp(key, "menu") != 0)
			error = error_string("-boot: unknown property '%s'", key);
		else if (!parse_switch(text, &config->boot_menu))
			error = error_string("-boot: menu=%s is neither on nor off", text);
	}
	return error;
}

void
config_free_drives(struct config *config)
{
	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		forget(&config->drive[i]);
	forget(&config->flash);
}
