/* SDM 3, "Checking and Loading Guest State": the checks. A broken rule is VM-entry failure 33 with the qualification that the rule names. */
#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "vmx/check.h"

#define QUALIFICATION_PDPTE 2
#define QUALIFICATION_LINK_POINTER 4

#define DEBUGCTL_VALID 0x3ull /* LBR, BTF; what msr.def implements */
#define DEBUGCTL_BTF BIT(1)
#define ACCESS_VM86 0xf3u
#define PENDING_DEBUG_RTM BIT(16)
#define PENDING_DEBUG_RESERVED (~(0xfull | PENDING_DEBUG_ENABLED | PENDING_DEBUG_BS | PENDING_DEBUG_RTM))

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

	c->heading = "Checks on Guest Control Registers, Debug Registers, and MSRs";
	REQUIRE("VE-GST-01", (v->guest_cr0 & cr0_fixed) == cr0_fixed, FIELD(guest_cr0), MUST_BE_1(cr0_fixed));
	REQUIRE("VE-GST-01", v->guest_cr0 >> 32 == 0, FIELD(guest_cr0), MUST_BE_0(~0ull << 32));
	REQUIRE("VE-GST-02", !(v->guest_cr0 & CR0_PG) || (v->guest_cr0 & CR0_PE), FIELD(guest_cr0));
	REQUIRE("VE-GST-03", (v->guest_cr4 & CR4_FIXED0) == CR4_FIXED0, FIELD(guest_cr4), MUST_BE_1(CR4_FIXED0));
	REQUIRE("VE-GST-03", !(v->guest_cr4 & ~c->vmx->cr4_fixed1), FIELD(guest_cr4), MUST_BE_0(~c->vmx->cr4_fixed1));
	if (ENTRY(IA32E_MODE_GUEST)) {
		REQUIRE("VE-GST-05", v->guest_cr0 & CR0_PG, FIELD(guest_cr0), MUST_BE_1(CR0_PG));
		REQUIRE("VE-GST-05", v->guest_cr4 & CR4_PAE, FIELD(guest_cr4), MUST_BE_1(CR4_PAE));
	} else {
		REQUIRE("VE-GST-06", !(v->guest_cr4 & CR4_PCIDE), FIELD(guest_cr4), MUST_BE_0(CR4_PCIDE));
	}
	REQUIRE("VE-GST-07", !(v->guest_cr3 >> cpu->model->physical_bits), FIELD(guest_cr3),
		MUST_BE_0(BEYOND_PHYSICAL));
	if (ENTRY(LOAD_DEBUG_CONTROLS)) {
		REQUIRE("VE-GST-04", !(v->guest_debugctl & ~DEBUGCTL_VALID), FIELD(guest_debugctl),
			MUST_BE_0(~DEBUGCTL_VALID));
		REQUIRE("VE-GST-08", v->guest_dr7 >> 32 == 0, FIELD(guest_dr7), MUST_BE_0(~0ull << 32));
	}
	REQUIRE("VE-GST-09", vmx_canonical(cpu, v->guest_sysenter_esp), FIELD(guest_sysenter_esp), CANONICAL);
	REQUIRE("VE-GST-09", vmx_canonical(cpu, v->guest_sysenter_eip), FIELD(guest_sysenter_eip), CANONICAL);
	if (ENTRY(LOAD_PERF_GLOBAL_CTRL))
		REQUIRE("VE-GST-10", !(v->guest_perf_global_ctrl & check_perf_global_reserved(c->cpu)),
			FIELD(guest_perf_global_ctrl), MUST_BE_0(check_perf_global_reserved(c->cpu)));
	if (ENTRY(LOAD_PAT))
		REQUIRE("VE-GST-11", check_pat(v->guest_pat), FIELD(guest_pat));
	if (ENTRY(LOAD_EFER)) {
		REQUIRE("VE-GST-12", !(v->guest_efer & check_efer_reserved(cpu)), FIELD(guest_efer),
			MUST_BE_0(check_efer_reserved(cpu)));
		REQUIRE("VE-GST-12", !(v->guest_efer & EFER_LMA) == !ENTRY(IA32E_MODE_GUEST), FIELD(guest_efer),
			CONTROL(ENTRY, IA32E_MODE_GUEST));
		REQUIRE("VE-GST-12",
			!(v->guest_cr0 & CR0_PG) || !(v->guest_efer & EFER_LMA) == !(v->guest_efer & EFER_LME),
			FIELD(guest_cr0), FIELD(guest_efer));
	}
	return true;
}

/* A segment register as the VMCS has it. */
struct guest_segment {
	const char *name;
	u64 base;
	u32 limit, access;
	u16 selector;
};

#define SEGMENT(s, member)                                                                                             \
	{                                                                                                              \
		(s)->name, #member, (s)->member                                                                        \
	}
#define ACCESS_RESERVED 0xfffe0f00u

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
	return !(s->access & ACCESS_RESERVED);
}

static bool
type_in(const struct guest_segment *s, u32 types)
{
	return BIT(s->access & SEG_TYPE) & types;
}

static bool
check_vm86_segment(struct check *c, const struct guest_segment *s)
{
	REQUIRE("VE-SEG-04", s->base == (u64)s->selector << 4, SEGMENT(s, base), SEGMENT(s, selector));
	REQUIRE("VE-SEG-09", s->limit == 0xffff, SEGMENT(s, limit));
	REQUIRE("VE-SEG-10", s->access == ACCESS_VM86, SEGMENT(s, access));
	return true;
}

static bool
check_cs(struct check *c, const struct guest_segment *cs, const struct guest_segment *ss)
{
	unsigned type = cs->access & SEG_TYPE, dpl = SEG_DPL(cs->access), ss_dpl = SEG_DPL(ss->access);
	u32 types = BIT(9) | BIT(11) | BIT(13) | BIT(15) | (SEC(UNRESTRICTED_GUEST) ? BIT(3) : 0);

	REQUIRE("VE-SEG-11", type_in(cs, types), SEGMENT(cs, access), CONTROL(SEC, UNRESTRICTED_GUEST));
	REQUIRE("VE-SEG-14", cs->access & SEG_S, SEGMENT(cs, access), MUST_BE_1(SEG_S));
	REQUIRE("VE-SEG-15", type != 3 || dpl == 0, SEGMENT(cs, access));
	REQUIRE("VE-SEG-15", (type != 9 && type != 11) || dpl == ss_dpl, SEGMENT(cs, access), SEGMENT(ss, access));
	REQUIRE("VE-SEG-15", (type != 13 && type != 15) || dpl <= ss_dpl, SEGMENT(cs, access), SEGMENT(ss, access));
	REQUIRE("VE-SEG-18", cs->access & SEG_P, SEGMENT(cs, access), MUST_BE_1(SEG_P));
	REQUIRE("VE-SEG-19", reserved_clear(cs), SEGMENT(cs, access), MUST_BE_0(ACCESS_RESERVED));
	REQUIRE("VE-SEG-20", !ENTRY(IA32E_MODE_GUEST) || !(cs->access & SEG_L) || !(cs->access & SEG_DB),
		CONTROL(ENTRY, IA32E_MODE_GUEST), SEGMENT(cs, access));
	REQUIRE("VE-SEG-21", granularity_fits(cs), SEGMENT(cs, limit), SEGMENT(cs, access));
	return true;
}

static bool
check_ss(struct check *c, const struct guest_segment *cs, const struct guest_segment *ss)
{
	unsigned dpl = SEG_DPL(ss->access);

	REQUIRE("VE-SEG-03", SEC(UNRESTRICTED_GUEST) || (ss->selector & 3) == (cs->selector & 3),
		CONTROL(SEC, UNRESTRICTED_GUEST), SEGMENT(ss, selector), SEGMENT(cs, selector));
	REQUIRE("VE-SEG-16", SEC(UNRESTRICTED_GUEST) || dpl == (ss->selector & 3), SEGMENT(ss, access),
		SEGMENT(ss, selector), CONTROL(SEC, UNRESTRICTED_GUEST));
	REQUIRE("VE-SEG-16", ((cs->access & SEG_TYPE) != 3 && (c->v->guest_cr0 & CR0_PE)) || dpl == 0,
		SEGMENT(ss, access), SEGMENT(cs, access), FIELD(guest_cr0));
	if (!usable(ss))
		return true;
	REQUIRE("VE-SEG-12", type_in(ss, BIT(3) | BIT(7)), SEGMENT(ss, access));
	REQUIRE("VE-SEG-14", ss->access & SEG_S, SEGMENT(ss, access), MUST_BE_1(SEG_S));
	REQUIRE("VE-SEG-18", ss->access & SEG_P, SEGMENT(ss, access), MUST_BE_1(SEG_P));
	REQUIRE("VE-SEG-19", reserved_clear(ss), SEGMENT(ss, access), MUST_BE_0(ACCESS_RESERVED));
	REQUIRE("VE-SEG-21", granularity_fits(ss), SEGMENT(ss, limit), SEGMENT(ss, access));
	return true;
}

/* DS, ES, FS, GS */
static bool
check_data_segment(struct check *c, const struct guest_segment *s)
{
	unsigned type = s->access & SEG_TYPE;

	if (!usable(s))
		return true;
	REQUIRE("VE-SEG-13", type & 1, SEGMENT(s, access), MUST_BE_1(1));
	REQUIRE("VE-SEG-13", !(type & 8) || (type & 2), SEGMENT(s, access), MUST_BE_1(2));
	REQUIRE("VE-SEG-14", s->access & SEG_S, SEGMENT(s, access), MUST_BE_1(SEG_S));
	REQUIRE("VE-SEG-17", SEC(UNRESTRICTED_GUEST) || type > 11 || SEG_DPL(s->access) >= (s->selector & 3u),
		CONTROL(SEC, UNRESTRICTED_GUEST), SEGMENT(s, access), SEGMENT(s, selector));
	REQUIRE("VE-SEG-18", s->access & SEG_P, SEGMENT(s, access), MUST_BE_1(SEG_P));
	REQUIRE("VE-SEG-19", reserved_clear(s), SEGMENT(s, access), MUST_BE_0(ACCESS_RESERVED));
	REQUIRE("VE-SEG-21", granularity_fits(s), SEGMENT(s, limit), SEGMENT(s, access));
	return true;
}

static bool
check_system_segments(struct check *c, const struct guest_segment *tr, const struct guest_segment *ldtr)
{
	REQUIRE("VE-SEG-01", !(tr->selector & 4), SEGMENT(tr, selector), MUST_BE_0(4));
	REQUIRE("VE-SEG-05", vmx_canonical(c->cpu, tr->base), SEGMENT(tr, base), CANONICAL);
	REQUIRE("VE-SEG-22", type_in(tr, ENTRY(IA32E_MODE_GUEST) ? BIT(11) : BIT(3) | BIT(11)), SEGMENT(tr, access),
		CONTROL(ENTRY, IA32E_MODE_GUEST));
	REQUIRE("VE-SEG-23", !(tr->access & SEG_S), SEGMENT(tr, access), MUST_BE_0(SEG_S));
	REQUIRE("VE-SEG-23", tr->access & SEG_P, SEGMENT(tr, access), MUST_BE_1(SEG_P));
	REQUIRE("VE-SEG-23", reserved_clear(tr), SEGMENT(tr, access), MUST_BE_0(ACCESS_RESERVED));
	REQUIRE("VE-SEG-23", usable(tr), SEGMENT(tr, access), MUST_BE_0(VMCS_UNUSABLE));
	REQUIRE("VE-SEG-23", granularity_fits(tr), SEGMENT(tr, limit), SEGMENT(tr, access));
	if (!usable(ldtr))
		return true;
	REQUIRE("VE-SEG-02", !(ldtr->selector & 4), SEGMENT(ldtr, selector), MUST_BE_0(4));
	REQUIRE("VE-SEG-06", vmx_canonical(c->cpu, ldtr->base), SEGMENT(ldtr, base), CANONICAL);
	REQUIRE("VE-SEG-24", type_in(ldtr, BIT(2)), SEGMENT(ldtr, access));
	REQUIRE("VE-SEG-24", !(ldtr->access & SEG_S), SEGMENT(ldtr, access), MUST_BE_0(SEG_S));
	REQUIRE("VE-SEG-24", ldtr->access & SEG_P, SEGMENT(ldtr, access), MUST_BE_1(SEG_P));
	REQUIRE("VE-SEG-24", reserved_clear(ldtr), SEGMENT(ldtr, access), MUST_BE_0(ACCESS_RESERVED));
	REQUIRE("VE-SEG-24", granularity_fits(ldtr), SEGMENT(ldtr, limit), SEGMENT(ldtr, access));
	return true;
}

#define GUEST_SEGMENT(name)                                                                                            \
	{                                                                                                              \
		"guest_" #name, c->v->guest_##name##_base, c->v->guest_##name##_limit, c->v->guest_##name##_access,    \
			c->v->guest_##name##_selector                                                                  \
	}

/* "Checks on Guest Segment Registers" */
static bool
check_segments(struct check *c)
{
	const struct guest_segment es = GUEST_SEGMENT(es), cs = GUEST_SEGMENT(cs), ss = GUEST_SEGMENT(ss),
				   ds = GUEST_SEGMENT(ds);
	const struct guest_segment fs = GUEST_SEGMENT(fs), gs = GUEST_SEGMENT(gs), ldtr = GUEST_SEGMENT(ldtr),
				   tr = GUEST_SEGMENT(tr);

	c->heading = "Checks on Guest Segment Registers";
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
	REQUIRE("VE-SEG-05", vmx_canonical(c->cpu, fs.base), SEGMENT(&fs, base), CANONICAL);
	REQUIRE("VE-SEG-05", vmx_canonical(c->cpu, gs.base), SEGMENT(&gs, base), CANONICAL);
	REQUIRE("VE-SEG-07", cs.base >> 32 == 0, SEGMENT(&cs, base), MUST_BE_0(~0ull << 32));
	REQUIRE("VE-SEG-08", !usable(&ss) || ss.base >> 32 == 0, SEGMENT(&ss, base), MUST_BE_0(~0ull << 32));
	REQUIRE("VE-SEG-08", !usable(&ds) || ds.base >> 32 == 0, SEGMENT(&ds, base), MUST_BE_0(~0ull << 32));
	REQUIRE("VE-SEG-08", !usable(&es) || es.base >> 32 == 0, SEGMENT(&es, base), MUST_BE_0(~0ull << 32));
	return check_system_segments(c, &tr, &ldtr);
}

/* "Checks on Guest Descriptor-Table Registers" */
static bool
check_tables(struct check *c)
{
	c->heading = "Checks on Guest Descriptor-Table Registers";
	REQUIRE("VE-SEG-25", vmx_canonical(c->cpu, c->v->guest_gdtr_base), FIELD(guest_gdtr_base), CANONICAL);
	REQUIRE("VE-SEG-25", vmx_canonical(c->cpu, c->v->guest_idtr_base), FIELD(guest_idtr_base), CANONICAL);
	REQUIRE("VE-SEG-25", c->v->guest_gdtr_limit >> 16 == 0, FIELD(guest_gdtr_limit), MUST_BE_0(0xffff0000));
	REQUIRE("VE-SEG-25", c->v->guest_idtr_limit >> 16 == 0, FIELD(guest_idtr_limit), MUST_BE_0(0xffff0000));
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

	c->heading = "Checks on Guest RIP, RFLAGS, and SSP";
	REQUIRE("VE-RIP-01", code64 || v->guest_rip >> 32 == 0, FIELD(guest_rip), MUST_BE_0(~0ull << 32));
	REQUIRE("VE-RIP-02", !code64 || upper_bits_alike(c, v->guest_rip), FIELD(guest_rip), FIELD(guest_cs_access),
		CONTROL(ENTRY, IA32E_MODE_GUEST));
	REQUIRE("VE-RIP-03", !(v->guest_rflags & (~BITS(~0ull, 21, 0) | BIT(15) | BIT(5) | BIT(3))),
		FIELD(guest_rflags), MUST_BE_0(~BITS(~0ull, 21, 0) | BIT(15) | BIT(5) | BIT(3)));
	REQUIRE("VE-RIP-03", v->guest_rflags & BIT(1), FIELD(guest_rflags), MUST_BE_1(BIT(1)));
	REQUIRE("VE-RIP-04", !vm86(c) || (!ENTRY(IA32E_MODE_GUEST) && (v->guest_cr0 & CR0_PE)), FIELD(guest_rflags),
		CONTROL(ENTRY, IA32E_MODE_GUEST), FIELD(guest_cr0));
	REQUIRE("VE-RIP-05", !(info & INFO_VALID) || INFO_TYPE(info) != EVENT_EXTERNAL || (v->guest_rflags & FLAG_IF),
		FIELD(guest_rflags), FIELD(entry_interruption_info), MUST_BE_1(FLAG_IF));
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

	c->heading = "Checks on Guest Non-Register State";
	REQUIRE("VE-NRS-01", activity_supported(c), FIELD(guest_activity));
	REQUIRE("VE-NRS-02", v->guest_activity != ACTIVITY_HLT || SEG_DPL(v->guest_ss_access) == 0,
		FIELD(guest_activity), FIELD(guest_ss_access));
	REQUIRE("VE-NRS-03", !(blocking & (BLOCKING_STI | BLOCKING_MOV_SS)) || v->guest_activity == ACTIVITY_ACTIVE,
		FIELD(guest_activity), FIELD(guest_interruptibility));
	REQUIRE("VE-NRS-04", activity_takes(c), FIELD(guest_activity), FIELD(entry_interruption_info));
	REQUIRE("VE-NRS-06", blocking >> 4 == 0, FIELD(guest_interruptibility), MUST_BE_0(~15u));
	REQUIRE("VE-NRS-07", (blocking & 3) != 3, FIELD(guest_interruptibility));
	REQUIRE("VE-NRS-08", !(blocking & BLOCKING_STI) || (v->guest_rflags & FLAG_IF), FIELD(guest_rflags),
		FIELD(guest_interruptibility), MUST_BE_1(FLAG_IF));
	REQUIRE("VE-NRS-09", !external || !(blocking & (BLOCKING_STI | BLOCKING_MOV_SS)),
		FIELD(entry_interruption_info), FIELD(guest_interruptibility),
		MUST_BE_0(BLOCKING_STI | BLOCKING_MOV_SS));
	REQUIRE("VE-NRS-10", !nmi || !(blocking & BLOCKING_MOV_SS), FIELD(entry_interruption_info),
		FIELD(guest_interruptibility), MUST_BE_0(BLOCKING_MOV_SS));
	REQUIRE("VE-NRS-11", !(blocking & BLOCKING_SMI), FIELD(guest_interruptibility), MUST_BE_0(BLOCKING_SMI));
	REQUIRE("VE-NRS-12", !nmi || !PIN(VIRTUAL_NMIS) || !(blocking & BLOCKING_NMI), FIELD(entry_interruption_info),
		FIELD(guest_interruptibility), CONTROL(PIN, VIRTUAL_NMIS), MUST_BE_0(BLOCKING_NMI));
	REQUIRE("VE-NRS-14", !(v->guest_pending_debug & PENDING_DEBUG_RESERVED), FIELD(guest_pending_debug),
		MUST_BE_0(PENDING_DEBUG_RESERVED));
	/* RTM is not supported. */
	REQUIRE("VE-NRS-16", !(v->guest_pending_debug & PENDING_DEBUG_RTM), FIELD(guest_pending_debug),
		MUST_BE_0(PENDING_DEBUG_RTM));
	REQUIRE("VE-NRS-15", single_step_agrees(c), FIELD(guest_pending_debug), FIELD(guest_rflags),
		FIELD(guest_debugctl), FIELD(guest_interruptibility), FIELD(guest_activity));
	return true;
}

static u32
expected_revision(const struct check *c)
{
	return VMCS_REVISION | (SEC(VMCS_SHADOWING) ? VMCS_SHADOW : 0);
}

static bool
link_revision_fits(const struct check *c)
{
	return (u32)phys_read(c->cpu, c->v->vmcs_link_pointer, 4) == expected_revision(c);
}

static bool
check_link_pointer(struct check *c)
{
	u64 pointer = c->v->vmcs_link_pointer;

	c->heading = "Checks on Guest Non-Register State";
	if (pointer == NO_VMCS)
		return true;
	c->qualification = QUALIFICATION_LINK_POINTER;
	REQUIRE("VE-NRS-17", vmx_page_address(c->cpu, pointer), FIELD(vmcs_link_pointer), MUST_BE_0(PAGE_RESERVED));
	REQUIRE("VE-NRS-17", !vmx_page_address(c->cpu, pointer) || link_revision_fits(c), FIELD(vmcs_link_pointer),
		NAMED("its first word", (u32)phys_read(c->cpu, pointer, 4)), NAMED("must be", expected_revision(c)));
	REQUIRE("VE-NRS-17", pointer != c->vmx->current, FIELD(vmcs_link_pointer),
		NAMED("current VMCS", c->vmx->current));
	c->qualification = 0;
	return true;
}

/* "Checks on Guest Page-Directory-Pointer-Table Entries" */
static bool
check_pdptes(struct check *c)
{
	const struct vmcs *v = c->v;

	c->heading = "Checks on Guest Page-Directory-Pointer-Table Entries";
	if (!is_pae(c))
		return true;
	c->qualification = QUALIFICATION_PDPTE;
	if (SEC(ENABLE_EPT)) {
		REQUIRE("VE-PDP-01", check_pdpte(c->cpu, v->guest_pdpte0), FIELD(guest_pdpte0),
			MUST_BE_0(check_pdpte_reserved(c->cpu)));
		REQUIRE("VE-PDP-01", check_pdpte(c->cpu, v->guest_pdpte1), FIELD(guest_pdpte1),
			MUST_BE_0(check_pdpte_reserved(c->cpu)));
		REQUIRE("VE-PDP-01", check_pdpte(c->cpu, v->guest_pdpte2), FIELD(guest_pdpte2),
			MUST_BE_0(check_pdpte_reserved(c->cpu)));
		REQUIRE("VE-PDP-01", check_pdpte(c->cpu, v->guest_pdpte3), FIELD(guest_pdpte3),
			MUST_BE_0(check_pdpte_reserved(c->cpu)));
	} else {
		for (unsigned i = 0; i < 4; i++)
			REQUIRE("VE-PDP-02", check_pdpte(c->cpu, phys_read(c->cpu, (v->guest_cr3 & ~31ull) + 8 * i, 8)),
				FIELD(guest_cr3), NAMED("PDPTE", phys_read(c->cpu, (v->guest_cr3 & ~31ull) + 8 * i, 8)),
				MUST_BE_0(check_pdpte_reserved(c->cpu)));
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
