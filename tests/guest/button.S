/* A multiboot kernel that waits for the power button (PM1 status at 0x600), says so on the first serial port, and switches off (PM1a control, S5). */
	.set MAGIC, 0x1badb002
	.text
	.globl _start
	.long MAGIC, 0, -MAGIC

_start:
	movw $0x600, %dx
1:	inw %dx, %ax
	testw $1 << 8, %ax	/* PWRBTN_STS */
	jz 1b
	movw $0x3f8, %dx
	movl $text, %esi
2:	lodsb
	outb %al, %dx
	testb %al, %al
	jnz 2b
	movw $0x604, %dx
	movw $0x2000, %ax
	outw %ax, %dx
3:	hlt
	jmp 3b

text:
	.asciz "pressed\n"
