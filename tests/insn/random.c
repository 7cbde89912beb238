/* Random numbers with a liking for corners. */
#include <string.h>

#include "tests/insn/differential.h"

u64
random_64(struct random *r)
{
	u64 z = r->state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

unsigned
random_below(struct random *r, unsigned n)
{
	return (unsigned)((random_64(r) >> 32) * n >> 32);
}

bool
one_in(struct random *r, unsigned n)
{
	return random_below(r, n) == 0;
}

u64
random_word(struct random *r)
{
	static const u64 corner[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
		0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffffffe, 0xffffffff80000000, 0x5555555555555555,
		0xaaaaaaaaaaaaaaaa, 0x0f, 0x10, 0xf0,
	};
	switch (random_below(r, 6)) {
	case 0: return corner[random_below(r, COUNT(corner))];
	case 1: return BIT(random_below(r, 64)) - random_below(r, 2);
	case 2: return (u64)((s64)random_below(r, 256) - 128);
	case 3: return random_64(r) >> random_below(r, 64);
	default: return random_64(r);
	}
}

static u32
random_single(struct random *r)
{
	static const u32 corner[] = {
		0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc01234, 0xffc05678, 0x7f801234, 0xffa05678,
		0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x4f000000, 0x4effffff, 0xcf000000, 0x5f000000,
		0x3f000000, 0x3fc00000, 0x40200000, 0xc0200000, 0x3effffff, 0x33800000, 0x38800000, 0x387fe000, 0x33000000, 0x477fe000,
		0x477ff000, 0x00000003, 0x00400000, 0x1a000000, 0x20000001, 0x34000000, 0x38000000, 0x337fffff,
	};
	u32 x = (u32)random_64(r);
	switch (random_below(r, 4)) {
	case 0: return x;
	case 1: return corner[random_below(r, COUNT(corner))];
	case 2: return (x & 0x807fffff) | (120 + random_below(r, 16)) << 23;
	default: return (x & 0x80000000) | random_below(r, 8) << 23 | random_below(r, 5);
	}
}

static u64
random_double(struct random *r)
{
	static const u64 corner[] = {
		0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000,
		0x7ff8000000001234, 0xfff8000000005678, 0x7ff0000000001234, 0xfff4000000005678, 1, 0x000fffffffffffff,
		0x0010000000000000, 0x7fefffffffffffff, 0x41dfffffffc00000, 0xc1e0000000000000, 0xc1e0000000200000, 0x43e0000000000000,
		0xc3e0000000000000, 0x3fe0000000000000, 0x3ff8000000000000, 0x4004000000000000, 0x47efffffe0000000, 0x47effffff0000000,
		0x3810000000000000, 0x380fffffe0000000, 0x36a0000000000000, 0x3690000000000000, 0x1e60000000000000, 0x3cb0000000000000,
	};
	u64 x = random_64(r);
	switch (random_below(r, 4)) {
	case 0: return x;
	case 1: return corner[random_below(r, COUNT(corner))];
	case 2: return (x & 0x800fffffffffffff) | (u64)(1016 + random_below(r, 16)) << 52;
	default: return (x & 0x8000000000000000) | (u64)random_below(r, 8) << 52 | random_below(r, 5);
	}
}

/* All classes of the 80-bit format, those too that no processor since the 80387 makes. */
void
random_extended(struct random *r, u64 *significand, u16 *sign_exponent)
{
	static const u64 corner[] = {
		0x8000000000000000, 0xffffffffffffffff, 0xc000000000000000, 0xa000000000000000, 0x8000000000000001, 0xfffffffffffffffe,
		0xfffffffffffffc00, 0xfffffffffffffbff, 0xffffff0000000000, 0xffffff8000000000, 0x8000000000000400, 0x8000008000000000,
	};
	u64 x = one_in(r, 3) ? corner[random_below(r, COUNT(corner))] : random_64(r) | BIT(63);
	unsigned e;
	if (one_in(r, 3))
		x &= ~0ull << random_below(r, 64);
	x |= BIT(63);
	switch (random_below(r, 12)) {
	case 0: e = 0, x = 0; break;
	case 1: e = 0, x = random_64(r) >> (1 + random_below(r, 63)); break; /* denormal */
	case 2: e = 0x7fff, x = one_in(r, 2) ? BIT(63) : x; break; /* infinity, NaN */
	case 3: e = random_below(r, 0x8000); break;
	case 4: e = one_in(r, 4) ? random_below(r, 0x8000) : 0; x &= one_in(r, 2) ? ~BIT(63) : ~0ull; break; /* unnormal, pseudo-denormal */
	case 5: e = 1 + random_below(r, 70); break;
	case 6: e = 0x7ffe - random_below(r, 70); break;
	case 7: e = 0x3fff + random_below(r, 66); break; /* integers */
	case 8: e = 0x3fff + (one_in(r, 2) ? 128 : 1024) - random_below(r, 3) + random_below(r, 3); break; /* beyond single, double */
	case 9: e = 0x3fff - (one_in(r, 2) ? 126 : 1022) - random_below(r, 60); break;
	default: e = 0x3fff - 8 + random_below(r, 16); break;
	}
	*significand = x;
	*sign_exponent = (u16)(e | (one_in(r, 2) ? 0x8000 : 0));
}

void
random_fill(struct random *r, u8 *p, unsigned size)
{
	unsigned kind = random_below(r, 8);
	for (unsigned n = 0; n < size; n += 8) {
		u64 x = random_64(r);
		switch (kind) {
		case 0: break;
		case 1: x = random_single(r) | (u64)random_single(r) << 32; break;
		case 2: x = random_double(r); break;
		case 3: x &= 0x0303030303030303; break; /* short strings, small counts */
		case 4: x &= 0x0003000300030003; break;
		case 5: x = random_word(r); break;
		case 6: x &= 0x9999999999999999; break; /* decimal digits */
		default: x = (x & 0x8080808080808080) - (x >> 7 & 0x0101010101010101 & x); break; /* saturation */
		}
		memcpy(p + n, &x, MIN(8, size - n));
	}
}
