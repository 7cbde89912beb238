/*
 * Frames over a TCP connection, each after its length as a big-endian 32-bit number: what QEMU's -netdev socket speaks,
 * so that two machines, or a machine and a program, share a cable.
 *
 *   listen=[ADDR]:PORT   waits for one peer at a time, without holding up the machine; before there is one frames are
 *   lost connect=ADDR:PORT    must succeed at start; when the peer goes, the cable stays silent
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/stop.h"
#include "bus/input.h"
#include "net/internal.h"

LOG_CATEGORY("socket");

#define LENGTH_SIZE 4
#define OUT_LIMIT (1u << 20)
#define READS_PER_POLL 256

struct net_socket {
	struct net_backend *backend;
	struct input_source source;
	int listener, peer; /* -1: none */
	u8 in[LENGTH_SIZE + PACKET_MAX];
	size_t in_size;
	u8 *out; /* what the peer did not take yet */
	size_t out_size;
};

static void
update_fd(struct net_socket *n)
{
	n->source.fd = n->peer >= 0 ? n->peer : n->listener;
}

static void
peer_gone(struct net_socket *n, const char *why)
{
	log_info("peer gone: %s", why);
	close(n->peer);
	n->peer = -1;
	n->in_size = n->out_size = 0;
	update_fd(n);
}

static void
flush(struct net_socket *n)
{
	while (n->peer >= 0 && n->out_size) {
		ssize_t sent = send(n->peer, n->out, n->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (sent < 0) {
			peer_gone(n, strerror(errno));
			return;
		}
		memmove(n->out, n->out + sent, n->out_size - (size_t)sent);
		n->out_size -= (size_t)sent;
	}
}

static void
socket_transmit(struct net_backend *b, const u8 *frame, size_t size)
{
	struct net_socket *n = b->host;
	u32 length = htonl((u32)size);

	if (!input_point(b->input))
		return;
	if (n->peer < 0 || n->out_size + LENGTH_SIZE + size > OUT_LIMIT) {
		input_push(b->input, &n->source, NET_LOST, NULL, 0);
		return;
	}
	memcpy(n->out + n->out_size, &length, LENGTH_SIZE);
	memcpy(n->out + n->out_size + LENGTH_SIZE, frame, size);
	n->out_size += LENGTH_SIZE + size;
	flush(n);
}

/* The length of the frame that in[] begins with, 0 while it is not known. */
static u32
frame_length(const struct net_socket *n)
{
	u32 length;

	if (n->in_size < LENGTH_SIZE)
		return 0;
	memcpy(&length, n->in, LENGTH_SIZE);
	return ntohl(length);
}

/* Gives the card what is complete. False: a length that no frame has. */
static bool
deliver(struct net_socket *n)
{
	while (n->in_size >= LENGTH_SIZE) {
		u32 length = frame_length(n);
		size_t whole = LENGTH_SIZE + (size_t)length;

		if (length == 0 || length > PACKET_MAX)
			return false;
		if (n->in_size < whole || !net_card_can_receive(n->backend))
			return true;
		input_push(n->backend->input, &n->source, NET_FRAME, n->in + LENGTH_SIZE, length);
		memmove(n->in, n->in + whole, n->in_size - whole);
		n->in_size -= whole;
	}
	return true;
}

static void
accept_peer(struct net_socket *n)
{
	int yes = 1;

	if (n->peer >= 0 || n->listener < 0)
		return;
	n->peer = accept(n->listener, NULL, NULL);
	if (n->peer >= 0) {
		fcntl(n->peer, F_SETFD, FD_CLOEXEC);
		setsockopt(n->peer, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		log_info("peer connected");
	}
	update_fd(n);
}

static void
socket_poll(void *opaque, u64 now)
{
	struct net_socket *n = opaque;

	(void)now;
	accept_peer(n);
	flush(n);
	for (unsigned i = 0; i < READS_PER_POLL && n->peer >= 0; i++) {
		ssize_t size;

		if (!deliver(n)) {
			peer_gone(n, "bad frame length");
			return;
		}
		if (n->in_size == sizeof(n->in))
			return; /* a whole frame waits for the card */
		size = recv(n->peer, n->in + n->in_size, sizeof(n->in) - n->in_size, MSG_DONTWAIT);
		if (size > 0)
			n->in_size += (size_t)size;
		else if (size == 0)
			peer_gone(n, "connection closed");
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		else if (errno != EINTR)
			peer_gone(n, strerror(errno));
	}
}

static void
socket_free(struct net_backend *b)
{
	struct net_socket *n = b->host;

	if (n->peer >= 0)
		close(n->peer);
	if (n->listener >= 0)
		close(n->listener);
	free(n->out);
	free(n);
}

static char *
open_listener(const struct sockaddr_in *address, const char *text, int *out)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
		if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 && listen(fd, 1) == 0) {
			*out = fd;
			return NULL;
		}
	}
	if (fd >= 0) {
		int number = errno;
		close(fd);
		errno = number;
	}
	return error_string("socket: listen=%s: %s", text, strerror(errno));
}

static char *
open_peer(const struct sockaddr_in *address, const char *text, int *out)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
		char *error = error_string("socket: connect=%s: %s", text, strerror(errno));
		if (fd >= 0)
			close(fd);
		return error;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	*out = fd;
	return NULL;
}

char *
net_socket_create(struct net_backend *b, struct net_options *options)
{
	const char *listen_at = net_option(options, "listen"), *connect_to = net_option(options, "connect");
	struct net_socket *n;
	struct sockaddr_in address;
	char *error;

	if (!listen_at == !connect_to)
		return error_string("socket: exactly one of listen= and connect= is needed");
	error = net_parse_address(listen_at ? listen_at : connect_to, &address);
	if (error)
		return error;
	n = calloc(1, sizeof(*n));
	if (!n || !(n->out = malloc(OUT_LIMIT))) {
		free(n);
		return error_string("out of memory");
	}
	n->backend = b;
	n->listener = n->peer = -1;
	if (!input_replays(b->input))
		error = listen_at ? open_listener(&address, listen_at, &n->listener)
				  : open_peer(&address, connect_to, &n->peer);
	if (error) {
		free(n->out);
		free(n);
		return error;
	}
	n->source = net_source("socket", socket_poll, n, -1, b);
	update_fd(n);
	b->host = n;
	b->transmit = socket_transmit;
	b->free = socket_free;
	b->source = &n->source;
	return NULL;
}
