// Package publishing makes services reachable from this machine: it opens the ports of services of
// type NodePort and LoadBalancer on the loopback address, and says so in the status of the latter.
package publishing

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/nodefacts"
	"skiff/manifests/registry"
	"skiff/network/publish"
	"skiff/orchestrator/controller"
)

// Component is the source of the controller's events.
const Component = "service-controller"

// ReasonNotPublished is why a port of a load balancer has an error.
const ReasonNotPublished = "PortNotPublished"

const (
	// retry is when to try again to open a port that somebody else has.
	retry = 5 * time.Second
	// unknownRetry is when to look again while the network is not known. That it has become known is
	// no change of an object: a daemon that was restarted finds it as it was.
	unknownRetry = time.Second
)

// Publisher opens ports. *publish.Publisher is one.
type Publisher interface {
	Set(owner string, want []publish.Port) []publish.Result
}

// Options are what the controller needs.
type Options struct {
	controller.Env

	Publisher Publisher
	// At is the address on which ports are opened, Inside the one on which pods find node ports:
	// invalid if that is the router's to serve.
	At     netip.Addr
	Inside func() netip.Addr
	// NodeAddress is where the router serves a node's ports.
	NodeAddress func(name string) netip.Addr
	// Machine is the name of the node that is the engine's machine.
	Machine string
	// Workers is how many services are looked at at a time.
	Workers int
}

// Controller publishes services.
type Controller struct {
	options  Options
	services registry.Client[*corev1.Service]
	recorder controller.Recorder

	mu sync.Mutex
	// told are the failures that were told of, by service.
	told map[key]string
}

type key = types.NamespacedName

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{
		options: o, recorder: o.Recorder(Component),
		services: registry.For[*corev1.Service](o.Registry),
		told:     map[key]string{},
	}
}

// Run publishes until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[key]{
		Name: "publishing", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[key]{
			controller.Follow(c.options.Feeds.Of("services"), serviceChanged),
			controller.Follow(c.options.Feeds.Of("nodes"), c.nodeChanged),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// serviceChanged requeues services that have ports on this machine, or had.
func serviceChanged(now, before *corev1.Service, add func(key)) {
	for _, s := range []*corev1.Service{now, before} {
		if s != nil && (hasNodePorts(&s.Spec) || len(s.Status.LoadBalancer.Ingress) > 0) {
			add(controller.NameOf(s))
			return
		}
	}
}

// nodeChanged requeues all services when the address of the engine's machine has changed.
func (c *Controller) nodeChanged(now, before *corev1.Node, add func(key)) {
	if now == nil || now.Name != c.options.Machine || before != nil && nodefacts.InternalIP(now) == nodefacts.InternalIP(before) {
		return
	}
	for _, s := range c.services.List("", nil) {
		serviceChanged(s, nil, add)
	}
}

// reconcile looks at one service.
func (c *Controller) reconcile(ctx context.Context, k key) (time.Duration, error) {
	s, err := c.services.Get(k.Namespace, k.Name)
	if apierrors.IsNotFound(err) {
		c.options.Publisher.Set("service "+k.String(), nil)
		c.forget(k)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading service %s: %w", k, err)
	}
	// The node's address first: once it is known, so is whether there is one inside.
	node := c.options.NodeAddress(c.options.Machine)
	results := c.options.Publisher.Set("service "+k.String(), makePlan(snapshot{
		service: s, at: c.options.At, inside: c.options.Inside(), node: node,
	}))
	failed := c.tell(s, results)
	if err := c.write(ctx, s, results); err != nil {
		return 0, err
	}
	switch {
	case hasNodePorts(&s.Spec) && !node.IsValid():
		return unknownRetry, nil
	case failed:
		return retry, nil
	}
	return 0, nil
}

func (c *Controller) forget(k key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.told, k)
}

// tell records events about ports that can't be opened, once, and reports whether there are any.
func (c *Controller) tell(s *corev1.Service, results []publish.Result) (failed bool) {
	var text string
	for _, r := range results {
		if r.Err != nil {
			text += fmt.Sprintf("%s: %v; ", r.Port, r.Err)
		}
	}
	k := controller.NameOf(s)
	c.mu.Lock()
	same := c.told[k] == text
	c.told[k] = text
	c.mu.Unlock()
	if same {
		return text != ""
	}
	for _, r := range results {
		if r.Err != nil {
			c.recorder.Event(s, corev1.EventTypeWarning, ReasonNotPublished, "Port %s is not opened on this machine: %v", r.Port, r.Err)
		}
	}
	return text != ""
}

// write writes the status of a load balancer.
func (c *Controller) write(ctx context.Context, seen *corev1.Service, results []publish.Result) error {
	if !Balances(seen) {
		return nil // a service that is none any more loses its status with the change
	}
	_, err := c.services.UpdateStatus(ctx, seen.Namespace, seen.Name, func(s *corev1.Service) error {
		if s.UID != seen.UID || s.Generation != seen.Generation || !Balances(s) {
			return controller.ErrOvertaken
		}
		status := balancerStatus(s, c.options.At, results)
		if !equality.Semantic.DeepEqual(s.Status.LoadBalancer, status) {
			s.Status.LoadBalancer = status
		}
		meta.SetStatusCondition(&s.Status.Conditions, condition(s, results))
		return nil
	})
	if apierrors.IsNotFound(err) || errors.Is(err, controller.ErrOvertaken) {
		return nil // it is looked at again
	}
	if err != nil {
		return fmt.Errorf("writing the load balancer of service %s/%s: %w", seen.Namespace, seen.Name, err)
	}
	return nil
}

// condition says whether all ports of a load balancer are open.
func condition(s *corev1.Service, results []publish.Result) metav1.Condition {
	out := metav1.Condition{
		Type: corev1.LoadBalancerPortsError, Status: metav1.ConditionFalse, Reason: "Published", ObservedGeneration: s.Generation,
	}
	for _, r := range results {
		if r.Err != nil {
			out.Status, out.Reason = metav1.ConditionTrue, ReasonNotPublished
			out.Message = fmt.Sprintf("%s: %v", r.Port, r.Err)
			break
		}
	}
	return out
}
