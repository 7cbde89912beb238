/*
 * The host ends of serial ports.
 *
 * Output is buffered up to a line, since guests print byte by byte. Input is given as far as the device has room, the
 * rest waits. Nobody at the other end of a pseudo-terminal or socket means that output is dropped: a guest never waits
 * for a human.
 */
#define _GNU_SOURCE
#include "machine/chardev_host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/snapshot.h"
#include "base/stop.h"
#include "bus/chardev.h"
#include "bus/input.h"
#include "machine/config.h"

#define BUFFER 4096
#define ESCAPE 0x01 /* Ctrl-A */

struct chardev_host {
	struct chardev chardev;
	struct input *input;
	struct input_source source, output;
	char name[INPUT_NAME], out_name[INPUT_NAME];
	enum serial_kind kind;
	char *path; /* file or socket */
	int in, out, listener, slave;
	bool must_write; /* a failed write is an error, not a missing listener */
	bool terminal, escaped;
	u8 buffer[BUFFER];
	size_t buffered;
	/* Read from the host, not yet taken by the device. */
	u8 typed[256];
	size_t typed_at, typed_end;
	/* From a scenario; before what the host has. */
	u8 *scripted;
	size_t scripted_at, scripted_end;
	void (*watch)(void *opaque, const u8 *data, size_t size);
	void *watch_opaque;
	/*
	 * The text waited for, the length of its longest border at each place (Knuth, Morris, Pratt), and how much is
	 * matched.
	 */
	const char *expect;
	u64 written, furthest; /* bytes from the guest; furthest: before it went back in time */
	size_t *border;
	size_t matched, expect_size;
	void (*met)(void *opaque);
	void (*quit)(void *opaque);
	void *met_opaque, *quit_opaque;
	struct chardev_host *next;
};

/*
 * What must be put right when the process exits, from wherever it does: the terminal is the user's, not the machine's.
 */
static struct {
	bool registered, raw;
	struct termios saved;
	struct chardev_host *all;
} process;

void
chardev_host_flush(struct chardev_host *h)
{
	size_t at = 0, size = h->buffered;

	/* Emptied first: stop_host_error() comes back here by exit(). */
	h->buffered = 0;
	while (at < size && h->out >= 0) {
		ssize_t done = write(h->out, h->buffer + at, size - at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && h->must_write && errno == EAGAIN) {
			/* Somebody made our standard output non-blocking. */
			(void)poll(&(struct pollfd){.fd = h->out, .events = POLLOUT}, 1, 1000);
			continue;
		}
		if (done < 0 && h->must_write && errno != EPIPE)
			stop_host_error("%s: %s", h->path ? h->path : "standard output", strerror(errno));
		if (done <= 0)
			return;
		at += (size_t)done;
	}
}

void
chardev_host_restore_terminal(void)
{
	if (process.raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &process.saved);
	process.raw = false;
}

static void
at_exit(void)
{
	for (struct chardev_host *h = process.all; h; h = h->next) {
		chardev_host_flush(h);
		if (h->kind == SERIAL_UNIX && h->listener >= 0)
			unlink(h->path);
	}
	chardev_host_restore_terminal();
}

static void
look_for_text(struct chardev_host *h, u8 byte)
{
	while (h->matched && (u8)h->expect[h->matched] != byte)
		h->matched = h->border[h->matched - 1];
	if ((u8)h->expect[h->matched] == byte)
		h->matched++;
	if (h->matched == h->expect_size) {
		h->matched = h->border[h->matched - 1];
		h->met(h->met_opaque);
	}
}

static void
write_bytes(struct chardev *c, const u8 *data, size_t size)
{
	struct chardev_host *h = c->host;
	size_t again = (size_t)MIN(h->furthest - h->written, size);

	/* What the guest said before a return into the past is known. */
	h->written += size;
	data += again;
	size -= again;
	h->furthest = MAX(h->furthest, h->written);
	if (h->watch && size)
		h->watch(h->watch_opaque, data, size);
	for (size_t i = 0; i < size; i++) {
		if (h->expect)
			look_for_text(h, data[i]);
		if (h->out < 0)
			continue;
		h->buffer[h->buffered++] = data[i];
		if (h->buffered == BUFFER || data[i] == '\n')
			chardev_host_flush(h);
	}
}

/* Takes Ctrl-A X out of what a terminal sends; Ctrl-A Ctrl-A is one Ctrl-A. Returns how many bytes are left. */
static size_t
filter_escapes(struct chardev_host *h, u8 *data, size_t size)
{
	size_t kept = 0;

	for (size_t i = 0; i < size; i++) {
		if (!h->escaped && data[i] == ESCAPE) {
			h->escaped = true;
			continue;
		}
		if (h->escaped && (data[i] == 'x' || data[i] == 'X') && h->quit)
			h->quit(h->quit_opaque);
		else
			data[kept++] = data[i];
		h->escaped = false;
	}
	return kept;
}

static void
accept_client(struct chardev_host *h)
{
	int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		h->in = h->out = h->source.fd = fd;
}

static void
input_ended(struct chardev_host *h)
{
	if (h->kind == SERIAL_UNIX) {
		close(h->in);
		h->out = -1;
		h->source.fd = h->listener;
	} else {
		h->source.fd = -1;
	}
	h->in = -1;
}

/* Looks at the host once, for as much as fits. */
static void
read_host(struct chardev_host *h)
{
	struct pollfd fd = {.fd = h->in, .events = POLLIN};
	ssize_t size;

	if (poll(&fd, 1, 0) <= 0 || !(fd.revents & (POLLIN | POLLHUP | POLLERR)))
		return;
	size = read(h->in, h->typed, sizeof(h->typed));
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0) {
		input_ended(h);
		return;
	}
	h->typed_at = 0;
	h->typed_end = h->terminal ? filter_escapes(h, h->typed, (size_t)size) : (size_t)size;
}

/* Pushes what the device has room for; returns how much that is. */
static size_t
give(struct chardev_host *h, const u8 *data, size_t size)
{
	const struct chardev *c = &h->chardev;

	if (c->receive && c->room)
		size = MIN(size, c->room(c->device));
	if (c->receive && size)
		input_push(h->input, &h->source, 0, data, size);
	return size;
}

static void
poll_host(void *opaque, u64 now)
{
	struct chardev_host *h = opaque;

	(void)now;
	if (h->scripted_at < h->scripted_end) {
		h->scripted_at += give(h, h->scripted + h->scripted_at, h->scripted_end - h->scripted_at);
		return;
	}
	if (h->in < 0 && h->listener >= 0)
		accept_client(h);
	if (h->typed_at == h->typed_end && h->in >= 0)
		read_host(h);
	if (h->typed_at != h->typed_end)
		h->typed_at += give(h, h->typed + h->typed_at, h->typed_end - h->typed_at);
}

static void
take(void *opaque, u32 kind, const u8 *data, size_t size)
{
	struct chardev_host *h = opaque;

	(void)kind;
	if (h->chardev.receive && size)
		h->chardev.receive(h->chardev.device, data, size);
}

/* Prompts do not end in a newline. */
static void
poll_output(void *opaque, u64 now)
{
	struct chardev_host *h = opaque;

	(void)now;
	if (h->buffered)
		chardev_host_flush(h);
}

/*
 * Everything that is typed goes to the guest, Ctrl-C too; output stays as it was, so that our own messages look right.
 */
static void
make_raw(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &process.saved) != 0)
		return;
	raw = process.saved;
	raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	process.raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static char *
open_stdio(struct chardev_host *h)
{
	h->out = STDOUT_FILENO;
	h->must_write = true;
	if (isatty(STDIN_FILENO)) {
		/* In the background, touching the terminal would stop us. */
		if (tcgetpgrp(STDIN_FILENO) != getpgrp())
			return NULL;
		h->terminal = true;
		make_raw();
	}
	if (fcntl(STDIN_FILENO, F_GETFD) >= 0)
		h->in = STDIN_FILENO;
	return NULL;
}

static char *
open_file(struct chardev_host *h)
{
	h->must_write = true;
	h->out = open(h->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return h->out < 0 ? error_string("file:%s: %s", h->path, strerror(errno)) : NULL;
}

static char *
open_pty(struct chardev_host *h, const char *name)
{
	struct termios raw;

	h->out = h->in = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (h->out < 0 || grantpt(h->out) != 0 || unlockpt(h->out) != 0)
		return error_string("pty: %s", strerror(errno));
	/* Kept open, since a master without a slave reports the end of input. */
	h->slave = open(ptsname(h->out), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (h->slave < 0)
		return error_string("pty: %s: %s", ptsname(h->out), strerror(errno));
	if (tcgetattr(h->slave, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(h->slave, TCSANOW, &raw);
	}
	fprintf(stderr, "nestbox: %s is %s\n", name, ptsname(h->out));
	return NULL;
}

/* A socket file that nobody listens on is left over from a run that was killed. */
static void
remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	int fd;

	if (lstat(address->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 && errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(fd);
}

static char *
open_unix(struct chardev_host *h)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(h->path) >= sizeof(address.sun_path))
		return error_string("unix:%s: path too long", h->path);
	strcpy(address.sun_path, h->path);
	remove_stale(&address);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1) != 0) {
		char *error = error_string("unix:%s: %s", h->path, strerror(errno));

		if (fd >= 0)
			close(fd);
		return error;
	}
	h->listener = fd;
	return NULL;
}

char *
chardev_host_new(const struct config_serial *serial, const char *name, struct input *input, struct chardev_host **out)
{
	struct chardev_host *h;
	char *error = NULL;

	*out = NULL;
	if (serial->kind == SERIAL_NONE)
		return NULL;
	h = calloc(1, sizeof(*h));
	if (!h)
		stop_host_error("out of memory");
	h->chardev = (struct chardev){.write = write_bytes, .host = h};
	h->kind = serial->kind;
	h->path = serial->path;
	h->in = h->out = h->listener = h->slave = -1;
	if (!process.registered)
		atexit(at_exit);
	process.registered = true;
	h->next = process.all;
	process.all = h;

	switch (serial->kind) {
	case SERIAL_NONE:
	case SERIAL_NULL:
		break;
	case SERIAL_STDIO:
		error = open_stdio(h);
		break;
	case SERIAL_STDOUT:
		h->out = STDOUT_FILENO;
		break;
	case SERIAL_FILE:
		error = open_file(h);
		break;
	case SERIAL_PTY:
		error = open_pty(h, name);
		break;
	case SERIAL_UNIX:
		error = open_unix(h);
		break;
	}
	if (error) {
		chardev_host_free(h);
		return error;
	}
	h->input = input;
	snprintf(h->name, sizeof(h->name), "%s", name);
	snprintf(h->out_name, sizeof(h->out_name), "%s out", name);
	h->source = (struct input_source){
		.name = h->name, .poll = poll_host, .opaque = h, .fd = h->in >= 0 ? h->in : h->listener, .take = take};
	input_add(input, &h->source);
	h->output = (struct input_source){.name = h->out_name, .poll = poll_output, .opaque = h, .fd = -1};
	input_add(input, &h->output);
	*out = h;
	return NULL;
}

void
chardev_host_state(struct chardev_host *h, struct state *s)
{
	STATE(s, h->written);
}

void
chardev_host_free(struct chardev_host *h)
{
	struct chardev_host **link = &process.all;

	if (!h)
		return;
	chardev_host_flush(h);
	while (*link != h)
		link = &(*link)->next;
	*link = h->next;
	if (h->kind == SERIAL_STDIO)
		chardev_host_restore_terminal();
	if (h->kind == SERIAL_UNIX && h->listener >= 0)
		unlink(h->path);
	if (h->out > STDERR_FILENO)
		close(h->out);
	if (h->listener >= 0)
		close(h->listener);
	if (h->slave >= 0)
		close(h->slave);
	free(h->border);
	free(h->scripted);
	free(h);
}

struct chardev *
chardev_host_chardev(struct chardev_host *h)
{
	return h ? &h->chardev : NULL;
}

void
chardev_host_expect(struct chardev_host *h, const char *text, void (*met)(void *opaque), void *opaque)
{
	size_t size = strlen(text);

	assert(size != 0);
	free(h->border);
	h->border = calloc(size, sizeof(*h->border));
	if (!h->border)
		stop_host_error("out of memory");
	for (size_t i = 1, length = 0; i < size; i++) {
		while (length && text[i] != text[length])
			length = h->border[length - 1];
		length += text[i] == text[length];
		h->border[i] = length;
	}
	h->expect = text;
	h->expect_size = size;
	h->matched = 0;
	h->met = met;
	h->met_opaque = opaque;
}

void
chardev_host_on_quit(struct chardev_host *h, void (*quit)(void *opaque), void *opaque)
{
	h->quit = quit;
	h->quit_opaque = opaque;
}

void
chardev_host_watch(struct chardev_host *h, void (*watch)(void *opaque, const u8 *data, size_t size), void *opaque)
{
	h->watch = watch;
	h->watch_opaque = opaque;
}

void
chardev_host_type(struct chardev_host *h, const void *data, size_t size)
{
	size_t left = h->scripted_end - h->scripted_at;
	u8 *all = malloc(left + size + 1);

	if (!all)
		stop_host_error("out of memory");
	if (left)
		memcpy(all, h->scripted + h->scripted_at, left);
	memcpy(all + left, data, size);
	free(h->scripted);
	h->scripted = all;
	h->scripted_at = 0;
	h->scripted_end = left + size;
}
