/*
 * 82540EM: the serial EEPROM, a 93C46 of 64 words, by EERD and by bit-banging through EECD.
 *
 * Source: "EEPROM Interface", "EEPROM/FLASH Control & Data Register", "EEPROM Read Register"; the commands are those of
 * the Microwire 93C46 data sheet. Programming is done at once (a real part takes some milliseconds).
 * Not modelled: SPI parts, Flash.
 */
#include "devices/e1000_internal.h"

#define EECD_SK BIT(0)
#define EECD_CS BIT(1)
#define EECD_DI BIT(2)
#define EECD_DO BIT(3)
#define EECD_FWE 0x30u
#define EECD_REQ BIT(6)
#define EECD_GNT BIT(7)
#define EECD_PRES BIT(8)

#define EERD_START BIT(0)
#define EERD_DONE BIT(4)

#define COMMAND_BITS 8 /* opcode 2, address 6 */
#define CHECKSUM_WORD 0x3f
#define CHECKSUM 0xbaba

/* "EEPROM Address Map": a copper LAN adapter that advertises pause in both directions. */
void
e1000_eeprom_fill(struct e1000 *e)
{
	u16 *word = e->eeprom;
	u16 sum = 0;

	for (unsigned i = 0; i < EEPROM_WORDS; i++)
		word[i] = i < 0x10 ? 0 : 0xffff;
	for (unsigned i = 0; i < 3; i++)
		word[i] = pci_get16(e->mac, 2 * i);
	word[0x05] = 0xffff; /* image version: none */
	word[0x08] = 0xffff; /* printed board assembly: none */
	word[0x09] = 0xffff;
	word[0x0a] = 0x4008 | 0x0003; /* signature; load vendor and subsystem */
	word[0x0b] = pci_get16(e->pci.config, PCI_SUBSYSTEM_ID);
	word[0x0c] = pci_get16(e->pci.config, PCI_SUBSYSTEM_VENDOR_ID);
	word[0x0d] = pci_get16(e->pci.config, PCI_DEVICE_ID);
	word[0x0e] = pci_get16(e->pci.config, PCI_VENDOR_ID);
	word[0x0f] = 0x3000; /* pause: symmetric and asymmetric */
	word[0x21] = 0x0000;
	word[0x24] = 0x0000; /* no wake up, port A */
	word[0x30] = 0x0000; /* boot agent: defaults */
	for (unsigned i = 0; i < CHECKSUM_WORD; i++)
		sum = (u16)(sum + word[i]);
	word[CHECKSUM_WORD] = (u16)(CHECKSUM - sum);
}

/* After a reset the chip reads the station address into the first receive address. */
void
e1000_eeprom_load(struct e1000 *e)
{
	e->r.RA[0] = e->eeprom[0] | (u32)e->eeprom[1] << 16;
	e->r.RA[1] = e->eeprom[2] | (u32)RAH_VALID;
}

void
e1000_write_eerd(struct e1000 *e, u32 *reg, u32 value)
{
	unsigned address = BITS(value, 15, 8);

	if (!(value & EERD_START))
		return;
	*reg = (u32)(EERD_DONE | (address << 8) | (u32)(address < EEPROM_WORDS ? e->eeprom[address] : 0xffff) << 16);
}

static void
set_word(struct e1000 *e, unsigned address, u16 value)
{
	if (e->microwire.write_enabled)
		e->eeprom[address] = value;
}

static void
set_all(struct e1000 *e, u16 value)
{
	for (unsigned i = 0; i < EEPROM_WORDS; i++)
		set_word(e, i, value);
}

/* Opcode and address are in, and for writes the data too. Returns false while more bits are needed. */
static bool
run_command(struct e1000 *e)
{
	struct e1000_microwire *m = &e->microwire;
	bool has_data = m->in_count == COMMAND_BITS + 16;
	u16 data = (u16)m->in;
	u8 command = (u8)(has_data ? m->in >> 16 : m->in);
	u8 address = command & 0x3f;

	if (m->in_count != COMMAND_BITS && !has_data)
		return false;
	switch (command >> 6) {
	case 2: /* READ */
		m->reading = true;
		m->address = address;
		m->out_count = 0;
		m->out = false; /* the dummy bit */
		return true;
	case 1: /* WRITE */
		if (has_data)
			set_word(e, address, data);
		return has_data;
	case 3: /* ERASE */
		set_word(e, address, 0xffff);
		return true;
	}
	switch (address >> 4) {
	case 0: /* EWDS */
		m->write_enabled = false;
		return true;
	case 3: /* EWEN */
		m->write_enabled = true;
		return true;
	case 2: /* ERAL */
		set_all(e, 0xffff);
		return true;
	default: /* WRAL */
		if (has_data)
			set_all(e, data);
		return has_data;
	}
}

static void
rising_clock(struct e1000 *e, bool in)
{
	struct e1000_microwire *m = &e->microwire;

	if (m->reading) {
		m->out = e->eeprom[m->address] >> (15 - m->out_count) & 1;
		if (++m->out_count == 16) {
			m->out_count = 0;
			m->address = (m->address + 1) % EEPROM_WORDS;
		}
		return;
	}
	if (!m->started) {
		m->started = in; /* leading zeros are ignored */
		m->in = 0;
		m->in_count = 0;
		return;
	}
	if (m->in_count == COMMAND_BITS + 16)
		return; /* done: nothing more until chip select drops */
	m->in = m->in << 1 | in;
	m->in_count++;
	if (run_command(e) && !m->reading)
		m->in_count = COMMAND_BITS + 16;
}

void
e1000_write_eecd(struct e1000 *e, u32 *reg, u32 value)
{
	struct e1000_microwire *m = &e->microwire;
	u32 old = *reg;
	u32 pins = EECD_SK | EECD_CS | EECD_DI;

	*reg = (u32)(EECD_PRES | (value & (EECD_FWE | EECD_REQ)));
	if (value & EECD_REQ)
		*reg |= EECD_GNT;
	*reg |= value & pins;

	if (!(value & EECD_CS)) {
		bool enabled = m->write_enabled;
		*m = (struct e1000_microwire){.write_enabled = enabled, .out = true};
		return;
	}
	if (!(old & EECD_CS))
		m->out = true; /* ready: programming takes no time */
	if (value & EECD_SK && !(old & EECD_SK))
		rising_clock(e, value & EECD_DI);
}

u32
e1000_read_eecd(struct e1000 *e, u32 *reg)
{
	/* Without chip select the pin floats and is pulled up. */
	return *reg | (u32)(e->microwire.out || !(*reg & EECD_CS) ? EECD_DO : 0);
}

void
e1000_eeprom_state(struct e1000 *e, struct state *s)
{
	STATE(s, e->eeprom);
	STATE(s, e->microwire.in);
	STATE(s, e->microwire.in_count);
	e1000_flag_state(s, &e->microwire.started);
	e1000_flag_state(s, &e->microwire.reading);
	e1000_flag_state(s, &e->microwire.write_enabled);
	e1000_flag_state(s, &e->microwire.out);
	STATE(s, e->microwire.address);
	STATE(s, e->microwire.out_count);
	e->microwire.address %= EEPROM_WORDS; /* from a damaged file */
	e->microwire.out_count %= 16;
}
