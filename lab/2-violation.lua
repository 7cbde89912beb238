-- Experiment 2: The way of one EPT violation, step by step: the guest's instruction, both page tables, the exit, L1's functions, the entry written, the retry.
scenario {name = "2-violation", about = "one EPT violation from the guest's store to the retry", seconds = 900}
local lab = include("lab.lua")
local report = include("report.lua")(2, lab.out)

-- ---- what a reader may change ----
local skip_faults = 2 -- page faults of the program before the one that is shown
local l1 = [[
setting /sys/kernel/mm/transparent_hugepage/enabled never
load kvm
trace_on 16384 kvm:kvm_exit kvm:kvm_cpuid kvm:kvm_page_fault kvm:kvm_entry
l2 vm
l2_serve vm
trace_off vm
]]
local l2 = "probe touch 16 hold:10000 write\n"
-- L1's functions on the way, in the order in which they are expected to be entered.
local way = {
	{"vmx_handle_exit", "KVM: what was the exit?"}, {"handle_ept_violation", "KVM: exit qualification to page-fault error code"},
	{"kvm_mmu_page_fault", "KVM MMU: a fault of a direct (EPT) mapping"}, {"kvm_tdp_page_fault", ""}, {"direct_page_fault", ""},
	{"kvm_faultin_pfn", "which page of the host is behind the guest's address?"}, {"hva_to_pfn", "not in QEMU's page table yet"},
	{"get_user_pages_unlocked", "so have it made"}, {"handle_mm_fault", "the host page fault: QEMU's minor fault is counted here, without any #PF of the processor"},
	{"__handle_mm_fault", ""}, {"vma_alloc_folio", "a page for QEMU"}, {"__alloc_pages", "L1's page allocator"}, {"clear_page_erms", "L1 clears it"},
	{"kvm_tdp_mmu_map", "KVM: map it"}, {"vmx_vcpu_run", "back to the guest"},
}
-- --------------------------------------

local symbols, addresses = nil, {}
-- Symbol, start and end of the function that an address lies in.
local function function_of(address)
	local low, high = 1, #addresses

	while low < high do
		local middle = (low + high + 1) // 2

		if math.ult(address, addresses[middle][1]) then
			high = middle - 1
		else
			low = middle
		end
	end
	return addresses[low][2], addresses[low][1], addresses[low + 1] and addresses[low + 1][1] or addresses[low][1] + 4096
end

-- Does the function at `from` go on in the one at `to` by a jump (a tail call), over at most `depth` others?
local function jumps(m, from, to, depth)
	local _, start, finish = function_of(from)
	local code = start == from and m:read(from, math.min(finish - from, 8192), "linear")

	for at = 1, code and #code - 5 or 0 do
		local short = code:byte(at) == 0xe9
		if short or code:byte(at) == 0x0f and code:byte(at + 1) & 0xf0 == 0x80 and at + 5 <= #code then
			local length = short and 5 or 6
			local target = from + at - 1 + length + ("<i4"):unpack(code, at + length - 4)

			if target == to then
				return true
			end
			local _, its_start = function_of(target)
			if depth > 1 and its_start == target and target ~= from and jumps(m, target, to, depth - 1) then
				return true
			end
		end
	end
	return false
end

-- The calls that led here, without debug information: a word on the stack counts as a return address if the instruction before it is a call of the
-- function reached last, or an indirect one, or of a function that goes on in the one reached last by a jump.
local function calls(m)
	local name, start = function_of(m:reg("rip"))
	local list, rsp = {name}, m:reg("rsp")
	local stack = m:read(rsp, 4096 - (rsp & 4095), "linear") .. (m:read((rsp | 4095) + 1, 8192, "linear") or "")
	local function find(from)
		for at = from, #stack - 7, 8 do
			local word = ("<i8"):unpack(stack, at)
			local code = word < 0 and word >= -0x80000000 and m:read(word - 5, 5, "linear")

			if code and code:byte(1) == 0xe8 then
				local target = word + ("<i4"):unpack(code, 2)
				local called, called_start = function_of(target)

				if target == start or called:find("__x86_indirect_thunk") or called:find("^__SCT__") then
					return at, word
				elseif target == called_start and jumps(m, target, start, 3) then
					return at, word, called
				end
			end
		end
	end
	local at = 1

	while at and #list < 24 do
		local next_at, word, through = find(at)

		if next_at then
			name, start = function_of(word)
			list[#list + 1] = ("%s+0x%x%s"):format(name, word - start, through and " (by way of " .. through .. ")" or "")
			next_at = next_at + 8
		end
		at = next_at
	end
	return list
end

local function indented(list)
	local lines = {}

	for i, name in ipairs(list) do
		lines[i] = (i == 1 and "   " or "<- ") .. name
	end
	return table.concat(lines, "\n")
end

-- SDM 3, table "Exit Qualification for EPT Violations".
local function qualification_text(q)
	local bits = {
		{0, "a data read"}, {1, "a data write"}, {2, "an instruction fetch"}, {3, "the entry allows reading"}, {4, "the entry allows writing"},
		{5, "the entry allows execution"}, {7, "the guest-linear address is valid"}, {8, "the access was to the page itself (clear: to a page table)"},
		{9, "with advanced information: user-mode address"}, {10, "with advanced information: read/write page"}, {11, "with advanced information: execute-disable"},
		{12, "NMI unblocking due to IRET"},
	}
	local list = {}

	for _, bit in ipairs(bits) do
		if q >> bit[1] & 1 == 1 then
			list[#list + 1] = ("bit %d: %s"):format(bit[1], bit[2])
		end
	end
	if q & 0x38 == 0 then
		list[#list + 1] = "bits 5:3 clear: the entry allows nothing, there is none"
	end
	return list
end

local m, base = lab.boot({name = "violation", l1 = l1, l2 = l2})
report:section("2. The way of one EPT violation", 2)
report:p("`" .. l2:gsub("\n", "") .. "` in L2 writes fresh pages. nestbox stops the machine at each station of one of these writes; instruction counts are exact and the same",
	"in every run. Function names are from L1's `/proc/kallsyms`; L2 runs the same kernel.")

symbols = lab.place(m)
for name, address in pairs(symbols) do
	addresses[#addresses + 1] = {address, name}
end
table.sort(addresses, function(a, b)
	return math.ult(a[1], b[1]) or a[1] == b[1] and a[2] < b[2]
end)
m:run({event = "exit CPUID if rax >> 16 == 0x4e42 && (rax & 1)"})
for _ = 1, skip_faults do
	m:run({event = "exception 14 if level == 2"})
end

-- (a) the guest's own page fault
m:run({event = "exception 14 if level == 2"})
local first = m:icount()
local linear = m:reg("cr2")
report:section("Station 1: the store, and the guest's own page fault", 3)
report:p(("The program's store to %s faults: #PF through L2's own IDT, no VM exit (VM exits so far: %d, and still as many after it)."):format(hex(linear),
	lab.sum(m:exits())))
report:code(m:command("exits 1") .. m:command("walk " .. hex(linear)))

-- (b) L2's kernel clears the page that it has chosen
local exits_before = lab.sum(m:exits())
local why, detail = m:run({event = hex(symbols.clear_page_erms) .. " if level == 2"})
assert(why == "exits", why .. " " .. tostring(detail))
assert(lab.sum(m:exits()) == exits_before, "an exit between the guest's #PF and its clear_page")
local page = m:reg("rdi")
report:section("Station 2: L2's kernel has chosen a page and is about to clear it", 3)
report:p(("%d instructions later, without an exit, L2's kernel stands at `clear_page_erms` with the page's address in its direct map, %s. The calls:"):format(
	m:icount() - first, hex(page)))
report:code(indented(calls(m)))
report:p("L2's page table maps that address; the EPT does not map the guest-physical address that comes out:")
report:code(m:command("walk " .. hex(page)))

-- (c) the exit
m:run({exit = "EPT_VIOLATION"})
local exit_icount = m:icount()
local q, gpa, gla = m:vmcs("exit_qualification"), m:vmcs("guest_physical_address"), m:vmcs("guest_linear_address")
report:section("Station 3: the VM exit", 3)
report:p(("The first store of `rep stosb` exits. Exit reason 48 (EPT violation), qualification (`info1` in kvm_exit) `%s`, guest-physical `%s`, guest-linear `%s`, guest RIP `%s` (`%s`).")
	:format(hex(q), hex(gpa), hex(gla), hex(m:vmcs("guest_rip")), (function_of(m:vmcs("guest_rip")))))
report:list(qualification_text(q))
report:p("The thread's trace had `info 181`: " .. table.concat(qualification_text(0x181), "; ") .. ". The same event, caused by a read. A write gives `182`, a fetch `184`.")
report:code(m:command("exits 1") .. m:command("why"))

-- (d) L1's functions
local seen, order, faults_here = {}, {}, nil
for _, f in ipairs(way) do
	if symbols[f[1]] then
		m:on(hex(symbols[f[1]]) .. " if level == 1", function(e)
			if not seen[f[1]] then
				seen[f[1]] = true
				order[#order + 1] = {f[1], e.icount - exit_icount, f[2]}
			end
		end)
	end
end
local entry_at = tonumber(m:command("ept " .. hex(gpa)):match("PTE%s+at (0x%x+): 0000000000000000"))
local host_calls, map_calls
why = m:run({event = hex(symbols.vma_alloc_folio) .. " if level == 1"})
assert(why == "exits", "L1 allocates no page")
host_calls = calls(m)
local alloc = m:icount() - exit_icount
local written
if entry_at then
	m:run({event = "watch phys " .. hex(entry_at)})
	written = m:icount() - exit_icount
	map_calls = calls(m)
end
-- A watchpoint tells before the store: a few instructions later it is done.
m:run({event = "entry"})
local entry_icount = m:icount()
report:section("Station 4: L1", 3)
local rows = {}
for i, o in ipairs(order) do
	rows[i] = {o[2], o[1], o[3]}
end
report:table({"instructions after the exit", "L1 enters", ""}, rows)
report:p(("At instruction %d L1 allocates the page. The calls that led there, from KVM's handler of the violation through get_user_pages to the page fault handler of QEMU's memory:"):format(
	alloc))
report:code(indented(host_calls))
if written then
	report:p(("At instruction %d the EPT entry at physical %s is written:"):format(written, hex(entry_at)))
	report:code(indented(map_calls))
end

-- (e) the retry
report:section("Station 5: the entry, and the retry", 3)
report:p(("%d instructions after the exit L1 enters L2 again, at the same instruction (%s). Now both tables map the page:"):format(entry_icount - exit_icount,
	hex(m:vmcs("guest_rip"))))
report:code(m:command("ept " .. hex(gpa)))
local count = lab.sum(m:exits())
m:run({instructions = 64})
report:p(("64 iterations of `rep stosb` later: RDI has gone from %s to %s, exits since: %d."):format(hex(gla), hex(m:reg("rdi")), lab.sum(m:exits()) - count))
assert(m:reg("rdi") ~= gla, "the store was not retried")

-- The same exit in L1's own trace.
m:run()
local files = lab.results(m, base)
local found, traced = 0, {}
for line in files["vm.trace"]:gmatch("[^\n]+") do
	if line:find(("kvm_page_fault: .* address 0x%016x "):format(gpa)) then
		found = found + 1
		traced[#traced + 1] = line
	end
end
assert(found >= 1, "L1's trace does not have the violation at " .. hex(gpa))
report:p("L1's own trace of it (`kvm:kvm_page_fault`):")
report:code(table.concat(traced, "\n"))
report:p(("**Found.** One fresh page costs one #PF inside the guest and one EPT violation; in it L1 runs %d instructions: it finds that QEMU's memory has no page there, has one"):format(
	entry_icount - exit_icount), "allocated and cleared by the very code that serves a page fault of QEMU, and writes one EPT entry. The guest's instruction is then executed as if nothing had happened.")
lab.baseline("instructions from exit to entry", entry_icount - exit_icount)
lab.baseline("instructions to the allocation", alloc)
lab.baseline("stations", #order)
lab.finish(report)
