// Package claims gives persistent volume claims their volumes: one that somebody
// has made and that satisfies the claim, or else a new one, whose data the node
// agent keeps in a volume of the engine. It does what upstream's volume binder,
// a dynamic provisioner and the two protection controllers do together.
//
// A claim that names no class, or a StorageClass that exists, gets a new volume, whatever the class's
// provisioner: the engine has one kind of volumes. One of "kubernetes.io/no-provisioner" waits for a
// volume that somebody makes.
package claims

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"golang.org/x/sync/errgroup"

	"skiff/manifests/enginevolume"
	"skiff/manifests/podfacts"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// Component is the source of the controller's events.
const Component = "persistentvolume-controller"

// Client reads and writes objects of one kind; a registry.Client is one.
type Client[T store.Object] interface {
	Get(namespace, name string) (T, error)
	List(namespace string, s labels.Selector) []T
	Create(ctx context.Context, o T) (T, error)
	Update(ctx context.Context, namespace, name string, change func(T) error) (T, error)
	UpdateStatus(ctx context.Context, namespace, name string, change func(T) error) (T, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Pods reads pods; a registry.Client is one.
type Pods interface {
	List(namespace string, s labels.Selector) []*corev1.Pod
}

// Classes reads storage classes; a registry.Client is one.
type Classes interface {
	Get(namespace, name string) (*storagev1.StorageClass, error)
}

// Engine holds the data of volumes. *docker.Engine is one.
type Engine interface {
	// RemoveVolume removes a volume and what is in it; none is no error.
	RemoveVolume(ctx context.Context, name string) error
}

// Options are what the controller needs.
type Options struct {
	controller.Env

	Claims  Client[*corev1.PersistentVolumeClaim]
	Volumes Client[*corev1.PersistentVolume]
	Classes Classes
	Pods    Pods
	// Engine may be nil: then there is no data to remove.
	Engine Engine
	// Workers is how many claims, and how many volumes, are looked at a time.
	Workers int
}

// Controller binds claims and reclaims volumes.
type Controller struct {
	Options
	recorder controller.Recorder
	logger   *slog.Logger
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{Options: o, recorder: o.Recorder(Component), logger: o.Logger.With("controller", "claims")}
}

// Run reconciles until ctx ends. Claims are looked at one at a time, so that no
// two take the same volume.
func (c *Controller) Run(ctx context.Context) error {
	loop := func(name string, workers int, do func(context.Context, types.NamespacedName) (time.Duration, error), from ...controller.Source[types.NamespacedName]) *controller.Loop[types.NamespacedName] {
		return &controller.Loop[types.NamespacedName]{
			Name: name, Workers: workers, Reconcile: do, Sources: from, Env: c.Env,
		}
	}
	claims, volumes, pods := c.Feeds.Of("persistentvolumeclaims"), c.Feeds.Of("persistentvolumes"), c.Feeds.Of("pods")
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return loop("claims", 1, c.reconcileClaim, controller.Own(claims),
			controller.Follow(volumes, c.volumeConcernsClaims), controller.Follow(pods, podConcernsClaims),
			controller.Follow(c.Feeds.Of("storageclasses.storage.k8s.io"), c.classConcernsClaims)).Run(ctx)
	})
	group.Go(func() error {
		return loop("volumes", c.Workers, c.reconcileVolume, controller.Own(volumes), controller.Follow(claims, claimConcernsVolumes)).Run(ctx)
	})
	return group.Wait()
}

// volumeConcernsClaims adds the claim that a volume is reserved for, or all that
// wait when it is free.
func (c *Controller) volumeConcernsClaims(now, before *corev1.PersistentVolume, add func(types.NamespacedName)) {
	for _, v := range []*corev1.PersistentVolume{now, before} {
		if v != nil && v.Spec.ClaimRef != nil {
			add(types.NamespacedName{Namespace: v.Spec.ClaimRef.Namespace, Name: v.Spec.ClaimRef.Name})
		}
	}
	if now == nil || now.Spec.ClaimRef != nil {
		return
	}
	for _, claim := range c.Claims.List("", nil) {
		if claim.Status.Phase != corev1.ClaimBound {
			add(controller.NameOf(claim))
		}
	}
}

// classConcernsClaims adds the claims that wait for a class that has come.
func (c *Controller) classConcernsClaims(now, before *storagev1.StorageClass, add func(types.NamespacedName)) {
	if now == nil || before != nil {
		return // what a class says of volumes to come can not be changed
	}
	for _, claim := range c.Claims.List("", nil) {
		if claim.Status.Phase != corev1.ClaimBound && className(claim) == now.Name {
			add(controller.NameOf(claim))
		}
	}
}

// podConcernsClaims adds the claims of a pod that may need them no more.
func podConcernsClaims(now, before *corev1.Pod, add func(types.NamespacedName)) {
	p := now
	if p == nil {
		p = before
	}
	if now != nil && !podfacts.Terminal(now) {
		return
	}
	for _, name := range Used(p) {
		add(types.NamespacedName{Namespace: p.Namespace, Name: name})
	}
}

func claimConcernsVolumes(now, before *corev1.PersistentVolumeClaim, add func(types.NamespacedName)) {
	for _, claim := range []*corev1.PersistentVolumeClaim{now, before} {
		if claim == nil {
			continue
		}
		add(types.NamespacedName{Name: volumeName(claim)})
		if claim.Spec.VolumeName != "" {
			add(types.NamespacedName{Name: claim.Spec.VolumeName})
		}
	}
}

// reconcileClaim looks at one claim: observe, plan, execute.
func (c *Controller) reconcileClaim(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	claim, err := c.Claims.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading claim %s: %w", key, err)
	}
	v := c.view(claim)
	p := planClaim(v)
	if p.do != nothing {
		c.logger.Debug("plan", "claim", key.String(), "steps", p.String())
	}
	if err := c.execute(ctx, v, p); err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("claim %s: %s: %w", key, p, err)
	}
	return 0, nil
}

// execute carries out what is planned for a claim.
func (c *Controller) execute(ctx context.Context, v claimView, p claimPlan) error {
	if p.reason != "" {
		c.recorder.Event(v.claim, corev1.EventTypeWarning, p.reason, "%s", p.cause)
	}
	switch p.do {
	case provision:
		return c.provision(ctx, v.claim, v.class)
	case bind:
		return c.bind(ctx, v.claim, v.named(p.volume))
	case unprotect:
		_, err := c.Claims.Update(ctx, v.claim.Namespace, v.claim.Name, func(current *corev1.PersistentVolumeClaim) error {
			if current.UID != v.claim.UID || planClaim(c.view(current)).do != unprotect {
				return controller.ErrOvertaken
			}
			current.Finalizers = slices.DeleteFunc(current.Finalizers, func(f string) bool { return f == protectsClaim })
			return nil
		})
		return err
	case lose:
		_, err := c.Claims.UpdateStatus(ctx, v.claim.Namespace, v.claim.Name, func(current *corev1.PersistentVolumeClaim) error {
			if current.UID != v.claim.UID || planClaim(c.view(current)).do != lose {
				return controller.ErrOvertaken
			}
			current.Status.Phase = corev1.ClaimLost
			current.Status.AccessModes, current.Status.Capacity = nil, nil
			return nil
		})
		return err
	}
	return nil
}

// view reads what a decision about a claim depends on.
func (c *Controller) view(claim *corev1.PersistentVolumeClaim) claimView {
	v := claimView{claim: claim}
	if claim.DeletionTimestamp != nil {
		v.pods = c.Pods.List(claim.Namespace, nil)
		return v
	}
	v.volumes = c.Volumes.List("", nil)
	if class, err := c.Classes.Get("", className(claim)); err == nil {
		v.class = class
	}
	return v
}

func (c *Controller) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) error {
	volume, err := c.Volumes.Create(ctx, newVolume(claim, class))
	if apierrors.IsAlreadyExists(err) {
		return nil // it is another's, or was not there a moment ago; the next look will see
	}
	if err != nil {
		c.recorder.Event(claim, corev1.EventTypeWarning, "ProvisioningFailed", "Failed to create volume %s: %v", volumeName(claim), err)
		return err
	}
	c.recorder.Event(claim, corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume %s using %s", volume.Name, enginevolume.Driver)
	return c.bind(ctx, claim, volume)
}

// bind makes a volume and a claim each other's, in an order that leaves no volume
// to two claims wherever it is cut off.
func (c *Controller) bind(ctx context.Context, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume) error {
	chosen := claim.Spec.VolumeName == ""
	volume, err := c.Volumes.Update(ctx, "", volume.Name, func(current *corev1.PersistentVolume) error {
		// Nobody is to be left with a volume that was reserved for a claim that is gone.
		if now, err := c.Claims.Get(claim.Namespace, claim.Name); err != nil || !sameWish(now, claim) {
			return controller.ErrOvertaken
		}
		if current.UID != volume.UID || current.Spec.ClaimRef != nil && !mayHave(current, claim) ||
			current.Spec.ClaimRef == nil && (current.DeletionTimestamp != nil || !satisfies(current, claim)) {
			return controller.ErrOvertaken
		}
		if !boundTo(current, claim) {
			current.Spec.ClaimRef = reference(claim)
			metav1.SetMetaDataAnnotation(&current.ObjectMeta, boundByController, "yes")
		}
		if !slices.Contains(current.Finalizers, protectsVolume) && current.DeletionTimestamp == nil {
			current.Finalizers = append(current.Finalizers, protectsVolume)
		}
		if asked := request(claim); isOurs(current) && asked.Cmp(*current.Spec.Capacity.Storage()) > 0 {
			current.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: asked}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = c.Claims.Update(ctx, claim.Namespace, claim.Name, func(current *corev1.PersistentVolumeClaim) error {
		if !sameWish(current, claim) {
			return controller.ErrOvertaken
		}
		current.Spec.VolumeName = volume.Name
		metav1.SetMetaDataAnnotation(&current.ObjectMeta, bindCompleted, "yes")
		if chosen {
			metav1.SetMetaDataAnnotation(&current.ObjectMeta, boundByController, "yes")
		}
		if !slices.Contains(current.Finalizers, protectsClaim) {
			current.Finalizers = append(current.Finalizers, protectsClaim)
		}
		return nil
	})
	if err == nil {
		_, err = c.Claims.UpdateStatus(ctx, claim.Namespace, claim.Name, func(current *corev1.PersistentVolumeClaim) error {
			if current.UID != claim.UID || current.Spec.VolumeName != volume.Name {
				return controller.ErrOvertaken
			}
			current.Status.Phase = corev1.ClaimBound
			current.Status.AccessModes, current.Status.Capacity = volume.Spec.AccessModes, volume.Spec.Capacity.DeepCopy()
			return nil
		})
	}
	return err
}

// sameWish reports whether a claim still is the one that was seen, and wants a volume as it did.
func sameWish(now, seen *corev1.PersistentVolumeClaim) bool {
	return now.UID == seen.UID && now.DeletionTimestamp == nil && now.Spec.VolumeName == seen.Spec.VolumeName
}
