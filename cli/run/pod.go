package run

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/cli/command"
)

// wishes are what the command line says of the pod.
type wishes struct {
	name, image, port          string
	pull                       corev1.PullPolicy
	words                      []string
	asCommand                  bool
	vars                       []corev1.EnvVar
	labels, annotations        map[string]string
	stdin, tty, leaveStdinOpen bool
	restart                    corev1.RestartPolicy
	privileged                 bool
}

func readWishes(c *cli.Context) (wishes, error) {
	w := wishes{
		name: c.Args().First(), words: c.Args().Tail(), image: c.String("image"), port: c.String("port"), asCommand: c.Bool("command"),
		stdin: c.Bool("stdin"), tty: c.Bool("tty"), leaveStdinOpen: c.Bool("leave-stdin-open"), privileged: c.Bool("privileged"),
		pull: corev1.PullPolicy(c.String("image-pull-policy")), restart: corev1.RestartPolicy(c.String("restart")),
	}
	switch w.restart {
	case corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever:
	case "":
		w.restart = corev1.RestartPolicyAlways
		if w.stdin {
			w.restart = corev1.RestartPolicyOnFailure
		}
	default:
		return w, command.UsageErrorf("run", "invalid restart policy: %s", w.restart)
	}
	switch w.pull {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		return w, command.UsageErrorf("run", "invalid image pull policy: %s", w.pull)
	}
	var err error
	if w.vars, err = parseEnv(c.StringSlice("env")); err != nil {
		return w, err
	}
	if w.labels, err = pairs("label", strings.Split(c.String("labels"), ",")); err != nil {
		return w, err
	}
	w.annotations, err = pairs("annotation", c.StringSlice("annotations"))
	return w, err
}

func parseEnv(all []string) ([]corev1.EnvVar, error) {
	var out []corev1.EnvVar
	for _, text := range all {
		name, value, ok := strings.Cut(text, "=")
		if !ok || len(validation.IsEnvVarName(name)) > 0 {
			return nil, fmt.Errorf("invalid env: %v", text)
		}
		out = append(out, corev1.EnvVar{Name: name, Value: value})
	}
	return out, nil
}

// pairs reads KEY=VALUE words; empty ones count for nothing.
func pairs(what string, all []string) (map[string]string, error) {
	var out map[string]string
	for _, text := range all {
		if text == "" {
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("unexpected %s spec: %s", what, text)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[key] = value
	}
	return out, nil
}

// pod is what is to run.
func (w *wishes) pod() (*corev1.Pod, error) {
	labels := map[string]string{"run": w.name}
	if len(w.labels) > 0 {
		labels = maps.Clone(w.labels)
	}
	c := corev1.Container{Name: w.name, Image: w.image, ImagePullPolicy: w.pull, Env: w.vars, Stdin: w.stdin, StdinOnce: w.stdin && !w.leaveStdinOpen, TTY: w.tty}
	if w.asCommand {
		c.Command = w.words
	} else {
		c.Args = w.words
	}
	if w.port != "" {
		n, err := strconv.ParseInt(w.port, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("invalid port %q: %w", w.port, err)
		}
		c.Ports = []corev1.ContainerPort{{ContainerPort: int32(n)}}
	}
	if w.privileged {
		c.SecurityContext = &corev1.SecurityContext{Privileged: &w.privileged}
	}
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: w.name, Labels: labels, Annotations: w.annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{c}, DNSPolicy: corev1.DNSClusterFirst, RestartPolicy: w.restart},
	}, nil
}

// service is what leads to a pod's port.
func (w *wishes) service(pod *corev1.Pod) *corev1.Service {
	port := pod.Spec.Containers[0].Ports[0].ContainerPort
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Labels: w.labels},
		Spec: corev1.ServiceSpec{
			Ports:    []corev1.ServicePort{{Port: port, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(port)}},
			Selector: pod.Labels,
		},
	}
}
