-- A nested boot that is stopped, stepped, watched and counted has the hashes of one that nobody looks at.
scenario {seconds = 900, instructions = "20G"}
local golden = include("_golden.lua")
local options = {m = 1024, kernel = args.images .. "/vmlinux", initrd = args.images .. "/l1fast.cpio", nic = "user,model=e1000",
	append = 'console=ttyS0 quiet nb.l2append="nb.l2mode=boot"', no_reboot = true}
local counts = {500000000, 3200000000, 3800000000}

local straight = machine(options)
local wanted = {}
for _, at in ipairs(counts) do
	straight:run {icount = at}
	wanted[at] = straight:hash()
end
straight:close()

local m = machine(options)
local exits = m:count("exit", "reason")
m:count("exception 14", "level")
m:break_("exit EPT_VIOLATION")
local stops = 0
for _, at in ipairs(counts) do
	while m:run {icount = at} == "breakpoint" do
		stops = stops + 1
		m:info("vmcs")
		m:walk(m:reg("rip"))
		m:step(5)
		if stops % 10 == 0 then
			m:next()
			m:until_("icount", m:icount() + 1000)
		end
	end
	equal(m:icount(), at)
	equal(m:hash(), wanted[at], "hash at " .. at)
end
check(stops > 30 and exits:total() > 100, stops .. " stops")
golden.at(m, {4000000000})
golden.compare()
