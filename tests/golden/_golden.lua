-- State hashes of a scenario against committed ones: golden(machine, {instruction counts}). The file NAME.hashes beside the scenario begins with a
-- sum of the inputs (args.inputs): with others there is nothing to compare, and the scenario is skipped at its end.
local result = {}
local name = args.golden
local lines, other = {"inputs " .. args.inputs}, false

function result.at(m, counts)
	for _, at in ipairs(counts) do
		at = count(at)
		while m:icount() < at and not m:ended() do
			m:run {icount = at}
		end
		lines[#lines + 1] = string.format("%s %d %s", m:ended() and "end" or "at", m:icount(), m:hash())
	end
end

-- To be called last.
function result.compare()
	local file = name .. ".hashes"
	if args.update then
		write_file(path(file), table.concat(lines, "\n") .. "\n")
		print("written: " .. path(file))
		return
	end
	local text, problem = read_file(path(file))
	check(text, problem)
	local wanted = {}
	for line in text:gmatch("[^\n]+") do
		wanted[#wanted + 1] = line
	end
	if wanted[1] ~= lines[1] then
		skip("made with other inputs: " .. wanted[1])
	end
	for i = 1, math.max(#lines, #wanted) do
		if lines[i] ~= wanted[i] then
			fail(string.format("line %d of %s: now '%s', was '%s'", i, file, lines[i] or "nothing", wanted[i] or "nothing"))
		end
	end
end

return result
