/* A multiboot kernel that executes 3 million instructions less some, stores what CPUID leaf 1 says of features, and goes on for ever. */
	.set MAGIC, 0x1badb002
	.text
	.globl _start
	.long MAGIC, 0, -MAGIC

_start:
	movl $2999990, %ecx	/* instruction 1 */
1:	loop 1b
	movl $1, %eax
	cpuid			/* instruction 2999993 */
	movl %ecx, features
2:	addl %ecx, %ebx
	jmp 2b

	.data
	.balign 4096
features:
	.long 0
