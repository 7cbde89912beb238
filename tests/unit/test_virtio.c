/* What all virtio functions have in common, seen through the network card. */
#include "tests/unit/virtio_fixture.h"

static int
setup(void **state)
{
	*state = fixture_new(VIRTIO_TRANSITIONAL);
	return 0;
}

static int
setup_modern(void **state)
{
	*state = fixture_new(VIRTIO_MODERN);
	return 0;
}

static int
teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

static u32
config(struct fixture *f, unsigned at, unsigned size)
{
	return pci_config_read(&f->bus, SLOT, at, size);
}

static void
capabilities_lead_to_all_structures(void **state)
{
	static const u32 offset[5] = {0, 0, 0x3000, 0x1000, 0x2000};
	struct fixture *f = *state;
	unsigned at = config(f, PCI_CAPABILITIES, 1), found = 0, msix = 0;

	assert_true(config(f, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES);
	for (unsigned n = 0; at && n < 16; n++, at = config(f, at + 1, 1)) {
		unsigned type = config(f, at + 3, 1);

		msix += config(f, at, 1) == 0x11;
		if (config(f, at, 1) != 9)
			continue;
		assert_in_range(type, 1, 5);
		found |= 1u << type;
		if (type == 5)
			continue;
		assert_int_equal(config(f, at + 4, 1), 4);
		assert_int_equal(config(f, at + 8, 4), offset[type]);
		assert_true(config(f, at + 12, 4) > 0);
	}
	assert_int_equal(found, 0x3e);
	assert_int_equal(msix, 1);
	assert_int_equal(at, 0);
}

static void
identity_says_which_drivers_fit(void **state)
{
	struct fixture *f = *state, *modern = fixture_new(VIRTIO_MODERN);

	assert_int_equal(config(f, 0, 4), 0x10001af4);
	assert_int_equal(config(f, PCI_REVISION, 1), 0);
	assert_int_equal(config(f, PCI_SUBSYSTEM_ID, 2), 1);
	assert_int_equal(config(f, PCI_BAR0, 4) & 1, 1);
	assert_int_equal(config(modern, 0, 4), 0x10411af4);
	assert_true(config(modern, PCI_REVISION, 1) >= 1);
	assert_int_equal(config(modern, PCI_BAR0, 4), 0);
	fixture_free(modern);
}

static void
features_that_were_not_offered_are_refused(void **state)
{
	struct fixture *f = *state;

	assert_true(offered(f) & VIRTIO_F_VERSION_1);
	wr(f, AT_STATUS, 1, 3);
	accept(f, offered(f));
	wr(f, AT_STATUS, 1, 11);
	assert_int_equal(status(f), 11);
	wr(f, AT_STATUS, 1, 0);
	assert_int_equal(status(f), 0);
	wr(f, AT_STATUS, 1, 3);
	accept(f, offered(f) | BIT(34)); /* packed rings */
	wr(f, AT_STATUS, 1, 11);
	assert_int_equal(status(f), 3);
}

static void
a_modern_function_wants_a_modern_driver(void **state)
{
	struct fixture *f = *state;

	wr(f, AT_STATUS, 1, 3);
	accept(f, 0);
	wr(f, AT_STATUS, 1, 11);
	assert_int_equal(status(f), 3);
}

static void
agreed_features_stay(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	accept(f, 1);
	wr(f, AT_ACCEPTED_SELECT, 4, 0);
	assert_int_equal(rd(f, AT_ACCEPTED, 4), 0);
}

static void
queues_that_do_not_exist_have_no_size(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, AT_QUEUES, 2), 3);
	wr(f, AT_QUEUE_SELECT, 2, 3);
	assert_int_equal(rd(f, AT_QUEUE_SIZE, 2), 0);
	wr(f, AT_QUEUE_ENABLE, 2, 1);
	wr(f, AT_QUEUE_DESCRIPTORS, 4, 0x1000);
	memory_write(f->memory, NOTIFY + 4 * 77, 2, 77);
	assert_true(virtio_net_common(f->n)->stray >= 2);
}

static void
queue_sizes_are_powers_of_two_up_to_the_most(void **state)
{
	static const u16 bad[] = {0, 3, 100, 512, 65535};
	struct fixture *f = *state;

	wr(f, AT_QUEUE_SELECT, 2, 0);
	assert_int_equal(rd(f, AT_QUEUE_SIZE, 2), 256);
	for (unsigned i = 0; i < COUNT(bad); i++) {
		wr(f, AT_QUEUE_SIZE, 2, bad[i]);
		assert_int_equal(rd(f, AT_QUEUE_SIZE, 2), 256);
	}
	wr(f, AT_QUEUE_SIZE, 2, 8);
	assert_int_equal(rd(f, AT_QUEUE_SIZE, 2), 8);
}

static const u8 no_header[12];

static void
send_one(struct fixture *f)
{
	u8 frame[64];

	fill_frame(frame, sizeof(frame), peer, station, 0x0800);
	send_frame(f, no_header, 12, frame, sizeof(frame));
	ring_bell(f, TX);
}

static void
the_pin_goes_down_when_the_isr_is_read(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	send_one(f);
	assert_int_equal(f->pin, 1);
	assert_int_equal(rd(f, 0x1000, 1), 1);
	assert_int_equal(f->pin, 0);
	assert_int_equal(rd(f, 0x1000, 1), 0);
}

static void
nobody_is_interrupted_who_does_not_want_to(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	memory_write(f->memory, f->ring[TX].driver, 2, 1); /* VIRTQ_AVAIL_F_NO_INTERRUPT */
	send_one(f);
	assert_int_equal(used_index(f, TX), 1);
	assert_int_equal(f->pin, 0);
}

static void
with_event_indices_the_driver_hears_of_the_entry_that_it_named(void **state)
{
	struct fixture *f = *state;
	u64 used_event;

	bring_up(f, VIRTIO_F_EVENT_IDX);
	used_event = f->ring[TX].driver + 4 + 2 * RING;
	memory_write(f->memory, used_event, 2, 2);
	send_one(f);
	send_one(f);
	assert_int_equal(f->pin, 0);
	send_one(f);
	assert_int_equal(f->pin, 1);
	assert_int_equal(memory_read(f->memory, f->ring[TX].device + 4 + 8 * RING, 2), 3); /* avail_event */
}

static void
set_vector(struct fixture *f, unsigned queue, unsigned vector, u32 data, u32 mask)
{
	wr(f, AT_QUEUE_SELECT, 2, queue);
	wr(f, AT_QUEUE_VECTOR, 2, vector);
	memory_write(f->memory, BAR_MSIX + 16 * vector, 4, 0xfee0300c); /* to 3, logical, with a hint */
	memory_write(f->memory, BAR_MSIX + 16 * vector + 4, 4, 0);
	memory_write(f->memory, BAR_MSIX + 16 * vector + 8, 4, data);
	memory_write(f->memory, BAR_MSIX + 16 * vector + 12, 4, mask);
}

#define MSIX_CONTROL 0x42

static void
a_vector_is_a_message_to_an_apic(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	pci_config_write(&f->bus, SLOT, MSIX_CONTROL, 2, 0x8000);
	set_vector(f, TX, 2, 0x4145, 0);
	send_one(f);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->message[0].vector, 0x45);
	assert_int_equal(f->message[0].delivery, APIC_LOWEST);
	assert_int_equal(f->message[0].destination, 3);
	assert_true(f->message[0].logical);
	assert_false(f->message[0].level);
	/* The pin and the ISR are out of use. */
	assert_int_equal(f->pin, 0);
	assert_int_equal(rd(f, 0x1000, 1), 0);
}

static void
masked_messages_wait(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	pci_config_write(&f->bus, SLOT, MSIX_CONTROL, 2, 0x8000);
	set_vector(f, TX, 1, 0x31, 1);
	send_one(f);
	send_one(f);
	assert_int_equal(f->messages, 0);
	assert_int_equal(memory_read(f->memory, BAR_MSIX + 0x800, 4), 2);
	memory_write(f->memory, BAR_MSIX + 16 + 12, 4, 0);
	assert_int_equal(f->messages, 1);
	assert_int_equal(memory_read(f->memory, BAR_MSIX + 0x800, 4), 0);
	/* The mask of the whole function. */
	pci_config_write(&f->bus, SLOT, MSIX_CONTROL, 2, 0xc000);
	send_one(f);
	assert_int_equal(f->messages, 1);
	pci_config_write(&f->bus, SLOT, MSIX_CONTROL, 2, 0x8000);
	assert_int_equal(f->messages, 2);
}

static void
a_message_that_is_no_interrupt_is_a_store(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	pci_config_write(&f->bus, SLOT, MSIX_CONTROL, 2, 0x8000);
	set_vector(f, TX, 0, 0x12345678, 0);
	memory_write(f->memory, BAR_MSIX, 4, 0x8000);
	send_one(f);
	assert_int_equal(f->messages, 0);
	assert_int_equal(memory_read(f->memory, 0x8000, 4), 0x12345678);
}

static void
vectors_that_do_not_exist_are_none(void **state)
{
	struct fixture *f = *state;

	wr(f, AT_QUEUE_SELECT, 2, 0);
	wr(f, AT_QUEUE_VECTOR, 2, 4);
	assert_int_equal(rd(f, AT_QUEUE_VECTOR, 2), 0xffff);
	wr(f, AT_QUEUE_VECTOR, 2, 3);
	assert_int_equal(rd(f, AT_QUEUE_VECTOR, 2), 3);
	wr(f, AT_CONFIG_VECTOR, 2, 4);
	assert_int_equal(rd(f, AT_CONFIG_VECTOR, 2), 0xffff);
}

static void
the_window_in_the_configuration_space_reaches_the_structures(void **state)
{
	struct fixture *f = *state;
	unsigned at = 0x94;

	pci_config_write(&f->bus, SLOT, at + 4, 1, 4);
	pci_config_write(&f->bus, SLOT, at + 8, 4, AT_STATUS);
	pci_config_write(&f->bus, SLOT, at + 12, 4, 1);
	pci_config_write(&f->bus, SLOT, at + 16, 1, 3);
	assert_int_equal(status(f), 3);
	pci_config_write(&f->bus, SLOT, at + 8, 4, AT_QUEUES);
	pci_config_write(&f->bus, SLOT, at + 12, 4, 2);
	assert_int_equal(config(f, at + 16, 2), 3);
	/* Nowhere: no effect. */
	pci_config_write(&f->bus, SLOT, at + 8, 4, 0xfffffffe);
	pci_config_write(&f->bus, SLOT, at + 16, 2, 0);
	assert_int_equal(status(f), 3);
}

/* ---- Impossible rings ---- */

static void
assert_broken(struct fixture *f)
{
	ring_bell(f, TX);
	assert_int_equal(f->frames, 0);
	assert_true(status(f) & 0x40);
	assert_int_equal(virtio_net_common(f->n)->broken, 1);
	assert_int_equal(rd(f, 0x1000, 1) & 2, 2); /* "Device Configuration Interrupt" */
	/* Nothing more happens until the driver resets the device. */
	send_one(f);
	assert_int_equal(f->frames, 0);
	bring_up(f, VIRTIO_F_INDIRECT_DESC);
	send_one(f);
	assert_int_equal(f->frames, 1);
	assert_int_equal(status(f), 15);
}

static void
a_chain_that_is_a_loop_breaks_the_queue(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	put_descriptor(f, f->ring[TX].descriptors, 0, BUFFERS, 64, NEXT, 1);
	put_descriptor(f, f->ring[TX].descriptors, 1, BUFFERS, 64, NEXT, 0);
	offer(f, TX, 0);
	assert_broken(f);
}

static void
a_head_outside_of_the_table_breaks_the_queue(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	offer(f, TX, RING);
	assert_broken(f);
}

static void
an_index_too_far_ahead_breaks_the_queue(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	memory_write(f->memory, f->ring[TX].driver + 2, 2, RING + 1);
	assert_broken(f);
}

static void
a_readable_buffer_behind_a_writable_one_breaks_the_queue(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	put_descriptor(f, f->ring[TX].descriptors, 0, BUFFERS, 64, NEXT | WRITE, 1);
	put_descriptor(f, f->ring[TX].descriptors, 1, BUFFERS, 64, 0, 0);
	offer(f, TX, 0);
	assert_broken(f);
}

static void
an_indirect_table_in_an_indirect_table_breaks_the_queue(void **state)
{
	struct fixture *f = *state;

	bring_up(f, VIRTIO_F_INDIRECT_DESC);
	put_descriptor(f, f->ring[TX].descriptors, 0, BUFFERS + 0x1000, 32, INDIRECT, 0);
	put_descriptor(f, BUFFERS + 0x1000, 0, BUFFERS + 0x1000, 32, INDIRECT, 0);
	offer(f, TX, 0);
	assert_broken(f);
}

static void
an_indirect_table_of_half_a_descriptor_breaks_the_queue(void **state)
{
	struct fixture *f = *state;

	bring_up(f, VIRTIO_F_INDIRECT_DESC);
	put_descriptor(f, f->ring[TX].descriptors, 0, BUFFERS + 0x1000, 24, INDIRECT, 0);
	offer(f, TX, 0);
	assert_broken(f);
}

static void
without_bus_mastering_nothing_is_taken(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 0);
	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	send_one(f);
	assert_int_equal(f->frames, 0);
	assert_int_equal(status(f), 15);
	/* Then it goes on by itself. */
	pci_config_write(&f->bus, SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pass_ns(f, 100000);
	assert_int_equal(f->frames, 1);
}

/* ---- Legacy ---- */

static void
a_legacy_driver_is_served_through_ports(void **state)
{
	struct fixture *f = *state;
	u8 frame[64];

	fill_frame(frame, sizeof(frame), peer, station, 0x0800);
	ports_write(f->ports, BAR_PORT + 18, 1, 0);
	ports_write(f->ports, BAR_PORT + 18, 1, 3);
	assert_true(ports_read(f->ports, BAR_PORT, 4) & VIRTIO_F_ANY_LAYOUT);
	ports_write(f->ports, BAR_PORT + 4, 4, 0);
	ports_write(f->ports, BAR_PORT + 14, 2, TX);
	assert_int_equal(ports_read(f->ports, BAR_PORT + 12, 2), 256);
	clear_ring(f, TX, 256);
	ports_write(f->ports, BAR_PORT + 8, 4, (u32)(f->ring[TX].descriptors / 4096));
	ports_write(f->ports, BAR_PORT + 18, 1, 7);
	/* Without merged buffers the header has 10 bytes. */
	send_frame(f, no_header, 10, frame, sizeof(frame));
	ports_write(f->ports, BAR_PORT + 16, 2, TX);
	pass_ns(f, 100000);
	assert_int_equal(f->frames, 1);
	assert_int_equal(f->sent[0].size, 64);
	assert_memory_equal(f->sent[0].data, frame, 64);
	assert_int_equal(used_index(f, TX), 1);
	assert_int_equal(f->pin, 1);
	assert_int_equal(ports_read(f->ports, BAR_PORT + 19, 1), 1);
	assert_int_equal(f->pin, 0);
	/* Device configuration moves when MSI-X is on. */
	assert_int_equal(ports_read(f->ports, BAR_PORT + 20, 1), 0x52);
	pci_config_write(&f->bus, SLOT, MSIX_CONTROL, 2, 0x8000);
	assert_int_equal(ports_read(f->ports, BAR_PORT + 24, 1), 0x52);
	assert_int_equal(ports_read(f->ports, BAR_PORT + 20, 2), 0xffff);
}

static void
visit(void *opaque, struct state *s)
{
	virtio_net_state(((struct fixture *)opaque)->n, s);
}

static void
state_survives(void **state)
{
	struct fixture *f = *state;
	u64 before;
	size_t size;
	char *error;
	u8 *saved;

	bring_up(f, VIRTIO_F_EVENT_IDX);
	send_one(f);
	send_one(f);
	before = state_hash(visit, f);
	saved = state_save(visit, f, &size);
	wr(f, AT_STATUS, 1, 0);
	assert_true(state_hash(visit, f) != before);
	error = state_load(visit, f, saved, size);
	assert_null(error);
	assert_true(state_hash(visit, f) == before);
	send_one(f);
	assert_int_equal(f->frames, 3);
	free(saved);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(capabilities_lead_to_all_structures, setup, teardown),
		cmocka_unit_test_setup_teardown(identity_says_which_drivers_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(features_that_were_not_offered_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_modern_function_wants_a_modern_driver, setup_modern, teardown),
		cmocka_unit_test_setup_teardown(agreed_features_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(queues_that_do_not_exist_have_no_size, setup, teardown),
		cmocka_unit_test_setup_teardown(queue_sizes_are_powers_of_two_up_to_the_most, setup, teardown),
		cmocka_unit_test_setup_teardown(the_pin_goes_down_when_the_isr_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_is_interrupted_who_does_not_want_to, setup, teardown),
		cmocka_unit_test_setup_teardown(with_event_indices_the_driver_hears_of_the_entry_that_it_named, setup, teardown),
		cmocka_unit_test_setup_teardown(a_vector_is_a_message_to_an_apic, setup, teardown),
		cmocka_unit_test_setup_teardown(masked_messages_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_that_is_no_interrupt_is_a_store, setup, teardown),
		cmocka_unit_test_setup_teardown(vectors_that_do_not_exist_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(the_window_in_the_configuration_space_reaches_the_structures, setup, teardown),
		cmocka_unit_test_setup_teardown(a_chain_that_is_a_loop_breaks_the_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(a_head_outside_of_the_table_breaks_the_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(an_index_too_far_ahead_breaks_the_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(a_readable_buffer_behind_a_writable_one_breaks_the_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(an_indirect_table_in_an_indirect_table_breaks_the_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(an_indirect_table_of_half_a_descriptor_breaks_the_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(without_bus_mastering_nothing_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(a_legacy_driver_is_served_through_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(state_survives, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
