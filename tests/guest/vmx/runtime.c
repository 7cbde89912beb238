/* See runtime.h. */
#include "tests/guest/vmx/runtime.h"

#define COM1 0x3f8
#define DEBUG_EXIT 0xf4

static bool any_failed;

static void
put_char(char c)
{
	while (!(inb(COM1 + 5) & 0x20))
		;
	outb(COM1, (u8)c);
}

void
put_text(const char *text)
{
	for (; *text; text++)
		put_char(*text);
}

void
put_hex(u64 value)
{
	bool begun = false;

	for (int shift = 60; shift >= 0; shift -= 4) {
		unsigned digit = value >> shift & 15;

		begun |= digit != 0 || shift == 0;
		if (begun)
			put_char("0123456789abcdef"[digit]);
	}
}

void
finish(bool fine)
{
	put_text(fine && !any_failed ? "all hold\n" : "some FAILED\n");
	for (;;)
		asm volatile("outl %0, %1" : : "a"(fine && !any_failed ? 0x10 : 0x11), "d"((u16)DEBUG_EXIT));
}

void
check(const char *ids, bool holds, const char *text)
{
	put_text("RULE ");
	put_text(ids);
	put_text(holds ? " ok " : " FAILED ");
	put_text(text);
	put_text("\n");
	any_failed |= !holds;
}

void
check_equal(const char *ids, u64 value, u64 wanted, const char *text)
{
	check(ids, value == wanted, text);
	if (value == wanted)
		return;
	put_text("  is ");
	put_hex(value);
	put_text(", not ");
	put_hex(wanted);
	put_text("\n");
}

void
give_up(const char *text)
{
	put_text("FAILED: ");
	put_text(text);
	put_text("\n");
	finish(false);
}

void *
memset(void *to, int value, size_t size)
{
	void *at = to;

	asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
	return to;
}

void *
memcpy(void *to, const void *from, size_t size)
{
	void *at = to;

	asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
	return to;
}

/* --- events --- */

struct frame event_log[LOG];
unsigned event_count;
bool events_exit;
u64 fixup;
void (*on_interrupt)(struct frame *frame);

void
events_clear(void)
{
	event_count = 0;
}

void on_event(struct frame *frame);

void
on_event(struct frame *frame)
{
	if (event_count < LOG)
		event_log[event_count] = *frame;
	event_count++;
	if (frame->vector >= 32 && on_interrupt)
		on_interrupt(frame);
	if (events_exit) {
		asm volatile("vmcall");
		return;
	}
	if (frame->vector >= 32)
		return;
	if (fixup) {
		frame->rip = fixup;
		fixup = 0;
		return;
	}
	put_text("exception ");
	put_hex(frame->vector);
	put_text(" error ");
	put_hex(frame->error);
	put_text(" at ");
	put_hex(frame->rip);
	give_up(", which nobody expects");
}

/* --- VMX instructions --- */

u64
vmxon(u64 address)
{
	return VMX_INSN("vmxon %1", "m"(address));
}

u64
vmxoff(void)
{
	return VMX_INSN("vmxoff", "i"(0));
}

u64
vmclear(u64 address)
{
	return VMX_INSN("vmclear %1", "m"(address));
}

u64
vmptrld(u64 address)
{
	return VMX_INSN("vmptrld %1", "m"(address));
}

u64
vmptrst(void)
{
	u64 address;

	asm volatile("vmptrst %0" : "=m"(address) : : "memory", "cc");
	return address;
}

u64
vmread_flags(u64 encoding, u64 *value)
{
	u64 flags, read = *value;

	asm volatile("pushfq; orl $0x8d5, (%%rsp); popfq; vmread %2, %1; pushfq; popq %0"
		     : "=&r"(flags), "+&r"(read)
		     : "r"(encoding)
		     : "cc", "memory");
	*value = read;
	return flags & VMX_FLAGS;
}

u64
vmread(u64 encoding)
{
	u64 value = 0;

	vmread_flags(encoding, &value);
	return value;
}

u64
vmwrite(u64 encoding, u64 value)
{
	return VMX_INSN("vmwrite %1, %2", "r"(value), "r"(encoding));
}

u64
invept(u64 type, u64 eptp)
{
	struct descriptor128 d = {eptp, 0};

	return VMX_INSN("invept %1, %2", "m"(d), "r"(type));
}

u64
invvpid(u64 type, u64 vpid, u64 linear)
{
	struct descriptor128 d = {vpid, linear};

	return VMX_INSN("invvpid %1, %2", "m"(d), "r"(type));
}

bool
failed_with(u64 flags, unsigned error)
{
	return flags == ZF && GET(vm_instruction_error) == error;
}

/* --- hypervisor --- */

struct regs guest;
u8 vmxon_region[4096] PAGE, vmcs_region[4096] PAGE, other_region[4096] PAGE;
u8 msr_bitmap[4096] PAGE, io_bitmaps[8192] PAGE, virtual_apic[4096] PAGE, apic_access[4096] PAGE;
u64 ept_pml4[512] PAGE, ept_pdpt[512] PAGE, ept_pd[4 * 512] PAGE, ept_pt[512] PAGE;
u8 guest_stack[16384] PAGE;
u8 test_page[4096] PAGE;
u64 entry_flags;
static bool launched;

extern u8 gdt[], idt[], tss[];

static u32
revision(void)
{
	return (u32)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
}

void
start_vmx(void)
{
	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, 5);
	WRITE_CR(4, READ_CR(4) | BIT(13));
	*(u32 *)vmxon_region = *(u32 *)vmcs_region = *(u32 *)other_region = revision();
	if (vmxon(ADDRESS(vmxon_region)))
		give_up("VMXON fails");
	fresh_vmcs();
}

static u64
least_controls(u32 msr)
{
	return (u32)rdmsr(msr);
}

static void
host_state(void)
{
	PUT(host_cr0, READ_CR(0));
	PUT(host_cr3, READ_CR(3));
	PUT(host_cr4, READ_CR(4));
	PUT(host_cs_selector, 0x08);
	PUT(host_ss_selector, 0x10);
	PUT(host_ds_selector, 0x10);
	PUT(host_es_selector, 0x10);
	PUT(host_fs_selector, 0);
	PUT(host_gs_selector, 0);
	PUT(host_tr_selector, 0x18);
	PUT(host_fs_base, 0);
	PUT(host_gs_base, 0);
	PUT(host_tr_base, ADDRESS(tss));
	PUT(host_gdtr_base, ADDRESS(gdt));
	PUT(host_idtr_base, ADDRESS(idt));
	PUT(host_sysenter_cs, 0);
	PUT(host_sysenter_esp, 0);
	PUT(host_sysenter_eip, 0);
}

static void
guest_state(void)
{
	static const u32 data[] = {VMCS_guest_es_selector, VMCS_guest_ss_selector, VMCS_guest_ds_selector};

	PUT(guest_cr0, READ_CR(0));
	PUT(guest_cr3, READ_CR(3));
	PUT(guest_cr4, READ_CR(4));
	PUT(guest_dr7, 0x400);
	PUT(guest_debugctl, 0);
	/* Selector, limit (4000h above, less 0) and access rights are numbered alike. */
	for (unsigned i = 0; i < COUNT(data); i++) {
		vmwrite(data[i], 0x10);
		vmwrite(data[i] + 0x4000, 0xffffffff);
		vmwrite(data[i] + 0x4014, 0xc093);
		vmwrite(data[i] - 0x0800 + 0x6806, 0);
	}
	PUT(guest_cs_selector, 0x08);
	PUT(guest_cs_limit, 0xffffffff);
	PUT(guest_cs_access, 0xa09b);
	PUT(guest_cs_base, 0);
	PUT(guest_fs_selector, 0);
	PUT(guest_fs_base, 0);
	PUT(guest_fs_access, 0x10000);
	PUT(guest_gs_selector, 0);
	PUT(guest_gs_base, 0);
	PUT(guest_gs_access, 0x10000);
	PUT(guest_ldtr_selector, 0);
	PUT(guest_ldtr_access, 0x10000);
	PUT(guest_tr_selector, 0x18);
	PUT(guest_tr_base, ADDRESS(tss));
	PUT(guest_tr_limit, 0x67);
	PUT(guest_tr_access, 0x8b);
	PUT(guest_gdtr_base, ADDRESS(gdt));
	PUT(guest_gdtr_limit, 0xbf);
	PUT(guest_idtr_base, ADDRESS(idt));
	PUT(guest_idtr_limit, 0xfff);
	PUT(guest_sysenter_cs, 0);
	PUT(guest_sysenter_esp, 0);
	PUT(guest_sysenter_eip, 0);
	PUT(guest_interruptibility, 0);
	PUT(guest_activity, 0);
	PUT(guest_pending_debug, 0);
	PUT(vmcs_link_pointer, ~0ull);
}

void
fresh_vmcs(void)
{
	vmclear(ADDRESS(vmcs_region));
	memset(vmcs_region + 4, 0, sizeof(vmcs_region) - 4);
	if (vmptrld(ADDRESS(vmcs_region)))
		give_up("VMPTRLD fails");
	launched = false;
	events_exit = false;
	on_interrupt = NULL;
	PUT(pin_controls, least_controls(0x48d));
	PUT(proc_controls, least_controls(0x48e));
	PUT(sec_controls, 0);
	PUT(exit_controls, least_controls(0x48f) | EXIT_HOST_ADDRESS_SPACE_SIZE);
	PUT(entry_controls, least_controls(0x490) | ENTRY_IA32E_MODE_GUEST);
	host_state();
	guest_state();
	memset(&guest, 0, sizeof(guest));
}

void
use_secondary(u64 controls)
{
	SET_BITS(proc_controls, PROC_SECONDARY_CONTROLS);
	SET_BITS(sec_controls, controls);
}

void
at_cpl3(void)
{
	PUT(guest_cs_selector, 0x33);
	PUT(guest_cs_access, 0xa0fb);
	PUT(guest_ss_selector, 0x3b);
	PUT(guest_ss_access, 0xc0f3);
}

u64 *
ept_entry(u64 address)
{
	return &ept_pt[address >> 12 & 511];
}

void
use_ept(void)
{
	u64 around = ADDRESS(test_page) & ~0x1fffffull;

	ept_pml4[0] = ADDRESS(ept_pdpt) | 7;
	for (unsigned i = 0; i < 4; i++)
		ept_pdpt[i] = ADDRESS(&ept_pd[512 * i]) | 7;
	for (unsigned i = 0; i < 2048; i++)
		ept_pd[i] = (u64)i << 21 | 0xb7;
	ept_pd[around >> 21] = ADDRESS(ept_pt) | 7;
	for (unsigned i = 0; i < 512; i++)
		ept_pt[i] = around | (u64)i << 12 | 0x37;
	use_secondary(SEC_ENABLE_EPT);
	PUT(eptp, EPTP(ept_pml4));
}

u32
resume(void)
{
	entry_flags = enter_guest(&guest, launched) & VMX_FLAGS;
	if (entry_flags)
		return ~0u;
	if (!(GET(exit_reason) & BIT(31)))
		launched = true;
	/* The exit left limits that nobody here relies on, and TR busy. */
	return (u32)GET(exit_reason);
}

u32
run(const char *code)
{
	PUT(guest_rip, ADDRESS(code));
	PUT(guest_rsp, ADDRESS(guest_stack + sizeof(guest_stack)));
	PUT(guest_rflags, 2);
	return resume();
}

void
skip(void)
{
	PUT(guest_rip, GET(guest_rip) + GET(exit_instruction_length));
}

u32
go_on(void)
{
	skip();
	return resume();
}

void
need(u32 reason, u32 wanted, const char *text)
{
	if (reason == wanted)
		return;
	put_text(text);
	put_text(": exit reason ");
	put_hex(reason);
	if (reason == ~0u) {
		put_text(" error ");
		put_hex(GET(vm_instruction_error));
	}
	put_text(" qualification ");
	put_hex(GET(exit_qualification));
	put_text(" interruption ");
	put_hex(GET(exit_interruption_info));
	put_text(" RIP ");
	put_hex(GET(guest_rip));
	give_up(" is not what was needed");
}
