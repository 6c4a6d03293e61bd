package up

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"skiff/cli/client"
)

func TestAbsence(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	gone := fmt.Errorf("listing pods: %w", &client.OwnClusterError{Err: syscall.ECONNREFUSED})
	var a absence
	for _, step := range []struct {
		after   time.Duration
		trouble error
		want    bool
	}{
		{0, nil, false},
		{time.Hour, gone, false},
		{time.Hour + absenceLimit - 1, gone, false},
		{time.Hour + absenceLimit, gone, true},
		{2 * time.Hour, nil, false}, // it is back
		{3 * time.Hour, gone, false},
		{4 * time.Hour, errors.New("another cluster does not answer"), false},
		{5 * time.Hour, errors.New("another cluster does not answer"), false},
	} {
		if got := a.tooLong(step.trouble, began.Add(step.after)); got != step.want {
			t.Errorf("after %s: %v, want %v", step.after, got, step.want)
		}
	}
}
