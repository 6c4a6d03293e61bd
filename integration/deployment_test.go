package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/integration/harness"
)

// otherKubia is the name under which a test knows the example's image a second time.
func otherKubia(t *testing.T, tag string) string {
	t.Helper()
	name, engine := "ksfzhaohui/kubia:"+tag, harness.Engine(t)
	if err := engine.ImageTag(t.Context(), "ksfzhaohui/kubia", name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := engine.ImageRemove(context.WithoutCancel(t.Context()), name, image.RemoveOptions{Force: true}); err != nil {
			t.Errorf("removing image %s: %v", name, err)
		}
	})
	return name
}

const threeOf = `
NAME               READY   STATUS    RESTARTS   AGE
kubia-*-?????   1/1     Running   0          *
kubia-*-?????   1/1     Running   0          *
kubia-*-?????   1/1     Running   0          *`

func TestDeployment(t *testing.T) {
	t.Parallel()
	walkBoth(t, func(w walk) {
		v2 := otherKubia(w.T, "v2-"+w.cli.Name)
		w.create("deployment", "kubia", "--image=ksfzhaohui/kubia", "--replicas=3")
		w.rolledOut()
		w.run("get deploy -o wide", `
NAME    READY   UP-TO-DATE   AVAILABLE   AGE   CONTAINERS   IMAGES             SELECTOR
kubia   3/3     3            3           *     kubia        ksfzhaohui/kubia   app=kubia`)
		w.run("get rs -o wide", `
NAME      DESIRED   CURRENT   READY   AGE   CONTAINERS   IMAGES             SELECTOR
kubia-*   3         3         3       *     kubia        ksfzhaohui/kubia   app=kubia,pod-template-hash=*`)
		w.run("set image deployment/kubia kubia="+v2, "deployment.apps/kubia image updated")
		w.rolledOut()
		w.until(soon, "get pods", threeOf)
		w.run("describe deploy kubia", describedDeployment(v2))
		w.run("rollout history deployment/kubia", "deployment.apps/kubia\nREVISION CHANGE-CAUSE\n1 <none>\n2 <none>")
		w.undo()
		w.pause(v2)
		w.restart()
		w.evictions()
	})
}

// create creates a deployment whose pods need no grace: the example ignores SIGTERM.
func (w walk) create(args ...string) {
	w.Helper()
	args = append([]string{"create"}, args...)
	matches(w.T, w.cli.Do(append(args, "--dry-run=server")...), "deployment.apps/kubia created (server dry run)")
	made := map[string]any{}
	if err := json.Unmarshal([]byte(w.cli.Do(append(args, "--dry-run=client", "-o", "json")...)), &made); err != nil {
		w.Fatal(err)
	}
	if err := unstructured.SetNestedField(made, int64(0), "spec", "template", "spec", "terminationGracePeriodSeconds"); err != nil {
		w.Fatal(err)
	}
	body, err := json.Marshal(made)
	if err != nil {
		w.Fatal(err)
	}
	matches(w.T, w.cli.DoIn(string(body), "create", "-f", "-"), "deployment.apps/kubia created")
}

// rolledOut follows the rollout to its end.
func (w walk) rolledOut() {
	w.Helper()
	all := lines(w.cli.Do("rollout", "status", "deployment/kubia", "--timeout=60s"))
	matches(w.T, all[len(all)-1], `deployment "kubia" successfully rolled out`)
}

func describedDeployment(image string) string {
	return `
Name:                   kubia
Namespace:              default
CreationTimestamp:      …
Labels:                 app=kubia
Annotations:            deployment.kubernetes.io/revision: 2
Selector:               app=kubia
Replicas:               3 desired | 3 updated | 3 total | 3 available | 0 unavailable
StrategyType:           RollingUpdate
MinReadySeconds:        0
RollingUpdateStrategy:  25% max unavailable, 25% max surge
Pod Template:
  Labels:  app=kubia
  Containers:
   kubia:
    Image:         ` + image + `
...
Conditions:
  Type           Status  Reason
  ----           ------  ------
  Available      True    MinimumReplicasAvailable
  Progressing    True    NewReplicaSetAvailable
OldReplicaSets:  kubia-* (0/0 replicas created)
NewReplicaSet:   kubia-* (3/3 replicas created)
Events:
  Type    Reason             Age   From                   Message
  ----    ------             ----  ----                   -------
  Normal  ScalingReplicaSet  *   deployment-controller  Scaled up replica set kubia-* from 0 to 3
  Normal  ScalingReplicaSet  *   deployment-controller  Scaled up replica set kubia-* from 0 to 1
  Normal  ScalingReplicaSet  *   deployment-controller  Scaled down replica set kubia-* from 3 to 2
  Normal  ScalingReplicaSet  *   deployment-controller  Scaled up replica set kubia-* from 1 to 2
  Normal  ScalingReplicaSet  *   deployment-controller  Scaled down replica set kubia-* from 2 to 1
  Normal  ScalingReplicaSet  *   deployment-controller  Scaled up replica set kubia-* from 2 to 3
  Normal  ScalingReplicaSet  *   deployment-controller  Scaled down replica set kubia-* from 1 to 0`
}

func (w walk) image() string {
	w.Helper()
	return w.cli.Do("get", "deployment", "kubia", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
}

func (w walk) undo() {
	w.Helper()
	w.run("rollout undo deployment/kubia", "deployment.apps/kubia rolled back")
	matches(w.T, w.image(), "ksfzhaohui/kubia")
	w.rolledOut()
	w.run("rollout history deployment/kubia", "deployment.apps/kubia\nREVISION CHANGE-CAUSE\n2 <none>\n3 <none>")
	w.run("rollout undo deployment/kubia --to-revision=3", "deployment.apps/kubia skipped rollback (current template already matches revision 3)")
}

// pause changes the template of a paused deployment: nothing rolls until it is resumed.
func (w walk) pause(image string) {
	w.Helper()
	w.run("rollout pause deployment/kubia", "deployment.apps/kubia paused")
	w.run("set image deployment/kubia kubia="+image, "deployment.apps/kubia image updated")
	harness.Until(w.T, soon, "the change is observed", func() bool {
		seen, wanted, _ := strings.Cut(w.cli.Do("get", "deploy", "kubia", "-o", "jsonpath={.status.observedGeneration}/{.metadata.generation}"), "/")
		return seen == wanted
	})
	matches(w.T, w.cli.Do("get", "deploy", "kubia"), "NAME READY UP-TO-DATE AVAILABLE AGE\nkubia 3/3 0 3 *")
	w.run("rollout resume deployment/kubia", "deployment.apps/kubia resumed")
	w.rolledOut()
	w.run("get deploy kubia", "NAME READY UP-TO-DATE AVAILABLE AGE\nkubia 3/3 3 3 *")
}

// restart replaces all pods, although nothing about them changes.
func (w walk) restart() {
	w.Helper()
	before := w.pods("app=kubia")
	w.run("rollout restart deployment/kubia", "deployment.apps/kubia restarted")
	w.rolledOut()
	harness.Until(w.T, soon, "no pod of before is there", func() bool {
		now := strings.Join(w.pods("app=kubia"), " ")
		for _, name := range before {
			if strings.Contains(now, name) {
				return false
			}
		}
		return true
	})
}

// evictions are refused while a disruption budget has nothing left, and then granted.
func (w walk) evictions() {
	w.Helper()
	w.cli.DoIn(budget(3), "apply", "-f", "-")
	w.until(soon, "get pdb", "NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS AGE\nkubia 3 N/A 0 *")
	w.until(soon, "get pdb kubia -o jsonpath={.status.currentHealthy}/{.status.desiredHealthy}", "3/3")
	w.run("describe pdb kubia", `
Name:           kubia
Namespace:      default
Min available:  3
Selector:       app=kubia
Status:
    Allowed disruptions:  0
    Current:              3
    Desired:              3
    Total:                3
Events:  …`)
	victim := w.pods("app=kubia")[0]
	evict := func() harness.Result {
		path := fmt.Sprintf("/api/v1/namespaces/default/pods/%s/eviction", victim)
		body := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q}}`, victim)
		return w.d.KubectlCLI().Try(body, "create", "--raw", path, "-f", "-")
	}
	if r := evict(); r.Code != 1 || !strings.Contains(r.Err, "Cannot evict pod as it would violate the pod's disruption budget.") {
		w.Fatalf("eviction: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	w.cli.DoIn(budget(2), "apply", "-f", "-")
	w.until(soon, "get pdb", "NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS AGE\nkubia 2 N/A 1 *")
	if r := evict(); r.Code != 0 {
		w.Fatalf("eviction: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	w.until(soon, "get pods", threeOf)
	if now := strings.Join(w.pods("app=kubia"), " "); strings.Contains(now, victim) {
		w.Errorf("pod %s was evicted and is among %s", victim, now)
	}
}

func budget(least int) string {
	return fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"kubia"},
"spec":{"minAvailable":%d,"selector":{"matchLabels":{"app":"kubia"}}}}`, least)
}
