// Package webhook calls webhooks: it posts one object as JSON, to a URL or to a Service, and reads the
// other from the answer. Admission and the conversion of custom resources share it; it knows nothing of their reviews.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// MaxAnswer is the most bytes of an answer that are read: some times the largest object's.
	MaxAnswer = 16 << 20
	// maxTargets is how many targets' connections are kept.
	maxTargets = 64
	// idleConnections and idleTime are how many connections to one target wait for its next call, and
	// how long.
	idleConnections = 8
	idleTime        = 90 * time.Second
	userAgent       = "kube-apiserver-admission"
)

// DialService connects to a Service's port, wherever it leads at the moment.
type DialService func(ctx context.Context, namespace, name string, port int32) (net.Conn, error)

// Caller calls webhooks and keeps the connections to them. It is safe for concurrent use.
type Caller struct {
	dial DialService

	mu      sync.Mutex
	clients map[[sha256.Size]byte]*client
	calls   uint64
}

// client has the connections to one target.
type client struct {
	http *http.Client
	used uint64 // the number of the last call
}

// NewCaller returns a Caller that reaches Services by dial; nil reaches none.
func NewCaller(dial DialService) *Caller {
	if dial == nil {
		dial = func(_ context.Context, namespace, name string, port int32) (net.Conn, error) {
			return nil, fmt.Errorf("no endpoints available for service %q in namespace %q, port %d: there is no network", name, namespace, port)
		}
	}
	return &Caller{dial: dial, clients: map[[sha256.Size]byte]*client{}}
}

// Call posts in and decodes the answer into out. The webhook is told of the deadline of ctx, which is
// also when waiting for it ends. An answer other than a success is a status error.
func (c *Caller) Call(ctx context.Context, t Target, in, out any) error {
	u, err := t.address()
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		u.RawQuery = url.Values{"timeout": {wholeSeconds(time.Until(deadline)).String()}}.Encode()
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, */*")
	request.Header.Set("User-Agent", userAgent)
	// Present but empty, it is not sent and lets a call be repeated that met a connection just closed.
	request.Header["X-Idempotency-Key"] = nil
	client, err := c.client(t, u)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return read(response, out)
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", MaxAnswer)

func read(r *http.Response, out any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading the answer: %w", err)
	case len(body) > MaxAnswer:
		return errTooLarge
	case r.StatusCode < http.StatusOK || r.StatusCode > http.StatusPartialContent:
		return failure(r, body)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("decoding the answer: %w", err)
	}
	return nil
}

// failure is what client-go makes of an answer that is no success.
func failure(r *http.Response, body []byte) error {
	var status metav1.Status
	if json.Unmarshal(body, &status) == nil && status.Kind == "Status" && status.Status == metav1.StatusFailure {
		return &apierrors.StatusError{ErrStatus: status}
	}
	const most = 2048
	retry, _ := strconv.Atoi(r.Header.Get("Retry-After"))
	text := string(bytes.TrimSpace(body[:min(len(body), most)]))
	return apierrors.NewGenericServerResponse(r.StatusCode, http.MethodPost, schema.GroupResource{}, "", text, retry, true)
}

// client finds or makes the connections to a target.
func (c *Caller) client(t Target, u *url.URL) (*http.Client, error) {
	key := t.key(u)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	found, ok := c.clients[key]
	if !ok {
		transport, err := c.transport(t)
		if err != nil {
			return nil, err
		}
		c.forget()
		found = &client{http: &http.Client{Transport: transport, CheckRedirect: noRedirects}}
		c.clients[key] = found
	}
	found.used = c.calls
	return found.http, nil
}

// noRedirects leaves a redirection as the answer: nobody but the target is to see what it is told.
func noRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// forget lets go of the target that was called the longest time ago when there are too many. c.mu is held.
func (c *Caller) forget() {
	if len(c.clients) < maxTargets {
		return
	}
	var oldest [sha256.Size]byte
	at := c.calls + 1
	for key, candidate := range c.clients {
		if candidate.used < at {
			oldest, at = key, candidate.used
		}
	}
	c.clients[oldest].http.CloseIdleConnections()
	delete(c.clients, oldest)
}

// transport speaks HTTP/1.1 alone: over HTTP/2, one pod of a Service would get all calls.
func (c *Caller) transport(t Target) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if len(t.CABundle) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(t.CABundle) {
			return nil, errors.New("unable to load root certificates: unable to parse bytes as PEM block")
		}
	}
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: config, MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: idleTime,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if s := t.Service; s != nil {
		config.ServerName, transport.Proxy = s.host(), nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return c.dial(ctx, s.Namespace, s.Name, s.port())
		}
	}
	return transport, nil
}

// Close closes the connections that wait for a next call.
func (c *Caller) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.clients {
		known.http.CloseIdleConnections()
	}
}
