-- GRUB's menu from a disk, through SeaBIOS; the third entry is chosen by key, prints, and powers off.
-- GRUB waits busily, so the clock is slow.
scenario {name = "grub", seconds = 120, instructions = "3G"}
local m = machine {m = 32, clock = "50M", drive = "file=" .. args.disk .. ",format=raw,snapshot=on," .. (args.place or "if=ide"),
	nic = "none", serial = "none"}

-- until the screen has TEXT
local function shows(text, seconds)
	for _ = 1, seconds * 2 do
		if (m:screen() or ""):find(text, 1, true) then return end
		local why = m:run {seconds = 0.5}
		if why ~= "time" then error(why .. " before '" .. text .. "':\n" .. (m:screen() or "graphics")) end
	end
	error("no '" .. text .. "' on the screen:\n" .. (m:screen() or "graphics"))
end

shows("first entry", 20)
check(m:screen():find("GNU GRUB", 1, true), "GRUB's headline")
check(m:screen():find("*first entry", 1, true), "the first entry is marked")
if args.picture then m:screenshot(args.picture .. ".png") end
m:key("down")
m:key("down")
shows("*third entry", 5)
m:key("enter")
equal(m:run {seconds = 20}, "off")
check(m:screen():find("the third entry speaks", 1, true), "what the third entry prints")
