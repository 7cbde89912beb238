-- A disk is written and read back.
scenario {seconds = 300, instructions = "4G"}
local golden = include("_golden.lua")
local m = machine {m = 512, kernel = args.images .. "/vmlinux", initrd = args.images .. "/l1small.cpio", no_reboot = true,
	drive = "file=" .. args.work .. "/disk,format=raw,if=virtio,snapshot=on", append = "console=ttyS0 quiet nb.mode=disk"}
m:expect("L1: up")
golden.at(m, {m:icount()})
m:expect("L1: done")
equal(m:run(), "off")
check(not m:serial():find("FAILED"), m:serial())
golden.at(m, {m:icount()})
golden.compare()
