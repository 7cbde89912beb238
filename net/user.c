/*
 * User networking: libslirp, a small TCP/IP network with gateway, DHCP, DNS and TFTP servers, and NAT to the host's
 * sockets.
 *
 * libslirp's clock is the machine's. A frame that it sends reaches the card 10 us of virtual time later, frames behind
 * each other at gigabit rate. ARP, DHCP, ping of gateway and DNS server, and TFTP touch no host socket and happen
 * inside the guest's own transmission: they are the same in each run. Host sockets are looked at only by bus/input, and
 * only while there are any.
 *
 * What in libslirp 4.7 does not follow from its input alone, and what becomes of it:
 *   - `curtime`, its milliseconds, moves only in slirp_pollfds_poll(): called before each frame from the guest, and by
 *     `tick`;
 *   - the interval of IPv6 router advertisements is random: ours is fixed (see timer_mod); advertisements and their DNS
 *     option, which depends on the host's resolv.conf, are there with ipv6=on only, which is therefore not the default;
 *   - DNS, NAT, ICMP to others than the gateway, and hostfwd= are host sockets: the real world. restrict=on keeps the
 *     guest from all but hostfwd=.
 * IP identifiers, TCP initial sequence numbers and DHCP leases count from fixed values.
 * Not modelled: smb=, guestfwd=.
 *
 * libslirp can save only part of its state: not ARP entries, TFTP transfers and fragments. But while no host socket is
 * in play, all of it follows from what the guest sent and when; so that history is what a snapshot has, and loading
 * repeats it in a new instance. Once host sockets are in play, a snapshot has what libslirp can save, with a warning:
 * connections end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/events.h"
#include "base/log.h"
#include "base/snapshot.h"
#include "base/stop.h"
#include "bus/input.h"
#include "net/internal.h"

LOG_CATEGORY("user");

#define LATENCY_NS 10000u
#define READY_NS 1000u
#define FRAME_OVERHEAD 24u /* preamble, FCS, gap */
#define NS_PER_BYTE 8u     /* 1 Gb/s */
#define QUEUE_LIMIT 2048u
#define NS_PER_MS 1000000u
#define IDLE_TIMEOUT_MS 1000u /* what slirp_pollfds_fill() says when nothing is pending */
#define ROUTER_INTERVAL_MS 400000
#define SLIRP_STATE_MAX 65536u
#define HISTORY_MAX (64u << 20)
#define STRINGS 8
/* In place of a frame's size in the history. */
#define HISTORY_TICK 0u
#define HISTORY_TIMER UINT32_MAX

/* A frame on the way to the card. */
struct frame {
	struct frame *next;
	u64 due;
	u32 size;
	u8 data[];
};

struct timer;

/* What passes the door (bus/input.h): a frame for the card; when libslirp wants its clock looked at (0: not), or its timer. */
enum { INPUT_FRAME, INPUT_TICK, INPUT_ROUTER };

struct user {
	struct net_backend *backend;
	Slirp *slirp;
	struct input_source source;
	struct frame *head, **tail;
	u32 queued;
	u64 last_due;
	struct event deliver, tick, router_due;
	struct timer *router;
	bool starting;
	struct pollfd *fds;
	unsigned fd_count, fd_room;

	SlirpConfig config;
	char *string[STRINGS + NET_OPTIONS]; /* what `config` points to */
	unsigned strings;
	const char *search[NET_OPTIONS + 1];
	/* What libslirp was told: {u64 time, u32 size, bytes}... `outside`: host sockets were in play, and there is none. */
	u8 *history;
	u64 history_size, history_room;
	bool outside;
	bool replaying;
	u64 replay_time;
};

/* libslirp's only timer, for router advertisements. */
struct timer {
	struct user *user;
	SlirpTimerCb callback;
	void *opaque;
};

static u64
now_of(struct user *u)
{
	return u->replaying ? u->replay_time : events_now(u->backend->events);
}

static u64
from_ns(struct user *u, u64 ns)
{
	return events_from_ns(u->backend->events, ns);
}

/* What a new instance of libslirp must be told to come to the same state. */

static void
forget_history(struct user *u)
{
	u->outside = true;
	free(u->history);
	u->history = NULL;
	u->history_size = u->history_room = 0;
}

static void
remember(struct user *u, u32 kind, const void *frame, size_t size)
{
	u64 now = now_of(u), needed = sizeof(now) + sizeof(kind) + size;
	u8 *to;

	if (u->outside || u->replaying)
		return;
	if (u->history_room - u->history_size < needed) {
		u64 room = MIN(MAX(u->history_room * 2, 65536u), HISTORY_MAX);
		u8 *grown = room - u->history_size >= needed ? realloc(u->history, room) : NULL;

		if (!grown) {
			forget_history(u);
			return;
		}
		u->history = grown;
		u->history_room = room;
	}
	to = u->history + u->history_size;
	memcpy(to, &now, sizeof(now));
	memcpy(to + sizeof(now), &kind, sizeof(kind));
	if (size)
		memcpy(to + sizeof(now) + sizeof(kind), frame, size);
	u->history_size += needed;
}

/* To the card */

static struct frame *
append(struct user *u, u32 size, u64 due)
{
	struct frame *f = malloc(sizeof(*f) + size);

	if (!f)
		stop_host_error("out of memory");
	f->next = NULL;
	f->size = size;
	f->due = due;
	*u->tail = f;
	u->tail = &f->next;
	u->queued++;
	return f;
}

static void
remove_head(struct user *u)
{
	struct frame *f = u->head;

	u->head = f->next;
	if (!u->head)
		u->tail = &u->head;
	u->queued--;
	free(f);
}

static void
take_frame(struct user *u, const u8 *data, size_t size)
{
	u64 due = MAX(now_of(u) + from_ns(u, LATENCY_NS),
		      u->last_due + from_ns(u, (size + FRAME_OVERHEAD) * NS_PER_BYTE));

	if (u->queued == QUEUE_LIMIT || size > PACKET_MAX) {
		net_dropped(u->backend);
		return;
	}
	memcpy(append(u, (u32)size, due)->data, data, size);
	u->last_due = due;
	if (u->queued == 1)
		event_arm(u->backend->events, &u->deliver, due);
}

/* All that libslirp does to the machine, now or in a replay, when there is no libslirp. */
static void
take_input(void *opaque, u32 kind, const u8 *data, size_t size)
{
	struct user *u = opaque;
	struct event *event = kind == INPUT_TICK ? &u->tick : &u->router_due;
	u64 due;

	if (kind == INPUT_FRAME) {
		take_frame(u, data, size);
		return;
	}
	if (size != sizeof(due))
		return;
	memcpy(&due, data, sizeof(due));
	if (due)
		event_arm(u->backend->events, event, due);
	else
		event_disarm(u->backend->events, event);
}

static void
push(struct user *u, u32 kind, const void *data, size_t size)
{
	/* Repeating a history: the queue and the events are loaded by themselves. */
	if (!u->replaying)
		input_push(u->backend->input, &u->source, kind, data, size);
}

static ssize_t
send_packet(const void *data, size_t size, void *opaque)
{
	push(opaque, INPUT_FRAME, data, size);
	return (ssize_t)size;
}

static void
deliver(void *opaque, u64 now)
{
	struct user *u = opaque;

	while (u->head && u->head->due <= now) {
		if (!net_card_can_receive(u->backend))
			return; /* user_ready() goes on */
		net_to_card(u->backend, u->head->data, u->head->size);
		remove_head(u);
	}
	if (u->head)
		event_arm(u->backend->events, &u->deliver, u->head->due);
}

/* Called from a register write of the card: what waits goes soon, not inside of it. */
static void
user_ready(struct net_backend *b)
{
	struct user *u = b->host;

	if (u->head && !event_armed(&u->deliver))
		event_arm(b->events, &u->deliver, MAX(u->head->due, now_of(u) + from_ns(u, READY_NS)));
}

/* libslirp's time */

static int
add_no_fd(int fd, int events, void *opaque)
{
	(void)fd;
	(void)events;
	(void)opaque;
	return -1;
}

static int
no_events(int index, void *opaque)
{
	(void)index;
	(void)opaque;
	return 0;
}

/* Brings `curtime` up to date and runs timers, without a look at sockets: that is what select_error means. */
static void
run_timers(struct user *u)
{
	slirp_pollfds_poll(u->slirp, 1, no_events, u);
}

/* libslirp says how long it can wait; while nothing is pending there is no tick. */
static void
arm_tick(struct user *u)
{
	u32 timeout = UINT32_MAX;

	u64 due = 0;

	slirp_pollfds_fill(u->slirp, &timeout, add_no_fd, u);
	if (timeout < IDLE_TIMEOUT_MS)
		due = now_of(u) + from_ns(u, (u64)MAX(timeout, 1u) * NS_PER_MS);
	if (due != (event_armed(&u->tick) ? u->tick.time : 0))
		push(u, INPUT_TICK, &due, sizeof(due));
}

static void
tick(void *opaque, u64 now)
{
	struct user *u = opaque;

	(void)now;
	if (!input_point(u->backend->input))
		return;
	remember(u, HISTORY_TICK, NULL, 0);
	run_timers(u);
	arm_tick(u);
}

static void
user_transmit(struct net_backend *b, const u8 *frame, size_t size)
{
	struct user *u = b->host;

	if (!input_point(b->input))
		return;
	if (size)
		remember(u, (u32)size, frame, size);
	run_timers(u);
	slirp_input(u->slirp, frame, (int)size);
	arm_tick(u);
}

/* Host sockets */

static int
add_fd(int fd, int events, void *opaque)
{
	struct user *u = opaque;
	short wanted = 0;

	if (u->fd_count == u->fd_room) {
		u->fd_room = u->fd_room ? u->fd_room * 2 : 16;
		u->fds = realloc(u->fds, u->fd_room * sizeof(*u->fds));
		if (!u->fds)
			stop_host_error("out of memory");
	}
	if (events & SLIRP_POLL_IN)
		wanted |= POLLIN;
	if (events & SLIRP_POLL_OUT)
		wanted |= POLLOUT;
	if (events & SLIRP_POLL_PRI)
		wanted |= POLLPRI;
	u->fds[u->fd_count] = (struct pollfd){.fd = fd, .events = wanted};
	return (int)u->fd_count++;
}

static int
fd_events(int index, void *opaque)
{
	struct user *u = opaque;
	short found;
	int events = 0;

	if (index < 0 || (unsigned)index >= u->fd_count)
		return 0;
	found = u->fds[index].revents;
	if (found & POLLIN)
		events |= SLIRP_POLL_IN;
	if (found & POLLOUT)
		events |= SLIRP_POLL_OUT;
	if (found & POLLPRI)
		events |= SLIRP_POLL_PRI;
	if (found & (POLLERR | POLLNVAL))
		events |= SLIRP_POLL_ERR;
	if (found & POLLHUP)
		events |= SLIRP_POLL_HUP;
	return events;
}

static void
user_poll(void *opaque, u64 now)
{
	struct user *u = opaque;
	u32 timeout = 0;
	int ready;

	(void)now;
	u->fd_count = 0;
	slirp_pollfds_fill(u->slirp, &timeout, add_fd, u);
	if (u->fd_count == 0)
		return; /* nothing of the real world: everything happens in user_transmit() and tick() */
	forget_history(u);
	ready = poll(u->fds, u->fd_count, 0);
	slirp_pollfds_poll(u->slirp, ready < 0, fd_events, u);
	arm_tick(u);
}

/* Callbacks */

static int64_t
clock_get_ns(void *opaque)
{
	struct user *u = opaque;

	return (int64_t)events_to_ns(u->backend->events, now_of(u));
}

static void
guest_error(const char *message, void *opaque)
{
	(void)opaque;
	log_info("guest: %s", message);
}

static void
timer_fire(void *opaque, u64 now)
{
	struct user *u = opaque;

	(void)now;
	if (!input_point(u->backend->input) || !u->router)
		return;
	remember(u, HISTORY_TIMER, NULL, 0);
	u->router->callback(u->router->opaque);
}

static void *
timer_new(SlirpTimerCb callback, void *callback_opaque, void *opaque)
{
	struct timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		stop_host_error("out of memory");
	timer->user = opaque;
	timer->callback = callback;
	timer->opaque = callback_opaque;
	timer->user->router = timer;
	return timer;
}

static void
timer_free(void *opaque, void *user)
{
	struct timer *timer = opaque;

	(void)user;
	timer->user->router = NULL;
	free(timer);
}

/* The time asked for has a random part: it is not used. */
static void
timer_mod(void *opaque, int64_t expire_ms, void *user)
{
	struct user *u = user;
	u64 due = now_of(u) + from_ns(u, (u64)ROUTER_INTERVAL_MS * NS_PER_MS);

	(void)opaque;
	(void)expire_ms;
	if (!u->starting)
		push(u, INPUT_ROUTER, &due, sizeof(due));
}

/* user_poll() asks libslirp for its descriptors each time. */
static void
ignore_poll_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void
notify(void *opaque)
{
	(void)opaque; /* sockets are polled often enough */
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_get_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = ignore_poll_fd,
	.unregister_poll_fd = ignore_poll_fd,
	.notify = notify,
};

/* State */

struct slirp_buffer {
	u8 *data;
	u32 size, at;
};

static ssize_t
buffer_write(const void *data, size_t size, void *opaque)
{
	struct slirp_buffer *buffer = opaque;

	assert(size <= SLIRP_STATE_MAX - buffer->size);
	memcpy(buffer->data + buffer->size, data, size);
	buffer->size += (u32)size;
	return (ssize_t)size;
}

static ssize_t
buffer_read(void *data, size_t size, void *opaque)
{
	struct slirp_buffer *buffer = opaque;
	size_t part = MIN(size, buffer->size - buffer->at);

	memset(data, 0, size);
	memcpy(data, buffer->data + buffer->at, part);
	buffer->at += (u32)part;
	return (ssize_t)size;
}

static void
slirp_part_state(struct user *u, struct state *s)
{
	struct slirp_buffer buffer = {malloc(SLIRP_STATE_MAX), 0, 0};
	u32 version = (u32)slirp_state_version();

	if (!buffer.data)
		stop_host_error("out of memory");
	if (state_mode(s) != STATE_LOAD && u->slirp)
		slirp_state_save(u->slirp, buffer_write, &buffer);
	STATE(s, version);
	STATE(s, buffer.size);
	if (buffer.size > SLIRP_STATE_MAX || version > (u32)slirp_state_version()) {
		state_fail(s, "user network: not a state of this libslirp");
		buffer.size = 0;
	}
	state_bytes(s, buffer.data, buffer.size);
	if (state_mode(s) == STATE_LOAD && buffer.size && u->slirp &&
	    slirp_state_load(u->slirp, (int)version, buffer_read, &buffer) < 0)
		state_fail(s, "user network: libslirp refuses its state");
	free(buffer.data);
}

static bool
start_slirp(struct user *u)
{
	u->starting = true;
	u->slirp = slirp_new(&u->config, &callbacks, u);
	if (u->slirp)
		run_timers(u); /* `curtime` is the library's, not the instance's */
	u->starting = false;
	return u->slirp;
}

/*
 * libslirp leaves the files of TFTP transfers open when it ends; so each that was begun is ended by the client's error
 * message, which is its request with another operation.
 */
static void
end_transfer(struct user *u, const u8 *frame, u32 size)
{
	u8 error[PACKET_MAX];
	u32 udp;

	if (size < 14 + 20 + 8 + 2 || size > sizeof(error) || frame[12] != 8 || frame[13] != 0 || frame[23] != 17)
		return;
	udp = 14 + (frame[14] & 15) * 4;
	if (udp + 10 > size || frame[udp + 2] != 0 || frame[udp + 3] != 69 || frame[udp + 8] != 0 || frame[udp + 9] != 1)
		return;
	memcpy(error, frame, size);
	error[udp + 6] = error[udp + 7] = 0; /* no checksum */
	error[udp + 9] = 5;
	slirp_input(u->slirp, error, (int)size);
}

static void
stop_slirp(struct user *u)
{
	bool replaying = u->replaying;
	u32 kind;

	if (!u->slirp)
		return;
	u->replaying = true; /* what it answers goes nowhere */
	for (u64 at = 0; at + 12 <= u->history_size; at += 12 + (kind == HISTORY_TIMER ? 0 : kind)) {
		memcpy(&kind, u->history + at + 8, sizeof(kind));
		if (kind != HISTORY_TIMER)
			end_transfer(u, u->history + at + 12, kind);
	}
	slirp_cleanup(u->slirp);
	u->slirp = NULL;
	u->replaying = replaying;
}

/* Returns false when the history cannot be one. */
static bool
repeat(struct user *u, const u8 *data, u64 size)
{
	while (size) {
		u64 time;
		u32 kind, length;

		if (size < sizeof(time) + sizeof(kind))
			return false;
		memcpy(&time, data, sizeof(time));
		memcpy(&kind, data + sizeof(time), sizeof(kind));
		data += sizeof(time) + sizeof(kind);
		size -= sizeof(time) + sizeof(kind);
		length = kind == HISTORY_TIMER ? 0 : kind;
		if (length > size || length > PACKET_MAX || time < u->replay_time)
			return false;
		u->replay_time = time;
		if (kind == HISTORY_TIMER) {
			if (u->router)
				u->router->callback(u->router->opaque);
		} else {
			run_timers(u);
			if (length)
				slirp_input(u->slirp, data, (int)length);
			arm_tick(u);
		}
		data += length;
		size -= length;
	}
	return true;
}

static void
load_history(struct user *u, struct state *s, u64 size)
{
	bool good;

	/* Also when nothing comes of it: the machine is thrown away then. */
	stop_slirp(u);
	if (!input_replays(u->backend->input) && !start_slirp(u))
		stop_host_error("libslirp cannot be started again");
	free(u->history);
	u->history_size = 0;
	u->history_room = size;
	u->history = size ? malloc(size) : NULL;
	if (size && !u->history)
		stop_host_error("out of memory");
	state_bytes(s, u->history, size);
	if (state_failed(s))
		return;
	u->history_size = size;
	u->replaying = true;
	u->replay_time = 0;
	good = !u->slirp || repeat(u, u->history, size);
	u->replaying = false;
	if (!good)
		u->history_size = 0;
	if (!good)
		state_fail(s, "user network: a history that cannot be");
}

/* What a snapshot has of libslirp. */
static void
slirp_state(struct user *u, struct state *s)
{
	u64 size = u->history_size;
	/* While libslirp is not at this moment, or not there, what it holds is not this moment's either. */
	bool outside = u->outside || (state_mode(s) == STATE_SAVE && input_in_past(u->backend->input));

	state_bool(s, &outside);
	if (state_mode(s) == STATE_SAVE && outside)
		log_warn("%s: connections to the outside are not saved, and end when the snapshot is loaded", net_id(u->backend));
	if (outside) {
		if (!u->outside)
			forget_history(u);
		slirp_part_state(u, s);
		return;
	}
	STATE(s, size);
	if (state_mode(s) == STATE_SAVE) {
		state_bytes(s, u->history, size);
		return;
	}
	if (size > HISTORY_MAX || u->outside) {
		state_fail(s, u->outside ? "user network: has connections to the outside" : "user network: too long a history");
		return;
	}
	load_history(u, s, size);
}

static void
user_state(struct net_backend *b, struct state *s)
{
	struct user *u = b->host;
	u32 count = u->queued;

	STATE(s, count);
	if (state_mode(s) == STATE_LOAD) {
		if (count > QUEUE_LIMIT) {
			state_fail(s, "user network: too many frames");
			count = 0;
		}
		while (u->head)
			remove_head(u);
		while (count--) {
			u64 due;
			u32 size;

			STATE(s, due);
			STATE(s, size);
			if (size > PACKET_MAX) {
				state_fail(s, "user network: frame too long");
				size = 0;
			}
			state_bytes(s, append(u, size, due)->data, size);
		}
	} else {
		for (struct frame *f = u->head; f; f = f->next) {
			STATE(s, f->due);
			STATE(s, f->size);
			state_bytes(s, f->data, f->size);
		}
	}
	STATE(s, u->last_due);
	state_event(s, b->events, &u->deliver);
	state_event(s, b->events, &u->tick);
	state_event(s, b->events, &u->router_due);
	/* libslirp is no part of the machine: a replay does without it, and a return into the past leaves it where it is. */
	if (state_mode(s) != STATE_HASH && !state_is_checkpoint(s))
		slirp_state(u, s);
}

/* Options */

static char *
option_address(struct net_options *options, const char *key, struct in_addr *address)
{
	const char *text = net_option(options, key);

	if (text && inet_pton(AF_INET, text, address) != 1)
		return error_string("user: %s=%s: not an IPv4 address", key, text);
	return NULL;
}

/* net=ADDRESS[/BITS]; the others are by default .2, .3 and .15 of it. */
static char *
option_network(struct net_options *options, SlirpConfig *config)
{
	const char *text = net_option(options, "net");
	char address[INET_ADDRSTRLEN] = "10.0.2.0";
	u16 bits = 24;
	u32 network, mask;

	if (text) {
		size_t length = strcspn(text, "/");

		if (length >= sizeof(address) || (text[length] && (!net_parse_port(text + length + 1, &bits))))
			return error_string("user: net=%s: not ADDRESS/BITS", text);
		memcpy(address, text, length);
		address[length] = '\0';
	}
	if (inet_pton(AF_INET, address, &config->vnetwork) != 1 || bits < 8 || bits > 28)
		return error_string("user: net=%s: not ADDRESS/BITS with 8..28 bits", text);
	mask = UINT32_MAX << (32 - bits);
	network = ntohl(config->vnetwork.s_addr) & mask;
	config->vnetmask.s_addr = htonl(mask);
	config->vnetwork.s_addr = htonl(network);
	config->vhost.s_addr = htonl(network | 2);
	config->vnameserver.s_addr = htonl(network | 3);
	config->vdhcp_start.s_addr = htonl(network | (bits <= 27 ? 15 : 5));
	return NULL;
}

static char *
check_in_network(const SlirpConfig *config, const char *key, struct in_addr address)
{
	u32 host_part = ntohl(address.s_addr & ~config->vnetmask.s_addr);

	if ((address.s_addr & config->vnetmask.s_addr) != config->vnetwork.s_addr || host_part == 0 ||
	    host_part == ntohl(~config->vnetmask.s_addr))
		return error_string("user: %s=%s is no host of the network", key, inet_ntoa(address));
	return NULL;
}

static char *
option_addresses(struct net_options *options, SlirpConfig *config)
{
	char *error = option_network(options, config);

	if (!error)
		error = option_address(options, "host", &config->vhost);
	if (!error)
		error = option_address(options, "dns", &config->vnameserver);
	if (!error)
		error = option_address(options, "dhcpstart", &config->vdhcp_start);
	if (!error)
		error = check_in_network(config, "host", config->vhost);
	if (!error)
		error = check_in_network(config, "dns", config->vnameserver);
	if (!error)
		error = check_in_network(config, "dhcpstart", config->vdhcp_start);
	if (!error && config->vhost.s_addr == config->vnameserver.s_addr)
		error = error_string("user: host and dns have the same address");
	return error;
}

static char *
option_tftp(struct user *u, struct net_options *options, SlirpConfig *config)
{
	struct stat about;

	config->tftp_path = net_option(options, "tftp");
	config->bootfile = net_option(options, "bootfile");
	config->tftp_server_name = net_option(options, "tftp-server-name");
	if (input_replays(u->backend->input))
		return NULL;
	if (config->tftp_path && stat(config->tftp_path, &about) != 0)
		return error_string("user: tftp=%s: %s", config->tftp_path, strerror(errno));
	if (config->tftp_path && !S_ISDIR(about.st_mode))
		return error_string("user: tftp=%s: not a directory", config->tftp_path);
	if (config->bootfile && strlen(config->bootfile) > 127)
		return error_string("user: bootfile= is longer than 127 characters");
	return NULL;
}

/* (tcp|udp):[ADDR]:PORT-[ADDR]:PORT */
static char *
add_forward(struct user *u, const char *text, struct in_addr guest)
{
	const char *rest = strchr(text, ':'), *dash = rest ? strchr(rest, '-') : NULL;
	bool udp = strncmp(text, "udp:", 4) == 0;
	struct sockaddr_in from, to;
	char *host, *error;

	if (!dash || (!udp && strncmp(text, "tcp:", 4) != 0 && text[0] != ':'))
		return error_string("user: hostfwd=%s: not (tcp|udp):[ADDR]:PORT-[ADDR]:PORT", text);
	host = strndup(rest + 1, (size_t)(dash - rest - 1));
	error = net_parse_address(host, &from);
	free(host);
	if (!error)
		error = net_parse_address(dash + 1, &to);
	if (error) {
		char *whole = error_string("user: hostfwd=%s: %s", text, error);
		free(error);
		return whole;
	}
	if (to.sin_addr.s_addr == 0)
		to.sin_addr = guest;
	if (slirp_add_hostfwd(u->slirp, udp, from.sin_addr, ntohs(from.sin_port), to.sin_addr, ntohs(to.sin_port)) != 0)
		return error_string("user: hostfwd=%s: %s", text, strerror(errno));
	return NULL;
}

static void
user_free(struct net_backend *b)
{
	struct user *u = b->host;

	stop_slirp(u);
	event_disarm(b->events, &u->deliver);
	event_disarm(b->events, &u->tick);
	event_disarm(b->events, &u->router_due);
	while (u->head)
		remove_head(u);
	free(u->fds);
	free(u->history);
	for (unsigned i = 0; i < u->strings; i++)
		free(u->string[i]);
	free(u);
}

/* The options' text is gone when a loaded machine needs it again. */
static const char *
keep(struct user *u, const char *text)
{
	if (!text)
		return NULL;
	return u->string[u->strings++] = error_string("%s", text);
}

static char *
start(struct user *u, struct net_options *options)
{
	SlirpConfig config = {.version = 4, .in_enabled = true};
	const char *forward;
	bool restricted = false;
	char *error;

	error = option_addresses(options, &config);
	if (!error)
		error = option_tftp(u, options, &config);
	if (!error)
		error = net_option_bool(options, "restrict", &restricted);
	if (!error)
		error = net_option_bool(options, "ipv4", &config.in_enabled);
	if (!error)
		error = net_option_bool(options, "ipv6", &config.in6_enabled);
	if (error)
		return error;
	config.restricted = restricted;
	config.tftp_path = keep(u, config.tftp_path);
	config.bootfile = keep(u, config.bootfile);
	config.tftp_server_name = keep(u, config.tftp_server_name);
	config.vhostname = keep(u, net_option(options, "hostname"));
	config.vdomainname = keep(u, net_option(options, "domainname"));
	for (unsigned i = 0; (u->search[i] = keep(u, net_option(options, "dnssearch"))); i++)
		config.vdnssearch = u->search;
	inet_pton(AF_INET6, "fec0::", &config.vprefix_addr6);
	config.vprefix_len = 64;
	inet_pton(AF_INET6, "fec0::2", &config.vhost6);
	inet_pton(AF_INET6, "fec0::3", &config.vnameserver6);
	u->config = config;
	if (config.in6_enabled)
		event_arm(u->backend->events, &u->router_due,
			  now_of(u) + from_ns(u, (u64)ROUTER_INTERVAL_MS * NS_PER_MS));
	if (input_replays(u->backend->input)) {
		while (net_option(options, "hostfwd"))
			;
		return NULL;
	}
	if (!start_slirp(u))
		return error_string("user: libslirp %s refuses the configuration", slirp_version_string());
	while ((forward = net_option(options, "hostfwd"))) {
		error = add_forward(u, forward, config.vdhcp_start);
		if (error)
			return error;
	}
	return NULL;
}

char *
net_user_create(struct net_backend *b, struct net_options *options)
{
	struct user *u = calloc(1, sizeof(*u));

	if (!u)
		return error_string("out of memory");
	u->backend = b;
	u->tail = &u->head;
	event_init(&u->deliver, "user net delivery", EVENT_DEVICE, deliver, u);
	event_init(&u->tick, "user net tick", EVENT_DEVICE, tick, u);
	event_init(&u->router_due, "slirp timer", EVENT_DEVICE, timer_fire, u);
	u->source = (struct input_source){.name = "user", .poll = user_poll, .opaque = u, .fd = -1, .take = take_input};
	b->host = u;
	b->source = &u->source;
	b->transmit = user_transmit;
	b->ready = user_ready;
	b->free = user_free;
	b->state = user_state;
	return start(u, options);
}
