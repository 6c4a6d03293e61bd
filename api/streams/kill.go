package streams

import (
	"context"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Kill serves the kill subresource of pods, which is skiff's own: a signal for a container's main
// process, without a program in the container. The parameters of a request are container and signal.
type Kill struct{ Handlers }

var _ rest.Connecter = (*Kill)(nil)

// New implements rest.Storage.
func (k *Kill) New() runtime.Object { return &corev1.Pod{} }

// Destroy implements rest.Storage.
func (k *Kill) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (k *Kill) ConnectMethods() []string { return []string{http.MethodPost} }

// NewConnectOptions implements rest.Connecter. The handler reads the parameters itself.
func (k *Kill) NewConnectOptions() (runtime.Object, bool, string) { return nil, false, "" }

// Connect implements rest.Connecter.
func (k *Kill) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	pod, err := k.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := onNode(pod); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		container, err := chooseContainer(pod, q.Get("container"))
		if err == nil && q.Get("signal") == "" {
			err = apierrors.NewBadRequest("the parameter signal is missing")
		}
		if err == nil {
			err = k.Pods.Kill(r.Context(), pod, container, q.Get("signal"))
		}
		if err != nil {
			responder.Error(err)
			return
		}
		responder.Object(http.StatusOK, &metav1.Status{Status: metav1.StatusSuccess})
	}), nil
}
