/* A display for VNC clients. See vnc.c. */
#ifndef NB_GUI_VNC_H
#define NB_GUI_VNC_H

#include "base/types.h"

struct display;
struct gui_sinks;
struct input;
struct vnc;

/* `where` is [HOST]:N, display N being TCP port 5900 + N. Returns NULL, or what is wrong (heap). */
char *vnc_new(const char *where, const struct display *display, const struct gui_sinks *sinks, struct input *input, u64 hz,
	      struct vnc **out);
void vnc_free(struct vnc *v);

#endif
