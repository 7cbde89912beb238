/*
 * What RAM held at former moments: undo logs, one for each moment, of the pages that changed since.
 *
 * After a mark, RAM is write-protected on the host; the first write to a page, by whomever, traps, and the page and some around are copied before it
 * goes on.
 * So nothing is slower while there are no marks, and processors, devices and the software TLB need not know.
 */
#ifndef NB_MACHINE_DIRTY_H
#define NB_MACHINE_DIRTY_H

#include "base/types.h"

struct dirty;

/* The pages that changed after a mark, as they were at it. */
struct dirty_log;

/*
 * `ram` is page-aligned; `logs`: bytes that all logs may have together, beside the one that dirty_mark() has just returned. As long as there is
 * one, the process has a handler of SIGSEGV.
 */
struct dirty *dirty_new(u8 *ram, u64 size, u64 logs);
/* RAM can be written as before. There are no logs any more. */
void dirty_free(struct dirty *d);

/* A moment to which one may want to return. Returns the log of the former one, which is complete now (NULL for the first). */
struct dirty_log *dirty_mark(struct dirty *d);
/* RAM as it was at the present mark; and from there, by the former one's log (which becomes the present one, emptied). */
void dirty_return(struct dirty *d);
void dirty_return_further(struct dirty *d, struct dirty_log *log);
/* Can it be that page `page` of RAM was written since the present mark; between the marks of a log? */
bool dirty_written(const struct dirty *d, u32 page);
bool dirty_log_written(const struct dirty_log *log, u32 page);
/* Bytes. */
u64 dirty_log_size(const struct dirty_log *log);
/* Both logs in one: from the earlier mark to the end of the later one. Frees both. */
struct dirty_log *dirty_log_merge(struct dirty_log *earlier, struct dirty_log *later);
void dirty_log_free(struct dirty_log *log);

#endif
