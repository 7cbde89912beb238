-- A nested boot on two processors.
scenario {seconds = 900, instructions = "12G"}
local golden = include("_golden.lua")
local m = machine {m = 1024, smp = 2, kernel = args.images .. "/vmlinux", initrd = args.images .. "/l1fast.cpio", nic = "user,model=e1000",
	append = 'console=ttyS0 quiet nb.l2smp=2 nb.l2append="nb.l2mode=boot"', no_reboot = true}
golden.at(m, {"500M", "1G"})
m:expect("L1: starting L2")
golden.at(m, {m:icount()})
m:expect("L2: up")
golden.at(m, {m:icount()})
m:expect("L1: done")
equal(m:run(), "off")
golden.at(m, {m:icount()})
golden.compare()
