package admission_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"skiff/manifests/admission"
	"skiff/manifests/registry"
	"skiff/store"
)

// read fills obj, which lies in the namespace d, from YAML.
func read[T store.Object](t *testing.T, obj T, text string) T {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), obj); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	obj.SetNamespace("d")
	if obj.GetName() == "" {
		obj.SetName("x")
	}
	return obj
}

func amounts(r corev1.ResourceRequirements) string {
	line := func(l corev1.ResourceList) string {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(l)) {
			q := l[name]
			parts = append(parts, fmt.Sprintf("%s=%s", name, q.String()))
		}
		return strings.Join(parts, ",")
	}
	return line(r.Requests) + " of " + line(r.Limits)
}

func TestLimitRangerDefaults(t *testing.T) {
	ranges := []store.Object{
		read(t, &corev1.LimitRange{}, `{metadata: {name: a}, spec: {limits: [{type: Container, defaultRequest: {cpu: 100m, memory: 1Gi}, default: {cpu: 500m}}, {type: Pod, max: {cpu: "9"}}]}}`),
		read(t, &corev1.LimitRange{}, `{metadata: {name: b}, spec: {limits: [{type: Container, defaultRequest: {cpu: 200m, example.com/gpu: "1"}}]}}`),
	}
	ranger := admission.LimitRanger{Reader: state(t, ranges...)}
	p := read(t, &corev1.Pod{}, `{spec: {
  initContainers: [{name: i, resources: {requests: {memory: 2Gi, example.com/gpu: "2"}}}],
  containers: [{name: c}, {name: full, resources: {requests: {cpu: "1", memory: "1", example.com/gpu: "1"}, limits: {cpu: "1"}}}]}}`)
	wantError(t, ranger.Admit(context.Background(), creation(t, p)), "")
	for _, c := range []struct {
		container corev1.Container
		want      string
	}{
		{p.Spec.InitContainers[0], "cpu=100m,example.com/gpu=2,memory=2Gi of cpu=500m"},
		{p.Spec.Containers[0], "cpu=100m,example.com/gpu=1,memory=1Gi of cpu=500m"},
		{p.Spec.Containers[1], "cpu=1,example.com/gpu=1,memory=1 of cpu=1"},
	} {
		if got := amounts(c.container.Resources); got != c.want {
			t.Errorf("%s: %s, want %s", c.container.Name, got, c.want)
		}
	}
	// As upstream, the last range to set something has the word.
	if got, want := p.Annotations["kubernetes.io/limit-ranger"], "LimitRanger plugin set: example.com/gpu request for container c"; got != want {
		t.Errorf("annotation %q, want %q", got, want)
	}
	one := admission.LimitRanger{Reader: state(t, ranges[0])}
	p = read(t, &corev1.Pod{}, `{spec: {initContainers: [{name: i}], containers: [{name: c, resources: {limits: {cpu: "1"}}}]}}`)
	wantError(t, one.Admit(context.Background(), creation(t, p)), "")
	want := "LimitRanger plugin set: cpu, memory request for container c; cpu, memory request for init container i; cpu limit for init container i"
	if got := p.Annotations["kubernetes.io/limit-ranger"]; got != want {
		t.Errorf("annotation %q, want %q", got, want)
	}
}

func TestLimitRangerBounds(t *testing.T) {
	const pod = `{spec: {containers: [{name: c, resources: {requests: {cpu: "1"}, limits: {cpu: "2"}}}]}}`
	const two = `{spec: {containers: [{name: c, resources: {requests: {cpu: "1"}, limits: {cpu: "2"}}}, {name: d, resources: {requests: {cpu: "1"}, limits: {cpu: "2"}}}]}}`
	const bare = `{spec: {containers: [{name: c}]}}`
	const initial = `{spec: {initContainers: [{name: i, resources: {requests: {cpu: "4"}, limits: {cpu: "4"}}}], containers: [{name: c, resources: {requests: {cpu: "1"}, limits: {cpu: "1"}}}]}}`
	for _, c := range []struct{ item, pod, want string }{
		{`{type: Container, max: {cpu: "2"}, min: {cpu: "1"}, maxLimitRequestRatio: {cpu: "2"}}`, pod, ""},
		{`{type: Container, max: {cpu: "1"}}`, pod, "maximum cpu usage per Container is 1, but limit is 2"},
		{`{type: Container, max: {cpu: 500m}}`, `{spec: {containers: [{name: c, resources: {requests: {cpu: "1"}, limits: {cpu: 500m}}}]}}`, "maximum cpu usage per Container is 500m, but request is 1"},
		{`{type: Container, max: {cpu: "1"}}`, bare, "maximum cpu usage per Container is 1.  No limit is specified"},
		{`{type: Container, min: {cpu: 1500m}}`, pod, "minimum cpu usage per Container is 1500m, but request is 1"},
		{`{type: Container, min: {cpu: "1"}}`, `{spec: {containers: [{name: c, resources: {requests: {cpu: "1"}, limits: {cpu: 500m}}}]}}`, "minimum cpu usage per Container is 1, but limit is 500m"},
		{`{type: Container, min: {cpu: "1"}}`, bare, "minimum cpu usage per Container is 1.  No request is specified"},
		{`{type: Container, maxLimitRequestRatio: {cpu: 1500m}}`, pod, "cpu max limit to request ratio per Container is 1500m, but provided ratio is 2.000000"},
		{`{type: Container, maxLimitRequestRatio: {cpu: "1"}}`, bare, "cpu max limit to request ratio per Container is 1, but no request is specified or request is 0"},
		{`{type: Container, maxLimitRequestRatio: {cpu: "1"}}`, `{spec: {containers: [{name: c, resources: {requests: {cpu: "1"}}}]}}`, "cpu max limit to request ratio per Container is 1, but no limit is specified or limit is 0"},
		{`{type: Container, max: {cpu: "3"}}`, initial, "maximum cpu usage per Container is 3, but limit is 4"},
		{`{type: Pod, max: {cpu: "3"}}`, two, "maximum cpu usage per Pod is 3, but limit is 4"},
		{`{type: Pod, max: {cpu: "3"}}`, initial, "maximum cpu usage per Pod is 3, but limit is 4"},
		{`{type: Pod, min: {memory: "1"}, max: {cpu: "1"}}`, pod, "[minimum memory usage per Pod is 1.  No request is specified, maximum cpu usage per Pod is 1, but limit is 2]"},
		{`{type: PersistentVolumeClaim, max: {storage: "1"}}`, pod, ""},
	} {
		limits := read(t, &corev1.LimitRange{}, "{spec: {limits: ["+c.item+"]}}")
		err := admission.LimitRanger{Reader: state(t, limits)}.Validate(context.Background(), creation(t, read(t, &corev1.Pod{}, c.pod)))
		want := ""
		if c.want != "" {
			want = `pods "x" is forbidden: ` + c.want
		}
		wantError(t, err, want)
	}
}

func TestLimitRangerOfClaims(t *testing.T) {
	limits := read(t, &corev1.LimitRange{}, `{spec: {limits: [{type: PersistentVolumeClaim, min: {storage: 1Gi}, max: {storage: 2Gi}}, {type: Container, min: {cpu: "1"}}]}}`)
	ranger := admission.LimitRanger{Reader: state(t, limits)}
	claim := func(size string) *corev1.PersistentVolumeClaim {
		return read(t, &corev1.PersistentVolumeClaim{}, "{spec: {resources: {requests: {"+size+"}}}}")
	}
	for size, want := range map[string]string{
		"storage: 1Gi":   "",
		"storage: 500Mi": `persistentvolumeclaims "x" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi`,
		"storage: 3Gi":   `persistentvolumeclaims "x" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi`,
	} {
		create := creation(t, claim(size))
		wantError(t, ranger.Validate(context.Background(), create), want)
		update := create
		update.Operation, update.Old = registry.Update, claim("storage: 1Gi")
		wantError(t, ranger.Validate(context.Background(), update), want)
		update.Subresource = "status"
		wantError(t, ranger.Validate(context.Background(), update), "")
	}
}
