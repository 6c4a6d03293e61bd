package autoscale

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// readMetrics reads what pods shall use; none is the server's default.
func readMetrics(c *cli.Context) ([]autoscalingv2.MetricSpec, error) {
	percent, cpu := c.Int("cpu-percent"), c.String("cpu")
	switch {
	case percent > 0 && cpu != "":
		return nil, errors.New("--cpu-percent and --cpu are mutually exclusive")
	case percent > 0:
		cpu = fmt.Sprintf("%d%%", percent)
	}
	var out []autoscalingv2.MetricSpec
	for _, wish := range []struct {
		of   corev1.ResourceName
		text string
		unit string
	}{{corev1.ResourceCPU, cpu, "m"}, {corev1.ResourceMemory, c.String("memory"), "Mi"}} {
		if wish.text == "" {
			continue
		}
		target, err := parseTarget(wish.of, strings.TrimSpace(wish.text), wish.unit)
		if err != nil {
			return nil, err
		}
		out = append(out, autoscalingv2.MetricSpec{
			Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: wish.of, Target: target},
		})
	}
	return out, nil
}

// parseTarget reads a share, or an amount; unit is that of a bare number.
func parseTarget(of corev1.ResourceName, text, unit string) (autoscalingv2.MetricTarget, error) {
	if text == "" {
		return autoscalingv2.MetricTarget{}, errors.New("empty input")
	}
	if share, ok := strings.CutSuffix(text, "%"); ok {
		n, err := strconv.ParseInt(share, 10, 32)
		if err != nil || n < 0 {
			return autoscalingv2.MetricTarget{}, fmt.Errorf("invalid percentage value: %s", share)
		}
		percent := int32(n)
		return autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent}, nil
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		text = fmt.Sprintf("%g%s", n, unit)
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return autoscalingv2.MetricTarget{}, fmt.Errorf("invalid resource %s value: %s", of, text)
	}
	return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &q}, nil
}
