/*
 * A multiboot kernel that fills memory from 2 MiB on, for ever: with pseudo-random numbers if the first letter of its command line is r,
 * with text that repeats if it is t. It ends at the end of memory as the loader tells it, and begins again.
 */
	.set MAGIC, 0x1badb002
	.text
	.globl _start
	.long MAGIC, 0, -MAGIC

_start:
	movl $stack, %esp
	movl 8(%ebx), %ebp	/* KiB above 1 MiB */
	shll $10, %ebp
	addl $0x100000, %ebp
	movl 16(%ebx), %esi	/* command line: the file's name, a blank, the letter */
1:	lodsb
	cmpb $' ', %al
	jne 1b
	lodsb
	movb %al, %dl
	movl $12345, %eax
again:
	movl $0x200000, %edi
2:	cmpb $'r', %dl
	jne 3f
	imull $1664525, %eax, %eax
	addl $1013904223, %eax
	movl %eax, %ecx
	rorl $7, %ecx
	xorl %eax, %ecx
	jmp 4f
3:	movl %edi, %ecx
	shrl $6, %ecx
4:	movl %ecx, (%edi)
	addl $4, %edi
	cmpl %ebp, %edi
	jb 2b
	jmp again
	.bss
	.space 256
stack:
