/* Network back ends: options in common, dumps, the socket back end against a peer, errors of the tap back end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/events.h"
#include "base/snapshot.h"
#include "bus/input.h"
#include "bus/packet.h"
#include "net/net.h"

#define HZ 500000000ull /* two nanoseconds a cycle */

struct fixture {
	struct events *events;
	struct input *input;
	struct packet_link link;
	struct net_backend *net;
	unsigned received;
	size_t size;
	bool full;
	u8 last[PACKET_MAX];
};

static bool
card_receive(void *opaque, const u8 *frame, size_t size)
{
	struct fixture *f = opaque;

	f->received++;
	f->size = size;
	memcpy(f->last, frame, size);
	return true;
}

static bool
card_can_receive(void *opaque)
{
	return !((struct fixture *)opaque)->full;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->events = events_new(HZ);
	f->input = input_new();
	f->link = (struct packet_link){.card = f, .receive = card_receive, .can_receive = card_can_receive};
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	net_free(f->net);
	input_free(f->input);
	events_free(f->events);
	free(f);
	return 0;
}

static void
create(struct fixture *f, const char *options)
{
	char *error = net_create(options, f->events, f->input, &f->link, &f->net);

	if (error)
		fail_msg("%s: %s", options, error);
}

static void
refused(struct fixture *f, const char *options, const char *reason)
{
	char *error = net_create(options, f->events, f->input, &f->link, &f->net);

	if (!error || !strstr(error, reason))
		fail_msg("%s: %s", options, error ? error : "accepted");
	assert_null(f->net);
	assert_null(f->link.transmit);
	free(error);
}

static void
be16(u8 *at, u32 value)
{
	at[0] = (u8)(value >> 8);
	at[1] = (u8)value;
}

static void
poll_input(struct fixture *f)
{
	input_poll(f->input, events_now(f->events));
}

/* ---- Options ---- */

static void
none_is_a_cable_to_nowhere(void **state)
{
	struct fixture *f = *state;
	u8 frame[60] = {0};

	create(f, "none,id=n7");
	assert_string_equal(net_id(f->net), "n7");
	assert_string_equal(net_kind(f->net), "none");
	assert_false(f->link.up);
	f->link.transmit(f->link.backend, frame, sizeof(frame));
	assert_int_equal(net_statistics(f->net)->frames_from_card, 1);
	assert_int_equal(net_statistics(f->net)->bytes_from_card, 60);
}

static void
unknown_kinds_and_options_are_refused(void **state)
{
	refused(*state, "bridge,id=n0", "bridge");
	refused(*state, "", "\"\"");
	refused(*state, "none,x=1", "x");
	refused(*state, "none,id", "key=value");
	refused(*state, "none,=1", "key=value");
	refused(*state, "none,pcap=/no/such/directory/x", "/no/such/directory/x");
	refused(*state, "tap,id=n0", "ifname=");
	refused(*state, "tap,ifname=a-name-that-is-much-too-long", "longer");
	refused(*state, "tap,ifname=x,script=/etc/ifup", "script=");
	refused(*state, "socket", "exactly one");
	refused(*state, "socket,listen=:1,connect=127.0.0.1:2", "exactly one");
	refused(*state, "socket,connect=localhost:2", "localhost");
	refused(*state, "socket,connect=127.0.0.1", "PORT");
	refused(*state, "socket,connect=127.0.0.1:70000", "PORT");
	refused(*state, "socket,connect=127.0.0.1:1", "127.0.0.1:1");
	refused(*state, "socket,listen=192.0.2.1:1", "192.0.2.1:1");
}

/* Needs the right to make interfaces: root, in a name space of one's own or not. */
static void
a_tap_carries_frames_both_ways(void **state)
{
	struct fixture *f = *state;
	char *error = net_create("tap,ifname=nbtest0", f->events, f->input, &f->link, &f->net);
	struct ifreq request = {.ifr_name = "nbtest0"};
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	u8 frame[100], back[200];
	bool sent = false;
	int fd;

	if (error) {
		/* Then it must say what it could not do. */
		assert_true(strstr(error, "nbtest0") || strstr(error, "/dev/net/tun"));
		free(error);
		skip();
	}
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		skip();
	request.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	assert_int_equal(ioctl(fd, SIOCGIFINDEX, &request), 0);
	at.sll_ifindex = request.ifr_ifindex;
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (u8)(i * 5);
	frame[0] = 2;
	be16(frame + 12, 0x88b5); /* local experiments */
	f->link.transmit(f->link.backend, frame, sizeof(frame));
	for (unsigned i = 0; i < 1000 && !sent; i++) {
		ssize_t size = recv(fd, back, sizeof(back), 0);
		sent = size == sizeof(frame) && memcmp(back, frame, sizeof(frame)) == 0;
		usleep(1000);
	}
	assert_true(sent);
	frame[20] ^= 1;
	f->full = true;
	assert_int_equal(send(fd, frame, sizeof(frame), 0), sizeof(frame));
	poll_input(f);
	assert_int_equal(f->received, 0);
	f->full = false;
	/* The host's own neighbour discovery comes here too. */
	for (unsigned i = 0; i < 1000 && memcmp(f->last, frame, sizeof(frame)) != 0; i++) {
		poll_input(f);
		usleep(1000);
	}
	assert_memory_equal(f->last, frame, sizeof(frame));
	close(fd);
}

/* ---- Dumps ---- */

static void
dumps_are_pcap_with_virtual_time(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/nestbox-test-pcap-XXXXXX", options[100];
	u8 frame[60], dump[500];
	u32 word[6];
	size_t size;
	FILE *file;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	snprintf(options, sizeof(options), "none,pcap=%s", path);
	create(f, options);
	memset(frame, 0x5a, sizeof(frame));
	events_run(f->events, 3 * HZ + 7);
	f->link.transmit(f->link.backend, frame, 60);
	f->link.transmit(f->link.backend, frame, 42);
	net_free(f->net);
	f->net = NULL;
	file = fopen(path, "rb");
	size = fread(dump, 1, sizeof(dump), file);
	fclose(file);
	unlink(path);
	assert_int_equal(size, 24 + 16 + 60 + 16 + 42);
	memcpy(word, dump, 24);
	assert_int_equal(word[0], 0xa1b23c4d);
	assert_int_equal(word[1], 0x00040002);
	assert_int_equal(word[5], 1);
	memcpy(word, dump + 24, 16);
	assert_int_equal(word[0], 3);
	assert_int_equal(word[1], 14);
	assert_int_equal(word[2], 60);
	assert_int_equal(word[3], 60);
	assert_memory_equal(dump + 40, frame, 60);
	memcpy(word, dump + 100, 16);
	assert_int_equal(word[2], 42);
}

/* ---- Sockets ---- */

static int
listener(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof(*at);

	*at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)at, &length);
	return fd;
}

static int
connected(struct fixture *f)
{
	struct sockaddr_in at;
	char options[100];
	int fd = listener(&at), peer;

	snprintf(options, sizeof(options), "socket,connect=127.0.0.1:%u", ntohs(at.sin_port));
	create(f, options);
	peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	close(fd);
	return peer;
}

static void
wait_received(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; i < 1000 && f->received < count; i++) {
		poll_input(f);
		usleep(1000);
	}
	assert_int_equal(f->received, count);
}

static void
frames_travel_with_their_length_before_them(void **state)
{
	struct fixture *f = *state;
	u8 frame[1514], wire[2000];
	int peer = connected(f);

	assert_true(f->link.up);
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (u8)(i * 3);
	f->link.transmit(f->link.backend, frame, sizeof(frame));
	assert_int_equal(recv(peer, wire, 4 + sizeof(frame), MSG_WAITALL), 4 + sizeof(frame));
	assert_memory_equal(wire, ((u8[]){0, 0, 5, 234}), 4);
	assert_memory_equal(wire + 4, frame, sizeof(frame));
	close(peer);
}

static void
frames_come_in_pieces_or_together_and_only_by_polling(void **state)
{
	struct fixture *f = *state;
	u8 wire[3 * 64];
	int peer = connected(f);

	for (unsigned i = 0; i < sizeof(wire); i++)
		wire[i] = (u8)i;
	for (unsigned i = 0; i < 3; i++)
		memcpy(wire + i * 64, (u8[]){0, 0, 0, 60}, 4);
	assert_int_equal(send(peer, wire, 10, 0), 10);
	usleep(10000);
	assert_int_equal(f->received, 0);
	poll_input(f);
	assert_int_equal(f->received, 0);
	assert_int_equal(send(peer, wire + 10, sizeof(wire) - 10, 0), sizeof(wire) - 10);
	wait_received(f, 3);
	assert_int_equal(f->size, 60);
	assert_memory_equal(f->last, wire + 2 * 64 + 4, 60);
	close(peer);
}

static void
a_full_card_leaves_frames_in_the_socket(void **state)
{
	struct fixture *f = *state;
	u8 wire[64] = {0, 0, 0, 60};
	int peer = connected(f);

	f->full = true;
	assert_int_equal(send(peer, wire, sizeof(wire), 0), sizeof(wire));
	for (unsigned i = 0; i < 10; i++) {
		usleep(1000);
		poll_input(f);
	}
	assert_int_equal(f->received, 0);
	f->full = false;
	wait_received(f, 1);
	close(peer);
}

static void
a_bad_length_ends_the_connection(void **state)
{
	struct fixture *f = *state;
	u8 wire[8] = {0xff, 0xff, 0xff, 0xff}, byte;
	int peer = connected(f);

	assert_int_equal(send(peer, wire, sizeof(wire), 0), sizeof(wire));
	for (unsigned i = 0; i < 10; i++) {
		usleep(1000);
		poll_input(f);
	}
	assert_true(recv(peer, &byte, 1, 0) <= 0);
	f->link.transmit(f->link.backend, wire, sizeof(wire));
	assert_int_equal(net_statistics(f->net)->dropped, 1);
	assert_int_equal(f->received, 0);
	close(peer);
}

static void
a_listener_takes_one_peer_after_the_other(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in at;
	u8 wire[64] = {0, 0, 0, 60};
	char options[100];

	close(listener(&at)); /* a port that is free */
	snprintf(options, sizeof(options), "socket,listen=127.0.0.1:%u", ntohs(at.sin_port));
	create(f, options);
	f->link.transmit(f->link.backend, wire, 60);
	assert_int_equal(net_statistics(f->net)->dropped, 1);
	for (unsigned i = 1; i <= 2; i++) {
		int peer = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(peer, (struct sockaddr *)&at, sizeof(at)), 0);
		assert_int_equal(send(peer, wire, sizeof(wire), 0), sizeof(wire));
		wait_received(f, i);
		close(peer);
		usleep(2000);
		poll_input(f);
		poll_input(f);
	}
}

static void
a_peer_that_does_not_read_loses_frames_but_stops_nothing(void **state)
{
	struct fixture *f = *state;
	static u8 frame[1514];
	int peer = connected(f);

	for (unsigned i = 0; i < 20000; i++)
		f->link.transmit(f->link.backend, frame, sizeof(frame));
	assert_true(net_statistics(f->net)->dropped > 0);
	close(peer);
}

static void
visit(void *opaque, struct state *s)
{
	net_state(opaque, s);
}

static void
state_has_the_statistics(void **state)
{
	struct fixture *f = *state;
	u8 frame[60] = {0}, *data;
	size_t size;

	create(f, "none");
	f->link.transmit(f->link.backend, frame, sizeof(frame));
	data = state_save(visit, f->net, &size);
	f->link.transmit(f->link.backend, frame, sizeof(frame));
	assert_null(state_load(visit, f->net, data, size));
	assert_int_equal(net_statistics(f->net)->frames_from_card, 1);
	free(data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(none_is_a_cable_to_nowhere),
		TEST(unknown_kinds_and_options_are_refused),
		TEST(a_tap_carries_frames_both_ways),
		TEST(dumps_are_pcap_with_virtual_time),
		TEST(frames_travel_with_their_length_before_them),
		TEST(frames_come_in_pieces_or_together_and_only_by_polling),
		TEST(a_full_card_leaves_frames_in_the_socket),
		TEST(a_bad_length_ends_the_connection),
		TEST(a_listener_takes_one_peer_after_the_other),
		TEST(a_peer_that_does_not_read_loses_frames_but_stops_nothing),
		TEST(state_has_the_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
