package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// asker asks a URL.
type asker struct {
	url  *url.URL
	host string
	http *http.Client
	// session is a TCP or UDP connection that stays, nil for one each time.
	session net.Conn
	lines   *bufio.Reader
	// keep says that connections stay.
	keep bool
}

// timeout is how long an answer may take.
var timeout = 10 * time.Second

// slow is when that is worth saying: a packet that was lost is sent again after a second.
const slow = 800 * time.Millisecond

func newAsker(target, host, ca string, keep bool) (*asker, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: !keep, MaxIdleConnsPerHost: 1}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	return &asker{url: u, host: host, keep: keep, http: &http.Client{Transport: transport, Timeout: timeout}}, nil
}

// ask asks once.
func (a *asker) ask(ctx context.Context) (string, error) {
	if a.url.Scheme != "tcp" && a.url.Scheme != "udp" {
		return a.get(ctx)
	}
	if a.session == nil {
		d := net.Dialer{Timeout: timeout}
		c, err := d.DialContext(ctx, a.url.Scheme, a.url.Host)
		if err != nil {
			return "", err
		}
		a.session, a.lines = c, bufio.NewReader(c)
	}
	answer, err := a.exchange()
	if err != nil || !a.keep {
		a.session.Close()
		a.session = nil
	}
	return answer, err
}

func (a *asker) exchange() (string, error) {
	if err := a.session.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(a.session, "hello\n"); err != nil {
		return "", err
	}
	answer, err := a.lines.ReadString('\n')
	name, _, _ := strings.Cut(answer, " ")
	return name, err
}

func (a *asker) get(ctx context.Context) (string, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url.String(), nil)
	if err != nil {
		return "", err
	}
	q.Host = a.host
	r, err := a.http.Do(q)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, body)
	}
	return strings.TrimSpace(string(body)), err
}

func ask(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("ask", flag.ContinueOnError)
	host, ca := flags.String("host", "", "the host to ask for"), flags.String("ca", "", "`file` of the authority to trust")
	n := flags.Int("n", 1, "how often")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for range *n {
		a, err := newAsker(flags.Arg(0), *host, *ca, false)
		if err != nil {
			return err
		}
		answer, err := a.ask(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, answer)
	}
	return nil
}

// tally is what came of asking a URL.
type tally struct {
	asked, failed int
	slowest       time.Duration
	hosts         map[string]int
}

func load(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	fresh, host := flags.Bool("fresh", false, "a new connection for each"), flags.String("host", "", "the host to ask for")
	flags.DurationVar(&timeout, "timeout", timeout, "how long an answer may take")
	every := flags.Duration("every", 10*time.Millisecond, "how long from one to the next")
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Fprintln(out, "loading")
	var group sync.WaitGroup
	var mu sync.Mutex // over out
	failed := 0
	for _, target := range flags.Args() {
		a, err := newAsker(target, *host, "", !*fresh)
		if err != nil {
			return err
		}
		group.Go(func() {
			t := a.load(ctx, *every, func(format string, args ...any) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintf(out, format, args...)
			})
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(out, "%s: %d asked, %d failed, slowest %s, %v\n", target, t.asked, t.failed, t.slowest.Round(time.Millisecond), t.hosts)
			failed += t.failed
		})
	}
	group.Wait()
	if failed > 0 {
		return fmt.Errorf("%d failed", failed)
	}
	fmt.Fprintln(out, "no failure")
	return nil
}

// load asks until ctx ends. What is under way then is finished.
func (a *asker) load(ctx context.Context, every time.Duration, say func(string, ...any)) tally {
	t := tally{hosts: map[string]int{}}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return t
		case <-tick.C:
		}
		begin := time.Now()
		answer, err := a.ask(context.WithoutCancel(ctx))
		t.asked++
		t.slowest = max(t.slowest, time.Since(begin))
		if took := time.Since(begin); took > slow && err == nil {
			say("%s slow: %s\n", begin.Format("15:04:05.000"), took.Round(time.Millisecond))
		}
		if err != nil {
			t.failed++
			say("%s failed after %s: %v\n", begin.Format("15:04:05.000"), time.Since(begin).Round(time.Millisecond), err)
			continue
		}
		t.hosts[answer]++
	}
}

func lookUp(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("dns host|srv|ptr NAME")
	}
	var names []string
	var err error
	switch args[0] {
	case "host":
		names, err = net.DefaultResolver.LookupHost(ctx, args[1])
	case "srv":
		var list []*net.SRV
		_, list, err = net.DefaultResolver.LookupSRV(ctx, "", "", args[1])
		for _, s := range list {
			names = append(names, fmt.Sprintf("%s %d", s.Target, s.Port))
		}
	case "ptr":
		names, err = net.DefaultResolver.LookupAddr(ctx, args[1])
	}
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintln(out, name)
	}
	return nil
}
