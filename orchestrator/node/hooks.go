package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/docker"
)

// postStart runs a container's postStart hook. The container counts as started when that is over; if it fails, the
// container is killed.
func (a *Agent) postStart(ctx context.Context, r *record, v *view, c *corev1.Container, id string, attempt int) {
	if c.Lifecycle == nil || c.Lifecycle.PostStart == nil || !r.enterHook(c.Name, attempt) {
		return
	}
	a.toPlan.add(r.uid)
	message, err := a.runHook(ctx, v, c, id, c.Lifecycle.PostStart)
	if err == nil || ctx.Err() != nil {
		return
	}
	// The event must not tell what the hook said: that may be secret.
	a.tell(v.pod, c.Name, corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
	r.fail(c.Name, failure{reason: reasonHookError, message: message, image: c.Image})
	a.stop(ctx, r, v, step{
		container: c.Name, attempt: attempt, id: id, grace: v.grace(), message: "FailedPostStartHook",
	})
}

// enterHook turns a start into the running of its hook, and returns false if the start has been overtaken.
func (r *record) enterHook(container string, attempt int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, ok := r.works[container]
	if !ok || w.attempt != attempt {
		return false
	}
	w.task = taskHook
	return true
}

// runHook runs a hook of a running container, with kubelet's message if it fails
// (k8s.io/kubernetes/pkg/kubelet/lifecycle/handlers.go).
func (a *Agent) runHook(ctx context.Context, v *view, c *corev1.Container, id string, h *corev1.LifecycleHandler) (string, error) {
	var err error
	var what string
	switch {
	case h.Exec != nil:
		var said []byte
		said, err = a.execHook(ctx, id, h.Exec.Command)
		if err != nil {
			return fmt.Sprintf("Exec lifecycle hook (%v) for Container %q in Pod %q failed - error: %v, message: %q",
				h.Exec.Command, c.Name, podText(v.pod), err, said), err
		}
		return "", nil
	case h.HTTPGet != nil:
		what = fmt.Sprintf("HTTP lifecycle hook (%s)", h.HTTPGet.Path)
		err = a.httpHook(ctx, v, c, h.HTTPGet)
	case h.Sleep != nil:
		what = fmt.Sprintf("Sleep lifecycle hook (%d)", h.Sleep.Seconds)
		a.pause(ctx, seconds(h.Sleep.Seconds))
		err = ctx.Err()
	default:
		err = fmt.Errorf("invalid handler: %v", h)
		return "Cannot run handler: " + err.Error(), err
	}
	if err != nil {
		return fmt.Sprintf("%s for Container %q in Pod %q failed - error: %v", what, c.Name, podText(v.pod), err), err
	}
	return "", nil
}

// maxHookOutput is how much of what a hook says is kept, in bytes.
const maxHookOutput = 10 << 10

func (a *Agent) execHook(ctx context.Context, id string, command []string) ([]byte, error) {
	var said limitedBuffer
	code, err := a.Runtime.Exec(ctx, id, docker.ExecSpec{Cmd: command, Streams: docker.Streams{Out: &said, Err: &said}})
	if err == nil && code != 0 {
		err = fmt.Errorf("command '%s' exited with %d: %s", strings.Join(command, " "), code, said.Bytes())
	}
	return said.Bytes(), err
}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxHookOutput - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// hookTransport makes one connection a hook, and trusts whoever answers: so does kubelet.
func hookTransport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, Proxy: nil}
}

// httpHook sends a hook's request. Any answer will do.
func (a *Agent) httpHook(ctx context.Context, v *view, c *corev1.Container, h *corev1.HTTPGetAction) error {
	request, err := hookRequest(ctx, a.dialHost(v.pod, v.addr.String()), c, h)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: hookTransport()}
	response, err := client.Do(request)
	if err != nil && request.URL.Scheme == "https" && isPlainHTTP(err) {
		request.URL.Scheme = "http"
		request.Header.Del("Authorization")
		response, err = client.Do(request)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.CopyN(io.Discard, response.Body, maxHookOutput)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// isPlainHTTP tells whether a server was spoken to with TLS that does not speak it.
func isPlainHTTP(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

func hookRequest(ctx context.Context, host string, c *corev1.Container, h *corev1.HTTPGetAction) (*http.Request, error) {
	port, err := portNumber(c, h.Port)
	if err != nil {
		return nil, err
	}
	if h.Host != "" {
		host = h.Host
	}
	target, err := url.Parse(h.Path)
	if err != nil {
		target = &url.URL{Path: h.Path}
	}
	target.Scheme = strings.ToLower(string(h.Scheme))
	if target.Scheme == "" {
		target.Scheme = "http"
	}
	target.Host = net.JoinHostPort(host, strconv.Itoa(port))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "kube-lifecycle/skiff")
	request.Header.Set("Accept", "*/*")
	for _, header := range h.HTTPHeaders {
		if http.CanonicalHeaderKey(header.Name) == "Host" {
			request.Host = header.Value
			continue
		}
		request.Header.Add(header.Name, header.Value)
	}
	return request, nil
}

// portNumber is a port, looked up among the container's if it is a name.
func portNumber(c *corev1.Container, port intstr.IntOrString) (int, error) {
	n := port.IntValue()
	if port.Type == intstr.String {
		for _, p := range c.Ports {
			if p.Name == port.StrVal {
				n = int(p.ContainerPort)
			}
		}
	}
	if n <= 0 || n > 65535 {
		return 0, fmt.Errorf("invalid port number: %v", port.String())
	}
	return n, nil
}
