#!/bin/sh
# Runs the lab's experiments and makes their report. See ./nb lab, and docs/LAB.md for what they found.
#	lab/run.sh NESTBOX IMAGES OUT [--short] [--update] [--docs] [--report] [N...]
# IMAGES is what tests/images/build.sh --lab made. OUT gets lab.html, LAB.md and the plots. --short: smaller runs, whose exact counts must be those
# in lab/baseline (made with images of one SHA-256; with others they are not compared); --update writes the baseline. --docs: the report becomes
# docs/LAB.md, with its plots in docs/lab. --report: nothing is run, only the report made again. Exit status: 0 good, 1 an
# experiment or a comparison failed, 77 images or gnuplot are missing.

set -u
[ $# -ge 3 ] || {
	sed -n '3,5s/^# *//p' "$0" >&2
	exit 1
}
nestbox=$1
images=$2
out=$3
shift 3
lab=$(dirname "$0")
short=
update=
docs=
report=
numbers=
for word; do
	case $word in
	--short) short=1 ;;
	--update) short=1 update=1 ;;
	--docs) docs=1 ;;
	--report) report=1 ;;
	[1-7]) numbers="$numbers $word" ;;
	*) echo "lab: '$word' is no experiment (1 to 7) and no option" >&2; exit 1 ;;
	esac
done
numbers=${numbers:-1 2 3 4 5 6 7}
[ -z "$report" ] || numbers=
[ -e "$images/lab.cpio" ] || {
	echo "lab: skipped: $images/lab.cpio is missing; tests/images/build.sh --lab $images makes it" >&2
	exit 77
}
command -v gnuplot >/dev/null || {
	echo "lab: skipped: gnuplot is missing (Debian package gnuplot-nox)" >&2
	exit 77
}
mkdir -p "$out/lab" || exit 1
sum=$(cat "$images/vmlinux" "$images/lab.cpio" | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$out/images" 2>/dev/null)" != "$sum" ]; then
	rm -f "$out/kallsyms"
	echo "$sum" >"$out/images"
fi

failed=0
for number in $numbers; do
	set -- "$lab/$number"-*.lua
	echo "lab: experiment $number: $(sed -n 's/^-- Experiment [0-9]*: //p' "$1")"
	mkdir -p "$out/$number" || exit 1
	rm -f "$out/$number/$number.md" "$out/$number/counts"
	if ! "$nestbox" -script "$1" -arg images="$images" -arg out="$out/$number" -arg file="$(basename "$1" .lua)" ${short:+-arg short=1} -artifacts "$out/$number/artifacts"; then
		failed=1
		continue
	fi
	for plot in "$out/$number"/*.gp; do
		[ ! -e "$plot" ] || (cd "$out/$number" && gnuplot "${plot##*/}") || failed=1
	done
	cp "$out/$number"/*.svg "$out/lab/" 2>/dev/null
	[ -n "$short" ] || continue
	baseline=$lab/baseline/$number
	{
		echo "images $sum"
		cat "$out/$number/counts"
	} >"$out/$number/now"
	if [ -n "$update" ]; then
		mkdir -p "$lab/baseline"
		cp "$out/$number/now" "$baseline"
		echo "lab: written: $baseline"
	elif [ "$(head -n 1 "$baseline" 2>/dev/null)" != "images $sum" ]; then
		echo "lab: experiment $number: no baseline for these images; not compared"
	elif diff "$baseline" "$out/$number/now"; then
		echo "lab: experiment $number: counts are those of the baseline"
	else
		echo "lab: experiment $number: counts differ from $baseline"
		failed=1
	fi
done

# package NAME: the version that is in the images.
package()
{
	sed -n "s/^$1_\([^_]*\)_.*/\1/p" "$images/versions" | sed 's/%3a/:/'
}
made="Made with linux-image $(package 'linux-image-[^_]*'), qemu-system-x86 $(package qemu-system-x86); SHA-256 of vmlinux and lab.cpio $sum."
{
	sed "s/^@MADE@\$/$made/" "$lab/report.md"
	for number in 1 2 3 4 5 6 7; do
		[ ! -e "$out/$number/$number.md" ] || { echo; cat "$out/$number/$number.md"; }
	done
} >"$out/LAB.md"
{
	cat "$lab/report-head.html"
	# The head of the report: paragraphs and lists only.
	sed "1d; s/^@MADE@\$/$made/; s/&/\&amp;/g; s/</\&lt;/g" "$lab/report.md" | sed 's/`\([^`]*\)`/<code>\1<\/code>/g; s/\*\*\([^*]*\)\*\*/<b>\1<\/b>/g' |
		awk '/^## / { if (list) print "</ul>"; list = 0; sub(/^## /, ""); print "<h2>" $0 "</h2>"; next }
			/^- / { if (!list) print "<ul>"; list = 1; sub(/^- /, ""); print "<li>" $0; next }
			/^$/ { if (list) print "</ul>"; list = 0; print "<p>"; next }
			{ print }
			END { if (list) print "</ul>" }'
	for number in 1 2 3 4 5 6 7; do
		[ ! -e "$out/$number/$number.html" ] || cat "$out/$number/$number.html"
	done
	echo "</body></html>"
} >"$out/lab.html"
if [ -n "$docs" ] && [ -z "$short" ] && [ $failed = 0 ]; then
	mkdir -p "$lab/../docs/lab"
	cp "$out/LAB.md" "$lab/../docs/LAB.md"
	cp "$out"/lab/*.svg "$lab/../docs/lab/"
	echo "lab: docs/LAB.md is this report now"
fi
echo "lab: the report is $out/lab.html (as Markdown: $out/LAB.md)"
exit $failed
