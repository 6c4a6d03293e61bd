package integration

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"skiff/integration/harness"
)

const limitedNamespace = `
apiVersion: v1
kind: ResourceQuota
metadata: {name: small}
spec: {hard: {pods: "2", requests.cpu: 500m, count/configmaps: "3"}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: sizes}
spec:
  limits:
  - {type: Container, default: {cpu: 200m}, max: {cpu: "1"}}
`

// TestQuota has three pods of a ReplicaSet come up against a quota for two. The third comes when
// there is room.
func TestQuota(t *testing.T) {
	t.Parallel()
	walkBoth(t, func(w walk) {
		matches(w.T, w.cli.DoIn(limitedNamespace, "apply", "-f", "-"), "resourcequota/small created\nlimitrange/sizes created")
		w.until(soon, "describe quota small", `
Name:             small
Namespace:        default
Resource          Used  Hard
--------          ----  ----
count/configmaps  1     3
pods              0     2
requests.cpu      0     500m`)
		w.run("create -f "+manifest("kubia-replicaset.yaml"), "replicaset.apps/kubia created")
		w.until(soon, "get rs", "NAME DESIRED CURRENT READY AGE\nkubia 3 2 2 *")
		w.run("get quota", "NAME REQUEST LIMIT AGE\nsmall count/configmaps: 1/3, pods: 2/2, requests.cpu: 400m/500m *")
		refusal := regexp.MustCompile(`Warning +FailedCreate .* Error creating: pods "kubia-\w{5}" is forbidden: exceeded quota: small, requested: pods=1,requests.cpu=200m, used: pods=2,requests.cpu=400m, limited: pods=2,requests.cpu=500m\n`)
		if events := w.cli.Do("describe", "rs", "kubia"); !refusal.MatchString(events) {
			w.Errorf("no refusal in\n%s", events)
		}
		w.refusals()
		w.limited()

		w.run(`patch quota small -p {"spec":{"hard":{"pods":"3","requests.cpu":"1"}}}`, "resourcequota/small patched")
		// A refused controller waits longer and longer; one of its pods that goes wakes it.
		w.cli.Do("delete", "pod", w.pods("app=kubia")[0], "--grace-period=1")
		w.until(2*soon, "get rs", "NAME DESIRED CURRENT READY AGE\nkubia 3 3 3 *")
		w.run("delete rs kubia --cascade=orphan", `replicaset.apps "kubia" deleted …`)
		w.cli.Do("delete", "pods", "-l", "app=kubia", "--grace-period=1")
		w.until(soon, "get quota", "NAME REQUEST LIMIT AGE\nsmall count/configmaps: 1/3, pods: 0/3, requests.cpu: 0/1 *")
	})
}

// refusals are what people are told who ask for too much.
func (w walk) refusals() {
	w.Helper()
	for cpu, want := range map[string]string{
		"100m": `pods "more" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2`,
		"2":    `pods "more" is forbidden: maximum cpu usage per Container is 1, but limit is 2`,
	} {
		input := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: more}\nspec: {containers: [{name: c, image: ksfzhaohui/kubia, resources: {limits: {cpu: %s}}}]}\n", cpu)
		r := w.cli.Try(input, "create", "-f", "-")
		if r.Code != 1 || !strings.HasPrefix(r.Err, "Error from server (Forbidden): error when creating \"STDIN\": "+want) {
			w.Errorf("exit %d, says %q, want %q", r.Code, r.Err, want)
		}
	}
}

// limited looks at a pod that got its limits from the range: in the API, and on the engine.
func (w walk) limited() {
	w.Helper()
	name := w.pods("app=kubia")[0]
	got := w.cli.Do("get", "pod", name, "-o", `jsonpath={.metadata.annotations.kubernetes\.io/limit-ranger}|{.spec.containers[0].resources.requests.cpu}|{.spec.containers[0].resources.limits.cpu}`)
	if want := "LimitRanger plugin set: cpu request for container kubia; cpu limit for container kubia|200m|200m"; got != want {
		w.Errorf("got %s, want %s", got, want)
	}
	for _, c := range w.d.Containers("io.kubernetes.pod.name=" + name) {
		details, err := w.d.Engine.ContainerInspect(w.Context(), c.ID)
		if err != nil {
			w.Fatal(err)
		}
		if quota, period := details.HostConfig.CPUQuota, details.HostConfig.CPUPeriod; quota*5 != period && details.HostConfig.NanoCPUs != 200_000_000 {
			w.Errorf("the container may use %d of %d µs", quota, period)
		}
	}
}

// TestProxy reaches a pod over HTTP through the API, by itself and as a service's.
func TestProxy(t *testing.T) {
	t.Parallel()
	walkBoth(t, func(w walk) {
		w.run("create -f "+manifest("kubia-rc.yaml"), "replicationcontroller/kubia created")
		w.cli.DoIn("apiVersion: v1\nkind: Service\nmetadata: {name: kubia}\nspec: {selector: {app: kubia}, ports: [{port: 80, targetPort: 8080}]}\n", "create", "-f", "-")
		w.until(soon, "get rc", "NAME DESIRED CURRENT READY AGE\nkubia 3 3 3 *")
		all := w.pods("app=kubia")
		const root = "get --raw /api/v1/namespaces/default/"
		for _, pod := range all { // without a readiness probe they are ready before the app listens
			harness.Until(w, soon, "pod "+pod+" answers", func() bool {
				return w.cli.Try("", strings.Fields(root+"pods/"+pod+":8080/proxy/")...).Out == "You've hit "+pod+"\n"
			})
		}
		w.run(root+"pods/http:"+all[0]+":8080/proxy/some/path?q=1", "You've hit "+all[0])
		hit := w.cli.Do(strings.Fields(root + "services/kubia:80/proxy/")...)
		if name := strings.TrimSpace(strings.TrimPrefix(hit, "You've hit ")); !strings.Contains(strings.Join(all, " "), name) {
			w.Errorf("the service answers %q, of pods %v", hit, all)
		}
		r := w.cli.Try("", strings.Fields(root+"pods/"+all[0]+":81/proxy/")...)
		if r.Code != 1 || !strings.Contains(r.Err, "error trying to reach service: ") {
			w.Errorf("a port nobody listens on: exit %d, says %q", r.Code, r.Err)
		}
	})
}

// TestNamespaceOfFinalizers deletes a namespace in which a finalizer holds an object back, and then
// does not.
func TestNamespaceOfFinalizers(t *testing.T) {
	t.Parallel()
	walkBoth(t, func(w walk) {
		w.run("create namespace held", "namespace/held created")
		w.cli.DoIn("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, namespace: held, finalizers: [example.com/hold]}\n", "create", "-f", "-")
		w.run("delete namespace held --wait=false", `namespace "held" deleted …`)
		const condition = `jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}`
		harness.Until(w.T, soon, "the namespace says what remains", func() bool {
			got := w.cli.Do("get", "namespace", "held", "-o", condition)
			return strings.Contains(got, "NamespaceContentRemaining=True SomeResourcesRemain: Some resources are remaining: configmaps. has 1 resource instances\n") &&
				strings.Contains(got, "NamespaceFinalizersRemaining=True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances\n")
		})
		w.run("get namespace held", "NAME STATUS AGE\nheld Terminating *")
		if r := w.cli.Try("", "create", "configmap", "late", "-n", "held"); !strings.Contains(r.Err, `configmaps "late" is forbidden: unable to create new content in namespace held because it is being terminated`) {
			w.Errorf("says %q", r.Err)
		}
		w.run(`patch configmap held -n held -p {"metadata":{"finalizers":null}}`, "configmap/held patched")
		harness.Until(w.T, soon, "the namespace is gone", func() bool { return w.cli.Try("", "get", "namespace", "held").Code == 1 })
	})
}
