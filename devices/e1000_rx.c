/*
 * 82540EM: address filters, receive descriptor ring, receive checksum status.
 *
 * Source: "Packet Address Filtering", "Receive Descriptor Queue Structure", "Receive Data Storage", "Receive Packet
 * Checksum Offloading", "Receive Control Register".
 *
 *   descriptor   [ buffer address                               ]
 *   written back [ special | errors | status | checksum | length ]
 *
 * There is no receive FIFO: a back end asks e1000_can_receive() first and keeps its frames; a frame that comes anyway
 * and finds too few descriptors is missed as a whole.
 */
#include <string.h>

#include "devices/e1000_internal.h"

#define STATUS_DD BIT(0)
#define STATUS_EOP BIT(1)
#define STATUS_IXSM BIT(2)
#define STATUS_VP BIT(3)
#define STATUS_TCPCS BIT(5)
#define STATUS_IPCS BIT(6)
#define STATUS_PIF BIT(7)
#define ERROR_TCPE BIT(5)
#define ERROR_IPE BIT(6)

#define DESCRIPTOR_SIZE 16
#define FRAME_LONG 1522 /* with FCS: longer ones need RCTL.LPE */
#define FRAME_JUMBO 16384

#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd
#define TYPE_CONTROL 0x8808
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

struct verdict {
	u8 status, errors;
};

static u16
get_be16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static u32
ring_size(const struct e1000 *e)
{
	return e->r.RDLEN[0] / DESCRIPTOR_SIZE;
}

/* Descriptors that belong to the chip: from head up to, not including, tail. */
static u32
free_descriptors(const struct e1000 *e)
{
	u32 count = ring_size(e), head = e->r.RDH[0], tail = e->r.RDT[0];

	/* Outside of the ring they would never meet. */
	if (head >= count || tail >= count)
		return 0;
	return (tail + count - head) % count;
}

static u32
buffer_size(const struct e1000 *e)
{
	u32 size = 2048u >> RCTL_BSIZE(e->r.RCTL[0]);

	if (!(e->r.RCTL[0] & RCTL_BSEX))
		return size;
	/* BSIZE 0 is reserved with BSEX. */
	return RCTL_BSIZE(e->r.RCTL[0]) == 0 ? 16384 : size * 16;
}

/* Address filters */

static bool
exact_match(const struct e1000 *e, const u8 *frame)
{
	for (unsigned i = 0; i < COUNT(e->r.RA); i += 2) {
		u32 low = e->r.RA[i], high = e->r.RA[i + 1];
		const u8 *address = frame + (RAH_ADDRESS_SELECT(high) == 1 ? 6 : 0);

		if (high & RAH_VALID && pci_get32(address, 0) == low && pci_get16(address, 4) == (high & 0xffff))
			return true;
	}
	return false;
}

static bool
hash_match(const struct e1000 *e, const u8 *frame)
{
	static const u8 shift[] = {4, 3, 2, 0};
	u32 hash = (u32)pci_get16(frame, 4) >> shift[RCTL_MO(e->r.RCTL[0])] & 0xfff;

	return e->r.MTA[hash >> 5] >> (hash & 31) & 1;
}

/* *exact: not by hash or promiscuous mode */
static bool
address_passes(const struct e1000 *e, const u8 *frame, bool *exact)
{
	static const u8 broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	u32 rctl = e->r.RCTL[0];

	*exact = true;
	if (exact_match(e, frame))
		return true;
	if (memcmp(frame, broadcast, 6) == 0 && rctl & RCTL_BAM)
		return true;
	*exact = false;
	if (frame[0] & 1)
		return rctl & RCTL_MPE || hash_match(e, frame);
	return rctl & RCTL_UPE;
}

static bool
is_tagged(const struct e1000 *e, const u8 *frame, size_t size)
{
	return size >= FRAME_HEADER + VLAN_SIZE && get_be16(frame + FRAME_ADDRESSES) == e->r.VET[0];
}

static bool
vlan_passes(const struct e1000 *e, const u8 *frame)
{
	u32 rctl = e->r.RCTL[0];
	u16 tag = get_be16(frame + FRAME_ADDRESSES + 2);
	u16 id = tag & 0xfff;

	if (!(rctl & RCTL_VFE))
		return true;
	if (rctl & RCTL_CFIEN && !(tag & 0x1000) != !(rctl & RCTL_CFI))
		return false;
	return e->r.VFTA[id >> 5] >> (id & 31) & 1;
}

/* MAC control frames (802.3 annex 31B). Returns whether they go on to the address filters. */
static bool
control_passes(struct e1000 *e, const u8 *frame, size_t size)
{
	u8 pause[6];
	bool to_us;

	if (size < FRAME_HEADER + 4 || get_be16(frame + FRAME_ADDRESSES) != TYPE_CONTROL)
		return true;
	for (unsigned i = 0; i < 6; i++)
		pause[i] = (u8)((e->r.FCAL[0] | (u64)e->r.FCAH[0] << 32) >> i * 8);
	to_us = memcmp(frame, pause, 6) == 0 || exact_match(e, frame);
	if (!to_us || get_be16(frame + FRAME_HEADER) != 1) {
		e1000_count(e->r.FCRUC, 1);
		return e->r.RCTL[0] & RCTL_PMCF;
	}
	e1000_count(get_be16(frame + FRAME_HEADER + 2) ? e->r.XOFFRXC : e->r.XONRXC, 1);
	return !(e->r.RCTL[0] & RCTL_DPF);
}

/* Checksums of what was received */

static bool
transport_is_good(const u8 *transport, u32 size, u8 protocol, u64 address_sum)
{
	return e1000_fold(e1000_sum(address_sum + protocol + size, transport, size)) == 0xffff;
}

static void
check_transport(const struct e1000 *e, struct verdict *v, const u8 *transport, u32 size, u8 protocol, u64 address_sum)
{
	if (!(e->r.RXCSUM[0] & RXCSUM_TUOFL))
		return;
	if (protocol == PROTOCOL_UDP) {
		u32 length;

		if (size < 8 || get_be16(transport + 6) == 0)
			return; /* the sender made none */
		length = get_be16(transport + 4);
		if (length < 8 || length > size)
			return;
		size = length;
	} else if (protocol != PROTOCOL_TCP || size < 20) {
		return;
	}
	v->status |= STATUS_TCPCS;
	if (!transport_is_good(transport, size, protocol, address_sum))
		v->errors |= ERROR_TCPE;
}

static void
check_ipv4(const struct e1000 *e, struct verdict *v, const u8 *ip, size_t room)
{
	u32 header = (ip[0] & 15) * 4u, total;

	if (room < 20 || ip[0] >> 4 != 4 || header < 20 || header > room)
		return;
	if (e->r.RXCSUM[0] & RXCSUM_IPOFL) {
		v->status |= STATUS_IPCS;
		if (e1000_fold(e1000_sum(0, ip, header)) != 0xffff)
			v->errors |= ERROR_IPE;
	}
	total = get_be16(ip + 2);
	/* Fragments have no checksum of their own. */
	if (total < header || total > room || get_be16(ip + 6) & 0x3fff)
		return;
	check_transport(e, v, ip + header, total - header, ip[9], e1000_sum(0, ip + 12, 8));
}

static void
check_ipv6(const struct e1000 *e, struct verdict *v, const u8 *ip, size_t room)
{
	u32 payload;

	if (room < 40 || ip[0] >> 4 != 6)
		return;
	payload = get_be16(ip + 4);
	/* Extension headers are not looked through. */
	if (payload <= room - 40)
		check_transport(e, v, ip + 40, payload, ip[6], e1000_sum(0, ip + 8, 32));
}

static struct verdict
check_sums(const struct e1000 *e, const u8 *frame, size_t size, bool tagged)
{
	struct verdict v = {0, 0};
	size_t at = tagged ? FRAME_HEADER + VLAN_SIZE : FRAME_HEADER;
	u16 type;

	if (size >= at + 20) {
		type = get_be16(frame + at - 2);
		if (type == TYPE_IPV4)
			check_ipv4(e, &v, frame + at, size - at);
		else if (type == TYPE_IPV6)
			check_ipv6(e, &v, frame + at, size - at);
	}
	if (!(v.status & (STATUS_IPCS | STATUS_TCPCS)))
		v.status |= STATUS_IXSM;
	return v;
}

/* The ring */

static void
advance_head(struct e1000 *e)
{
	static const u8 shift[] = {1, 2, 3, 3};
	u32 threshold = ring_size(e) >> shift[RCTL_RDMTS(e->r.RCTL[0])];
	u32 before = free_descriptors(e);

	e->r.RDH[0] = (e->r.RDH[0] + 1) % ring_size(e);
	if (before > threshold && before - 1 <= threshold)
		e1000_cause(e, ICR_RXDMT0);
}

/* Writes the frame over as many descriptors as it takes; the caller knows that they are there, if all have buffers. */
static bool
store(struct e1000 *e, const u8 *data, u32 size, struct verdict v, u16 sum, u16 special)
{
	u64 ring = e->r.RDBAL[0] | (u64)e->r.RDBAH[0] << 32;
	u32 room = buffer_size(e);

	for (u32 done = 0; done < size;) {
		u64 at = ring + (u64)e->r.RDH[0] * DESCRIPTOR_SIZE;
		u32 part = MIN(room, size - done);
		u8 buffer[8], back[8] = {0};
		u64 address;

		if (free_descriptors(e) == 0)
			return false;
		pci_dma_read(&e->pci, at, buffer, sizeof(buffer));
		address = pci_get32(buffer, 0) | (u64)pci_get32(buffer, 4) << 32;
		back[4] = STATUS_DD;
		if (address) {
			bool end = done + part == size;
			pci_dma_write(&e->pci, address, data + done, part);
			done += part;
			pci_set16(back, 0, (u16)part);
			pci_set16(back, 2, sum);
			back[4] |= (u8)(v.status & (end ? 0xff : STATUS_VP));
			if (end) {
				back[4] |= STATUS_EOP;
				back[5] = v.errors;
			}
			pci_set16(back, 6, special);
		} else {
			e->counters.rx_bad_descriptors++; /* "null descriptor": padding, used up without data */
		}
		pci_dma_write(&e->pci, at + 8, back, sizeof(back));
		advance_head(e);
	}
	return true;
}

static void
missed(struct e1000 *e)
{
	e1000_count(e->r.RNBC, 1);
	e1000_count(e->r.MPC, 1);
	e1000_cause(e, ICR_RXO);
}

static bool
size_passes(struct e1000 *e, size_t size)
{
	u32 rctl = e->r.RCTL[0];
	size_t octets = size + FCS_SIZE;

	if (size < FRAME_MIN) {
		e1000_count(e->r.RUC, 1);
		return rctl & RCTL_SBP && size >= FRAME_HEADER;
	}
	if (octets > (rctl & RCTL_LPE ? FRAME_JUMBO : FRAME_LONG)) {
		e1000_count(e->r.ROC, 1);
		return rctl & RCTL_SBP && octets <= FRAME_JUMBO;
	}
	return true;
}

/* A frame as it comes off the wire. Returns false when there was no room for it. */
bool
e1000_receive_frame(struct e1000 *e, const u8 *frame, size_t size)
{
	u8 data[PACKET_MAX + FCS_SIZE];
	bool tagged, strip, exact, passes;
	struct verdict v;
	u32 stored = (u32)size;
	u16 sum, special = 0;

	if (!(e->r.RCTL[0] & RCTL_EN) || !e1000_bus_master(e))
		return false;
	if (size < FRAME_HEADER || size > PACKET_MAX)
		return true;
	tagged = is_tagged(e, frame, size);
	passes = control_passes(e, frame, size) && address_passes(e, frame, &exact) &&
		 (!tagged || vlan_passes(e, frame)) && size_passes(e, size);
	if (!passes) {
		e1000_count_received(e, frame, size, false);
		return true;
	}
	strip = tagged && e->r.CTRL[0] & CTRL_VME;
	v = check_sums(e, frame, size, tagged);
	if (!exact)
		v.status |= STATUS_PIF;
	memcpy(data, frame, size);
	if (strip) {
		special = get_be16(frame + FRAME_ADDRESSES + 2);
		v.status |= STATUS_VP;
		stored -= VLAN_SIZE;
		memmove(data + FRAME_ADDRESSES, data + FRAME_ADDRESSES + VLAN_SIZE, stored - FRAME_ADDRESSES);
	}
	sum = RXCSUM_PCSS(e->r.RXCSUM[0]) < stored ? e1000_fold(e1000_sum(0, data + RXCSUM_PCSS(e->r.RXCSUM[0]),
									  stored - RXCSUM_PCSS(e->r.RXCSUM[0])))
						   : 0;
	if (!(e->r.RCTL[0] & RCTL_SECRC)) {
		pci_set32(data, stored, e1000_fcs(frame, size));
		stored += FCS_SIZE;
	}
	if ((u64)free_descriptors(e) * buffer_size(e) < stored || !store(e, data, stored, v, sum, special)) {
		e1000_count_received(e, frame, size, false);
		missed(e);
		return false;
	}
	e1000_count_received(e, frame, size, true);
	if (e->r.RSRPD[0] && size + FCS_SIZE <= e->r.RSRPD[0])
		e1000_cause(e, ICR_SRPD);
	e1000_rx_moderated(e);
	return true;
}

/* The back end's side. It knows no minimum length: padding is what its own card would have done. */
bool
e1000_receive(void *card, const u8 *frame, size_t size)
{
	struct e1000 *e = card;
	u8 padded[FRAME_MIN] = {0};

	if (!e1000_link_up(e) || e1000_loopback(e))
		return false;
	if (size >= FRAME_MIN)
		return e1000_receive_frame(e, frame, size);
	memcpy(padded, frame, size);
	return e1000_receive_frame(e, padded, sizeof(padded));
}

/*
 * Room for the longest frame that may come, or as much as the ring can ever hold. A receiver that is switched off takes
 * (and drops) everything, so that the back end does not pile up old frames.
 */
bool
e1000_can_receive(void *card)
{
	struct e1000 *e = card;
	u32 longest = e->r.RCTL[0] & RCTL_LPE ? FRAME_JUMBO : FRAME_LONG;
	u32 need = (longest + buffer_size(e) - 1) / buffer_size(e);
	u32 count = ring_size(e);

	if (!(e->r.RCTL[0] & RCTL_EN) || !e1000_link_up(e))
		return true;
	return count && free_descriptors(e) >= MIN(need, count - 1);
}

static void
tell_ready(struct e1000 *e)
{
	if (e->link->ready && e1000_can_receive(e))
		e->link->ready(e->link->backend);
}

void
e1000_write_rctl(struct e1000 *e, u32 *reg, u32 value)
{
	*reg = value & 0x06dfb3fe;
	tell_ready(e);
}

void
e1000_write_rdt(struct e1000 *e, u32 *reg, u32 value)
{
	*reg = value & 0xffff;
	tell_ready(e);
}

/* Odd words are the high halves: two bytes of address, address select, valid. */
void
e1000_write_ra(struct e1000 *e, u32 *reg, u32 value)
{
	*reg = (reg - e->r.RA) & 1 ? value & 0x8003ffff : value;
}
