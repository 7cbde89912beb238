/*
 * An adapter tells its changes once. For two displays the tee keeps the picture, and remembers who has not seen its last
 * change: the adapter draws as seldom as for one. All on the emulator's thread.
 */
#include "gui/tee.h"

#include <stdlib.h>
#include <string.h>

#include "base/stop.h"

struct side {
	struct tee *tee;
	struct display display;
	bool stale;
};

struct tee {
	const struct display *real;
	struct side side[TEE_SIDES];
	u32 *pixels;
	unsigned width, height;
};

static void
side_size(void *adapter, unsigned *width, unsigned *height)
{
	struct side *side = adapter;

	side->tee->real->size(side->tee->real->adapter, width, height);
}

static bool
side_draw(void *adapter, u32 *pixels, bool all)
{
	struct side *side = adapter;
	struct tee *tee = side->tee;
	unsigned width, height;
	bool resized;

	side_size(side, &width, &height);
	resized = width != tee->width || height != tee->height;
	tee->width = width;
	tee->height = height;
	if (tee->real->draw(tee->real->adapter, tee->pixels, resized))
		for (unsigned i = 0; i < TEE_SIDES; i++)
			tee->side[i].stale = true;
	if (!side->stale && !all)
		return false;
	memcpy(pixels, tee->pixels, (size_t)width * height * 4);
	side->stale = false;
	return true;
}

static char *
side_text(void *adapter)
{
	struct side *side = adapter;

	return side->tee->real->text(side->tee->real->adapter);
}

struct tee *
tee_new(const struct display *real)
{
	struct tee *tee = calloc(1, sizeof(*tee));

	if (!tee)
		stop_host_error("out of memory");
	tee->real = real;
	tee->pixels = calloc((size_t)DISPLAY_MAX_WIDTH * DISPLAY_MAX_HEIGHT, 4);
	if (!tee->pixels)
		stop_host_error("out of memory");
	for (unsigned i = 0; i < TEE_SIDES; i++)
		tee->side[i] = (struct side){.tee = tee, .display = {side_size, side_draw, side_text, &tee->side[i]}};
	return tee;
}

void
tee_free(struct tee *tee)
{
	if (tee)
		free(tee->pixels);
	free(tee);
}

const struct display *
tee_side(struct tee *tee, unsigned side)
{
	return &tee->side[side].display;
}
