package admission

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	sums "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/utils/clock"

	"skiff/manifests/quota"
	"skiff/manifests/registry"
	"skiff/store"
)

// ResourceQuota charges what objects use to the quotas of their namespace, and
// refuses what exceeds one. What a quota has in use is in its status; the charge
// is stored there together with the object, so that the sum of all that was let
// in can never be more than the limit.
//
// Upstream refuses everything while a quota's status is yet to be calculated,
// and goes by an old status until its controller has seen what was deleted. Here
// such a status is calculated on the spot: skiff sees what is stored.
type ResourceQuota struct {
	reader Reader
	clock  clock.PassiveClock
	locks  *namespaceLocks
}

// NewResourceQuota returns the admitter. The clock is the real one unless set.
func NewResourceQuota(r Reader, clk clock.PassiveClock) ResourceQuota {
	if clk == nil {
		clk = clock.RealClock{}
	}
	return ResourceQuota{reader: r, clock: clk, locks: &namespaceLocks{seed: maphash.MakeSeed()}}
}

// Admit implements registry.Admitter.
func (ResourceQuota) Admit(context.Context, registry.Request) error { return nil }

// Charge implements registry.Charger.
func (a ResourceQuota) Charge(_ context.Context, r registry.Request) (registry.Charge, error) {
	if !quota.Changes(r.Kind, r.Object, r.Old, r.Subresource) || len(a.covering(r)) == 0 {
		return registry.Charge{}, nil
	}
	// Who charges a namespace's quotas waits for one another: otherwise most of
	// many at a time would have to try again.
	unlock := a.locks.lock(r.Namespace)
	changes, err := a.charge(r)
	if err != nil || len(changes) == 0 {
		unlock()
		return registry.Charge{}, err
	}
	return registry.Charge{Changes: changes, End: unlock}, nil
}

// covering are the quotas of the namespace that count the object, by name.
func (a ResourceQuota) covering(r registry.Request) []*corev1.ResourceQuota {
	var all []*corev1.ResourceQuota
	a.reader.Snapshot("resourcequotas").Ascend(r.Namespace, store.Key{}, func(obj store.Object) bool {
		if q := obj.(*corev1.ResourceQuota); quota.Covers(q, r.Kind, r.Object) {
			all = append(all, q)
		}
		return true
	})
	return all
}

func (a ResourceQuota) charge(r registry.Request) ([]store.Change, error) {
	quotas := a.covering(r)
	for _, q := range quotas {
		if err := quota.Require(q, r.Kind, r.Object); err != nil {
			return nil, forbidden(r, fmt.Errorf("failed quota: %s: %w", q.Name, err))
		}
	}
	var changes []store.Change
	for _, q := range quotas {
		more := a.more(r, q)
		if len(more) == 0 {
			continue
		}
		status, err := a.charged(q, more)
		if err != nil {
			return nil, forbidden(r, err)
		}
		change, err := statusChange(q, status)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// more is what a write adds to what a quota has in use.
func (a ResourceQuota) more(r registry.Request, q *corev1.ResourceQuota) corev1.ResourceList {
	now := a.clock.Now()
	used := quota.Usage(r.Kind, r.Object, now)
	if r.Old != nil && quota.Covers(q, r.Kind, r.Old) {
		used = sums.SubtractWithNonNegativeResult(used, quota.Usage(r.Kind, r.Old, now))
	}
	return sums.Mask(sums.RemoveZeros(used), sums.ResourceNames(q.Spec.Hard))
}

// charged is a quota's status with more in use. What the status does not allow
// is looked at once more from what there is: something may have gone since.
func (a ResourceQuota) charged(q *corev1.ResourceQuota, more corev1.ResourceList) (corev1.ResourceQuotaStatus, error) {
	if quota.Current(q, quota.Kinds(a.reader)) {
		if status, exceeded := plus(q.Status, more); len(exceeded) == 0 {
			return status, nil
		}
	}
	before := quota.Status(a.reader, q, quota.Kinds(a.reader), a.clock.Now())
	after, exceeded := plus(before, more)
	if len(exceeded) > 0 {
		return after, fmt.Errorf("exceeded quota: %s, requested: %s, used: %s, limited: %s", q.Name,
			listed(sums.Mask(more, exceeded)), listed(sums.Mask(before.Used, exceeded)), listed(sums.Mask(before.Hard, exceeded)))
	}
	return after, nil
}

// plus adds to what is in use, and names what becomes more than there may be.
func plus(s corev1.ResourceQuotaStatus, more corev1.ResourceList) (corev1.ResourceQuotaStatus, []corev1.ResourceName) {
	used := sums.Add(s.Used, more)
	_, exceeded := sums.LessThanOrEqual(sums.Mask(used, sums.ResourceNames(more)), s.Hard)
	return corev1.ResourceQuotaStatus{Hard: s.Hard, Used: used}, exceeded
}

// listed has the form of upstream's messages: cpu=1,pods=2.
func listed(amounts corev1.ResourceList) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		amount := amounts[name]
		parts = append(parts, string(name)+"="+amount.String())
	}
	return strings.Join(parts, ",")
}

// statusChange stores a status in place of the one that was seen.
func statusChange(q *corev1.ResourceQuota, status corev1.ResourceQuotaStatus) (store.Change, error) {
	revision, err := strconv.ParseUint(q.ResourceVersion, 10, 64)
	if err != nil {
		return store.Change{}, apierrors.NewInternalError(fmt.Errorf("resourceVersion of quota %s/%s: %w", q.Namespace, q.Name, err))
	}
	changed := *q
	changed.Status = status
	return store.Change{
		Key:    store.Key{Resource: "resourcequotas", Namespace: q.Namespace, Name: q.Name},
		Expect: revision, Object: &changed,
	}, nil
}

// namespaceLocks are locks by namespace. Some namespaces share one, so that
// there need be no book of them.
type namespaceLocks struct {
	seed  maphash.Seed
	locks [64]sync.Mutex
}

// lock waits for its turn, which lasts until unlock is called.
func (l *namespaceLocks) lock(namespace string) (unlock func()) {
	lock := &l.locks[maphash.String(l.seed, namespace)%uint64(len(l.locks))]
	lock.Lock()
	return lock.Unlock
}
