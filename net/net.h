/*
 * Network back ends: what stands at the far end of an e1000's cable.
 *
 *   none                                      a cable plugged into nothing
 *   user[,net=A/N][,host=A][,dhcpstart=A]...  libslirp on the virtual clock: DHCP, gateway, TFTP, NAT (net/user.c)
 *   tap,ifname=T                              a Linux tap interface (net/tap.c)
 *   socket,listen=[A]:P | connect=A:P         length-prefixed frames over TCP, as QEMU's -netdev socket (net/socket.c)
 * Any of them takes id=NAME and pcap=FILE (net/pcap.c).
 *
 * A back end gives frames to the card only from an event or from bus/input, so that the card sees them at a virtual
 * time.
 */
#ifndef NB_NET_NET_H
#define NB_NET_NET_H

#include "base/types.h"

struct events;
struct input;
struct packet_link;
struct state;
struct net_backend;

/*
 * Makes the back end that `optarg` asks for (the argument of -netdev: "user,id=n0,tftp=/srv") and fills in its end of
 * `link`, which must be zero or already hold the card's end, and must outlive the back end. Every key=value after the
 * kind is checked.
 * Returns NULL and sets *out, or returns an error (heap) for the user.
 */
char *net_create(const char *optarg, struct events *events, struct input *input, struct packet_link *link,
		 struct net_backend **out);
void net_free(struct net_backend *backend);
void net_state(struct net_backend *backend, struct state *s);

/* id=..., or "" */
const char *net_id(const struct net_backend *backend);
/* "user", "tap"... */
const char *net_kind(const struct net_backend *backend);

struct net_statistics {
	u64 frames_from_card, bytes_from_card;
	u64 frames_to_card, bytes_to_card;
	u64 dropped; /* the queue was full, or the card had no room */
};
/* Tells `frame` of each frame on the cable, before it arrives. Changes nothing. */
void net_observe(struct net_backend *backend, void (*frame)(void *opaque, bool from_card, const u8 *frame, size_t size), void *opaque);

const struct net_statistics *net_statistics(const struct net_backend *backend);

#endif
