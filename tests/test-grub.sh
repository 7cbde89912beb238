#!/bin/sh
# GRUB's menu from a disk image, and its choice by key; from an IDE and from a virtio disk. Run in the build directory.
source=${srcdir:-$(dirname "$0")/..}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
[ -r /usr/lib/grub/i386-pc/boot.img ] || {
	echo "no GRUB (Debian packages grub-pc-bin, grub-common)"
	exit 77
}
[ -x /sbin/sfdisk ] || command -v sfdisk >/dev/null || {
	echo "no sfdisk (Debian package fdisk)"
	exit 77
}
mkdir -p "$work/root/boot/grub"
cat >"$work/root/boot/grub/grub.cfg" <<-EOT
	set timeout=-1
	menuentry "first entry" { reboot }
	menuentry "second entry" { reboot }
	menuentry "third entry" {
		echo "the third entry speaks"
		sleep 1
		halt
	}
EOT
"$source/tests/images/grub-disk.sh" "$work/disk" 16 "$work/root" || exit 1
failed=0
for place in if=ide if=virtio; do
	name=the_menu_of_a_disk_with_$(echo $place | tr = _)
	if ./nestbox -script "$source/tests/scene/grub.lua" -arg "disk=$work/disk" -arg place=$place -arg "picture=grub-$place" \
		>"$work/out" 2>&1 </dev/null; then
		echo "[       OK ] $name"
	else
		echo "[  FAILED  ] $name"
		cat "$work/out"
		failed=1
	fi
done
exit $failed
