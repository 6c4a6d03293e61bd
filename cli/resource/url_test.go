package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestFetch is about what web servers send that is no manifest.
func TestFetch(t *testing.T) {
	answered := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
			fmt.Fprint(w, "kind: Pod\n")
		case "/page":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<html></html>")
		case "/large":
			fmt.Fprint(w, strings.Repeat("#", 200))
		case "/never":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-answered
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	defer close(answered)
	for path, want := range map[string]string{
		"/good": "kind: Pod\n",
		"/page": `unable to read URL "SERVER/page": it is a web page and no manifest; sites that show files have another address for the file itself, often named raw`,
		"/none": `unable to read URL "SERVER/none", server reported 404 Not Found, status code=404`,
	} {
		text, err := fetch(t.Context(), nil, s.URL+path, 100)
		got := string(text)
		if err != nil {
			got = strings.ReplaceAll(err.Error(), s.URL, "SERVER")
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	const mib = 1 << 20
	if _, err := fetch(t.Context(), s.Client(), s.URL+"/large", 100); err == nil || !strings.Contains(err.Error(), "is larger than") {
		t.Errorf("200 bytes where 100 are the limit: %v", err)
	}
	if text, err := fetch(t.Context(), s.Client(), s.URL+"/large", 200); err != nil || len(text) != 200 {
		t.Errorf("200 bytes where they are allowed: %d bytes, %v", len(text), err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := fetch(short, nil, s.URL+"/never", mib); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("what never ends: %v", err)
	}
}
