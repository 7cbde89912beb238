/*
 * RDMSR and WRMSR by the rows of msr.def. SDM 4, "Model-Specific Registers (MSRs)".
 *
 * Memory types (MTRRs, PAT) are checked and stored; nothing depends on them, since no cache is modelled. IA32_PRED_CMD
 * and SPEC_CTRL
 * likewise: there is no speculation to control. IA32_DEBUGCTL.LBR is stored, no branch records are kept.
 * IA32_FEATURE_CONTROL comes out of RESET locked with VMX allowed, as firmware leaves it on every machine that offers
 * VMX.
 */
#include "cpu/msr.h"

#include "base/log.h"
#include "cpu/cpuid.h"
#include "cpu/lapic.h"
#include "cpu/pmu.h"
#include "cpu/tlb.h"
#include "vmx/intercept.h"

LOG_CATEGORY("msr");

#define FEATURE_CONTROL_LOCK BIT(0)
#define FEATURE_CONTROL_VMX BIT(2)

/* MISC_ENABLE: fast strings, automatic thermal control, EIST, MONITOR, limit CPUID, xTPR disable, XD disable */
#define MISC_ENABLE_WRITABLE (BIT(0) | BIT(3) | BIT(16) | MISC_ENABLE_MONITOR | MISC_ENABLE_LIMIT_CPUID | BIT(23) | MISC_ENABLE_XD_DISABLE)
#define MISC_ENABLE_READ_ONLY (BIT(11) | BIT(12)) /* no branch trace storage, no PEBS */

#define MICROCODE_REVISION 0x0d0003e0ull /* above every revision that a kernel asks for on these models */

enum slot {
#define MSR_STORED(address, name, feature, reset, writable, check) SLOT_##name,
#define MSR_FIELD(address, name, feature, field, reset, writable, check)
#define MSR_CONST(address, name, feature, value)
#define MSR_HOOKED(address, name, feature, hook)
#include "cpu/msr.def"
#undef MSR_STORED
#undef MSR_FIELD
#undef MSR_CONST
#undef MSR_HOOKED
	SLOT_COUNT
};
_Static_assert(SLOT_COUNT <= COUNT(((struct vcpu *)0)->msr.other), "more slots in struct vcpu");

u64
cpu_tsc(struct vcpu *cpu)
{
	u64 tsc = cpu_time(cpu) + cpu->msr.tsc_offset;
	return cpu->nonroot ? vmx_guest_tsc(cpu, tsc) : tsc;
}

bool
msr_canonical(const struct vcpu *cpu, u64 linear)
{
	unsigned shift = 64 - cpu->model->linear_bits;
	return (u64)((s64)(linear << shift) >> shift) == linear;
}

bool
msr_cpuid_faulting(const struct vcpu *cpu)
{
	return cpu->msr.other[SLOT_MSR_MISC_FEATURES_ENABLES] & 1;
}

/* --- checks: may `value` be written? --- */

static bool
check_any(const struct vcpu *cpu, u64 value)
{
	(void)cpu, (void)value;
	return true;
}

static bool
check_canonical(const struct vcpu *cpu, u64 value)
{
	return msr_canonical(cpu, value);
}

/* Machine-check controls: other values are undefined. */
static bool
check_all_or_none(const struct vcpu *cpu, u64 value)
{
	(void)cpu;
	return value == 0 || value == ~0ull;
}

static bool
check_spec_ctrl(const struct vcpu *cpu, u64 value)
{
	return !(value & BIT(1) && !cpu_has(cpu, FEATURE_STIBP)) && !(value & BIT(2) && !cpu_has(cpu, FEATURE_SSBD)) &&
	       !(value & BIT(10) && !cpu_has(cpu, FEATURE_BHI_CTRL));
}

/* UC, WC, WT, WP, WB */
static bool
memory_type(u8 type)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

static bool
check_mtrr_types(const struct vcpu *cpu, u64 value)
{
	(void)cpu;
	for (unsigned i = 0; i < 8; i++)
		if (!memory_type((u8)(value >> i * 8)))
			return false;
	return true;
}

static bool
check_mtrr_def_type(const struct vcpu *cpu, u64 value)
{
	(void)cpu;
	return memory_type((u8)value);
}

static bool
check_mtrr_base(const struct vcpu *cpu, u64 value)
{
	return memory_type((u8)value) && !(value & 0xf00) && !(value >> cpu->model->physical_bits);
}

static bool
check_mtrr_mask(const struct vcpu *cpu, u64 value)
{
	return !(value & 0x7ff) && !(value >> cpu->model->physical_bits);
}

/* As MTRR types, and UC- (7). */
static bool
check_pat(const struct vcpu *cpu, u64 value)
{
	(void)cpu;
	for (unsigned i = 0; i < 8; i++) {
		u8 type = (u8)(value >> i * 8);
		if (type != 7 && !memory_type(type))
			return false;
	}
	return true;
}

/* --- hooks --- */

/* Ratios in units of 100 MHz: 15:8 base, 47:40 lowest. Bit 31: CPUID faulting. */
static u64
platform_info(const struct vcpu *cpu)
{
	u64 ratio = cpu->model->hz / 100000000 & 0xff;
	return ratio << 8 | BIT(31) | ratio << 40;
}

static bool
read_tsc(struct vcpu *cpu, u64 *value)
{
	*value = cpu_tsc(cpu);
	return true;
}

static void
set_tsc_offset(struct vcpu *cpu, u64 offset)
{
	cpu->msr.tsc_adjust += offset - cpu->msr.tsc_offset;
	cpu->msr.tsc_offset = offset;
	lapic_tsc_changed(cpu);
}

static bool
write_tsc(struct vcpu *cpu, u64 value)
{
	set_tsc_offset(cpu, value - cpu_time(cpu));
	return true;
}

static bool
read_tsc_adjust(struct vcpu *cpu, u64 *value)
{
	*value = cpu->msr.tsc_adjust;
	return true;
}

static bool
write_tsc_adjust(struct vcpu *cpu, u64 value)
{
	set_tsc_offset(cpu, cpu->msr.tsc_offset + (value - cpu->msr.tsc_adjust));
	return true;
}

static bool
read_tsc_deadline(struct vcpu *cpu, u64 *value)
{
	*value = lapic_get_deadline(cpu);
	return true;
}

static bool
write_tsc_deadline(struct vcpu *cpu, u64 value)
{
	lapic_set_deadline(cpu, value);
	return true;
}

static bool
read_apic_base(struct vcpu *cpu, u64 *value)
{
	*value = cpu->msr.apic_base;
	return true;
}

static bool
write_apic_base(struct vcpu *cpu, u64 value)
{
	return lapic_base_write(cpu, value);
}

static bool
read_feature_control(struct vcpu *cpu, u64 *value)
{
	*value = cpu->msr.feature_control;
	return true;
}

static bool
write_feature_control(struct vcpu *cpu, u64 value)
{
	if (cpu->msr.feature_control & FEATURE_CONTROL_LOCK || value & ~(FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX))
		return false;
	cpu->msr.feature_control = value;
	return true;
}

static bool
read_pred_cmd(struct vcpu *cpu, u64 *value)
{
	(void)cpu, (void)value;
	return false; /* write-only */
}

static bool
write_pred_cmd(struct vcpu *cpu, u64 value)
{
	(void)cpu;
	return !(value & ~1ull);
}

static bool
read_microcode_update(struct vcpu *cpu, u64 *value)
{
	(void)cpu, (void)value;
	return false;
}

/* No update takes: the revision stays, which the loader sees. */
static bool
write_microcode_update(struct vcpu *cpu, u64 value)
{
	(void)cpu, (void)value;
	return true;
}

static bool
read_microcode_revision(struct vcpu *cpu, u64 *value)
{
	(void)cpu;
	*value = MICROCODE_REVISION << 32;
	return true;
}

/* Software writes 0 and executes CPUID, which loads the revision again. */
static bool
write_microcode_revision(struct vcpu *cpu, u64 value)
{
	(void)cpu, (void)value;
	return true;
}

static bool
read_misc_enable(struct vcpu *cpu, u64 *value)
{
	*value = cpu->msr.misc_enable;
	return true;
}

static bool
write_misc_enable(struct vcpu *cpu, u64 value)
{
	if (value & ~(MISC_ENABLE_WRITABLE | MISC_ENABLE_READ_ONLY))
		return false;
	cpu->msr.misc_enable = (value & MISC_ENABLE_WRITABLE) | MISC_ENABLE_READ_ONLY;
	return true;
}

static bool
read_efer(struct vcpu *cpu, u64 *value)
{
	*value = cpu->efer;
	return true;
}

static bool
write_efer(struct vcpu *cpu, u64 value)
{
	u64 writable = 0;
	if (cpu_has(cpu, FEATURE_SYSCALL))
		writable |= EFER_SCE;
	if (cpu_has(cpu, FEATURE_LM))
		writable |= EFER_LME;
	if (cpu_has(cpu, FEATURE_NX) && !(cpu->msr.misc_enable & MISC_ENABLE_XD_DISABLE))
		writable |= EFER_NXE;
	if (value & ~(writable | EFER_LMA))
		return false;
	if ((value ^ cpu->efer) & EFER_LME && cpu->cr0 & CR0_PG)
		return false;
	u64 old = cpu->efer;
	cpu->efer = (value & writable) | (old & EFER_LMA); /* LMA is read-only */
	if ((cpu->efer ^ old) & EFER_NXE)
		tlb_flush_current(cpu, true);
	cpu_mode_changed(cpu);
	return true;
}

/* --- the rows --- */

enum row_index {
#define MSR_STORED(address, name, feature, reset, writable, check) ROW_##name,
#define MSR_FIELD(address, name, feature, field, reset, writable, check) ROW_##name,
#define MSR_CONST(address, name, feature, value) ROW_##name,
#define MSR_HOOKED(address, name, feature, hook) ROW_##name,
#include "cpu/msr.def"
#undef MSR_STORED
#undef MSR_FIELD
#undef MSR_CONST
#undef MSR_HOOKED
	ROW_COUNT
};

static const struct msr_row {
	const char *name;
	u16 feature;
	u16 where; /* offset of the u64 in struct vcpu; 0 if it has none */
	u64 reset, writable;
	bool (*check)(const struct vcpu *cpu, u64 value);
	bool (*read)(struct vcpu *cpu, u64 *value);
	bool (*write)(struct vcpu *cpu, u64 value);
} rows[ROW_COUNT] = {
#define MSR_STORED(address, name, feature, reset, writable, check)                                                                                 \
	{#name, FEATURE_##feature, offsetof(struct vcpu, msr.other[SLOT_##name]), reset, writable, check_##check, NULL, NULL},
#define MSR_FIELD(address, name, feature, field, reset, writable, check)                                                                    \
	{#name, FEATURE_##feature, offsetof(struct vcpu, field), reset, writable, check_##check, NULL, NULL},
#define MSR_CONST(address, name, feature, value) {#name, FEATURE_##feature, 0, 0, 0, NULL, NULL, NULL},
#define MSR_HOOKED(address, name, feature, hook) {#name, FEATURE_##feature, 0, 0, 0, NULL, read_##hook, write_##hook},
#include "cpu/msr.def"
#undef MSR_STORED
#undef MSR_FIELD
#undef MSR_CONST
#undef MSR_HOOKED
};

static u64
constant(const struct vcpu *cpu, enum row_index row)
{
	switch (row) {
#define MSR_STORED(address, name, feature, reset, writable, check)
#define MSR_FIELD(address, name, feature, field, reset, writable, check)
#define MSR_CONST(address, name, feature, value) case ROW_##name: return value;
#define MSR_HOOKED(address, name, feature, hook)
#include "cpu/msr.def"
#undef MSR_STORED
#undef MSR_FIELD
#undef MSR_CONST
#undef MSR_HOOKED
	default: return 0;
	}
}

/* NULL if there is no such row; *index is its place. */
static const struct msr_row *
find(u32 address, enum row_index *index)
{
	enum row_index i;
	switch (address) {
#define MSR_STORED(address, name, feature, reset, writable, check) case address: i = ROW_##name; break;
#define MSR_FIELD(address, name, feature, field, reset, writable, check) case address: i = ROW_##name; break;
#define MSR_CONST(address, name, feature, value) case address: i = ROW_##name; break;
#define MSR_HOOKED(address, name, feature, hook) case address: i = ROW_##name; break;
#include "cpu/msr.def"
#undef MSR_STORED
#undef MSR_FIELD
#undef MSR_CONST
#undef MSR_HOOKED
	default: return NULL;
	}
	*index = i;
	return &rows[i];
}

static u64 *
storage(struct vcpu *cpu, const struct msr_row *row)
{
	return (u64 *)((u8 *)cpu + row->where);
}

/* One line per address and process; what was said already is no state of the machine. */
static void
log_unknown(struct vcpu *cpu, u32 address, bool write, u64 value)
{
	static u32 said[128];
	static unsigned count;
	for (unsigned i = 0; i < count; i++)
		if (said[i] == address)
			return;
	if (count == COUNT(said))
		return;
	said[count++] = address;
	if (write)
		log_info("WRMSR of unknown MSR %xh (value %llxh) at RIP %llxh: #GP", address, (unsigned long long)value,
			 (unsigned long long)cpu->rip);
	else
		log_info("RDMSR of unknown MSR %xh at RIP %llxh: #GP", address, (unsigned long long)cpu->rip);
}

static bool
x2apic_range(u32 address)
{
	return address >= 0x800 && address <= 0x8ff;
}

static bool
vmx_range(u32 address)
{
	return address >= 0x480 && address <= 0x49f;
}

bool
msr_peek(struct vcpu *cpu, u32 address, u64 *value)
{
	if (x2apic_range(address))
		return lapic_msr_read(cpu, address, value);
	if (vmx_range(address))
		return vmx_capability_read(cpu, address, value);
	if (pmu_owns(address))
		return pmu_msr_read(cpu, address, value);
	enum row_index index;
	const struct msr_row *row = find(address, &index);
	if (!row || !cpu_has(cpu, row->feature))
		return false;
	if (row->read)
		return row->read(cpu, value);
	*value = row->where ? *storage(cpu, row) : constant(cpu, index);
	return true;
}

bool
msr_read(struct vcpu *cpu, u32 address, u64 *value)
{
	if (msr_peek(cpu, address, value))
		return true;
	if (!x2apic_range(address) && !msr_name(address))
		log_unknown(cpu, address, false, 0);
	return false;
}

bool
msr_write(struct vcpu *cpu, u32 address, u64 value)
{
	if (x2apic_range(address))
		return lapic_msr_write(cpu, address, value);
	if (pmu_owns(address))
		return pmu_msr_write(cpu, address, value);
	enum row_index index;
	const struct msr_row *row = find(address, &index);
	if (!row) {
		if (!vmx_range(address)) /* those exist, and are read-only */
			log_unknown(cpu, address, true, value);
		return false;
	}
	if (!cpu_has(cpu, row->feature))
		return false;
	if (row->write)
		return row->write(cpu, value);
	if (!row->where || value & ~row->writable || !row->check(cpu, value))
		return false;
	*storage(cpu, row) = value;
	return true;
}

const char *
msr_name(u32 address)
{
	enum row_index index;
	const struct msr_row *row = find(address, &index);
	return row ? row->name : NULL;
}

void
msr_reset(struct vcpu *cpu, bool init)
{
	cpu->efer = 0;
	if (init)
		return;
	for (unsigned i = 0; i < ROW_COUNT; i++)
		if (rows[i].where)
			*storage(cpu, &rows[i]) = rows[i].reset;
	cpu->msr.misc_enable = BIT(0) | MISC_ENABLE_READ_ONLY | (cpu_has(cpu, FEATURE_MONITOR) ? MISC_ENABLE_MONITOR : 0);
	cpu->msr.feature_control = cpu_has(cpu, FEATURE_VMX) ? FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX : 0;
	cpu->msr.tsc_adjust = 0;
	cpu->msr.tsc_offset = 0 - cpu_time(cpu); /* the TSC counts from 0 after RESET */
}
