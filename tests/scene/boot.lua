-- Starts the first entry of a GRUB disk (or `entry`, counted from 0) and waits for a text on the screen; in graphics modes, on
-- the serial port.
scenario {name = args.name, seconds = tonumber(args.budget or "900")}
local m = machine {m = tonumber(args.memory), clock = args.clock or "500M", nic = "none",
	drive = "file=" .. args.disk .. ",format=raw,snapshot=on," .. (args.place or "if=ide")}
local limit = tonumber(args.seconds)

local function shows(text)
	while m:seconds() < limit do
		if (m:screen() or m:serial()):find(text, 1, true) then return end
		local why, what = m:run {seconds = 1}
		if why ~= "time" then error(tostring(why) .. " " .. tostring(what) .. ":\n" .. (m:screen() or "graphics")) end
	end
	error("no '" .. text .. "' on the screen:\n" .. (m:screen() or "graphics"))
end

shows("GNU GRUB")
for _ = 1, tonumber(args.entry or "0") do m:key("down") end
m:key("enter")
for text in args.shows:gmatch("[^|]+") do shows(text) end
-- What is just being drawn.
m:run {seconds = 1}
m:screenshot(args.picture .. ".png")
m:screenshot(args.picture .. ".txt")
if args.types then
	m:type(args.types .. "\n")
	shows(args.answer)
	m:screenshot(args.picture .. ".png")
	m:screenshot(args.picture .. ".txt")
end
