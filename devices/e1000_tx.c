/*
 * 82540EM: the transmit descriptor ring.
 *
 * Source: "Transmit Descriptor Ring Structure", "Legacy Transmit Descriptor Format", "TCP/IP Context Transmit
 * Descriptor Format", "TCP/IP Data Descriptor Format".
 *
 *   descriptor   63                                       0
 *                [ buffer address                          ]
 *   legacy       [ special | CSS  | sta | CMD | CSO | length ]
 *   data         [ special | POPTS| sta | DCMD|DTYP | length ]      DEXT = 1, DTYP = 1
 *   context      [ TUCSE|TUCSO|TUCSS | IPCSE|IPCSO|IPCSS      ]
 *                [ MSS | HDRLEN  | sta |TUCMD|DTYP | PAYLEN   ]     DEXT = 1, DTYP = 0
 *
 * A doorbell works at once while the transmit FIFO has room, so that work per doorbell is bounded; the FIFO drains at
 * the line's rate in virtual time, and an event goes on from there. Descriptors are written back one by one.
 * Not modelled: frames that bring their own FCS (IFCS clear): they are sent as if the FCS were payload.
 */
#include <string.h>

#include "base/log.h"
#include "devices/e1000_internal.h"

LOG_CATEGORY("e1000.tx");

#define CMD_EOP BIT(0)
#define CMD_IC BIT(2)  /* legacy: insert checksum */
#define CMD_TSE BIT(2) /* data, context: segmentation */
#define CMD_RS BIT(3)
#define CMD_DEXT BIT(5)
#define CMD_VLE BIT(6)
#define CMD_IDE BIT(7)
#define DTYP_CONTEXT 0
#define DTYP_DATA 1
#define STATUS_DD BIT(0)

#define DESCRIPTOR_SIZE 16
#define DESCRIPTORS_PER_SLICE 256
#define SLICE_NS 10000
#define FRAME_OVERHEAD (8 + FCS_SIZE + 12) /* preamble, FCS, gap */
#define NS_PER_BYTE_10M 800

static u64
ring_base(const struct e1000 *e)
{
	return e->r.TDBAL[0] | (u64)e->r.TDBAH[0] << 32;
}

static u32
ring_size(const struct e1000 *e)
{
	return e->r.TDLEN[0] / DESCRIPTOR_SIZE;
}

/* Bytes in the FIFO go out at line rate; `tx_wire_free` is when the last one is out. */
static u64
wire_time(struct e1000 *e, u64 bytes)
{
	static const u16 divider[] = {1, 10, 100, 100};
	unsigned speed;
	bool full_duplex;

	e1000_phy_line(e, &speed, &full_duplex);
	return e1000_ns(e, bytes * NS_PER_BYTE_10M / divider[speed]);
}

/* When the FIFO, all of it used by what was sent, has room for more. */
static u64
room_time(struct e1000 *e)
{
	u32 fifo = (e->r.PBA[0] >> 16) * 1024;
	u64 drain = wire_time(e, fifo);

	return e->tx_wire_free > drain ? e->tx_wire_free - drain : 0;
}

/* A complete frame leaves, or comes back to the receiver. */
void
e1000_send_frame(struct e1000 *e, u8 *frame, size_t size)
{
	u64 now = events_now(e->events);

	if (e->r.TCTL[0] & TCTL_PSP && size < FRAME_MIN) {
		memset(frame + size, 0, FRAME_MIN - size);
		size = FRAME_MIN;
	}
	if (size < FRAME_HEADER) {
		e->counters.tx_bad_descriptors++;
		return;
	}
	e->tx_wire_free = MAX(e->tx_wire_free, now) + wire_time(e, size + FRAME_OVERHEAD);
	if (e1000_loopback(e)) {
		e1000_count_sent(e, frame, size);
		e1000_receive_frame(e, frame, size);
	} else if (e1000_link_up(e) && e->link->transmit) {
		e1000_count_sent(e, frame, size);
		e->link->transmit(e->link->backend, frame, size);
	} else {
		e->counters.tx_dropped++;
	}
}

static void
load_context(struct e1000 *e, const u8 *descriptor)
{
	struct e1000_packet *p = &e->packet;
	u32 low = pci_get32(descriptor, 8);
	u8 command = (u8)(low >> 24);
	struct e1000_context context = {
		.ip_start = descriptor[0],
		.ip_offset = descriptor[1],
		.ip_end = pci_get16(descriptor, 2),
		.tu_start = descriptor[4],
		.tu_offset = descriptor[5],
		.tu_end = pci_get16(descriptor, 6),
		.payload = low & 0xfffff,
		.command = command,
		.header = descriptor[13],
		.mss = pci_get16(descriptor, 14),
	};

	if (command & CMD_TSE) {
		if (p->started && p->segmenting && !p->dropping) {
			/* Half of a packet's segments would follow other headers: nothing sensible can be sent. */
			e->counters.tx_bad_descriptors++;
			p->dropping = true;
		}
		p->segmentation = context;
		e1000_count(e->r.TSCTC, 1);
	} else {
		p->checksum = context;
	}
}

static void
begin_packet(struct e1000_packet *p)
{
	p->started = true;
	p->dropping = false;
	p->segmenting = false;
	p->vlan_insert = false;
	p->options = 0;
	p->size = p->sent = p->segments = 0;
}

/* More than the FIFO could ever hold: the packet is lost, but its descriptors are used up as usual. */
static void
add_plain(struct e1000 *e, u64 address, u32 size)
{
	struct e1000_packet *p = &e->packet;

	if (p->dropping)
		return;
	if (size > PACKET_MAX - p->size) {
		e->counters.tx_bad_descriptors++;
		log_debug("frame of more than %u bytes dropped", PACKET_MAX);
		p->dropping = true;
		return;
	}
	pci_dma_read(&e->pci, address, p->frame + p->size, size);
	p->size += size;
}

/* "Legacy checksum": from CSS to the end, the field itself counts in. */
static void
legacy_checksum(struct e1000_packet *p, u8 start, u8 offset)
{
	if (start < p->size && offset + 2u <= p->size) {
		u16 sum = (u16)~e1000_fold(e1000_sum(0, p->frame + start, p->size - start));
		p->frame[offset] = (u8)(sum >> 8);
		p->frame[offset + 1] = (u8)sum;
	}
}

/* A legacy or data descriptor. */
static void
add_data(struct e1000 *e, const u8 *descriptor, bool extended)
{
	struct e1000_packet *p = &e->packet;
	u64 address = pci_get32(descriptor, 0) | (u64)pci_get32(descriptor, 4) << 32;
	u32 low = pci_get32(descriptor, 8);
	u8 command = (u8)(low >> 24);
	u32 size = extended ? low & 0xfffff : low & 0xffff;

	if (!p->started) {
		begin_packet(p);
		p->segmenting = extended && command & CMD_TSE;
		p->options = extended ? descriptor[13] : 0;
	}
	if (command & CMD_VLE && e->r.CTRL[0] & CTRL_VME) {
		p->vlan_insert = true;
		p->vlan = pci_get16(descriptor, 14);
	}
	if (p->segmenting)
		e1000_add_segmented(e, address, size);
	else
		add_plain(e, address, size);
	if (!(command & CMD_EOP))
		return;
	if (p->segmenting) {
		e1000_finish_segmented(e);
	} else if (!p->dropping && p->size) {
		if (!extended && command & CMD_IC)
			legacy_checksum(p, descriptor[13], descriptor[10]);
		e1000_finish_plain(e);
	}
	p->started = false;
}

static void
write_back(struct e1000 *e, u64 at, u8 *descriptor)
{
	u8 command = descriptor[11];

	if (!(command & CMD_RS))
		return;
	descriptor[12] |= STATUS_DD;
	pci_dma_write(&e->pci, at + 12, descriptor + 12, 4);
	e1000_tx_moderated(e, command & CMD_IDE);
}

static void
run_descriptor(struct e1000 *e, u64 at)
{
	u8 descriptor[DESCRIPTOR_SIZE];
	u8 type;

	pci_dma_read(&e->pci, at, descriptor, sizeof(descriptor));
	type = descriptor[10] >> 4;
	if (!(descriptor[11] & CMD_DEXT))
		add_data(e, descriptor, false);
	else if (type == DTYP_DATA)
		add_data(e, descriptor, true);
	else if (type == DTYP_CONTEXT)
		load_context(e, descriptor);
	else
		e->counters.tx_bad_descriptors++;
	write_back(e, at, descriptor);
}

/* TXD_LOW: fewer descriptors wait than TXDCTL.LWTHRESH, in units of 8. */
static void
check_low(struct e1000 *e, u32 before, u32 after)
{
	u32 threshold = (e->r.TXDCTL[0] >> 25) * 8;

	if (before >= threshold && after < threshold)
		e1000_cause(e, ICR_TXD_LOW);
}

void
e1000_tx_run(struct e1000 *e)
{
	u32 *head = e->r.TDH;
	u64 now = events_now(e->events);

	for (unsigned n = 0; e->r.TCTL[0] & TCTL_EN && e1000_bus_master(e); n++) {
		u32 count = ring_size(e), tail = e->r.TDT[0], waiting;
		u64 room = room_time(e);

		/* A head or tail outside of the ring would never meet: the ring stands still until that is mended. */
		if (*head >= count || tail >= count || *head == tail)
			return;
		if (room > now) {
			event_arm(e->events, &e->tx_resume, room);
			return;
		}
		if (n == DESCRIPTORS_PER_SLICE) {
			event_arm(e->events, &e->tx_resume, now + e1000_ns(e, SLICE_NS));
			return;
		}
		waiting = (tail + count - *head) % count;
		run_descriptor(e, ring_base(e) + (u64)*head * DESCRIPTOR_SIZE);
		*head = (*head + 1) % count;
		check_low(e, waiting, waiting - 1);
		if (*head == tail)
			e1000_cause(e, ICR_TXQE);
	}
}

static void
resume(void *opaque, u64 now)
{
	(void)now;
	e1000_tx_run(opaque);
}

void
e1000_write_tdt(struct e1000 *e, u32 *reg, u32 value)
{
	*reg = value & 0xffff;
	e1000_tx_run(e);
}

void
e1000_write_tctl(struct e1000 *e, u32 *reg, u32 value)
{
	*reg = value & 0x073ffffa & ~(u32)BIT(22); /* SWXOFF clears itself */
	e1000_tx_run(e);
}

void
e1000_tx_init(struct e1000 *e)
{
	event_init(&e->tx_resume, "e1000 tx", EVENT_DEVICE, resume, e);
}

void
e1000_tx_disarm(struct e1000 *e)
{
	event_disarm(e->events, &e->tx_resume);
}

void
e1000_tx_reset(struct e1000 *e)
{
	e1000_tx_disarm(e);
	memset(&e->packet, 0, sizeof(e->packet));
	e->tx_wire_free = 0;
}

static void
context_state(struct e1000_context *c, struct state *s)
{
	STATE(s, c->payload);
	STATE(s, c->ip_end);
	STATE(s, c->tu_end);
	STATE(s, c->mss);
	STATE(s, c->ip_start);
	STATE(s, c->ip_offset);
	STATE(s, c->tu_start);
	STATE(s, c->tu_offset);
	STATE(s, c->header);
	STATE(s, c->command);
}

void
e1000_tx_state(struct e1000 *e, struct state *s)
{
	struct e1000_packet *p = &e->packet;

	context_state(&p->checksum, s);
	context_state(&p->segmentation, s);
	STATE(s, p->size);
	STATE(s, p->sent);
	STATE(s, p->segments);
	STATE(s, p->vlan);
	STATE(s, p->options);
	e1000_flag_state(s, &p->started);
	e1000_flag_state(s, &p->dropping);
	e1000_flag_state(s, &p->segmenting);
	e1000_flag_state(s, &p->vlan_insert);
	STATE(s, p->header);
	STATE(s, p->frame);
	p->size = MIN(p->size, PACKET_MAX); /* from a damaged file */
	if (state_mode(s) == STATE_LOAD && p->segmenting && p->size > p->segmentation.header + (u32)p->segmentation.mss)
		p->dropping = true;
	STATE(s, e->tx_wire_free);
	state_event(s, e->events, &e->tx_resume);
}
