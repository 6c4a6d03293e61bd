package pod

import (
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Labels by which containers are found again. The io.kubernetes.* keys are the CRI's
// (k8s.io/kubernetes/pkg/kubelet/types/labels.go), which other tools know too.
const (
	LabelPodUID       = "io.kubernetes.pod.uid"
	LabelPodName      = "io.kubernetes.pod.name"
	LabelPodNamespace = "io.kubernetes.pod.namespace"
	LabelContainer    = "io.kubernetes.container.name"
	LabelNode         = "skiff/node"
	LabelAttempt      = "skiff/attempt"
	LabelSpecHash     = "skiff/spec-hash"
	// LabelSandbox is the attempt of the sandbox in which the container was started.
	LabelSandbox = "skiff/sandbox"
	// LabelRound is how often all containers of the pod had been restarted together before; a
	// container without it is of the first round.
	LabelRound = "skiff/round"
)

// SandboxName stands for the pause container where a container's name is expected, as in the CRI.
// No container of a pod can have it: their names are lower case.
const SandboxName = "POD"

// ContainerName is a container's name on the engine: kubia-dssvz_3f2a9c1e, kubia-dssvz_3f2a9c1e_2
// for its third attempt, kubia_shop_web_3f2a9c1e for container web of a pod in namespace shop. It
// is deterministic, so a create that was interrupted is found and not repeated. The start of the
// UID distinguishes pods that have the same name, one after another or in two instances on one
// engine.
func ContainerName(pod *corev1.Pod, container string, attempt int) string {
	parts := []string{pod.Name}
	if pod.Namespace != corev1.NamespaceDefault {
		parts = append(parts, pod.Namespace)
	}
	if !isOnlyContainer(&pod.Spec, container) {
		parts = append(parts, container)
	}
	parts = append(parts, ShortUID(pod.UID))
	if attempt > 0 {
		parts = append(parts, strconv.Itoa(attempt))
	}
	return strings.Join(parts, "_")
}

func isOnlyContainer(spec *corev1.PodSpec, container string) bool {
	return len(spec.InitContainers) == 0 && len(spec.Containers) == 1 && spec.Containers[0].Name == container
}

// ShortUID is the first group of a UUID, or a hash of anything else.
func ShortUID(uid types.UID) string {
	if len(uid) == 36 {
		return string(uid[:8])
	}
	h := fnv.New32a()
	h.Write([]byte(uid))
	return fmt.Sprintf("%08x", h.Sum32())
}

// ContainerLabels are the labels of a pod's container: the pod's own and skiff's, which win.
func ContainerLabels(pod *corev1.Pod, container, specHash string, attempt, sandbox int) map[string]string {
	labels := maps.Clone(pod.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[LabelPodUID] = string(pod.UID)
	labels[LabelPodName] = pod.Name
	labels[LabelPodNamespace] = pod.Namespace
	labels[LabelContainer] = container
	labels[LabelNode] = pod.Spec.NodeName
	labels[LabelAttempt] = strconv.Itoa(attempt)
	labels[LabelSpecHash] = specHash
	labels[LabelSandbox] = strconv.Itoa(sandbox)
	return labels
}

// SpecHash changes when a running container is no longer the one its pod asks for. It covers only
// what an update of a pod may change about a container, the image
// (k8s.io/kubernetes/pkg/kubelet/container/helpers.go, pickFieldsToHash). It must be the same in
// every version of skiff: a new version would otherwise restart the containers it takes over.
func SpecHash(c *corev1.Container) string {
	h := fnv.New32a()
	h.Write([]byte(c.Name + "\x00" + c.Image))
	return fmt.Sprintf("%08x", h.Sum32())
}

// Identity is what a container's labels say about the pod it belongs to.
type Identity struct {
	UID             types.UID
	Namespace, Name string
	Container       string
	Attempt         int
	Sandbox         int
	Round           int
	Hash            string
}

// Identify reads a container's labels. ok is false if they are not those of a container of one of
// the node's pods.
func Identify(labels map[string]string, node string) (id Identity, ok bool) {
	id = Identity{
		UID:       types.UID(labels[LabelPodUID]),
		Namespace: labels[LabelPodNamespace],
		Name:      labels[LabelPodName],
		Container: labels[LabelContainer],
		Hash:      labels[LabelSpecHash],
	}
	if id.UID == "" || id.Container == "" || labels[LabelNode] != node {
		return Identity{}, false
	}
	var err error
	if id.Attempt, err = strconv.Atoi(labels[LabelAttempt]); err != nil {
		return Identity{}, false
	}
	if id.Sandbox, err = strconv.Atoi(labels[LabelSandbox]); err != nil {
		return Identity{}, false
	}
	if round, ok := labels[LabelRound]; ok {
		if id.Round, err = strconv.Atoi(round); err != nil {
			return Identity{}, false
		}
	}
	return id, true
}

// NodeOf is the node that a container's labels name, empty if the container belongs to no pod.
func NodeOf(labels map[string]string) string { return labels[LabelNode] }

// UIDOf is the UID of the pod that a container's labels name.
func UIDOf(labels map[string]string) types.UID { return types.UID(labels[LabelPodUID]) }
