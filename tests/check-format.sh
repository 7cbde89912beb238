#!/bin/sh
# Mechanical rules that every machine judges alike. .clang-format has the rest, for editors.
cd "${srcdir:-$(dirname "$0")/..}" || exit 1

folders="base bus cpu vmx devices net gui debugger machine script tools bios tests bench examples"
sources=$(find $folders \( -name '*.[chS]' -o -name '*.sh' \) 2>/dev/null)
# 120 columns is the aim; what is wider than this does not fit beside anything.
limit=150
bad=0
report()
{
	if [ -n "$2" ]; then
		echo "$1:"
		echo "$2" | head -20
		bad=1
	fi
}

tab=$(printf '\t')
report "blanks at the end of a line" "$(grep -nH "[ $tab]\$" $sources /dev/null)"
report "indentation by blanks" "$(grep -nHE '^ {8}|^ +[^ *]' $sources /dev/null | grep -v '\.sh:' | grep -vE ':[0-9]+: [A-Z_a-z]+:')"
report "carriage returns" "$(grep -nH "$(printf '\r')" $sources /dev/null)"
for file in $sources; do
	[ -z "$(tail -c 1 "$file")" ] || report "no newline at the end" "$file"
	expand "$file" | awk -v file="$file" -v limit="$limit" '
		length > limit { print file ":" NR ": " length " columns"; found = 1 }
		END { exit found }' || bad=1
done
exit $bad
