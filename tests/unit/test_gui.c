/* Displays without the machine: keymap, exchange, and a VNC client against the server. */
#include "tests/unit/unit.h"

#include <rfb/rfbclient.h>
#include <unistd.h>

#include "bus/display.h"
#include "bus/input.h"
#include "gui/gui.h"
#include "gui/status_line.h"
#include "gui/tee.h"
#include "gui/vnc.h"

#define HZ 1000000000ull
#define PORT 5987

struct fixture {
	struct display display;
	struct gui_sinks sinks;
	struct input *input;
	u64 now;
	unsigned width, height, pictures;
	u32 colour;
	bool changed;
	char keys[256]; /* as "1e+ 1e- " */
	int dx, dy, dz;
	unsigned buttons, screenshots, closed;
};

static void
fake_size(void *adapter, unsigned *width, unsigned *height)
{
	struct fixture *f = adapter;

	*width = f->width;
	*height = f->height;
}

static bool
fake_draw(void *adapter, u32 *pixels, bool all)
{
	struct fixture *f = adapter;

	if (!f->changed && !all)
		return false;
	f->changed = false;
	f->pictures++;
	for (unsigned i = 0; i < f->width * f->height; i++)
		pixels[i] = i < f->width ? f->colour : 0x112233;
	return true;
}

static void
key(void *opaque, unsigned code, bool down)
{
	struct fixture *f = opaque;

	snprintf(f->keys + strlen(f->keys), sizeof(f->keys) - strlen(f->keys), "%x%c ", code, down ? '+' : '-');
}

static void
mouse(void *opaque, int dx, int dy, int dz, unsigned buttons)
{
	struct fixture *f = opaque;

	f->dx += dx;
	f->dy += dy;
	f->dz += dz;
	f->buttons = buttons;
}

static void
closed(void *opaque)
{
	((struct fixture *)opaque)->closed++;
}

static void
screenshot(void *opaque)
{
	((struct fixture *)opaque)->screenshots++;
}

static void
status(void *opaque, struct gui_status *s)
{
	s->instructions = ((struct fixture *)opaque)->now;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->display = (struct display){fake_size, fake_draw, NULL, f};
	f->sinks = (struct gui_sinks){key, mouse, closed, screenshot, status, f};
	f->input = input_new();
	f->width = 640;
	f->height = 480;
	f->colour = 0xff8040;
	f->changed = true;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	input_free(f->input);
	free(f);
	return 0;
}

/* Time goes on, and host input is looked at. */
static void
pass_ms(struct fixture *f, unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		f->now += 1000000;
		input_poll(f->input, f->now);
	}
}

static void
each_printable_character_has_a_key_of_its_own(void **state)
{
	bool seen[2][128] = {{false}}, shift;

	(void)state;
	for (unsigned c = ' '; c < 0x7f; c++) {
		unsigned code = keymap_character(c, &shift);

		assert_in_range(code, 1, 0x7f);
		if (seen[shift][code])
			fail_msg("'%c' shares its key", (char)c);
		seen[shift][code] = true;
	}
	assert_int_equal(keymap_character('a', &shift), 0x1e);
	assert_int_equal(keymap_character('\\', &shift), 0x2b);
	assert_int_equal(keymap_character('?', &shift), 0x35);
	assert_true(shift);
	assert_int_equal(keymap_character(0xe4, &shift), 0);
	assert_int_equal(keymap_character(0, &shift), 0);
	assert_int_equal(keymap_keysym(0xff0d), 0x1c);
	assert_int_equal(keymap_keysym(0xffbe + 9), 0x44);
	assert_int_equal(keymap_keysym(0xffc9), 0x58);
	assert_int_equal(keymap_keysym(0x12345678), 0);
}

static void
pasted_text_is_typed_at_the_pace_of_a_guest(void **state)
{
	struct fixture *f = *state;
	struct exchange e;

	exchange_init(&e, "test", &f->display, &f->sinks, f->input, HZ);
	exchange_paste(&e, "a\xe4" "B\n");
	pass_ms(f, 1);
	assert_string_equal(f->keys, "1e+ 1e- ");
	pass_ms(f, 3);
	assert_string_equal(f->keys, "1e+ 1e- ");
	pass_ms(f, 20);
	assert_string_equal(f->keys, "1e+ 1e- 2a+ 30+ 30- 2a- 1c+ 1c- ");
	exchange_free(&e);
}

static void
events_beyond_the_buffer_are_lost(void **state)
{
	struct fixture *f = *state;
	struct exchange e;

	exchange_init(&e, "test", &f->display, &f->sinks, f->input, HZ);
	for (unsigned i = 0; i < 2 * GUI_EVENTS; i++)
		exchange_tell(&e, (struct gui_event){.kind = GUI_SCREENSHOT});
	exchange_tell(&e, (struct gui_event){.kind = GUI_CLOSED});
	pass_ms(f, 1);
	assert_int_equal(f->screenshots, GUI_EVENTS);
	assert_int_equal(f->closed, 0);
	exchange_free(&e);
}

/* The other side holds the lock for ever: the emulator goes on. */
static void
the_emulator_never_waits(void **state)
{
	struct fixture *f = *state;
	struct exchange e;

	exchange_init(&e, "test", &f->display, &f->sinks, f->input, HZ);
	pthread_mutex_lock(&e.lock);
	pass_ms(f, 100);
	assert_int_equal(f->pictures, 0);
	pthread_mutex_unlock(&e.lock);
	pass_ms(f, 1);
	assert_int_equal(f->pictures, 1);
	exchange_free(&e);
}

static void
an_idle_screen_is_not_drawn(void **state)
{
	struct fixture *f = *state;
	struct exchange e;

	exchange_init(&e, "test", &f->display, &f->sinks, f->input, HZ);
	for (unsigned i = 0; i < 10; i++) {
		pass_ms(f, 1);
		usleep(20000);
	}
	assert_int_equal(f->pictures, 1);
	exchange_free(&e);
}

/* ---- VNC ---- */

static rfbBool
take_size(rfbClient *client)
{
	free(client->frameBuffer);
	client->frameBuffer = calloc((size_t)client->width * (size_t)client->height, 4);
	return client->frameBuffer != NULL;
}

static void
no_log(const char *format, ...)
{
	(void)format;
}

static rfbClient *
connected(void)
{
	rfbClient *client = rfbGetClient(8, 3, 4);
	char address[32], *arguments[] = {(char *)"test", address, NULL};
	int count = 2;

	snprintf(address, sizeof(address), "127.0.0.1:%u", PORT - 5900);
	rfbClientLog = rfbClientErr = no_log;
	client->MallocFrameBuffer = take_size;
	client->canHandleNewFBSize = TRUE;
	assert_true(rfbInitClient(client, &count, arguments));
	return client;
}

static u32
pixel(const rfbClient *client, unsigned x, unsigned y)
{
	const u8 *at = client->frameBuffer + ((size_t)y * (unsigned)client->width + x) * 4;
	u32 value = (u32)at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24;

	return (value >> client->format.redShift & 255) << 16 | (value >> client->format.greenShift & 255) << 8 |
	       (value >> client->format.blueShift & 255);
}

static bool
comes(struct fixture *f, rfbClient *client, bool (*met)(struct fixture *f, const rfbClient *client))
{
	for (unsigned i = 0; i < 300 && !met(f, client); i++) {
		pass_ms(f, 1);
		if (WaitForMessage(client, 20000) > 0)
			assert_true(HandleRFBServerMessage(client));
	}
	return met(f, client);
}

static bool
first_picture(struct fixture *f, const rfbClient *client)
{
	(void)f;
	return client->width == 640 && pixel(client, 5, 0) == 0xff8040 && pixel(client, 5, 479) == 0x112233;
}

static bool
second_picture(struct fixture *f, const rfbClient *client)
{
	(void)f;
	return client->width == 800 && client->height == 600 && pixel(client, 799, 0) == 0x00ff00;
}

static bool
three_keys(struct fixture *f, const rfbClient *client)
{
	(void)client;
	return !strcmp(f->keys, "2a+ 1e+ 1e- 2a- e04b+ e04b- ");
}

static bool
mouse_moved(struct fixture *f, const rfbClient *client)
{
	(void)client;
	return f->dx == 7 && f->dy == -3 && f->buttons == 2 && f->dz == -1;
}

static void
a_vnc_client_sees_the_screen_and_has_the_keyboard(void **state)
{
	struct fixture *f = *state;
	struct vnc *vnc;
	char where[32], *error;
	rfbClient *client;

	snprintf(where, sizeof(where), "127.0.0.1:%u", PORT - 5900);
	error = vnc_new(where, &f->display, &f->sinks, f->input, HZ, &vnc);
	if (error)
		fail_msg("%s", error);
	client = connected();
	assert_true(comes(f, client, first_picture));
	f->width = 800;
	f->height = 600;
	f->colour = 0x00ff00;
	f->changed = true;
	assert_true(comes(f, client, second_picture));
	SendKeyEvent(client, 0xffe1, TRUE);
	SendKeyEvent(client, 'A', TRUE);
	SendKeyEvent(client, 'A', FALSE);
	SendKeyEvent(client, 0xffe1, FALSE);
	SendKeyEvent(client, 0xff51, TRUE);
	SendKeyEvent(client, 0xff51, FALSE);
	assert_true(comes(f, client, three_keys));
	SendPointerEvent(client, 100, 100, 0);
	SendPointerEvent(client, 107, 97, 4);
	SendPointerEvent(client, 107, 97, 4 | 8);
	assert_true(comes(f, client, mouse_moved));
	free(client->frameBuffer);
	rfbClientCleanup(client);
	vnc_free(vnc);
}

static void
a_bad_or_taken_place_is_refused(void **state)
{
	static const char *const bad[] = {"", "1", ":", ":x", ":100", "nowhere at all:1", ":1:2x"};
	struct fixture *f = *state;
	struct vnc *vnc, *second;
	char *error;

	for (unsigned i = 0; i < COUNT(bad); i++) {
		error = vnc_new(bad[i], &f->display, &f->sinks, f->input, HZ, &vnc);
		if (!error || vnc)
			fail_msg("'%s' is accepted", bad[i]);
		free(error);
	}
	error = vnc_new("127.0.0.1:87", &f->display, &f->sinks, f->input, HZ, &vnc);
	assert_null(error);
	error = vnc_new("127.0.0.1:87", &f->display, &f->sinks, f->input, HZ, &second);
	assert_non_null(error);
	assert_non_null(strstr(error, "5987"));
	free(error);
	vnc_free(vnc);
}

/* Each sees every change once, whoever looks first; new sizes too. */
static void
two_follow_one_screen(void **state)
{
	struct fixture *f = *state;
	struct tee *tee = tee_new(&f->display);
	const struct display *side[2] = {tee_side(tee, 0), tee_side(tee, 1)};
	u32 *pixels = calloc((size_t)DISPLAY_MAX_WIDTH * DISPLAY_MAX_HEIGHT, 4);
	unsigned width, height;

	for (unsigned round = 0; round < 4; round++) {
		unsigned first = round & 1;

		f->colour = round + 1;
		f->changed = true;
		if (round == 2)
			f->width = 320;
		for (unsigned i = 0; i < 2; i++) {
			const struct display *d = side[first ^ i];

			d->size(d->adapter, &width, &height);
			assert_int_equal(width, f->width);
			assert_true(d->draw(d->adapter, pixels, false));
			assert_int_equal(pixels[width - 1], round + 1);
			assert_int_equal(pixels[width * height - 1], 0x112233);
			memset(pixels, 0, (size_t)width * height * 4);
			assert_false(d->draw(d->adapter, pixels, false));
		}
		assert_int_equal(f->pictures, round + 1);
	}
	assert_true(side[0]->draw(side[0]->adapter, pixels, true));
	assert_int_equal(pixels[0], 4);
	free(pixels);
	tee_free(tee);
}

static unsigned
count_colour(const u32 *pixels, size_t count, u32 colour)
{
	unsigned found = 0;

	for (size_t i = 0; i < count; i++)
		found += pixels[i] == colour;
	return found;
}

/* Everything has its own colour; nothing is drawn beside the line, however narrow the picture is. */
static void
the_status_line_stays_in_its_place(void **state)
{
	static const unsigned widths[] = {1, 2, 40, 320, 639, 640, 2560};
	struct status_line idle = {.mips = 123, .tenths = 45};
	struct status_line busy = {.mips = ~0ull, .tenths = ~0ull, .disk = true, .network = true, .grabbed = true};

	(void)state;
	for (unsigned i = 0; i < COUNT(widths); i++) {
		size_t size = (size_t)widths[i] * status_line_height(widths[i]);
		u32 *pixels = malloc(size * 4);
		unsigned quiet;

		assert_non_null(pixels);
		status_line_draw(pixels, widths[i], &idle);
		quiet = count_colour(pixels, size, 0x606468);
		assert_int_equal(count_colour(pixels, size, 0x60e060), 0);
		if (widths[i] >= 320)
			assert_true(quiet > 0);
		status_line_draw(pixels, widths[i], &busy);
		assert_int_equal(count_colour(pixels, size, 0x606468), 0);
		if (widths[i] >= 2560)
			assert_int_equal(count_colour(pixels, size, 0x60e060), quiet);
		free(pixels);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_printable_character_has_a_key_of_its_own),
		cmocka_unit_test_setup_teardown(pasted_text_is_typed_at_the_pace_of_a_guest, setup, teardown),
		cmocka_unit_test_setup_teardown(events_beyond_the_buffer_are_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(the_emulator_never_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(an_idle_screen_is_not_drawn, setup, teardown),
		cmocka_unit_test_setup_teardown(two_follow_one_screen, setup, teardown),
		cmocka_unit_test(the_status_line_stays_in_its_place),
		cmocka_unit_test_setup_teardown(a_vnc_client_sees_the_screen_and_has_the_keyboard, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bad_or_taken_place_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
