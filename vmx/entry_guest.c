/* SDM 3, "Checking and Loading Guest State": the checks. A broken rule is VM-entry failure 33 with the qualification that the rule names. */
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "vmx/check.h"

#define QUALIFICATION_PDPTE 2
#define QUALIFICATION_LINK_POINTER 4

#define DEBUGCTL_VALID 0x3ull /* LBR, BTF; what msr.def implements */
#define DEBUGCTL_BTF BIT(1)
#define ACCESS_VM86 0xf3u

static bool
is_pae(const struct check *c)
{
	return (c->v->guest_cr0 & CR0_PG) && (c->v->guest_cr4 & CR4_PAE) && !ENTRY(IA32E_MODE_GUEST);
}

static bool
vm86(const struct check *c)
{
	return c->v->guest_rflags & FLAG_VM;
}

/* "Checks on Guest Control Registers, Debug Registers, and MSRs" */
static bool
check_registers(struct check *c)
{
	const struct vmcs *v = c->v;
	const struct vcpu *cpu = c->cpu;
	u64 cr0_fixed = SEC(UNRESTRICTED_GUEST) ? CR0_FIXED0 & ~(CR0_PE | CR0_PG) : CR0_FIXED0;

	REQUIRE("VE-GST-01", (v->guest_cr0 & cr0_fixed) == cr0_fixed);
	REQUIRE("VE-GST-01", v->guest_cr0 >> 32 == 0);
	REQUIRE("VE-GST-02", !(v->guest_cr0 & CR0_PG) || (v->guest_cr0 & CR0_PE));
	REQUIRE("VE-GST-03", (v->guest_cr4 & CR4_FIXED0) == CR4_FIXED0);
	REQUIRE("VE-GST-03", !(v->guest_cr4 & ~c->vmx->cr4_fixed1));
	if (ENTRY(IA32E_MODE_GUEST)) {
		REQUIRE("VE-GST-05", v->guest_cr0 & CR0_PG);
		REQUIRE("VE-GST-05", v->guest_cr4 & CR4_PAE);
	} else {
		REQUIRE("VE-GST-06", !(v->guest_cr4 & CR4_PCIDE));
	}
	REQUIRE("VE-GST-07", !(v->guest_cr3 >> cpu->model->physical_bits));
	if (ENTRY(LOAD_DEBUG_CONTROLS)) {
		REQUIRE("VE-GST-04", !(v->guest_debugctl & ~DEBUGCTL_VALID));
		REQUIRE("VE-GST-08", v->guest_dr7 >> 32 == 0);
	}
	REQUIRE("VE-GST-09", vmx_canonical(cpu, v->guest_sysenter_esp));
	REQUIRE("VE-GST-09", vmx_canonical(cpu, v->guest_sysenter_eip));
	if (ENTRY(LOAD_PERF_GLOBAL_CTRL))
		REQUIRE("VE-GST-10", !(v->guest_perf_global_ctrl & check_perf_global_reserved(c->cpu)));
	if (ENTRY(LOAD_PAT))
		REQUIRE("VE-GST-11", check_pat(v->guest_pat));
	if (ENTRY(LOAD_EFER)) {
		REQUIRE("VE-GST-12", !(v->guest_efer & check_efer_reserved(cpu)));
		REQUIRE("VE-GST-12", !(v->guest_efer & EFER_LMA) == !ENTRY(IA32E_MODE_GUEST));
		REQUIRE("VE-GST-12",
			!(v->guest_cr0 & CR0_PG) || !(v->guest_efer & EFER_LMA) == !(v->guest_efer & EFER_LME));
	}
	return true;
}

/* A segment register as the VMCS has it. */
struct guest_segment {
	u64 base;
	u32 limit, access;
	u16 selector;
};

static bool
usable(const struct guest_segment *s)
{
	return !(s->access & VMCS_UNUSABLE);
}

/* VE-SEG-21 */
static bool
granularity_fits(const struct guest_segment *s)
{
	bool g = s->access & SEG_G;

	return !((s->limit & 0xfff) != 0xfff && g) && !(s->limit >> 20 && !g);
}

/* Bits 11:8 and 31:17 of access rights. */
static bool
reserved_clear(const struct guest_segment *s)
{
	return !(s->access & 0xfffe0f00);
}

static bool
type_in(const struct guest_segment *s, u32 types)
{
	return BIT(s->access & SEG_TYPE) & types;
}

static bool
check_vm86_segment(struct check *c, const struct guest_segment *s)
{
	REQUIRE("VE-SEG-04", s->base == (u64)s->selector << 4);
	REQUIRE("VE-SEG-09", s->limit == 0xffff);
	REQUIRE("VE-SEG-10", s->access == ACCESS_VM86);
	return true;
}

static bool
check_cs(struct check *c, const struct guest_segment *cs, const struct guest_segment *ss)
{
	unsigned type = cs->access & SEG_TYPE, dpl = SEG_DPL(cs->access), ss_dpl = SEG_DPL(ss->access);
	u32 types = BIT(9) | BIT(11) | BIT(13) | BIT(15) | (SEC(UNRESTRICTED_GUEST) ? BIT(3) : 0);

	REQUIRE("VE-SEG-11", type_in(cs, types));
	REQUIRE("VE-SEG-14", cs->access & SEG_S);
	REQUIRE("VE-SEG-15", type != 3 || dpl == 0);
	REQUIRE("VE-SEG-15", (type != 9 && type != 11) || dpl == ss_dpl);
	REQUIRE("VE-SEG-15", (type != 13 && type != 15) || dpl <= ss_dpl);
	REQUIRE("VE-SEG-18", cs->access & SEG_P);
	REQUIRE("VE-SEG-19", reserved_clear(cs));
	REQUIRE("VE-SEG-20", !ENTRY(IA32E_MODE_GUEST) || !(cs->access & SEG_L) || !(cs->access & SEG_DB));
	REQUIRE("VE-SEG-21", granularity_fits(cs));
	return true;
}

static bool
check_ss(struct check *c, const struct guest_segment *cs, const struct guest_segment *ss)
{
	unsigned dpl = SEG_DPL(ss->access);

	REQUIRE("VE-SEG-03", SEC(UNRESTRICTED_GUEST) || (ss->selector & 3) == (cs->selector & 3));
	REQUIRE("VE-SEG-16", SEC(UNRESTRICTED_GUEST) || dpl == (ss->selector & 3));
	REQUIRE("VE-SEG-16", ((cs->access & SEG_TYPE) != 3 && (c->v->guest_cr0 & CR0_PE)) || dpl == 0);
	if (!usable(ss))
		return true;
	REQUIRE("VE-SEG-12", type_in(ss, BIT(3) | BIT(7)));
	REQUIRE("VE-SEG-14", ss->access & SEG_S);
	REQUIRE("VE-SEG-18", ss->access & SEG_P);
	REQUIRE("VE-SEG-19", reserved_clear(ss));
	REQUIRE("VE-SEG-21", granularity_fits(ss));
	return true;
}

/* DS, ES, FS, GS */
static bool
check_data_segment(struct check *c, const struct guest_segment *s)
{
	unsigned type = s->access & SEG_TYPE;

	if (!usable(s))
		return true;
	REQUIRE("VE-SEG-13", type & 1);
	REQUIRE("VE-SEG-13", !(type & 8) || (type & 2));
	REQUIRE("VE-SEG-14", s->access & SEG_S);
	REQUIRE("VE-SEG-17", SEC(UNRESTRICTED_GUEST) || type > 11 || SEG_DPL(s->access) >= (s->selector & 3u));
	REQUIRE("VE-SEG-18", s->access & SEG_P);
	REQUIRE("VE-SEG-19", reserved_clear(s));
	REQUIRE("VE-SEG-21", granularity_fits(s));
	return true;
}

static bool
check_system_segments(struct check *c, const struct guest_segment *tr, const struct guest_segment *ldtr)
{
	REQUIRE("VE-SEG-01", !(tr->selector & 4));
	REQUIRE("VE-SEG-05", vmx_canonical(c->cpu, tr->base));
	REQUIRE("VE-SEG-22", type_in(tr, ENTRY(IA32E_MODE_GUEST) ? BIT(11) : BIT(3) | BIT(11)));
	REQUIRE("VE-SEG-23", !(tr->access & SEG_S));
	REQUIRE("VE-SEG-23", tr->access & SEG_P);
	REQUIRE("VE-SEG-23", reserved_clear(tr));
	REQUIRE("VE-SEG-23", usable(tr));
	REQUIRE("VE-SEG-23", granularity_fits(tr));
	if (!usable(ldtr))
		return true;
	REQUIRE("VE-SEG-02", !(ldtr->selector & 4));
	REQUIRE("VE-SEG-06", vmx_canonical(c->cpu, ldtr->base));
	REQUIRE("VE-SEG-24", type_in(ldtr, BIT(2)));
	REQUIRE("VE-SEG-24", !(ldtr->access & SEG_S));
	REQUIRE("VE-SEG-24", ldtr->access & SEG_P);
	REQUIRE("VE-SEG-24", reserved_clear(ldtr));
	REQUIRE("VE-SEG-24", granularity_fits(ldtr));
	return true;
}

#define SEGMENT(name)                                                                                                  \
	{                                                                                                              \
		c->v->guest_##name##_base, c->v->guest_##name##_limit, c->v->guest_##name##_access,                    \
			c->v->guest_##name##_selector                                                                  \
	}

/* "Checks on Guest Segment Registers" */
static bool
check_segments(struct check *c)
{
	const struct guest_segment es = SEGMENT(es), cs = SEGMENT(cs), ss = SEGMENT(ss), ds = SEGMENT(ds);
	const struct guest_segment fs = SEGMENT(fs), gs = SEGMENT(gs), ldtr = SEGMENT(ldtr), tr = SEGMENT(tr);

	if (vm86(c)) {
		const struct guest_segment *all[] = {&cs, &ss, &ds, &es, &fs, &gs};

		for (unsigned i = 0; i < COUNT(all); i++)
			if (!check_vm86_segment(c, all[i]))
				return false;
	} else {
		if (!check_cs(c, &cs, &ss) || !check_ss(c, &cs, &ss) || !check_data_segment(c, &ds) ||
		    !check_data_segment(c, &es) || !check_data_segment(c, &fs) || !check_data_segment(c, &gs))
			return false;
	}
	REQUIRE("VE-SEG-05", vmx_canonical(c->cpu, fs.base));
	REQUIRE("VE-SEG-05", vmx_canonical(c->cpu, gs.base));
	REQUIRE("VE-SEG-07", cs.base >> 32 == 0);
	REQUIRE("VE-SEG-08", !usable(&ss) || ss.base >> 32 == 0);
	REQUIRE("VE-SEG-08", !usable(&ds) || ds.base >> 32 == 0);
	REQUIRE("VE-SEG-08", !usable(&es) || es.base >> 32 == 0);
	return check_system_segments(c, &tr, &ldtr);
}

/* "Checks on Guest Descriptor-Table Registers" */
static bool
check_tables(struct check *c)
{
	REQUIRE("VE-SEG-25", vmx_canonical(c->cpu, c->v->guest_gdtr_base));
	REQUIRE("VE-SEG-25", vmx_canonical(c->cpu, c->v->guest_idtr_base));
	REQUIRE("VE-SEG-25", c->v->guest_gdtr_limit >> 16 == 0);
	REQUIRE("VE-SEG-25", c->v->guest_idtr_limit >> 16 == 0);
	return true;
}

/* VE-RIP-02: bits 63:LAW alike, but not compared with the bit below them. */
static bool
upper_bits_alike(const struct check *c, u64 rip)
{
	u64 upper = rip >> c->cpu->model->linear_bits;

	return upper == 0 || upper == ~0ull >> c->cpu->model->linear_bits;
}

/* "Checks on Guest RIP, RFLAGS, and SSP" */
static bool
check_rip(struct check *c)
{
	const struct vmcs *v = c->v;
	bool code64 = ENTRY(IA32E_MODE_GUEST) && (v->guest_cs_access & SEG_L);
	u32 info = v->entry_interruption_info;

	REQUIRE("VE-RIP-01", code64 || v->guest_rip >> 32 == 0);
	REQUIRE("VE-RIP-02", !code64 || upper_bits_alike(c, v->guest_rip));
	REQUIRE("VE-RIP-03", !(v->guest_rflags & (~BITS(~0ull, 21, 0) | BIT(15) | BIT(5) | BIT(3))));
	REQUIRE("VE-RIP-03", v->guest_rflags & BIT(1));
	REQUIRE("VE-RIP-04", !vm86(c) || (!ENTRY(IA32E_MODE_GUEST) && (v->guest_cr0 & CR0_PE)));
	REQUIRE("VE-RIP-05", !(info & INFO_VALID) || INFO_TYPE(info) != EVENT_EXTERNAL || (v->guest_rflags & FLAG_IF));
	return true;
}

static bool
activity_supported(const struct check *c)
{
	const struct vmx_capability *cap = &c->vmx->cap;

	switch (c->v->guest_activity) {
	case ACTIVITY_ACTIVE:
		return true;
	case ACTIVITY_HLT:
		return VMX_ALLOWED(cap, MISC, ACTIVITY_HLT);
	case ACTIVITY_SHUTDOWN:
		return VMX_ALLOWED(cap, MISC, ACTIVITY_SHUTDOWN);
	case ACTIVITY_WAIT_SIPI:
		return VMX_ALLOWED(cap, MISC, ACTIVITY_WAIT_SIPI);
	default:
		return false;
	}
}

/* VE-NRS-04: may this event be injected in this activity state? */
static bool
activity_takes(const struct check *c)
{
	u32 info = c->v->entry_interruption_info;
	unsigned type = INFO_TYPE(info);
	u8 vector = INFO_VECTOR(info);
	bool machine_check = type == EVENT_HARDWARE_EXCEPTION && vector == VECTOR_MC;

	if (!(info & INFO_VALID))
		return true;
	switch (c->v->guest_activity) {
	case ACTIVITY_ACTIVE:
		return true;
	case ACTIVITY_HLT:
		return type == EVENT_EXTERNAL || type == EVENT_NMI || machine_check ||
		       (type == EVENT_HARDWARE_EXCEPTION && vector == VECTOR_DB) ||
		       (type == EVENT_OTHER && vector == 0);
	case ACTIVITY_SHUTDOWN:
		return type == EVENT_NMI || machine_check;
	default:
		return false;
	}
}

/* VE-NRS-15 */
static bool
single_step_agrees(const struct check *c)
{
	const struct vmcs *v = c->v;
	u64 debugctl = ENTRY(LOAD_DEBUG_CONTROLS) ? v->guest_debugctl : c->cpu->msr.debugctl;
	bool step = (v->guest_rflags & FLAG_TF) && !(debugctl & DEBUGCTL_BTF);

	if (!(v->guest_interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS)) && v->guest_activity != ACTIVITY_HLT)
		return true;
	return !(v->guest_pending_debug & PENDING_DEBUG_BS) == !step;
}

/* "Checks on Guest Non-Register State", but the link pointer */
static bool
check_non_register(struct check *c)
{
	const struct vmcs *v = c->v;
	u32 info = v->entry_interruption_info, blocking = v->guest_interruptibility;
	bool external = (info & INFO_VALID) && INFO_TYPE(info) == EVENT_EXTERNAL;
	bool nmi = (info & INFO_VALID) && INFO_TYPE(info) == EVENT_NMI;

	REQUIRE("VE-NRS-01", activity_supported(c));
	REQUIRE("VE-NRS-02", v->guest_activity != ACTIVITY_HLT || SEG_DPL(v->guest_ss_access) == 0);
	REQUIRE("VE-NRS-03", !(blocking & (BLOCKING_STI | BLOCKING_MOV_SS)) || v->guest_activity == ACTIVITY_ACTIVE);
	REQUIRE("VE-NRS-04", activity_takes(c));
	REQUIRE("VE-NRS-06", blocking >> 4 == 0);
	REQUIRE("VE-NRS-07", (blocking & 3) != 3);
	REQUIRE("VE-NRS-08", !(blocking & BLOCKING_STI) || (v->guest_rflags & FLAG_IF));
	REQUIRE("VE-NRS-09", !external || !(blocking & (BLOCKING_STI | BLOCKING_MOV_SS)));
	REQUIRE("VE-NRS-10", !nmi || !(blocking & BLOCKING_MOV_SS));
	REQUIRE("VE-NRS-11", !(blocking & BLOCKING_SMI));
	REQUIRE("VE-NRS-12", !nmi || !PIN(VIRTUAL_NMIS) || !(blocking & BLOCKING_NMI));
	REQUIRE("VE-NRS-14", !(v->guest_pending_debug & ~(0xfull | PENDING_DEBUG_ENABLED | PENDING_DEBUG_BS)));
	REQUIRE("VE-NRS-15", single_step_agrees(c));
	return true;
}

static bool
link_revision_fits(const struct check *c)
{
	u32 expected = VMCS_REVISION | (SEC(VMCS_SHADOWING) ? VMCS_SHADOW : 0);

	return (u32)phys_read(c->cpu, c->v->vmcs_link_pointer, 4) == expected;
}

static bool
check_link_pointer(struct check *c)
{
	u64 pointer = c->v->vmcs_link_pointer;

	if (pointer == NO_VMCS)
		return true;
	c->qualification = QUALIFICATION_LINK_POINTER;
	REQUIRE("VE-NRS-17", vmx_page_address(c->cpu, pointer));
	REQUIRE("VE-NRS-17", !vmx_page_address(c->cpu, pointer) || link_revision_fits(c));
	REQUIRE("VE-NRS-17", pointer != c->vmx->current);
	c->qualification = 0;
	return true;
}

/* "Checks on Guest Page-Directory-Pointer-Table Entries" */
static bool
check_pdptes(struct check *c)
{
	const struct vmcs *v = c->v;

	if (!is_pae(c))
		return true;
	c->qualification = QUALIFICATION_PDPTE;
	if (SEC(ENABLE_EPT)) {
		REQUIRE("VE-PDP-01", check_pdpte(c->cpu, v->guest_pdpte0));
		REQUIRE("VE-PDP-01", check_pdpte(c->cpu, v->guest_pdpte1));
		REQUIRE("VE-PDP-01", check_pdpte(c->cpu, v->guest_pdpte2));
		REQUIRE("VE-PDP-01", check_pdpte(c->cpu, v->guest_pdpte3));
	} else {
		for (unsigned i = 0; i < 4; i++)
			REQUIRE("VE-PDP-02",
				check_pdpte(c->cpu, phys_read(c->cpu, (v->guest_cr3 & ~31ull) + 8 * i, 8)));
	}
	c->qualification = 0;
	return true;
}

bool
check_guest(struct check *c)
{
	return check_registers(c) && check_segments(c) && check_tables(c) && check_rip(c) && check_non_register(c) &&
	       check_link_pointer(c) && check_pdptes(c);
}
