/*
 * A boot sector that shows what is typed: reads keys by INT 16h and prints them by INT 10h. Escape powers off (by ACPI
 * PM1a at 0x600, as the board has it). F1 changes to a graphics mode, F2 back to text.
 */
	.code16
	.globl _start
_start:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %ss
	movw $0x7c00, %sp
	movw $0x0003, %ax
	int $0x10
	movw $banner, %si
1:	lodsb
	testb %al, %al
	jz keys
	outb %al, $0xe9		/* -debugcon: what has been shown so far */
	movb $0x0e, %ah
	movw $7, %bx
	int $0x10
	jmp 1b

keys:
	xorw %ax, %ax
	int $0x16
	cmpb $0x01, %ah
	je off
	cmpb $0x3b, %ah
	je graphics
	cmpb $0x3c, %ah
	je _start
	outb %al, $0xe9
	movb $0x0e, %ah
	movw $7, %bx
	int $0x10
	jmp keys

/* Mode 13h with a line of colour 4 (red), 40 pixels high. */
graphics:
	movw $0x0013, %ax
	int $0x10
	movw $0xa000, %ax
	movw %ax, %es
	xorw %di, %di
	movw $(320 * 40), %cx
	movb $4, %al
	rep stosb
	jmp keys

off:
	movw $0x604, %dx
	movw $0x2000, %ax
	outw %ax, %dx
	hlt
	jmp off

banner:
	.asciz "type: "

	.org 510
	.word 0xaa55
