package ui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/clitest/chromium"
)

// pod is a pod of a deployment, with a container in a state.
func pod(owner, name, status string, restarts int64) map[string]any {
	ready := strings.Contains(status, "ready")
	c := map[string]any{"name": "web", "ready": ready, "restartCount": restarts, "containerID": "docker://" + name}
	began := time.Now().Add(-3 * time.Minute).UTC().Format(time.RFC3339)
	c["state"] = map[string]any{"running": map[string]any{"startedAt": began}}
	if status == "crash" {
		c["state"] = map[string]any{"waiting": map[string]any{"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}
	}
	if restarts > 0 {
		c["lastState"] = map[string]any{"terminated": map[string]any{"exitCode": int64(1), "reason": "Error", "startedAt": began, "finishedAt": time.Now().Add(-20 * time.Second).UTC().Format(time.RFC3339)}}
	}
	condition := map[bool]string{true: "True", false: "False"}[ready]
	return map[string]any{"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "uid": "uid-" + name, "creationTimestamp": began, "labels": map[string]any{"app": owner},
			"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner + "-7d9f", "uid": "uid-" + owner + "-7d9f", "controller": true}}},
		"spec": map[string]any{"nodeName": "vm", "containers": []any{map[string]any{"name": "web", "image": "shop-web:1"}}},
		"status": map[string]any{"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": condition, "lastTransitionTime": began}},
			"containerStatuses": []any{c}}}
}

func replicaSet(owner string) map[string]any {
	return map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": map[string]any{"name": owner + "-7d9f", "uid": "uid-" + owner + "-7d9f",
		"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": "uid-" + owner, "controller": true}}}}
}

func event(n int, of, kind, reason, message string, ago time.Duration, count int64) map[string]any {
	at := time.Now().Add(-ago).UTC().Format(time.RFC3339)
	return map[string]any{"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": fmt.Sprintf("%s.%d", of, n), "uid": fmt.Sprintf("uid-%s.%d", of, n)},
		"involvedObject": map[string]any{"kind": "Pod", "name": of, "uid": "uid-" + of, "namespace": "default", "fieldPath": "spec.containers{web}"},
		"type":           kind, "reason": reason, "message": message, "count": count, "firstTimestamp": at, "lastTimestamp": at}
}

// shop is an application of which a part is not well.
func (w *served) shop() {
	for _, name := range []string{"web", "api"} {
		w.world.Put(deployment(name, 3, 3))
		w.world.Put(replicaSet(name))
		for i := range 3 {
			w.world.Put(pod(name, fmt.Sprintf("%s-7d9f-%c", name, 'a'+i), "ready", 0))
		}
	}
	w.world.Put(deployment("store", 1, 0))
	w.world.Put(replicaSet("store"))
	w.world.Put(pod("store", "store-7d9f-a", "crash", 4))
	for i := range 12 {
		w.world.Put(event(i, "web-7d9f-b", "Warning", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", time.Duration(150-5*i)*time.Second, int64(i+1)))
	}
	w.world.Put(event(20, "store-7d9f-a", "Warning", "BackOff", "Back-off restarting failed container web in pod store-7d9f-a", 15*time.Second, 3))
	w.world.Put(event(21, "web-7d9f-b", "Normal", "Started", "Started container web", 170*time.Second, 1))
	w.world.Logs["store-7d9f-a/web"] = "opening the store\n\x1b[31mpanic: no space left on device\x1b[0m\n"
	w.world.Logs["web-7d9f-a/web"] = strings.Repeat("GET /products 200 3ms\n", 300) + "GET /checkout 500 12ms\n"
}

// TestPage looks at the page as people do: what runs, what is wrong and why, a log; and scales and deletes by the
// keyboard alone.
func TestPage(t *testing.T) {
	w := start(t, "default")
	w.shop()
	p := chromium.Open(t)
	p.Look(1280, 900, false)
	p.Go(w.s.URL())
	p.Until("location.search === '' && document.querySelectorAll('.row.pod').length === 7 && document.getElementById('link').textContent === 'live'")
	p.Until("document.getElementById('problems').innerText.includes('deployment/store') || document.getElementById('problems').innerText.includes('CrashLoopBackOff: container web ended with exit code 1 (Error), 4 restarts')")
	p.Until("document.querySelectorAll('.row.pod .track i.probe:not([hidden])').length > 5")
	p.Photograph(t.ArtifactDir(), "ui-1280-light.png")

	// What changes is shown.
	w.world.Change("Deployment", "web", func(o map[string]any) { o["status"].(map[string]any)["readyReplicas"] = int64(2) })
	p.Until("document.querySelector('[aria-label=\"deployment/web\"]').innerText.includes('2/3 ready')")

	w.keyboard(p)
	w.narrow(p)
	if len(p.Errors) > 0 {
		t.Errorf("the page has errors: %v", p.Errors)
	}
}

// keyboard finds a pod, reads its log, scales its deployment, and deletes the pod, without a mouse.
func (w *served) keyboard(p *chromium.Page) {
	w.Helper()
	p.Press("/")
	p.Type("store")
	p.Until("document.querySelectorAll('.row.pod:not([hidden])').length === 1")
	p.Press("Tab") // to what is wrong
	p.Press("Enter")
	p.Until("document.getElementById('log-lines').innerText.includes('panic: no space left on device') && !document.getElementById('log-lines').innerText.includes('\x1b')")
	p.Until("document.querySelector('#sheet .facts').innerText.includes('exit code 1 Error')")
	p.Look(1280, 900, true)
	p.Photograph(w.ArtifactDir(), "ui-1280-dark-sheet.png")
	p.Press("Escape")
	p.Until("document.getElementById('sheet').hidden && document.activeElement.className === 'link'")

	p.Press("Tab") // to the time line
	p.Until("document.activeElement.className === 'name' && document.activeElement.innerText.includes('deployment/store')")
	p.Press("s")
	p.Until("document.getElementById('ask').open && document.activeElement.id === 'ask-number' && document.activeElement.value === '1'")
	p.Type("4")
	p.Photograph(w.ArtifactDir(), "ui-1280-dark-dialog.png")
	p.Press("Enter")
	p.Until("!document.getElementById('ask').open && document.getElementById('said').textContent === 'deployment.apps/store scaled to 4'")
	if n, _, _ := unstructured.NestedInt64(w.world.Get("Deployment", "store").Object, "spec", "replicas"); n != 4 {
		w.Errorf("there are to be %d replicas", n)
	}
	p.Until("document.querySelector('[aria-label=\"deployment/store\"] .track i.change') !== null")

	p.Press("ArrowDown", "d")
	p.Until("document.getElementById('ask').open && document.activeElement.id === 'ask-no'")
	p.Press("Escape") // nothing happens
	p.Until("!document.getElementById('ask').open && document.activeElement.className === 'name'")
	if w.world.Get("Pod", "store-7d9f-a") == nil {
		w.Error("the pod is deleted though the dialog was closed")
	}
	p.Press("d")
	p.Until("document.getElementById('ask').open")
	p.Press("Tab", "Enter")
	p.Until("document.getElementById('said').textContent === 'pod/store-7d9f-a deleted'")
	p.Until("document.querySelector('.row.pod.ended') !== null")

	p.Press("?")
	p.Until("document.getElementById('help').open")
	p.Press("Escape")
}

// narrow looks at the page on a telephone.
func (w *served) narrow(p *chromium.Page) {
	w.Helper()
	for _, dark := range []bool{false, true} {
		p.Look(400, 850, dark)
		p.Eval("document.getElementById('search').value = ''; document.getElementById('search').dispatchEvent(new Event('input')); scrollTo(0, 0)")
		p.Until("document.querySelectorAll('.row.pod:not([hidden])').length === 7")
		p.Photograph(w.ArtifactDir(), fmt.Sprintf("ui-400-dark-%v.png", dark))
		if wide := p.Overflows(); wide != "" {
			w.Errorf("at 400 pixels it scrolls to the side: %s", wide)
		}
	}
	p.Eval("[...document.querySelectorAll('.row.pod .name')].find(b => b.innerText.includes('web-7d9f-a')).click()")
	p.Until("document.getElementById('log-lines').innerText.includes('GET /checkout 500 12ms')")
	p.Eval("document.getElementById('log-search').focus()")
	p.Type("checkout")
	p.Until("[...document.querySelectorAll('#log-lines div:not([hidden])')].length === 1")
	p.Photograph(w.ArtifactDir(), "ui-400-dark-sheet.png")
	if wide := p.Overflows(); wide != "" {
		w.Errorf("at 400 pixels the sheet scrolls to the side: %s", wide)
	}
}
