/*
 * Transmit offloads of the virtio network card.
 *
 * Source: VIRTIO 1.2, "Network Device", section "Packet Transmission"; RFC 1071, 791, 8200, 9293 for what goes into the
 * frames.
 */
#include "devices/virtio_net_offload.h"

#include <string.h>

#include "bus/packet.h"

#define HEADER_MAX 256u /* of a segment: Ethernet, IP, TCP */
#define GSO_MIN 8u

#define TCP_MIN 20u
#define TCP_SEQUENCE 4
#define TCP_FLAGS 13
#define TCP_CHECKSUM 16
#define TCP_FIN BIT(0)
#define TCP_PSH BIT(3)
#define TCP_CWR BIT(7)

static u32
get_be16(const u8 *at)
{
	return (u32)at[0] << 8 | at[1];
}

static void
put_be16(u8 *at, u32 value)
{
	at[0] = (u8)(value >> 8);
	at[1] = (u8)value;
}

static u32
get_be32(const u8 *at)
{
	return get_be16(at) << 16 | get_be16(at + 2);
}

static void
put_be32(u8 *at, u32 value)
{
	put_be16(at, value >> 16);
	put_be16(at + 2, value);
}

static u64
sum(u64 sum, const u8 *data, u32 size)
{
	u32 i = 0;

	for (; i + 1 < size; i += 2)
		sum += get_be16(data + i);
	return i < size ? sum + ((u32)data[i] << 8) : sum;
}

/* The complement; as 0 it is written as all ones, which is the same number and never means "none". */
static u16
finish(u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0xffff : (u16)~sum;
}

/* Where the parts of the frame to be cut are. */
struct plan {
	bool v6;
	u32 ip, tcp, header; /* offsets of IP and TCP, size of all headers */
	u32 mss;
};

static bool
make_plan(const struct virtio_net_header *h, const u8 *frame, u32 size, struct plan *plan)
{
	u8 type = h->gso_type & (u8)~VIRTIO_NET_GSO_ECN;
	u32 ip = 14, least;

	if (type != VIRTIO_NET_GSO_TCPV4 && type != VIRTIO_NET_GSO_TCPV6)
		return false;
	if (size >= 18 && get_be16(frame + 12) == 0x8100)
		ip = 18;
	plan->v6 = type == VIRTIO_NET_GSO_TCPV6;
	plan->ip = ip;
	plan->tcp = h->csum_start;
	plan->mss = h->gso_size;
	least = plan->v6 ? 40 : 20;
	if (!(h->flags & VIRTIO_NET_NEEDS_CSUM) || h->csum_offset != TCP_CHECKSUM || plan->tcp < ip + least ||
	    plan->tcp + TCP_MIN > size || frame[ip] >> 4 != (plan->v6 ? 6 : 4))
		return false;
	plan->header = plan->tcp + (frame[plan->tcp + 12] >> 4) * 4u;
	return plan->header >= plan->tcp + TCP_MIN && plan->header <= MIN(size, HEADER_MAX) && plan->mss >= GSO_MIN &&
	       plan->header + plan->mss <= PACKET_MAX;
}

static void
finish_segment(const struct plan *plan, u8 *frame, u32 size, u32 number)
{
	u8 *ip = frame + plan->ip, *tcp = frame + plan->tcp;
	u32 length = size - plan->tcp;
	u64 pseudo;

	if (plan->v6) {
		put_be16(ip + 4, size - plan->ip - 40);
		pseudo = sum(0, ip + 8, 32);
	} else {
		put_be16(ip + 2, size - plan->ip);
		put_be16(ip + 4, get_be16(ip + 4) + number);
		put_be16(ip + 10, 0);
		put_be16(ip + 10, finish(sum(0, ip, MIN((ip[0] & 15) * 4u, plan->tcp - plan->ip))));
		pseudo = sum(0, ip + 12, 8);
	}
	put_be16(tcp + TCP_CHECKSUM, 0);
	put_be16(tcp + TCP_CHECKSUM, finish(sum(pseudo + 6 + length, tcp, length)));
}

static void
cut(const struct plan *plan, const u8 *frame, u32 size, void (*send)(void *opaque, const u8 *frame, u32 size), void *opaque)
{
	u8 segment[PACKET_MAX];
	u32 sequence = get_be32(frame + plan->tcp + TCP_SEQUENCE), number = 0;

	for (u32 at = plan->header; at < size; number++) {
		u32 part = MIN(plan->mss, size - at);
		u8 *flags = segment + plan->tcp + TCP_FLAGS;

		memcpy(segment, frame, plan->header);
		memcpy(segment + plan->header, frame + at, part);
		put_be32(segment + plan->tcp + TCP_SEQUENCE, sequence + (at - plan->header));
		/* Congestion is told once, the end is the last one's. */
		if (number)
			*flags &= (u8)~TCP_CWR;
		at += part;
		if (at < size)
			*flags &= (u8) ~(TCP_FIN | TCP_PSH);
		finish_segment(plan, segment, plan->header + part, number);
		send(opaque, segment, plan->header + part);
	}
}

bool
virtio_net_segment(const struct virtio_net_header *h, u8 *frame, u32 size,
		   void (*send)(void *opaque, const u8 *frame, u32 size), void *opaque)
{
	struct plan plan;

	if (h->gso_type != VIRTIO_NET_GSO_NONE) {
		if (!make_plan(h, frame, size, &plan))
			return false;
		cut(&plan, frame, size, send, opaque);
		return true;
	}
	if (size > PACKET_MAX)
		return false;
	if (h->flags & VIRTIO_NET_NEEDS_CSUM) {
		u32 at = (u32)h->csum_start + h->csum_offset;

		if (h->csum_start >= size || at + 2 > size)
			return false;
		/* The driver has put the pseudo header's sum where the checksum goes. */
		put_be16(frame + at, finish(sum(0, frame + h->csum_start, size - h->csum_start)));
	}
	send(opaque, frame, size);
	return true;
}
