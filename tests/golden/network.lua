-- DHCP, ping and TFTP through the e1000, in nestbox's own network: nothing of it comes from the host's.
scenario {seconds = 300, instructions = "4G"}
local golden = include("_golden.lua")
local m = machine {m = 512, kernel = args.images .. "/vmlinux", initrd = args.images .. "/l1small.cpio",
	nic = "user,model=e1000,tftp=" .. args.work .. "/tftp", no_reboot = true,
	append = "console=ttyS0 quiet nb.mode=net nb.file=payload nb.sha256=" .. args.sum}
local frames = m:count("packet 0", "write")
m:expect("dhcp ok")
golden.at(m, {m:icount()})
m:expect("fetch ok " .. args.sum)
golden.at(m, {m:icount()})
m:expect("L1: done")
equal(m:run(), "off")
golden.at(m, {m:icount()})
check(frames:total() > 100, "frames: " .. frames:total())
golden.compare()
