/*
 * 82540EM: statistics.
 *
 * Source: "Statistics Registers". Octets count from the destination address through the FCS. Counters stick at their
 * maximum.
 */
#include "devices/e1000_internal.h"

void
e1000_count(u32 *counter, u32 n)
{
	*counter = n > UINT32_MAX - *counter ? UINT32_MAX : *counter + n;
}

/* `low` is the low half; the high half follows it in the table. */
void
e1000_count64(u32 *low, u64 n)
{
	u64 value = low[0] | (u64)low[1] << 32;

	value = n > UINT64_MAX - value ? UINT64_MAX : value + n;
	low[0] = (u32)value;
	low[1] = (u32)(value >> 32);
}

/* PRC64... and PTC64... are six counters in a row, by length with FCS. */
static void
count_by_size(u32 *first, size_t size)
{
	static const u16 limit[] = {64, 127, 255, 511, 1023};
	unsigned i = 0;

	while (i < COUNT(limit) && size > limit[i])
		i++;
	e1000_count(first + i, 1);
}

static bool
is_broadcast(const u8 *frame)
{
	return (frame[0] & frame[1] & frame[2] & frame[3] & frame[4] & frame[5]) == 0xff;
}

void
e1000_count_sent(struct e1000 *e, const u8 *frame, size_t size)
{
	size_t octets = size + FCS_SIZE;

	e1000_count(e->r.TPT, 1);
	e1000_count64(e->r.TOTL, octets);
	e1000_count(e->r.GPTC, 1);
	e1000_count64(e->r.GOTCL, octets);
	count_by_size(e->r.PTC64, octets);
	if (is_broadcast(frame))
		e1000_count(e->r.BPTC, 1);
	else if (frame[0] & 1)
		e1000_count(e->r.MPTC, 1);
}

/* Every frame on the wire counts in TPR and TOR; `good` ones passed the filters and have a legal length. */
void
e1000_count_received(struct e1000 *e, const u8 *frame, size_t size, bool good)
{
	size_t octets = size + FCS_SIZE;

	e1000_count(e->r.TPR, 1);
	e1000_count64(e->r.TORL, octets);
	if (!good)
		return;
	e1000_count(e->r.GPRC, 1);
	e1000_count64(e->r.GORCL, octets);
	count_by_size(e->r.PRC64, octets);
	if (is_broadcast(frame))
		e1000_count(e->r.BPRC, 1);
	else if (frame[0] & 1)
		e1000_count(e->r.MPRC, 1);
}
