#!/bin/sh
# A disk image with GRUB, made from files alone: no root, no loop devices.
#	grub-disk.sh IMAGE SIZE-IN-MIB DIRECTORY | TAR
# Its last partition is ext4 and holds DIRECTORY or what TAR has, with boot/grub/grub.cfg in it. The table is a GPT. BIOSes find GRUB's boot
# sector in front of it; UEFI firmware finds \EFI\BOOT\BOOTX64.EFI on the EFI system partition, if there is grub-efi-amd64-bin. Needs the Debian
# packages grub-pc-bin, grub-common, fdisk, e2fsprogs, and mtools for UEFI; a TAR with other owners than root needs fakeroot.

set -eu
export LC_ALL=C
umask 022
[ $# = 3 ] || {
	sed -n '2,6s/^# *//p' "$0" >&2
	exit 1
}
PATH=$PATH:/usr/sbin:/sbin
image=$1
size=$2
from=$3
grub=/usr/lib/grub
for tool in grub-mkimage mke2fs sfdisk; do
	command -v $tool >/dev/null || {
		echo "grub-disk.sh: no $tool (Debian packages grub-common, e2fsprogs, fdisk)" >&2
		exit 1
	}
done
[ -r $grub/i386-pc/boot.img ] || {
	echo "grub-disk.sh: no $grub/i386-pc/boot.img (Debian package grub-pc-bin)" >&2
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# In sectors: GRUB for BIOSes, for UEFI, the files; the table's copy takes the last 33.
core=40
esp=2048
start=10240
count=$((size * 2048 - start - 40))
uuid=6e657374-626f-782e-6469-736b2e696d67
rm -f "$image"
truncate -s "${size}M" "$image"
sfdisk -q --no-tell-kernel "$image" <<-EOT
	label: gpt
	label-id: $uuid
	first-lba: 34
	start=$core, size=$((esp - core)), type=21686148-6449-6E6F-744E-656564454649, uuid=$(echo $uuid | sed 's/.$/1/')
	start=$esp, size=$((start - esp)), type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=$(echo $uuid | sed 's/.$/2/')
	start=$start, size=$count, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=$(echo $uuid | sed 's/.$/3/')
EOT
fill='mke2fs -q -t ext4 -L nestbox -U $uuid -E "offset=$((start * 512)),hash_seed=$uuid" \
	-O ^metadata_csum_seed,^orphan_file -d "$1" "$2" "$3k"'
if [ -d "$from" ]; then
	start=$start uuid=$uuid sh -ec "$fill" sh "$from" "$image" $((count / 2))
else
	mkdir "$work/root"
	fakeroot=fakeroot
	[ "$(id -u)" != 0 ] || fakeroot=
	start=$start uuid=$uuid $fakeroot sh -ec 'tar -C "$1" -xf "$4" --exclude=./dev/*; '"$fill" sh "$work/root" "$image" $((count / 2)) "$from"
fi

echo 'search --no-floppy --set=root --label nestbox
set prefix=($root)/boot/grub' >"$work/find"
modules='part_gpt part_msdos ext2 normal linux configfile echo test serial terminal sleep halt reboot search search_label'

# little NUMBER AT: puts four bytes into the image
little()
{
	printf "\\$(printf %o $(($1 & 255)))\\$(printf %o $(($1 >> 8 & 255)))\\$(printf %o $(($1 >> 16 & 255)))\\$(printf %o $(($1 >> 24)))" |
		dd of="$image" bs=1 seek=$2 conv=notrunc 2>/dev/null
}

# The boot sector has at 5ch the first sector of the core image; the end of that one tells where the second is.
grub-mkimage -O i386-pc -o "$work/core" -p /boot/grub -c "$work/find" biosdisk linux16 $modules
[ "$(stat -c %s "$work/core")" -le $(((esp - core) * 512)) ]
dd if=$grub/i386-pc/boot.img of="$image" bs=440 count=1 conv=notrunc 2>/dev/null
dd if="$work/core" of="$image" bs=512 seek=$core conv=notrunc 2>/dev/null
little $core 92
little $((core + 1)) $((core * 512 + 500))

[ -d $grub/x86_64-efi ] || exit 0
grub-mkimage -O x86_64-efi -o "$work/BOOTX64.EFI" -p /boot/grub -c "$work/find" efi_gop $modules
mformat -i "$image@@${esp}s" -T $((start - esp)) -h 16 -s 63 -N 6e657374 ::
mmd -i "$image@@${esp}s" ::/EFI ::/EFI/BOOT
mcopy -i "$image@@${esp}s" "$work/BOOTX64.EFI" ::/EFI/BOOT
