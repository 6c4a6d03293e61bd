package resource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// What a manifest on a web server may take: those of large operators are a few megabytes.
const (
	urlTimeout = 30 * time.Second
	urlLimit   = 32 << 20
)

// readURL reads the manifests at an address.
func (r Reader) readURL(ctx context.Context, url string) ([]Manifest, error) {
	timely, cancel := context.WithTimeout(ctx, urlTimeout)
	defer cancel()
	text, err := fetch(timely, r.HTTP, url, urlLimit)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("unable to read URL %q: it has not come within %s", url, urlTimeout)
	}
	if err != nil {
		return nil, err
	}
	return decodeAll(url, bytes.NewReader(text))
}

// fetch returns what is at an address, if that is no more than limit bytes.
func fetch(ctx context.Context, client *http.Client, url string, limit int64) ([]byte, error) {
	if client == nil {
		client = http.DefaultClient
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("the URL passed to filename %q is not valid: %w", url, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("unable to read URL %q, server reported %s, status code=%d", url, resp.Status, resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "text/html" {
		return nil, fmt.Errorf("unable to read URL %q: it is a web page and no manifest; sites that show files have another address for the file itself, often named raw", url)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("unable to read URL %q: %w", url, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("unable to read URL %q: it is larger than %d MiB; download it and name the file", url, limit>>20)
	}
	return text, nil
}
