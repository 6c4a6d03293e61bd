package report

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

var start = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// TestLifeOfAContainer: each state is a span, and an end between two looks is not missed.
func TestLifeOfAContainer(t *testing.T) {
	r := &Recorder{workloads: map[types.UID]*Workload{}, pods: map[types.UID]*Pod{}, owners: map[types.UID]string{}, logs: newLogs(nil)}
	r.seeWorkload(object(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, uid: d}}`), look{now: start})
	r.seeWorkload(object(t, `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, uid: s, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]}}`), look{now: start})
	at := func(seconds int, status string) {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-1-a", UID: "p", OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-1", UID: "s", Controller: ptr.To(true)}}}}
		p.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
		if err := yaml.UnmarshalStrict([]byte(status), &p.Status); err != nil {
			t.Fatal(err)
		}
		l := look{now: start.Add(time.Duration(seconds) * time.Second)}
		if status == "{phase: Succeeded}" {
			l.kind = watch.Deleted
		}
		r.seePod(p, l)
	}
	at(0, `{}`)
	at(1, `{containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]}`)
	at(2, `{containerStatuses: [{name: c, state: {running: {}}}]}`)
	at(3, `{containerStatuses: [{name: c, ready: true, state: {running: {}}}]}`)
	at(4, `{containerStatuses: [{name: c, ready: true, state: {running: {}}}]}`)
	at(5, `{containerStatuses: [{name: c, restartCount: 1, state: {running: {}}, lastState: {terminated: {exitCode: 3, reason: Error}}}]}`)
	at(6, `{containerStatuses: [{name: c, restartCount: 1, state: {terminated: {exitCode: 0, reason: Completed}}}]}`)
	at(7, `{phase: Succeeded}`)
	p := r.pods["p"]
	var got []string
	for _, s := range p.Containers[0].Spans {
		text := s.State + " " + s.From.Sub(start).String() + "-" + s.To.Sub(start).String() + " " + s.Note
		if s.Failed {
			text += " failed"
		}
		got = append(got, strings.TrimSpace(text))
	}
	want := []string{"waiting 0s-1s", "waiting 1s-2s ContainerCreating", "running 2s-3s", "ready 3s-5s", "exited 5s-5s exit code 3 Error failed", "running 5s-6s", "exited 6s-7s exit code 0 Completed"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	r.close("p", p, start)
	if p.Owner != "deployment/web" || p.Containers[0].Restarts != 1 || p.Ended == nil {
		t.Errorf("%+v", p)
	}
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestProgress(t *testing.T) {
	for _, test := range []struct {
		object, state string
		ready         bool
	}{
		{`{kind: Deployment, spec: {replicas: 3}, status: {readyReplicas: 2}}`, "2/3 ready", false},
		{`{kind: Deployment, status: {readyReplicas: 1}}`, "1/1 ready", true},
		{`{kind: Deployment, metadata: {generation: 2}, status: {readyReplicas: 1, observedGeneration: 1}}`, "1/1 ready", false},
		{`{kind: DaemonSet, status: {numberReady: 1, desiredNumberScheduled: 2}}`, "1/2 ready", false},
		{`{kind: Job, spec: {completions: 4}, status: {succeeded: 1}}`, "1/4 complete", false},
		{`{kind: Job, status: {conditions: [{type: Complete, status: "True"}]}}`, "complete", true},
		{`{kind: Job, status: {conditions: [{type: Failed, status: "True"}]}}`, "failed", false},
	} {
		o := object(t, test.object)
		o.Object = normal(t, o.Object)
		if ready, state := progress(o); ready != test.ready || state != test.state {
			t.Errorf("%s: %v, %q", test.object, ready, state)
		}
	}
}

// normal has numbers as the client decodes them.
func normal(t *testing.T, o map[string]any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err == nil {
		return u.Object
	}
	raw, err = json.Marshal(map[string]any{"apiVersion": "x/v1", "kind": o["kind"], "metadata": o["metadata"], "spec": o["spec"], "status": o["status"]})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return u.Object
}

// sample is a report with all that could break the files it is written to.
func sample() *Report {
	done := start.Add(2 * time.Second)
	return &Report{
		Title: `<shop> & "co"`, Version: "v1", Message: "error: job/x failed\n  x | \x1b[31mred\x00</script><script>alert(1)</script>\n", Began: start, Ended: start.Add(3 * time.Second),
		Workloads: []*Workload{{Kind: "Deployment", Namespace: "default", Name: "web", Began: start, Done: &done, Ready: true, State: "1/1 ready"}, {Kind: "Job", Namespace: "default", Name: "x", Began: start, State: "failed"}},
		Pods: []*Pod{{Namespace: "default", Name: "x-1", UID: "u", Owner: "job/x", Status: "Error", Began: start, Containers: []*Container{
			{Name: "c", Image: "i", Restarts: 1, Log: "]]> </script>\n", Spans: []Span{{State: Ready, From: start, To: &done}, {State: Exited, From: done, To: &done, Note: "exit code 3 Error", Failed: true}}}}}},
		Events:  []Event{{At: start, Type: "Warning", Reason: "BackOff", Of: "pod/x-1", UID: "u", Message: "it is <b>bold</b>", Count: 2}},
		Objects: []Object{{Kind: "Pod", Namespace: "default", Name: "x-1", YAML: "a: </script>\n"}},
	}
}

// TestWrite: each file can be read back by what reads such files, whatever the texts hold.
func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	r := sample()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var back Report
	if err := json.Unmarshal(read("report.json"), &back); err != nil || back.Message != r.Message || len(back.Pods) != 1 {
		t.Errorf("report.json: %v, %+v", err, back)
	}
	var s suite
	if err := xml.Unmarshal(read("junit.xml"), &s); err != nil {
		t.Fatal(err)
	}
	if s.Tests != 3 || s.Failures != 2 || s.Time != "3.000" || s.Cases[0].Failure != nil || s.Cases[1].Failure == nil || s.Cases[1].Failure.Text != "pod/x-1: BackOff: it is <b>bold</b>\n" {
		t.Errorf("junit.xml: %+v", s)
	}
	if out := s.Cases[1].Out; out != "== pod/x-1 c ==\n]]> </script>\n" {
		t.Errorf("the log in junit.xml is %q", out)
	}
	html := string(read("report.html"))
	if strings.Count(html, "</script>") != 1 || strings.Contains(html, "<b>bold") || strings.Contains(html, "null /* DATA */") || !strings.Contains(html, "<title>&lt;shop&gt; &amp; &#34;co&#34;</title>") {
		t.Errorf("report.html:\n%s", html[:2000])
	}
}
