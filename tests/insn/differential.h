/*
 * The differential test: one random case at a time executes on the host's processor and in nestbox, from the same state at the same linear
 * addresses, and must end in the same state.
 *
 * A case is one instruction, or a few, in a code page that holds INT3 otherwise: it ends by a fault or by the breakpoint it comes to, so both sides
 * are left by an exception, and where it went and how is part of what is compared.
 */
#ifndef NB_TESTS_INSN_DIFFERENTIAL_H
#define NB_TESTS_INSN_DIFFERENTIAL_H

#include "cpu/decode.h"
#include "cpu/pattern.h"

/* User memory, the same on both sides. All around is unmapped. */
#define CODE_BASE 0x60010000ull
#define CODE_SIZE 0x2000u /* execute and read only; INT3 but for the case */
#define DATA_BASE 0x60020000ull
#define DATA_SIZE 0x2000u /* read and write */
#define FIXED_BASE (DATA_BASE + DATA_SIZE)
#define FIXED_SIZE 0x1000u /* read only, the same in all cases */
#define UNMAPPED_BASE (FIXED_BASE + FIXED_SIZE)
#define CODE_FILL 0xcc

/* Registers before and after, and how it ended. x87 registers are in stack order, as FXSAVE has them. */
struct registers {
	u64 r[16], rip, rflags, fs, gs;
	u8 vec[16][32];
	u32 mxcsr;
	u16 fcw, fsw;
	u8 full; /* bit n: physical register n is not empty */
	u64 significand[8];
	u16 sign_exponent[8];
	unsigned vector;
	u32 error;
	u64 cr2; /* #PF only */
};

#define INSNS_MAX 4

/* One instruction of a case. */
struct step {
	u16 op;
	u8 length, bytes[15];
	struct insn in;
	u64 rip;
	u64 target; /* linear address of the memory operand, or 0; meant, not promised */
};

struct test_case {
	u64 seed, number;
	enum code_size size; /* 64-bit mode, or compatibility mode with 32-bit code */
	unsigned steps;
	struct step step[INSNS_MAX];
	struct registers start;
	unsigned code_offset, code_length;
	u8 code[INSNS_MAX * 15];
	u8 data[DATA_SIZE];
};

struct result {
	struct registers end;
	u8 data[DATA_SIZE];
};

struct random {
	u64 state;
};
u64 random_64(struct random *r);
unsigned random_below(struct random *r, unsigned n);
/* True once in n. */
bool one_in(struct random *r, unsigned n);
/* Numbers of any size with a liking for corners; what floating point, strings and the like meet. */
u64 random_word(struct random *r);
void random_fill(struct random *r, u8 *p, unsigned size);
void random_extended(struct random *r, u64 *significand, u16 *sign_exponent);

/* host.c. False, with the reason, when this host cannot run the test. */
bool host_open(const char **reason);
bool host_has(unsigned feature);
void host_run(const struct test_case *c, struct result *out);

/* guest.c */
void guest_open(void);
const struct vcpu *guest_cpu(void);
void guest_run(const struct test_case *c, bool complete_forms, struct result *out);
extern u8 fixed_page[FIXED_SIZE];

/* generate.c. False when no encoding was found. */
bool generate(struct test_case *c, u16 op, u64 seed, u64 number);
/* Why a row is left out, or NULL. */
const char *row_excluded(u16 op);

/* compare.c. Prints what differs to stderr if `out`; true when nothing does that is defined. */
bool compare(const struct test_case *c, const struct result *host, const struct result *ours, bool print);
bool compare_exactly(const struct test_case *c, const struct result *fast, const struct result *complete, bool print);
/* May other instructions follow this one in a case? Only if nothing but AF is left undefined. */
bool row_is_defined(u16 op);
void print_case(const struct test_case *c);

#endif
