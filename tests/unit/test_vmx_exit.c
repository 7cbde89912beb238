/* VM exits: guests of a few instructions run by the run loop, and what the VMCS and the host have afterwards. */
#include "tests/unit/vmx_exit_fixture.h"

static void
cpuid_exits_with_its_length_and_the_guests_state(void **state)
{
	(void)state;
	CODE(f, "\xb8\x34\x12\x00\x00\xf9\x0f\xa2"); /* mov eax,0x1234; stc; cpuid */
	f->v->guest_rflags = 2 | FLAG_RF;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 6);
	assert_int_equal(f->v->exit_instruction_length, 2);
	assert_int_equal(f->v->guest_rflags, 2 | FLAG_CF);
	assert_int_equal(f->v->guest_rsp, GUEST_STACK);
	assert_int_equal(f->v->guest_cs_access, 0xa09b);
	assert_int_equal(f->v->guest_fs_access & 0x10000, 0x10000);
	assert_int_equal(f->v->guest_interruptibility, 0);
	assert_int_equal(f->cpu->r[RAX], 0x1234);
	assert_int_equal(f->cpu->vmx->stats.exits[REASON_CPUID], 1);
}

static void
the_host_is_loaded_as_the_manual_says(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2");
	f->v->host_ss_selector = f->v->host_fs_selector = 0;
	f->v->host_fs_base = 0x1234567890ull;
	f->cpu->dr[7] = 0x701;
	f->cpu->msr.debugctl = 0;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE);
	assert_int_equal(f->cpu->dr[7], 0x400);
	assert_int_equal(f->cpu->seg[CS].limit, 0xffffffff);
	assert_int_equal(f->cpu->seg[CS].access, 0xa09b);
	assert_true(f->cpu->seg[SS].access & SEG_UNUSABLE);
	assert_true(f->cpu->seg[FS].access & SEG_UNUSABLE);
	assert_int_equal(f->cpu->seg[FS].base, 0x1234567890ull);
	assert_int_equal(f->cpu->seg[DS].access, 0xc093);
	assert_int_equal(f->cpu->tr.limit, 0x67);
	assert_int_equal(f->cpu->gdtr.limit, 0xffff);
	assert_true(f->cpu->ldtr.access & SEG_UNUSABLE);
	assert_int_equal(cpu_rflags(f->cpu), 2);
	assert_int_equal(f->cpu->cpl, 0);
}

static void
instructions_exit_only_with_their_control(void **state)
{
	static const struct {
		const char *code;
		unsigned length;
		u32 proc, sec;
		u32 reason;
	} cases[] = {
		{"\xf4", 1, (u32)VMX_MASK(PROC, HLT_EXITING), 0, REASON_HLT},
		{"\x0f\x31", 2, (u32)VMX_MASK(PROC, RDTSC_EXITING), 0, REASON_RDTSC},
		{"\x0f\x33", 2, (u32)VMX_MASK(PROC, RDPMC_EXITING), 0, REASON_RDPMC},
		{"\xf3\x90", 2, (u32)VMX_MASK(PROC, PAUSE_EXITING), 0, REASON_PAUSE_INSTRUCTION},
		{"\x0f\x09", 2, 0, (u32)VMX_MASK(SEC, WBINVD_EXITING), REASON_WBINVD},
		{"\x0f\x32", 2, 0, 0, REASON_MSR_READ},
		{"\x0f\x30", 2, 0, 0, REASON_MSR_WRITE},
		{"\x0f\x08", 2, 0, 0, REASON_INVD},
		{"\x0f\x01\xc1", 3, 0, 0, REASON_VMCALL},
		{"\x0f\x01\xc2", 3, 0, 0, REASON_VMLAUNCH},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		fixture_code(f, cases[i].code, cases[i].length);
		f->v->proc_controls |= cases[i].proc;
		f->v->sec_controls |= cases[i].sec;
		f->v->guest_rip = GUEST_CODE;
		run();
		expect_exit(cases[i].reason, 0, GUEST_CODE);
		assert_int_equal(f->v->exit_instruction_length, cases[i].length);
		f->v->proc_controls &= ~cases[i].proc;
		f->v->sec_controls &= ~cases[i].sec;
	}
	/* Without the controls the same instructions run: rdtsc; pause; wbinvd; cpuid */
	CODE(f, "\x0f\x31\xf3\x90\x0f\x09\x0f\xa2");
	f->v->guest_rip = GUEST_CODE;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 6);
}

static void
cr_accesses_are_qualified(void **state)
{
	(void)state;
	CODE(f, "\x0f\x20\xc3\x0f\x22\xd9"); /* mov rbx,cr0; mov cr3,rcx */
	PROC_SET(CR3_LOAD_EXITING);
	f->v->cr0_mask = CR0_TS | CR0_WP;
	f->v->cr0_read_shadow = CR0_TS;
	run();
	expect_exit(REASON_CR_ACCESS, 3 | 1 << 8, GUEST_CODE + 3);
	assert_int_equal(f->cpu->r[RBX], (f->v->guest_cr0 & ~CR0_WP) | CR0_TS);
	/* The value of a CR3 target passes. */
	CODE(f, "\x0f\x22\xd9\x0f\xa2");
	f->v->guest_rip = GUEST_CODE;
	f->v->cr3_target_count = 2;
	f->v->cr3_target_1 = PAGE_TABLES;
	f->cpu->r[RCX] = PAGE_TABLES;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 3);
}

static void
masked_bits_of_cr0_exit_and_the_others_do_not(void **state)
{
	(void)state;
	CODE(f, "\x0f\x22\xc0\x0f\xa2"); /* mov cr0,rax; cpuid */
	f->v->cr0_mask = CR0_TS;
	f->v->cr0_read_shadow = 0;
	f->cpu->r[RAX] = f->v->guest_cr0 | CR0_AM;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 3);
	assert_true(f->v->guest_cr0 & CR0_AM);
	f->v->guest_rip = GUEST_CODE;
	f->cpu->r[RAX] |= CR0_TS;
	run();
	expect_exit(REASON_CR_ACCESS, 0, GUEST_CODE);
}

static void
io_exits_by_bitmap_or_always(void **state)
{
	(void)state;
	CODE(f, "\xe4\x60\x66\xef"); /* in al,0x60; out dx,ax */
	f->cpu->r[RDX] = 0x8123;
	PROC_SET(IO_BITMAPS);
	f->v->io_bitmap_a = IO_PAGES;
	f->v->io_bitmap_b = IO_PAGES + 0x1000;
	poke(f, IO_PAGES + 0x1000 + 0x124 / 8, 1, 1 << 4); /* the second byte of the access */
	run();
	expect_exit(REASON_IO_INSTRUCTION, 0x81230001, GUEST_CODE + 2);
	f->v->proc_controls &= ~(u32)VMX_MASK(PROC, IO_BITMAPS);
	PROC_SET(UNCONDITIONAL_IO_EXITING);
	f->v->guest_rip = GUEST_CODE;
	run();
	expect_exit(REASON_IO_INSTRUCTION, 8 | BIT(6) | 0x60 << 16, GUEST_CODE);
}

static void
msr_accesses_exit_by_bitmap(void **state)
{
	static const struct {
		u32 address;
		unsigned byte;
	} cases[] = {{0x10, 0}, {0x1fff, 0}, {0xc0000080, 0x400}, {0xc0001fff, 0x400}};

	(void)state;
	PROC_SET(MSR_BITMAPS);
	f->v->msr_bitmap = MSR_BITMAP;
	CODE(f, "\x0f\x32\x0f\xa2"); /* rdmsr; cpuid */
	for (unsigned i = 0; i < COUNT(cases); i++) {
		u64 at = MSR_BITMAP + cases[i].byte + (cases[i].address & 0x1fff) / 8;

		poke(f, at, 1, 1 << (cases[i].address & 7));
		f->cpu->r[RCX] = cases[i].address;
		f->v->guest_rip = GUEST_CODE;
		run();
		expect_exit(REASON_MSR_READ, 0, GUEST_CODE);
		poke(f, at, 1, 0);
	}
	f->cpu->r[RCX] = 0x10;
	f->v->guest_rip = GUEST_CODE;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 2);
	f->cpu->r[RCX] = 0x2000;
	f->v->guest_rip = GUEST_CODE;
	run();
	expect_exit(REASON_MSR_READ, 0, GUEST_CODE);
}

static void
exceptions_exit_by_the_bitmap(void **state)
{
	(void)state;
	CODE(f, "\x0f\x0b"); /* ud2 */
	f->v->exception_bitmap = BIT(VECTOR_UD);
	run();
	expect_exit(REASON_EXCEPTION_NMI, 0, GUEST_CODE);
	assert_int_equal(f->v->exit_interruption_info, 0x80000306);
	assert_int_equal(f->v->idt_vectoring_info, 0);
	assert_true(f->v->guest_rflags & FLAG_RF);
	/* Not in the bitmap: the guest's handler runs. */
	f->v->exception_bitmap = 0;
	f->v->guest_rip = GUEST_CODE;
	f->v->guest_rflags = 2;
	run();
	assert_true(f->cpu->nonroot);
	assert_int_equal(f->cpu->rip & ~15ull, 0x70000 + 16 * VECTOR_UD);
}

static void
page_faults_exit_by_mask_and_match(void **state)
{
	(void)state;
	CODE(f, "\x8b\x04\x25\x00\x00\x00\x40"); /* mov eax,[0x40000000]: not mapped */
	f->v->exception_bitmap = BIT(VECTOR_PF);
	f->cpu->cr2 = 0x77;
	run();
	expect_exit(REASON_EXCEPTION_NMI, 0x40000000, GUEST_CODE);
	assert_int_equal(f->v->exit_interruption_info, 0x80000b0e);
	assert_int_equal(f->v->exit_interruption_error, 0);
	assert_int_equal(f->cpu->cr2, 0x77);
	/* bit 0 and no match: exits; bit 1 and no match: does not */
	f->v->exception_bitmap = 0;
	f->v->pf_error_mask = f->v->pf_error_match = 1;
	f->v->guest_rip = GUEST_CODE;
	run();
	expect_exit(REASON_EXCEPTION_NMI, 0x40000000, GUEST_CODE);
	f->v->exception_bitmap = BIT(VECTOR_PF);
	f->v->guest_rip = GUEST_CODE;
	run();
	assert_true(f->cpu->nonroot);
	assert_int_equal(f->cpu->cr2, 0x40000000);
}

static void
an_exit_during_delivery_reports_the_event(void **state)
{
	(void)state;
	CODE(f, "\xcd\x21");                         /* int 0x21 */
	poke(f, 0x60000 + 16 * 0x21 + 4, 2, 0x0e00); /* gate not present */
	f->v->exception_bitmap = BIT(VECTOR_NP);
	run();
	expect_exit(REASON_EXCEPTION_NMI, 0, GUEST_CODE);
	assert_int_equal(f->v->exit_interruption_info, 0x80000b0b);
	assert_int_equal(f->v->exit_interruption_error, 0x21 * 8 + 2);
	assert_int_equal(f->v->idt_vectoring_info, 0x80000421);
	assert_int_equal(f->v->exit_instruction_length, 2);
}

static void
a_triple_fault_exits(void **state)
{
	(void)state;
	CODE(f, "\x0f\x0b");
	f->v->guest_idtr_limit = 0;
	run();
	expect_exit(REASON_TRIPLE_FAULT, 0, GUEST_CODE);
	assert_int_equal(f->v->idt_vectoring_info, 0);
	assert_false(f->cpus->triple_fault);
}

static void
injected_events_are_delivered_before_the_first_instruction(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2");
	f->v->entry_interruption_info = 0x80000b0d; /* #GP with an error code */
	f->v->entry_error_code = 0x1230;
	f->v->exception_bitmap = BIT(VECTOR_GP); /* does not count for what is injected */
	run();
	assert_true(f->cpu->nonroot);
	assert_int_equal(f->cpu->rip & ~15ull, 0x70000 + 16 * VECTOR_GP);
	assert_int_equal(peek(f, f->cpu->r[RSP], 8), 0x1230);
	assert_int_equal(peek(f, f->cpu->r[RSP] + 8, 8), GUEST_CODE);
}

static void
injected_software_interrupts_return_behind_the_instruction(void **state)
{
	(void)state;
	f->v->entry_interruption_info = 0x80000480;
	f->v->entry_instruction_length = 2;
	run();
	assert_int_equal(f->cpu->rip & ~15ull, 0x70000 + 16 * 0x80);
	assert_int_equal(peek(f, f->cpu->r[RSP], 8), GUEST_CODE + 2);
}

static void
every_exit_clears_the_valid_bit_of_the_injection(void **state)
{
	(void)state;
	poke(f, 0x60000 + 16 * 0x80 + 4, 2, 0x0e00);
	f->v->entry_interruption_info = 0x80000080;
	f->v->guest_rflags = 2 | FLAG_IF;
	f->v->exception_bitmap = BIT(VECTOR_NP);
	run();
	expect_exit(REASON_EXCEPTION_NMI, 0, GUEST_CODE);
	assert_int_equal(f->v->entry_interruption_info, 0x80);
	assert_int_equal(f->v->idt_vectoring_info, 0x80000080);
	assert_int_equal(f->v->exit_interruption_error, 0x80 * 8 + 3);
}

static void
the_interrupt_window_opens_behind_the_sti_shadow(void **state)
{
	(void)state;
	CODE(f, "\x90\xfb\x90\x0f\xa2"); /* nop; sti; nop; cpuid */
	PROC_SET(INTERRUPT_WINDOW_EXITING);
	run();
	expect_exit(REASON_INTERRUPT_WINDOW, 0, GUEST_CODE + 3);
	assert_int_equal(f->v->guest_interruptibility, 0);
	/* IF is set at entry: before the first instruction. */
	f->v->guest_rip = GUEST_CODE;
	f->v->guest_rflags = 2 | FLAG_IF;
	run();
	expect_exit(REASON_INTERRUPT_WINDOW, 0, GUEST_CODE);
}

static void
the_nmi_window_opens_when_virtual_nmis_are_unblocked(void **state)
{
	(void)state;
	CODE(f, "\x90\x0f\xa2");
	PIN_SET(NMI_EXITING);
	PIN_SET(VIRTUAL_NMIS);
	PROC_SET(NMI_WINDOW_EXITING);
	run();
	expect_exit(REASON_NMI_WINDOW, 0, GUEST_CODE);
	f->v->guest_interruptibility = BLOCKING_NMI;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 1);
	assert_int_equal(f->v->guest_interruptibility, BLOCKING_NMI);
	assert_false(f->cpu->nmi_blocked);
}

static void
the_preemption_timer_counts_the_tsc_down(void **state)
{
	unsigned shift = f->cpu->vmx->cap.timer_shift;

	(void)state;
	CODE(f, "\xeb\xfe"); /* jmp $ */
	PIN_SET(PREEMPTION_TIMER);
	f->v->preemption_timer_value = 0;
	run();
	expect_exit(REASON_PREEMPTION_TIMER, 0, GUEST_CODE);
	for (u32 value = 1; value < 200; value += 37) {
		u64 start, end;

		f->v->preemption_timer_value = value;
		fixture_enter(f);
		start = cpu_time(f->cpu) + f->cpu->msr.tsc_offset;
		cpus_run(f->cpus);
		end = cpu_time(f->cpu) + f->cpu->msr.tsc_offset;
		expect_exit(REASON_PREEMPTION_TIMER, 0, GUEST_CODE);
		/* The OUT of the host is one more. */
		assert_in_range(end - (((start >> shift) + value) << shift), 0, 1);
	}
}

static void
the_preemption_timer_is_saved_when_asked(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2");
	PIN_SET(PREEMPTION_TIMER);
	EXIT_SET(SAVE_PREEMPTION_TIMER);
	f->v->preemption_timer_value = 1000;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE);
	assert_in_range(f->v->preemption_timer_value, 998, 1000);
	assert_false(event_armed(&f->cpu->vmx->timer));
}

static void
the_preemption_timer_ends_a_halt(void **state)
{
	(void)state;
	CODE(f, "\xf4\x90");
	PIN_SET(PREEMPTION_TIMER);
	f->v->preemption_timer_value = 100;
	run();
	expect_exit(REASON_PREEMPTION_TIMER, 0, GUEST_CODE + 1);
	assert_int_equal(f->v->guest_activity, ACTIVITY_HLT);
}

static void
the_monitor_trap_flag_exits_after_one_instruction(void **state)
{
	(void)state;
	CODE(f, "\x90\x90\x90");
	PROC_SET(MONITOR_TRAP_FLAG);
	run();
	expect_exit(REASON_MONITOR_TRAP_FLAG, 0, GUEST_CODE + 1);
	/* after delivery of the injected event, before its handler */
	f->v->entry_interruption_info = 0x80000306;
	run();
	expect_exit(REASON_MONITOR_TRAP_FLAG, 0, 0x70000 + 16 * VECTOR_UD);
	/* type 7 without the control */
	f->v->proc_controls &= ~(u32)VMX_MASK(PROC, MONITOR_TRAP_FLAG);
	f->v->guest_rip = GUEST_CODE;
	f->v->entry_interruption_info = 0x80000700;
	run();
	expect_exit(REASON_MONITOR_TRAP_FLAG, 0, GUEST_CODE);
}

static void
the_monitor_trap_flag_exits_after_a_fault_was_delivered(void **state)
{
	(void)state;
	CODE(f, "\x0f\x0b");
	PROC_SET(MONITOR_TRAP_FLAG);
	run();
	expect_exit(REASON_MONITOR_TRAP_FLAG, 0, 0x70000 + 16 * VECTOR_UD);
}

static void
guest_tsc_is_scaled_and_offset(void **state)
{
	(void)state;
	fixture_enter(f);
	assert_int_equal(vmx_guest_tsc(f->cpu, 1000), 1000);
	f->cpu->vmx->proc |= (u32)VMX_MASK(PROC, TSC_OFFSETTING);
	f->v->tsc_offset = (u64)-10;
	assert_int_equal(vmx_guest_tsc(f->cpu, 1000), 990);
	f->cpu->vmx->sec |= (u32)VMX_MASK(SEC, TSC_SCALING);
	f->v->tsc_multiplier = 3ull << 47;
	assert_int_equal(vmx_guest_tsc(f->cpu, 1000), 1490);
	f->cpu->nonroot = false;
	assert_int_equal(vmx_guest_tsc(f->cpu, 1000), 1000);
}

static void
msr_lists_are_stored_and_loaded_at_exit(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2");
	poke(f, MSR_LIST, 8, 0xc0000082);
	poke(f, MSR_LIST + 16, 8, 0xc0000084);
	poke(f, MSR_LIST + 24, 8, 0x4700);
	f->v->exit_msr_store_address = MSR_LIST;
	f->v->exit_msr_store_count = 1;
	f->v->exit_msr_load_address = MSR_LIST + 16;
	f->v->exit_msr_load_count = 1;
	f->cpu->msr.lstar = 0xabcd;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE);
	assert_int_equal(peek(f, MSR_LIST + 8, 8), 0xabcd);
	assert_int_equal(f->cpu->msr.fmask, 0x4700);
}

static void
a_bad_exit_msr_list_aborts(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2");
	poke(f, MSR_LIST, 8, 0x802);
	f->v->exit_msr_load_address = MSR_LIST;
	f->v->exit_msr_load_count = 1;
	run();
	assert_true(f->cpus->triple_fault);
	assert_int_equal(peek(f, VMCS_REGION + VMCS_REGION_ABORT, 4), 4);
}

static void
exits_are_counted_by_reason_entry_failures_too(void **state)
{
	const struct vmx_stats *stats = vmx_get_stats(f->cpu);

	(void)state;
	CODE(f, "\x0f\xa2");
	run();
	run();
	f->v->guest_rflags = 0;
	f->cpu->vmx->launched = 0;
	assert_true(LEAVES(op_vmlaunch(f->cpu, NULL)));
	assert_int_equal(stats->exits[REASON_CPUID], 2);
	assert_int_equal(stats->exits[REASON_INVALID_STATE], 1);
	assert_int_equal(stats->entries, 2);
	assert_int_equal(stats->failed_entries, 1);
	assert_string_equal(vmx_reason_name(REASON_EPT_VIOLATION), "EPT_VIOLATION");
	assert_null(vmx_reason_name(35));
	assert_null(vmx_reason_name(100000));
}

static void
an_nmi_exits_and_blocks_nmis_in_the_host(void **state)
{
	(void)state;
	CODE(f, "\x90\xeb\xfe");
	PIN_SET(NMI_EXITING);
	PIN_SET(VIRTUAL_NMIS);
	f->v->guest_interruptibility = BLOCKING_NMI; /* virtual-NMI blocking holds off no NMI */
	f->cpu->pending |= PEND_NMI;
	f->cpu->nmi_blocked = true;
	run();
	expect_exit(REASON_EXCEPTION_NMI, 0, GUEST_CODE);
	assert_int_equal(f->v->exit_interruption_info, 0x80000202);
	assert_int_equal(f->v->guest_interruptibility, BLOCKING_NMI);
	assert_true(f->cpu->nmi_blocked);
	assert_false(f->cpu->pending & PEND_NMI);
}

static void
iret_ends_virtual_nmi_blocking_and_an_exit_of_it_says_so(void **state)
{
	(void)state;
	CODE(f, "\x48\xcf"); /* iretq; the stack is not mapped */
	PIN_SET(NMI_EXITING);
	PIN_SET(VIRTUAL_NMIS);
	f->v->guest_interruptibility = BLOCKING_NMI;
	f->v->guest_rsp = 0x40000000;
	f->v->exception_bitmap = BIT(VECTOR_PF);
	run();
	expect_exit(REASON_EXCEPTION_NMI, 0x40000000, GUEST_CODE);
	assert_int_equal(f->v->exit_interruption_info, 0x80001b0e);
	assert_int_equal(f->v->guest_interruptibility, 0);
	RULE("IF-05 EV-06");
}

static void
injection_ends_blocking_and_leaves_cr2(void **state)
{
	(void)state;
	f->cpu->cr2 = 0x1234;
	f->v->guest_interruptibility = BLOCKING_MOV_SS;
	f->v->entry_interruption_info = 0x80000b0e;
	PROC_SET(MONITOR_TRAP_FLAG);
	run();
	expect_exit(REASON_MONITOR_TRAP_FLAG, 0, 0x70000 + 16 * VECTOR_PF);
	assert_int_equal(f->v->guest_interruptibility, 0);
	assert_int_equal(f->cpu->cr2, 0x1234);
}

static void
the_cpl_is_saved_in_ss(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2");
	f->v->guest_cs_selector = 0x0b;
	f->v->guest_cs_access = 0xa0fb;
	f->v->guest_ss_selector = 0x13;
	f->v->guest_ss_access = 0x10060;
	f->v->guest_ds_access = f->v->guest_es_access = 0x10000;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE);
	assert_int_equal(f->v->guest_ss_access & 0x10060, 0x10060);
	f->v->guest_ss_access |= 0x60;
	fixture_enter(f);
	assert_int_equal(f->cpu->cpl, 3);
	/* Whatever the register holds meanwhile. */
	f->cpu->seg[SS].access &= ~0x60;
	assert_true(LEAVES(vm_exit(f->cpu, REASON_INVD, 0, "test")));
	assert_int_equal(f->v->guest_ss_access & 0x60, 0x60);
}

static void
debug_controls_are_loaded_with_their_fixed_bits(void **state)
{
	(void)state;
	CODE(f, "\x0f\xa2");
	ENTRY_SET(LOAD_DEBUG_CONTROLS);
	EXIT_SET(SAVE_DEBUG_CONTROLS);
	f->v->guest_dr7 = 0xf002;
	f->v->guest_debugctl = 2;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE);
	assert_int_equal(f->v->guest_dr7, 0x2402);
	assert_int_equal(f->v->guest_debugctl, 2);
	assert_int_equal(f->cpu->msr.debugctl, 0);
}

static void
io_that_wraps_exits_and_writes_of_msrs_have_their_own_bitmap(void **state)
{
	(void)state;
	CODE(f, "\x66\xed"); /* in ax,dx */
	PROC_SET(IO_BITMAPS);
	f->v->io_bitmap_a = IO_PAGES;
	f->v->io_bitmap_b = IO_PAGES + 0x1000;
	f->cpu->r[RDX] = 0xffff;
	run();
	expect_exit(REASON_IO_INSTRUCTION, 1 | 8 | 0xffff0000ull, GUEST_CODE);
	CODE(f, "\x0f\x30\x0f\xa2"); /* wrmsr; cpuid */
	PROC_SET(MSR_BITMAPS);
	f->v->msr_bitmap = MSR_BITMAP;
	f->v->guest_rip = GUEST_CODE;
	f->cpu->r[RCX] = 0xc0000102;
	f->cpu->r[RAX] = f->cpu->r[RDX] = 0;
	poke(f, MSR_BITMAP + 0x400 + 0x102 / 8, 1, 1 << 2);
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 2);
	poke(f, MSR_BITMAP + 0xc00 + 0x102 / 8, 1, 1 << 2);
	f->v->guest_rip = GUEST_CODE;
	run();
	expect_exit(REASON_MSR_WRITE, 0, GUEST_CODE);
}

static void
lmsw_exits_for_what_it_would_change(void **state)
{
	static const struct {
		u64 mask, shadow;
		u16 source;
		bool exits;
	} cases[] = {
		{CR0_TS, 0, 0x8, true},     {CR0_TS, CR0_TS, 0x8, false}, {CR0_TS, CR0_TS, 0, true},
		{CR0_PE, CR0_PE, 0, false}, {CR0_PE, 0, 1, true},         {0, 0, 0xf, false},
	};

	(void)state;
	CODE(f, "\x0f\x01\xf0\x0f\xa2"); /* lmsw ax; cpuid */
	for (unsigned i = 0; i < COUNT(cases); i++) {
		f->v->cr0_mask = cases[i].mask;
		f->v->cr0_read_shadow = cases[i].shadow;
		f->v->guest_rip = GUEST_CODE;
		f->cpu->r[RAX] = cases[i].source;
		run();
		if (cases[i].exits)
			expect_exit(REASON_CR_ACCESS, 0x30 | (u64)cases[i].source << 16, GUEST_CODE);
		else
			expect_exit(REASON_CPUID, 0, GUEST_CODE + 3);
	}
}

static void
vmfunc_switches_among_the_list(void **state)
{
	(void)state;
	CODE(f, "\x0f\x01\xd4\x0f\xa2");
	fixture_ept(f);
	SEC_SET(ENABLE_VMFUNC);
	SEC_SET(EPT_VIOLATION_VE);
	f->v->ve_information_address = PML_PAGE;
	f->v->vm_function_controls = 1;
	f->v->eptp_list_address = OPERAND;
	poke(f, OPERAND + 8 * 511, 8, EPT_TABLES | 0x5e);
	poke(f, OPERAND + 0x1000, 8, EPT_TABLES | 0x5e); /* behind the list */
	f->cpu->r[RAX] = 0;
	f->cpu->r[RCX] = 511;
	run();
	expect_exit(REASON_CPUID, 0, GUEST_CODE + 3);
	assert_int_equal(f->v->eptp, EPT_TABLES | 0x5e);
	assert_int_equal(f->v->eptp_index, 511);
	f->v->guest_rip = GUEST_CODE;
	f->cpu->r[RCX] = 512;
	f->cpu->r[RAX] = 0;
	run();
	expect_exit(REASON_VMFUNC, 0, GUEST_CODE);
	f->cpu->r[RCX] = 3; /* an invalid entry */
	run();
	expect_exit(REASON_VMFUNC, 0, GUEST_CODE);
	f->cpu->r[RAX] = 1; /* no such function */
	run();
	expect_exit(REASON_VMFUNC, 0, GUEST_CODE);
	assert_int_equal(f->v->exit_instruction_length, 3);
}

static void
instruction_information_of_memory_operands(void **state)
{
	static const struct {
		const char *code;
		unsigned length;
		u32 reason, information;
		u64 qualification;
	} cases[] = {
		/* lgdt [rbx+rcx*4+0x10] */
		{"\x0f\x01\x54\x8b\x10", 5, REASON_GDTR_IDTR, 2 | 2 << 7 | 3 << 15 | 1 << 18 | 3 << 23 | 2u << 28,
		 0x10},
		/* sidt fs:[eax] */
		{"\x64\x67\x0f\x01\x08", 5, REASON_GDTR_IDTR, 1 << 7 | 4 << 15 | 1 << 22 | 0 << 23 | 1u << 28, 0},
		/* lgdt [rip-0x10] */
		{"\x0f\x01\x15\xf0\xff\xff\xff", 7, REASON_GDTR_IDTR, 2 << 7 | 3 << 15 | 1 << 22 | 1 << 27 | 2u << 28,
		 GUEST_CODE + 7 - 0x10},
		/* str r9d */
		{"\x41\x0f\x00\xc9", 4, REASON_LDTR_TR, 9 << 3 | 1 << 10 | 1u << 28, 0},
		/* lldt [rsp-8] */
		{"\x0f\x00\x54\x24\xf8", 5, REASON_LDTR_TR, 2 << 7 | 2 << 15 | 1 << 22 | 4 << 23 | 2u << 28, (u64)-8},
		/* vmclear [r13] */
		{"\x66\x41\x0f\xc7\x75\x00", 6, REASON_VMCLEAR, 2 << 7 | 3 << 15 | 1 << 22 | 13 << 23, 0},
		/* invept r10,[rax] */
		{"\x66\x44\x0f\x38\x80\x10", 6, REASON_INVEPT, 2 << 7 | 3 << 15 | 1 << 22 | 10u << 28, 0},
		/* rdrand r11d */
		{"\x41\x0f\xc7\xf3", 4, REASON_RDRAND, 11 << 3 | 1 << 11, 0},
	};

	(void)state;
	SEC_SET(DESCRIPTOR_TABLE_EXITING);
	SEC_SET(RDRAND_EXITING);
	for (unsigned i = 0; i < COUNT(cases); i++) {
		fixture_code(f, cases[i].code, cases[i].length);
		f->v->guest_rip = GUEST_CODE;
		run();
		expect_exit(cases[i].reason, cases[i].qualification, GUEST_CODE);
		assert_int_equal(f->v->exit_instruction_length, cases[i].length);
		if (f->v->exit_instruction_info != cases[i].information)
			fail_msg("case %u: information %08x, not %08x", i, f->v->exit_instruction_info,
				 cases[i].information);
	}
}

/* A VM exit in the middle of a delivery says so even where a #VE would have been raised. */
static void
no_violation_is_converted_during_a_delivery(void **state)
{
	(void)state;
	CODE(f, "\x0f\x0b");
	fixture_ept(f);
	SEC_SET(EPT_VIOLATION_VE);
	f->v->ve_information_address = PML_PAGE;
	f->v->guest_rsp = 0x300000;
	poke(f, EPT_TABLES + 0x2000 + 8, 8, 0); /* the page of the stack */
	run();
	assert_int_equal(f->v->exit_reason, REASON_EPT_VIOLATION);
	assert_int_equal(f->v->idt_vectoring_info, 0x80000306);
	assert_int_equal(f->v->guest_rip, GUEST_CODE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(cpuid_exits_with_its_length_and_the_guests_state),
		TEST(the_host_is_loaded_as_the_manual_says),
		TEST(instructions_exit_only_with_their_control),
		TEST(cr_accesses_are_qualified),
		TEST(masked_bits_of_cr0_exit_and_the_others_do_not),
		TEST(io_exits_by_bitmap_or_always),
		TEST(msr_accesses_exit_by_bitmap),
		TEST(exceptions_exit_by_the_bitmap),
		TEST(page_faults_exit_by_mask_and_match),
		TEST(an_exit_during_delivery_reports_the_event),
		TEST(a_triple_fault_exits),
		TEST(injected_events_are_delivered_before_the_first_instruction),
		TEST(injected_software_interrupts_return_behind_the_instruction),
		TEST(every_exit_clears_the_valid_bit_of_the_injection),
		TEST(the_interrupt_window_opens_behind_the_sti_shadow),
		TEST(the_nmi_window_opens_when_virtual_nmis_are_unblocked),
		TEST(the_preemption_timer_counts_the_tsc_down),
		TEST(the_preemption_timer_is_saved_when_asked),
		TEST(the_preemption_timer_ends_a_halt),
		TEST(the_monitor_trap_flag_exits_after_one_instruction),
		TEST(the_monitor_trap_flag_exits_after_a_fault_was_delivered),
		TEST(guest_tsc_is_scaled_and_offset),
		TEST(msr_lists_are_stored_and_loaded_at_exit),
		TEST(a_bad_exit_msr_list_aborts),
		TEST(exits_are_counted_by_reason_entry_failures_too),
		TEST(an_nmi_exits_and_blocks_nmis_in_the_host),
		TEST(iret_ends_virtual_nmi_blocking_and_an_exit_of_it_says_so),
		TEST(injection_ends_blocking_and_leaves_cr2),
		TEST(the_cpl_is_saved_in_ss),
		TEST(debug_controls_are_loaded_with_their_fixed_bits),
		TEST(io_that_wraps_exits_and_writes_of_msrs_have_their_own_bitmap),
		TEST(lmsw_exits_for_what_it_would_change),
		TEST(vmfunc_switches_among_the_list),
		TEST(instruction_information_of_memory_operands),
		TEST(no_violation_is_converted_during_a_delivery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
