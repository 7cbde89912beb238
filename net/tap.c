/*
 * A Linux tap interface: frames go to and come from the host's network stack.
 *
 * Source: Documentation/networking/tuntap.rst. ifname=T names an interface that exists (ip tuntap add dev T mode tap
 * user U) or, with CAP_NET_ADMIN, one to be made. What comes from it is the real world: it enters through bus/input.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/stop.h"
#include "bus/input.h"
#include "net/internal.h"

LOG_CATEGORY("tap");

#define TAP_DEVICE "/dev/net/tun"
#define FRAMES_PER_POLL 256

struct tap {
	struct net_backend *backend;
	struct input_source source;
	int fd;
	char name[IFNAMSIZ];
};

static void
tap_transmit(struct net_backend *b, const u8 *frame, size_t size)
{
	struct tap *tap = b->host;

	if (!input_point(b->input))
		return;
	/* A full queue or an interface that is down loses the frame, as a wire would. */
	if (write(tap->fd, frame, size) != (ssize_t)size) {
		log_debug("%s: frame of %zu bytes lost: %s", tap->name, size, strerror(errno));
		input_push(b->input, &tap->source, NET_LOST, NULL, 0);
	}
}

static void
tap_poll(void *opaque, u64 now)
{
	struct tap *tap = opaque;
	u8 frame[PACKET_MAX];

	(void)now;
	/* What the card has no room for waits in the interface's queue. */
	for (unsigned i = 0; i < FRAMES_PER_POLL && net_card_can_receive(tap->backend); i++) {
		ssize_t size = read(tap->fd, frame, sizeof(frame));

		if (size > 0)
			input_push(tap->backend->input, &tap->source, NET_FRAME, frame, (size_t)size);
		else if (size == 0 || errno == EAGAIN || errno == EIO) /* EIO: the interface is down */
			return;
		else if (errno != EINTR)
			stop_host_error("tap interface %s: %s", tap->name, strerror(errno));
	}
}

static void
tap_free(struct net_backend *b)
{
	struct tap *tap = b->host;

	if (tap->fd >= 0)
		close(tap->fd);
	free(tap);
}

static char *
tap_open(const char *name, int *out)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open(TAP_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return error_string("tap: cannot open " TAP_DEVICE ": %s", strerror(errno));
	memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		int number = errno;

		close(fd);
		return error_string("tap: cannot use interface %s: %s%s", name, strerror(number),
				    number == EPERM ? " (make it first: ip tuntap add dev ... mode tap user ...)" : "");
	}
	*out = fd;
	return NULL;
}

char *
net_tap_create(struct net_backend *b, struct net_options *options)
{
	const char *name = net_option(options, "ifname"), *script = net_option(options, "script");
	struct tap *tap;
	char *error;
	int fd = -1;

	if (!name || !*name)
		return error_string("tap: ifname= is missing");
	if (strlen(name) >= IFNAMSIZ)
		return error_string("tap: ifname=%s: longer than %d characters", name, IFNAMSIZ - 1);
	(void)net_option(options, "downscript");
	if (script && strcmp(script, "no") != 0)
		return error_string("tap: script=%s: scripts are not run, only script=no is known", script);
	error = input_replays(b->input) ? NULL : tap_open(name, &fd);
	if (error)
		return error;
	tap = calloc(1, sizeof(*tap));
	if (!tap) {
		if (fd >= 0)
			close(fd);
		return error_string("out of memory");
	}
	tap->backend = b;
	tap->fd = fd;
	strcpy(tap->name, name);
	tap->source = net_source("tap", tap_poll, tap, fd, b);
	b->host = tap;
	b->transmit = tap_transmit;
	b->free = tap_free;
	b->source = &tap->source;
	return NULL;
}
