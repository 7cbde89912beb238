-- Starts the first entry of a GRUB disk (or `entry`, counted from 0), by the BIOS or by `firmware`, and waits for texts on the screen; in
-- graphics modes, on the serial port. Then `types` is typed, line by line (with | between them), until the `answer`.
scenario {name = args.name, seconds = tonumber(args.budget or "900")}
local m = machine {m = tonumber(args.memory), clock = args.clock or "500M", nic = "none", bios = args.firmware,
	drive = "file=" .. args.disk .. ",format=raw,snapshot=on," .. (args.place or "if=ide")}
local limit = tonumber(args.seconds)

local function shows(text)
	while m:seconds() < limit do
		if (m:screen() or m:serial()):find(text, 1, true) then return end
		local why, what = m:run {seconds = 1}
		if why ~= "time" then error(tostring(why) .. " " .. tostring(what) .. ":\n" .. (m:screen() or m:serial())) end
	end
	error("no '" .. text .. "' on the screen:\n" .. (m:screen() or m:serial()))
end

-- What is just being drawn comes first.
local function pictures(name)
	m:run {seconds = 2}
	m:screenshot(args.picture .. name .. ".png")
	m:screenshot(args.picture .. name .. ".txt")
end

shows("GNU GRUB")
for _ = 1, tonumber(args.entry or "0") do m:key("down") end
pictures("-menu")
m:key("enter")
for text in args.shows:gmatch("[^|]+") do shows(text) end
pictures("")
if args.types then
	for line in args.types:gmatch("[^|]+") do
		m:type(line .. "\n")
		m:run {seconds = 2}
	end
	shows(args.answer)
	pictures("")
end
