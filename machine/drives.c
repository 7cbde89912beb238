/* -drive, -cdrom, -boot: what is plugged into the four places of the IDE controller, and the order of booting. */
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "machine/config.h"
#include "machine/values.h"

static char *
plug(struct config *config, struct config_drive *drive, int place)
{
	/* A CD without a place goes where PCs have it. */
	if (place < 0 && drive->cdrom && !config->drive[2].file)
		place = 2;
	for (unsigned i = 0; place < 0 && i < CONFIG_DRIVES; i++)
		if (!config->drive[i].file)
			place = (int)i;
	if (place < 0)
		return error_string("-drive: more than %d drives", CONFIG_DRIVES);
	if (config->drive[place].file)
		return error_string("-drive file=%s: index=%d is taken by %s", drive->file, place,
				    config->drive[place].file);
	config->drive[place] = *drive;
	drive->file = NULL;
	return NULL;
}

static char *
apply_key(struct config_drive *drive, int *place, const char *key, const char *text)
{
	u64 number;

	if (!strcmp(key, "file") && text && *text) {
		free(drive->file);
		drive->file = error_string("%s", text);
	} else if (!strcmp(key, "format")) {
		if (!text || strcmp(text, "raw") != 0)
			return error_string("-drive: format=%s is not there yet, only raw", text ? text : "");
	} else if (!strcmp(key, "snapshot")) {
		if (!text || !parse_switch(text, &drive->snapshot))
			return error_string("-drive: snapshot=%s is neither on nor off", text ? text : "");
	} else if (!strcmp(key, "if")) {
		if (!text || strcmp(text, "ide") != 0)
			return error_string("-drive: if=%s is not there yet, only ide", text ? text : "");
	} else if (!strcmp(key, "media")) {
		if (!text || (strcmp(text, "disk") != 0 && strcmp(text, "cdrom") != 0))
			return error_string("-drive: media=%s is neither disk nor cdrom", text ? text : "");
		drive->cdrom = text[0] == 'c';
	} else if (!strcmp(key, "index")) {
		if (!text || !parse_number(text, &number) || number >= CONFIG_DRIVES)
			return error_string("-drive: index=%s is no place from 0 to 3", text ? text : "");
		*place = (int)number;
	} else if (strcmp(key, "id") != 0) {
		return error_string("-drive: unknown property '%s'", key);
	}
	return NULL;
}

char *
config_add_drive(struct config *config, const char *value)
{
	struct config_drive drive = {0};
	char *element, *key, *text, *error = NULL;
	int place = -1;

	for (; !error && (element = next_pair(&value, &key, &text)); free(element))
		error = apply_key(&drive, &place, key, text);
	if (!error && !drive.file)
		error = error_string("-drive: has no file=PATH");
	if (!error)
		error = plug(config, &drive, place);
	free(drive.file);
	return error;
}

char *
config_add_image(struct config *config, const char *path, int place, bool cdrom)
{
	struct config_drive drive = {.file = error_string("%s", path), .cdrom = cdrom};
	char *error = plug(config, &drive, place);

	free(drive.file);
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
		free(config->drive[i].file);
}
