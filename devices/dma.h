/* The pair of 8237A DMA controllers of a PC, as registers. See dma.c. */
#ifndef NB_DEVICES_DMA_H
#define NB_DEVICES_DMA_H

#include "base/types.h"
#include "bus/ports.h"

struct state;

struct i8237a {
	u16 base_address[4], base_count[4];
	u16 address[4], count[4];
	u8 mode[4];
	u8 command, status, request, mask, temporary;
	bool high; /* byte pointer flip-flop */
};

struct dma {
	struct i8237a chip[2]; /* 8-bit channels 0..3, 16-bit channels 4..7 */
	u8 page[16];           /* ports 0x80..0x8f */
};

/* Ports 0x00..0x0f, 0x80..0x8f, 0xc0..0xdf. */
void dma_init(struct dma *dma, struct ports *ports);
void dma_reset(struct dma *dma);
void dma_state(struct dma *dma, struct state *s);

#endif
