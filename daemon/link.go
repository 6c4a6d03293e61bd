package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"skiff/docker"
	"skiff/manifests/nodefacts"
	"skiff/manifests/registry"
	"skiff/manifests/servicefacts"
	"skiff/manifests/serviceip"
	"skiff/network"
	"skiff/network/program"
	"skiff/network/protocol"
	"skiff/network/publish"
	"skiff/orchestrator"
	"skiff/orchestrator/cluster"
	"skiff/orchestrator/cluster/routes"
)

// dataPathEnv is passed on to the router: "userland" keeps it from using nftables.
const dataPathEnv = "SKIFF_ROUTER_DATAPATH"

// makeLink makes the daemon's connection to the pods' network, and what opens ports of this machine
// into it.
func (d *daemon) makeLink() {
	nodes := registry.For[*corev1.Node](d.registry)
	d.network = &networkedEngine{Engine: d.engine, nodeIP: func(name string) netip.Addr {
		n, err := nodes.Get("", name)
		if err != nil {
			return netip.Addr{}
		}
		return nodefacts.InternalIP(n)
	}}
	var env []string
	if path := os.Getenv(dataPathEnv); path != "" {
		env = append(env, dataPathEnv+"="+path)
	}
	d.link = network.New(network.Options{
		Env:    env,
		Engine: d.network, Program: program.Program, Domain: d.config.ClusterDomain, ByRouter: d.config.PodsByRouter,
		Changed: d.networkChanged, Told: d.networkTold, Problem: d.serviceProblem, Clock: clock.RealClock{}, Logger: d.log,
	})
	d.helper = &portHelper{engine: d.network}
	d.ports = publish.New(publish.Options{Dial: d.link.DialBulk, Helper: d.portHelper(), Logger: d.log})
}

// networkOptions are what the controllers are to know of the network.
func (d *daemon) networkOptions(machine string) *orchestrator.Network {
	trouble := ""
	if !program.Built() {
		trouble = program.ErrNotBuilt.Error()
	}
	return &orchestrator.Network{
		Trouble: trouble,
		Router:  d.link, Door: d.link, Publisher: d.ports, PublishAt: d.config.PublishAddress, Inside: d.inside,
		NodeAddress: d.network.NodeAddress, FrontDoor: d.doorAddress(),
		IssueCertificate: d.creds.Issue, Machine: machine,
	}
}

// networkChanged moves services into the network's part for them, and says where in it the API and
// the name server are.
func (d *daemon) networkChanged(ctx context.Context, l docker.Layout) error {
	if err := d.helper.sweep(ctx); err != nil {
		return err
	}
	kept := map[netip.Addr]bool{}
	for _, a := range d.network.Elsewhere() {
		kept[a] = true
	}
	recorder := d.controllers.Recorder(cluster.ServicesComponent, "")
	if err := cluster.SetServiceRange(ctx, d.registry, recorder, l.Services, func(a netip.Addr) bool { return kept[a] }); err != nil {
		return err
	}
	api := d.serviceAddress(l, metav1.NamespaceDefault, "kubernetes", registry.APIServiceNumber)
	if err := d.creds.AddHosts(api.String(), l.Router.String()); err != nil {
		return err
	}
	d.controllers.API().Set(netip.AddrPortFrom(l.Router, protocol.APIPort))
	d.controllers.DNS().Set(netip.AddrPortFrom(l.Router, protocol.DNSPort))
	d.openDoor(l.Router)
	return nil
}

// networkTold notes how the network is where every client may read it.
func (d *daemon) networkTold(ctx context.Context, s network.Status) {
	state := "waiting for its router: " + s.Why
	if s.Connected {
		way := "through the Engine API"
		if s.Direct {
			way = "directly"
		}
		state = fmt.Sprintf("%s, %s; pods are reached %s", s.Layout.Subnet, s.Router.DataPath, way)
		if s.Router.Why != "" {
			state += " (" + s.Router.Why + ")"
		}
	}
	if err := d.tellInfo(ctx, servicefacts.InfoNetwork, state); err != nil && ctx.Err() == nil {
		d.log.Warn("how the network is was not written", "error", err)
	}
}

// serviceProblem tells, by an event, of a service that the router could not bring in force.
func (d *daemon) serviceProblem(_ context.Context, key protocol.Key, why string) {
	s, err := registry.For[*corev1.Service](d.registry).Get(key.Namespace, key.Name)
	if err != nil {
		return // it has gone meanwhile
	}
	d.controllers.Recorder(routes.Component, "").Event(s, corev1.EventTypeWarning, "ServiceNotInForce", "The router does not serve it: %s", why)
}

// likelyServices is the range that services have until the engine has said which it is.
func (d *daemon) likelyServices() netip.Prefix {
	if d.engine == nil {
		return docker.DefaultLayout().Services
	}
	return d.engine.LikelyLayout().Services
}

// apiNames are the names by which pods know the API.
func apiNames(domain string) []string {
	return []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + domain}
}

// clusterDNS is the address of the cluster's name server, invalid while the network is not known, and
// where there is no router to answer.
func (d *daemon) clusterDNS() netip.Addr {
	l := d.network.Layout()
	if !l.Services.IsValid() || !program.Built() {
		return netip.Addr{}
	}
	return d.serviceAddress(l, metav1.NamespaceSystem, "kube-dns", registry.DNSServiceNumber)
}

// serviceAddress is the address of a Service that every cluster has: usually that of its number.
func (d *daemon) serviceAddress(l docker.Layout, namespace, name string, number uint64) netip.Addr {
	s, err := registry.For[*corev1.Service](d.registry).Get(namespace, name)
	if err != nil {
		s = nil
	}
	return addressIn(l.Services, s, number)
}

// addressIn is a Service's address if it lies in the range, else that of its number. Somebody else may
// have had the latter when the Service got its own: a pod of before, or a Service of the user's.
func addressIn(services netip.Prefix, s *corev1.Service, number uint64) netip.Addr {
	if s != nil {
		if at, err := netip.ParseAddr(s.Spec.ClusterIP); err == nil && serviceip.Contains(services, at) {
			return at
		}
	}
	at, _ := serviceip.At(services, number)
	return at
}

// nodeAddress is what gives a node's InternalIP: the address at which pods find the engine's machine,
// on which all nodes are, if it is this one; else one that the router serves. Until the network is
// known it is the machine's own, as it always is without an engine.
func (d *daemon) nodeAddress(name string) func() netip.Addr {
	if d.network == nil {
		return remembered(hostIP, hostIPAge)
	}
	machine := hostIP()
	return func() netip.Addr {
		switch l := d.network.Layout(); {
		case !l.Gateway.IsValid():
			return machine
		case d.network.Here() || !program.Built():
			return l.Gateway
		}
		return d.network.NodeAddress(name)
	}
}

// inside is this machine's address in the pods' network, invalid if the network is not known, or the
// engine is on another machine.
func (d *daemon) inside() netip.Addr {
	if !d.network.Here() {
		return netip.Addr{}
	}
	return d.network.Layout().Gateway
}

// gateway is where this daemon reaches what listens on the engine's machine.
func (d *daemon) gateway() netip.Addr {
	if l := d.network.Layout(); l.Gateway.IsValid() {
		return l.Gateway
	}
	return hostIP()
}
