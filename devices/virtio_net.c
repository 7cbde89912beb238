/*
 * Virtio network card.
 *
 * Source: Virtual I/O Device (VIRTIO) 1.2, "Network Device".
 * Queues: 0 receive, 1 transmit, 2 control. Frames leave a microsecond after the doorbell, each after the one before, so that
 * work is bounded and a doorbell costs the guest nothing.
 * Not modelled: multiqueue, RSS, checksum and segmentation offload on receive, guest announcements, MTU and speed.
 */
#include "devices/virtio_net.h"

#include <stdlib.h>
#include <string.h>

#include "base/events.h"
#include "base/log.h"
#include "base/snapshot.h"
#include "bus/packet.h"
#include "devices/virtio_net_offload.h"

LOG_CATEGORY("virtio-net");

#define F_CSUM BIT(0)
#define F_MAC BIT(5)
#define F_HOST_TSO4 BIT(11)
#define F_HOST_TSO6 BIT(12)
#define F_HOST_ECN BIT(13)
#define F_MRG_RXBUF BIT(15)
#define F_STATUS BIT(16)
#define F_CTRL_VQ BIT(17)
#define F_CTRL_RX BIT(18)
#define F_CTRL_VLAN BIT(19)
#define F_CTRL_RX_EXTRA BIT(20)
#define F_CTRL_MAC_ADDR BIT(23)
#define FEATURES                                                                                                       \
	(F_CSUM | F_MAC | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_CTRL_RX |       \
	 F_CTRL_VLAN | F_CTRL_RX_EXTRA | F_CTRL_MAC_ADDR)

enum { RECEIVE, TRANSMIT, CONTROL };

/* Device configuration */
#define CONFIG_MAC 0
#define CONFIG_STATUS 6
#define STATUS_LINK_UP BIT(0)
#define CONFIG_SIZE 8

#define HEADER_SHORT 10u /* legacy, without merged buffers: no num_buffers */
#define HEADER_LONG 12u
#define FRAME_MIN 14u
#define MESSAGE_MAX (65536u + HEADER_LONG) /* what one transmit chain may hold */
#define MERGED_MAX 64u                     /* chains that one received frame may take */

#define TX_NS 1000u
#define TX_BURST 16u /* frames per event */

/* Control commands: class, command, data, acknowledgement. */
#define CLASS_RX 0
#define CLASS_MAC 1
#define CLASS_VLAN 2
#define MAC_TABLE_SET 0
#define MAC_ADDR_SET 1
#define VLAN_ADD 0
#define VLAN_DEL 1
#define MAC_ENTRIES 64u
#define CONTROL_BURST 64u

enum mode { PROMISCUOUS, ALL_MULTICAST, ALL_UNICAST, NO_MULTICAST, NO_UNICAST, NO_BROADCAST, MODES };

/* What the guest told about frames that it wants. */
struct filter {
	u8 mode[MODES];
	u8 unicast[MAC_ENTRIES][6], multicast[MAC_ENTRIES][6];
	u32 unicasts, multicasts;
	bool unicast_overflow, multicast_overflow;
	u8 vlan[4096 / 8];
};

struct virtio_net {
	struct virtio virtio;
	struct events *events;
	struct packet_link *link;
	struct event work; /* transmission */
	u8 mac[6];         /* as on the label */
	struct filter filter;
	struct virtio_net_counters counters;
	/* Used within one call only. */
	struct virtqueue_chain chain, merged[MERGED_MAX];
	u8 message[MESSAGE_MAX];
	u8 received[PACKET_MAX + HEADER_LONG]; /* an answer may come while a frame is being sent */
};

static u32
header_size(const struct virtio_net *n)
{
	return virtio_has(&n->virtio, VIRTIO_F_VERSION_1 | F_MRG_RXBUF) ? HEADER_LONG : HEADER_SHORT;
}

/* ---- Transmit ---- */

static void
send(void *opaque, const u8 *frame, u32 size)
{
	struct virtio_net *n = opaque;

	n->counters.tx_frames++;
	if (n->link->up && n->link->transmit)
		n->link->transmit(n->link->backend, frame, size);
}

static void
transmit(struct virtio_net *n, const struct virtqueue_chain *chain)
{
	u32 skip = header_size(n);
	u64 size = chain->readable_size;
	struct virtio_net_header header;

	if (size < skip + FRAME_MIN || size > sizeof(n->message)) {
		n->counters.tx_bad++;
		return;
	}
	virtqueue_read(&n->virtio.queue[TRANSMIT], chain, 0, n->message, size);
	header = (struct virtio_net_header){
		.flags = n->message[0],
		.gso_type = n->message[1],
		.header_size = pci_get16(n->message, 2),
		.gso_size = pci_get16(n->message, 4),
		.csum_start = pci_get16(n->message, 6),
		.csum_offset = pci_get16(n->message, 8),
	};
	if (!virtio_net_segment(&header, n->message + skip, (u32)size - skip, send, n)) {
		log_debug("frame of %u bytes with impossible offloads (flags %#x, gso %#x) dropped", (u32)size - skip,
			  header.flags, header.gso_type);
		n->counters.tx_bad++;
	}
}

static void
work(void *opaque, u64 now)
{
	struct virtio_net *n = opaque;
	struct virtqueue *q = &n->virtio.queue[TRANSMIT];
	unsigned done = 0;

	if (!virtio_running(&n->virtio))
		return;
	while (done < TX_BURST && virtqueue_take(q, &n->chain)) {
		transmit(n, &n->chain);
		virtqueue_put(q, n->chain.head, 0, done++);
	}
	if (done && virtqueue_publish(q, done))
		virtio_interrupt(&n->virtio, TRANSMIT);
	if (done == TX_BURST)
		event_arm(n->events, &n->work, now + events_from_ns(n->events, TX_NS * TX_BURST));
	virtio_check(&n->virtio);
}

/* ---- Receive ---- */

static bool
listed(u8 list[][6], u32 count, const u8 *frame)
{
	for (u32 i = 0; i < count; i++)
		if (memcmp(list[i], frame, 6) == 0)
			return true;
	return false;
}

static bool
address_passes(struct virtio_net *n, const u8 *frame)
{
	static const u8 broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct filter *f = &n->filter;

	if (memcmp(frame, broadcast, 6) == 0)
		return !f->mode[NO_BROADCAST];
	if (frame[0] & 1)
		return !f->mode[NO_MULTICAST] && (f->mode[ALL_MULTICAST] || f->multicast_overflow ||
						  listed(f->multicast, f->multicasts, frame));
	return !f->mode[NO_UNICAST] && (f->mode[ALL_UNICAST] || f->unicast_overflow ||
					memcmp(n->virtio.config + CONFIG_MAC, frame, 6) == 0 ||
					listed(f->unicast, f->unicasts, frame));
}

static bool
passes(struct virtio_net *n, const u8 *frame)
{
	if (n->filter.mode[PROMISCUOUS])
		return true;
	if (virtio_has(&n->virtio, F_CTRL_VLAN) && frame[12] == 0x81 && frame[13] == 0) {
		u16 id = (u16)((frame[14] << 8 | frame[15]) & 0xfff);

		if (!(n->filter.vlan[id / 8] & BIT(id % 8)))
			return false;
	}
	return address_passes(n, frame);
}

/* Takes as many chains as `size` bytes need. 0: there are not enough, and none is taken. */
static unsigned
take_buffers(struct virtio_net *n, u64 size)
{
	struct virtqueue *q = &n->virtio.queue[RECEIVE];
	unsigned most = virtio_has(&n->virtio, F_MRG_RXBUF) ? MERGED_MAX : 1, count = 0;
	u64 room = 0;

	while (room < size && count < most) {
		if (!virtqueue_take(q, &n->merged[count])) {
			if (!q->broken)
				virtqueue_untake(q, count);
			return 0;
		}
		room += n->merged[count++].writable_size;
	}
	if (room >= size)
		return count;
	/* The driver's buffers are too small for this frame: they stay for others. */
	virtqueue_untake(q, count);
	return 0;
}

static bool
store(struct virtio_net *n, const u8 *frame, size_t size)
{
	struct virtqueue *q = &n->virtio.queue[RECEIVE];
	u32 skip = header_size(n), total = skip + (u32)size, done = 0;
	unsigned count;

	memset(n->received, 0, skip);
	memcpy(n->received + skip, frame, size);
	count = take_buffers(n, total);
	if (!count)
		return false;
	if (skip == HEADER_LONG)
		pci_set16(n->received, HEADER_SHORT, (u16)count);
	for (unsigned i = 0; i < count; i++) {
		u32 part = (u32)virtqueue_write(q, &n->merged[i], 0, n->received + done, total - done);

		done += part;
		virtqueue_put(q, n->merged[i].head, part, i);
	}
	if (virtqueue_publish(q, count))
		virtio_interrupt(&n->virtio, RECEIVE);
	return true;
}

static bool
receive(void *card, const u8 *frame, size_t size)
{
	struct virtio_net *n = card;
	bool stored;

	if (!virtio_running(&n->virtio) || !n->link->up || !n->virtio.queue[RECEIVE].enabled)
		return false;
	if (size < FRAME_MIN + 4 || size > PACKET_MAX || !passes(n, frame)) {
		n->counters.rx_filtered++;
		return true;
	}
	stored = store(n, frame, size);
	n->counters.rx_frames += stored;
	n->counters.rx_dropped += !stored;
	virtio_check(&n->virtio);
	return stored;
}

/* A card whose driver is not there takes (and drops) everything, so that the back end does not pile up old frames. */
static bool
can_receive(void *card)
{
	struct virtio_net *n = card;
	struct virtqueue *q = &n->virtio.queue[RECEIVE];

	if (!virtio_running(&n->virtio) || !q->enabled || q->broken || !n->link->up)
		return true;
	return virtqueue_waiting(q);
}

/* ---- Control ---- */

/* One of the two lists of MAC_TABLE_SET: a count and addresses. Returns the bytes it took, 0: it is cut off. */
static u32
read_list(const u8 *data, u64 size, u8 list[][6], u32 *count, bool *overflow)
{
	u32 entries;

	if (size < 4)
		return 0;
	entries = pci_get32(data, 0);
	if (entries > (size - 4) / 6)
		return 0;
	*overflow = entries > MAC_ENTRIES;
	*count = *overflow ? 0 : entries;
	memcpy(list, data + 4, *count * 6);
	return 4 + entries * 6;
}

static bool
set_macs(struct filter *f, const u8 *data, u64 size)
{
	u32 first = read_list(data, size, f->unicast, &f->unicasts, &f->unicast_overflow);

	return first && read_list(data + first, size - first, f->multicast, &f->multicasts, &f->multicast_overflow);
}

static bool
command(struct virtio_net *n, const u8 *message, u64 size)
{
	const u8 *data = message + 2;
	struct filter *f = &n->filter;
	u16 id;

	if (size < 3)
		return false;
	size -= 2;
	switch (message[0]) {
	case CLASS_RX:
		if (message[1] >= MODES || size != 1)
			return false;
		f->mode[message[1]] = data[0] != 0;
		return true;
	case CLASS_MAC:
		if (message[1] == MAC_TABLE_SET)
			return set_macs(f, data, size);
		if (message[1] != MAC_ADDR_SET || size != 6)
			return false;
		memcpy(n->virtio.config + CONFIG_MAC, data, 6);
		return true;
	case CLASS_VLAN:
		if (message[1] > VLAN_DEL || size != 2)
			return false;
		id = pci_get16(data, 0) & 0xfff;
		if (message[1] == VLAN_ADD)
			f->vlan[id / 8] |= (u8)BIT(id % 8);
		else
			f->vlan[id / 8] &= (u8)~BIT(id % 8);
		return true;
	default:
		return false;
	}
}

static void
control(struct virtio_net *n)
{
	struct virtqueue *q = &n->virtio.queue[CONTROL];

	for (unsigned i = 0; i < CONTROL_BURST && virtqueue_take(q, &n->chain); i++) {
		u64 size = n->chain.readable_size;
		u8 refused = 1;

		/* Longer than any list of addresses that a driver could mean: refused. */
		if (size <= sizeof(n->message)) {
			virtqueue_read(q, &n->chain, 0, n->message, size);
			refused = !command(n, n->message, size);
		}
		virtqueue_put(q, n->chain.head, (u32)virtqueue_write(q, &n->chain, 0, &refused, 1), 0);
		if (virtqueue_publish(q, 1))
			virtio_interrupt(&n->virtio, CONTROL);
	}
}

/* ---- The device ---- */

static void
notify(void *opaque, unsigned queue)
{
	struct virtio_net *n = opaque;

	switch (queue) {
	case RECEIVE:
		if (n->link->ready && can_receive(n))
			n->link->ready(n->link->backend);
		break;
	case TRANSMIT:
		if (!event_armed(&n->work) && virtqueue_waiting(&n->virtio.queue[TRANSMIT]))
			event_arm(n->events, &n->work, events_now(n->events) + events_from_ns(n->events, TX_NS));
		break;
	default:
		control(n);
		break;
	}
}

static void
set_status(struct virtio_net *n)
{
	pci_set16(n->virtio.config, CONFIG_STATUS, n->link->up ? STATUS_LINK_UP : 0);
}

static void
reset(void *opaque)
{
	struct virtio_net *n = opaque;

	event_disarm(n->events, &n->work);
	memset(&n->filter, 0, sizeof(n->filter));
	/* "After reset, the device is in promiscuous mode": drivers that cannot control it get everything. */
	n->filter.mode[PROMISCUOUS] = 1;
	memcpy(n->virtio.config + CONFIG_MAC, n->mac, 6);
	set_status(n);
}

/* Legacy drivers set the address here. */
static void
config_written(void *opaque, unsigned offset, u8 value)
{
	struct virtio_net *n = opaque;

	if (offset < CONFIG_STATUS && !virtio_has(&n->virtio, VIRTIO_F_VERSION_1))
		n->virtio.config[offset] = value;
}

static const struct virtio_class class = {
	.name = "virtio-net",
	.id = 1,
	.transitional = 0x1000,
	.pci_class = 0x020000,
	.queues = 3,
	.queue_size = {256, 256, 64},
	.config_size = CONFIG_SIZE,
	.notify = notify,
	.reset = reset,
	.config_written = config_written,
};

struct virtio_net *
virtio_net_new(struct pci_bus *bus, unsigned devfn, struct events *events, struct packet_link *link,
	       const struct nic_parts *parts, enum virtio_generation generation)
{
	struct virtio_net *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->events = events;
	n->link = link;
	memcpy(n->mac, parts->mac, sizeof(n->mac));
	event_init(&n->work, "virtio-net", EVENT_DEVICE, work, n);
	virtio_init(&n->virtio, &class, n, generation, FEATURES);
	if (parts->rom)
		pci_rom(&n->virtio.pci, parts->rom_size, parts->rom, "virtio-net rom");
	virtio_plug(&n->virtio, bus, devfn);
	link->card = n;
	link->receive = receive;
	link->can_receive = can_receive;
	return n;
}

void
virtio_net_free(struct virtio_net *n)
{
	if (!n)
		return;
	event_disarm(n->events, &n->work);
	n->link->card = NULL;
	n->link->receive = NULL;
	n->link->can_receive = NULL;
	free(n);
}

void
virtio_net_set_link(struct virtio_net *n, bool up)
{
	if (n->link->up == up)
		return;
	n->link->up = up;
	set_status(n);
	virtio_config_changed(&n->virtio);
}

void
virtio_net_state(struct virtio_net *n, struct state *s)
{
	struct filter *f = &n->filter;

	state_section(s, "virtio-net", 1);
	virtio_state(&n->virtio, s);
	STATE(s, f->mode);
	STATE(s, f->unicast);
	STATE(s, f->multicast);
	STATE(s, f->unicasts);
	STATE(s, f->multicasts);
	state_bool(s, &f->unicast_overflow);
	state_bool(s, &f->multicast_overflow);
	STATE(s, f->vlan);
	state_bool(s, &n->link->up);
	state_event(s, n->events, &n->work);
	if (f->unicasts > MAC_ENTRIES || f->multicasts > MAC_ENTRIES) {
		state_fail(s, "virtio-net filter with too many addresses");
		f->unicasts = f->multicasts = 0;
	}
}

const struct virtio_net_counters *
virtio_net_counters(const struct virtio_net *n)
{
	return &n->counters;
}

const struct virtio_counters *
virtio_net_common(const struct virtio_net *n)
{
	return &n->virtio.counters;
}
