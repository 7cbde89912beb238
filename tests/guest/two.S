/*
 * A multiboot kernel for the debugger's tests with two processors: the first starts the second, and each counts for ever in a place of its own.
 * The second stays in real mode at 0x8000.
 */
	.set MAGIC, 0x1badb002
	.set ICR, 0xfee00300
	.text
	.globl _start, first, count1, count2, second, second_end
	.long MAGIC, 0, -MAGIC

_start:
	movl $stack, %esp
	movl $second, %esi
	movl $0x8000, %edi
	movl $(second_end - second), %ecx
	rep movsb
	movl $0x000c4500, ICR		/* INIT to all others */
	movl $100000, %ecx
1:	loop 1b
	movl $0x000c4608, ICR		/* start at 0x8000 */
first:	incl count1
	jmp first

	.code16
second:
	xorw %ax, %ax
	movw %ax, %ds
1:	incl 0x7000
	jmp 1b
second_end:
	.code32

	.data
count1:
	.long 0
	.bss
	.space 4096
stack:
