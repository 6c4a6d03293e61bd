package pod

import (
	"testing"

	"skiff/orchestrator/node/internal/podtest"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		namespace, spec, container string
		attempt                    int
		want                       string
	}{
		{"default", "containers: [{name: main}]", "main", 0, "kubia_3f2a9c1e"},
		{"default", "containers: [{name: main}]", "main", 2, "kubia_3f2a9c1e_2"},
		{"shop", "containers: [{name: main}]", "main", 0, "kubia_shop_3f2a9c1e"},
		{"default", "containers: [{name: web}, {name: log}]", "web", 0, "kubia_web_3f2a9c1e"},
		{"shop", "containers: [{name: web}, {name: log}]", "log", 1, "kubia_shop_log_3f2a9c1e_1"},
		{"default", "containers: [{name: web}, {name: log}]", SandboxName, 0, "kubia_POD_3f2a9c1e"},
		{"default", "{containers: [{name: main}], ephemeralContainers: [{name: debug}]}", "debug", 0, "kubia_debug_3f2a9c1e"},
	} {
		pod := podtest.Pod(t, c.spec)
		pod.Namespace = c.namespace
		if got := ContainerName(pod, c.container, c.attempt); got != c.want {
			t.Errorf("name %s, want %s", got, c.want)
		}
	}
}

func TestLabels(t *testing.T) {
	pod := podtest.Pod(t, "containers: [{name: main, image: kubia}]")
	pod.Labels[LabelPodUID] = "forged"
	labels := ContainerLabels(pod, "main", "abc", 3, 1)
	if labels["app"] != "kubia" {
		t.Error("the pod's own label is missing: docker ps --filter label=app=kubia would not show it")
	}
	id, ok := Identify(labels, "here")
	want := Identity{UID: podtest.UID, Namespace: "default", Name: "kubia", Container: "main", Attempt: 3, Sandbox: 1, Hash: "abc"}
	if !ok || id != want {
		t.Errorf("identity %+v, %v; want %+v", id, ok, want)
	}
	if _, ok := Identify(labels, "there"); ok {
		t.Error("another node's container is taken for ours")
	}
	if pod.Labels[LabelNode] != "" {
		t.Error("the pod itself was changed")
	}
	for _, broken := range []string{LabelPodUID, LabelContainer, LabelAttempt, LabelSandbox} {
		labels := ContainerLabels(pod, "main", "abc", 3, 1)
		delete(labels, broken)
		if _, ok := Identify(labels, "here"); ok {
			t.Errorf("identified without %s", broken)
		}
	}
}
