/*
 * Virtio over PCI: configuration structures, feature negotiation, status, interrupts.
 *
 * Source: Virtual I/O Device (VIRTIO) 1.2, "Basic Facilities of a Virtio Device", "Virtio Over PCI Bus" with its sections
 * on legacy interfaces.
 *
 *   BAR 0   I/O: legacy header, device configuration (transitional and legacy functions)
 *   BAR 1   MSI-X
 *   BAR 4   0x0000 common configuration, 0x1000 ISR, 0x2000 device configuration, 0x3000 notifications (4 bytes a queue)
 *
 * Not modelled: queue reset, notification data, shared memory, administration queues.
 */
#include "devices/virtio.h"

#include <string.h>

#include "base/log.h"
#include "base/snapshot.h"

LOG_CATEGORY("virtio");

#define VENDOR 0x1af4
#define MODERN_DEVICE 0x1040 /* plus the virtio device ID */

#define STATUS_FEATURES_OK BIT(3)
#define STATUS_NEEDS_RESET BIT(6)
#define ISR_QUEUE BIT(0)
#define ISR_CONFIG BIT(1)
#define NO_VECTOR 0xffff

#define LEGACY_BAR 0
#define MSIX_BAR 1
#define MODERN_BAR 4
#define LEGACY_PAGE 4096ull

/* Regions of the modern BAR: each has a page of its own. */
#define REGION_COMMON 0
#define REGION_ISR 1
#define REGION_DEVICE 2
#define REGION_NOTIFY 3
#define REGION_SIZE 0x1000u
#define NOTIFY_STRIDE 4u

/* Capabilities in the configuration space. */
#define CAPABILITY_VENDOR 9
#define AT_MSIX 0x40
#define AT_COMMON 0x50
#define AT_NOTIFY 0x60
#define AT_ISR 0x74
#define AT_DEVICE 0x84
#define AT_WINDOW 0x94 /* VIRTIO_PCI_CAP_PCI_CFG */
#define WINDOW_BAR (AT_WINDOW + 4)
#define WINDOW_OFFSET (AT_WINDOW + 8)
#define WINDOW_LENGTH (AT_WINDOW + 12)
#define WINDOW_DATA (AT_WINDOW + 16)

/* "Common configuration structure layout" */
enum {
	OFFERED_SELECT = 0,
	OFFERED = 4,
	ACCEPTED_SELECT = 8,
	ACCEPTED = 12,
	CONFIG_VECTOR = 16,
	QUEUES = 18,
	STATUS = 20,
	GENERATION = 21,
	QUEUE_SELECT = 22,
	QUEUE_SIZE = 24,
	QUEUE_VECTOR = 26,
	QUEUE_ENABLE = 28,
	QUEUE_NOTIFY = 30,
	QUEUE_DESCRIPTORS = 32,
	QUEUE_DRIVER = 40,
	QUEUE_DEVICE = 48,
	COMMON_SIZE = 56,
};

/* "Legacy Interfaces: A Note on PCI Device Layout" */
enum {
	LEGACY_OFFERED = 0,
	LEGACY_ACCEPTED = 4,
	LEGACY_QUEUE_PAGE = 8,
	LEGACY_QUEUE_SIZE = 12,
	LEGACY_QUEUE_SELECT = 14,
	LEGACY_QUEUE_NOTIFY = 16,
	LEGACY_STATUS = 18,
	LEGACY_ISR = 19,
	LEGACY_CONFIG = 20,
	/* With MSI-X two words come between. */
	LEGACY_CONFIG_VECTOR = 20,
	LEGACY_QUEUE_VECTOR = 22,
	LEGACY_CONFIG_MSIX = 24,
};
#define LEGACY_WINDOW 128u

/* ---- Interrupts ---- */

static void
update_pin(struct virtio *v)
{
	pci_intx(&v->pci, v->isr != 0 && !msix_enabled(&v->msix));
}

static void
raise(struct virtio *v, u8 isr, u16 vector)
{
	v->counters.interrupts++;
	if (msix_enabled(&v->msix)) {
		msix_raise(&v->msix, vector);
		return;
	}
	v->isr |= isr;
	update_pin(v);
}

void
virtio_interrupt(struct virtio *v, unsigned queue)
{
	raise(v, ISR_QUEUE, v->queue[queue].vector);
}

void
virtio_config_changed(struct virtio *v)
{
	v->config_generation++;
	if (v->status & VIRTIO_DRIVER_OK)
		raise(v, ISR_CONFIG, v->config_vector);
}

void
virtio_check(struct virtio *v)
{
	if (v->status & STATUS_NEEDS_RESET)
		return;
	for (unsigned i = 0; i < v->class->queues; i++)
		if (v->queue[i].broken) {
			log_debug("%s: queue %u broken", v->class->name, i);
			v->counters.broken++;
			v->status |= STATUS_NEEDS_RESET;
			virtio_config_changed(v);
			return;
		}
}

bool
virtio_running(const struct virtio *v)
{
	return !(v->status & STATUS_NEEDS_RESET) && (v->status & VIRTIO_DRIVER_OK || !virtio_has(v, VIRTIO_F_VERSION_1));
}

/* ---- What the driver decides ---- */

static void
reset(struct virtio *v)
{
	for (unsigned i = 0; i < v->class->queues; i++)
		virtqueue_reset(&v->queue[i]);
	v->accepted = 0;
	v->offered_select = v->accepted_select = 0;
	v->queue_select = 0;
	v->config_vector = NO_VECTOR;
	v->status = v->isr = 0;
	update_pin(v);
	v->class->reset(v->opaque);
}

static void
serve(struct virtio *v, unsigned queue)
{
	if (virtio_running(v))
		v->class->notify(v->opaque, queue);
	virtio_check(v);
}

/* What waits may go on. */
static void
serve_all(struct virtio *v)
{
	for (unsigned i = 0; i < v->class->queues; i++)
		serve(v, i);
}

/* The doorbell. */
static void
notify(struct virtio *v, unsigned queue)
{
	if (queue >= v->class->queues) {
		v->counters.stray++;
		return;
	}
	v->counters.notifications++;
	serve(v, queue);
}

static void
write_status(struct virtio *v, u8 value, bool legacy)
{
	u8 before = v->status;

	if (value == 0) {
		reset(v);
		return;
	}
	/* "The device MUST NOT offer a feature..."; the driver learns from FEATURES_OK, which does not stay, that it asked for too much. */
	if (!legacy && value & STATUS_FEATURES_OK && !(before & STATUS_FEATURES_OK) &&
	    (v->accepted & ~v->offered || (v->generation == VIRTIO_MODERN && !virtio_has(v, VIRTIO_F_VERSION_1))))
		value &= (u8)~STATUS_FEATURES_OK;
	v->status = (u8)(value | (before & STATUS_NEEDS_RESET));
	for (unsigned i = 0; i < v->class->queues; i++)
		v->queue[i].event_index = virtio_has(v, VIRTIO_F_EVENT_IDX);
	if (value & ~before & VIRTIO_DRIVER_OK)
		serve_all(v);
}

static struct virtqueue *
selected(struct virtio *v)
{
	return v->queue_select < v->class->queues ? &v->queue[v->queue_select] : NULL;
}

/* "The device MUST return NO_VECTOR if it cannot" */
static u16
vector(const struct virtio *v, u32 value)
{
	return value < v->msix.vectors ? (u16)value : NO_VECTOR;
}

static void
set_half(u64 *address, unsigned shift, u32 value)
{
	*address = (*address & ~((u64)~0u << shift)) | (u64)value << shift;
}

/* ---- Modern ---- */

static void
common_image(struct virtio *v, u8 *image)
{
	const struct virtqueue *q = selected(v);
	static const struct virtqueue none;

	if (!q)
		q = &none;
	memset(image, 0, COMMON_SIZE);
	pci_set32(image, OFFERED_SELECT, v->offered_select);
	if (v->offered_select < 2)
		pci_set32(image, OFFERED, (u32)(v->offered >> 32 * v->offered_select));
	pci_set32(image, ACCEPTED_SELECT, v->accepted_select);
	if (v->accepted_select < 2)
		pci_set32(image, ACCEPTED, (u32)(v->accepted >> 32 * v->accepted_select));
	pci_set16(image, CONFIG_VECTOR, v->config_vector);
	pci_set16(image, QUEUES, (u16)v->class->queues);
	image[STATUS] = v->status;
	image[GENERATION] = v->config_generation;
	pci_set16(image, QUEUE_SELECT, v->queue_select);
	pci_set16(image, QUEUE_SIZE, q->size);
	pci_set16(image, QUEUE_VECTOR, q == &none ? NO_VECTOR : q->vector);
	pci_set16(image, QUEUE_ENABLE, q->enabled);
	pci_set16(image, QUEUE_NOTIFY, v->queue_select);
	pci_set32(image, QUEUE_DESCRIPTORS, (u32)q->descriptors);
	pci_set32(image, QUEUE_DESCRIPTORS + 4, (u32)(q->descriptors >> 32));
	pci_set32(image, QUEUE_DRIVER, (u32)q->driver);
	pci_set32(image, QUEUE_DRIVER + 4, (u32)(q->driver >> 32));
	pci_set32(image, QUEUE_DEVICE, (u32)q->device);
	pci_set32(image, QUEUE_DEVICE + 4, (u32)(q->device >> 32));
}

static void
write_queue(struct virtio *v, struct virtqueue *q, unsigned offset, unsigned size, u32 value)
{
	if (offset == QUEUE_VECTOR && size == 2)
		q->vector = vector(v, value);
	else if (offset == QUEUE_SIZE && size == 2 && !q->enabled && value && value <= q->maximum && !(value & (value - 1)))
		q->size = (u16)value;
	else if (offset == QUEUE_ENABLE && size == 2 && value == 1)
		q->enabled = true;
	else if (offset >= QUEUE_DESCRIPTORS && offset < COMMON_SIZE && size == 4 && !q->enabled) {
		u64 *address[] = {&q->descriptors, &q->driver, &q->device};

		set_half(address[(offset - QUEUE_DESCRIPTORS) / 8], offset & 4 ? 32 : 0, value);
	} else
		v->counters.stray++;
}

static void
write_common(struct virtio *v, unsigned offset, unsigned size, u32 value)
{
	struct virtqueue *q = selected(v);

	if (offset == OFFERED_SELECT && size == 4)
		v->offered_select = value;
	else if (offset == ACCEPTED_SELECT && size == 4)
		v->accepted_select = value;
	else if (offset == ACCEPTED && size == 4) {
		/* Once agreed, features stay as they are. */
		if (v->accepted_select < 2 && !(v->status & STATUS_FEATURES_OK))
			set_half(&v->accepted, 32 * v->accepted_select, value);
	} else if (offset == CONFIG_VECTOR && size == 2)
		v->config_vector = vector(v, value);
	else if (offset == STATUS && size == 1)
		write_status(v, (u8)value, false);
	else if (offset == QUEUE_SELECT && size == 2)
		v->queue_select = (u16)value;
	else if (q && offset >= QUEUE_SIZE)
		write_queue(v, q, offset, size, value);
	else
		v->counters.stray++;
}

static u8
take_isr(struct virtio *v)
{
	u8 isr = v->isr;

	v->isr = 0;
	update_pin(v);
	return isr;
}

static u64
from_bytes(const u8 *bytes, u64 count, u64 offset, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)(offset + i < count ? bytes[offset + i] : 0) << 8 * i;
	return value;
}

static void
write_config(struct virtio *v, u64 offset, unsigned size, u64 value)
{
	for (unsigned i = 0; i < size; i++)
		if (v->class->config_written && offset + i < v->class->config_size)
			v->class->config_written(v->opaque, (unsigned)offset + i, (u8)(value >> 8 * i));
		else
			v->counters.stray++;
}

static u64
modern_read(void *opaque, u64 offset, unsigned size)
{
	struct virtio *v = opaque;
	u64 at = offset % REGION_SIZE;
	u8 image[COMMON_SIZE];

	switch (offset / REGION_SIZE) {
	case REGION_COMMON:
		common_image(v, image);
		return from_bytes(image, sizeof(image), at, size);
	case REGION_ISR:
		return at == 0 ? take_isr(v) : 0;
	case REGION_DEVICE:
		return from_bytes(v->config, v->class->config_size, at, size);
	default:
		return 0;
	}
}

static void
modern_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct virtio *v = opaque;
	u64 at = offset % REGION_SIZE;

	switch (offset / REGION_SIZE) {
	case REGION_COMMON:
		if (size == 8) {
			write_common(v, (unsigned)at, 4, (u32)value);
			write_common(v, (unsigned)at + 4, 4, (u32)(value >> 32));
		} else {
			write_common(v, (unsigned)at, size, (u32)value);
		}
		break;
	case REGION_DEVICE:
		write_config(v, at, size, value);
		break;
	case REGION_NOTIFY:
		notify(v, (unsigned)at / NOTIFY_STRIDE);
		break;
	default:
		v->counters.stray++;
		break;
	}
}

static const struct mmio_ops modern_window = {modern_read, modern_write};

/* ---- Legacy ---- */

static unsigned
legacy_config(const struct virtio *v)
{
	return msix_enabled(&v->msix) ? LEGACY_CONFIG_MSIX : LEGACY_CONFIG;
}

/* "Legacy Interfaces: A Note on Virtqueue Layout": one piece of memory, the used ring on its own page. */
static void
legacy_place(struct virtqueue *q, u32 page)
{
	u64 base = page * LEGACY_PAGE, driver = base + 16ull * q->size;

	q->descriptors = base;
	q->driver = driver;
	q->device = (driver + 6 + 2ull * q->size + LEGACY_PAGE - 1) & ~(LEGACY_PAGE - 1);
	q->enabled = page != 0;
	if (!q->enabled)
		q->next = q->used = q->told = 0;
}

static u64
legacy_read(void *opaque, u64 offset, unsigned size)
{
	struct virtio *v = opaque;
	const struct virtqueue *q = selected(v);
	unsigned config = legacy_config(v);
	u8 image[LEGACY_CONFIG_MSIX] = {0};

	if (offset >= config)
		return from_bytes(v->config, v->class->config_size, offset - config, size);
	if (offset == LEGACY_ISR)
		return take_isr(v);
	pci_set32(image, LEGACY_OFFERED, (u32)(v->offered | VIRTIO_F_ANY_LAYOUT));
	pci_set32(image, LEGACY_ACCEPTED, (u32)v->accepted);
	pci_set32(image, LEGACY_QUEUE_PAGE, q && q->enabled ? (u32)(q->descriptors / LEGACY_PAGE) : 0);
	pci_set16(image, LEGACY_QUEUE_SIZE, q ? q->size : 0);
	pci_set16(image, LEGACY_QUEUE_SELECT, v->queue_select);
	image[LEGACY_STATUS] = v->status;
	pci_set16(image, LEGACY_CONFIG_VECTOR, v->config_vector);
	pci_set16(image, LEGACY_QUEUE_VECTOR, q ? q->vector : NO_VECTOR);
	return from_bytes(image, config, offset, size);
}

static void
legacy_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct virtio *v = opaque;
	struct virtqueue *q = selected(v);
	unsigned config = legacy_config(v);

	if (offset >= config)
		write_config(v, offset - config, size, value);
	else if (offset == LEGACY_ACCEPTED && size == 4)
		v->accepted = value & (v->offered | VIRTIO_F_ANY_LAYOUT) & ~0u;
	else if (offset == LEGACY_QUEUE_PAGE && size == 4 && q)
		legacy_place(q, (u32)value);
	else if (offset == LEGACY_QUEUE_SELECT && size == 2)
		v->queue_select = (u16)value;
	else if (offset == LEGACY_QUEUE_NOTIFY && size == 2)
		notify(v, (unsigned)value);
	else if (offset == LEGACY_STATUS && size == 1)
		write_status(v, (u8)value, true);
	else if (offset == LEGACY_CONFIG_VECTOR && size == 2)
		v->config_vector = vector(v, (u32)value);
	else if (offset == LEGACY_QUEUE_VECTOR && size == 2 && q)
		q->vector = vector(v, (u32)value);
	else
		v->counters.stray++;
}

static const struct mmio_ops legacy_window = {legacy_read, legacy_write};

/* ---- The PCI function ---- */

/* VIRTIO_PCI_CAP_PCI_CFG: BAR 4 for those who cannot reach it. False: the window points nowhere. */
static bool
window_at(const struct virtio *v, unsigned offset, unsigned size, u32 *at, u32 *length)
{
	*at = pci_get32(v->pci.config, WINDOW_OFFSET);
	*length = pci_get32(v->pci.config, WINDOW_LENGTH);
	return v->generation != VIRTIO_LEGACY && offset <= WINDOW_DATA && offset + size > WINDOW_DATA &&
	       v->pci.config[WINDOW_BAR] == MODERN_BAR && (*length == 1 || *length == 2 || *length == 4) &&
	       *at % *length == 0 && *at < 4 * REGION_SIZE;
}

static void
config_read(void *opaque, unsigned offset, unsigned size)
{
	struct virtio *v = opaque;
	u32 at, length;

	if (window_at(v, offset, size, &at, &length))
		pci_set32(v->pci.config, WINDOW_DATA, (u32)modern_read(v, at, length));
}

static void
config_written(void *opaque, unsigned offset, unsigned size)
{
	struct virtio *v = opaque;
	u32 at, length;

	if (window_at(v, offset, size, &at, &length))
		modern_write(v, at, length, pci_get32(v->pci.config, WINDOW_DATA) & (u32)(BIT(8 * length) - 1));
	msix_config_written(&v->msix);
	update_pin(v);
	/* Bus mastering may have been switched on. */
	if (offset <= PCI_COMMAND && offset + size > PCI_COMMAND)
		serve_all(v);
}

static void
pci_reset(void *opaque)
{
	struct virtio *v = opaque;

	msix_reset(&v->msix);
	reset(v);
}

static void
add_capability(struct virtio *v, unsigned at, unsigned next, u8 type, unsigned region, u32 length, u8 size)
{
	u8 *capability = v->pci.config + at;

	capability[0] = CAPABILITY_VENDOR;
	capability[1] = (u8)next;
	capability[2] = size;
	capability[3] = type;
	capability[4] = type == 5 ? 0 : MODERN_BAR;
	pci_set32(capability, 8, region * REGION_SIZE);
	pci_set32(capability, 12, length);
}

static void
init_pci(struct virtio *v)
{
	const struct virtio_class *class = v->class;
	struct pci_device *d = &v->pci;
	bool modern = v->generation == VIRTIO_MODERN;

	pci_device_init(d, class->name, v, VENDOR, modern ? (u16)(MODERN_DEVICE + class->id) : class->transitional, modern,
			class->pci_class);
	pci_set16(d->config, PCI_STATUS, PCI_STATUS_CAPABILITIES);
	pci_set16(d->config, PCI_SUBSYSTEM_VENDOR_ID, VENDOR);
	/* Legacy drivers know the device by this. */
	pci_set16(d->config, PCI_SUBSYSTEM_ID, class->id);
	d->config[PCI_INTERRUPT_PIN] = 1;
	d->config[PCI_CAPABILITIES] = AT_MSIX;
	msix_init(&v->msix, d, AT_MSIX, MSIX_BAR, class->queues + 1);
	if (!modern)
		pci_bar(d, LEGACY_BAR, PCI_BAR_IO, LEGACY_WINDOW, &legacy_window, v, class->name);
	if (v->generation != VIRTIO_LEGACY) {
		pci_bar(d, MODERN_BAR, PCI_BAR_MEMORY64, 4 * REGION_SIZE, &modern_window, v, class->name);
		d->config[AT_MSIX + 1] = AT_COMMON;
		add_capability(v, AT_COMMON, AT_NOTIFY, 1, REGION_COMMON, COMMON_SIZE, 16);
		add_capability(v, AT_NOTIFY, AT_ISR, 2, REGION_NOTIFY, NOTIFY_STRIDE * VIRTIO_QUEUES, 20);
		pci_set32(d->config, AT_NOTIFY + 16, NOTIFY_STRIDE);
		add_capability(v, AT_ISR, AT_DEVICE, 3, REGION_ISR, 1, 16);
		add_capability(v, AT_DEVICE, AT_WINDOW, 4, REGION_DEVICE, class->config_size, 16);
		add_capability(v, AT_WINDOW, 0, 5, 0, 0, 20);
		d->writable[WINDOW_BAR] = 0xff;
		memset(d->writable + WINDOW_OFFSET, 0xff, 12);
		d->config_read = config_read;
	}
	d->config_written = config_written;
	d->reset = pci_reset;
}

void
virtio_init(struct virtio *v, const struct virtio_class *class, void *opaque, enum virtio_generation generation, u64 features)
{
	assert(class->queues <= VIRTIO_QUEUES && class->config_size <= VIRTIO_CONFIG);
	v->class = class;
	v->opaque = opaque;
	v->generation = generation;
	v->offered = features | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
	if (generation != VIRTIO_LEGACY)
		v->offered |= VIRTIO_F_VERSION_1;
	init_pci(v);
	for (unsigned i = 0; i < class->queues; i++)
		virtqueue_init(&v->queue[i], &v->pci, class->queue_size[i]);
}

void
virtio_plug(struct virtio *v, struct pci_bus *bus, unsigned devfn)
{
	pci_add(bus, &v->pci, devfn);
	pci_reset(v);
}

void
virtio_state(struct virtio *v, struct state *s)
{
	pci_device_state(&v->pci, s);
	msix_state(&v->msix, s);
	for (unsigned i = 0; i < v->class->queues; i++)
		virtqueue_state(&v->queue[i], s);
	STATE(s, v->accepted);
	STATE(s, v->offered_select);
	STATE(s, v->accepted_select);
	STATE(s, v->queue_select);
	STATE(s, v->config_vector);
	STATE(s, v->status);
	STATE(s, v->isr);
	STATE(s, v->config_generation);
	STATE(s, v->config);
}
