package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
	"skiff/manifests/registry"
)

// testClaims has claims "engine", "host" and "remote", which are bound, "stolen", whose volume is another's, and "new".
type testClaims struct{ dir string }

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

// EnsureVolume makes a directory beside, as the engine does.
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
			store := testClaims{dir}
			v := &volumes{dir: t.TempDir(), sources: testObjects(), claims: store, engine: store}
			pod := testPod(t, "{containers: [{name: c, volumeMounts: [{name: v, mountPath: /d"+c.mount+"}]}], volumes: [{name: v, persistentVolumeClaim: {"+c.claim+"}}]}")
			pod.Namespace = "default"
			err = v.prepare(t.Context(), pod, facts{})
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

// TestSubPathIsAsOpenAsItsVolume holds that a user who may write to a volume may write to the parts of it that are made
// for him.
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

// TestAgentWaitsForAClaim holds that a pod starts when its claim has been bound, and that this short wait is no event.
func TestAgentWaitsForAClaim(t *testing.T) {
	inWorld(t, func(w *world) {
		w.create(&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		})
		w.pod("kubia", "{containers: [{name: kubia, image: kubia}], volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}")
		w.want("kubia", "Pending | kubia ContainerCreating")
		w.wantEvents("kubia", "")
		claims := registry.For[*corev1.PersistentVolumeClaim](w.registry)
		claim, _ := claims.Get("default", "data")
		w.create(&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v"}, Spec: corev1.PersistentVolumeSpec{
			Capacity: claim.Spec.Resources.Requests, AccessModes: claim.Spec.AccessModes,
			ClaimRef:               &corev1.ObjectReference{Namespace: "default", Name: "data", UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "skiff", VolumeHandle: "x"}},
		}})
		if _, err := claims.Update(w.Context(), "default", "data", func(c *corev1.PersistentVolumeClaim) error { c.Spec.VolumeName = "v"; return nil }); err != nil {
			w.Fatal(err)
		}
		if _, err := claims.UpdateStatus(w.Context(), "default", "data", func(c *corev1.PersistentVolumeClaim) error {
			c.Status.Phase = corev1.ClaimBound
			return nil
		}); err != nil {
			w.Fatal(err)
		}
		w.settle()
		w.want("kubia", "Running | kubia running ready")
	})
}
