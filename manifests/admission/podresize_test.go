package admission_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"skiff/manifests"
	"skiff/manifests/admission"
	"skiff/manifests/registry"
)

// TestPodResize: what a node has bounds a resize, what it has left does not.
func TestPodResize(t *testing.T) {
	node := read(t, &corev1.Node{}, `{metadata: {name: one}, status: {allocatable: {cpu: "2", memory: 1Gi}}}`)
	node.Namespace = ""
	reader := state(t, node)
	for _, test := range []struct{ name, requests, node, want string }{
		{"fits", `{cpu: "2", memory: 1Gi}`, "one", ""},
		{"more than the node has", `{cpu: "2500m", memory: 2Gi}`, "one",
			`pods "x" is forbidden: node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824`},
		{"not on a node yet", `{cpu: "2500m"}`, "", ""},
		{"on a node that is gone", `{cpu: "1"}`, "two", `pods "x" is forbidden: node "two" not found`},
	} {
		t.Run(test.name, func(t *testing.T) {
			resize := creation(t, read(t, &corev1.Pod{}, `{metadata: {generation: 2}, spec: {nodeName: "`+test.node+`", containers: [{name: c, resources: {requests: `+test.requests+`}}]}}`))
			resize.Operation, resize.Subresource = registry.Update, manifests.SubresourceResize
			resize.Old = read(t, &corev1.Pod{}, `{metadata: {generation: 1}, spec: {nodeName: "`+test.node+`", containers: [{name: c}]}}`)
			wantError(t, admission.PodResize{Reader: reader}.Validate(context.Background(), resize), test.want)
			resize.Subresource = ""
			wantError(t, admission.PodResize{Reader: reader}.Validate(context.Background(), resize), "")
		})
	}
}
