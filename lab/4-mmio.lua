-- Experiment 4: Network cards: exits per register access and per packet, e1000 against virtio-net, ioeventfd, coalesced MMIO and vhost.
scenario {name = "4-mmio", about = "exits of the e1000's and virtio-net's registers, per packet", seconds = 1800}
local lab = include("lab.lua")
local report = include("report.lua")(4, lab.out)

-- ---- what a reader may change ----
local packets = lab.short and 20 or 200
local variants = {
	{name = "e1000", what = "e1000", device = "e1000,romfile=", module = "e1000"},
	{name = "virtio", what = "virtio-net (ioeventfd, QEMU's own back end)", device = "virtio-net-pci,romfile=", module = "virtio"},
	{name = "noioeventfd", what = "virtio-net, ioeventfd=off", device = "virtio-net-pci,romfile=,ioeventfd=off", module = "virtio"},
	{name = "vhost", what = "virtio-net, vhost=on", device = "virtio-net-pci,romfile=", netdev = ",vhost=on", module = "virtio"},
}
if lab.short then
	variants = {variants[1], variants[2]}
end
local l1 = [[
setting /sys/kernel/mm/transparent_hugepage/enabled never
load kvm
load net
load vhost
for one in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >"$one"; done
tunctl -t tap0 >/dev/null
ifconfig lo up
ifconfig tap0 10.9.0.1 netmask 255.255.255.0 up
at_point()
{
	trace_on 65536 kvm:kvm_exit kvm:kvm_cpuid kvm:kvm_mmio kvm:kvm_fast_mmio kvm:kvm_userspace_exit kvm:kvm_set_irq kvm:kvm_msi_set_irq
}
card() # NAME DEVICE MODULE NETDEV
{
	probe echo 9 30 >/dev/null &
	echoer=$!
	l2arg=$3
	l2 $1 -netdev tap,id=n0,ifname=tap0,script=no,downscript=no$4 -device $2,netdev=n0,mac=52:54:00:12:34:56
	l2_serve $1
	kill $echoer
	trace_off $1
}
]]
local l2 = [[
load $1
ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up
for one in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >"$one"; done
sed -n 's/^ *\([0-9a-f]*\)-.*: \(e1000\|virtio-pci-modern\)$/LAB bar \1/p' /proc/iomem
until ping -c 1 -W 1 10.9.0.1 >/dev/null 2>&1; do sleep 0.1; done
point ready
probe send 10.9.0.1 9 PACKETS 64
PROBE_FIRST=2 probe send 10.9.0.1 9 PACKETS 64 echo
]]
-- --------------------------------------

-- 82540EM: names of registers by offset, Software Developer's Manual, "Register Descriptions".
local e1000 = {
	[0x0] = "CTRL", [0x8] = "STATUS", [0x10] = "EECD", [0x14] = "EERD", [0x18] = "CTRL_EXT", [0x20] = "MDIC", [0xc0] = "ICR", [0xc4] = "ITR", [0xc8] = "ICS",
	[0xd0] = "IMS", [0xd8] = "IMC", [0x100] = "RCTL", [0x400] = "TCTL", [0x410] = "TIPG", [0x2800] = "RDBAL", [0x2808] = "RDLEN", [0x2810] = "RDH",
	[0x2818] = "RDT", [0x2820] = "RDTR", [0x282c] = "RADV", [0x3800] = "TDBAL", [0x3808] = "TDLEN", [0x3810] = "TDH", [0x3818] = "TDT", [0x3820] = "TIDV",
}

for _, v in ipairs(variants) do
	l1 = l1 .. ("card %s %s %s %s\n"):format(v.name, v.device, v.module, v.netdev or "")
end

local gpas
local run = lab.run({
	name = "cards", l1 = l1, l2 = (l2:gsub("PACKETS", packets)),
	observe = function(m)
		gpas = m:count("exit EPT_MISCONFIG", "gpa")
	end,
	more = function()
		return {gpa = gpas:table()}
	end,
})

for i, v in ipairs(variants) do
	local log = run.files[v.name .. ".log"]

	v.bar = tonumber(log:match("LAB bar (%x+)") or "0", 16)
	v.phases = {}
	local last
	local inside = lab.inside(run.files[v.name .. ".trace"], function(phase, event, rest)
		if event == "kvm_exit" then
			last = nil
		elseif event == "kvm_userspace_exit" and last then
			phase.user = phase.user or {}
			phase.user[last] = (phase.user[last] or 0) + 1
		elseif event == "kvm_mmio" then
			local kind, gpa = rest:match("mmio (%S+) len %d+ gpa 0x(%x+)")

			last = tonumber(gpa, 16)
			phase.mmio = phase.mmio or {}
			-- A read that KVM cannot answer is announced twice: when it leaves for QEMU, and with the value when it is back.
			if kind ~= "unsatisfied-read" then
				gpa = tonumber(gpa, 16)
				phase.mmio[gpa] = phase.mmio[gpa] or {read = 0, write = 0}
				phase.mmio[gpa][kind] = phase.mmio[gpa][kind] + 1
			end
		elseif event == "kvm_fast_mmio" then
			local gpa = tonumber(rest:match("gpa 0x(%x+)"), 16)

			phase.fast = phase.fast or {}
			phase.fast[gpa] = (phase.fast[gpa] or 0) + 1
		end
	end)
	for n, said in ipairs(lab.phases(log)) do
		local outside = run.marks[n][i]

		v.phases[n] = {said = said, outside = outside, inside = inside[n]}
		lab.agree(v.name .. " " .. said.name, outside.exits, inside[n].exits)
		-- Register by register: nestbox's guest-physical addresses of EPT misconfigurations against L1's MMIO events.
		local events = {}
		for gpa, count in pairs(inside[n].mmio or {}) do
			events["mmio " .. gpa] = count.read + count.write
		end
		for gpa, count in pairs(inside[n].fast or {}) do
			events["mmio " .. gpa] = (events["mmio " .. gpa] or 0) + count
		end
		local seen = {}
		for gpa, count in pairs(outside.more.gpa) do
			if count ~= 0 then
				seen["mmio " .. gpa] = count
			end
		end
		lab.agree(v.name .. " " .. said.name, seen, events)
	end
end

-- ---- the report ----

report:section("4. Network cards: exits per register access and per packet", 2)
report:p("L2 sends", tostring(packets), "UDP datagrams of 64 bytes to L1, which sends each back, without waiting for that (send); then as many, each after the echo of the one before (echo). Its card is on a tap",
	"device of L1. Every access to a register of an emulated card is an exit (EPT misconfiguration: KVM marks MMIO pages so). \"To QEMU\" are",
	"`kvm:kvm_userspace_exit` events: the exits that KVM cannot finish by itself.")
local rows = {}
for _, v in ipairs(variants) do
	for _, p in ipairs(v.phases) do
		local o, i = p.outside, p.inside
		local n = p.said.count

		rows[#rows + 1] = {
			v.what, p.said.name, n, lab.sum(o.exits), lab.sum(i.exits), o.exits.EPT_MISCONFIG or 0, i.events.kvm_fast_mmio or 0, i.events.kvm_userspace_exit or 0,
			o.exits.EOI_INDUCED or 0, o.exits.HLT or 0, lab.sum(o.exits) / n, (o.exits.EPT_MISCONFIG or 0) / n, (i.events.kvm_userspace_exit or 0) / n,
			o.guest.instructions // n, (o.instructions - o.guest.instructions) // n,
		}
		lab.baseline(v.name .. " " .. p.said.name .. " EPT_MISCONFIG", o.exits.EPT_MISCONFIG or 0)
		lab.baseline(v.name .. " " .. p.said.name .. " exits", lab.sum(o.exits))
	end
end
report:table({"card", "traffic", "packets", "exits (nestbox)", "(L1)", "EPT_MISCONFIG", "of these fast MMIO (ioeventfd)", "to QEMU", "EOI_INDUCED", "HLT", "exits per packet",
	"MMIO per packet", "to QEMU per packet", "L2 instructions per packet", "L1 instructions per packet"}, rows)
report:section("By register", 3)
rows = {}
for _, v in ipairs(variants) do
	for _, p in ipairs(v.phases) do
		for gpa, count in sorted_pairs(p.outside.more.gpa) do
			if count ~= 0 then
				local mmio = p.inside.mmio and p.inside.mmio[gpa] or {read = 0, write = 0}
				local offset = gpa - v.bar

				rows[#rows + 1] = {
					v.what, p.said.name, hex(gpa), gpa >= 0xfee00000 and "local APIC" or gpa >= 0xfec00000 and "I/O APIC"
						or v.name == "e1000" and (e1000[offset] or ("+0x%x"):format(offset)) or ("+0x%x"):format(offset),
					count, mmio.read, mmio.write, p.inside.fast and p.inside.fast[gpa] or 0, p.inside.user and p.inside.user[gpa] or 0, count / p.said.count,
				}
			end
		end
	end
end
report:table({"card", "traffic", "guest-physical", "register", "EPT misconfigurations (nestbox)", "reads (kvm_mmio)", "writes (kvm_mmio)", "fast MMIO", "to QEMU", "per packet"}, rows)
report:p("**Found.**")
report:list({
	"Each access to a register of the e1000 is one exit, an EPT misconfiguration, not an EPT violation: KVM writes a special entry for MMIO pages, so that "
		.. "the exit is told apart from a missing page at once. It causes no page fault and no minor fault.",
	"An echoed packet costs the e1000 seven register accesses and the end of a level interrupt (EOI_INDUCED): ICR read once, IMC and IMS written for the "
		.. "interrupt, STATUS read by the driver twice, TDT and RDT written.",
	"RDT writes do not leave the kernel: QEMU registers most e1000 registers as coalesced MMIO, so KVM only notes the write in a ring. All others go to QEMU.",
	"virtio-net needs at most one exit per packet sent, the notification, and none while the other side is still at work (send). With ioeventfd it stays in the kernel (kvm_fast_mmio); with ioeventfd=off the same exit goes to "
		.. "QEMU. Interrupts come as MSI by the kernel: no exit to find out the cause.",
	"With vhost the kernel's own thread moves packets; the exits that remain are notifications.",
})
report:plot("exits", "Experiment 4: VM exits per echoed packet, and how many of them go on to QEMU",
	"set style data histograms\nset style fill solid\nset boxwidth 0.9\nset ylabel 'per packet'\nset xtics rotate by -12\nset key outside top horizontal\n"
	.. "plot DATA using 2:xtic(1) ls 1 title 'all exits', '' using 3 ls 2 title 'MMIO', '' using 4 ls 3 title 'to QEMU'",
	(function()
		local data = {}
		for i, v in ipairs(variants) do
			local p = v.phases[2]
			local n = p.said.count
			data[i] = {v.what, lab.sum(p.outside.exits) / n, (p.outside.exits.EPT_MISCONFIG or 0) / n, (p.inside.events.kvm_userspace_exit or 0) / n}
		end
		return data
	end)())
lab.finish(report)
