#!/bin/sh
# Whole systems as a person sees them, through firmware and GRUB from a disk: Debian to its login prompt (by SeaBIOS: IDE and text, virtio and
# graphics; by OVMF from both), the Debian installer to its first question, memtest86+ through its first pass. Part of make check-slow.
#	tests/scenes.sh NESTBOX IMAGES
# Disk images are made in IMAGES and kept there. Pictures and texts of the last screens are left in ./scenes.

set -u
[ $# = 2 ] || {
	sed -n '2,5s/^# *//p' "$0" >&2
	exit 1
}
nestbox=$1
images=$2
tests=$(cd "$(dirname "$0")" && pwd)
mkdir -p scenes || exit 1
failed=0
ran=0

# scene NAME DISK MEMORY SECONDS SHOWS OPTION...: SHOWS are texts on the screen, one after the other, with | between them
scene()
{
	name=$1
	disk=$2
	memory=$3
	seconds=$4
	shows=$5
	shift 5
	ran=$((ran + 1))
	if "$nestbox" -script "$tests/scene/boot.lua" -arg name="$name" -arg disk="$disk" -arg memory="$memory" -arg seconds="$seconds" \
		-arg shows="$shows" -arg picture="scenes/$name" "$@" >"scenes/$name.log" 2>&1 </dev/null; then
		echo "[       OK ] $name: $(tail -n 1 "scenes/$name.log")"
	else
		echo "[  FAILED  ] $name"
		cat "scenes/$name.log"
		failed=1
	fi
}

skip()
{
	echo "[  SKIPPED ] $1: $2"
}

if [ ! -e "$images/debian.img" ]; then
	"$tests/images/debian-disk.sh" "$images/debian.img" >scenes/debian-disk.log 2>&1 || rm -f "$images/debian.img"
fi
if [ -e "$images/debian.img" ]; then
	scene debian_from_ide "$images/debian.img" 512 200 'nestbox login:' -arg types=root -arg answer='root@nestbox:~#'
	scene debian_from_virtio "$images/debian.img" 512 200 'nestbox login:' -arg place=if=virtio -arg entry=1
	# Graphics only: the answer to what is typed there is told to the serial port.
	if ovmf=$("$tests/package-file.sh" ovmf /usr/share/ovmf/OVMF.fd 2>scenes/log); then
		for place in ide virtio; do
			scene debian_by_uefi_from_$place "$images/debian.img" 512 200 'nestbox login:' \
				-arg place=if=$place -arg firmware="$ovmf" \
				-arg types='root|ls -d /sys/firmware/efi/*/Boot0000* >/dev/ttyS0' -arg answer='Boot0000-8be4df61'
		done
	else
		skip debian_by_uefi "$(tail -n 1 scenes/log)"
	fi
else
	skip debian "$(tail -n 1 scenes/debian-disk.log)"
fi

netboot=/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64
linux=$("$tests/package-file.sh" debian-installer-12-netboot-amd64 $netboot/linux 2>scenes/log)
memtest=$("$tests/package-file.sh" memtest86+ /boot/memtest86+x64.bin 2>>scenes/log)
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/files/boot/grub"
if [ -n "$linux" ] && [ -n "$memtest" ]; then
	cp "$linux" "${linux%/*}/initrd.gz" "$root/files/boot"
	cp "$memtest" "$root/files/boot/memtest"
	cat >"$root/files/boot/grub/grub.cfg" <<-EOT
		set timeout=-1
		menuentry "Debian installer" {
			linux /boot/linux vga=normal nomodeset quiet
			initrd /boot/initrd.gz
		}
		menuentry "memtest86+" { linux /boot/memtest nosmp }
	EOT
	"$tests/images/grub-disk.sh" "$root/disk" 96 "$root/files" || exit 1
	scene debian_installer "$root/disk" 1024 200 'Select a language'
	# Its longest test waits for minutes: the clock is slow, that takes few instructions.
	scene memtest "$root/disk" 16 1500 'Pass:  1        Errors: 0' -arg entry=1 -arg clock=50M
else
	skip "installer and memtest" "$(tail -n 1 scenes/log)"
fi
[ $ran != 0 ] || exit 77
exit $failed
