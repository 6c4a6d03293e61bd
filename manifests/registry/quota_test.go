package registry_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// quotaOf limits the namespace default: pairs of a resource and an amount.
func quotaOf(name string, pairs ...string) *corev1.ResourceQuota {
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{}}}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Spec.Hard[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return q
}

func withCPU(cpu string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
}

// used is what a quota's status says is in use.
func (f fixture) used(quota string, name corev1.ResourceName) string {
	f.t.Helper()
	obj, ok := f.store.Get(store.Key{Resource: "resourcequotas", Namespace: "default", Name: quota})
	if !ok {
		return "no quota"
	}
	amount, ok := obj.(*corev1.ResourceQuota).Status.Used[name]
	if !ok {
		return "unknown"
	}
	return amount.String()
}

func TestQuotaCharges(t *testing.T) {
	f := open(t)
	f.create(pod("before"))
	f.create(quotaOf("q", "pods", "2", "services", "1", "services.nodeports", "1", "count/configmaps", "1", "secrets", "1"))
	if got := f.used("q", "pods"); got != "unknown" {
		t.Errorf("pods in use before anything was charged: %s", got)
	}
	f.create(pod("a"))
	if got := f.used("q", "pods"); got != "2" {
		t.Errorf("pods in use: %s", got)
	}
	refused := func(obj store.Object, want string) {
		t.Helper()
		before := f.revision()
		_, err := f.tryCreate(obj)
		wantError(t, err, want)
		if !apierrors.IsForbidden(err) || f.revision() != before {
			t.Errorf("%T, at revision %d and then %d", err, before, f.revision())
		}
	}
	refused(pod("b"), `pods "b" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`)
	f.create(configMap("a"))
	refused(configMap("b"), `configmaps "b" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1`)
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}})
	refused(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "b"}}, `secrets "b" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=1, limited: secrets=1`)
	invalid := pod("b", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "" })
	if _, err := f.tryCreate(invalid); !apierrors.IsInvalid(err) {
		t.Errorf("an invalid pod is refused with %v", err)
	}
	if _, err := f.tryCreate(pod("a")); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a name that is taken is refused with %v", err)
	}
	// What has gone makes room at once, though nobody has counted anew.
	f.delete("pods", "before", 0)
	f.create(pod("b"))
	if got := f.used("q", "pods"); got != "2" {
		t.Errorf("pods in use: %s", got)
	}
}

func (f fixture) delete(resource, name string, grace int64) {
	f.t.Helper()
	if _, _, err := f.resource(resource).Delete(f.ctx, "default", name, metav1.NewDeleteOptions(grace), registry.DeleteOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

func TestQuotaChargesUpdates(t *testing.T) {
	f := open(t)
	f.create(quotaOf("q", "services.nodeports", "1", "services.loadbalancers", "0"))
	ports := []corev1.ServicePort{{Name: "a", Port: 1}, {Name: "b", Port: 2}}
	f.create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}, Spec: corev1.ServiceSpec{Ports: ports}})
	client := registry.For[*corev1.Service](f.Registry)
	change := func(typ corev1.ServiceType, ports ...corev1.ServicePort) error {
		_, err := client.Update(f.ctx, "default", "s", func(s *corev1.Service) error {
			s.Spec.Type, s.Spec.Ports = typ, ports
			return nil
		})
		return err
	}
	wantError(t, change(corev1.ServiceTypeNodePort, ports...), `services "s" is forbidden: exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1`)
	wantError(t, change(corev1.ServiceTypeNodePort, ports[0]), "")
	if got := f.used("q", "services.nodeports"); got != "1" {
		t.Errorf("node ports in use: %s", got)
	}
	wantError(t, change(corev1.ServiceTypeLoadBalancer, ports[0]), `services "s" is forbidden: exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, limited: services.loadbalancers=0`)
}

func TestQuotaOfScopes(t *testing.T) {
	f := open(t)
	q := quotaOf("q", "pods", "0")
	q.Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeTerminating}
	f.create(q)
	f.create(pod("a"))
	_, err := registry.For[*corev1.Pod](f.Registry).Update(f.ctx, "default", "a", func(p *corev1.Pod) error {
		deadline := int64(5)
		p.Spec.ActiveDeadlineSeconds = &deadline
		return nil
	})
	wantError(t, err, `pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0`)
}

func TestQuotaRequiresRequests(t *testing.T) {
	f := open(t)
	f.create(quotaOf("q", "requests.cpu", "1", "limits.memory", "1Gi"))
	_, err := f.tryCreate(pod("a"))
	wantError(t, err, `pods "a" is forbidden: failed quota: q: must specify limits.memory for: main; requests.cpu for: main`)
	f.create(&corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "l"}, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type:    corev1.LimitTypeContainer,
		Default: corev1.ResourceList{"cpu": resource.MustParse("600m"), "memory": resource.MustParse("100Mi")},
	}}}})
	f.create(pod("a"))
	_, err = f.tryCreate(pod("b"))
	wantError(t, err, `pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1`)
	f.create(pod("b", withCPU("400m")))
}

func TestADryRunIsChargedNothing(t *testing.T) {
	f := open(t)
	f.create(quotaOf("q", "pods", "1"))
	dry := func() error {
		p := pod("dry")
		manifests.Scheme().Default(p)
		_, err := f.resource("pods").Create(f.ctx, "default", p, registry.CreateOptions{DryRun: true})
		return err
	}
	for range 3 {
		wantError(t, dry(), "")
	}
	f.create(pod("a"))
	if got := f.used("q", "pods"); got != "1" {
		t.Errorf("pods in use: %s", got)
	}
	wantError(t, dry(), `pods "dry" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1`)
}

// TestQuotaHoldsAgainstMany: of 32 who create at a time no more get through than
// there is room for, and that many do.
func TestQuotaHoldsAgainstMany(t *testing.T) {
	f := open(t)
	f.create(quotaOf("few", "pods", "10"))
	f.create(quotaOf("cpu", "requests.cpu", "1500m"))
	var made, refused atomic.Int64
	var writers sync.WaitGroup
	for w := range 32 {
		writers.Go(func() {
			for i := range 4 {
				_, err := f.tryCreate(pod(fmt.Sprintf("p-%d-%d", w, i), withCPU("100m")))
				switch {
				case err == nil:
					made.Add(1)
				case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: few, requested: pods=1, used: pods=10, limited: pods=10"):
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if made.Load() != 10 || refused.Load() != 118 {
		t.Errorf("%d made, %d refused", made.Load(), refused.Load())
	}
	if pods, cpu := f.used("few", "pods"), f.used("cpu", "requests.cpu"); pods != "10" || cpu != "1" {
		t.Errorf("in use: %s pods, %s cpu", pods, cpu)
	}
}

// TestQuotaStaysTrue: whatever is created, deleted and changed, by several at a
// time, what is there never exceeds the quota, and the quota's status never says
// less than what is there.
func TestQuotaStaysTrue(t *testing.T) {
	f := open(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		limit := rapid.IntRange(1, 5).Draw(rt, "limit")
		name := fmt.Sprint("q", round)
		f.create(quotaOf(name, "pods", fmt.Sprint(limit)))
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"create", "create", "delete", "end", "touch"}), 1, 24).Draw(rt, "steps")
		var writers sync.WaitGroup
		for w := range 3 {
			writers.Go(func() {
				for i := w; i < len(steps); i += 3 {
					f.do(rt, steps[i], name, fmt.Sprintf("r%d-%d", round, i/2))
					f.checkQuota(rt, name, limit)
				}
			})
		}
		writers.Wait()
		running := f.checkQuota(rt, name, limit)
		if used := f.used(name, "pods"); used != "unknown" && used < fmt.Sprint(running) {
			rt.Errorf("%s in use of %d that run", used, running)
		}
		f.clear(name)
	})
}

func (f fixture) do(rt *rapid.T, step, quota, name string) {
	ctx := context.Background()
	var err error
	switch step {
	case "create":
		_, err = f.tryCreate(pod(name))
	case "delete":
		_, _, err = f.resource("pods").Delete(ctx, "default", name, metav1.NewDeleteOptions(0), registry.DeleteOptions{})
	case "end":
		_, err = registry.For[*corev1.Pod](f.Registry).UpdateStatus(ctx, "default", name, func(p *corev1.Pod) error {
			p.Status.Phase = corev1.PodSucceeded
			return nil
		})
	case "touch":
		_, err = registry.For[*corev1.ResourceQuota](f.Registry).Update(ctx, "default", quota, func(q *corev1.ResourceQuota) error {
			q.Labels = map[string]string{"touched-by": name}
			return nil
		})
	}
	if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
		rt.Error(err)
	}
}

// checkQuota compares the pods that count with the limit.
func (f fixture) checkQuota(rt *rapid.T, quota string, limit int) int {
	running := 0
	f.store.Snapshot("pods").Ascend("default", store.Key{}, func(obj store.Object) bool {
		if obj.(*corev1.Pod).Status.Phase != corev1.PodSucceeded {
			running++
		}
		return true
	})
	if running > limit {
		rt.Errorf("%d pods with a quota %s of %d", running, quota, limit)
	}
	return running
}

func (f fixture) clear(quota string) {
	f.delete("resourcequotas", quota, 0)
	var names []string
	f.store.Snapshot("pods").Ascend("default", store.Key{}, func(obj store.Object) bool {
		names = append(names, obj.GetName())
		return true
	})
	for _, name := range names {
		f.delete("pods", name, 0)
	}
}
