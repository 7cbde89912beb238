/* EPT: misconfigurations, violations, accessed and dirty flags, PML, #VE, VMFUNC, MBEC, invalidation. */
#include "tests/guest/vmx/runtime.h"

#define VMCALL "\n\tvmcall"
#define A BIT(8)
#define D BIT(9)

SNIPPET(g_read, "mov (%rbx), %rax" VMCALL);
SNIPPET(g_write, "mov %rcx, (%rbx)" VMCALL);
SNIPPET(g_invlpg, "invlpg (%rbx); mov (%rbx), %rax" VMCALL);
SNIPPET(g_reload, "mov %cr3, %rcx; mov %rcx, %cr3; mov (%rbx), %rax" VMCALL);
SNIPPET(g_rmw, "incq (%rbx)" VMCALL);
SNIPPET(g_jump, "call *%rbx" VMCALL);
SNIPPET(g_vmfunc, "vmfunc; mov (%rbx), %rdx" VMCALL);
SNIPPET(g_rdmsr, "rdmsr" VMCALL);

static u8 pml_log[4096] PAGE, ve_area[4096] PAGE;
static u64 eptp_list[512] PAGE, other_pml4[512] PAGE, other_pdpt[512] PAGE, other_pd[512] PAGE, other_pt[512] PAGE;
static u64 around;

static void
begin(void)
{
	fresh_vmcs();
	use_ept();
	invept(2, 0);
	around = ADDRESS(test_page) & ~0x1fffffull;
	guest.rbx = ADDRESS(test_page) + 0x123;
}

static u32
with_entry(u64 low_bits, const char *code)
{
	*ept_entry(ADDRESS(test_page)) = (ADDRESS(test_page) & ~0xfffull) | low_bits;
	invept(2, 0);
	guest.rbx = ADDRESS(test_page) + 0x123;
	test_page[0x123] = 0xc3; /* a function that returns */
	return run(code);
}

static void
violations(void)
{
	static const struct {
		u64 rights;
		const char *code;
		u64 qualification; /* 0: none */
		const char *ids, *text;
	} row[] = {
		{0, g_read, 1, "EPV-01", "read of a page that is not present"},
		{0, g_write, 2, "EPV-01", "write to it"},
		{0, g_jump, 4, "EPV-01", "fetch from it"},
		{1, g_read, 0, "EPV-02", "read of a readable page"},
		{1, g_write, 2 | 1 << 3, "EPV-03", "write to a read-only page"},
		{1, g_jump, 4 | 1 << 3, "EPV-02", "fetch from a page that is not executable"},
		{3, g_write, 0, "EPV-03", "write to a writable page"},
		{3, g_jump, 4 | 3 << 3, "EPV-02", "fetch from a writable page"},
		{4, g_read, 1 | 4 << 3, "EPV-02", "read of an execute-only page"},
		{4, g_jump, 0, "EPV-02", "fetch from it"},
		{5, g_write, 2 | 5 << 3, "EPV-03", "write to a page without W"},
		{7, g_rmw, 0, "EPV-03", "read-modify-write of a page with all rights"},
	};

	begin();
	for (unsigned i = 0; i < COUNT(row); i++) {
		u32 reason = with_entry(row[i].rights | 0x30, row[i].code);

		check_equal(row[i].ids, reason, row[i].qualification ? EXIT_REASON_EPT_VIOLATION : EXIT_REASON_VMCALL,
			    row[i].text);
		if (!row[i].qualification)
			continue;
		/* linear address valid, translation itself; advanced information: user, writable pages */
		check_equal("IF-03", GET(exit_qualification), row[i].qualification | 3 << 7 | 3 << 9,
			    "with its qualification");
		check_equal("IF-03", GET(guest_physical_address), ADDRESS(test_page) + 0x123, "guest-physical address");
		check_equal("IF-02", GET(guest_linear_address), ADDRESS(test_page) + 0x123, "and linear address");
	}
	need(with_entry(0x31, g_rmw), EXIT_REASON_EPT_VIOLATION, "read-modify-write");
	check("EPV-03", GET(exit_qualification) & 2, "a read-modify-write of a read-only page counts as a write");
	check_equal("SV-11", GET(guest_rflags) >> 16 & 1, 1, "RF is set in the flags that an EPT violation saves");
	/* W of an upper level is needed as well */
	ept_pd[around >> 21] &= ~2ull;
	need(with_entry(0x37, g_write), EXIT_REASON_EPT_VIOLATION, "write below a read-only table");
	check_equal("EPV-03", GET(exit_qualification) & 0x38, 5 << 3, "rights are those of all levels together");
}

static void
misconfigurations(void)
{
	static const struct {
		u64 bits;
		const char *ids, *text;
	} row[] = {
		{2 | 0x30, "EM-01", "write-only"},
		{6 | 0x30, "EM-01", "write and execute without read"},
		{7 | 0x30 | BIT(51), "EM-03", "an address beyond physical memory"},
		{7 | 2 << 3, "EM-05", "memory type 2"},
		{7 | 3 << 3, "EM-05", "memory type 3"},
		{7 | 7 << 3, "EM-05", "memory type 7"},
	};
	static const u8 types[] = {0, 1, 4, 5, 6};

	begin();
	for (unsigned i = 0; i < COUNT(row); i++) {
		check_equal(row[i].ids, with_entry(row[i].bits, g_read), EXIT_REASON_EPT_MISCONFIG, row[i].text);
		check_equal("IF-03", GET(guest_physical_address), ADDRESS(test_page) + 0x123,
			    "with the guest-physical address");
	}
	for (unsigned i = 0; i < COUNT(types); i++)
		check_equal("EM-05", with_entry(7 | types[i] << 3, g_read), EXIT_REASON_VMCALL,
			    "the other memory types are fine");
	check_equal("EM-06", with_entry(7 | 0x30 | 0xffull << 52, g_read), EXIT_REASON_VMCALL,
		    "bits 59:52 are ignored");
	check_equal("EM-06", with_entry(7 | 0x30 | BIT(7) | BIT(11) | BIT(63), g_read), EXIT_REASON_VMCALL,
		    "and 7, 11 and 63 of a PTE");
	with_entry(0x37, g_read);
	for (unsigned bit = 3; bit <= 6; bit++) {
		ept_pd[around >> 21] |= BIT(bit);
		invept(2, 0);
		check_equal("EM-03", run(g_read), EXIT_REASON_EPT_MISCONFIG, "bits 6:3 of a table entry are reserved");
		ept_pd[around >> 21] &= ~BIT(bit);
	}
	ept_pml4[0] |= BIT(7);
	invept(2, 0);
	check_equal("EM-03", run(g_read), EXIT_REASON_EPT_MISCONFIG, "bit 7 of a PML4E too");
	ept_pml4[0] &= ~BIT(7);
	/* a large page of 2 MiB with address bits below its size, far away */
	ept_pd[0x20000000 >> 21] |= BIT(13);
	guest.rbx = 0x20000000;
	invept(2, 0);
	check_equal("EM-03", run(g_read), EXIT_REASON_EPT_MISCONFIG, "address bits below the size of a 2-MByte page");
	ept_pd[0x20000000 >> 21] &= ~BIT(13);
	ept_pdpt[2] = 2ull << 30 | BIT(20) | 0xb7;
	guest.rbx = 0x80000000;
	invept(2, 0);
	check_equal("EM-03", run(g_read), EXIT_REASON_EPT_MISCONFIG, "and of a 1-GByte page");
	ept_pdpt[2] = 2ull << 30 | 0xb7;
	invept(2, 0);
	check_equal("EM-04", run(g_read), EXIT_REASON_VMCALL, "1-GByte pages are there");
	/* misconfiguration below beats missing rights above */
	ept_pd[around >> 21] &= ~2ull;
	check_equal("EM-01", with_entry(2 | 0x30, g_write), EXIT_REASON_EPT_MISCONFIG,
		    "a misconfigured entry counts before the rights of upper levels");
	begin();
	PUT(vpid, 0);
	check_equal("PR-10", with_entry(0x37, g_read), EXIT_REASON_VMCALL, "all is well again");
}

/* Page tables of the guest's own: linear 512 GiB is `data`, by a page table that lies in test_page. */
static u8 data[4096] PAGE;
#define LINEAR 0x8000000000ull

static void
with_tables(u64 ept_rights, u64 eptp_bits)
{
	begin();
	memcpy(other_pml4, (void *)READ_CR(3), 4096);
	other_pml4[1] = ADDRESS(other_pdpt) | 7;
	memset(other_pdpt, 0, 4096);
	memset(other_pd, 0, 4096);
	other_pdpt[0] = ADDRESS(other_pd) | 7;
	other_pd[0] = ADDRESS(test_page) | 7;
	memset(test_page, 0, 4096);
	*(u64 *)test_page = ADDRESS(data) | 7;
	PUT(guest_cr3, ADDRESS(other_pml4));
	*ept_entry(ADDRESS(test_page)) = ADDRESS(test_page) | 0x30 | ept_rights;
	PUT(eptp, GET(eptp) | eptp_bits);
	invept(2, 0);
	guest.rbx = LINEAR + 8;
}

static void
page_walks(void)
{
	with_tables(0, 0);
	need(run(g_read), EXIT_REASON_EPT_VIOLATION, "walk through a page that is not present");
	check_equal("EPV-02", GET(exit_qualification) & 0x1ff, 1 | BIT(7), "a walk is a read of a paging structure");
	check_equal("IF-03", GET(guest_physical_address), ADDRESS(test_page), "with the address of the entry");
	check_equal("IF-02", GET(guest_linear_address), LINEAR + 8, "and the linear address that is translated");
	with_tables(1, 0);
	need(run(g_read), EXIT_REASON_EPT_VIOLATION, "walk that sets the accessed flag");
	check_equal("EPV-03", GET(exit_qualification) & 0x1be, 2 | 1 << 3 | BIT(7), "which is a write");
	with_tables(1, 0x40);
	need(run(g_read), EXIT_REASON_EPT_VIOLATION, "walk with accessed and dirty flags of EPT");
	check_equal("EPV-04", GET(exit_qualification) & 0x1ff, 3 | 1 << 3 | BIT(7), "counts as read and write");
	with_tables(7, 0x40);
	PUT(exception_bitmap, BIT(14));
	need(run(g_read), EXIT_REASON_VMCALL, "read");
	check_equal("AD-02", *ept_entry(ADDRESS(test_page)) & (A | D), A | D,
		    "a page of paging structures becomes accessed and dirty");
	check_equal("AD-01", *ept_entry(ADDRESS(data)) & (A | D), A, "the page read only accessed");
	check("AD-01", (ept_pd[around >> 21] & (A | D)) == A && (ept_pml4[0] & A), "the entries above too");
	need(run(g_write), EXIT_REASON_VMCALL, "write");
	check_equal("AD-01", *ept_entry(ADDRESS(data)) & (A | D), A | D, "a write makes it dirty");
	with_tables(7, 0x40);
	*ept_entry(ADDRESS(data)) = ADDRESS(data) | 0x31;
	invept(2, 0);
	need(run(g_write), EXIT_REASON_EPT_VIOLATION, "write");
	check_equal("AD-01", *ept_entry(ADDRESS(data)) & (A | D), 0, "an access that is a violation sets no flag");
	begin();
	with_entry(0x37, g_write);
	check_equal("AD-01", *ept_entry(ADDRESS(test_page)) & (A | D), 0, "without EPTP bit 6 there are no flags");
	/* PR-10: the guest's own #PF comes first */
	with_tables(7, 0);
	*(u64 *)test_page = 0;
	*ept_entry(ADDRESS(data)) = 0;
	PUT(exception_bitmap, BIT(14));
	check_equal("PR-10", run(g_read), EXIT_REASON_EXCEPTION_NMI,
		    "the guest's #PF comes before EPT faults of the final address");
	*ept_entry(ADDRESS(data)) = ADDRESS(data) | 0x37;
}

static void
page_modification_log(void)
{
	u64 *log = (u64 *)pml_log;

	begin();
	use_secondary(SEC_ENABLE_PML);
	PUT(eptp, GET(eptp) | 0x40);
	PUT(pml_address, ADDRESS(pml_log));
	PUT(pml_index, 511);
	need(with_entry(0x37, g_write), EXIT_REASON_VMCALL, "write");
	/* The stack and the tables of the walk are logged, too. */
	{
		bool found = false;
		u64 index = GET(pml_index);

		for (u64 i = 511; i > index && i < 512; i--)
			found |= log[i] == ADDRESS(test_page);
		check("NR-69", found && index < 511, "a page that becomes dirty is logged, and the index counts down");
		need(run(g_write), EXIT_REASON_VMCALL, "write");
		check_equal("NR-69 NR-70", GET(pml_index), index, "once");
	}
	PUT(pml_index, 0xffff);
	check_equal("NR-69", run(g_write), EXIT_REASON_VMCALL, "a full log does not matter while no flag changes");
	check_equal("NR-69", with_entry(0x37, g_write), EXIT_REASON_PML_FULL, "but exits when one would");
	check_equal("NR-69", *ept_entry(ADDRESS(test_page)) & D, 0, "before it is set");
	PUT(pml_index, 0);
	check_equal("NR-69", resume(), EXIT_REASON_VMCALL, "with room the write goes on");
	check_equal("NR-69", GET(pml_index), 0xffff, "and the index wraps");
	PUT(eptp, GET(eptp) & ~0x40ull);
	check_equal("NR-70", with_entry(0x37, g_write), EXIT_REASON_VMCALL, "without dirty flags nothing is logged");
}

static void
virtualization_exceptions(void)
{
	begin();
	use_secondary(SEC_EPT_VIOLATION_VE);
	PUT(ve_information_address, ADDRESS(ve_area));
	PUT(eptp_index, 0x1234);
	memset(ve_area, 0, 4096);
	events_exit = true;
	events_clear();
	*(u32 *)(ve_area + 4) = 0;
	need(with_entry(0x30, g_read), EXIT_REASON_VMCALL, "#VE");
	check("NR-66 NR-67", event_count == 1 && event_log[0].vector == 20, "a convertible violation is #VE");
	check("NR-67",
	      *(u32 *)ve_area == 48 && *(u32 *)(ve_area + 4) == 0xffffffff &&
		      (*(u64 *)(ve_area + 8) & 0x1ff) == 0x181 &&
		      *(u64 *)(ve_area + 16) == ADDRESS(test_page) + 0x123 &&
		      *(u64 *)(ve_area + 24) == ADDRESS(test_page) + 0x123 && *(u16 *)(ve_area + 32) == 0x1234,
	      "with its information area");
	check_equal("NR-67", with_entry(0x30, g_read), EXIT_REASON_EPT_VIOLATION,
		    "while the area is busy it is a VM exit");
	*(u32 *)(ve_area + 4) = 0;
	check_equal("NR-66", with_entry(0x30 | BIT(63), g_read), EXIT_REASON_EPT_VIOLATION,
		    "so it is with \"suppress #VE\"");
	check_equal("NR-66", with_entry(0x31 | BIT(63), g_write), EXIT_REASON_EPT_VIOLATION, "in a leaf, too");
	PUT(exception_bitmap, BIT(20));
	check_equal("NR-68 NR-30", with_entry(0x30, g_read), EXIT_REASON_EXCEPTION_NMI,
		    "the exception bitmap takes #VE");
	check_equal("NR-68", GET(exit_interruption_info), 0x80000314, "as an exception without error code");
	PUT(exception_bitmap, 0);
	*(u32 *)(ve_area + 4) = 0;
	check_equal("NR-68", with_entry(0x32, g_read), EXIT_REASON_EPT_MISCONFIG,
		    "misconfigurations are never converted");
	events_exit = false;
}

static void
vm_functions(void)
{
	begin();
	use_secondary(SEC_ENABLE_VMFUNC | SEC_EPT_VIOLATION_VE);
	PUT(ve_information_address, ADDRESS(ve_area));
	*(u32 *)(ve_area + 4) = 0xffffffff;
	PUT(vm_function_controls, 1);
	PUT(eptp_list_address, ADDRESS(eptp_list));
	/* A second EPT that maps test_page to `data`. */
	memcpy(other_pml4, ept_pml4, 4096);
	memcpy(other_pdpt, ept_pdpt, 4096);
	memcpy(other_pd, &ept_pd[512 * (around >> 30)], 4096);
	memcpy(other_pt, ept_pt, 4096);
	other_pml4[0] = ADDRESS(other_pdpt) | 7;
	other_pdpt[around >> 30] = ADDRESS(other_pd) | 7;
	other_pd[around >> 21 & 511] = ADDRESS(other_pt) | 7;
	other_pt[ADDRESS(test_page) >> 12 & 511] = ADDRESS(data) | 0x37;
	eptp_list[0] = EPTP(ept_pml4);
	eptp_list[5] = EPTP(other_pml4);
	eptp_list[6] = EPTP(other_pml4) | 1;
	*(u64 *)test_page = 0x1111;
	*(u64 *)data = 0x2222;
	guest.rbx = ADDRESS(test_page);
	guest.rcx = 5;
	need(run(g_vmfunc), EXIT_REASON_VMCALL, "VMFUNC");
	check_equal("NR-76 INS-11", guest.rdx, 0x2222, "VMFUNC leaf 0 switches to entry RCX of the list");
	check_equal("NR-76 SV-17", GET(eptp), EPTP(other_pml4), "the EPTP field follows");
	check_equal("NR-76", GET(eptp_index), 5, "the EPTP index too");
	guest.rcx = 0;
	at_cpl3();
	need(run(g_vmfunc), EXIT_REASON_VMCALL, "VMFUNC at CPL 3");
	check_equal("NR-76 INS-11", guest.rdx, 0x1111, "it works at CPL 3, and back");
	guest.rcx = 6;
	check_equal("NR-76", run(g_vmfunc), EXIT_REASON_VMFUNC, "an EPTP that VM entry would refuse exits");
	check_equal("IF-01", GET(exit_instruction_length), 3, "with the instruction's length");
	guest.rcx = 512;
	check_equal("NR-76", run(g_vmfunc), EXIT_REASON_VMFUNC, "so does an index beyond the list");
	guest.rcx = 0;
	guest.rax = 1;
	check_equal("NR-76", run(g_vmfunc), EXIT_REASON_VMFUNC, "and a function that is not allowed");
	PUT(exception_bitmap, BIT(6));
	guest.rax = 64;
	check_equal("NR-76 INS-11", run(g_vmfunc), EXIT_REASON_EXCEPTION_NMI, "function 64 is #UD");
	guest.rax = 0;
	CLEAR_BITS(sec_controls, SEC_ENABLE_VMFUNC);
	check_equal("NR-76 INS-11", run(g_vmfunc), EXIT_REASON_EXCEPTION_NMI, "and all of them without the control");
}

static void
mode_based_execution(void)
{
	u64 user_mapping;
	u64 *table = (u64 *)READ_CR(3);

	begin();
	use_secondary(SEC_MODE_BASED_EXECUTE);
	for (unsigned i = 0; i < 2048; i++)
		ept_pd[i] |= BIT(10);
	for (unsigned i = 0; i < 512; i++)
		ept_pt[i] |= BIT(10);
	for (unsigned i = 0; i < 4; i++)
		ept_pdpt[i] |= BIT(10);
	ept_pml4[0] |= BIT(10);
	(void)table;
	/* All linear addresses are user pages here, so it is XU that counts, whatever the CPL. */
	check_equal("NR-72", with_entry(0x31 | BIT(10), g_jump), EXIT_REASON_VMCALL,
		    "user execute is enough for a user page, at CPL 0 too");
	need(with_entry(0x31 | BIT(2), g_jump), EXIT_REASON_EPT_VIOLATION, "supervisor execute is not");
	check_equal("NR-72", GET(exit_qualification) & 0x7f, 4 | 1 << 3 | 1 << 5,
		    "bits 5 and 6 of the qualification tell both");
	need(with_entry(0x31, g_jump), EXIT_REASON_EPT_VIOLATION, "neither");
	check_equal("NR-72", GET(exit_qualification) & 0x7f, 4 | 1 << 3, "");
	check_equal("EM-02", with_entry(0x30 | BIT(10), g_jump), EXIT_REASON_VMCALL,
		    "user-execute-only pages are fine with execute-only");
	/* A supervisor page */
	user_mapping = ((u64 *)(((u64 *)(table[0] & ~0xfffull))[around >> 30] & ~0xfffull))[around >> 21 & 511];
	((u64 *)(((u64 *)(table[0] & ~0xfffull))[around >> 30] & ~0xfffull))[around >> 21 & 511] = user_mapping & ~4ull;
	WRITE_CR(3, READ_CR(3));
	check_equal("NR-72", with_entry(0x31 | BIT(2), g_jump), EXIT_REASON_VMCALL,
		    "supervisor execute is for supervisor pages");
	need(with_entry(0x31 | BIT(10), g_jump), EXIT_REASON_EPT_VIOLATION, "user execute is not");
	check_equal("NR-72", GET(exit_qualification) & 0x7f, 4 | 1 << 3 | 1 << 6, "");
	((u64 *)(((u64 *)(table[0] & ~0xfffull))[around >> 30] & ~0xfffull))[around >> 21 & 511] = user_mapping;
	WRITE_CR(3, READ_CR(3));
}

/* Cached translations may live on only as long as the manual lets them. */
static void
invalidation(void)
{
	begin();
	use_secondary(SEC_ENABLE_VPID);
	PUT(vpid, 7);
	need(with_entry(0x37, g_write), EXIT_REASON_VMCALL, "write");
	*ept_entry(ADDRESS(test_page)) = ADDRESS(test_page) | 0x31;
	invept(1, GET(eptp));
	check_equal("INV-03 AD-05", run(g_write), EXIT_REASON_EPT_VIOLATION, "INVEPT of the EPTP drops what is cached");
	*ept_entry(ADDRESS(test_page)) = ADDRESS(test_page) | 0x37;
	check_equal("TLB-03", resume(), EXIT_REASON_VMCALL, "after a violation more rights count at once");
	*ept_entry(ADDRESS(test_page)) = ADDRESS(test_page) | 0x30;
	invept(2, 0);
	check_equal("INV-03", run(g_read), EXIT_REASON_EPT_VIOLATION, "INVEPT of all contexts too");
	with_tables(7, 0);
	use_secondary(SEC_ENABLE_VPID);
	PUT(vpid, 7);
	*(u64 *)data = 0x1111;
	*(u64 *)(data + 8) = 0x1111;
	need(run(g_read), EXIT_REASON_VMCALL, "read");
	*(u64 *)test_page = ADDRESS(apic_access) | 7;
	*(u64 *)(apic_access + 8) = 0x2222;
	invvpid(0, 7, LINEAR);
	need(run(g_read), EXIT_REASON_VMCALL, "read");
	check_equal("INV-07 TLB-05", guest.rax, 0x2222, "INVVPID of an address drops its translation");
	*(u64 *)test_page = ADDRESS(data) | 7;
	invvpid(1, 7, 0);
	need(run(g_read), EXIT_REASON_VMCALL, "read");
	check_equal("INV-06 TLB-05", guest.rax, 0x1111, "INVVPID of a VPID too");
	*(u64 *)test_page = ADDRESS(apic_access) | 7;
	invvpid(2, 0, 0);
	need(run(g_read), EXIT_REASON_VMCALL, "read");
	check_equal("INV-06", guest.rax, 0x2222, "of all VPIDs too");
	*(u64 *)test_page = ADDRESS(data) | 7;
	invvpid(3, 7, 0);
	need(run(g_read), EXIT_REASON_VMCALL, "read");
	check_equal("INV-06", guest.rax, 0x1111, "and of all but global pages");
	/* the guest's own */
	*(u64 *)test_page = ADDRESS(apic_access) | 7;
	need(run(g_invlpg), EXIT_REASON_VMCALL, "INVLPG");
	check_equal("NR-78", guest.rax, 0x2222, "INVLPG in the guest drops what its VPID has");
	*(u64 *)test_page = ADDRESS(data) | 7;
	need(run(g_reload), EXIT_REASON_VMCALL, "MOV to CR3");
	check_equal("NR-78", guest.rax, 0x1111, "MOV to CR3 too");
	/* without VPIDs every entry does */
	CLEAR_BITS(sec_controls, SEC_ENABLE_VPID);
	need(run(g_read), EXIT_REASON_VMCALL, "read");
	*(u64 *)test_page = ADDRESS(apic_access) | 7;
	need(run(g_read), EXIT_REASON_VMCALL, "read");
	check_equal("LD-12 HL-14 TLB-05", guest.rax, 0x2222, "without VPIDs VM entry and exit drop all");
}

/* Structures of the VMCS are no guest-physical addresses. */
static void
physical_structures(void)
{
	begin();
	SET_BITS(proc_controls, PROC_MSR_BITMAPS);
	PUT(msr_bitmap, ADDRESS(msr_bitmap));
	*ept_entry(ADDRESS(msr_bitmap)) = 0;
	*ept_entry(ADDRESS(vmcs_region)) = 0;
	invept(2, 0);
	guest.rcx = 0x174;
	check_equal("VMCS-12 AD-03", run(g_rdmsr), EXIT_REASON_VMCALL,
		    "bitmaps are read although EPT does not map them");
	guest.rbx = ADDRESS(msr_bitmap);
	check_equal("VMCS-12", run(g_read), EXIT_REASON_EPT_VIOLATION, "which the guest cannot");
}

void
guest_main(void)
{
	start_vmx();
	violations();
	misconfigurations();
	page_walks();
	page_modification_log();
	virtualization_exceptions();
	vm_functions();
	mode_based_execution();
	invalidation();
	physical_structures();
	finish(true);
}
