package rollout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/resource"
)

func statusCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "status", Usage: "Show the status of the rollout until it is complete", ArgsUsage: arguments,
		Flags: command.Flags(command.FileFlags("follow"), command.SelectorFlag(),
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Value: true, Usage: "follow the rollout until it is complete"},
			&cli.Int64Flag{Name: "revision", Usage: "fail if the revision being rolled out is not `N`; 0 for the latest, whichever it is"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this time; 0 for never"}),
		Action: func(c *cli.Context) error {
			if c.Int64("revision") < 0 {
				return fmt.Errorf("revision must be a positive integer: %v", c.Int64("revision"))
			}
			t, err := begin(c, env)
			if err != nil {
				return err
			}
			return t.status(c.Context, follower{watch: c.Bool("watch"), revision: c.Int64("revision"), timeout: c.Duration("timeout")})
		},
	},
		"skiff rollout status deployment/kubia",
		"skiff rollout status deployment/kubia --timeout=1m   # exits with 1 if it is not done by then",
		"skiff rollout status deployment/kubia --watch=false")
}

// follower is how rollouts are followed.
type follower struct {
	*task
	watch    bool
	revision int64
	timeout  time.Duration
}

func (t *task) status(ctx context.Context, f follower) error {
	f.task = t
	return t.each(ctx, func(o resource.Object) error {
		bounded := ctx
		if f.timeout > 0 {
			var cancel context.CancelFunc
			bounded, cancel = context.WithTimeout(ctx, f.timeout)
			defer cancel()
		}
		err := f.follow(bounded, o)
		if errors.Is(err, context.DeadlineExceeded) {
			return errors.New("timed out waiting for the condition")
		}
		return err
	})
}

// follow prints every state of an object until its rollout is done.
func (f follower) follow(ctx context.Context, o resource.Object) error {
	seen := false
	return f.client.Until(ctx, o.Ref, func(u *unstructured.Unstructured) (bool, error) {
		switch {
		case u != nil:
			seen = true
			return f.tell(o, u)
		case seen:
			return false, errors.New("object has been deleted")
		}
		return false, apierrors.NewNotFound(o.Mapping.Resource.GroupResource(), o.Name)
	})
}

// tell prints how far an object is, and whether there is anything more to wait for.
func (f follower) tell(o resource.Object, u *unstructured.Unstructured) (bool, error) {
	text, done, err := progress(o.Ref, u, f.revision)
	if err != nil {
		return false, err
	}
	fmt.Fprintln(f.env.Out, text)
	return done || !f.watch, nil
}

// progress says how far a rollout is, in kubectl's words: scripts read them.
func progress(r client.Ref, u *unstructured.Unstructured, revision int64) (string, bool, error) {
	switch r.Mapping.GroupVersionKind.GroupKind().String() {
	case "Deployment.apps":
		d := &appsv1.Deployment{}
		if err := client.Into(u, d); err != nil {
			return "", false, err
		}
		return deploymentProgress(d, revision)
	case "DaemonSet.apps":
		d := &appsv1.DaemonSet{}
		if err := client.Into(u, d); err != nil {
			return "", false, err
		}
		return daemonSetProgress(d)
	case "StatefulSet.apps":
		s := &appsv1.StatefulSet{}
		if err := client.Into(u, s); err != nil {
			return "", false, err
		}
		return statefulSetProgress(s)
	}
	return "", false, fmt.Errorf("no status viewer has been implemented for %s", r.Mapping.GroupVersionKind.GroupKind())
}

func deploymentProgress(d *appsv1.Deployment, revision int64) (string, bool, error) {
	if revision > 0 {
		running, err := strconv.ParseInt(d.Annotations[revisionAnnotation], 10, 64)
		if d.Annotations[revisionAnnotation] != "" && err != nil {
			return "", false, fmt.Errorf("cannot get the revision of deployment %q: %w", d.Name, err)
		}
		if running != revision {
			return "", false, fmt.Errorf("desired revision (%d) is different from the running revision (%d)", revision, running)
		}
	}
	if d.Generation > d.Status.ObservedGeneration {
		return "Waiting for deployment spec update to be observed...", false, nil
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return "", false, fmt.Errorf("deployment %q exceeded its progress deadline", d.Name)
		}
	}
	waiting := fmt.Sprintf("Waiting for deployment %q rollout to finish: ", d.Name)
	switch s := d.Status; {
	case d.Spec.Replicas != nil && s.UpdatedReplicas < *d.Spec.Replicas:
		return waiting + fmt.Sprintf("%d out of %d new replicas have been updated...", s.UpdatedReplicas, *d.Spec.Replicas), false, nil
	case s.Replicas > s.UpdatedReplicas:
		return waiting + fmt.Sprintf("%d old replicas are pending termination...", s.Replicas-s.UpdatedReplicas), false, nil
	case s.AvailableReplicas < s.UpdatedReplicas:
		return waiting + fmt.Sprintf("%d of %d updated replicas are available...", s.AvailableReplicas, s.UpdatedReplicas), false, nil
	}
	return fmt.Sprintf("deployment %q successfully rolled out", d.Name), true, nil
}

func daemonSetProgress(d *appsv1.DaemonSet) (string, bool, error) {
	waiting := fmt.Sprintf("Waiting for daemon set %q rollout to finish: ", d.Name)
	switch s := d.Status; {
	case d.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType:
		return "", true, errors.New("rollout status is only available for RollingUpdate strategy type")
	case d.Generation > s.ObservedGeneration:
		return "Waiting for daemon set spec update to be observed...", false, nil
	case s.UpdatedNumberScheduled < s.DesiredNumberScheduled:
		return waiting + fmt.Sprintf("%d out of %d new pods have been updated...", s.UpdatedNumberScheduled, s.DesiredNumberScheduled), false, nil
	case s.NumberAvailable < s.DesiredNumberScheduled:
		return waiting + fmt.Sprintf("%d of %d updated pods are available...", s.NumberAvailable, s.DesiredNumberScheduled), false, nil
	}
	return fmt.Sprintf("daemon set %q successfully rolled out", d.Name), true, nil
}

func statefulSetProgress(set *appsv1.StatefulSet) (string, bool, error) {
	s, want, rolling := set.Status, set.Spec.Replicas, set.Spec.UpdateStrategy.RollingUpdate
	switch {
	case set.Spec.UpdateStrategy.Type != appsv1.RollingUpdateStatefulSetStrategyType:
		return "", true, errors.New("rollout status is only available for RollingUpdate strategy type")
	case s.ObservedGeneration == 0 || set.Generation > s.ObservedGeneration:
		return "Waiting for statefulset spec update to be observed...", false, nil
	case want != nil && s.ReadyReplicas < *want:
		return fmt.Sprintf("Waiting for %d pods to be ready...", *want-s.ReadyReplicas), false, nil
	case rolling != nil:
		due := ptr.Deref(want, 0) - ptr.Deref(rolling.Partition, 0)
		if want != nil && rolling.Partition != nil && s.UpdatedReplicas < due {
			return fmt.Sprintf("Waiting for partitioned roll out to finish: %d out of %d new pods have been updated...", s.UpdatedReplicas, due), false, nil
		}
		return fmt.Sprintf("partitioned roll out complete: %d new pods have been updated...", s.UpdatedReplicas), true, nil
	case s.UpdateRevision != s.CurrentRevision:
		return fmt.Sprintf("waiting for statefulset rolling update to complete %d pods at revision %s...", s.UpdatedReplicas, s.UpdateRevision), false, nil
	}
	return fmt.Sprintf("statefulset rolling update complete %d pods at revision %s...", s.CurrentReplicas, s.CurrentRevision), true, nil
}
