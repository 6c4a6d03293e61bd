package quota_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"skiff/manifests"
	"skiff/manifests/quota"
	"skiff/store"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func kind(t *testing.T, resource string) *manifests.Kind {
	t.Helper()
	k := manifests.KindFor(schema.ParseGroupResource(resource))
	if k == nil {
		t.Fatalf("no resource %q", resource)
	}
	return k
}

// object reads what is different from an empty object of the resource.
func object(t *testing.T, resource, text string) store.Object {
	t.Helper()
	obj := kind(t, resource).New().(store.Object)
	if err := yaml.UnmarshalStrict([]byte(text), obj); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return obj
}

// line is a resource list in one line, sorted.
func line(l corev1.ResourceList) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(l)) {
		q := l[name]
		parts = append(parts, fmt.Sprintf("%s=%s", name, q.String()))
	}
	return strings.Join(parts, " ")
}

func TestUsage(t *testing.T) {
	for _, c := range []struct{ name, resource, text, want string }{
		{"a pod that asks for nothing", "pods", `{spec: {containers: [{name: a}]}}`, "count/pods=1 pods=1"},
		{"requests and limits", "pods", `{spec: {containers: [
			{name: a, resources: {requests: {cpu: 100m, memory: 1Gi}, limits: {cpu: "1"}}}, {name: b, resources: {requests: {cpu: 200m, ephemeral-storage: 1Gi}}}]}}`,
			"count/pods=1 cpu=300m ephemeral-storage=1Gi limits.cpu=1 memory=1Gi pods=1 requests.cpu=300m requests.ephemeral-storage=1Gi requests.memory=1Gi"},
		{"the larger of init containers and the rest", "pods", `{spec: {initContainers: [{name: i, resources: {requests: {cpu: "2"}}}], containers: [{name: a, resources: {requests: {cpu: "1"}}}]}}`,
			"count/pods=1 cpu=2 pods=1 requests.cpu=2"},
		{"extended resources and huge pages", "pods", `{spec: {containers: [{name: a, resources: {requests: {example.com/gpu: "2", hugepages-2Mi: 4Mi}}}]}}`,
			"count/pods=1 hugepages-2Mi=4Mi pods=1 requests.example.com/gpu=2 requests.hugepages-2Mi=4Mi"},
		{"a pod that has ended", "pods", `{spec: {containers: [{name: a, resources: {requests: {cpu: "1"}}}]}, status: {phase: Failed}}`, "count/pods=1"},
		{"a pod that goes", "pods", `{metadata: {deletionTimestamp: "2026-01-02T03:04:00Z", deletionGracePeriodSeconds: 30}, spec: {containers: [{name: a}]}}`, "count/pods=1 pods=1"},
		{"a pod that ought to be gone", "pods", `{metadata: {deletionTimestamp: "2026-01-02T03:03:00Z", deletionGracePeriodSeconds: 30}, spec: {containers: [{name: a}]}}`, "count/pods=1"},
		{"a service", "services", `{spec: {type: ClusterIP, ports: [{port: 1}]}}`, "count/services=1 services=1 services.loadbalancers=0 services.nodeports=0"},
		{"a service of node ports", "services", `{spec: {type: NodePort, ports: [{port: 1}, {port: 2}]}}`, "count/services=1 services=1 services.loadbalancers=0 services.nodeports=2"},
		{"a load balancer", "services", `{spec: {type: LoadBalancer, ports: [{port: 1}]}}`, "count/services=1 services=1 services.loadbalancers=1 services.nodeports=1"},
		{"a load balancer without node ports but one", "services", `{spec: {type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 1, nodePort: 30000}, {port: 2}]}}`,
			"count/services=1 services=1 services.loadbalancers=1 services.nodeports=1"},
		{"a claim", "persistentvolumeclaims", `{spec: {resources: {requests: {storage: 1Gi}}}}`, "count/persistentvolumeclaims=1 persistentvolumeclaims=1 requests.storage=1Gi"},
		{"a claim of a class", "persistentvolumeclaims", `{spec: {storageClassName: gold, resources: {requests: {storage: 1Gi}}}}`,
			"count/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/requests.storage=1Gi persistentvolumeclaims=1 requests.storage=1Gi"},
		{"a claim that was given more", "persistentvolumeclaims", `{spec: {resources: {requests: {storage: 1Gi}}}, status: {allocatedResources: {storage: 2Gi}}}`,
			"count/persistentvolumeclaims=1 persistentvolumeclaims=1 requests.storage=2Gi"},
		{"half a byte", "persistentvolumeclaims", `{spec: {resources: {requests: {storage: 500m}}}}`, "count/persistentvolumeclaims=1 persistentvolumeclaims=1 requests.storage=1"},
		{"a secret", "secrets", `{}`, "count/secrets=1 secrets=1"},
		{"a quota", "resourcequotas", `{}`, "count/resourcequotas=1 resourcequotas=1"},
		{"a replica set", "replicasets.apps", `{}`, "count/replicasets.apps=1"},
		{"an event", "events", `{}`, ""},
		{"a node", "nodes", `{}`, ""},
	} {
		if got := line(quota.Usage(kind(t, c.resource), object(t, c.resource, strings.ReplaceAll(c.text, "\t", "")), now)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestCovers(t *testing.T) {
	const (
		plain    = `{spec: {containers: [{name: a}]}}`
		asking   = `{spec: {containers: [{name: a, resources: {requests: {cpu: "1"}}}]}}`
		deadline = `{spec: {activeDeadlineSeconds: 5, containers: [{name: a}]}}`
		high     = `{spec: {priorityClassName: high, containers: [{name: a}]}}`
		abroad   = `{spec: {affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: k, namespaces: [x]}}]}}, containers: [{name: a}]}}`
	)
	selector := func(scope, operator, values string) string {
		return fmt.Sprintf(`{spec: {hard: {pods: "1"}, scopeSelector: {matchExpressions: [{scopeName: %s, operator: %s, values: [%s]}]}}}`, scope, operator, values)
	}
	for _, c := range []struct {
		quota, resource string
		objects         map[string]bool
	}{
		{`{spec: {hard: {pods: "1"}}}`, "pods", map[string]bool{plain: true, asking: true}},
		{`{spec: {hard: {services: "1"}}}`, "pods", map[string]bool{plain: false}},
		{`{spec: {hard: {requests.example.com/gpu: "1"}}}`, "pods", map[string]bool{plain: true}},
		{`{spec: {hard: {pods: "1"}, scopes: [Terminating]}}`, "pods", map[string]bool{plain: false, deadline: true}},
		{`{spec: {hard: {pods: "1"}, scopes: [NotTerminating]}}`, "pods", map[string]bool{plain: true, deadline: false}},
		{`{spec: {hard: {pods: "1"}, scopes: [BestEffort]}}`, "pods", map[string]bool{plain: true, asking: false}},
		{`{spec: {hard: {pods: "1"}, scopes: [NotBestEffort]}}`, "pods", map[string]bool{plain: false, asking: true}},
		{`{spec: {hard: {pods: "1"}, scopes: [BestEffort, Terminating]}}`, "pods", map[string]bool{plain: false, deadline: true}},
		{selector("PriorityClass", "In", "high"), "pods", map[string]bool{plain: false, high: true}},
		{selector("PriorityClass", "NotIn", "high"), "pods", map[string]bool{plain: true, high: false}},
		{selector("PriorityClass", "Exists", ""), "pods", map[string]bool{plain: false, high: true}},
		{selector("PriorityClass", "DoesNotExist", ""), "pods", map[string]bool{plain: true, high: false}},
		{selector("CrossNamespacePodAffinity", "Exists", ""), "pods", map[string]bool{plain: false, abroad: true}},
		{`{spec: {hard: {count/replicasets.apps: "1"}}}`, "replicasets.apps", map[string]bool{`{}`: true}},
		{`{spec: {hard: {count/replicasets.apps: "1"}, scopes: [BestEffort]}}`, "replicasets.apps", map[string]bool{`{}`: false}},
		{`{spec: {hard: {gold.storageclass.storage.k8s.io/requests.storage: "1"}}}`, "persistentvolumeclaims", map[string]bool{`{}`: true}},
	} {
		q := object(t, "resourcequotas", c.quota).(*corev1.ResourceQuota)
		for text, want := range c.objects {
			if got := quota.Covers(q, kind(t, c.resource), object(t, c.resource, text)); got != want {
				t.Errorf("%s covers %s: %v", c.quota, text, got)
			}
		}
	}
}

func TestRequire(t *testing.T) {
	for _, c := range []struct{ hard, pod, want string }{
		{`{pods: "1"}`, `{spec: {containers: [{name: a}]}}`, ""},
		{`{cpu: "1", requests.ephemeral-storage: "1"}`, `{spec: {containers: [{name: a}]}}`, "must specify cpu for: a"},
		{`{requests.cpu: "1", limits.memory: "1"}`, `{spec: {initContainers: [{name: z}], containers: [{name: b}, {name: a, resources: {requests: {cpu: "1"}}}]}}`,
			"must specify limits.memory for: a,b,z; requests.cpu for: b,z"},
		{`{cpu: "1"}`, `{spec: {resources: {requests: {cpu: "1"}}, containers: [{name: a}]}}`, ""},
	} {
		q := object(t, "resourcequotas", "{spec: {hard: "+c.hard+"}}").(*corev1.ResourceQuota)
		got := ""
		if err := quota.Require(q, kind(t, "pods"), object(t, "pods", c.pod)); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s of %s:\n got %s\nwant %s", c.hard, c.pod, got, c.want)
		}
	}
}
