package daemon

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"
)

// TestLogIsPutAside writes more than the log may hold: its end is in the log, what came before in the one put aside, and
// whoever follows it reads all.
func TestLogIsPutAside(t *testing.T) {
	c := testConfig(t)
	f, err := openLog(c)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := backgroundLog(c, f).(*rotating)
	w.limit, w.descriptors = 20, []int{int(f.Fd())}

	ctx, cancel := context.WithCancel(t.Context())
	var followed lockedBuffer
	ended := make(chan error)
	go func() { ended <- printLog(ctx, c, &followed, true, clock.RealClock{}) }()
	want := ""
	for i := range 5 {
		line := fmt.Sprintf("line %d\n", i)
		want += line
		if _, err := w.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); followed.String() != want; {
			if time.Now().After(deadline) {
				t.Fatalf("followed: %q, want %q", followed.String(), want)
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for file, want := range map[string]string{c.logFile(): "line 3\nline 4\n", c.logFile() + ".1": "line 0\nline 1\nline 2\n"} {
		if got, err := os.ReadFile(file); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}

func TestOnlyTheOwnLogIsPutAside(t *testing.T) {
	c := testConfig(t)
	var buffer strings.Builder
	if w := backgroundLog(c, &buffer); w != &buffer {
		t.Errorf("a stream: %T", w)
	}
	other, err := os.Create(c.logFile() + ".other")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if w := backgroundLog(c, other); w != other {
		t.Errorf("another file: %T", w)
	}
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
