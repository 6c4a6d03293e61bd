package integration

import (
	"strings"
	"testing"
	"time"

	"skiff/integration/harness"
)

// slowToEnd does not end when asked to, and is given no time.
const slowToEnd = `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: slow}
spec:
  replicas: 5
  selector: {matchLabels: {app: slow}}
  template:
    metadata: {labels: {app: slow}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: ksfzhaohui/kubia, imagePullPolicy: Never}]}
`

// down returns when no container is left, of pods without a grace period too.
func TestDownLeavesNoContainer(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	c := d.SkiffCLI()
	for range 3 {
		if r := c.Try(slowToEnd, "up", "-d", "-f", "-"); r.Code != 0 {
			t.Fatal(r.Err)
		}
		if r := c.Try(slowToEnd, "down", "-f", "-"); r.Code != 0 {
			t.Fatal(r.Err)
		}
		if left := d.Containers(); len(left) != 0 {
			t.Errorf("%d containers are left, the first is %s", len(left), left[0].Status)
		}
	}
}

const storing = `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: storing}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: ksfzhaohui/kubia, imagePullPolicy: Never, volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`

// Data outlives down, unless --volumes is given.
func TestDownKeepsData(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	c := d.SkiffCLI()
	up := func() string {
		t.Helper()
		if r := c.Try(storing, "up", "-d", "-f", "-"); r.Code != 0 {
			t.Fatal(r.Err)
		}
		return c.Do("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
	}
	before := up()
	if r := c.Try(storing, "down", "-f", "-"); r.Code != 0 || !strings.Contains(r.Err, "persistentvolumeclaim/data kept with its data: --volumes deletes both\n") {
		t.Errorf("down: %+v", r)
	}
	if after := up(); after != before || before == "" {
		t.Errorf("volume %q after down, want the one from before, %q", after, before)
	}
	if r := c.Try(storing, "down", "--volumes", "-f", "-"); r.Code != 0 {
		t.Errorf("down --volumes: %+v", r)
	}
	// A volume goes after its claim, once its controller has removed it from the engine.
	harness.Until(t, 30*time.Second, "no claim and no volume is left", func() bool {
		return c.Try("", "get", "pvc,pv", "-o", "name").Out == ""
	})
}
