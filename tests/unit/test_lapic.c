#include "tests/unit/cpu_fixture.h"

#include "base/snapshot.h"
#include "cpu/lapic.h"
#include "cpu/msr.h"

enum {
	ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xa0, END_OF_INTERRUPT = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0,
	ISR = 0x100, TMR = 0x180, IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310, LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350, LVT_LINT1 = 0x360, LVT_ERROR = 0x370, INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0,
};
#define MASKED 0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define DIVIDE_BY_1 0xbu

static struct processor *p;
static struct vcpu *cpu, *other;

static u32
get(u32 reg)
{
	return lapic_read(cpu, reg, 4);
}

static void
set(u32 reg, u32 value)
{
	lapic_write(cpu, reg, 4, value);
}

static int
setup(void **state)
{
	(void)state;
	p = processor_new("max", 4);
	cpu = p->cpu;
	other = p->cpus->cpu[1];
	for (unsigned i = 0; i < 4; i++) {
		lapic_write(p->cpus->cpu[i], SVR, 4, 0x1ff);
		p->cpus->cpu[i]->pending = 0;
	}
	processor_at(p, 1000);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	processor_free(p);
	return 0;
}

/* The vector delivered now, or -1. */
static int
take(struct vcpu *c)
{
	if (!lapic_interrupt_pending(c))
		return -1;
	if (!(c->pending & PEND_INTR))
		fail_msg("an interrupt is pending and nobody was told");
	return lapic_acknowledge(c);
}

static void
reset_gives_the_manuals_values(void **state)
{
	(void)state;
	lapic_reset(cpu, false);
	assert_int_equal(get(ID), 0);
	assert_int_equal(lapic_read(other, ID, 4), 1u << 24);
	assert_int_equal(get(VERSION), 0x50014);
	assert_int_equal(get(SVR), 0xff);
	assert_int_equal(get(DFR), 0xffffffff);
	assert_int_equal(get(LVT_TIMER), MASKED);
	assert_int_equal(get(LVT_LINT0), MASKED);
	assert_int_equal(get(CURRENT), 0);
}

static void
a_higher_vector_goes_first_and_nests(void **state)
{
	(void)state;
	lapic_set_irr(cpu, 0x31);
	lapic_set_irr(cpu, 0x82);
	assert_int_equal(take(cpu), 0x82);
	assert_int_equal(get(PPR), 0x80);
	assert_int_equal(get(ISR + 0x40), 1u << 2);
	assert_int_equal(get(IRR + 0x10), 1u << 17);
	assert_int_equal(take(cpu), -1);
	lapic_set_irr(cpu, 0x85); /* same class */
	assert_int_equal(take(cpu), -1);
	lapic_set_irr(cpu, 0x91);
	assert_int_equal(take(cpu), 0x91);
	set(END_OF_INTERRUPT, 0);
	assert_int_equal(take(cpu), -1);
	set(END_OF_INTERRUPT, 0);
	assert_int_equal(take(cpu), 0x85);
	set(END_OF_INTERRUPT, 0);
	assert_int_equal(take(cpu), 0x31);
	set(END_OF_INTERRUPT, 0);
	assert_int_equal(get(PPR), 0);
}

static void
eoi_tells_the_run_loop_of_what_was_held_back(void **state)
{
	(void)state;
	lapic_set_irr(cpu, 0x82);
	lapic_acknowledge(cpu);
	lapic_set_irr(cpu, 0x31);
	cpu->pending = 0;
	set(END_OF_INTERRUPT, 0);
	assert_true(cpu->pending & PEND_INTR);
}

static void
the_tpr_holds_back_its_class_and_below(void **state)
{
	(void)state;
	set(TPR, 0x4f);
	assert_int_equal(get(PPR), 0x4f);
	assert_int_equal(lapic_get_cr8(cpu), 4);
	lapic_set_irr(cpu, 0x4f);
	assert_int_equal(take(cpu), -1);
	cpu->pending = 0;
	lapic_set_cr8(cpu, 3);
	assert_int_equal(get(TPR), 0x30);
	assert_int_equal(take(cpu), 0x4f);
}

static void
nothing_deliverable_gives_the_spurious_vector(void **state)
{
	(void)state;
	set(SVR, 0x1ef);
	assert_int_equal(lapic_acknowledge(cpu), 0xef);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(get(ISR + i * 16), 0);
}

static void
only_level_interrupts_are_eoid_at_the_ioapic(void **state)
{
	(void)state;
	struct apic_message message = {.destination = 0, .vector = 0x40, .assert_ = true};
	assert_true(lapic_bus_send(p->cpus, &message));
	assert_int_equal(take(cpu), 0x40);
	set(END_OF_INTERRUPT, 0);
	assert_int_equal(p->eois, 0);
	message.level = true;
	assert_true(lapic_bus_send(p->cpus, &message));
	assert_int_equal(get(TMR + 0x20), 1);
	assert_int_equal(take(cpu), 0x40);
	set(END_OF_INTERRUPT, 0);
	assert_int_equal(p->eois, 1);
	assert_int_equal(p->last_eoi, 0x40);
}

static unsigned
takers(u32 destination, bool logical)
{
	struct apic_message message = {.destination = destination, .vector = 0x55, .logical = logical, .assert_ = true};
	unsigned set = 0;
	lapic_bus_send(p->cpus, &message);
	for (unsigned i = 0; i < 4; i++)
		if (take(p->cpus->cpu[i]) == 0x55) {
			set |= 1u << i;
			lapic_write(p->cpus->cpu[i], END_OF_INTERRUPT, 4, 0);
		}
	return set;
}

static void
destinations_physical_and_logical(void **state)
{
	(void)state;
	assert_int_equal(takers(2, false), 1 << 2);
	assert_int_equal(takers(9, false), 0);
	assert_int_equal(takers(0xff, false), 15);
	for (unsigned i = 0; i < 4; i++)
		lapic_write(p->cpus->cpu[i], LDR, 4, 1u << (24 + i));
	assert_int_equal(takers(0x0a, true), 0xa);
	assert_int_equal(takers(0xff, true), 15);
	/* cluster model: clusters 1 and 2, two members each */
	for (unsigned i = 0; i < 4; i++) {
		lapic_write(p->cpus->cpu[i], DFR, 4, 0x0fffffff);
		lapic_write(p->cpus->cpu[i], LDR, 4, ((i / 2 + 1) << 4 | 1u << i % 2) << 24);
	}
	assert_int_equal(takers(0x12, true), 1 << 1);
	assert_int_equal(takers(0x23, true), 0xc);
	assert_int_equal(takers(0x13, true), 0x3);
}

static void
the_xapic_id_can_be_changed_and_comes_back(void **state)
{
	(void)state;
	lapic_write(other, ID, 4, 0x7fu << 24);
	assert_int_equal(takers(0x7f, false), 1 << 1);
	assert_int_equal(takers(1, false), 0);
	assert_true(lapic_base_write(other, other->msr.apic_base | BIT(10)));
	assert_int_equal(takers(1, false), 1 << 1);
	assert_true(lapic_base_write(other, 0xfee00000));
	assert_true(lapic_base_write(other, 0xfee00800));
	assert_int_equal(lapic_read(other, ID, 4), 1u << 24);
}

static void
x2apic_logical_ids_are_cluster_and_bit(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_true(lapic_base_write(p->cpus->cpu[i], (p->cpus->cpu[i]->msr.apic_base) | BIT(10)));
	u64 value;
	assert_true(lapic_msr_read(p->cpus->cpu[3], 0x80d, &value));
	assert_int_equal(value, 8);
	struct apic_message message = {.destination = 6, .vector = 0x55, .logical = true, .assert_ = true};
	assert_true(lapic_bus_send(p->cpus, &message));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(take(p->cpus->cpu[i]), i == 1 || i == 2 ? 0x55 : -1);
	message.destination = 0x10001;
	assert_false(lapic_bus_send(p->cpus, &message));
	message.destination = 0xffffffff;
	assert_true(lapic_bus_send(p->cpus, &message));
}

static void
lowest_priority_goes_to_the_least_busy_processor(void **state)
{
	(void)state;
	struct apic_message message = {.destination = 0xff, .vector = 0x61, .delivery = APIC_LOWEST, .assert_ = true};
	lapic_write(p->cpus->cpu[0], TPR, 4, 0x20);
	lapic_write(p->cpus->cpu[1], TPR, 4, 0x10);
	lapic_write(p->cpus->cpu[2], TPR, 4, 0x10);
	lapic_write(p->cpus->cpu[3], TPR, 4, 0x30);
	assert_true(lapic_bus_send(p->cpus, &message));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(take(p->cpus->cpu[i]), i == 1 ? 0x61 : -1);
}

static void
shorthands(void **state)
{
	(void)state;
	static const unsigned expected[4] = {0 /* destination 9 */, 1, 15, 14};
	set(ICR_HIGH, 9u << 24);
	for (unsigned shorthand = 0; shorthand < 4; shorthand++) {
		unsigned took = 0;
		set(ICR, shorthand << 18 | 0x4070);
		for (unsigned i = 0; i < 4; i++)
			if (take(p->cpus->cpu[i]) == 0x70) {
				took |= 1u << i;
				lapic_write(p->cpus->cpu[i], END_OF_INTERRUPT, 4, 0);
			}
		assert_int_equal(took, expected[shorthand]);
	}
}

static void
nmi_smi_init_and_startup_reach_their_target(void **state)
{
	(void)state;
	set(ICR_HIGH, 1u << 24);
	set(ICR, 0x4400);
	assert_int_equal(other->pending, PEND_NMI);
	other->pending = 0;
	set(ICR, 0x4200);
	assert_int_equal(other->pending, PEND_SMI);
	other->pending = 0;
	set(ICR, 0x8500); /* INIT level de-assert: nothing */
	set(ICR, 0x4720); /* ExtINT cannot be sent */
	set(ICR, 0x4320); /* remote read */
	assert_int_equal(other->pending, 0);
	set(ICR, 0xc500);
	assert_int_equal(other->pending, PEND_INIT);
	set(ICR, 0x469a);
	assert_int_equal(other->pending, PEND_INIT | PEND_SIPI);
	assert_int_equal(lapic_sipi_vector(other), 0x9a);
	assert_int_equal(cpu->pending, 0);
}

static void
a_startup_message_right_after_init_survives_the_init(void **state)
{
	(void)state;
	set(ICR_HIGH, 1u << 24);
	set(ICR, 0xc500);
	set(ICR, 0x4611);
	other->pending = 0;
	lapic_reset(other, true);
	assert_int_equal(other->pending & PEND_SIPI, PEND_SIPI);
	assert_int_equal(lapic_sipi_vector(other), 0x11);
	other->pending = 0;
	lapic_reset(other, true);
	assert_int_equal(other->pending, 0);
}

static void
a_disabled_apic_takes_no_fixed_interrupts_but_nmi(void **state)
{
	(void)state;
	lapic_write(other, SVR, 4, 0xff);
	struct apic_message message = {.destination = 1, .vector = 0x55, .assert_ = true};
	assert_false(lapic_bus_send(p->cpus, &message));
	message.delivery = APIC_NMI;
	assert_true(lapic_bus_send(p->cpus, &message));
	other->pending = 0;
	assert_true(lapic_base_write(other, 0xfee00000));
	assert_false(lapic_bus_send(p->cpus, &message));
	assert_int_equal(other->pending, 0);
}

static void
software_disable_masks_the_lvt(void **state)
{
	(void)state;
	set(LVT_ERROR, 0xfe);
	set(SVR, 0xff);
	assert_int_equal(get(LVT_ERROR), MASKED | 0xfe);
	set(LVT_ERROR, 0xfe);
	assert_int_equal(get(LVT_ERROR), MASKED | 0xfe);
	set(SVR, 0x1ff);
	set(LVT_ERROR, 0xfe);
	assert_int_equal(get(LVT_ERROR), 0xfe);
}

static void
errors_show_after_a_write_of_esr_and_interrupt_once(void **state)
{
	(void)state;
	set(LVT_ERROR, 0xfe);
	set(ICR_HIGH, 1u << 24);
	set(ICR, 0x4005); /* vector 5 cannot be sent */
	assert_int_equal(other->pending, 0);
	assert_int_equal(get(ESR), 0);
	assert_int_equal(take(cpu), 0xfe);
	set(END_OF_INTERRUPT, 0);
	set(ICR, 0x4005);
	assert_int_equal(take(cpu), -1);
	set(ESR, 0);
	assert_int_equal(get(ESR), 0x20);
	set(ESR, 0);
	assert_int_equal(get(ESR), 0);
	get(0x40);
	set(ESR, 0);
	assert_int_equal(get(ESR), 0x80);
	struct apic_message message = {.destination = 0, .vector = 15, .assert_ = true};
	lapic_bus_send(p->cpus, &message);
	set(ESR, 0);
	assert_int_equal(get(ESR), 0x40);
}

static void
lint0_as_extint_takes_the_vector_from_the_pic(void **state)
{
	(void)state;
	p->pic_vector = 0x08;
	lapic_set_lint0(cpu, 1);
	assert_int_equal(take(cpu), -1); /* masked */
	set(LVT_LINT0, 0x700);
	assert_int_equal(take(cpu), 0x08);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(get(ISR + i * 16), 0);
	set(TPR, 0xff); /* ExtINT has no priority */
	assert_int_equal(take(cpu), 0x08);
	lapic_set_lint0(cpu, 0);
	assert_int_equal(take(cpu), -1);
}

static void
with_the_apic_off_the_pic_reaches_the_processor(void **state)
{
	(void)state;
	assert_true(lapic_base_write(cpu, 0xfee00100));
	p->pic_vector = 0x20;
	lapic_set_lint0(cpu, 1);
	assert_int_equal(take(cpu), 0x20);
}

static void
lint0_fixed_fires_on_the_edge(void **state)
{
	(void)state;
	set(LVT_LINT0, 0x44);
	lapic_set_lint0(cpu, 1);
	lapic_set_lint0(cpu, 1);
	assert_int_equal(take(cpu), 0x44);
	set(END_OF_INTERRUPT, 0);
	assert_int_equal(take(cpu), -1);
	lapic_set_lint0(cpu, 0);
	lapic_set_lint0(cpu, 1);
	assert_int_equal(take(cpu), 0x44);
}

static void
one_shot_counts_down_by_the_divisor_and_fires_once(void **state)
{
	(void)state;
	static const struct {
		u32 code, divisor;
	} divisors[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
	set(LVT_TIMER, 0x90);
	for (size_t i = 0; i < COUNT(divisors); i++) {
		u64 start = p->cpus->now;
		set(DIVIDE, divisors[i].code);
		set(INITIAL, 100);
		assert_int_equal(get(CURRENT), 100);
		processor_at(p, start + 40 * divisors[i].divisor);
		assert_int_equal(get(CURRENT), 60);
		processor_at(p, start + 100 * divisors[i].divisor - 1);
		assert_int_equal(take(cpu), -1);
		processor_at(p, start + 100 * divisors[i].divisor);
		assert_int_equal(get(CURRENT), 0);
		assert_int_equal(take(cpu), 0x90);
		set(END_OF_INTERRUPT, 0);
		processor_at(p, start + 1000 * divisors[i].divisor);
		assert_int_equal(take(cpu), -1);
		assert_int_equal(get(INITIAL), 100);
	}
}

static void
periodic_fires_again_and_again(void **state)
{
	(void)state;
	set(LVT_TIMER, PERIODIC | 0x90);
	set(DIVIDE, DIVIDE_BY_1);
	set(INITIAL, 1000);
	for (unsigned i = 1; i < 5; i++) {
		processor_at(p, 1000 + i * 1000 - 1);
		assert_int_equal(take(cpu), -1);
		assert_int_equal(get(CURRENT), 1);
		processor_at(p, 1000 + i * 1000);
		assert_int_equal(get(CURRENT), 1000);
		assert_int_equal(take(cpu), 0x90);
		set(END_OF_INTERRUPT, 0);
	}
	set(INITIAL, 0);
	assert_int_equal(events_next(p->events), UINT64_MAX);
}

static void
a_masked_timer_counts_without_an_event(void **state)
{
	(void)state;
	set(DIVIDE, DIVIDE_BY_1);
	set(LVT_TIMER, MASKED | 0x90);
	set(INITIAL, 1000);
	assert_int_equal(events_next(p->events), UINT64_MAX);
	processor_at(p, 1400);
	assert_int_equal(get(CURRENT), 600);
	set(LVT_TIMER, 0x90);
	assert_int_equal(events_next(p->events), 2000);
	set(LVT_TIMER, MASKED | 0x90);
	processor_at(p, 2500);
	set(LVT_TIMER, 0x90); /* it ran out while masked: lost */
	assert_int_equal(events_next(p->events), UINT64_MAX);
	assert_int_equal(take(cpu), -1);
	/* periodic: the next multiple */
	set(LVT_TIMER, MASKED | PERIODIC | 0x90);
	set(INITIAL, 1000);
	processor_at(p, 5700);
	set(LVT_TIMER, PERIODIC | 0x90);
	assert_int_equal(events_next(p->events), 6500);
}

static void
changing_the_divisor_keeps_the_count(void **state)
{
	(void)state;
	set(DIVIDE, DIVIDE_BY_1);
	set(LVT_TIMER, 0x90);
	set(INITIAL, 1000);
	processor_at(p, 1600);
	set(DIVIDE, 1); /* by 4 */
	assert_int_equal(get(CURRENT), 400);
	assert_int_equal(events_next(p->events), 1600 + 400 * 4);
}

static void
the_deadline_is_in_tsc_time_and_is_disarmed_when_it_fires(void **state)
{
	(void)state;
	set(LVT_TIMER, DEADLINE | 0x91);
	assert_true(msr_write(cpu, 0x10, 500000));
	assert_true(msr_write(cpu, 0x6e0, 500100));
	assert_int_equal(events_next(p->events), 1100);
	assert_true(msr_write(cpu, 0x3b, 0)); /* the TSC is 1000 again: further away */
	assert_int_equal(events_next(p->events), 500100);
	assert_true(msr_write(cpu, 0x6e0, 1100));
	processor_at(p, 1099);
	assert_int_equal(lapic_get_deadline(cpu), 1100);
	assert_int_equal(take(cpu), -1);
	processor_at(p, 1100);
	assert_int_equal(take(cpu), 0x91);
	set(END_OF_INTERRUPT, 0);
	assert_int_equal(lapic_get_deadline(cpu), 0);
	assert_true(msr_write(cpu, 0x6e0, 50)); /* past: at once */
	processor_at(p, 1101);
	assert_int_equal(take(cpu), 0x91);
	set(END_OF_INTERRUPT, 0);
	assert_true(msr_write(cpu, 0x6e0, 2000));
	assert_true(msr_write(cpu, 0x6e0, 0));
	assert_int_equal(events_next(p->events), UINT64_MAX);
}

static void
the_deadline_belongs_to_its_mode(void **state)
{
	(void)state;
	lapic_set_deadline(cpu, 5000);
	assert_int_equal(lapic_get_deadline(cpu), 0);
	set(LVT_TIMER, DEADLINE | 0x91);
	set(INITIAL, 1000);
	assert_int_equal(get(CURRENT), 0);
	lapic_set_deadline(cpu, 5000);
	set(LVT_TIMER, 0x91);
	assert_int_equal(events_next(p->events), UINT64_MAX);
	set(LVT_TIMER, DEADLINE | 0x91);
	assert_int_equal(lapic_get_deadline(cpu), 0);
}

static void
a_deadline_passed_while_masked_is_lost(void **state)
{
	(void)state;
	set(LVT_TIMER, MASKED | DEADLINE | 0x91);
	lapic_set_deadline(cpu, 2000);
	processor_at(p, 3000);
	set(LVT_TIMER, DEADLINE | 0x91);
	assert_int_equal(events_next(p->events), UINT64_MAX);
	assert_int_equal(lapic_get_deadline(cpu), 0);
}

static void
x2apic_registers_check_their_reserved_bits(void **state)
{
	(void)state;
	static const struct {
		u32 address;
		u64 good, bad;
	} writes[] = {
		{0x808, 0xff, 0x100}, {0x80b, 0, 1}, {0x80f, 0x1ff, 0x2000}, {0x828, 0, 1}, {0x830, 0x100000040f0, 0x1000},
		{0x832, 0x300ff, 0x100000000}, {0x837, 0x100fe, 0x400}, {0x838, 0xffffffff, 0x100000000}, {0x83e, 0xb, 4}, {0x83f, 0x70, 0x100},
	};
	assert_true(lapic_base_write(cpu, cpu->msr.apic_base | BIT(10)));
	for (size_t i = 0; i < COUNT(writes); i++) {
		if (!lapic_msr_write(cpu, writes[i].address, writes[i].good))
			fail_msg("%x refused", writes[i].address);
		if (lapic_msr_write(cpu, writes[i].address, writes[i].bad))
			fail_msg("%x accepted", writes[i].address);
	}
	static const u32 absent[] = {0x800, 0x804, 0x809, 0x80b, 0x80c, 0x80e, 0x82f, 0x831, 0x83f, 0x840, 0x8ff};
	u64 value;
	for (size_t i = 0; i < COUNT(absent); i++)
		assert_false(lapic_msr_read(cpu, absent[i], &value));
	static const u32 read_only[] = {0x802, 0x803, 0x80a, 0x80d, 0x810, 0x827, 0x839};
	for (size_t i = 0; i < COUNT(read_only); i++) {
		assert_true(lapic_msr_read(cpu, read_only[i], &value));
		assert_false(lapic_msr_write(cpu, read_only[i], 0));
	}
}

static void
the_x2apic_icr_is_one_register_and_self_ipi_another(void **state)
{
	(void)state;
	assert_true(lapic_base_write(cpu, cpu->msr.apic_base | BIT(10)));
	assert_true(lapic_msr_write(cpu, 0x830, 1ull << 32 | 0x4055));
	assert_int_equal(take(other), 0x55);
	u64 value;
	assert_true(lapic_msr_read(cpu, 0x830, &value));
	assert_int_equal(value, 1ull << 32 | 0x4055);
	assert_true(lapic_msr_write(cpu, 0x83f, 0x66));
	assert_int_equal(take(cpu), 0x66);
}

static void
switching_the_apic_off_and_on_resets_it(void **state)
{
	(void)state;
	set(TPR, 0x10);
	set(LVT_TIMER, 0x90);
	set(INITIAL, 1000);
	lapic_set_irr(cpu, 0x50);
	assert_true(lapic_base_write(cpu, 0xfee00100));
	assert_int_equal(events_next(p->events), UINT64_MAX);
	assert_true(lapic_base_write(cpu, 0xfee00900));
	assert_int_equal(get(SVR), 0xff);
	assert_int_equal(get(TPR), 0);
	assert_int_equal(get(IRR + 0x20), 0);
}

static void
odd_accesses_do_no_harm(void **state)
{
	(void)state;
	for (u32 offset = 0; offset < 0x1000; offset++)
		for (unsigned size = 1; size <= 8; size *= 2) {
			if (offset % 16 == 0 && size == 4)
				continue;
			if (offset % 16 + size > 4)
				assert_int_equal(lapic_read(cpu, offset, size), 0);
			lapic_write(cpu, offset, size, 0xffffffff);
		}
	assert_int_equal(get(SVR), 0x1ff);
	assert_int_equal(lapic_read(cpu, SVR + 1, 1), 1);
	assert_int_equal(lapic_read(cpu, SVR, 2), 0x1ff);
}

static void
every_value_in_every_register_does_no_harm(void **state)
{
	(void)state;
	u32 value = 1;
	for (unsigned i = 0; i < 20000; i++) {
		value = value * 1664525 + 1013904223;
		set((value >> 8 & 0xff) * 16, value ^ value >> 13);
		processor_at(p, p->cpus->now + (value >> 24));
		for (unsigned n = 0; n < 4; n++)
			take(p->cpus->cpu[n]);
	}
}

static void
visit(void *opaque, struct state *s)
{
	lapic_state(opaque, s);
}

static void
a_snapshot_brings_registers_and_timer_back(void **state)
{
	(void)state;
	set(DIVIDE, DIVIDE_BY_1);
	set(LVT_TIMER, 0x90);
	set(INITIAL, 5000);
	lapic_set_irr(cpu, 0x50);
	u64 hash = state_hash(visit, cpu->lapic);
	size_t size;
	u8 *data = state_save(visit, cpu->lapic, &size);
	lapic_reset(cpu, false);
	assert_true(state_hash(visit, cpu->lapic) != hash);
	assert_null(state_load(visit, cpu->lapic, data, size));
	free(data);
	assert_true(state_hash(visit, cpu->lapic) == hash);
	assert_int_equal(events_next(p->events), 6000);
	assert_int_equal(get(IRR + 0x20), 1u << 16);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_gives_the_manuals_values),
		TEST(a_higher_vector_goes_first_and_nests),
		TEST(eoi_tells_the_run_loop_of_what_was_held_back),
		TEST(the_tpr_holds_back_its_class_and_below),
		TEST(nothing_deliverable_gives_the_spurious_vector),
		TEST(only_level_interrupts_are_eoid_at_the_ioapic),
		TEST(destinations_physical_and_logical),
		TEST(the_xapic_id_can_be_changed_and_comes_back),
		TEST(x2apic_logical_ids_are_cluster_and_bit),
		TEST(lowest_priority_goes_to_the_least_busy_processor),
		TEST(shorthands),
		TEST(nmi_smi_init_and_startup_reach_their_target),
		TEST(a_startup_message_right_after_init_survives_the_init),
		TEST(a_disabled_apic_takes_no_fixed_interrupts_but_nmi),
		TEST(software_disable_masks_the_lvt),
		TEST(errors_show_after_a_write_of_esr_and_interrupt_once),
		TEST(lint0_as_extint_takes_the_vector_from_the_pic),
		TEST(with_the_apic_off_the_pic_reaches_the_processor),
		TEST(lint0_fixed_fires_on_the_edge),
		TEST(one_shot_counts_down_by_the_divisor_and_fires_once),
		TEST(periodic_fires_again_and_again),
		TEST(a_masked_timer_counts_without_an_event),
		TEST(changing_the_divisor_keeps_the_count),
		TEST(the_deadline_is_in_tsc_time_and_is_disarmed_when_it_fires),
		TEST(the_deadline_belongs_to_its_mode),
		TEST(a_deadline_passed_while_masked_is_lost),
		TEST(x2apic_registers_check_their_reserved_bits),
		TEST(the_x2apic_icr_is_one_register_and_self_ipi_another),
		TEST(switching_the_apic_off_and_on_resets_it),
		TEST(odd_accesses_do_no_harm),
		TEST(every_value_in_every_register_does_no_harm),
		TEST(a_snapshot_brings_registers_and_timer_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
