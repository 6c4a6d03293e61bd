package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"skiff/integration/harness"
)

// exported are objects made in three ways: applied by the server, applied by kubectl, and created.
const exported = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "web:1", imagePullPolicy: Never, ports: [{containerPort: 80, name: http}], volumeMounts: [{name: data, mountPath: /data}]}
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: web}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {password: geheim}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: c, image: "web:1"}]}}}
`

// What is exported is what was wanted, can be applied elsewhere by kubectl, and is then exported the same.
func TestExportRoundTrip(t *testing.T) {
	t.Parallel()
	from, to := harness.Start(t, "--front-door=0"), harness.Start(t, "--front-door=0")
	skiff, kubectl := from.SkiffCLI(), from.KubectlCLI()
	skiff.Do("create", "namespace", "shop")
	skiff.DoIn(exported, "apply", "-n", "shop", "--server-side", "-f", "-")
	kubectl.DoIn("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: by-kubectl, namespace: shop}\ndata: {a: b}\n", "apply", "-f", "-")
	skiff.Do("create", "-n", "shop", "configmap", "created", "--from-literal=a=b")
	skiff.Do("set", "image", "-n", "shop", "deployment/web", "web=web:2")

	first := skiff.Do("export", "-A")
	for _, filled := range []string{"status:", "managedFields", "uid:", "resourceVersion", "clusterIPs:", "10.", "progressDeadlineSeconds", "volumeName", "ReplicaSet", "kube-root-ca.crt", "controller-uid"} {
		if strings.Contains(first, filled) {
			t.Errorf("%q is in what was exported:\n%s", filled, first)
		}
	}
	for _, wanted := range []string{"password: Z2VoZWlt", "image: web:2", "clusterIP: None", "name: by-kubectl", "name: created", "kind: Namespace"} {
		if !strings.Contains(first, wanted) {
			t.Errorf("%q is not in what was exported:\n%s", wanted, first)
		}
	}
	to.KubectlCLI().DoIn(first, "apply", "-f", "-")
	if second := to.SkiffCLI().Do("export", "-A"); second != first {
		t.Errorf("exported of the copy:\n%s\nof the original:\n%s", second, first)
	}
}

// A context that was merged stays right after a reset, until the authority is forgotten.
func TestMergedContextOutlivesAReset(t *testing.T) {
	t.Parallel()
	harness.Engine(t)
	bins, dir := harness.Build(t), t.TempDir()
	config := filepath.Join(dir, "config")
	data := filepath.Join(dir, "data")
	run := func(program string, args ...string) (string, error) {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+config, "SKIFF_DATA_DIR="+data, "SKIFF_FRONT_DOOR=0")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(program string, args ...string) string {
		t.Helper()
		out, err := run(program, args...)
		if err != nil {
			t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
		}
		return out
	}
	t.Cleanup(func() { run(bins.Skiff, "daemon", "reset", "--yes", "--forget") })
	must(bins.Skiff, "daemon", "start")
	must(bins.Skiff, "kubeconfig", "--merge")
	for range 2 {
		must(bins.Skiff, "daemon", "reset", "--yes")
		must(bins.Skiff, "daemon", "start")
		if out := must(bins.Kubectl, "get", "namespaces", "-o", "name"); !strings.Contains(out, "namespace/default") {
			t.Errorf("by the merged context: %s", out)
		}
	}
	must(bins.Skiff, "daemon", "reset", "--yes", "--forget")
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the data directory is left: %v", err)
	}
	must(bins.Skiff, "daemon", "start")
	if out, err := run(bins.Kubectl, "get", "namespaces"); err == nil {
		t.Errorf("a new authority is the old one: %s", out)
	}
}
