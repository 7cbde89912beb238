/* xorshift64*: the same numbers on every host, from `seed`, which a test sets to something that is not 0. */
#ifndef NB_TESTS_UNIT_RANDOM_H
#define NB_TESTS_UNIT_RANDOM_H

#include "base/types.h"

static u64 seed = 0x9e3779b97f4a7c15;

static inline u64
random_64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1d;
}

static inline unsigned
random_below(unsigned n)
{
	return (unsigned)(random_64() >> 33) % n;
}

#endif
