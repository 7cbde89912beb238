/* Disks and CDs: sectors between a controller and a host file. */
#ifndef NB_BUS_BLOCK_H
#define NB_BUS_BLOCK_H

#include "base/types.h"

#define BLOCK_SECTOR 512u

/*
 * The host side fills it in. Calls return 0, or a host errno that has been reported to the user; the device makes it an
 * error of the medium. `sector` and `count` lie inside `sectors`.
 */
struct block {
	int (*read)(void *host, u64 sector, u32 count, u8 *buffer);
	int (*write)(void *host, u64 sector, u32 count, const u8 *buffer);
	/* When it returns 0, everything written before is on the host's disk. */
	int (*flush)(void *host);
	void *host;
	u64 sectors; /* of 512 bytes */
	bool read_only;
};

#endif
