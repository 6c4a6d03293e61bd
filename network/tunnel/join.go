package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// Join copies between two connections both ways until both ends are done or ctx ends. Each half is
// closed on its own.
func Join(ctx context.Context, a, b net.Conn) {
	join(ctx, a, b, func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
			_ = half.CloseWrite()
			return
		}
		if errors.Is(err, errNotRead) {
			return // what the other end has said before it closed is still on its way
		}
		// Nobody reads what from says any longer, or the half can't be closed by itself.
		_ = to.Close()
		_ = from.Close()
	})
}

// JoinDatagrams is Join for datagrams: each read is one. They have no end of their own: it ends when
// either side does.
func JoinDatagrams(ctx context.Context, a, b net.Conn) {
	join(ctx, a, b, func(to, from net.Conn) {
		buffer := make([]byte, maxDatagram)
		for {
			n, err := from.Read(buffer)
			if err == nil {
				_, err = to.Write(buffer[:n])
			}
			if err != nil {
				_ = to.Close()
				_ = from.Close()
				return
			}
		}
	})
}

// join runs half for both directions, and closes both connections when they are done.
func join(ctx context.Context, a, b net.Conn, half func(to, from net.Conn)) {
	stop := context.AfterFunc(ctx, func() {
		_ = a.Close()
		_ = b.Close()
	})
	defer stop()
	var copying sync.WaitGroup
	copying.Go(func() { half(a, b) })
	half(b, a)
	copying.Wait()
	_ = a.Close() // both ends are done with it
	_ = b.Close()
}
