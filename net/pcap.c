/*
 * Dumps of a cable's frames for Wireshark and tcpdump, stamped with virtual time.
 *
 * Source: the pcap file format, version 2.4, in its nanosecond variant (magic 0xa1b23c4d): 24 bytes of header, then for
 * each frame seconds, nanoseconds, stored and original length, and the bytes. In the host's byte order, as the format
 * wants it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "net/internal.h"

#define LINKTYPE_ETHERNET 1

struct net_pcap {
	FILE *file;
	char *path;
};

static void
put(struct net_pcap *pcap, const void *data, size_t size)
{
	if (fwrite(data, 1, size, pcap->file) != size)
		stop_host_error("%s: %s", pcap->path, strerror(errno));
}

char *
net_pcap_open(const char *path, struct net_pcap **out)
{
	const u32 header[6] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, PACKET_MAX, LINKTYPE_ETHERNET};
	struct net_pcap *pcap = calloc(1, sizeof(*pcap));

	*out = NULL;
	if (!pcap)
		return error_string("out of memory");
	pcap->file = fopen(path, "wb");
	if (!pcap->file) {
		free(pcap);
		return error_string("pcap=%s: %s", path, strerror(errno));
	}
	pcap->path = strdup(path);
	put(pcap, header, sizeof(header));
	*out = pcap;
	return NULL;
}

void
net_pcap_frame(struct net_pcap *pcap, u64 ns, const u8 *frame, size_t size)
{
	const u32 record[4] = {(u32)(ns / 1000000000), (u32)(ns % 1000000000), (u32)size, (u32)size};

	if (!pcap)
		return;
	put(pcap, record, sizeof(record));
	put(pcap, frame, size);
}

void
net_pcap_close(struct net_pcap *pcap)
{
	if (!pcap)
		return;
	if (fclose(pcap->file) != 0)
		stop_host_error("%s: %s", pcap->path, strerror(errno));
	free(pcap->path);
	free(pcap);
}
