package manifests

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

func podTemplateKind() *Kind {
	return newKind(coreKind("PodTemplate"), Kind{
		Resource: "podtemplates", Namespaced: true, ReturnsDeleted: true,
		New: newOf[*corev1.PodTemplate](), NewList: newOf[*corev1.PodTemplateList](),
		Rules: &rules[*corev1.PodTemplate, core.PodTemplate]{
			namespaced:   true,
			toInternal:   kcorev1.Convert_v1_PodTemplate_To_core_PodTemplate,
			fromInternal: kcorev1.Convert_core_PodTemplate_To_v1_PodTemplate,
			prepareCreate: func(t *core.PodTemplate) {
				t.Generation = 1
				pod.DropDisabledTemplateFields(&t.Template, nil)
			},
			validateCreate: func(_ context.Context, t *core.PodTemplate) field.ErrorList {
				return validation.ValidatePodTemplate(t, pod.GetValidationOptionsFromPodTemplate(&t.Template, nil))
			},
			warnCreate: func(ctx context.Context, t *core.PodTemplate) []string {
				return warnOfTemplate(ctx, field.NewPath("template"), &t.Template, nil)
			},
			podSpec: func(o *core.PodTemplate) (*field.Path, *core.PodSpec) {
				return field.NewPath("template", "spec"), &o.Template.Spec
			},
			updates: map[string]update[core.PodTemplate]{SubresourceNone: podTemplateUpdate()},
		},
	})
}

func podTemplateUpdate() update[core.PodTemplate] {
	return update[core.PodTemplate]{
		prepare: func(t, old *core.PodTemplate) {
			pod.DropDisabledTemplateFields(&t.Template, &old.Template)
			bump(&t.Generation, old.Generation, &t.Template, &old.Template)
		},
		validate: func(_ context.Context, t, old *core.PodTemplate) field.ErrorList {
			return validation.ValidatePodTemplateUpdate(t, old, pod.GetValidationOptionsFromPodTemplate(&t.Template, &old.Template))
		},
		warn: func(ctx context.Context, t, old *core.PodTemplate) []string {
			if t.Generation == old.Generation {
				return nil
			}
			return warnOfTemplate(ctx, field.NewPath("template"), &t.Template, &old.Template)
		},
	}
}

// warnOfTemplate is upstream's warnings of a pod template and skiff's own.
func warnOfTemplate(ctx context.Context, path *field.Path, t, old *core.PodTemplateSpec) []string {
	warnings := pod.GetWarningsForPodTemplate(ctx, path, t, old)
	if t == nil {
		return warnings
	}
	return append(warnings, unhonoured(path.Child("spec"), &t.Spec)...)
}

// warnOfName recommends a DNS label as the name of an object after which things
// with hostnames are named; those are said in what.
func warnOfName(name, what string) []string {
	msgs := apivalidation.IsDNS1123Label(name)
	if len(msgs) == 0 {
		return nil
	}
	return []string{"metadata.name: this is used in " + what + ", which can result in surprising behavior; a DNS label is recommended: " + sprint(msgs)}
}
