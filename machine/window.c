/* What the user sees the machine by: a window, a server for VNC clients, or both. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/stop.h"
#include "cpu/vcpu.h"
#include "devices/vga.h"
#include "gui/gui.h"
#include "gui/sdl.h"
#include "gui/tee.h"
#include "gui/vnc.h"
#include "machine/block_host.h"
#include "machine/machine.h"
#include "machine/pc.h"
#include "machine/screendump.h"
#include "net/net.h"

#define SCREENSHOTS 1000u

static void
key(void *opaque, unsigned code, bool down)
{
	machine_user_key(opaque, code, down);
}

static void
mouse(void *opaque, int dx, int dy, int dz, unsigned buttons)
{
	machine_user_mouse(opaque, dx, dy, dz, buttons);
}

static void
closed(void *opaque)
{
	machine_closed(opaque);
}

/* nestbox-N.png, the first that is not there yet. */
static void
screenshot(void *opaque)
{
	struct machine *machine = opaque;
	char *error = NULL, name[32];
	unsigned n = 1;

	do {
		snprintf(name, sizeof(name), "nestbox-%u.png", n);
	} while (access(name, F_OK) == 0 && n++ < SCREENSHOTS);
	if (n > SCREENSHOTS)
		error = error_string("there are %u screenshots here already", SCREENSHOTS);
	else
		error = screendump(&machine->pc->vga->display, name);
	fprintf(stderr, "nestbox: %s%s\n", error ? error : "screenshot: ", error ? "" : name);
	free(error);
}

static void
status(void *opaque, struct gui_status *s)
{
	struct machine *machine = opaque;

	*s = (struct gui_status){
		.instructions = cpus_icount(machine->cpus),
		.guest_ns = events_to_ns(machine->events, events_now(machine->events)),
	};
	for (unsigned i = 0; i < CONFIG_DRIVES; i++)
		if (machine->drive[i]) {
			const struct block_statistics *b = block_host_statistics(machine->drive[i]);

			s->disk_requests += b->reads + b->writes;
		}
	for (unsigned i = 0; i < machine->config->netdevs; i++) {
		const struct net_statistics *n = net_statistics(machine->backend[i]);

		s->network_frames += n->frames_from_card + n->frames_to_card;
	}
}

char *
machine_open_display(struct machine *machine)
{
	const struct config *config = machine->config;
	const struct gui_sinks sinks = {key, mouse, closed, screenshot, status, machine};
	const struct display *window, *vnc;
	char *error = NULL;

	/* Without a display there may be no adapter. */
	if (!config->sdl && !config->vnc)
		return NULL;
	window = vnc = &machine->pc->vga->display;
	if (config->sdl && config->vnc) {
		machine->tee = tee_new(window);
		window = tee_side(machine->tee, 0);
		vnc = tee_side(machine->tee, 1);
	}
	if (config->sdl)
		error = sdl_window_new(window, &sinks, machine->input, config->clock_hz, &machine->window);
	if (!error && config->vnc)
		error = vnc_new(config->vnc, vnc, &sinks, machine->input, config->clock_hz, &machine->vnc);
	return error;
}

void
machine_close_display(struct machine *machine)
{
	sdl_window_free(machine->window);
	vnc_free(machine->vnc);
	tee_free(machine->tee);
}
