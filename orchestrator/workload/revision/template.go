package revision

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"skiff/manifests"
)

// encode makes of a template the strategic merge patch that puts it into an
// object again: kubectl's rollout undo sends it as it is. The keys are sorted, so
// that the same template makes the same bytes.
func encode(template *corev1.PodTemplateSpec) ([]byte, error) {
	raw, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("encoding the pod template: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("encoding the pod template: %w", err)
	}
	fields["$patch"] = "replace"
	return json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
}

// Template is the pod template that a revision has kept, with the defaults of
// today.
func Template(r *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	var kept struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(r.Data.Raw, &kept); err != nil {
		return nil, fmt.Errorf("decoding revision %s: %w", r.Name, err)
	}
	defaulted := corev1.PodTemplate{Template: kept.Spec.Template}
	manifests.Scheme().Default(&defaulted)
	return &defaulted.Template, nil
}

// means reports whether a revision's template says the same as another, in
// whatever words: a default that a later version fills in must not have all pods
// replaced.
func means(r *appsv1.ControllerRevision, template *corev1.PodTemplateSpec) bool {
	kept, err := Template(r)
	return err == nil && apiequality.Semantic.DeepEqual(kept, template)
}
