/* What the files of the e1000 share: bits, the device's state, and who calls whom. Private to devices/e1000*.c. */
#ifndef NB_DEVICES_E1000_INTERNAL_H
#define NB_DEVICES_E1000_INTERNAL_H

#include "base/events.h"
#include "base/snapshot.h"
#include "base/types.h"
#include "bus/packet.h"
#include "devices/e1000.h"
#include "devices/pci.h"

#define CTRL_FD BIT(0)
#define CTRL_SLU BIT(6)
#define CTRL_SPEED(ctrl) BITS(ctrl, 9, 8)
#define CTRL_FRCSPD BIT(11)
#define CTRL_FRCDPLX BIT(12)
#define CTRL_RST BIT(26)
#define CTRL_VME BIT(30)
#define CTRL_PHY_RST BIT(31)

#define STATUS_FD BIT(0)
#define STATUS_LU BIT(1)

#define CTRL_EXT_EE_RST BIT(13)

#define ICR_TXDW BIT(0)
#define ICR_TXQE BIT(1)
#define ICR_LSC BIT(2)
#define ICR_RXDMT0 BIT(4)
#define ICR_RXO BIT(6)
#define ICR_RXT0 BIT(7)
#define ICR_MDAC BIT(9)
#define ICR_TXD_LOW BIT(15)
#define ICR_SRPD BIT(16)
#define ICR_CAUSES 0x0001fedfu

#define RCTL_EN BIT(1)
#define RCTL_SBP BIT(2)
#define RCTL_UPE BIT(3)
#define RCTL_MPE BIT(4)
#define RCTL_LPE BIT(5)
#define RCTL_LBM(rctl) BITS(rctl, 7, 6)
#define RCTL_RDMTS(rctl) BITS(rctl, 9, 8)
#define RCTL_MO(rctl) BITS(rctl, 13, 12)
#define RCTL_BAM BIT(15)
#define RCTL_BSIZE(rctl) BITS(rctl, 17, 16)
#define RCTL_VFE BIT(18)
#define RCTL_CFIEN BIT(19)
#define RCTL_CFI BIT(20)
#define RCTL_DPF BIT(22)
#define RCTL_PMCF BIT(23)
#define RCTL_BSEX BIT(25)
#define RCTL_SECRC BIT(26)

#define RXCSUM_PCSS(rxcsum) BITS(rxcsum, 7, 0)
#define RXCSUM_IPOFL BIT(8)
#define RXCSUM_TUOFL BIT(9)

#define RAH_ADDRESS_SELECT(rah) BITS(rah, 17, 16)
#define RAH_VALID BIT(31)

#define TCTL_EN BIT(1)
#define TCTL_PSP BIT(3)

/* RDTR and TIDV: flush the partial block now. */
#define DELAY_FLUSH BIT(31)

#define FRAME_ADDRESSES 12 /* bytes of the two addresses, before the type */
#define FRAME_HEADER 14
#define FRAME_MIN 60 /* without FCS */
#define FCS_SIZE 4
#define VLAN_SIZE 4

#define E1000_WINDOW 0x20000u
#define E1000_REGISTER_SPACE 0xa000u
#define E1000_PACKET_BUFFER 0x10000u
#define EEPROM_WORDS 64
#define PHY_REGISTERS 32

/* One array per register, in the order of the table. */
struct e1000_registers {
#define REG(name, offset, alias, count, stride, reset, writable, read, write) u32 name[count];
#include "devices/e1000_regs.def"
};

/* Checksum and segmentation context: "TCP/IP Context Transmit Descriptor". */
struct e1000_context {
	u32 payload;        /* PAYLEN */
	u16 ip_end, tu_end; /* IPCSE, TUCSE */
	u16 mss;
	u8 ip_start, ip_offset; /* IPCSS, IPCSO */
	u8 tu_start, tu_offset; /* TUCSS, TUCSO */
	u8 header;              /* HDRLEN */
	u8 command;             /* TUCMD */
};

/* The packet that is being gathered from descriptors. */
struct e1000_packet {
	struct e1000_context checksum, segmentation; /* the two contexts that the chip remembers */
	u32 size;                                    /* bytes in frame */
	u32 sent;                                    /* payload bytes in segments already sent */
	u32 segments;
	u16 vlan;
	u8 options; /* POPTS of the first descriptor */
	bool started, dropping, segmenting, vlan_insert;
	u8 header[256]; /* while segmenting: what every segment starts with */
	u8 frame[PACKET_MAX + VLAN_SIZE];
};

/* EECD's view of the Microwire EEPROM between clock edges. */
struct e1000_microwire {
	u32 in; /* bits shifted in since chip select, after the start bit */
	u8 in_count;
	bool started, reading, write_enabled, out;
	u8 address;
	u8 out_count; /* bits of the present word already shifted out */
};

struct e1000 {
	struct pci_device pci;
	struct events *events;
	struct packet_link *link;
	u8 mac[6];                           /* what the EEPROM is made with */
	u8 row_at[E1000_REGISTER_SPACE / 4]; /* 1 + number of the table's row that answers there, 0: none */

	struct e1000_registers r;
	u32 packet_buffer[E1000_PACKET_BUFFER / 4]; /* diagnostic access only */
	u32 io_address;
	bool power_off; /* D3hot, to see the way back */
	u16 eeprom[EEPROM_WORDS];
	struct e1000_microwire microwire;
	u16 phy[PHY_REGISTERS];
	u16 phy_page[256];           /* register 30 behind each page in register 29 */
	bool phy_link, phy_was_down; /* the latter: the latching-low bit of PHY status */
	struct event negotiated;

	bool irq_level;
	u64 throttle_end; /* ITR: the line may not rise before */
	struct event throttle, rx_delay, rx_absolute, tx_delay, tx_absolute;

	struct e1000_packet packet;
	u64 tx_wire_free; /* when all that was sent so far has left the FIFO at line rate */
	struct event tx_resume;

	struct e1000_counters counters;
	void (*observer)(void *opaque, u32 offset, unsigned size, bool write, u64 value);
	void *observer_opaque;
};

static inline u64
e1000_ns(struct e1000 *e, u64 ns)
{
	return events_from_ns(e->events, ns);
}

/* A flag as state: a damaged file may hold anything, a bool may not. */
static inline void
e1000_flag_state(struct state *s, bool *flag)
{
	u8 byte = *flag;

	STATE(s, byte);
	*flag = byte != 0;
}

/* e1000.c */
void e1000_reset_mac(struct e1000 *e);
bool e1000_link_up(const struct e1000 *e);
bool e1000_loopback(const struct e1000 *e);
bool e1000_bus_master(const struct e1000 *e);

/* e1000_stats.c */
void e1000_count(u32 *counter, u32 n);
void e1000_count64(u32 *low, u64 n);
void e1000_count_sent(struct e1000 *e, const u8 *frame, size_t size);
void e1000_count_received(struct e1000 *e, const u8 *frame, size_t size, bool good);

/* e1000_irq.c */
void e1000_irq_init(struct e1000 *e);
void e1000_irq_reset(struct e1000 *e);
void e1000_irq_disarm(struct e1000 *e);
void e1000_irq_state(struct e1000 *e, struct state *s);
void e1000_cause(struct e1000 *e, u32 causes);
void e1000_rx_moderated(struct e1000 *e);
void e1000_tx_moderated(struct e1000 *e, bool delay);
u32 e1000_read_icr(struct e1000 *e, u32 *reg);
void e1000_write_icr(struct e1000 *e, u32 *reg, u32 value);
void e1000_write_itr(struct e1000 *e, u32 *reg, u32 value);
void e1000_write_ics(struct e1000 *e, u32 *reg, u32 value);
void e1000_write_ims(struct e1000 *e, u32 *reg, u32 value);
void e1000_write_imc(struct e1000 *e, u32 *reg, u32 value);
void e1000_write_rdtr(struct e1000 *e, u32 *reg, u32 value);

/* e1000_phy.c */
void e1000_phy_init(struct e1000 *e);
void e1000_phy_reset(struct e1000 *e);
void e1000_phy_disarm(struct e1000 *e);
void e1000_phy_state(struct e1000 *e, struct state *s);
bool e1000_phy_loopback(const struct e1000 *e);
void e1000_phy_line(struct e1000 *e, unsigned *speed, bool *full_duplex);
void e1000_write_mdic(struct e1000 *e, u32 *reg, u32 value);

/* e1000_eeprom.c */
void e1000_eeprom_fill(struct e1000 *e);
void e1000_eeprom_load(struct e1000 *e);
void e1000_eeprom_state(struct e1000 *e, struct state *s);
u32 e1000_read_eecd(struct e1000 *e, u32 *reg);
void e1000_write_eecd(struct e1000 *e, u32 *reg, u32 value);
void e1000_write_eerd(struct e1000 *e, u32 *reg, u32 value);

/* e1000_tx.c: the ring; e1000_offload.c: frames */
void e1000_tx_init(struct e1000 *e);
void e1000_tx_reset(struct e1000 *e);
void e1000_tx_disarm(struct e1000 *e);
void e1000_tx_state(struct e1000 *e, struct state *s);
void e1000_tx_run(struct e1000 *e);
void e1000_send_frame(struct e1000 *e, u8 *frame, size_t size);
void e1000_write_tctl(struct e1000 *e, u32 *reg, u32 value);
void e1000_write_tdt(struct e1000 *e, u32 *reg, u32 value);

/* e1000_offload.c */
u64 e1000_sum(u64 sum, const u8 *data, size_t size);
u16 e1000_fold(u64 sum);
void e1000_finish_plain(struct e1000 *e);
void e1000_add_segmented(struct e1000 *e, u64 address, u32 size);
void e1000_finish_segmented(struct e1000 *e);
u32 e1000_fcs(const u8 *frame, size_t size);

/* e1000_rx.c */
bool e1000_receive(void *card, const u8 *frame, size_t size);
bool e1000_receive_frame(struct e1000 *e, const u8 *frame, size_t size);
bool e1000_can_receive(void *card);
void e1000_write_rctl(struct e1000 *e, u32 *reg, u32 value);
void e1000_write_rdt(struct e1000 *e, u32 *reg, u32 value);
void e1000_write_ra(struct e1000 *e, u32 *reg, u32 value);

#endif
