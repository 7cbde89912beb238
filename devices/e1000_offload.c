/*
 * 82540EM: checksum insertion, TCP and UDP segmentation, VLAN tag insertion; sums and the frame check sequence.
 *
 * Source: "TCP Segmentation", "IP/TCP/UDP Transmit Checksum Offloading in Non-Segmentation Mode", "802.1q VLAN
 * Support".
 * Offsets from a context that do not lie in the frame do nothing.
 */
#include <string.h>

#include "base/log.h"
#include "devices/e1000_internal.h"

LOG_CATEGORY("e1000.tx");

#define TUCMD_TCP BIT(0)
#define TUCMD_IPV4 BIT(1)
#define POPTS_IXSM BIT(0)
#define POPTS_TXSM BIT(1)

#define IPV6_HEADER 40
#define TCP_FIN 0x01
#define TCP_PSH 0x08

static u16
get_be16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static void
put_be16(u8 *p, u32 value)
{
	p[0] = (u8)(value >> 8);
	p[1] = (u8)value;
}

/* The one's complement sum of big-endian 16-bit words, an odd last byte padded with zero, not yet folded. */
u64
e1000_sum(u64 sum, const u8 *data, size_t size)
{
	size_t i = 0;

	for (; i + 1 < size; i += 2)
		sum += get_be16(data + i);
	if (i < size)
		sum += (u64)data[i] << 8;
	return sum;
}

u16
e1000_fold(u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)sum;
}

/* Sums frame[start..end] (end 0: to the last byte), adds `extra`, and stores the complement at `offset`. */
static void
insert_checksum(u8 *frame, u32 size, u32 start, u32 offset, u32 end, u32 extra, bool never_zero)
{
	u16 sum;

	if (end == 0 || end >= size)
		end = size - 1;
	if (start > end || offset + 2 > size)
		return;
	sum = (u16)~e1000_fold(e1000_sum(extra, frame + start, end - start + 1));
	/* UDP: 0 means that there is no checksum. */
	put_be16(frame + offset, sum == 0 && never_zero ? 0xffff : sum);
}

static void
insert_checksums(struct e1000_packet *p, const struct e1000_context *c, u32 pseudo_length)
{
	bool udp = !(c->command & TUCMD_TCP);

	if (p->options & POPTS_TXSM)
		insert_checksum(p->frame, p->size, c->tu_start, c->tu_offset, c->tu_end, pseudo_length, udp);
	if (p->options & POPTS_IXSM)
		insert_checksum(p->frame, p->size, c->ip_start, c->ip_offset, c->ip_end, 0, false);
}

/* The tag goes in last, into the room that frame[] has behind PACKET_MAX. The frame is used up. */
static void
send(struct e1000 *e)
{
	struct e1000_packet *p = &e->packet;

	if (p->vlan_insert && p->size >= FRAME_ADDRESSES) {
		memmove(p->frame + FRAME_ADDRESSES + VLAN_SIZE, p->frame + FRAME_ADDRESSES, p->size - FRAME_ADDRESSES);
		put_be16(p->frame + FRAME_ADDRESSES, e->r.VET[0]);
		put_be16(p->frame + FRAME_ADDRESSES + 2, p->vlan);
		p->size += VLAN_SIZE;
	}
	if (p->size > PACKET_MAX)
		e->counters.tx_dropped++;
	else
		e1000_send_frame(e, p->frame, p->size);
}

void
e1000_finish_plain(struct e1000 *e)
{
	insert_checksums(&e->packet, &e->packet.checksum, 0);
	send(e);
}

/* What a segment changes in the headers, before its checksums: "TCP Segmentation, IP and TCP/UDP Headers". */
static void
edit_headers(struct e1000_packet *p, const struct e1000_context *c, bool last)
{
	u8 *ip = p->frame + c->ip_start, *tu = p->frame + c->tu_start;

	if (c->command & TUCMD_IPV4 && c->ip_start + 20u <= c->header) {
		put_be16(ip + 2, p->size - c->ip_start);
		put_be16(ip + 4, get_be16(ip + 4) + p->segments);
	} else if (!(c->command & TUCMD_IPV4) && c->ip_start + (u32)IPV6_HEADER <= c->header) {
		put_be16(ip + 4, p->size - c->ip_start - IPV6_HEADER);
	}
	if (c->command & TUCMD_TCP && c->tu_start + 20u <= c->header) {
		u32 sequence = (u32)get_be16(tu + 4) << 16 | get_be16(tu + 6);
		sequence += p->sent;
		put_be16(tu + 4, sequence >> 16);
		put_be16(tu + 6, sequence);
		if (!last)
			tu[13] &= (u8) ~(TCP_FIN | TCP_PSH);
	} else if (!(c->command & TUCMD_TCP) && c->tu_start + 8u <= c->header) {
		put_be16(tu + 4, p->size - c->tu_start);
	}
}

static void
send_segment(struct e1000 *e, bool last)
{
	struct e1000_packet *p = &e->packet;
	const struct e1000_context *c = &p->segmentation;
	u32 payload = p->size - c->header;

	edit_headers(p, c, last);
	/* The pseudo header's sum is in the checksum field already, but for the length, which the chip adds. */
	insert_checksums(p, c, p->size > c->tu_start ? p->size - c->tu_start : 0);
	send(e);
	p->sent += payload;
	p->segments++;
	memcpy(p->frame, p->header, c->header);
	p->size = c->header;
}

/* Bytes of a packet under segmentation: HDRLEN bytes of headers, then PAYLEN bytes of payload, sent MSS at a time. */
void
e1000_add_segmented(struct e1000 *e, u64 address, u32 size)
{
	struct e1000_packet *p = &e->packet;
	const struct e1000_context *c = &p->segmentation;

	if (p->dropping)
		return;
	if (c->mss == 0 || c->header < FRAME_HEADER || c->header + (u32)c->mss > PACKET_MAX) {
		e->counters.tx_bad_descriptors++;
		log_debug("segmentation with MSS %u, headers of %u bytes dropped", c->mss, c->header);
		p->dropping = true;
		return;
	}
	while (size) {
		bool in_header = p->size < c->header;
		u32 limit = in_header ? c->header : c->header + (u32)c->mss;
		u32 part;

		if (!in_header) {
			u32 left = c->payload - p->sent;
			limit = MIN(limit, c->header + left);
		}
		part = MIN(size, limit - p->size);
		if (part == 0) {
			/* More data than PAYLEN said. */
			e->counters.tx_bad_descriptors++;
			p->dropping = true;
			return;
		}
		pci_dma_read(&e->pci, address, p->frame + p->size, part);
		p->size += part;
		address += part;
		size -= part;
		if (p->size < limit)
			return;
		if (in_header)
			memcpy(p->header, p->frame, c->header);
		else
			send_segment(e, p->sent + (p->size - c->header) >= c->payload);
	}
}

void
e1000_finish_segmented(struct e1000 *e)
{
	struct e1000_packet *p = &e->packet;

	if (p->dropping)
		return;
	if (p->size > p->segmentation.header)
		send_segment(e, true);
	else if (p->segments == 0)
		e->counters.tx_bad_descriptors++; /* not even a byte of payload */
}

/* IEEE 802.3 CRC-32, four bits at a time. */
u32
e1000_fcs(const u8 *frame, size_t size)
{
	static const u32 table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	u32 crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= frame[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}
