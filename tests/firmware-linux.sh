#!/bin/sh
# Linux under firmware, for make check-slow: SeaBIOS, iPXE and a kernel over the network; UEFI and the kernel's EFI stub. On several
# processors.
#	tests/firmware-linux.sh NESTBOX IMAGES
# IMAGES is what tests/images/build.sh made.
[ $# = 2 ] || exit 1
nestbox=$1
images=$2
source=$(dirname "$0")/..
rom=$("$source/tests/package-file.sh" ipxe-qemu /usr/lib/ipxe/qemu/efi-e1000.rom) || {
	echo "firmware-linux: skipped"
	exit 0
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# verdict NAME COMMAND...
verdict()
{
	name=$1
	shift
	if "$@"; then
		echo "[       OK ] $name"
	else
		echo "[  FAILED  ] $name"
		tail -n 20 "$work/serial"
		failed=1
	fi
}

mkdir "$work/tftp"
ln -s "$(realpath "$images")/vmlinuz" "$(realpath "$images")/l1small.cpio" "$work/tftp"
printf '#!ipxe\nkernel vmlinuz console=ttyS0 nb.mode=boot\ninitrd l1small.cpio\nboot\n' >"$work/tftp/boot.ipxe"
verdict linux_boots_by_seabios_and_ipxe_on_three_processors "$nestbox" -smp 3 -m 512 -clock 50000000 -nographic \
	-boot n -nic "user,tftp=$work/tftp,bootfile=boot.ipxe,romfile=$rom" -debugcon "file:$work/seabios" \
	-serial "file:$work/serial" -stop-after 20G -expect 'L1: up'
verdict seabios_had_room_for_all_processors_registers sh -c '! grep -q "Unable to allocate" "$0"' "$work/seabios"
verdict linux_found_them_all grep -q 'Brought up 1 node, 3 CPUs' "$work/serial"
verdict their_memory_types_agree sh -c '! grep -qi "mtrr.*inconsistent" "$0"' "$work/serial"

if ovmf=$("$source/tests/package-file.sh" ovmf /usr/share/ovmf/OVMF.fd); then
	verdict linux_boots_by_uefi_and_its_efi_stub "$nestbox" -smp 2 -m 512 -clock 100000000 -nographic -nic none -bios "$ovmf" \
		-kernel "$images/vmlinuz" -initrd "$images/l1small.cpio" -append 'console=ttyS0 nb.mode=boot' \
		-serial "file:$work/serial" -stop-after 30G -expect 'L1: up'
	verdict it_knows_the_firmware grep -q 'efi: EFI v2.* by EDK II' "$work/serial"
	verdict it_found_both_processors grep -q 'Brought up 1 node, 2 CPUs' "$work/serial"
fi
exit $failed
