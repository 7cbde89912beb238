/* What the commands show of the processor, against the same fact found by another way. */
#include "tests/unit/debugger_fixture.h"

#include "bus/irq.h"
#include "cpu/lapic.h"
#include "cpu/paging.h"
#include "devices/e1000.h"
#include "devices/ioapic.h"
#include "devices/pci.h"
#include "devices/pic.h"

static void
in_guest(void)
{
	CODE(f, "\x90\x90\x90\x90\xf4");
	command("step");
	assert_true(f->cpu->nonroot);
}

static void
in_hypervisor(void)
{
	CODE(f, "\x0f\xa2\x90\x90\xf4");
	command("break exit");
	command("continue");
	assert_false(f->cpu->nonroot);
}

/* A table of two levels of the guest's own: 3 MiB up is mapped to guest-physical 5 MiB, and that by EPT to 7 MiB. */
static void
other_memory(void)
{
	poke(f, 0x60000, 8, 0x61007);
	poke(f, 0x61000, 8, 0x62007);
	for (unsigned i = 0; i < 512; i++)
		poke(f, 0x62000 + i * 8, 8, (u64)i << 21 | 0x87);
	poke(f, 0x62008, 8, 0x4000e7);
	poke(f, EPT_TABLES + 0x2010, 8, 0x6000b7);
	f->v->guest_cr3 = 0x60000;
	poke(f, 0x700000, 8, 0x1234567890abcdef);
}

static void
guest_addresses_are_seen_from_the_hypervisor(void **state)
{
	u64 gpa, physical;

	(void)state;
	other_memory();
	in_hypervisor();
	/* The hypervisor's own tables have something else there. */
	expect("x/1gx 0x300000", "0000000000000000");
	expect("x/1gx guest 0x300000", "1234567890abcdef");
	expect("x/1gx gpa 0x500000", "1234567890abcdef");
	expect("walk guest 0x300000", "linear 0x300000 -> physical 0x700000, page of 2M, rights RWX, user");
	expect("walk 0x300000", "linear 0x300000 -> physical 0x300000");
	expect("disasm guest 0x30000 2", "cpuid");
	expect("search guest 0x300000..0x300fff ef cd ab 90", "0x300000");
	assert_true(guest_linear_lookup(d, 0x300000, &gpa, &physical));
	assert_int_equal(gpa, 0x500000);
	assert_int_equal(physical, 0x700000);
	expect("info pages guest", "000000200000..0000003fffff -> 0000400000");
	command("set u32 guest 0x300000 = 0x55aa55aa");
	assert_int_equal(peek(f, 0x700000, 4), 0x55aa55aa);
}

static void
tables_that_refer_to_themselves_have_an_end(void **state)
{
	(void)state;
	in_hypervisor();
	for (unsigned i = 0; i < 512; i++)
		poke(f, 0x60000 + i * 8, 8, 0x60007);
	f->v->guest_cr3 = 0x60000;
	expect("info pages guest", "do tables refer to themselves?");
	for (unsigned i = 0; i < 512; i++)
		poke(f, EPT_TABLES + i * 8, 8, EPT_TABLES | 0x37);
	expect("ept dump", "do tables refer to themselves?");
}

static void
the_walk_agrees_with_the_processor(void **state)
{
	static const u64 addresses[] = {0, 0x1fffff, 0x300123, 0x3fffffff, 0x40000000, 0xffff800000000000, 0x30000};
	char text[100], line[60];

	(void)state;
	other_memory();
	in_guest();
	for (unsigned i = 0; i < COUNT(addresses); i++) {
		u64 gpa, physical;
		bool there = linear_peek(f->cpu, addresses[i], &gpa, &physical);

		snprintf(line, sizeof(line), "walk %#llx", (ull)addresses[i]);
		snprintf(text, sizeof(text), "linear %#llx -> physical %#llx", (ull)addresses[i], (ull)physical);
		if (there != (strstr(command(line), text) != NULL))
			fail_msg("%s: %s", line, output);
	}
}

static void
the_walk_tells_where_it_ends(void **state)
{
	(void)state;
	in_guest();
	poke(f, PAGE_TABLES + 0x2008, 8, (u64)1 << 51 | 0x87);
	expect("walk 0x200000", "reserved bits (address bits beyond the processor's width): #PF");
	poke(f, PAGE_TABLES + 0x2010, 8, 0x86);
	expect("walk 0x400000", "not present: #PF");
	poke(f, EPT_TABLES + 0x2018, 8, 0xb2);
	expect("walk 0x600000", "writable but not readable: EPT misconfiguration");
	expect("ept 0x600000", "EPT misconfiguration");
	poke(f, EPT_TABLES + 0x2020, 8, 0x800097);
	expect("ept 0x800000", "reserved memory type");
	expect("ept 1 << 50", "above 48 bits: EPT violation");
	expect("walk 0x800000000000", "not canonical: #GP");
}

static void
memory_types_follow_the_mtrrs_the_pat_and_ept(void **state)
{
	(void)state;
	f->cpu->msr.mtrr_def_type = 0xc06;
	f->cpu->msr.mtrr_phys[0] = 0x800000;
	f->cpu->msr.mtrr_phys[1] = 0x3fffff800800;
	f->cpu->msr.mtrr_fixed[2] = 0x0101010101010101;
	f->cpu->msr.pat = 0x0007040600070406;
	expect("info mtrr", "variable 0: 0000800000..0000ffffff UC");
	expect("info mtrr", "fixed: 0a0000..0bffff WC");
	expect("info mtrr", "PAT: 0 WB 1 WT 2 UC- 3 UC");
	expect("walk 0xa00000", "memory type UC (MTRR UC, PAT WB)");
	expect("walk 0xc00000", "memory type UC (MTRR UC");
	expect("walk 0x200000", "memory type WB (MTRR WB, PAT WB)");
	poke(f, PAGE_TABLES + 0x2008, 8, 0x20008f);
	expect("walk 0x200000", "memory type WT (MTRR WB, PAT WT)");
	in_guest();
	expect("walk 0x200000", "memory type WT (EPT WB, PAT WT)");
	poke(f, EPT_TABLES + 0x2008, 8, 0x2000f7);
	expect("walk 0x200000", "memory type WB (EPT WB, PAT WT, which EPT ignores)");
}

static void
registers_are_those_of_the_processor(void **state)
{
	char text[120];

	(void)state;
	in_guest();
	f->cpu->r[R9] = 0x0123456789abcdef;
	f->cpu->vec[3].q[2] = 0xfeedfacecafebeef;
	f->cpu->dr[2] = 0x1122334455;
	f->cpu->seg[FS].base = 0x7766554433;
	expect("regs", "r9  0123456789abcdef");
	expect("regs vec", "ymm3  0000000000000000 feedfacecafebeef");
	expect("regs dbg", "dr2 0000001122334455");
	expect("regs seg", "base 0000007766554433");
	snprintf(text, sizeof(text), "cr3 %016llx", (ull)f->cpu->cr3);
	expect("regs ctl", text);
	f->cpu->x87.r[5].significand = 0xc000000000000000;
	f->cpu->x87.r[5].sign_exponent = 0x4000;
	f->cpu->x87.status = 5 << 11;
	expect("regs fpu", "st0 4000 c000000000000000");
	f->cpu->msr.pat = 0x1234;
	expect("msr IA32_PAT", "0000000000001234");
	expect("msr 0x277", "0000000000001234");
}

static void
setting_changes_what_was_named(void **state)
{
	(void)state;
	in_guest();
	command("set r15 = 77");
	assert_int_equal(f->cpu->r[R15], 77);
	command("set u16 phys 0x6000 = 0xbeef");
	assert_int_equal(peek(f, 0x6000, 8), 0xbeef);
	command("set u8 0x6001 = 0");
	assert_int_equal(peek(f, 0x6000, 8), 0xef);
	command("set rip = 0x30002");
	assert_int_equal(f->cpu->rip, 0x30002);
}

static void
descriptor_tables_are_decoded(void **state)
{
	(void)state;
	f->cpu->gdtr.base = 0x7100;
	f->cpu->gdtr.limit = 0x2f;
	poke(f, 0x7108, 8, 0x00af9b000000ffff);
	poke(f, 0x7110, 8, 0x12cff3345678ffff);
	f->cpu->idtr.base = 0x7200;
	f->cpu->idtr.limit = 0xff;
	poke(f, 0x7200 + 14 * 16, 8, 0xffffee0300080123);
	poke(f, 0x7200 + 14 * 16 + 8, 8, 0xffffffff);
	expect("info gdt", "0008 base 0000000000000000 limit ffffffff code type b DPL 0 P L");
	expect("info gdt", "0010 base 0000000012345678 limit ffffffff data type 3 DPL 3 P D/B");
	expect("info idt", "0e 0008:ffffffffffff0123 type e DPL 3 IST 3");
	f->cpu->tr.base = 0x7300;
	poke(f, 0x7304, 8, 0xabcdef);
	expect("info tss", "rsp0 0000000000abcdef");
}

static void
the_tlb_is_listed(void **state)
{
	(void)state;
	in_guest();
	command("step 2");
	expect("info tlb", "0000000000030000");
	expect("info tlb", "vpid 0");
}

static void
the_local_apic_is_shown(void **state)
{
	(void)state;
	f->cpu->msr.apic_base = 0xfee00900;
	lapic_write(f->cpu, 0xf0, 4, 0x1ff);
	lapic_write(f->cpu, 0x320, 4, 0x20033);
	expect("info lapic", "SVR            000001ff");
	expect("info lapic", "timer          00020033");
}

static void
no_level(void *opaque, unsigned number, int level)
{
	(void)opaque;
	(void)number;
	(void)level;
}

static void
the_interrupt_controllers_are_shown(void **state)
{
	const struct irq_line intr = {no_level, NULL, 0};
	static struct pic pic;
	static struct ioapic ioapic;

	(void)state;
	pic_init(&pic, f->ports, &intr);
	ioapic_init(&ioapic, f->memory, &f->bus);
	d->host.pic = &pic;
	d->host.ioapic = &ioapic;
	/* ICW1..4, then a mask; the guest's way. */
	ports_write(f->ports, 0x20, 1, 0x11);
	ports_write(f->ports, 0x21, 1, 0x30);
	ports_write(f->ports, 0x21, 1, 0x04);
	ports_write(f->ports, 0x21, 1, 0x01);
	ports_write(f->ports, 0x21, 1, 0xf5);
	pic_set(&pic, 1, 1);
	expect("info pic", "master: vectors from 0x30");
	expect("info pic", "masked                 f5 0 2 4 5 6 7");
	expect("info pic", "requested (latched)    02 1");
	expect("info pic", "INTR is high");
	memory_write(f->memory, 0xfec00000, 4, 0x10 + 2 * 5);
	memory_write(f->memory, 0xfec00010, 4, 0x0a951);
	expect("info ioapic", " 5 000000000000a951 vector  81 lowest priority, logical destination 0, level, active low");
	pic_set(&pic, 1, 0);
}

static void
pci_functions_are_listed(void **state)
{
	static struct pci_bus bus;
	static struct pci_device device;

	(void)state;
	pci_bus_init(&bus, f->memory, f->ports);
	pci_device_init(&device, "a card", NULL, 0x1234, 0x5678, 1, 0x020000);
	pci_add(&bus, &device, PCI_DEVFN(5, 1));
	d->host.pci = &bus;
	/* The guest switches its memory on, and sets its interrupt line. */
	ports_write(f->ports, 0xcf8, 4, 0x80000000 | 5 << 11 | 1 << 8 | 0x3c);
	ports_write(f->ports, 0xcfc, 1, 11);
	expect("info pci", "00:05.1 1234:5678 class 020000 a card, command 0000, interrupt line 11");
	d->host.pci = NULL;
	expect("info e1000", "no card");
}

static void
exits_know_their_guest_and_their_time(void **state)
{
	(void)state;
	/* xor eax,eax; cpuid; nop x5; cpuid; hlt */
	CODE(f, "\x31\xc0\x0f\xa2\x90\x90\x90\x90\x90\x0f\xa2\xf4");
	command("break exit");
	command("continue");
	assert_int_equal(exit_number(d, 0)->guest_cycles, 1);
	command("continue");
	/* The hypervisor has six instructions. */
	assert_int_equal(exit_number(d, 0)->host_cycles, 6);
	assert_int_equal(exit_number(d, 1)->guest_cycles, 5);
	assert_int_equal(d->reason[REASON_CPUID].count, 2);
	assert_int_equal(d->reason[REASON_CPUID].guest_min, 1);
	assert_int_equal(d->reason[REASON_CPUID].guest_max, 5);
	expect("info exits", "CPUID                           2 100.00%          1         3          5");
	expect("exits 1", "     1 cpu0");
	assert_null(strstr(output, "     0 cpu0"));
}

/* Lines as KVM's own tracepoints print them (the formats are in kvm.ko), so that scripts for trace-cmd's reports read them. */
static void
traces_in_kvms_words_have_its_formats(void **state)
{
	static const struct {
		u32 info, error;
		const char *text;
	} rows[] = {
		{0x80000030, 0, "kvm_inj_virq:         IRQ 0x30\n"},
		{0x80000419, 0, "kvm_inj_virq:         Soft/INTn 0x19\n"},
		{0x80000b0d, 0x18, "kvm_inj_exception:    #GP (0x18)\n"},
		{0x80000306, 0, "kvm_inj_exception:    #UD\n"},
		/* As the exit before it left it. */
		{0x80000030, 0, "kvm_inj_virq:         IRQ 0x30 [reinjected]\n"},
	};
	char path[] = "/tmp/nestbox-trace-XXXXXX", line[100], text[8192];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (unsigned i = 0; i < COUNT(rows); i++) {
		FILE *file;

		/* There is no IDT: each ends in a triple fault, or in the exit for the exception's delivery. */
		f->v->guest_rip = GUEST_CODE;
		f->v->guest_rflags = 2 | FLAG_IF;
		f->v->entry_interruption_info = rows[i].info;
		f->v->entry_error_code = rows[i].error;
		f->v->entry_instruction_length = 2;
		f->cpu->nonroot = false;
		f->cpu->rip = ENTRY;
		f->cpu->vmx->launched = 0;
		cpu_mode_changed(f->cpu);
		command("delete");
		command("break exit");
		if (strstr(rows[i].text, "reinjected")) {
			d->vcpu[0].last_exit = d->exits;
			d->exit[d->exits - 1].vectoring_info = rows[i].info;
		}
		snprintf(line, sizeof(line), "trace vmx,kvm %s", path);
		command(line);
		expect("continue", "exit");
		command("trace off");
		file = fopen(path, "r");
		assert_non_null(file);
		text[fread(text, 1, sizeof(text) - 1, file)] = 0;
		fclose(file);
		if (!strstr(text, rows[i].text))
			fail_msg("no '%s' in: %s", rows[i].text, text);
		/* KVM injects before it enters. */
		assert_true(strstr(text, rows[i].text) < strstr(text, "kvm_entry:"));
		if (!strstr(text, "nestbox-1     [000] ") || !strstr(text, ": kvm_entry:            vcpu 0, rip 0x30000\n") ||
		    !strstr(text, ": kvm_exit:             vcpu 0 reason TRIPLE_FAULT rip 0x30000 info1 0x0000000000000000 info2 0x"))
			fail_msg("%s", text);
	}
	remove(path);
}

static void
packets_are_instants_of_a_timeline(void **state)
{
	static const u8 frame[60] = {1, 2, 3, 4, 5, 6, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6};
	char path[] = "/tmp/nestbox-trace-XXXXXX", line[100], text[4096];
	int fd = mkstemp(path);
	FILE *file;

	(void)state;
	assert_true(fd >= 0);
	snprintf(line, sizeof(line), "trace packets,perfetto %s", path);
	command(line);
	debugger_packet(d, 0, true, frame, sizeof(frame));
	debugger_packet(d, 1, false, frame, sizeof(frame));
	command("trace off");
	file = fopen(path, "r");
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	fclose(file);
	remove(path);
	assert_non_null(strstr(text, "{\"ph\":\"i\",\"s\":\"t\",\"pid\":1,\"tid\":1,\"ts\":0.000,\"name\":\"packet_sent\","));
	assert_non_null(strstr(text, "card=0 size=60 type=0x0806 from=52:54:00:12:34:56 to=01:02:03:04:05:06\"}}"));
	assert_non_null(strstr(text, "\"tid\":2,\"ts\":0.000,\"name\":\"packet_received\""));
	assert_non_null(strstr(text, "{\"name\":\"network\"}"));
}

static void
why_tells_of_older_exits_too(void **state)
{
	(void)state;
	f->v->proc_controls |= (u32)VMX_MASK(PROC, IO_BITMAPS);
	f->v->io_bitmap_a = IO_PAGES;
	f->v->io_bitmap_b = IO_PAGES + 0x1000;
	poke(f, IO_PAGES + 0x80 / 8, 1, 1);
	CODE(f, "\xe6\x80\xb9\x74\x01\x00\x00\x0f\x32\xf4"); /* out 0x80,al; mov ecx,0x174; rdmsr */
	command("break exit");
	command("continue");
	expect("why", "I/O bitmap A: byte 0x6010 is 0x1, its bit 0 is 1");
	command("continue");
	f->cpu->r[RCX] = 0;
	expect("why", "MSR 0x174");
	expect("why 0", "port 0x80");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(guest_addresses_are_seen_from_the_hypervisor),
		T(tables_that_refer_to_themselves_have_an_end),
		T(the_walk_agrees_with_the_processor),
		T(the_walk_tells_where_it_ends),
		T(memory_types_follow_the_mtrrs_the_pat_and_ept),
		T(registers_are_those_of_the_processor),
		T(setting_changes_what_was_named),
		T(descriptor_tables_are_decoded),
		T(the_tlb_is_listed),
		T(the_local_apic_is_shown),
		T(the_interrupt_controllers_are_shown),
		T(pci_functions_are_listed),
		T(exits_know_their_guest_and_their_time),
		T(traces_in_kvms_words_have_its_formats),
		T(packets_are_instants_of_a_timeline),
		T(why_tells_of_older_exits_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
