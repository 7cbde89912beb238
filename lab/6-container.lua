-- Experiment 6: The same program in a virtual machine, in a container and as a plain process of L1.
scenario {name = "6-container", about = "one program as L2, in namespaces, and plain: exits, faults, instructions", seconds = 900}
local lab = include("lab.lua")
local report = include("report.lua")(6, lab.out)

-- ---- what a reader may change ----
local pages, rounds = lab.short and 256 or 2048, lab.short and 500 or 5000
local work = ("probe work %d %d"):format(pages, rounds)
local l1 = [[
setting /sys/kernel/mm/transparent_hugepage/enabled never
load kvm
trace_on 32768 kvm:kvm_exit kvm:kvm_cpuid
l2 vm
l2_serve vm
trace_off vm
export PROBE_L1=1
faults="exceptions:page_fault_user exceptions:page_fault_kernel"
trace_on 32768 $faults
PROBE_FIRST=11 WORK >/results/process.log
trace_off process
trace_on 32768 $faults
unshare -m -u -i -n -p -f sh -c 'mount -t proc proc /proc; hostname box; PROBE_FIRST=21 exec WORK' >/results/container.log
trace_off container
]]
-- --------------------------------------

local faults
local run = lab.run({
	name = "work", l1 = (l1:gsub("WORK", work)), l2 = "probe steps 1 fresh:10000 sleep:10000 &\nsleep 1\n" .. work .. "\n",
	observe = function(m)
		faults = m:count(lab.symbol("handle_mm_fault") .. " if level == 1")
	end,
	more = function()
		return {faults = faults:total()}
	end,
})
local places = {
	{name = "vm", what = "virtual machine (L2)", first = 1}, {name = "container", what = "container (L1, six namespaces)", first = 21},
	{name = "process", what = "process of L1", first = 11},
}
report:section("6. Virtual machine, container, process", 2)
report:p("`" .. work .. "` runs in each: it writes", tostring(pages), "fresh pages, makes", tostring(rounds), "system calls,", tostring(rounds * 100), "rounds of arithmetic, and",
	tostring(rounds // 100), "times forks a child that ends at once.")
local rows, data = {}, {}
for n = 0, 3 do
	for _, place in ipairs(places) do
		local said = lab.phases(run.files[place.name .. ".log"])[place.first + n]
		local inside = lab.inside(run.files[place.name .. ".trace"])[place.first + n]
		local o = run.outside[place.first + n]
		local in_l2 = place.name == "vm"

		lab.agree(place.name .. " " .. said.name, o.exits, inside.exits)
		if not in_l2 then
			lab.agree(place.name .. " " .. said.name, {page_faults = o.page_faults},
				{page_faults = (inside.events.page_fault_user or 0) + (inside.events.page_fault_kernel or 0)})
		end
		rows[#rows + 1] = {
			said.name, place.what, lab.sum(o.exits), lab.sum(inside.exits), said.minor, o.guest.page_faults, o.page_faults - o.guest.page_faults,
			in_l2 and "" or (inside.events.page_fault_user or 0) + (inside.events.page_fault_kernel or 0), o.more.faults, o.instructions, o.guest.instructions,
			o.tlb_fills,
		}
		data[#data + 1] = {said.name .. " " .. place.name, o.guest.instructions, o.instructions - o.guest.instructions}
		lab.baseline(place.name .. " " .. said.name .. " exits", lab.sum(o.exits))
		lab.baseline(place.name .. " " .. said.name .. " page faults", o.page_faults)
		lab.baseline(place.name .. " " .. said.name .. " instructions", o.instructions)
	end
end
report:table({"work", "where", "exits (nestbox)", "(L1)", "the program's minor faults", "#PF in L2 (nestbox)", "#PF in L1 (nestbox)", "#PF in L1 (trace)",
	"handle_mm_fault in L1 (nestbox)", "instructions", "of these in L2", "translation-cache fills"}, rows)
report:p("**Found.**")
report:list({
	"A container is a process: no VM exits, and the same faults as a plain process. Namespaces cost nothing in these counts. Its page faults are L1's own #PFs.",
	"In the virtual machine the same number of #PFs happens inside L2 without exits; only fresh memory costs EPT violations on top, each with a minor fault of QEMU.",
	"System calls and arithmetic exit in none of them; what is left are L2's timer and L1's.",
})
report:plot("instructions", "Experiment 6: instructions by where they run",
	"set style data histograms\nset style histogram rowstacked\nset style fill solid\nset boxwidth 0.8\nset ylabel 'instructions'\nset xtics rotate by -35\nset key outside top horizontal\n"
	.. "plot DATA using 2:xtic(1) ls 1 title 'in L2', '' using 3 ls 3 title 'in L1'", data)
lab.finish(report)
