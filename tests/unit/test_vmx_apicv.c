/* The local APIC in VMX non-root operation: APIC virtualization, virtual and posted interrupts, external interrupts. */
#include "tests/unit/vmx_exit_fixture.h"

#include "cpu/lapic.h"

static void
apic_access_page_reads_exit_or_are_virtualized(void **state)
{
	(void)state;
	CODE(f, "\x8b\x03\x0f\xa2"); /* mov eax,[rbx]; cpuid */
	SEC_SET(VIRTUALIZE_APIC_ACCESSES);
	f->v->apic_access_address = APIC_ACCESS;
	f->cpu->r[RBX] = APIC_ACCESS + 0x80;
	run();
	expect_exit(REASON_APIC_ACCESS, 0x080, GUEST_CODE);
	PROC_SET(TPR_SHADOW);
	f->v->virtual_apic_address = VIRTUAL_APIC;
	poke(f, VIRTUAL_APIC + 0x80, 4, 0x55);
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 2);
	assert_int_equal(f->cpu->r[RAX], 0x55);
	f->v->guest_rip = GUEST_CODE;
	f->cpu->r[RBX] = APIC_ACCESS + 0x20;
	run();
	expect_exit(REASON_APIC_ACCESS, 0x020, GUEST_CODE);
	SEC_SET(APIC_REGISTER_VIRTUALIZATION);
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 2);
}

static void
apic_writes_are_emulated_after_the_instruction(void **state)
{
	(void)state;
	CODE(f, "\x89\x03\x0f\xa2"); /* mov [rbx],eax; cpuid */
	SEC_SET(VIRTUALIZE_APIC_ACCESSES);
	SEC_SET(APIC_REGISTER_VIRTUALIZATION);
	PROC_SET(TPR_SHADOW);
	f->v->apic_access_address = APIC_ACCESS;
	f->v->virtual_apic_address = VIRTUAL_APIC;
	f->cpu->r[RBX] = APIC_ACCESS + 0x0f0;
	f->cpu->r[RAX] = 0x1ff;
	run();
	expect_exit(REASON_APIC_WRITE, 0x0f0, GUEST_CODE + 2);
	assert_int_equal(peek(f, VIRTUAL_APIC + 0xf0, 4), 0x1ff);
	/* TPR: below the threshold */
	f->v->guest_rip = GUEST_CODE;
	f->cpu->r[RBX] = APIC_ACCESS + 0x080;
	f->cpu->r[RAX] = 0x20;
	f->v->tpr_threshold = 3;
	poke(f, VIRTUAL_APIC + 0x80, 4, 0x40);
	run();
	expect_exit(REASON_TPR_BELOW_THRESHOLD, 0, GUEST_CODE + 2);
}

static void
cr8_is_the_virtual_tpr(void **state)
{
	(void)state;
	CODE(f, "\x44\x0f\x22\xc0\x44\x0f\x20\xc3\x0f\xa2"); /* mov cr8,rax; mov rbx,cr8; cpuid */
	PROC_SET(TPR_SHADOW);
	f->v->virtual_apic_address = VIRTUAL_APIC;
	f->cpu->r[RAX] = 5;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 8);
	assert_int_equal(f->cpu->r[RBX], 5);
	assert_int_equal(peek(f, VIRTUAL_APIC + 0x80, 4), 0x50);
}

/* Virtual-interrupt delivery with vector 0x51 requested. */
static void
request_virtual_interrupt(void)
{
	PIN_SET(EXTERNAL_INTERRUPT_EXITING);
	PROC_SET(TPR_SHADOW);
	SEC_SET(VIRTUAL_INTERRUPT_DELIVERY);
	f->v->virtual_apic_address = VIRTUAL_APIC;
	f->v->guest_interrupt_status = 0x51;
	poke(f, VIRTUAL_APIC + 0x220, 4, 1 << 0x11);
}

static void
virtual_interrupts_are_delivered_when_if_allows(void **state)
{
	(void)state;
	CODE(f, "\x90\xfb\x90\x0f\xa2"); /* nop; sti; nop; cpuid */
	request_virtual_interrupt();
	run();
	assert_true(f->cpu->nonroot);
	assert_int_equal(f->cpu->rip & ~15ull, 0x70000 + 16 * 0x51);
	assert_int_equal(peek(f, f->cpu->r[RSP], 8), GUEST_CODE + 3);
	assert_int_equal(f->v->guest_interrupt_status, 0x5100);
	assert_int_equal(peek(f, VIRTUAL_APIC + 0x220, 4), 0);
	assert_int_equal(peek(f, VIRTUAL_APIC + 0x120, 4), 1 << 0x11);
	assert_int_equal(peek(f, VIRTUAL_APIC + 0x0a0, 4), 0x50);
}

static void
a_virtual_interrupt_below_the_tpr_waits(void **state)
{
	(void)state;
	CODE(f, "\xfb\x90\x90\x0f\xa2");
	request_virtual_interrupt();
	poke(f, VIRTUAL_APIC + 0x80, 4, 0x50);
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 3);
	assert_int_equal(f->v->guest_interrupt_status, 0x51);
}

static void
a_virtual_eoi_exits_by_the_bitmap(void **state)
{
	(void)state;
	CODE(f, "\x89\x03\x0f\xa2");
	request_virtual_interrupt();
	SEC_SET(VIRTUALIZE_APIC_ACCESSES);
	f->v->apic_access_address = APIC_ACCESS;
	f->v->guest_interrupt_status = 0x6100;
	poke(f, VIRTUAL_APIC + 0x220, 4, 0);
	poke(f, VIRTUAL_APIC + 0x130, 4, 2);
	poke(f, VIRTUAL_APIC + 0x120, 4, 1 << 0x11);
	f->cpu->r[RBX] = APIC_ACCESS + 0xb0;
	f->v->eoi_exit_bitmap_1 = BIT(0x21);
	run();
	expect_exit(REASON_EOI_INDUCED, 0x61, GUEST_CODE + 2);
	assert_int_equal(f->v->guest_interrupt_status, 0x5100);
	assert_int_equal(peek(f, VIRTUAL_APIC + 0x0a0, 4), 0x50);
}

static void
the_virtual_ppr_is_the_higher_of_tpr_and_service(void **state)
{
	static const u8 cases[][3] = {{0x35, 0x30, 0x35}, {0x35, 0x40, 0x40}, {0x35, 0x2f, 0x35}, {0x00, 0x51, 0x50}};

	(void)state;
	CODE(f, "\x0f\xa2");
	request_virtual_interrupt();
	for (unsigned i = 0; i < COUNT(cases); i++) {
		poke(f, VIRTUAL_APIC + 0x80, 4, cases[i][0]);
		f->v->guest_interrupt_status = (u16)(cases[i][1] << 8);
		f->v->guest_rip = GUEST_CODE;
		run();
		expect_exit(REASON_CPUID, 0, GUEST_CODE);
		assert_int_equal(peek(f, VIRTUAL_APIC + 0xa0, 4), cases[i][2]);
	}
}

static void
accesses_outside_the_low_four_bytes_of_a_slot_exit(void **state)
{
	(void)state;
	CODE(f, "\x8b\x03\x0f\xa2");
	SEC_SET(VIRTUALIZE_APIC_ACCESSES);
	SEC_SET(APIC_REGISTER_VIRTUALIZATION);
	PROC_SET(TPR_SHADOW);
	f->v->apic_access_address = APIC_ACCESS;
	f->v->virtual_apic_address = VIRTUAL_APIC;
	for (unsigned at = 1; at < 16; at++) {
		f->cpu->r[RBX] = APIC_ACCESS + 0x80 + at;
		f->v->guest_rip = GUEST_CODE;
		run();
		/* One that crosses into the next dword is one access for the guest, but may be seen as its bytes. */
		assert_int_equal(f->v->exit_reason, REASON_APIC_ACCESS);
		assert_int_equal(f->v->guest_rip, GUEST_CODE);
	}
}

static void
posted_interrupts_are_taken_without_an_exit(void **state)
{
	(void)state;
	CODE(f, "\xfb\x90\xeb\xfe"); /* sti; nop; jmp $ */
	request_virtual_interrupt();
	PIN_SET(POSTED_INTERRUPTS);
	EXIT_SET(ACKNOWLEDGE_INTERRUPT);
	f->v->guest_interrupt_status = 0x61; /* also requested, and higher */
	poke(f, VIRTUAL_APIC + 0x230, 4, 2);
	poke(f, VIRTUAL_APIC + 0x220, 4, 0);
	f->v->posted_interrupt_vector = 0xf2;
	f->v->posted_interrupt_descriptor = OPERAND;
	poke(f, OPERAND + 8, 4, 1 << 0x11); /* PIR: 0x51 */
	poke(f, OPERAND + 32, 4, 1);        /* ON */
	lapic_base_write(f->cpu, 0xfee00900);
	lapic_write(f->cpu, 0xf0, 4, 0x1ff);
	lapic_set_irr(f->cpu, 0xf2);
	run();
	assert_true(f->cpu->nonroot);
	assert_int_equal(f->cpu->rip & ~15ull, 0x70000 + 16 * 0x61);
	assert_int_equal(f->v->guest_interrupt_status, 0x6151);
	assert_int_equal(peek(f, OPERAND + 8, 4), 0);
	assert_int_equal(peek(f, OPERAND + 32, 4), 0);
	assert_int_equal(peek(f, VIRTUAL_APIC + 0x220, 4), 1 << 0x11);
	/* The notification was ended at the local APIC. */
	assert_int_equal(lapic_read(f->cpu, 0x170, 4), 0);
}

static void
other_interrupts_exit_with_their_vector_when_acknowledged(void **state)
{
	(void)state;
	CODE(f, "\x90\xeb\xfe");
	PIN_SET(EXTERNAL_INTERRUPT_EXITING);
	lapic_base_write(f->cpu, 0xfee00900);
	lapic_write(f->cpu, 0xf0, 4, 0x1ff);
	lapic_set_irr(f->cpu, 0x71);
	run();
	expect_exit(REASON_EXTERNAL_INTERRUPT, 0, GUEST_CODE);
	assert_int_equal(f->v->exit_interruption_info, 0);
	EXIT_SET(ACKNOWLEDGE_INTERRUPT);
	run();
	expect_exit(REASON_EXTERNAL_INTERRUPT, 0, GUEST_CODE);
	assert_int_equal(f->v->exit_interruption_info, 0x80000071);
	assert_int_equal(lapic_read(f->cpu, 0x130, 4), 1 << 0x11);
}

static void
x2apic_msrs_are_virtualized(void **state)
{
	(void)state;
	CODE(f, "\x0f\x30\x0f\xa2"); /* wrmsr; cpuid */
	request_virtual_interrupt();
	f->v->guest_interrupt_status = 0;
	poke(f, VIRTUAL_APIC + 0x220, 4, 0);
	SEC_SET(VIRTUALIZE_X2APIC_MODE);
	PROC_SET(MSR_BITMAPS);
	f->v->msr_bitmap = MSR_BITMAP;
	f->cpu->r[RCX] = 0x808;
	f->cpu->r[RAX] = 0x30;
	f->cpu->r[RDX] = 0;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 2);
	assert_int_equal(peek(f, VIRTUAL_APIC + 0x80, 8), 0x30);
	/* self-IPI */
	f->cpu->r[RCX] = 0x83f;
	f->cpu->r[RAX] = 0x51;
	f->v->guest_rip = GUEST_CODE;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 2);
	assert_int_equal(f->v->guest_interrupt_status, 0x51);
	f->cpu->r[RAX] = 5;
	f->v->guest_rip = GUEST_CODE;
	f->cpu->r[RCX] = 0x83f;
	run();
	expect_exit(REASON_APIC_WRITE, 0x3f0, GUEST_CODE + 2);
	/* reserved bits */
	f->v->exception_bitmap = BIT(VECTOR_GP);
	f->cpu->r[RCX] = 0x808;
	f->cpu->r[RAX] = 0x100;
	f->v->guest_rip = GUEST_CODE;
	run();
	expect_exit(REASON_EXCEPTION_NMI, 0, GUEST_CODE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(apic_access_page_reads_exit_or_are_virtualized),
		TEST(apic_writes_are_emulated_after_the_instruction),
		TEST(cr8_is_the_virtual_tpr),
		TEST(virtual_interrupts_are_delivered_when_if_allows),
		TEST(a_virtual_interrupt_below_the_tpr_waits),
		TEST(a_virtual_eoi_exits_by_the_bitmap),
		TEST(the_virtual_ppr_is_the_higher_of_tpr_and_service),
		TEST(accesses_outside_the_low_four_bytes_of_a_slot_exit),
		TEST(posted_interrupts_are_taken_without_an_exit),
		TEST(other_interrupts_exit_with_their_vector_when_acknowledged),
		TEST(x2apic_msrs_are_virtualized),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
