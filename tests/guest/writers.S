/*
 * A multiboot kernel whose memory is written by others than its stores: fw_cfg copies its signature to `signature` by DMA, the disk at IDE's first
 * channel its first sector to `sector`, and page walks mark the entry `directory`. Then `beat` is counted up for ever, next to all of them.
 */
	.set MAGIC, 0x1badb002
	.set BUS_MASTER, 0xc000
	.text
	.globl _start, signature, sector, directory, beat
	.long MAGIC, 0, -MAGIC

_start:
	movl $stack, %esp

	/* fw_cfg: everything big-endian. */
	movl $signature, %eax
	bswapl %eax
	movl %eax, request + 12
	movl $request, %eax
	bswapl %eax
	movw $0x518, %dx
	outl %eax, %dx

	/* IDE: the function's command register and its bus master's ports. */
	movl $0x80000904, %eax
	movl $5, %ebx
	call configure
	movl $0x80000920, %eax
	movl $BUS_MASTER + 1, %ebx
	call configure
	movw $BUS_MASTER + 4, %dx
	movl $descriptor, %eax
	outl %eax, %dx
	movw $BUS_MASTER, %dx
	movb $8, %al
	outb %al, %dx
	movl $task, %esi
	movl $6, %ecx
	movw $0x1f2, %dx
1:	lodsb
	outb %al, %dx
	incl %edx
	loop 1b
	movw $BUS_MASTER, %dx
	movb $9, %al
	outb %al, %dx
	movw $BUS_MASTER + 2, %dx
2:	inb %dx, %al
	testb $4, %al
	jz 2b

	/* Pages of 4 MiB, the first as it is; not accessed yet. */
	movl $directory, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x10, %eax
	movl %eax, %cr4
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
count:	incl beat
	jmp count

configure:
	movw $0xcf8, %dx
	outl %eax, %dx
	movw $0xcfc, %dx
	movl %ebx, %eax
	outl %eax, %dx
	ret

	.data
	.balign 16
/* Select item 0 and read. */
request:
	.long 0x0a000000, 0x04000000, 0, 0
descriptor:
	.long sector, 0x80000200
/* One sector from LBA 0, READ DMA. */
task:
	.byte 1, 0, 0, 0, 0xe0, 0xc8
	.balign 8
signature:
	.long 0
beat:
	.long 0
	.balign 4096
directory:
	.long 0x83
	.space 4092
	.bss
	.balign 512
sector:
	.space 512
	.space 256
stack:
