#!/bin/sh
# The screen as text and as pictures, by scenario and by the debugger's shell; pictures are decoded by libpng. Run in the build directory.
. "$(dirname "$0")/lib.sh"
sector keys "$work/disk"
truncate -s 64K "$work/disk"
shown="out shell"

# picture FILE TEXT X,Y...
picture()
{
	file=$1
	text=$2
	shift 2
	tests/pixel "$work/$file" "$@" && [ "$(tests/pixel "$work/$file" "$@")" = "$text" ]
}

verdict text_is_what_the_guest_wrote ends 0 ./nestbox -script "$source/tests/scene/screen.lua" \
	-arg disk="$work/disk" -arg work="$work" -arg size='320 x 200' </dev/null
expected='type: Hello, 1 + 2 = 3!'
verdict so_is_what_a_scenario_saves [ "$(cat "$work/text.txt")" = "$expected" ]
verdict and_what_the_shell_saves [ "$(cat "$work/shell.txt")" = "$expected" ]
verdict a_picture_of_text_has_its_size_and_background picture text.png '720x400 000000 000000' 719,0 0,399
verdict a_picture_of_graphics_has_the_colours_that_were_drawn picture graphics.png '320x200 aa0000 aa0000 000000 000000' 0,0 319,39 0,40 319,199

# The shell by itself: the machine stands still at the reset vector, before there is a picture.
printf 'info screen\nscreenshot %s/none.png\nscreenshot\nscreenshot /no/such/folder/x.png\nquit\n' "$work" |
	./nestbox -m 16 -nic none -debug -drive "file=$work/disk,format=raw,snapshot=on" >"$work/shell" 2>&1
verdict before_the_first_mode_there_is_a_black_dot picture none.png '1x1 000000' 0,0
verdict a_folder_that_is_not_there_is_named grep -q '/no/such/folder/x.png: No such file' "$work/shell"
exit $failed
