package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/stdcopy"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"skiff/integration/bench/netload/report"
)

// netloadImage is what the pods of the network's scenarios run.
const netloadImage = "skiff-bench/netload"

// Ports of netload's server.
const (
	sinkPort   = 5001
	sourcePort = 5002
	echoPort   = 5003
	greetPort  = 5004
	httpPort   = 8080
)

// ensureNetload builds netload, for this machine and as an image.
func (b *bench) ensureNetload(ctx context.Context) error {
	if b.netload != "" {
		return nil
	}
	path := filepath.Join(b.dir, "netload")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", path, "skiff/integration/bench/netload")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building netload: %w\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "netload", Mode: 0o755, Size: int64(len(program)), ModTime: time.Now()}); err != nil {
		return err
	}
	if _, err := w.Write(program); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	answer, err := b.engine.ImageImport(ctx, image.ImportSource{Source: &layer, SourceName: "-"}, netloadImage,
		image.ImportOptions{Changes: []string{`ENTRYPOINT ["/netload"]`, `CMD ["serve"]`}})
	if err != nil {
		return fmt.Errorf("making the image %s: %w", netloadImage, err)
	}
	defer answer.Close()
	if _, err := io.Copy(io.Discard, answer); err != nil {
		return err
	}
	b.netload, b.made = path, append(b.made, netloadImage)
	return nil
}

// netloadSpec is one container that serves, and is ready when it answers.
func netloadSpec() corev1.PodSpec {
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: ptr(int64(0)),
		Containers: []corev1.Container{{
			Name: "main", Image: netloadImage, ImagePullPolicy: corev1.PullNever,
			ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: httpProbe(httpPort)},
		}},
	}
}

// lab is a daemon with pods that run netload: "client", from which the network is loaded, and
// servers.
type lab struct {
	*bench
	d    *daemon
	kube kubernetes.Interface
	// client is the container from which the network is loaded.
	client   string
	pods     *pods
	services []string // that it made
}

// labLabel is on all pods of a lab.
const labLabel = "netload"

// newLab starts a client and servers, of the names given, and waits until they are ready.
func (b *bench) newLab(ctx context.Context, d *daemon, servers ...string) (l *lab, err error) {
	if err := b.ensureNetload(ctx); err != nil {
		return nil, err
	}
	l = &lab{bench: b, d: d}
	if l.kube, err = d.client(); err != nil {
		return nil, err
	}
	if l.pods, err = watchPods(ctx, l.kube, labLabel); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.close(context.WithoutCancel(ctx)) //nolint:errcheck // what went wrong first says more
		}
	}()
	for _, name := range append([]string{"client"}, servers...) {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"bench": labLabel, "app": name}}, Spec: netloadSpec()}
		if _, err := l.kube.CoreV1().Pods(namespace).Create(ctx, p, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	if err := l.pods.until(ctx, time.Minute, "netload ready", ready(1+len(servers))); err != nil {
		return nil, err
	}
	l.client, err = b.containerIn(ctx, d, "io.kubernetes.pod.name=client")
	return l, err
}

func ready(n int) func(map[string]*corev1.Pod) bool {
	return func(s map[string]*corev1.Pod) bool {
		have := 0
		for _, p := range s {
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
					have++
				}
			}
		}
		return have == n
	}
}

// close removes the lab's services and pods.
func (l *lab) close(ctx context.Context) error {
	defer l.pods.w.Stop()
	var errs []error
	for _, name := range l.services {
		errs = append(errs, l.kube.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{}))
	}
	errs = append(errs, l.kube.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "bench=" + labLabel}))
	return errors.Join(append(errs, l.pods.until(ctx, time.Minute, "the pods gone", gone))...)
}

// ip is a pod's address.
func (l *lab) ip(pod string) string { return l.pods.state[pod].Status.PodIP }

func at(host string, port int) string { return fmt.Sprintf("%s:%d", host, port) }

// service makes a service with all of netload's ports that leads to the pods of an app, and waits
// until it does. With an empty app it leads nowhere by itself, and is not waited for.
func (l *lab) service(ctx context.Context, name, app string, kind corev1.ServiceType) (*corev1.Service, error) {
	s, err := l.kube.CoreV1().Services(namespace).Create(ctx, netloadService(name, app, kind), metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	l.services = append(l.services, name)
	if app == "" {
		return s, nil
	}
	return s, l.answers(ctx, s)
}

func netloadService(name, app string, kind corev1.ServiceType) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Type: kind}}
	if app != "" {
		s.Spec.Selector = map[string]string{"app": app}
	}
	for name, port := range map[string]int{"sink": sinkPort, "source": sourcePort, "echo": echoPort, "greet": greetPort, "http": httpPort} {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: name, Port: int32(port), TargetPort: intstr.FromInt(port)})
	}
	return s
}

// answers waits until a service takes the client's connections.
func (l *lab) answers(ctx context.Context, s *corev1.Service) error {
	return poll(ctx, time.Minute, "service "+s.Name+" answers", func() (bool, error) {
		r, err := l.run(ctx, "connections", "-to", at(s.Spec.ClusterIP, greetPort), "-for", "50ms", "-timeout", "200ms")
		return err == nil && r.Done > 0, err
	})
}

// loading is a load that runs in the client until it is stopped.
type loading struct {
	engine interface {
		ContainerExecInspect(ctx context.Context, id string) (container.ExecInspect, error)
	}
	exec   string
	conn   types.HijackedResponse
	output chan error
	out    bytes.Buffer
	err    bytes.Buffer
}

// begin starts a load in a container.
func (b *bench) begin(ctx context.Context, in string, args ...string) (*loading, error) {
	made, err := b.engine.ContainerExecCreate(ctx, in, container.ExecOptions{
		Cmd: append([]string{"/netload"}, args...), AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	conn, err := b.engine.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	r := &loading{engine: b.engine, exec: made.ID, conn: conn, output: make(chan error, 1)}
	go func() {
		_, err := stdcopy.StdCopy(&r.out, &r.err, conn.Reader)
		r.output <- err
	}()
	return r, nil
}

// stop ends the load, which one that lasts so long has done by itself, and reads its report.
func (r *loading) stop(ctx context.Context) (out report.Report, err error) {
	if err := r.conn.CloseWrite(); err != nil {
		return out, err
	}
	return r.wait(ctx)
}

func (r *loading) wait(ctx context.Context) (out report.Report, err error) {
	defer r.conn.Close()
	select {
	case err = <-r.output:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return out, err
	}
	ended, err := r.engine.ContainerExecInspect(ctx, r.exec)
	if err != nil {
		return out, err
	}
	if ended.ExitCode != 0 {
		return out, errors.New(strings.TrimSpace(r.err.String()))
	}
	return out, json.Unmarshal(r.out.Bytes(), &out)
}

// run runs a load that lasts so long in the client.
func (l *lab) run(ctx context.Context, args ...string) (report.Report, error) {
	r, err := l.begin(ctx, l.client, args...)
	if err != nil {
		return report.Report{}, err
	}
	out, err := r.wait(ctx)
	if err != nil {
		err = fmt.Errorf("netload %s: %w", strings.Join(args, " "), err)
	}
	return out, err
}

// runHere runs a load on this machine.
func (b *bench) runHere(ctx context.Context, args ...string) (out report.Report, err error) {
	raw, err := exec.CommandContext(ctx, b.netload, args...).Output()
	if err != nil {
		var said *exec.ExitError
		if errors.As(err, &said) {
			err = errors.New(string(bytes.TrimSpace(said.Stderr)))
		}
		return out, fmt.Errorf("netload %s: %w", strings.Join(args, " "), err)
	}
	return out, json.Unmarshal(raw, &out)
}

// complain shows what failed of a load.
func complain(what string, r report.Report) {
	if r.Failed > 0 {
		fmt.Fprintf(os.Stderr, "  %s: %d failed of %d\n    %s\n", what, r.Failed, r.Failed+r.Done, strings.Join(r.Errors, "\n    "))
	}
}

// middle is the median of values.
func middle(v []float64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	return sorted[len(sorted)/2]
}
