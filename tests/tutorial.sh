#!/bin/sh
# Plays docs/TUTORIAL.in: runs its commands, puts what nestbox and gdb say behind each, and compares with docs/TUTORIAL.md what does not
# depend on addresses and counts; --update writes that page. A {PATTERN} in a command stands for what its \(...\) matched in the output before.
#
#	tutorial.sh ./nestbox IMAGES [--update]
#
# The kernel's debug information: NB_SYMBOLS, or vmlinux.debug in IMAGES (by images/symbols.sh), or where Debian's linux-image-*-dbg puts it.
# Without it the test is skipped.
nestbox=$(realpath "$1") || exit 1
images=$(realpath "$2") || exit 1
update=${3:-}
source=$(realpath "${srcdir:-$(dirname "$0")/..}")
version=$(sed -n 's/^linux-image-\([^_]*-amd64\)_.*/\1/p' "$images/versions")
symbols=${NB_SYMBOLS:-$images/vmlinux.debug}
[ -e "$symbols" ] || symbols=/usr/lib/debug/boot/vmlinux-$version
skip()
{
	echo "tutorial: skipped: $1"
	exit 77
}
[ -e "$images/l1fast.cpio" ] || skip "no images: ./nb image"
[ -e "$symbols" ] || skip "no $symbols: tests/images/symbols.sh, or apt-get install linux-image-$version-dbg"
command -v gdb >/dev/null || skip "no gdb"
work=$(mktemp -d) || exit 1
server=
trap '[ -z "$server" ] || kill $server 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
ln -s "$symbols" vmlinux.debug
machine="-m 1024 -kernel $images/vmlinux -initrd $images/l1fast.cpio -nic user,model=e1000"
append='console=ttyS0 quiet nokaslr nb.l2append="nokaslr nb.l2mode=boot"'

# The commands of one prompt, one a line.
commands()
{
	sed -n "s/^	($1) //p" "$source/docs/TUTORIAL.in"
}

# Runs the shell's commands in the file `script`; each one's output, with its number before it, goes to `said`.
play()
{
	awk '{ print "echo @@@" NR; print }' script |
		timeout 300 "$nestbox" -debug $machine -append "$append" >said 2>&1
}

commands nestbox >script
while line=$(grep -n '{.*}' script | head -n 1) && [ -n "$line" ]; do
	number=${line%%:*}
	cp script whole
	head -n $((number - 1)) whole >script
	play
	pattern=$(sed -n "${number}s/.*{\(.*\)}.*/\1/p" whole)
	value=$(sed -n "s/.*$pattern.*/\1/p" said | tail -n 1)
	[ -n "$value" ] || { echo "tutorial: nothing matched $pattern in:"; cat said; exit 1; }
	sed "${number}s/{.*}/$value/" whole >script
done
play
sed 's/\r*$//' said >said.nestbox
cp script script.nestbox

commands gdb >script
port=$((20000 + $$ % 20000))
timeout 300 "$nestbox" -gdb $port -S $machine -append "$append" >server.log 2>&1 &
server=$!
{
	printf 'set confirm off\nset pagination off\nset width 0\nset tcp connect-timeout 60\ntarget remote localhost:%d\n' $port
	awk '{ print "echo @@@" NR "\\n"; print }' script
} >gdb.commands
timeout 300 gdb -nx -batch -x gdb.commands vmlinux.debug >said.gdb 2>&1
kill $server
server=
cp script script.gdb

# The page: the template, each command with what it said.
awk -v tab='	' '
function load(which,    file, line, n) {
	file = "script." which
	n = 0
	while ((getline line <file) > 0)
		command[which, ++n] = line
	file = "said." which
	n = 0
	while ((getline line <file) > 0) {
		if (line ~ /^@@@[0-9]+$/)
			n = substr(line, 4) + 0
		else if (n && line != "")
			output[which, n] = output[which, n] tab line "\n"
	}
}
BEGIN { load("nestbox"); load("gdb") }
match($0, /^\t\((nestbox|gdb)\) /) {
	which = substr($0, 3, index($0, ")") - 3)
	n = ++count[which]
	printf "\t(%s) %s\n%s", which, command[which, n], output[which, n]
	next
}
{ print }' "$source/docs/TUTORIAL.in" | sed 's/[ 	]*$//' >page

if [ "$update" = --update ]; then
	cp page "$source/docs/TUTORIAL.md"
	exit
fi
# Numbers differ from one kernel to the next, and which exits there are besides those that the page is about.
stable()
{
	sed -e '/^	[A-Z_]* *[0-9]* *[0-9.]*% /d' -e 's/0x[0-9a-fA-F]*/N/g' -e 's/\b[0-9a-f]\{8,\}\b/N/g' -e 's/[0-9][0-9.]*/N/g' \
		-e 's/  */ /g' "$1"
}
stable page >page.stable
stable "$source/docs/TUTORIAL.md" >page.expected
if diff page.expected page.stable; then
	echo "[       OK ] the_tutorial_happens_as_told"
else
	echo "[  FAILED  ] the_tutorial_happens_as_told (tests/tutorial.sh ... --update writes it anew)"
	exit 1
fi
