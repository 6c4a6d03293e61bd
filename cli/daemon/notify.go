package daemon

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// notify tells the service manager that started this process that it is ready (sd_notify(3)); without one it
// does nothing.
func notify() error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		return err
	}
	if strings.HasPrefix(socket, "@") { // an abstract socket
		socket = "\x00" + socket[1:]
	}
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return fmt.Errorf("telling the service manager that the daemon is ready: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("READY=1")); err != nil {
		return fmt.Errorf("telling the service manager that the daemon is ready: %w", err)
	}
	return nil
}
