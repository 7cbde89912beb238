/*
 * Power management function of the Intel 82371AB (PIIX4): ACPI fixed registers, PM timer, sleep and power off.
 *
 * Source: 82371AB data sheet (order 290562), "Power Management I/O Space Registers"; ACPI 6.4, "ACPI Hardware
 * Specification".
 * SMI_CMD: the two ACPI commands switch SCI_EN directly, whatever an SMI handler does; an SMI is raised where firmware has
 * enabled it, for the processor that wrote.
 * Not modelled: SMBus, device monitors, throttling (P_CNT, P_LVL2/3 read 0), the global standby timer.
 */
#include "devices/acpi_pm.h"

#include <string.h>

#include "base/log.h"
#include "base/snapshot.h"
#include "devices/ticks.h"

LOG_CATEGORY("acpi");

#define CONFIG_BASE 0x40
#define CONFIG_DEVACTB 0x58
#define DEVACTB_APMC_EN 0x02 /* in the last byte: writes of SMI_CMD may raise SMI# */
#define GLOBAL_CONTROL 0x28
#define GLOBAL_SMI_EN BIT(0)
#define CONFIG_MISC 0x80 /* bit 0: the ports are decoded */
#define PORTS 64

#define TIMER_MASK 0xffffff /* 24 bits; TMR_STS follows the top one */
#define TIMER_HALF 0x800000

#define STS_TIMER BIT(0)
#define STS_POWER_BUTTON BIT(8)
#define STS_RTC BIT(10)
#define STS_WAKE BIT(15)
#define STS_ALL 0x8f31
#define EN_ALL 0x0521 /* timer, global, power button, RTC */

#define CNT_SCI_EN BIT(0)
#define CNT_SLEEP_TYPE(control) BITS(control, 12, 10)
#define CNT_SLEEP_EN BIT(13)
#define CNT_STORED 0x1c03

/*
 * Processors take turns in slices of time, so the next one may look from a little earlier than the last: the timer
 * stands still then, and never runs backwards.
 */
static u64
timer_now(struct acpi_pm *pm)
{
	pm->latest = MAX(pm->latest, ticks_now(pm->events, ACPI_PM_HZ));
	return pm->latest;
}

/* TMR_STS is set by each change of the timer's top bit; looked for only when somebody asks. */
static void
account(struct acpi_pm *pm)
{
	u64 now = timer_now(pm);

	if (now / TIMER_HALF != pm->seen / TIMER_HALF)
		pm->pm1_status |= STS_TIMER;
	pm->seen = now;
}

static void
update(struct acpi_pm *pm)
{
	bool level;

	account(pm);
	level = pm->pm1_control & CNT_SCI_EN && (pm->pm1_status & pm->pm1_enable || pm->gpe_status & pm->gpe_enable);
	if (level != pm->sci_level) {
		pm->sci_level = level;
		irq_set(&pm->sci, level);
	}
	if (pm->pm1_enable & STS_TIMER && pm->pm1_control & CNT_SCI_EN && !(pm->pm1_status & STS_TIMER))
		event_arm(pm->events, &pm->overflow,
			  ticks_time(pm->events, ACPI_PM_HZ, (pm->seen / TIMER_HALF + 1) * TIMER_HALF));
	else
		event_disarm(pm->events, &pm->overflow);
}

static void
overflow(void *opaque, u64 now)
{
	(void)now;
	update(opaque);
}

static void
wake(struct acpi_pm *pm, const char *who)
{
	if (!pm->suspended)
		return;
	pm->suspended = false;
	pm->pm1_status |= STS_WAKE;
	pm->control->wake(pm->control->opaque, who);
}

void
acpi_pm_power_button(struct acpi_pm *pm)
{
	pm->pm1_status |= STS_POWER_BUTTON;
	wake(pm, "power button");
	update(pm);
}

void
acpi_pm_rtc_alarm(void *opaque)
{
	struct acpi_pm *pm = opaque;

	pm->pm1_status |= STS_RTC;
	if (pm->pm1_enable & STS_RTC)
		wake(pm, "RTC alarm");
	update(pm);
}

static void
sleep_now(struct acpi_pm *pm)
{
	switch (CNT_SLEEP_TYPE(pm->pm1_control)) {
	case ACPI_S5_TYPE:
		pm->control->power_off(pm->control->opaque, "ACPI S5");
		break;
	case ACPI_S3_TYPE:
		pm->suspended = true;
		pm->control->suspend(pm->control->opaque, "ACPI S3");
		break;
	default:
		log_debug("sleep type %u means nothing", (unsigned)CNT_SLEEP_TYPE(pm->pm1_control));
		break;
	}
}

static u8
read_byte(struct acpi_pm *pm, unsigned offset)
{
	u16 reg = 0;

	switch (offset & ~1u) {
	case 0x00:
		account(pm);
		reg = pm->pm1_status;
		break;
	case 0x02:
		reg = pm->pm1_enable;
		break;
	case 0x04:
		reg = pm->pm1_control;
		break;
	case ACPI_PM_TIMER:
		reg = (u16)timer_now(pm);
		break;
	case ACPI_PM_TIMER + 2:
		reg = (u16)((timer_now(pm) & TIMER_MASK) >> 16);
		break;
	case ACPI_PM_GPE0:
		reg = pm->gpe_status;
		break;
	case ACPI_PM_GPE0 + 2:
		reg = pm->gpe_enable;
		break;
	case GLOBAL_CONTROL:
		reg = (u16)pm->global_control;
		break;
	case GLOBAL_CONTROL + 2:
		reg = (u16)(pm->global_control >> 16);
		break;
	default:
		break;
	}
	return (u8)(reg >> (offset & 1) * 8);
}

static void
write_byte(struct acpi_pm *pm, unsigned offset, u8 value)
{
	unsigned shift = (offset & 1) * 8;
	u16 bits = (u16)(value << shift), keep = (u16)~(0xff << shift);

	switch (offset & ~1u) {
	case 0x00:
		account(pm);
		pm->pm1_status &= (u16)~(bits & STS_ALL);
		break;
	case 0x02:
		pm->pm1_enable = (pm->pm1_enable & keep) | (bits & EN_ALL);
		break;
	case 0x04:
		pm->pm1_control = (pm->pm1_control & keep) | (bits & CNT_STORED);
		if (bits & CNT_SLEEP_EN)
			sleep_now(pm);
		break;
	case ACPI_PM_GPE0:
		pm->gpe_status &= (u16)~bits;
		break;
	case ACPI_PM_GPE0 + 2:
		pm->gpe_enable = (pm->gpe_enable & keep) | bits;
		break;
	case GLOBAL_CONTROL:
		pm->global_control = (pm->global_control & (0xffff0000 | keep)) | bits;
		break;
	case GLOBAL_CONTROL + 2:
		pm->global_control = (pm->global_control & (0xffff | (u32)keep << 16)) | (u32)bits << 16;
		break;
	default:
		break;
	}
}

static u32
pm_read(void *opaque, u16 port, unsigned size)
{
	struct acpi_pm *pm = opaque;
	unsigned offset = port - pm->base;
	u32 value = 0;

	/* The most frequent access by far. */
	if (offset == ACPI_PM_TIMER && size == 4)
		return timer_now(pm) & TIMER_MASK;
	for (unsigned i = 0; i < size; i++)
		value |= (u32)read_byte(pm, offset + i) << 8 * i;
	return value;
}

static void
pm_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct acpi_pm *pm = opaque;
	unsigned offset = port - pm->base;

	for (unsigned i = 0; i < size; i++)
		write_byte(pm, offset + i, (u8)(value >> 8 * i));
	update(pm);
}

static const struct port_ops pm_ports = {pm_read, pm_write, PORT_BYTE | PORT_WORD | PORT_LONG};

static void
decode(struct acpi_pm *pm)
{
	u32 base = pm->pci.config[CONFIG_MISC] & 1 ? pci_get32(pm->pci.config, CONFIG_BASE) & 0xffc0 : 0;

	if (base == pm->base)
		return;
	if (pm->base)
		ports_unmap(pm->pci.bus->ports, (u16)pm->base, PORTS);
	pm->base = base;
	if (base)
		ports_map(pm->pci.bus->ports, "acpi-pm", (u16)base, PORTS, &pm_ports, pm);
}

static void
config_written(void *opaque, unsigned offset, unsigned size)
{
	(void)offset;
	(void)size;
	decode(opaque);
}

static u32
apm_read(void *opaque, u16 port, unsigned size)
{
	struct acpi_pm *pm = opaque;

	(void)size;
	return port & 1 ? pm->apm_status : pm->apm_control;
}

static void
apm_write(void *opaque, u16 port, unsigned size, u32 value)
{
	struct acpi_pm *pm = opaque;

	(void)size;
	if (port & 1) {
		pm->apm_status = (u8)value;
		return;
	}
	pm->apm_control = (u8)value;
	if (value == ACPI_ENABLE_VALUE)
		pm->pm1_control |= CNT_SCI_EN;
	else if (value == ACPI_DISABLE_VALUE)
		pm->pm1_control &= (u16)~CNT_SCI_EN;
	update(pm);
	if (pm->pci.config[CONFIG_DEVACTB + 3] & DEVACTB_APMC_EN && pm->global_control & GLOBAL_SMI_EN)
		pm->control->smi(pm->control->opaque);
}

static const struct port_ops apm_ports = {apm_read, apm_write, PORT_BYTE};

static void
reset(void *opaque)
{
	struct acpi_pm *pm = opaque;

	pm->pm1_status = pm->pm1_enable = pm->pm1_control = 0;
	pm->gpe_status = pm->gpe_enable = 0;
	pm->apm_control = pm->apm_status = 0;
	pm->global_control = 0;
	pm->suspended = false;
	pm->seen = timer_now(pm);
	decode(pm);
	update(pm);
}

void
acpi_pm_init(struct acpi_pm *pm, struct pci_bus *bus, struct events *events, const struct irq_line *sci,
	     const struct machine_control *control)
{
	struct pci_device *d = &pm->pci;

	memset(pm, 0, sizeof(*pm));
	pm->events = events;
	pm->sci = *sci;
	pm->control = control;
	event_init(&pm->overflow, "acpi-pm", EVENT_DEVICE, overflow, pm);
	pci_device_init(d, "piix4-pm", pm, 0x8086, 0x7113, 0x03, 0x068000);
	pci_set16(d->config, PCI_STATUS, 0x0280);
	pci_set16(d->writable, PCI_COMMAND, PCI_COMMAND_IO);
	/* Decoded from the start at the usual place, since there may be no firmware to do it. */
	pci_set32(d->config, CONFIG_BASE, ACPI_PM_BASE | 1);
	pci_set32(d->writable, CONFIG_BASE, 0xffc0);
	/* As firmware leaves it; but no handler is there to be called, and SMI_EN is clear. */
	d->config[CONFIG_DEVACTB + 3] = DEVACTB_APMC_EN;
	d->config[CONFIG_MISC] = 1;
	d->writable[CONFIG_MISC] = 1;
	d->config[PCI_INTERRUPT_LINE] = 9;
	d->config_written = config_written;
	d->reset = reset;
	pci_add(bus, d, PCI_DEVFN(1, 3));
	ports_map(bus->ports, "apm", ACPI_SMI_COMMAND, 2, &apm_ports, pm);
	reset(pm);
}

void
acpi_pm_set_firmware(struct acpi_pm *pm)
{
	struct pci_device *d = &pm->pci;

	d->config[CONFIG_DEVACTB + 3] = d->initial[CONFIG_DEVACTB + 3] = 0;
	d->writable[CONFIG_DEVACTB + 3] = DEVACTB_APMC_EN;
	pci_set32(d->config, CONFIG_BASE, 1);
	pci_set32(d->initial, CONFIG_BASE, 1);
	d->config[CONFIG_MISC] = d->initial[CONFIG_MISC] = 0;
	decode(pm);
}

void
acpi_pm_state(struct acpi_pm *pm, struct state *s)
{
	state_section(s, "acpi_pm", 2);
	pci_device_state(&pm->pci, s);
	state_bool(s, &pm->sci_level);
	state_bool(s, &pm->suspended);
	STATE(s, pm->pm1_status);
	STATE(s, pm->pm1_enable);
	STATE(s, pm->pm1_control);
	STATE(s, pm->gpe_status);
	STATE(s, pm->gpe_enable);
	STATE(s, pm->apm_control);
	STATE(s, pm->apm_status);
	STATE(s, pm->global_control);
	STATE(s, pm->seen);
	STATE(s, pm->latest);
	state_event(s, pm->events, &pm->overflow);
	if (state_mode(s) == STATE_LOAD)
		decode(pm);
}
