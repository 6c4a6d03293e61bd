package deployment

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Annotations of replica sets, the first of Deployments too. They are upstream's
// (k8s.io/kubernetes pkg/controller/deployment/util): kubectl reads them.
const (
	// RevisionAnnotation is the number of a template, the latest has the highest.
	RevisionAnnotation = "deployment.kubernetes.io/revision"
	// revisionHistoryAnnotation are the numbers that a set's template had before,
	// when it was returned to.
	revisionHistoryAnnotation = "deployment.kubernetes.io/revision-history"
	// desiredAnnotation and maxAnnotation are how many replicas the Deployment
	// asked for, and allowed, when the set was last scaled: by them a change of
	// the Deployment's replicas is told from a step of a rollout.
	desiredAnnotation = "deployment.kubernetes.io/desired-replicas"
	maxAnnotation     = "deployment.kubernetes.io/max-replicas"
)

// historyLength is how long, in characters, revisionHistoryAnnotation may grow.
const historyLength = 2000

// ownAnnotations are those a set does not get from its Deployment.
var ownAnnotations = map[string]bool{
	corev1.LastAppliedConfigAnnotation: true, RevisionAnnotation: true, revisionHistoryAnnotation: true,
	desiredAnnotation: true, maxAnnotation: true, appsv1.DeprecatedRollbackTo: true,
}

// revisionOf is a set's revision: 0 when it has none, or none that is a number.
func revisionOf(rs *appsv1.ReplicaSet) int64 {
	n, err := strconv.ParseInt(rs.Annotations[RevisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// nextRevision is the number after all of the sets'.
func nextRevision(sets []*appsv1.ReplicaSet) int64 {
	var highest int64
	for _, rs := range sets {
		highest = max(highest, revisionOf(rs))
	}
	return highest + 1
}

// currentAnnotations are what a current set's annotations should be: all of its
// Deployment's, and a revision of at least the given one.
func currentAnnotations(d *appsv1.Deployment, old map[string]string, revision int64) map[string]string {
	out := maps.Clone(old)
	if out == nil {
		out = map[string]string{}
	}
	for k, v := range d.Annotations {
		if !ownAnnotations[k] {
			out[k] = v
		}
	}
	text, numbered := out[RevisionAnnotation]
	was, err := strconv.ParseInt(text, 10, 64)
	if text != "" && err != nil || was >= revision {
		return out // what somebody else wrote there is left alone
	}
	out[RevisionAnnotation] = strconv.FormatInt(revision, 10)
	if numbered {
		out[revisionHistoryAnnotation] = longer(out[revisionHistoryAnnotation], text)
	}
	return out
}

// longer adds a number to a list of them, at the cost of its first ones.
func longer(history, number string) string {
	if history == "" {
		return number
	}
	for len(history)+1+len(number) > historyLength {
		_, rest, more := strings.Cut(history, ",")
		if !more {
			return number
		}
		history = rest
	}
	return history + "," + number
}

// sizeAnnotations say what the Deployment asked for when a set was scaled.
func sizeAnnotations(l limits) map[string]string {
	return map[string]string{desiredAnnotation: fmt.Sprint(l.replicas), maxAnnotation: fmt.Sprint(l.maxTotal())}
}

// outdated reports whether a set's size annotations are not those of l.
func outdated(rs *appsv1.ReplicaSet, l limits) bool {
	for k, v := range sizeAnnotations(l) {
		if rs.Annotations[k] != v {
			return true
		}
	}
	return false
}

// annotatedSize reads one of the size annotations.
func annotatedSize(rs *appsv1.ReplicaSet, key string) (int32, bool) {
	n, err := strconv.ParseUint(rs.Annotations[key], 10, 32)
	if err != nil || n > math.MaxInt32 {
		return 0, false
	}
	return int32(n), true
}
