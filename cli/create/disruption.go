package create

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/urfave/cli/v2"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func disruptionBudget() generator {
	return generator{name: "poddisruptionbudget", aliases: []string{"pdb"}, usage: "Create a pod disruption budget",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "selector", Usage: "`LABELS` of the pods it protects"},
			&cli.StringFlag{Name: "min-available", Usage: "`NUMBER` or percentage of pods that must stay available"},
			&cli.StringFlag{Name: "max-unavailable", Usage: "`NUMBER` or percentage of pods that may be unavailable"},
		},
		examples: []string{"skiff create pdb kubia --selector=app=kubia --min-available=1", "skiff create pdb kubia --selector=app=kubia --max-unavailable=50%"},
		make:     makeDisruptionBudget}
}

// amount is a number or a percentage.
var amount = regexp.MustCompile(`^[0-9]+%?$`)

func makeDisruptionBudget(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
	least, most := c.String("min-available"), c.String("max-unavailable")
	switch {
	case c.String("selector") == "":
		return nil, errors.New("a selector must be specified")
	case least == "" && most == "":
		return nil, errors.New("one of min-available or max-unavailable must be specified")
	case least != "" && most != "":
		return nil, errors.New("min-available and max-unavailable cannot be both specified")
	}
	for flag, value := range map[string]string{"min-available": least, "max-unavailable": most} {
		if value != "" && !amount.MatchString(value) {
			return nil, fmt.Errorf("invalid format specified for %s", flag)
		}
	}
	selector, err := metav1.ParseToLabelSelector(c.String("selector"))
	if err != nil {
		return nil, err
	}
	o := &policyv1.PodDisruptionBudget{
		TypeMeta:   typeMeta(policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")),
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector},
	}
	if least != "" {
		o.Spec.MinAvailable = ptr.To(intstr.Parse(least))
	} else {
		o.Spec.MaxUnavailable = ptr.To(intstr.Parse(most))
	}
	return o, nil
}
