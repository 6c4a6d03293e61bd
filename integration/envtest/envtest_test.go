// Package envtest is a controller's test as controller-runtime's users write it. The integration tests run it
// with skiff's stand-ins in KUBEBUILDER_ASSETS.
package envtest

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// runner is a controller that runs a deployment for each ConfigMap with an image.
type runner struct{ client.Client }

func (r runner) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var from corev1.ConfigMap
	if err := r.Get(ctx, req.NamespacedName, &from); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if from.Data["image"] == "" {
		return ctrl.Result{}, nil
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: from.Namespace, Name: from.Name}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, d, func() error {
		labels := map[string]string{"for": from.Name}
		d.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
		d.Spec.Template = corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: from.Data["image"], Command: []string{"sleep", "1000"}}}},
		}
		return controllerutil.SetControllerReference(&from, d, r.Scheme())
	})
	return ctrl.Result{}, err
}

// until waits for a condition; it may take as long as a slow machine needs.
func until(t *testing.T, what string, holds func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestController(t *testing.T) {
	image := os.Getenv("IMAGE")
	if image == "" {
		image = "web" // in memory, any will do
	}
	began := time.Now()
	env := &envtest.Environment{}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up after %s", time.Since(began))
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	manager, err := ctrl.NewManager(config, ctrl.Options{Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ctrl.NewControllerManagedBy(manager).For(&corev1.ConfigMap{}).Owns(&appsv1.Deployment{}).Complete(runner{manager.GetClient()}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()

	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	web := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Data: map[string]string{"image": image}}
	if err := c.Create(ctx, web); err != nil {
		t.Fatal(err)
	}
	until(t, "a pod runs", func(ctx context.Context) (bool, error) {
		var d appsv1.Deployment
		err := c.Get(ctx, client.ObjectKeyFromObject(web), &d)
		return d.Status.ReadyReplicas == 1, client.IgnoreNotFound(err)
	})
	if err := c.Delete(ctx, web); err != nil {
		t.Fatal(err)
	}
	until(t, "what it owned is collected", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(web), &appsv1.Deployment{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

// TestUsers: the certificates that envtest issues are users of the API, and those whom the audit log names.
func TestUsers(t *testing.T) {
	env := &envtest.Environment{}
	policy, log := filepath.Join(t.TempDir(), "policy.yaml"), filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(policy, []byte(`{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Metadata","users":["jane"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	env.ControlPlane.GetAPIServer().Configure().Set("audit-policy-file", policy).Set("audit-log-path", log)
	if _, err := env.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	user, err := env.AddUser(envtest.User{Name: "jane", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubectl, err := user.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	out, said, err := kubectl.Run("auth", "whoami")
	if err != nil {
		t.Fatalf("%v: %v", err, said)
	}
	text, err := io.ReadAll(out)
	if err != nil || !strings.Contains(string(text), "jane") {
		t.Errorf("%q, %v", text, err)
	}
	if recorded, err := os.ReadFile(log); err != nil || !strings.Contains(string(recorded), `"resource":"selfsubjectreviews"`) {
		t.Errorf("recorded is %q, %v", recorded, err)
	}
}
