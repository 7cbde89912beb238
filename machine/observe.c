/* What the debugger hears of the network cards: their registers, and the frames on their cables. */
#include "machine/observe.h"

#include "debugger/debugger.h"
#include "devices/e1000.h"
#include "machine/config.h"
#include "machine/machine.h"
#include "machine/pc.h"
#include "net/net.h"

static void
on_frame(void *opaque, bool from_card, const u8 *frame, size_t size)
{
	struct observed_card *card = opaque;

	debugger_packet(card->machine->debugger, card->number, from_card, frame, size);
}

static void
on_register(void *opaque, u32 offset, unsigned size, bool write, u64 value)
{
	struct observed_card *card = opaque;

	debugger_mmio(card->machine->debugger, card->number, offset, size, write, value);
}

void
machine_observe_cards(struct machine *machine)
{
	for (unsigned i = 0; i < machine->config->nics; i++) {
		int netdev = machine->config->nic[i].netdev;

		machine->observed[i] = (struct observed_card){machine, i};
		if (machine->pc->nic[i])
			e1000_observe(machine->pc->nic[i], on_register, &machine->observed[i]);
		if (netdev >= 0)
			net_observe(machine->backend[netdev], on_frame, &machine->observed[i]);
	}
}
