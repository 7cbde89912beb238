/* What VM entry loads, VM exit saves and loads, and VMX aborts, seen from inside the processor. */
#include "tests/unit/vmx_entry_bases.h"

#define CPUID_CODE "\x0f\xa2"

static struct vmx_fixture fixture, *const f = &fixture;

static int
setup(void **state)
{
	(void)state;
	fixture_make(f, "max");
	base_plain(f);
	CODE(f, CPUID_CODE);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

/* A VM exit from the guest that fixture_enter() entered. */
static void
leave(void)
{
	assert_true(LEAVES(vm_exit(f->cpu, REASON_CPUID, 0, "test")));
}

static void
cr0_keeps_what_entries_and_exits_do_not_load(void **state)
{
	(void)state;
	f->cpu->cr0 = (f->cpu->cr0 & ~(u64)CR0_ET) | CR0_CD;
	f->v->guest_cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_TS | CR0_NW;
	f->v->guest_cr3 = PAGE_TABLES + 0x18;
	f->v->guest_cr4 = CR4_PAE | CR4_VMXE | CR4_OSFXSR;
	fixture_enter(f);
	assert_int_equal(f->cpu->cr0, CR0_PE | CR0_PG | CR0_NE | CR0_TS | CR0_CD);
	assert_int_equal(f->cpu->cr3, PAGE_TABLES + 0x18);
	assert_int_equal(f->cpu->cr4, CR4_PAE | CR4_VMXE | CR4_OSFXSR);
	RULE("LD-01 LD-02");
	f->v->host_cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_WP | CR0_ET | CR0_NW;
	f->v->host_cr3 = PAGE_TABLES;
	f->v->host_cr4 = CR4_VMXE | CR4_PCIDE;
	leave();
	assert_int_equal(f->cpu->cr0, CR0_PE | CR0_PG | CR0_NE | CR0_WP | CR0_CD);
	assert_int_equal(f->cpu->cr3, PAGE_TABLES);
	assert_int_equal(f->cpu->cr4, CR4_PAE | CR4_VMXE | CR4_PCIDE);
	assert_int_equal(f->v->guest_cr4, CR4_PAE | CR4_VMXE | CR4_OSFXSR);
	RULE("HL-01 HL-02 HL-03 SV-01");
}

static void
segments_and_tables_are_loaded_as_they_are(void **state)
{
	(void)state;
	/* No descriptor table is there to read: its page is zero. */
	f->v->guest_gdtr_base = 0x123000;
	f->v->guest_gdtr_limit = 0x1234;
	f->v->guest_idtr_base = 0x124000;
	f->v->guest_idtr_limit = 0x4321;
	f->v->guest_rflags = 2 | FLAG_RF | BIT(19) | BIT(20) | FLAG_CF;
	f->v->guest_rsp = NOT_CANONICAL;
	f->v->guest_ds_selector = 0x28;
	f->v->guest_ds_base = 0x55550000;
	f->v->guest_fs_base = 0xffff800012345678ull;
	poke(f, 0x123000, 8, 0);
	fixture_enter(f);
	assert_int_equal(f->cpu->gdtr.base, 0x123000);
	assert_int_equal(f->cpu->gdtr.limit, 0x1234);
	assert_int_equal(f->cpu->idtr.base, 0x124000);
	assert_int_equal(f->cpu->idtr.limit, 0x4321);
	assert_int_equal(f->cpu->r[RSP], NOT_CANONICAL);
	assert_int_equal(cpu_rflags(f->cpu), f->v->guest_rflags);
	assert_int_equal(f->cpu->seg[DS].selector, 0x28);
	assert_int_equal(f->cpu->seg[DS].base, 0x55550000);
	assert_int_equal(f->cpu->seg[FS].base, 0xffff800012345678ull);
	assert_true(f->cpu->seg[FS].access & SEG_UNUSABLE);
	for (unsigned i = 0; i < 0x40; i += 8)
		assert_int_equal(peek(f, 0x123000 + i, 8), 0);
	RULE("LD-08 LD-09 LD-15");
}

static void
the_hypervisors_own_state_does_not_carry_over(void **state)
{
	(void)state;
	f->cpu->monitor.armed = true;
	f->cpu->shadow = SHADOW_STI;
	fixture_enter(f);
	assert_false(f->cpu->monitor.armed);
	assert_int_equal(f->cpu->shadow, 0);
	assert_true(f->cpu->nonroot);
	RULE("LD-11");
	f->cpu->monitor.armed = true;
	f->cpu->shadow = SHADOW_MOV_SS;
	f->cpu->activity = ACTIVITY_HLT;
	f->cpu->pending_db = 1;
	leave();
	assert_false(f->cpu->monitor.armed);
	assert_int_equal(f->cpu->shadow, 0);
	assert_int_equal(f->cpu->activity, ACTIVITY_ACTIVE);
	assert_int_equal(f->cpu->pending_db, 0);
	RULE("HL-12");
}

static void
features_start_with_the_entry_and_stop_with_the_exit(void **state)
{
	(void)state;
	base_vid(f);
	f->v->pin_controls |= PIN(PREEMPTION_TIMER);
	f->v->preemption_timer_value = 0x10000;
	f->v->proc_controls |= PROC(TSC_OFFSETTING);
	f->v->tsc_offset = 1000;
	f->v->guest_interrupt_status = 0x4151;
	f->cpu->vmx->ple_first = f->cpu->vmx->ple_last = 77;
	fixture_enter(f);
	assert_int_equal(vmx_guest_tsc(f->cpu, 5), 1005);
	assert_true(event_armed(&f->cpu->vmx->timer));
	assert_int_equal(f->cpu->vmx->ple_first, 0);
	assert_int_equal(f->cpu->vmx->ple_last, 0);
	RULE("LD-14");
	/* RVI is 51H and SVI 41H: the PPR is that of the service, and the interrupt is above it. */
	assert_int_equal(peek(f, VIRTUAL_APIC + 0xa0, 4), 0x40);
	assert_true(f->cpu->vmx->virtual_interrupt);
	RULE("LD-13 INJ-19");
	leave();
	assert_int_equal(vmx_guest_tsc(f->cpu, 5), 5);
	assert_false(event_armed(&f->cpu->vmx->timer));
	assert_false(f->cpu->vmx->virtual_interrupt);
	assert_int_equal(vmx_eptp(f->cpu), 0);
	RULE("HL-13");
}

static void
a_latched_init_exits_at_once(void **state)
{
	(void)state;
	fixture_enter(f);
	cpu_request(f->cpu, PEND_INIT);
	assert_true(LEAVES(vmx_intercept_init(f->cpu)));
	assert_int_equal(f->v->exit_reason, 3);
	assert_int_equal(f->v->guest_rip, GUEST_CODE);
	RULE("LD-17");
}

static void
wait_for_sipi_hears_nothing_else(void **state)
{
	(void)state;
	base_virtual_nmis(f);
	f->v->proc_controls |= PROC(NMI_WINDOW_EXITING) | PROC(INTERRUPT_WINDOW_EXITING);
	f->v->pin_controls |= PIN(PREEMPTION_TIMER) | PIN(EXTERNAL_INTERRUPT_EXITING);
	f->v->preemption_timer_value = 0;
	f->v->guest_rflags |= FLAG_IF;
	f->v->guest_activity = ACTIVITY_WAIT_SIPI;
	fixture_enter(f);
	assert_false(LEAVES(vmx_boundary(f->cpu, true)));
	assert_false(LEAVES(vmx_boundary(f->cpu, false)));
	assert_false(vmx_intercept_interrupt(f->cpu));
	assert_true(f->cpu->nonroot);
	assert_true(LEAVES(vmx_intercept_sipi(f->cpu, 0x9a)));
	assert_int_equal(f->v->exit_reason, 4);
	assert_int_equal(f->v->exit_qualification, 0x9a);
	assert_int_equal(f->v->guest_activity, ACTIVITY_WAIT_SIPI);
	RULE("INJ-22");
}

static void
host_segments(void **state)
{
	(void)state;
	f->v->host_ss_selector = f->v->host_gs_selector = 0;
	f->v->host_gs_base = 0x1234567890ull;
	f->v->host_gdtr_base = 0x777000;
	f->v->host_idtr_base = 0x778000;
	fixture_enter(f);
	f->cpu->ldtr = (struct segment){0x1000, 0xff, 0x20, 0x82};
	leave();
	assert_int_equal(f->cpu->seg[CS].selector, 8);
	assert_int_equal(f->cpu->seg[CS].base, 0);
	assert_int_equal(f->cpu->seg[CS].limit, 0xffffffff);
	assert_int_equal(f->cpu->seg[CS].access, 0xa09b);
	RULE("HS-01");
	assert_true(f->cpu->seg[SS].access & SEG_UNUSABLE);
	assert_int_equal(SEG_DPL(f->cpu->seg[SS].access), 0);
	assert_int_equal(f->cpu->seg[DS].access, 0xc093);
	assert_int_equal(f->cpu->seg[DS].limit, 0xffffffff);
	assert_int_equal(f->cpu->cpl, 0);
	RULE("HS-02");
	assert_true(f->cpu->seg[GS].access & SEG_UNUSABLE);
	assert_int_equal(f->cpu->seg[GS].base, 0x1234567890ull);
	RULE("HS-03");
	assert_int_equal(f->cpu->tr.limit, 0x67);
	assert_int_equal(f->cpu->tr.access, 0x8b);
	assert_int_equal(f->cpu->tr.base, 0x7000);
	RULE("HS-04");
	assert_true(f->cpu->ldtr.access & SEG_UNUSABLE);
	assert_int_equal(f->cpu->ldtr.selector, 0);
	RULE("HS-05");
	assert_int_equal(f->cpu->gdtr.base, 0x777000);
	assert_int_equal(f->cpu->idtr.base, 0x778000);
	assert_int_equal(f->cpu->gdtr.limit, 0xffff);
	RULE("HS-06");
	assert_int_equal(f->cpu->rip, HOST_CODE);
	assert_int_equal(f->cpu->r[RSP], f->v->host_rsp);
	assert_int_equal(cpu_rflags(f->cpu), 2);
	RULE("HL-11");
}

static void
a_32_bit_host_has_a_32_bit_code_segment(void **state)
{
	(void)state;
	base_host32(f);
	for (unsigned i = 0; i < 4; i++)
		poke(f, OPERAND + 0xc00 + 8 * i, 8, 0x1001);
	fixture_enter(f);
	leave();
	assert_int_equal(f->cpu->seg[CS].access, 0xc09b);
	assert_int_equal(f->cpu->efer & (EFER_LMA | EFER_LME), 0);
	assert_int_equal(f->cpu->pdpte[3], 0x1001);
	RULE("HS-01 XL-01");
}

static u32
abort_code(void)
{
	assert_true(f->cpus->triple_fault);
	assert_int_equal(f->cpu->activity, ACTIVITY_SHUTDOWN);
	return (u32)peek(f, VMCS_REGION + 4, 4);
}

static void
a_failing_msr_store_aborts_behind_the_saved_state(void **state)
{
	(void)state;
	poke(f, MSR_LIST, 8, 0x808);
	f->v->exit_msr_store_address = MSR_LIST;
	f->v->exit_msr_store_count = 1;
	f->v->entry_interruption_info = 0x80000700;
	fixture_enter(f);
	f->cpu->rip = GUEST_CODE + 0x77;
	leave();
	assert_int_equal(abort_code(), 1);
	/* Recorded and saved before, in this order; the host not loaded. */
	assert_int_equal(f->v->exit_reason, REASON_CPUID);
	assert_int_equal(f->v->entry_interruption_info, 0x700);
	RULE("XO-01");
	assert_int_equal(f->v->guest_rip, GUEST_CODE + 0x77);
	RULE("XO-02");
	assert_int_equal(f->cpu->rip, GUEST_CODE + 0x77);
	RULE("XO-03 VMCS-10");
}

static void
bad_pdptes_of_the_host_abort(void **state)
{
	(void)state;
	base_host32(f);
	poke(f, OPERAND + 0xc08, 8, 3);
	fixture_enter(f);
	leave();
	assert_int_equal(abort_code(), 2);
	RULE("XL-01 VMCS-10");
}

static void
a_failing_msr_load_aborts_behind_the_host_state(void **state)
{
	(void)state;
	/* LME must fit the paging of the host. */
	poke(f, MSR_LIST, 8, 0xc0000080);
	poke(f, MSR_LIST + 8, 8, 0);
	f->v->exit_msr_load_address = MSR_LIST;
	f->v->exit_msr_load_count = 1;
	fixture_enter(f);
	leave();
	assert_int_equal(abort_code(), 4);
	assert_int_equal(f->cpu->rip, HOST_CODE);
	RULE("XL-02 XL-03 XO-04 XO-05 VMCS-10");
}

static void
a_vm86_guest_takes_injected_software_interrupts_whatever_its_iopl(void **state)
{
	(void)state;
	base_vm86(f);
	/* 32-bit gate for vector 20H to 08:70000H, and a stack for CPL 0 */
	f->v->guest_idtr_base = 0x60000;
	f->v->guest_idtr_limit = 0x7ff;
	f->v->guest_gdtr_base = 0x62000;
	f->v->guest_gdtr_limit = 0xff;
	poke(f, 0x60000 + 8 * 0x20, 8, 0x0007ee0000080000ull);
	poke(f, 0x62008, 8, 0x00cf9b000000ffffull);
	poke(f, 0x62010, 8, 0x00cf93000000ffffull);
	poke(f, 0x7004, 4, 0x7f00);
	poke(f, 0x7008, 4, 0x10);
	f->v->guest_tr_base = 0x7000;
	f->v->guest_cr3 = OPERAND + 0x800;
	f->v->guest_pdpte0 = PAGE_TABLES + 0x2001;
	f->v->guest_rip = 0x100;
	f->v->entry_interruption_info = 0x80000420;
	f->v->entry_instruction_length = 2;
	fixture_enter(f);
	assert_int_equal(f->cpu->rip, 0x70000);
	assert_int_equal(f->cpu->cpl, 0);
	assert_int_equal(peek(f, 0x7f00 - 36, 4), 0x102);
	RULE("INJ-05");
}

static void
xsaves_exits_by_its_bitmap(void **state)
{
	struct insn in;

	(void)state;
	secondary(f, SEC(ENABLE_XSAVES));
	f->v->xss_exiting_bitmap = BIT(8) | BIT(11);
	fixture_enter(f);
	memset(&in, 0, sizeof(in));
	assert_int_equal(decode(f->cpu, CODE64, (const u8 *)"\x0f\xc7\x2c\x24", 4, &in), DECODE_OK);
	f->cpu->current = &in;
	f->cpu->msr.xss = BIT(8);
	assert_false(LEAVES(vmx_intercept_xsaves(f->cpu, false, BIT(11) | 7)));
	assert_true(LEAVES(vmx_intercept_xsaves(f->cpu, false, BIT(8))));
	assert_int_equal(f->v->exit_reason, REASON_XSAVES);
	f->cpu->current = NULL;
	fixture_enter(f);
	f->cpu->current = &in;
	assert_true(LEAVES(vmx_intercept_xsaves(f->cpu, true, BIT(8))));
	assert_int_equal(f->v->exit_reason, REASON_XRSTORS);
	f->cpu->current = NULL;
	RULE("IX-12");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cr0_keeps_what_entries_and_exits_do_not_load),
		TEST(segments_and_tables_are_loaded_as_they_are),
		TEST(the_hypervisors_own_state_does_not_carry_over),
		TEST(features_start_with_the_entry_and_stop_with_the_exit),
		TEST(a_latched_init_exits_at_once),
		TEST(wait_for_sipi_hears_nothing_else),
		TEST(host_segments),
		TEST(a_32_bit_host_has_a_32_bit_code_segment),
		TEST(a_failing_msr_store_aborts_behind_the_saved_state),
		TEST(bad_pdptes_of_the_host_abort),
		TEST(a_failing_msr_load_aborts_behind_the_host_state),
		TEST(a_vm86_guest_takes_injected_software_interrupts_whatever_its_iopl),
		TEST(xsaves_exits_by_its_bitmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
