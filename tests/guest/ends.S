/*
 * A multiboot kernel that prints "hello" on COM1 and then does what the first letter of its command line says:
 * a ACPI power off, d debug exit with 0x10, h halt for ever, l loop for ever, r reset, t triple fault.
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
	jz 3f
	movb %al, %cl
2:	movw $0x3fd, %dx	/* transmitter empty? */
	inb %dx, %al
	testb $0x20, %al
	jz 2b
	movw $0x3f8, %dx
	movb %cl, %al
	outb %al, %dx
	jmp 1b

3:	movl 16(%ebx), %esi	/* command line: the file's name, a blank, the letter */
4:	lodsb
	cmpb $' ', %al
	jne 4b
	lodsb
	cmpb $'a', %al
	je acpi
	cmpb $'d', %al
	je debug_exit
	cmpb $'l', %al
	je loop
	cmpb $'r', %al
	je reset
	cmpb $'t', %al
	je triple
halt:
	cli
	hlt
	jmp halt

acpi:
	movw $0x604, %dx	/* PM1a control: SLP_EN, type S5 */
	movw $0x2000, %ax
	outw %ax, %dx
	jmp halt

debug_exit:
	movl $0x10, %eax
	movw $0xf4, %dx
	outl %eax, %dx
	jmp halt

loop:
	jmp loop

reset:
	movw $0xcf9, %dx
	movb $6, %al
	outb %al, %dx
	jmp halt

triple:
	lidt no_idt
	ud2

no_idt:
	.word 0
	.long 0
text:
	.asciz "hello\n"
	.bss
	.skip 256
stack:
