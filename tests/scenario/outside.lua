-- The shell's sendkey and system_powerdown are input from outside: the guest has it when the machine goes on.
scenario {seconds = 60}
local function start(kernel)
	return machine {m = 16, nodefaults = true, serial = "null", kernel = kernel}
end
local m = start(args.echo)
m:expect("ready\n")
m:sendkey("ctrl-alt-delete")
check(not m:serial(0):find("<"), "before the machine goes on")
m:run {seconds = 0.1}
check(m:serial(0):find("<1d><38><e0><53><e0><d3><b8><9d>$"), m:serial(0))
for line, text in pairs {["sendkey ctrl-frob"] = "there is no key 'frob'", ["sendkey a-b-c-d-e-f-g-h-i"] = "more than 8 keys", ["sendkey"] = "KEY"} do
	local good, message = pcall(m.command, m, line)
	check(not good and message:find(text, 1, true), line .. ": " .. tostring(message))
end

m = start(args.button)
m:run {seconds = 0.1}
equal(m:serial(0), "")
m:system_powerdown()
m:expect("pressed\n")
equal(m:run {seconds = 0.1}, "off")
