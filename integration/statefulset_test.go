package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"

	"skiff/examples/kubia/images"
	"skiff/integration/harness"
)

// diarySet keeps a diary of its starts on a volume of its own, as a user who is not root.
const diarySet = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: kubia}
spec:
  serviceName: kubia
  replicas: 2
  selector: {matchLabels: {app: kubia}}
  template:
    metadata: {labels: {app: kubia}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: kubia
        image: skiff/diary
        args: [-diary=/data/diary]
        securityContext: {runAsUser: 1234}
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
`

// TestStatefulSetKeepsItsData: a pod that is deleted comes back under its name and finds its data;
// the data goes with the claim, and not before.
func TestStatefulSetKeepsItsData(t *testing.T) {
	t.Parallel()
	diaryImage(t)
	walkBoth(t, func(w walk) {
		if got := w.cli.DoIn(diarySet, "create", "-f", "-"); got != "statefulset.apps/kubia created\n" {
			w.Errorf("created: %q", got)
		}
		w.until(soon, "get sts", "NAME READY AGE\nkubia 2/2 *")
		w.run("get pods", "NAME READY STATUS RESTARTS AGE\nkubia-0 1/1 Running 0 *\nkubia-1 1/1 Running 0 *")
		w.run("get pvc", "NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE\n"+
			"data-kubia-0 Bound pvc-* 1Mi RWO <unset> *\ndata-kubia-1 Bound pvc-* 1Mi RWO <unset> *")
		w.run("get pv", "NAME CAPACITY ACCESS MODES RECLAIM POLICY STATUS CLAIM STORAGECLASS VOLUMEATTRIBUTESCLASS REASON AGE\n"+
			"pvc-* 1Mi RWO Delete Bound default/data-kubia-? <unset> *\npvc-* 1Mi RWO Delete Bound default/data-kubia-? <unset> *")
		w.started("kubia-1", 1)

		w.run("delete pod kubia-1", `pod "kubia-1" deleted …`)
		w.until(soon, "get sts", "NAME READY AGE\nkubia 2/2 *")
		w.started("kubia-1", 2)

		w.d.Stop()
		w.d.Run()
		w.until(soon, "get sts", "NAME READY AGE\nkubia 2/2 *")
		w.run("delete pod kubia-0", `pod "kubia-0" deleted …`)
		w.started("kubia-0", 2)

		w.run("scale sts kubia --replicas=0", "statefulset.apps/kubia scaled")
		w.until(soon, "get sts", "NAME READY AGE\nkubia 0/0 *")
		if n := len(w.volumes()); n != 2 {
			w.Errorf("%d volumes on the engine, want 2: %v", n, w.volumes())
		}
		w.run("scale sts kubia --replicas=1", "statefulset.apps/kubia scaled")
		w.started("kubia-0", 3)

		w.run("delete sts kubia", `statefulset.apps "kubia" deleted …`)
		w.run("delete pvc data-kubia-0 data-kubia-1", `persistentvolumeclaim "data-kubia-0" deleted …`+"\n"+`persistentvolumeclaim "data-kubia-1" deleted …`)
		harness.Until(w.T, soon, "the volumes go with their claims", func() bool { return len(w.volumes()) == 0 })
	})
}

// started waits until a pod's diary says for the nth time that it starts.
func (w walk) started(pod string, n int) {
	w.Helper()
	want := fmt.Sprintf("start %d of %s\nkubia server is starting...\n", n, pod)
	harness.Until(w.T, soon, pod+" says "+want, func() bool { return w.cli.Try("", "logs", pod).Out == want })
}

// diaryImage makes the image of diarySet, until the test ends. The example's own may be another
// run's, of another time.
func diaryImage(t *testing.T) {
	t.Helper()
	engine := harness.Engine(t)
	if err := images.Build(t.Context(), engine, []images.Spec{{Name: "skiff/diary", Entrypoint: []string{"/kubia"}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := images.Remove(context.WithoutCancel(t.Context()), engine, []string{"skiff/diary"}); err != nil {
			t.Error(err)
		}
	})
}

// volumes are the names of the volumes of the daemon's pods on the engine.
func (w walk) volumes() []string {
	w.Helper()
	own := filters.NewArgs(filters.Arg("label", "skiff/instance="+w.d.Instance()))
	list, err := w.d.Engine.VolumeList(w.Context(), volume.ListOptions{Filters: own})
	if err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, v := range list.Volumes {
		if v.Labels["skiff/router"] == "" { // that is the router's own
			names = append(names, v.Name)
		}
	}
	return names
}

// TestStatefulSetUpdates changes the template: the highest ordinal is replaced first; a broken
// update stops there, and is undone once the broken pod is out of the way.
func TestStatefulSetUpdates(t *testing.T) { // not beside the other: they share an image, and take it away
	diaryImage(t)
	walkBoth(t, func(w walk) {
		w.cli.DoIn(strings.Replace(diarySet, "image: skiff/diary", "image: skiff/diary\n        imagePullPolicy: Never", 1), "create", "-f", "-")
		w.until(soon, "get sts", "NAME READY AGE\nkubia 2/2 *")
		w.run("set image sts kubia kubia=skiff/none", "statefulset.apps/kubia image updated")
		w.until(soon, "get pods", "NAME READY STATUS RESTARTS AGE\nkubia-0 1/1 Running 0 *\nkubia-1 0/1 ErrImageNeverPull 0 *")
		w.run("rollout undo sts kubia", "statefulset.apps/kubia rolled back")
		w.run("delete pod kubia-1", `pod "kubia-1" deleted …`)
		w.until(soon, "get pods", "NAME READY STATUS RESTARTS AGE\nkubia-0 1/1 Running 0 *\nkubia-1 1/1 Running 0 *")
		w.run("delete sts kubia", `statefulset.apps "kubia" deleted …`)
		harness.Until(w.T, time.Minute, "the set's pods are gone", func() bool { return len(w.pods("app=kubia")) == 0 })
	})
}
