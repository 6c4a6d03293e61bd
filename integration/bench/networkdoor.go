package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/servicefacts"
)

// doorClients is how many connections ask the front door at a time, each many times.
const doorClients = "32"

// networkDoor measures HTTP through the front door beside nginx in front of the same pod.
func networkDoor(ctx context.Context, b *bench) (rows []row, err error) {
	l, err := b.newLab(ctx, b.main, "server")
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(ctx, err, l) }()
	s, err := l.service(ctx, "web", "server", corev1.ServiceTypeClusterIP)
	if err != nil {
		return nil, err
	}
	told, err := l.kube.CoreV1().ConfigMaps(servicefacts.InfoNamespace).Get(ctx, servicefacts.InfoName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	door, name := told.Data[servicefacts.InfoFrontDoor], servicefacts.LocalNames(s)[0]
	ours := func() (float64, error) { return b.ask(ctx, door, name) }
	if err := b.answersHTTP(ctx, door, name); err != nil {
		return nil, err
	}
	const what = "front door, keep-alive clients"
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		fmt.Fprintln(os.Stderr, "  nginx is not installed: the front door stands alone")
		v, err := ours()
		return []row{info(what, v, "1/s")}, err
	}
	proxy, stop, err := b.nginx(ctx, nginx, at(l.ip("server"), httpPort))
	if err != nil {
		return nil, err
	}
	defer stop()
	other, own, err := inTurn(b.rounds, func() (float64, error) { return b.ask(ctx, proxy, name) }, ours)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "  front door: %.4g beside nginx's %.4g\n", own, other)
	return []row{reaching(what+", beside nginx", middle(own), middle(other), 0.7, "1/s")}, nil
}

var (
	wrkRate   = regexp.MustCompile(`Requests/sec:\s*([0-9.]+)`)
	wrkFailed = regexp.MustCompile(`(?m)^\s*(Non-2xx|Socket errors).*$`)
)

// ask has clients ask for pages as fast as they are answered, and says how many a second there were:
// wrk if it is there, else netload. None may fail.
func (b *bench) ask(ctx context.Context, address, name string) (float64, error) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		r, err := b.runHere(ctx, "http", "-keepalive", "-to", address, "-name", name, "-for", loadTime.String(), "-workers", doorClients)
		if err == nil && r.Failed > 0 {
			complain("HTTP at "+address, r)
			err = fmt.Errorf("%d requests to %s failed", r.Failed, address)
		}
		return r.PerSecond, err
	}
	seconds := strconv.Itoa(int(loadTime.Seconds())) + "s"
	out, err := exec.CommandContext(ctx, wrk, "-t2", "-c"+doorClients, "-d"+seconds, "-H", "Host: "+name, "http://"+address+"/hello").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk at %s: %w\n%s", address, err, out)
	}
	if failed := wrkFailed.Find(out); failed != nil {
		return 0, fmt.Errorf("wrk at %s: %s", address, bytes.TrimSpace(failed))
	}
	rate := wrkRate.FindSubmatch(out)
	if rate == nil {
		return 0, fmt.Errorf("wrk at %s said no rate\n%s", address, out)
	}
	return strconv.ParseFloat(string(rate[1]), 64)
}

// nginxConfig makes nginx a reverse proxy at its best: connections are kept on both sides and nothing
// is logged.
const nginxConfig = `
%[1]s
worker_processes auto;
pid %[2]s/pid;
error_log %[2]s/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
  keepalive_requests 10000000;
  upstream pod { server %[3]s; keepalive 64; keepalive_requests 10000000; }
  server {
    listen %[4]s;
    location / { proxy_pass http://pod; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }
  }
}
`

// nginx runs nginx in front of an address, and returns where it listens.
func (b *bench) nginx(ctx context.Context, program, to string) (address string, stop func(), err error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = free.Addr().String()
	if err := free.Close(); err != nil {
		return "", nil, err
	}
	dir := filepath.Join(b.dir, "nginx")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // another could not read its directories, which lie in ours
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, user, dir, to, address), 0o644); err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", config, "-g", "daemon off;")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // its workers end with it
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Cancel()
		_ = cmd.Wait() // how it ends does not matter
	}
	if err := b.answersHTTP(ctx, address, "any"); err != nil {
		stop()
		return "", nil, err
	}
	return address, stop, nil
}

// answersHTTP waits until an address answers requests for a name.
func (b *bench) answersHTTP(ctx context.Context, address, name string) error {
	return poll(ctx, 20*time.Second, address+" answers", func() (bool, error) {
		r, err := b.runHere(ctx, "http", "-to", address, "-name", name, "-for", "50ms")
		return err == nil && r.Done > 0 && r.Failed == 0, err
	})
}
