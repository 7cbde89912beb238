-- Serial input and keys reach the guest; snapshots and screenshots.
scenario {seconds = 60}
local m = machine {m = 16, nodefaults = true, serial = {"null", "null"}, kernel = args.echo}
m:expect("ready\n")
m:send("abc\n")
equal(m:line {seconds = 1}, "abc")
m:send("one\ntwo\nthree 3\n")
equal(m:match("^three (%d)$", {seconds = 1}), "3")
-- More than the FIFO holds.
local long = ("0123456789"):rep(50)
m:send(long .. "\n")
equal(m:line {seconds = 1}, long)
-- The guest prints scan codes as hexadecimal numbers.
m:type("aB")
equal(m:serial(0):match("<.*$"), "<1e><9e><2a><30><b0><aa>")
m:key("ctrl-alt-delete")
check(m:serial(0):find("<1d><38><e0><53><e0><d3><b8><9d>$"), m:serial(0))

local where = args.work .. "/snapshot"
m:save(where)
local n = machine {m = 16, nodefaults = true, serial = {"null", "null"}, kernel = args.echo, snapshot_load = where}
equal(n:hash(), m:hash())
m:run {instructions = "100k"}
n:run {instructions = "100k"}
equal(n:hash(), m:hash())
check(not pcall(machine, {m = 17, nodefaults = true, serial = "null", kernel = args.echo, snapshot_load = where}))

local good, message = pcall(function()
	machine {frobnicate = true}
end)
check(not good and message:find("input.lua:%d+: unknown option '%-frobnicate'"), message)
good, message = pcall(machine, "-m 16 -kernel '/no/such file'")
check(not good and message:find("/no/such file: No such file"), message)
