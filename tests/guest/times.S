/*
 * A multiboot kernel that says "ready", and for each byte that comes on COM1 sends it back with a hexadecimal digit of the time at which
 * it came; its memory remembers times too. 'q' powers off.
 */
	.set MAGIC, 0x1badb002
	.text
	.globl _start
	.long MAGIC, 0, -MAGIC

_start:
	movl $stack, %esp
	movl $times, %edi
	movl $text, %esi
1:	lodsb
	testb %al, %al
	jz wait
	call put
	jmp 1b

wait:
	movw $0x3fd, %dx	/* data ready? */
	inb %dx, %al
	testb $1, %al
	jz wait
	movw $0x3f8, %dx
	inb %dx, %al
	movb %al, %bl
	rdtsc
	stosl
	andl $0xfff, %edi
	addl $times, %edi
	shrl $20, %eax		/* input is looked for about every million cycles */
	andl $15, %eax
	movb digits(%eax), %bh
	movb %bl, %al
	call put
	movb %bh, %al
	call put
	cmpb $'q', %bl
	jne wait
	movb $'\n', %al
	call put
	movw $0x604, %dx	/* PM1a control: SLP_EN, type S5 */
	movw $0x2000, %ax
	outw %ax, %dx
2:	hlt
	jmp 2b

put:	movb %al, %cl
1:	movw $0x3fd, %dx	/* transmitter empty? */
	inb %dx, %al
	testb $0x20, %al
	jz 1b
	movw $0x3f8, %dx
	movb %cl, %al
	outb %al, %dx
	ret

text:
	.asciz "ready\n"
digits:
	.ascii "0123456789abcdef"
	.bss
	.balign 4096
times:
	.skip 8192
	.skip 256
stack:
