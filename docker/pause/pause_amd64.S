# The pause container's only program: it holds a pod's namespaces open, ends at SIGTERM or SIGINT with exit code 0, and
# reaps the orphans of a shared process namespace. As process 1 it would be immune to signals that it has neither
# handled nor blocked; it blocks them and takes them one by one.
#
# The bytes stand in ../pause_code.go; a test assembles this file and compares.
#   as -o pause.o pause_amd64.S && objcopy -O binary -j .text pause.o pause.bin

        .text
        .globl _start
_start:
        mov     $14, %eax               # rt_sigprocmask(SIG_BLOCK, &signals, NULL, 8)
        xor     %edi, %edi
        lea     signals(%rip), %rsi
        xor     %edx, %edx
        mov     $8, %r10d
        syscall
next:
        mov     $128, %eax              # rt_sigtimedwait(&signals, NULL, NULL, 8)
        lea     signals(%rip), %rdi
        xor     %esi, %esi
        xor     %edx, %edx
        mov     $8, %r10d
        syscall
        cmp     $17, %eax               # SIGCHLD
        je      reap
        cmp     $15, %eax               # SIGTERM
        je      end
        cmp     $2, %eax                # SIGINT
        jne     next                    # an interrupted wait
end:
        mov     $60, %eax               # exit(0)
        xor     %edi, %edi
        syscall
reap:
        mov     $61, %eax               # wait4(-1, NULL, WNOHANG, NULL)
        mov     $-1, %edi
        xor     %esi, %esi
        mov     $1, %edx
        xor     %r10d, %r10d
        syscall
        test    %eax, %eax
        jg      reap
        jmp     next

        .balign 8
signals:                                # one bit a signal, from SIGHUP = bit 0
        .quad   (1 << (17-1)) | (1 << (15-1)) | (1 << (2-1))
