package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
	"skiff/manifests/podfacts"
	"skiff/orchestrator/node/env"
	"skiff/orchestrator/node/internal/podtest"
	"skiff/orchestrator/node/memory"
)

// testClaims has claims "engine", "host" and "remote", which are bound, "stolen", whose volume is
// another's, and "new".
type testClaims struct {
	Engine
	dir string
}

func (c testClaims) Claim(namespace, name string) (*corev1.PersistentVolumeClaim, error) {
	if name == "none" {
		return nil, apierrors.NewNotFound(corev1.Resource("persistentvolumeclaims"), name)
	}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}}
	if name != "new" {
		claim.Spec.VolumeName, claim.Status.Phase = "pv-"+name, corev1.ClaimBound
	}
	return claim, nil
}

func (c testClaims) Volume(name string) (*corev1.PersistentVolume, error) {
	claim := strings.TrimPrefix(name, "pv-")
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}}
	v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "default", Name: claim, UID: types.UID(claim)}
	switch claim {
	case "engine":
		v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "skiff", VolumeHandle: "engine_1"}
	case "host":
		v.Spec.HostPath = &corev1.HostPathVolumeSource{Path: c.dir}
	case "remote":
		v.Spec.NFS = &corev1.NFSVolumeSource{Server: "s", Path: "/"}
	case "stolen":
		v.Spec.ClaimRef.UID = "another"
	}
	return v, nil
}

// EnsureVolume makes a directory elsewhere, as the engine does.
func (c testClaims) EnsureVolume(_ context.Context, name string, labels map[string]string) (string, error) {
	if labels["skiff/claim"] != "engine" || labels["skiff/claim-namespace"] != "default" {
		return "", errors.New("not the claim's labels")
	}
	path := filepath.Join(c.dir, "engine", name)
	return path, os.MkdirAll(path, 0o777)
}

func TestClaimMounts(t *testing.T) {
	for _, c := range []struct {
		name, claim, mount string
		err                string
		want               func(dir string) docker.Mount
	}{
		{"an engine's volume", "claimName: engine", "", "", func(string) docker.Mount {
			return docker.Mount{Type: "volume", Source: "engine_1", Target: "/d"}
		}},
		{"read-only", "claimName: engine, readOnly: true", "", "", func(string) docker.Mount {
			return docker.Mount{Type: "volume", Source: "engine_1", Target: "/d", ReadOnly: true}
		}},
		{"a part of it", "claimName: engine", ", subPath: a/b", "", func(dir string) docker.Mount {
			return docker.Mount{Type: "bind", Source: filepath.Join(dir, "engine", "engine_1", "a", "b"), Target: "/d"}
		}},
		{"a directory of the machine", "claimName: host", "", "", func(dir string) docker.Mount {
			return docker.Mount{Type: "bind", Source: dir, Target: "/d"}
		}},
		{"somewhere else", "claimName: remote", "", "skiff does not support persistent volumes of type nfs", nil},
		{"another's", "claimName: stolen", "", `persistentvolumeclaim "stolen": volume pv-stolen is another claim's`, nil},
		{"not bound", "claimName: new", "", `persistentvolumeclaim "new" is not bound to a volume`, nil},
		{"no claim", "claimName: none", "", `persistentvolumeclaim "none" not found`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			store := testClaims{memory.New(memory.Options{}), dir}
			v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects(), Claims: store, Engine: store}
			pod := podtest.Pod(t, "{containers: [{name: c, volumeMounts: [{name: v, mountPath: /d"+c.mount+"}]}], volumes: [{name: v, persistentVolumeClaim: {"+c.claim+"}}]}")
			pod.Namespace = "default"
			err = v.Prepare(t.Context(), pod, env.Facts{})
			if c.err != "" {
				if want := `MountVolume.SetUp failed for volume "v" : ` + c.err; err == nil || err.Error() != want {
					t.Errorf("error %v, want %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.mount(pod, &pod.Spec.Containers[0].VolumeMounts[0], nil)
			if err != nil || got != c.want(dir) {
				t.Errorf("mount %+v, %v", got, err)
			}
		})
	}
}

// TestClaimsThatTakeTheImagesFiles holds that they do so where the pod says it, and nowhere else.
func TestClaimsThatTakeTheImagesFiles(t *testing.T) {
	store := testClaims{memory.New(memory.Options{}), t.TempDir()}
	v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects(), Claims: store, Engine: store}
	pod := podtest.Pod(t, "{containers: [{name: c, volumeMounts: [{name: a, mountPath: /a}, {name: b, mountPath: /b}]}], volumes: [{name: a, persistentVolumeClaim: {claimName: engine}}, {name: b, persistentVolumeClaim: {claimName: engine}}]}")
	pod.Namespace, pod.Annotations = "default", map[string]string{podfacts.FillAnnotation: "other,b"}
	if err := v.Prepare(t.Context(), pod, env.Facts{}); err != nil {
		t.Fatal(err)
	}
	for i, fills := range []bool{false, true} {
		if got, err := v.mount(pod, &pod.Spec.Containers[0].VolumeMounts[i], nil); err != nil || got.Fill != fills {
			t.Errorf("mount %+v, %v; want one that fills: %t", got, err, fills)
		}
	}
}

// TestSubPathIsAsOpenAsItsVolume holds that a user who may write to a volume may write to the
// directories that are made in it.
func TestSubPathIsAsOpenAsItsVolume(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path, err := subPath(dir, "a/b", false)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
