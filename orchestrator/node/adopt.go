package node

import (
	"context"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
)

// adopt takes over the pods that an earlier daemon has left, once the engine's containers are
// known: what happened to them, and their addresses, before any of these can be given to another
// pod.
func (a *Agent) adopt() {
	for _, r := range a.records.all() {
		a.keepAddress(r, r.runningAddress())
	}
	for _, p := range a.pods.ByIndex(registry.IndexNode, a.Name) {
		r := a.records.ensure(p.UID, p.Namespace, p.Name)
		r.seed(p)
		if had, err := netip.ParseAddr(p.Status.PodIP); err == nil && !p.Spec.HostNetwork && !podfacts.Terminal(p) {
			a.keepAddress(r, had)
		}
	}
	a.background.start(func(ctx context.Context) {
		if err := a.volumes.Sweep(ctx, func(uid types.UID) bool { return a.records.get(uid) != nil }); err != nil {
			a.log.Error("volumes of pods that are gone are left behind", "error", err)
		}
	})
}

// keepAddress lets a pod keep the address it had.
func (a *Agent) keepAddress(r *record, addr netip.Addr) {
	if err := r.reserveAddress(a.Addresses, addr); err != nil {
		a.log.Error("pod can't keep its address", "pod", r.name, "namespace", r.namespace, "address", addr, "error", err)
	}
}
