package admission_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/ptr"

	"skiff/manifests/admission"
	"skiff/manifests/registry"
	"skiff/store"
)

// warned collects warnings.
type warned struct {
	mu    sync.Mutex
	texts []string
}

func (w *warned) AddWarning(_, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func labelled(name string, labels ...string) *corev1.Namespace {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		n.Labels["pod-security.kubernetes.io/"+key] = value
	}
	return n
}

func secured(name string, change func(*corev1.PodSpec)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}, Spec: corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers: []corev1.Container{{Name: "c", Image: "i", SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}}},
	}}
	if change != nil {
		change(&p.Spec)
	}
	return p
}

func TestPodSecurity(t *testing.T) {
	onHost := func(s *corev1.PodSpec) { s.HostNetwork = true }
	escalates := func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil }
	deployed := func(p *corev1.Pod) *appsv1.Deployment {
		return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "d"}, Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: p.Spec}}}
	}
	const host = `violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`
	for _, c := range []struct {
		name      string
		namespace *corev1.Namespace
		object    store.Object
		old       store.Object
		sub       string
		want      string
	}{
		{"no labels", labelled("n"), secured("p", onHost), nil, "", ""},
		{"privileged", labelled("n", "enforce=privileged"), secured("p", onHost), nil, "", ""},
		{"good enough", labelled("n", "enforce=restricted"), secured("p", nil), nil, "", ""},
		{"refused", labelled("n", "enforce=baseline"), secured("p", onHost), nil, "", `pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`},
		{"refused by another level", labelled("n", "enforce=restricted"), secured("p", escalates), nil, "",
			`pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)`},
		{"a version from before the rule", labelled("n", "enforce=restricted", "enforce-version=v1.0"), secured("p", escalates), nil, "", ""},
		{"warned", labelled("n", "warn=baseline"), secured("p", onHost), nil, "", "! would " + host},
		{"a workload is warned of and let in", labelled("n", "enforce=baseline", "warn=baseline"), deployed(secured("p", onHost)), nil, "", "! would " + host},
		{"of the enforced level too", labelled("n", "enforce=baseline"), deployed(secured("p", onHost)), nil, "", "! would " + host},
		{"unless the labels say otherwise", labelled("n", "enforce=baseline", "warn=privileged"), deployed(secured("p", onHost)), nil, "", ""},
		{"audited only", labelled("n", "audit=baseline"), secured("p", onHost), nil, "", ""},
		{"an older pod is relabelled", labelled("n", "enforce=baseline"), secured("p", onHost), secured("p", onHost), "", ""},
		{"its image changes", labelled("n", "enforce=baseline"), secured("p", onHost), secured("p", func(s *corev1.PodSpec) { s.Containers[0].Image = "old" }), "",
			`pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`},
		{"its status", labelled("n", "enforce=baseline"), secured("p", onHost), nil, "status", ""},
		{"a label that is none", nil, labelled("x", "enforce=strict"), nil, "",
			`Namespace "x" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted`},
		{"that was there before", nil, labelled("x", "enforce=strict"), labelled("x", "enforce=strict"), "", ""},
		{"a level with pods that violate it", labelled("n"), labelled("n", "enforce=baseline"), labelled("n"), "",
			`! existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:latest"; bad1 (and 1 other pod): host namespaces`},
		{"the level is relaxed", labelled("n"), labelled("n", "enforce=baseline"), labelled("n", "enforce=restricted"), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects := []store.Object{secured("bad1", onHost), secured("bad2", onHost), secured("good", nil)}
			if c.namespace != nil {
				objects = append(objects, c.namespace)
			}
			r := registry.Request{Operation: registry.Create, Kind: kindOf(t, c.object), Namespace: c.object.GetNamespace(), Name: c.object.GetName(), Subresource: c.sub, Object: c.object}
			if c.old != nil {
				r.Operation, r.Old = registry.Update, c.old
			}
			w := &warned{}
			got := ""
			if err := (admission.PodSecurity{Reader: state(t, objects...)}).Validate(warning.WithWarningRecorder(context.Background(), w), r); err != nil {
				got = err.Error()
			}
			if len(w.texts) > 0 {
				got += "! " + strings.Join(w.texts, "; ")
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
