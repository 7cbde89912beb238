/*
 * A boot sector: greets on the screen and on COM1 through firmware, reads the sector behind it, writes it two sectors
 * further, prints the size of memory that firmware tells of, and powers off by ACPI.
 */
	.code16
	.text
	.globl _start
_start:
	ljmp $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	movb %dl, drive

	movw $hello, %si
	call print

	movb $0x42, %ah		/* extended read */
	movb drive, %dl
	movw $packet, %si
	int $0x13
	jc bad
	movw $0x8000, %si
	call print

	movw $3, packet_sector
	movw $0x4300, %ax	/* extended write */
	movb drive, %dl
	movw $packet, %si
	int $0x13
	jc bad

	movl $0x534d4150, %edx	/* first entry of the memory map */
	movw $0xe820, %ax
	movzwl %ax, %eax
	movl $24, %ecx
	xorl %ebx, %ebx
	movw $0x8400, %di
	int $0x15
	jc bad
	cmpl $0x9fc00, 0x8408
	jne bad
	movw $memory, %si
	call print

	movw $0x604, %dx	/* PM1a control: SLP_EN, type S5 */
	movw $0x2000, %ax
	outw %ax, %dx
bad:	movw $failed, %si
	call print
2:	cli
	hlt
	jmp 2b

/* What is at %si, on the screen and on COM1. */
print:
	lodsb
	testb %al, %al
	jz 4f
	movb $0x0e, %ah
	movw $7, %bx
	pushw %ax
	int $0x10
	popw %ax
	movw $0x3f8, %dx
	outb %al, %dx
	addw $5, %dx
3:	inb %dx, %al
	testb $0x20, %al
	jz 3b
	jmp print
4:	ret

hello:	.asciz "hello from the boot sector\r\n"
memory:	.asciz "memory map\r\n"
failed:	.asciz "failed\r\n"
drive:	.byte 0
	.balign 4
packet:	.byte 16, 0
	.word 1
	.word 0x8000, 0
packet_sector:
	.quad 1
	.org 510
	.word 0xaa55

	.asciz "hello from the second sector\r\n"
	.org 65536
