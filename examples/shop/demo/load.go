package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// browser asks for pages under names that end in .localhost as a browser does: they are all on this
// machine (RFC 6761, 6.3), whatever the name server says.
func browser() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		MaxIdleConnsPerHost: workers,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			var d net.Dialer
			return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}}
}

// fetch is the page at a URL, which must be well.
func fetch(ctx context.Context, c *http.Client, page *url.URL) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", page, resp.Status, body)
	}
	return string(body), err
}

// How many ask at a time, and how often each of them does.
const (
	workers = 4
	pause   = 10 * time.Millisecond
)

// load are visitors who ask for a page over and over.
type load struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	mu            sync.Mutex
	asked, failed int
	first         error
}

// startLoad begins to ask. What is under way when the load is stopped is still awaited, and counts.
func startLoad(ctx context.Context, page *url.URL) *load {
	l, c := &load{}, browser()
	going, stop := context.WithCancel(ctx)
	l.stop = stop
	for range workers {
		l.running.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-going.Done():
					return
				case <-tick.C:
				}
				_, err := fetch(ctx, c, page)
				l.note(err)
			}
		})
	}
	return l
}

func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if err != nil {
		l.failed++
		if l.first == nil {
			l.first = err
		}
	}
}

// end stops the load and says how many requests there were; one that failed is an error.
func (l *load) end() (asked int, err error) {
	l.stop()
	l.running.Wait()
	if l.failed > 0 {
		return l.asked, fmt.Errorf("%d of %d requests failed, the first: %w", l.failed, l.asked, l.first)
	}
	return l.asked, nil
}
