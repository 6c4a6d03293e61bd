package scheduling

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ties are what a pod says of other pods: those it needs near it, those it
// shuns, and those it would like to be near or, with a negative weight, not.
type ties struct {
	needs, shuns, likes []*term
	// attracts are the terms by which a pod that is on a node draws others to it:
	// what it likes and, with a weight of their own, what it needs.
	attracts []*term
}

// neededWeight is what a need weighs for pods that come later, upstream's default
// InterPodAffinityArgs.HardPodAffinityWeight.
const neededWeight = 1

// term is a pod affinity term, ready to be matched with pods. The labels that
// matchLabelKeys and mismatchLabelKeys name are in its selector since the pod was
// created.
type term struct {
	// key is the same for terms that say the same.
	key        string
	topology   string
	selector   labels.Selector
	namespaces []string
	// spaces selects further namespaces by their labels.
	spaces labels.Selector
	weight int64
}

// tiesOf are a pod's ties, nil when it has none. A selector that can not be
// parsed, which validation lets none through, matches nothing.
func tiesOf(p *corev1.Pod) *ties {
	a := p.Spec.Affinity
	if a == nil || a.PodAffinity == nil && a.PodAntiAffinity == nil {
		return nil
	}
	var t ties
	if with := a.PodAffinity; with != nil {
		t.needs = required(p, with.RequiredDuringSchedulingIgnoredDuringExecution, 0)
		t.attracts = required(p, with.RequiredDuringSchedulingIgnoredDuringExecution, neededWeight)
		t.likes = preferred(p, with.PreferredDuringSchedulingIgnoredDuringExecution, 1)
	}
	if without := a.PodAntiAffinity; without != nil {
		t.shuns = required(p, without.RequiredDuringSchedulingIgnoredDuringExecution, 0)
		t.likes = append(t.likes, preferred(p, without.PreferredDuringSchedulingIgnoredDuringExecution, -1)...)
	}
	t.attracts = append(t.attracts, t.likes...)
	return &t
}

func required(p *corev1.Pod, terms []corev1.PodAffinityTerm, weight int64) []*term {
	out := make([]*term, len(terms))
	for i := range terms {
		out[i] = newTerm(p, &terms[i], weight)
	}
	return out
}

func preferred(p *corev1.Pod, terms []corev1.WeightedPodAffinityTerm, sign int64) []*term {
	out := make([]*term, len(terms))
	for i := range terms {
		out[i] = newTerm(p, &terms[i].PodAffinityTerm, sign*int64(terms[i].Weight))
	}
	return out
}

// newTerm reads a term of a pod. It is about the pod's own namespace unless it
// says which.
func newTerm(p *corev1.Pod, a *corev1.PodAffinityTerm, weight int64) *term {
	t := &term{
		topology: a.TopologyKey, selector: selectorOf(a.LabelSelector), namespaces: a.Namespaces,
		spaces: selectorOf(a.NamespaceSelector), weight: weight,
	}
	if len(a.Namespaces) == 0 && a.NamespaceSelector == nil {
		t.namespaces = []string{p.Namespace}
	}
	t.namespaces = slices.Sorted(slices.Values(t.namespaces))
	spaces := ""
	if a.NamespaceSelector != nil {
		spaces = "{" + t.spaces.String() + "}"
	}
	t.key = fmt.Sprintf("%s in %s%s by %s, %d",
		describe(t.selector), strings.Join(t.namespaces, ","), spaces, t.topology, weight)
	return t
}

// selectorOf reads a selector. None at all, and one that can not be parsed, match
// nothing; an empty one matches everything.
func selectorOf(s *metav1.LabelSelector) labels.Selector {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return selector
}

// describe tells selectors apart, nothing from everything too.
func describe(s labels.Selector) string {
	if _, some := s.Requirements(); !some {
		return "nothing"
	}
	return "{" + s.String() + "}"
}

// matches reports whether a term is about a pod.
func (t *term) matches(p *pod, spaces map[string]labels.Set) bool {
	return (slices.Contains(t.namespaces, p.Namespace) || t.spaces.Matches(spaces[p.Namespace])) &&
		t.selector.Matches(labels.Set(p.Labels))
}

// matchesAll reports whether a pod is what all terms are about, and there are any.
func matchesAll(terms []*term, p *pod, spaces map[string]labels.Set) bool {
	for _, t := range terms {
		if !t.matches(p, spaces) {
			return false
		}
	}
	return len(terms) > 0
}
