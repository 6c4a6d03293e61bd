// The pause container's only program, for arm64: see pause_amd64.S.
//
// The bytes stand in ../pause_code.go; a test assembles this file, where there is an assembler for it, and compares.
//   aarch64-linux-gnu-as -o pause.o pause_arm64.S && aarch64-linux-gnu-objcopy -O binary -j .text pause.o pause.bin

        .text
        .globl _start
_start:
        mov     x0, #0                  // rt_sigprocmask(SIG_BLOCK, &signals, NULL, 8)
        adr     x1, signals
        mov     x2, #0
        mov     x3, #8
        mov     x8, #135
        svc     #0
next:
        adr     x0, signals             // rt_sigtimedwait(&signals, NULL, NULL, 8)
        mov     x1, #0
        mov     x2, #0
        mov     x3, #8
        mov     x8, #137
        svc     #0
        cmp     w0, #17                 // SIGCHLD
        b.eq    reap
        cmp     w0, #15                 // SIGTERM
        b.eq    end
        cmp     w0, #2                  // SIGINT
        b.ne    next                    // an interrupted wait
end:
        mov     x0, #0                  // exit(0)
        mov     x8, #93
        svc     #0
reap:
        mov     x0, #-1                 // wait4(-1, NULL, WNOHANG, NULL)
        mov     x1, #0
        mov     x2, #1
        mov     x3, #0
        mov     x8, #260
        svc     #0
        cmp     w0, #0
        b.gt    reap
        b       next

        .balign 8
signals:                                // one bit a signal, from SIGHUP = bit 0
        .quad   (1 << (17-1)) | (1 << (15-1)) | (1 << (2-1))
