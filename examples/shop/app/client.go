package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client asks another part, at a base URL. A name server that does not know the name yet, or a part
// that has just gone, is an error like any other: whoever asks says what to do about it.
type client struct{ base string }

// patience is how long a part may take to answer.
const patience = 2 * time.Second

var asker = &http.Client{Timeout: patience}

// do sends a request and returns the body of its answer, which must be good.
func (c client) do(ctx context.Context, method, path, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := asker.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, c.base+path, resp.Status, strings.TrimSpace(string(answer)))
	}
	return answer, err
}
