// Package flowschemas says of each FlowSchema whether its priority level exists.
package flowschemas

import (
	"context"
	"fmt"
	"slices"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Controller keeps the condition Dangling of FlowSchemas.
type Controller struct {
	env     controller.Env
	schemas registry.Client[*flowcontrolv1.FlowSchema]
	levels  registry.Client[*flowcontrolv1.PriorityLevelConfiguration]
}

// New returns the controller.
func New(env controller.Env) *Controller {
	return &Controller{
		env: env, schemas: registry.For[*flowcontrolv1.FlowSchema](env.Registry),
		levels: registry.For[*flowcontrolv1.PriorityLevelConfiguration](env.Registry),
	}
}

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[types.NamespacedName]{
		Name: "flowschemas", Workers: 4, Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Own(c.env.Feeds.Of("flowschemas.flowcontrol.apiserver.k8s.io")),
			controller.Follow(c.env.Feeds.Of("prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"), c.concerns),
		},
		Env: c.env,
	}
	return loop.Run(ctx)
}

// concerns adds the schemas that refer to a level that comes or goes.
func (c *Controller) concerns(now, before *flowcontrolv1.PriorityLevelConfiguration, add func(types.NamespacedName)) {
	if now != nil && before != nil {
		return
	}
	level := now
	if level == nil {
		level = before
	}
	for _, s := range c.schemas.List("", nil) {
		if s.Spec.PriorityLevelConfiguration.Name == level.Name {
			add(controller.NameOf(s))
		}
	}
}

func (c *Controller) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	_, err := c.schemas.UpdateStatus(ctx, "", key.Name, func(s *flowcontrolv1.FlowSchema) error {
		level := s.Spec.PriorityLevelConfiguration.Name
		_, err := c.levels.Get("", level)
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		setDangling(s, level, err != nil, metav1.NewTime(c.env.Clock.Now()))
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("FlowSchema %s: %w", key.Name, err)
	}
	return 0, nil
}

// setDangling sets the condition in upstream's words.
func setDangling(s *flowcontrolv1.FlowSchema, level string, dangling bool, now metav1.Time) {
	next := flowcontrolv1.FlowSchemaCondition{
		Type: flowcontrolv1.FlowSchemaConditionDangling, Status: flowcontrolv1.ConditionFalse, Reason: "Found", LastTransitionTime: now,
		Message: fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists", level),
	}
	if dangling {
		next.Status, next.Reason = flowcontrolv1.ConditionTrue, "NotFound"
		next.Message = fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q but there is no such object", level)
	}
	at := slices.IndexFunc(s.Status.Conditions, func(c flowcontrolv1.FlowSchemaCondition) bool { return c.Type == next.Type })
	if at < 0 {
		s.Status.Conditions = append(s.Status.Conditions, next)
		return
	}
	if old := s.Status.Conditions[at]; old.Status == next.Status {
		next.LastTransitionTime = old.LastTransitionTime
	}
	s.Status.Conditions[at] = next
}
