/*
 * A boot sector that tries what only old software uses: the A20 gate, x87 exceptions by IRQ 13, I/O breakpoints. Each
 * part that is right prints a line on COM1; then it powers off by ACPI.
 */
	.code16
	.text
	.globl _start
_start:
	ljmp $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7000, %sp
	movb $0x42, %ah		/* extended read of the rest */
	movw $packet, %si
	int $0x13
	jc 2f
	jmp rest
2:	hlt
	jmp 2b
	.balign 4
packet:	.byte 16, 0
	.word 7
	.word 0x7e00, 0
	.quad 1
	.org 510
	.word 0xaa55

rest:
	/* ffff:7010 is 0x107000, or 0x7000 when bit 20 is masked. */
	pushw $-1
	popw %fs
	movw $0x1111, 0x7000
	movw $0x2222, %fs:0x7010
	cmpw $0x1111, 0x7000
	jne 1f
	inb $0x92, %al
	andb $0xfc, %al
	outb %al, $0x92
	cmpw $0x1111, %fs:0x7010
	jne 1f
	movw $0x3333, %fs:0x7010
	cmpw $0x3333, 0x7000
	jne 1f
	orb $2, %al
	outb %al, $0x92
	cmpw $0x2222, %fs:0x7010
	jne 1f
	movw $port92, %si
	call print
1:	movb $0xdd, %al
	call keyboard
	cmpw $0x3333, %fs:0x7010
	jne 1f
	movb $0xdf, %al
	call keyboard
	cmpw $0x2222, %fs:0x7010
	jne 1f
	movw $keyboard_a20, %si
	call print
1:
	/* IRQ 13 is interrupt 75h. */
	movw $irq13, 0x75 * 4
	movw $0, 0x75 * 4 + 2
	inb $0xa1, %al
	andb $0xdf, %al
	outb %al, $0xa1
	inb $0x21, %al
	andb $0xfb, %al
	outb %al, $0x21
	movl %cr0, %eax
	andl $~0x2e, %eax	/* NE, TS, EM, MP clear */
	movl %eax, %cr0
	sti
	fninit
	fldcw unmasked
	call divide
	fwait
	cmpb $1, interrupts
	jne 1f
	call divide		/* IGNNE# is inactive again */
	fld1
	cmpb $2, interrupts
	jne 1f
	cmpb $2, ignored
	jne 1f
	movw $coprocessor, %si
	call print
1:
	/* DR0: two ports from 82h on, read or written */
	cli
	movw $debug, 1 * 4
	movw $0, 1 * 4 + 2
	movl %cr4, %eax
	orl $8, %eax
	movl %eax, %cr4
	movl $0x82, %eax
	movl %eax, %dr0
	movl $0x00060003, %eax	/* L0, G0; R/W0 10b, LEN0 01b */
	movl %eax, %dr7
	outb %al, $0x80
	outb %al, $0x84
	outb %al, $0x83
after_out:
	inw $0x80, %ax
	inl $0x80, %eax		/* reaches 82h */
after_in:
	movb $0, %al
	movl $0, %ecx
	movl %ecx, %dr7
	outb %al, $0x82
	cmpw $2, breaks
	jne 1f
	movw $breakpoints, %si
	call print
1:
	movw $0x604, %dx	/* PM1a control: SLP_EN, type S5 */
	movw $0x2000, %ax
	outw %ax, %dx
2:	hlt
	jmp 2b

divide:
	fld1
	fldz
	fdivrp
	ret

irq13:
	pushw %ax
	incb interrupts
	outb %al, $0xf0
	fnstsw %ax
	fld1			/* goes on over the exception */
	testb $4, %al
	jz 1f
	incb ignored
1:	fnclex
	fninit
	fldcw unmasked
	movb $0x20, %al
	outb %al, $0xa0
	outb %al, $0x20
	popw %ax
	iretw

/* The trap is behind the instruction, and DR6 names DR0. */
debug:
	pushw %bp
	movw %sp, %bp
	pushl %eax
	movl %dr6, %eax
	testb $1, %al
	jz 1f
	cmpw $after_out, 2(%bp)
	je 2f
	cmpw $after_in, 2(%bp)
	jne 1f
2:	incw breaks
	jmp 3f
1:	addw $0x100, breaks
3:	xorl %eax, %eax
	movl %eax, %dr6
	popl %eax
	popw %bp
	iretw

keyboard:
	outb %al, $0x64
	ret

print:
	lodsb
	testb %al, %al
	jz 4f
	movw $0x3f8, %dx
	outb %al, %dx
	jmp print
4:	ret

unmasked: .word 0x37b		/* ZM clear */
interrupts: .byte 0
ignored: .byte 0
breaks:	.word 0
port92:	.asciz "A20 by port 92h\n"
keyboard_a20: .asciz "A20 by the keyboard controller\n"
coprocessor: .asciz "IRQ 13\n"
breakpoints: .asciz "I/O breakpoints\n"
	.org 65536
