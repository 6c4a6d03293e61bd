package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// maxHeader bounds what a container can make the daemon hold of a response's header, in bytes.
const maxHeader = 1 << 20

// maxRedirects is how many redirects are followed.
const maxRedirects = 10

// httpClient is what all HTTP probes share. Each probe has a connection of its own, so the
// transports keep nothing.
type httpClient struct {
	userAgent string
	// usual speaks HTTP/1.1, and over TLS HTTP/2 when the server does; h2c speaks HTTP/2 without
	// TLS.
	usual, h2c http.RoundTripper
}

// byScheme sends requests without TLS and those with it by transports of their own, also when one
// redirects to the other.
type byScheme struct{ plain, secure http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b byScheme) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return b.secure.RoundTrip(r)
	}
	return b.plain.RoundTrip(r)
}

func newHTTPClient(userAgent string, dial Dial) *httpClient {
	transport := func() *http.Transport {
		return &http.Transport{
			DialContext:            dial,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
			WriteBufferSize:        512,
			ReadBufferSize:         1024,
		}
	}
	secure, h2c := transport(), transport()
	secure.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // a probe asks about health, not about identity
	secure.ForceAttemptHTTP2 = true
	h2c.Protocols = new(http.Protocols)
	h2c.Protocols.SetUnencryptedHTTP2(true)
	return &httpClient{userAgent: userAgent, usual: byScheme{plainTransport{dial}, secure}, h2c: h2c}
}

// httpAsker gets a URL: 200 to 399 is success (pkg/probe/http).
type httpAsker struct {
	request   *http.Request
	transport http.RoundTripper
}

func (c *httpClient) asker(of *Container, a *corev1.HTTPGetAction) asker {
	request, err := c.newRequest(of, a)
	if err != nil {
		return broken{err, handlerHTTP}
	}
	if a.Protocol != nil && *a.Protocol == corev1.HTTPProtocolHTTP2 {
		return &httpAsker{request, c.h2c}
	}
	return &httpAsker{request, c.usual}
}

func (h *httpAsker) handler() handler { return handlerHTTP }

func (h *httpAsker) ask(ctx context.Context, timeout time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := &http.Client{Transport: h.transport, CheckRedirect: sameHost}
	response, err := client.Do(h.request.WithContext(ctx))
	if err != nil {
		return failed(err, err.Error()+timedOut(ctx, " (Client.Timeout exceeded while awaiting headers)"))
	}
	defer response.Body.Close()
	a := conclude(response)
	if a.err != nil {
		a.err = fmt.Errorf("%w%s", a.err, timedOut(ctx, " (Client.Timeout or context cancellation while reading body)"))
	}
	return a
}

// timedOut is what http.Client would add to the error of a request whose time is over, and so what
// kubelet's messages say. (Its own timeout starts a goroutine for each request.)
func timedOut(ctx context.Context, text string) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return text
	}
	return ""
}

// newRequest is the request that an action describes (pkg/probe/http/request.go).
func (c *httpClient) newRequest(of *Container, a *corev1.HTTPGetAction) (*http.Request, error) {
	port, err := of.port(a.Port)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(a.Path)
	if err != nil {
		u = &url.URL{Path: a.Path}
	}
	u.Scheme = strings.ToLower(string(a.Scheme))
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	u.Host = address(of.hostOr(a.Host), port)
	request, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, h := range a.HTTPHeaders {
		request.Header.Add(h.Name, h.Value)
	}
	c.standardHeaders(request.Header)
	request.Host = request.Header.Get("Host")
	return request, nil
}

// standardHeaders adds what kubelet sends unless the probe says otherwise. An empty Accept means
// none at all.
func (c *httpClient) standardHeaders(h http.Header) {
	if _, ok := h["User-Agent"]; !ok {
		h.Set("User-Agent", c.userAgent)
	}
	if _, ok := h["Connection"]; !ok {
		h.Set("Connection", "close")
	}
	if _, ok := h["Accept"]; !ok {
		h.Set("Accept", "*/*")
	} else if h.Get("Accept") == "" {
		h.Del("Accept")
	}
}

// sameHost lets redirects be followed only to the host that was asked first: others say nothing
// about it.
func sameHost(next *http.Request, before []*http.Request) error {
	if next.URL.Hostname() != before[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(before) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	return nil
}

// conclude makes an answer of a response. A body that can't be read is an error of the probe, as in
// kubelet.
func conclude(r *http.Response) answer {
	code := r.StatusCode
	redirect := code >= http.StatusMultipleChoices && code < http.StatusBadRequest
	var body strings.Builder
	var keep io.Writer = io.Discard
	if redirect {
		keep = &body
	}
	if _, err := io.CopyN(keep, r.Body, maxOutput); err != nil && !errors.Is(err, io.EOF) {
		return answer{outcome: Failure, err: err}
	}
	switch {
	case redirect:
		return answer{outcome: Warning, message: "Probe terminated redirects, Response body: " + body.String()}
	case code >= http.StatusOK && code < http.StatusMultipleChoices:
		return answer{outcome: Success}
	}
	return answer{outcome: Failure, message: fmt.Sprintf("HTTP probe failed with statuscode: %d", code)}
}
