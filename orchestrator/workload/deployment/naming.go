package deployment

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
)

// hashOf is a short name for a template. Two templates may have the same; the
// count of such collisions, which is in the Deployment's status, is hashed too,
// so that a higher one gives another name. Which set a template belongs to is
// never told by the hash, so it may change from one version of skiff to another.
func hashOf(template *corev1.PodTemplateSpec, collisions *int32) (string, error) {
	data, err := json.Marshal(template)
	if err != nil {
		return "", fmt.Errorf("hashing the pod template: %w", err)
	}
	h := fnv.New32a()
	_, _ = h.Write(data) // a hash never fails
	if collisions != nil {
		_, _ = h.Write(binary.LittleEndian.AppendUint32(nil, uint32(*collisions)))
	}
	// Without vowels, so that no word comes about by chance.
	return rand.SafeEncodeString(fmt.Sprint(h.Sum32())), nil
}

// setName is the name of a Deployment's set. A Deployment's name that leaves no
// room for the hash is cut.
func setName(deployment, hash string) string {
	room := validation.DNS1123SubdomainMaxLength - len(hash) - 1
	return deployment[:min(len(deployment), room)] + "-" + hash
}

// newSet makes the set of a Deployment's template.
func newSet(d *appsv1.Deployment, c *creation) *appsv1.ReplicaSet {
	template := *d.Spec.Template.DeepCopy()
	template.Labels = withHash(template.Labels, c.hash)
	selector := d.Spec.Selector.DeepCopy()
	selector.MatchLabels = withHash(selector.MatchLabels, c.hash)
	annotations := currentAnnotations(d, nil, c.revision)
	maps.Copy(annotations, sizeAnnotations(limitsOf(d)))
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: c.name, Labels: maps.Clone(template.Labels), Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, gvk)},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To(c.replicas), MinReadySeconds: d.Spec.MinReadySeconds, Selector: selector, Template: template,
		},
	}
}

func withHash(labels map[string]string, hash string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	out[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	return out
}
