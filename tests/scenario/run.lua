-- What stops a run: text, instructions, time, a breakpoint, a happening, the end.
scenario {name = "run", about = "ways to stop", seconds = 60, instructions = "50M"}

local m = machine {m = 16, nodefaults = true, serial = "null", kernel = args.ends, append = "l"}
equal(m:icount(), 0, "instructions before the start")
equal(m:expect("hello"), "hello")
equal(m:serial(), "hello", "serial output, the newline not being there yet")
local start = m:icount()
equal(m:run {instructions = 1000}, "instructions")
equal(m:icount(), start + 1000, "instructions")
equal(m:run {icount = "10k"}, "instructions")
equal(m:icount(), 10000)
local cycles = m:cycles()
equal(m:run {seconds = 0.001}, "time")
equal(m:cycles(), cycles + 1000000, "cycles of a millisecond at 1 GHz")
equal(m:run {cycles = 17}, "time")
equal(m:cycles(), cycles + 1000017)

-- An expectation that is not met names text, place and what was printed instead.
local good, message = pcall(function()
	m:expect("goodbye", {instructions = 1000})
end)
check(not good and message:find("run.lua:%d+: serial port 0 did not print 'goodbye': stopped by instructions") and message:find("hello"),
	message)
-- A text that was printed before it was waited for counts, once.
equal(m:expect("\n", {instructions = 1}), "\n")
equal(m:run {serial = "hello", instructions = 1000}, "instructions")
m:close()
check(not pcall(m.icount, m), "a closed machine is closed")

-- Breakpoints of the debugger, and happenings.
m = machine {m = 16, nodefaults = true, kernel = args.debug}
m:symbols(args.debug)
m:break_("tell if ecx == 0x300")
local why, text = m:run {instructions = "10M"}
equal(why, "breakpoint")
check(text:find("breakpoint 1"), text)
equal(m:reg("rcx"), 0x300)
equal(m:u32(m:eval("counter")), 0x300)
m:delete()
equal(m:run {event = "io 0x80 if value == 0"}, "exits")
local icount = m:icount()
equal(m:run {event = "io 0x80"}, "exits")
equal(m:run {exits = 3, instructions = 5000}, "instructions", "no VM exits in a guest without VMX")
check(m:icount() > icount + 5000)

-- Ends.
for letter, wanted in sorted_pairs {a = "off", t = "triple-fault", d = "status"} do
	local e = machine {m = 16, nodefaults = true, serial = "null", kernel = args.ends, append = letter,
		device = "isa-debug-exit,iobase=0xf4,iosize=4"}
	local how, detail = e:run()
	equal(how, wanted)
	equal(detail, letter == "d" and "33" or nil)
	equal(e:ended(), ({a = 0, t = 2, d = 33})[letter])
	check(not pcall(e.run, e), "an ended machine does not run")
	check(e:registers().rip, "but can be looked at")
end

-- The hash does not depend on how a run is cut into pieces.
local function hash_at(pieces)
	local h = machine {m = 16, nodefaults = true, serial = "null", kernel = args.ends, append = "l"}
	for i = 1, pieces do
		h:run {icount = 100000 * i // pieces}
	end
	return h:hash()
end
equal(hash_at(7), hash_at(1), "hash")
