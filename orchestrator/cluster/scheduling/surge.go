package scheduling

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// surging says what to do when a pod waits for the port of a pod that its own deployment replaces by it:
// the one is not ready before the other is gone, and the other does not go before, unless something else
// frees the port, or another node comes to have room. It is empty when that is not so.
func (u *unfit) surging() string {
	name, version := deploymentOf(u.pod)
	if name == "" || len(u.pod.ports) == 0 {
		return ""
	}
	var port int32 // the lowest, so that the message stays the same
	for n, why := range u.rejected {
		if !slices.Contains(why.reasons, portsTaken) {
			continue
		}
		for _, other := range n.pods {
			holder, of := deploymentOf(other)
			if holder != name || of == version || other.Namespace != u.pod.Namespace || other.DeletionTimestamp != nil {
				continue
			}
			if number := conflict(u.pod, other); number != 0 && (port == 0 || number < port) {
				port = number
			}
		}
	}
	if port == 0 {
		return ""
	}
	return fmt.Sprintf(" Deployment %s may not be able to surge: the pod that this one replaces has hostPort %d until this one is ready. "+
		"Set its strategy to Recreate, or maxSurge to 0 and maxUnavailable to 1.", name, port)
}

// deploymentOf is the name of a pod's deployment, and the version of its template, by the names that
// deployments give their replica sets; "" for a pod of anything else.
func deploymentOf(p *pod) (name, version string) {
	owner := metav1.GetControllerOfNoCopy(p)
	version = p.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	if owner == nil || owner.Kind != "ReplicaSet" || version == "" {
		return "", ""
	}
	name, ok := strings.CutSuffix(owner.Name, "-"+version)
	if !ok {
		return "", ""
	}
	return name, version
}

// conflict is the lowest port that both of two pods want of their node, 0 if there is none.
func conflict(a, b *pod) int32 {
	var port int32
	for _, x := range a.ports {
		for _, y := range b.ports {
			if x.conflicts(y) && (port == 0 || x.number < port) {
				port = x.number
			}
		}
	}
	return port
}
