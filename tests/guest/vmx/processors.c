/* Two processors: INIT and SIPI in VMX operation. The second is the hypervisor, the first sends it IPIs. Rules INJ-22, LD-17, INS-02. */
#include "tests/guest/vmx/runtime.h"

#define AP_START 0x9000
#define LAPIC(offset) (*(volatile u32 *)(0xfee00000ull + (offset)))
#define INIT 0x4500
#define SIPI 0x4600

extern const char ap_begin[], ap_end[];
void ap_main(void);

/* What the second processor is about to do, and what the first has done. */
static volatile u32 doing, sent;
static volatile bool survived;
extern volatile u64 beats; /* of the guest */
volatile u64 beats;

SNIPPET(g_loop, "1: incq beats(%rip); jmp 1b");
SNIPPET(g_nop, "nop; vmcall");

static void
pass_time(void)
{
	for (unsigned i = 0; i < 100000; i++)
		asm volatile("pause");
}

static void
send(u32 what)
{
	LAPIC(0x310) = 1u << 24;
	LAPIC(0x300) = what;
	while (LAPIC(0x300) & 0x1000)
		;
}

/* Waits until the other processor says `step`, and a little more. */
static void
wait_for(u32 step)
{
	for (unsigned i = 0; doing != step; i++) {
		asm volatile("pause");
		if (i > 50000000)
			give_up("the second processor does not come along");
	}
	pass_time();
}

static void
wait_sent(u32 step)
{
	while (sent != step)
		asm volatile("pause");
}

void
ap_main(void)
{
	start_vmx();
	doing = 1;
	check_equal("LD-17", run(g_loop), EXIT_REASON_INIT_SIGNAL, "INIT in a guest exits");
	check("LD-17", GET(exit_qualification) == 0 && beats > 0, "the guest ran until then");
	check_equal("SV-12", GET(guest_activity), 0, "active");
	doing = 2;
	wait_sent(2);
	check("LD-17", true, "in root operation INIT is blocked");
	check_equal("LD-17", run(g_nop), EXIT_REASON_INIT_SIGNAL, "it waits for the next VM entry");
	check_equal("LD-17 INJ-17", GET(guest_rip), ADDRESS(g_nop), "and exits before the first instruction");
	check_equal("LD-17", run(g_nop), EXIT_REASON_VMCALL, "once");
	PUT(guest_activity, 3);
	doing = 3;
	check_equal("INJ-22", run(g_nop), EXIT_REASON_SIPI_SIGNAL,
		    "SIPI exits from the wait-for-SIPI state, where INIT does not");
	check_equal("INJ-22", GET(exit_qualification), 0x55, "with its vector");
	check_equal("SV-12", GET(guest_activity), 3, "which is saved");
	PUT(guest_activity, 0);
	/* The INIT of that time is still there. */
	check_equal("INJ-22 LD-17", run(g_nop), EXIT_REASON_INIT_SIGNAL,
		    "the INIT that was blocked comes with the next entry");
	doing = 4;
	wait_sent(4);
	check("INS-02", true, "INIT waits for VMXOFF");
	doing = 5;
	vmxoff();
	survived = true;
	for (;;)
		asm volatile("pause");
}

void
guest_main(void)
{
	memcpy((void *)AP_START, ap_begin, (size_t)(ap_end - ap_begin));
	send(INIT);
	pass_time();
	send(SIPI | AP_START >> 12);
	wait_for(1);
	send(INIT);
	wait_for(2);
	send(INIT);
	pass_time();
	sent = 2;
	wait_for(3);
	send(INIT);
	pass_time();
	send(SIPI | 0x55);
	wait_for(4);
	send(INIT);
	pass_time();
	sent = 4;
	wait_for(5);
	check("INS-02", !survived, "VMXOFF takes the INIT that came in VMX operation");
	/* It waits for a SIPI now, and starts again. */
	doing = 0;
	send(SIPI | AP_START >> 12);
	wait_for(1);
	check("INS-02", true, "the processor starts again");
	finish(true);
}
