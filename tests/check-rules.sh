#!/bin/sh
# Which rules of VMX (tests/rules.list) a test has checked in this run, and whether docs/CONFORMANCE.md explains the others.
# A rule counts when a test that passed printed a line "RULE ID..." (tests/unit/unit.h, tests/guest/vmx/runtime.h), which it does behind the check.
# Run by make check in the build directory, after those tests.
source=${srcdir:-$(dirname "$0")/..}
list=$source/tests/rules.list
conformance=$source/docs/CONFORMANCE.md
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

grep -v '^#' "$list" | cut -d ' ' -f 1 | grep -v '^minimum$' | sort -u >"$work/all"
minimum=$(sed -n 's/^minimum //p' "$list")

for trs in tests/unit/*.trs tests/fuzz/*.trs tests/vmx-guests.sh.trs; do
	[ -e "$trs" ] && grep -q '^:global-test-result: PASS' "$trs" && sed -n 's/^RULE //p' "${trs%.trs}.log" | grep -v ' FAILED '
done | tr ' ' '\n' | grep -E '^[A-Z]+(-[A-Z]+)?-[0-9]+$' | sort -u >"$work/named"
comm -12 "$work/all" "$work/named" >"$work/tested"
comm -13 "$work/all" "$work/named" >"$work/unknown"
# Rows "| ID, ID | reason |" of the table of rules without a test.
sed -n '/^## Rules without a test/,/^## /p' "$conformance" | sed -n 's/^| \([A-Z][^|]*\) | ..*|$/\1/p' | tr -d ' ' | tr ',' '\n' |
	grep -E '^[A-Z]+(-[A-Z]+)?-[0-9]+$' | sort >"$work/explained"

complain()
{
	if [ -s "$2" ]; then
		echo "$1:" $(cat "$2")
		bad=1
	fi
}

comm -23 "$work/all" "$work/tested" >"$work/untested"
sort -u "$work/explained" | comm -23 "$work/untested" - >"$work/open"
complain "neither tested nor explained in docs/CONFORMANCE.md" "$work/open"
sort -u "$work/explained" | comm -12 "$work/tested" - >"$work/both"
complain "tested, but docs/CONFORMANCE.md says why not" "$work/both"
uniq -d "$work/explained" >"$work/twice"
complain "explained twice" "$work/twice"
sort -u "$work/explained" | comm -13 "$work/all" - >"$work/strange"
complain "explained, but no rule" "$work/strange"
complain "named by a test, but no rule" "$work/unknown"

# What the manual leaves open is said to be so.
grep -v '^#' "$list" | sed -n 's/^\([^ ]*\) .*?$/\1/p' >"$work/uncertain"
for id in $(cat "$work/uncertain"); do
	grep -qE "^\|.*\b$id\b.*\|" "$conformance" || echo "$id"
done >"$work/unsaid"
complain "left open by the manual, but docs/CONFORMANCE.md does not say so" "$work/unsaid"

# The list itself, against the document that it was made from: NB_RULES_DOCUMENT.
document=${NB_RULES_DOCUMENT:-}
if [ -n "$document" ]; then
	sed -n '/^## 1\. /,/^## 9\. /p' "$document" |
		grep -oE '^\| [A-Z]+(-[A-Z]+)?-[0-9]+ \||\bTLB-[0-9]+:' | tr -d '| :' | sort -u >"$work/document"
	comm -3 "$work/all" "$work/document" >"$work/differs"
	complain "tests/rules.list is not the document's" "$work/differs"
fi

tested=$(wc -l <"$work/tested")
echo "rules tested: $tested / $(wc -l <"$work/all"), explained: $(comm -23 "$work/untested" "$work/open" | wc -l)"
if [ "$tested" -lt "$minimum" ]; then
	echo "that is less than $minimum, which tests/rules.list demands"
	bad=1
fi
exit $bad
