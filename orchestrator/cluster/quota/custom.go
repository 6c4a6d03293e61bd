package quota

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/manifests"
	"skiff/manifests/quota"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// followCustom is follow for the resource of a definition. What a quota can limit of its objects
// follows from the resource alone.
func (c *Controller) followCustom(resource string, feed *controller.Feed) controller.Source[key] {
	gr := manifests.ResourceOf(resource)
	kind := &manifests.Kind{Resource: gr.Resource, Namespaced: true}
	kind.GVK.Group = gr.Group
	return c.follow(kind, feed)
}

// followDefinitions has the quotas counted that limit a kind which is served from now on.
func (c *Controller) followDefinitions(feed *controller.Feed) controller.Source[key] {
	return func(ctx context.Context, queue controller.Queue[key]) (func(), error) {
		return feed.Subscribe(ctx, func(e store.Event) {
			kind := quota.CustomKind(e.Object)
			if e.Type == watch.Deleted || kind == nil || e.Previous != nil && quota.CustomKind(e.Previous) != nil {
				return
			}
			c.eachQuota("", kind, func(q *corev1.ResourceQuota) { queue.Add(controller.NameOf(q)) })
		})
	}
}
