package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// managers lists an object's managers, with the operation and the version of each.
func managers(entries []metav1.ManagedFieldsEntry) string {
	var out []string
	for _, e := range entries {
		line := fmt.Sprintf("%s %s %s", e.Manager, e.Operation, e.APIVersion)
		if e.Subresource != "" {
			line += " " + e.Subresource
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func replicaSet(replicas string) string {
	return `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"kubia"},"spec":{` + replicas + `"selector":{"matchLabels":{"app":"kubia"}},
		"template":{"metadata":{"labels":{"app":"kubia"}},"spec":{"containers":[{"name":"kubia","image":"kubia"}]}}}}`
}

func TestServerSideApply(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	sets := h.client.AppsV1().ReplicaSets("default")
	apply := func(manager, replicas string, force bool) (*appsv1.ReplicaSet, error) {
		return sets.Patch(ctx, "kubia", types.ApplyPatchType, []byte(replicaSet(replicas)), metav1.PatchOptions{FieldManager: manager, Force: &force})
	}
	made := must[*appsv1.ReplicaSet](t)(apply("alice", `"replicas":2,`, false))
	equal(t, "managers", managers(made.ManagedFields), "alice Apply apps/v1")
	equal(t, "generation", made.Generation, 1)

	again := must[*appsv1.ReplicaSet](t)(apply("alice", `"replicas":2,`, false))
	equal(t, "resourceVersion of an apply that changes nothing", again.ResourceVersion, made.ResourceVersion)

	_, err := apply("bob", `"replicas":3,`, false)
	equal(t, "conflict", fmt.Sprint(err), `Apply failed with 1 conflict: conflict with "alice": .spec.replicas`)
	if !apierrors.IsConflict(err) {
		t.Errorf("%T is no conflict", err)
	}
	forced := must[*appsv1.ReplicaSet](t)(apply("bob", `"replicas":3,`, true))
	equal(t, "replicas", *forced.Spec.Replicas, 3)
	equal(t, "managers", managers(forced.ManagedFields), "alice Apply apps/v1, bob Apply apps/v1")

	// A scale through the subresource takes the field away from bob.
	scaled := must[*autoscalingv1.Scale](t)(sets.UpdateScale(ctx, "kubia", &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: "kubia", Namespace: "default"}, Spec: autoscalingv1.ScaleSpec{Replicas: 5},
	}, metav1.UpdateOptions{FieldManager: "scaler"}))
	equal(t, "scale", scaled.Spec.Replicas, 5)
	now := must[*appsv1.ReplicaSet](t)(sets.Get(ctx, "kubia", metav1.GetOptions{}))
	equal(t, "managers", managers(now.ManagedFields), "alice Apply apps/v1, bob Apply apps/v1, scaler Update apps/v1 scale")
	_, err = apply("bob", `"replicas":3,`, false)
	equal(t, "conflict", fmt.Sprint(err), `Apply failed with 1 conflict: conflict with "scaler" with subresource "scale" using apps/v1: .spec.replicas`)

	// What nobody applies any more goes away.
	dropped := must[*appsv1.ReplicaSet](t)(apply("alice", "", false))
	equal(t, "replicas, which alice shares with nobody's apply", *dropped.Spec.Replicas, 5)
}

func TestApplyOnStatusAndAfterCreate(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	sets := h.client.AppsV1().ReplicaSets("default")
	var set appsv1.ReplicaSet
	if err := json.Unmarshal([]byte(replicaSet(`"replicas":1,`)), &set); err != nil {
		t.Fatal(err)
	}
	set.Status.Replicas = 7 // not for a client to set here
	made := must[*appsv1.ReplicaSet](t)(sets.Create(ctx, &set, metav1.CreateOptions{FieldManager: "creator"}))
	equal(t, "status", made.Status.Replicas, 0)
	equal(t, "managers", managers(made.ManagedFields), "creator Update apps/v1")

	_, err := sets.Patch(ctx, "kubia", types.ApplyPatchType, []byte(replicaSet(`"replicas":2,`)), metav1.PatchOptions{FieldManager: "alice"})
	equal(t, "conflict", fmt.Sprint(err), `Apply failed with 1 conflict: conflict with "creator" using apps/v1: .spec.replicas`)

	made.Status.Replicas = 1
	made.Spec.Replicas = new(int32) // not for a client to set there
	updated := must[*appsv1.ReplicaSet](t)(sets.UpdateStatus(ctx, made, metav1.UpdateOptions{FieldManager: "controller"}))
	equal(t, "status", updated.Status.Replicas, 1)
	equal(t, "spec", *updated.Spec.Replicas, 1)
	equal(t, "managers", managers(updated.ManagedFields), "controller Update apps/v1 status, creator Update apps/v1")
	for _, e := range updated.ManagedFields {
		if e.Manager == "controller" {
			equal(t, "fields of the status", string(e.FieldsV1.Raw), `{"f:status":{"f:replicas":{}}}`)
		}
	}
}

// TestClientSideMigration removes managed fields as kubectl does when it moves an object to
// server-side apply.
func TestManagedFieldsCanBeReset(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	maps := h.client.CoreV1().ConfigMaps("default")
	must[*corev1.ConfigMap](t)(maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Data: map[string]string{"a": "b"}}, metav1.CreateOptions{}))
	reset := must[*corev1.ConfigMap](t)(maps.Patch(ctx, "m", types.MergePatchType, []byte(`{"metadata":{"managedFields":[{}]}}`), metav1.PatchOptions{}))
	equal(t, "managers", managers(reset.ManagedFields), "")
	applied := must[*corev1.ConfigMap](t)(maps.Patch(ctx, "m", types.ApplyPatchType,
		[]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"c":"d"}}`), metav1.PatchOptions{FieldManager: "alice"}))
	equal(t, "managers", managers(applied.ManagedFields), "alice Apply v1, before-first-apply Update v1")
}

func TestFieldValidationWarns(t *testing.T) {
	h := start(t, options{})
	body := `{"metadata":{"name":"x","nmae":"y"},"data":{"a":"1","a":"2"}}`
	for directive, want := range map[string]string{
		"":                        `299 - "unknown field \"metadata.nmae\"" 299 - "duplicate field \"data.a\""`,
		"&fieldValidation=Warn":   `299 - "unknown field \"metadata.nmae\"" 299 - "duplicate field \"data.a\""`,
		"&fieldValidation=Ignore": "",
	} {
		got := h.do("POST", configMaps+"?dryRun=All"+directive, body, asJSON)
		equal(t, "answer", got.String(), "201 ConfigMap x")
		warnings := got.header.Values("Warning")
		slices.Sort(warnings)
		slices.Reverse(warnings)
		equal(t, "warnings with "+directive, strings.Join(warnings, " "), want)
	}
	if got := h.do("GET", configMaps+"/x", "").code; got != 404 {
		t.Errorf("a dry run stored something: %d", got)
	}
}
