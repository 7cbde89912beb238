/*
 * A multiboot kernel that goes to real mode, calls BIOS services, and prints on COM1 what they answer: the service's name, the
 * carry flag as it came back, and registers. Ends by the debug exit port.
 */
	.set MAGIC, 0x1badb002
	.set REAL, 0x8000 /* where the real-mode half runs */
	.text
	.globl _start
	.long MAGIC, 0, -MAGIC

_start:
	cli
	movl $real, %esi
	movl $REAL, %edi
	movl $real_end - real, %ecx
	rep movsb
	lgdt gdt_pointer
	ljmp $8, $REAL

	.balign 8
gdt:
	.quad 0, 0x00009b000000ffff, 0x000093000000ffff
gdt_pointer:
	.word . - gdt - 1
	.long gdt

#define AT(label) ((label) - real + REAL)

real:
	.code16
	mov $16, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov %cr0, %eax
	and $0xfe, %al
	mov %eax, %cr0
	ljmp $0, $AT(1f)
1:	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $REAL, %sp

/* What a service must not lose is put into it before; what it must clear is set. */
.macro service name, number
	stc
	int $\number
	pushf
	push %dx
	push %cx
	push %bx
	push %ax
	mov $AT(1f), %si
	call print
	jmp 2f
1:	.asciz "\name"
2:	call results
.endm

	xor %ebx, %ebx
	xor %cx, %cx
	xor %dx, %dx
	service memory, 0x12
3:	mov $0xe820, %eax
	mov $0x534d4150, %edx
	mov $20, %ecx
	mov $0x7000, %di
	service map, 0x15
	mov $AT(4f), %si
	call print
	mov $0x7000, %si
	mov $10, %cx
5:	mov (%si), %ax
	call hex
	add $2, %si
	loop 5b
	call newline
	test %bx, %bx
	jnz 3b
	mov $0xe820, %eax
	mov $99, %ebx
	mov $0x534d4150, %edx
	mov $20, %ecx
	service beyond, 0x15
	mov $0xe801, %ax
	service sizes, 0x15
	mov $0x88, %ah
	service extended, 0x15
	mov $0xc0, %ah
	service configuration, 0x15
	mov $0x2400, %ax
	service a20off, 0x15
	mov $0x2402, %ax
	service a20, 0x15
	mov $0x2401, %ax
	service a20on, 0x15
	mov $0x2402, %ax
	service a20, 0x15
	mov $0x0201, %ax
	service disk, 0x13
	mov $0x0f00, %ax
	service video, 0x10
	mov $0x4f00, %ax
	service vbe, 0x10
	mov $0x0200, %ax
	service shift, 0x16
	mov $0x0100, %ax
	int $0x16
	mov $AT(6f), %si
	jnz 7f
	call print
	call newline
7:	mov $0x0400, %ax
	service date, 0x1a
	mov $0xb101, %ax
	service pci, 0x1a
	mov $0x10, %eax
	mov $0xf4, %dx
	out %eax, %dx
8:	hlt
	jmp 8b
4:	.asciz "entry"
6:	.asciz "no key"

/* The carry flag, AX, BX, CX, DX, from the stack. BX is kept. */
results:
	pop %di
	mov %sp, %bp
	mov 8(%bp), %ax
	and $1, %ax
	call hex
	mov 0(%bp), %ax
	call hex
	mov 2(%bp), %ax
	call hex
	mov 4(%bp), %ax
	call hex
	mov 6(%bp), %ax
	call hex
	call newline
	pop %ax
	pop %bx
	pop %cx
	pop %dx
	popf
	push %di
	ret

print:
	lodsb
	test %al, %al
	jz 1f
	call put
	jmp print
1:	ret
newline:
	mov $'\n', %al
put:
	push %dx
	mov $0x3f8, %dx
	out %al, %dx
	pop %dx
	ret

/* A blank, and AX in four digits. */
hex:
	push %cx
	push %ax
	mov $' ', %al
	call put
	pop %ax
	mov $4, %cx
1:	rol $4, %ax
	push %ax
	and $0x0f, %al
	cmp $10, %al
	sbb $0x69, %al
	das
	or $0x20, %al
	call put
	pop %ax
	loop 1b
	pop %cx
	ret
real_end:
