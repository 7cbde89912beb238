-- What scenarios and the debugger's shell see of the screen: text as the guest wrote it, pictures (which tests/test-screen.sh looks at).
scenario {name = "screen", seconds = 120}
local m = machine {m = 16, nic = "none", serial = "none", drive = "file=" .. args.disk .. ",format=raw,snapshot=on"}

local function lines(text) return (text:gsub("%s+$", "")) end

local function shows(text)
	for _ = 1, 100 do
		if m:screen() and lines(m:screen()) == text then return end
		m:run {seconds = 0.5}
	end
	error("the screen is not '" .. text .. "':\n" .. (m:screen() or "graphics"))
end

shows("type:")
m:type("Hello, 1 + 2 = 3!")
shows("type: Hello, 1 + 2 = 3!")
equal(lines(m:execute("info screen")), "type: Hello, 1 + 2 = 3!")
m:screenshot(args.work .. "/text.txt")
m:execute("screenshot " .. args.work .. "/shell.txt")
m:screenshot(args.work .. "/text.png")

m:key("f1")
m:run {seconds = 1}
equal(m:screen(), nil)
equal(lines(m:execute("info screen")), "graphics, " .. args.size)
m:execute("screenshot " .. args.work .. "/graphics.png")
check(not pcall(m.screenshot, m, "/no/such/folder/x.png"), "a picture nowhere")

-- Back, and nothing of the text is left.
m:key("f2")
shows("type:")
local going, why = pcall(m.key, m, "esc")
check(not going and why:find(": off"), why)
