/* A multiboot kernel whose handler of #UD is an undefined instruction itself: exceptions without end, and no instruction ever retires. */
	.set MAGIC, 0x1badb002
	.set STACK, 0xd0000000 /* nothing is there: pushes are lost, and overwrite nothing for a while */
	.text
	.globl _start
	.long MAGIC, 0, -MAGIC

_start:
	movl $handler, %eax
	movw %ax, gate
	shrl $16, %eax
	movw %ax, gate + 6
	movw %cs, gate + 2
	lidt pointer
	movl $STACK, %esp
handler:
	ud2

	.data
	.balign 8
	.space 6 * 8
gate:
	.word 0, 0, 0x8e00, 0
pointer:
	.word 7 * 8 - 1
	.long gate - 6 * 8
