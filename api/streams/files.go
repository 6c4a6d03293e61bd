package streams

import (
	"context"
	"encoding/json"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"skiff/manifests/podfacts"
)

// Files serves the files subresource of pods, which is skiff's own: the files of a container, as tar
// archives, without a program in the container. The parameters of a request are container and path,
// which is absolute or relative to the container's working directory.
// GET answers with what is at the path, or with stat=true only tells what that is, as a
// podfacts.File; PUT unpacks an archive into the directory that path names.
type Files struct{ Handlers }

var _ rest.Connecter = (*Files)(nil)

// New implements rest.Storage.
func (f *Files) New() runtime.Object { return &corev1.Pod{} }

// Destroy implements rest.Storage.
func (f *Files) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (f *Files) ConnectMethods() []string { return []string{http.MethodGet, http.MethodPut} }

// NewConnectOptions implements rest.Connecter. The handler reads the parameters itself.
func (f *Files) NewConnectOptions() (runtime.Object, bool, string) { return nil, false, "" }

// Connect implements rest.Connecter.
func (f *Files) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	pod, err := f.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := onNode(pod); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f.serve(pod, w, r); err != nil {
			responder.Error(err)
		} else if r.Method == http.MethodPut {
			responder.Object(http.StatusOK, &metav1.Status{Status: metav1.StatusSuccess})
		}
	}), nil
}

// serve returns what went wrong as long as there is no answer yet.
func (f *Files) serve(pod *corev1.Pod, w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	container, err := chooseContainer(pod, q.Get("container"))
	if err != nil {
		return err
	}
	name := q.Get("path")
	if name == "" {
		return apierrors.NewBadRequest("the parameter path is missing")
	}
	switch {
	case r.Method == http.MethodPut:
		return f.Pods.CopyTo(r.Context(), pod, container, name, r.Body)
	case q.Get("stat") == "true":
		return f.stat(r.Context(), pod, container, name, w)
	}
	return f.download(r.Context(), pod, container, name, w)
}

func (f *Files) stat(ctx context.Context, pod *corev1.Pod, container, name string, w http.ResponseWriter) error {
	file, err := f.Pods.StatPath(ctx, pod, container, name)
	if err != nil {
		return err
	}
	text, err := json.Marshal(file)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // the client is gone
	return nil
}

// download breaks an answer off that has begun and can not go on, so that the client does not take a
// part for the whole.
func (f *Files) download(ctx context.Context, pod *corev1.Pod, container, name string, w http.ResponseWriter) error {
	body := &begun{to: w}
	err := f.Pods.CopyFrom(ctx, pod, container, name, body)
	if err != nil && body.yes {
		panic(http.ErrAbortHandler)
	}
	return err
}

// begun notes whether anything has been written.
type begun struct {
	to  http.ResponseWriter
	yes bool
}

// Write implements io.Writer.
func (b *begun) Write(p []byte) (int, error) {
	if !b.yes {
		b.yes = true
		b.to.Header().Set("Content-Type", "application/x-tar")
	}
	return b.to.Write(p)
}

// File is what is at a path in a container.
type File = podfacts.File
