/*
 * APIC virtualization: TPR shadow, APIC-access page, register virtualization, virtual interrupts, posted interrupts. SDM 3, "APIC Virtualization
 * and Virtual Interrupts"; rules NR-39 to NR-62. Not modelled: IPI virtualization.
 */
#include "cpu/access.h"
#include "cpu/deliver.h"
#include "cpu/fault.h"
#include "cpu/lapic.h"
#include "vmx/vmx.h"

/* Offsets in the virtual-APIC page. */
#define VTPR 0x080
#define VPPR 0x0a0
#define VEOI 0x0b0
#define VISR 0x100
#define VIRR 0x200
#define VICR_LO 0x300
#define VICR_HI 0x310
#define VSELF_IPI 0x3f0

#define X2APIC_BASE 0x800
#define X2APIC_TPR 0x808
#define X2APIC_EOI 0x80b
#define X2APIC_SELF_IPI 0x83f

#define POSTED_ON 32 /* byte of the posted-interrupt descriptor that holds ON (bit 0) and SN (bit 1) */

enum apic_access_type {
	APIC_READ = 0,
	APIC_WRITE = 1,
	APIC_FETCH = 2,
	APIC_DELIVERY = 3,
	APIC_MONITOR = 4,
	APIC_PHYSICAL_DELIVERY = 10,
	APIC_PHYSICAL = 15
};

static u32
vapic_read(struct vcpu *cpu, unsigned offset)
{
	return (u32)phys_read(cpu, vmx_vmcs(cpu)->virtual_apic_address + offset, 4);
}

static void
vapic_write(struct vcpu *cpu, unsigned offset, u32 value)
{
	phys_write(cpu, vmx_vmcs(cpu)->virtual_apic_address + offset, 4, value);
}

/* NR-41: where a vector's bit lies in VIRR or VISR. */
static unsigned
word_of(unsigned base, u8 vector)
{
	return base + (vector >> 5 << 4);
}

static void
set_vector(struct vcpu *cpu, unsigned base, u8 vector, bool on)
{
	u32 word = vapic_read(cpu, word_of(base, vector)), bit = 1u << (vector & 31);

	vapic_write(cpu, word_of(base, vector), on ? word | bit : word & ~bit);
}

/* The highest vector set in VIRR or VISR, 0 if none is. */
static u8
highest_vector(struct vcpu *cpu, unsigned base)
{
	for (unsigned i = 8; i-- > 0;) {
		u32 word = vapic_read(cpu, base + i * 16);

		if (word)
			return (u8)(i * 32 + 31 - (unsigned)__builtin_clz(word));
	}
	return 0;
}

static u8
get_rvi(const struct vcpu *cpu)
{
	return (u8)vmx_vmcs(cpu)->guest_interrupt_status;
}

static u8
get_svi(const struct vcpu *cpu)
{
	return (u8)(vmx_vmcs(cpu)->guest_interrupt_status >> 8);
}

static void
set_status(struct vcpu *cpu, u8 rvi, u8 svi)
{
	cpu->vmx->vmcs.guest_interrupt_status = (u16)(rvi | svi << 8);
}

static void
add_work(struct vcpu *cpu, u32 work)
{
	cpu->vmx->work |= work;
	cpu_request(cpu, PEND_VMX);
}

/* NR-42 */
static void
virtualize_ppr(struct vcpu *cpu)
{
	u8 vtpr = (u8)vapic_read(cpu, VTPR), svi = get_svi(cpu);

	vapic_write(cpu, VPPR, vtpr >> 4 >= svi >> 4 ? vtpr : svi & 0xf0);
}

/* NR-43 */
static void
evaluate(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	vmx->virtual_interrupt =
		!PROC_ON(vmx, INTERRUPT_WINDOW_EXITING) && get_rvi(cpu) >> 4 > (u8)vapic_read(cpu, VPPR) >> 4;
	if (vmx->virtual_interrupt)
		cpu_request(cpu, PEND_VMX);
}

/* NR-39 */
static void
virtualize_tpr(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (SEC_ON(vmx, VIRTUAL_INTERRUPT_DELIVERY)) {
		virtualize_ppr(cpu);
		evaluate(cpu);
	} else if ((u8)vapic_read(cpu, VTPR) >> 4 < (vmx->vmcs.tpr_threshold & 15)) {
		add_work(cpu, WORK_TPR_THRESHOLD);
	}
}

/* NR-45 */
static void
virtualize_eoi(struct vcpu *cpu)
{
	const struct vmcs *v = vmx_vmcs(cpu);
	const u64 bitmap[4] = {v->eoi_exit_bitmap_0, v->eoi_exit_bitmap_1, v->eoi_exit_bitmap_2, v->eoi_exit_bitmap_3};
	u8 vector = get_svi(cpu);

	set_vector(cpu, VISR, vector, false);
	set_status(cpu, get_rvi(cpu), highest_vector(cpu, VISR));
	virtualize_ppr(cpu);
	if (bitmap[vector / 64] >> (vector % 64) & 1) {
		cpu->vmx->eoi_vector = vector;
		add_work(cpu, WORK_EOI);
	} else {
		evaluate(cpu);
	}
}

/* NR-46 */
static void
virtualize_self_ipi(struct vcpu *cpu, u8 vector)
{
	set_vector(cpu, VIRR, vector, true);
	set_status(cpu, MAX(get_rvi(cpu), vector), get_svi(cpu));
	evaluate(cpu);
}

/* INJ-18, INJ-19 */
void
vmx_apicv_enter(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (!PROC_ON(vmx, TPR_SHADOW))
		return;
	if (SEC_ON(vmx, VIRTUAL_INTERRUPT_DELIVERY) || SEC_ON(vmx, VIRTUALIZE_APIC_ACCESSES))
		virtualize_tpr(cpu);
}

/* NR-44 */
void
vmx_deliver_virtual_interrupt(struct vcpu *cpu)
{
	u8 vector = get_rvi(cpu);
	struct event_info event = {.vector = vector, .type = EVENT_EXTERNAL};

	set_vector(cpu, VISR, vector, true);
	vapic_write(cpu, VPPR, vector & 0xf0);
	set_vector(cpu, VIRR, vector, false);
	set_status(cpu, highest_vector(cpu, VIRR), vector);
	cpu->vmx->virtual_interrupt = false;
	cpu->activity = ACTIVITY_ACTIVE;
	if (cpu->vmx->mtf == MTF_ARMED)
		cpu->vmx->mtf = MTF_PENDING;
	cpu->stats.interrupts++;
	deliver_event(cpu, &event, true);
}

static void
eoi_local_apic(struct vcpu *cpu)
{
	if (lapic_x2apic(cpu))
		lapic_msr_write(cpu, X2APIC_EOI, 0);
	else
		lapic_write(cpu, VEOI, 4, 0);
}

/* NR-61: true when `vector`, just acknowledged, was the notification vector and has been dealt with. */
bool
vmx_posted_interrupt(struct vcpu *cpu, u8 vector)
{
	const struct vmcs *v = vmx_vmcs(cpu);
	u64 descriptor = v->posted_interrupt_descriptor;
	u8 highest = 0;

	if (vector != v->posted_interrupt_vector)
		return false;
	phys_write(cpu, descriptor + POSTED_ON, 1, phys_read(cpu, descriptor + POSTED_ON, 1) & ~1ull);
	eoi_local_apic(cpu);
	for (unsigned i = 0; i < 8; i++) {
		u32 requests = (u32)phys_read(cpu, descriptor + i * 4, 4);

		if (!requests)
			continue;
		phys_write(cpu, descriptor + i * 4, 4, 0);
		vapic_write(cpu, VIRR + i * 16, vapic_read(cpu, VIRR + i * 16) | requests);
		highest = (u8)(i * 32 + 31 - (unsigned)__builtin_clz(requests));
	}
	set_status(cpu, MAX(get_rvi(cpu), highest), get_svi(cpu));
	evaluate(cpu);
	return true;
}

/* NR-51: the VICR_LO values that are a self-IPI without a VM exit. */
static bool
is_self_ipi(u32 icr)
{
	u32 must_be_0 = 0xfff00000 | 3u << 16 | 1u << 15 | 1u << 13 | 1u << 12 | 7u << 8;

	return !(icr & must_be_0) && (icr >> 18 & 3) == 1 && (u8)icr >= 16;
}

static void
emulate_apic_write(struct vcpu *cpu, unsigned offset)
{
	bool vid = SEC_ON(cpu->vmx, VIRTUAL_INTERRUPT_DELIVERY);

	switch (offset & 0xff0) {
	case VTPR:
		vapic_write(cpu, VTPR, (u8)vapic_read(cpu, VTPR));
		virtualize_tpr(cpu);
		return;
	case VEOI:
		if (!vid)
			break;
		vapic_write(cpu, VEOI, 0);
		virtualize_eoi(cpu);
		return;
	case VICR_LO:
		if (!vid || !is_self_ipi(vapic_read(cpu, VICR_LO)))
			break;
		virtualize_self_ipi(cpu, (u8)vapic_read(cpu, VICR_LO));
		return;
	case VICR_HI:
		vapic_write(cpu, VICR_HI, vapic_read(cpu, VICR_HI) & 0xff000000);
		return;
	}
	vm_exit(cpu, REASON_APIC_WRITE, offset,
		SEC_ON(cpu->vmx, APIC_REGISTER_VIRTUALIZATION) ? "SEC APIC_REGISTER_VIRTUALIZATION"
							       : "SEC VIRTUAL_INTERRUPT_DELIVERY");
}

void
vmx_apicv_work(struct vcpu *cpu)
{
	struct vmx *vmx = cpu->vmx;

	if (vmx->work & WORK_APIC_WRITE) {
		vmx->work &= ~(u32)WORK_APIC_WRITE;
		emulate_apic_write(cpu, vmx->apic_write_offset);
	}
	if (vmx->work & WORK_APIC_EXIT)
		vm_exit(cpu, REASON_APIC_WRITE, vmx->apic_write_offset, "SEC VIRTUALIZE_X2APIC_MODE");
	if (vmx->work & WORK_EOI)
		vm_exit(cpu, REASON_EOI_INDUCED, vmx->eoi_vector, "EOI-exit bitmap");
	if ((vmx->work & WORK_TPR_THRESHOLD) && cpu->activity != ACTIVITY_SHUTDOWN &&
	    cpu->activity != ACTIVITY_WAIT_SIPI)
		vm_exit(cpu, REASON_TPR_BELOW_THRESHOLD, 0, "TPR threshold");
}

bool
vmx_is_apic_access_page(const struct vcpu *cpu, u64 physical)
{
	return cpu->nonroot && SEC_ON(cpu->vmx, VIRTUALIZE_APIC_ACCESSES) &&
	       (physical & ~0xfffull) == cpu->vmx->vmcs.apic_access_address;
}

/* Registers, by number (offset / 16), that register virtualization reads and writes without a VM exit: NR-49, NR-50. */
#define REGISTERS(first, last) (BITS(~0ull, (last) >> 4, (first) >> 4) << ((first) >> 4))
#define VIRTUALIZED_READS                                                                                              \
	(REGISTERS(0x020, 0x030) | REGISTERS(0x080, 0x080) | REGISTERS(0x0b0, 0x0b0) | REGISTERS(0x0d0, 0x0f0) |       \
	 REGISTERS(0x100, 0x280) | REGISTERS(0x300, 0x310) | REGISTERS(0x320, 0x380) | REGISTERS(0x3e0, 0x3e0))
#define VIRTUALIZED_WRITES                                                                                             \
	(REGISTERS(0x020, 0x020) | REGISTERS(0x080, 0x080) | REGISTERS(0x0b0, 0x0b0) | REGISTERS(0x0d0, 0x0f0) |       \
	 REGISTERS(0x280, 0x280) | REGISTERS(0x300, 0x310) | REGISTERS(0x320, 0x380) | REGISTERS(0x3e0, 0x3e0))

static bool
access_is_virtualized(const struct vcpu *cpu, unsigned offset, unsigned size, bool write)
{
	const struct vmx *vmx = cpu->vmx;
	u64 registers = REGISTERS(VTPR, VTPR);

	if (!PROC_ON(vmx, TPR_SHADOW) || offset >= 0x400 || (offset & 15) + size > 4 || cpu->is_delivering)
		return false;
	/* A second write of the same instruction exits; so does a read after the write. */
	if (vmx->work & WORK_APIC_WRITE)
		return false;
	if (SEC_ON(vmx, APIC_REGISTER_VIRTUALIZATION))
		registers = write ? VIRTUALIZED_WRITES : VIRTUALIZED_READS;
	else if (offset & 15)
		return false;
	else if (write && SEC_ON(vmx, VIRTUAL_INTERRUPT_DELIVERY))
		registers |= REGISTERS(VEOI, VEOI) | REGISTERS(VICR_LO, VICR_LO);
	return registers >> (offset >> 4) & 1;
}

bool
vmx_apic_access(struct vcpu *cpu, u64 linear, u64 physical, unsigned size, unsigned access, u64 *value)
{
	struct vmx *vmx = cpu->vmx;
	unsigned offset = physical & 0xfff;
	bool write = access & ACCESS_WRITE;
	enum apic_access_type type = write ? APIC_WRITE : APIC_READ;

	if (!vmx_is_apic_access_page(cpu, physical))
		return false;
	if (access & ACCESS_FETCH)
		type = APIC_FETCH;
	if (cpu->is_delivering)
		type = APIC_DELIVERY;
	if (type == APIC_FETCH || !access_is_virtualized(cpu, offset, size, write)) {
		vmx->vmcs.guest_linear_address = linear;
		vm_exit(cpu, REASON_APIC_ACCESS, offset | (u64)type << 12, "SEC VIRTUALIZE_APIC_ACCESSES");
	}
	if (!write) {
		*value = phys_read(cpu, vmx->vmcs.virtual_apic_address + offset, size);
		return true;
	}
	phys_write(cpu, vmx->vmcs.virtual_apic_address + offset, size, *value);
	vmx->apic_write_offset = (u16)offset;
	add_work(cpu, WORK_APIC_WRITE);
	return true;
}

void
vmx_apic_touched(struct vcpu *cpu, u64 linear, u64 physical, bool monitor)
{
	u64 type = monitor ? APIC_MONITOR : APIC_READ;

	cpu->vmx->vmcs.guest_linear_address = linear;
	vm_exit(cpu, REASON_APIC_ACCESS, (physical & 0xfff) | type << 12, "SEC VIRTUALIZE_APIC_ACCESSES");
}

void
vmx_guest_physical_apic_access(struct vcpu *cpu)
{
	u64 type = cpu->is_delivering ? APIC_PHYSICAL_DELIVERY : APIC_PHYSICAL;

	vm_exit(cpu, REASON_APIC_ACCESS, type << 12, "SEC VIRTUALIZE_APIC_ACCESSES");
}

/* NR-56 */
bool
vmx_virtual_msr_read(struct vcpu *cpu, u32 address, u64 *value)
{
	const struct vmx *vmx = cpu->vmx;

	if (!SEC_ON(vmx, VIRTUALIZE_X2APIC_MODE) || address >> 8 != X2APIC_BASE >> 8)
		return false;
	if (!SEC_ON(vmx, APIC_REGISTER_VIRTUALIZATION) && address != X2APIC_TPR)
		return false;
	*value = phys_read(cpu, vmx->vmcs.virtual_apic_address + ((address & 0xff) << 4), 8);
	return true;
}

/* NR-57 */
bool
vmx_virtual_msr_write(struct vcpu *cpu, u32 address, u64 value)
{
	struct vmx *vmx = cpu->vmx;
	bool vid = SEC_ON(vmx, VIRTUAL_INTERRUPT_DELIVERY);

	if (!SEC_ON(vmx, VIRTUALIZE_X2APIC_MODE))
		return false;
	if (address == X2APIC_TPR) {
		if (value >> 8)
			raise_gp(cpu, 0);
		phys_write(cpu, vmx->vmcs.virtual_apic_address + VTPR, 8, value);
		virtualize_tpr(cpu);
		return true;
	}
	if (address == X2APIC_EOI && vid) {
		if (value)
			raise_gp(cpu, 0);
		phys_write(cpu, vmx->vmcs.virtual_apic_address + VEOI, 8, 0);
		virtualize_eoi(cpu);
		return true;
	}
	if (address == X2APIC_SELF_IPI && vid) {
		if (value >> 8)
			raise_gp(cpu, 0);
		phys_write(cpu, vmx->vmcs.virtual_apic_address + VSELF_IPI, 8, value);
		if (value >= 16) {
			virtualize_self_ipi(cpu, (u8)value);
		} else {
			vmx->apic_write_offset = VSELF_IPI;
			add_work(cpu, WORK_APIC_EXIT);
		}
		return true;
	}
	return false;
}

/* NR-10 */
bool
vmx_virtual_cr8_read(struct vcpu *cpu, u64 *value)
{
	if (!PROC_ON(cpu->vmx, TPR_SHADOW))
		return false;
	*value = (u8)vapic_read(cpu, VTPR) >> 4;
	return true;
}

bool
vmx_virtual_cr8_write(struct vcpu *cpu, u64 value)
{
	if (!PROC_ON(cpu->vmx, TPR_SHADOW))
		return false;
	vapic_write(cpu, VTPR, (u32)(value & 15) << 4);
	virtualize_tpr(cpu);
	return true;
}
