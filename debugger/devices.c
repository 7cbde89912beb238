/* The board's chips, as their structures hold them. */
#include <stdlib.h>

#include "debugger/internal.h"

#include "bus/display.h"
#include "devices/e1000.h"
#include "devices/e1000_internal.h"
#include "devices/ioapic.h"
#include "devices/pci.h"
#include "devices/pic.h"

static void
bits(struct debugger *d, const char *name, u8 value)
{
	say(d, "  %-22s %02x", name, value);
	for (unsigned i = 0; i < 8; i++)
		if (value >> i & 1)
			say(d, " %u", i);
	say(d, "\n");
}

void
info_pic(struct debugger *d, const char *arguments)
{
	(void)arguments;
	if (!d->host.pic) {
		complain(d, "this machine has none");
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		const struct i8259a *chip = &d->host.pic->chip[i];

		say(d, "%s: vectors from %#x\n", i ? "slave" : "master", chip->base);
		bits(d, "input levels", chip->lines);
		bits(d, "requested (latched)", chip->irr);
		bits(d, "masked", chip->imr);
		bits(d, "in service", chip->isr);
		bits(d, "level-triggered", chip->elcr);
		if (chip->init)
			say(d, "  waits for ICW%u\n", chip->init);
	}
	say(d, "INTR is %s\n", d->host.pic->intr_level ? "high" : "low");
}

void
info_ioapic(struct debugger *d, const char *arguments)
{
	static const char *const modes[8] = {"fixed", "lowest priority", "SMI", "reserved", "NMI", "INIT", "reserved", "ExtINT"};

	(void)arguments;
	if (!d->host.ioapic) {
		complain(d, "this machine has none");
		return;
	}
	say(d, "ID %u, input levels %06x\n", d->host.ioapic->id, d->host.ioapic->lines);
	for (unsigned i = 0; i < IOAPIC_INPUTS; i++) {
		u64 e = d->host.ioapic->redirection[i];

		say(d, "%2u %016llx vector %3u %s, %s destination %#llx, %s, active %s%s%s%s\n", i, (ull)e, (u8)e, modes[e >> 8 & 7],
		    e & BIT(11) ? "logical" : "physical", (ull)(e >> 56), e & BIT(15) ? "level" : "edge", e & BIT(13) ? "low" : "high",
		    e & BIT(14) ? ", in service" : "", e & BIT(12) ? ", pending" : "", e & BIT(16) ? ", masked" : "");
	}
}

void
info_pci(struct debugger *d, const char *arguments)
{
	(void)arguments;
	for (unsigned i = 0; d->host.pci && i < 256; i++) {
		const struct pci_device *p = d->host.pci->device[i];
		u32 id, class;

		if (!p)
			continue;
		id = pci_get32(p->config, PCI_VENDOR_ID);
		class = pci_get32(p->config, PCI_REVISION);
		say(d, "00:%02x.%u %04x:%04x class %06x %s, command %04x, interrupt line %u pin %u%s\n", i >> 3, i & 7, id & 0xffff, id >> 16,
		    class >> 8, p->name, pci_get16(p->config, PCI_COMMAND), p->config[PCI_INTERRUPT_LINE], p->config[PCI_INTERRUPT_PIN],
		    p->pin ? ", asserted" : "");
		for (unsigned bar = 0; bar < 6; bar++) {
			u32 value = pci_get32(p->config, PCI_BAR0 + bar * 4);

			if (value && (p->config[PCI_HEADER_TYPE] & 0x7f) == 0)
				say(d, "        BAR%u %s %#x\n", bar, value & 1 ? "I/O" : "memory", value & (value & 1 ? ~3u : ~15u));
		}
	}
}

void
info_screen(struct debugger *d, const char *arguments)
{
	const struct display *display = d->host.display;
	unsigned width = 0, height = 0;
	char *text;

	(void)arguments;
	if (!display) {
		complain(d, "this machine has none");
		return;
	}
	display->size(display->adapter, &width, &height);
	text = display->text(display->adapter);
	if (text)
		say(d, "%s", text);
	else
		say(d, "graphics, %u x %u\n", width, height);
	free(text);
}

void
screenshot(struct debugger *d, const char *arguments)
{
	char *error;

	if (!d->host.screenshot) {
		complain(d, "this machine has no screen");
		return;
	}
	if (!*arguments) {
		complain(d, "screenshot FILE.png (a picture) or FILE.txt (its characters)");
		return;
	}
	error = d->host.screenshot(d->host.opaque, arguments);
	if (error)
		complain(d, "%s", error);
	free(error);
}

void
info_e1000(struct debugger *d, const char *arguments)
{
	const struct e1000_counters *counters;
	bool any = false;

	(void)arguments;
	for (unsigned n = 0; d->host.nic && n < d->host.nics; n++) {
		const struct e1000 *e = d->host.nic[n];

		if (!e)
			continue;
		any = true;
		counters = e1000_counters(e);
		say(d, "card %u, %02x:%02x:%02x:%02x:%02x:%02x, interrupt %s\n", n, e->mac[0], e->mac[1], e->mac[2], e->mac[3], e->mac[4], e->mac[5],
		    e->irq_level ? "asserted" : "not asserted");
#define REG(name, offset, alias, count, stride, reset, writable, read, write)                                                              \
	if ((count) == 1)                                                                                                                  \
		say(d, "  %05x %-9s %08x\n", offset, #name, e->r.name[0]);
#include "devices/e1000_regs.def"
#undef REG
		say(d, "  interrupts %llu, frames not sent %llu, bad descriptors %llu and %llu\n", (ull)counters->interrupts,
		    (ull)counters->tx_dropped, (ull)counters->tx_bad_descriptors, (ull)counters->rx_bad_descriptors);
	}
	if (!any)
		say(d, "no card\n");
}
