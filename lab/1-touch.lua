-- Experiment 1: a program in L2 touches fresh pages. Which page faults exit, who fills the EPT, what does the second touch cost?
scenario {name = "1-touch", about = "page faults, EPT violations and minor faults of pages touched in L2", seconds = 1500}
local lab = include("lab.lua")
local report = include("report.lua")(1, lab.out)

-- ---- what a reader may change ----
local pages = lab.short and 512 or 2048
local words = {"nothing", "write", "write-again", "recycle", "read", "write-after-read", "huge-write", "huge-write-again", "huge-recycle"}
-- How L1 is set up: transparent huge pages for QEMU's memory, and parameters of kvm-intel.
local variants = {
	{name = "ept4k", title = "EPT, L1 gives QEMU 4 KiB pages", thp = "never", parameters = ""},
	{name = "ept2m", title = "EPT, L1 gives QEMU transparent huge pages (2 MiB)", thp = "always", parameters = ""},
	{name = "shadow", title = "No EPT (kvm_intel.ept=0): shadow paging", thp = "never", parameters = "ept=0"},
}
if lab.short then
	variants = {variants[1]}
end

local l2 = "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled\nprobe touch " .. pages .. " hold:10000"
for i, word in ipairs(words) do
	l2 = l2 .. " point:" .. i .. " " .. word
end
l2 = l2 .. " point:" .. #words + 1 .. "\n"

local function l1(variant)
	return ([[
setting /sys/kernel/mm/transparent_hugepage/enabled THP
load kvm kvm-intel="PARAMETERS"
at_point()
{
	sample "$1"
}
trace_on 98304 kvm:kvm_exit kvm:kvm_cpuid kvm:kvm_page_fault kvm:kvm_inj_exception
l2 vm
l2_serve vm
trace_off vm
]]):gsub("THP", variant.thp):gsub("PARAMETERS", variant.parameters)
end
-- --------------------------------------

local function measure(variant)
	local faults, injected
	local run = lab.run({
		name = variant.name, l1 = l1(variant), l2 = l2,
		observe = function(m)
			faults = m:count(lab.symbol("handle_mm_fault") .. " if level == 1")
			injected = m:count("inject 14")
		end,
		more = function(m, cpu)
			return {
				faults = faults:total(), injected = injected:total(),
				leaves = variant.parameters == "" and lab.ept_leaves(m, m:vmcs("eptp", cpu)) or {},
			}
		end,
	})
	local inside, said = lab.inside(run.files["vm.trace"]), lab.phases(run.files["vm.log"])

	variant.phases = {}
	for i, word in ipairs(words) do
		local a, b = lab.sample(run.files[i .. ".sample"]), lab.sample(run.files[i + 1 .. ".sample"])
		variant.phases[i] = {
			word = word, guest = said[i], outside = run.outside[i], inside = inside[i], sample = lab.difference(a, b),
		}
		lab.agree(variant.name .. " " .. word, run.outside[i].exits, inside[i].exits)
	end
	lab.agree(variant.name .. " whole run", run.stats.vm_exits, lab.total_exits(inside))
	return run
end

local function reasons_of(variant)
	local sum = {}

	for _, phase in ipairs(variant.phases) do
		for reason, count in pairs(phase.outside.exits) do
			sum[reason] = (sum[reason] or 0) + count
		end
	end
	return sum
end

for _, variant in ipairs(variants) do
	measure(variant)
end

-- ---- the report ----

report:section("1. Touching fresh pages", 2)
report:p("A static program (`lab/probe.c`) in L2 touches one byte in each of", tostring(pages), "pages of 4 KiB: first access by writing, again, after",
	"`MADV_DONTNEED` (recycle: the same memory goes back to L2's kernel and is asked for again), by reading, by writing after reading; then the same",
	"in memory advised `MADV_HUGEPAGE` in L2. Before, it takes 10000 pages, so that what L2's kernel freed since its boot is used up: the pages are",
	"fresh for L1, too. \"Nothing\" is the control: two marks in a row.")
report:p("**Found.**")
report:list({
	"With EPT no guest page fault exits: L2's kernel took every #PF itself (column `#PF exits` is 0 throughout).",
	"A VM exit comes only when the guest touches guest-physical memory that the EPT does not map yet. First touch of a fresh page: one #PF inside "
		.. "L2 (its kernel fills its own page table) and, as that kernel clears the page, one EPT violation (L1 fills the EPT). Touching again: neither.",
	"Recycled pages cost L2 its #PFs again but no exit: the EPT entry stays when L2 frees the page. L1 is not told.",
	"Reading first costs #PFs only: all pages are L2's one zero page, which the EPT maps already. The violations come with the write.",
	"The one that allocates L1's page and is charged the minor fault is QEMU's vCPU thread, in the kernel, inside the handling of the violation: as many "
		.. "minor faults as EPT violations, and as many leaf entries. L1's processor takes no #PF for it: KVM calls `handle_mm_fault` through "
		.. "get_user_pages. `/proc/PID/stat` counts it all the same.",
	"A huge page in L2 alone saves L2's #PFs, not the violations: its kernel clears 2 MiB and each 4 KiB of it is a violation of its own. With huge "
		.. "pages in L1 one violation maps 2 MiB (512 pages), whatever size L2 uses.",
	"Without EPT the thread's picture of old is right: every #PF exits, KVM injects the guest's own back and fills the shadow table for the rest: two "
		.. "to three #PF exits per fresh page, and INVLPG exits too.",
})
for _, variant in ipairs(variants) do
	local rows, shadow = {}, variant.parameters ~= ""

	report:section(variant.title, 3)
	for i, p in ipairs(variant.phases) do
		local o, s = p.outside, p.sample
		local exits = o.exits
		local leaves = o.more.leaves

		rows[i] = shadow and {
			p.word, p.guest.minor, o.guest.page_faults, o.more.injected, p.inside.events.kvm_inj_exception or 0, exits.EXCEPTION_NMI or 0,
			exits.CR_ACCESS or 0, exits.INVLPG or 0, lab.sum(exits), lab.sum(p.inside.exits), s.minor, o.more.faults,
		} or {
			p.word, p.guest.minor, o.guest.page_faults, exits.EXCEPTION_NMI or 0, exits.EPT_VIOLATION or 0, p.inside.exits.EPT_VIOLATION or 0,
			lab.sum(exits), lab.sum(p.inside.exits), s.minor, o.more.faults, leaves["4k"] or 0, s.kvm.pages_4k, leaves["2m"] or 0, s.kvm.pages_2m,
		}
	end
	report:table(shadow and {"phase", "L2: getrusage minor", "#PF raised in L2 (nestbox)", "#PF injected (nestbox)", "(kvm_inj_exception)", "#PF exits",
		"CR_ACCESS", "INVLPG", "all exits (nestbox)", "all exits (L1 trace)", "QEMU minor faults", "handle_mm_fault in L1 (nestbox)"} or
		{"phase", "L2: getrusage minor", "#PF in L2 (nestbox)", "#PF exits", "EPT violations (nestbox)", "(L1 trace)", "all exits (nestbox)",
		"(L1 trace)", "QEMU minor faults", "handle_mm_fault in L1 (nestbox)", "EPT 4K leaves (nestbox)", "pages_4k (debugfs)", "EPT 2M leaves (nestbox)",
		"pages_2m (debugfs)"}, rows)
end
report:plot("faults", "Experiment 1: guest page faults, VM exits for page faults, EPT violations and QEMU's minor faults by phase (" .. variants[1].title .. ")",
	"set style data histograms\nset style fill solid\nset boxwidth 0.9\nset key outside top horizontal\nset ylabel 'count'\nset xtics rotate by -25\n"
	.. "plot DATA using 2:xtic(1) ls 1 title '#PF in L2', '' using 3 ls 3 title '#PF exits', '' using 4 ls 2 title 'EPT violations', "
	.. "'' using 5 ls 4 title 'minor faults of QEMU'",
	(function()
		local rows = {}
		for i, p in ipairs(variants[1].phases) do
			rows[i] = {p.word, p.outside.guest.page_faults, p.outside.exits.EXCEPTION_NMI or 0, p.outside.exits.EPT_VIOLATION or 0, p.sample.minor}
		end
		return rows
	end)())
for _, variant in ipairs(variants) do
	local counts = reasons_of(variant)

	for _, reason in ipairs(lab.keys(counts)) do
		lab.baseline(variant.name .. " " .. reason, counts[reason])
	end
	for _, p in ipairs(variant.phases) do
		lab.baseline(variant.name .. " " .. p.word .. " guest page faults", p.outside.guest.page_faults)
		lab.baseline(variant.name .. " " .. p.word .. " violations", p.outside.exits.EPT_VIOLATION or 0)
		lab.baseline(variant.name .. " " .. p.word .. " QEMU minor faults", p.sample.minor)
	end
end
lab.finish(report)
