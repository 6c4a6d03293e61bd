// Package routes tells the router where services lead: it makes the desired state of the pods'
// network out of Services, EndpointSlices and Nodes.
package routes

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/nodefacts"
	"skiff/manifests/registry"
	"skiff/network/protocol"
	"skiff/orchestrator/controller"
)

// Component is the source of the controller's events.
const Component = "kube-proxy"

// Router is told the desired state. None of its methods waits for it to be in force. It knows the
// nodes' addresses itself.
type Router interface {
	// Replace says that services and nodes are all there are.
	Replace(services []protocol.Service, nodes []protocol.Node)
	Set(service protocol.Service)
	Delete(key protocol.Key)
	SetNodes(nodes []protocol.Node)
}

// Options are what the controller needs.
type Options struct {
	controller.Env

	Router Router
	// Machine is the name of the node that is the engine's machine.
	Machine string
	// Trouble is why the router is never going to be told anything, empty if it will: each Service
	// gets an event about it.
	Trouble string
	// Workers is how many services are looked at at a time.
	Workers int
}

// Controller keeps the router's desired state.
type Controller struct {
	options  Options
	services registry.Client[*corev1.Service]
	slices   registry.Client[*discoveryv1.EndpointSlice]
	nodes    registry.Client[*corev1.Node]
	pods     registry.Client[*corev1.Pod]
	recorder controller.Recorder
	// lookAt has a service, or all nodes, looked at. It is set while the controller runs.
	lookAt func(key)

	mu sync.Mutex
	// byPlace are the services for which it matters on which node a client is.
	byPlace map[protocol.Key]bool
	// told are the refusals that were told of, by service.
	told map[protocol.Key]string
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{
		options: o, recorder: o.Recorder(Component),
		services: registry.For[*corev1.Service](o.Registry), slices: registry.For[*discoveryv1.EndpointSlice](o.Registry),
		nodes: registry.For[*corev1.Node](o.Registry), pods: registry.For[*corev1.Pod](o.Registry),
		byPlace: map[protocol.Key]bool{}, told: map[protocol.Key]string{},
	}
}

// key is a service, or all nodes: then it is empty.
type key = types.NamespacedName

// Run tells the router everything, and then what changes, until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	told := c.tellAll()
	loop := controller.Loop[key]{
		Name: "routes", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[key]{
			func(_ context.Context, q controller.Queue[key]) (func(), error) {
				c.lookAt = q.Add
				return func() {}, nil
			},
			controller.Own(c.options.Feeds.Of("services")),
			controller.Follow(c.options.Feeds.Of("endpointslices.discovery.k8s.io"), sliceChanged),
			controller.Follow(c.options.Feeds.Of("nodes"), c.nodeChanged),
			controller.Follow(c.options.Feeds.Of("pods"), c.podChanged),
			// What was deleted before the feeds were followed is known to nobody else.
			func(_ context.Context, q controller.Queue[key]) (func(), error) {
				for _, s := range told {
					q.Add(key{Namespace: s.Namespace, Name: s.Name})
				}
				return func() {}, nil
			},
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// tellAll tells the router of everything that the store has, and returns the services. A router that
// serves already is not to forget what the controller has not looked at yet.
func (c *Controller) tellAll() []protocol.Service {
	nodes := c.trafficNodes()
	var services []protocol.Service
	for _, s := range c.services.List("", nil) {
		p := c.plan(s, nodes)
		c.note(p.service)
		services = append(services, p.service)
	}
	c.options.Router.Replace(services, c.protocolNodes())
	return services
}

func sliceChanged(now, before *discoveryv1.EndpointSlice, add func(key)) {
	for _, s := range []*discoveryv1.EndpointSlice{now, before} {
		if s == nil {
			continue
		}
		if name := s.Labels[discoveryv1.LabelServiceName]; name != "" {
			add(key{Namespace: s.Namespace, Name: name})
		}
	}
}

// nodeChanged requeues the nodes, and all services if what they are decided on has changed.
func (c *Controller) nodeChanged(now, before *corev1.Node, add func(key)) {
	if now != nil && before != nil && traffic(now) == traffic(before) {
		return
	}
	add(key{})
	for _, s := range c.services.List("", nil) {
		add(controller.NameOf(s))
	}
}

// podChanged requeues the nodes while it matters whose a pod is.
func (c *Controller) podChanged(now, before *corev1.Pod, add func(key)) {
	if now != nil && before != nil && now.Status.PodIP == before.Status.PodIP && now.Spec.NodeName == before.Spec.NodeName {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byPlace) > 0 {
		add(key{})
	}
}

// reconcile looks at one service, or at all nodes.
func (c *Controller) reconcile(_ context.Context, k key) (time.Duration, error) {
	if k == (key{}) {
		c.options.Router.SetNodes(c.protocolNodes())
		return 0, nil
	}
	s, err := c.services.Get(k.Namespace, k.Name)
	if apierrors.IsNotFound(err) {
		c.forget(k)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading service %s: %w", k, err)
	}
	p := c.plan(s, c.trafficNodes())
	first := c.note(p.service)
	c.options.Router.Set(p.service)
	if first {
		// Not from here: of two who tell the router at the same time, the last might have looked first.
		c.lookAt(key{})
	}
	if c.options.Trouble != "" {
		p.refused = append(p.refused, refusal{"NoRouter", c.options.Trouble})
	}
	c.tell(s, p.refused)
	return 0, nil
}

func (c *Controller) forget(k key) {
	gone := protocol.Key{Namespace: k.Namespace, Name: k.Name}
	c.options.Router.Delete(gone)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byPlace, gone)
	delete(c.told, gone)
}

func (c *Controller) plan(s *corev1.Service, nodes []node) plan {
	return makePlan(snapshot{service: s, slices: c.slicesOf(s), nodes: nodes, machine: c.options.Machine})
}

// slicesOf are a service's slices, without the endpoints on simulated nodes.
func (c *Controller) slicesOf(s *corev1.Service) []*discoveryv1.EndpointSlice {
	all := c.slices.ByIndex(registry.IndexService, registry.ServiceOf(s.Namespace, s.Name))
	var list []*discoveryv1.EndpointSlice
	for _, slice := range all {
		if slice.AddressType != discoveryv1.AddressTypeIPv4 {
			continue
		}
		if slices.ContainsFunc(slice.Endpoints, c.simulated) {
			slice = slice.DeepCopy()
			slice.Endpoints = slices.DeleteFunc(slice.Endpoints, c.simulated)
		}
		list = append(list, slice)
	}
	return list
}

func (c *Controller) simulated(e discoveryv1.Endpoint) bool {
	if e.NodeName == nil {
		return false
	}
	n, err := c.nodes.Get("", *e.NodeName)
	return err == nil && !traffic(n).has
}

// note remembers whether it matters for a service where its clients are. It reports whether this is
// the first for which it does.
func (c *Controller) note(s protocol.Service) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.ContainsFunc(s.Ports, func(p protocol.Port) bool { return len(p.From) > 0 }) {
		delete(c.byPlace, s.Key)
		return false
	}
	first = len(c.byPlace) == 0
	c.byPlace[s.Key] = true
	return first
}

// tell records an event about what is refused of a service, once.
func (c *Controller) tell(s *corev1.Service, refused []refusal) {
	k, text := protocol.Key{Namespace: s.Namespace, Name: s.Name}, ""
	if len(refused) > 0 {
		text = fmt.Sprint(s.UID, refused)
	}
	c.mu.Lock()
	same := c.told[k] == text
	c.told[k] = text
	c.mu.Unlock()
	if same {
		return
	}
	for _, r := range refused {
		c.recorder.Event(s, corev1.EventTypeWarning, r.reason, "%s", r.message)
	}
}

// trafficOf is what decides whether and how a node's pods are reached.
type trafficOf struct {
	has  bool
	zone string
}

func traffic(n *corev1.Node) trafficOf {
	return trafficOf{!nodefacts.Simulated(n), n.Labels[corev1.LabelTopologyZone]}
}

// trafficNodes are the nodes whose pods have traffic, by name.
func (c *Controller) trafficNodes() []node {
	var list []node
	for _, n := range c.nodes.List("", nil) {
		if t := traffic(n); t.has {
			list = append(list, node{n.Name, t.zone})
		}
	}
	slices.SortFunc(list, func(a, b node) int { return cmp.Compare(a.name, b.name) })
	return list
}

// protocolNodes are those as the router is told of them.
func (c *Controller) protocolNodes() []protocol.Node {
	c.mu.Lock()
	placed := len(c.byPlace) > 0
	c.mu.Unlock()
	list := []protocol.Node{}
	for _, n := range c.trafficNodes() {
		out := protocol.Node{Name: n.name, Machine: n.name == c.options.Machine}
		if placed {
			out.Pods = c.podsOn(n.name)
		}
		list = append(list, out)
	}
	return list
}

// podsOn are the addresses of a node's pods.
func (c *Controller) podsOn(name string) []netip.Addr {
	var list []netip.Addr
	for _, p := range c.pods.ByIndex(registry.IndexNode, name) {
		if ip, err := netip.ParseAddr(p.Status.PodIP); err == nil && !p.Spec.HostNetwork {
			list = append(list, ip)
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return list
}
