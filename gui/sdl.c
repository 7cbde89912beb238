/*
 * The SDL2 window. A thread of its own has the window and waits for the host; the emulator's thread only exchanges
 * pictures and events with it, and goes on at once when the other side holds the lock.
 *
 * A click grabs the mouse, Ctrl-Alt-G releases it. Keys are taken by their place, so the guest's layout decides.
 * Not there yet: full screen, status line, pasting.
 */
#include "gui/sdl.h"

#include <SDL.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "bus/display.h"
#include "bus/input.h"

#define EVENTS 256
#define PICTURE_MS 16
#define TITLE "nestbox"
#define TITLE_GRABBED "nestbox - Ctrl-Alt-G releases the mouse"

enum kind { KEY_DOWN, KEY_UP, MOUSE, CLOSED };

struct happening {
	enum kind kind;
	unsigned code; /* or buttons */
	int dx, dy, dz;
};

struct sdl_window {
	const struct display *display;
	struct sdl_sinks sinks;
	struct input_source source;
	SDL_Thread *thread;
	SDL_mutex *lock;
	SDL_sem *started;
	char error[200]; /* of the thread's start */

	/* Under the lock. */
	u32 *pixels;
	unsigned width, height;
	bool fresh, resized, quit;
	struct happening happening[EVENTS];
	unsigned first, count;

	/* The emulator's side. */
	u32 last_picture;
	unsigned shown_width, shown_height;

	/* The window's side. */
	SDL_Window *window;
	bool grabbed;
	unsigned buttons;
};

/* ---- The window's thread ---- */

static const u16 scan_code[SDL_NUM_SCANCODES] = {
	[SDL_SCANCODE_ESCAPE] = 0x01, [SDL_SCANCODE_1] = 0x02, [SDL_SCANCODE_2] = 0x03, [SDL_SCANCODE_3] = 0x04,
	[SDL_SCANCODE_4] = 0x05, [SDL_SCANCODE_5] = 0x06, [SDL_SCANCODE_6] = 0x07, [SDL_SCANCODE_7] = 0x08,
	[SDL_SCANCODE_8] = 0x09, [SDL_SCANCODE_9] = 0x0a, [SDL_SCANCODE_0] = 0x0b, [SDL_SCANCODE_MINUS] = 0x0c,
	[SDL_SCANCODE_EQUALS] = 0x0d, [SDL_SCANCODE_BACKSPACE] = 0x0e, [SDL_SCANCODE_TAB] = 0x0f,
	[SDL_SCANCODE_Q] = 0x10, [SDL_SCANCODE_W] = 0x11, [SDL_SCANCODE_E] = 0x12, [SDL_SCANCODE_R] = 0x13,
	[SDL_SCANCODE_T] = 0x14, [SDL_SCANCODE_Y] = 0x15, [SDL_SCANCODE_U] = 0x16, [SDL_SCANCODE_I] = 0x17,
	[SDL_SCANCODE_O] = 0x18, [SDL_SCANCODE_P] = 0x19, [SDL_SCANCODE_LEFTBRACKET] = 0x1a,
	[SDL_SCANCODE_RIGHTBRACKET] = 0x1b, [SDL_SCANCODE_RETURN] = 0x1c, [SDL_SCANCODE_LCTRL] = 0x1d,
	[SDL_SCANCODE_A] = 0x1e, [SDL_SCANCODE_S] = 0x1f, [SDL_SCANCODE_D] = 0x20, [SDL_SCANCODE_F] = 0x21,
	[SDL_SCANCODE_G] = 0x22, [SDL_SCANCODE_H] = 0x23, [SDL_SCANCODE_J] = 0x24, [SDL_SCANCODE_K] = 0x25,
	[SDL_SCANCODE_L] = 0x26, [SDL_SCANCODE_SEMICOLON] = 0x27, [SDL_SCANCODE_APOSTROPHE] = 0x28,
	[SDL_SCANCODE_GRAVE] = 0x29, [SDL_SCANCODE_LSHIFT] = 0x2a, [SDL_SCANCODE_BACKSLASH] = 0x2b,
	[SDL_SCANCODE_NONUSHASH] = 0x2b, [SDL_SCANCODE_Z] = 0x2c, [SDL_SCANCODE_X] = 0x2d, [SDL_SCANCODE_C] = 0x2e,
	[SDL_SCANCODE_V] = 0x2f, [SDL_SCANCODE_B] = 0x30, [SDL_SCANCODE_N] = 0x31, [SDL_SCANCODE_M] = 0x32,
	[SDL_SCANCODE_COMMA] = 0x33, [SDL_SCANCODE_PERIOD] = 0x34, [SDL_SCANCODE_SLASH] = 0x35,
	[SDL_SCANCODE_RSHIFT] = 0x36, [SDL_SCANCODE_KP_MULTIPLY] = 0x37, [SDL_SCANCODE_LALT] = 0x38,
	[SDL_SCANCODE_SPACE] = 0x39, [SDL_SCANCODE_CAPSLOCK] = 0x3a, [SDL_SCANCODE_F1] = 0x3b,
	[SDL_SCANCODE_F2] = 0x3c, [SDL_SCANCODE_F3] = 0x3d, [SDL_SCANCODE_F4] = 0x3e, [SDL_SCANCODE_F5] = 0x3f,
	[SDL_SCANCODE_F6] = 0x40, [SDL_SCANCODE_F7] = 0x41, [SDL_SCANCODE_F8] = 0x42, [SDL_SCANCODE_F9] = 0x43,
	[SDL_SCANCODE_F10] = 0x44, [SDL_SCANCODE_NUMLOCKCLEAR] = 0x45, [SDL_SCANCODE_SCROLLLOCK] = 0x46,
	[SDL_SCANCODE_KP_7] = 0x47, [SDL_SCANCODE_KP_8] = 0x48, [SDL_SCANCODE_KP_9] = 0x49,
	[SDL_SCANCODE_KP_MINUS] = 0x4a, [SDL_SCANCODE_KP_4] = 0x4b, [SDL_SCANCODE_KP_5] = 0x4c,
	[SDL_SCANCODE_KP_6] = 0x4d, [SDL_SCANCODE_KP_PLUS] = 0x4e, [SDL_SCANCODE_KP_1] = 0x4f,
	[SDL_SCANCODE_KP_2] = 0x50, [SDL_SCANCODE_KP_3] = 0x51, [SDL_SCANCODE_KP_0] = 0x52,
	[SDL_SCANCODE_KP_PERIOD] = 0x53, [SDL_SCANCODE_NONUSBACKSLASH] = 0x56, [SDL_SCANCODE_F11] = 0x57,
	[SDL_SCANCODE_F12] = 0x58, [SDL_SCANCODE_KP_ENTER] = 0xe01c, [SDL_SCANCODE_RCTRL] = 0xe01d,
	[SDL_SCANCODE_KP_DIVIDE] = 0xe035, [SDL_SCANCODE_RALT] = 0xe038, [SDL_SCANCODE_HOME] = 0xe047,
	[SDL_SCANCODE_UP] = 0xe048, [SDL_SCANCODE_PAGEUP] = 0xe049, [SDL_SCANCODE_LEFT] = 0xe04b,
	[SDL_SCANCODE_RIGHT] = 0xe04d, [SDL_SCANCODE_END] = 0xe04f, [SDL_SCANCODE_DOWN] = 0xe050,
	[SDL_SCANCODE_PAGEDOWN] = 0xe051, [SDL_SCANCODE_INSERT] = 0xe052, [SDL_SCANCODE_DELETE] = 0xe053,
	[SDL_SCANCODE_LGUI] = 0xe05b, [SDL_SCANCODE_RGUI] = 0xe05c, [SDL_SCANCODE_APPLICATION] = 0xe05d,
};

/* Too many at once: the newest are lost, as with a real keyboard's buffer. */
static void
tell(struct sdl_window *w, struct happening h)
{
	SDL_LockMutex(w->lock);
	if (w->count < EVENTS)
		w->happening[(w->first + w->count++) % EVENTS] = h;
	SDL_UnlockMutex(w->lock);
}

static void
grab(struct sdl_window *w, bool on)
{
	w->grabbed = on;
	SDL_SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE);
	SDL_SetWindowTitle(w->window, on ? TITLE_GRABBED : TITLE);
}

static void
on_key(struct sdl_window *w, const SDL_KeyboardEvent *event)
{
	unsigned code = event->keysym.scancode < SDL_NUM_SCANCODES ? scan_code[event->keysym.scancode] : 0;
	bool down = event->type == SDL_KEYDOWN;

	if (down && event->keysym.scancode == SDL_SCANCODE_G && event->keysym.mod & KMOD_CTRL &&
	    event->keysym.mod & KMOD_ALT) {
		grab(w, !w->grabbed);
		return;
	}
	if (code)
		tell(w, (struct happening){.kind = down ? KEY_DOWN : KEY_UP, .code = code});
}

static void
on_button(struct sdl_window *w, const SDL_MouseButtonEvent *event)
{
	unsigned bit = event->button == SDL_BUTTON_LEFT ? 1 : event->button == SDL_BUTTON_RIGHT ? 2 : 4;

	if (!w->grabbed) {
		/* The click that grabs is not the guest's. */
		if (event->type == SDL_MOUSEBUTTONDOWN)
			grab(w, true);
		return;
	}
	w->buttons = event->type == SDL_MOUSEBUTTONDOWN ? w->buttons | bit : w->buttons & ~bit;
	tell(w, (struct happening){.kind = MOUSE, .code = w->buttons});
}

static void
on_event(struct sdl_window *w, const SDL_Event *event, bool *expose)
{
	switch (event->type) {
	case SDL_QUIT:
		tell(w, (struct happening){.kind = CLOSED});
		break;
	case SDL_KEYDOWN:
	case SDL_KEYUP:
		on_key(w, &event->key);
		break;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP:
		on_button(w, &event->button);
		break;
	case SDL_MOUSEMOTION:
		if (w->grabbed)
			tell(w, (struct happening){
					.kind = MOUSE, .code = w->buttons, .dx = event->motion.xrel, .dy = event->motion.yrel});
		break;
	case SDL_MOUSEWHEEL:
		if (w->grabbed)
			tell(w, (struct happening){.kind = MOUSE, .code = w->buttons, .dz = -event->wheel.y});
		break;
	case SDL_WINDOWEVENT:
		*expose = true;
		if (event->window.event == SDL_WINDOWEVENT_FOCUS_LOST && w->grabbed)
			grab(w, false);
		break;
	default:
		break;
	}
}

struct canvas {
	SDL_Renderer *renderer;
	SDL_Texture *texture;
};

static void
show(struct sdl_window *w, struct canvas *canvas, bool expose)
{
	bool fresh;

	SDL_LockMutex(w->lock);
	fresh = w->fresh;
	if (w->resized) {
		if (canvas->texture)
			SDL_DestroyTexture(canvas->texture);
		canvas->texture = SDL_CreateTexture(canvas->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
						    (int)w->width, (int)w->height);
		SDL_SetWindowSize(w->window, (int)w->width, (int)w->height);
		SDL_RenderSetLogicalSize(canvas->renderer, (int)w->width, (int)w->height);
		w->resized = false;
	}
	if (fresh && canvas->texture)
		SDL_UpdateTexture(canvas->texture, NULL, w->pixels, (int)w->width * 4);
	w->fresh = false;
	SDL_UnlockMutex(w->lock);
	if (!fresh && !expose)
		return;
	SDL_RenderClear(canvas->renderer);
	if (canvas->texture)
		SDL_RenderCopy(canvas->renderer, canvas->texture, NULL, NULL);
	SDL_RenderPresent(canvas->renderer);
}

static bool
open_window(struct sdl_window *w, struct canvas *canvas)
{
	if (!getenv("SDL_VIDEODRIVER") && !getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY")) {
		SDL_SetError("neither DISPLAY nor WAYLAND_DISPLAY is set");
		return false;
	}
	/* SDL's own handlers would take Ctrl-C from the emulator. */
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	if (SDL_Init(SDL_INIT_VIDEO) != 0)
		return false;
	/* SDL's last resort, a window that nobody can see, only for those who ask for it. */
	if (!getenv("SDL_VIDEODRIVER") &&
	    (!strcmp(SDL_GetCurrentVideoDriver(), "offscreen") || !strcmp(SDL_GetCurrentVideoDriver(), "dummy"))) {
		SDL_SetError("there is no display (DISPLAY is %s)", getenv("DISPLAY") ? getenv("DISPLAY") : "not set");
		return false;
	}
	w->window = SDL_CreateWindow(TITLE, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 720, 400,
				     SDL_WINDOW_RESIZABLE);
	if (w->window)
		canvas->renderer = SDL_CreateRenderer(w->window, -1, SDL_RENDERER_SOFTWARE);
	return canvas->renderer != NULL;
}

static int
window_thread(void *opaque)
{
	struct sdl_window *w = opaque;
	struct canvas canvas = {0};
	bool good = open_window(w, &canvas), quit = !good;

	if (!good)
		SDL_strlcpy(w->error, SDL_GetError(), sizeof(w->error));
	SDL_SemPost(w->started);
	while (!quit) {
		bool expose = false;
		SDL_Event event;

		if (SDL_WaitEventTimeout(&event, PICTURE_MS)) {
			do {
				on_event(w, &event, &expose);
			} while (SDL_PollEvent(&event));
		}
		show(w, &canvas, expose);
		SDL_LockMutex(w->lock);
		quit = w->quit;
		SDL_UnlockMutex(w->lock);
	}
	if (canvas.texture)
		SDL_DestroyTexture(canvas.texture);
	if (canvas.renderer)
		SDL_DestroyRenderer(canvas.renderer);
	if (w->window)
		SDL_DestroyWindow(w->window);
	SDL_Quit();
	return 0;
}

/* ---- The emulator's thread ---- */

static void
deliver(struct sdl_window *w, const struct happening *h)
{
	const struct sdl_sinks *sinks = &w->sinks;

	switch (h->kind) {
	case KEY_DOWN:
	case KEY_UP:
		sinks->key(sinks->opaque, h->code, h->kind == KEY_DOWN);
		break;
	case MOUSE:
		sinks->mouse(sinks->opaque, h->dx, h->dy, h->dz, h->code);
		break;
	case CLOSED:
		sinks->closed(sinks->opaque);
		break;
	}
}

/* With the lock held. */
static void
take_picture(struct sdl_window *w)
{
	const struct display *display = w->display;
	unsigned width, height;
	bool all;

	display->size(display->adapter, &width, &height);
	if (!width || !height)
		return;
	all = width != w->shown_width || height != w->shown_height;
	if (all) {
		w->width = w->shown_width = width;
		w->height = w->shown_height = height;
		w->resized = true;
	}
	w->fresh |= display->draw(display->adapter, w->pixels, all);
}

static void
poll_window(void *opaque, u64 now)
{
	struct sdl_window *w = opaque;
	struct happening happening[EVENTS];
	unsigned count;
	u32 ticks = SDL_GetTicks();

	(void)now;
	/* The window's thread is at work with it: next time. */
	if (SDL_TryLockMutex(w->lock) != 0)
		return;
	count = w->count;
	for (unsigned i = 0; i < count; i++)
		happening[i] = w->happening[(w->first + i) % EVENTS];
	w->first = (w->first + count) % EVENTS;
	w->count = 0;
	if (ticks - w->last_picture >= PICTURE_MS) {
		w->last_picture = ticks;
		take_picture(w);
	}
	SDL_UnlockMutex(w->lock);
	for (unsigned i = 0; i < count; i++)
		deliver(w, &happening[i]);
}

char *
sdl_window_new(const struct display *display, const struct sdl_sinks *sinks, struct input *input,
	       struct sdl_window **out)
{
	struct sdl_window *w = calloc(1, sizeof(*w));
	char *error = NULL;

	*out = NULL;
	if (w)
		w->pixels = calloc((size_t)DISPLAY_MAX_WIDTH * DISPLAY_MAX_HEIGHT, 4);
	if (!w || !w->pixels)
		stop_host_error("out of memory");
	w->display = display;
	w->sinks = *sinks;
	w->lock = SDL_CreateMutex();
	w->started = SDL_CreateSemaphore(0);
	w->thread = SDL_CreateThread(window_thread, "window", w);
	if (!w->thread)
		error = error_string("-display sdl: %s", SDL_GetError());
	else if (SDL_SemWait(w->started) != 0 || w->error[0])
		error = error_string("-display sdl: no window: %s", w->error);
	if (error) {
		sdl_window_free(w);
		return error;
	}
	w->source = (struct input_source){.name = "sdl", .poll = poll_window, .opaque = w, .fd = -1};
	input_add(input, &w->source);
	*out = w;
	return NULL;
}

void
sdl_window_free(struct sdl_window *w)
{
	if (!w)
		return;
	SDL_LockMutex(w->lock);
	w->quit = true;
	SDL_UnlockMutex(w->lock);
	if (w->thread)
		SDL_WaitThread(w->thread, NULL);
	SDL_DestroyMutex(w->lock);
	SDL_DestroySemaphore(w->started);
	free(w->pixels);
	free(w);
}
