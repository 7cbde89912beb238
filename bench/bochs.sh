#!/bin/sh
# The runs of `nb bench` under Bochs, for comparison: the same kernel and initramfs, booted from a CD image by isolinux.
#	bench/bochs.sh IMAGES WORK
# BOCHS names the program (default: bochs in PATH; nothing is run if there is none), BXSHARE its ROM images. It should be built with all its
# optimizations, without debugger, with VMX, e1000 and slirp. Ticks are instructions, except that time skipped in HLT counts too: compare CPU
# seconds. Bochs also runs its BIOS and reads the CD, about a second in all.

set -u
images=$1
work=$2/bochs
bochs=${BOCHS:-$(command -v bochs)} || {
	echo "bochs      not found: set BOCHS or PATH to compare with it"
	exit 0
}
share=${BXSHARE:-$(dirname "$bochs")/../share/bochs}
for file in "$share/BIOS-bochs-latest" "$share/VGABIOS-lgpl-latest.bin" /usr/lib/ISOLINUX/isolinux.bin; do
	[ -e "$file" ] || {
		echo "bochs      not run: $file is missing"
		exit 0
	}
done
command -v genisoimage >/dev/null || {
	echo "bochs      not run: genisoimage is missing"
	exit 0
}

# run NAME INITRD WORDS
run()
{
	rm -rf "$work"
	mkdir -p "$work/iso/isolinux" || exit 1
	cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/isolinux/"
	cp "$images/vmlinuz" "$work/iso/vmlinuz"
	cp "$images/$2" "$work/iso/initrd"
	printf 'DEFAULT l\nPROMPT 0\nTIMEOUT 0\nLABEL l\nKERNEL /vmlinuz\nINITRD /initrd\nAPPEND console=ttyS0 quiet %s\n' "$3" \
		>"$work/iso/isolinux/isolinux.cfg"
	genisoimage -quiet -o "$work/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
		-boot-info-table "$work/iso" 2>/dev/null || exit 1
	rm -rf "$work/iso"
	printf '# slirp config\nrestricted = 1\nhostname = bochs\n' >"$work/slirp.conf"
	cat >"$work/bochsrc" <<-EOT
	display_library: nogui
	config_interface: textconfig
	romimage: file=$share/BIOS-bochs-latest, options=fastboot
	vgaromimage: file=$share/VGABIOS-lgpl-latest.bin
	cpu: model=corei7_haswell_4770, count=1, ips=1000000000, reset_on_triple_fault=0, ignore_bad_msrs=1
	memory: guest=1024, host=1024
	pci: enabled=1, chipset=i440fx
	clock: sync=none, time0=1704067200
	ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
	ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
	boot: cdrom
	com1: enabled=1, mode=file, dev=$work/serial.log
	e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=slirp, ethdev=$tftp, script=$work/slirp.conf
	log: $work/bochs.log
	panic: action=fatal
	error: action=ignore
	info: action=report
	debug: action=ignore
	speaker: enabled=0
	EOT
	( cd "$work" && exec sh -c 'times >/dev/null; "$0" -q -f bochsrc >stdout.txt 2>&1 </dev/null; times' "$bochs" ) >"$work/times"
	# ACPI power-off is a panic to Bochs, hence its exit status says nothing; the serial port does.
	grep -q '^L1: done' "$work/serial.log" || echo "bochs      $1 did not end well; see $work"
	ticks=$(sed -n 's/^\([0-9]\{8,\}\)[a-z]\[.*/\1/p' "$work/bochs.log" | tail -n 1)
	# Second line of `times`: user and system time of the children, as 0m1.23s.
	sed -n 2p "$work/times" | awk -v ticks="$ticks" -v name="$1" '
		function seconds(t) { split(t, p, /[ms]/); return p[1] * 60 + p[2] }
		{
			cpu = seconds($1) + seconds($2)
			printf "%-10s %-8s %16s ticks        %9.2f CPU s %8.1f M/s\n", "bochs", name, ticks, cpu, ticks / cpu / 1e6
		}'
	rm -f "$work/boot.iso"
}

tftp=$2/tftp
run boot l1small.cpio nb.mode=boot
run nested l1.cpio nb.file=payload
