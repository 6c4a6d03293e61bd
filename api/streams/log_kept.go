package streams

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/clock"
)

// ErrNoKeptLog is the error of KeptLogs where there is none.
var ErrNoKeptLog = errors.New("no log has been kept")

// KeptLogs has the ends of the logs of jobs' pods that have been deleted.
type KeptLogs interface {
	// JobLog is the log of a container of the pod of a job that was deleted last. Each line begins with
	// its time. ErrNoKeptLog if there is none.
	JobLog(job types.UID, container string) (text []byte, err error)
}

// JobLog serves the log subresource of jobs, which Kubernetes does not have: what is left of the log of a
// job whose pods have been deleted. It takes the parameters of a pod's log.
type JobLog struct {
	Kept   KeptLogs
	Lookup func(ctx context.Context, name string) (*batchv1.Job, error)
	Clock  clock.PassiveClock
}

var _ rest.Connecter = (*JobLog)(nil)

// New implements rest.Storage.
func (l *JobLog) New() runtime.Object { return &batchv1.Job{} }

// Destroy implements rest.Storage.
func (l *JobLog) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (l *JobLog) ConnectMethods() []string { return []string{http.MethodGet} }

// NewConnectOptions implements rest.Connecter.
func (l *JobLog) NewConnectOptions() (runtime.Object, bool, string) { return nil, false, "" }

// Connect implements rest.Connecter.
func (l *JobLog) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	job, err := l.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := l.read(job, r.URL.Query())
		if err != nil {
			responder.Error(err)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Write(text) //nolint:errcheck // the client has gone
	}), nil
}

func (l *JobLog) read(job *batchv1.Job, query url.Values) ([]byte, error) {
	o, err := keptOptions(query)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if errs := validateLogOptions(o); len(errs) > 0 {
		return nil, apierrors.NewInvalid(schema.GroupKind{Kind: "PodLogOptions"}, job.Name, errs)
	}
	text, err := l.Kept.JobLog(job.UID, cmp.Or(o.Container, mainContainer(&job.Spec.Template)))
	if errors.Is(err, ErrNoKeptLog) {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: batchv1.GroupName, Resource: "jobs/log"}, job.Name)
	}
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return cutLog(text, o, l.Clock.Now()), nil
}

// mainContainer is the one that is meant where none is named, as kubectl has it.
func mainContainer(t *corev1.PodTemplateSpec) string {
	if name := t.Annotations["kubectl.kubernetes.io/default-container"]; name != "" {
		return name
	}
	return t.Spec.Containers[0].Name
}

// keptOptions reads the parameters that mean something for a log that has ended.
func keptOptions(query url.Values) (*corev1.PodLogOptions, error) {
	o := &corev1.PodLogOptions{Container: query.Get("container"), Timestamps: query.Get("timestamps") == "true"}
	if query.Get("previous") == "true" {
		return nil, errors.New("previous: of a job's pods that are gone only the last log has been kept")
	}
	for name, to := range map[string]**int64{"tailLines": &o.TailLines, "limitBytes": &o.LimitBytes, "sinceSeconds": &o.SinceSeconds} {
		if value := query.Get(name); value != "" {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %q is no number", name, value)
			}
			*to = &n
		}
	}
	if value := query.Get("sinceTime"); value != "" {
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return nil, fmt.Errorf("sinceTime: %w", err)
		}
		o.SinceTime = &metav1.Time{Time: t}
	}
	return o, nil
}

// cutLog is what of a log of lines with times is asked for.
func cutLog(text []byte, o *corev1.PodLogOptions, now time.Time) []byte {
	since := time.Time{}
	switch {
	case o.SinceSeconds != nil:
		since = now.Add(-time.Duration(*o.SinceSeconds) * time.Second)
	case o.SinceTime != nil:
		since = o.SinceTime.Time
	}
	var lines [][]byte
	for line := range bytes.Lines(text) {
		stamp, rest, found := bytes.Cut(line, []byte(" "))
		if at, err := time.Parse(time.RFC3339Nano, string(stamp)); found && err == nil {
			if at.Before(since) {
				continue
			}
			if !o.Timestamps {
				line = rest
			}
		}
		lines = append(lines, line)
	}
	if o.TailLines != nil {
		lines = lines[max(0, len(lines)-int(min(*o.TailLines, int64(len(lines))))):]
	}
	out := bytes.Join(lines, nil)
	if o.LimitBytes != nil {
		out = out[:min(*o.LimitBytes, int64(len(out)))]
	}
	return out
}
