package node

import (
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/probe"
)

// view is all that a plan and a status are made from: what the store asks for, what the engine has, and what the agent
// is doing about it, seen at one moment. Nothing in it changes afterwards.
type view struct {
	now time.Time
	// pod is nil when the object is gone from the store, or is no longer this node's.
	pod             *corev1.Pod
	uid             types.UID
	namespace, name string
	// attempts holds the runs of each container, newest first, and of the sandbox under sandboxName. Runs that the
	// engine no longer has are among them as long as the status needs them.
	attempts map[string][]*attempt
	// works is what is under way, by container.
	works map[string]work
	// failures says which containers could last not be started.
	failures map[string]failure
	// crashes are the crash back-offs.
	crashes map[string]backoff
	policy  backoffPolicy
	// images is what is known about the image of a container that is about to start.
	images map[string]imageView
	// pulls are pulls that failed, by container.
	pulls map[string]pullFailure
	// verdicts are what the probes of each container's newest attempt have decided.
	verdicts map[string]probe.State
	// addr is the pod's IP, invalid while it has none.
	addr netip.Addr
	// hostIP is the node's address.
	hostIP string
	// stale names what has changed in the store since it was written to the pod's volumes.
	stale []string
	// refused says why the node does not take the pod, nil if it does.
	refused *refusal
	// engineGone says why nothing can be done now, empty while the engine answers; outage numbers the engine's outages.
	engineGone string
	outage     int
}

// task is a kind of work.
type task string

const (
	taskPull   task = "pulling the image of"
	taskStart  task = "starting"
	taskHook   task = "running the postStart hook of"
	taskStop   task = "stopping"
	taskRemove task = "removing"
	taskDelete task = "deleting"
)

// work is something under way for a container.
type work struct {
	task task
	// attempt is the run it is about.
	attempt int
	// deadline is when a stop turns into SIGKILL.
	deadline time.Time
	// grace is the whole grace period a stop was begun with.
	grace time.Duration
	// progress is how far a pull is, for a person to read.
	progress string
	// immediate says that it is over before its plan has been carried out.
	immediate bool
}

// failure is why a container could not be started, as its status shows it.
type failure struct {
	reason, message string
	// image is the reference the container had; it may have been changed since.
	image string
	// until is when to try again.
	until time.Time
	// unmounted says that it was a volume that could not be made.
	unmounted bool
}

// imageView is what is known about a container's image. The zero value is nothing.
type imageView struct {
	// ref is the reference the engine has been asked about.
	ref string
	// id is what a status shows: the digest in a registry, or the ID on the engine.
	id string
	// present says that the engine has it, local that it has never been in a registry, unknown that it is taken for
	// local because nothing tells where it comes from.
	present, local, unknown bool
	// doubted says that the engine turned out not to have it.
	doubted bool
	// pulled says that it has been pulled for this very start, or that this was tried in vain and the image the engine
	// has must do.
	pulled bool
}

// pullFailure is a pull that failed and when to try again.
type pullFailure struct {
	ref, message string
	until        time.Time
}

// failure is why the container could last not be started, nil if it was or if its image has been changed since.
func (v *view) failure(c *corev1.Container) *failure {
	f, ok := v.failures[c.Name]
	if !ok || f.image != c.Image {
		return nil
	}
	return &f
}

// latest is the newest run of a container, nil if it never ran.
func (v *view) latest(name string) *attempt {
	if list := v.attempts[name]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// current is the newest run of a container within the present sandbox. A run in an earlier one says nothing about
// whether the container must run now.
func (v *view) current(name string) *attempt {
	a := v.latest(name)
	if a == nil || !v.needsSandbox() {
		return a
	}
	if sandbox := v.latest(sandboxName); sandbox != nil && a.sandbox != sandbox.number {
		return nil
	}
	return a
}

// next is the number of a container's next run.
func (v *view) next(name string) int {
	if a := v.latest(name); a != nil {
		return a.number + 1
	}
	return 0
}

func (v *view) busy(name string) bool {
	_, ok := v.works[name]
	return ok
}

func (v *view) doing(name string, t task) bool {
	w, ok := v.works[name]
	return ok && w.task == t
}

// starting tells whether a container of the pod is being started. They start one after another, as with kubelet: a
// postStart hook holds back those behind it.
func (v *view) starting() bool {
	for _, w := range v.works {
		if w.task == taskStart || w.task == taskHook {
			return true
		}
	}
	return false
}

func (v *view) needsSandbox() bool { return v.pod != nil && needsSandbox(&v.pod.Spec) }

// needsSandbox tells whether a pod's containers share namespaces of a pause container: the network's, unless that is the
// host's, and that of IPC, unless that is too. A pod of one container owns its own: one more container would cost half a
// start again.
func needsSandbox(spec *corev1.PodSpec) bool {
	if isTrue(spec.ShareProcessNamespace) {
		return true
	}
	shares := !spec.HostNetwork || !spec.HostIPC
	return shares && (len(spec.InitContainers) > 0 || len(spec.Containers) > 1)
}

// live lists the runs that the engine is running.
func (v *view) live() []*attempt { return v.filter((*attempt).running) }

// onEngine lists the runs that the engine still has, running or not.
func (v *view) onEngine() []*attempt {
	return v.filter(func(a *attempt) bool { return !a.removed })
}

func (v *view) filter(keep func(*attempt) bool) []*attempt {
	var out []*attempt
	for _, name := range v.names() {
		for _, a := range v.attempts[name] {
			if keep(a) {
				out = append(out, a)
			}
		}
	}
	return out
}

// names lists the containers that have run, in the order of the pod's manifest, those it doesn't have behind and the
// sandbox last.
func (v *view) names() []string {
	var names []string
	add := func(name string) {
		if len(v.attempts[name]) > 0 && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if v.pod != nil {
		for _, c := range allContainers(&v.pod.Spec) {
			add(c.Name)
		}
	}
	var others []string
	for name := range v.attempts {
		if name != sandboxName && !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		add(name)
	}
	add(sandboxName)
	return names
}

// nameOf is the container a run belongs to.
func (a *attempt) nameOf() string { return a.Labels[labelContainer] }

// allContainers are the pod's init, regular and ephemeral containers.
func allContainers(spec *corev1.PodSpec) []*corev1.Container {
	out := make([]*corev1.Container, 0, len(spec.InitContainers)+len(spec.Containers)+len(spec.EphemeralContainers))
	for i := range spec.InitContainers {
		out = append(out, &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		out = append(out, &spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		out = append(out, (*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	return out
}

// isSidecar tells whether an init container goes on beside the regular ones
// (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// shouldRestart tells whether a container that ended with the given code runs again
// (k8s.io/kubernetes/pkg/api/v1/pod/util.go, ContainerShouldRestart).
func shouldRestart(spec *corev1.PodSpec, c *corev1.Container, exitCode int32) bool {
	if c.RestartPolicy != nil {
		if ruleRestarts(c, exitCode) {
			return true
		}
		switch *c.RestartPolicy {
		case corev1.ContainerRestartPolicyAlways:
			return true
		case corev1.ContainerRestartPolicyOnFailure:
			return exitCode != 0
		case corev1.ContainerRestartPolicyNever:
			return false
		}
	}
	switch spec.RestartPolicy {
	case corev1.RestartPolicyOnFailure:
		return exitCode != 0
	case corev1.RestartPolicyNever:
		return false
	}
	return true
}

// ruleRestarts tells whether one of the container's own rules asks for a restart.
func ruleRestarts(c *corev1.Container, exitCode int32) bool {
	for _, rule := range c.RestartPolicyRules {
		if rule.ExitCodes == nil {
			continue
		}
		in := slices.Contains(rule.ExitCodes.Values, exitCode)
		if in == (rule.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return rule.Action == corev1.ContainerRestartRuleActionRestart
		}
	}
	return false
}

// restarts is shouldRestart for a run that has ended. An init container that succeeded has done its work, whatever the
// pod's policy.
func (v *view) restarts(c *corev1.Container, a *attempt) bool {
	if v.isInit(c.Name) && !isSidecar(c) && a.exitCode() == 0 && !a.OOMKilled {
		return false
	}
	if v.isEphemeral(c.Name) {
		return false
	}
	if a.OOMKilled && a.exitCode() == 0 {
		return shouldRestart(&v.pod.Spec, c, exitKilled)
	}
	return shouldRestart(&v.pod.Spec, c, a.exitCode())
}

func (v *view) isInit(name string) bool {
	return slices.ContainsFunc(v.pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name })
}

func (v *view) isEphemeral(name string) bool {
	return slices.ContainsFunc(v.pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.Name == name })
}

// crashedUntil is when a container that has ended may run again, zero for at once.
func (v *view) crashedUntil(name string) time.Time {
	ended := v.lastCrash(name)
	if ended.IsZero() {
		return time.Time{}
	}
	until := v.crashes[name].until(v.policy, ended)
	if !until.After(v.now) {
		return time.Time{}
	}
	return until
}

// lastCrash is the end from which the back-off counts, zero if there is none: that of the newest run, or, if the agent
// stopped that one itself (for a failed probe, say), of the run before. So it is with kubelet, which looks for an ended
// run before it stops the present one (k8s.io/kubernetes/pkg/kubelet/kuberuntime/kuberuntime_manager.go, doBackOff).
func (v *view) lastCrash(name string) time.Time {
	runs := v.attempts[name]
	if len(runs) > 0 && runs[0].stopped != "" {
		runs = runs[1:]
	}
	if len(runs) == 0 || !runs[0].ended() {
		return time.Time{}
	}
	return runs[0].endedAt()
}

// endedAt is when a run ended, or, if the engine could not start it, when it was created.
func (a *attempt) endedAt() time.Time {
	if a.FinishedAt.IsZero() {
		return a.CreatedAt
	}
	return a.FinishedAt
}

// initialized tells whether a regular container has run in the present sandbox: then the init containers have too, even
// if nothing is left of them.
func (v *view) initialized() bool {
	for i := range v.pod.Spec.Containers {
		if a := v.current(v.pod.Spec.Containers[i].Name); a != nil && !a.neverStarted() {
			return true
		}
	}
	return false
}

// started tells whether a running container has passed its startup probe, if it has one.
func (v *view) started(c *corev1.Container) bool {
	if c.StartupProbe == nil {
		return true
	}
	return v.verdicts[c.Name].Startup == probe.Success
}

// ready tells whether a running container's readiness probe, if it has one, says that it takes traffic.
func (v *view) ready(c *corev1.Container) bool {
	return c.ReadinessProbe == nil || v.verdicts[c.Name].Readiness == probe.Success
}
