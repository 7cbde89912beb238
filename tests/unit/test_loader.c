/* machine/loader.c and the formats: what is in RAM and registers afterwards, and what malformed files are answered with. */
#include "machine/loader.h"

#include <unistd.h>

#include "bus/memory.h"
#include "machine/config.h"
#include "machine/loader_internal.h"
#include "tests/unit/unit.h"

#define MIB 0x100000ull

static char kernel_path[32], initrd_path[32];
static struct config config;
static struct memory *memory;
static struct boot_state boot;

static int
setup(void **state)
{
	(void)state;
	strcpy(kernel_path, "kernel-XXXXXX");
	strcpy(initrd_path, "initrd-XXXXXX");
	close(mkstemp(kernel_path));
	close(mkstemp(initrd_path));
	config = (struct config){.kernel = kernel_path};
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(kernel_path);
	unlink(initrd_path);
	memory_free(memory);
	memory = NULL;
	return 0;
}

static void
write_file(const char *path, const void *data, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_int_equal(fwrite(data, 1, size, file), size);
	fclose(file);
}

static char *
load(const void *data, size_t size, u64 ram)
{
	char *error;

	write_file(kernel_path, data, size);
	memory_free(memory);
	memory = memory_new(ram, &error);
	return loader_load(&config, memory, &boot);
}

static void
load_good(const void *data, size_t size, u64 ram)
{
	char *error = load(data, size, ram);

	if (error)
		fail_msg("%s", error);
}

static void
load_bad(const void *data, size_t size, u64 ram, const char *reason)
{
	char *error = load(data, size, ram);

	if (!error || !strstr(error, reason))
		fail_msg("'%s' instead of '%s'", error ? error : "loaded", reason);
	free(error);
}

static u32
ram32(u64 at)
{
	return (u32)memory_read(memory, at, 4);
}

static void
check_flat_segments(void)
{
	u64 code = memory_read(memory, boot.gdt_base + boot.cs, 8), data = memory_read(memory, boot.gdt_base + boot.ds, 8);

	assert_int_equal(code, 0x00cf9b000000ffff);
	assert_int_equal(data, 0x00cf93000000ffff);
	assert_true(boot.tr + 7 <= boot.gdt_limit);
}

/* ---- bzImage ---- */

#define SETUP (5 * 512)

static u8 bzimage[SETUP + 1000];

static void
make_bzimage(void)
{
	memset(bzimage, 0, sizeof(bzimage));
	bzimage[0x1f1] = 4;
	bzimage[0x201] = 0x66;
	put32(bzimage + 0x202, 0x53726448);
	put16(bzimage + 0x206, 0x20f);
	bzimage[0x211] = 1;
	put32(bzimage + 0x22c, 0x7fffffff);
	put32(bzimage + 0x238, 2047);
	put64(bzimage + 0x258, 0x1000000);
	put32(bzimage + 0x260, 0x1000000);
	memset(bzimage + SETUP, 0x90, sizeof(bzimage) - SETUP);
}

static void
linux_gets_kernel_initrd_command_line_and_map(void **state)
{
	u8 initrd[5000];
	u64 zero;

	(void)state;
	make_bzimage();
	memset(initrd, 0x77, sizeof(initrd));
	write_file(initrd_path, initrd, sizeof(initrd));
	config.initrd = initrd_path;
	config.append = "console=ttyS0";
	load_good(bzimage, sizeof(bzimage), 64 * MIB);
	assert_int_equal(boot.eip, 0x100000);
	check_flat_segments();
	assert_int_equal(boot.cs, 0x10);
	assert_int_equal(boot.ds, 0x18);
	assert_memory_equal(memory->ram + MIB, bzimage + SETUP, sizeof(bzimage) - SETUP);

	zero = boot.esi;
	assert_int_equal(ram32(zero + 0x202), 0x53726448);
	assert_int_equal(memory_read(memory, zero + 0x210, 1), 0xff);
	assert_string_equal((char *)memory->ram + ram32(zero + 0x228), "console=ttyS0");
	assert_int_equal(ram32(zero + 0x21c), sizeof(initrd));
	assert_int_equal(ram32(zero + 0x218), 64 * MIB - 2 * PAGE_SIZE);
	assert_memory_equal(memory->ram + ram32(zero + 0x218), initrd, sizeof(initrd));

	assert_int_equal(memory_read(memory, zero + 0x1e8, 1), 4);
	assert_int_equal(memory_read(memory, zero + 0x2d0 + 8, 8), 0x9fc00);
	assert_int_equal(ram32(zero + 0x2d0 + 16), 1);
	assert_int_equal(memory_read(memory, zero + 0x2d0 + 40, 8), 0xe0000);
	assert_int_equal(ram32(zero + 0x2d0 + 56), 2);
	assert_int_equal(memory_read(memory, zero + 0x2d0 + 60, 8), MIB);
	assert_int_equal(memory_read(memory, zero + 0x2d0 + 68, 8), 63 * MIB);
}

static void
memory_beyond_the_hole_is_in_the_map_and_the_initrd_below_it(void **state)
{
	(void)state;
	make_bzimage();
	put32(bzimage + 0x22c, 0xffffffff);
	write_file(initrd_path, "x", 1);
	config.initrd = initrd_path;
	load_good(bzimage, sizeof(bzimage), 4096 * MIB);
	assert_int_equal(ram32(boot.esi + 0x218), MEMORY_HOLE - PAGE_SIZE);
	assert_int_equal(memory_read(memory, boot.esi + 0x1e8, 1), 5);
	assert_int_equal(memory_read(memory, boot.esi + 0x2d0 + 80, 8), 0x100000000);
	assert_int_equal(memory_read(memory, boot.esi + 0x2d0 + 88, 8), 1024 * MIB);
	/* Of 4 GiB, only what is used may have been taken from the host: an upper page is still untouched. */
	assert_int_equal(ram32(0x100000000), 0);
}

static void
linux_with_too_little_memory_or_too_long_a_command_line_is_refused(void **state)
{
	static char longer[3000];

	(void)state;
	make_bzimage();
	load_bad(bzimage, sizeof(bzimage), 31 * MIB, "needs 32 MiB");
	memset(longer, 'x', sizeof(longer) - 1);
	config.append = longer;
	load_bad(bzimage, sizeof(bzimage), 64 * MIB, "-append");
	config.append = NULL;
	write_file(initrd_path, bzimage, sizeof(bzimage));
	assert_int_equal(truncate(initrd_path, 40 * MIB), 0);
	config.initrd = initrd_path;
	load_bad(bzimage, sizeof(bzimage), 64 * MIB, initrd_path);
	config.initrd = "/no/such/initrd";
	load_bad(bzimage, sizeof(bzimage), 64 * MIB, "/no/such/initrd: No such file");
}

static void
old_or_truncated_bzimages_are_refused(void **state)
{
	(void)state;
	make_bzimage();
	put16(bzimage + 0x206, 0x203);
	load_bad(bzimage, sizeof(bzimage), 64 * MIB, "protocol 2.03");
	make_bzimage();
	bzimage[0x1f1] = 200;
	u8 *longer = calloc(1, 8192);
	memcpy(longer, bzimage, sizeof(bzimage));
	load_bad(longer, 8192, 64 * MIB, "ends before");
	free(longer);
}

/* ---- ELF, PVH and multiboot ---- */

/* A 32-bit executable with one segment at `physical`, content from 0x100 on, 0x40 bytes of it zeroed; room for a note at 0x80. */
static u8 elf[0x200];

static void
make_elf32(u32 physical)
{
	memset(elf, 0, sizeof(elf));
	memcpy(elf, "\177ELF\1\1\1", 7);
	put16(elf + 16, 2);
	put16(elf + 18, 3);
	put32(elf + 24, physical + 0x20);
	put32(elf + 28, 0x34);
	put16(elf + 42, 32);
	put16(elf + 44, 1);
	put32(elf + 0x34, 1);
	put32(elf + 0x38, 0x100);
	put32(elf + 0x40, physical);
	put32(elf + 0x44, 0x100);
	put32(elf + 0x48, 0x140);
	memset(elf + 0x110, 0xf4, 0xf0);
}

static void
add_note(void)
{
	put16(elf + 44, 2);
	put32(elf + 0x54, 4);
	put32(elf + 0x58, 0x80);
	put32(elf + 0x64, 20);
	put32(elf + 0x80, 4);
	put32(elf + 0x84, 4);
	put32(elf + 0x88, 18);
	memcpy(elf + 0x8c, "Xen", 4);
	put32(elf + 0x90, 0x123456);
}

static void
add_multiboot(u32 flags)
{
	put32(elf + 0x100, 0x1badb002);
	put32(elf + 0x104, flags);
	put32(elf + 0x108, -(0x1badb002 + flags));
}

static void
multiboot_elf_gets_its_boot_information(void **state)
{
	char modules[80];
	u64 info, mods, mmap;

	(void)state;
	make_elf32(0x400000);
	add_multiboot(0);
	write_file(initrd_path, "NR_CPUS=1\n", 10);
	snprintf(modules, sizeof(modules), "%s first,%s", initrd_path, initrd_path);
	config.initrd = modules;
	config.append = "a b";
	load_good(elf, sizeof(elf), 16 * MIB);
	assert_int_equal(boot.eip, 0x400020);
	assert_int_equal(boot.eax, 0x2badb002);
	check_flat_segments();
	assert_memory_equal(memory->ram + 0x400000, elf + 0x100, 0x100);
	assert_int_equal(ram32(0x400100), 0);

	info = boot.ebx;
	assert_int_equal(ram32(info) & 0x4d, 0x4d);
	assert_int_equal(ram32(info + 4), 639);
	assert_int_equal(ram32(info + 8), 15 * 1024);
	assert_memory_equal(memory->ram + ram32(info + 16), kernel_path, strlen(kernel_path));
	assert_string_equal((char *)memory->ram + ram32(info + 16) + strlen(kernel_path), " a b");
	assert_int_equal(ram32(info + 20), 2);
	mods = ram32(info + 24);
	assert_int_equal(ram32(mods + 4) - ram32(mods), 10);
	assert_int_equal(ram32(mods) % PAGE_SIZE, 0);
	assert_memory_equal(memory->ram + ram32(mods), "NR_CPUS=1\n", 10);
	assert_non_null(strstr((char *)memory->ram + ram32(mods + 8), " first"));
	assert_true(ram32(mods + 16) >= ram32(mods + 4));
	assert_int_equal(ram32(info + 44), 4 * 24);
	mmap = ram32(info + 48);
	assert_int_equal(ram32(mmap), 20);
	assert_int_equal(memory_read(memory, mmap + 3 * 24 + 4, 8), MIB);
	assert_int_equal(memory_read(memory, mmap + 3 * 24 + 12, 8), 15 * MIB);
}

static void
a_kernel_in_low_memory_does_not_meet_the_boot_information(void **state)
{
	(void)state;
	make_elf32(0x10000);
	add_multiboot(0);
	load_good(elf, sizeof(elf), 16 * MIB);
	assert_true(boot.ebx >= 0x10140);
	assert_true(boot.gdt_base >= 0x10140);
	assert_memory_equal(memory->ram + 0x10000, elf + 0x100, 0x100);
}

static void
multiboot_load_addresses_are_obeyed(void **state)
{
	u8 flat[0x300] = {0};

	(void)state;
	put32(flat + 0x40, 0x1badb002);
	put32(flat + 0x44, 0x10003);
	put32(flat + 0x48, -(0x1badb002 + 0x10003));
	put32(flat + 0x4c, 0x200040); /* of the header */
	put32(flat + 0x50, 0x200010);
	put32(flat + 0x54, 0x200200);
	put32(flat + 0x58, 0x200400);
	put32(flat + 0x5c, 0x200100);
	memset(flat + 0x100, 0xcd, 0x200);
	load_good(flat, sizeof(flat), 4 * MIB);
	assert_int_equal(boot.eip, 0x200100);
	assert_memory_equal(memory->ram + 0x200010, flat + 0x10, 0x1f0);
	assert_int_equal(ram32(0x200200), 0);
	put32(flat + 0x54, 0x200400);
	load_bad(flat, sizeof(flat), 4 * MIB, "more than the file holds");
	put32(flat + 0x50, 0x200050);
	load_bad(flat, sizeof(flat), 4 * MIB, "impossible addresses");
	put32(flat + 0x44, 0x10007);
	put32(flat + 0x48, -(0x1badb002 + 0x10007));
	load_bad(flat, sizeof(flat), 4 * MIB, "requires what is not there");
}

static void
a_pvh_note_wins_and_its_entry_is_used(void **state)
{
	u64 info;

	(void)state;
	make_elf32(0x400000);
	add_multiboot(0);
	add_note();
	write_file(initrd_path, "abc", 3);
	config.initrd = initrd_path;
	config.append = "quiet";
	load_good(elf, sizeof(elf), 16 * MIB);
	assert_int_equal(boot.eip, 0x123456);
	info = boot.ebx;
	assert_int_equal(ram32(info), 0x336ec578);
	assert_int_equal(ram32(info + 12), 1);
	assert_memory_equal(memory->ram + ram32(ram32(info + 16)), "abc", 3);
	assert_string_equal((char *)memory->ram + ram32(info + 24), "quiet");
	assert_int_equal(ram32(info + 48), 4);
	assert_int_equal(memory_read(memory, ram32(info + 40) + 8, 8), 0x9fc00);
}

static void
malformed_elf_files_are_refused(void **state)
{
	(void)state;
	make_elf32(0x400000);
	load_bad(elf, sizeof(elf), 16 * MIB, "without PVH note or multiboot");
	add_multiboot(0);
	load_bad(elf, 0x1c0, 16 * MIB, "beyond the end");
	load_bad(elf, sizeof(elf), 4 * MIB, "outside the memory");
	put32(elf + 0x48, 0x80);
	load_bad(elf, sizeof(elf), 16 * MIB, "larger in the file");
	put16(elf + 44, 60000);
	load_bad(elf, sizeof(elf), 16 * MIB, "program headers");
	put16(elf + 18, 40);
	load_bad(elf, sizeof(elf), 16 * MIB, "another processor");
}

static void
what_is_no_kernel_is_refused_by_name(void **state)
{
	static u8 zeros[10000];

	(void)state;
	load_bad(zeros, sizeof(zeros), 16 * MIB, "not a kernel");
	load_bad(zeros, 0, 16 * MIB, "not a kernel");
	load_bad("#!/bin/sh\n", 10, 16 * MIB, kernel_path);
	config.kernel = "/no/such/kernel";
	load_bad(zeros, 1, 16 * MIB, "/no/such/kernel: No such file");
	config.kernel = "/";
	load_bad(zeros, 1, 16 * MIB, "/: ");
}

static void
no_damaged_file_crashes_the_loader(void **state)
{
	u8 copy[sizeof(elf)];
	u64 seed = 7;

	(void)state;
	make_elf32(0x400000);
	add_multiboot(0x10000);
	add_note();
	for (unsigned round = 0; round < 2000; round++) {
		memcpy(copy, elf, sizeof(elf));
		for (unsigned i = 0; i < 3; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			copy[(seed >> 40) % 0x140] = (u8)(seed >> 33);
		}
		free(load(copy, sizeof(copy), 16 * MIB));
	}
}

int
main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		test(linux_gets_kernel_initrd_command_line_and_map),
		test(memory_beyond_the_hole_is_in_the_map_and_the_initrd_below_it),
		test(linux_with_too_little_memory_or_too_long_a_command_line_is_refused),
		test(old_or_truncated_bzimages_are_refused),
		test(multiboot_elf_gets_its_boot_information),
		test(a_kernel_in_low_memory_does_not_meet_the_boot_information),
		test(multiboot_load_addresses_are_obeyed),
		test(a_pvh_note_wins_and_its_entry_is_used),
		test(malformed_elf_files_are_refused),
		test(what_is_no_kernel_is_refused_by_name),
		test(no_damaged_file_crashes_the_loader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
