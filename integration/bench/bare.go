package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bareRequest is the least that an HTTP probe sends.
const bareRequest = "GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n"

// bareCost is the CPU time, in seconds, of 1,000 connections that are opened and closed by system
// calls alone, one after another; with a request, that is sent and the beginning of its answer read.
// It is what a prober in any language spends in the kernel. The thread's own time is counted, so
// nothing else of this process shows.
func bareCost(ctx context.Context, address netip.AddrPort, request string) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var spent time.Duration
	for range 1000 {
		before, err := threadCPU()
		if err != nil {
			return 0, err
		}
		if err := bareProbe(address, request); err != nil {
			return 0, fmt.Errorf("asking %s: %w", address, err)
		}
		after, err := threadCPU()
		if err != nil {
			return 0, err
		}
		spent += after - before
		if err := wait(ctx, 4*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return spent.Seconds(), nil
}

func bareProbe(address netip.AddrPort, request string) (err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, syscall.Close(fd)) }()
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}); err != nil || request == "" {
		return err
	}
	if _, err := syscall.Write(fd, []byte(request)); err != nil {
		return err
	}
	_, err = syscall.Read(fd, make([]byte, 1024))
	return err
}

// threadCPU is the CPU time that this thread has spent.
func threadCPU() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
