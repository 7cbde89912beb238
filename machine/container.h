/*
 * A file of named, checked sections: snapshots and capsules.
 *
 * After a head (16 bytes of magic, the format's number) the file has sections: a head with name, version, sizes and checksums, and the section's
 * bytes as zstd frames. The last section is called "end", and its version is the number of sections. Nothing may follow it.
 */
#ifndef NB_MACHINE_CONTAINER_H
#define NB_MACHINE_CONTAINER_H

#include <stddef.h>

#include "base/types.h"

#define CONTAINER_MAGIC 16

struct state_store;
struct container_writer;
struct container_reader;

/*
 * Writing. The file has no name, or one of its own beside `path`, until container_commit(): then `path` is the whole new file, and before that,
 * and if anything fails, what it was. A process killed between the last two calls leaves the whole file under its other name. `magic`:
 * CONTAINER_MAGIC bytes.
 */
char *container_create(const char *path, const char *magic, struct container_writer **out);
/* Its section() and put(). Errors wait for container_commit(). */
const struct state_store *container_store(struct container_writer *w);
void container_section(struct container_writer *w, const char *name, u32 version);
void container_put(struct container_writer *w, const void *data, size_t size);
/* NULL, or what is wrong (heap). Frees. */
char *container_commit(struct container_writer *w);
void container_abandon(struct container_writer *w);

/* Reading. Every section is compared with its checksum before the first one is given out. `what` names the kind of file in errors. */
char *container_open(const char *path, const char *magic, const char *what, struct container_reader **out);
/* Its open() and get(). open() skips nothing: the next section must be the named one. */
const struct state_store *container_sections(struct container_reader *r);
/* The present section's bytes that are left. */
u64 container_left(const struct container_reader *r);
/* Is everything read? An error names the section. */
char *container_finish(struct container_reader *r);
/* `error` (freed) with the path, and if it does not name a section, the present one's name. */
char *container_error(const struct container_reader *r, char *error);
void container_close(struct container_reader *r);

#endif
