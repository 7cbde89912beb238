/*
 * What stands for a BIOS when a kernel is booted directly (-kernel): one page, at f000:f000 in RAM and below 4 GiB as ROM.
 *
 * Kernels that enter real mode on their way up (multiboot kernels with a trampoline, above all) call the BIOS there: memory map,
 * disks, video mode, keyboard. Each service that has an answer without firmware gives it; each other says "not supported" as that
 * service does. Nothing here draws on the screen or reads a disk.
 *
 * Sources: IBM PC AT Technical Reference, BIOS listing; ACPI 6.4, "INT 15H, E820H"; Interrupt List by R. Brown for the failure
 * results.
 */
#include "bios/direct.h"

#define OFF(label) ((label) - bios_direct + BIOS_DIRECT_LOW - 0xf0000)

/* The caller's flags, on the stack of a handler that has pushed BP and set it. */
#define FLAGS 6(%bp)
#define FLAG_CF 0x0001
#define FLAG_ZF 0x0040

#define PIC0 0x20
#define PIC1 0xa0
#define EOI 0x20
#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define PORT92 0x92
#define PORT92_A20 0x02

/* The BIOS data area, from segment 0. */
#define BDA_EQUIPMENT 0x410
#define BDA_MEMORY_KB 0x413
#define BDA_TICKS 0x46c

	.section .rodata, "a", @progbits
	.globl bios_direct, bios_direct_vectors, bios_direct_map
	.balign 16
bios_direct:
	.code16

nothing:
	iret

/* ---- hardware interrupts ---- */

irq_timer:
	push %ax
	push %ds
	xor %ax, %ax
	mov %ax, %ds
	addw $1, BDA_TICKS
	adcw $0, BDA_TICKS + 2
	pop %ds
	pop %ax
	int $0x1c
irq_low:
	push %ax
	mov $EOI, %al
	out %al, $PIC0
	pop %ax
	iret
irq_high:
	push %ax
	mov $EOI, %al
	out %al, $PIC1
	out %al, $PIC0
	pop %ax
	iret

/* ---- 10h, video: no mode can be set; the present one is 80x25 text ---- */

video:
	cmp $0x0f, %ah
	jne nothing
	mov $0x5003, %ax
	xor %bh, %bh
	iret

/* ---- 11h and 12h: equipment and memory below 640 KiB ---- */

equipment:
	push %ds
	xor %ax, %ax
	mov %ax, %ds
	mov BDA_EQUIPMENT, %ax
	pop %ds
	iret

base_memory:
	push %ds
	xor %ax, %ax
	mov %ax, %ds
	mov BDA_MEMORY_KB, %ax
	pop %ds
	iret

/* ---- 13h: no disk; 14h, 17h: time-out ---- */

disk:
	mov $0x01, %ah
	jmp fail

serial:
	mov $0x80, %ah
	iret

printer:
	mov $0x01, %ah
	iret

/* ---- 15h: memory map, A20 ---- */

system:
	cmp $0xe820, %ax
	je memory_map
	cmp $0xe801, %ax
	je memory_sizes
	cmp $0x88, %ah
	je extended_memory
	cmp $0x24, %ah
	je a20
	mov $0x86, %ah
	jmp fail

/* EBX: the entry's number; ECX: room at ES:DI; EDX: "SMAP". */
memory_map:
	cmp $0x534d4150, %edx
	jne 2f
	cmp $20, %ecx
	jb 2f
	cmp $BIOS_DIRECT_MAP_MAX, %ebx
	jae 2f
	cmp %cs:OFF(bios_direct_map), %bx
	jae 2f
	push %ds
	push %cs
	pop %ds
	push %si
	push %di
	imul $20, %bx, %si
	add $OFF(bios_direct_map) + 2, %si
	mov $10, %cx
	cld
	rep movsw
	pop %di
	pop %si
	pop %ds
	inc %ebx
	cmp %cs:OFF(bios_direct_map), %bx
	jb 1f
	xor %ebx, %ebx
1:	mov $20, %ecx
	mov $0x534d4150, %eax
	jmp succeed
2:	mov $0x86, %ah
	jmp fail

/* The fourth entry is the RAM from 1 MiB on. AX, CX: KiB up to 16 MiB; BX, DX: the rest in units of 64 KiB. */
memory_sizes:
	call extended_kib
	mov %eax, %edx
	xor %bx, %bx
	sub $15 << 10, %edx
	jb 1f
	mov $15 << 10, %ax
	shr $6, %edx
	mov %dx, %bx
1:	mov %ax, %cx
	mov %bx, %dx
	jmp succeed

extended_memory:
	call extended_kib
	cmp $63 << 10, %eax
	jb succeed
	mov $63 << 10, %ax
	jmp succeed

/* EAX: KiB in the map's fourth entry. */
extended_kib:
	push %ds
	push %cs
	pop %ds
	mov OFF(bios_direct_map) + 2 + 3 * 20 + 8, %eax
	pop %ds
	shr $10, %eax
	ret

a20:
	cmp $3, %al
	je 3f
	ja 4f
	cmp $1, %al
	push %bx
	mov %al, %bl
	in $PORT92, %al
	ja 2f
	jb 1f
	or $PORT92_A20, %al
	out %al, $PORT92
	jmp 5f
1:	and $~PORT92_A20 & 0xfe, %al
	out %al, $PORT92
	jmp 5f
2:	shr $1, %al
	and $1, %al
	mov %al, %bl
5:	mov %bl, %al
	pop %bx
	xor %ah, %ah
	jmp succeed
3:	mov $3, %bx /* both the keyboard controller and port 92h do it */
	xor %ah, %ah
	jmp succeed
4:	mov $0x86, %ah
	jmp fail

/* ---- 16h, keyboard: no key is ever there ---- */

keyboard:
	test $~0x10 & 0xff, %ah
	jz 2f
	cmp $0x01, %ah
	je 1f
	cmp $0x11, %ah
	je 1f
	cmp $0x02, %ah
	jne nothing
	xor %al, %al
	iret
1:	push %bp
	mov %sp, %bp
	orw $FLAG_ZF, FLAGS
	pop %bp
	iret
2:	sti
	hlt
	jmp 2b

/* ---- 18h, 19h: nothing to boot; the reset vector's call decides ---- */

restart:
	out %al, $BIOS_DIRECT_CALL_PORT
1:	hlt
	jmp 1b

/* ---- 1Ah: ticks since midnight, the clock's time and date in BCD ---- */

time:
	cmp $0x02, %ah
	je 2f
	cmp $0x04, %ah
	je 4f
	or %ah, %ah
	jnz fail
	push %ds
	xor %ax, %ax
	mov %ax, %ds
	mov BDA_TICKS, %dx
	mov BDA_TICKS + 2, %cx
	pop %ds
	jmp succeed
2:	mov $0x04, %al
	call cmos
	mov %al, %ch
	mov $0x02, %al
	call cmos
	mov %al, %cl
	mov $0x00, %al
	call cmos
	mov %al, %dh
	xor %dl, %dl
	xor %al, %al
	jmp succeed
4:	mov $0x32, %al
	call cmos
	mov %al, %ch
	mov $0x09, %al
	call cmos
	mov %al, %cl
	mov $0x08, %al
	call cmos
	mov %al, %dh
	mov $0x07, %al
	call cmos
	mov %al, %dl
	xor %al, %al
	jmp succeed
cmos:
	out %al, $CMOS_INDEX
	in $CMOS_DATA, %al
	ret

/* ---- results ---- */

fail:
	push %bp
	mov %sp, %bp
	orw $FLAG_CF, FLAGS
	pop %bp
	iret
succeed:
	push %bp
	mov %sp, %bp
	andw $~FLAG_CF, FLAGS
	pop %bp
	iret

	.balign 2
bios_direct_vectors:
	.rept 8
	.word OFF(nothing)
	.endr
	.word OFF(irq_timer)
	.rept 7
	.word OFF(irq_low)
	.endr
	.word OFF(video), OFF(equipment), OFF(base_memory), OFF(disk), OFF(serial), OFF(system), OFF(keyboard), OFF(printer)
	.word OFF(restart), OFF(restart), OFF(time)
	.rept 0x70 - 0x1b
	.word OFF(nothing)
	.endr
	.rept 8
	.word OFF(irq_high)
	.endr
	.rept 0x100 - 0x78
	.word OFF(nothing)
	.endr

	.balign 16
bios_direct_map:
	.word 0
	.space 20 * BIOS_DIRECT_MAP_MAX

	.org bios_direct + 0xff0
reset_vector:
	out %al, $BIOS_DIRECT_CALL_PORT
1:	hlt
	jmp 1b
	.org bios_direct + BIOS_DIRECT_SIZE
	.code64
	.section .note.GNU-stack, "", @progbits
