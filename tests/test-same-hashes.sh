#!/bin/sh
# A cheap machine again and again, and saved and loaded at random points: equal hashes. tests/same-hashes.sh does that with the nested run. In the
# build directory.
exec "$(dirname "$0")/same-hashes.sh" -p small ./nestbox . 10 10
