package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/containerd/errdefs/pkg/errhttp"
	"github.com/docker/docker/client"
)

// The Docker client hides two things skiff needs: when an event stream has been accepted, and why a
// connection that should become a stream has not. For these skiff makes the requests itself.

// newRequest makes a request in the API version c has agreed on; body is sent as JSON unless it is
// nil.
func (e *Engine) newRequest(ctx context.Context, c *client.Client, method, name string, query url.Values, body any) (*http.Request, error) {
	host, err := client.ParseHostURL(c.DaemonHost())
	if err != nil {
		return nil, fmt.Errorf("read host: %w", err)
	}
	target := url.URL{
		Scheme: "http", Host: host.Host,
		Path: path.Join("/", host.Path, "v"+c.ClientVersion(), name), RawQuery: query.Encode(),
	}
	if host.Scheme == "unix" || host.Scheme == "npipe" {
		target.Host = client.DummyHost // the address is a path, which is no host name
	} else if e.at.TLS != nil {
		target.Scheme = "https"
	}
	var payload []byte
	if body != nil {
		if payload, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "skiff")
	return r, nil
}

// get opens a stream of JSON values.
func (e *Engine) get(ctx context.Context, c *client.Client, name string, query url.Values) (*http.Response, error) {
	request, err := e.newRequest(ctx, c, http.MethodGet, name, query, nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.HTTPClient().Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, refusal(answer)
	}
	return answer, nil
}

// maxRefusal bounds the text of an error in bytes.
const maxRefusal = 64 << 10

// refusal reads the engine's error out of an answer and closes it.
func refusal(answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	err = errors.Join(err, answer.Body.Close())
	if err != nil {
		return fmt.Errorf("read the engine's error (%s): %w", answer.Status, err)
	}
	var told struct{ Message string }
	if json.Unmarshal(text, &told) != nil || told.Message == "" {
		told.Message = strings.TrimSpace(string(text))
	}
	if told.Message == "" {
		told.Message = answer.Status
	}
	if kind := errhttp.ToNative(answer.StatusCode); kind != nil {
		return refused{errors.New(told.Message), kind}
	}
	return errors.New(told.Message)
}

// refused is an engine's error that is also one of containerd's kinds, as those of the Docker
// client are.
type refused struct {
	error
	kind error
}

func (r refused) Unwrap() []error { return []error{r.error, r.kind} }
