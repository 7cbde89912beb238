/*
 * A multiboot kernel for the debugger's tests: counts in %ecx for ever, storing the count at `counter` and, every 256th time, writing it to
 * port 0x80.
 */
	.set MAGIC, 0x1badb002
	.text
	.globl _start, loop, tell, counter
	.long MAGIC, 0, -MAGIC

_start:
	movl $stack, %esp
	xorl %ecx, %ecx
loop:	incl %ecx
	movl %ecx, counter
	testb %cl, %cl
	jnz loop
	call tell
	jmp loop

tell:	pushl %ebp
	movl %esp, %ebp
	movl %ecx, %eax
	outb %al, $0x80
	popl %ebp
	ret

	.data
counter:
	.long 0
	.bss
	.space 4096
stack:
