package publish

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holderOf is the program that has a port, "nginx (process 123)", as far as this process may know;
// empty if it can't tell (proc_pid_fd(5), proc_net_tcp).
func holderOf(p Port) string {
	for _, table := range []string{p.Protocol, p.Protocol + "6"} {
		for _, inode := range socketsAt("/proc/net/"+table, p.At) {
			if holder := processWith("socket:[" + inode + "]"); holder != "" {
				return holder
			}
		}
	}
	return ""
}

// socketsAt are the inodes of the sockets that keep others from an address: they have its port, and
// its address or all.
func socketsAt(table string, at netip.AddrPort) []string {
	file, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer file.Close()
	var inodes []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		address, port, ok := strings.Cut(fields[1], ":")
		number, err := strconv.ParseUint(port, 16, 16)
		const listening, unconnected = "0A", "07" // TCP's, and UDP's
		if !ok || err != nil || uint16(number) != at.Port() || fields[3] != listening && fields[3] != unconnected {
			continue
		}
		if has, ok := tableAddress(address); ok && (has == at.Addr() || has.IsUnspecified()) {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}

// tableAddress reads an address of the kernel's tables: words in the machine's order, which is taken
// to be little-endian.
func tableAddress(text string) (netip.Addr, bool) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return netip.Addr{}, false
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	a, ok := netip.AddrFromSlice(raw)
	return a.Unmap(), ok
}

// processWith names the process that has an open file of this name.
func processWith(link string) string {
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, f := range files {
		if to, err := os.Readlink(f); err != nil || to != link {
			continue
		}
		pid := strings.Split(f, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			return ""
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}
