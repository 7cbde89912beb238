/* SDM 3, "Checks on Host Control Registers, MSRs, and SSP" and the two headings after it: VMfailValid(8). */
#include "cpu/cpuid.h"
#include "vmx/check.h"

static bool
check_registers(struct check *c)
{
	const struct vmcs *v = c->v;
	const struct vcpu *cpu = c->cpu;
	u64 lma_lme = EXIT(HOST_ADDRESS_SPACE_SIZE) ? EFER_LMA | EFER_LME : 0;

	c->heading = "Checks on Host Control Registers, MSRs, and SSP";
	REQUIRE("VE-HST-01", (v->host_cr0 & CR0_FIXED0) == CR0_FIXED0, FIELD(host_cr0), MUST_BE_1(CR0_FIXED0));
	REQUIRE("VE-HST-01", v->host_cr0 >> 32 == 0, FIELD(host_cr0), MUST_BE_0(~0ull << 32));
	REQUIRE("VE-HST-02", (v->host_cr4 & CR4_FIXED0) == CR4_FIXED0, FIELD(host_cr4), MUST_BE_1(CR4_FIXED0));
	REQUIRE("VE-HST-02", !(v->host_cr4 & ~c->vmx->cr4_fixed1), FIELD(host_cr4), MUST_BE_0(~c->vmx->cr4_fixed1));
	REQUIRE("VE-HST-03", !(v->host_cr3 >> cpu->model->physical_bits), FIELD(host_cr3), MUST_BE_0(BEYOND_PHYSICAL));
	REQUIRE("VE-HST-04", vmx_canonical(cpu, v->host_sysenter_esp), FIELD(host_sysenter_esp), CANONICAL);
	REQUIRE("VE-HST-04", vmx_canonical(cpu, v->host_sysenter_eip), FIELD(host_sysenter_eip), CANONICAL);
	if (EXIT(LOAD_PERF_GLOBAL_CTRL))
		REQUIRE("VE-HST-05", !(v->host_perf_global_ctrl & check_perf_global_reserved(c->cpu)),
			FIELD(host_perf_global_ctrl), MUST_BE_0(check_perf_global_reserved(c->cpu)));
	if (EXIT(LOAD_PAT))
		REQUIRE("VE-HST-06", check_pat(v->host_pat), FIELD(host_pat));
	if (EXIT(LOAD_EFER)) {
		REQUIRE("VE-HST-07", !(v->host_efer & check_efer_reserved(cpu)), FIELD(host_efer),
			MUST_BE_0(check_efer_reserved(cpu)));
		REQUIRE("VE-HST-07", (v->host_efer & (EFER_LMA | EFER_LME)) == lma_lme, FIELD(host_efer),
			CONTROL(EXIT, HOST_ADDRESS_SPACE_SIZE));
	}
	return true;
}

/* RPL and TI of a selector. */
#define RPL_TI 7

static bool
check_segments(struct check *c)
{
	const struct vmcs *v = c->v;
	const struct vcpu *cpu = c->cpu;

	c->heading = "Checks on Host Segment and Descriptor-Table Registers";
	REQUIRE("VE-HST-12", !(v->host_cs_selector & RPL_TI), FIELD(host_cs_selector), MUST_BE_0(RPL_TI));
	REQUIRE("VE-HST-12", !(v->host_ss_selector & RPL_TI), FIELD(host_ss_selector), MUST_BE_0(RPL_TI));
	REQUIRE("VE-HST-12", !(v->host_ds_selector & RPL_TI), FIELD(host_ds_selector), MUST_BE_0(RPL_TI));
	REQUIRE("VE-HST-12", !(v->host_es_selector & RPL_TI), FIELD(host_es_selector), MUST_BE_0(RPL_TI));
	REQUIRE("VE-HST-12", !(v->host_fs_selector & RPL_TI), FIELD(host_fs_selector), MUST_BE_0(RPL_TI));
	REQUIRE("VE-HST-12", !(v->host_gs_selector & RPL_TI), FIELD(host_gs_selector), MUST_BE_0(RPL_TI));
	REQUIRE("VE-HST-12", !(v->host_tr_selector & RPL_TI), FIELD(host_tr_selector), MUST_BE_0(RPL_TI));
	REQUIRE("VE-HST-13", v->host_cs_selector != 0, FIELD(host_cs_selector));
	REQUIRE("VE-HST-13", v->host_tr_selector != 0, FIELD(host_tr_selector));
	REQUIRE("VE-HST-13", EXIT(HOST_ADDRESS_SPACE_SIZE) || v->host_ss_selector != 0,
		CONTROL(EXIT, HOST_ADDRESS_SPACE_SIZE), FIELD(host_ss_selector));
	REQUIRE("VE-HST-14", vmx_canonical(cpu, v->host_fs_base), FIELD(host_fs_base), CANONICAL);
	REQUIRE("VE-HST-14", vmx_canonical(cpu, v->host_gs_base), FIELD(host_gs_base), CANONICAL);
	REQUIRE("VE-HST-14", vmx_canonical(cpu, v->host_gdtr_base), FIELD(host_gdtr_base), CANONICAL);
	REQUIRE("VE-HST-14", vmx_canonical(cpu, v->host_idtr_base), FIELD(host_idtr_base), CANONICAL);
	REQUIRE("VE-HST-14", vmx_canonical(cpu, v->host_tr_base), FIELD(host_tr_base), CANONICAL);
	return true;
}

/* Canonical for the paging that the host CR4 field chooses. */
static bool
rip_canonical(const struct check *c)
{
	unsigned shift = c->v->host_cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(c->v->host_rip << shift) >> shift) == c->v->host_rip;
}

static bool
check_address_space(struct check *c)
{
	const struct vmcs *v = c->v;

	c->heading = "Checks Related to Address-Space Size";
	if (c->cpu->efer & EFER_LMA) {
		REQUIRE("VE-HST-16", EXIT(HOST_ADDRESS_SPACE_SIZE), CONTROL(EXIT, HOST_ADDRESS_SPACE_SIZE));
	} else {
		REQUIRE("VE-HST-15", !ENTRY(IA32E_MODE_GUEST), CONTROL(ENTRY, IA32E_MODE_GUEST));
		REQUIRE("VE-HST-15", !EXIT(HOST_ADDRESS_SPACE_SIZE), CONTROL(EXIT, HOST_ADDRESS_SPACE_SIZE));
	}
	if (EXIT(HOST_ADDRESS_SPACE_SIZE)) {
		REQUIRE("VE-HST-18", v->host_cr4 & CR4_PAE, FIELD(host_cr4), MUST_BE_1(CR4_PAE));
		REQUIRE("VE-HST-18", rip_canonical(c), FIELD(host_rip), FIELD(host_cr4));
	} else {
		REQUIRE("VE-HST-17", !ENTRY(IA32E_MODE_GUEST), CONTROL(ENTRY, IA32E_MODE_GUEST));
		REQUIRE("VE-HST-17", !(v->host_cr4 & CR4_PCIDE), FIELD(host_cr4), MUST_BE_0(CR4_PCIDE));
		REQUIRE("VE-HST-17", v->host_rip >> 32 == 0, FIELD(host_rip), MUST_BE_0(~0ull << 32));
	}
	return true;
}

bool
check_host(struct check *c)
{
	return check_registers(c) && check_segments(c) && check_address_space(c);
}
