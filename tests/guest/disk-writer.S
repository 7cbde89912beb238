/*
 * A multiboot kernel that writes to the disk at IDE's first channel for ever: 64 KiB at a time by DMA, over the first
 * 8 MiB again and again, each time something else. `passes` counts.
 */
	.set MAGIC, 0x1badb002
	.set BUS_MASTER, 0xc000
	.set SECTORS, 128
	.set END, 16384
	.text
	.globl _start, passes
	.long MAGIC, 0, -MAGIC

_start:
	movl $stack, %esp
	/* The function's command register and its bus master's ports. */
	movl $0x80000904, %eax
	movl $5, %ebx
	call configure
	movl $0x80000920, %eax
	movl $BUS_MASTER + 1, %ebx
	call configure
	movw $BUS_MASTER + 4, %dx
	movl $descriptor, %eax
	outl %eax, %dx

	xorl %edi, %edi
write:	movl passes, %eax
	movl %eax, data
	movl %edi, data + 512
	movw $BUS_MASTER + 2, %dx
	movb $6, %al
	outb %al, %dx
	movw $BUS_MASTER, %dx
	xorl %eax, %eax
	outb %al, %dx
	movw $0x1f2, %dx
	movb $SECTORS, %al
	outb %al, %dx
	/* LBA, low to high, then the drive, then WRITE DMA. */
	movl %edi, %eax
	movl $3, %ecx
1:	incl %edx
	outb %al, %dx
	shrl $8, %eax
	loop 1b
	incl %edx
	movb $0xe0, %al
	outb %al, %dx
	incl %edx
	movb $0xca, %al
	outb %al, %dx
	movw $BUS_MASTER, %dx
	movb $1, %al
	outb %al, %dx
	movw $BUS_MASTER + 2, %dx
2:	inb %dx, %al
	testb $4, %al
	jz 2b
	movw $0x1f7, %dx
	inb %dx, %al
	addl $SECTORS, %edi
	cmpl $END, %edi
	jb write
	xorl %edi, %edi
	incl passes
	jmp write

configure:
	movw $0xcf8, %dx
	outl %eax, %dx
	movw $0xcfc, %dx
	movl %ebx, %eax
	outl %eax, %dx
	ret

	.data
	.balign 8
descriptor:
	.long data, 0x80000000
passes:
	.long 0
	.bss
	.balign 65536
data:
	.space 65536
	.space 256
stack:
