/* What a display adapter shows, for windows, screenshots and tests. They pull; the adapter never waits for them. */
#ifndef NB_BUS_DISPLAY_H
#define NB_BUS_DISPLAY_H

#include "base/types.h"

#define DISPLAY_MAX_WIDTH 2560u
#define DISPLAY_MAX_HEIGHT 1600u

/* The adapter fills it in. Looking at the screen never changes what the guest can see. */
struct display {
	/* Of the picture; 0 x 0 while there is none. At most DISPLAY_MAX_WIDTH x DISPLAY_MAX_HEIGHT. */
	void (*size)(void *adapter, unsigned *width, unsigned *height);
	/*
	 * Draws lines that changed since the last call, or all of them, to `pixels` (0x00rrggbb, no gaps) of exactly the
	 * present size. False: nothing has changed, nothing was drawn. One at a time can follow the changes; for others there
	 * is `all`, which does not count as a call.
	 */
	bool (*draw)(void *adapter, u32 *pixels, bool all);
	/*
	 * In text mode, the screen's characters as UTF-8 lines without trailing blanks: heap. NULL: the adapter is in a
	 * graphics mode.
	 */
	char *(*text)(void *adapter);
	void *adapter;
};

#endif
