#!/bin/sh
# BIOS services of direct boot, called in real mode: results and carry flags by the Interrupt List. Run in the build directory.
. "$(dirname "$0")/lib.sh"

assemble bios "$work/kernel"
./nestbox -m 16 -nodefaults -serial stdio -kernel "$work/kernel" -device isa-debug-exit,iobase=0xf4,iosize=4 -rtc base=2024-02-29T12:00:00 \
	-timeout 60 </dev/null >"$work/out" 2>"$work/err"
status=$?

# Name, carry, AX, BX, CX, DX. 639 KiB; 15 MiB from 1 MiB on.
cat >"$work/expected" <<'EOT'
memory 0001 027f 0000 0000 0000
map 0000 4150 0001 0014 4150
entry 0000 0000 0000 0000 fc00 0009 0000 0000 0001 0000
map 0000 4150 0002 0014 4150
entry fc00 0009 0000 0000 0400 0000 0000 0000 0002 0000
map 0000 4150 0003 0014 4150
entry 0000 000e 0000 0000 0000 0002 0000 0000 0002 0000
map 0000 4150 0000 0014 4150
entry 0000 0010 0000 0000 0000 00f0 0000 0000 0001 0000
beyond 0001 8620 0063 0014 4150
sizes 0000 3c00 0000 3c00 0000
extended 0000 3c00 0000 3c00 0000
configuration 0001 8600 0000 3c00 0000
a20off 0000 0000 0000 3c00 0000
a20 0000 0000 0000 3c00 0000
a20on 0000 0001 0000 3c00 0000
a20 0000 0001 0000 3c00 0000
disk 0001 0101 0000 3c00 0000
video 0001 5003 0000 3c00 0000
vbe 0001 4f00 0000 3c00 0000
shift 0001 0200 0000 3c00 0000
no key
date 0000 0400 0000 2024 0229
pci 0001 b101 0000 2024 0229
EOT
services()
{
	[ $status = 33 ] && diff "$work/expected" "$work/out"
}
verdict services_of_direct_boot services
exit $failed
