/* One display adapter for two that follow its changes. See tee.c. */
#ifndef NB_GUI_TEE_H
#define NB_GUI_TEE_H

#include "bus/display.h"

#define TEE_SIDES 2u

struct tee;

struct tee *tee_new(const struct display *real);
void tee_free(struct tee *tee);
/* What one of them looks at; `side` is below TEE_SIDES. */
const struct display *tee_side(struct tee *tee, unsigned side);

#endif
