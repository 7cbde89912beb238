/* What a virtio network card does to frames on the way out: checksums and segmentation. See virtio_net_offload.c. */
#ifndef NB_DEVICES_VIRTIO_NET_OFFLOAD_H
#define NB_DEVICES_VIRTIO_NET_OFFLOAD_H

#include "base/types.h"

#define VIRTIO_NET_NEEDS_CSUM BIT(0)
#define VIRTIO_NET_GSO_NONE 0
#define VIRTIO_NET_GSO_TCPV4 1
#define VIRTIO_NET_GSO_TCPV6 4
#define VIRTIO_NET_GSO_ECN 0x80

/* struct virtio_net_hdr */
struct virtio_net_header {
	u8 flags, gso_type;
	u16 header_size, gso_size, csum_start, csum_offset;
};

/*
 * Calls `send` for each frame that `frame` (which is used up) becomes. False: the header asks for what cannot be done with
 * this frame, and nothing was sent.
 */
bool virtio_net_segment(const struct virtio_net_header *header, u8 *frame, u32 size,
			void (*send)(void *opaque, const u8 *frame, u32 size), void *opaque);

#endif
