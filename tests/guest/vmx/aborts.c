/*
 * VMX aborts: the digit on the command line says which. The machine does not go on; tests/vmx-guests.sh looks for the code in
 * vmcs_region. Codes 2 and 6 need a hypervisor outside IA-32e mode.
 */
#include "tests/guest/vmx/runtime.h"

#define X2APIC_VERSION 0x803

SNIPPET(g_vmcall, "vmcall");

/* Two entries: one that is fine, and one for an MSR that no list may name. */
static struct {
	u32 index, reserved;
	u64 value;
} list[2] __attribute__((aligned(16))) = {{.index = MSR_LSTAR}, {.index = X2APIC_VERSION}};
extern u32 boot_information;

void
guest_main(void)
{
	/* Multiboot: flags, whose bit 2 says that the address at offset 16 is there. */
	const u32 *information = (const u32 *)(u64)boot_information;
	const char *words = information[0] & 4 ? (const char *)(u64)information[4] : "";
	char which = 0;

	for (; *words; words++)
		if (words[0] == '=')
			which = words[1];
	start_vmx();
	wrmsr(MSR_LSTAR, 0x1234);
	need(run(g_vmcall), EXIT_REASON_VMCALL, "a guest without lists");
	switch (which) {
	case '1':
		PUT(exit_msr_store_address, ADDRESS(list));
		PUT(exit_msr_store_count, COUNT(list));
		break;
	case '4':
		PUT(exit_msr_load_address, ADDRESS(list));
		PUT(exit_msr_load_count, COUNT(list));
		break;
	default: give_up("abort=1 or abort=4, please");
	}
	run(g_vmcall);
	give_up("the hypervisor goes on");
}
