package up

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"skiff/cli/command"
)

// What the server refused before the time was up is told as well.
func TestLateErrors(t *testing.T) {
	r := &runner{options: options{timeout: time.Minute}, waiting: "a to be gone"}
	timely, end := context.WithCancelCause(t.Context())
	end(errLate)
	refused := errors.New("b is forbidden")
	const timedOut = "timed out after 1m0s waiting for a to be gone"
	for _, test := range []struct {
		err  error
		want string
	}{
		{context.Canceled, timedOut},
		{fmt.Errorf("pruning: %w", command.Join(refused, context.Canceled)), "[b is forbidden, " + timedOut + "]"},
		{refused, "b is forbidden"},
	} {
		if got := r.inTime(timely, test.err).Error(); got != test.want {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
	if err := r.inTime(t.Context(), context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt became %v", err)
	}
}
