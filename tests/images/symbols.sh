#!/bin/sh
# The debug information of the kernel in IMAGES (what build.sh made), from Debian's package linux-image-*-dbg (some 860 MB), as IMAGES/vmlinux.debug.
#	symbols.sh IMAGES
# Nothing is done where it is already, or installed. Without the package (no network, or Debian has moved on), exit status 77.
set -u
[ $# = 1 ] || {
	sed -n '2,4s/^# *//p' "$0" >&2
	exit 1
}
images=$(realpath "$1") || exit 1
die()
{
	echo "symbols.sh: $*"
	exit 77
}
image=$(sed -n 's/^\(linux-image-[^_]*-amd64_[^_]*\)_.*/\1/p' "$images/versions" 2>/dev/null)
[ -n "$image" ] || die "no images in $images: nb images"
package=${image%%_*}
wanted=${image#*_}
[ ! -e "$images/vmlinux.debug" ] && [ ! -e "/usr/lib/debug/boot/vmlinux-${package#linux-image-}" ] || exit 0
cache=$images/cache/symbols
list=$cache/list
update=
mkdir -p "$cache/debs" || exit 1
. "$(dirname "$0")/packages.sh"

find_lists "$package-dbg"
download "$package-dbg"
read -r file <"$list.new"
case $file in
"$package-dbg_${wanted}_"*) ;;
*) die "the images have version $wanted of the kernel, Debian $file: nb images makes new ones" ;;
esac
dpkg-deb --fsys-tarfile "$cache/debs/$file" | tar -xOf - "./usr/lib/debug/boot/vmlinux-${package#linux-image-}" >"$images/vmlinux.debug.new" &&
	mv "$images/vmlinux.debug.new" "$images/vmlinux.debug" || {
	rm -f "$images/vmlinux.debug.new"
	die "$file could not be unpacked"
}
rm -f "$cache/debs/$file"
