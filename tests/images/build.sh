#!/bin/sh
# Builds the guest images of the nested-virtualization test from unmodified Debian packages.
#
#	build.sh [--flavour amd64|cloud-amd64] [--update] [--lab] OUTDIR
#
# --flavour F	kernel linux-image-F (default amd64; cloud is short for cloud-amd64, which has no e1000 driver and so
#		serves for nb.mode=boot and shell only)
# --update	ask apt for newer packages; otherwise the packages already in OUTDIR/cache are used again
# --lab		also the lab's image (./nb lab; needs gcc and the static C library of libc6-dev)
#
# Writes to OUTDIR:
#	vmlinuz		Debian's kernel, byte for byte, for the outer guest (L1)
#	vmlinux		what that vmlinuz carries compressed, unpacked: the same kernel as ELF with a PVH entry
#	l1.cpio		initramfs of L1: busybox, QEMU with its libraries, kvm and network modules, /l2/* for L2
#	l1fast.cpio	the same with L2's kernel as vmlinux, which spares L2 the work of decompressing it
#	l1small.cpio	L1 without QEMU, its libraries and /l2: enough for nb.mode=boot, shell and net
#	l2.cpio		initramfs of the nested guest (L2), a copy of /l2/initramfs.cpio in l1.cpio
#	lab.cpio	with --lab: initramfs of L1 for the experiments in lab/, with another /l2/initramfs.cpio
#	versions	the packages used, one file name per line
#	cache/		downloaded and unpacked packages; may be removed
#
# Needs Debian 12 (apt-get, apt-cache, dpkg-deb, cpio, xz; lz4 for the cloud kernel), no root. Nothing is installed:
# packages are only downloaded and unpacked. If this host's package lists are empty, private ones are fetched into
# OUTDIR/cache.
#
# The archives are not compressed: the guest's kernel would have to decompress them, and that is interpreted work, while
# storing a plain cpio is mostly memory copies. What the images do, and the command line words that steer them, is in
# README beside this file. The same packages give the same archives, byte for byte.

set -eu
export LC_ALL=C
umask 022

die()
{
	echo "build.sh: $*" >&2
	exit 1
}

flavour=amd64
update=
lab=
out=
while [ $# -gt 0 ]; do
	case $1 in
	--flavour) [ $# -ge 2 ] || die "--flavour needs a name"; flavour=$2; shift ;;
	--flavour=*) flavour=${1#*=} ;;
	--update) update=1 ;;
	--lab) lab=1 ;;
	-h|--help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
	-*) die "unknown option $1" ;;
	*) [ -z "$out" ] || die "only one OUTDIR, please"; out=$1 ;;
	esac
	shift
done
case $flavour in cloud) flavour=cloud-amd64 ;; esac
[ -n "$out" ] || die "usage: build.sh [--flavour amd64|cloud-amd64] [--update] [--lab] OUTDIR"
for tool in apt-get apt-cache dpkg-deb cpio xz find sort; do
	command -v $tool >/dev/null || die "$tool is missing; this script needs Debian with apt, dpkg, cpio and xz-utils"
done
[ "$(uname -m)" = x86_64 ] || die "this host must be x86-64: the unpacked dynamic linker is run to find libraries"

source=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out" || die "cannot create $out"
out=$(cd "$out" && pwd)
cache=$out/cache
mkdir -p "$cache/debs"
list=$cache/$flavour.list		# package files of the last complete download for this flavour

# --- packages -------------------------------------------------------------------------------------------------------

. "$source/packages.sh"

# The list of this flavour counts only if all of its files are still there.
have_packages()
{
	[ -z "$update" ] && [ -s "$list" ] || return 1
	while read -r file; do
		[ -f "$cache/debs/$file" ] || return 1
	done <"$list"
}

if ! have_packages; then
	find_lists "linux-image-$flavour"
	kernel=$(depends 'linux-image-*' "linux-image-$flavour" | head -n 1)
	[ -n "$kernel" ] || die "linux-image-$flavour names no kernel package"
	download "$kernel" busybox-static seabios qemu-system-data qemu-system-common $(with_libraries qemu-system-x86)
	mv "$list.new" "$list"
fi

# --- unpacking ------------------------------------------------------------------------------------------------------

root=$cache/root-$flavour
if ! cmp -s "$list" "$root/.list"; then
	rm -rf "$root"
	mkdir -p "$root"
	echo "unpacking"
	while read -r file; do
		dpkg-deb -x "$cache/debs/$file" "$root" 2>"$cache/log" ||
			die "cannot unpack $file: $(head -n 1 "$cache/log")"
	done <"$list"
	cp "$list" "$root/.list"
fi

# First match of a pattern in the unpacked packages.
locate()
{
	for found in $root/$1; do
		[ -f "$found" ] && echo "$found" && return
	done
	die "$2 is not in the packages (looked for $1)"
}

vmlinuz=$(locate 'boot/vmlinuz-*' "the kernel")
modules=$(find "$root/lib/modules" "$root/usr/lib/modules" -maxdepth 2 -name kernel 2>/dev/null | head -n 1)
modules=${modules%/kernel}
[ -d "$modules/kernel" ] || die "the kernel package has no modules"
busybox=$(locate 'bin/busybox' "busybox")
qemu=$(locate 'usr/bin/qemu-system-x86_64' "QEMU")
linker=$(find "$root" -name 'ld-linux-x86-64.so.2' | head -n 1)
[ -n "$linker" ] || die "libc6 has no dynamic linker"

# --- assembling -----------------------------------------------------------------------------------------------------

work=$cache/work.$$
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir -p "$work"

# Copies a module and, before it, the modules that it needs; appends their names in loading order to FILE.
# The dependencies are read from the module itself (its .modinfo section): modules.dep is not shipped, depmod writes it.
add_module()	# NAME DIRECTORY FILE
{
	grep -qx "$1" "$3" && return
	# Files have a dash or an underscore where the module's name has the one or the other.
	pattern=$(echo "$1" | sed 's/[-_]/[-_]/g')
	found=$(find "$modules/kernel" -name "$pattern.ko" -o -name "$pattern.ko.xz" | head -n 1)
	if [ -z "$found" ]; then
		grep -q "/$pattern.ko\$" "$modules/modules.builtin" && return
		echo "note: kernel $flavour has no module $1"
		return
	fi
	case $found in
	*.xz) xz -dc "$found" >"$2/$1.ko" ;;
	*) cp "$found" "$2/$1.ko" ;;
	esac
	for needed in $(tr '\0' '\n' <"$2/$1.ko" | sed -n 's/^depends=//p' | head -n 1 | tr ',_' ' -'); do
		add_module "$needed" "$2" "$3"
	done
	echo "$1" >>"$3"
}

# A root directory with busybox, one init script and the modules of one guest.
base()	# DIRECTORY INIT MODULE...
{
	dir=$1
	init=$2
	shift 2
	mkdir -p "$dir/bin" "$dir/dev" "$dir/proc" "$dir/sys" "$dir/tmp" "$dir/root" "$dir/modules"
	cp "$busybox" "$dir/bin/busybox"
	chmod 755 "$dir/bin/busybox"
	"$busybox" --list | while read -r applet; do
		[ "$applet" = busybox ] || ln -s busybox "$dir/bin/$applet"
	done
	cp "$source/$init" "$dir/init"
	cp "$source/dhcp.sh" "$dir/dhcp.sh"
	cp "$source/net.sh" "$dir/net.sh"
	chmod 755 "$dir/init" "$dir/dhcp.sh"
	: >"$dir/modules/order"
	for module; do
		add_module "$module" "$dir/modules" "$dir/modules/order"
	done
}

# Writes a cpio archive with nothing of this host in it: sorted, one date, owner root, no inode numbers.
pack()	# DIRECTORY ARCHIVE
{
	find "$1" -exec touch -h -d @0 {} +
	(cd "$1" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >"$2.new" || die "cpio failed on $2"
	mv "$2.new" "$2"
}

# Takes the ELF kernel out of a bzImage: Linux Documentation/arch/x86/boot.rst, fields setup_sects, payload_offset and
# payload_length. The payload is a compressed stream and, after it, 4 bytes with the unpacked size.
unpack_kernel()	# VMLINUZ VMLINUX
{
	sectors=$(od -An -tu1 -j497 -N1 "$1")
	offset=$(od -An -tu4 -j584 -N4 "$1")
	length=$(od -An -tu4 -j588 -N4 "$1")
	tail -c +$(((sectors + 1) * 512 + offset + 1)) "$1" | head -c $((length - 4)) >"$work/payload"
	case $(head -c 4 "$work/payload" | od -An -tx1 | tr -d ' ') in
	fd377a58) xz -dc <"$work/payload" >"$2" ;;
	02214c18) lz4 -dc <"$work/payload" >"$2" ;;
	28b52ffd) zstd -dc <"$work/payload" >"$2" ;;
	1f8b*) gzip -dc <"$work/payload" >"$2" ;;
	*) false ;;
	esac 2>"$cache/log" || die "cannot unpack the kernel in $1: $(grep -m1 . "$cache/log" || echo unknown compression)"
}

# Copies a file found under the unpacked root to the same place below another directory.
same_place()	# DIRECTORY PATH
{
	mkdir -p "$1/$(dirname "$2")"
	cp -L "$root/$2" "$1/$2" || die "$2 is not in the packages"
}

echo "assembling L2"
base "$work/l2" l2-init e1000
pack "$work/l2" "$out/l2.cpio"

echo "assembling L1"
base "$work/l1" l1-init e1000 virtio-pci virtio-net virtio-blk bridge tun kvm-intel
pack "$work/l1" "$out/l1small.cpio"

libraries=
for dir in lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu; do
	libraries=$libraries:$root/$dir
done
closure=$("$linker" --library-path "${libraries#:}" --list "$qemu" 2>"$cache/log") ||
	die "cannot resolve the libraries of QEMU: $(head -n 1 "$cache/log")"
missing=$(echo "$closure" | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p')
[ -z "$missing" ] || die "libraries of QEMU not found in the packages:" $missing
mkdir -p "$work/l1/lib64" "$work/l1/lib/x86_64-linux-gnu"
cp -L "$linker" "$work/l1/lib64/ld-linux-x86-64.so.2"
echo "$closure" | sed -n 's/^.* => \(\/[^ ]*\) .*/\1/p' | while read -r library; do
	case $library in
	"$root"/*) cp -L "$library" "$work/l1/lib/x86_64-linux-gnu/${library##*/}" ;;
	*) die "QEMU would use $library of this host" ;;
	esac
done || exit 1
same_place "$work/l1" usr/bin/qemu-system-x86_64
same_place "$work/l1" usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so		# for nb.accel=tcg only
same_place "$work/l1" usr/share/seabios/bios-256k.bin
same_place "$work/l1" usr/share/qemu/kvmvapic.bin
same_place "$work/l1" usr/share/qemu/linuxboot_dma.bin
mkdir -p "$work/l1/l2"
cp "$vmlinuz" "$work/l1/l2/vmlinuz"
cp "$out/l2.cpio" "$work/l1/l2/initramfs.cpio"
pack "$work/l1" "$out/l1.cpio"

echo "assembling L1 with an unpacked kernel for L2"
unpack_kernel "$vmlinuz" "$out/vmlinux.new"
mv "$out/vmlinux.new" "$out/vmlinux"
rm "$work/l1/l2/vmlinuz" "$work/l1/usr/share/qemu/linuxboot_dma.bin"
cp "$out/vmlinux" "$work/l1/l2/vmlinux"
same_place "$work/l1" usr/share/qemu/pvh.bin
pack "$work/l1" "$out/l1fast.cpio"

if [ -n "$lab" ]; then
	. "$source/../../lab/images.sh"
fi

cp "$vmlinuz" "$out/vmlinuz.new"
mv "$out/vmlinuz.new" "$out/vmlinuz"
cp "$list" "$out/versions"
(cd "$out" && ls -l vmlinuz vmlinux l1.cpio l1fast.cpio l1small.cpio l2.cpio)
