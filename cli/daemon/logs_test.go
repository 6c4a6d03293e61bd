package daemon

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"
)

// TestFollowedLogIsRotated follows a log that is rotated meanwhile: whoever follows it reads all.
func TestFollowedLogIsRotated(t *testing.T) {
	dir := testDir(t)
	open := func() *os.File {
		f, err := dir.OpenLog()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := open()
	defer func() { f.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	var followed lockedBuffer
	ended := make(chan error)
	go func() { ended <- printLog(ctx, dir, &followed, true, clock.RealClock{}) }()
	want := ""
	for i := range 5 {
		line := fmt.Sprintf("line %d\n", i)
		want += line
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if err := os.Rename(dir.LogFile(), dir.LogFile()+".1"); err != nil {
				t.Fatal(err)
			}
			f.Close()
			f = open()
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
