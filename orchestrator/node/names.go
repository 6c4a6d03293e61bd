package node

import (
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
)

// Labels by which containers are found again. The io.kubernetes.* keys are those of the CRI
// (k8s.io/kubernetes/pkg/kubelet/types/labels.go), which other tools know.
const (
	labelPodUID       = "io.kubernetes.pod.uid"
	labelPodName      = "io.kubernetes.pod.name"
	labelPodNamespace = "io.kubernetes.pod.namespace"
	labelContainer    = "io.kubernetes.container.name"
	labelNode         = "skiff/node"
	labelAttempt      = "skiff/attempt"
	labelSpecHash     = "skiff/spec-hash"
	// labelSandbox is the attempt of the sandbox that the container was started in.
	labelSandbox = "skiff/sandbox"
)

// sandboxName stands for the pause container where a container's name is expected. The CRI uses it too; no container
// of a pod can bear it, theirs are lower case.
const sandboxName = "POD"

// containerName is the container's name on the engine: kubia-dssvz_3f2a9c1e, kubia-dssvz_3f2a9c1e_2 for its third
// attempt, kubia_shop_web_3f2a9c1e for container web of a pod in namespace shop. It is the same each time, so a create
// that was cut off is found and not repeated. The start of the UID keeps apart pods that bear one name after another,
// or in two instances on one engine.
func containerName(pod *corev1.Pod, container string, attempt int) string {
	parts := []string{pod.Name}
	if pod.Namespace != corev1.NamespaceDefault {
		parts = append(parts, pod.Namespace)
	}
	if !isOnlyContainer(&pod.Spec, container) {
		parts = append(parts, container)
	}
	parts = append(parts, shortUID(pod.UID))
	if attempt > 0 {
		parts = append(parts, strconv.Itoa(attempt))
	}
	return strings.Join(parts, "_")
}

func isOnlyContainer(spec *corev1.PodSpec, container string) bool {
	return len(spec.InitContainers) == 0 && len(spec.Containers) == 1 && spec.Containers[0].Name == container
}

// shortUID is the first group of a UUID, or a hash of anything else.
func shortUID(uid types.UID) string {
	if len(uid) == 36 {
		return string(uid[:8])
	}
	h := fnv.New32a()
	h.Write([]byte(uid))
	return fmt.Sprintf("%08x", h.Sum32())
}

// containerLabels are the labels a container of the pod bears. The pod's own come first: they never hide ours.
func containerLabels(pod *corev1.Pod, container, specHash string, attempt, sandbox int) map[string]string {
	labels := maps.Clone(pod.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelPodUID] = string(pod.UID)
	labels[labelPodName] = pod.Name
	labels[labelPodNamespace] = pod.Namespace
	labels[labelContainer] = container
	labels[labelNode] = pod.Spec.NodeName
	labels[labelAttempt] = strconv.Itoa(attempt)
	labels[labelSpecHash] = specHash
	labels[labelSandbox] = strconv.Itoa(sandbox)
	return labels
}

// specHash tells whether a running container is still the one its pod asks for. Only what an update of a pod may
// change about a container counts: the image (k8s.io/kubernetes/pkg/kubelet/container/helpers.go, pickFieldsToHash).
// A new version of skiff must not change it, or it would restart what it takes over.
func specHash(c *corev1.Container) string {
	h := fnv.New32a()
	h.Write([]byte(c.Name + "\x00" + c.Image))
	return fmt.Sprintf("%08x", h.Sum32())
}

// identity is what a container's labels say about the pod it belongs to.
type identity struct {
	uid             types.UID
	namespace, name string
	container       string
	attempt         int
	sandbox         int
	hash            string
}

// identify reads a container's labels; ok is false when they are not those of a container of this node's pods.
func identify(labels map[string]string, node string) (id identity, ok bool) {
	id = identity{
		uid:       types.UID(labels[labelPodUID]),
		namespace: labels[labelPodNamespace],
		name:      labels[labelPodName],
		container: labels[labelContainer],
		hash:      labels[labelSpecHash],
	}
	if id.uid == "" || id.container == "" || labels[labelNode] != node {
		return identity{}, false
	}
	var err error
	if id.attempt, err = strconv.Atoi(labels[labelAttempt]); err != nil {
		return identity{}, false
	}
	if id.sandbox, err = strconv.Atoi(labels[labelSandbox]); err != nil {
		return identity{}, false
	}
	return id, true
}

// Of is the name of the node that a container's labels name, empty for a container that is no pod's.
func Of(labels map[string]string) string { return labels[labelNode] }

// PodOf is the UID of the pod that a container's labels name.
func PodOf(labels map[string]string) types.UID { return types.UID(labels[labelPodUID]) }

// attempt is one run of a container of a pod, or of its sandbox, as the agent last saw it.
type attempt struct {
	docker.Container
	// number is 0 for the first run; it is the container's restart count.
	number int
	// sandbox is the attempt of the sandbox it runs in.
	sandbox int
	hash    string
	// imageID is what the status shows: the image's digest in a registry if it has one.
	imageID string
	// removed says that the engine no longer has it. What is known about it still matters to the status.
	removed bool
	// adopted says that an earlier daemon started it.
	adopted bool
	// settled says that all that there is to know about it as it is now is known. The end of a run is first heard of by
	// an event, which does not tell everything.
	settled bool
	// stopped is why the agent stopped it, empty if it ended by itself or by another hand.
	stopped string
	// message is what it left as its termination message.
	message string
	// reason replaces the engine's when the status an earlier daemon wrote is all that is known.
	reason string
}

func newAttempt(c docker.Container, id identity) *attempt {
	return &attempt{Container: c, number: id.attempt, sandbox: id.sandbox, hash: id.hash, imageID: c.ImageID, settled: true}
}

// numberOr is the run's number, or another if there is no run.
func (a *attempt) numberOr(other int) int {
	if a == nil {
		return other
	}
	return a.number
}

// running tells whether it runs, as far as is known.
func (a *attempt) running() bool { return a != nil && !a.removed && a.State == docker.Running }

// neverStarted tells whether it was created and not yet tried to start: a daemon died between the two.
func (a *attempt) neverStarted() bool {
	return a != nil && !a.removed && a.State == docker.Created && a.Error == ""
}

// ended tells whether it ran, or could not be started, and will not run again.
func (a *attempt) ended() bool { return a != nil && !a.running() && !a.neverStarted() }

// failedToStart tells whether the engine could not start it.
func (a *attempt) failedToStart() bool {
	return a != nil && a.Error != "" && a.StartedAt.IsZero()
}

// exit codes of the container runtimes for what is not an exit of the container's process.
const (
	// exitKilled is 128 + SIGKILL, for a container that went without a trace.
	exitKilled = 137
	// exitNotStarted is what containerd reports for a container that could not be started.
	exitNotStarted = 128
)

// exitCode is the code the API shows.
func (a *attempt) exitCode() int32 {
	if a.failedToStart() {
		return exitNotStarted
	}
	return int32(a.ExitCode)
}

// newer tells whether b, another look at the same container, shows a later moment of its life than a. Looks may arrive
// out of order; a life goes only forward, unless someone started the container anew by hand.
func (a *attempt) newer(b docker.Container) bool {
	if b.StartedAt.After(a.StartedAt) {
		return true
	}
	if b.StartedAt.Before(a.StartedAt) {
		return false
	}
	return lifeOrder(b.State) >= lifeOrder(a.State)
}

func lifeOrder(s docker.State) int {
	switch s {
	case docker.Created:
		return 0
	case docker.Running:
		return 1
	case docker.Exited:
		return 2
	}
	return 3
}
