package env

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/orchestrator/node/pod"
)

// FieldValue is the value of a pod's field for the downward API
// (https://kubernetes.io/docs/concepts/workloads/pods/downward-api/#available-fields).
func FieldValue(pod *corev1.Pod, path string, f Facts) (string, error) {
	if path, key, ok := cutSubscript(path); ok {
		return subscriptValue(pod, path, key)
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return FormatMap(pod.Labels), nil
	case "metadata.annotations":
		return FormatMap(pod.Annotations), nil
	case "spec.nodeName", "spec.host":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs":
		return f.HostIP, nil
	case "status.podIP", "status.podIPs":
		return f.PodIP, nil
	}
	return "", fmt.Errorf("unsupported fieldPath: %v", path)
}

// cutSubscript splits metadata.labels['app'].
func cutSubscript(path string) (before, key string, ok bool) {
	inner, closed := strings.CutSuffix(path, "']")
	before, key, opened := strings.Cut(inner, "['")
	if !closed || !opened || before == "" {
		return path, "", false
	}
	return before, key, true
}

func subscriptValue(pod *corev1.Pod, path, key string) (string, error) {
	var of map[string]string
	check := key
	switch path {
	case "metadata.labels":
		of = pod.Labels
	case "metadata.annotations":
		of = pod.Annotations
		check = strings.ToLower(key)
	default:
		return "", fmt.Errorf("fieldPath %q does not support subscript", path)
	}
	if errs := validation.IsQualifiedName(check); len(errs) > 0 {
		return "", fmt.Errorf("invalid key subscript in %s: %s", path, strings.Join(errs, ";"))
	}
	return of[key], nil
}

// FormatMap is a map as files of the downward API show it, one key="value" per line.
func FormatMap(m map[string]string) string {
	lines := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, k+"="+strconv.Quote(m[k]))
	}
	return strings.Join(lines, "\n")
}

// ResourceValue is a container's request or limit in units of the divisor, rounded up. A limit that
// is not set is what the node has allocatable. c is the container if ref names none.
func ResourceValue(p *corev1.Pod, c *corev1.Container, ref *corev1.ResourceFieldSelector, allocatable corev1.ResourceList) (string, error) {
	if ref.ContainerName != "" {
		c = pod.FindContainer(&p.Spec, ref.ContainerName)
	}
	if c == nil {
		return "", fmt.Errorf("container %s not found", ref.ContainerName)
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	var quantity resource.Quantity
	switch kind {
	case "limits":
		var set bool
		if quantity, set = pod.Limits(p, c)[corev1.ResourceName(name)]; !set {
			quantity = allocatable[corev1.ResourceName(name)]
		}
	case "requests":
		quantity = c.Resources.Requests[corev1.ResourceName(name)]
	default:
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	return divide(quantity, ref.Divisor, corev1.ResourceName(name)), nil
}

func divide(q, divisor resource.Quantity, name corev1.ResourceName) string {
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value, by := q.Value(), divisor.Value()
	if name == corev1.ResourceCPU {
		value, by = q.MilliValue(), divisor.MilliValue()
	}
	return strconv.FormatInt((value+by-1)/by, 10)
}
