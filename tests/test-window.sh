#!/bin/sh
# The window, under Xvfb: keys typed and pasted, title, screenshot, grab, close; the VNC server; no display. Run in the
# build directory. What the guest shows is compared as text, not as pixels.
# Display drivers are unloaded before LeakSanitizer looks, so what they keep has no name to suppress it by.
ASAN_OPTIONS=detect_leaks=0
export ASAN_OPTIONS
. "$(dirname "$0")/lib.sh"
shown="err out screen.txt"
for program in Xvfb xdotool; do
	command -v $program >/dev/null || skip "no $program (Debian packages xvfb, xdotool)"
done
nestbox=$PWD/nestbox
pixel=$PWD/tests/pixel
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
Xvfb -displayfd 3 -screen 0 1280x1024x24 -nolisten tcp -noreset 3>number >xvfb.log 2>&1 &
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

# The one of this machine, which may be beside one that is going.
find_window()
{
	soon xdotool search --all --pid $machine --name '^nestbox'
	window=$(xdotool search --all --pid $machine --name '^nestbox' | head -n 1)
}

size()
{
	xdotool getwindowgeometry "$window" | grep -q "Geometry: $1"
}

# Keys are lost while X moves the focus, as it does after a change of size.
quit()
{
	xdotool key --window "$window" ctrl+alt+q
	sleep 0.5
	! xdotool getwindowname "$window"
}

title()
{
	xdotool getwindowname "$window" | grep -q "$1"
}

start -display sdl
find_window
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
verdict a_screenshot_has_only_the_picture [ "$("$pixel" nestbox-1.png)" = 720x400 ]
verdict the_window_has_a_line_below_the_picture soon size 720x422
xdotool key --window "$window" ctrl+alt+i
verdict ctrl_alt_i_hides_it soon size 720x400
xdotool key --window "$window" ctrl+alt+i
verdict and_shows_it_again soon size 720x422
if command -v xclip >/dev/null; then
	printf 'Paste: {[~]}' | xclip -selection clipboard >/dev/null 2>&1
	xdotool key --window "$window" ctrl+alt+v
	verdict ctrl_alt_v_types_what_is_on_the_clipboard soon grep -qF 'WPaste: {[~]}' shown
else
	echo "[  SKIPPED ] the clipboard: no xclip (Debian package xclip)"
fi
# There is no window manager that would show it, but it must not hurt.
xdotool key --window "$window" ctrl+alt+f
sleep 0.5
xdotool key --window "$window" ctrl+alt+f
sleep 0.5
xdotool key --delay 60 --window "$window" x
soon grep -q 'x$' shown
xdotool key --window "$window" Escape
verdict escape_powers_off over 0
verdict what_was_typed_is_on_the_screen grep -q 'type: hello W.*x$' screen.txt

start -display sdl
find_window
soon grep -q 'type: ' shown
soon quit
verdict ctrl_alt_q_ends_the_machine over 0

# In graphics mode the window has another size, and the user may change it. VNC clients may look at the same time.
start -display sdl -vnc 127.0.0.1:91
find_window
soon grep -q 'type: ' shown
verdict a_window_beside_vnc soon size 720x422
xdotool key --window "$window" F1
verdict another_mode_is_another_size soon size 320x211
xdotool windowsize "$window" 900 700
verdict the_user_may_stretch_it soon size 900x700
xdotool key --delay 60 --window "$window" s
xdotool key --window "$window" F2
verdict text_mode_has_its_size_again soon size 720x422
soon quit
verdict it_ends over 0

DISPLAY=:99999 "$nestbox" -m 16 -display sdl -hda disk >out 2>err </dev/null
status=$?
verdict without_a_display_there_is_one_message sh -c "[ $status = 1 ] && [ \$(wc -l <err) = 1 ] && grep -q 'display sdl: no window' err"
env -u DISPLAY "$nestbox" -m 16 -display sdl -hda disk >out 2>err </dev/null
status=$?
verdict nor_without_the_variable sh -c "[ $status = 1 ] && [ \$(wc -l <err) = 1 ] && grep -q 'DISPLAY' err"
exit $failed
