/* Frames as card tests need them, and checksums straight from the RFCs. */
#ifndef NB_TESTS_UNIT_FRAMES_H
#define NB_TESTS_UNIT_FRAMES_H

#include <string.h>

#include "base/types.h"

static const u8 station[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const u8 peer[6] = {0x02, 0x00, 0x5e, 0x10, 0x00, 0x01};

/* An Ethernet frame with a counting payload. */
static inline void
fill_frame(u8 *frame, u32 size, const u8 *to, const u8 *from, u16 type)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = (u8)(type >> 8);
	frame[13] = (u8)type;
	for (u32 i = 14; i < size; i++)
		frame[i] = (u8)(i * 7 + (i >> 8));
}

/* RFC 1071, straight from its text. */
static inline u16
internet_sum(const u8 *data, u32 size, u32 sum)
{
	for (u32 i = 0; i < size; i++)
		sum += i & 1 ? data[i] : (u32)data[i] << 8;
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	return (u16)sum;
}

static inline void
be16(u8 *at, u32 value)
{
	at[0] = (u8)(value >> 8);
	at[1] = (u8)value;
}

static inline u32
get16(const u8 *at)
{
	return (u32)at[0] << 8 | at[1];
}

static inline u32
get32(const u8 *at)
{
	return get16(at) << 16 | get16(at + 2);
}

/* The sum over a whole IP datagram's transport part with its pseudo header: 0xffff when the checksum is right. */
static inline u16
transport_sum(const u8 *ip)
{
	u32 v6 = ip[0] >> 4 == 6, header = v6 ? 40 : (ip[0] & 15) * 4u;
	u32 size = v6 ? get16(ip + 4) : get16(ip + 2) - header;
	u32 sum = internet_sum(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, 0);

	return internet_sum(ip + header, size, sum + (v6 ? ip[6] : ip[9]) + size);
}

/* Headers of a TCP or UDP packet behind an Ethernet header; checksum fields zero. Returns the offset of the payload. */
static inline u32
fill_ip(u8 *frame, bool v6, bool tcp, u32 payload)
{
	u32 transport = tcp ? 20 : 8, ip_size = v6 ? 40 : 20;
	u8 *ip = frame + 14, *t = ip + ip_size;

	fill_frame(frame, 14 + ip_size + transport + payload, peer, station, v6 ? 0x86dd : 0x0800);
	memset(ip, 0, ip_size + transport);
	if (v6) {
		ip[0] = 0x60;
		be16(ip + 4, transport + payload);
		ip[6] = tcp ? 6 : 17;
		ip[7] = 64;
		ip[8] = 0xfe;
		ip[23] = 1;
		ip[24] = 0xfe;
		ip[39] = 2;
	} else {
		ip[0] = 0x45;
		be16(ip + 2, 20 + transport + payload);
		be16(ip + 4, 0x1fff);
		ip[8] = 64;
		ip[9] = tcp ? 6 : 17;
		memcpy(ip + 12, (u8[]){10, 0, 2, 15, 10, 0, 2, 2}, 8);
	}
	be16(t, 40000);
	be16(t + 2, 80);
	if (tcp) {
		be16(t + 4, 0xfffe);
		be16(t + 6, 0xff00); /* wraps soon */
		t[12] = 0x50;
		t[13] = 0x19; /* FIN, PSH, ACK */
		be16(t + 14, 0x2000);
	} else {
		be16(t + 4, 8 + payload);
	}
	return 14 + ip_size + transport;
}

#endif
