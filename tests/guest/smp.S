/*
 * A multiboot kernel for several processors whose memory shows how they took turns: all of them mix their numbers into one word without locks.
 * Processor 0 also wakes the others by IPI every now and then; they count for a while and halt again.
 */
	.set MAGIC, 0x1badb002
	.set APIC, 0xfee00000
	.set START, 0x8000	/* of the others: page of the startup IPI, vector 8 */
#define AT(label) (START + ((label) - others))
	.text
	.globl _start, mix, wakes
	.long MAGIC, 0, -MAGIC

_start:
	movl $stack, %esp
	movl $others, %esi
	movl $START, %edi
	movl $others_end - others, %ecx
	rep movsb
	movl $APIC, %ebp
	movl $0x1ff, 0xf0(%ebp)		/* spurious-interrupt vector register: enabled */
	movl $0xc4500, 0x300(%ebp)	/* INIT to all others */
	call pause
	movl $0xc4608, 0x300(%ebp)	/* SIPI to all others */
	xorl %ebx, %ebx
1:	call add
	incl %ebx
	testl $0xff, %ebx
	jnz 1b
	movl $0xc4040, 0x300(%ebp)	/* vector 0x40 to all others */
	jmp 1b

pause:	movl $10000, %ecx
2:	loop 2b
	ret

add:	movl mix, %eax
	imull $31, %eax, %eax
	incl %eax
	movl %eax, mix
	ret

	.code16
others:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %ss
	lgdtl AT(gdtr)
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	movw $8, %bx
	movw %bx, %ds			/* base 0, limit 4 GiB: stays so in real mode */
	andb $0xfe, %al
	movl %eax, %cr0
	movl $APIC, %edi
	movl $mix, %esi
	movl $0x1ff, 0xf0(%edi)
	movl 0x20(%edi), %edx		/* APIC ID: its own stack, its own number */
	shrl $24, %edx
	movw %dx, %sp
	shlw $8, %sp
	addw $0x6000, %sp
	movw $AT(handler), 0x40 * 4
	movw $0, 0x40 * 4 + 2
3:	sti
	hlt
	cli
	movl $300, %ecx
4:	movl (%esi), %eax
	imull $31, %eax, %eax
	addl %edx, %eax
	movl %eax, (%esi)
	addr32 loop 4b
	jmp 3b

handler:
	incl 4(%esi)
	movl $0, 0xb0(%edi)		/* EOI */
	iretw

	.balign 8
gdt:	.quad 0, 0x00cf92000000ffff
gdtr:	.word 15
	.long AT(gdt)
others_end:

	.data
mix:	.long 0
wakes:	.long 0
	.bss
	.space 4096
stack:
