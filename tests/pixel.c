/*
 * Prints width and height of a PNG picture, and colours of some of its pixels, decoded by libpng.
 *	pixel FILE X,Y...
 */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	unsigned x, y;
	png_byte *bytes;

	if (argc < 2 || !png_image_begin_read_from_file(&image, argv[1])) {
		fprintf(stderr, "pixel: %s\n", argc < 2 ? "no file" : image.message);
		return 1;
	}
	image.format = PNG_FORMAT_RGB;
	bytes = malloc(PNG_IMAGE_SIZE(image));
	if (!bytes || !png_image_finish_read(&image, NULL, bytes, 0, NULL)) {
		fprintf(stderr, "pixel: %s\n", bytes ? image.message : "out of memory");
		free(bytes);
		return 1;
	}
	printf("%ux%u", image.width, image.height);
	for (int i = 2; i < argc; i++) {
		const png_byte *at;

		if (sscanf(argv[i], "%u,%u", &x, &y) != 2 || x >= image.width || y >= image.height) {
			fprintf(stderr, "pixel: no pixel %s\n", argv[i]);
			return 1;
		}
		at = bytes + ((size_t)y * image.width + x) * 3;
		printf(" %02x%02x%02x", at[0], at[1], at[2]);
	}
	printf("\n");
	free(bytes);
	return 0;
}
