/*
 * Locks on image files.
 *
 * Two kinds are taken: flock(), and the locks on single bytes by which QEMU's programs (qemu-system-*, qemu-img, qemu-nbd)
 * keep each other away. In these a permission that somebody has is a shared lock of byte 100 + p, one that he grants nobody
 * else a shared lock of byte 200 + p. Whoever asks whether a lock for writing would be possible sees both.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/stop.h"
#include "machine/block_layers.h"

#define HELD 100
#define REFUSED 200

enum permission { CONSISTENT_READ = 0, WRITE = 1, RESIZE = 3 };

static int
byte_lock(int fd, int command, short type, int byte, struct flock *lock)
{
	*lock = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	return fcntl(fd, command, lock);
}

/* Takes byte `mine + p`, unless somebody has byte `other + p`. False: somebody has. Hosts without such locks have none. */
static bool
claim(int fd, int mine, int other, enum permission p)
{
	struct flock lock;

	if (byte_lock(fd, F_OFD_SETLK, F_RDLCK, mine + (int)p, &lock) != 0)
		return errno != EACCES && errno != EAGAIN;
	return byte_lock(fd, F_OFD_GETLK, F_WRLCK, other + (int)p, &lock) != 0 || lock.l_type == F_UNLCK;
}

char *
block_lock(int fd, const char *path, bool writes)
{
	bool free = claim(fd, HELD, REFUSED, CONSISTENT_READ);

	if (writes)
		free = free && claim(fd, HELD, REFUSED, WRITE) && claim(fd, HELD, REFUSED, RESIZE);
	/* Nobody else may write while we read or write. */
	free = free && claim(fd, REFUSED, HELD, WRITE) && claim(fd, REFUSED, HELD, RESIZE);
	if (flock(fd, (writes ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		free = false;
	return free ? NULL : error_string("%s: another process has it locked, or it is given twice", path);
}
