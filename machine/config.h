/*
 * What the user asked for: the command line and the INI file, parsed and checked, as plain data.
 *
 * options.c fills it in, -print-config writes it back; main, pc.c, loader.c and net/ only read it. Strings belong to
 * the configuration and live as long as the process. A NULL string means "not given".
 */
#ifndef NB_MACHINE_CONFIG_H
#define NB_MACHINE_CONFIG_H

#include <stdio.h>

#include "base/types.h"

#define CONFIG_SERIALS 4
#define CONFIG_NETDEVS 8
#define CONFIG_NICS 8
#define CONFIG_IDE_DRIVES 4
#define CONFIG_VIRTIO_DRIVES 8
#define CONFIG_DRIVES (CONFIG_IDE_DRIVES + CONFIG_VIRTIO_DRIVES)
#define CONFIG_BOOT_ORDER 3
#define CONFIG_MOVED 32

enum serial_kind { SERIAL_NONE, SERIAL_STDIO, SERIAL_STDOUT, SERIAL_NULL, SERIAL_FILE, SERIAL_PTY, SERIAL_UNIX };

struct config_serial {
	enum serial_kind kind;
	char *path; /* of file and unix */
};

/* One back end: the argument of -netdev, whose keys net_create() knows; options.c looks at the id only. */
struct config_netdev {
	char *spec;
	char *id;
};

enum nic_model { NIC_E1000, NIC_VIRTIO, NIC_VIRTIO_MODERN, NIC_MODELS };

/* One network card. */
struct config_nic {
	enum nic_model model;
	int netdev;      /* index into config.netdev, or -1: no cable */
	char *netdev_id; /* NULL: no cable */
	u8 mac[6];       /* default 52:54:00:12:34:56, the last byte counting up from card to card */
	char *romfile;   /* expansion ROM; "": none, NULL: iPXE where it is installed */
	int slot;        /* PCI device number of addr=, or -1: the first free one */
};

/* First the places of the IDE controller (primary master, primary slave, secondary master, secondary slave), then virtio. */
struct config_drive {
	char *file;   /* NULL: empty */
	char *format; /* NULL: by what the image begins with */
	char *id, *serial;
	bool snapshot, cdrom;
	bool loose;  /* if=none: waits for a -device that takes it */
	bool modern; /* virtio: for modern drivers only */
	int slot;    /* virtio: PCI device number, or -1: the first free one */
};

struct config_debug_exit {
	bool present;
	u16 iobase; /* default 0x501 */
	u16 iosize; /* 1, 2 or 4; default 2 */
};

struct config_given;

struct config {
	/* machine */
	u64 memory; /* bytes, multiple of 4 KiB */
	unsigned cpus;
	char *cpu; /* the text after -cpu, for cpu/cpuid.c; default "max" */
	bool no_reboot, nodefaults;

	/* direct boot */
	char *kernel, *append;
	char *initrd; /* a file, or multiboot modules: "f1 args,f2 args" */

	/* firmware, which runs when there is no kernel */
	char *bios;                             /* image, or NULL: SeaBIOS as installed */
	char boot_order[CONFIG_BOOT_ORDER + 1]; /* of a, c, d, n; default "cad" */
	bool boot_menu;
	char *vga_rom; /* the display adapter's ROM, or NULL: as installed; no option, a replay may need it */

	/* devices and their host ends */
	struct config_drive drive[CONFIG_DRIVES];
	struct config_drive flash; /* below the firmware's image: its variables */
	bool snapshot; /* all disks have snapshot=on */
	bool nographic;
	bool vga;         /* an adapter is there; default with firmware or a window, not with -nographic */
	bool sdl;         /* a window */
	char *vnc;        /* [ADDRESS]:N, or NULL */
	char *screendump; /* file for the screen at the end, or NULL */
	struct config_serial serial[CONFIG_SERIALS];
	struct config_serial debugcon; /* ports 0xe9 and 0x402 */
	struct config_netdev netdev[CONFIG_NETDEVS];
	unsigned netdevs;
	struct config_nic nic[CONFIG_NICS];
	unsigned nics;
	struct config_debug_exit debug_exit;
	bool testdev; /* pc-testdev */

	/* time and chance */
	u64 clock_hz; /* default 1 GHz */
	u64 seed;     /* of RDRAND and RDSEED */
	bool one_insn; /* execute every instruction's complete form, one at a time */
	s64 rtc;      /* start of the RTC, seconds since 1970-01-01 UTC; default 2024-01-01 00:00:00 */
	bool realtime;

	/* limits and reports */
	u64 stop_after; /* instructions, 0: no limit */
	double timeout; /* host seconds, 0: no limit */
	char *expect;   /* text on the first serial port that ends the run well, or NULL */
	char *stats;    /* file for counters, "-" is stdout, or NULL */
	bool hash;      /* -hash given: print the state hash at the end... */
	char *snapshot_load, *snapshot_save; /* files: before the first instruction, and at the end */
	char *record, *replay; /* capsules */
	/* In a replay: files that were found elsewhere than -kernel and -initrd say. */
	struct config_moved {
		char *from, *to;
	} moved[CONFIG_MOVED];
	unsigned moves;
	u64 hash_every; /* ...and every so many instructions, 0: at the end only */

	/* debugger/ */
	bool debug;        /* the shell has the terminal */
	bool start_stopped; /* -S, for gdb */
	char *gdb;         /* [HOST:]PORT, or NULL */
	char **command;    /* -ex, in order */
	unsigned commands;
	char *trace, *trace_file;
	u64 history; /* bytes for going back; default 512 MiB with the debugger, else 0: none */
	bool history_given;

	/* script/ */
	char *script;        /* the scenario; then this configuration is no machine's, but what each of its machines gets on top */
	bool scripted;       /* a scenario's machine */
	char **script_args;  /* NAME=VALUE, in order */
	unsigned script_arg_count;
	bool update;         /* write baselines */
	char *artifacts;     /* folder for what a failed scenario leaves, or NULL */

	/* private to options.c: every option given, for -print-config; strings to free */
	struct config_given *given;
	unsigned givens, owneds;
	char **owned;
};

/*
 * What main does after parsing: run; end well, since what was asked for (--help...) is printed; list the processor
 * models; print INI; run a scenario.
 */
enum config_action { CONFIG_RUN, CONFIG_EXIT, CONFIG_CPU_HELP, CONFIG_PRINT, CONFIG_SCRIPT };

/*
 * Parses the arguments. On error returns NULL and sets *error to one line (heap) without the program's name.
 * The contents of `cpu` and of the -netdev arguments are judged by those who act on them.
 */
struct config *config_parse(int argc, char **argv, enum config_action *action, char **error);
void config_free(struct config *config);
/* A machine of a scenario: `argv` is followed by the options of `on_top`, so that those win. Serial ports print to nobody unless told to. */
struct config *config_parse_scripted(int argc, char **argv, const struct config *on_top, char **error);

/* What -device calls a network card. */
const char *config_nic_name(enum nic_model model);

/* drives.c: the parts of -drive, -cdrom and -boot. Return NULL, or what is wrong (heap). */
char *config_add_drive(struct config *config, const char *value);
char *config_add_virtio_blk(struct config *config, const char *value, bool modern);
/* What is left to say when all options are known. */
char *config_check_drives(const struct config *config);
char *config_add_image(struct config *config, const char *path, int place, bool cdrom);
char *config_set_boot(struct config *config, const char *value);
void config_free_drives(struct config *config);

/* The options that make the same machine in a replay (capsule.h), in an order in which they can be given; value NULL for a flag. */
void config_for_replay(const struct config *config, void (*one)(void *opaque, const char *name, const char *value), void *opaque);
/* A file of -kernel or -initrd is elsewhere; where it is. */
void config_move(struct config *config, const char *from, const char *to);
/* -kernel without -bios: nestbox itself does what firmware would do, and no firmware runs. */
static inline bool
config_direct_boot(const struct config *config)
{
	return config->kernel && !config->bios;
}
const char *config_place(const struct config *config, const char *path);
/* `string` (heap) lives as long as the configuration. */
char *config_keep(struct config *config, char *string);

/* The INI form of the options given; reading it gives the same configuration. */
void config_print(const struct config *config, FILE *out);

#endif
