/*
 * Start of the guests that act as hypervisor: from multiboot's 32-bit mode to 64-bit mode with everything below 4 GiB mapped to itself (user pages of
 * 2 MiB), exception stubs, and the way into and out of a guest. Then guest_main().
 */
	.set MAGIC, 0x1badb002
	.text
	.globl _start
	.long MAGIC, 0, -MAGIC

	.code32
_start:
	cli
	movl $stack_top, %esp
	movl %ebx, boot_information
	movl $pml4, %edi
	movl $pdpt + 7, (%edi)
	movl $pdpt, %edi
	movl $page_directory + 7, %eax
	movl $4, %ecx
1:	movl %eax, (%edi)
	addl $0x1000, %eax
	addl $8, %edi
	loop 1b
	movl $page_directory, %edi
	movl $0x87, %eax
	movl $2048, %ecx
2:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 2b
	movl %cr4, %eax
	orl $0x620, %eax	/* PAE, OSFXSR, OSXMMEXCPT */
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x901, %eax	/* SCE, LME, NXE */
	wrmsr
	movl $0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
	movl %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x08, $long_mode

	.code64
long_mode:
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	xorl %eax, %eax
	movw %ax, %fs
	movw %ax, %gs
	/* TSS descriptor */
	leaq tss(%rip), %rax
	movq %rax, %rdx
	movw %ax, gdt + 0x18 + 2(%rip)
	shrq $16, %rax
	movb %al, gdt + 0x18 + 4(%rip)
	movb %ah, gdt + 0x18 + 7(%rip)
	leaq event_stack_top(%rip), %rax
	movq %rax, tss + 4(%rip)
	movw $0x18, %ax
	movw $0x68, tss + 0x66(%rip)	/* no I/O permission bitmap */
	ltr %ax
	/* gates to the stubs, 16 bytes each */
	leaq stubs(%rip), %rax
	leaq idt(%rip), %rdi
	movl $256, %ecx
3:	movw %ax, (%rdi)
	movw $0x08, 2(%rdi)
	movw $0xee00, 4(%rdi)	/* interrupt gate, DPL 3 */
	movl %eax, %edx
	shrl $16, %edx
	movw %dx, 6(%rdi)
	movq $0, 8(%rdi)
	addq $16, %rax
	addq $16, %rdi
	loop 3b
	lidt idt_pointer(%rip)
	call guest_main
	movl $0x10, %eax
	movw $0xf4, %dx
	outl %eax, %dx
4:	hlt
	jmp 4b

/*
 * Where a second processor begins: copied to real-mode memory, at AP_START, for a start-up IPI. It goes to 64-bit mode as above and calls ap_main(),
 * which those guests have that use it.
 */
	.set AP_START, 0x9000
	.globl ap_begin, ap_end
	.weak ap_main
	.code16
ap_begin:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	lgdtl AP_START + ap_pointer - ap_begin
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $0x28, $ap32
ap_pointer:
	.word gdt_end - gdt - 1
	.long gdt
ap_end:
	.code32
ap32:	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl %cr4, %eax
	orl $0x620, %eax
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x901, %eax
	wrmsr
	movl $0x80010033, %eax
	movl %eax, %cr0
	ljmp $0x08, $ap64
	.code64
ap64:	leaq ap_stack_top(%rip), %rsp
	lidt idt_pointer(%rip)
	call ap_main
5:	hlt
	jmp 5b

	.balign 16
	.globl stubs
stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if (vector != 8) && (vector != 10) && (vector != 11) && (vector != 12) && (vector != 13) && (vector != 14) && (vector != 17)
	pushq $0
	.endif
	pushq $vector
	jmp common
	.set vector, vector + 1
	.endr
	.balign 16

common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	movq %rsp, %rdi
	cld
	call on_event
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

/*
 * u64 enter_guest(struct regs *regs, bool launched): returns the flags after a VMfail, or 0 after a VM exit. The register file is that of runtime.h.
 */
	.globl enter_guest
enter_guest:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdi
	movl $0x6c14, %eax	/* host RSP */
	vmwrite %rsp, %rax
	leaq exited(%rip), %rdx
	movl $0x6c16, %eax	/* host RIP */
	vmwrite %rdx, %rax
	testl %esi, %esi
	movq 0(%rdi), %rax
	movq 8(%rdi), %rcx
	movq 16(%rdi), %rdx
	movq 24(%rdi), %rbx
	movq 32(%rdi), %rbp
	movq 40(%rdi), %rsi
	movq 56(%rdi), %r8
	movq 64(%rdi), %r9
	movq 72(%rdi), %r10
	movq 80(%rdi), %r11
	movq 88(%rdi), %r12
	movq 96(%rdi), %r13
	movq 104(%rdi), %r14
	movq 112(%rdi), %r15
	movq 48(%rdi), %rdi
	jnz 1f
	vmlaunch
	jmp 2f
1:	vmresume
2:	pushfq
	popq %rax
	jmp 3f

exited:
	xchgq %rdi, (%rsp)
	movq %rax, 0(%rdi)
	movq %rcx, 8(%rdi)
	movq %rdx, 16(%rdi)
	movq %rbx, 24(%rdi)
	movq %rbp, 32(%rdi)
	movq %rsi, 40(%rdi)
	movq (%rsp), %rax
	movq %rax, 48(%rdi)
	movq %r8, 56(%rdi)
	movq %r9, 64(%rdi)
	movq %r10, 72(%rdi)
	movq %r11, 80(%rdi)
	movq %r12, 88(%rdi)
	movq %r13, 96(%rdi)
	movq %r14, 104(%rdi)
	movq %r15, 112(%rdi)
	xorl %eax, %eax
3:	popq %rdi
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	/* the exit made the limits of GDT and IDT FFFFh and cleared RFLAGS; neither matters here */
	cld
	ret

	.data
	.balign 16
	.globl gdt
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* 08 64-bit code */
	.quad 0x00cf93000000ffff	/* 10 data */
	.quad 0x0000890000000067, 0	/* 18 TSS */
	.quad 0x00cf9b000000ffff	/* 28 32-bit code */
	.quad 0x00affb000000ffff	/* 30 64-bit user code, selector 33 */
	.quad 0x00cff3000000ffff	/* 38 user data, selector 3b */
	.globl gdt_free
gdt_free:
	.fill 16, 8, 0			/* 40 for tests */
gdt_end:
	.globl gdt_pointer, idt_pointer
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
idt_pointer:
	.word 256 * 16 - 1
	.quad idt

	.bss
	.balign 4096
	.globl boot_information, pml4, pdpt, page_directory, idt, tss, stack_top
pml4:	.skip 4096
pdpt:	.skip 4096
page_directory:
	.skip 16384
idt:	.skip 4096
tss:	.skip 4096
	.skip 16384
stack_top:
	.skip 8192
event_stack_top:
	.skip 16384
ap_stack_top:
boot_information:
	.skip 8
