-- KVM with APIC virtualization starts a guest: hashes on the way, and exits by reason.
scenario {seconds = 900, instructions = "8G"}
local golden = include("_golden.lua")
local m = machine {m = 1024, kernel = args.images .. "/vmlinux", initrd = args.images .. "/l1fast.cpio", nic = "user,model=e1000",
	append = 'console=ttyS0 quiet nb.l2append="nb.l2mode=boot"', no_reboot = true}
m:expect("L1: starting L2")
golden.at(m, {m:icount()})
m:expect("L2: up")
check(m:exits().APIC_WRITE or m:exits().EOI_INDUCED, "APIC virtualization is in use")
golden.at(m, {m:icount()})
m:expect("L1: done")
golden.at(m, {m:icount()})
equal(m:run(), "off")
golden.compare()
m:baseline("apicv.exits")
