package client

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"k8s.io/utils/clock"
)

// requestLog writes each request and how it ended to stderr, more of it as the level rises (6
// lines, 7 headers, 8 bodies).
type requestLog struct {
	next  http.RoundTripper
	out   io.Writer
	level int
	clock clock.Clock
}

// secretHeaders are never printed: whoever reads them owns the cluster.
var secretHeaders = map[string]bool{"Authorization": true, "Cookie": true}

func (l *requestLog) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.level >= 8 && r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		fmt.Fprintf(l.out, "Request Body: %s\n", body)
	}
	start := l.clock.Now()
	resp, err := l.next.RoundTrip(r)
	took := l.clock.Since(start).Milliseconds()
	if err != nil {
		fmt.Fprintf(l.out, "%s %s failed after %d milliseconds: %v\n", r.Method, r.URL, took, err)
		return nil, err
	}
	fmt.Fprintf(l.out, "%s %s %s in %d milliseconds\n", r.Method, r.URL, resp.Status, took)
	if l.level >= 7 {
		l.headers("Request", r.Header)
		l.headers("Response", resp.Header)
	}
	if l.level >= 8 && !streaming(r) {
		return l.body(resp)
	}
	return resp, nil
}

func (l *requestLog) headers(title string, h http.Header) {
	fmt.Fprintf(l.out, "%s Headers:\n", title)
	for k, v := range h {
		if secretHeaders[k] {
			v = []string{"<masked>"}
		}
		fmt.Fprintf(l.out, "    %s: %s\n", k, strings.Join(v, ", "))
	}
}

func (l *requestLog) body(resp *http.Response) (*http.Response, error) {
	data, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(l.out, "Response Body: %s\n", data)
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp, nil
}

// streaming reports whether the answer to a request does not end by itself; reading it to its end
// here would take forever.
func streaming(r *http.Request) bool {
	q := r.URL.Query()
	return q.Get("watch") == "true" || q.Get("follow") == "true" || r.Header.Get("Upgrade") != ""
}
