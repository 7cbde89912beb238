#!/bin/sh
# GRUB's menu from a disk image, and its choice by key; from an IDE and from a virtio disk. Run in the build directory.
. "$(dirname "$0")/lib.sh"
[ -r /usr/lib/grub/i386-pc/boot.img ] || skip "no GRUB (Debian packages grub-pc-bin, grub-common)"
[ -x /sbin/sfdisk ] || command -v sfdisk >/dev/null || skip "no sfdisk (Debian package fdisk)"
mkdir -p "$work/tree/boot/grub"
cat >"$work/tree/boot/grub/grub.cfg" <<-EOT
	set timeout=-1
	menuentry "first entry" { reboot }
	menuentry "second entry" { reboot }
	menuentry "third entry" {
		echo "the third entry speaks"
		sleep 1
		halt
	}
EOT
"$source/tests/images/grub-disk.sh" "$work/disk" 16 "$work/tree" || exit 1
for place in if=ide if=virtio; do
	verdict the_menu_of_a_disk_with_$(echo $place | tr = _) ends 0 ./nestbox -script "$source/tests/scene/grub.lua" \
		-arg "disk=$work/disk" -arg place=$place -arg "picture=grub-$place" </dev/null
done
exit $failed
