/* The screen as a file: text, or a picture as PNG by libpng. */
#include "machine/screendump.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "base/types.h"
#include "bus/display.h"

/* Returns whether it could be written. */
static bool
write_png(FILE *file, const u32 *pixels, u32 width, u32 height)
{
	png_image image = {.version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = PNG_FORMAT_RGB};
	u8 *bytes = malloc((size_t)width * height * 3), *at = bytes;
	bool good;

	if (!bytes)
		stop_host_error("out of memory");
	for (size_t i = 0; i < (size_t)width * height; i++) {
		*at++ = (u8)(pixels[i] >> 16);
		*at++ = (u8)(pixels[i] >> 8);
		*at++ = (u8)pixels[i];
	}
	good = png_image_write_to_stdio(&image, file, 0, bytes, 0, NULL) != 0;
	free(bytes);
	return good;
}

static bool
write_picture(FILE *file, const struct display *display)
{
	unsigned width, height;
	u32 black = 0, *pixels;
	bool good;

	display->size(display->adapter, &width, &height);
	if (!width || !height)
		return write_png(file, &black, 1, 1);
	pixels = calloc((size_t)width * height, 4);
	if (!pixels)
		stop_host_error("out of memory");
	display->draw(display->adapter, pixels, true);
	good = write_png(file, pixels, width, height);
	free(pixels);
	return good;
}

char *
screendump(const struct display *display, const char *path)
{
	size_t length = strlen(path);
	FILE *file = fopen(path, "wb");
	bool bad = false;

	if (!file)
		return error_string("%s: %s", path, strerror(errno));
	if (length > 4 && !strcmp(path + length - 4, ".txt")) {
		char *text = display->text(display->adapter);

		fputs(text ? text : "(graphics)\n", file);
		free(text);
	} else {
		bad = !write_picture(file, display);
	}
	bad |= ferror(file) != 0;
	bad |= fclose(file) != 0;
	return bad ? error_string("%s: cannot write", path) : NULL;
}
