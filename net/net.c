/* What all network back ends have in common: options, statistics, dumps, the cable. */
#include "net/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/events.h"
#include "base/snapshot.h"
#include "base/stop.h"
#include "bus/input.h"
#include "net/internal.h"

/* Options */

static char *
split_options(const char *text, struct net_options *options, char **kind)
{
	char *at;

	*kind = NULL;
	options->text = strdup(text);
	if (!options->text)
		return error_string("out of memory");
	at = options->text;
	*kind = strsep(&at, ",");
	while (at) {
		char *key = strsep(&at, ",");
		char *value = strchr(key, '=');

		if (!value || value == key)
			return error_string("%s: \"%s\" is not key=value", *kind, key);
		*value++ = '\0';
		if (options->count == NET_OPTIONS)
			return error_string("%s: more than %d options", *kind, NET_OPTIONS);
		options->option[options->count++] = (struct net_option){key, value, false};
	}
	return NULL;
}

const char *
net_option(struct net_options *options, const char *key)
{
	for (unsigned i = 0; i < options->count; i++) {
		struct net_option *option = &options->option[i];

		if (!option->used && strcmp(option->key, key) == 0) {
			option->used = true;
			return option->value;
		}
	}
	return NULL;
}

char *
net_option_bool(struct net_options *options, const char *key, bool *value)
{
	const char *text = net_option(options, key);

	if (!text)
		return NULL;
	if (strcmp(text, "on") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "y") == 0)
		*value = true;
	else if (strcmp(text, "off") == 0 || strcmp(text, "no") == 0 || strcmp(text, "n") == 0)
		*value = false;
	else
		return error_string("%s=%s: neither on nor off", key, text);
	return NULL;
}

static char *
check_all_used(const struct net_options *options, const char *kind)
{
	for (unsigned i = 0; i < options->count; i++)
		if (!options->option[i].used)
			return error_string("%s: unknown or repeated option \"%s\"", kind, options->option[i].key);
	return NULL;
}

bool
net_parse_port(const char *text, u16 *port)
{
	char *end;
	unsigned long value;

	if (*text < '0' || *text > '9')
		return false;
	value = strtoul(text, &end, 10);
	if (*end || value > 65535)
		return false;
	*port = (u16)value;
	return true;
}

char *
net_parse_address(const char *text, struct sockaddr_in *address)
{
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN] = "";
	u16 port;

	*address = (struct sockaddr_in){.sin_family = AF_INET};
	if (!colon || (size_t)(colon - text) >= sizeof(host) || !net_parse_port(colon + 1, &port))
		return error_string("\"%s\" is not [ADDRESS]:PORT", text);
	memcpy(host, text, (size_t)(colon - text));
	address->sin_port = htons(port);
	if (*host && inet_pton(AF_INET, host, &address->sin_addr) != 1)
		return error_string("\"%s\" is not an IPv4 address", host);
	return NULL;
}

/* The cable */

static u64
now_ns(struct net_backend *b)
{
	return events_to_ns(b->events, events_now(b->events));
}

/* Into the dump, but not again after a return into the past. */
static void
show(struct net_backend *b, const u8 *frame, size_t size)
{
	if (b->shown++ == b->furthest) {
		b->furthest++;
		net_pcap_frame(b->pcap, now_ns(b), frame, size);
	}
}

static void
from_card(void *opaque, const u8 *frame, size_t size)
{
	struct net_backend *b = opaque;

	b->statistics.frames_from_card++;
	b->statistics.bytes_from_card += size;
	show(b, frame, size);
	if (b->observer)
		b->observer(b->observer_opaque, true, frame, size);
	if (b->transmit)
		b->transmit(b, frame, size);
}

static void
card_ready(void *opaque)
{
	struct net_backend *b = opaque;

	if (b->ready)
		b->ready(b);
}

bool
net_card_can_receive(struct net_backend *b)
{
	return !b->link->can_receive || b->link->can_receive(b->link->card);
}

void
net_dropped(struct net_backend *b)
{
	b->statistics.dropped++;
}

bool
net_to_card(struct net_backend *b, const u8 *frame, size_t size)
{
	show(b, frame, size);
	if (b->observer)
		b->observer(b->observer_opaque, false, frame, size);
	if (!b->link->receive || !b->link->receive(b->link->card, frame, size)) {
		net_dropped(b);
		return false;
	}
	b->statistics.frames_to_card++;
	b->statistics.bytes_to_card += size;
	return true;
}

static void
take(void *opaque, u32 kind, const u8 *data, size_t size)
{
	struct net_backend *b = opaque;

	if (kind == NET_FRAME && size <= PACKET_MAX)
		net_to_card(b, data, size);
	else
		net_dropped(b);
}

static void
poll_kind(void *opaque, u64 now)
{
	struct net_backend *b = opaque;

	b->poll(b->host, now);
}

/* `opaque` becomes b->host. */
struct input_source
net_source(const char *kind, void (*poll)(void *opaque, u64 now), void *opaque, int fd, struct net_backend *b)
{
	assert(!b->host || b->host == opaque);
	b->poll = poll;
	return (struct input_source){.name = kind, .poll = poll_kind, .opaque = b, .fd = fd, .take = take};
}

void
net_observe(struct net_backend *b, void (*frame)(void *opaque, bool from_card, const u8 *frame, size_t size), void *opaque)
{
	b->observer = frame;
	b->observer_opaque = opaque;
}

/* Making and unmaking */

static char *
none_create(struct net_backend *b, struct net_options *options)
{
	(void)b;
	(void)options;
	return NULL;
}

static const struct kind {
	const char *name;
	char *(*create)(struct net_backend *b, struct net_options *options);
} kinds[] = {
	{"none", none_create},
	{"user", net_user_create},
	{"tap", net_tap_create},
	{"socket", net_socket_create},
};

static char *
create(struct net_backend *b, struct net_options *options, const char *kind)
{
	const char *id, *path;
	char *error;

	for (unsigned i = 0; i < COUNT(kinds); i++) {
		if (strcmp(kinds[i].name, kind) != 0)
			continue;
		b->kind = kinds[i].name;
		id = net_option(options, "id");
		b->id = strdup(id ? id : "");
		path = net_option(options, "pcap");
		error = kinds[i].create(b, options);
		if (!error)
			error = check_all_used(options, kind);
		if (!error && path)
			error = net_pcap_open(path, &b->pcap);
		return error;
	}
	return error_string("network back end \"%s\" is none of none, user, tap, socket", kind);
}

char *
net_create(const char *optarg, struct events *events, struct input *input, struct packet_link *link,
	   struct net_backend **out)
{
	struct net_options options = {0};
	struct net_backend *b = calloc(1, sizeof(*b));
	char *kind, *error;

	*out = NULL;
	if (!b)
		return error_string("out of memory");
	b->events = events;
	b->input = input;
	b->link = link;
	error = split_options(optarg, &options, &kind);
	if (!error)
		error = create(b, &options, kind);
	free(options.text);
	if (error) {
		net_free(b);
		return error;
	}
	if (b->source) {
		snprintf(b->source_name, sizeof(b->source_name), "%s %.*s", b->kind, INPUT_NAME - 8, b->id);
		b->source->name = b->source_name;
		input_add(input, b->source);
	}
	link->backend = b;
	link->transmit = from_card;
	link->ready = card_ready;
	link->up = strcmp(b->kind, "none") != 0;
	*out = b;
	return NULL;
}

void
net_free(struct net_backend *b)
{
	if (!b)
		return;
	if (b->free)
		b->free(b);
	if (b->link->backend == b) {
		b->link->backend = NULL;
		b->link->transmit = NULL;
		b->link->ready = NULL;
	}
	net_pcap_close(b->pcap);
	free(b->id);
	free(b);
}

void
net_state(struct net_backend *b, struct state *s)
{
	state_section(s, "net", 2);
	STATE(s, b->statistics);
	if (state_is_checkpoint(s))
		STATE(s, b->shown);
	if (b->state)
		b->state(b, s);
}

const char *
net_id(const struct net_backend *b)
{
	return b->id;
}

const char *
net_kind(const struct net_backend *b)
{
	return b->kind;
}

const struct net_statistics *
net_statistics(const struct net_backend *b)
{
	return &b->statistics;
}
