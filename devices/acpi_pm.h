/* Power management function of the 82371AB (PIIX4), PCI function 00:01.3. See acpi_pm.c. */
#ifndef NB_DEVICES_ACPI_PM_H
#define NB_DEVICES_ACPI_PM_H

#include "base/events.h"
#include "bus/irq.h"
#include "bus/machine_control.h"
#include "devices/pci.h"

#define ACPI_PM_HZ 3579545
/* Where the registers are without firmware. */
#define ACPI_PM_BASE 0x600
#define ACPI_PM_TIMER 0x08 /* offsets in it */
#define ACPI_PM_GPE0 0x0c
#define ACPI_SMI_COMMAND 0xb2
#define ACPI_ENABLE_VALUE 0xf1
#define ACPI_DISABLE_VALUE 0xf0
/* SLP_TYP values of the PIIX4. */
#define ACPI_S5_TYPE 0
#define ACPI_S3_TYPE 1

struct acpi_pm {
	struct pci_device pci;
	struct events *events;
	struct irq_line sci;
	const struct machine_control *control;
	bool sci_level, suspended;
	u16 pm1_status, pm1_enable, pm1_control;
	u16 gpe_status, gpe_enable;
	u32 base; /* where the ports are mapped now, 0: nowhere; follows from the configuration space. ACPI tables tell it */
	u32 global_control;
	u8 apm_control, apm_status; /* ports 0xb2, 0xb3 */
	u64 seen;                   /* timer value up to which TMR_STS is accounted for */
	u64 latest;                 /* tick of the latest access */
	struct event overflow;
};

void acpi_pm_init(struct acpi_pm *pm, struct pci_bus *bus, struct events *events, const struct irq_line *sci,
		  const struct machine_control *control);
/*
 * Firmware runs, which chooses a place for the registers and sets up system management mode; before it does, there are none,
 * and writes of SMI_CMD raise no SMI.
 */
void acpi_pm_set_firmware(struct acpi_pm *pm);
/* The power button is pressed. */
void acpi_pm_power_button(struct acpi_pm *pm);
/* The RTC's alarm went off: RTC_STS, and wake-up when enabled. Opaque is struct acpi_pm. */
void acpi_pm_rtc_alarm(void *pm);
void acpi_pm_state(struct acpi_pm *pm, struct state *s);

#endif
