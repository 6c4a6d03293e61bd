package diagnosis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/cli/events"
)

// waitingCreate are the waiting reasons of a container that the engine or its settings refuse.
var waitingCreate = []string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError"}

// container adds what is wrong with a container.
func (s *Scene) container(r *Report, p *corev1.Pod, st *corev1.ContainerStatus) {
	c := spec(p, st.Name)
	w, t := st.State.Waiting, st.State.Terminated
	switch {
	case w != nil && slices.Contains(imageReasons, w.Reason):
		s.image(r, p, c, w)
	case w != nil && w.Reason == HostPortInUse:
		r.wrong("is not ready: %s", Reason(w.Reason, w.Message))
		s.portTaken(r, p)
	case w != nil && slices.Contains(waitingCreate, w.Reason):
		r.wrong("is not ready: %s", Reason(w.Reason, w.Message))
		s.refusal(r, c, w)
		if last := st.LastTerminationState.Terminated; last != nil {
			s.ended(r, p, st, last, true)
		}
	case w != nil && st.LastTerminationState.Terminated != nil:
		s.ended(r, p, st, st.LastTerminationState.Terminated, true)
		s.backOff(r, st)
	case t != nil && t.ExitCode != 0:
		r.wrong("is not ready: %s", exited(st.Name, t))
		s.ended(r, p, st, t, false)
	case st.State.Running != nil:
		s.running(r, p, c, st)
	}
}

// spec is a container of a pod as its manifest has it; one of that name alone when there is none.
func spec(p *corev1.Pod, name string) *corev1.Container {
	for _, all := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range all {
			if all[i].Name == name {
				return &all[i]
			}
		}
	}
	return &corev1.Container{Name: name}
}

// refusal adds what to do about settings that the engine or skiff refuses.
func (s *Scene) refusal(r *Report, c *corev1.Container, w *corev1.ContainerStateWaiting) {
	switch missing := missingObject.FindStringSubmatch(w.Message); {
	case missing != nil:
		r.cause("container %s takes variables or files from %s %q, which does not exist", c.Name, missing[1], missing[2])
		r.do("skiff create %s %s, or mark the reference as optional: true", createWord[missing[1]], missing[2])
	case missingKey.MatchString(w.Message):
		r.do("add the key, or mark the reference as optional: true")
	case strings.Contains(w.Message, "runAsNonRoot"):
		r.do("set securityContext.runAsUser of container %s to a user other than 0, or runAsNonRoot to false", c.Name)
	default:
		s.notStarted(r, c, w.Message)
	}
	if w.Reason != "RunContainerError" {
		r.next("it is tried again every 10 s")
	}
}

// createWord is what skiff create calls what is missing.
var createWord = map[string]string{"configmap": "configmap", "secret": "secret generic"}

var (
	missingObject = regexp.MustCompile(`\b(configmap|secret) "([^"]+)" not found`)
	missingKey    = regexp.MustCompile(`find key \S+ in (ConfigMap|Secret)`)
)

// notStarted adds what to do about a container that the engine could not start.
func (s *Scene) notStarted(r *Report, c *corev1.Container, message string) {
	switch {
	case strings.Contains(message, "executable file not found"), strings.Contains(message, "no such file or directory"):
		r.do("check command and args of container %s: %s is not in the image%s, or not in its $PATH", c.Name, program(c), withImage(c))
	case strings.Contains(message, "permission denied"):
		r.do("make %s executable in the image%s (chmod +x in its Dockerfile)", program(c), withImage(c))
	case strings.Contains(message, "exec format error"):
		r.do("build the image%s for this machine's processor; a script needs a first line such as #!/bin/sh", withImage(c))
	}
}

// program is what a container runs, as far as the manifest says.
func program(c *corev1.Container) string {
	switch {
	case len(c.Command) > 0:
		return fmt.Sprintf("%q", c.Command[0])
	case len(c.Args) > 0:
		return fmt.Sprintf("its entry point, or %q", c.Args[0])
	}
	return "its entry point"
}

func withImage(c *corev1.Container) string {
	if c.Image == "" {
		return ""
	}
	return " " + c.Image
}

// ended adds how a container has ended, by whom, and where its log is.
func (s *Scene) ended(r *Report, p *corev1.Pod, st *corev1.ContainerStatus, t *corev1.ContainerStateTerminated, previous bool) {
	c := spec(p, st.Name)
	if t.ExitCode != 0 && r.Log == nil {
		r.Log = &Log{Pod: p.Name, Container: st.Name, Previous: previous}
	}
	if !t.StartedAt.IsZero() && !t.FinishedAt.IsZero() {
		r.cause("container %s started at %s and ended at %s", st.Name, s.at(t.StartedAt.Time), s.at(t.FinishedAt.Time))
	}
	r.cause("%s", exitCause(c, t))
	if t.Message != "" && t.ExitCode != exitNotStarted {
		r.cause("its last words: %s", t.Message)
	}
	switch killer := s.killer(p, st.Name, t); {
	case t.Reason == outOfMemory:
		r.do("give container %s more memory (resources.limits.memory), or have it need less", st.Name)
	case killer != nil && killer.Reason == killing:
		s.killedBySkiff(r, p, c, killer)
	case killer != nil:
		r.cause("%s", OneLine(killer.Message))
	case t.ExitCode == exitNotStarted:
		s.notStarted(r, c, t.Message)
	case t.ExitCode == exitNotFound, t.ExitCode == exitNotExecutable:
		if c.Image != "" {
			r.do("check command and args of container %s, and the scripts that it runs, against what is in the image %s", c.Name, c.Image)
		}
	case t.ExitCode == 0 && st.State.Waiting != nil && st.State.Waiting.Reason == CrashLoop:
		r.cause("it ended by itself, without an error, but what the pod runs is to keep running")
		r.do("have it run in the foreground, or make it a Job if it is meant to end")
	}
}

// Reasons of the events of a container that is stopped: by skiff, and by somebody else.
const (
	killing         = "Killing"
	killedElsewhere = "KilledElsewhere"
)

// killer is the event that says who ended a container; nil when nobody did, as far as is known.
func (s *Scene) killer(p *corev1.Pod, container string, t *corev1.ContainerStateTerminated) *corev1.Event {
	if t.FinishedAt.IsZero() {
		return nil
	}
	all := s.about(p, "Pod")
	for i := range slices.Backward(all) {
		e := &all[i]
		at := events.Last(e)
		if (e.Reason == killing || e.Reason == killedElsewhere) && ofContainer(e, container) &&
			!at.Before(t.StartedAt.Time) && !at.After(t.FinishedAt.Add(time.Second)) {
			return e
		}
	}
	return nil
}

// ofContainer reports whether an event is about a container, or does not say about which.
func ofContainer(e *corev1.Event, container string) bool {
	path := e.InvolvedObject.FieldPath
	return path == "" || strings.HasSuffix(path, "{"+container+"}")
}

// killedBySkiff adds why skiff has ended a container.
func (s *Scene) killedBySkiff(r *Report, p *corev1.Pod, c *corev1.Container, e *corev1.Event) {
	for kind, probe := range probes(c) {
		if !strings.Contains(e.Message, "failed "+strings.ToLower(kind)+" probe") {
			continue
		}
		r.cause("skiff killed it at %s, because its %s failed", s.at(events.Last(e)), probeName(kind, probe))
		s.answers(r, p, c, kind, probe)
		return
	}
	r.cause("skiff stopped it at %s: %s", s.at(events.Last(e)), OneLine(e.Message))
}

// backOffTime matches the message of a container that is not restarted yet, as kubelet writes it.
var backOffTime = regexp.MustCompile(`^back-off (\S+) restarting`)

// backOff adds when a container that keeps ending is started again.
func (s *Scene) backOff(r *Report, st *corev1.ContainerStatus) {
	m := backOffTime.FindStringSubmatch(st.State.Waiting.Message)
	if m == nil {
		return
	}
	d, err := time.ParseDuration(m[1])
	if err != nil || st.LastTerminationState.Terminated.FinishedAt.IsZero() {
		return
	}
	r.next("container %s is started again at %s (back-off %s, which doubles with each failure up to 5m)",
		st.Name, s.at(st.LastTerminationState.Terminated.FinishedAt.Add(d)), m[1])
}

// running adds what keeps a container that runs from being ready, or is about to end it.
func (s *Scene) running(r *Report, p *corev1.Pod, c *corev1.Container, st *corev1.ContainerStatus) {
	switch {
	case c.StartupProbe != nil && !ptr.Deref(st.Started, false):
		s.probed(r, p, c, st, "Startup", c.StartupProbe)
	case c.ReadinessProbe != nil && !st.Ready:
		s.probed(r, p, c, st, "Readiness", c.ReadinessProbe)
	}
	if c.LivenessProbe != nil {
		s.dying(r, p, c, st)
	}
}
