-- What scenarios see, on top of what C has for them. Compiled into nestbox; docs/SCENARIOS.md describes each function.
local host = ...
local M = host.methods
local newest -- the machine that functions without one mean

args = host.args
count = host.count
read_file = host.read_file
write_file = host.write_file
here = host.script:match("^(.*)/[^/]*$") or "."
-- Lua seeds it from addresses.
math.randomseed(0)

function path(name)
	return name:sub(1, 1) == "/" and name or here .. "/" .. name
end

function include(name)
	return host.load_file(path(name))()
end

function hex(value)
	return string.format("0x%x", value)
end

-- The order of pairs() differs from run to run.
function sorted_pairs(t)
	local keys = {}
	for key in pairs(t) do
		keys[#keys + 1] = key
	end
	table.sort(keys, function(a, b)
		if math.type(a) == "integer" and math.type(b) == "integer" then
			return math.ult(a, b)
		end
		return type(a) == type(b) and a < b or type(a) < type(b)
	end)
	local i = 0
	return function()
		i = i + 1
		return keys[i], t[keys[i]]
	end
end

---- Judging ----

local function text_of(value)
	if math.type(value) == "integer" then
		return string.format("%d (0x%x)", value, value)
	end
	return type(value) == "string" and string.format("%q", value) or tostring(value)
end

function fail(message)
	error(message or "failed", 2)
end

function skip(why)
	error({skip = why or "skipped"}, 0)
end

function check(condition, message)
	if not condition then
		error(message or "check failed", 2)
	end
	return condition
end

function equal(got, wanted, what)
	if got ~= wanted then
		error(string.format("%s is %s, not %s", what or "value", text_of(got), text_of(wanted)), 2)
	end
	return got
end

local header_keys = {name = true, about = true, seconds = true, instructions = true, tags = true}
function scenario(header)
	for key in sorted_pairs(header) do
		if not header_keys[key] then
			error("scenario: unknown key " .. tostring(key), 2)
		end
	end
	host.set_budget {seconds = header.seconds, instructions = header.instructions and count(header.instructions)}
	if host.on_header then
		host.on_header(header)
	end
end

---- JSON, as -stats writes it ----

local decode
local escapes = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t"}
local function skip_blanks(text, at)
	return text:find("[^ \t\r\n]", at) or #text + 1
end
local function decode_string(text, at)
	local close = at + 1
	while true do
		close = text:find('["\\]', close)
		if not close then
			error("JSON: a string has no end")
		elseif text:sub(close, close) == '"' then
			break
		end
		close = close + 2
	end
	local inner = text:sub(at + 1, close - 1):gsub("\\u(%x%x%x%x)", function(digits)
		return utf8.char(tonumber(digits, 16))
	end)
	return inner:gsub("\\(.)", function(c)
		return escapes[c] or c
	end), close + 1
end
local function decode_list(text, at, close, item)
	at = skip_blanks(text, at + 1)
	while text:sub(at, at) ~= close do
		at = skip_blanks(text, item(at))
		if text:sub(at, at) == "," then
			at = skip_blanks(text, at + 1)
		elseif text:sub(at, at) ~= close then
			error("JSON: ',' or '" .. close .. "' is missing at " .. at)
		end
	end
	return at + 1
end
function decode(text, at, depth)
	at = skip_blanks(text, at)
	if depth > 100 then
		error("JSON: nested too deeply")
	end
	local first, result = text:sub(at, at), {}
	if first == "{" then
		return result, decode_list(text, at, "}", function(i)
			local key, value
			key, i = decode_string(text, i)
			i = text:match("^[ \t\r\n]*:()", i) or error("JSON: ':' is missing at " .. i)
			value, i = decode(text, i, depth + 1)
			result[key] = value
			return i
		end)
	elseif first == "[" then
		return result, decode_list(text, at, "]", function(i)
			result[#result + 1], i = decode(text, i, depth + 1)
			return i
		end)
	elseif first == '"' then
		return decode_string(text, at)
	end
	local word, after = text:match("^([%w.+-]+)()", at)
	if word == "true" or word == "false" then
		return word == "true", after
	elseif word == "null" then
		return nil, after
	end
	return tonumber(word or "") or error("JSON: no value at " .. at), after
end

function json(text)
	return (decode(text, 1, 0))
end

---- Making machines ----

-- A command line as a shell reads it: blanks separate, quotes of both kinds keep together.
local function split(line)
	local words, word, at = {}, nil, 1
	while at <= #line do
		local c = line:sub(at, at)
		if c:find("[ \t\n]") then
			words[#words + 1] = word
			word = nil
		elseif c == "'" or c == '"' then
			local close = line:find(c, at + 1, true) or error("machine: a quote has no end", 3)
			word = (word or "") .. line:sub(at + 1, close - 1)
			at = close
		else
			word = (word or "") .. c
		end
		at = at + 1
	end
	words[#words + 1] = word
	return words
end

local function option_value(name, value)
	if math.type(value) == "float" and value == math.floor(value) then
		value = math.tointeger(value)
	end
	if type(value) ~= "string" and type(value) ~= "number" then
		error("machine: " .. name .. " is neither text, number, boolean nor list", 4)
	end
	return tostring(value)
end

-- {m = 16, nodefaults = true, device = {"e1000,netdev=a"}, "-other", "words"}
local function options_of(t)
	local list = {}
	for name, value in sorted_pairs(t) do
		if type(name) == "string" then
			local option = "-" .. name:gsub("_", "-")
			if value == true then
				list[#list + 1] = option
			elseif type(value) == "table" then
				for _, one in ipairs(value) do
					list[#list + 1] = option
					list[#list + 1] = option_value(name, one)
				end
			elseif value ~= false then
				list[#list + 1] = option
				list[#list + 1] = option_value(name, value)
			end
		end
	end
	for _, word in ipairs(t) do
		list[#list + 1] = option_value("an option", word)
	end
	return list
end

function machine(options)
	local list = type(options) == "string" and split(options) or options_of(options)
	local good, result = pcall(host.new_machine, list)
	if not good then
		error(result, 2)
	end
	newest = result
	return result
end

---- Running ----
-- Functions that give errors the caller's place must not call the one that raises them as the last thing: that drops a level.

local run_keys = {
	serial = true, port = true, exit = true, exits = true, event = true, instructions = true, icount = true, seconds = true, cycles = true,
	time = true,
}

local function minimum(a, b)
	return a and b and math.min(a, b) or a or b
end

local function run(m, o, level)
	local raw, exits = {port = o.port}, {}
	for key in sorted_pairs(o) do
		if not run_keys[key] then
			error("run: unknown condition " .. tostring(key), level + 1)
		end
	end
	if o.serial then
		raw.serial = type(o.serial) == "table" and o.serial or {o.serial}
	end
	if type(o.exits) == "number" then
		exits.exit = o.exits
	elseif o.exits then
		for reason, number in pairs(o.exits) do
			exits["exit " .. reason] = count(number)
		end
	end
	if o.exit then
		exits["exit " .. o.exit] = 1
	end
	if o.event then
		exits[o.event] = 1
	end
	raw.exits = next(exits) and exits
	raw.icount = minimum(o.icount and count(o.icount), o.instructions and m:icount() + count(o.instructions))
	raw.time = o.time and count(o.time)
	raw.time = minimum(raw.time, o.cycles and m:cycles() + count(o.cycles))
	raw.time = minimum(raw.time, o.seconds and m:cycles() + math.ceil(o.seconds * m:hz()))
	local results = table.pack(pcall(m.run_raw, m, raw))
	if not results[1] then
		local message = results[2]
		if type(message) == "string" then
			message = message:gsub("^nestbox:%d+: ", "")
		end
		error(message, level + 1)
	end
	return table.unpack(results, 2, results.n)
end

function M:run(o)
	if type(o or {}) ~= "table" then
		error("run: the conditions are no table", 2)
	end
	local why, detail = run(self, o or {}, 2)
	return why, detail
end

local function last_lines(m, port)
	local lines = {}
	for line in m:serial(port):gmatch("[^\r\n]+") do
		lines[#lines + 1] = line
	end
	return "    " .. table.concat(lines, "\n    ", math.max(1, #lines - 9))
end

local function why_text(why, detail)
	return detail and why .. " (" .. detail .. ")" or why
end

local function expect(m, o, level)
	local why, detail = run(m, o, level + 1)
	if why ~= "serial" then
		local texts = type(o.serial) == "table" and table.concat(o.serial, "' or '") or o.serial
		error(string.format("serial port %d did not print '%s': stopped by %s at instruction %d; its last lines:\n%s", o.port or 0, texts,
			why_text(why, detail), m:icount(), last_lines(m, o.port)), level + 1)
	end
	return detail
end

local function with(o, key, value)
	local copy = {}
	for k, v in pairs(o or {}) do
		copy[k] = v
	end
	copy[key] = value
	return copy
end

function M:expect(text, o)
	return (expect(self, with(o, "serial", text), 2))
end

-- The rest of the line that is being printed, without its end; nil when the machine stopped before.
local function line(m, o, level)
	local why = run(m, with(o, "serial", "\n"), level + 1)
	if why ~= "serial" then
		return nil, why
	end
	return m:last_line(o.port)
end

function M:line(o)
	local text, why = line(self, o or {}, 2)
	return text, why
end

function M:match(pattern, o)
	local last = o and (o.instructions and {icount = self:icount() + count(o.instructions)}
		or o.seconds and {time = self:cycles() + math.ceil(o.seconds * self:hz())}) or {}
	local limits = with(last, "port", o and o.port)
	while true do
		local text, why = line(self, limits, 2)
		if not text then
			error(string.format("no line of serial port %d matches '%s': stopped by %s; its last lines:\n%s", limits.port or 0, pattern, why,
				last_lines(self, limits.port)), 2)
		end
		local found = table.pack(text:match(pattern))
		if found[1] then
			return table.unpack(found, 1, found.n)
		end
	end
end

---- Commands ----

local function command(m, text, level)
	local output, failed = m:execute(text)
	if failed then
		error(text .. ": " .. output:gsub("\n$", ""), level + 1)
	end
	return output
end

function M:command(text)
	return (command(self, text, 2))
end

-- Commands of the debugger as methods; break_ and until_, since Lua has those words.
setmetatable(M, {__index = function(_, name)
	if type(name) ~= "string" then
		return nil
	end
	local plain = name:gsub("_$", "")
	local known = plain:gsub("_", "-")
	if not host.is_command(known) then
		known = plain
	end
	if not host.is_command(known) then
		return nil
	end
	return function(m, ...)
		local words = {known}
		for i = 1, select("#", ...) do
			local word = select(i, ...)
			words[#words + 1] = math.type(word) == "integer" and hex(word) or tostring(word)
		end
		return (command(m, table.concat(words, " "), 2))
	end
end})

---- Keys ----

local function press(m, codes, level)
	for _, code in ipairs(codes) do
		local tries = 0
		while not m:key_event(code) do
			tries = tries + 1
			if tries > 100 then
				error("the guest takes no keys", level + 1)
			end
			run(m, {seconds = 0.01}, level + 1)
		end
		-- A human holds a key for longer than a driver takes.
		local why, detail = run(m, {seconds = 0.01}, level + 1)
		if why ~= "time" then
			error("stopped in the middle of keys: " .. why_text(why, detail), level + 1)
		end
	end
end

function M:type(text)
	press(self, host.key_text(text), 2)
end

function M:key(combination)
	press(self, host.key_combination(combination), 2)
end

---- Counters ----

function M:stats()
	return json(self:stats_json())
end

function M:exits()
	return self:stats().vm_exits
end

function M:seconds()
	return self:cycles() / self:hz()
end

local function known_reason(m, reason, level)
	if reason ~= "TOTAL" and not pcall(m.eval, m, reason) then
		error("there is no exit reason " .. tostring(reason), level + 1)
	end
end

local function with_total(exits)
	local total, copy = 0, {}
	for reason, number in pairs(exits) do
		copy[reason] = number
		total = total + number
	end
	copy.TOTAL = total
	return copy
end

local function expect_exits_of(m, budget, level)
	local exits, bad = with_total(m:exits()), {}
	for reason, limit in sorted_pairs(budget) do
		known_reason(m, reason, level + 1)
		local got = exits[reason] or 0
		if type(limit) == "number" then
			limit = {min = limit, max = limit}
		end
		if limit.max and got > limit.max then
			bad[#bad + 1] = string.format("  %-24s %12d, at most %d", reason, got, limit.max)
		elseif limit.min and got < limit.min then
			bad[#bad + 1] = string.format("  %-24s %12d, at least %d", reason, got, limit.min)
		end
	end
	if #bad > 0 then
		error("VM exits are not within their budget:\n" .. table.concat(bad, "\n"), level + 1)
	end
end

local function the_newest(level)
	return newest or error("there is no machine yet", level + 1)
end

function M:expect_exits(budget)
	expect_exits_of(self, budget, 2)
end

function expect_exits(budget)
	expect_exits_of(the_newest(2), budget, 2)
end

local function read_baseline(name, level)
	local text, problem = read_file(name)
	if not text then
		error(problem .. " (-update writes it)", level + 1)
	end
	local wanted = {}
	for reason, number in text:gmatch("([%w_+.-]+) (-?%d+)\n") do
		wanted[reason] = math.tointeger(number)
	end
	return wanted
end

local function baseline_of(m, name, more, level)
	name = path(name)
	local got, lines, bad, all = with_total(m:exits()), {}, {}, {}
	for key, value in pairs(more or {}) do
		got[key] = value
	end
	if host.update then
		for key, value in sorted_pairs(got) do
			lines[#lines + 1] = string.format("%s %d\n", key, value)
		end
		write_file(name, table.concat(lines))
		print("written: " .. name)
		return
	end
	local wanted = read_baseline(name, level + 1)
	for _, t in ipairs {got, wanted} do
		for key in pairs(t) do
			all[key] = true
		end
	end
	for key in sorted_pairs(all) do
		local now, before = got[key] or 0, wanted[key] or 0
		if now ~= before then
			bad[#bad + 1] = string.format("  %-24s %12d %12d %+12d", key, before, now, now - before)
		end
	end
	if #bad > 0 then
		error(string.format("counts differ from %s:\n  %-24s %12s %12s %12s\n%s", name, "", "baseline", "now", "difference",
			table.concat(bad, "\n")), level + 1)
	end
end

function M:baseline(name, more)
	baseline_of(self, name, more, 2)
end

function baseline(name, more)
	baseline_of(the_newest(2), name, more, 2)
end
