/* The screen as a file. See screendump.c. */
#ifndef NB_MACHINE_SCREENDUMP_H
#define NB_MACHINE_SCREENDUMP_H

struct display;

/* Writes a picture to NAME.png, or the characters to NAME.txt. Returns NULL, or what is wrong (heap). */
char *screendump(const struct display *display, const char *path);

#endif
