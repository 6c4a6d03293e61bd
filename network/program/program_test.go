package program

import (
	"bytes"
	"debug/elf"
	"errors"
	"strings"
	"testing"
)

// TestProgram checks each program that is there: it runs on the machine that it is for, and needs
// nothing else.
func TestProgram(t *testing.T) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for _, arch := range Architectures() {
		t.Run(arch, func(t *testing.T) {
			_, unpack, err := Program(arch)
			if errors.Is(err, ErrNotBuilt) {
				t.Skip("SKIPPED:", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			code, err := unpack()
			if err != nil {
				t.Fatal(err)
			}
			file, err := elf.NewFile(bytes.NewReader(code))
			if err != nil {
				t.Fatal(err)
			}
			if file.Machine != machines[arch] {
				t.Errorf("it is for %s", file.Machine)
			}
			for _, p := range file.Progs {
				if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
					t.Errorf("it is not static: it has a %s", p.Type)
				}
			}
		})
	}
}

func TestNotBuilt(t *testing.T) {
	_, _, err := Program("vax")
	if !errors.Is(err, ErrNotBuilt) || !strings.Contains(err.Error(), "go generate ./network/...") {
		t.Errorf("got %v", err)
	}
}
