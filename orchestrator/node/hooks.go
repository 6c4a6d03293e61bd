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
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// postStart runs a container's postStart hook. The container counts as started when the hook is
// over; if the hook fails, the container is killed.
func (a *Agent) postStart(ctx context.Context, r *record, v *pod.View, c *corev1.Container, id string, attempt int) {
	if c.Lifecycle == nil || c.Lifecycle.PostStart == nil || !r.enterHook(c.Name, attempt) {
		return
	}
	a.toPlan.add(r.uid)
	message, err := a.runHook(ctx, v, c, id, c.Lifecycle.PostStart)
	if err == nil || ctx.Err() != nil {
		return
	}
	// The event must not show the hook's output, which may be secret.
	a.emit(v.Pod, c.Name, corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
	r.startFailed(c.Name, pod.StartFailure{Reason: pod.ReasonHookError, Message: message, Image: c.Image})
	a.stop(ctx, r, v, pod.Step{
		Container: c.Name, Attempt: attempt, ID: id, Grace: v.Grace(), Message: "FailedPostStartHook",
	})
}

// runHook runs a hook of a running container. If it fails it returns kubelet's message
// (k8s.io/kubernetes/pkg/kubelet/lifecycle/handlers.go).
func (a *Agent) runHook(ctx context.Context, v *pod.View, c *corev1.Container, id string, h *corev1.LifecycleHandler) (string, error) {
	var err error
	var what string
	switch {
	case h.Exec != nil:
		var output []byte
		output, err = a.execHook(ctx, id, h.Exec.Command)
		if err != nil {
			return fmt.Sprintf("Exec lifecycle hook (%v) for Container %q in Pod %q failed - error: %v, message: %q",
				h.Exec.Command, c.Name, pod.Format(v.Pod), err, output), err
		}
		return "", nil
	case h.HTTPGet != nil:
		what = fmt.Sprintf("HTTP lifecycle hook (%s)", h.HTTPGet.Path)
		err = a.httpHook(ctx, v, c, h.HTTPGet)
	case h.Sleep != nil:
		what = fmt.Sprintf("Sleep lifecycle hook (%d)", h.Sleep.Seconds)
		a.pause(ctx, time.Duration(h.Sleep.Seconds)*time.Second)
		err = ctx.Err()
	default:
		err = fmt.Errorf("invalid handler: %v", h)
		return "Cannot run handler: " + err.Error(), err
	}
	if err != nil {
		return fmt.Sprintf("%s for Container %q in Pod %q failed - error: %v", what, c.Name, pod.Format(v.Pod), err), err
	}
	return "", nil
}

// maxHookOutput is how much of a hook's output is kept, in bytes.
const maxHookOutput = 10 << 10

func (a *Agent) execHook(ctx context.Context, id string, command []string) ([]byte, error) {
	var output limitedBuffer
	code, err := a.Runtime.Exec(ctx, id, docker.ExecSpec{Cmd: command, Streams: docker.Streams{Out: &output, Err: &output}})
	if err == nil && code != 0 {
		err = fmt.Errorf("command '%s' exited with %d: %s", strings.Join(command, " "), code, output.Bytes())
	}
	return output.Bytes(), err
}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxHookOutput - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// hookTransport uses a new connection for each hook and, like kubelet, accepts any certificate.
func (a *Agent) hookTransport() *http.Transport {
	return &http.Transport{DialContext: a.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, Proxy: nil}
}

// httpHook sends a hook's request. Any answer is a success.
func (a *Agent) httpHook(ctx context.Context, v *pod.View, c *corev1.Container, h *corev1.HTTPGetAction) error {
	request, err := hookRequest(ctx, a.dialHost(v.Pod, v.Addr.String()), c, h)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: a.hookTransport()}
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

// isPlainHTTP reports whether a request over TLS failed because the server does not use TLS.
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

// portNumber is a port's number. A name is looked up among the container's ports.
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
