/* Between the emulator's thread and a display's: pictures one way, keys and mouse the other. */
#include "gui/gui.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/stop.h"
#include "bus/display.h"

#define TYPE_NS 5000000u /* from key to key when text is pasted: guests poll their keyboards */
#define SHIFT 0x2a

/* ---- The display's side ---- */

void
exchange_tell(struct exchange *e, struct gui_event event)
{
	pthread_mutex_lock(&e->lock);
	if (e->count < GUI_EVENTS)
		e->event[(e->first + e->count++) % GUI_EVENTS] = event;
	pthread_mutex_unlock(&e->lock);
}

void
exchange_paste(struct exchange *e, const char *text)
{
	bool shift;

	pthread_mutex_lock(&e->lock);
	for (; *text && e->pastes < GUI_PASTE; text++)
		if (keymap_character((u8)*text, &shift))
			e->paste[e->pastes++] = *text;
	pthread_mutex_unlock(&e->lock);
}

bool
exchange_quits(struct exchange *e)
{
	bool quit;

	pthread_mutex_lock(&e->lock);
	quit = e->quit;
	pthread_mutex_unlock(&e->lock);
	return quit;
}

/* ---- The emulator's side ---- */

static void
deliver(struct exchange *e, const struct gui_event *event)
{
	const struct gui_sinks *sinks = &e->sinks;

	switch (event->kind) {
	case GUI_KEY_DOWN:
	case GUI_KEY_UP:
		sinks->key(sinks->opaque, event->code, event->kind == GUI_KEY_DOWN);
		break;
	case GUI_MOUSE:
		sinks->mouse(sinks->opaque, event->dx, event->dy, event->dz, event->code);
		break;
	case GUI_CLOSED:
		sinks->closed(sinks->opaque);
		break;
	case GUI_SCREENSHOT:
		sinks->screenshot(sinks->opaque);
		break;
	}
}

static void
type(struct exchange *e, char character)
{
	bool shift;
	unsigned code = keymap_character((u8)character, &shift);
	void *opaque = e->sinks.opaque;

	if (shift)
		e->sinks.key(opaque, SHIFT, true);
	e->sinks.key(opaque, code, true);
	e->sinks.key(opaque, code, false);
	if (shift)
		e->sinks.key(opaque, SHIFT, false);
}

/* With the lock held. */
static void
take_picture(struct exchange *e)
{
	const struct display *display = e->display;
	unsigned width, height;
	bool all;

	display->size(display->adapter, &width, &height);
	if (!width || !height)
		return;
	all = width != e->width || height != e->height;
	if (all) {
		e->width = width;
		e->height = height;
		e->resized = true;
	}
	e->fresh |= display->draw(display->adapter, e->pixels, all);
}

static u64
host_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

static void
poll_exchange(void *opaque, u64 now)
{
	struct exchange *e = opaque;
	struct gui_event event[GUI_EVENTS];
	u64 ms = host_ms();
	unsigned count;
	char typed = 0;

	/* The display's thread is at work with it: next time. */
	if (pthread_mutex_trylock(&e->lock) != 0)
		return;
	count = e->count;
	for (unsigned i = 0; i < count; i++)
		event[i] = e->event[(e->first + i) % GUI_EVENTS];
	e->first = (e->first + count) % GUI_EVENTS;
	e->count = 0;
	if (e->pasted < e->pastes && now >= e->next_key) {
		typed = e->paste[e->pasted++];
		e->next_key = now + e->key_cycles;
		if (e->pasted == e->pastes)
			e->pasted = e->pastes = 0;
	}
	if (ms - e->last_picture >= GUI_PICTURE_MS) {
		e->last_picture = ms;
		take_picture(e);
		e->sinks.status(e->sinks.opaque, &e->status);
	}
	pthread_mutex_unlock(&e->lock);
	for (unsigned i = 0; i < count; i++)
		deliver(e, &event[i]);
	if (typed)
		type(e, typed);
}

void
exchange_init(struct exchange *e, const char *name, const struct display *display, const struct gui_sinks *sinks,
	      struct input *input, u64 hz)
{
	memset(e, 0, sizeof(*e));
	e->display = display;
	e->sinks = *sinks;
	e->input = input;
	e->key_cycles = (u64)((u128)hz * TYPE_NS / 1000000000);
	e->pixels = calloc((size_t)DISPLAY_MAX_WIDTH * DISPLAY_MAX_HEIGHT, 4);
	if (!e->pixels)
		stop_host_error("out of memory");
	pthread_mutex_init(&e->lock, NULL);
	e->source = (struct input_source){.name = name, .poll = poll_exchange, .opaque = e, .fd = -1};
	input_add(input, &e->source);
}

void
exchange_free(struct exchange *e)
{
	pthread_mutex_destroy(&e->lock);
	free(e->pixels);
}
