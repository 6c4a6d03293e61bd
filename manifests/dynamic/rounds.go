package dynamic

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
)

// rounds remember which webhooks, or policies, are to see an object once more because it has changed
// since they did.
type rounds struct {
	output   runtime.Object
	seen     []string // those that want to be asked again, since the last change
	required map[string]bool
}

// begin has everybody asked again when others have changed the object since the first round.
func (r *rounds) begin(round int, obj runtime.Object) {
	if round > 0 && !equality.Semantic.DeepEqual(r.output, obj) {
		r.changed()
	}
}

// end keeps the object, to compare, if there may be another round for anybody.
func (r *rounds) end(round int, obj runtime.Object) {
	if round == 0 && len(r.seen) > 0 {
		r.output = obj.DeepCopyObject()
	}
}

// may reports whether somebody is asked in a round.
func (r *rounds) may(round int, key string) bool { return round == 0 || r.required[key] }

// ran notes that somebody who wants to be asked again has seen the object as it is.
func (r *rounds) ran(key string) { r.seen = append(r.seen, key) }

// changed has all who have seen the object asked again.
func (r *rounds) changed() {
	if r.required == nil {
		r.required = map[string]bool{}
	}
	for _, key := range r.seen {
		r.required[key] = true
	}
	r.seen = nil
}
