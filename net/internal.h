/* What the back ends share. Private to net/. */
#ifndef NB_NET_INTERNAL_H
#define NB_NET_INTERNAL_H

#include <netinet/in.h>

#include "base/types.h"
#include "bus/input.h"
#include "bus/packet.h"
#include "net/net.h"

#define NET_OPTIONS 32

struct net_option {
	char *key, *value;
	bool used;
};

/* The key=value pairs after the kind. */
struct net_options {
	char *text; /* what keys and values point into */
	struct net_option option[NET_OPTIONS];
	unsigned count;
};

struct net_pcap;

struct net_backend {
	const char *kind;
	char *id;
	struct packet_link *link;
	struct events *events;
	struct input *input;
	struct net_pcap *pcap;
	u64 shown, furthest; /* frames for the dump; furthest: before the machine went back in time */
	struct net_statistics statistics;
	void (*observer)(void *opaque, bool from_card, const u8 *frame, size_t size);
	void *observer_opaque;
	void *host;                  /* the kind's own struct */
	struct input_source *source; /* where the host's frames come in; NULL: nowhere */
	char source_name[INPUT_NAME];
	void (*poll)(void *host, u64 now); /* of net_source() */

	/* Set by the kind; each may be NULL. */
	void (*transmit)(struct net_backend *b, const u8 *frame, size_t size);
	void (*ready)(struct net_backend *b);
	void (*free)(struct net_backend *b);
	void (*state)(struct net_backend *b, struct state *s);
};

/* The value of `key` or NULL; marks it as known. With several the next one that is not yet used. */
const char *net_option(struct net_options *options, const char *key);
/* on/off/yes/no/y/n; *value stays when the key is not given. */
char *net_option_bool(struct net_options *options, const char *key, bool *value);

/* A frame for the card, at this very moment of virtual time. False: the card had no room. */
bool net_to_card(struct net_backend *b, const u8 *frame, size_t size);
bool net_card_can_receive(struct net_backend *b);
void net_dropped(struct net_backend *b);

/* What tap and socket push through the door: a frame for the card, and that one from the card was lost. */
enum { NET_FRAME, NET_LOST };
/* A source of these. `opaque` is the kind's own. */
struct input_source net_source(const char *kind, void (*poll)(void *opaque, u64 now), void *opaque, int fd, struct net_backend *b);

/* "[ADDR]:PORT" with a dotted address, no address means any. NULL, or an error. */
char *net_parse_address(const char *text, struct sockaddr_in *address);
/* 0..65535 */
bool net_parse_port(const char *text, u16 *port);

/* Each kind's constructor: fills in `b`'s hooks and host. NULL, or an error. */
char *net_user_create(struct net_backend *b, struct net_options *options);
char *net_tap_create(struct net_backend *b, struct net_options *options);
char *net_socket_create(struct net_backend *b, struct net_options *options);

char *net_pcap_open(const char *path, struct net_pcap **out);
void net_pcap_frame(struct net_pcap *pcap, u64 ns, const u8 *frame, size_t size);
void net_pcap_close(struct net_pcap *pcap);

#endif
