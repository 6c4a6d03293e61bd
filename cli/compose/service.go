package compose

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
)

// service is one service under conversion.
type service struct {
	*converter
	types.ServiceConfig
	// object is the name of its objects.
	object string
	labels map[string]string
	path   []string
	pod    corev1.PodSpec
	// writes reports whether it has a volume that outlives its pods and that it may write to.
	writes bool
	// filled are the volumes that take what the image has while they are empty.
	filled []string
	// gateways are the names of the engine's machine.
	gateways []string
}

func (s *service) at(fields ...string) []string {
	return append(s.path[:len(s.path):len(s.path)], fields...)
}

func (c *converter) addService(config types.ServiceConfig) {
	s := &service{converter: c, ServiceConfig: config, object: c.names[config.Name], path: []string{"services", config.Name}}
	s.labels = map[string]string{"app": s.object}
	s.others(s.path, s.ServiceConfig, serviceFields)
	if s.Deploy != nil {
		s.others(s.at("deploy"), s.Deploy, deployFields)
		if p := s.Deploy.RestartPolicy; p != nil && (p.Delay != nil || p.Window != nil) {
			s.remark(s.at("deploy", "restart_policy"), "delay and window have no effect: the pauses between restarts grow from 10 s to 5 minutes")
		}
	}
	if s.kind() != job || len(s.ports()) > 0 {
		s.addNames()
	}
	s.addPublished()
	s.convertPod()
	s.addWorkload()
	s.addWatch()
}

// kinds of workloads.
const (
	deployment = "Deployment"
	daemonSet  = "DaemonSet"
	job        = "Job"
)

// kind is that of the workload. A service that is to run once is a Job: it says so by its restart
// policy, or others wait for its completion. on-failure alone does not say so: servers have it too.
func (s *service) kind() string {
	switch s.mode() {
	case "global":
		return daemonSet
	case "replicated-job", "global-job":
		return job
	}
	policy := s.restartPolicy()
	switch {
	case s.awaitedAs(types.ServiceConditionCompletedSuccessfully), policy == "no" && s.saysRestart():
		return job
	case policy == types.RestartPolicyOnFailure && len(s.Ports) == 0 && len(s.Expose) == 0 && s.HealthCheck == nil && !s.awaitedAs(types.ServiceConditionHealthy):
		return job
	}
	return deployment
}

func (s *service) mode() string {
	if s.Deploy == nil {
		return ""
	}
	return s.Deploy.Mode
}

// saysRestart reports whether the file has a restart policy: "no" is what docker compose takes
// otherwise, for servers too.
func (s *service) saysRestart() bool {
	return s.Restart != "" || s.Deploy != nil && s.Deploy.RestartPolicy != nil
}

// restartPolicy is "no", "on-failure" or "always".
func (s *service) restartPolicy() string {
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		switch s.Deploy.RestartPolicy.Condition {
		case "none":
			return types.RestartPolicyNo
		case "on-failure":
			return types.RestartPolicyOnFailure
		}
		return types.RestartPolicyAlways
	}
	policy, _, _ := strings.Cut(s.Restart, ":")
	switch policy {
	case "", types.RestartPolicyNo:
		return types.RestartPolicyNo
	case types.RestartPolicyOnFailure:
		return policy
	}
	return types.RestartPolicyAlways
}

// attempts is how often a failing service is started again; nil where nothing says so.
func (s *service) attempts() *int32 {
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil && s.Deploy.RestartPolicy.MaxAttempts != nil {
		return ptr.To(int32(min(*s.Deploy.RestartPolicy.MaxAttempts, 1<<30)))
	}
	if _, n, found := strings.Cut(s.Restart, ":"); found {
		if v, err := strconv.ParseInt(n, 10, 32); err == nil {
			return ptr.To(int32(v))
		}
		s.refuse(s.at("restart"), "%q is not a number of attempts", n)
	}
	return nil
}

// awaitedAs reports whether another service waits for a condition of this one.
func (s *service) awaitedAs(condition string) bool {
	for _, other := range s.project.Services {
		if d, ok := other.DependsOn[s.Name]; ok && d.Condition == condition {
			return true
		}
	}
	return false
}

func (s *service) addWorkload() {
	annotations := s.annotations("deploy.labels", s.deployLabels(), nil)
	if after := s.after(); after != "" {
		annotations = withAnnotation(annotations, AfterAnnotation, after)
	}
	meta := s.meta(s.object, s.labels)
	meta.Annotations = annotations
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: s.labels, Annotations: s.podAnnotations()}, Spec: s.pod}
	selector := &metav1.LabelSelector{MatchLabels: s.labels}
	n := ptr.To(int32(s.GetScale()))
	switch s.kind() {
	case daemonSet:
		s.add(s.path, &appsv1.DaemonSet{TypeMeta: typeMeta("apps/v1", daemonSet), ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}})
	case job:
		s.add(s.path, s.job(meta, template, n))
	default:
		s.add(s.path, &appsv1.Deployment{TypeMeta: typeMeta("apps/v1", deployment), ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
			Replicas: n, Selector: selector, Template: template, Strategy: s.strategy(),
		}})
	}
}

func (s *service) job(meta metav1.ObjectMeta, template corev1.PodTemplateSpec, n *int32) *batchv1.Job {
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	limit := ptr.To(int32(0))
	if s.restartPolicy() != types.RestartPolicyNo {
		template.Spec.RestartPolicy, limit = corev1.RestartPolicyOnFailure, s.attempts()
		if ptr.Deref(limit, 0) == 0 {
			limit = ptr.To(int32(math.MaxInt32)) // as often as it takes
		}
	}
	if ptr.Deref(n, 1) == 1 {
		n = nil
	}
	return &batchv1.Job{TypeMeta: typeMeta("batch/v1", job), ObjectMeta: meta, Spec: batchv1.JobSpec{
		BackoffLimit: limit, Completions: n, Parallelism: n, Template: template,
	}}
}

// strategy is how pods are replaced. docker compose stops the old container first; so does this where
// both would write to the same volume.
func (s *service) strategy() appsv1.DeploymentStrategy {
	if s.writes {
		return appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	if s.Deploy == nil || s.Deploy.UpdateConfig == nil {
		return appsv1.DeploymentStrategy{}
	}
	u := s.Deploy.UpdateConfig
	for name, set := range map[string]bool{"delay": u.Delay != 0, "failure_action": u.FailureAction != "", "monitor": u.Monitor != 0, "max_failure_ratio": u.MaxFailureRatio != 0} {
		if set {
			s.remark(s.at("deploy", "update_config", name), "%s", noCounterpart)
		}
	}
	at := intstr.FromInt32(int32(min(ptr.Deref(u.Parallelism, 1), 1<<30)))
	none := intstr.FromInt32(0)
	rolling := &appsv1.RollingUpdateDeployment{MaxUnavailable: &at, MaxSurge: &none}
	switch {
	case ptr.Deref(u.Parallelism, 1) == 0: // all at once
		return appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	case u.Order == "start-first":
		rolling.MaxUnavailable, rolling.MaxSurge = &none, &at
	}
	return appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: rolling}
}

// after is the value of AfterAnnotation.
func (s *service) after() string {
	var out []string
	for _, name := range sorted(s.DependsOn) {
		d := s.DependsOn[name]
		other, ok := s.project.Services[name]
		if !ok {
			continue // one that is not required and not enabled
		}
		if d.Restart && s.written(s.at("depends_on", name, "restart")...) { // links imply it
			s.remark(s.at("depends_on", name, "restart"), "%s", noCounterpart)
		}
		if !d.Required {
			s.remark(s.at("depends_on", name, "required"), "has no effect: where %s is there, it is waited for", name)
		}
		if h := other.HealthCheck; d.Condition == types.ServiceConditionHealthy && (h == nil || h.Disable || len(h.Test) == 0) {
			s.remark(s.at("depends_on", name), "%s has no health check here, and those of images are not asked: it counts as healthy once it runs", name)
		}
		condition := map[string]string{types.ServiceConditionHealthy: Ready, types.ServiceConditionCompletedSuccessfully: Complete}[d.Condition]
		if condition == "" {
			condition = Started
		}
		o := &service{converter: s.converter, ServiceConfig: other}
		out = append(out, fmt.Sprintf("%s/%s=%s", strings.ToLower(o.kind()), s.names[name], condition))
	}
	return strings.Join(out, ",")
}

func (s *service) deployLabels() map[string]string {
	if s.Deploy == nil {
		return nil
	}
	return s.Deploy.Labels
}

// podAnnotations are the labels of the files: as labels, Kubernetes would not take most of them.
func (s *service) podAnnotations() map[string]string {
	out := s.annotations("annotations", s.Annotations, s.annotations("labels", s.Labels, nil))
	if hash := s.filesHash(); hash != "" {
		out = withAnnotation(out, filesAnnotation, hash)
	}
	if user := s.namedUser(); user != "" {
		s.elsewhere(s.at("user"), "%s is a name, which skiff alone knows how to look up in the image: on another cluster give its number", user)
		out = withAnnotation(out, podfacts.UserAnnotation+s.object, user)
	}
	if len(s.filled) > 0 {
		out = withAnnotation(out, podfacts.FillAnnotation, strings.Join(s.filled, ","))
	}
	if len(s.gateways) > 0 {
		out = withAnnotation(out, podfacts.GatewayAnnotation, strings.Join(s.gateways, ","))
	}
	return out
}

// annotations adds those that have a name that annotations may have.
func (s *service) annotations(field string, from, to map[string]string) map[string]string {
	for _, key := range slices.Sorted(maps.Keys(from)) {
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			s.remark(s.at(append(strings.Split(field, "."), key)...), "is left out: %s", problems[0])
			continue
		}
		to = withAnnotation(to, key, from[key])
	}
	return to
}

func withAnnotation(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}
