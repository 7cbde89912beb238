/* The VMX instructions in root operation, the VMCS region, INVEPT and INVVPID. */
#include "tests/guest/vmx/runtime.h"

static u8 spare[4096] PAGE;

static void
prerequisites(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	check("CAP-01", regs[2] & BIT(5), "CPUID reports VMX");
	check("CAP-02", !(regs[2] & BIT(6)), "CPUID reports no SMX");
	check_equal("CAP-02",
		    (u64)TRY("mov %0, %%cr4",
			     :
			     : "r"(READ_CR(4) | BIT(14))
			     : TRY_CLOBBERS),
		    13, "CR4.SMXE is reserved");
	check_equal("CAP-02", (u64)TRY(".byte 0x0f, 0x37", : : "a"(0) : TRY_CLOBBERS), 6, "GETSEC is #UD");
	check_equal("CAP-04", rdmsr(MSR_FEATURE_CONTROL) & 5, 5,
		    "VMX is enabled and locked for a kernel that is booted directly");
	check_equal("CAP-03",
		    (u64)TRY("wrmsr",
			     :
			     : "c"(0x3a), "a"(5), "d"(0)
			     : TRY_CLOBBERS),
		    13, "the locked MSR refuses WRMSR");
	for (u32 msr = 0x480; msr <= 0x491; msr++)
		if (TRY("rdmsr", : : "c"(msr) : TRY_CLOBBERS, "rax", "rdx") != -1)
			check("CAP-05", false, "a capability MSR cannot be read");
	check_equal("CAP-05",
		    (u64)TRY("wrmsr",
			     :
			     : "c"(0x480), "a"(0), "d"(0)
			     : TRY_CLOBBERS),
		    13, "capability MSRs refuse WRMSR");
	check_equal("INS-01", (u64)TRY("vmxon %0", : : "m"(spare) : TRY_CLOBBERS), 6, "VMXON without CR4.VMXE is #UD");
	WRITE_CR(4, READ_CR(4) | BIT(13));
	WRITE_CR(4, READ_CR(4) & ~BIT(13));
	check("CAP-07", !(READ_CR(4) & BIT(13)), "CR4.VMXE can be cleared outside VMX operation");
	check_equal("INS-08", (u64)TRY("vmlaunch", : : : TRY_CLOBBERS), 6, "VMLAUNCH outside VMX operation is #UD");
	check_equal("INS-09", (u64)TRY("vmcall", : : : TRY_CLOBBERS), 6, "VMCALL outside VMX operation is #UD");
	check_equal("INS-11", (u64)TRY("vmfunc", : : : TRY_CLOBBERS), 6, "VMFUNC outside VMX operation is #UD");
}

static void
vmxon_checks(void)
{
	u64 bad = 1, far_away = 1ull << 52;
	u64 cr0 = READ_CR(0);

	WRITE_CR(4, READ_CR(4) | BIT(13));
	*(u32 *)spare = (u32)rdmsr(MSR_VMX_BASIC);
	WRITE_CR(0, cr0 & ~BIT(5));
	{
		u64 address = ADDRESS(spare);

		check_equal("INS-01",
			    (u64)TRY("vmxon %0",
				     :
				     : "m"(address)
				     : TRY_CLOBBERS),
			    13, "VMXON with CR0.NE clear is #GP");
	}
	WRITE_CR(0, cr0);
	check_equal("INS-01", VMX_INSN("vmxon %1", "m"(bad)), CF, "VMXON of an unaligned address is VMfailInvalid");
	check_equal("INS-01", VMX_INSN("vmxon %1", "m"(far_away)), CF, "VMXON beyond physical memory is VMfailInvalid");
	*(u32 *)spare ^= 1;
	check_equal("VMCS-02", vmxon(ADDRESS(spare)), CF, "VMXON wants the revision identifier");
	*(u32 *)spare ^= 0x80000001;
	check_equal("VMCS-02", vmxon(ADDRESS(spare)), CF, "VMXON refuses bit 31 of the revision");
	start_vmx();
	check_equal("INS-01", vmxon(ADDRESS(vmxon_region)), ZF, "VMXON in root operation is VMfailValid");
	check_equal("INS-01", GET(vm_instruction_error), 15, "with error 15");
	check_equal("CAP-07",
		    (u64)TRY("mov %0, %%cr4",
			     :
			     : "r"(READ_CR(4) & ~BIT(13))
			     : TRY_CLOBBERS),
		    13, "CR4.VMXE cannot be cleared in VMX operation");
	check_equal("CAP-28",
		    (u64)TRY("mov %0, %%cr0",
			     :
			     : "r"(READ_CR(0) & ~BIT(5))
			     : TRY_CLOBBERS),
		    13, "CR0.NE cannot be cleared in VMX operation");
	check_equal("CAP-28",
		    (u64)TRY("mov %0, %%cr0",
			     :
			     : "r"(READ_CR(0) & ~BIT(31))
			     : TRY_CLOBBERS),
		    13, "nor CR0.PG in root operation");
	check_equal("INS-09", VMX_INSN("vmcall", "i"(0)), ZF, "VMCALL in root operation is VMfailValid");
	check_equal("INS-09", GET(vm_instruction_error), 1, "with error 1");
}

static void
pointers(void)
{
	u64 current = ADDRESS(vmcs_region);

	check("INS-03", failed_with(vmclear(1), 2), "VMCLEAR of an unaligned address: error 2");
	check("INS-03", failed_with(vmclear(1ull << 52), 2), "VMCLEAR beyond physical memory: error 2");
	check("INS-03", failed_with(vmclear(ADDRESS(vmxon_region)), 3), "VMCLEAR of the VMXON pointer: error 3");
	check("INS-04", failed_with(vmptrld(8), 9), "VMPTRLD of an unaligned address: error 9");
	check("INS-04", failed_with(vmptrld(1ull << 63), 9), "VMPTRLD beyond physical memory: error 9");
	check("INS-04", failed_with(vmptrld(ADDRESS(vmxon_region)), 10), "VMPTRLD of the VMXON pointer: error 10");
	*(u32 *)spare = (u32)rdmsr(MSR_VMX_BASIC) ^ 2;
	check("INS-04 VMCS-01", failed_with(vmptrld(ADDRESS(spare)), 11), "VMPTRLD of another revision: error 11");
	check_equal("INS-05", vmptrst(), current, "VMPTRST stores the current pointer, which failures keep");
	check_equal("VMCS-06", vmptrld(ADDRESS(other_region)), 0, "VMPTRLD makes another VMCS current");
	check_equal("INS-04", vmptrst(), ADDRESS(other_region), "and VMPTRST tells it");
	check_equal("VMCS-06", vmclear(current), 0, "VMCLEAR of one that is not current");
	check_equal("VMCS-06", vmptrst(), ADDRESS(other_region), "leaves the current one");
	check_equal("VMCS-06 INS-03", vmclear(ADDRESS(other_region)), 0, "VMCLEAR of the current one");
	check_equal("VMCS-06 INS-05", vmptrst(), ~0ull, "leaves none");
	check_equal("INS-06", VMX_INSN("vmread %%rax, %%rcx", "a"(0x6800ull)), CF,
		    "VMREAD without current VMCS is VMfailInvalid");
	check_equal("INS-07", vmwrite(0x6800, 0), CF, "so is VMWRITE");
	check_equal("INS-08", VMX_INSN("vmlaunch", "i"(0)), CF, "so is VMLAUNCH");
	check_equal("INS-03", vmclear(1), CF, "a bad VMCLEAR too");
	check_equal("INV-08", invept(3, 0), CF, "and a bad INVEPT");
}

static void
fields(void)
{
	u64 value = 0x55;

	fresh_vmcs();
	check("VMCS-03", failed_with(vmread_flags(0x0801, &value), 12), "no high half of a 16-bit field");
	check("VMCS-03", failed_with(vmread_flags(0x4001, &value), 12), "nor of a 32-bit field");
	check("VMCS-03", failed_with(vmread_flags(0x6801, &value), 12), "nor of a natural-width field");
	check("VMCS-03", failed_with(vmread_flags(0x1800, &value), 12), "bit 12 of the encoding is reserved");
	check("VMCS-03", failed_with(vmread_flags(0xe800, &value), 12), "bits 31:15 too");
	check("INS-06", failed_with(vmread_flags(1ull << 32 | 0x6800, &value), 12), "and bits 63:32");
	check_equal("INS-06", value, 0x55, "a failed VMREAD writes nothing");
	check("INS-07", failed_with(vmwrite(0x4003, 0), 12), "VMWRITE of an unsupported field: error 12");
	PUT(tsc_offset, 0x1122334455667788);
	check_equal("VMCS-03", vmread(VMCS_tsc_offset + 1), 0x11223344, "the high half of a 64-bit field");
	vmwrite(VMCS_tsc_offset + 1, 0xaaaaaaaabbbbbbbb);
	check_equal("VMCS-03 INS-07", GET(tsc_offset), 0xbbbbbbbb55667788, "is written alone");
	vmwrite(VMCS_guest_es_selector, 0x12345678);
	check_equal("INS-07", GET(guest_es_selector), 0x5678, "VMWRITE truncates to the field's width");
	check_equal("INS-07", vmwrite(VMCS_exit_qualification, 0x77), 0,
		    "information fields can be written (MISC[29])");
	PUT(guest_ds_access, 0xffffffff);
	check_equal("VMCS-07", GET(guest_ds_access) & 0x1f0ff, 0x1f0ff, "access rights keep their defined bits");
	check_equal("INS-12",
		    (u64)TRY("movabs $0x8000000000000000, %%rax; vmptrld (%%rax)",
			     :
			     :
			     : TRY_CLOBBERS, "rax"),
		    13, "a non-canonical operand is #GP");
}

SNIPPET(says_vmcall, "vmcall");

static void
launch_state(void)
{
	u8 *copy = spare;
	u64 offset;

	fresh_vmcs();
	check("INS-08 VMCS-05", failed_with(VMX_INSN("vmresume", "i"(0)), 5), "VMRESUME of a clear VMCS: error 5");
	PUT(host_tr_selector, 0);
	check("VMCS-05", failed_with(VMX_INSN("vmlaunch", "i"(0)), 8), "a refused VMLAUNCH");
	check("VMCS-05", failed_with(VMX_INSN("vmresume", "i"(0)), 5), "leaves the VMCS clear");
	PUT(host_tr_selector, 0x18);
	PUT(guest_rflags, 0);
	need(resume(), BIT(31) | 33, "VMLAUNCH with bad RFLAGS");
	check("VMCS-05", failed_with(VMX_INSN("vmresume", "i"(0)), 5), "so does a failed VM entry");
	need(run(says_vmcall), EXIT_REASON_VMCALL, "VMCALL");
	check("INS-08 VMCS-05", failed_with(VMX_INSN("vmlaunch", "i"(0)), 4), "VMLAUNCH of a launched VMCS: error 4");
	vmptrld(ADDRESS(other_region));
	vmptrld(ADDRESS(vmcs_region));
	check("VMCS-05", failed_with(VMX_INSN("vmlaunch", "i"(0)), 4), "VMPTRLD does not change the launch state");
	check("INS-08", failed_with(VMX_INSN("mov %%ss, %%eax; mov %%eax, %%ss; vmlaunch", "i"(0)), 26),
	      "MOV SS before VMLAUNCH: error 26, before error 4");
	PUT(tsc_offset, 0x123456789);
	offset = GET(guest_rip);
	vmclear(ADDRESS(vmcs_region));
	memcpy(copy, vmcs_region, 4096);
	memset(vmcs_region + 4, 0xff, 4092);
	check_equal("VMCS-04", vmptrld(ADDRESS(copy)), 0, "a copy of a cleared region can be made current");
	check("VMCS-04", GET(tsc_offset) == 0x123456789 && GET(guest_rip) == offset, "and has the data");
	vmclear(ADDRESS(copy));
}

static void
shadow_vmcs(void)
{
	fresh_vmcs();
	*(u32 *)spare = (u32)rdmsr(MSR_VMX_BASIC) | 0x80000000;
	check_equal("VMCS-08 VMCS-09", vmptrld(ADDRESS(spare)), 0, "a shadow VMCS can be made current");
	check_equal("VMCS-08", vmwrite(VMCS_guest_rip, 0x4711), 0, "VMWRITE works on it");
	check_equal("VMCS-08", GET(guest_rip), 0x4711, "VMREAD too");
	check_equal("VMCS-08", VMX_INSN("vmlaunch", "i"(0)), CF, "VMLAUNCH is VMfailInvalid");
	check_equal("VMCS-08", VMX_INSN("vmresume", "i"(0)), CF, "VMRESUME too");
	vmclear(ADDRESS(spare));
}

/* The flags do not change when the operand faults. */
static void
faults(void)
{
	fresh_vmcs();
	check_equal("INS-05",
		    (u64)TRY("movabs $0xffffff8000000000, %%rax; stc; vmptrst (%%rax)",
			     :
			     :
			     : TRY_CLOBBERS, "rax"),
		    14, "VMPTRST to a page that is not there is #PF");
	check("INS-05", event_log[0].rflags & CF, "and leaves the flags");
	check_equal("INS-06",
		    (u64)TRY("movabs $0xffffff8000000000, %%rax; mov $0x6800, %%ecx; stc; vmread %%rcx, (%%rax)",
			     :
			     :
			     : TRY_CLOBBERS, "rax", "rcx"),
		    14, "VMREAD to a page that is not there is #PF");
	check("INS-06", event_log[0].rflags & CF, "and leaves the flags");
	check_equal("INS-07",
		    (u64)TRY("movabs $0xffffff8000000000, %%rax; mov $0x6800, %%ecx; stc; vmwrite (%%rax), %%rcx",
			     :
			     :
			     : TRY_CLOBBERS, "rax", "rcx"),
		    14, "VMWRITE from a page that is not there is #PF");
	check_equal("INS-12", (u64)TRY(".byte 0xf0; vmptrld (%%rsp)", : : : TRY_CLOBBERS), 6, "LOCK is #UD");
}

static void
invalidation(void)
{
	u64 eptp = EPTP(ept_pml4);
	bool fine = true;

	fresh_vmcs();
	for (u64 type = 0; type < 8; type++)
		fine &= (invept(type, eptp) == 0) == (type == 1 || type == 2);
	check("INV-02 INV-08", fine, "INVEPT has types 1 and 2");
	check("INV-02", failed_with(invept(0, eptp), 28), "others are error 28");
	check("INV-01", failed_with(invept(1ull << 32 | 1, eptp), 28), "the type has 64 bits");
	check("INV-03", failed_with(invept(1, eptp | 1 << 7), 28),
	      "type 1 wants an EPTP that VM entry would take: reserved bits");
	check("INV-03", failed_with(invept(1, EPTP(ept_pml4) & ~(u64)0x38), 28), "walk length");
	check("INV-03", failed_with(invept(1, (EPTP(ept_pml4) & ~7ull) | 5), 28), "memory type");
	check("INV-03", failed_with(invept(1, eptp | 1ull << 52), 28), "address");
	check_equal("INV-03", invept(2, 0xfff), 0, "type 2 ignores it");
	fine = true;
	for (u64 type = 0; type < 8; type++)
		fine &= (invvpid(type, 1, 0) == 0) == (type < 4);
	check("INV-04 INV-08", fine, "INVVPID has types 0 to 3");
	check("INV-04", failed_with(invvpid(4, 1, 0), 28), "others are error 28");
	fine = true;
	for (u64 type = 0; type < 4; type++)
		fine &= failed_with(invvpid(type, 0x10001, 0), 28) && failed_with(invvpid(type, 1ull << 63 | 1, 0), 28);
	check("INV-05", fine, "VPIDs have 16 bits");
	check("INV-06",
	      failed_with(invvpid(0, 0, 0), 28) && failed_with(invvpid(1, 0, 0), 28) &&
		      failed_with(invvpid(3, 0, 0), 28),
	      "VPID 0 is refused by types 0, 1 and 3");
	check_equal("INV-06", invvpid(2, 0, 0), 0, "but not by type 2");
	check("INV-07", failed_with(invvpid(0, 1, 1ull << 63), 28), "type 0 wants a canonical address");
	check_equal("INV-07", invvpid(1, 1, 1ull << 63), 0, "type 1 does not look at it");
	check_equal("INV-01",
		    (u64)TRY("movabs $0xffffff8000000000, %%rax; mov $1, %%ecx; invept (%%rax), %%rcx",
			     :
			     :
			     : TRY_CLOBBERS, "rax", "rcx"),
		    14, "the descriptor is read: #PF");
	check_equal("INV-02",
		    (u64)TRY("movabs $0xffffff8000000000, %%rax; mov $2, %%ecx; invept (%%rax), %%rcx",
			     :
			     :
			     : TRY_CLOBBERS, "rax", "rcx"),
		    14, "by type 2 as well");
	check_equal("INV-02",
		    (u64)TRY("movabs $0xffffff8000000000, %%rax; mov $5, %%ecx; invept (%%rax), %%rcx",
			     :
			     :
			     : TRY_CLOBBERS, "rax", "rcx"),
		    (u64)-1, "a bad type fails before");
	check_equal("INV-09",
		    (u64)TRY("movabs $0x8000000000000000, %%rax; mov $1, %%ecx; invvpid (%%rax), %%rcx",
			     :
			     :
			     : TRY_CLOBBERS, "rax", "rcx"),
		    13, "INVVPID with a non-canonical operand is #GP");
}

void
guest_main(void)
{
	prerequisites();
	vmxon_checks();
	pointers();
	fields();
	launch_state();
	shadow_vmcs();
	faults();
	invalidation();
	check_equal("INS-02", vmxoff(), 0, "VMXOFF succeeds");
	check_equal("INS-02", (u64)TRY("vmxoff", : : : TRY_CLOBBERS), 6, "and is #UD after that");
	check_equal("INV-09", (u64)TRY("invvpid (%%rsp), %%rax", : : : TRY_CLOBBERS), 6, "as INVVPID is");
	WRITE_CR(4, READ_CR(4) & ~BIT(13));
	check("CAP-07", !(READ_CR(4) & BIT(13)), "CR4.VMXE can be cleared again");
	finish(true);
}
