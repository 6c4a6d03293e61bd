package debug

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"skiff/cli/command"
	"skiff/cli/pods"
)

// wishes are what the command line says of the debugging container and its pod.
type wishes struct {
	image, container, target, copyTo, profile string
	pull                                      corev1.PullPolicy
	words                                     []string
	argsOnly, stdin, tty, quiet               bool
	vars                                      []corev1.EnvVar
	images                                    map[string]string // by container; "*" for all
	replace, sameNode                         bool
	// share is nil unless the flag is on the command line.
	share  *bool
	keep   keep
	custom *corev1.Container
}

// keep says what a copy keeps of the pod's.
type keep struct{ labels, annotations, liveness, readiness, startup, init bool }

func readWishes(c *cli.Context, words []string) (wishes, error) {
	w := wishes{
		image: c.String("image"), container: c.String("container"), target: c.String("target"), copyTo: c.String("copy-to"), profile: c.String("profile"),
		pull: corev1.PullPolicy(c.String("image-pull-policy")), words: words, argsOnly: c.Bool("arguments-only"),
		stdin: c.Bool("stdin"), tty: c.Bool("tty"), quiet: c.Bool("quiet"), images: map[string]string{}, replace: c.Bool("replace"), sameNode: c.Bool("same-node"),
		keep: keep{c.Bool("keep-labels"), c.Bool("keep-annotations"), c.Bool("keep-liveness"), c.Bool("keep-readiness"), c.Bool("keep-startup"), c.Bool("keep-init-containers")},
	}
	if c.IsSet("share-processes") {
		w.share = ptr.To(c.Bool("share-processes"))
	}
	if !slices.Contains(profiles, w.profile) {
		return w, fmt.Errorf("unknown profile: %s", w.profile)
	}
	switch w.pull {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		return w, fmt.Errorf("invalid image pull policy: %s", w.pull)
	}
	for _, text := range command.List(c, "env") {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return w, fmt.Errorf("%s must be formatted as key=value", text)
		}
		w.vars = append(w.vars, corev1.EnvVar{Name: name, Value: value})
	}
	for _, text := range command.List(c, "set-image") {
		name, image, ok := strings.Cut(text, "=")
		if !ok {
			return w, fmt.Errorf("%s must be formatted as key=value", text)
		}
		if !reference.ReferenceRegexp.MatchString(image) {
			return w, fmt.Errorf("invalid image name %q for container %q: %w", image, name, reference.ErrReferenceInvalidFormat)
		}
		w.images[name] = image
	}
	return w, w.readCustom(c.String("custom"))
}

func (w *wishes) readCustom(file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("must pass a container spec json file for custom profile: %w", err)
	}
	w.custom = &corev1.Container{}
	if err := yaml.UnmarshalStrict(text, w.custom); err != nil {
		return fmt.Errorf("%s does not contain a valid container spec: %w", file, err)
	}
	if x := w.custom; x.Name != "" || len(x.Command) > 0 || x.Image != "" || x.Lifecycle != nil || len(x.VolumeDevices) > 0 {
		return fmt.Errorf("name, command, image, lifecycle and volume devices are not modifiable via custom profile")
	}
	return nil
}

// newName is the debugging container's name: the one that was given, or one that the pod does not have.
func (s *session) newName(pod *corev1.Pod) string {
	if s.container != "" {
		return s.container
	}
	name := ""
	for name == "" || slices.Contains(pods.Containers(pod), name) {
		name = "debugger-" + rand.String(5)
	}
	s.say("Defaulting debug container name to %s.\n", name)
	return name
}

// setWords makes what follows -- the container's command, or its arguments.
func (w *wishes) setWords(c *corev1.Container) {
	if w.argsOnly {
		c.Args = w.words
	} else {
		c.Command = w.words
	}
}

// withEphemeral is the pod with another ephemeral container.
func (s *session) withEphemeral(pod *corev1.Pod) (*corev1.Pod, string, error) {
	c := corev1.Container{
		Name: s.newName(pod), Env: s.vars, Image: s.image, ImagePullPolicy: s.pull, Stdin: s.stdin, TTY: s.tty,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
	}
	s.setWords(&c)
	changed := pod.DeepCopy()
	changed.Spec.EphemeralContainers = append(changed.Spec.EphemeralContainers, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon(c), TargetContainerName: s.target,
	})
	return changed, c.Name, s.applyProfile(changed, c.Name, inPod)
}

// copyOf is a pod like another one, changed as the flags say, and the container that is debugged in it.
func (s *session) copyOf(pod *corev1.Pod) (*corev1.Pod, string, error) {
	copied := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: s.copyTo, Namespace: pod.Namespace, Annotations: pod.Annotations, Labels: pod.Labels},
		Spec:       *pod.Spec.DeepCopy(),
	}
	copied.Spec.EphemeralContainers = nil
	if s.share != nil {
		copied.Spec.ShareProcessNamespace = s.share
	}
	if !s.sameNode {
		copied.Spec.NodeName = ""
	}
	for i := range copied.Spec.Containers {
		c := &copied.Spec.Containers[i]
		if image, ok := s.images[c.Name]; ok {
			c.Image = image
		} else if image, ok := s.images["*"]; ok {
			c.Image = image
		}
	}
	c := containerOf(copied, s.container)
	if c == nil {
		switch {
		case s.image == "" && len(s.images) > 0:
			return copied, "", nil
		case s.image == "":
			return nil, "", fmt.Errorf("you must specify image when creating new container")
		}
		copied.Spec.Containers = append(copied.Spec.Containers, corev1.Container{Name: s.newName(copied), TerminationMessagePolicy: corev1.TerminationMessageReadFile})
		c = &copied.Spec.Containers[len(copied.Spec.Containers)-1]
	}
	s.change(c)
	return copied, c.Name, s.applyProfile(copied, c.Name, asCopy)
}

// change makes a copy's container what the flags say.
func (w *wishes) change(c *corev1.Container) {
	if len(w.words) > 0 {
		if !w.argsOnly {
			c.Args = nil
		}
		w.setWords(c)
	}
	if len(w.vars) > 0 {
		c.Env = w.vars
	}
	if w.image != "" {
		c.Image = w.image
	}
	if w.pull != "" {
		c.ImagePullPolicy = w.pull
	}
	c.Stdin, c.TTY = w.stdin, w.tty
}

// containerOf finds a container of a pod, nil if there is none of that name.
func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if c := &pod.Spec.EphemeralContainers[i]; c.Name == name {
			return (*corev1.Container)(&c.EphemeralContainerCommon)
		}
	}
	return nil
}

// nodePod is a pod that runs on a node whatever keeps others away.
func (s *session) nodePod(node string) *corev1.Pod {
	c := corev1.Container{
		Name: "debugger", Env: s.vars, Image: s.image, ImagePullPolicy: s.pull, Stdin: s.stdin, TTY: s.tty,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
	}
	if s.container != "" {
		c.Name = s.container
	}
	s.setWords(&c)
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-debugger-%s-%s", node, rand.String(5))},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{c}, NodeName: node, RestartPolicy: corev1.RestartPolicyNever,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		},
	}
}

// deleteNow removes the pod that a copy replaces.
func (s *session) deleteNow(ctx context.Context, pod *corev1.Pod) error {
	r, err := pods.Ref(s.client, pod.Namespace, pod.Name)
	if err != nil {
		return err
	}
	_, err = s.client.Delete(ctx, r, metav1.NewDeleteOptions(0))
	return err
}
