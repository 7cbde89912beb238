/*
 * The host's side: loads all registers, jumps to the case, and takes the end state from the context of the signal that ends it.
 *
 * FS is the program's own thread pointer: the signal stub puts it back before any C code runs.
 */
#define _GNU_SOURCE 1 /* register names of ucontext.h, memfd_create */
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "cpu/cpuid.h"
#include "tests/insn/differential.h"

/* Linux's selectors. */
#define USER_CS32 0x23
#define USER_DS 0x2b

#ifndef HWCAP2_FSGSBASE
#define HWCAP2_FSGSBASE 2
#endif

/* The features' places in CPUID. The names EAX.. are cpuid.def's; what has no leaf the host has not. */
enum { EAX_WORD, EBX_WORD, ECX_WORD, EDX_WORD };
#define EAX EAX_WORD
#define EBX EBX_WORD
#define ECX ECX_WORD
#define EDX EDX_WORD
#define ARCH_CAP 0xffffffff
#define NO_LEAF 0xffffffff
static const struct {
	u32 leaf, subleaf, reg, bit;
} features[] = {
	{0, 0, 0, 0},
#define FEATURE(id, name, leaf, subleaf, reg, bit) {leaf, subleaf, reg, bit},
#include "cpu/cpuid.def"
#undef FEATURE
};
#undef EAX
#undef EBX
#undef ECX
#undef EDX

bool
host_has(unsigned feature)
{
	u32 regs[4] = {0, 0, 0, 0};
	if (feature == FEATURE_BASE)
		return true;
	if (features[feature].leaf == NO_LEAF ||
	    !__get_cpuid_count(features[feature].leaf, features[feature].subleaf, &regs[0], &regs[1], &regs[2], &regs[3]))
		return false;
	return regs[features[feature].reg] >> features[feature].bit & 1;
}

/* What the assembly reads and writes. Offsets are written out there. */
struct frame {
	u8 xsave[1024]; /* standard format: legacy area, header, AVX at 576 */
	u64 r[16];      /* 1024 */
	u64 rflags;     /* 1152 */
	u64 rip;        /* 1160 */
	u64 fs, gs;     /* 1168, 1176 */
	u64 own_rsp;    /* 1184 */
	u64 own_fs;     /* 1192 */
	u64 end_fs, end_gs; /* 1200, 1208 */
	u32 far_offset;     /* 1216 */
	u16 far_selector, data_selector; /* 1220, 1222 */
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct frame, data_selector) == 1222, "as in the assembly");

struct frame host_frame;
void host_enter(void);
void host_signal(int number, siginfo_t *info, void *context);
void host_leave(void);

#define EACH_GPR(f) \
	f(0, rax) f(1, rcx) f(2, rdx) f(3, rbx) f(5, rbp) f(6, rsi) f(7, rdi) f(8, r8) f(9, r9) f(10, r10) f(11, r11) f(12, r12) f(13, r13) \
		f(14, r14) f(15, r15) f(4, rsp)
#define LOAD_GPR(n, name) "movq host_frame+1024+" #n "*8(%rip), %" #name "\n"

asm(".text\n"
	"host_enter:\n"
	"push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"movq %rsp, host_frame+1184(%rip)\n"
	"rdfsbase %rax\n movq %rax, host_frame+1192(%rip)\n"
	"movw host_frame+1222(%rip), %ax\n movw %ax, %ds\n movw %ax, %es\n"
	"movl $7, %eax\n xorl %edx, %edx\n leaq host_frame(%rip), %rdi\n xrstor64 (%rdi)\n"
	"movq host_frame+1176(%rip), %rax\n wrgsbase %rax\n"
	"movq host_frame+1168(%rip), %rax\n wrfsbase %rax\n"
	"cmpw $0, host_frame+1220(%rip)\n jne 1f\n"
	"pushq host_frame+1152(%rip)\n popfq\n" EACH_GPR(LOAD_GPR)
	"jmp *host_frame+1160(%rip)\n"
	"1:\n pushq host_frame+1152(%rip)\n popfq\n" EACH_GPR(LOAD_GPR)
	"ljmpl *host_frame+1216(%rip)\n"
	/* The handler comes here from the signal stack. */
	"host_leave:\n"
	"movq host_frame+1184(%rip), %rsp\n"
	"pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
	"ret\n"
	"host_signal:\n"
	"rdfsbase %rax\n movq %rax, host_frame+1200(%rip)\n"
	"rdgsbase %rax\n movq %rax, host_frame+1208(%rip)\n"
	"movq host_frame+1192(%rip), %rax\n wrfsbase %rax\n"
	"pushq $0x202\n popfq\n"
	"jmp host_signal_body\n");

static struct registers *volatile end;
static u8 *code;

#define FP_XSTATE_MAGIC 0x46505853

void host_signal_body(int number, siginfo_t *info, void *context);

/* Leaves the signal stack by a jump: nothing here may need unwinding. */
__attribute__((no_sanitize("address"), used)) void
host_signal_body(int number, siginfo_t *info, void *context)
{
	static const u8 order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				     REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
	(void)info;
	ucontext_t *u = context;
	const greg_t *g = u->uc_mcontext.gregs;
	struct registers *e = end;
	if (!e) { /* the test's own trouble */
		signal(number, SIG_DFL);
		return;
	}
	end = NULL;
	for (unsigned n = 0; n < 16; n++)
		e->r[n] = (u64)g[order[n]];
	e->rip = (u64)g[REG_RIP];
	e->rflags = (u64)g[REG_EFL];
	e->fs = host_frame.end_fs;
	e->gs = host_frame.end_gs;
	e->vector = (unsigned)g[REG_TRAPNO];
	e->error = (u32)g[REG_ERR];
	e->cr2 = e->vector == VECTOR_PF ? (u64)g[REG_CR2] : 0;
	const u8 *x = (const u8 *)u->uc_mcontext.fpregs;
	u32 magic;
	u64 in_use;
	memcpy(&magic, x + 464, 4);
	memcpy(&in_use, x + 512, 8);
	if (magic != FP_XSTATE_MAGIC)
		abort();
	memcpy(&e->mxcsr, x + 24, 4);
	e->fcw = 0x37f;
	e->fsw = 0;
	e->full = 0;
	if (in_use & 1) {
		memcpy(&e->fcw, x, 2);
		memcpy(&e->fsw, x + 2, 2);
		e->full = x[4];
	}
	for (unsigned n = 0; n < 8; n++) {
		e->significand[n] = 0;
		e->sign_exponent[n] = 0;
		if (in_use & 1) {
			memcpy(&e->significand[n], x + 32 + n * 16, 8);
			memcpy(&e->sign_exponent[n], x + 40 + n * 16, 2);
		}
	}
	memset(e->vec, 0, sizeof e->vec);
	for (unsigned n = 0; n < 16; n++) {
		if (in_use & 2)
			memcpy(e->vec[n], x + 160 + n * 16, 16);
		if (in_use & 4)
			memcpy(e->vec[n] + 16, x + 576 + n * 16, 16);
	}
	asm volatile("jmp host_leave" : : : "memory");
	__builtin_unreachable();
}

static bool
map_at(u64 address, u64 size, int protection, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *p = mmap((void *)(uintptr_t)address, size, protection, flags | MAP_FIXED_NOREPLACE, fd, 0);
	return p == (void *)(uintptr_t)address;
}

bool
host_open(const char **reason)
{
#if defined(__SANITIZE_ADDRESS__)
	*reason = "AddressSanitizer maps much of what a case may point at";
	return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
	*reason = "AddressSanitizer maps much of what a case may point at";
	return false;
#endif
#endif
	*reason = "the host lacks AVX, XSAVE or FSGSBASE";
	if (!host_has(FEATURE_AVX) || !host_has(FEATURE_XSAVE) || !(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
		return false;
	*reason = "the addresses of the test are taken";
	/* The code is written through another mapping, so that the case itself finds it read only. */
	int fd = memfd_create("code", 0);
	if (fd < 0 || ftruncate(fd, CODE_SIZE) || !map_at(CODE_BASE, CODE_SIZE, PROT_READ | PROT_EXEC, fd) ||
	    !map_at(DATA_BASE, DATA_SIZE, PROT_READ | PROT_WRITE, -1) || !map_at(FIXED_BASE, FIXED_SIZE, PROT_READ | PROT_WRITE, -1))
		return false;
	code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (code == MAP_FAILED)
		return false;
	close(fd);
	memset(code, CODE_FILL, CODE_SIZE);
	memcpy((void *)(uintptr_t)FIXED_BASE, fixed_page, FIXED_SIZE);
	mprotect((void *)(uintptr_t)FIXED_BASE, FIXED_SIZE, PROT_READ);
	static u8 stack[65536] __attribute__((aligned(16)));
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
	sigaltstack(&alternate, NULL);
	struct sigaction action = {.sa_sigaction = host_signal, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	for (unsigned n = 0; n < COUNT(signals); n++)
		sigaction(signals[n], &action, NULL);
	return true;
}

void
host_run(const struct test_case *c, struct result *out)
{
	const struct registers *s = &c->start;
	struct frame *f = &host_frame;
	const u64 in_use = 7;
	memset(f->xsave, 0, 576);
	memcpy(f->xsave, &s->fcw, 2);
	memcpy(f->xsave + 2, &s->fsw, 2);
	f->xsave[4] = s->full;
	memcpy(f->xsave + 24, &s->mxcsr, 4);
	memcpy(f->xsave + 512, &in_use, 8);
	for (unsigned n = 0; n < 8; n++) {
		memcpy(f->xsave + 32 + n * 16, &s->significand[n], 8);
		memcpy(f->xsave + 40 + n * 16, &s->sign_exponent[n], 2);
	}
	for (unsigned n = 0; n < 16; n++) {
		memcpy(f->xsave + 160 + n * 16, s->vec[n], 16);
		memcpy(f->xsave + 576 + n * 16, s->vec[n] + 16, 16);
	}
	memcpy(f->r, s->r, sizeof f->r);
	f->rip = s->rip;
	f->far_offset = (u32)s->rip;
	f->far_selector = c->size == CODE32 ? USER_CS32 : 0;
	f->data_selector = c->size == CODE32 ? USER_DS : 0;
	f->rflags = s->rflags;
	f->fs = s->fs;
	f->gs = s->gs;
	memcpy(code + c->code_offset, c->code, c->code_length);
	memcpy((void *)(uintptr_t)DATA_BASE, c->data, DATA_SIZE);
	end = &out->end;
	host_enter();
	memcpy(out->data, (void *)(uintptr_t)DATA_BASE, DATA_SIZE);
	memset(code + c->code_offset, CODE_FILL, c->code_length);
}
