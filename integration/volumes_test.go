package integration

import (
	"context"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"

	"skiff/integration/harness"
)

// engineVolumes are the names of the engine's volumes that belong to the daemon's pods.
func (w walk) engineVolumes() []string {
	w.Helper()
	list, err := w.d.Engine.VolumeList(w.Context(), volume.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", "skiff/instance="+w.d.Instance()), filters.Arg("label", "io.kubernetes.pod.uid"))})
	if err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, v := range list.Volumes {
		names = append(names, v.Name)
	}
	return names
}

// runs waits until a pod's containers run.
func (w walk) runs(pod string) {
	w.Helper()
	w.until(soon, "get pod "+pod, "NAME READY STATUS RESTARTS AGE\n"+pod+" ?/? Running …")
}

// removes deletes a pod, and what the engine keeps for it must go too.
func (w walk) removes(pod string) {
	w.Helper()
	w.cli.Do("delete", "pod", pod)
	harness.Until(w.T, soon, "the volumes of the pod are gone", func() bool { return len(w.engineVolumes()) == 0 })
}

// TestSizedMemory has a volume in memory that holds as much as it says, is shared by the containers of
// the pod and outlives each of them.
func TestSizedMemory(t *testing.T) {
	t.Parallel()
	toolbox := harness.Toolbox(t, harness.Engine(t), nil)
	walkBoth(t, func(w walk) {
		w.createFrom(tool(toolbox, "quick", `echo start >> /quick/starts; cat /quick/*; df -k /quick | tail -1 | awk '{print $2}'
			dd if=/dev/zero of=/quick/big bs=1M count=3 2>/dev/null || echo full; rm /quick/big; sleep 600`,
			"securityContext: {fsGroup: 1234}\n  volumes: [{name: quick, emptyDir: {medium: Memory, sizeLimit: 2Mi}}]") +
			"    volumeMounts: [{name: quick, mountPath: /quick}]\n" +
			"  - name: other\n    image: " + toolbox + "\n    command: [sh, -c, 'stat -c %g:%a /mine; sleep 600']\n" +
			"    securityContext: {runAsUser: 1}\n    volumeMounts: [{name: quick, mountPath: /mine}]\n")
		w.runs("quick")
		w.until(soon, "logs quick -c c", "start\n2048\nfull")
		w.until(soon, "logs quick -c other", "1234:2777")
		w.cli.Do("exec", "quick", "-c", "other", "--", "sh", "-c", "echo other > /mine/other")
		running := w.d.Containers("io.kubernetes.container.name=c")[0].ID
		if err := w.d.Engine.ContainerKill(w.Context(), running, "KILL"); err != nil {
			w.Fatal(err)
		}
		w.until(soon, "logs quick -c c", "other\nstart\nstart\n2048\nfull")
		w.removes("quick")
	})
}

// TestImageVolume has a volume that holds an image's files, read-only, for a container of another
// image.
func TestImageVolume(t *testing.T) {
	t.Parallel()
	engine := harness.Engine(t)
	toolbox := harness.Toolbox(t, engine, nil)
	model := harness.Import(t, engine, harness.Files(t, map[string]string{"weights": "heavy\n", "lib/": "", "lib/more": "light\n"}))
	walkBoth(t, func(w walk) {
		w.createFrom(tool(toolbox, "reader", `ls -A /model; cat /model/weights /more; touch /model/x 2>&1; sleep 600`,
			"volumes: [{name: model, image: {reference: \""+model+"\"}}]") +
			"    volumeMounts: [{name: model, mountPath: /model}, {name: model, mountPath: /more, subPath: lib/more}]\n")
		w.runs("reader")
		w.until(soon, "logs reader", "lib\nweights\nheavy\nlight\ntouch: /model/x: Read-only file system")
		w.removes("reader")

		w.createFrom(tool(toolbox, "missing", "sleep 600", `volumes: [{name: model, image: {reference: "skiff-test/none:1", pullPolicy: Never}}]`) +
			"    volumeMounts: [{name: model, mountPath: /model}]\n")
		w.until(soon, "get pod missing", "NAME READY STATUS RESTARTS AGE\nmissing 0/1 ErrImageNeverPull 0 *")
		w.removes("missing")
	})
}

// TestImageVolumeIsPulled has an image pulled that only a volume wants.
func TestImageVolumeIsPulled(t *testing.T) {
	t.Parallel()
	toolbox := harness.Toolbox(t, harness.Engine(t), nil)
	registry := harness.NewRegistry(t, []string{"/none"}, map[string][]byte{"weights": []byte("heavy\n")})
	d := harness.Start(t)
	w := walk{t, d, d.KubectlCLI()}
	ref := registry.Host + "/model:1"
	t.Cleanup(func() {
		if _, err := d.Engine.ImageRemove(context.WithoutCancel(t.Context()), ref, image.RemoveOptions{Force: true, PruneChildren: true}); err != nil {
			t.Error(err)
		}
	})
	w.createFrom(tool(toolbox, "reader", "cat /model/weights; sleep 600", "volumes: [{name: model, image: {reference: \""+ref+"\"}}]") +
		"    volumeMounts: [{name: model, mountPath: /model}]\n")
	w.runs("reader")
	w.until(soon, "logs reader", "heavy")
	if got := w.cli.Do("describe", "pod", "reader"); !strings.Contains(got, `Successfully pulled image "`+ref+`"`) {
		t.Errorf("no event of the pull:\n%s", got)
	}
	w.removes("reader")
}
