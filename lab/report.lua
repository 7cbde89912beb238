-- A report written once, as Markdown and as HTML: paragraphs, lists, tables, code and plots. In texts, `code` and **bold**.
local R = {}
R.__index = R

local function html_text(text)
	text = tostring(text):gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;")
	return (text:gsub("`([^`]+)`", "<code>%1</code>"):gsub("%*%*([^*]+)%*%*", "<b>%1</b>"):gsub("%[([^%]]+)%]%(([^)]+)%)", '<a href="%2">%1</a>'))
end

local function grouped(value)
	if math.type(value) ~= "integer" then
		return math.type(value) == "float" and string.format("%.2f", value) or tostring(value)
	end
	local text = tostring(value)
	local digits = text:gsub("^-", "")

	if #digits > 4 then
		digits = digits:reverse():gsub("(%d%d%d)", "%1 "):reverse():gsub("^ ", "")
	end
	return (value < 0 and "-" or "") .. digits
end

function R:add(md, html)
	self.md[#self.md + 1] = md .. "\n"
	self.html[#self.html + 1] = html
end

function R:section(text, level)
	self:add(("#"):rep(level or 3) .. " " .. text, ("<h%d>%s</h%d>"):format(level or 3, html_text(text), level or 3))
end

function R:p(...)
	local text = table.concat({...}, " ")

	self:add(text, "<p>" .. html_text(text) .. "</p>")
end

function R:list(items)
	local html = {}

	for i, item in ipairs(items) do
		html[i] = "<li>" .. html_text(item) .. "</li>"
	end
	self:add("- " .. table.concat(items, "\n- "), "<ul>\n" .. table.concat(html, "\n") .. "\n</ul>")
end

function R:code(text)
	text = text:gsub("\n$", "")
	self:add("```\n" .. text .. "\n```", "<pre>" .. text:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;") .. "</pre>")
end

-- Numbers stand on the right, with groups of three digits.
function R:table(header, rows)
	local md, html, align = {}, {}, {}

	for i = 1, #header do
		align[i] = "---:"
		for _, row in ipairs(rows) do
			if type(row[i]) ~= "number" and row[i] ~= nil and row[i] ~= "" then
				align[i] = "---"
			end
		end
	end
	md[1] = "| " .. table.concat(header, " | ") .. " |"
	md[2] = "|" .. table.concat(align, "|") .. "|"
	html[1] = "<table>\n<tr>"
	for i, text in ipairs(header) do
		html[#html + 1] = "<th>" .. html_text(text) .. "</th>"
	end
	html[#html + 1] = "</tr>"
	for _, row in ipairs(rows) do
		local cells = {}

		html[#html + 1] = "<tr>"
		for i = 1, #header do
			local value = row[i] == nil and "" or row[i]
			local text = type(value) == "number" and grouped(value) or tostring(value)

			cells[i] = text
			html[#html + 1] = ("<td%s>%s</td>"):format(align[i] == "---:" and ' class="n"' or "", html_text(text))
		end
		html[#html + 1] = "</tr>"
		md[#md + 1] = "| " .. table.concat(cells, " | ") .. " |"
	end
	self:add(table.concat(md, "\n"), table.concat(html, "\n") .. "\n</table>")
end

-- A gnuplot script; the name gets the experiment's number in front. data: rows of a file that the script calls DATA.
function R:plot(name, caption, script, data)
	name = self.number .. "-" .. name
	local lines = {}

	for i, row in ipairs(data) do
		local cells = {}

		for j, cell in ipairs(row) do
			cells[j] = type(cell) == "string" and '"' .. cell .. '"' or tostring(cell)
		end
		lines[i] = table.concat(cells, " ")
	end
	write_file(self.out .. "/" .. name .. ".dat", table.concat(lines, "\n") .. "\n")
	write_file(self.out .. "/" .. name .. ".gp", "set terminal svg size 860,420 font 'sans-serif,12' background '#ffffff'\nset output '" .. name .. ".svg'\n"
		.. "set style line 1 lc rgb '#4269d0'\nset style line 2 lc rgb '#efb118'\nset style line 3 lc rgb '#ff725c'\n"
		.. "set style line 4 lc rgb '#6cc5b0'\nset style line 5 lc rgb '#97bbf5'\nset style line 6 lc rgb '#9c6b4e'\n"
		.. "set border 3\nset grid ytics lc rgb '#dddddd' lt 1\nset tics nomirror out\n"
		.. script:gsub("DATA", "'" .. name .. ".dat'") .. "\n")
	self:add(("![%s](%s%s.svg)"):format(caption, self.pictures, name),
		('<figure><img src="%s%s.svg" alt="%s"><figcaption>%s</figcaption></figure>'):format(self.pictures, name, html_text(caption), html_text(caption)))
end

function R:write()
	write_file(self.out .. "/" .. self.number .. ".md", table.concat(self.md, "\n"))
	write_file(self.out .. "/" .. self.number .. ".html", table.concat(self.html, "\n"))
end

-- report(NUMBER, OUT): pictures in Markdown are looked for in lab/, beside docs/LAB.md.
return function(number, out)
	return setmetatable({number = number, out = out, md = {}, html = {}, pictures = "lab/"}, R)
end
