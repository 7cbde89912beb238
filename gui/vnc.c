/*
 * VNC by libvncserver, in a thread of its own. Keys come as keysyms and are taken as those of a US keyboard; the pointer's
 * movements become those of a mouse.
 */
#include "gui/vnc.h"

#include <arpa/inet.h>
#include <rfb/rfb.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "bus/display.h"
#include "gui/gui.h"

#define WAIT_US 20000
#define DISPLAYS 100u
#define FIRST_WIDTH 720
#define FIRST_HEIGHT 400

struct vnc {
	struct exchange exchange;
	rfbScreenInfoPtr screen;
	pthread_t thread;
	bool running;
	/* The pointer as last seen; negative: not yet. */
	int x, y;
	unsigned buttons;
};

static void
on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
	struct vnc *v = client->screen->screenData;
	unsigned code = keymap_keysym(keysym);

	if (code)
		exchange_tell(&v->exchange, (struct gui_event){.kind = down ? GUI_KEY_DOWN : GUI_KEY_UP, .code = code});
}

static void
on_pointer(int mask, int x, int y, rfbClientPtr client)
{
	struct vnc *v = client->screen->screenData;
	/* VNC: left, middle, right, wheel up, wheel down. */
	unsigned buttons = (mask & 1u) | (mask & 4 ? 2 : 0) | (mask & 2 ? 4 : 0);
	int wheel = mask & 8 ? -1 : mask & 16 ? 1 : 0;
	int dx = v->x < 0 ? 0 : x - v->x, dy = v->x < 0 ? 0 : y - v->y;

	v->x = x;
	v->y = y;
	if (!dx && !dy && !wheel && buttons == v->buttons)
		return;
	v->buttons = buttons;
	exchange_tell(&v->exchange, (struct gui_event){.kind = GUI_MOUSE, .code = buttons, .dx = dx, .dy = dy, .dz = wheel});
}

/* What the client's user has copied is typed. */
static void
on_text(char *text, int size, rfbClientPtr client)
{
	struct vnc *v = client->screen->screenData;
	char *copy = strndup(text, (size_t)size);

	if (copy)
		exchange_paste(&v->exchange, copy);
	free(copy);
}

/* Lines that differ go to the clients. */
static void
update(struct vnc *v)
{
	struct exchange *e = &v->exchange;
	rfbScreenInfoPtr screen = v->screen;
	char *old = NULL;

	pthread_mutex_lock(&e->lock);
	if (e->resized) {
		char *bytes = calloc((size_t)e->width * e->height, 4);

		if (!bytes)
			stop_host_error("out of memory");
		old = screen->frameBuffer;
		rfbNewFramebuffer(screen, bytes, (int)e->width, (int)e->height, 8, 3, 4);
		screen->serverFormat.redShift = 16;
		screen->serverFormat.greenShift = 8;
		screen->serverFormat.blueShift = 0;
		e->resized = false;
	}
	if (e->fresh) {
		size_t line = (size_t)e->width * 4;

		for (unsigned y = 0; y < e->height; y++) {
			char *to = screen->frameBuffer + y * line;
			const u32 *from = e->pixels + (size_t)y * e->width;

			if (memcmp(to, from, line) == 0)
				continue;
			memcpy(to, from, line);
			rfbMarkRectAsModified(screen, 0, (int)y, (int)e->width, (int)y + 1);
		}
		e->fresh = false;
	}
	pthread_mutex_unlock(&e->lock);
	free(old);
}

static void *
serve(void *opaque)
{
	struct vnc *v = opaque;

	while (!exchange_quits(&v->exchange)) {
		rfbProcessEvents(v->screen, WAIT_US);
		update(v);
	}
	return NULL;
}

static void
no_log(const char *format, ...)
{
	(void)format;
}

/* Splits [HOST]:N; the host as an IPv4 address, 0 for all. */
static bool
parse_where(const char *where, in_addr_t *host, unsigned *number)
{
	const char *colon = strrchr(where, ':');
	char name[64], *end;

	if (!colon || colon[1] < '0' || colon[1] > '9' || (size_t)(colon - where) >= sizeof(name))
		return false;
	memcpy(name, where, (size_t)(colon - where));
	name[colon - where] = 0;
	if (!strcmp(name, "localhost"))
		strcpy(name, "127.0.0.1");
	*host = *name ? inet_addr(name) : htonl(INADDR_ANY);
	*number = (unsigned)strtoul(colon + 1, &end, 10);
	return *host != INADDR_NONE && *number < DISPLAYS && (!*end || !strcmp(end, ",password=off"));
}

char *
vnc_new(const char *where, const struct display *display, const struct gui_sinks *sinks, struct input *input, u64 hz,
	struct vnc **out)
{
	struct vnc *v;
	in_addr_t host;
	unsigned number;

	*out = NULL;
	if (!parse_where(where, &host, &number))
		return error_string("-vnc: '%s' is no [ADDRESS]:N with N from 0 to %u", where, DISPLAYS - 1);
	v = calloc(1, sizeof(*v));
	if (!v)
		stop_host_error("out of memory");
	v->x = -1;
	rfbLog = no_log;
	rfbErr = no_log;
	v->screen = rfbGetScreen(NULL, NULL, FIRST_WIDTH, FIRST_HEIGHT, 8, 3, 4);
	if (!v->screen)
		stop_host_error("out of memory");
	v->screen->frameBuffer = calloc(FIRST_WIDTH * FIRST_HEIGHT, 4);
	v->screen->desktopName = "nestbox";
	v->screen->screenData = v;
	v->screen->kbdAddEvent = on_key;
	v->screen->ptrAddEvent = on_pointer;
	v->screen->setXCutText = on_text;
	v->screen->alwaysShared = TRUE;
	v->screen->autoPort = FALSE;
	v->screen->port = 5900 + (int)number;
	v->screen->ipv6port = 0;
	v->screen->listenInterface = host;
	v->screen->serverFormat.redShift = 16;
	v->screen->serverFormat.greenShift = 8;
	v->screen->serverFormat.blueShift = 0;
	v->screen->cursor = NULL;
	rfbInitServer(v->screen);
	exchange_init(&v->exchange, "vnc", display, sinks, input, hz);
	*out = v;
	if (v->screen->listenSock < 0) {
		vnc_free(v);
		*out = NULL;
		return error_string("-vnc %s: cannot listen on port %u; is it taken?", where, 5900 + number);
	}
	v->running = pthread_create(&v->thread, NULL, serve, v) == 0;
	if (!v->running)
		stop_host_error("-vnc %s: no thread", where);
	return NULL;
}

void
vnc_free(struct vnc *v)
{
	if (!v)
		return;
	pthread_mutex_lock(&v->exchange.lock);
	v->exchange.quit = true;
	pthread_mutex_unlock(&v->exchange.lock);
	if (v->running)
		pthread_join(v->thread, NULL);
	rfbShutdownServer(v->screen, TRUE);
	free(v->screen->frameBuffer);
	rfbScreenCleanup(v->screen);
	exchange_free(&v->exchange);
	free(v);
}
