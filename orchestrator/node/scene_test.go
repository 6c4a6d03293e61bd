package node

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"skiff/docker"
	"skiff/probe"
)

// scene is a view as a test writes it down.
type scene struct {
	// pod is the manifest's spec in YAML; status is that of the pod.
	pod    string
	status string
	// deleted is the grace period of a deletion that has just been asked for, in seconds; nil is none.
	deleted    *int64
	deletedAgo time.Duration
	finalizers []string
	gone       bool
	// runs describes what is on the engine, see parseRun.
	runs string
	// works describes what is under way: "kubia starting 1; kubia stopping 0 grace 30s since 5s".
	works    string
	crashes  map[string]backoff
	failures map[string]failure
	images   map[string]imageView
	pulls    map[string]pullFailure
	verdicts map[string]probe.State
	stale    []string
	engine   string
	noAddr   bool
}

var (
	sceneNow = time.Date(2030, 4, 1, 12, 0, 0, 0, time.UTC)
	sceneIP  = netip.MustParseAddr("172.30.0.9")
)

const sceneUID = "3f2a9c1e-0000-4000-8000-000000000001"

func seconds64(n int64) *int64 { return &n }

// well is what probes say about a container that is well.
var well = probe.State{Startup: probe.Success, Liveness: probe.Success, Readiness: probe.Success}

func (s scene) manifest(t *testing.T) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "kubia", Namespace: "default", UID: sceneUID, Generation: 1, Finalizers: s.finalizers,
	}}
	spec := s.pod
	if spec == "" {
		spec = "containers: [{name: kubia, image: kubia}]"
	}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatalf("pod: %v", err)
	}
	if err := yaml.UnmarshalStrict([]byte(s.status), &pod.Status); err != nil {
		t.Fatalf("status: %v", err)
	}
	defaultPod(pod)
	if s.deleted != nil {
		at := metav1.NewTime(sceneNow.Add(seconds(*s.deleted) - s.deletedAgo))
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &at, s.deleted
	}
	return pod
}

// defaultPod sets what the API would have set.
func defaultPod(pod *corev1.Pod) {
	pod.Spec.NodeName = "here"
	if pod.Spec.RestartPolicy == "" {
		pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	if pod.Spec.TerminationGracePeriodSeconds == nil {
		pod.Spec.TerminationGracePeriodSeconds = seconds64(30)
	}
	for _, c := range allContainers(&pod.Spec) {
		if c.ImagePullPolicy == "" {
			c.ImagePullPolicy = corev1.PullIfNotPresent
		}
	}
}

func (s scene) view(t *testing.T) *view {
	t.Helper()
	v := &view{
		now: sceneNow, pod: s.manifest(t), uid: sceneUID, namespace: "default", name: "kubia",
		attempts: map[string][]*attempt{}, works: map[string]work{},
		crashes: s.crashes, failures: s.failures, images: s.images, pulls: s.pulls, verdicts: s.verdicts,
		policy: backoffPolicy{first: 10 * time.Second, max: 5 * time.Minute},
		hostIP: "192.168.1.2", stale: s.stale, engineGone: s.engine,
	}
	if !s.noAddr {
		v.addr = sceneIP
	}
	for _, text := range split(s.runs) {
		a := parseRun(t, v.pod, text)
		v.attempts[a.nameOf()] = insert(v.attempts[a.nameOf()], a)
	}
	for _, text := range split(s.works) {
		name, w := parseWork(t, text)
		v.works[name] = w
	}
	if s.gone {
		v.pod = nil
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

// parseRun reads "kubia 1 exited 137 5s ago", "kubia 0 running 1m ago", "kubia 0 created", "kubia 2 unstartable 3s ago",
// each with any of "removed", "stopped", "oom", "changed", "sandbox=1" behind it.
func parseRun(t *testing.T, pod *corev1.Pod, text string) *attempt {
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
	number := atoi(t, next())
	hash := ""
	if c := findContainer(&pod.Spec, name); c != nil {
		hash = specHash(c)
	}
	a := &attempt{number: number, hash: hash, settled: true}
	a.ID = name + "-" + strconv.Itoa(number)
	a.imageID = "sha256:1"
	a.Labels = map[string]string{labelContainer: name}
	if name == sandboxName {
		a.sandbox = number
	}
	a.CreatedAt = sceneNow.Add(-time.Hour)
	switch state := next(); state {
	case "created":
		a.State = docker.Created
	case "running":
		a.State, a.StartedAt = docker.Running, sceneNow.Add(-time.Minute)
	case "exited":
		a.State, a.ExitCode, a.StartedAt, a.FinishedAt = docker.Exited, atoi(t, next()), sceneNow.Add(-time.Hour), sceneNow
	case "unstartable":
		a.State, a.Error, a.ExitCode, a.CreatedAt = docker.Created, "no such program", 127, sceneNow
	default:
		t.Fatalf("run %q: state %q", text, state)
	}
	for len(words) > 0 {
		switch w := next(); {
		case w == "removed":
			a.removed = true
		case w == "stopped":
			a.stopped = "liveness probe failed"
		case w == "oom":
			a.OOMKilled = true
		case w == "changed":
			a.hash = "other"
		case w == "adopted":
			a.adopted = true
		case strings.HasPrefix(w, "sandbox="):
			a.sandbox = atoi(t, strings.TrimPrefix(w, "sandbox="))
		case len(words) > 0 && words[0] == "ago":
			next()
			ago, err := time.ParseDuration(w)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case a.Error != "":
				a.CreatedAt = sceneNow.Add(-ago)
			case a.State == docker.Exited:
				a.FinishedAt = sceneNow.Add(-ago)
			default:
				a.StartedAt = sceneNow.Add(-ago)
			}
		default:
			t.Fatalf("run %q: word %q", text, w)
		}
	}
	return a
}

// parseWork reads "kubia starting 1", "kubia pulling", "kubia hook 0", "id removing", "kubia stopping 0 30s of 60s".
func parseWork(t *testing.T, text string) (string, work) {
	t.Helper()
	words := strings.Fields(text)
	tasks := map[string]task{
		"starting": taskStart, "pulling": taskPull, "hook": taskHook, "removing": taskRemove, "stopping": taskStop, "deleting": taskDelete,
	}
	w := work{task: tasks[words[1]]}
	if w.task == "" {
		t.Fatalf("work %q", text)
	}
	if len(words) > 2 {
		w.attempt = atoi(t, words[2])
	}
	if w.task == taskStop {
		left, err := time.ParseDuration(words[3])
		if err != nil {
			t.Fatal(err)
		}
		if w.grace, err = time.ParseDuration(words[5]); err != nil {
			t.Fatal(err)
		}
		w.deadline = sceneNow.Add(left)
	}
	if words[0] == "pod" {
		return "", w
	}
	return words[0], w
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lines takes the indentation off a text.
func lines(text string) string {
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}
