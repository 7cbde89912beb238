#!/bin/sh
# Linux under firmware, for make check-slow: SeaBIOS, iPXE and a kernel over the network; UEFI and the kernel's EFI stub, given by
# fw_cfg, on a CD and on a disk. On several processors.
#	tests/firmware-linux.sh NESTBOX IMAGES
# IMAGES is what tests/images/build.sh made.
set -u
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || usage
nestbox=$1
images=$2
shown=serial
rom=$("$source/tests/package-file.sh" ipxe-qemu /usr/lib/ipxe/qemu/efi-e1000.rom) || exit $?

mkdir "$work/tftp"
ln -s "$(realpath "$images")/vmlinuz" "$(realpath "$images")/l1small.cpio" "$work/tftp"
printf '#!ipxe\nkernel vmlinuz console=ttyS0 nb.mode=boot\ninitrd l1small.cpio\nboot\n' >"$work/tftp/boot.ipxe"
verdict linux_boots_by_seabios_and_ipxe_on_three_processors "$nestbox" -smp 3 -m 512 -clock 50000000 -nographic \
	-boot n -nic "user,tftp=$work/tftp,bootfile=boot.ipxe,romfile=$rom" -debugcon "file:$work/seabios" \
	-serial "file:$work/serial" -stop-after 20G -expect 'L1: up'
verdict seabios_had_room_for_all_processors_registers sh -c '[ -s "$0" ] && ! grep -q "Unable to allocate" "$0"' "$work/seabios"
verdict linux_found_them_all grep -q 'Brought up 1 node, 3 CPUs' "$work/serial"
verdict their_memory_types_agree sh -c '[ -s "$0" ] && ! grep -qi "mtrr.*inconsistent" "$0"' "$work/serial"

if ovmf=$("$source/tests/package-file.sh" ovmf /usr/share/ovmf/OVMF.fd); then
	verdict linux_boots_by_uefi_and_its_efi_stub "$nestbox" -smp 2 -m 512 -clock 100000000 -nographic -nic none -bios "$ovmf" \
		-kernel "$images/vmlinuz" -initrd "$images/l1small.cpio" -append 'console=ttyS0 nb.mode=boot' \
		-serial "file:$work/serial" -stop-after 30G -expect 'L1: up'
	verdict it_knows_the_firmware grep -q 'efi: EFI v2.* by EDK II' "$work/serial"
	verdict it_found_both_processors grep -q 'Brought up 1 node, 2 CPUs' "$work/serial"
else
	echo "[  SKIPPED ] linux_boots_by_uefi_and_its_efi_stub (Debian package ovmf)"
fi

# The kernel as an EFI program: with its parameters and initramfs in one file, on a CD and on a disk. On the disk it has a name
# of its own: the shell's script makes it the first to boot, which the variables tell the next time.
stub=$("$source/tests/package-file.sh" systemd-boot-efi /usr/lib/systemd/boot/efi/linuxx64.efi.stub) &&
	code=$("$source/tests/package-file.sh" ovmf /usr/share/OVMF/OVMF_CODE.fd) && command -v mformat objcopy xorriso >/dev/null || {
	echo "[  SKIPPED ] linux_is_an_efi_program_on_a_cd (Debian packages systemd-boot-efi, ovmf, mtools, binutils, xorriso)"
	exit $failed
}
printf 'console=ttyS0 nb.mode=boot\0' >"$work/parameters"
objcopy --add-section .cmdline="$work/parameters" --change-section-vma .cmdline=0x30000 \
	--add-section .linux="$images/vmlinuz" --change-section-vma .linux=0x2000000 \
	--add-section .initrd="$images/l1small.cpio" --change-section-vma .initrd=0x3000000 "$stub" "$work/linux.efi"
mkdir "$work/cd"
for image in "$work/cd/esp" "$work/disk"; do
	truncate -s 24M "$image"
	mformat -i "$image" -T 49152 -h 16 -s 63 ::
done
mmd -i "$work/cd/esp" ::/EFI ::/EFI/BOOT
mcopy -i "$work/cd/esp" "$work/linux.efi" ::/EFI/BOOT/BOOTX64.EFI
xorriso -as mkisofs -quiet -o "$work/cd.iso" -e esp -no-emul-boot "$work/cd" 2>/dev/null
verdict linux_is_an_efi_program_on_a_cd "$nestbox" -m 512 -clock 100000000 -nographic -nic none -bios "$ovmf" -cdrom "$work/cd.iso" \
	-serial "file:$work/serial" -stop-after 30G -expect 'L1: up'

printf '@echo -off\nbcfg boot add 0 fs0:\\linux.efi Linux\nreset -s\n' >"$work/startup.nsh"
mcopy -i "$work/disk" "$work/linux.efi" "$work/startup.nsh" ::
cp "$(dirname "$code")/OVMF_VARS.fd" "$work/variables"
# by_variables OPTION...
by_variables()
{
	"$nestbox" -m 512 -clock 100000000 -nographic -nic none -serial "file:$work/serial" -drive "file=$work/disk,format=raw" \
		-drive "if=pflash,format=raw,unit=0,readonly=on,file=$code" -drive "if=pflash,format=raw,unit=1,file=$work/variables" \
		-stop-after 30G "$@"
}
verdict the_uefi_shell_adds_a_boot_option by_variables
verdict the_next_boot_takes_it by_variables -expect 'L1: up'
verdict firmware_names_it grep -aq 'starting Boot.* "Linux"' "$work/serial"
verdict linux_finds_the_power_management_registers_where_firmware_put_them grep -q 'ACPI: PM-Timer IO Port: 0xb008' "$work/serial"
exit $failed
