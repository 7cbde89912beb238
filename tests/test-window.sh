#!/bin/sh
# The window, under Xvfb: keys typed and pasted, title, screenshot, grab, close; the VNC server; no display. Run in the
# build directory. What the guest shows is compared as text, not as pixels.
# Display drivers are unloaded before LeakSanitizer looks, so what they keep has no name to suppress it by.
ASAN_OPTIONS=detect_leaks=0
export ASAN_OPTIONS
. "$(dirname "$0")/lib.sh"
shown="err screen.txt"
for program in Xvfb xdotool; do
	command -v $program >/dev/null || skip "no $program (Debian packages xvfb, xdotool)"
done
nestbox=$PWD/nestbox
xvfb=
machine=
trap 'kill $machine $xvfb 2>/dev/null; rm -rf "$work"' EXIT
sector keys "$work/disk"
truncate -s 64K "$work/disk"
cd "$work" || exit 1

# soon COMMAND...: succeeds when the command does within half a minute.
soon()
{
	for i in $(seq 300); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	return 1
}

# A display number that is free.
Xvfb -displayfd 3 -screen 0 1280x1024x24 -nolisten tcp 3>number >xvfb.log 2>&1 &
xvfb=$!
soon test -s number || skip "Xvfb does not start"
DISPLAY=:$(cat number)
export DISPLAY
unset WAYLAND_DISPLAY SDL_VIDEODRIVER

# start ARGUMENT...: the machine; -realtime, or the guest would have slept for hours before the first key.
start()
{
	rm -f shown
	"$nestbox" -m 16 -nic none -serial none -debugcon file:shown -realtime -timeout 120 -screendump screen.txt \
		-drive file=disk,format=raw,snapshot=on "$@" >out 2>err </dev/null &
	machine=$!
}

# over STATUS: has the machine ended like this?
over()
{
	wait $machine
	got=$?
	machine=
	[ $got = "$1" ]
}

title()
{
	xdotool getwindowname "$window" | grep -q "$1"
}

start -display sdl
soon xdotool search --name '^nestbox'
window=$(xdotool search --name '^nestbox' | head -n 1)
verdict a_window_opens test -n "$window"
verdict firmware_starts_the_boot_sector soon grep -q 'type: ' shown
xdotool windowfocus "$window" 2>/dev/null
xdotool key --delay 60 --window "$window" h e l l o space shift+w
verdict what_is_typed_reaches_the_guest soon grep -q 'type: hello W' shown
verdict the_title_tells_speed_and_time soon title '[0-9] MIPS  [0-9]*\.[0-9] s'
xdotool mousemove --window "$window" 100 100 click 1
verdict a_click_grabs_the_mouse soon title 'Ctrl-Alt-G'
xdotool key --window "$window" ctrl+alt+g
# The title is written twice a second.
sleep 1
verdict ctrl_alt_g_releases_it sh -c "! xdotool getwindowname $window | grep -q Ctrl-Alt-G"
xdotool key --window "$window" ctrl+alt+s
verdict ctrl_alt_s_is_a_screenshot soon sh -c 'head -c 4 nestbox-1.png | grep -q PNG'
# There is no window manager that would show it, but it must not hurt.
xdotool key --window "$window" ctrl+alt+f
sleep 0.5
xdotool key --window "$window" ctrl+alt+f
sleep 0.5
xdotool key --delay 60 --window "$window" x
soon grep -q 'Wx' shown
xdotool key --window "$window" Escape
verdict escape_powers_off over 0
verdict what_was_typed_is_on_the_screen grep -q 'type: hello Wx' screen.txt

start -display sdl
soon xdotool search --name '^nestbox'
window=$(xdotool search --name '^nestbox' | head -n 1)
soon grep -q 'type: ' shown
xdotool key --window "$window" ctrl+alt+q
verdict ctrl_alt_q_ends_the_machine over 0


DISPLAY=:99999 "$nestbox" -m 16 -display sdl -hda disk >out 2>err </dev/null
status=$?
verdict without_a_display_there_is_one_message sh -c "[ $status = 1 ] && [ \$(wc -l <err) = 1 ] && grep -q 'display sdl: no window' err"
env -u DISPLAY "$nestbox" -m 16 -display sdl -hda disk >out 2>err </dev/null
status=$?
verdict nor_without_the_variable sh -c "[ $status = 1 ] && [ \$(wc -l <err) = 1 ] && grep -q 'DISPLAY' err"
exit $failed
