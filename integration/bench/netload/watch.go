package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"skiff/integration/bench/netload/report"
)

// watch tries again and again, each time on its own: one that waits for a packet that is lost holds
// no other up. What it sees has the times of this machine's clock, which its containers share.
func watch(ctx context.Context, l load, try func(context.Context) (string, error)) (report.Report, error) {
	var group sync.WaitGroup
	var attempts []*report.Attempt
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for ctx.Err() == nil {
		a := &report.Attempt{Began: time.Now()}
		attempts = append(attempts, a)
		group.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
			defer cancel()
			text, err := try(ctx)
			a.Ended, a.Text = time.Now(), text
			if err != nil {
				a.Text, a.Error = "", err.Error()
			}
		})
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	group.Wait()
	var r report.Report
	for _, a := range attempts {
		r.Attempts = append(r.Attempts, *a)
	}
	return r, nil
}

// watchHTTP sees who answers, over a new connection each time.
func watchHTTP(ctx context.Context, l load) (report.Report, error) {
	return watch(ctx, l, func(ctx context.Context) (string, error) { return get(ctx, "http://"+l.to+"/hello", nil) })
}

// watchHTTPS sees whether the Kubernetes API answers. Who it is does not matter here, nor what it
// says: a client without a token is answered too.
func watchHTTPS(ctx context.Context, l load) (report.Report, error) {
	config := &tls.Config{InsecureSkipVerify: true, ServerName: cmp.Or(l.name, "kubernetes.default.svc")}
	return watch(ctx, l, func(ctx context.Context) (string, error) { return get(ctx, "https://"+l.to+"/readyz", config) })
}

func get(ctx context.Context, url string, config *tls.Config) (string, error) {
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: config, DialContext: (&net.Dialer{}).DialContext}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	r, err := (&http.Client{Transport: t}).Do(q)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && config == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered with %s", r.Status)
	}
	return string(body), err
}

// watchDNS sees which address a name has.
func watchDNS(ctx context.Context, l load) (report.Report, error) {
	return watch(ctx, l, func(context.Context) (string, error) {
		r, err := newResolver(l)
		if err != nil {
			return "", err
		}
		defer r.conn.Close()
		a, err := r.ask()
		return a.String(), err
	})
}
