/* The virtio disk: requests, errors, bounds. */
#include "tests/unit/unit.h"

#include "base/events.h"
#include "base/snapshot.h"
#include "bus/block.h"
#include "bus/memory.h"
#include "bus/ports.h"
#include "devices/virtio_blk.h"

#define SLOT PCI_DEVFN(4, 0)
#define COMMON 0xfe004000u
#define NOTIFY (COMMON + 0x3000)
#define RING 0x10000u
#define SIZE 16u
#define DRIVER (RING + 16 * SIZE)
#define DEVICE (RING + 0x1000)
#define HEADER 0x20000u
#define DATA 0x30000u
#define ANSWER 0x28000u
#define SECTORS 1000u
#define F_FLUSH BIT(9)

struct fixture {
	struct events *events;
	struct memory *memory;
	struct ports *ports;
	struct pci_bus bus;
	struct virtio_blk *b;
	struct block block;
	u8 disk[SECTORS * BLOCK_SECTOR];
	unsigned flushes;
	int error; /* that the host returns */
	u16 available;
};

static int
host_read(void *host, u64 sector, u32 count, u8 *buffer)
{
	struct fixture *f = host;

	assert_true(sector + count <= SECTORS);
	memcpy(buffer, f->disk + sector * BLOCK_SECTOR, (size_t)count * BLOCK_SECTOR);
	return f->error;
}

static int
host_write(void *host, u64 sector, u32 count, const u8 *buffer)
{
	struct fixture *f = host;

	assert_true(sector + count <= SECTORS && !f->block.read_only);
	if (!f->error)
		memcpy(f->disk + sector * BLOCK_SECTOR, buffer, (size_t)count * BLOCK_SECTOR);
	return f->error;
}

static int
host_flush(void *host)
{
	struct fixture *f = host;

	f->flushes++;
	return f->error;
}

static void
wr(struct fixture *f, unsigned at, unsigned size, u64 value)
{
	memory_write(f->memory, COMMON + at, size, value);
}

static void
bring_up(struct fixture *f, u64 features)
{
	static const u8 zeros[0x2000];

	wr(f, 20, 1, 0);
	wr(f, 20, 1, 3);
	wr(f, 8, 4, 0);
	wr(f, 12, 4, (u32)features);
	wr(f, 8, 4, 1);
	wr(f, 12, 4, 1);
	wr(f, 20, 1, 11);
	dma_write(f->memory, RING, zeros, sizeof(zeros));
	f->available = 0;
	wr(f, 22, 2, 0);
	wr(f, 24, 2, SIZE);
	wr(f, 32, 8, RING);
	wr(f, 40, 8, DRIVER);
	wr(f, 48, 8, DEVICE);
	wr(f, 28, 2, 1);
	wr(f, 20, 1, 15);
}

static struct fixture *
fixture_new(bool read_only)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char *error;

	assert_non_null(f);
	f->events = events_new(1000000000);
	f->memory = memory_new(4 << 20, &error);
	f->ports = ports_new();
	f->block = (struct block){host_read, host_write, host_flush, f, SECTORS, read_only};
	pci_bus_init(&f->bus, f->memory, f->ports);
	f->b = virtio_blk_new(&f->bus, SLOT, f->events, &f->block, "a serial of 20 chars", VIRTIO_TRANSITIONAL);
	pci_config_write(&f->bus, SLOT, PCI_BAR0 + 16, 4, COMMON);
	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned i = 0; i < sizeof(f->disk); i++)
		f->disk[i] = (u8)(i * 7 + (i >> 9));
	bring_up(f, F_FLUSH);
	return f;
}

static int
setup(void **state)
{
	*state = fixture_new(false);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	virtio_blk_free(f->b);
	ports_free(f->ports);
	memory_free(f->memory);
	events_free(f->events);
	free(f);
	return 0;
}

static void
put_descriptor(struct fixture *f, unsigned index, u64 address, u32 size, unsigned flags, unsigned next)
{
	u8 bytes[16] = {0};

	pci_set32(bytes, 0, (u32)address);
	pci_set32(bytes, 8, size);
	pci_set16(bytes, 12, (u16)flags);
	pci_set16(bytes, 14, (u16)next);
	dma_write(f->memory, RING + 16ull * index, bytes, sizeof(bytes));
}

static void
start(struct fixture *f)
{
	memory_write(f->memory, DRIVER + 4 + 2 * (f->available % SIZE), 2, 0);
	memory_write(f->memory, DRIVER + 2, 2, ++f->available);
	memory_write(f->memory, NOTIFY, 2, 0);
}

static void
pass_ns(struct fixture *f, u64 ns)
{
	u64 end = events_now(f->events) + ns;

	while (events_next(f->events) <= end)
		events_run(f->events, MAX(events_next(f->events), events_now(f->events)));
	events_run(f->events, end);
}

static u8
answer(struct fixture *f)
{
	return (u8)memory_read(f->memory, ANSWER, 1);
}

/* A request of three descriptors; returns the device's answer. */
static u8
request(struct fixture *f, u32 type, u64 sector, u32 size)
{
	u8 header[16] = {0};

	pci_set32(header, 0, type);
	pci_set32(header, 8, (u32)sector);
	pci_set32(header, 12, (u32)(sector >> 32));
	dma_write(f->memory, HEADER, header, sizeof(header));
	memory_write(f->memory, ANSWER, 1, 0xee);
	put_descriptor(f, 0, HEADER, 16, 1, size ? 1 : 2);
	put_descriptor(f, 1, DATA, size, type == 1 ? 1 : 3, 2);
	put_descriptor(f, 2, ANSWER, 1, 2, 0);
	start(f);
	pass_ns(f, 1000000000);
	return answer(f);
}

static void
the_driver_sees_what_disk_it_is(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pci_config_read(&f->bus, SLOT, 0, 4), 0x10011af4);
	assert_int_equal(memory_read(f->memory, COMMON + 0x2000, 8), SECTORS);
	assert_int_equal(memory_read(f->memory, COMMON + 0x2000 + 20, 4), 512);
	assert_int_equal(request(f, 8, 0, 20), 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(memory_read(f->memory, DATA + i, 1), "a serial of 20 chars"[i]);
}

/* A used ring's length is of bytes that were written, from the first on. */
static void
no_more_is_told_as_written_than_was(void **state)
{
	static const struct {
		u32 type, size, written;
	} requests[] = {{8, 20, 21}, {8, 64, 20}, {8, 8, 9}, {4, 0, 1}, {4, 512, 0}, {0, 1024, 1025}, {0, 511, 0}, {1, 512, 1}, {99, 512, 0}};
	struct fixture *f = *state;

	for (unsigned i = 0; i < COUNT(requests); i++) {
		memory_write(f->memory, DATA + 20, 1, 0x77);
		request(f, requests[i].type, 0, requests[i].size);
		if (memory_read(f->memory, DEVICE + 4 + 8 * (i % SIZE) + 4, 4) != requests[i].written)
			fail_msg("type %u, %u bytes: %llu", requests[i].type, requests[i].size,
				 (unsigned long long)memory_read(f->memory, DEVICE + 4 + 8 * (i % SIZE) + 4, 4));
		if (requests[i].type == 8)
			assert_int_equal(memory_read(f->memory, DATA + 20, 1), 0x77);
	}
}

static void
sectors_go_both_ways(void **state)
{
	struct fixture *f = *state;
	static u8 bytes[300 * BLOCK_SECTOR];

	/* More than one piece of the device's buffer. */
	assert_int_equal(request(f, 0, 700, sizeof(bytes)), 0);
	dma_read(f->memory, DATA, bytes, sizeof(bytes));
	assert_memory_equal(bytes, f->disk + 700 * BLOCK_SECTOR, sizeof(bytes));
	assert_int_equal(memory_read(f->memory, DEVICE + 8, 4), sizeof(bytes) + 1);
	memset(bytes, 0x5a, sizeof(bytes));
	dma_write(f->memory, DATA, bytes, sizeof(bytes));
	assert_int_equal(request(f, 1, 1, sizeof(bytes)), 0);
	assert_memory_equal(bytes, f->disk + BLOCK_SECTOR, sizeof(bytes));
	assert_int_not_equal(f->disk[0], 0x5a);
	assert_int_not_equal(f->disk[301 * BLOCK_SECTOR], 0x5a);
}

static void
requests_beyond_the_end_are_refused(void **state)
{
	static const struct {
		u64 sector;
		u32 size;
	} bad[] = {{SECTORS, 512}, {SECTORS - 1, 1024}, {~0ull, 512}, {~0ull - 1, 1024}, {0, 513}, {0, 511}, {0, 0xfffffe00}};
	struct fixture *f = *state;

	for (unsigned i = 0; i < COUNT(bad); i++)
		for (u32 type = 0; type < 2; type++)
			if (request(f, type, bad[i].sector, bad[i].size) != 1)
				fail_msg("case %u of type %u: %u", i, type, answer(f));
	assert_int_equal(virtio_blk_counters(f->b)->bad, 2 * COUNT(bad));
	assert_int_equal(request(f, 0, SECTORS - 1, 512), 0);
	/* On a larger disk: no request is so long, and the host is not asked. */
	f->block.sectors = 1 << 30;
	assert_int_equal(request(f, 0, 0, (64u << 20) + 512), 1);
	f->block.sectors = SECTORS;
}

static void
unknown_requests_are_not_supported(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(request(f, 77, 0, 512), 2);
	assert_int_equal(request(f, 11, 0, 512), 2);
}

static void
a_flush_is_passed_on_and_its_failure_comes_back(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(request(f, 1, 0, 512), 0);
	assert_int_equal(f->flushes, 0);
	assert_int_equal(request(f, 4, 0, 0), 0);
	assert_int_equal(f->flushes, 1);
	f->error = 5;
	assert_int_equal(request(f, 4, 0, 0), 1);
	assert_int_equal(request(f, 1, 0, 512), 1);
	assert_int_equal(request(f, 0, 0, 512), 1);
	assert_int_equal(virtio_blk_counters(f->b)->errors, 3);
}

static void
who_cannot_flush_has_it_done(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	assert_int_equal(request(f, 1, 0, 512), 0);
	assert_int_equal(f->flushes, 1);
	assert_int_equal(request(f, 0, 0, 512), 0);
	assert_int_equal(f->flushes, 1);
}

static void
nothing_is_written_to_a_read_only_disk(void **state)
{
	struct fixture *f = fixture_new(true);
	void *own = f;

	(void)state;
	wr(f, 0, 4, 0);
	assert_true(memory_read(f->memory, COMMON + 4, 4) & BIT(5));
	assert_int_equal(request(f, 1, 0, 512), 1);
	assert_int_equal(request(f, 0, 0, 512), 0);
	teardown(&own);
}

static void
a_request_without_room_for_an_answer_breaks_the_queue(void **state)
{
	struct fixture *f = *state;

	put_descriptor(f, 0, HEADER, 16, 0, 0);
	start(f);
	pass_ns(f, 1000000);
	assert_true(memory_read(f->memory, COMMON + 20, 1) & 0x40);
	assert_int_equal(virtio_blk_common(f->b)->broken, 1);
	bring_up(f, F_FLUSH);
	put_descriptor(f, 0, HEADER, 15, 1, 1);
	put_descriptor(f, 1, ANSWER, 1, 2, 0);
	start(f);
	pass_ns(f, 1000000);
	assert_int_equal(virtio_blk_common(f->b)->broken, 2);
}

static void
a_chain_changed_in_flight_does_no_harm(void **state)
{
	struct fixture *f = *state;

	memory_write(f->memory, HEADER, 4, 0);
	put_descriptor(f, 0, HEADER, 16, 1, 1);
	put_descriptor(f, 1, DATA, 512, 3, 2);
	put_descriptor(f, 2, ANSWER, 1, 2, 0);
	start(f);
	put_descriptor(f, 2, ANSWER, 1, 3, 0);
	pass_ns(f, 1000000);
	assert_true(memory_read(f->memory, COMMON + 20, 1) & 0x40);
}

static void
visit(void *opaque, struct state *s)
{
	virtio_blk_state(((struct fixture *)opaque)->b, s);
}

static void
a_request_in_flight_survives_in_a_snapshot(void **state)
{
	struct fixture *f = *state;
	size_t size;
	char *error;
	u8 *saved;

	request(f, 0, 0, 512);
	memory_write(f->memory, ANSWER, 1, 0xee);
	start(f);
	saved = state_save(visit, f, &size);
	wr(f, 20, 1, 0);
	pass_ns(f, 1000000000);
	assert_int_equal(answer(f), 0xee);
	error = state_load(visit, f, saved, size);
	assert_null(error);
	pass_ns(f, 1000000000);
	assert_int_equal(answer(f), 0);
	free(saved);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_driver_sees_what_disk_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(no_more_is_told_as_written_than_was, setup, teardown),
		cmocka_unit_test_setup_teardown(sectors_go_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_beyond_the_end_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_requests_are_not_supported, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flush_is_passed_on_and_its_failure_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(who_cannot_flush_has_it_done, setup, teardown),
		cmocka_unit_test(nothing_is_written_to_a_read_only_disk),
		cmocka_unit_test_setup_teardown(a_request_without_room_for_an_answer_breaks_the_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(a_chain_changed_in_flight_does_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(a_request_in_flight_survives_in_a_snapshot, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
