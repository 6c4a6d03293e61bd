package create

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func cronJob() generator {
	return generator{name: "cronjob", aliases: []string{"cj"}, usage: "Create a cron job that runs an image",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "image", Usage: "`IMAGE` to run"},
			&cli.StringFlag{Name: "schedule", Usage: "`TIMES` at which to run it, in cron's form"},
			&cli.StringFlag{Name: "restart", Value: "OnFailure", Usage: "`WHEN` to start a job's container again: OnFailure or Never"},
		},
		examples: []string{"skiff create cronjob hello --image=busybox --schedule='*/5 * * * *' -- echo hello"},
		make: func(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
			for _, flag := range []string{"image", "schedule"} {
				if c.String(flag) == "" {
					return nil, fmt.Errorf("required flag(s) %q not set", flag)
				}
			}
			o := &batchv1.CronJob{TypeMeta: typeMeta(batchv1.SchemeGroupVersion.WithKind("CronJob")), ObjectMeta: metav1.ObjectMeta{Name: name}}
			o.Spec.Schedule = c.String("schedule")
			o.Spec.JobTemplate.Name = name
			o.Spec.JobTemplate.Spec.Template.Spec = corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicy(c.String("restart")),
				Containers:    []corev1.Container{{Name: name, Image: c.String("image"), Command: c.Args().Tail()}},
			}
			return o, nil
		}}
}

func quota() generator {
	return generator{name: "quota", aliases: []string{"resourcequota"}, usage: "Create a quota for a namespace", what: "quota",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "hard", Usage: "`LIMITS` joined by commas, such as cpu=1,memory=1G,pods=2"},
			&cli.StringFlag{Name: "scopes", Usage: "`SCOPES` that objects must be in to count, joined by commas"},
		},
		examples: []string{"skiff create quota team --hard=cpu=1,memory=1G,pods=2", "skiff create quota best-effort --hard=pods=100 --scopes=BestEffort"},
		make:     makeQuota}
}

func makeQuota(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
	o := &corev1.ResourceQuota{TypeMeta: typeMeta(corev1.SchemeGroupVersion.WithKind("ResourceQuota")), ObjectMeta: metav1.ObjectMeta{Name: name}}
	if text := c.String("hard"); text != "" {
		o.Spec.Hard = corev1.ResourceList{}
		for _, pair := range strings.Split(text, ",") {
			key, value, ok := strings.Cut(pair, "=")
			if !ok || strings.Contains(value, "=") {
				return nil, fmt.Errorf("Invalid argument syntax %v, expected <resource>=<value>", pair)
			}
			q, err := resource.ParseQuantity(value)
			if err != nil {
				return nil, err
			}
			o.Spec.Hard[corev1.ResourceName(key)] = q
		}
	}
	if text := c.String("scopes"); text != "" {
		for _, scope := range strings.Split(text, ",") {
			if scope == "" {
				return nil, errors.New(`invalid resource quota scope ""`)
			}
			o.Spec.Scopes = append(o.Spec.Scopes, corev1.ResourceQuotaScope(scope))
		}
	}
	return o, nil
}

func priorityClass() generator {
	return generator{name: "priorityclass", aliases: []string{"pc"}, usage: "Create a priority class",
		flags: []cli.Flag{
			&cli.IntFlag{Name: "value", Usage: "`PRIORITY` of its pods"},
			&cli.BoolFlag{Name: "global-default", Usage: "pods that name no class are of this one"},
			&cli.StringFlag{Name: "description", Usage: "`TEXT` that says what it is for"},
			&cli.StringFlag{Name: "preemption-policy", Value: string(corev1.PreemptLowerPriority), Usage: "`WHAT` its pods may do to others: PreemptLowerPriority or Never"},
		},
		examples: []string{"skiff create priorityclass high --value=1000 --description=first"},
		make: func(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
			policy := corev1.PreemptionPolicy(c.String("preemption-policy"))
			return &schedulingv1.PriorityClass{TypeMeta: typeMeta(schedulingv1.SchemeGroupVersion.WithKind("PriorityClass")), ObjectMeta: metav1.ObjectMeta{Name: name},
				Value: int32(c.Int("value")), GlobalDefault: c.Bool("global-default"), Description: c.String("description"), PreemptionPolicy: &policy}, nil
		}}
}
