/*
 * The host ends of serial ports: standard input and output, files, pseudo-terminals, UNIX sockets. Input comes in
 * through bus/input.
 */
#ifndef NB_MACHINE_CHARDEV_HOST_H
#define NB_MACHINE_CHARDEV_HOST_H

#include "base/types.h"

struct chardev;
struct chardev_host;
struct state;
struct config_serial;
struct input;

/*
 * Makes what `serial` asks for; `name` is for messages. Of kind "none", *out is NULL. Returns NULL, or an error
 * (heap). A terminal on standard input is in raw mode from now until the process exits.
 */
char *chardev_host_new(const struct config_serial *serial, const char *name, struct input *input,
		       struct chardev_host **out);
/* What has been written, for going back (base/snapshot.h, state_is_checkpoint()): it is not printed again. */
void chardev_host_state(struct chardev_host *h, struct state *s);
void chardev_host_free(struct chardev_host *h);
/* The device's view; NULL for NULL. */
struct chardev *chardev_host_chardev(struct chardev_host *h);

/* Calls `met` when the device has printed `text`, each time. */
void chardev_host_expect(struct chardev_host *h, const char *text, void (*met)(void *opaque), void *opaque);
/* Calls `watch` with all that the device prints. */
void chardev_host_watch(struct chardev_host *h, void (*watch)(void *opaque, const u8 *data, size_t size), void *opaque);
/* As if a human typed it: goes to the device as it has room, when host input is polled. */
void chardev_host_type(struct chardev_host *h, const void *data, size_t size);
/* Calls `quit` when the user types Ctrl-A X on a terminal. */
void chardev_host_on_quit(struct chardev_host *h, void (*quit)(void *opaque), void *opaque);
/* Hands over what is still buffered. */
void chardev_host_flush(struct chardev_host *h);
/* From a signal handler, before _exit(): the user's terminal as it was. */
void chardev_host_restore_terminal(void);

#endif
