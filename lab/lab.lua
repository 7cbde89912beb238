-- What the experiments share: running Debian (L1) with an experiment's shell texts, counting from outside, reading what L1 counted, comparing.
-- Arguments (nestbox -script lab/1-touch.lua -arg images=DIR -arg out=DIR [-arg short=1] [-arg keep=1]): see ./nb lab. keep: write L1's traces, too.
local lab = {short = args.short == "1", images = args.images or "build/images", out = args.out or "."}

local MARK = 0x4e42 -- probe.c: CPUID with EAX = MARK << 16 | phase << 4 | begin

-- ---- tar archives: the disks by which files go into L1 and come back ----

local function tar_entry(name, text)
	local head = name .. ("\0"):rep(100 - #name) .. "0000644\0" .. "0000000\0" .. "0000000\0" .. ("%011o\0"):format(#text) .. "00000000000\0"
		.. "        " .. "0" .. ("\0"):rep(100) .. "ustar\0" .. "00"
	local sum = 0

	head = head .. ("\0"):rep(512 - #head)
	for i = 1, 512 do
		sum = sum + head:byte(i)
	end
	head = head:sub(1, 148) .. ("%06o\0 "):format(sum) .. head:sub(157)
	return head .. text .. ("\0"):rep(-#text % 512)
end

local function tar_write(files)
	local names, parts = {}, {}

	for name in pairs(files) do
		names[#names + 1] = name
	end
	table.sort(names)
	for _, name in ipairs(names) do
		parts[#parts + 1] = tar_entry(name, files[name])
	end
	return table.concat(parts) .. ("\0"):rep(10240)
end

local function tar_read(data)
	local at, files = 1, {}

	while at + 511 <= #data and data:byte(at) ~= 0 do
		local name = data:match("^[^\0]+", at):gsub("^%./", "")
		local size = tonumber(data:match("^[0-7]+", at + 124), 8)

		if data:sub(at + 156, at + 156) == "0" then
			files[name] = data:sub(at + 512, at + 511 + size)
		end
		at = at + 512 + (size + 511) // 512 * 512
	end
	return files
end

-- ---- inside: what L1 wrote down ----

-- Calls on_event(event, rest, task, pid, cpu, seconds) for each line of an ftrace text.
function lab.trace_lines(text, on_event)
	for task, pid, cpu, seconds, event, rest in text:gmatch("\n%s*([^\n]-)%-(%d+) +%[(%d+)%] [^ ]+ +([%d.]+): ([%w_]+): ([^\n]*)") do
		on_event(event, rest, task, tonumber(pid), tonumber(cpu), tonumber(seconds))
	end
end

-- The trace of one L2 with one vCPU by phases: phases[n].exits[REASON], .events[NAME], .seconds; what lies between phases is in phases[0].
-- An exit is in the phase in which it happens; the marks' own exits are in none.
function lab.inside(text, observe)
	local phases, now, last = {}, 0, nil
	local function phase(n)
		phases[n] = phases[n] or {exits = {}, events = {}}
		return phases[n]
	end
	local function add(map, key)
		map[key] = (map[key] or 0) + 1
	end

	local function mark(value, seconds)
		if value & 1 == 1 then
			now = value >> 4
			phase(now).begin = seconds
		else
			phases[now].finish = seconds
			now = 0
		end
	end

	phase(0)
	lab.trace_lines(text, function(event, rest, task, pid, cpu, seconds)
		if event == "kvm_exit" then
			last = rest:match("reason ([%w_]+)")
			add(phases[now].exits, last)
		elseif event == "kvm_cpuid" and rest:match("^func 4e42") then
			local value = tonumber(rest:match("^func 4e42(%x+)"), 16)
			local exits = phases[now].exits

			exits[last] = exits[last] > 1 and exits[last] - 1 or nil
			mark(value, seconds)
			return
		elseif event == "tracing_mark_write" and rest:match("^4e42") then
			mark(tonumber(rest:match("^4e42(%x+)"), 16), seconds)
			return
		end
		add(phases[now].events, event)
		if observe then
			observe(phases[now], event, rest, pid, seconds, now)
		end
	end)
	return phases
end

-- What probe printed at its end: phases by number with name, count, minor, major.
function lab.phases(log)
	local phases = {}

	for number, name, count, minor, major in log:gmatch("LAB phase (%d+) (%S+) count (%d+) minor (%d+) major (%d+)") do
		phases[tonumber(number)] = {
			number = tonumber(number), name = name, count = tonumber(count), minor = tonumber(minor), major = tonumber(major),
		}
	end
	return phases
end

-- Of a line of /proc/PID/stat: minor faults, major faults, user and system time in ticks.
local function proc_stat(line)
	local fields = {}

	for word in line:gsub("^%d+ %b() ", ""):gmatch("%S+") do
		fields[#fields + 1] = tonumber(word) or word
	end
	return {minor = fields[8], major = fields[10], user = fields[12], system = fields[13]}
end

-- A sample of l1-lib.sh: faults of QEMU as a whole and by thread, vmstat, KVM's statistics of the VM.
function lab.sample(text)
	local process, tasks, vmstat, kvm = text:match("== process\n(.-)== tasks\n(.-)== vmstat\n(.-)== kvm\n(.*)")
	local s = {process = proc_stat(process), threads = {}, kvm = {}, vmstat = {}}

	s.minor, s.major = s.process.minor, s.process.major
	for line in tasks:gmatch("[^\n]+") do
		s.threads[line:match("^%d+")] = proc_stat(line)
	end
	for name, value in vmstat:gmatch("(%S+) (%d+)") do
		s.vmstat[name] = tonumber(value)
	end
	for name, value in kvm:gmatch("/([%w_]+):(%d+)") do
		s.kvm[name] = tonumber(value)
	end
	return s
end

function lab.difference(a, b)
	local d = {}

	for key, value in pairs(b) do
		if type(value) == "table" then
			d[key] = lab.difference(a[key] or {}, value)
		elseif type(value) == "number" then
			d[key] = value - (a[key] or 0)
		end
	end
	return d
end

-- ---- outside: nestbox's counters between marks ----

-- nestbox's counters at this moment, summed over the processors.
function lab.counters(m)
	local stats = m:stats()
	local c = {
		exits = stats.vm_exits, instructions = stats.instructions, cycles = m:cycles(), tlb_fills = 0, tlb_flushes = 0, interrupts = 0,
		page_faults = 0, guest = {instructions = 0, tlb_fills = 0, page_faults = 0}, vmx = {},
	}

	for _, p in ipairs(stats.processors) do
		for _, name in ipairs({"tlb_fills", "tlb_flushes", "interrupts"}) do
			c[name] = c[name] + p[name]
		end
		c.page_faults = c.page_faults + (p.exceptions["14"] or 0)
		c.guest.instructions = c.guest.instructions + p.in_guest.instructions
		c.guest.tlb_fills = c.guest.tlb_fills + p.in_guest.tlb_fills
		c.guest.page_faults = c.guest.page_faults + (p.in_guest.exceptions["14"] or 0)
		for name, value in pairs(p.vmx_instructions) do
			c.vmx[name] = (c.vmx[name] or 0) + value
		end
	end
	return c
end

-- The leaf entries of the EPT in use, by a walk of the tables in L1's memory. SDM 3, "The EPT Translation Mechanism": bits 2:0 are the rights, bit 7 of
-- a PDPTE or PDE says that it maps a page. Write without read is a misconfiguration: KVM's mark of an MMIO page, not a mapping.
function lab.ept_leaves(m, eptp)
	local leaves = {["4k"] = 0, ["2m"] = 0, ["1g"] = 0, mmio = 0}
	local function walk(table_at, level)
		local data = m:read(table_at, 4096, "phys")

		for i = 0, data and 511 or -1 do
			local entry = ("<i8"):unpack(data, 8 * i + 1)

			if entry & 3 == 2 then
				leaves.mmio = leaves.mmio + 1
			elseif entry & 7 ~= 0 then
				if level == 1 or level < 4 and entry & 0x80 ~= 0 then
					local size = level == 1 and "4k" or level == 2 and "2m" or "1g"
					leaves[size] = leaves[size] + 1
				else
					walk(entry & 0x000ffffffffff000, level - 1)
				end
			end
		end
	end

	walk(eptp & 0x000ffffffffff000, 4)
	return leaves
end

-- Counts by phase, told by the marks. `more(machine, cpu)` may add a table of counters of the experiment's own, as field `more`.
local function outside(m, o)
	local phases, marks, open, before = {}, {}, nil, nil
	local function now(cpu)
		local c = lab.counters(m)

		c.more = o.more and o.more(m, cpu) or {}
		return c
	end
	local function mark(value, cpu, own)
		if value & 1 == 1 then
			open, before = value >> 4, now(cpu)
		elseif open then
			local after = now(cpu)
			local d = lab.difference(before, after)

			if own then
				d.exits[own] = d.exits[own] - 1 -- the mark at the end
			end
			d.begin, d.finish = before.cycles, after.cycles
			phases[open] = d
			marks[open] = marks[open] or {}
			table.insert(marks[open], d)
			open = nil
		end
	end

	m:on("exit CPUID if rax >> 16 == " .. MARK, function(e)
		mark(m:reg("rax", e.cpu) & 0xffff, e.cpu, "CPUID")
	end)
	m:on("io 0x80 if level == 1 && value >> 16 == " .. MARK, function(e)
		mark(e.value & 0xffff, e.cpu)
	end)
	return phases, marks
end

-- ---- one run of L1 ----

lab.instructions = 0

-- The machine, before its first instruction, and what the names of its files begin with.
function lab.boot(o)
	local base = lab.out .. "/" .. o.name
	local files = {l1 = o.l1, l2 = o.l2 or ""}

	for name, text in pairs(o.files or {}) do
		files[name] = text
	end
	write_file(base .. ".in", tar_write(files))
	write_file(base .. ".out", ("\0"):rep(60 << 20))
	local options = {
		m = o.memory or 1536, smp = o.cpus or 1, kernel = lab.images .. "/vmlinux", initrd = lab.images .. "/lab.cpio",
		append = "console=ttyS0 quiet nokaslr" .. (o.append and " " .. o.append or ""), nic = "none", no_reboot = true,
		drive = {"file=" .. base .. ".in,snapshot=on", "file=" .. base .. ".out"}, serial = "file:" .. base .. ".log",
	}
	return machine(options), base
end

-- What L1 has left on its disk, by name, when it has come to its end: the machine is closed.
function lab.results(m, base)
	local serial = m:serial()

	lab.instructions = lab.instructions + m:icount()
	m:close()
	local files = tar_read(read_file(base .. ".out"))

	write_file(base .. ".out", "")
	-- What L1 wrote down stays for the reader: traces only on demand, they are large.
	for name, text in sorted_pairs(files) do
		if not name:find("%.trace$") or args.keep then
			write_file(base .. "-" .. name, text)
		end
	end
	for line in serial:gmatch("[^\r\n]*FAILED[^\r\n]*") do
		error(base .. ": " .. line)
	end
	if not serial:find("L1: done\r?\n") then
		error("L1 did not end well: see " .. base .. ".log")
	end
	for name, text in sorted_pairs(files) do
		if name:find("%.lost$") then
			for lost in text:gmatch("overrun: (%d+)") do
				check(lost == "0", "L1's trace buffer was too small: " .. name)
			end
		end
	end
	return files
end

-- lab.run{name=, l1=, l2=, files=, memory=, cpus=, more=, observe=, loaded=}: observe(machine, result) may add probes before the machine runs,
-- loaded(machine, symbols) when KVM has been loaded (for the first time).
function lab.run(o)
	local m, base = lab.boot(o)
	local result = {name = o.name}

	-- By number of the phase: the last of that number, and all in the order in which they came.
	result.outside, result.marks = outside(m, o)
	if o.observe then
		o.observe(m, result)
	end
	if o.loaded then
		o.loaded(m, lab.place(m))
	end
	m:run()
	result.stats = m:stats()
	result.files = lab.results(m, base)
	return result
end

-- Addresses of L1's kernel and of its modules kvm and kvm-intel, by name: symbols[NAME] = {address, module or ""}. The kernel's are the same in every run
-- (nokaslr); modules lie where there was room, and lab.place() says where.
local bases = {}
local function read_symbols()
	local name = lab.out .. "/../kallsyms"
	local text = read_file(name)

	if not text then
		local m, base = lab.boot({name = "symbols", l1 = "load kvm\ncat /proc/kallsyms >/results/kallsyms\ncp /tmp/places /results/places\n"})

		m:run()
		local files = lab.results(m, base)
		text = files.places .. files.kallsyms
		write_file(name, text)
	end
	local symbols = {}

	for module, address in text:gmatch("place (%S+) (0x%x+)\n") do
		bases[module] = tonumber(address)
	end
	for address, kind, symbol, module in text:gmatch("(%x+) (%a) ([^\t\n]+)([^\n]*)\n") do
		if kind == "t" or kind == "T" or kind == "W" then
			symbols[symbol] = {tonumber(address, 16), module:match("%[(.*)%]") or ""}
		end
	end
	return symbols
end

local known
-- The address of a function of the kernel itself, as text for probes.
function lab.symbol(name)
	known = known or read_symbols()
	check(known[name] and known[name][2] == "", "L1's kernel has no function " .. name)
	return hex(known[name][1])
end

-- Runs until L1 has loaded KVM. Returns all functions by name, with their addresses in this run.
function lab.place(m)
	known = known or read_symbols()
	local now, symbols = {}, {}

	for module in pairs(bases) do
		now[module] = false
	end
	for _ in pairs(bases) do
		local module, address = m:match("^L1: place (%S+) (0x%x+)")

		now[module] = tonumber(address)
	end
	for symbol, at in pairs(known) do
		symbols[symbol] = at[1] + (at[2] ~= "" and now[at[2]] and now[at[2]] - bases[at[2]] or 0)
	end
	return symbols
end

-- ---- comparison ----

function lab.keys(...)
	local seen, list = {}, {}

	for _, map in ipairs({...}) do
		for key in pairs(map) do
			if not seen[key] then
				seen[key] = true
				list[#list + 1] = key
			end
		end
	end
	table.sort(list)
	return list
end

function lab.sum(map)
	local sum = 0

	for _, value in pairs(map) do
		sum = sum + value
	end
	return sum
end

-- All exits of a trace read by lab.inside(), the marks' own among them.
function lab.total_exits(phases)
	local sum = {}

	for number, phase in pairs(phases) do
		for reason, count in pairs(phase.exits) do
			sum[reason] = (sum[reason] or 0) + count
		end
		if number ~= 0 then
			sum.CPUID = (sum.CPUID or 0) + 2
		end
	end
	return sum
end

-- Exits by reason, nestbox's and L1's. Each pair of numbers is counted; a difference ends the experiment.
lab.compared, lab.counted = 0, 0
function lab.agree(what, outside_exits, inside_exits)
	for _, reason in ipairs(lab.keys(outside_exits, inside_exits)) do
		local a, b = outside_exits[reason] or 0, inside_exits[reason] or 0

		if a ~= b then
			error(("%s: %s: nestbox counted %d, L1 %d"):format(what, reason, a, b))
		end
		lab.compared = lab.compared + 1
		lab.counted = lab.counted + a
	end
end

-- Of windows of one number, the first that begins at or after a time.
function lab.first_after(windows, time)
	for _, window in ipairs(windows) do
		if window.begin >= time then
			return window
		end
	end
	error("a phase is missing")
end

-- ---- the end ----

-- Exact counts that a short run must give again: ./nb lab --short compares them with lab/baseline.
local counts = {}
function lab.baseline(name, value)
	counts[#counts + 1] = ("%s: %d\n"):format(name, value)
end

function lab.finish(report)
	report:p(("`./nb lab %d` runs this experiment (`lab/%s.lua`)."):format(report.number, args.file or "?"), ("Compared: %d pairs of exit counts, by reason and phase, nestbox's own and L1's; %d events, no difference.")
		:format(lab.compared, lab.counted), ("%.1f G instructions in all."):format(lab.instructions / 1e9))
	report:write()
	table.sort(counts)
	write_file(lab.out .. "/counts", table.concat(counts))
end

return lab
