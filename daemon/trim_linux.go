package daemon

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// trimProgram releases executable pages touched during startup. Pages that are needed again come
// back from the page cache within microseconds; most never are. Without this an idle daemon is
// charged with nearly the whole file, because the kernel maps a file in pieces of up to 2 MiB
// (large folios) around whatever was touched; so the daemon asks for small pieces too
// (MADV_NOHUGEPAGE).
func trimProgram() error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("finding the program's file: %w", err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("reading the program's mappings: %w", err)
	}
	var errs []error
	for _, m := range cleanMappings(smaps, self) {
		for _, advice := range []uintptr{unix.MADV_NOHUGEPAGE, unix.MADV_DONTNEED} {
			// unix.Madvise wants a slice, which must not point outside Go's memory.
			if _, _, err := unix.Syscall(unix.SYS_MADVISE, m.start, m.size, advice); err != 0 {
				errs = append(errs, fmt.Errorf("advising the kernel (%d) of the program's file: %w", advice, err))
			}
		}
	}
	return errors.Join(errs...)
}

// mapping is a range of the process's memory.
type mapping struct{ start, size uintptr }

// cleanMappings are the read-only mappings of a file in which no page was changed in memory: a
// changed page (a relocation, say) would be lost.
func cleanMappings(smaps []byte, file string) []mapping {
	var found []mapping
	var current mapping
	lines := bufio.NewScanner(bytes.NewReader(smaps))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 6 && strings.Contains(f[0], "-"):
			current = mapping{}
			if f[5] == file && !strings.Contains(f[1], "w") {
				current = parseRange(f[0])
			}
		case len(f) == 3 && f[0] == "Anonymous:" && f[1] == "0" && current.size > 0:
			found = append(found, current)
		}
	}
	return found
}

// parseRange reads "start-end"; anything else is an empty mapping.
func parseRange(s string) mapping {
	from, to, _ := strings.Cut(s, "-")
	start, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return mapping{}
	}
	end, err := strconv.ParseUint(to, 16, 64)
	if err != nil || end < start {
		return mapping{}
	}
	return mapping{uintptr(start), uintptr(end - start)}
}
