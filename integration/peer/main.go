// Command peer is both ends of the network tests: in pods behind services it serves and says its
// host's name, and in pods beside them it asks. It needs nothing of its image.
//
//	peer serve                  HTTP at 8080, lines by TCP at 8081, datagrams at 8082
//	peer ask [-host H] [-ca FILE] [-n N] URL
//	                            what N new connections get, one a line
//	peer load [-fresh] [-host H] [-every D] [-timeout D] URL...
//	                            ask each URL again and again until SIGTERM; print failures and a sum
//	peer dns host|srv|ptr NAME  what DNS says, sorted, one a line
//
// URLs are http, https, tcp and udp ones; by tcp it sends a line and gets one with the server's name.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("serve, ask, load or dns")
	}
	switch args[0] {
	case "serve":
		return serve(ctx)
	case "ask":
		return ask(ctx, args[1:], out)
	case "load":
		return load(ctx, args[1:], out)
	case "dns":
		return lookUp(ctx, args[1:], out)
	}
	return fmt.Errorf("unknown command %q", args[0])
}
