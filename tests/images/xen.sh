#!/bin/sh
# Builds what a run under Xen needs, from unmodified Debian packages, beside the images that build.sh made:
#
#	xen.sh [--update] OUTDIR
#
# Writes to OUTDIR:
#	xen		Debian's hypervisor, uncompressed: a multiboot image
#	dom0.cpio	initramfs of domain 0: busybox, xl, xenstored, modules; /guest/* for a PVH guest
#
# The guest is OUTDIR/vmlinuz with l1small.cpio. Run it so (tests/xen.sh does):
#	nestbox -m 2G -kernel xen -initrd "vmlinuz console=hvc0 quiet panic=-1,dom0.cpio" -append "com1=115200,8n1 console=com1 dom0_mem=1G"

set -eu
export LC_ALL=C
umask 022

die()
{
	echo "xen.sh: $*" >&2
	exit 1
}

update=
[ "${1:-}" != --update ] || { update=1; shift; }
[ $# = 1 ] || die "usage: xen.sh [--update] OUTDIR"
source=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$1" && pwd) || exit 1
[ -s "$out/vmlinuz" ] && [ -s "$out/l1small.cpio" ] || die "$out has no vmlinuz and l1small.cpio; run build.sh first"
cache=$out/cache
list=$cache/xen.list
. "$source/packages.sh"

if [ -n "$update" ] || [ ! -s "$list" ]; then
	find_lists xen-system-amd64
	hypervisor=$(depends 'xen-hypervisor-*-amd64' xen-system-amd64 | head -n 1)
	[ -n "$hypervisor" ] || die "xen-system-amd64 names no hypervisor package"
	version=${hypervisor#xen-hypervisor-}
	version=${version%-amd64}
	download "$hypervisor" busybox-static $(with_libraries "xen-utils-$version xenstore-utils")
	mv "$list.new" "$list"
fi
root=$cache/root-xen
if ! cmp -s "$list" "$root/.list"; then
	rm -rf "$root"
	mkdir -p "$root"
	while read -r file; do
		dpkg-deb -x "$cache/debs/$file" "$root" 2>"$cache/log" || die "cannot unpack $file: $(head -n 1 "$cache/log")"
	done <"$list"
	cp "$list" "$root/.list"
fi

tools=$(find "$root/usr/lib" -maxdepth 2 -path '*/xen-*/bin' | head -n 1)
[ -x "$tools/xl" ] || die "the packages have no xl"
modules=$(find "$cache"/root-amd64/lib/modules "$cache"/root-amd64/usr/lib/modules -maxdepth 2 -name kernel 2>/dev/null | head -n 1)
[ -d "$modules" ] || die "$cache has no kernel modules; run build.sh first"
linker=$(find "$root" -name 'ld-linux-x86-64.so.2' | head -n 1)
[ -n "$linker" ] || die "libc6 has no dynamic linker"

work=$cache/work.$$
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir -p "$work/bin" "$work/dev" "$work/proc" "$work/sys" "$work/tmp" "$work/modules" "$work/guest" "$work/lib64" "$work/lib/x86_64-linux-gnu" \
	"$work/etc/xen" "$work/run/xen" "$work/run/xenstored" "$work/var/log/xen/console" "$work/var/lib/xen" "$work/var/lib/xenstored"
ln -s ../run "$work/var/run"
cp "$(find "$root" -path "*/bin/busybox" | head -n 1)" "$work/bin/busybox"
chmod 755 "$work/bin/busybox"
"$work/bin/busybox" --list | while read -r applet; do
	[ "$applet" = busybox ] || ln -s busybox "$work/bin/$applet"
done
cp "$source/dom0-init" "$work/init"
chmod 755 "$work/init"
for module in xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xenfs; do
	cp "$(find "$modules" -name "$module.ko")" "$work/modules/" || die "the kernel package has no module $module"
done

# The tools look for each other where Debian puts them.
path=${tools#"$root"}
mkdir -p "$work$path"
libraries=$(find "$root" -name '*.so*' -printf '%h\n' | sort -u | tr '\n' ':')
for tool in xl xenstored xen-init-dom0 xenconsoled libxl-save-helper; do
	cp "$tools/$tool" "$work$path/" || die "the packages have no $tool"
	"$linker" --library-path "${libraries%:}" --list "$tools/$tool" >>"$cache/closure" 2>"$cache/log" ||
		die "cannot resolve the libraries of $tool: $(head -n 1 "$cache/log")"
done
echo "tools=$path" >"$work/tools.sh"
# pthread_cancel() loads libgcc_s by name.
find "$root" -name libgcc_s.so.1 -exec cp {} "$work/lib/x86_64-linux-gnu/" \;
sed -n 's/^.* => \(\/[^ ]*\) .*/\1/p' "$cache/closure" | sort -u | while read -r library; do
	cp -L "$library" "$work/lib/x86_64-linux-gnu/${library##*/}"
done
rm "$cache/closure"
cp -L "$linker" "$work/lib64/ld-linux-x86-64.so.2"

cp "$out/vmlinuz" "$out/l1small.cpio" "$work/guest/"
cat >"$work/guest/pvh.cfg" <<-EOT
	name="guest"
	type="pvh"
	kernel="/guest/vmlinuz"
	ramdisk="/guest/l1small.cpio"
	extra="console=hvc0 quiet nb.mode=boot"
	memory=256
	vcpus=1
	on_poweroff="destroy"
	on_crash="destroy"
EOT
find "$work" -exec touch -h -d @0 {} +
(cd "$work" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >"$out/dom0.cpio.new" || die "cpio failed"
mv "$out/dom0.cpio.new" "$out/dom0.cpio"
gzip -dc "$root"/boot/xen-*-amd64.gz >"$out/xen.new" || die "the hypervisor's package has no xen-*-amd64.gz"
mv "$out/xen.new" "$out/xen"
(cd "$out" && ls -l xen dom0.cpio)
