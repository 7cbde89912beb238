/* The SDL2 window: shows a display, and brings keyboard and mouse through bus/input. See sdl.c. */
#ifndef NB_GUI_SDL_H
#define NB_GUI_SDL_H

#include "base/types.h"

struct display;
struct input;
struct sdl_window;

/* Who hears of the user's doings, on the emulator's thread, when host input is polled. */
struct sdl_sinks {
	/* Scan code of set 1, or 0xe000 | code. */
	void (*key)(void *opaque, unsigned code, bool down);
	/* Movement in pixels, wheel clicks, buttons (bit 0 left, 1 right, 2 middle). */
	void (*mouse)(void *opaque, int dx, int dy, int dz, unsigned buttons);
	void (*closed)(void *opaque);
	void *opaque;
};

/* Opens the window. Returns NULL, or what is wrong (heap), for one when there is no display to open it on. */
char *sdl_window_new(const struct display *display, const struct sdl_sinks *sinks, struct input *input,
		     struct sdl_window **out);
void sdl_window_free(struct sdl_window *w);

#endif
