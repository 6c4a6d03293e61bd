package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skiff/cli/clitest/chromium"
)

// run is a synthetic recording of a run with a hundred pods in five workloads, with logs, failed probes,
// restarts and a rollout, as a test suite of a real application has them.
func run(pods int) *Report {
	r := &Report{Title: "shop", Version: "v1", Began: start, Ended: start.Add(95 * time.Second), Message: "error: job/tests failed: BackoffLimitExceeded\n  tests | not ok\n"}
	after := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	names := []string{"web", "api", "worker", "store", "tests"}
	for i, name := range names {
		kind := "Deployment"
		if name == "tests" {
			kind = "Job"
		}
		done := after(20 + float64(i))
		w := &Workload{Kind: kind, Namespace: "default", Name: name, UID: "w-" + name, Began: after(0.5), Done: &done, Ready: kind != "Job", State: "20/20 ready",
			Spans: []Span{{State: Running, From: after(0.5), To: &done, Note: "7/20 ready"}, {State: Ready, From: done, To: &r.Ended, Note: "20/20 ready"}}}
		if kind == "Job" {
			w.Done, w.State, w.Problem = nil, "failed", "BackoffLimitExceeded: Job has reached the specified backoff limit"
			w.Spans[1] = Span{State: Exited, From: done, To: &r.Ended, Note: "failed", Failed: true}
		}
		if name == "web" {
			w.Changes = []Change{{At: after(30), What: "rollout: image of web from shop-web:1 to shop-web:2"}, {At: after(50), What: "rolled out"}}
		}
		r.Workloads = append(r.Workloads, w)
	}
	for i := range pods {
		addPod(r, names[i%len(names)], i, after)
	}
	return r
}

func addPod(r *Report, owner string, i int, after func(float64) time.Time) {
	kind := map[bool]string{true: "job", false: "deployment"}[owner == "tests"]
	p := &Pod{Namespace: "default", Name: fmt.Sprintf("%s-7d9f8b-%05d", owner, i), UID: fmt.Sprintf("p-%d", i), Owner: kind + "/" + owner, Node: "vm", Status: "Running", Began: after(1 + float64(i)/10)}
	c := &Container{Name: owner, Image: "shop-" + owner + ":1"}
	at := 1 + float64(i)/10
	step := func(state, note string, took float64) {
		to := after(at + took)
		c.Spans = append(c.Spans, Span{State: state, From: after(at), To: &to, Note: note, Failed: strings.HasPrefix(note, "exit code 1")})
		at += took
	}
	step(Waiting, "", 0.2)
	step(Pulling, "Pulling image", 2)
	step(Waiting, "ContainerCreating", 0.4)
	step(Running, "", 1.5)
	step(Ready, "", 20)
	if i%10 == 3 {
		step(Exited, "exit code 137 Error", 0)
		c.Spans[len(c.Spans)-1].Cause = "liveness probe failed: HTTP probe failed with statuscode: 500"
		c.Restarts = 1
		step(Running, "", 2)
	}
	step(Ready, "", 95-at)
	for n := range 12 {
		e := Event{At: after(2 + float64(i)/10 + float64(n)), Type: "Normal", Reason: "Started", Namespace: "default", Of: "pod/" + p.Name, UID: p.UID, Container: owner, Message: "Started container " + owner, Count: 1}
		if n > 4 {
			e.Type, e.Reason, e.Message, e.Count = "Warning", "Unhealthy", "Readiness probe failed: Get \"http://10.244.64.7:8080/healthz\": dial tcp 10.244.64.7:8080: connect: connection refused", int32(n)
		}
		r.Events = append(r.Events, e)
	}
	c.Log = realistic(i)
	p.Containers = []*Container{c}
	r.Pods = append(r.Pods, p)
	r.Objects = append(r.Objects, Object{Kind: "Pod", Namespace: "default", Name: p.Name, YAML: strings.Repeat(fmt.Sprintf("status:\n  podIP: 10.244.64.%d\n  phase: Running\n", i), 60)})
}

// realistic is a log of 120 kB: structured lines whose identifiers and times are never the same.
func realistic(seed int) string {
	var b strings.Builder
	random := uint64(seed + 1)
	for n := range 700 {
		random = random*6364136223846793005 + 1442695040888963407
		fmt.Fprintf(&b, `{"time":"2026-11-30T12:%02d:%02d.%09dZ","level":"INFO","msg":"request","method":"GET","path":"/products/%d","status":200,"took":"%dµs","trace":"%016x"}`+"\n",
			n/60%60, n%60, random%1e9, random>>40, random>>50, random)
	}
	return b.String()
}

// TestPlainReport: one that is not long is drawn when the page is loaded, from data that stands there to be read.
func TestPlainReport(t *testing.T) {
	dir := t.TempDir()
	if err := sample().Write(dir); err != nil {
		t.Fatal(err)
	}
	p := chromium.Open(t)
	p.Go("file://" + filepath.Join(dir, "report.html"))
	p.Until("document.readyState === 'complete'")
	for _, is := range []string{"document.documentElement.dataset.shown !== undefined", `document.getElementById('title').textContent === '<shop> & "co"'`,
		"document.querySelector('#logs pre').textContent.includes(']]> </script>')", "document.getElementById('events').innerText.includes('it is <b>bold</b> (x2)')"} {
		if p.Eval(is) != true {
			t.Errorf("it is not true that %s", is)
		}
	}
	if len(p.Errors) > 0 {
		t.Errorf("the page has errors: %v", p.Errors)
	}
}

// TestReportOfAHundredPods: it is under 2 MB and opens within a second, whatever was logged.
func TestReportOfAHundredPods(t *testing.T) {
	dir := t.TempDir()
	r := run(100)
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "report.html")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= 2_000_000 {
		t.Errorf("the page has %d bytes", info.Size())
	}
	p := chromium.Open(t)
	p.Look(1280, 900, false)
	p.Go("file://" + path)
	p.Until("document.documentElement.dataset.shown !== undefined")
	took := p.Eval("Number(document.documentElement.dataset.shown)").(float64)
	t.Logf("%d bytes, drawn after %.0f ms", info.Size(), took)
	if took > 10_000 { // a second on a machine that does nothing else, which no CI server is
		t.Errorf("drawn after %.0f ms", took)
	}
	if n := p.Eval("document.querySelectorAll('.row.pod').length"); n != 100.0 {
		t.Errorf("%v rows", n)
	}
	if n := p.Eval("document.querySelectorAll('.row.pod .track i.probe:not([hidden])').length").(float64); n < 100 {
		t.Errorf("%v failed probes are ticks", n)
	}
	if got := p.Eval("document.querySelector('.track i.change').title").(string); !strings.Contains(got, "image of web from shop-web:1 to shop-web:2") {
		t.Errorf("the rollout is %q", got)
	}
	if got := p.Eval("document.querySelector('.row.pod .track b.failed').title").(string); !strings.Contains(got, "exit code 137 Error, liveness probe failed: HTTP probe failed with statuscode: 500") {
		t.Errorf("the restart is %q", got)
	}
	p.Photograph(t.ArtifactDir(), "report-1280-light.png")

	p.Press("/")
	p.Type("worker-7d9f8b-00002")
	p.Until("document.querySelectorAll('.row.pod:not([hidden])').length === 1")
	p.Press("Tab", "ArrowDown", "Enter")
	p.Until("document.querySelector('#sheet .facts').innerText.includes('Image') && document.querySelector('#sheet h2').textContent.includes('worker-7d9f8b-00002')")
	p.Look(1280, 900, true)
	p.Photograph(t.ArtifactDir(), "report-1280-dark.png")
	p.Press("Escape")
	p.Until("document.querySelector('#sheet').hidden")

	p.Look(400, 850, false)
	p.Photograph(t.ArtifactDir(), "report-400-light.png")
	if wide := p.Overflows(); wide != "" {
		t.Errorf("at 400 pixels it scrolls to the side: %s", wide)
	}
	if len(p.Errors) > 0 {
		t.Errorf("the page has errors: %v", p.Errors)
	}
}
