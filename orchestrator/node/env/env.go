// Package env computes the environment variables of a pod's containers, and the values of the
// downward API that volumes use too.
package env

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
)

// Sources are the objects that a pod's manifest refers to.
type Sources interface {
	ConfigMap(namespace, name string) (*corev1.ConfigMap, error)
	Secret(namespace, name string) (*corev1.Secret, error)
	Services(namespace string) []*corev1.Service
	// APIService is the Service by which pods reach the Kubernetes API, nil if they can't.
	APIService() *corev1.Service
	// File returns a file of one of a pod's emptyDir volumes.
	File(pod *corev1.Pod, volume, path string) ([]byte, error)
}

// Facts are what the downward API says about a pod and its node that is not in the pod's manifest.
type Facts struct {
	PodIP, HostIP string
	// Allocatable stands in for limits that aren't set.
	Allocatable corev1.ResourceList
}

// environment builds a container's variables.
type environment struct {
	pod       *corev1.Pod
	container *corev1.Container
	facts     Facts
	sources   Sources
	values    map[string]string
	// links are the variables of services. Those of the manifest take precedence.
	links map[string]string
}

// Variables returns a container's environment variables. Later ones replace earlier ones, env
// replaces envFrom, and $(NAME) refers to what was declared before
// (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables). Errors are those that
// kubelet reports as CreateContainerConfigError, in its words.
func Variables(pod *corev1.Pod, c *corev1.Container, f Facts, s Sources) (map[string]string, error) {
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

// Pairs returns variables as NAME=value, sorted.
func Pairs(values map[string]string) []string {
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

// add adds one variable. An optional reference to something that doesn't exist adds none.
func (e *environment) add(v *corev1.EnvVar) error {
	if v.Value != "" || v.ValueFrom == nil {
		e.values[v.Name] = Expand(v.Value, func(name string) (string, bool) {
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
		value, err = FieldValue(e.pod, from.FieldRef.FieldPath, e.facts)
	case from.ResourceFieldRef != nil:
		value, err = ResourceValue(e.pod, e.container, from.ResourceFieldRef, e.facts.Allocatable)
	case from.ConfigMapKeyRef != nil:
		return e.configMapKey(from.ConfigMapKeyRef)
	case from.SecretKeyRef != nil:
		return e.secretKey(from.SecretKeyRef)
	case from.FileKeyRef != nil:
		return e.fileKey(from.FileKeyRef)
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
	if ptr.Deref(ref.Optional, false) {
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
	if ptr.Deref(ref.Optional, false) {
		return "", false, nil
	}
	return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", ref.Key, e.pod.Namespace, ref.Name)
}

// configMap returns nil without an error if an optional ConfigMap doesn't exist.
func (e *environment) configMap(name string, optional *bool) (*corev1.ConfigMap, error) {
	m, err := e.sources.ConfigMap(e.pod.Namespace, name)
	if apierrors.IsNotFound(err) {
		if ptr.Deref(optional, false) {
			return nil, nil
		}
		return nil, fmt.Errorf("configmap %q not found", name)
	}
	return m, err
}

// secret is the same for a Secret.
func (e *environment) secret(name string, optional *bool) (*corev1.Secret, error) {
	s, err := e.sources.Secret(e.pod.Namespace, name)
	if apierrors.IsNotFound(err) {
		if ptr.Deref(optional, false) {
			return nil, nil
		}
		return nil, fmt.Errorf("secret %q not found", name)
	}
	return s, err
}
