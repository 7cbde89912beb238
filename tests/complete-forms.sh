#!/bin/sh
# The first 400 million instructions of a Linux boot, once as usual and once by complete forms only (-singlestep): every state hash on the way
# must be the same.
#	tests/complete-forms.sh NESTBOX IMAGES
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || usage
run()
{
	"$nestbox" -m 512 -kernel "$images/vmlinux" -initrd "$images/l1small.cpio" -append "console=ttyS0 quiet nb.mode=boot" \
		-display none -serial none -log error -hash 40000000 -stop-after 400000000 "$@" 2>&1 | grep '^nestbox: hash' | uniq
}
nestbox=$1
images=$2
usual=$(run)
complete=$(run -singlestep)
if [ "$(echo "$usual" | wc -l)" = 10 ] && [ "$usual" = "$complete" ]; then
	echo "complete forms: the same ten hashes"
else
	printf 'complete forms differ:\n%s\nas usual:\n%s\n' "$complete" "$usual"
	exit 1
fi
