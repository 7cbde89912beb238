#!/bin/sh
# A boot sector through SeaBIOS: disk, screen, memory map, power off. Run in the build directory.
. "$(dirname "$0")/lib.sh"
shown="out err screen.txt"
[ -r "${NB_FIRMWARE:-/usr/share/seabios/bios-256k.bin}" ] || skip "no SeaBIOS (Debian package seabios)"
sector boot "$work/disk"
cp "$work/disk" "$work/original"

# boot STATUS ARGUMENT...
boot()
{
	status=$1
	shift
	ends "$status" ./nestbox -m 16 -nic none -serial stdio -stop-after 300M "$@" </dev/null
}

verdict a_boot_sector_runs_and_powers_off boot 0 -hda "$work/disk" -screendump "$work/screen.txt"
verdict it_prints_on_the_serial_port grep -q 'hello from the boot sector' "$work/out"
verdict it_reads_the_disk grep -q 'hello from the second sector' "$work/out"
verdict it_finds_the_memory_map grep -q 'memory map' "$work/out"
verdict firmware_and_guest_are_seen_on_the_screen \
	sh -c 'grep -q SeaBIOS "$0" && grep -q "hello from the second sector" "$0"' "$work/screen.txt"
dd if="$work/disk" bs=512 skip=1 count=1 of="$work/one" 2>/dev/null
dd if="$work/disk" bs=512 skip=3 count=1 of="$work/three" 2>/dev/null
verdict it_writes_the_disk cmp "$work/one" "$work/three"
cp "$work/original" "$work/disk"
verdict a_snapshot_boots_too boot 0 -drive "file=$work/disk,snapshot=on"
verdict a_snapshot_leaves_the_image_alone cmp "$work/original" "$work/disk"
verdict a_picture_of_the_screen_is_written boot 0 -hda "$work/disk" -screendump "$work/screen.png"
verdict it_is_a_png sh -c 'head -c 8 "$0" | od -An -tx1 | grep -q "89 50 4e 47 0d 0a 1a 0a"' "$work/screen.png"
boot 0 -hda "$work/disk" -hash 0
grep hash "$work/err" >"$work/first"
cp "$work/original" "$work/disk"
boot 0 -hda "$work/disk" -hash 0
verdict equal_runs_have_equal_hashes sh -c '[ -s "$1/first" ] && grep hash "$1/err" | cmp -s - "$1/first"' x "$work"
verdict a_missing_image_is_refused boot 1 -hda "$work/nothing"
one_line()
{
	boot 1 -cdrom "$work/iso" "$@" && [ "$(wc -l <"$work/err")" = 1 ] && grep -q "$text" "$work/err"
}
head -c 40960 /dev/zero >"$work/iso"
text='a CD without a boot record'
verdict a_cd_without_a_boot_record_is_refused one_line
text='a disk without a boot sector'
head -c 65536 /dev/zero >"$work/zeros"
verdict a_disk_without_a_boot_sector_is_refused one_line -boot c -hda "$work/zeros"
verdict either_is_fine_beside_one_that_boots boot 0 -cdrom "$work/iso" -hda "$work/disk"
head -c 3000 "$work/iso" >"$work/short.iso"
verdict a_truncated_cd_is_refused boot 1 -cdrom "$work/short.iso"
(
	flock 9
	text='another process has it locked'
	verdict a_locked_image_is_refused one_line -hda "$work/disk"
	exit $failed
) 9<"$work/disk"
failed=$?
verdict a_format_that_is_not_known_is_refused boot 1 -drive "file=$work/disk,format=cow9"
verdict a_missing_firmware_is_refused boot 1 -bios "$work/nothing"
head -c 1000 "$work/original" >"$work/short"
verdict a_truncated_image_is_refused boot 1 -hda "$work/short"

sector legacy "$work/legacy"
verdict old_software_runs boot 0 -hda "$work/legacy"
verdict the_a20_gate_masks_bit_20 grep -q 'A20 by port 92h' "$work/out"
verdict the_keyboard_controller_has_the_gate_too grep -q 'A20 by the keyboard controller' "$work/out"
verdict x87_exceptions_come_as_irq_13_with_ignne grep -q 'IRQ 13' "$work/out"
verdict io_breakpoints_trap grep -q 'I/O breakpoints' "$work/out"

# VBE/DDC by the VGA BIOS: 128 bytes that begin as an EDID does, and name the monitor ("nestbox").
sector ddc "$work/ddc"
truncate -s 64K "$work/ddc"
verdict the_vga_bios_is_asked_for_the_monitors_data boot 0 -hda "$work/ddc" -debugcon "file:$work/debug"
verdict it_has_the_edid grep -Eaq 'ddc .?004f004f00ffffffffffff003858[0-9a-f]*6e657374626f78' "$work/debug"
exit $failed
