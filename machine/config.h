/*
 * What the user asked for: the command line and the INI file, parsed and checked, as plain data.
 *
 * options.c fills it in, -print-config writes it back; main, pc.c, loader.c and net/ only read it. Strings belong to the configuration and
 * live as long as the process. A NULL string means "not given".
 */
#ifndef NB_MACHINE_CONFIG_H
#define NB_MACHINE_CONFIG_H

#include <stdio.h>

#include "base/types.h"

#define CONFIG_SERIALS 4
#define CONFIG_NETDEVS 8
#define CONFIG_NICS 8
#define CONFIG_FORWARDS 32
#define CONFIG_MODULES 64

enum serial_kind { SERIAL_NONE, SERIAL_STDIO, SERIAL_NULL, SERIAL_FILE, SERIAL_PTY, SERIAL_UNIX };

struct config_serial {
	enum serial_kind kind;
	char *path; /* of file and unix */
};

enum netdev_kind { NETDEV_USER, NETDEV_TAP, NETDEV_SOCKET };

/* hostfwd=[tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport; an empty address is 0.0.0.0 (all, or the first DHCP address). */
struct config_forward {
	bool udp;
	u32 host_address; /* IPv4, host byte order */
	u32 guest_address;
	u16 host_port, guest_port;
};

/* One back end. Addresses are IPv4 in host byte order; 0 means the back end's default. */
struct config_netdev {
	enum netdev_kind kind;
	char *id;
	char *pcap; /* file to write every frame to, on any kind */

	/* user */
	u32 network, netmask; /* net=ADDR[/BITS], default 10.0.2.0/24 */
	u32 host, dns, dhcp_start;
	char *hostname, *domain_name;
	char *tftp, *bootfile;
	bool restrict_;
	struct config_forward forward[CONFIG_FORWARDS];
	unsigned forwards;

	/* tap */
	char *ifname; /* NULL: the kernel chooses */
	int tap_fd;   /* fd=N, an already opened descriptor, or -1 */

	/* socket: QEMU's framing (32-bit big-endian length before each frame) on TCP, plain datagrams on UDP */
	char *listen;  /* [HOST]:PORT, or NULL */
	char *connect; /* HOST:PORT, or NULL */
	char *udp;     /* HOST:PORT, or NULL; then localaddr too */
	char *localaddr;
	char *mcast; /* ADDR:PORT, or NULL */
	int socket_fd; /* fd=N, or -1 */
};

/* One e1000 card. */
struct config_nic {
	int netdev; /* index into config.netdev, or -1: no cable */
	u8 mac[6];
	char *id;
	int slot; /* PCI device number of addr=, or -1: the first free one */
};

struct config_debug_exit {
	bool present;
	u16 iobase; /* default 0x501 */
	u16 iosize; /* 1, 2 or 4; default 2 */
};

/* -initrd "f1 args,f2 args": one entry for Linux, any number for multiboot. */
struct config_module {
	char *file;
	char *string; /* file name and arguments, as multiboot hands it over */
};

struct config {
	/* machine */
	u64 memory; /* bytes, multiple of 4 KiB */
	unsigned cpus;
	char *cpu; /* the text after -cpu, for cpu/cpuid.c; default "max" */
	bool no_reboot, nodefaults;

	/* direct boot */
	char *kernel, *append;
	struct config_module module[CONFIG_MODULES];
	unsigned modules;

	/* devices and their host ends */
	struct config_serial serial[CONFIG_SERIALS];
	struct config_netdev netdev[CONFIG_NETDEVS];
	unsigned netdevs;
	struct config_nic nic[CONFIG_NICS];
	unsigned nics;
	struct config_debug_exit debug_exit;
	bool testdev; /* pc-testdev */

	/* time and chance */
	u64 clock_hz; /* default 1 GHz */
	u64 seed;     /* of RDRAND and RDSEED */
	s64 rtc;      /* start of the RTC, seconds since 1970-01-01 UTC; default 2024-01-01 00:00:00 */
	bool realtime;

	/* limits and reports */
	u64 stop_after; /* instructions, 0: no limit */
	double timeout; /* host seconds, 0: no limit */
	char *expect;	/* text on the first serial port that ends the run well, or NULL */
	char *stats;	/* file for counters, "-" is stdout, or NULL */
	bool hash;	/* -hash given: print the state hash at the end... */
	u64 hash_every; /* ...and every so many instructions, 0: at the end only */
	char *log;	/* already applied by options.c; kept for -print-config */
	char *trace, *trace_file;
};

/* What main does after parsing. */
enum config_action { CONFIG_RUN, CONFIG_EXIT };

/*
 * Parses the arguments. On CONFIG_EXIT everything asked for (--help, -device help...) has been printed. On error returns NULL and sets
 * *error to one line (heap) without the program's name. `config_check` then looks at the host: that files are readable, and the like.
 */
struct config *config_parse(int argc, char **argv, enum config_action *action, char **error);
char *config_check(const struct config *config);
void config_free(struct config *config);

/* The INI form; reading it gives the same configuration. */
void config_print(const struct config *config, FILE *out);

#endif
