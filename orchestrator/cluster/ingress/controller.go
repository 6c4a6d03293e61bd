// Package ingress tells the front door what each name leads to: Ingresses of skiff's classes, and
// services by names of their own.
package ingress

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/network/protocol"
	"skiff/orchestrator/controller"
)

// Component is the source of the controller's events.
const Component = "ingress-controller"

// Door is told what it is to serve. It does not wait until it is in force.
type Door interface{ SetDoor(protocol.Door) }

// Options are what the controller needs.
type Options struct {
	controller.Env

	Door Door
	// Issue makes a certificate of skiff's own authority for names.
	Issue func(names []string) (cert, key []byte, err error)
	// Address is where the front door listens on this machine.
	Address netip.AddrPort
}

// Reconciler keeps the front door's state and the Ingresses' statuses.
type Reconciler struct {
	options   Options
	ingresses registry.Client[*networkingv1.Ingress]
	classes   registry.Client[*networkingv1.IngressClass]
	services  registry.Client[*corev1.Service]
	slices    registry.Client[*discoveryv1.EndpointSlice]
	secrets   registry.Client[*corev1.Secret]
	recorder  controller.Recorder

	mu sync.Mutex
	// told are the problems that were told of, by Ingress.
	told map[string]string
	// issued are the certificates of skiff's own that are served, by their names.
	issued map[string]protocol.Certificate
}

// New returns the controller.
func New(o Options) *Reconciler {
	return &Reconciler{
		options: o, recorder: o.Recorder(Component),
		ingresses: registry.For[*networkingv1.Ingress](o.Registry), classes: registry.For[*networkingv1.IngressClass](o.Registry),
		services: registry.For[*corev1.Service](o.Registry), slices: registry.For[*discoveryv1.EndpointSlice](o.Registry),
		secrets: registry.For[*corev1.Secret](o.Registry), told: map[string]string{},
	}
}

// all is the one key: what a name leads to depends on all the others.
type all struct{}

// String is the key's name in logs.
func (all) String() string { return "front door" }

// Run keeps the front door told until ctx ends.
func (r *Reconciler) Run(ctx context.Context) error {
	loop := controller.Loop[all]{
		Name: "ingress", Reconcile: r.reconcile,
		Sources: []controller.Source[all]{
			func(_ context.Context, queue controller.Queue[all]) (func(), error) {
				queue.Add(all{})
				return func() {}, nil
			},
			controller.Follow(r.options.Feeds.Of("ingresses.networking.k8s.io"), ingressChanged),
			controller.Follow(r.options.Feeds.Of("ingressclasses.networking.k8s.io"), func(_, _ *networkingv1.IngressClass, add func(all)) { add(all{}) }),
			controller.Follow(r.options.Feeds.Of("services"), serviceChanged),
			controller.Follow(r.options.Feeds.Of("endpointslices.discovery.k8s.io"), r.sliceChanged),
			controller.Follow(r.options.Feeds.Of("secrets"), secretChanged),
		},
		Env: r.options.Env,
	}
	return loop.Run(ctx)
}

func ingressChanged(now, before *networkingv1.Ingress, add func(all)) {
	if now != nil && before != nil && now.Generation == before.Generation && equality.Semantic.DeepEqual(now.Annotations, before.Annotations) &&
		equality.Semantic.DeepEqual(now.Status, before.Status) {
		return
	}
	add(all{})
}

func serviceChanged(now, before *corev1.Service, add func(all)) {
	if now == nil || before == nil || !equality.Semantic.DeepEqual(now.Spec, before.Spec) {
		add(all{})
	}
}

// sliceChanged looks at headless services alone: the others are reached by their own address.
func (r *Reconciler) sliceChanged(now, before *discoveryv1.EndpointSlice, add func(all)) {
	for _, s := range []*discoveryv1.EndpointSlice{now, before} {
		if s == nil {
			continue
		}
		service, err := r.services.Get(s.Namespace, s.Labels[discoveryv1.LabelServiceName])
		if err == nil && service.Spec.ClusterIP == corev1.ClusterIPNone {
			add(all{})
			return
		}
	}
}

func secretChanged(now, before *corev1.Secret, add func(all)) {
	for _, s := range []*corev1.Secret{now, before} {
		if s != nil && len(s.Data[corev1.TLSCertKey]) > 0 {
			add(all{})
			return
		}
	}
}

// reconcile tells the door everything and writes the Ingresses' statuses.
func (r *Reconciler) reconcile(ctx context.Context, _ all) (time.Duration, error) {
	before := r.issued
	r.issued = map[string]protocol.Certificate{}
	p, err := makePlan(snapshot{
		ingresses: r.ingresses.List("", nil), classes: r.classes.List("", nil), services: r.services.List("", nil),
		endpoints: r.endpoints, secret: r.secret,
		issue: func(names []string) (protocol.Certificate, error) { return r.issue(names, before) },
	})
	if err != nil {
		return 0, err
	}
	r.options.Door.SetDoor(p.door)
	r.forget(p)
	for _, i := range p.foreign {
		r.tell(i, []problem{{"NoIngressClass", fmt.Sprintf("no IngressClass %q exists: name the class %q, or make one whose controller is %s",
			ptr.Deref(i.Spec.IngressClassName, ""), "skiff", Controller)}})
	}
	for _, i := range p.ours {
		r.tell(i, p.problems[string(i.UID)])
		if err := r.write(ctx, i); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// endpoints are the ready endpoints of a port of a headless service.
func (r *Reconciler) endpoints(s *corev1.Service, p *corev1.ServicePort) []netip.AddrPort {
	var list []netip.AddrPort
	for _, slice := range r.slices.ByIndex(registry.IndexService, registry.ServiceOf(s.Namespace, s.Name)) {
		at := slices.IndexFunc(slice.Ports, func(x discoveryv1.EndpointPort) bool { return ptr.Deref(x.Name, "") == p.Name && x.Port != nil })
		if at < 0 {
			continue
		}
		for _, e := range slice.Endpoints {
			ip, err := netip.ParseAddr(e.Addresses[0])
			if err == nil && ptr.Deref(e.Conditions.Ready, true) {
				list = append(list, netip.AddrPortFrom(ip, uint16(*slice.Ports[at].Port)))
			}
		}
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	return slices.Compact(list)
}

func (r *Reconciler) secret(namespace, name string) *corev1.Secret {
	s, err := r.secrets.Get(namespace, name)
	if err != nil {
		return nil
	}
	return s
}

// issue makes a certificate for names, or gives the one that was made for them before.
func (r *Reconciler) issue(names []string, before map[string]protocol.Certificate) (protocol.Certificate, error) {
	id := strings.Join(names, " ")
	c, ok := before[id]
	if !ok {
		cert, key, err := r.options.Issue(names)
		if err != nil {
			return protocol.Certificate{}, err
		}
		c = protocol.Certificate{Cert: cert, Key: key}
	}
	r.issued[id] = c
	return c, nil
}

// tell records events about what is wrong with an Ingress, once.
func (r *Reconciler) tell(i *networkingv1.Ingress, problems []problem) {
	var text strings.Builder
	for _, p := range problems {
		text.WriteString(p.reason + ": " + p.message + "\n")
	}
	r.mu.Lock()
	same := r.told[string(i.UID)] == text.String()
	r.told[string(i.UID)] = text.String()
	r.mu.Unlock()
	if same {
		return
	}
	for _, p := range problems {
		r.recorder.Event(i, corev1.EventTypeWarning, p.reason, "%s", p.message)
	}
}

// forget drops what was told about Ingresses that are gone.
func (r *Reconciler) forget(p plan) {
	there := map[string]bool{}
	for _, i := range slices.Concat(p.ours, p.foreign) {
		there[string(i.UID)] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.told, func(uid, _ string) bool { return !there[uid] })
}

// write says in an Ingress' status where it is reached.
func (r *Reconciler) write(ctx context.Context, seen *networkingv1.Ingress) error {
	want := networkingv1.IngressLoadBalancerStatus{Ingress: []networkingv1.IngressLoadBalancerIngress{{
		IP:    r.options.Address.Addr().String(),
		Ports: []networkingv1.IngressPortStatus{{Port: int32(r.options.Address.Port()), Protocol: corev1.ProtocolTCP}},
	}}}
	if equality.Semantic.DeepEqual(seen.Status.LoadBalancer, want) {
		return nil
	}
	_, err := r.ingresses.UpdateStatus(ctx, seen.Namespace, seen.Name, func(i *networkingv1.Ingress) error {
		if i.UID != seen.UID {
			return controller.ErrOvertaken
		}
		i.Status.LoadBalancer = want
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing the status of ingress %s/%s: %w", seen.Namespace, seen.Name, err)
	}
	return nil
}
