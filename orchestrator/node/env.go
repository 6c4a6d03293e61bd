package node

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// sources is where the values come from that a pod's manifest only names.
type sources interface {
	ConfigMap(namespace, name string) (*corev1.ConfigMap, error)
	Secret(namespace, name string) (*corev1.Secret, error)
	Services(namespace string) []*corev1.Service
}

// facts are what the downward API tells a container about its pod and node.
type facts struct {
	podIP, hostIP string
	// allocatable stands in for a limit that isn't set.
	allocatable corev1.ResourceList
}

// environment builds a container's variables.
type environment struct {
	pod       *corev1.Pod
	container *corev1.Container
	facts     facts
	sources   sources
	values    map[string]string
	// links are the variables of services, which give way to those of the manifest.
	links map[string]string
}

// containerEnv returns the container's variables. Later ones replace earlier ones, env replaces envFrom, and $(NAME)
// refers to what was declared before (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables). An error
// is one that kubelet reports as CreateContainerConfigError, with its wording.
func containerEnv(pod *corev1.Pod, c *corev1.Container, f facts, s sources) (map[string]string, error) {
	e := &environment{pod: pod, container: c, facts: f, sources: s, values: map[string]string{}, links: serviceLinks(pod, s)}
	for i := range c.EnvFrom {
		if err := e.addAll(&c.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	for i := range c.Env {
		if err := e.add(&c.Env[i]); err != nil {
			return nil, err
		}
	}
	for name, value := range e.links {
		if _, ok := e.values[name]; !ok {
			e.values[name] = value
		}
	}
	return e.values, nil
}

// envPairs returns variables as NAME=value in a stable order.
func envPairs(values map[string]string) []string {
	pairs := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, name+"="+values[name])
	}
	return pairs
}

// addAll adds every key of a ConfigMap or Secret.
func (e *environment) addAll(from *corev1.EnvFromSource) error {
	switch {
	case from.ConfigMapRef != nil:
		m, err := e.configMap(from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
		if m == nil {
			return err
		}
		for k, v := range m.Data {
			e.values[from.Prefix+k] = v
		}
	case from.SecretRef != nil:
		s, err := e.secret(from.SecretRef.Name, from.SecretRef.Optional)
		if s == nil {
			return err
		}
		for k, v := range s.Data {
			e.values[from.Prefix+k] = string(v)
		}
	}
	return nil
}

// add adds one variable. An optional reference to what isn't there adds none.
func (e *environment) add(v *corev1.EnvVar) error {
	if v.Value != "" || v.ValueFrom == nil {
		e.values[v.Name] = expand(v.Value, func(name string) (string, bool) {
			value, ok := e.values[name]
			if !ok {
				value, ok = e.links[name]
			}
			return value, ok
		})
		return nil
	}
	value, found, err := e.resolve(v.ValueFrom)
	if err != nil {
		return err
	}
	if found {
		e.values[v.Name] = value
	}
	return nil
}

func (e *environment) resolve(from *corev1.EnvVarSource) (value string, found bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = fieldValue(e.pod, from.FieldRef.FieldPath, e.facts)
	case from.ResourceFieldRef != nil:
		value, err = resourceValue(e.pod, e.container, from.ResourceFieldRef, e.facts.allocatable)
	case from.ConfigMapKeyRef != nil:
		return e.configMapKey(from.ConfigMapKeyRef)
	case from.SecretKeyRef != nil:
		return e.secretKey(from.SecretKeyRef)
	default:
		err = fmt.Errorf("env valueFrom of a kind that skiff does not know")
	}
	return value, err == nil, err
}

func (e *environment) configMapKey(ref *corev1.ConfigMapKeySelector) (string, bool, error) {
	m, err := e.configMap(ref.Name, ref.Optional)
	if m == nil {
		return "", false, err
	}
	if value, ok := m.Data[ref.Key]; ok {
		return value, true, nil
	}
	if isTrue(ref.Optional) {
		return "", false, nil
	}
	return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, e.pod.Namespace, ref.Name)
}

func (e *environment) secretKey(ref *corev1.SecretKeySelector) (string, bool, error) {
	s, err := e.secret(ref.Name, ref.Optional)
	if s == nil {
		return "", false, err
	}
	if value, ok := s.Data[ref.Key]; ok {
		return string(value), true, nil
	}
	if isTrue(ref.Optional) {
		return "", false, nil
	}
	return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", ref.Key, e.pod.Namespace, ref.Name)
}

// configMap returns nil without an error for an optional one that isn't there.
func (e *environment) configMap(name string, optional *bool) (*corev1.ConfigMap, error) {
	m, err := e.sources.ConfigMap(e.pod.Namespace, name)
	if apierrors.IsNotFound(err) {
		if isTrue(optional) {
			return nil, nil
		}
		return nil, fmt.Errorf("configmap %q not found", name)
	}
	return m, err
}

func (e *environment) secret(name string, optional *bool) (*corev1.Secret, error) {
	s, err := e.sources.Secret(e.pod.Namespace, name)
	if apierrors.IsNotFound(err) {
		if isTrue(optional) {
			return nil, nil
		}
		return nil, fmt.Errorf("secret %q not found", name)
	}
	return s, err
}

func isTrue(b *bool) bool { return b != nil && *b }
