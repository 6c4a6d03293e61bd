package revision

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"skiff/orchestrator/workload"
)

// plan is what is to be done about an owner's revisions.
type plan struct {
	adopt, release []*appsv1.ControllerRevision
	// update holds the present template already; nil when a revision has to be
	// made, with data in it.
	update *appsv1.ControllerRevision
	data   []byte
	// number is the one that the revision of the present template shall have.
	number int64
	// older are all others, oldest first, and equals those of them that hold the
	// present template too.
	older, equals []*appsv1.ControllerRevision
}

// claims reports whether the plan changes which revisions are the owner's.
func (p plan) claims() bool { return len(p.adopt)+len(p.release) > 0 }

// String is the plan's steps, one a line, each with its cause.
func (p plan) String() string {
	var lines []string
	for _, r := range p.release {
		lines = append(lines, fmt.Sprintf("release revision %s: labels no longer match", r.Name))
	}
	for _, r := range p.adopt {
		lines = append(lines, fmt.Sprintf("adopt revision %s: matches selector, no controller", r.Name))
	}
	switch {
	case p.update == nil:
		lines = append(lines, fmt.Sprintf("create revision %d: no revision has the template", p.number))
	case p.update.Revision != p.number:
		lines = append(lines, fmt.Sprintf("renumber revision %s from %d to %d: rolled back", p.update.Name, p.update.Revision, p.number))
	}
	return strings.Join(lines, "\n")
}

func makePlan(o Owner, revisions []*appsv1.ControllerRevision) (plan, error) {
	claims := workload.Claim(metav1.Object(o.Object), o.Selector, revisions)
	p := plan{adopt: claims.Adopt, release: claims.Release}
	data, err := encode(o.Template)
	if err != nil {
		return p, err
	}
	p.data = data
	mine := slices.Concat(claims.Owned, claims.Adopt)
	slices.SortStableFunc(mine, byNumber)
	for i, r := range mine {
		newest := i == len(mine)-1
		if bytes.Equal(r.Data.Raw, data) || newest && p.update == nil && means(r, o.Template) {
			if p.update != nil {
				p.equals = append(p.equals, p.update)
			}
			p.update = r
		}
	}
	p.number = 1
	for _, r := range mine {
		if r != p.update {
			p.older = append(p.older, r)
			p.number = r.Revision + 1
		}
	}
	if p.update != nil {
		p.number = max(p.number, p.update.Revision)
	}
	return p, nil
}

// byNumber orders revisions that, by a mistake, have the same number by age and
// name.
func byNumber(a, b *appsv1.ControllerRevision) int {
	return cmp.Or(cmp.Compare(a.Revision, b.Revision),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// hashOf names a template. collisions keeps apart two that would have the same
// name.
func hashOf(data []byte, collisions int32) string {
	h := fnv.New32a()
	h.Write(data)
	h.Write([]byte(strconv.Itoa(int(collisions))))
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// longestPrefix leaves room in a name of 253 bytes for a dash and a hash.
const longestPrefix = 223

func (o Owner) make(data []byte, hash string, number int64) *appsv1.ControllerRevision {
	name := o.Object.GetName()
	labels := maps.Clone(o.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[o.HashLabel] = hash
	r := &appsv1.ControllerRevision{Revision: number}
	r.Namespace, r.Name = o.Object.GetNamespace(), name[:min(len(name), longestPrefix)]+"-"+hash
	r.Labels, r.Annotations = labels, maps.Clone(o.Object.GetAnnotations())
	r.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(o.Object, o.Kind)}
	r.Data.Raw = data
	return r
}

// Surplus are the oldest of revisions, which are sorted, beyond limit that are not
// live. Those that are count for the limit only if countLive says so.
func Surplus(revisions []*appsv1.ControllerRevision, limit int, live func(*appsv1.ControllerRevision) bool, countLive bool) []*appsv1.ControllerRevision {
	var idle []*appsv1.ControllerRevision
	for _, r := range revisions {
		if !live(r) {
			idle = append(idle, r)
		}
	}
	excess := len(idle) - limit
	if countLive {
		excess = len(revisions) - limit
	}
	return idle[:max(0, min(excess, len(idle)))]
}

// PodLabel is a pod's own note of the revision it was made of.
func PodLabel(p *corev1.Pod) string { return p.Labels[appsv1.ControllerRevisionHashLabelKey] }
