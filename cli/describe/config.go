package describe

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func configMap(p *page, o *corev1.ConfigMap) error {
	p.meta(o)
	p.text("\nData\n====\n")
	for _, k := range slices.Sorted(maps.Keys(o.Data)) {
		p.text(k + ":\n----\n" + o.Data[k] + "\n\n")
	}
	p.text("\nBinaryData\n====\n")
	for _, k := range slices.Sorted(maps.Keys(o.BinaryData)) {
		p.line("%s: %d bytes", k, len(o.BinaryData[k]))
	}
	p.text("\n")
	p.events(o, "ConfigMap")
	return nil
}

// secret tells what a secret holds, not the values; a service account's token alone is there to be
// read.
func secret(p *page, o *corev1.Secret) error {
	p.meta(o)
	p.text("\n")
	p.field("Type", o.Type)
	p.text("\nData\n====\n")
	for _, k := range slices.Sorted(maps.Keys(o.Data)) {
		if k == corev1.ServiceAccountTokenKey && o.Type == corev1.SecretTypeServiceAccountToken {
			p.field(k, string(o.Data[k]))
			continue
		}
		p.line("%s:\t%d bytes", k, len(o.Data[k]))
	}
	return nil
}

func serviceAccount(p *page, o *corev1.ServiceAccount) error {
	p.meta(o)
	var names []string
	for _, s := range o.ImagePullSecrets {
		names = append(names, s.Name)
	}
	p.list("Image pull secrets", names)
	p.events(o, "ServiceAccount")
	return nil
}

func priorityClass(p *page, o *schedulingv1.PriorityClass) error {
	p.field("Name", o.Name)
	p.field("Value", o.Value)
	p.field("GlobalDefault", o.GlobalDefault)
	policy := corev1.PreemptLowerPriority
	if o.PreemptionPolicy != nil {
		policy = *o.PreemptionPolicy
	}
	p.field("PreemptionPolicy", policy)
	p.field("Description", o.Description)
	p.field("Annotations", labels.FormatLabels(o.Annotations))
	p.events(o, "PriorityClass")
	return nil
}
