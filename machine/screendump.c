/*
 * The screen as a file: text, or a picture as PNG.
 *
 * Source: PNG specification (W3C, second edition), "Datastream structure"; RFC 1950 and 1951 for the stream inside,
 * whose blocks are stored, not compressed.
 */
#include "machine/screendump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "base/types.h"
#include "bus/display.h"

#define BLOCK 65535u

struct png {
	FILE *file;
	u32 crc;             /* of the present chunk */
	u32 a, b;            /* Adler-32 of the stream */
	u64 left;            /* bytes of the picture still to come */
	u32 block;           /* bytes left in the present stored block */
};

static void
put(struct png *p, const u8 *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		p->crc ^= bytes[i];
		for (unsigned bit = 0; bit < 8; bit++)
			p->crc = p->crc >> 1 ^ (p->crc & 1 ? 0xedb88320u : 0);
	}
	fwrite(bytes, 1, size, p->file);
}

static void
put_big32(struct png *p, u32 value)
{
	u8 bytes[4] = {(u8)(value >> 24), (u8)(value >> 16), (u8)(value >> 8), (u8)value};

	put(p, bytes, 4);
}

static void
begin_chunk(struct png *p, u32 size, const char *type)
{
	put_big32(p, size);
	p->crc = ~0u;
	put(p, (const u8 *)type, 4);
}

static void
end_chunk(struct png *p)
{
	put_big32(p, ~p->crc);
}

/* The next byte of the picture, with the heads of stored blocks where they are due. */
static void
put_picture(struct png *p, u8 byte)
{
	if (!p->block) {
		u16 size = (u16)MIN(p->left, BLOCK);
		u8 head[5] = {p->left <= BLOCK, (u8)size, (u8)(size >> 8), (u8)~size, (u8)(~size >> 8)};

		put(p, head, sizeof(head));
		p->block = size;
	}
	put(p, &byte, 1);
	p->block--;
	p->left--;
	p->a = (p->a + byte) % 65521;
	p->b = (p->b + p->a) % 65521;
}

static void
write_png(FILE *file, const u32 *pixels, u32 width, u32 height)
{
	static const u8 signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	static const u8 format[5] = {8, 2, 0, 0, 0}; /* 8 bits of red, green, blue; no interlacing */
	static const u8 stream[2] = {0x78, 0x01};
	struct png p = {.file = file, .a = 1, .left = (u64)height * (3 * width + 1)};
	u32 blocks = (u32)((p.left + BLOCK - 1) / BLOCK);

	put(&p, signature, sizeof(signature));
	begin_chunk(&p, 13, "IHDR");
	put_big32(&p, width);
	put_big32(&p, height);
	put(&p, format, sizeof(format));
	end_chunk(&p);
	begin_chunk(&p, (u32)p.left + 5 * blocks + 6, "IDAT");
	put(&p, stream, sizeof(stream));
	for (u32 y = 0; y < height; y++) {
		put_picture(&p, 0); /* no filter */
		for (u32 x = 0; x < width; x++, pixels++) {
			put_picture(&p, (u8)(*pixels >> 16));
			put_picture(&p, (u8)(*pixels >> 8));
			put_picture(&p, (u8)*pixels);
		}
	}
	put_big32(&p, p.b << 16 | p.a);
	end_chunk(&p);
	begin_chunk(&p, 0, "IEND");
	end_chunk(&p);
}

static void
write_picture(FILE *file, const struct display *display)
{
	unsigned width, height;
	u32 black = 0, *pixels;

	display->size(display->adapter, &width, &height);
	if (!width || !height) {
		write_png(file, &black, 1, 1);
		return;
	}
	pixels = calloc((size_t)width * height, 4);
	if (!pixels)
		stop_host_error("out of memory");
	display->draw(display->adapter, pixels, true);
	write_png(file, pixels, width, height);
	free(pixels);
}

char *
screendump(const struct display *display, const char *path)
{
	size_t length = strlen(path);
	FILE *file = fopen(path, "wb");
	bool bad;

	if (!file)
		return error_string("-screendump %s: %s", path, strerror(errno));
	if (length > 4 && !strcmp(path + length - 4, ".txt")) {
		char *text = display->text(display->adapter);

		fputs(text ? text : "(graphics)\n", file);
		free(text);
	} else {
		write_picture(file, display);
	}
	bad = ferror(file);
	bad |= fclose(file) != 0;
	return bad ? error_string("-screendump %s: cannot write", path) : NULL;
}
