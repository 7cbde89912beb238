/* The files that a machine is made from: see images.h. */
#define _GNU_SOURCE
#include "machine/images.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/snapshot.h"
#include "base/stop.h"
#include "machine/config.h"
#include "machine/firmware.h"
#include "machine/values.h"

#define PIECE (1u << 20)

static char *
sum_file(const char *path, u64 *size, u64 *sum)
{
	FILE *file = fopen(path, "rb");
	u8 *piece = malloc(PIECE);
	char *error = NULL;
	size_t got;

	*size = *sum = 0;
	if (!piece)
		stop_host_error("out of memory");
	if (!file) {
		free(piece);
		return error_string("%s: %s", path, strerror(errno));
	}
	while ((got = fread(piece, 1, PIECE, file)) != 0) {
		*sum = state_checksum(*sum, piece, got);
		*size += got;
	}
	if (ferror(file))
		error = error_string("%s: %s", path, strerror(errno));
	fclose(file);
	free(piece);
	return error;
}

static char *
one_image(const char *role, const char *path, void (*one)(void *opaque, const struct image *image), void *opaque)
{
	char *absolute = realpath(path, NULL), *error;
	struct image image = {.role = role, .path = absolute};

	if (!absolute)
		return error_string("%s: %s", path, strerror(errno));
	error = sum_file(absolute, &image.size, &image.sum);
	if (!error)
		one(opaque, &image);
	free(absolute);
	return error;
}

/* "F ARGS,F ARGS" of multiboot, or one file: as the loader takes them apart. Calls `file` with each name. */
static char *
each_initrd(const struct config *config, char *(*file)(void *opaque, unsigned number, const char *path), void *opaque)
{
	const char *at = config->initrd;
	char *string, *error = NULL;
	struct stat status;

	if (stat(at, &status) == 0)
		return file(opaque, 0, at);
	for (unsigned number = 0; !error && (string = next_element(&at)); number++) {
		char *path = error_string("%.*s", (int)strcspn(string, " "), string);

		error = file(opaque, number, path);
		free(path);
		free(string);
	}
	return error;
}

struct initrd_images {
	void (*one)(void *opaque, const struct image *image);
	void *opaque;
};

static char *
one_initrd(void *opaque, unsigned number, const char *path)
{
	struct initrd_images *to = opaque;
	char *role = error_string("initrd%u", number);
	char *error = one_image(role, path, to->one, to->opaque);

	free(role);
	return error;
}

char *
images_of(const struct config *config, void (*one)(void *opaque, const struct image *image), void *opaque)
{
	struct initrd_images initrds = {one, opaque};
	char *error = NULL;

	if (config->kernel)
		error = one_image("kernel", config->kernel, one, opaque);
	if (!error && config->initrd)
		error = each_initrd(config, one_initrd, &initrds);
	if (!error && !config_direct_boot(config))
		error = one_image("bios", config->bios ? config->bios : firmware_default(), one, opaque);
	if (!error && config->vga)
		error = one_image("vga rom", firmware_vga_rom(config), one, opaque);
	for (unsigned i = 0; i < config->nics && !error && !config_direct_boot(config); i++) {
		char role[32];

		snprintf(role, sizeof(role), "nic rom%u", i);
		if (firmware_nic_rom(config, i))
			error = one_image(role, firmware_nic_rom(config, i), one, opaque);
	}
	if (!error && config->flash.file)
		error = one_image("flash", config->flash.file, one, opaque);
	for (unsigned i = 0; i < CONFIG_DRIVES && !error; i++) {
		char role[16];

		snprintf(role, sizeof(role), "drive%u", i);
		if (config->drive[i].file)
			error = one_image(role, config->drive[i].file, one, opaque);
	}
	return error;
}

/* ---- Finding them again ---- */

struct wanted_initrd {
	unsigned number;
	char *path; /* heap */
};

static char *
note_initrd(void *opaque, unsigned number, const char *path)
{
	struct wanted_initrd *w = opaque;

	if (number == w->number && !w->path)
		w->path = error_string("%s", path);
	return NULL;
}

static char *
use(struct config *config, const char *role, const char *path)
{
	struct wanted_initrd w = {0};

	/* The texts of -kernel and -initrd are what a multiboot kernel is told: they stay as they were. */
	if (!strcmp(role, "kernel") && config->kernel) {
		config_move(config, config->kernel, path);
	} else if (!strncmp(role, "initrd", 6) && config->initrd) {
		w.number = (unsigned)strtoul(role + 6, NULL, 10);
		each_initrd(config, note_initrd, &w);
		if (!w.path)
			return error_string("there is no %s", role);
		config_move(config, config_keep(config, w.path), path);
	} else if (!strcmp(role, "bios") && !config_direct_boot(config)) {
		config->bios = config_keep(config, error_string("%s", path));
	} else if (!strcmp(role, "vga rom") && config->vga) {
		config->vga_rom = config_keep(config, error_string("%s", path));
	} else if (!strncmp(role, "nic rom", 7) && role[7] >= '0' && role[7] < '0' + (int)config->nics && !role[8]) {
		config->nic[role[7] - '0'].romfile = config_keep(config, error_string("%s", path));
	} else if (!strcmp(role, "flash") && config->flash.file) {
		free(config->flash.file);
		config->flash.file = error_string("%s", path);
	} else if (!strncmp(role, "drive", 5) && role[5] >= '0' && role[5] < '0' + CONFIG_DRIVES && !role[6] &&
		   config->drive[role[5] - '0'].file) {
		struct config_drive *drive = &config->drive[role[5] - '0'];

		free(drive->file);
		drive->file = error_string("%s", path);
	} else {
		return error_string("these options have no %s", role);
	}
	return NULL;
}

char *
images_find(struct config *config, const struct image *wanted, const char *beside)
{
	const char *name = strrchr(wanted->path, '/') ? strrchr(wanted->path, '/') + 1 : wanted->path, *slash = strrchr(beside, '/');
	char *place[3] = {error_string("%s", wanted->path), error_string("%.*s%s", slash ? (int)(slash - beside) + 1 : 0, beside, name),
			  error_string("%s", name)};
	char *different = NULL, *error = NULL;
	bool found = false;

	for (unsigned i = 0; i < COUNT(place) && !found; i++) {
		u64 size, sum;
		char *trouble = sum_file(place[i], &size, &sum);

		found = !trouble && size == wanted->size && sum == wanted->sum;
		if (found)
			error = use(config, wanted->role, place[i]);
		else if (!trouble && !different)
			different = error_string("%s (%llu bytes, checksum %016llx) is not the %s of the recorded run (%llu bytes, checksum %016llx)",
						 place[i], (unsigned long long)size, (unsigned long long)sum, wanted->role,
						 (unsigned long long)wanted->size, (unsigned long long)wanted->sum);
		free(trouble);
	}
	if (!found)
		error = different ? error_string("%s", different)
				  : error_string("the %s of the recorded run is missing: neither %s nor %s nor ./%s is there", wanted->role,
						 place[0], place[1], place[2]);
	for (unsigned i = 0; i < COUNT(place); i++)
		free(place[i]);
	free(different);
	return error;
}
