package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestResize patches a pod's resize subresource as kubectl patch --subresource resize does.
func TestResize(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	pods := h.client.CoreV1().Pods("default")
	p := pod("kubia")
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	must[*corev1.Pod](t)(pods.Create(ctx, p, metav1.CreateOptions{FieldManager: "alice"}))

	patch := `{"metadata":{"labels":{"more":"labels"}},"spec":{"containers":[{"name":"kubia","image":"other","resources":{"requests":{"cpu":"200m"}}}]}}`
	resized := must[*corev1.Pod](t)(pods.Patch(ctx, "kubia", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "bob"}, "resize"))
	equal(t, "request", resized.Spec.Containers[0].Resources.Requests.Cpu().String(), "200m")
	equal(t, "image", resized.Spec.Containers[0].Image, "kubia")
	equal(t, "label", resized.Labels["more"], "")
	equal(t, "generation", resized.Generation, 2)
	equal(t, "managers", managers(resized.ManagedFields), "alice Update v1, bob Update v1 resize")
	for _, e := range resized.ManagedFields {
		if e.Manager == "bob" {
			equal(t, "bob's fields", string(e.FieldsV1.Raw), `{"f:spec":{"f:containers":{"k:{\"name\":\"kubia\"}":{"f:resources":{"f:requests":{"f:cpu":{}}}}}}}`)
		}
	}
	_, err := pods.Patch(ctx, "kubia", types.StrategicMergePatchType, []byte(strings.ReplaceAll(patch, "200m", "300m")), metav1.PatchOptions{})
	if err == nil {
		t.Error("requests were changed without the subresource")
	}
	_, err = pods.Patch(ctx, "kubia", types.JSONPatchType, []byte(`[{"op":"remove","path":"/spec/containers/0/resources/requests/cpu"}]`), metav1.PatchOptions{}, "resize")
	equal(t, "removal", fmt.Sprint(err), `Pod "kubia" is invalid: [spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing, spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed]`)
	equal(t, "read", h.do("GET", "/api/v1/namespaces/default/pods/kubia/resize", "").String(), "200 Pod kubia")
}
