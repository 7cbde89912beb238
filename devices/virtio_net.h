/* Virtio network card: one PCI function with a cable. See virtio_net.c. */
#ifndef NB_DEVICES_VIRTIO_NET_H
#define NB_DEVICES_VIRTIO_NET_H

#include "base/types.h"
#include "devices/virtio.h"

struct events;
struct nic_parts;
struct packet_link;
struct state;
struct virtio_net;

/* Adds the card to the bus and fills in the card's end of `link`. NULL: out of memory. */
struct virtio_net *virtio_net_new(struct pci_bus *bus, unsigned devfn, struct events *events, struct packet_link *link,
				  const struct nic_parts *parts, enum virtio_generation generation);
void virtio_net_free(struct virtio_net *n);
void virtio_net_state(struct virtio_net *n, struct state *s);
/* Plugs the cable in or out. */
void virtio_net_set_link(struct virtio_net *n, bool up);

struct virtio_net_counters {
	u64 tx_frames, rx_frames;
	u64 tx_bad;     /* lengths or offload requests that make no frame */
	u64 rx_dropped; /* buffers too small, or none */
	u64 rx_filtered;
};
const struct virtio_net_counters *virtio_net_counters(const struct virtio_net *n);
const struct virtio_counters *virtio_net_common(const struct virtio_net *n);

#endif
