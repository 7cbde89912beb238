-- Experiment 3: Minor faults that grow: which cause takes pages out of the EPT, and which share of violations and minor faults does each explain?
scenario {name = "3-minor-faults", about = "KSM, reclaim, khugepaged, dirty logging, fresh pages, and an idle guest", seconds = 2400}
local lab = include("lab.lua")
local report = include("report.lua")(3, lab.out)

-- ---- what a reader may change ----
local pages = lab.short and 256 or 2048
local variants = {
	{name = "ad", title = "EPT accessed and dirty flags on (KVM's default)", parameters = ""},
	{name = "noad", title = "EPT accessed and dirty flags off (kvm_intel.eptad=0)", parameters = "eptad=0"},
}
-- Each cause has an L2 of its own, whose program has written all its pages. While it waits, L1 runs `l1`; then it does the steps of probe.c in `l2`.
local trickle = lab.short and 5 or 20
local causes = {
	{name = "idle", what = "nothing: L1 and L2 sleep", l1 = "sleep 1", l2 = {"idle sleep:" .. (lab.short and 1 or 5)}},
	{name = "trickle", what = "an idle guest that takes 16 new pages every 0.2 s", l1 = "true", l2 = {"trickle" .. (" fresh:16 sleep:0.2"):rep(trickle)},
		first = "fresh:10000"},
	{name = "ksm", what = "KSM merges equal pages", first = "same", l1 = "run_ksm", l2 = {"read read", "write write", "write-again write"}},
	{name = "noswap", what = "reclaim, no swap", l1 = "reclaim", l2 = {"read read", "write write"}},
	{name = "swap", what = "reclaim with swap (zram)", l1 = "swap_reclaim", l2 = {"read read", "write write"}, after = "swap_off"},
	{name = "dirty", what = "dirty logging begins", l1 = "dirty_begin", l2 = {"write write", "write-again write"}, after = "dirty_end"},
	{name = "khugepaged", what = "khugepaged collapses", before = "huge_on", between = "fresh:2048", l1 = "collapse", l2 = {"read read", "write write"}},
}
if lab.short then
	variants = {variants[1]}
	causes = {causes[1], causes[3], causes[4], causes[6]}
end
local l1 = [[
thp=/sys/kernel/mm/transparent_hugepage
ksm=/sys/kernel/mm/ksm
setting $thp/enabled never
load kvm kvm-intel="PARAMETERS"
load swap
mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir /sys/fs/cgroup/lab
setting /sys/fs/cgroup/cgroup.subtree_control +memory
printf '#!/bin/sh\necho $$ >/sys/fs/cgroup/lab/cgroup.procs\nexec "$@"\n' >/tmp/in-cgroup
chmod 755 /tmp/in-cgroup
wrapper=/tmp/in-cgroup

run_ksm()
{
	setting $ksm/pages_to_scan 20000
	setting $ksm/sleep_millisecs 10
	setting $ksm/run 1
	sleep 2
	setting $ksm/run 0
}
reclaim() # all that the kernel is willing to take from QEMU
{
	echo 256M >/sys/fs/cgroup/lab/memory.reclaim 2>/dev/null
}
swap_reclaim()
{
	echo 512M >/sys/block/zram0/disksize
	mkswap /dev/zram0 >/dev/null
	swapon /dev/zram0
	echo 32M >/sys/fs/cgroup/lab/memory.reclaim 2>/dev/null
}
swap_off()
{
	swapoff /dev/zram0
	echo 1 >/sys/block/zram0/reset
}
dirty_begin()
{
	monitor $name "calc_dirty_rate -b 1"
	sleep 0.3
}
dirty_end()
{
	sleep 1
	monitor $name "info dirty_rate"
	sleep 0.3
}
huge_on() # QEMU's next fault where no page table is yet tells khugepaged of it
{
	setting $thp/khugepaged/scan_sleep_millisecs 600000
	setting $thp/enabled always
}
collapse()
{
	setting $thp/khugepaged/max_ptes_none 511
	setting $thp/khugepaged/pages_to_scan 65536
	setting $thp/khugepaged/scan_sleep_millisecs 10
	sleep 2
	setting $thp/enabled never
}
counters()
{
	grep . $ksm/pages_* $thp/khugepaged/pages_collapsed
	grep -E '^(pswp|pgscan|pgsteal|thp_collapse|ksm|cow_ksm)' /proc/vmstat
	cat /sys/fs/cgroup/lab/memory.current /sys/fs/cgroup/lab/memory.swap.current
}
at_point()
{
	case $1 in
	before) $before ;;
	*)
		sample "$name.$1"
		counters >"/results/$name.$1.counters"
		;;
	esac
	case $1 in
	act)
		trace_on 65536 kvm:kvm_exit kvm:kvm_cpuid kvm:kvm_unmap_hva_range kvm:kvm_set_spte_hva kvm:kvm_age_hva kvmmmu:fast_page_fault
		during $phase $act
		sample "$name.acted"
		;;
	done)
		trace_off "$name"
		$after
		;;
	esac
}
cause() # NAME PHASE ACTION BEFORE AFTER STEP...
{
	cause=$1
	phase=$2
	act=$3
	before=$4
	after=$5
	shift 5
	l2arg=$*
	l2 $cause
	l2_serve $cause
	setting $thp/enabled never
}
]]
local l2 = "probe steps " .. pages .. " $*\n"
-- --------------------------------------

local function steps_of(c)
	local text = "fill" .. (c.first and " " .. c.first or "") .. (c.before and " point:before" or "") .. (c.between and " " .. c.between or "") .. " point:act"

	for i, step in ipairs(c.l2) do
		text = text .. " mark:" .. step
	end
	return text .. " end point:done"
end
for i, c in ipairs(causes) do
	c.phase = 32 + i
	l1 = l1 .. ("cause %s %d %s %s %s %s\n"):format(c.name, c.phase, "'" .. c.l1 .. "'", c.before or "true", c.after or "true", steps_of(c))
end

-- nestbox's own look at L1's kernel: calls of these functions. The first argument of handle_mm_fault is the vm_area_struct; its third word is the
-- mm_struct, by which the faults of one QEMU are told from those of L1's shell.
local notifiers = {
	unmap = "kvm_mmu_notifier_invalidate_range_start", set = "kvm_mmu_notifier_change_pte", age = "kvm_mmu_notifier_clear_flush_young",
}

local function measure(v)
	local faults, counters, windows, m_hz = nil, {}, {}, nil
	local curve = {}
	local current
	local run = lab.run({
		name = v.name, l1 = (l1:gsub("PARAMETERS", v.parameters)), l2 = l2,
		observe = function(m)
			m_hz = m:hz()
			faults = m:count(lab.symbol("handle_mm_fault") .. " if level == 1", "u64(rdi+16)")
			m:on("exit EPT_VIOLATION", function(e)
				curve[#curve + 1] = {e.time, "violation"}
			end)
			m:on(lab.symbol("handle_mm_fault") .. " if level == 1", function(e)
				curve[#curve + 1] = {e.time, m:u64(m:reg("rdi", e.cpu) + 16, "linear", e.cpu)}
			end)
		end,
		loaded = function(m, symbols)
			for name, symbol in pairs(notifiers) do
				counters[name] = m:count(hex(symbols[symbol]) .. " if level == 1")
			end
			m:on(hex(symbols[notifiers.unmap]) .. " if level == 1", function(e)
				curve[#curve + 1] = {e.time, "unmap"}
			end)
		end,
		more = function()
			local c = {mm = faults:table()}

			for name, counter in pairs(counters) do
				c[name] = counter:total()
			end
			return c
		end,
	})
	-- Each L2 numbers its phases from 1: they are told apart by the phase of L1 before them.
	local before = 0

	v.causes, v.hz = {}, m_hz
	for i, c in ipairs(causes) do
		local inside, said = lab.inside(run.files[c.name .. ".trace"]), lab.phases(run.files[c.name .. ".log"])
		local got = {cause = c, phases = {}}
		local begin, finish = run.marks[c.phase][1].begin, nil

		for n = 0, #c.l2 do
			local outside = n == 0 and run.marks[c.phase][1] or lab.first_after(run.marks[n], finish)
			local p = {name = n == 0 and "L1: " .. c.l1:gsub("_", " ") or "L2: " .. said[n].name, outside = outside, inside = inside[n == 0 and c.phase or n]}

			lab.agree(v.name .. " " .. c.name .. " " .. n, p.outside.exits, p.inside.exits)
			for _, pair in ipairs({{"unmap", "kvm_unmap_hva_range"}, {"set", "kvm_set_spte_hva"}, {"age", "kvm_age_hva"}}) do
				lab.agree(v.name .. " " .. c.name .. " " .. n, {[pair[2]] = p.outside.more[pair[1]]}, {[pair[2]] = p.inside.events[pair[2]] or 0})
			end
			got.phases[n] = p
			finish = outside.finish
		end
		-- QEMU is whoever has faulted most while L2 booted.
		local most, sum = nil, {}
		for _, point in ipairs(curve) do
			local mm = point[2]

			if math.type(mm) == "integer" and point[1] > before and point[1] < begin then
				sum[mm] = (sum[mm] or 0) + 1
				most = (not most or sum[mm] > sum[most]) and mm or most
			end
		end
		before = finish
		got.mm, got.begin, got.finish = most, begin, finish
		got.acted = lab.difference(lab.sample(run.files[c.name .. ".act.sample"]), lab.sample(run.files[c.name .. ".acted.sample"]))
		got.after = lab.difference(lab.sample(run.files[c.name .. ".acted.sample"]), lab.sample(run.files[c.name .. ".done.sample"]))
		got.counters = {run.files[c.name .. ".act.counters"], run.files[c.name .. ".done.counters"]}
		got.violations, got.faults, got.unmaps = {}, {}, {}
		for _, point in ipairs(curve) do
			if point[1] >= begin and point[1] <= finish then
				if point[2] == "violation" then
					got.violations[#got.violations + 1] = point[1]
				elseif point[2] == "unmap" then
					got.unmaps[#got.unmaps + 1] = point[1]
				elseif point[2] == most then
					got.faults[#got.faults + 1] = point[1]
				end
			end
		end
		v.causes[i] = got
	end
	v.run = run
end
for _, v in ipairs(variants) do
	measure(v)
end

-- ---- the report ----

report:section("3. Minor faults that grow", 2)
report:p("For each cause a fresh L2 runs, whose program has written", tostring(pages), "pages of 4 KiB and waits. L1 then does something to QEMU's memory",
	"(first line), and the program touches its pages again (the other lines). Minor faults are those of the whole QEMU process, from `/proc/PID/stat`, and",
	"nestbox's count of calls of `handle_mm_fault` in L1 for QEMU's memory; unmappings are KVM's MMU notifiers, as tracepoints and as nestbox's count of the",
	"functions' calls. Transparent huge pages are off but for khugepaged's turn.")
local while_ksmd = {}
for _, v in ipairs(variants) do
	for _, c in ipairs(v.causes) do
		if c.cause.name == "ksm" then
			while_ksmd[#while_ksmd + 1] = ("%d with %s"):format(c.phases[0].outside.exits.EPT_VIOLATION or 0, v.parameters == "" and "the flags on" or v.parameters)
		end
	end
end
while_ksmd = table.concat(while_ksmd, ", ")
report:p("**Found.**")
report:list({
	"Idle is idle: with nothing else going on, an L2 that sleeps causes neither EPT violations nor minor faults of QEMU.",
	"What makes the minor faults of a QEMU with plenty of memory and no swap grow slowly is, first, the guest itself: each page that its kernel uses for the first "
		.. "time is one EPT violation and one minor fault (\"takes new pages\"), until it has touched all it was given.",
	"KSM makes them grow without end: merging takes pages out of the EPT (set-pte and unmap notifiers), reading one back is a violation without a fault (KVM finds the "
		.. "merged page in QEMU's page table), writing is **two** violations and one minor fault: the first finds the entry missing or read-only and lets the fault "
		.. "handler copy the page, which unmaps it once more; the second maps the copy.",
	"Reclaim without swap takes nothing from QEMU: the kernel does not even scan anonymous memory (age notifier 0, unmap 0). With swap it does, and what it took "
		.. "comes back as violations with minor and major faults. So \"swap is off\" does rule reclaim out.",
	"Dirty logging, as in migration, causes no minor faults: with EPT dirty flags it is page-modification logging (PML_FULL exits, one per 512 pages), without them "
		.. "one EPT violation per page written, repaired by `fast_page_fault` in KVM alone. (The few faults when it begins are of QEMU's own new thread.)",
	"khugepaged unmaps what it collapses, and one violation maps 2 MiB again; no minor fault, since the huge page is in QEMU's page table already.",
	"EPT violations and minor faults are different counts: a violation needs a fault only if QEMU's own page table lacks the page or forbids the write.",
	"Without accessed flags (eptad=0) aging makes entries inaccessible instead of reading a flag: more violations at the next touch, repaired by `fast_page_fault`, no more minor faults.",
	"While ksmd works, even an idle guest has violations (here " .. while_ksmd .. "), hardly any with a fault. With the flags on, the processor's walk of L2's own page tables "
		.. "counts as a write, and some of those tables are merged pages. How many exits that makes depends on how ksmd and the guest interleave: in a run traced by hand "
		.. "nearly all were one such walk (qualification `0x83`) that exited again and again for 5 ms, while ksmd stood between begin and end of an invalidation; KVM retries as "
		.. "long as one is in progress.",
})
for _, v in ipairs(variants) do
	local rows, total_violations, total_faults = {}, 0, 0

	report:section(v.title, 3)
	for _, c in ipairs(v.causes) do
		for n = 0, #c.phases do
			local p = c.phases[n]
			local o, i = p.outside, p.inside

			rows[#rows + 1] = {
				n == 0 and c.cause.what or "", p.name, o.exits.EPT_VIOLATION or 0, i.exits.EPT_VIOLATION or 0, o.exits.PML_FULL or 0, o.more.unmap,
				i.events.kvm_unmap_hva_range or 0, o.more.set, o.more.age, i.events.fast_page_fault or 0, o.more.mm[c.mm] or 0,
				n == 0 and c.acted.minor or n == #c.phases and c.after.minor or "", n == 0 and c.acted.major or n == #c.phases and c.after.major or "",
			}
		end
		total_violations = total_violations + #c.violations
		total_faults = total_faults + #c.faults
	end
	report:table({"cause", "phase", "EPT violations (nestbox)", "(L1)", "PML_FULL", "unmap notifier (nestbox)", "(L1)", "set-pte notifier", "age notifier",
		"fast_page_fault (L1)", "handle_mm_fault of QEMU (nestbox)", "QEMU minor faults (/proc)", "major"}, rows)
	rows = {}
	for i, c in ipairs(v.causes) do
		rows[i] = {c.cause.what, #c.violations, 100.0 * #c.violations / math.max(1, total_violations), #c.faults, 100.0 * #c.faults / math.max(1, total_faults)}
	end
	report:p("Shares of what this experiment caused in all (from the beginning of L1's action to the end of L2's last touch):")
	report:table({"cause", "EPT violations", "%", "faults of QEMU", "%"}, rows)
end

-- Cumulative curves over virtual time, from the beginning of L1's action; at most 200 points for each.
local function curves(v, field)
	local data = {}

	for index, c in ipairs(v.causes) do
		local times = c[field]

		data[#data + 1] = {0.0, 0.5, index}
		for i = 1, #times do
			if i == #times or i % math.max(1, #times // 200) == 0 then
				data[#data + 1] = {(times[i] - c.begin) / v.hz, i, index}
			end
		end
		data[#data + 1] = {(c.finish - c.begin) / v.hz, math.max(0.5, #times), index}
	end
	return data
end
for _, v in ipairs(variants) do
	for _, what in ipairs({{"violations", "EPT violations"}, {"unmaps", "unmappings"}, {"faults", "minor faults of QEMU"}}) do
		local plots = {}

		for index, c in ipairs(v.causes) do
			plots[index] = ("DATA using ($3 == %d ? $1 : NaN):2 with steps ls %d lw 2 title '%s'"):format(index, index, c.cause.name)
		end
		report:plot(v.name .. "-" .. what[1], "Experiment 3: " .. what[2] .. " over virtual time, by cause (" .. v.title .. ")",
			"set datafile missing NaN\nset key outside top horizontal\nset logscale y\nset yrange [0.4:*]\nset style line 7 lc rgb '#3ca951'\nset xlabel 'seconds of virtual time since L1 began to act'\nset ylabel '" .. what[2]
			.. ", cumulative (log)'\nplot " .. table.concat(plots, ", "), curves(v, what[1]))
	end
end
report:p("L1's own counters, at the beginning and at the end of each cause, are in the run's files `*.counters`, `*.sample`.")
for _, v in ipairs(variants) do
	for _, c in ipairs(v.causes) do
		for n = 0, #c.phases do
			local p = c.phases[n]

			lab.baseline(("%s %s %d violations"):format(v.name, c.cause.name, n), p.outside.exits.EPT_VIOLATION or 0)
			lab.baseline(("%s %s %d unmap notifier"):format(v.name, c.cause.name, n), p.outside.more.unmap)
			lab.baseline(("%s %s %d faults of QEMU"):format(v.name, c.cause.name, n), p.outside.more.mm[c.mm] or 0)
		end
	end
end
lab.finish(report)
