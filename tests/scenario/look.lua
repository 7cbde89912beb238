-- Registers, memory, expressions, counters, commands, probes.
scenario {seconds = 60}
local m = machine {m = 16, nodefaults = true, kernel = args.debug}
m:symbols(args.debug)
local loop = m:eval("loop")
m:run {icount = 1000}
equal(m:reg("rip"), m:registers().rip)
equal(m:reg("icount", 0), 1000)
equal(m:read(m:eval("counter"), 4), string.pack("<I4", m:u32(m:eval("counter"), "phys")))
equal(m:read(0xf0000000, 4), nil, "memory that is not there")
m:write(m:eval("counter"), "\1\2\3\4")
equal(m:u32(m:eval("counter")), 0x04030201)
equal(m:u16(m:eval("counter"), "phys"), 0x0201)
equal(m:u8(m:eval("counter + 3")), 4)
check(not pcall(m.reg, m, "xyz") and not pcall(m.eval, m, "1 +") and not pcall(m.vmcs, m, "no_such_field"))
equal(m:vmcs("guest_rip"), nil, "a field of no VMCS")
equal(m:vmcs(), nil)

-- Commands are methods, and their mistakes are the scenario's.
check(m:disasm(loop, 1):find("inc ecx"), "disassembly")
equal(m:command("print 6 * 7"), m:print("6 * 7"))
local good, message = pcall(function()
	m:command("nonsense")
end)
check(not good and message:find("look.lua:%d+: nonsense: 'nonsense' is no command"), message)
check(not pcall(function() m:frobnicate() end))
m:set("rcx = 0xff")
equal(m:reg("ecx"), 0xff)

-- A counter by key, a counter with a condition, and a function see the same.
local by_low = m:count("io 0x80", "ecx >> 8 & 3")
local even = m:count("io 0x80 if (ecx >> 8 & 1) == 0")
local writes = m:count("watch phys counter,4")
local seen, last = 0, nil
local probe = m:on("io 0x80", function(e)
	seen = seen + 1
	last = e
	return seen == 10
end)
local why, what = m:run {instructions = "1M"}
equal(why, "callback")
equal(what, "io 0x80")
equal(seen, 10)
equal(by_low:total(), 10)
equal(even:total(), 5)
local sum = 0
for key, number in sorted_pairs(by_low:table()) do
	check(key >= 0 and key <= 3)
	sum = sum + number
end
equal(sum, 10)
check(last.port == 0x80 and last.write and last.size == 1 and last.icount <= m:icount())
check(writes:total() >= 9 * 256 and writes:total() <= 10 * 256, "writes: " .. writes:total())
probe:remove()
by_low:reset()
m:run {instructions = 3000}
equal(seen, 10)
check(by_low:total() > 0)

-- A function may look, but not run the machine; its errors end the run.
m:on("io 0x80", function()
	m:run()
end)
good, message = pcall(m.run, m, {instructions = 3000})
check(not good and message:find("not while the machine runs"), message)
check(not pcall(m.on, m, "exit NO_SUCH_REASON", print))

-- Instructions, too.
local n = machine {m = 16, nodefaults = true, kernel = args.debug}
n:symbols(args.debug)
local calls = n:count("tell", "ecx")
n:run {icount = 20000}
equal(n:stats().instructions, 20000)
local keys = 0
for key, number in sorted_pairs(calls:table()) do
	equal(number, 1)
	equal(key % 256, 0)
	keys = keys + 1
end
equal(keys, calls:total())

equal(json('{"a": [1, 2.5, "x\\"\\u0041", true, {}], "b": null}').a[3], 'x"A')
equal(count("2k"), 2000)
