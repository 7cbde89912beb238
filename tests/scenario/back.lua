-- Going back: steps, breakpoints, events, instruction counts, the writer of a word; and forwards to the same machine.
scenario {seconds = 120}
local m = machine {m = 16, nodefaults = true, kernel = args.debug, history = "64M"}
m:symbols(args.debug)
m:run {icount = 3000000}
local here = m:hash()

m:reverse_step()
equal(m:icount(), 2999999)
check(m:hash() ~= here)
m:run {instructions = 1}
equal(m:hash(), here, "a step back and one forth")
m:reverse_step("12345")
equal(m:icount(), 3000000 - 12345)
m:run {icount = 3000000}
equal(m:hash(), here, "many steps back and forth")

-- The last three calls of `tell`, backwards and forwards.
local at = m:break_("tell")
m:reverse_continue()
local last, count = m:icount(), m:reg("ecx")
equal(m:reg("rip"), m:eval("tell"))
equal(count % 256, 0)
m:reverse_continue()
equal(m:reg("ecx"), count - 256)
m:reverse_continue()
equal(m:reg("ecx"), count - 512)
equal(m:run(), "breakpoint")
equal(m:run(), "breakpoint")
equal(m:icount(), last)
m:delete()

m:reverse_to("io 0x80")
equal(m:reg("ecx"), count - 256, "the output before")
m:reverse_to("icount 1000000")
equal(m:icount(), 1000000)
m:run {icount = 3000000}
equal(m:hash(), here, "from further back")

local text = m:who_wrote("phys counter,4")
check(text:find("write of 4 bytes") and text:find("<counter>%], ecx"), text)
equal(m:hash(), here, "looking at the past changes nothing")
text = m:who_wrote("phys counter,4 if value == 1234")
check(text:find("0x4d1 %-> 0x4d2"), text)
equal(m:hash(), here)

-- Going back tells probes nothing; what runs forwards again happens again.
local outs = m:count("io 0x80")
m:run {instructions = "1M"}
local told = outs:total()
check(told > 0)
m:reverse_step("500000")
m:reverse_to("io 0x80")
equal(outs:total(), told)
m:run {icount = 4000000}
check(outs:total() > told)
