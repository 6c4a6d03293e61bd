package streams

import (
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Log serves the log subresource of pods.
type Log struct{ Handlers }

var (
	_ rest.GetterWithOptions = (*Log)(nil)
	_ rest.ResourceStreamer  = (*logStream)(nil)
)

// New implements rest.Storage. Upstream's discovery says that a log is of kind Pod.
func (l *Log) New() runtime.Object { return &corev1.Pod{} }

// Destroy implements rest.Storage.
func (l *Log) Destroy() {}

// NewGetOptions implements rest.GetterWithOptions.
func (l *Log) NewGetOptions() (runtime.Object, bool, string) {
	return &corev1.PodLogOptions{}, false, ""
}

// Get implements rest.GetterWithOptions: it returns what the handlers then stream.
func (l *Log) Get(ctx context.Context, name string, options runtime.Object) (runtime.Object, error) {
	o, ok := options.(*corev1.PodLogOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", options))
	}
	if errs := validateLogOptions(o); len(errs) > 0 {
		return nil, apierrors.NewInvalid(schema.GroupKind{Kind: "PodLogOptions"}, name, errs)
	}
	pod, err := l.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	container, err := chooseContainer(pod, o.Container)
	if err != nil {
		return nil, err
	}
	if pod.Spec.NodeName != "" { // without a node there is nothing to stream, which upstream does not call an error
		if err := hasLog(pod, container, o.Previous); err != nil {
			return nil, err
		}
	}
	return &logStream{pods: l.Pods, pod: pod, container: container, options: o}, nil
}

// validateLogOptions follows ValidatePodLogOptions in k8s.io/kubernetes pkg/apis/core/validation.
func validateLogOptions(o *corev1.PodLogOptions) field.ErrorList {
	var errs field.ErrorList
	if o.TailLines != nil && *o.TailLines < 0 {
		errs = append(errs, field.Invalid(field.NewPath("tailLines"), *o.TailLines, "must be greater than or equal to 0"))
	}
	if o.LimitBytes != nil && *o.LimitBytes < 1 {
		errs = append(errs, field.Invalid(field.NewPath("limitBytes"), *o.LimitBytes, "must be greater than 0"))
	}
	switch {
	case o.SinceSeconds != nil && o.SinceTime != nil:
		errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	case o.SinceSeconds != nil && *o.SinceSeconds < 1:
		errs = append(errs, field.Invalid(field.NewPath("sinceSeconds"), *o.SinceSeconds, "must be greater than 0"))
	}
	if o.Stream != nil {
		errs = append(errs, validateLogStream(o)...)
	}
	return errs
}

func validateLogStream(o *corev1.PodLogOptions) field.ErrorList {
	switch *o.Stream {
	case corev1.LogStreamAll:
		return nil
	case corev1.LogStreamStdout, corev1.LogStreamStderr:
		if o.TailLines != nil {
			return field.ErrorList{field.Forbidden(field.NewPath(""), "`tailLines` and specific `stream` are mutually exclusive for now")}
		}
		return nil
	}
	valid := []string{corev1.LogStreamAll, corev1.LogStreamStderr, corev1.LogStreamStdout}
	return field.ErrorList{field.NotSupported(field.NewPath("stream"), *o.Stream, valid)}
}

// logStream is a log about to be read. The handlers treat it as an object.
type logStream struct {
	pods      Pods
	pod       *corev1.Pod
	container string
	options   *corev1.PodLogOptions
}

// GetObjectKind implements runtime.Object.
func (*logStream) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements runtime.Object.
func (s *logStream) DeepCopyObject() runtime.Object { out := *s; return &out }

// InputStream implements rest.ResourceStreamer. Each write is flushed while the log is followed.
func (s *logStream) InputStream(ctx context.Context, _, _ string) (stream io.ReadCloser, flush bool, mimeType string, err error) {
	if s.pod.Spec.NodeName == "" {
		return nil, false, "", nil
	}
	log, err := s.pods.Logs(ctx, s.pod, s.container, s.options)
	if err != nil {
		return nil, false, "", logError(err)
	}
	return newLogReader(ctx, log, s.options.LimitBytes), s.options.Follow, "text/plain", nil
}

// logError passes an API status on and calls everything else an internal error.
func logError(err error) error {
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		return status
	}
	return apierrors.NewInternalError(err)
}

// logReader ends with its context and after a count of bytes.
type logReader struct {
	io.Reader
	log  io.Closer
	stop func() bool
}

func newLogReader(ctx context.Context, log io.ReadCloser, limit *int64) *logReader {
	r := &logReader{Reader: log, log: log}
	if limit != nil {
		r.Reader = io.LimitReader(log, *limit)
	}
	r.stop = context.AfterFunc(ctx, func() { log.Close() })
	return r
}

// Close implements io.Closer.
func (r *logReader) Close() error {
	if !r.stop() {
		return nil // closed already
	}
	return r.log.Close()
}
