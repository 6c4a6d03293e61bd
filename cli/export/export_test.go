package export

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestClean(t *testing.T) {
	tests := []struct{ name, object, want string }{
		{"applied by the server, scaled by a person, touched by a controller", `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  uid: 7b9a
  resourceVersion: "12"
  generation: 2
  creationTimestamp: "2026-11-23T10:00:00Z"
  annotations: {deployment.kubernetes.io/revision: "1", note: mine}
  labels: {app: web, applyset.kubernetes.io/part-of: applyset-x-v1}
  managedFields:
  - {manager: skiff, operation: Apply, fieldsV1: {"f:metadata": {"f:annotations": {"f:note": {}}, "f:labels": {"f:app": {}, "f:applyset.kubernetes.io/part-of": {}}},
      "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"web\"}":
      {".": {}, "f:name": {}, "f:image": {}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}}}
  - {manager: kubectl-edit, operation: Update, fieldsV1: {"f:spec": {"f:template": {"f:spec": {"f:terminationGracePeriodSeconds": {}}}}}}
  - {manager: kubectl, operation: Update, subresource: scale, fieldsV1: {"f:spec": {"f:replicas": {}}}}
  - {manager: kube-controller-manager, operation: Update, fieldsV1: {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}}
  - {manager: kube-controller-manager, operation: Update, subresource: status, fieldsV1: {"f:status": {"f:replicas": {}}}}
spec:
  replicas: 3
  progressDeadlineSeconds: 600
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "shop:1", imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, ports: [{containerPort: 80, protocol: TCP}]}
      - {name: injected, image: "sidecar:1"}
      restartPolicy: Always
      terminationGracePeriodSeconds: 3
status: {replicas: 3}
`, `
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations: {note: mine}
  labels: {app: web}
  name: web
  namespace: shop
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{image: "shop:1", name: web, ports: [{containerPort: 80}]}]
      terminationGracePeriodSeconds: 3
`},
		{"applied by kubectl, its image set afterwards", `
apiVersion: v1
kind: ReplicationController
metadata:
  name: kubia
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"v1","kind":"ReplicationController","metadata":{"annotations":{},"name":"kubia"},"spec":{"replicas":3,"template":{"metadata":{"labels":{"app":"kubia"}},"spec":{"containers":[{"image":"kubia:1","name":"kubia","args":["-v"]}]}}}}
  managedFields:
  - {manager: kubectl-client-side-apply, operation: Update, fieldsV1: {"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {}}}}
  - {manager: kubectl-set, operation: Update, fieldsV1: {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"kubia\"}": {"f:image": {}}}}}}}}
spec:
  replicas: 3
  selector: {app: kubia}
  template:
    metadata: {labels: {app: kubia}, creationTimestamp: null}
    spec: {restartPolicy: Always, containers: [{name: kubia, image: "kubia:2", args: ["-v"], imagePullPolicy: IfNotPresent}]}
`, `
apiVersion: v1
kind: ReplicationController
metadata: {name: kubia}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: kubia}}
    spec: {containers: [{args: ["-v"], image: "kubia:2", name: kubia}]}
`},
		{"a service that was created", `
apiVersion: v1
kind: Service
metadata: {name: web, finalizers: [kubernetes.io/x, example.org/mine]}
spec: {type: LoadBalancer, clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, ports: [{port: 80, nodePort: 30001}]}
`, `
apiVersion: v1
kind: Service
metadata: {finalizers: [example.org/mine], name: web}
spec: {ports: [{port: 80}], type: LoadBalancer}
`},
		{"a headless service keeps that it is one", `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, clusterIPs: [None], ports: [{port: 80}]}
`, `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, clusterIPs: [None], ports: [{port: 80}]}
`},
		{"a secret whose data the server has made of stringData", `
apiVersion: v1
kind: Secret
metadata: {name: key, managedFields: [{manager: skiff, operation: Apply, fieldsV1: {"f:stringData": {"f:password": {}}}}]}
data: {password: Z2VoZWlt}
type: Opaque
`, `
apiVersion: v1
kind: Secret
metadata: {name: key}
data: {password: Z2VoZWlt}
`},
		{"a bound claim", `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, annotations: {pv.kubernetes.io/bind-completed: "yes"}, finalizers: [kubernetes.io/pvc-protection]}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, volumeName: pvc-1}
status: {phase: Bound}
`, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`},
		{"a pod, scheduled", `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  nodeName: vm
  priority: 0
  serviceAccount: default
  serviceAccountName: default
  tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]
  volumes: [{name: kube-api-access-x, projected: {}}, {name: data, emptyDir: {}}]
  containers: [{name: c, volumeMounts: [{name: kube-api-access-x, mountPath: /var/run}, {name: data, mountPath: /data}]}]
`, `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: c, volumeMounts: [{mountPath: /data, name: data}]}], volumes: [{emptyDir: {}, name: data}]}
`},
		{"a job, with what the server makes up", `
apiVersion: batch/v1
kind: Job
metadata: {name: j, labels: {controller-uid: a, job-name: j}}
spec:
  selector: {matchLabels: {batch.kubernetes.io/controller-uid: a}}
  template: {metadata: {labels: {batch.kubernetes.io/controller-uid: a, batch.kubernetes.io/job-name: j, app: x}}, spec: {restartPolicy: Never}}
`, `
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {metadata: {labels: {app: x}}, spec: {restartPolicy: Never}}}
`},
		{"a namespace", `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {kubernetes.io/metadata.name: shop}}
spec: {finalizers: [kubernetes]}
status: {phase: Active}
`, `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := object(t, test.object)
			kept := before.DeepCopy()
			got, err := yaml.Marshal(clean(before).Object)
			if err != nil {
				t.Fatal(err)
			}
			want, err := yaml.Marshal(object(t, test.want).Object)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if a, b := text(t, before), text(t, kept); a != b {
				t.Errorf("the object itself was changed:\n%s", a)
			}
		})
	}
}

func text(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	raw, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestMade(t *testing.T) {
	tests := map[string]bool{
		"{apiVersion: v1, kind: Pod, metadata: {name: p}}":                                                                                         true,
		"{apiVersion: v1, kind: Pod, metadata: {name: p, ownerReferences: [{controller: true, kind: ReplicaSet, name: r, uid: u}]}}":               false,
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: c, ownerReferences: [{kind: Pod, name: p, uid: u}]}}":                                  true,
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-root-ca.crt, namespace: shop}}":                                                   false,
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: applyset-shop, labels: {applyset.kubernetes.io/id: x}}}":                               false,
		"{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}}":                                                                        false,
		"{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}, imagePullSecrets: [{name: s}]}":                                         true,
		"{apiVersion: v1, kind: Service, metadata: {name: kubernetes, labels: {component: apiserver, provider: kubernetes}}}":                      false,
		"{apiVersion: v1, kind: Secret, metadata: {name: s}, type: kubernetes.io/service-account-token}":                                           false,
		"{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}":                                                                         false,
		"{apiVersion: v1, kind: Namespace, metadata: {name: shop}}":                                                                                true,
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: kube-public}}":                                                           false,
		"{apiVersion: v1, kind: Pod, metadata: {name: p, deletionTimestamp: '2026-11-23T10:00:00Z'}}":                                              false,
		"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: system-node-critical}}":                                          false,
		"{apiVersion: v1, kind: PersistentVolume, metadata: {name: v, annotations: {pv.kubernetes.io/provisioned-by: skiff}}}":                     false,
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: v, labels: {kubernetes.io/bootstrapping: rbac-defaults}}}": false,
	}
	for text, want := range tests {
		if got := made(object(t, text)); got != want {
			t.Errorf("%s: %v", strings.TrimSpace(text), got)
		}
	}
}
