#!/bin/sh
# The first 400 million instructions of a Linux boot, once as usual and once by complete forms only (-singlestep): every state hash on the way
# must be the same.
#	tests/complete-forms.sh NESTBOX IMAGES
[ $# = 2 ] || {
	sed -n '2,4s/^# *//p' "$0" >&2
	exit 1
}
run()
{
	"$nestbox" -m 512 -kernel "$images/vmlinux" -initrd "$images/l1small.cpio" -append "console=ttyS0 quiet nb.mode=boot" \
		-display none -serial none -log error -hash 40000000 -stop-after 400000000 "$@" 2>&1 | grep '^nestbox: hash'
}
nestbox=$1
images=$2
usual=$(run)
complete=$(run -singlestep)
if [ -n "$usual" ] && [ "$usual" = "$complete" ]; then
	echo "complete forms: the same ten hashes"
else
	printf 'complete forms differ:\n%s\nas usual:\n%s\n' "$complete" "$usual"
	exit 1
fi
