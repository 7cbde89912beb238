# Debian packages, downloaded and not installed: sourced by the scripts that build guest images. They set $cache (a directory), $list
# (where the names of the downloaded files go), $update (not empty: ask apt for newer lists) and die().

apt_options="-o APT::Architecture=amd64 -o APT::Sandbox::User= -o Debug::NoLocking=1"

# Makes sure that apt knows a package, with private lists when the host has none.
find_lists()	# PACKAGE
{
	if [ -z "$update" ] && apt-cache $apt_options show "$1" >/dev/null 2>&1; then
		return
	fi
	echo "fetching package lists"
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial"
	apt_options="$apt_options -o Dir::State::lists=$cache/apt/lists -o Dir::Cache=$cache/apt/cache"
	apt-get $apt_options -qq update >"$cache/log" 2>&1 || true
	apt-cache $apt_options show "$1" >/dev/null 2>&1 ||
		die "no package $1: $(grep -m1 '^[EW]:' "$cache/log" || echo "apt does not know it")"
}

# Prints the direct dependencies of the named packages that match a shell pattern.
depends()	# PATTERN PACKAGE...
{
	pattern=$1
	shift
	apt-cache $apt_options depends --important "$@" 2>/dev/null |
	sed -n 's/^ *|\{0,1\}\(Pre\)\{0,1\}Depends: \([^<]*\)$/\2/p' | sort -u |
	while read -r name; do
		case $name in $pattern) echo "$name" ;; esac
	done
}

# Prints a package and every library package that it depends on. apt is slow to start: one call for each level.
with_libraries()	# PACKAGE
{
	seen=" "
	queue=$1
	while [ -n "$queue" ]; do
		seen="$seen$queue "
		next=
		for name in $(depends 'lib*' $queue) $(depends 'zlib*' $queue); do
			case "$seen$next " in *" $name "*) ;; *) next="$next $name" ;; esac
		done
		queue=${next# }
	done
	echo $seen
}

# Downloads the named packages and writes their files' names to the list.
download()
{
	apt-get $apt_options download --print-uris "$@" >"$cache/uris" 2>"$cache/log" ||
		die "packages are not available: $(grep -m1 '^E:' "$cache/log" || echo "apt gives no address")"
	missing=
	while read -r uri file size sum; do
		name=${file%%_*}
		if [ "$(stat -c %s "$cache/debs/$file" 2>/dev/null || echo none)" != "$size" ]; then
			rm -f "$cache/debs/$file"
			missing="$missing $name"
		fi
		echo "$file"
	done <"$cache/uris" >"$list.new"
	[ "$(wc -l <"$list.new")" -ge $# ] || die "apt gives fewer packages than were asked for, see $cache/uris"
	[ -n "$missing" ] || return 0
	echo "downloading$missing"
	(cd "$cache/debs" && apt-get $apt_options -qq download $missing >"$cache/log" 2>&1) ||
		die "download failed: $(grep -m1 '^E:' "$cache/log" || echo "see $cache/log")"
	while read -r file; do
		[ -f "$cache/debs/$file" ] || die "the download did not leave $file"
	done <"$list.new"
}

