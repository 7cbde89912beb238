#!/bin/sh
# Prints where a file of a Debian package is: installed, or unpacked below ./packages, where it is downloaded to once.
#	tests/package-file.sh PACKAGE PATH
# Status 77, which tests hand on as "skipped", when it cannot be had.
[ $# = 2 ] || exit 1
package=$1
path=$2
if [ -r "$path" ]; then
	echo "$path"
	exit 0
fi
cache=$(pwd)/packages
if [ ! -r "$cache/$package$path" ]; then
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && mkdir -p "$cache/$package" && (
		cd "$cache" && apt-get -qq -o APT::Sandbox::User= download "$package" && dpkg-deb -x "$package"_*.deb "$package"
	) >&2
fi
if [ ! -r "$cache/$package$path" ]; then
	echo "no $path (Debian package $package)" >&2
	exit 77
fi
echo "$cache/$package$path"
