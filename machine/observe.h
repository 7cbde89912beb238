/* Cards and their cables tell the debugger; who wants to hear of it, that knows. */
#ifndef NB_MACHINE_OBSERVE_H
#define NB_MACHINE_OBSERVE_H

struct machine;

struct observed_card {
	struct machine *machine;
	unsigned number;
};

/* Needs machine->debugger, the board and the back ends. */
void machine_observe_cards(struct machine *machine);

#endif
