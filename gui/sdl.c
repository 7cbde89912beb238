/*
 * The SDL2 window, in a thread of its own (gui.h). Keys are taken by their place, so the guest's layout decides.
 *
 * A click grabs the mouse. Ctrl-Alt with G: grab or release; F: full screen; V: type what is on the clipboard; S: the
 * picture as a file; I: a line with information below the picture, or none; Q: close. That line and the title tell speed,
 * guest time and activity.
 */
#include "gui/sdl.h"

#include <SDL.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "bus/display.h"
#include "gui/gui.h"
#include "gui/status_line.h"

#define STATUS_MS 500

struct sdl_window {
	struct exchange exchange;
	SDL_Thread *thread;
	SDL_sem *started;
	char error[200]; /* of the thread's start */

	/* The window's side. */
	SDL_Window *window;
	SDL_Renderer *renderer;
	SDL_Texture *texture, *line_texture;
	u32 *line_pixels;
	unsigned width, height; /* of the picture */
	bool grabbed, full_screen;
	unsigned buttons;
	u32 status_at; /* host ms */
	struct gui_status shown;
	struct status_line line;
	bool lined; /* the line is shown, */
	bool stale; /* and what it shows is not what it should */
};

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

static void
tell_mouse(struct sdl_window *w, int dx, int dy, int dz)
{
	exchange_tell(&w->exchange, (struct gui_event){.kind = GUI_MOUSE, .code = w->buttons, .dx = dx, .dy = dy, .dz = dz});
}

static void
grab(struct sdl_window *w, bool on)
{
	w->grabbed = on;
	w->status_at = 0;
	SDL_SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE);
}

/* The window's size is that of its parts, unless it is the whole screen. */
static void
fit(struct sdl_window *w)
{
	int width = (int)w->width, height = (int)(w->height + (w->lined ? status_line_height(w->width) : 0));

	if (!w->texture)
		return;
	if (!w->full_screen)
		SDL_SetWindowSize(w->window, width, height);
	SDL_RenderSetLogicalSize(w->renderer, width, height);
	w->stale = true;
}

/* The user's fingers are on Ctrl and Alt still: for the guest they are not, or it would see Ctrl-Alt with each letter. */
static void
paste(struct sdl_window *w)
{
	static const SDL_Scancode held[] = {SDL_SCANCODE_LCTRL, SDL_SCANCODE_RCTRL, SDL_SCANCODE_LALT, SDL_SCANCODE_RALT,
					    SDL_SCANCODE_LSHIFT, SDL_SCANCODE_RSHIFT};
	char *text = SDL_GetClipboardText();

	for (unsigned i = 0; i < COUNT(held); i++)
		exchange_tell(&w->exchange, (struct gui_event){.kind = GUI_KEY_UP, .code = scan_code[held[i]]});
	if (text)
		exchange_paste(&w->exchange, text);
	SDL_free(text);
}

/* Keys of the window itself. The guest saw Ctrl and Alt go down and will see them go up. */
static bool
own_key(struct sdl_window *w, const SDL_KeyboardEvent *event)
{
	if (!(event->keysym.mod & KMOD_CTRL) || !(event->keysym.mod & KMOD_ALT) || event->repeat)
		return false;
	switch (event->keysym.scancode) {
	case SDL_SCANCODE_G:
		grab(w, !w->grabbed);
		return true;
	case SDL_SCANCODE_F:
		w->full_screen = !w->full_screen;
		SDL_SetWindowFullscreen(w->window, w->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
		fit(w);
		return true;
	case SDL_SCANCODE_I:
		w->lined = !w->lined;
		fit(w);
		return true;
	case SDL_SCANCODE_V:
		paste(w);
		return true;
	case SDL_SCANCODE_S:
		exchange_tell(&w->exchange, (struct gui_event){.kind = GUI_SCREENSHOT});
		return true;
	case SDL_SCANCODE_Q:
		exchange_tell(&w->exchange, (struct gui_event){.kind = GUI_CLOSED});
		return true;
	default:
		return false;
	}
}

static void
on_key(struct sdl_window *w, const SDL_KeyboardEvent *event)
{
	unsigned code = event->keysym.scancode < SDL_NUM_SCANCODES ? scan_code[event->keysym.scancode] : 0;
	bool down = event->type == SDL_KEYDOWN;

	if (down && own_key(w, event))
		return;
	if (code)
		exchange_tell(&w->exchange, (struct gui_event){.kind = down ? GUI_KEY_DOWN : GUI_KEY_UP, .code = code});
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
	tell_mouse(w, 0, 0, 0);
}

static void
on_event(struct sdl_window *w, const SDL_Event *event, bool *expose)
{
	switch (event->type) {
	case SDL_QUIT:
		exchange_tell(&w->exchange, (struct gui_event){.kind = GUI_CLOSED});
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
			tell_mouse(w, event->motion.xrel, event->motion.yrel, 0);
		break;
	case SDL_MOUSEWHEEL:
		if (w->grabbed)
			tell_mouse(w, 0, 0, -event->wheel.y);
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

/* In the title and in the line. */
static void
update_status(struct sdl_window *w)
{
	u32 now = SDL_GetTicks(), passed = now - w->status_at;
	struct status_line *l = &w->line;
	struct gui_status status;
	char title[160];

	if (w->status_at && passed < STATUS_MS)
		return;
	pthread_mutex_lock(&w->exchange.lock);
	status = w->exchange.status;
	pthread_mutex_unlock(&w->exchange.lock);
	l->mips = w->status_at && passed ? (status.instructions - w->shown.instructions) / 1000 / passed : 0;
	l->tenths = status.guest_ns / 100000000;
	l->disk = status.disk_requests != w->shown.disk_requests;
	l->network = status.network_frames != w->shown.network_frames;
	l->grabbed = w->grabbed;
	snprintf(title, sizeof(title), "nestbox  %llu MIPS  %llu.%llu s%s%s%s", (unsigned long long)l->mips,
		 (unsigned long long)(l->tenths / 10), (unsigned long long)(l->tenths % 10), l->disk ? "  disk" : "", l->network ? "  net" : "",
		 w->grabbed ? "  (Ctrl-Alt-G releases the mouse)" : "");
	SDL_SetWindowTitle(w->window, title);
	w->shown = status;
	w->status_at = now ? now : 1;
	w->stale |= w->lined;
}

static SDL_Texture *
new_texture(struct sdl_window *w, unsigned height)
{
	return SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, (int)w->width, (int)height);
}

/* With the lock held. */
static void
resize(struct sdl_window *w)
{
	unsigned line = status_line_height(w->exchange.width);

	w->width = w->exchange.width;
	w->height = w->exchange.height;
	if (w->texture)
		SDL_DestroyTexture(w->texture);
	if (w->line_texture)
		SDL_DestroyTexture(w->line_texture);
	free(w->line_pixels);
	w->line_pixels = malloc((size_t)w->width * line * 4);
	if (!w->line_pixels)
		stop_host_error("out of memory");
	w->texture = new_texture(w, w->height);
	w->line_texture = new_texture(w, line);
	fit(w);
}

static void
draw_line(struct sdl_window *w)
{
	unsigned height = status_line_height(w->width);
	SDL_Rect where = {0, (int)w->height, (int)w->width, (int)height};

	status_line_draw(w->line_pixels, w->width, &w->line);
	SDL_UpdateTexture(w->line_texture, NULL, w->line_pixels, (int)w->width * 4);
	SDL_RenderCopy(w->renderer, w->line_texture, NULL, &where);
}

static void
show(struct sdl_window *w, bool expose)
{
	struct exchange *e = &w->exchange;
	SDL_Rect where;
	bool fresh;

	pthread_mutex_lock(&e->lock);
	fresh = e->fresh;
	if (e->resized)
		resize(w);
	e->resized = false;
	if (fresh && w->texture)
		SDL_UpdateTexture(w->texture, NULL, e->pixels, (int)e->width * 4);
	e->fresh = false;
	pthread_mutex_unlock(&e->lock);
	if (!fresh && !expose && !w->stale)
		return;
	w->stale = false;
	SDL_RenderClear(w->renderer);
	if (w->texture) {
		where = (SDL_Rect){0, 0, (int)w->width, (int)w->height};
		SDL_RenderCopy(w->renderer, w->texture, NULL, &where);
		if (w->lined)
			draw_line(w);
	}
	SDL_RenderPresent(w->renderer);
}

static bool
open_window(struct sdl_window *w)
{
	if (!getenv("SDL_VIDEODRIVER") && !getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY")) {
		SDL_SetError("neither DISPLAY nor WAYLAND_DISPLAY is set");
		return false;
	}
	/* SDL's own handlers would take Ctrl-C from the emulator. */
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	/* Without Wayland its library would complain for itself. */
	if (!getenv("SDL_VIDEODRIVER") && !getenv("WAYLAND_DISPLAY"))
		SDL_SetHint(SDL_HINT_VIDEODRIVER, "x11");
	if (SDL_Init(SDL_INIT_VIDEO) != 0)
		return false;
	/* SDL's last resort, a window that nobody can see, only for those who ask for it. */
	if (!getenv("SDL_VIDEODRIVER") &&
	    (!strcmp(SDL_GetCurrentVideoDriver(), "offscreen") || !strcmp(SDL_GetCurrentVideoDriver(), "dummy"))) {
		SDL_SetError("there is no display (DISPLAY is %s)", getenv("DISPLAY") ? getenv("DISPLAY") : "not set");
		return false;
	}
	w->window = SDL_CreateWindow("nestbox", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 720, 400,
				     SDL_WINDOW_RESIZABLE);
	if (w->window)
		w->renderer = SDL_CreateRenderer(w->window, -1, SDL_RENDERER_SOFTWARE);
	return w->renderer != NULL;
}

static int
window_thread(void *opaque)
{
	struct sdl_window *w = opaque;
	bool good = open_window(w);

	if (!good)
		SDL_strlcpy(w->error, SDL_GetError(), sizeof(w->error));
	SDL_SemPost(w->started);
	while (good && !exchange_quits(&w->exchange)) {
		bool expose = false;
		SDL_Event event;

		if (SDL_WaitEventTimeout(&event, GUI_PICTURE_MS)) {
			do {
				on_event(w, &event, &expose);
			} while (SDL_PollEvent(&event));
		}
		update_status(w);
		show(w, expose);
	}
	if (w->texture)
		SDL_DestroyTexture(w->texture);
	if (w->line_texture)
		SDL_DestroyTexture(w->line_texture);
	free(w->line_pixels);
	if (w->renderer)
		SDL_DestroyRenderer(w->renderer);
	if (w->window)
		SDL_DestroyWindow(w->window);
	SDL_Quit();
	return 0;
}

char *
sdl_window_new(const struct display *display, const struct gui_sinks *sinks, struct input *input, u64 hz,
	       struct sdl_window **out)
{
	struct sdl_window *w = calloc(1, sizeof(*w));
	char *error = NULL;

	*out = NULL;
	if (!w)
		stop_host_error("out of memory");
	w->lined = true;
	exchange_init(&w->exchange, "sdl", display, sinks, input, hz);
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
	*out = w;
	return NULL;
}

void
sdl_window_free(struct sdl_window *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->exchange.lock);
	w->exchange.quit = true;
	pthread_mutex_unlock(&w->exchange.lock);
	if (w->thread)
		SDL_WaitThread(w->thread, NULL);
	SDL_DestroySemaphore(w->started);
	exchange_free(&w->exchange);
	free(w);
}
