-- Experiment 5: Context switches in L2, with VPID and PCID on and off; a vCPU that stays on its CPU, and one that moves.
scenario {name = "5-switch", about = "context switches of L2 and moves of a vCPU: exits, translation-cache fills, INVEPT, INVVPID, VMCLEAR", seconds = 2400}
local lab = include("lab.lua")
local report = include("report.lua")(5, lab.out)

-- ---- what a reader may change ----
local switches, pages = lab.short and 400 or 4000, 16
local long = lab.short and 10000 or 40000 -- switches while the vCPU stays, and as many while it moves
local variants = {
	{name = "base", what = "VPID and PCID on", parameters = "", append = ""},
	{name = "novpid", what = "VPID off (kvm_intel.vpid=0)", parameters = "vpid=0", append = ""},
	{name = "nopcid", what = "PCID off in L2 (nopcid)", parameters = "", append = "nopcid"},
	{name = "neither", what = "both off", parameters = "vpid=0", append = "nopcid"},
	{name = "shadow", what = "no EPT (kvm_intel.ept=0)", parameters = "ept=0", append = ""},
}
if lab.short then
	variants = {variants[1], variants[2]}
end
local l1 = [[
setting /sys/kernel/mm/transparent_hugepage/enabled never
at_point()
{
	trace_on 32768 kvm:kvm_exit kvm:kvm_cpuid
}
one() # NAME KVM-INTEL-PARAMETERS L2-COMMAND-LINE
{
	load kvm kvm-intel="$2"
	l2append=$3
	l2 $1
	l2_serve $1
	trace_off $1
	unload kvm-intel
}
]]
local l2 = ([[
point ready
probe switch %d %d
]]):format(switches // 2, pages)

-- L1 with two CPUs: the vCPU's thread is bound to CPU 0, and then sent to and fro while L2 goes on switching.
local l1_moves = [[
setting /sys/kernel/mm/transparent_hugepage/enabled never
load kvm
vcpu()
{
	for task in /proc/$pid/task/*; do
		read -r comm <$task/comm
		case $comm in "CPU 0/KVM"*) echo ${task##*/} ;; esac
	done
}
at_point()
{
	case $1 in
	stay)
		thread=$(vcpu)
		[ -n "$thread" ] || fail "finding the vCPU's thread"
		taskset -p 1 $thread >/dev/null
		trace_on 65536 kvm:kvm_exit kvm:kvm_cpuid sched:sched_migrate_task
		;;
	move)
		(while :; do
			taskset -p 2 $thread
			taskset -p 1 $thread
		done) >/dev/null 2>&1 &
		mover=$!
		;;
	end)
		kill $mover
		trace_off vm
		;;
	esac
}
l2 vm -name vm,debug-threads=on
l2_serve vm
]]
local l2_moves = ([[
point stay
probe switch N PAGES
point move
PROBE_FIRST=2 probe switch N PAGES
point end
]]):gsub("N ", long // 2 .. " "):gsub("PAGES", pages)
-- --------------------------------------

for _, v in ipairs(variants) do
	l1 = l1 .. ("one %s '%s' '%s'\n"):format(v.name, v.parameters, v.append)
end
local run = lab.run({name = "switch", l1 = l1, l2 = l2})

report:section("5. Context switches, VPID, PCID, and moving a vCPU", 2)
report:p("In L2 two processes hand a byte to and fro through pipes,", tostring(switches), "context switches, and each touches", tostring(pages), "pages in its turn.",
	"A fill is a translation that the processor had to look up by walking page tables, guest's and EPT's.")
local rows, data = {}, {}
for i, v in ipairs(variants) do
	local inside, o = lab.inside(run.files[v.name .. ".trace"])[1], run.marks[1][i]

	lab.agree(v.name, o.exits, inside.exits)
	rows[i] = {
		v.what, switches, lab.sum(o.exits), lab.sum(inside.exits), o.exits.CR_ACCESS or 0, (o.exits.EXTERNAL_INTERRUPT or 0) + (o.exits.PREEMPTION_TIMER or 0),
		o.guest.tlb_fills, o.guest.tlb_fills / switches, o.vmx.INVEPT, o.vmx.INVVPID, o.guest.instructions // switches,
	}
	data[i] = {v.what, o.guest.tlb_fills / switches, lab.sum(o.exits) / switches}
	lab.baseline(v.name .. " exits", lab.sum(o.exits))
	lab.baseline(v.name .. " fills in L2", o.guest.tlb_fills)
end
report:table({"settings", "switches", "exits (nestbox)", "(L1)", "CR_ACCESS", "timer and interrupts", "fills in L2", "per switch", "INVEPT", "INVVPID",
	"L2 instructions per switch"}, rows)
report:plot("switch", "Experiment 5: per context switch in L2",
	"set style data histograms\nset style fill solid\nset boxwidth 0.9\nset xtics rotate by -12\nset ylabel 'per context switch'\nset key outside top horizontal\n"
	.. "plot DATA using 2:xtic(1) ls 1 title 'translation-cache fills', '' using 3 ls 3 title 'VM exits'", data)

report:p("**Found.** With EPT a context switch of L2 causes no exit at all, whatever VPID and PCID are: MOV to CR3 does not exit. Without PCID each switch drops",
	"translations, which shows as fills, not as exits; without VPID every exit and entry drops all of them, which hardly counts when there are few exits.",
	"Without EPT each switch is one CR_ACCESS exit.")
local moved = lab.run({name = "moves", cpus = 2, l1 = l1_moves, l2 = l2_moves})
local inside = lab.inside(moved.files["vm.trace"], function(phase, event, rest)
	if event == "sched_migrate_task" and rest:find("KVM") then
		phase.migrated = (phase.migrated or 0) + 1
	end
end)
rows = {}
for n, what in ipairs({"stays on CPU 0", "is moved between CPU 0 and CPU 1"}) do
	local o = moved.outside[n]

	lab.agree("vCPU " .. what, o.exits, inside[n].exits)
	rows[n] = {
		what, inside[n].migrated or 0, o.vmx.VMCLEAR, o.vmx.VMPTRLD, o.vmx.INVEPT, o.vmx.INVVPID, lab.sum(o.exits), lab.sum(inside[n].exits),
		o.exits.EXTERNAL_INTERRUPT or 0, o.guest.tlb_fills,
	}
	lab.baseline("vCPU phase " .. n .. " VMCLEAR", o.vmx.VMCLEAR)
	lab.baseline("vCPU phase " .. n .. " VMPTRLD", o.vmx.VMPTRLD)
	lab.baseline("vCPU phase " .. n .. " exits", lab.sum(o.exits))
end
report:p("L1 with two CPUs:", tostring(long), "switches in L2 while its vCPU's thread is bound to one CPU, then as many while `taskset` in L1 moves it as fast as it can.")
report:table({"the vCPU", "moves (sched_migrate_task)", "VMCLEAR (nestbox)", "VMPTRLD", "INVEPT", "INVVPID", "exits (nestbox)", "(L1)", "EXTERNAL_INTERRUPT",
	"fills in L2"}, rows)
report:p("**Found.** A vCPU that stays needs none of these instructions. Each move to the other CPU costs one VMCLEAR (on the CPU that it leaves, by an inter-processor interrupt), one",
	"VMPTRLD, and one invalidation of what the new CPU may have kept from an earlier stay (INVEPT), after which translations are filled again. It causes no page",
	"fault and no EPT violation: pinning has nothing to do with minor faults.")
lab.finish(report)
