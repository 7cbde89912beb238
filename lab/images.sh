# Part of tests/images/build.sh --lab, whose functions it uses: the lab's L1 with its L2, from the L1 already assembled in $work/l1.
echo "assembling the lab"
lab=$source/../../lab
mkdir -p "$work/lab2" "$work/bin"
${CC:-gcc} -std=gnu11 -O2 -Wall -Wextra -Werror -static -s -o "$work/bin/probe" "$lab/probe.c" ||
	die "lab/probe.c was not built; it needs gcc and the static C library (Debian: gcc libc6-dev)"

# Modules by group: what an experiment does not need is not loaded.
groups()	# DIRECTORY GROUP MODULE...
{
	dir=$1
	group=$2
	shift 2
	: >"$dir/modules/$group"
	for module; do
		add_module "$module" "$dir/modules" "$dir/modules/$group"
	done
}

base "$work/lab2" ../../lab/l2-init
rm "$work/lab2/init" "$work/lab2/dhcp.sh" "$work/lab2/net.sh" 2>/dev/null || true
cp "$lab/l2-init" "$work/lab2/init"
chmod 755 "$work/lab2/init"
cp "$work/bin/probe" "$work/lab2/bin/probe"
groups "$work/lab2" e1000 e1000
groups "$work/lab2" virtio virtio_pci virtio_net
pack "$work/lab2" "$work/lab2.cpio"

rm "$work/l1/init" "$work/l1/dhcp.sh" "$work/l1/net.sh" "$work/l1/modules/"*
cp "$lab/l1-init" "$work/l1/init"
chmod 755 "$work/l1/init"
cp "$lab/l1-lib.sh" "$work/l1/lab.sh"
cp "$work/bin/probe" "$work/l1/bin/probe"
groups "$work/l1" disk ata_piix sd_mod
groups "$work/l1" kvm kvm-intel
groups "$work/l1" net e1000 bridge tun
groups "$work/l1" vhost vhost_net
groups "$work/l1" swap zram
groups "$work/l1" veth veth bridge
cp "$work/lab2.cpio" "$work/l1/l2/initramfs.cpio"
pack "$work/l1" "$out/lab.cpio"
