package backends

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/controller"
)

// Step is what is to be done about one EndpointSlice.
type Step struct {
	// Seen is the slice that there is, nil for one to create.
	Seen *discoveryv1.EndpointSlice
	// Want is what it should be, nil for one to delete.
	Want *discoveryv1.EndpointSlice
	// Cause is why.
	Cause string
}

// String is the step as a line of a plan.
func (s Step) String() string {
	switch {
	case s.Want == nil:
		return fmt.Sprintf("delete slice %s: %s", s.Seen.Name, s.Cause)
	case s.Seen == nil:
		return fmt.Sprintf("create slice %s: %s", describe(s.Want), s.Cause)
	}
	return fmt.Sprintf("update slice %s to %s: %s", s.Seen.Name, describe(s.Want), s.Cause)
}

// Text is the steps of a plan, one a line.
func Text(steps []Step) string {
	lines := make([]string, len(steps))
	for i, s := range steps {
		lines[i] = s.String()
	}
	return strings.Join(lines, "\n")
}

// shown is how many endpoints of a slice a plan names.
const shown = 8

func describe(s *discoveryv1.EndpointSlice) string {
	var endpoints []string
	for i := range s.Endpoints {
		if i == shown {
			endpoints = append(endpoints, fmt.Sprintf("and %d more", len(s.Endpoints)-shown))
			break
		}
		endpoints = append(endpoints, describeEndpoint(&s.Endpoints[i]))
	}
	return fmt.Sprintf("%s %s [%s]", s.AddressType, describePorts(s.Ports), strings.Join(endpoints, " "))
}

func describePorts(ports []discoveryv1.EndpointPort) string {
	texts := make([]string, len(ports))
	for i, p := range ports {
		number := "*"
		if p.Port != nil {
			number = strconv.Itoa(int(*p.Port))
		}
		texts[i] = fmt.Sprintf("%s:%s/%s", ptr.Deref(p.Name, ""), number, ptr.Deref(p.Protocol, corev1.ProtocolTCP))
		if p.AppProtocol != nil {
			texts[i] += "(" + *p.AppProtocol + ")"
		}
	}
	if len(texts) == 0 {
		return "without ports"
	}
	return strings.Join(texts, ",")
}

func describeEndpoint(e *discoveryv1.Endpoint) string {
	text := strings.Join(e.Addresses, "|")
	if e.TargetRef != nil {
		text = e.TargetRef.Name + "=" + text
	}
	if !ptr.Deref(e.Conditions.Ready, true) {
		text += "-unready"
	}
	if ptr.Deref(e.Conditions.Terminating, false) {
		text += "-terminating"
		if ptr.Deref(e.Conditions.Serving, true) {
			text += "-serving"
		}
	}
	return text
}

// Recycle has slices that are to be deleted become those that are to be created, as far as their
// address types and owners allow: who watches sees one change in place of two.
func Recycle(steps []Step) []Step {
	var out []Step
	used := map[int]bool{}
	for _, s := range steps {
		if s.Seen == nil {
			for i, d := range steps {
				if d.Want == nil && !used[i] && d.Seen.AddressType == s.Want.AddressType && sameOwner(d.Seen, s.Want) {
					used[i] = true
					s.Seen = d.Seen
					break
				}
			}
		}
		out = append(out, s)
	}
	left := out[:0]
	for i, s := range out {
		if !used[i] {
			left = append(left, s)
		}
	}
	return left
}

func sameOwner(seen, want *discoveryv1.EndpointSlice) bool {
	owner := metav1.GetControllerOfNoCopy(want)
	return owner != nil && metav1.GetControllerOfNoCopy(seen) != nil && metav1.GetControllerOfNoCopy(seen).UID == owner.UID
}

// PortsKey is the same for ports that are the same, in whatever order.
func PortsKey(ports []discoveryv1.EndpointPort) string {
	if len(ports) == 1 {
		return describePorts(ports)
	}
	return strings.Join(slices.Sorted(slices.Values(strings.Split(describePorts(ports), ","))), ",")
}

// SetTriggered notes on a slice that is about to be written what it is written for: the time of a
// change of a pod or of the Service, or none that is known
// (k8s.io/api/core/v1.EndpointsLastChangeTriggerTime).
func SetTriggered(annotations map[string]string, at time.Time) map[string]string {
	if at.IsZero() {
		delete(annotations, corev1.EndpointsLastChangeTriggerTime)
		return annotations
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[corev1.EndpointsLastChangeTriggerTime] = at.UTC().Format(time.RFC3339Nano)
	return annotations
}

// Slices writes EndpointSlices; a registry.Client is one.
type Slices interface {
	Create(ctx context.Context, s *discoveryv1.EndpointSlice) (*discoveryv1.EndpointSlice, error)
	Update(ctx context.Context, namespace, name string, change func(*discoveryv1.EndpointSlice) error) (*discoveryv1.EndpointSlice, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Execute carries out the steps: what is new comes before what goes, so that an endpoint that moves
// is never without a slice. It ends without an error when the namespace goes, and with ErrOvertaken
// when a slice is no longer what was seen.
func Execute(ctx context.Context, client Slices, steps []Step) error {
	for _, kind := range []func(Step) bool{
		func(s Step) bool { return s.Seen == nil },
		func(s Step) bool { return s.Seen != nil && s.Want != nil },
		func(s Step) bool { return s.Want == nil },
	} {
		for _, s := range steps {
			if !kind(s) {
				continue
			}
			err := s.execute(ctx, client)
			if NamespaceGone(err) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s Step) execute(ctx context.Context, client Slices) error {
	switch {
	case s.Seen == nil:
		if _, err := client.Create(ctx, s.Want); err != nil {
			return fmt.Errorf("creating an endpoint slice %s/%s: %w", s.Want.Namespace, s.Want.GenerateName, err)
		}
	case s.Want == nil:
		err := client.Delete(ctx, s.Seen.Namespace, s.Seen.Name, controller.AsSeen(s.Seen))
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting endpoint slice %s/%s: %w", s.Seen.Namespace, s.Seen.Name, Overtaken(err))
		}
	default:
		_, err := client.Update(ctx, s.Seen.Namespace, s.Seen.Name, func(current *discoveryv1.EndpointSlice) error {
			if current.ResourceVersion != s.Seen.ResourceVersion || current.UID != s.Seen.UID {
				return controller.ErrOvertaken
			}
			current.Labels, current.Annotations = s.Want.Labels, s.Want.Annotations
			current.Ports, current.Endpoints = s.Want.Ports, s.Want.Endpoints
			return nil
		})
		if err != nil {
			return fmt.Errorf("updating endpoint slice %s/%s: %w", s.Seen.Namespace, s.Seen.Name, Overtaken(err))
		}
	}
	return nil
}

// Overtaken makes ErrOvertaken of the errors of a write to what is gone, has changed, or is there already.
func Overtaken(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return controller.ErrOvertaken
	}
	return err
}

// NamespaceGone reports whether an object could not be created because its namespace is going or
// gone: then it is wanted no more.
func NamespaceGone(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsNotFound(err)
}
