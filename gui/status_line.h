/* The line below the picture in a window: speed, guest time, activity. See status_line.c. */
#ifndef NB_GUI_STATUS_LINE_H
#define NB_GUI_STATUS_LINE_H

#include "base/types.h"

struct status_line {
	u64 mips;
	u64 tenths; /* of guest seconds */
	bool disk, network; /* active since the last look */
	bool grabbed;       /* the mouse is the guest's: tell how to get it back */
};

/* In pixels, below a picture of this width. */
unsigned status_line_height(unsigned width);
/* Draws all of it: `width` * status_line_height(width) pixels, 0x00rrggbb. What does not fit is cut off. */
void status_line_draw(u32 *pixels, unsigned width, const struct status_line *line);

#endif
