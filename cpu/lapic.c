/*
 * Local APIC: registers, interrupt acceptance and priority, timer, IPIs. SDM 3, "Advanced Programmable Interrupt
 * Controller (APIC)".
 *
 * The timer counts the core crystal clock of CPUID leaf 15h, which is the machine's clock. Its host event is armed only
 * while an expiry can
 * raise an interrupt; the count is computed when it is read.
 * Version 14h, 6 LVT entries. Choices where the manual leaves room: the xAPIC id can be written; lowest-priority
 * messages go to the processor
 * with the lowest PPR, and of several to the first; a delivery is complete at once (delivery status always 0).
 * Not modelled: CMCI, thermal interrupts (the LVT entry is stored), remote read,
 * suppression of EOI broadcasts.
 */
#include "cpu/lapic.h"

#include <stdlib.h>
#include <string.h>

#include "base/events.h"
#include "base/snapshot.h"
#include "cpu/cpuid.h"
#include "cpu/msr.h"
#include "cpu/tlb.h"
#include "cpu/vcpu.h"

#define APIC_BASE_BSP BIT(8)
#define APIC_BASE_EXTD BIT(10)
#define APIC_BASE_EN BIT(11)
#define APIC_DEFAULT_BASE 0xfee00000ull

/* Register numbers: offset / 16, which is also the x2APIC MSR number less 800h. */
enum {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_INITIAL = 0x38,
	REG_CURRENT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
};

enum { LVT_TIMER, LVT_THERMAL, LVT_COUNTER, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
#define LVT_MASKED BIT(16)
#define LVT_LEVEL BIT(15)
#define LVT_DELIVERY(lvt) ((lvt) >> 8 & 7)
static const u32 lvt_writable[LVT_COUNT] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE };

#define VERSION (0x14u | (LVT_COUNT - 1) << 16)
#define SVR_ENABLED BIT(8)

#define ESR_SEND_VECTOR BIT(5)
#define ESR_RECEIVE_VECTOR BIT(6)
#define ESR_REGISTER BIT(7)

struct lapic {
	struct vcpu *cpu;
	struct event timer;
	u8 id; /* in xAPIC mode */
	u32 tpr, ldr, dfr, svr, esr, errors /* since the last write of ESR */, icr[2], lvt[LVT_COUNT], initial, divide;
	u32 isr[8], tmr[8], irr[8];
	u64 start; /* when the count had its initial value */
	u64 deadline;
	bool counting;
	bool extint; /* an ExtINT message came from the IOAPIC */
	bool sipi_after_init; /* a SIPI came while INIT was pending: it survives the INIT */
	u8 sipi_vector;
};

static void timer_fire(void *opaque, u64 now);

struct lapic *
lapic_new(struct vcpu *cpu)
{
	struct lapic *apic = calloc(1, sizeof(*apic));
	assert(apic);
	apic->cpu = cpu;
	event_init(&apic->timer, "lapic", EVENT_CLOCK, timer_fire, apic);
	return apic;
}

void
lapic_free(struct lapic *apic)
{
	free(apic);
}

bool
lapic_enabled(struct vcpu *cpu)
{
	return cpu->msr.apic_base & APIC_BASE_EN;
}

bool
lapic_x2apic(struct vcpu *cpu)
{
	return cpu->msr.apic_base & APIC_BASE_EXTD;
}

u32
lapic_id(struct vcpu *cpu)
{
	return lapic_x2apic(cpu) ? cpu->index : cpu->lapic->id;
}

static bool
software_enabled(const struct lapic *apic)
{
	return apic->svr & SVR_ENABLED;
}

/* --- the 256-bit registers --- */

static void
set_bit(u32 bits[8], u8 vector)
{
	bits[vector / 32] |= 1u << vector % 32;
}

static void
clear_bit(u32 bits[8], u8 vector)
{
	bits[vector / 32] &= ~(1u << vector % 32);
}

static bool
test_bit(const u32 bits[8], u8 vector)
{
	return bits[vector / 32] >> vector % 32 & 1;
}

/* -1 if none is set */
static int
highest_bit(const u32 bits[8])
{
	for (int i = 7; i >= 0; i--)
		if (bits[i])
			return i * 32 + 31 - __builtin_clz(bits[i]);
	return -1;
}

/* --- priority --- */

static u8
processor_priority(const struct lapic *apic)
{
	int in_service = highest_bit(apic->isr);
	if (in_service < 0 || (apic->tpr >> 4) >= (u32)in_service >> 4)
		return (u8)apic->tpr;
	return (u8)(in_service & 0xf0);
}

/* The vector that would be delivered now, or -1. */
static int
deliverable(const struct lapic *apic)
{
	int vector = highest_bit(apic->irr);
	return vector >= 0 && vector >> 4 > processor_priority(apic) >> 4 ? vector : -1;
}

/* With the APIC switched off, LINT0 is the processor's INTR pin. */
static bool
extint_pending(const struct lapic *apic)
{
	struct vcpu *cpu = apic->cpu;
	if (!lapic_enabled(cpu))
		return cpu->intr_line;
	if (apic->extint)
		return true;
	u32 lvt = apic->lvt[LVT_LINT0];
	return cpu->intr_line && !(lvt & LVT_MASKED) && LVT_DELIVERY(lvt) == APIC_EXTINT;
}

bool
lapic_interrupt_pending(struct vcpu *cpu)
{
	struct lapic *apic = cpu->lapic;
	return deliverable(apic) >= 0 || extint_pending(apic);
}

static void
notify(struct lapic *apic)
{
	if (lapic_interrupt_pending(apic->cpu))
		cpu_request(apic->cpu, PEND_INTR);
}

u8
lapic_acknowledge(struct vcpu *cpu)
{
	struct lapic *apic = cpu->lapic;
	if (extint_pending(apic)) {
		apic->extint = false;
		struct apic_bus *bus = cpu->cpus->bus;
		return bus->acknowledge ? bus->acknowledge(bus->pic) : (u8)apic->svr;
	}
	int vector = deliverable(apic);
	if (vector < 0)
		return (u8)apic->svr; /* spurious: no ISR bit, no EOI */
	clear_bit(apic->irr, (u8)vector);
	set_bit(apic->isr, (u8)vector);
	return (u8)vector;
}

static void
request_vector(struct lapic *apic, u8 vector, bool level)
{
	set_bit(apic->irr, vector);
	if (level)
		set_bit(apic->tmr, vector);
	else
		clear_bit(apic->tmr, vector);
	notify(apic);
}

void
lapic_set_irr(struct vcpu *cpu, u8 vector)
{
	request_vector(cpu->lapic, vector, false);
}

static void
error(struct lapic *apic, u32 bit)
{
	u32 lvt = apic->lvt[LVT_ERROR];
	if (apic->errors & bit)
		return;
	apic->errors |= bit;
	if (!(lvt & LVT_MASKED) && (u8)lvt >= 16)
		request_vector(apic, (u8)lvt, false);
}

/* A local source fires by its LVT entry. */
static void
local_interrupt(struct lapic *apic, unsigned entry)
{
	u32 lvt = apic->lvt[entry];
	if (lvt & LVT_MASKED)
		return;
	switch (LVT_DELIVERY(lvt)) {
	case APIC_FIXED:
		if ((u8)lvt < 16)
			error(apic, ESR_RECEIVE_VECTOR);
		else
			request_vector(apic, (u8)lvt, entry == LVT_LINT0 && lvt & LVT_LEVEL);
		break;
	case APIC_SMI: cpu_request(apic->cpu, PEND_SMI); break;
	case APIC_NMI: cpu_request(apic->cpu, PEND_NMI); break;
	case APIC_INIT: cpu_request(apic->cpu, PEND_INIT); break;
	default: break; /* ExtINT is looked at by its level */
	}
}

void
lapic_counter_overflow(struct vcpu *cpu)
{
	struct lapic *apic = cpu->lapic;
	if (!lapic_enabled(cpu))
		return;
	local_interrupt(apic, LVT_COUNTER);
	apic->lvt[LVT_COUNTER] |= LVT_MASKED;
}

void
lapic_set_lint0(struct vcpu *cpu, int level)
{
	struct lapic *apic = cpu->lapic;
	int old = cpu->intr_line;
	cpu->intr_line = level;
	if (level && !old && lapic_enabled(cpu) && LVT_DELIVERY(apic->lvt[LVT_LINT0]) != APIC_EXTINT)
		local_interrupt(apic, LVT_LINT0);
	notify(apic);
}

void
lapic_eoi(struct vcpu *cpu)
{
	struct lapic *apic = cpu->lapic;
	int vector = highest_bit(apic->isr);
	if (vector < 0)
		return;
	clear_bit(apic->isr, (u8)vector);
	if (test_bit(apic->tmr, (u8)vector)) {
		struct apic_bus *bus = cpu->cpus->bus;
		u32 lint0 = apic->lvt[LVT_LINT0];
		if (cpu->intr_line && lint0 & LVT_LEVEL && (u8)lint0 == vector && LVT_DELIVERY(lint0) == APIC_FIXED)
			local_interrupt(apic, LVT_LINT0);
		if (bus->eoi)
			bus->eoi(bus->ioapic, (u8)vector);
	}
	notify(apic);
}

u8
lapic_get_cr8(struct vcpu *cpu)
{
	return (u8)(cpu->lapic->tpr >> 4);
}

static void
set_tpr(struct lapic *apic, u32 value)
{
	apic->tpr = value & 0xff;
	notify(apic);
}

void
lapic_set_cr8(struct vcpu *cpu, u8 value)
{
	set_tpr(cpu->lapic, (u32)value << 4);
}

/* --- timer --- */

static u64
now(const struct lapic *apic)
{
	return events_now(apic->cpu->events);
}

static enum timer_mode
timer_mode(const struct lapic *apic)
{
	unsigned mode = apic->lvt[LVT_TIMER] >> 17 & 3;
	if (mode == TIMER_DEADLINE && cpu_has(apic->cpu, FEATURE_TSC_DEADLINE))
		return TIMER_DEADLINE;
	return mode & 1 ? TIMER_PERIODIC : TIMER_ONE_SHOT;
}

/* Divide configuration: bits 3, 1, 0 are one number; 7 divides by 1. */
static u64
divisor(const struct lapic *apic)
{
	unsigned code = (apic->divide & 3) | (apic->divide & 8) >> 1;
	return code == 7 ? 1 : 2ull << code;
}

static u64
period(const struct lapic *apic)
{
	return apic->initial * divisor(apic);
}

static bool
deadline_passed(const struct lapic *apic)
{
	return now(apic) + apic->cpu->msr.tsc_offset >= apic->deadline;
}

/* What ran out while no event was armed for it is over. */
static void
timer_settle(struct lapic *apic)
{
	if (event_armed(&apic->timer))
		return;
	if (apic->deadline && deadline_passed(apic))
		apic->deadline = 0;
	if (timer_mode(apic) == TIMER_ONE_SHOT && apic->counting && now(apic) - apic->start >= period(apic))
		apic->counting = false;
}

static void
timer_arm(struct lapic *apic)
{
	struct events *events = apic->cpu->events;
	event_disarm(events, &apic->timer);
	if (apic->lvt[LVT_TIMER] & LVT_MASKED || !lapic_enabled(apic->cpu))
		return;
	switch (timer_mode(apic)) {
	case TIMER_DEADLINE:
		if (apic->deadline)
			event_arm(events, &apic->timer, deadline_passed(apic) ? now(apic) : apic->deadline - apic->cpu->msr.tsc_offset);
		break;
	case TIMER_ONE_SHOT:
		if (apic->counting)
			event_arm(events, &apic->timer, apic->start + period(apic));
		break;
	case TIMER_PERIODIC:
		if (apic->counting)
			event_arm(events, &apic->timer, apic->start + ((now(apic) - apic->start) / period(apic) + 1) * period(apic));
		break;
	}
}

static void
timer_fire(void *opaque, u64 time)
{
	struct lapic *apic = opaque;
	switch (timer_mode(apic)) {
	case TIMER_DEADLINE: apic->deadline = 0; break;
	case TIMER_ONE_SHOT: apic->counting = false; break;
	case TIMER_PERIODIC: event_arm(apic->cpu->events, &apic->timer, time + period(apic)); break;
	}
	local_interrupt(apic, LVT_TIMER);
}

static u32
current_count(const struct lapic *apic)
{
	if (!apic->counting)
		return 0;
	u64 ticks = (now(apic) - apic->start) / divisor(apic);
	if (timer_mode(apic) == TIMER_PERIODIC)
		return apic->initial - (u32)(ticks % apic->initial);
	return ticks >= apic->initial ? 0 : apic->initial - (u32)ticks;
}

static void
write_initial_count(struct lapic *apic, u32 value)
{
	if (timer_mode(apic) == TIMER_DEADLINE)
		return;
	apic->initial = value;
	apic->start = now(apic);
	apic->counting = value;
	timer_arm(apic);
}

static void
write_divide(struct lapic *apic, u32 value)
{
	timer_settle(apic);
	u32 count = current_count(apic);
	apic->divide = value & 0xb;
	if (apic->counting) {
		/* The count goes on from where it is. */
		apic->start = now(apic) - (apic->initial - count) * divisor(apic);
		timer_arm(apic);
	}
}

static void
write_lvt(struct lapic *apic, unsigned entry, u32 value)
{
	enum timer_mode old = timer_mode(apic);
	if (entry == LVT_TIMER)
		timer_settle(apic);
	apic->lvt[entry] = value & lvt_writable[entry];
	if (!software_enabled(apic))
		apic->lvt[entry] |= LVT_MASKED;
	if (entry == LVT_TIMER) {
		if ((old == TIMER_DEADLINE) != (timer_mode(apic) == TIMER_DEADLINE)) {
			apic->deadline = 0;
			apic->counting = false;
		}
		timer_arm(apic);
	}
	notify(apic); /* LINT0 may have become ExtINT with its line high */
}

u64
lapic_get_deadline(struct vcpu *cpu)
{
	struct lapic *apic = cpu->lapic;
	return timer_mode(apic) == TIMER_DEADLINE && apic->deadline && !deadline_passed(apic) ? apic->deadline : 0;
}

void
lapic_set_deadline(struct vcpu *cpu, u64 tsc)
{
	struct lapic *apic = cpu->lapic;
	if (timer_mode(apic) != TIMER_DEADLINE)
		return;
	apic->deadline = tsc;
	timer_arm(apic);
}

void
lapic_tsc_changed(struct vcpu *cpu)
{
	if (cpu->lapic && timer_mode(cpu->lapic) == TIMER_DEADLINE)
		timer_arm(cpu->lapic);
}

/* --- messages --- */

/* In x2APIC mode the logical id follows from the id: cluster and bit. */
static u32
logical_id(const struct lapic *apic)
{
	if (!lapic_x2apic(apic->cpu))
		return apic->ldr;
	u32 id = lapic_id(apic->cpu);
	return (id >> 4) << 16 | 1u << (id & 15);
}

/* FFh from IOAPIC, MSI or xAPIC reaches everybody, FFFF_FFFFh from x2APIC likewise. */
static bool
is_destination(const struct lapic *apic, u32 destination, bool logical)
{
	if (!lapic_enabled(apic->cpu))
		return false;
	if (destination == 0xffffffff)
		return true;
	if (!logical)
		return destination == 0xff || destination == lapic_id(apic->cpu);
	if (lapic_x2apic(apic->cpu)) {
		u32 id = logical_id(apic);
		return destination >> 16 == id >> 16 && destination & id & 0xffff;
	}
	u8 mda = (u8)destination, ldr = (u8)(apic->ldr >> 24);
	if (mda == 0xff)
		return true;
	if (apic->dfr >> 28 == 0xf)
		return mda & ldr; /* flat model */
	return mda >> 4 == ldr >> 4 && mda & ldr & 0xf; /* cluster model */
}

static bool
takes(const struct lapic *apic, unsigned delivery)
{
	return software_enabled(apic) || (delivery != APIC_FIXED && delivery != APIC_LOWEST && delivery != APIC_EXTINT);
}

void
lapic_accept(struct vcpu *cpu, const struct apic_message *message)
{
	struct lapic *apic = cpu->lapic;
	if (!takes(apic, message->delivery))
		return;
	switch (message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (message->vector < 16)
			error(apic, ESR_RECEIVE_VECTOR);
		else
			request_vector(apic, message->vector, message->level);
		break;
	case APIC_SMI: cpu_request(cpu, PEND_SMI); break;
	case APIC_NMI: cpu_request(cpu, PEND_NMI); break;
	case APIC_INIT:
		if (!message->assert_)
			break; /* synchronizes arbitration ids of processors long gone */
		cpu->pending &= ~(u32)PEND_SIPI;
		apic->sipi_after_init = false;
		cpu_request(cpu, PEND_INIT);
		break;
	case APIC_STARTUP:
		apic->sipi_vector = message->vector;
		apic->sipi_after_init = cpu->pending & PEND_INIT;
		cpu_request(cpu, PEND_SIPI);
		break;
	case APIC_EXTINT:
		apic->extint = true;
		notify(apic);
		break;
	default: break;
	}
}

u8
lapic_sipi_vector(struct vcpu *cpu)
{
	return cpu->lapic->sipi_vector;
}

bool
lapic_bus_send(void *opaque, const struct apic_message *message)
{
	struct cpus *cpus = opaque;
	struct vcpu *lowest = NULL;
	bool taken = false;
	for (unsigned i = 0; i < cpus->count; i++) {
		struct vcpu *cpu = cpus->cpu[i];
		if (!is_destination(cpu->lapic, message->destination, message->logical) || !takes(cpu->lapic, message->delivery))
			continue;
		taken = true;
		if (message->delivery != APIC_LOWEST)
			lapic_accept(cpu, message);
		else if (!lowest || processor_priority(cpu->lapic) < processor_priority(lowest->lapic))
			lowest = cpu;
	}
	if (lowest)
		lapic_accept(lowest, message);
	return taken;
}

enum shorthand { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };

static void
send_ipi(struct lapic *apic, u32 low, u32 destination)
{
	struct cpus *cpus = apic->cpu->cpus;
	enum shorthand shorthand = low >> 18 & 3;
	struct apic_message message = {
		.destination = destination,
		.vector = (u8)low,
		.delivery = low >> 8 & 7,
		.logical = low & BIT(11),
		.assert_ = low & BIT(14) || !(low & BIT(15)), /* the level is looked at in level mode only */
	};
	if (message.delivery == 3 || message.delivery == APIC_EXTINT)
		return; /* remote read and reserved */
	if ((message.delivery == APIC_FIXED || message.delivery == APIC_LOWEST) && message.vector < 16) {
		error(apic, ESR_SEND_VECTOR);
		return;
	}
	if (shorthand == TO_DESTINATION) {
		lapic_bus_send(cpus, &message);
		return;
	}
	for (unsigned i = 0; i < cpus->count; i++) {
		bool self = cpus->cpu[i] == apic->cpu;
		if (shorthand == TO_ALL || self == (shorthand == TO_SELF))
			if (lapic_enabled(cpus->cpu[i]))
				lapic_accept(cpus->cpu[i], &message);
	}
}

/* --- registers --- */

static void
write_svr(struct lapic *apic, u32 value)
{
	apic->svr = value & 0x1ff;
	if (!software_enabled(apic)) {
		timer_settle(apic);
		for (unsigned i = 0; i < LVT_COUNT; i++)
			apic->lvt[i] |= LVT_MASKED;
		timer_arm(apic);
	}
	notify(apic);
}

/* False if there is no such register. */
static bool
read_register(struct lapic *apic, unsigned reg, u32 *value)
{
	if (reg >= REG_ISR && reg < REG_ESR) {
		const u32 *bits = reg < REG_TMR ? apic->isr : reg < REG_IRR ? apic->tmr : apic->irr;
		*value = bits[reg & 7];
		return true;
	}
	if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
		*value = apic->lvt[reg - REG_LVT];
		return true;
	}
	switch (reg) {
	case REG_ID: *value = lapic_x2apic(apic->cpu) ? lapic_id(apic->cpu) : lapic_id(apic->cpu) << 24; return true;
	case REG_VERSION: *value = VERSION; return true;
	case REG_TPR: *value = apic->tpr; return true;
	case REG_APR:
	case REG_EOI:
	case REG_RRD: *value = 0; return true;
	case REG_PPR: *value = processor_priority(apic); return true;
	case REG_LDR: *value = logical_id(apic); return true;
	case REG_DFR: *value = apic->dfr; return true;
	case REG_SVR: *value = apic->svr; return true;
	case REG_ESR: *value = apic->esr; return true;
	case REG_ICR: *value = apic->icr[0]; return true;
	case REG_ICR_HIGH: *value = apic->icr[1]; return true;
	case REG_INITIAL: *value = apic->initial; return true;
	case REG_CURRENT: *value = current_count(apic); return true;
	case REG_DIVIDE: *value = apic->divide; return true;
	default: return false;
	}
}

static bool
write_register(struct lapic *apic, unsigned reg, u32 value)
{
	if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
		write_lvt(apic, reg - REG_LVT, value);
		return true;
	}
	switch (reg) {
	case REG_ID: apic->id = (u8)(value >> 24); return true;
	case REG_TPR: set_tpr(apic, value); return true;
	case REG_EOI: lapic_eoi(apic->cpu); return true;
	case REG_LDR: apic->ldr = value & 0xff000000; return true;
	case REG_DFR: apic->dfr = value | 0x0fffffff; return true;
	case REG_SVR: write_svr(apic, value); return true;
	case REG_ESR:
		apic->esr = apic->errors;
		apic->errors = 0;
		return true;
	case REG_ICR:
		apic->icr[0] = value & 0x000ccfff;
		send_ipi(apic, value, apic->icr[1] >> 24);
		return true;
	case REG_ICR_HIGH: apic->icr[1] = value & 0xff000000; return true;
	case REG_INITIAL: write_initial_count(apic, value); return true;
	case REG_DIVIDE: write_divide(apic, value); return true;
	case REG_VERSION:
	case REG_APR:
	case REG_PPR:
	case REG_RRD:
	case REG_CURRENT: return true; /* read-only */
	default: return reg >= REG_ISR && reg < REG_ESR;
	}
}

/* A register fills the low 4 bytes of its 16; narrower reads give part of it. */
u32
lapic_read(struct vcpu *cpu, u32 offset, unsigned size)
{
	u32 value = 0;
	if ((offset & 15) + size > 4)
		return 0;
	if (!read_register(cpu->lapic, offset / 16, &value))
		error(cpu->lapic, ESR_REGISTER);
	value >>= (offset & 3) * 8;
	return size < 4 ? value & ((1u << size * 8) - 1) : value;
}

void
lapic_write(struct vcpu *cpu, u32 offset, unsigned size, u32 value)
{
	if (offset & 15 || size != 4)
		return;
	if (!write_register(cpu->lapic, offset / 16, value))
		error(cpu->lapic, ESR_REGISTER);
}

/* --- x2APIC --- */

bool
lapic_msr_read(struct vcpu *cpu, u32 address, u64 *value)
{
	struct lapic *apic = cpu->lapic;
	unsigned reg = address & 0xff;
	u32 low;
	if (!lapic_x2apic(cpu))
		return false;
	switch (reg) {
	case REG_APR:
	case REG_EOI:
	case REG_RRD:
	case REG_DFR:
	case REG_ICR_HIGH:
	case REG_SELF_IPI: return false;
	}
	if (!read_register(apic, reg, &low))
		return false;
	*value = reg == REG_ICR ? (u64)apic->icr[1] << 32 | low : low;
	return true;
}

/* Bits that a write may set; 0 for registers that only take 0. False if the register cannot be written. */
static bool
x2apic_writable(unsigned reg, u64 *mask)
{
	switch (reg) {
	case REG_TPR: *mask = 0xff; return true;
	case REG_EOI:
	case REG_ESR: *mask = 0; return true;
	case REG_SVR: *mask = 0x1ff; return true;
	case REG_ICR: *mask = 0xffffffff000ccfff; return true;
	case REG_INITIAL: *mask = 0xffffffff; return true;
	case REG_DIVIDE: *mask = 0xb; return true;
	case REG_SELF_IPI: *mask = 0xff; return true;
	default:
		if (reg < REG_LVT || reg >= REG_LVT + LVT_COUNT)
			return false;
		*mask = lvt_writable[reg - REG_LVT] | 0x5000; /* delivery status and remote IRR are read-only */
		return true;
	}
}

bool
lapic_msr_write(struct vcpu *cpu, u32 address, u64 value)
{
	struct lapic *apic = cpu->lapic;
	unsigned reg = address & 0xff;
	u64 writable;
	if (!lapic_x2apic(cpu) || !x2apic_writable(reg, &writable) || value & ~writable)
		return false;
	if (reg == REG_ICR) {
		apic->icr[0] = (u32)value;
		apic->icr[1] = (u32)(value >> 32);
		send_ipi(apic, apic->icr[0], apic->icr[1]);
	} else if (reg == REG_SELF_IPI) {
		send_ipi(apic, (u32)value | TO_SELF << 18, 0);
	} else {
		write_register(apic, reg, (u32)value);
	}
	return true;
}

/* --- reset and modes --- */

static void
reset_registers(struct lapic *apic)
{
	apic->tpr = apic->ldr = apic->esr = apic->errors = apic->icr[0] = apic->icr[1] = apic->initial = apic->divide = 0;
	apic->dfr = 0xffffffff;
	apic->svr = 0xff;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		apic->lvt[i] = LVT_MASKED;
	memset(apic->isr, 0, sizeof(apic->isr));
	memset(apic->tmr, 0, sizeof(apic->tmr));
	memset(apic->irr, 0, sizeof(apic->irr));
	apic->deadline = apic->start = 0;
	apic->counting = apic->extint = false;
	event_disarm(apic->cpu->events, &apic->timer);
}

/* INIT keeps IA32_APIC_BASE, the id, and a SIPI that came after it. */
void
lapic_reset(struct vcpu *cpu, bool init)
{
	struct lapic *apic = cpu->lapic;
	reset_registers(apic);
	if (!init) {
		apic->id = (u8)cpu->index;
		cpu->msr.apic_base = APIC_DEFAULT_BASE | (cpu_has(cpu, FEATURE_APIC) ? APIC_BASE_EN : 0) | (cpu->index ? 0 : APIC_BASE_BSP);
		apic->sipi_after_init = false;
	} else if (apic->sipi_after_init) {
		apic->sipi_after_init = false;
		cpu_request(cpu, PEND_SIPI);
	}
	notify(apic);
}

/* SDM 3, "x2APIC State Transitions": out of x2APIC mode only through "disabled", into it only from xAPIC mode. */
bool
lapic_base_write(struct vcpu *cpu, u64 value)
{
	const u64 modes = APIC_BASE_EN | APIC_BASE_EXTD;
	u64 old = cpu->msr.apic_base, mode = value & modes;
	u64 writable = (BIT(cpu->model->physical_bits) - 4096) | APIC_BASE_EN | APIC_BASE_BSP;
	if (cpu_has(cpu, FEATURE_X2APIC))
		writable |= APIC_BASE_EXTD;
	if (value & ~writable || mode == APIC_BASE_EXTD)
		return false;
	if (((old & modes) == modes && mode == APIC_BASE_EN) || (!(old & APIC_BASE_EN) && mode == modes))
		return false;
	cpu->msr.apic_base = value;
	if (!mode && old & APIC_BASE_EN) {
		reset_registers(cpu->lapic);
		cpu->lapic->id = (u8)cpu->index;
	}
	if (mode == modes && !(old & APIC_BASE_EXTD))
		cpu->lapic->icr[1] = 0;
	if (value != old)
		tlb_flush_all(cpu); /* the page that answers has changed */
	notify(cpu->lapic);
	return true;
}

void
lapic_state(struct lapic *apic, struct state *s)
{
	state_section(s, "lapic", 1);
	STATE(s, apic->id);
	STATE(s, apic->tpr);
	STATE(s, apic->ldr);
	STATE(s, apic->dfr);
	STATE(s, apic->svr);
	STATE(s, apic->esr);
	STATE(s, apic->errors);
	STATE(s, apic->icr);
	STATE(s, apic->lvt);
	STATE(s, apic->initial);
	STATE(s, apic->divide);
	STATE(s, apic->isr);
	STATE(s, apic->tmr);
	STATE(s, apic->irr);
	STATE(s, apic->start);
	STATE(s, apic->deadline);
	state_bool(s, &apic->counting);
	state_bool(s, &apic->extint);
	state_bool(s, &apic->sipi_after_init);
	STATE(s, apic->sipi_vector);
	state_event(s, apic->cpu->events, &apic->timer);
	if (apic->counting && !apic->initial)
		state_fail(s, "lapic: counting from 0");
}
