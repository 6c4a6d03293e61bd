package set

import (
	"encoding/base64"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/client"
)

// show prints a container's variables in kubectl's form.
func (s *variables) show(obj *unstructured.Unstructured, container map[string]any) error {
	c := corev1.Container{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(container, &c); err != nil {
		return err
	}
	out := s.change.env.Out
	fmt.Fprintf(out, "# %s %s, container %s\n", obj.GetKind(), obj.GetName(), c.Name)
	failed := false
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			fmt.Fprintf(out, "%s=%s\n", v.Name, v.Value)
			continue
		}
		if s.resolve {
			value, err := s.value(obj, v.ValueFrom)
			if err == nil {
				fmt.Fprintf(out, "%s=%s\n", v.Name, value)
				continue
			}
			failed = true
			fmt.Fprintf(s.change.env.Err, "error retrieving reference for %s: %v\n", v.Name, err)
		}
		fmt.Fprintf(out, "# %s from %s\n", v.Name, source(v.ValueFrom))
	}
	if failed {
		return errors.New("failed to retrieve valueFrom references")
	}
	return nil
}

// source names what a variable is taken from, in kubectl's words.
func source(from *corev1.EnvVarSource) string {
	switch {
	case from.ConfigMapKeyRef != nil:
		return fmt.Sprintf("configmap %s, key %s", from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key)
	case from.SecretKeyRef != nil:
		return fmt.Sprintf("secret %s, key %s", from.SecretKeyRef.Name, from.SecretKeyRef.Key)
	case from.FieldRef != nil:
		return fmt.Sprintf("field path %s", from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		name := ""
		if from.ResourceFieldRef.ContainerName != "" {
			name = from.ResourceFieldRef.ContainerName + "/"
		}
		return fmt.Sprintf("resource field %s%s", name, from.ResourceFieldRef.Resource)
	}
	return "invalid valueFrom"
}

// value asks for what a reference to a config map or secret stands for. What depends on a pod, no template
// can tell.
func (s *variables) value(obj *unstructured.Unstructured, from *corev1.EnvVarSource) (string, error) {
	switch {
	case from.ConfigMapKeyRef != nil:
		return s.key(obj, "ConfigMap", from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key)
	case from.SecretKeyRef != nil:
		text, err := s.key(obj, "Secret", from.SecretKeyRef.Name, from.SecretKeyRef.Key)
		if err != nil {
			return "", err
		}
		value, err := base64.StdEncoding.DecodeString(text)
		return string(value), err
	}
	return "", fmt.Errorf("%s is known in a pod only", source(from))
}

func (s *variables) key(obj *unstructured.Unstructured, kind, name, key string) (string, error) {
	if s.client == nil {
		return "", errors.New("--local does without the server")
	}
	catalog, err := s.client.Catalog()
	if err != nil {
		return "", err
	}
	m, err := catalog.Kind(schema.GroupVersionKind{Version: "v1", Kind: kind})
	if err != nil {
		return "", err
	}
	u, err := s.client.Get(s.ctx, client.Ref{Mapping: m, Namespace: obj.GetNamespace(), Name: name})
	if err != nil {
		return "", err
	}
	value, found, err := unstructured.NestedString(u.Object, "data", key)
	if err == nil && !found {
		err = fmt.Errorf("key %s not found in %s %s", key, kind, name)
	}
	return value, err
}
