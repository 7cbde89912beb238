#!/bin/sh
# A disk image with a whole Debian 12: GRUB for BIOSes and for UEFI, kernel, initramfs, systemd, login on the screen and on the first
# serial port.
#	debian-disk.sh IMAGE
# Built by mmdebstrap from the package registry; root has no password. Needs the Debian packages mmdebstrap and those
# that grub-disk.sh names, and root's rights or user namespaces. Status 77 when mmdebstrap is not there.

set -eu
[ $# = 1 ] || {
	sed -n '2,6s/^# *//p' "$0" >&2
	exit 1
}
command -v mmdebstrap >/dev/null || {
	echo "no mmdebstrap (Debian package mmdebstrap)"
	exit 77
}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$(dirname "$1")"
tar=$1.tar
trap 'rm -f "$tar"' EXIT

# The initramfs gets the drivers of this machine's disks, not of all disks there are. GRUB's menu names kernel and
# initramfs as they are called here.
cat >"$1.finish" <<'EOT'
set -e
cd "$1"
printf 'MODULES=list\n' >etc/initramfs-tools/conf.d/nestbox
printf 'ext4\nata_piix\nsd_mod\nvirtio_pci\nvirtio_blk\n' >>etc/initramfs-tools/modules
chroot . env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends linux-image-amd64
echo nestbox >etc/hostname
echo 'LABEL=nestbox / ext4 errors=remount-ro 0 1' >etc/fstab
chroot . passwd -d root
mkdir -p boot/grub
version=$(cd boot && ls vmlinuz-* | sed 's/vmlinuz-//')
cat >boot/grub/grub.cfg <<-GRUB
	set timeout=-1
	menuentry "Debian GNU/Linux, text mode" {
		linux /boot/vmlinuz-$version root=LABEL=nestbox ro quiet console=ttyS0 console=tty0 nomodeset
		initrd /boot/initrd.img-$version
	}
	menuentry "Debian GNU/Linux" {
		linux /boot/vmlinuz-$version root=LABEL=nestbox ro quiet console=ttyS0 console=tty0
		initrd /boot/initrd.img-$version
	}
GRUB
rm -rf var/cache/apt/archives/*.deb var/lib/apt/lists/*
EOT
mmdebstrap --quiet --variant=minbase --include=systemd-sysv,udev,kmod,initramfs-tools,zstd \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--dpkgopt='path-exclude=/usr/share/man/*' --customize-hook="sh '$1.finish' \"\$1\"" bookworm "$tar"
rm -f "$1.finish"
"$here/grub-disk.sh" "$1.new" 768 "$tar"
mv "$1.new" "$1"
