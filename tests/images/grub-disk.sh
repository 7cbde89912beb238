#!/bin/sh
# A disk image with GRUB, made from files alone: no root, no loop devices.
#	grub-disk.sh IMAGE SIZE-IN-MIB DIRECTORY | TAR
# The one partition is ext4 and holds DIRECTORY or what TAR has, with boot/grub/grub.cfg in it. Needs the Debian packages
# grub-pc-bin, grub-common and e2fsprogs; a TAR with other owners than root needs fakeroot.

set -eu
export LC_ALL=C
umask 022
[ $# = 3 ] || {
	sed -n '2,5s/^# *//p' "$0" >&2
	exit 1
}
PATH=$PATH:/usr/sbin:/sbin
image=$1
size=$2
from=$3
grub=/usr/lib/grub/i386-pc
for tool in grub-mkimage mke2fs; do
	command -v $tool >/dev/null || {
		echo "grub-disk.sh: no $tool (Debian packages grub-common, e2fsprogs)" >&2
		exit 1
	}
done
[ -r $grub/boot.img ] || {
	echo "grub-disk.sh: no $grub/boot.img (Debian package grub-pc-bin)" >&2
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

start=2048				# sectors before the partition: GRUB lies in them
count=$((size * 2048 - start))
rm -f "$image"
truncate -s "${size}M" "$image"
uuid=6e657374-626f-782e-6469-736b2e696d67
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

# Boot sector: GRUB's code, then the table with one active partition of type 83h. The core image lies right behind it,
# where GRUB's boot sector looks for it.
grub-mkimage -O i386-pc -o "$work/core" -p '(hd0,msdos1)/boot/grub' biosdisk part_msdos ext2 normal linux linux16 configfile echo \
	test serial terminal sleep halt reboot search
dd if=$grub/boot.img of="$image" bs=446 count=1 conv=notrunc 2>/dev/null
dd if="$work/core" of="$image" bs=512 seek=1 conv=notrunc 2>/dev/null
[ "$(stat -c %s "$work/core")" -le $(((start - 1) * 512)) ]

# little NUMBER: four bytes
little()
{
	printf "\\$(printf %o $(($1 & 255)))\\$(printf %o $(($1 >> 8 & 255)))\\$(printf %o $(($1 >> 16 & 255)))\\$(printf %o $(($1 >> 24)))"
}

{
	printf '\200\376\377\377\203\376\377\377'
	little $start
	little $count
} | dd of="$image" bs=1 seek=446 conv=notrunc 2>/dev/null
printf '\125\252' | dd of="$image" bs=1 seek=510 conv=notrunc 2>/dev/null
