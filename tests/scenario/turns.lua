-- With several processors, the state at an instruction count does not depend on where the machine was stopped, looked at, saved or loaded before.
scenario {seconds = 120}
local options = {m = 16, smp = 3, nodefaults = true, kernel = args.smp}
local last, step = 2000000, 100000

local function start(more)
	local t = {snapshot_load = more}
	for key, value in pairs(options) do
		t[key] = value
	end
	local m = machine(t)
	m:symbols(args.smp)
	return m
end

local straight = start()
local hashes = {}
for at = step, last, step do
	equal(straight:run {icount = at}, "instructions")
	equal(straight:icount(), at)
	hashes[at] = straight:hash()
end
check(straight:u32(straight:eval("mix")) ~= 0)
check(straight:u32(straight:eval("wakes")) > 50, "the others have been woken")
for cpu = 0, 2 do
	check(straight:reg("icount", cpu) > last / 20, "processor " .. cpu .. " has worked")
end

-- Stops in the middle of turns: every few instructions, at breakpoints, at writes, single steps, at times.
local m = start()
local at, seed = 0, 1
while at < last do
	seed = (seed * 1103515245 + 12345) % 2147483648
	local target = math.min(at + seed % 20011 + 1, last)
	local stop = (at // step + 1) * step
	at = math.min(target, stop)
	m:run {icount = at}
	if hashes[at] then
		equal(m:hash(), hashes[at], "hash at " .. at)
	end
	if seed % 7 == 0 and at + 50 < stop then
		m:step(20)
		at = m:icount()
	end
end

m = start()
local hits = 0
m:break_("add if ecx == 0 && ebx % 16 == 0")
m:watch("mix if value % 256 == 3")
for target = step, last, step do
	while m:run {icount = target} == "breakpoint" do
		hits = hits + 1
		if hits == 100 then
			m:delete()
		end
	end
	equal(m:hash(), hashes[target], "hash with breakpoints at " .. target)
end
check(hits >= 100)

-- Stops by time come at the end of all turns.
m = start()
for target = step, last, step do
	local why
	repeat
		why = m:run {icount = target, cycles = 777}
	until why ~= "time"
	equal(m:hash(), hashes[target], "hash with stops by time at " .. target)
end

-- Saved and loaded in the middle of turns.
local file = args.work .. "/turns"
m = start()
for i = 1, 20 do
	m:run {icount = math.min(i * 98765, last)}
	m:save(file)
	m:close()
	m = start(file)
end
m:run {icount = last}
equal(m:hash(), hashes[last], "hash after saving and loading")
