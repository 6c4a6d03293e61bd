// Package halt knows how a workload is stopped without being deleted, and set going again: Kubernetes has
// no word for it, so it is scaled to nothing, suspended, or kept from every node.
package halt

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Annotation on a stopped workload says how many replicas it had.
const Annotation = "skiff/replicas"

// nowhere is a label that no node has.
const nowhere = "skiff/stopped"

// Scales reports whether a kind has a number of replicas.
func Scales(kind string) bool {
	switch kind {
	case "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController":
		return true
	}
	return false
}

// Stop returns the merge patch that stops a workload; nil for one that is stopped already or has ended.
func Stop(o *unstructured.Unstructured) ([]byte, error) {
	switch kind := o.GetKind(); {
	case Scales(kind):
		n := replicas(o)
		if n == 0 {
			return nil, nil
		}
		return merge(o, map[string]any{"metadata": annotation(strconv.FormatInt(n, 10)), "spec": map[string]any{"replicas": 0}})
	case kind == "Job", kind == "CronJob":
		if suspended(o) || ended(o) {
			return nil, nil
		}
		return merge(o, map[string]any{"spec": map[string]any{"suspend": true}})
	case kind == "DaemonSet":
		if kept(o) {
			return nil, nil
		}
		return merge(o, selector("true"))
	default:
		return nil, fmt.Errorf("a %s can be deleted, but not stopped", kind)
	}
}

// Start returns the merge patch that sets a stopped workload going again; nil for one that is not stopped.
func Start(o *unstructured.Unstructured) ([]byte, error) {
	switch kind := o.GetKind(); {
	case Scales(kind):
		text, there := o.GetAnnotations()[Annotation]
		if !there {
			return nil, nil
		}
		patch := map[string]any{"metadata": annotation(nil)}
		if replicas(o) == 0 { // otherwise somebody has scaled it since
			n, err := strconv.ParseInt(text, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("annotation %s is no number: %q", Annotation, text)
			}
			patch["spec"] = map[string]any{"replicas": n}
		}
		return merge(o, patch)
	case kind == "Job", kind == "CronJob":
		if !suspended(o) {
			return nil, nil
		}
		return merge(o, map[string]any{"spec": map[string]any{"suspend": false}})
	case kind == "DaemonSet":
		if !kept(o) {
			return nil, nil
		}
		return merge(o, selector(nil))
	}
	return nil, nil
}

// Forget returns the merge patch that makes a workload forget how many replicas it had, for one that is to
// have none from now on; nil where nothing is remembered.
func Forget(o *unstructured.Unstructured) ([]byte, error) {
	if _, there := o.GetAnnotations()[Annotation]; !there {
		return nil, nil
	}
	return merge(o, map[string]any{"metadata": annotation(nil)})
}

// Stopped reports whether a workload stands still because somebody has stopped it.
func Stopped(o *unstructured.Unstructured) bool {
	_, remembers := o.GetAnnotations()[Annotation]
	switch kind := o.GetKind(); {
	case Scales(kind):
		return remembers && replicas(o) == 0
	case kind == "Job", kind == "CronJob":
		return suspended(o)
	}
	return kept(o)
}

// merge is a patch that holds for this object alone, and for no later one of its name.
func merge(o *unstructured.Unstructured, patch map[string]any) ([]byte, error) {
	if uid := o.GetUID(); uid != "" {
		metadata, _ := patch["metadata"].(map[string]any)
		if metadata == nil {
			metadata = map[string]any{}
		}
		metadata["uid"] = uid
		patch["metadata"] = metadata
	}
	return json.Marshal(patch)
}

func annotation(value any) map[string]any {
	return map[string]any{"annotations": map[string]any{Annotation: value}}
}

func selector(value any) map[string]any {
	return map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"nodeSelector": map[string]any{nowhere: value}}}}}
}

func replicas(o *unstructured.Unstructured) int64 {
	n, found, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	if !found {
		return 1
	}
	return n
}

func suspended(o *unstructured.Unstructured) bool {
	suspend, _, _ := unstructured.NestedBool(o.Object, "spec", "suspend")
	return suspend
}

// ended reports whether a job is over, well or in failure.
func ended(o *unstructured.Unstructured) bool {
	if at, _, _ := unstructured.NestedString(o.Object, "status", "completionTime"); at != "" {
		return true
	}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["status"] == "True" && (m["type"] == "Complete" || m["type"] == "Failed")
	})
}

// kept reports whether a daemon set is kept from every node.
func kept(o *unstructured.Unstructured) bool {
	_, found, _ := unstructured.NestedString(o.Object, "spec", "template", "spec", "nodeSelector", nowhere)
	return found
}
