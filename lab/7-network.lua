-- Experiment 7: A network lab: three L2 routers with two e1000 cards each between two L2 hosts, bridged in L1; packets at every hop, exits per forwarded packet.
scenario {name = "7-network", about = "five L2s, four bridges, eight e1000 cards: packets by pcap at every hop, exits by machine", seconds = 2400}
local lab = include("lab.lua")
local report = include("report.lua")(7, lab.out)

-- ---- what a reader may change ----
local packets = lab.short and 10 or 100
local device = "e1000" -- or virtio-net-pci
local machines = {
	{name = "r1", cards = {{"r1a", 0}, {"r1b", 1}}}, {name = "r2", cards = {{"r2a", 1}, {"r2b", 2}}}, {name = "r3", cards = {{"r3a", 2}, {"r3b", 3}}},
	{name = "h2", cards = {{"h2a", 3}}}, {name = "h1", cards = {{"h1a", 0}}},
}
local l1 = [[
setting /sys/kernel/mm/transparent_hugepage/enabled never
load kvm
load net
for b in 0 1 2 3; do
	brctl addbr br$b
	echo 0 >/sys/class/net/br$b/bridge/forward_delay
	echo 0 >/sys/class/net/br$b/bridge/multicast_snooping
	ifconfig br$b up
done
for one in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >"$one"; done
card() # TAP BRIDGE LAST-BYTE-OF-MAC: prints QEMU's arguments
{
	tunctl -t $1 >/dev/null
	echo 1 >/proc/sys/net/ipv6/conf/$1/disable_ipv6
	brctl addif br$2 $1
	ifconfig $1 up
	echo "-netdev tap,id=$1,ifname=$1,script=no,downscript=no -device DEVICE,netdev=$1,mac=52:54:00:00:00:$3,romfile="
	echo "-object filter-dump,id=dump$1,netdev=$1,file=/results/$1.pcap"
}
l2mem=96
start() # NAME QEMU-ARGUMENT...
{
	l2arg=$1
	l2 "$@"
	[ $1 = h1 ] || l2_serve $1 >/dev/null &
}
at_point()
{
	case $1 in
	ping) ;;
	send) trace_on 131072 kvm:kvm_exit kvm:kvm_cpuid kvm:kvm_userspace_exit ;;
	end) trace_off net ;;
	esac
}
STARTS
for n in r1 r2 r3 h2; do
	until grep -q "LAB ready" /results/$n.log 2>/dev/null; do sleep 0.1; done
done
l2_serve h1
sleep 0.2
for n in r1 r2 r3 h2; do
	eval "echo $n \$pid_$n" >>/results/pids
done
echo h1 $pid_h1 >>/results/pids
for n in r1 r2 r3 h2; do
	eval "kill \$pid_$n"
done
sleep 0.3
]]
local l2 = [[
load e1000
ifconfig lo up
for one in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >"$one"; done
echo 1 >/proc/sys/net/ipv4/ip_forward
up()
{
	ifconfig $1 10.$2 netmask 255.255.255.0 up
}
net()
{
	route add -net 10.$1.0.0 netmask 255.255.0.0 gw 10.$2
}
case $1 in
h1) up eth0 0.0.1; route add default gw 10.0.0.254 ;;
r1) up eth0 0.0.254; up eth1 1.0.1; net 2 1.0.2; net 3 1.0.2 ;;
r2) up eth0 1.0.2; up eth1 2.0.1; net 0 1.0.1; net 3 2.0.2 ;;
r3) up eth0 2.0.2; up eth1 3.0.254; net 0 2.0.1; net 1 2.0.1 ;;
h2) up eth0 3.0.1; route add default gw 10.3.0.254 ;;
esac
case $1 in
h1)
	until ping -c 1 10.3.0.1 >/dev/null 2>&1; do sleep 0.1; done
	traceroute -n -q 1 -w 2 10.3.0.1 | sed 's/^/LAB route /'
	point send
	probe send 10.3.0.1 9 PACKETS 64 echo
	point end
	;;
h2)
	echo "LAB ready"
	probe echo 9 1000
	;;
*)
	echo "LAB ready"
	while :; do sleep 1000; done
	;;
esac
]]
-- --------------------------------------

local starts = {}
for number, m in ipairs(machines) do
	local cards = {}

	for i, card in ipairs(m.cards) do
		cards[i] = ("$(card %s %d %d%d)"):format(card[1], card[2], number, i)
	end
	starts[number] = "start " .. m.name .. " " .. table.concat(cards, " ")
end
l1 = l1:gsub("STARTS", table.concat(starts, "\n")):gsub("DEVICE", device)

local exits, mmio
local run = lab.run({
	name = "network", memory = 2048, l1 = l1, l2 = (l2:gsub("PACKETS", packets)),
	observe = function(m)
		exits = m:count("exit", "vpid")
		mmio = m:count("exit EPT_MISCONFIG", "vpid")
	end,
	more = function()
		return {exits = exits:table(), mmio = mmio:table()}
	end,
})

-- UDP datagrams of the echo service by direction in a pcap file: classic format, Ethernet, IPv4 without options.
local function packets_of(pcap)
	local to, from, at = 0, 0, 25

	while at + 16 <= #pcap do
		local size = ("<I4"):unpack(pcap, at + 8)
		local frame = pcap:sub(at + 16, at + 15 + size)

		if #frame >= 42 and frame:sub(13, 14) == "\8\0" and frame:byte(24) == 17 then
			if (">I2"):unpack(frame, 37) == 9 then
				to = to + 1
			elseif (">I2"):unpack(frame, 35) == 9 then
				from = from + 1
			end
		end
		at = at + 16 + size
	end
	return to, from
end

-- L1's trace by the QEMU process whose vCPU thread exits.
local o = run.outside[1]
local by_pid, user, open = {}, {}, false
local pending
lab.trace_lines(run.files["net.trace"], function(event, rest, task, pid)
	if event == "kvm_cpuid" and rest:match("^func 4e42") then
		open = tonumber(rest:match("^func 4e42(%x+)"), 16) & 1 == 1
		if pending then
			by_pid[pending] = by_pid[pending] - 1
		end
	elseif event == "kvm_exit" then
		pending = nil
		if open then
			by_pid[pid] = (by_pid[pid] or 0) + 1
			pending = pid
		end
	elseif event == "kvm_userspace_exit" and open then
		user[pid] = (user[pid] or 0) + 1
	end
end)
local inside = lab.inside(run.files["net.trace"])
lab.agree("network", o.exits, inside[1].exits)

report:section("7. A network lab", 2)
report:p("h1 - r1 - r2 - r3 - h2: five L2s on one L1, each link a bridge of L1 with a tap device for each card (" .. device .. "). h1 sends", tostring(packets),
	"UDP datagrams to h2, each after the echo of the one before. Each packet is forwarded three times there and three times back.")
local route = {}
for line in run.files["h1.log"]:gmatch("LAB route ([^\n]+)") do
	route[#route + 1] = (line:gsub("  [%d.]+ ms", ""))
end
report:code(table.concat(route, "\n"))
local rows = {}
local order = {"h1a", "r1a", "r1b", "r2a", "r2b", "r3a", "r3b", "h2a"}
for i, card in ipairs(order) do
	local to, from = packets_of(run.files[card .. ".pcap"])

	rows[i] = {card, to, from}
	-- One more than sent: the first finds the neighbours' addresses and is not counted.
	assert(to == packets + 1 and from == packets + 1, "packets were lost at " .. card)
	lab.baseline(card .. " datagrams", to + from)
end
report:table({"card (pcap in QEMU)", "datagrams to h2", "echoes to h1"}, rows)

-- nestbox tells machines by VPID, L1 by thread: the VPIDs are given in the order of start, and so are the threads' numbers.
local vpids, pids = {}, {}
for vpid, count in pairs(o.more.exits) do
	if count ~= 0 then
		vpids[#vpids + 1] = vpid
	end
end
for pid in pairs(by_pid) do
	pids[#pids + 1] = pid
end
table.sort(vpids)
table.sort(pids)
rows = {}
local data, n = {}, 2 * packets
for i, m in ipairs(machines) do
	local vpid, pid = vpids[i], pids[i]
	local a, b = o.more.exits[vpid] - (m.name == "h1" and 1 or 0), by_pid[pid]

	lab.agree(m.name, {exits = a}, {exits = b})
	rows[i] = {m.name, #m.cards == 2 and "router" or "host", a, b, o.more.mmio[vpid], user[pid] or 0, a / n, o.more.mmio[vpid] / n, (user[pid] or 0) / n}
	data[i] = {m.name, a / n, o.more.mmio[vpid] / n, (user[pid] or 0) / n}
	lab.baseline(m.name .. " exits", a)
end
report:p("Exits while they travel; per packet means: per datagram or echo that the machine forwarded, sent or answered (" .. n .. ").")
report:table({"machine", "", "exits (nestbox, by VPID)", "(L1, by thread)", "MMIO", "to QEMU", "exits per packet", "MMIO per packet", "to QEMU per packet"}, rows)
report:plot("exits", "Experiment 7: VM exits per packet by machine",
	"set style data histograms\nset style fill solid\nset boxwidth 0.9\nset ylabel 'per packet'\nset key outside right\n"
	.. "plot DATA using 2:xtic(1) ls 1 title 'all exits', '' using 3 ls 2 title 'MMIO', '' using 4 ls 3 title 'to QEMU'", data)
report:p(("In all %d exits for %d packets end to end: %.1f each."):format(lab.sum(o.exits), n, lab.sum(o.exits) / n))
report:p("**Found.** To forward a packet, which is to receive it on one card and send it on the other, a router's two e1000s need fewer register accesses than a host's one card",
	"for one received and one sent (the hosts' numbers are per packet in one direction, so twice that). Nearly all of them go on to QEMU. The way from end to end costs the sum",
	"over the hops. No packet is lost and none is seen twice at any hop.")
lab.finish(report)
