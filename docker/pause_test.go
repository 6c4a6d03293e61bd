package docker

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPauseIsItsSource assembles pause/*.S where there is an assembler for the machine.
func TestPauseIsItsSource(t *testing.T) {
	for _, machine := range []struct {
		arch, tools string
		code        []byte
	}{
		{"amd64", "x86_64-linux-gnu-", pauseAMD64},
		{"arm64", "aarch64-linux-gnu-", pauseARM64},
	} {
		t.Run(machine.arch, func(t *testing.T) {
			assembler, err := exec.LookPath(machine.tools + "as")
			if err != nil {
				t.Skip("SKIPPED, no assembler:", err)
			}
			object, code := filepath.Join(t.TempDir(), "o"), filepath.Join(t.TempDir(), "code")
			run(t, assembler, "-o", object, "pause/pause_"+machine.arch+".S")
			run(t, machine.tools+"objcopy", "-O", "binary", "-j", ".text", object, code)
			want, err := os.ReadFile(code)
			check(t, err)
			if !bytes.Equal(machine.code, want) {
				t.Errorf("the bytes are\n%x\nthe source gives\n%x", machine.code, want)
			}
		})
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func TestPauseIsAnExecutable(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		program, err := pauseProgram(arch)
		check(t, err)
		file, err := elf.NewFile(bytes.NewReader(program))
		check(t, err)
		if file.Machine != machine || file.Type != elf.ET_EXEC || file.Class != elf.ELFCLASS64 {
			t.Errorf("%s: %+v", arch, file.FileHeader)
		}
		load := file.Progs[0]
		if load.Filesz != uint64(len(program)) || load.Flags != elf.PF_R|elf.PF_X || file.Entry != load.Vaddr+codeOffset {
			t.Errorf("%s: entry %x, segment %+v", arch, file.Entry, load.ProgHeader)
		}
	}
	if _, err := pauseProgram("s390x"); err == nil || !strings.Contains(err.Error(), "s390x") {
		t.Errorf("error %v for a machine without one", err)
	}
}

// TestPauseRuns runs the program on this machine: it waits, and ends well at either signal.
func TestPauseRuns(t *testing.T) {
	program, err := pauseProgram(runtime.GOARCH)
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("SKIPPED, no pause program for this machine:", err)
	}
	path := filepath.Join(t.TempDir(), "pause")
	check(t, os.WriteFile(path, program, 0o755))
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		command := exec.Command(path)
		check(t, command.Start())
		ended := make(chan error, 1)
		go func() { ended <- command.Wait() }()
		eventually(t, func() bool { return waits(command.Process.Pid) })
		check(t, command.Process.Signal(signal))
		select {
		case err := <-ended:
			check(t, err)
		case <-time.After(10 * time.Second):
			check(t, command.Process.Kill())
			t.Fatalf("it ignores %s", signal)
		}
	}
}

// waits reports whether the process sleeps in rt_sigtimedwait.
func waits(pid int) bool {
	path := filepath.Join("/proc", strconv.Itoa(pid), "syscall")
	call, err := os.ReadFile(path)
	number := map[string]string{"amd64": "128 ", "arm64": "137 "}[runtime.GOARCH]
	return err == nil && strings.HasPrefix(string(call), number)
}
