/*
 * A boot sector that asks the VGA BIOS for the monitor's data (VESA VBE/DDC standard, function 4F15h) and shows them in hexadecimal on
 * the debug console: "ddc", what AX is after each of the two calls, 128 bytes of EDID. It powers off.
 */
	.code16
	.globl _start
_start:
	ljmp $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	movw $name, %si
2:	lodsb
	outb %al, $0xe9
	testb %al, %al
	jnz 2b

	movw $0x4f15, %ax	/* what can it do? */
	xorw %bx, %bx
	xorw %cx, %cx
	int $0x10
	call word
	movw $0x4f15, %ax	/* EDID, to es:di */
	movw $1, %bx
	xorw %cx, %cx
	xorw %dx, %dx
	movw $0x8000, %di
	int $0x10
	call word
	movw $0x8000, %si
3:	lodsw
	xchgb %al, %ah
	call word
	cmpw $0x8080, %si
	jb 3b

	movw $0x604, %dx
	movw $0x2000, %ax
	outw %ax, %dx
	hlt

word:
	movw $4, %cx
4:	rolw $4, %ax
	movb %al, %bl
	andb $15, %bl
	addb $'0', %bl
	cmpb $'9', %bl
	jbe 5f
	addb $'a' - '9' - 1, %bl
5:	xchgb %al, %bl
	outb %al, $0xe9
	xchgb %al, %bl
	loop 4b
	ret

name:	.asciz "ddc "
	.org 510
	.word 0xaa55
