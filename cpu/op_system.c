/*
 * System instructions: control and debug registers, descriptor-table registers, translation caches, MSRs, processor
 * control. SDM 2, SDM 3
 * "System Architecture Overview".
 *
 * Order within each: faults that precede VM exits (SDM 3, "Relative Priority of Faults and VM Exits"), the intercept, the other faults, the effect.
 * Caches are not modelled, so that cache and fence instructions only check what they would fault on.
 * I/O breakpoints (CR4.DE) are not modelled.
 */
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/hooks.h"
#include "cpu/flags.h"
#include "cpu/lapic.h"
#include "cpu/monitor.h"
#include "cpu/msr.h"
#include "cpu/pmu.h"
#include "cpu/paging.h"
#include "cpu/segment.h"
#include "cpu/tlb.h"
#include "bus/memory.h"
#include "vmx/intercept.h"

static void
intercept(struct vcpu *cpu, enum vmx_insn insn)
{
	if (cpu->nonroot)
		vmx_intercept_insn(cpu, insn);
}

/* --- control registers --- */

static bool
pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LMA);
}

/* SDM 3, "Control Registers"; SDM 2, "MOV - Move to/from Control Registers". */
static void
write_cr0(struct vcpu *cpu, u64 value)
{
	u64 old = cpu->cr0, efer = cpu->efer;
	if (value >> 32)
		raise_gp(cpu, 0);
	value = (value & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)) | CR0_ET;
	if ((value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
		raise_gp(cpu, 0);
	if (cpu->vmx && !cpu->in_smm && vmx_cr0_refused(cpu, value))
		raise_gp(cpu, 0);
	if (value & ~old & CR0_PG && efer & EFER_LME) {
		if (!(cpu->cr4 & CR4_PAE) || cpu->seg[CS].access & SEG_L)
			raise_gp(cpu, 0);
		efer |= EFER_LMA;
	} else if (old & ~value & CR0_PG) {
		if (cpu->long64 || cpu->cr4 & CR4_PCIDE)
			raise_gp(cpu, 0);
		efer &= ~EFER_LMA;
	}
	if (pae_paging(value, cpu->cr4, efer) && (value ^ old) & (CR0_CD | CR0_NW | CR0_PG))
		load_pdptes(cpu, cpu->cr3);
	cpu->cr0 = value;
	cpu->efer = efer;
	cpu_mode_changed(cpu);
	if ((value ^ old) & CR0_PG)
		tlb_flush_current(cpu, true);
}

/* Bit 63 says "keep the translations" when PCIDs are in use. */
static void
write_cr3(struct vcpu *cpu, u64 value)
{
	bool keep = cpu->cr4 & CR4_PCIDE && value & BIT(63);
	if (cpu->cr4 & CR4_PCIDE)
		value &= ~BIT(63);
	if (value & physical_reserved(cpu))
		raise_gp(cpu, 0);
	if (pae_paging(cpu->cr0, cpu->cr4, cpu->efer))
		load_pdptes(cpu, value);
	cpu->cr3 = value;
	tlb_select(cpu);
	if (!keep)
		tlb_flush_pcid(cpu, cpu->cr4 & CR4_PCIDE ? value & 0xfff : 0);
}

static void
write_cr4(struct vcpu *cpu, u64 value)
{
	u64 old = cpu->cr4, changed = value ^ old;
	if (value & ~cr4_supported(cpu->model))
		raise_gp(cpu, 0);
	if (cpu->in_smm ? value & CR4_VMXE : cpu->vmx && vmx_cr4_refused(cpu, value))
		raise_gp(cpu, 0);
	if (cpu->efer & EFER_LMA && (!(value & CR4_PAE) || changed & CR4_LA57))
		raise_gp(cpu, 0);
	if (changed & value & CR4_PCIDE && (!(cpu->efer & EFER_LMA) || cpu->cr3 & 0xfff))
		raise_gp(cpu, 0);
	if (pae_paging(cpu->cr0, value, cpu->efer) && changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP))
		load_pdptes(cpu, cpu->cr3);
	cpu->cr4 = value;
	cpu_mode_changed(cpu);
	if (changed & (CR4_PAE | CR4_PSE | CR4_LA57 | CR4_PCIDE | CR4_SMEP))
		tlb_flush_current(cpu, true);
	else if (changed & CR4_PGE)
		tlb_renew(cpu);
}

static void
write_cr8(struct vcpu *cpu, u64 value)
{
	if (value >> 4)
		raise_gp(cpu, 0);
	if (cpu->nonroot && vmx_virtual_cr8_write(cpu, value))
		return;
	lapic_set_cr8(cpu, (u8)value);
}

/* CR1, CR5..7 and above do not exist. CR8 can be named in 64-bit mode only. */
static void
check_cr_number(struct vcpu *cpu, unsigned cr)
{
	if (cr != 0 && cr != 2 && cr != 3 && cr != 4 && cr != 8)
		raise_ud(cpu);
	if (cpu->cpl)
		raise_gp(cpu, 0);
}

static void
announce_cr(struct vcpu *cpu, unsigned cr, u64 value)
{
	if (unlikely(cpu->hooks))
		cpu->hooks->cr_write(cpu->hooks->opaque, cpu, cr, value);
}

static unsigned
native_size(const struct vcpu *cpu)
{
	return cpu->long64 ? 8 : 4;
}

void
op_mov_to_cr(struct vcpu *cpu, const struct insn *in)
{
	unsigned cr = in->rd;
	check_cr_number(cpu, cr);
	u64 value = reg_get(cpu, in->rs, native_size(cpu));
	announce_cr(cpu, cr, value);
	if (cpu->nonroot && cr != 2)
		value = vmx_intercept_cr_write(cpu, cr, value, in->rs / 8);
	switch (cr) {
	case 0: write_cr0(cpu, value); break;
	case 2: cpu->cr2 = value; break;
	case 3: write_cr3(cpu, value); break;
	case 4: write_cr4(cpu, value); break;
	default: write_cr8(cpu, value); break;
	}
}

void
op_mov_from_cr(struct vcpu *cpu, const struct insn *in)
{
	unsigned cr = in->rd;
	check_cr_number(cpu, cr);
	u64 value;
	switch (cr) {
	case 0: value = cpu->cr0; break;
	case 2: value = cpu->cr2; break;
	case 3: value = cpu->cr3; break;
	case 4: value = cpu->cr4; break;
	default: value = lapic_get_cr8(cpu); break;
	}
	if (cpu->nonroot && cr != 2) {
		value = vmx_intercept_cr_read(cpu, cr, value, in->rs / 8);
		if (cr == 8)
			vmx_virtual_cr8_read(cpu, &value);
	}
	reg_set(cpu, in->rs, native_size(cpu), value);
}

void
op_clts(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	announce_cr(cpu, 0, cpu->cr0 & ~CR0_TS);
	if (cpu->nonroot) {
		vmx_intercept_clts(cpu);
		if (vmx_clts_ignored(cpu))
			return;
	}
	cpu->cr0 &= ~CR0_TS;
	cpu_mode_changed(cpu);
}

void
op_lmsw(struct vcpu *cpu, const struct insn *in)
{
	bool memory = insn_is_mem(in);
	u64 linear = memory ? insn_linear(cpu, in, 2, ACCESS_READ) : 0;
	u16 source = (u16)(memory ? mem_read(cpu, linear, 2) : reg_get(cpu, in->rs, 2));
	/* PE can be set but not cleared. */
	u64 value = (cpu->cr0 & ~0xeull) | (source & 0xf);
	announce_cr(cpu, 0, value);
	if (cpu->nonroot)
		value = vmx_intercept_lmsw(cpu, source, memory, linear);
	write_cr0(cpu, value);
}

static void
check_umip(struct vcpu *cpu)
{
	if (cpu->cr4 & CR4_UMIP && cpu->cpl)
		raise_gp(cpu, 0);
}

void
op_smsw(struct vcpu *cpu, const struct insn *in)
{
	check_umip(cpu);
	u64 value = cpu->cr0;
	if (cpu->nonroot)
		value = vmx_intercept_cr_read(cpu, 0, value, 0);
	rm_write(cpu, in, insn_is_mem(in) ? 2 : insn_osize(in), value);
}

/* --- debug registers --- */

#define DR6_WRITABLE (0xfull | DR6_BD | DR6_BS | DR6_BT)
#define DR6_FIXED1 0xffff0ff0ull
#define DR7_WRITABLE 0xffff23ffull
#define DR7_FIXED1 0x400ull
#define DR7_GD BIT(13)
#define DR6_BD BIT(13)
#define DR6_BS BIT(14)
#define DR6_BT BIT(15)

/* Which register is meant, after all checks. MOV-DR exiting comes before most faults (rule PR-02). */
static unsigned
debug_register(struct vcpu *cpu, const struct insn *in, bool write)
{
	unsigned dr = in->rd;
	if (dr > 7)
		raise_ud(cpu);
	if (cpu->nonroot)
		vmx_intercept_dr(cpu, dr, write, in->rs / 8);
	if ((dr == 4 || dr == 5) && cpu->cr4 & CR4_DE)
		raise_ud(cpu);
	if (cpu->cpl)
		raise_gp(cpu, 0);
	if (cpu->dr[7] & DR7_GD)
		raise_db(cpu, DR6_BD);
	return dr == 4 || dr == 5 ? dr + 2 : dr;
}

void
op_mov_to_dr(struct vcpu *cpu, const struct insn *in)
{
	unsigned dr = debug_register(cpu, in, true);
	u64 value = reg_get(cpu, in->rs, native_size(cpu));
	if (dr >= 6 && value >> 32)
		raise_gp(cpu, 0);
	if (dr == 6)
		value = (value & DR6_WRITABLE) | DR6_FIXED1;
	else if (dr == 7)
		value = (value & DR7_WRITABLE) | DR7_FIXED1;
	cpu->dr[dr] = value;
	cpu_mode_changed(cpu);
	cpu_request(cpu, PEND_FLAGS_CHANGED);
}

void
op_mov_from_dr(struct vcpu *cpu, const struct insn *in)
{
	unsigned dr = debug_register(cpu, in, false);
	reg_set(cpu, in->rs, native_size(cpu), cpu->dr[dr]);
}

/* --- descriptor-table registers --- */

static void
load_table(struct vcpu *cpu, const struct insn *in, u64 *base, u16 *limit)
{
	unsigned size = native_size(cpu);
	u64 linear = insn_linear(cpu, in, 2 + size, ACCESS_READ);
	mem_probe_read(cpu, linear, 2 + size);
	u16 new_limit = (u16)mem_read(cpu, linear, 2);
	u64 new_base = mem_read(cpu, linear + 2, size);
	if (!cpu->long64 && insn_osize(in) == 2)
		new_base &= 0xffffff;
	if (cpu->long64 && !msr_canonical(cpu, new_base))
		raise_gp(cpu, 0);
	*base = new_base;
	*limit = new_limit;
}

/* With a 16-bit operand the manual has 24 bits of base; processors since the 386 store all 32. */
static void
store_table(struct vcpu *cpu, const struct insn *in, u64 base, u16 limit)
{
	unsigned size = native_size(cpu);
	u8 image[10];
	image[0] = (u8)limit;
	image[1] = (u8)(limit >> 8);
	for (unsigned i = 0; i < size; i++)
		image[2 + i] = (u8)(base >> i * 8);
	mem_write_bytes(cpu, insn_linear(cpu, in, 2 + size, ACCESS_WRITE), image, 2 + size);
}

void
op_lgdt(struct vcpu *cpu, const struct insn *in)
{
	intercept(cpu, VMX_INSN_LGDT);
	load_table(cpu, in, &cpu->gdtr.base, &cpu->gdtr.limit);
}

void
op_lidt(struct vcpu *cpu, const struct insn *in)
{
	intercept(cpu, VMX_INSN_LIDT);
	load_table(cpu, in, &cpu->idtr.base, &cpu->idtr.limit);
}

void
op_sgdt(struct vcpu *cpu, const struct insn *in)
{
	check_umip(cpu);
	intercept(cpu, VMX_INSN_SGDT);
	store_table(cpu, in, cpu->gdtr.base, cpu->gdtr.limit);
}

void
op_sidt(struct vcpu *cpu, const struct insn *in)
{
	check_umip(cpu);
	intercept(cpu, VMX_INSN_SIDT);
	store_table(cpu, in, cpu->idtr.base, cpu->idtr.limit);
}

void
op_lldt(struct vcpu *cpu, const struct insn *in)
{
	intercept(cpu, VMX_INSN_LLDT);
	ldtr_load(cpu, (u16)rm_read(cpu, in, 2));
}

void
op_ltr(struct vcpu *cpu, const struct insn *in)
{
	intercept(cpu, VMX_INSN_LTR);
	tr_load(cpu, (u16)rm_read(cpu, in, 2));
}

void
op_sldt(struct vcpu *cpu, const struct insn *in)
{
	check_umip(cpu);
	intercept(cpu, VMX_INSN_SLDT);
	rm_write(cpu, in, insn_is_mem(in) ? 2 : insn_osize(in), cpu->ldtr.selector);
}

void
op_str(struct vcpu *cpu, const struct insn *in)
{
	check_umip(cpu);
	intercept(cpu, VMX_INSN_STR);
	rm_write(cpu, in, insn_is_mem(in) ? 2 : insn_osize(in), cpu->tr.selector);
}

/* --- translations and caches --- */

/* No segment or canonical check: INVLPG of an address that cannot be is a no-operation. */
void
op_invlpg(struct vcpu *cpu, const struct insn *in)
{
	intercept(cpu, VMX_INSN_INVLPG);
	unsigned seg = EA_SEG(in->ea);
	u64 linear = insn_offset(cpu, in);
	if (!cpu->long64)
		linear = (u32)(linear + cpu->seg[seg].base);
	else if (seg >= FS)
		linear += cpu->seg[seg].base;
	if (linear_canonical(cpu, linear))
		tlb_flush_page(cpu, linear);
}

void
op_invpcid(struct vcpu *cpu, const struct insn *in)
{
	if (cpu->nonroot && !vmx_insn_enabled(cpu, VMX_INSN_INVPCID))
		raise_ud(cpu);
	if (cpu->cpl)
		raise_gp(cpu, 0);
	intercept(cpu, VMX_INSN_INVPCID);
	u64 type = reg_get(cpu, in->rd, native_size(cpu));
	u64 at = insn_linear(cpu, in, 16, ACCESS_READ);
	mem_probe_read(cpu, at, 16);
	u64 pcid = mem_read(cpu, at, 8), linear = mem_read(cpu, at + 8, 8);
	if (type > 3 || pcid >> 12)
		raise_gp(cpu, 0);
	if (type < 2 && pcid && !(cpu->cr4 & CR4_PCIDE))
		raise_gp(cpu, 0);
	switch (type) {
	case 0:
		if (!msr_canonical(cpu, linear))
			raise_gp(cpu, 0);
		tlb_flush_pcid_page(cpu, (u16)pcid, linear);
		break;
	case 1: tlb_flush_pcid(cpu, (u16)pcid); break;
	default: tlb_flush_current(cpu, true); break; /* 2: all; 3: all but globals, of which more may go */
	}
}

void
op_invd(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	intercept(cpu, VMX_INSN_INVD);
}

void
op_wbinvd(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	intercept(cpu, VMX_INSN_WBINVD);
}

/* CLFLUSH and MONITOR read nothing that could be virtualized: on the APIC-access page they exit. */
static void
touch_apic_page(struct vcpu *cpu, u64 linear, bool monitor)
{
	u64 physical;
	if (cpu->nonroot && linear_peek(cpu, linear, NULL, &physical) && vmx_is_apic_access_page(cpu, physical))
		vmx_apic_touched(cpu, linear, physical, monitor);
}

/* CLFLUSH, CLFLUSHOPT, CLWB fault as a load of one byte does. */
void
op_clflush(struct vcpu *cpu, const struct insn *in)
{
	u64 linear = insn_linear(cpu, in, 1, ACCESS_READ);
	mem_probe_read(cpu, linear, 1);
	touch_apic_page(cpu, linear, false);
}

/* NOP Ev, PREFETCHh, fences, ENDBR without CET: nothing, not even an access. */
void
op_nop(struct vcpu *cpu, const struct insn *in)
{
	(void)cpu, (void)in;
}

void
op_pause(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	if (cpu->nonroot)
		vmx_pause(cpu);
}

void
op_ud(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	raise_ud(cpu);
}

/* --- stopping --- */

void
op_hlt(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	intercept(cpu, VMX_INSN_HLT);
	cpu->activity = ACTIVITY_HLT;
	cpu->exit_request = 1;
	cpu->stats.halts++;
}

static u64
address_mask(const struct insn *in)
{
	unsigned asize = EA_ASIZE(in->ea);
	return asize == 1 ? 0xffff : asize == 2 ? 0xffffffff : ~0ull;
}

/* The present contents of the monitored line: how a store to it is noticed. False when it is not plain memory. */
static bool
monitored_line(struct vcpu *cpu, u8 line[64])
{
	return memory_peek(cpu->memory, cpu->monitor.physical, line, 64);
}

void
op_monitor(struct vcpu *cpu, const struct insn *in)
{
	if (cpu->cpl)
		raise_ud(cpu);
	intercept(cpu, VMX_INSN_MONITOR);
	if ((u32)cpu->r[RCX])
		raise_gp(cpu, 0);
	u64 linear = segment_linear(cpu, EA_SEG(in->ea), cpu->r[RAX] & address_mask(in), 1, ACCESS_READ);
	mem_probe_read(cpu, linear, 1);
	touch_apic_page(cpu, linear, true);
	u64 physical;
	cpu->monitor.armed = false;
	if (!linear_peek(cpu, linear, NULL, &physical))
		return;
	cpu->monitor.physical = physical & ~63ull;
	cpu->monitor.armed = monitored_line(cpu, cpu->monitor.line);
}

/*
 * Wake-up by a store is seen by comparing the line with what it held at MONITOR, at the boundaries where the run loop
 * asks: a store that leaves
 * the line as it was does not wake, which no waiting loop can tell, since it re-reads the value.
 */
bool
monitor_triggered(struct vcpu *cpu)
{
	u8 line[64];
	return !cpu->monitor.armed || !monitored_line(cpu, line) || __builtin_memcmp(line, cpu->monitor.line, sizeof(line));
}

void
op_mwait(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	if (cpu->cpl)
		raise_ud(cpu);
	intercept(cpu, VMX_INSN_MWAIT);
	u32 extensions = (u32)cpu->r[RCX];
	if (extensions & ~1u)
		raise_gp(cpu, 0);
	bool awake = (extensions & 1) && cpu->nonroot && vmx_mwait_stays_awake(cpu);
	if (awake || monitor_triggered(cpu)) {
		cpu->monitor.armed = false;
		return;
	}
	cpu->monitor.masked_interrupts = extensions & 1;
	cpu->activity = ACTIVITY_MWAIT;
	cpu->exit_request = 1;
	cpu->stats.halts++;
}

/* --- identification, time, random numbers --- */

void
op_cpuid(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	intercept(cpu, VMX_INSN_CPUID);
	if (cpu->cpl && msr_cpuid_faulting(cpu))
		raise_gp(cpu, 0);
	u32 regs[4];
	cpuid_query(cpu, (u32)cpu->r[RAX], (u32)cpu->r[RCX], regs);
	cpu->r[RAX] = regs[0];
	cpu->r[RBX] = regs[1];
	cpu->r[RCX] = regs[2];
	cpu->r[RDX] = regs[3];
}

static void
read_tsc(struct vcpu *cpu, enum vmx_insn insn)
{
	if (cpu->cr4 & CR4_TSD && cpu->cpl)
		raise_gp(cpu, 0);
	intercept(cpu, insn);
	u64 tsc = cpu_tsc(cpu);
	cpu->r[RAX] = (u32)tsc;
	cpu->r[RDX] = tsc >> 32;
}

void
op_rdtsc(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	read_tsc(cpu, VMX_INSN_RDTSC);
}

void
op_rdtscp(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	if (cpu->nonroot && !vmx_insn_enabled(cpu, VMX_INSN_RDTSCP))
		raise_ud(cpu);
	read_tsc(cpu, VMX_INSN_RDTSCP);
	cpu->r[RCX] = (u32)cpu->msr.tsc_aux;
}

void
op_rdpid(struct vcpu *cpu, const struct insn *in)
{
	if (cpu->nonroot && !vmx_insn_enabled(cpu, VMX_INSN_RDTSCP))
		raise_ud(cpu);
	reg_set(cpu, in->rs, native_size(cpu), (u32)cpu->msr.tsc_aux);
}

void
op_rdpmc(struct vcpu *cpu, const struct insn *in)
{
	u64 value;

	(void)in;
	if (!(cpu->cr4 & CR4_PCE) && cpu->cpl)
		raise_gp(cpu, 0);
	intercept(cpu, VMX_INSN_RDPMC);
	if (!pmu_read(cpu, (u32)cpu->r[RCX], &value))
		raise_gp(cpu, 0);
	cpu->r[RAX] = (u32)value;
	cpu->r[RDX] = value >> 32;
}

/* splitmix64 over the state that -seed started: the same numbers in every run. */
static u64
next_random(struct vcpu *cpu)
{
	u64 z = cpu->seed += 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void
random_number(struct vcpu *cpu, const struct insn *in, enum vmx_insn insn)
{
	intercept(cpu, insn);
	reg_set(cpu, in->rs, insn_osize(in), next_random(cpu));
	cc_set_raw(cpu, FLAG_CF); /* always ready */
}

void
op_rdrand(struct vcpu *cpu, const struct insn *in)
{
	random_number(cpu, in, VMX_INSN_RDRAND);
}

void
op_rdseed(struct vcpu *cpu, const struct insn *in)
{
	random_number(cpu, in, VMX_INSN_RDSEED);
}

/* --- MSRs, segment bases, XCR0, protection keys --- */

void
op_rdmsr(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	u32 address = (u32)cpu->r[RCX];
	u64 value;
	if (cpu->nonroot)
		vmx_intercept_msr(cpu, address, false);
	if (!(cpu->nonroot && vmx_virtual_msr_read(cpu, address, &value)) && !msr_read(cpu, address, &value))
		raise_gp(cpu, 0);
	if (unlikely(cpu->hooks))
		cpu->hooks->msr(cpu->hooks->opaque, cpu, address, false, value);
	cpu->r[RAX] = (u32)value;
	cpu->r[RDX] = value >> 32;
}

void
op_wrmsr(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	u32 address = (u32)cpu->r[RCX];
	u64 value = (u64)(u32)cpu->r[RDX] << 32 | (u32)cpu->r[RAX];
	if (cpu->nonroot)
		vmx_intercept_msr(cpu, address, true);
	if (unlikely(cpu->hooks))
		cpu->hooks->msr(cpu->hooks->opaque, cpu, address, true, value);
	if (!(cpu->nonroot && vmx_virtual_msr_write(cpu, address, value)) && !msr_write(cpu, address, value))
		raise_gp(cpu, 0);
}

void
op_swapgs(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	u64 base = cpu->seg[GS].base;
	cpu->seg[GS].base = cpu->msr.kernel_gs_base;
	cpu->msr.kernel_gs_base = base;
}

static void
read_base(struct vcpu *cpu, const struct insn *in, unsigned seg)
{
	if (!(cpu->cr4 & CR4_FSGSBASE))
		raise_ud(cpu);
	reg_set(cpu, in->rs, insn_osize(in), cpu->seg[seg].base);
}

static void
write_base(struct vcpu *cpu, const struct insn *in, unsigned seg)
{
	if (!(cpu->cr4 & CR4_FSGSBASE))
		raise_ud(cpu);
	u64 base = reg_get(cpu, in->rs, insn_osize(in));
	if (!msr_canonical(cpu, base))
		raise_gp(cpu, 0);
	cpu->seg[seg].base = base;
}

void
op_rdfsbase(struct vcpu *cpu, const struct insn *in)
{
	read_base(cpu, in, FS);
}

void
op_rdgsbase(struct vcpu *cpu, const struct insn *in)
{
	read_base(cpu, in, GS);
}

void
op_wrfsbase(struct vcpu *cpu, const struct insn *in)
{
	write_base(cpu, in, FS);
}

void
op_wrgsbase(struct vcpu *cpu, const struct insn *in)
{
	write_base(cpu, in, GS);
}

/* Which state components are not in their initial configuration. SDM 1, "Processor Tracking of XSAVE-Managed State". */
u64
cpu_xinuse(const struct vcpu *cpu)
{
	u64 used = 0, low = 0, high = 0;
	const struct x87 *x87 = &cpu->x87;
	for (unsigned i = 0; i < 16; i++) {
		low |= cpu->vec[i].q[0] | cpu->vec[i].q[1];
		high |= cpu->vec[i].q[2] | cpu->vec[i].q[3];
	}
	u64 registers = 0;
	for (unsigned i = 0; i < 8; i++)
		registers |= x87->r[i].significand | x87->r[i].sign_exponent;
	if (x87->control != 0x37f || x87->status || x87->empty != 0xff || x87->opcode || x87->ip || x87->dp || x87->cs || x87->ds || registers)
		used |= XCR0_X87;
	if (low) /* MXCSR does not count */
		used |= XCR0_SSE;
	if (high)
		used |= XCR0_AVX;
	if (cpu->pkru)
		used |= XCR0_PKRU;
	return used;
}

void
op_xgetbv(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	if (!(cpu->cr4 & CR4_OSXSAVE))
		raise_ud(cpu);
	u32 index = (u32)cpu->r[RCX];
	if (index > (cpu_has(cpu, FEATURE_XGETBV1) ? 1 : 0))
		raise_gp(cpu, 0);
	u64 value = index ? cpu->xcr0 & cpu_xinuse(cpu) : cpu->xcr0;
	cpu->r[RAX] = (u32)value;
	cpu->r[RDX] = value >> 32;
}

void
op_xsetbv(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	if (!(cpu->cr4 & CR4_OSXSAVE))
		raise_ud(cpu);
	if (cpu->cpl)
		raise_gp(cpu, 0);
	u64 value = (u64)(u32)cpu->r[RDX] << 32 | (u32)cpu->r[RAX];
	announce_cr(cpu, HOOK_XCR0, value);
	intercept(cpu, VMX_INSN_XSETBV);
	if ((u32)cpu->r[RCX] || value & ~cpu_xcr0_supported(cpu->model) || !(value & XCR0_X87) || (value & XCR0_AVX && !(value & XCR0_SSE)))
		raise_gp(cpu, 0);
	cpu->xcr0 = value;
	cpu_mode_changed(cpu);
}

static void
check_pke(struct vcpu *cpu)
{
	if (!(cpu->cr4 & CR4_PKE))
		raise_ud(cpu);
	if ((u32)cpu->r[RCX])
		raise_gp(cpu, 0);
}

void
op_rdpkru(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	check_pke(cpu);
	cpu->r[RAX] = cpu->pkru;
	cpu->r[RDX] = 0;
}

void
op_wrpkru(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	check_pke(cpu);
	if ((u32)cpu->r[RDX])
		raise_gp(cpu, 0);
	cpu->pkru = (u32)cpu->r[RAX];
	cpu_mode_changed(cpu);
}

static void
set_ac(struct vcpu *cpu, u64 ac)
{
	if (cpu->cpl) /* also in virtual-8086 mode */
		raise_ud(cpu);
	cpu->rflags = (cpu->rflags & ~FLAG_AC) | ac;
	tlb_select(cpu);
}

void
op_clac(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	set_ac(cpu, 0);
}

void
op_stac(struct vcpu *cpu, const struct insn *in)
{
	(void)in;
	set_ac(cpu, FLAG_AC);
}
