/* Ethernet frames between a network card and a back end. */
#ifndef NB_BUS_PACKET_H
#define NB_BUS_PACKET_H

#include "base/types.h"

/* Largest frame either side may hand over, in bytes, without FCS. */
#define PACKET_MAX 16384

/*
 * One cable. The card (devices/) and the back end (net/) each fill in their end. A frame is destination, source, type, payload: no preamble,
 * no FCS. Data belongs to the caller and is valid during the call only.
 */
struct packet_link {
	/* Card -> back end. */
	void (*transmit)(void *backend, const u8 *frame, size_t size);
	void *backend;
	/* Back end -> card, called only at a virtual time (an event or bus/input). Returns false when the card dropped it for lack of room. */
	bool (*receive)(void *card, const u8 *frame, size_t size);
	/* False: the card has no free descriptor; the back end may queue and ask again. */
	bool (*can_receive)(void *card);
	/* The card freed descriptors: a back end that queued may go on. May be NULL. */
	void (*ready)(void *backend);
	void *card;
	bool up; /* link state */
};

/* What is plugged into a card besides the cable. */
struct nic_parts {
	u8 mac[6];
	const u8 *rom; /* expansion ROM, the caller's; NULL: the socket is empty */
	u32 rom_size;  /* a power of two, at least 2 KiB */
};

#endif
