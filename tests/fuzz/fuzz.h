/*
 * What the fuzzers of devices and of VMX share: an input is a string of bytes that decides what software does. Each
 * fuzzer is a cmocka test over inputs from seeds (arguments: how many inputs, the first seed), and with NB_LIBFUZZER a libFuzzer target.
 */
#ifndef NB_TESTS_FUZZ_FUZZ_H
#define NB_TESTS_FUZZ_FUZZ_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

/* xorshift64: any fixed sequence will do. */
static inline void
fuzz_fill(u8 *data, size_t size, u64 seed)
{
	u64 x = seed * 0x9e3779b97f4a7c15ull + 1;

	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		data[i] = (u8)(x >> 32);
	}
}

static inline void
fuzz_arguments(int argc, char **argv, unsigned *inputs, unsigned *first_seed)
{
	if (argc > 1)
		*inputs = (unsigned)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		*first_seed = (unsigned)strtoul(argv[2], NULL, 0);
}

#endif
