/*
 * What all displays have in common: who hears of the user's doings, and the exchange of pictures and events between the
 * emulator's thread and a display's own. See exchange.c.
 *
 * The emulator's thread never waits for a display: when the other side holds the lock, it comes back later.
 */
#ifndef NB_GUI_GUI_H
#define NB_GUI_GUI_H

#include <pthread.h>

#include "base/types.h"
#include "bus/input.h"

struct display;

/* For a status line. Counters only grow. */
struct gui_status {
	u64 instructions;
	u64 guest_ns;
	u64 disk_requests, network_frames;
};

/* Who hears, on the emulator's thread, when host input is polled. */
struct gui_sinks {
	/* Scan code of set 1, or 0xe000 | code. */
	void (*key)(void *opaque, unsigned code, bool down);
	/* Movement in pixels, wheel clicks, buttons (bit 0 left, 1 right, 2 middle). */
	void (*mouse)(void *opaque, int dx, int dy, int dz, unsigned buttons);
	void (*closed)(void *opaque);
	/* The user wants the picture as a file. */
	void (*screenshot)(void *opaque);
	void (*status)(void *opaque, struct gui_status *status);
	void *opaque;
};

enum gui_kind { GUI_KEY_DOWN, GUI_KEY_UP, GUI_MOUSE, GUI_CLOSED, GUI_SCREENSHOT };

struct gui_event {
	enum gui_kind kind;
	unsigned code; /* or buttons */
	int dx, dy, dz;
};

#define GUI_EVENTS 256u
#define GUI_PASTE 65536u
#define GUI_PICTURE_MS 16

struct exchange {
	const struct display *display;
	struct gui_sinks sinks;
	struct input *input;
	struct input_source source;
	pthread_mutex_t lock;

	/* Under the lock. */
	u32 *pixels; /* 0x00rrggbb, width * height */
	unsigned width, height;
	bool fresh, resized; /* since the display's side reset them */
	bool quit;
	struct gui_status status;
	struct gui_event event[GUI_EVENTS];
	unsigned first, count;
	char paste[GUI_PASTE]; /* characters that are to be typed */
	unsigned pasted, pastes;

	/* The emulator's side. */
	u64 last_picture; /* host ms */
	u64 next_key;     /* virtual time of the next typed one */
	u64 key_cycles;   /* between two of them */
};

/* `hz` is the machine's clock. The exchange is an input source from here on, as long as the machine lives. */
void exchange_init(struct exchange *e, const char *name, const struct display *display, const struct gui_sinks *sinks,
		   struct input *input, u64 hz);
void exchange_free(struct exchange *e);

/* ---- For the display's thread ---- */

/* Too many at once: the newest are lost, as with a real keyboard's buffer. */
void exchange_tell(struct exchange *e, struct gui_event event);
/* Types a text on the guest's (US) keyboard. What does not fit, or is not on it, is left out. */
void exchange_paste(struct exchange *e, const char *text);
bool exchange_quits(struct exchange *e);

/* ---- keymap.c: the PC keyboard with US layout ---- */

/* Scan code of the key that types the character, and whether with Shift; 0: there is none. */
unsigned keymap_character(unsigned character, bool *shift);
/* Of an X11 keysym, as VNC has it. Shift is a key of its own there. */
unsigned keymap_keysym(u32 keysym);
/*
 * The keys of a combination, "ctrl-alt-delete", in its order: names, or characters that a key types, with "-" between. Returns
 * their number; *error (heap) says what is wrong, else NULL.
 */
#define KEYMAP_COMBINATION 8
unsigned keymap_combination(const char *text, unsigned codes[KEYMAP_COMBINATION], char **error);

#endif
