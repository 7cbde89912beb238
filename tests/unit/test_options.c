/* machine/options.c: what the command line and INI files mean, and what each mistake is answered with. */
#include <unistd.h>

#include "machine/config.h"
#include "tests/unit/unit.h"

#define ARGS 32

/* Splits at blanks; a leading "nestbox" is added. */
static struct config *
parse(const char *line, enum config_action *action, char **error)
{
	char *copy = strdup(line), *argv[ARGS] = {"nestbox"};
	struct config *config;
	int argc = 1;

	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	config = config_parse(argc, argv, action, error);
	free(copy);
	return config;
}

static struct config *
good(const char *line)
{
	enum config_action action;
	char *error;
	struct config *config = parse(line, &action, &error);

	if (!config)
		fail_msg("%s: %s", line, error);
	assert_int_equal(action, CONFIG_RUN);
	return config;
}

static void
defaults_are_those_of_qemu_with_a_serial_console(void **state)
{
	struct config *c = good("-kernel k");

	(void)state;
	assert_int_equal(c->memory, 128 << 20);
	assert_int_equal(c->cpus, 1);
	assert_string_equal(c->cpu, "max");
	assert_int_equal(c->serial[0].kind, SERIAL_STDIO);
	assert_int_equal(c->serial[1].kind, SERIAL_NONE);
	assert_int_equal(c->nics, 1);
	assert_int_equal(c->nic[0].netdev, 0);
	assert_memory_equal(c->netdev[0].spec, "user,id=", 8);
	assert_int_equal(c->clock_hz, 1000000000);
	assert_int_equal(c->rtc, 1704067200);
	config_free(c);
}

static void
nodefaults_leaves_out_card_and_serial_port(void **state)
{
	struct config *c = good("-nodefaults -kernel k");

	(void)state;
	assert_int_equal(c->nics, 0);
	assert_int_equal(c->serial[0].kind, SERIAL_NONE);
	config_free(c);
	c = good("-boot n -nic user,romfile=");
	assert_string_equal(c->nic[0].romfile, "");
	config_free(c);
	c = good("-kernel k -nic none");
	assert_int_equal(c->nics, 0);
	assert_int_equal(c->netdevs, 0);
	config_free(c);
}

static void
one_dash_and_two_are_the_same(void **state)
{
	struct config *c = good("--kernel k --m=2G -smp 4 --append=a=b --nographic");

	(void)state;
	assert_int_equal(c->memory, 2ull << 30);
	assert_int_equal(c->cpus, 4);
	assert_string_equal(c->append, "a=b");
	config_free(c);
}

static void
cards_find_their_back_ends_in_any_order(void **state)
{
	struct config *c = good("-kernel k -device e1000,netdev=b,mac=50:01:00:1a:00:00,addr=5,romfile=/r -device e1000,netdev=a "
				"-device e1000 -netdev user,id=a,tftp=/x -netdev tap,ifname=t0,id=b");

	(void)state;
	assert_int_equal(c->nics, 3);
	assert_int_equal(c->nic[0].netdev, 1);
	assert_int_equal(c->nic[0].mac[0], 0x50);
	assert_int_equal(c->nic[0].slot, 5);
	assert_string_equal(c->nic[0].romfile, "/r");
	assert_null(c->nic[1].romfile);
	assert_int_equal(c->nic[1].netdev, 0);
	assert_int_equal(c->nic[1].mac[5], 0x57);
	assert_int_equal(c->nic[1].slot, -1);
	assert_int_equal(c->nic[2].netdev, -1);
	assert_string_equal(c->netdev[1].spec, "tap,ifname=t0,id=b");
	config_free(c);
}

static void
nic_is_back_end_and_card_in_one(void **state)
{
	struct config *c = good("-kernel k -nic tap,ifname=t0,mac=52:00:00:00:00:01,model=e1000 -nic user,hostfwd=tcp::1-:2");

	(void)state;
	assert_int_equal(c->nics, 2);
	assert_int_equal(c->netdevs, 2);
	assert_int_equal(c->nic[0].mac[5], 1);
	assert_int_equal(c->nic[1].netdev, 1);
	assert_non_null(strstr(c->netdev[0].spec, "tap,id="));
	assert_non_null(strstr(c->netdev[0].spec, ",ifname=t0"));
	assert_null(strstr(c->netdev[0].spec, "mac="));
	assert_non_null(strstr(c->netdev[1].spec, ",hostfwd=tcp::1-:2"));
	config_free(c);
}

static void
serial_ports_are_counted_from_the_first(void **state)
{
	struct config *c = good("-kernel k -serial none -serial file:/a,b -serial unix:/s,server,nowait -serial pty");

	(void)state;
	assert_int_equal(c->serial[0].kind, SERIAL_NONE);
	assert_int_equal(c->serial[1].kind, SERIAL_FILE);
	assert_string_equal(c->serial[1].path, "/a,b");
	assert_int_equal(c->serial[2].kind, SERIAL_UNIX);
	assert_string_equal(c->serial[2].path, "/s");
	assert_int_equal(c->serial[3].kind, SERIAL_PTY);
	config_free(c);
}

static void
drives_find_their_places(void **state)
{
	struct config *c = good("-drive file=a,format=raw -cdrom b -drive file=c,snapshot=on,if=ide -drive "
				"file=d,media=cdrom,index=3 -boot order=dc,menu=on");

	(void)state;
	assert_string_equal(c->drive[0].file, "a");
	assert_false(c->drive[0].cdrom || c->drive[0].snapshot);
	assert_string_equal(c->drive[1].file, "c");
	assert_true(c->drive[1].snapshot);
	assert_string_equal(c->drive[2].file, "b");
	assert_true(c->drive[2].cdrom);
	assert_string_equal(c->drive[3].file, "d");
	assert_true(c->drive[3].cdrom);
	assert_string_equal(c->boot_order, "dc");
	assert_true(c->boot_menu);
	config_free(c);
	c = good("-drive file=a,bus=1,unit=1,cache=none -drive file=b,unit=0,bus=1 -hda c");
	assert_string_equal(c->drive[3].file, "a");
	assert_string_equal(c->drive[2].file, "b");
	assert_string_equal(c->drive[0].file, "c");
	config_free(c);
	c = good("-drive file=a,format=qcow2,if=virtio,serial=s1 -drive file=b,if=none,id=d -device virtio-blk-pci,drive=d,addr=1e");
	assert_string_equal(c->drive[CONFIG_IDE_DRIVES].file, "a");
	assert_string_equal(c->drive[CONFIG_IDE_DRIVES].format, "qcow2");
	assert_string_equal(c->drive[CONFIG_IDE_DRIVES].serial, "s1");
	assert_int_equal(c->drive[CONFIG_IDE_DRIVES].slot, -1);
	assert_string_equal(c->drive[CONFIG_IDE_DRIVES + 1].file, "b");
	assert_false(c->drive[CONFIG_IDE_DRIVES].snapshot);
	assert_int_equal(c->drive[CONFIG_IDE_DRIVES + 1].slot, 0x1e);
	config_free(c);
	c = good("-snapshot -hda a -cdrom b -drive file=c,if=virtio -boot order=dc,menu=on");
	assert_true(c->drive[0].snapshot && c->drive[CONFIG_IDE_DRIVES].snapshot);
	assert_false(c->drive[2].snapshot);
	config_free(c);
}

static void
limits_and_reports(void **state)
{
	struct config *c = good("-kernel k -stop-after 15G -timeout 2.5 -expect done -stats - -hash 1M -seed 7 "
				"-rtc base=2020-02-02T02:02:02,clock=vm -clock 2G -realtime -no-reboot "
				"-device isa-debug-exit,iobase=0xf4,iosize=4 -device pc-testdev");

	(void)state;
	assert_int_equal(c->stop_after, 15000000000ull);
	assert_true(c->timeout == 2.5);
	assert_string_equal(c->expect, "done");
	assert_string_equal(c->stats, "-");
	assert_true(c->hash);
	assert_int_equal(c->hash_every, 1000000);
	assert_int_equal(c->seed, 7);
	assert_int_equal(c->rtc, 1580608922);
	assert_int_equal(c->clock_hz, 2000000000);
	assert_true(c->realtime && c->no_reboot && c->testdev && c->debug_exit.present);
	assert_int_equal(c->debug_exit.iobase, 0xf4);
	assert_int_equal(c->debug_exit.iosize, 4);
	config_free(c);
}

static void
every_mistake_is_answered_by_one_line_that_names_it(void **state)
{
	static const struct {
		const char *line, *names;
	} bad[] = {
		{"", "nothing to boot"},
		{"-boot n -nic none", "nothing to boot"},
		{"-append x", "-append needs -kernel"},
		{"-initrd x", "-initrd needs -kernel"},
		{"-kernel", "-kernel needs a value"},
		{"-frobnicate", "-frobnicate"},
		{"-kernel k -m 12X", "12X"},
		{"-kernel k -m 0", "outside"},
		{"-kernel k -m 1025K", "4K"},
		{"-kernel k -m 2000G", "outside"},
		{"-kernel k -smp 65", "65"},
		{"-kernel k -smp 2,cores=2", "topology"},
		{"-kernel k -machine q35", "q35"},
		{"-kernel k -machine pc,foo=1", "foo"},
		{"-kernel k -device rtl8139", "rtl8139"},
		{"-kernel k -device e1000,netdev=x", "id=x"},
		{"-kernel k -device e1000,mac=1", "mac=1"},
		{"-kernel k -device e1000,color=red", "color"},
		{"-kernel k -device e1000,addr=40", "addr=40"},
		{"-kernel k -netdev user,id=a -device e1000,netdev=a -device e1000,netdev=a", "taken"},
		{"-kernel k -netdev user", "no id"},
		{"-kernel k -netdev user,id=a -netdev user,id=a", "twice"},
		{"-kernel k -netdev vde,id=a", "vde"},
		{"-kernel k -nic user,model=rtl8139", "rtl8139"},
		{"-kernel k -device isa-debug-exit,iosize=3", "iosize=3"},
		{"-kernel k -device isa-debug-exit,iobase=0x10000", "iobase"},
		{"-kernel k -device isa-debug-exit,iobase=0xffff", "iobase"},
		{"-kernel k -device isa-debug-exit -device isa-debug-exit", "twice"},
		{"-kernel k -serial stdio -serial stdio", "stdio"},
		{"-kernel k -debugcon stdio", "stdio"},
		{"-kernel k -debugcon loud", "-debugcon: 'loud'"},
		{"-kernel k -serial tcp::1", "tcp::1"},
		{"-kernel k -serial file:", "file:"},
		{"-kernel k -serial none -expect x", "-expect"},
		{"-kernel k -stop-after 0", "-stop-after"},
		{"-kernel k -timeout x", "-timeout"},
		{"-kernel k -rtc yesterday", "yesterday"},
		{"-kernel k -clock 5", "-clock"},
		{"-kernel k -log loud", "loud"},
		{"-kernel k -display gtk", "gtk"},
		{"-hda a -display sdl -vga none", "no display adapter"},
		{"-kernel k -screendump x.png", "no display adapter"},
		{"-hda a -vnc :1 -vga none", "no display adapter"},
		{"-kernel k -timing cycle", "cycle"},
		{"-kernel k -S", "-S needs -gdb"},
		{"-debug", "nothing to boot"},
		{"-fda x", "-fda is not there yet"},
		{"-drive snapshot=on", "no file"},
		{"-drive file=,if=ide", "file= has no path"},
		{"-drive file=x,bus=2", "bus=2"},
		{"-drive file=x,bus=1,unit=2", "unit=2"},
		{"-drive file=x,bus=1,if=virtio", "if=ide"},
		{"-drive file=x,cache=writethrough", "cache=writethrough"},
		{"-drive file=x,format=cow9", "format=cow9 is none of raw, qcow2"},
		{"-drive file=x,if=scsi", "if=scsi is not modelled"},
		{"-drive file=x,if=virtio,media=cdrom", "media=cdrom needs if=ide"},
		{"-drive file=x,if=none,id=d", "no -device takes it"},
		{"-kernel k -device virtio-blk-pci,drive=d", "no -drive if=none,id=d"},
		{"-kernel k -device virtio-blk-pci", "no drive=ID"},
		{"-drive file=x,if=none,id=d -device virtio-blk-pci,drive=d,addr=1", "addr=1"},
		{"-drive file=x,index=4", "index=4"},
		{"-drive file=x,media=tape", "media=tape"},
		{"-drive file=x,colour=red", "colour"},
		{"-hda a -drive file=b,index=0", "taken by a"},
		{"-hda a -hda b", "taken by a"},
		{"-hda a -boot x", "'x' is no order"},
		{"-hda a -boot order=acdn", "no order"},
		{"-hda a -boot once=d", "once"},
		{"-kernel k --nographic=yes", "takes no value"},
		{"/no/such/file.ini", "/no/such/file.ini"},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(bad); i++) {
		enum config_action action;
		char *error;
		struct config *config = parse(bad[i].line, &action, &error);

		if (config)
			fail_msg("'%s' was taken", bad[i].line);
		if (!strstr(error, bad[i].names) || strchr(error, '\n'))
			fail_msg("'%s': %s", bad[i].line, error);
		free(error);
	}
}

static void
write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
an_ini_file_says_the_same_as_the_options_it_was_printed_from(void **state)
{
	char path[] = "options-XXXXXX", line[64];
	struct config *c = good("-kernel k -m 1G -no-reboot -serial null -serial file:x -append a=b "
				"-netdev user,id=a -device e1000,netdev=a"),
		      *d;
	FILE *file;

	(void)state;
	close(mkstemp(path));
	file = fopen(path, "w");
	config_print(c, file);
	fclose(file);
	snprintf(line, sizeof(line), "%s -smp 2", path);
	d = good(line);
	assert_int_equal(d->memory, c->memory);
	assert_int_equal(d->cpus, 2);
	assert_true(d->no_reboot);
	assert_string_equal(d->append, "a=b");
	assert_int_equal(d->serial[0].kind, SERIAL_NULL);
	assert_int_equal(d->serial[1].kind, SERIAL_FILE);
	assert_int_equal(d->nic[0].netdev, 0);
	assert_string_equal(d->netdev[0].spec, c->netdev[0].spec);
	config_free(c);
	config_free(d);
	unlink(path);
}

static void
mistakes_in_an_ini_file_have_file_and_line(void **state)
{
	static const struct {
		const char *text, *names;
	} bad[] = {
		{"# comment\n\n[machine]\nfoo = 1\n", ":4: unknown key 'foo'"},
		{"kernel\n", ":1: neither"},
		{"[x\n", ":1: heading"},
		{"no-reboot = maybe\n", ":1: no-reboot"},
		{"m = 1Q\n", ":1: -m: '1Q'"},
	};
	char path[] = "options-XXXXXX";

	(void)state;
	close(mkstemp(path));
	for (unsigned i = 0; i < COUNT(bad); i++) {
		enum config_action action;
		char *error;

		write_file(path, bad[i].text);
		assert_null(parse(path, &action, &error));
		if (!strstr(error, bad[i].names) || !strstr(error, path))
			fail_msg("%s: %s", bad[i].text, error);
		free(error);
	}
	write_file(path, "[any]\r\nkernel = a b \r\nno-reboot = off\r\n");
	{
		struct config *c = good(path);

		assert_string_equal(c->kernel, "a b");
		assert_false(c->no_reboot);
		config_free(c);
	}
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_qemu_with_a_serial_console),
		cmocka_unit_test(nodefaults_leaves_out_card_and_serial_port),
		cmocka_unit_test(one_dash_and_two_are_the_same),
		cmocka_unit_test(cards_find_their_back_ends_in_any_order),
		cmocka_unit_test(nic_is_back_end_and_card_in_one),
		cmocka_unit_test(serial_ports_are_counted_from_the_first),
		cmocka_unit_test(drives_find_their_places),
		cmocka_unit_test(limits_and_reports),
		cmocka_unit_test(every_mistake_is_answered_by_one_line_that_names_it),
		cmocka_unit_test(an_ini_file_says_the_same_as_the_options_it_was_printed_from),
		cmocka_unit_test(mistakes_in_an_ini_file_have_file_and_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
