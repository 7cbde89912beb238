/*
 * A multiboot kernel that prints "ready" on COM1, then echoes what COM1 receives, and prints each byte of the keyboard controller as <hh>.
 */
	.set MAGIC, 0x1badb002
	.text
	.globl _start
	.long MAGIC, 0, -MAGIC

_start:
	movl $stack, %esp
	movl $text, %esi
1:	lodsb
	testb %al, %al
	jz 2f
	call put
	jmp 1b

2:	movw $0x3fd, %dx
	inb %dx, %al
	testb $1, %al		/* data ready? */
	jz 3f
	movw $0x3f8, %dx
	inb %dx, %al
	call put
3:	inb $0x64, %al
	testb $1, %al		/* output buffer full? */
	jz 2b
	inb $0x60, %al
	movb %al, %bl
	movb $'<', %al
	call put
	movb %bl, %al
	shrb $4, %al
	call digit
	movb %bl, %al
	andb $15, %al
	call digit
	movb $'>', %al
	call put
	jmp 2b

digit:	addb $'0', %al
	cmpb $'9', %al
	jbe put
	addb $'a' - '9' - 1, %al

put:	movb %al, %cl
4:	movw $0x3fd, %dx
	inb %dx, %al
	testb $0x20, %al	/* transmitter empty? */
	jz 4b
	movw $0x3f8, %dx
	movb %cl, %al
	outb %al, %dx
	ret

text:	.asciz "ready\n"
	.bss
	.space 4096
stack:
