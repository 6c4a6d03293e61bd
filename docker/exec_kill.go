package docker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// killIn kills a process of this machine if it belongs to the container: its control group (v1 or
// v2) bears the container's ID. An engine elsewhere, or in a virtual machine, numbers its processes
// differently, and this tells.
func killIn(container string, pid int) error {
	if pid <= 0 || container == "" {
		return errors.New("no process ID")
	}
	process, err := os.FindProcess(pid) // held from here on: its number is given to no other
	if err != nil {
		return fmt.Errorf("find process %d: %w", pid, err)
	}
	defer process.Release() //nolint:errcheck // nothing is lost with it
	groups, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return fmt.Errorf("find process %d: %w", pid, err)
	}
	if !bytes.Contains(groups, []byte(container)) {
		return fmt.Errorf("process %d is not the container's on this machine", pid)
	}
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	return nil
}
