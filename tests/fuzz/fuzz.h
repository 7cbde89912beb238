/*
 * What the fuzzers share: an input is a string of bytes that decides what software does. A fuzzer is LLVMFuzzerTestOneInput(), which acts on one
 * input; built with clang -DNB_LIBFUZZER -fsanitize=fuzzer,address,undefined it is libFuzzer's. Otherwise its main() makes the inputs itself,
 * from fixed seeds, so that "make check" does the same each time:
 *     fuzz_NAME [INPUTS [FIRST_SEED]]
 */
#ifndef NB_TESTS_FUZZ_FUZZ_H
#define NB_TESTS_FUZZ_FUZZ_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/snapshot.h"
#include "base/types.h"

struct input {
	const u8 *data;
	size_t size, at;
};

/* The next bytes as a number, big endian; what the input no longer has is 0. */
static inline u64
take(struct input *in, unsigned bytes)
{
	u64 value = 0;

	for (unsigned i = 0; i < bytes && in->at < in->size; i++)
		value = value << 8 | in->data[in->at++];
	return value;
}

/* Saves, damages now and then, loads; a refused state is followed by a whole one. */
static inline void
fuzz_shake(void (*visit)(void *opaque, struct state *s), void *opaque, struct input *in)
{
	size_t size;
	u8 *data = state_save(visit, opaque, &size), *damaged = malloc(size);
	char *error;

	memcpy(damaged, data, size);
	for (u64 n = take(in, 1) & 3; n; n--)
		damaged[take(in, 4) % size] ^= (u8)take(in, 1);
	error = state_load(visit, opaque, damaged, size);
	if (error) {
		free(error);
		error = state_load(visit, opaque, data, size);
		assert_null(error);
	}
	free(damaged);
	free(data);
}

/* xorshift64 from `x`, which is not 0: any fixed sequence will do. */
static inline void
fuzz_bytes(u8 *data, size_t size, u64 x)
{
	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		data[i] = (u8)(x >> 32);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#ifndef NB_LIBFUZZER
#define FUZZ_INPUT_SIZE 4096

static unsigned inputs, first_seed = 1;

/* The inputs of this run; `lengths`: how many different lengths they have, FUZZ_INPUT_SIZE being the longest. */
static inline void
fuzz_all(unsigned lengths)
{
	static u8 data[FUZZ_INPUT_SIZE];

	for (unsigned i = 0; i < inputs; i++) {
		fuzz_bytes(data, sizeof(data), (first_seed + i) * 0x9e3779b97f4a7c15ull + 1);
		LLVMFuzzerTestOneInput(data, sizeof(data) - i % lengths);
	}
}

static inline void
fuzz_arguments(int argc, char **argv, unsigned number)
{
	inputs = number;
	if (argc > 1)
		inputs = (unsigned)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		first_seed = (unsigned)strtoul(argv[2], NULL, 0);
	free((char *)log_configure("error")); /* what the guest does wrong is expected */
}

/* main() of a fuzzer that is one test: it calls fuzz_all() and looks whether the inputs reached something. `number` of them by default. */
static inline int
fuzz_main(int argc, char **argv, unsigned number, struct CMUnitTest test)
{
	const struct CMUnitTest tests[] = {test};

	fuzz_arguments(argc, argv, number);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif

#endif
