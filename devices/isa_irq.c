#include "devices/isa_irq.h"

#include <string.h>

#include "base/snapshot.h"

void
isa_irq_init(struct isa_irq *isa, const struct irq_line *pic, const struct irq_line *ioapic)
{
	memset(isa, 0, sizeof(*isa));
	for (unsigned i = 0; i < ISA_IRQS; i++) {
		if (i < 16 && i != 2) {
			isa->pic[i] = *pic;
			isa->pic[i].number = i;
		}
		isa->ioapic[i] = *ioapic;
		isa->ioapic[i].number = i == 0 ? 2 : i;
	}
}

static void
set_input(void *opaque, unsigned number, int level)
{
	struct isa_irq *isa = opaque;
	unsigned source = number >> 8, input = number & 0xff;
	u16 before = isa->pulled[input], after = (u16)((before & ~BIT(source)) | (level ? BIT(source) : 0));

	isa->pulled[input] = after;
	if (!before == !after)
		return;
	if (input < 16)
		irq_set(&isa->pic[input], after != 0);
	irq_set(&isa->ioapic[input], after != 0);
}

struct irq_line
isa_irq_line(struct isa_irq *isa, enum isa_source source, unsigned input)
{
	assert(input < ISA_IRQS);
	return (struct irq_line){set_input, isa, (unsigned)source << 8 | input};
}

void
isa_irq_state(struct isa_irq *isa, struct state *s)
{
	state_section(s, "isa_irq", 1);
	STATE(s, isa->pulled);
}
