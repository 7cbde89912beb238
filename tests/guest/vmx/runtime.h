/*
 * What the guests that act as hypervisor share: output, exceptions, VMX instructions, a valid VMCS, EPT tables.
 *
 * A check prints one line, "RULE id ok text" or "RULE id FAILED text", with an id of tests/rules.list. Guests of these hypervisors are pieces
 * of assembly (SNIPPET), run in the hypervisor's own address space with run().
 */
#ifndef NB_TESTS_GUEST_VMX_RUNTIME_H
#define NB_TESTS_GUEST_VMX_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define BIT(n) (1ull << (n))
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE __attribute__((aligned(4096)))

/* VMCS_name: encodings. */
enum {
#define FIELD(name, encoding, type, exists, text) VMCS_##name = (encoding),
#include "vmx/vmcs_fields.def"
#undef FIELD
};

/* PIN_NAME, PROC_NAME...: bits of controls and capabilities. */
#define CTL(word, bit, name, emulated, option, text) static const u64 word##_##name __attribute__((unused)) = BIT(bit);
#include "vmx/controls.def"
#undef CTL

enum {
#define REASON(number, name, rf) EXIT_REASON_##name = (number),
#include "vmx/exit_reasons.def"
#undef REASON
};

enum { MSR_FEATURE_CONTROL = 0x3a, MSR_VMX_BASIC = 0x480, MSR_EFER = 0xc0000080, MSR_LSTAR = 0xc0000082 };
enum { CF = 1, ZF = 1 << 6, TF = 1 << 8, IF = 1 << 9 };

/* --- output --- */
void put_text(const char *text);
void put_hex(u64 value);
_Noreturn void finish(bool fine);
/* Names the rule (or several ids) and says whether it holds. */
void check(const char *ids, bool holds, const char *text);
/* The same, and shows both values if they differ. */
void check_equal(const char *ids, u64 value, u64 wanted, const char *text);
/* Beyond this, what the machine does is not known: says so and ends. */
_Noreturn void give_up(const char *text);

/* --- events that reach the IDT, here or in a guest --- */
struct frame {
	u64 r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};
#define LOG 32
extern struct frame event_log[LOG]; /* the first LOG events since events_clear() */
extern unsigned event_count;
extern bool events_exit; /* handlers execute VMCALL after logging: for events in a guest */
void events_clear(void);
/* Where a fault in the hypervisor goes on; 0: it ends the test. Made by TRY. */
extern u64 fixup;
extern void (*on_interrupt)(struct frame *frame); /* called in handlers of vectors from 32 on; may be NULL */

/* Executes an instruction; the vector of the exception that it raised, or -1. */
#define TRY(instruction, ...)                                                                                          \
	({                                                                                                             \
		events_clear();                                                                                        \
		asm volatile("leaq 661f(%%rip), %%r11\n\tmovq %%r11, fixup(%%rip)\n\t" instruction "\n661:" __VA_ARGS__); \
		fixup = 0;                                                                                             \
		event_count ? (int)event_log[0].vector : -1;                                                           \
	})
#define TRY_CLOBBERS "r11", "memory", "cc"

/* --- instructions --- */
static inline void
outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8
inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline u64
rdmsr(u32 index)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return low | (u64)high << 32;
}

static inline void
wrmsr(u32 index, u64 value)
{
	asm volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64
rdtsc(void)
{
	u32 low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (u64)high << 32;
}

static inline void
cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	asm volatile("cpuid" : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3]) : "a"(leaf), "c"(subleaf));
}

#define READ_CR(n)                                                                                                     \
	({                                                                                                             \
		u64 value_;                                                                                            \
		asm volatile("mov %%cr" #n ", %0" : "=r"(value_));                                                     \
		value_;                                                                                                \
	})
#define WRITE_CR(n, value) asm volatile("mov %0, %%cr" #n : : "r"((u64)(value)) : "memory")

/* The six flags after a VMX instruction: 0 VMsucceed, CF VMfailInvalid, ZF VMfailValid. */
#define VMX_FLAGS 0x8d5
#define VMX_INSN(instruction, ...)                                                                                     \
	({                                                                                                             \
		u64 flags_;                                                                                            \
		asm volatile("pushfq; orl $0x8d5, (%%rsp); popfq; " instruction "; pushfq; popq %0"                    \
			     : "=r"(flags_)                                                                            \
			     : __VA_ARGS__                                                                             \
			     : "memory", "cc");                                                                        \
		flags_ & VMX_FLAGS;                                                                                    \
	})

u64 vmxon(u64 address);
u64 vmxoff(void);
u64 vmclear(u64 address);
u64 vmptrld(u64 address);
u64 vmptrst(void);
u64 vmread(u64 encoding); /* 0 when there is no such field */
u64 vmread_flags(u64 encoding, u64 *value);
u64 vmwrite(u64 encoding, u64 value); /* the flags */
#define GET(field) vmread(VMCS_##field)
#define PUT(field, value) vmwrite(VMCS_##field, value)
#define SET_BITS(field, bits) vmwrite(VMCS_##field, vmread(VMCS_##field) | (bits))
#define CLEAR_BITS(field, bits) vmwrite(VMCS_##field, vmread(VMCS_##field) & ~(u64)(bits))
struct descriptor128 {
	u64 low, high;
};
u64 invept(u64 type, u64 eptp);
u64 invvpid(u64 type, u64 vpid, u64 linear);
/* VMFAIL with this error number, of the current VMCS? */
bool failed_with(u64 flags, unsigned error);

/* --- hypervisor --- */
struct regs {
	u64 rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};
extern struct regs guest; /* general registers of the guest */

extern u8 vmxon_region[4096], vmcs_region[4096], other_region[4096];
extern u8 msr_bitmap[4096], io_bitmaps[8192], virtual_apic[4096], apic_access[4096];
extern u64 ept_pml4[512], ept_pdpt[512], ept_pd[4 * 512], ept_pt[512];
extern u8 guest_stack[16384];
/* A page that nothing else uses, and the 2 MiB around it, whose EPT entry is split: ept_pt maps them. */
extern u8 test_page[4096];

/* Into VMX root operation, with vmcs_region current and valid: fresh_vmcs(). */
void start_vmx(void);
/* A clear VMCS with the least controls, host and guest state those of this moment; the guest has its own stack. */
void fresh_vmcs(void);
void use_ept(void); /* "enable EPT", everything below 4 GiB mapped to itself, by 2 MiB but around test_page */
void use_secondary(u64 controls);
void at_cpl3(void); /* the guest is to begin at CPL 3 */
u64 *ept_entry(u64 address); /* the 4 KiB entry of an address near test_page */
#define EPTP(pml4) ((u64)(uintptr_t)(pml4) | 6 | 3 << 3)
#define ADDRESS(x) ((u64)(uintptr_t)(x))

/* Enters the guest and returns the exit reason, with bit 31 after a failed entry; ~0: VMfail, whose flags are entry_flags. */
extern u64 entry_flags;
u64 enter_guest(struct regs *regs, bool launched);
u32 resume(void);
/* The guest at `code` from now on: RIP, RSP, RFLAGS 2. */
u32 run(const char *code);
void skip(void); /* behind the instruction that exited */
/* Runs on behind the instruction. */
u32 go_on(void);
/* Ends the test if the last entry did not come back with this reason. */
void need(u32 reason, u32 wanted, const char *text);

/* A piece of guest code. */
#define SNIPPET(name, code)                                                                                            \
	extern const char name[];                                                                                      \
	asm(".pushsection .text\n\t.globl " #name "\n" #name ":\n\t" code "\n\t.popsection")

/* The compiler makes calls of these, too. */
void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);

void guest_main(void);

#endif
