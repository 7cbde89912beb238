/* Snapshot files: the machine's sections in a container. */
#include "machine/snapshot.h"

#include "base/snapshot.h"
#include "machine/container.h"

static const char magic[CONTAINER_MAGIC] = "nestbox snapshot";

char *
snapshot_save(const char *path, void (*visit)(void *opaque, struct state *s), void *opaque)
{
	struct container_writer *w;
	char *error = container_create(path, magic, &w);

	if (error)
		return error;
	state_save_to(visit, opaque, container_store(w));
	return container_commit(w);
}

char *
snapshot_load(const char *path, void (*visit)(void *opaque, struct state *s), void *opaque)
{
	struct container_reader *r;
	char *error = container_open(path, magic, "snapshot", &r);

	if (error)
		return error;
	error = state_load_from(visit, opaque, container_sections(r));
	if (!error)
		error = container_finish(r);
	if (error)
		error = container_error(r, error);
	container_close(r);
	return error;
}
