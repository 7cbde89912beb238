/* The SDL2 window. See sdl.c. */
#ifndef NB_GUI_SDL_H
#define NB_GUI_SDL_H

#include "base/types.h"

struct display;
struct gui_sinks;
struct input;
struct sdl_window;

/* Opens the window. Returns NULL, or what is wrong (heap), for one when there is no display to open it on. */
char *sdl_window_new(const struct display *display, const struct gui_sinks *sinks, struct input *input, u64 hz,
		     struct sdl_window **out);
void sdl_window_free(struct sdl_window *w);

#endif
