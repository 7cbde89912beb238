/* Capsules: see capsule.h. */
#include "machine/capsule.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/snapshot.h"
#include "base/stop.h"
#include "bus/input.h"
#include "machine/config.h"
#include "machine/container.h"
#include "machine/images.h"
#include "machine/machine.h"

#define TEXT_MAX 65536u

static const char magic[CONTAINER_MAGIC] = "nestbox capsule";

struct capsule {
	struct container_writer *writer;
	struct machine *machine;
	char *part; /* where what is there so far goes; NULL: nowhere */
	u64 parted; /* bytes of the log that it has */
	/* The section "images": reading them again and again takes too long. */
	u8 *images;
	size_t images_size;
};

/* ---- Recording ---- */

static void
keep(struct capsule *c, const void *data, size_t size)
{
	c->images = realloc(c->images, c->images_size + size);
	if (!c->images)
		stop_host_error("out of memory");
	memcpy(c->images + c->images_size, data, size);
	c->images_size += size;
}

static void
keep_text(struct capsule *c, const char *text)
{
	u32 size = (u32)strlen(text);

	keep(c, &size, sizeof(size));
	keep(c, text, size);
}

static void
put_text(struct container_writer *w, const char *text)
{
	u32 size = text ? (u32)strlen(text) : UINT32_MAX;

	container_put(w, &size, sizeof(size));
	if (text)
		container_put(w, text, size);
}

static void
put_option(void *opaque, const char *name, const char *value)
{
	put_text(opaque, name);
	put_text(opaque, value);
}

static void
put_image(void *opaque, const struct image *image)
{
	keep_text(opaque, image->role);
	keep_text(opaque, image->path);
	keep(opaque, &image->size, sizeof(image->size));
	keep(opaque, &image->sum, sizeof(image->sum));
}

static void
visit(void *opaque, struct state *s)
{
	machine_state(opaque, s);
}

static void
put_options_and_images(const struct capsule *c, struct container_writer *w)
{
	container_section(w, "options", 1);
	config_for_replay(c->machine->config, put_option, w);
	put_text(w, "");
	container_section(w, "images", 1);
	container_put(w, c->images, c->images_size);
}

static void
put_end(const struct capsule *c, struct container_writer *w, const struct outcome *outcome)
{
	container_section(w, "input", 1);
	input_write(c->machine->input, container_store(w));
	container_section(w, "outcome", 1);
	container_put(w, outcome, sizeof(*outcome));
}

static void
free_capsule(struct capsule *c)
{
	free(c->part);
	free(c->images);
	free(c);
}

char *
capsule_begin(struct machine *machine, const char *path, struct capsule **out)
{
	struct capsule *c = calloc(1, sizeof(*c));
	struct container_writer *w;
	u8 has_machine = machine->config->snapshot_load != NULL;
	char *error;

	*out = NULL;
	if (!c)
		stop_host_error("out of memory");
	c->machine = machine;
	error = container_create(path, magic, &w);
	if (error) {
		free_capsule(c);
		return error;
	}
	error = images_of(machine->config, put_image, c);
	if (error) {
		container_abandon(w);
		free_capsule(c);
		return error;
	}
	keep_text(c, "");
	put_options_and_images(c, w);
	container_section(w, "start", 1);
	container_put(w, &has_machine, sizeof(has_machine));
	if (has_machine)
		state_save_to(visit, machine, container_store(w));
	c->writer = w;
	/* A snapshot at the beginning is in the file that is under way only. */
	if (!has_machine)
		c->part = error_string("%s.part", path);
	input_log(machine->input);
	*out = c;
	return NULL;
}

char *
capsule_end(struct capsule *c, const struct outcome *outcome)
{
	char *error;

	put_end(c, c->writer, outcome);
	error = container_commit(c->writer);
	if (!error && c->parted)
		unlink(c->part);
	free_capsule(c);
	return error;
}

char *
capsule_part(struct capsule *c, const struct outcome *outcome)
{
	u64 size = input_log_size(c->machine->input);
	struct container_writer *w;
	u8 has_machine = 0;
	char *error;

	if (!c->part || size == c->parted)
		return NULL;
	error = container_create(c->part, magic, &w);
	if (!error) {
		put_options_and_images(c, w);
		container_section(w, "start", 1);
		container_put(w, &has_machine, sizeof(has_machine));
		put_end(c, w, outcome);
		error = container_commit(w);
	}
	c->parted = size;
	if (error) {
		free(c->part);
		c->part = NULL;
		c->parted = 0;
	}
	return error;
}

void
capsule_abandon(struct capsule *c)
{
	container_abandon(c->writer);
	free_capsule(c);
}

/* ---- Replaying ---- */

static char *
get(struct container_reader *r, void *data, size_t size)
{
	const struct state_store *store = container_sections(r);

	return store->get(store->opaque, data, size);
}

static char *
open_section(struct container_reader *r, const char *name)
{
	const struct state_store *store = container_sections(r);

	return store->open(store->opaque, name, 1);
}

/* *text: heap, NULL for none. */
static char *
get_text(struct container_reader *r, char **text)
{
	u32 size;
	char *error = get(r, &size, sizeof(size));

	*text = NULL;
	if (error || size == UINT32_MAX)
		return error;
	if (size > TEXT_MAX || size > container_left(r))
		return error_string("a text of %u bytes", size);
	*text = calloc(1, size + 1);
	if (!*text)
		stop_host_error("out of memory");
	error = get(r, *text, size);
	if (!error && strlen(*text) != size)
		error = error_string("a text with a zero in it");
	return error;
}

static char *
read_options(struct container_reader *r, char *(*one)(void *opaque, const char *name, const char *value), void *opaque)
{
	char *error = open_section(r, "options");

	while (!error) {
		char *name = NULL, *value = NULL;
		bool last;

		error = get_text(r, &name);
		if (!error && !name)
			error = error_string("an option without a name");
		last = !error && !*name;
		if (!error && !last)
			error = get_text(r, &value);
		if (!error && !last && one)
			error = one(opaque, name, value);
		free(name);
		free(value);
		if (last)
			return NULL;
	}
	return error;
}

static char *
read_images(struct container_reader *r, const char *capsule, struct config *config)
{
	char *error = open_section(r, "images");

	while (!error) {
		struct image image = {0};
		char *role = NULL, *path = NULL;
		bool last;

		error = get_text(r, &role);
		if (!error && !role)
			error = error_string("an image without a role");
		last = !error && !*role;
		if (!error && !last)
			error = get_text(r, &path);
		if (!error && !last && !path)
			error = error_string("an image without a path");
		if (!error && !last)
			error = get(r, &image.size, sizeof(image.size));
		if (!error && !last)
			error = get(r, &image.sum, sizeof(image.sum));
		image.role = role;
		image.path = path;
		if (!error && !last && config)
			error = images_find(config, &image, capsule);
		free(role);
		free(path);
		if (last)
			return NULL;
	}
	return error;
}

/* Opens, does one of them, and closes. */
static char *
finish(struct container_reader *r, char *error)
{
	if (error)
		error = container_error(r, error);
	container_close(r);
	return error;
}

char *
capsule_options(const char *path, char *(*one)(void *opaque, const char *name, const char *value), void *opaque)
{
	struct container_reader *r;
	char *error = container_open(path, magic, "capsule", &r);

	return error ? error : finish(r, read_options(r, one, opaque));
}

char *
capsule_images(const char *path, struct config *config)
{
	struct container_reader *r;
	char *error = container_open(path, magic, "capsule", &r);

	if (error)
		return error;
	error = read_options(r, NULL, NULL);
	return finish(r, error ? error : read_images(r, path, config));
}

static char *
load_rest(struct container_reader *r, struct machine *machine, struct outcome *outcome)
{
	u8 has_machine = 0;
	char *error = open_section(r, "start");

	if (!error)
		error = get(r, &has_machine, sizeof(has_machine));
	if (!error && has_machine > 1)
		error = error_string("neither power on nor a machine");
	if (!error && has_machine)
		error = state_load_from(visit, machine, container_sections(r));
	if (!error)
		error = open_section(r, "input");
	if (!error)
		error = input_read(machine->input, container_sections(r), container_left(r));
	if (!error)
		error = open_section(r, "outcome");
	if (!error)
		error = get(r, outcome, sizeof(*outcome));
	if (!error && (outcome->by_host > 2 || outcome->broken > 1 || outcome->status > 255))
		error = error_string("an outcome that cannot be");
	return error ? error : container_finish(r);
}

char *
capsule_load(const char *path, struct machine *machine, struct outcome *outcome)
{
	struct container_reader *r;
	char *error = container_open(path, magic, "capsule", &r);

	if (error)
		return error;
	error = read_options(r, NULL, NULL);
	if (!error)
		error = read_images(r, path, NULL);
	return finish(r, error ? error : load_rest(r, machine, outcome));
}
