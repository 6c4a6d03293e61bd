package garbage

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/store"
)

// verb is what a step does.
type verb string

const (
	look    verb = "look at"             // have another object looked at
	disown  verb = "drop references of"  // to the owners in uids
	unblock verb = "unblock owners of"   // by its references
	del     verb = "delete"              // by policy
	unfinal verb = "remove finalizer of" // the one named
)

// step is one thing to do, and why.
type step struct {
	verb      verb
	on        key
	uids      []types.UID
	policy    metav1.DeletionPropagation
	finalizer string
	cause     string
}

func (s step) String() string {
	text := string(s.verb) + " " + s.on.Key.String()
	switch s.verb {
	case del:
		text += " (" + string(s.policy) + ")"
	case unfinal:
		text += " (" + s.finalizer + ")"
	case disown:
		text += fmt.Sprint(" to ", s.uids)
	}
	return text + ": " + s.cause
}

// plan is what is to be done about an object, in order: a step that fails keeps
// those after it from being tried.
type plan []step

// String is the plan's steps, one a line, each with its cause.
func (p plan) String() string {
	lines := make([]string, len(p))
	for i, s := range p {
		lines[i] = s.String()
	}
	return strings.Join(lines, "\n")
}

// makePlan decides as upstream's garbage collector does (k8s.io/kubernetes
// pkg/controller/garbagecollector/garbagecollector.go, attemptToDeleteItem and
// attemptToOrphanWorker).
func makePlan(o observation) plan {
	switch {
	case o.object == nil:
		return o.lookAtDependents("its owner is gone")
	case orphansDependents(o.object):
		return o.orphan()
	case waitsForDependents(o.object):
		return o.foreground()
	case o.object.GetDeletionTimestamp() != nil:
		return nil // it goes; its dependents follow when it has gone
	case o.unknown != nil:
		return nil
	case len(o.solid) > 0:
		return o.owned()
	case len(o.waiting) > 0 && len(o.dependents) > 0:
		return o.deleteInTurn()
	case len(o.waiting) > 0:
		return plan{o.delete(existingPolicy(o.object), "its owner waits for it to go")}
	case len(o.dangling) > 0:
		return plan{o.delete(existingPolicy(o.object), "none of its owners exists")}
	}
	return nil
}

func (o observation) lookAtDependents(cause string) plan {
	var p plan
	for _, d := range o.dependents {
		if d.object.GetDeletionTimestamp() == nil {
			p = append(p, step{verb: look, on: d.key, cause: cause})
		}
	}
	return p
}

// orphan takes the references to the object from its dependents, and lets it go.
func (o observation) orphan() plan {
	var p plan
	for _, d := range o.dependents {
		p = append(p, step{verb: disown, on: d.key, uids: []types.UID{o.key.uid}, cause: "its owner leaves it behind"})
	}
	return append(p, o.release(metav1.FinalizerOrphanDependents, "no dependent refers to it any more"))
}

// foreground lets the object go when no dependent stands in its way. Objects that
// wait for each other in a circle, which upstream leaves to wait for ever, hold
// each other back no longer.
func (o observation) foreground() plan {
	p := o.lookAtDependents("its owner waits for it to go")
	if o.circle && slices.ContainsFunc(o.waiting, holds) {
		p = append(p, step{verb: unblock, on: o.key, cause: "it waits for what waits for it"})
	}
	if !slices.ContainsFunc(o.dependents, func(d dependent) bool { return d.blocks }) {
		p = append(p, o.release(metav1.FinalizerDeleteDependents, "no dependent blocks it"))
	}
	return p
}

// owned keeps an object that has an owner left, but not its references to other
// owners: those that wait for it would wait for ever.
func (o observation) owned() plan {
	var uids []types.UID
	for _, ref := range slices.Concat(o.dangling, o.waiting) {
		uids = append(uids, ref.UID)
	}
	if uids == nil {
		return nil
	}
	return plan{{verb: disown, on: o.key, uids: uids, cause: "they are gone or wait for it, and it has another owner"}}
}

// deleteInTurn deletes an object, whose owner waits, after its own dependents.
// If one of those waits already, the objects may own each other in a circle, in
// which all would wait for ever: this one gives way first.
func (o observation) deleteInTurn() plan {
	circle := slices.ContainsFunc(o.dependents, func(d dependent) bool { return waitsForDependents(d.object) })
	if circle && slices.ContainsFunc(o.waiting, holds) {
		return plan{
			{verb: unblock, on: o.key, cause: "a dependent waits too, perhaps in a circle"},
			{verb: look, on: o.key, cause: "to be deleted now"},
		}
	}
	return plan{o.delete(metav1.DeletePropagationForeground, "its owner waits for it to go, and it has dependents itself")}
}

// existingPolicy is what an object's finalizers ask for.
func existingPolicy(o store.Object) metav1.DeletionPropagation {
	switch finalizers := o.GetFinalizers(); {
	case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

func (o observation) delete(policy metav1.DeletionPropagation, cause string) step {
	return step{verb: del, on: o.key, policy: policy, cause: cause}
}

func (o observation) release(finalizer, cause string) step {
	return step{verb: unfinal, on: o.key, finalizer: finalizer, cause: cause}
}
