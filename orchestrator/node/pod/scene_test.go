package pod

import (
	"cmp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"skiff/docker"
	"skiff/orchestrator/node/internal/podtest"
	"skiff/probe"
)

// scene is a view as a test writes it down.
type scene struct {
	// pod is the manifest's spec in YAML; status is that of the pod.
	pod    string
	status string
	// deleted is the grace period of a deletion that has just been asked for, in seconds; nil is
	// none.
	deleted    *int64
	deletedAgo time.Duration
	finalizers []string
	gone       bool
	// runs describes what is on the engine, see parseRun.
	runs string
	// works describes what is under way: "kubia starting 1; kubia stopping 0 grace 30s since 5s".
	works    string
	crashes  map[string]Backoff
	failures map[string]StartFailure
	images   map[string]Image
	pulls    map[string]PullFailure
	verdicts map[string]probe.State
	stale    []string
	// allocated is the spec whose resources are allocated, the pod's unless set, and given are the
	// resources of the running containers, by name.
	allocated string
	given     map[string]string
	resize    Resize
	engine    string
	noAddr    bool
}

// well is what probes say about a container that is well.
var well = probe.State{Startup: probe.Success, Liveness: probe.Success, Readiness: probe.Success}

func (s scene) manifest(t *testing.T) *corev1.Pod {
	t.Helper()
	pod := podtest.Bare(t, cmp.Or(s.pod, "containers: [{name: kubia, image: kubia}]"))
	pod.Finalizers = s.finalizers
	if err := yaml.UnmarshalStrict([]byte(s.status), &pod.Status); err != nil {
		t.Fatalf("status: %v", err)
	}
	if s.deleted != nil {
		at := metav1.NewTime(podtest.Now.Add(seconds(*s.deleted) - s.deletedAgo))
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &at, s.deleted
	}
	return pod
}

func (s scene) view(t *testing.T) *View {
	t.Helper()
	v := &View{
		Now: podtest.Now, Pod: s.manifest(t), UID: podtest.UID, Namespace: "default", Name: "kubia",
		Attempts: Attempts{}, Operations: map[string]Operation{},
		Backoffs: s.crashes, StartFailures: s.failures, Images: s.images, PullFailures: s.pulls, Probes: s.verdicts,
		Policy: BackoffPolicy{First: 10 * time.Second, Max: 5 * time.Minute},
		HostIP: "192.168.1.2", Stale: s.stale, EngineDown: s.engine,
	}
	if !s.noAddr {
		v.Addr = podtest.IP
	}
	for _, text := range split(s.runs) {
		a := parseRun(t, v.Pod, text)
		v.Attempts.insert(a)
	}
	v.Resize = s.resize
	if s.allocated != "" {
		v.Allocation = Allocate(podtest.Bare(t, s.allocated))
	}
	for name, text := range s.given {
		var given corev1.ResourceRequirements
		if err := yaml.UnmarshalStrict([]byte(text), &given); err != nil {
			t.Fatalf("given: %v", err)
		}
		v.Latest(name).Resources = &given
	}
	for _, text := range split(s.works) {
		name, w := parseWork(t, text)
		v.Operations[name] = w
	}
	if s.gone {
		v.Pod = nil
	}
	return v
}

func split(list string) []string {
	var out []string
	for _, s := range strings.Split(list, ";") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// parseRun reads "kubia 1 exited 137 5s ago", "kubia 0 running 1m ago", "kubia 0 created", "kubia 2
// unstartable 3s ago", each with any of "removed", "stopped", "oom", "changed", "sandbox=1" behind
// it.
func parseRun(t *testing.T, pod *corev1.Pod, text string) *Attempt {
	t.Helper()
	words := strings.Fields(text)
	next := func() string {
		if len(words) == 0 {
			t.Fatalf("run %q: too short", text)
		}
		w := words[0]
		words = words[1:]
		return w
	}
	name := next()
	number := podtest.Atoi(t, next())
	hash := ""
	if c := FindContainer(&pod.Spec, name); c != nil {
		hash = SpecHash(c)
	}
	a := &Attempt{Number: number, Hash: hash, Settled: true}
	a.ID = name + "-" + strconv.Itoa(number)
	a.StatusImageID = "sha256:1"
	a.Labels = map[string]string{LabelContainer: name}
	if name == SandboxName {
		a.Sandbox = number
	}
	a.CreatedAt = podtest.Now.Add(-time.Hour)
	switch state := next(); state {
	case "created":
		a.State = docker.Created
	case "running":
		a.State, a.StartedAt = docker.Running, podtest.Now.Add(-time.Minute)
	case "exited":
		a.State, a.ExitCode, a.StartedAt, a.FinishedAt = docker.Exited, podtest.Atoi(t, next()), podtest.Now.Add(-time.Hour), podtest.Now
	case "unstartable":
		a.State, a.Error, a.ExitCode, a.CreatedAt = docker.Created, "no such program", 127, podtest.Now
	default:
		t.Fatalf("run %q: state %q", text, state)
	}
	for len(words) > 0 {
		switch w := next(); {
		case w == "removed":
			a.Removed = true
		case w == "stopped":
			a.StopCause = "liveness probe failed"
		case w == "oom":
			a.OOMKilled = true
		case w == "changed":
			a.Hash = "other"
		case w == "adopted":
			a.Adopted = true
		case strings.HasPrefix(w, "round="):
			a.Round = podtest.Atoi(t, strings.TrimPrefix(w, "round="))
		case w == "forresize":
			a.StopCause = causeResize
		case w == "nextround":
			a.StopCause = causeNextRound
		case strings.HasPrefix(w, "sandbox="):
			a.Sandbox = podtest.Atoi(t, strings.TrimPrefix(w, "sandbox="))
		case len(words) > 0 && words[0] == "ago":
			next()
			ago, err := time.ParseDuration(w)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case a.Error != "":
				a.CreatedAt = podtest.Now.Add(-ago)
			case a.State == docker.Exited:
				a.FinishedAt = podtest.Now.Add(-ago)
			default:
				a.StartedAt = podtest.Now.Add(-ago)
			}
		default:
			t.Fatalf("run %q: word %q", text, w)
		}
	}
	return a
}

// parseWork reads "kubia starting 1", "kubia pulling", "kubia hook 0", "id removing", "kubia
// stopping 0 30s of 60s".
func parseWork(t *testing.T, text string) (string, Operation) {
	t.Helper()
	words := strings.Fields(text)
	tasks := map[string]Task{
		"starting": TaskStart, "pulling": TaskPull, "hook": TaskHook, "removing": TaskRemove, "resizing": TaskResize, "stopping": TaskStop, "deleting": TaskDelete,
	}
	w := Operation{Task: tasks[words[1]]}
	if w.Task == "" {
		t.Fatalf("work %q", text)
	}
	if len(words) > 2 {
		w.Attempt = podtest.Atoi(t, words[2])
	}
	if w.Task == TaskStop {
		left, err := time.ParseDuration(words[3])
		if err != nil {
			t.Fatal(err)
		}
		if w.Grace, err = time.ParseDuration(words[5]); err != nil {
			t.Fatal(err)
		}
		w.Deadline = podtest.Now.Add(left)
	}
	if words[0] == "pod" {
		return "", w
	}
	return words[0], w
}
