package export

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/applyset"
)

// clean is a copy of an object without what a server has filled in.
func clean(o *unstructured.Unstructured) *unstructured.Unstructured {
	out := chosen(o)
	cleanMetadata(out)
	delete(out.Object, "status")
	if tidy := byKind[out.GroupVersionKind().GroupKind()]; tidy != nil {
		tidy(out.Object)
	}
	if template := find(out.Object, "spec", "template", "metadata"); template != nil && template["creationTimestamp"] == nil {
		delete(template, "creationTimestamp")
	}
	return out
}

// prefixes of annotations and finalizers that controllers set.
var (
	ofControllers = []string{
		"kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/", "deprecated.daemonset.template.generation",
		"pv.kubernetes.io/", "volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner",
		"volume.kubernetes.io/selected-node", "batch.kubernetes.io/job-tracking", "endpoints.kubernetes.io/", "autoscaling.alpha.kubernetes.io/",
	}
	ofJobs = []string{"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"}
)

func cleanMetadata(o *unstructured.Unstructured) {
	metadata := find(o.Object, "metadata")
	for _, field := range []string{
		"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields",
		"selfLink", "ownerReferences",
	} {
		delete(metadata, field)
	}
	if metadata["generateName"] != nil && metadata["name"] != nil {
		delete(metadata, "generateName")
	}
	annotations := find(metadata, "annotations")
	for key := range annotations {
		if of(ofControllers, key) {
			delete(annotations, key)
		}
	}
	delete(find(metadata, "labels"), applyset.PartOf)
	var kept []string
	for _, finalizer := range o.GetFinalizers() {
		if !strings.HasPrefix(finalizer, "kubernetes.io/") && !strings.HasPrefix(finalizer, "batch.kubernetes.io/") && finalizer != "foregroundDeletion" {
			kept = append(kept, finalizer)
		}
	}
	o.SetFinalizers(kept)
	for _, field := range []string{"annotations", "labels"} {
		dropEmpty(metadata, field)
	}
}

func of(prefixes []string, key string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// byKind removes what is a server's to fill in, whoever the object's managed fields say has set it: a
// client that sends back what it has read sets all of it.
var byKind = map[schema.GroupKind]func(map[string]any){
	{Kind: "Namespace"}: func(o map[string]any) {
		delete(find(o, "metadata", "labels"), "kubernetes.io/metadata.name")
		dropEmpty(find(o, "metadata"), "labels")
		delete(o, "spec")
	},
	{Kind: "Service"}:               cleanService,
	{Kind: "Pod"}:                   func(o map[string]any) { cleanPod(find(o, "spec")) },
	{Kind: "PersistentVolumeClaim"}: func(o map[string]any) { delete(find(o, "spec"), "volumeName") },
	{Kind: "PersistentVolume"}:      func(o map[string]any) { delete(find(o, "spec"), "claimRef") },
	{Kind: "ServiceAccount"}:        func(o map[string]any) { delete(o, "secrets") },
	{Group: "batch", Kind: "Job"}:   cleanJob,
}

func cleanService(o map[string]any) {
	spec := find(o, "spec")
	if spec["clusterIP"] != "None" && spec["type"] != "ExternalName" {
		for _, field := range []string{"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} {
			delete(spec, field)
		}
	}
	delete(spec, "healthCheckNodePort")
	if spec["type"] == "NodePort" {
		return // these are what people remember
	}
	ports, _ := spec["ports"].([]any)
	for _, p := range ports {
		if p, ok := p.(map[string]any); ok {
			delete(p, "nodePort")
		}
	}
}

// cleanJob removes the selector that the server makes up.
func cleanJob(o map[string]any) {
	spec := find(o, "spec")
	if manual, _ := spec["manualSelector"].(bool); manual {
		return
	}
	delete(spec, "selector")
	for _, of := range [][]string{{"metadata"}, {"spec", "template", "metadata"}} {
		metadata := find(o, of...)
		for _, label := range ofJobs {
			delete(find(metadata, "labels"), label)
		}
		dropEmpty(metadata, "labels")
	}
}

// cleanPod removes what the scheduler and admission have set.
func cleanPod(spec map[string]any) {
	for _, field := range []string{"nodeName", "priority", "preemptionPolicy", "serviceAccount"} {
		delete(spec, field)
	}
	if spec["serviceAccountName"] == "default" {
		delete(spec, "serviceAccountName")
	}
	filter(spec, "tolerations", func(t map[string]any) bool {
		return t["key"] != "node.kubernetes.io/not-ready" && t["key"] != "node.kubernetes.io/unreachable"
	})
	ours := func(v map[string]any) bool {
		name, _ := v["name"].(string)
		return !strings.HasPrefix(name, "kube-api-access-")
	}
	filter(spec, "volumes", ours)
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			if c, ok := c.(map[string]any); ok {
				filter(c, "volumeMounts", ours)
			}
		}
	}
	delete(spec, "ephemeralContainers")
}

// filter keeps the elements of a list that pass; an empty list goes.
func filter(in map[string]any, field string, keep func(map[string]any) bool) {
	list, _ := in[field].([]any)
	var kept []any
	for _, v := range list {
		if element, ok := v.(map[string]any); !ok || keep(element) {
			kept = append(kept, v)
		}
	}
	if len(kept) == 0 {
		delete(in, field)
		return
	}
	in[field] = kept
}

// find follows fields to an object; nil, from which deleting is harmless, where there is none.
func find(in map[string]any, path ...string) map[string]any {
	for _, field := range path {
		in, _ = in[field].(map[string]any)
	}
	return in
}

func dropEmpty(in map[string]any, field string) {
	if m, ok := in[field].(map[string]any); ok && len(m) == 0 {
		delete(in, field)
	}
}
