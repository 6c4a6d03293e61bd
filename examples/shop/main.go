// Command shop is the example of an application with several services, in one command from a bare
// clone. It builds the program in demo and becomes it. It imports nothing that takes long to compile,
// so that it has something to say at once.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"skiff/examples/internal/gobuild"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := gobuild.Become(ctx, "shop-demo", "./examples/shop/demo"); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}
