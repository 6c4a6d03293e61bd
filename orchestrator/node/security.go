package node

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

// containerSecurity is what a container may do. A field that is not set is the engine's default, its seccomp and
// AppArmor profiles among them.
func containerSecurity(pod *corev1.Pod, c *corev1.Container) (docker.Security, error) {
	var s docker.Security
	sc := c.SecurityContext
	if sc != nil {
		s.Privileged = isTrue(sc.Privileged)
		s.NoNewPrivileges = sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation
		if sc.Capabilities != nil {
			s.CapAdd, s.CapDrop = capabilities(sc.Capabilities.Add), capabilities(sc.Capabilities.Drop)
		}
	}
	var err error
	if s.Seccomp, err = seccomp(effectiveSeccomp(pod, sc)); err != nil {
		return s, err
	}
	s.AppArmor, err = appArmor(effectiveAppArmor(pod, sc))
	return s, err
}

func capabilities(list []corev1.Capability) []string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = string(c)
	}
	return out
}

func effectiveSeccomp(pod *corev1.Pod, sc *corev1.SecurityContext) *corev1.SeccompProfile {
	if sc != nil && sc.SeccompProfile != nil {
		return sc.SeccompProfile
	}
	if pod.Spec.SecurityContext != nil {
		return pod.Spec.SecurityContext.SeccompProfile
	}
	return nil
}

func seccomp(p *corev1.SeccompProfile) (string, error) {
	switch {
	case p == nil || p.Type == corev1.SeccompProfileTypeRuntimeDefault:
		return "", nil
	case p.Type == corev1.SeccompProfileTypeUnconfined:
		return "unconfined", nil
	}
	return "", fmt.Errorf("seccompProfile type %s is not supported by skiff: use RuntimeDefault or Unconfined", p.Type)
}

func effectiveAppArmor(pod *corev1.Pod, sc *corev1.SecurityContext) *corev1.AppArmorProfile {
	if sc != nil && sc.AppArmorProfile != nil {
		return sc.AppArmorProfile
	}
	if pod.Spec.SecurityContext != nil {
		return pod.Spec.SecurityContext.AppArmorProfile
	}
	return nil
}

func appArmor(p *corev1.AppArmorProfile) (string, error) {
	switch {
	case p == nil || p.Type == corev1.AppArmorProfileTypeRuntimeDefault:
		return "", nil
	case p.Type == corev1.AppArmorProfileTypeUnconfined:
		return "unconfined", nil
	case p.LocalhostProfile == nil:
		return "", errors.New("missing localhost apparmor profile name")
	}
	return *p.LocalhostProfile, nil
}

// runAs is a field of the container's security context or, if it is not set there, of the pod's.
func runAs[T any](pod *corev1.Pod, c *corev1.Container, ofContainer func(*corev1.SecurityContext) *T, ofPod func(*corev1.PodSecurityContext) *T) *T {
	if c.SecurityContext != nil {
		if v := ofContainer(c.SecurityContext); v != nil {
			return v
		}
	}
	if pod.Spec.SecurityContext != nil {
		return ofPod(pod.Spec.SecurityContext)
	}
	return nil
}

func runAsUser(pod *corev1.Pod, c *corev1.Container) *int64 {
	return runAs(pod, c,
		func(s *corev1.SecurityContext) *int64 { return s.RunAsUser },
		func(s *corev1.PodSecurityContext) *int64 { return s.RunAsUser })
}

func runAsGroup(pod *corev1.Pod, c *corev1.Container) *int64 {
	return runAs(pod, c,
		func(s *corev1.SecurityContext) *int64 { return s.RunAsGroup },
		func(s *corev1.PodSecurityContext) *int64 { return s.RunAsGroup })
}

func runAsNonRoot(pod *corev1.Pod, c *corev1.Container) bool {
	return isTrue(runAs(pod, c,
		func(s *corev1.SecurityContext) *bool { return s.RunAsNonRoot },
		func(s *corev1.PodSecurityContext) *bool { return s.RunAsNonRoot }))
}

// containerUser is the user in the engine's form, empty for the image's.
func containerUser(pod *corev1.Pod, c *corev1.Container, imageUser string) string {
	uid, gid := runAsUser(pod, c), runAsGroup(pod, c)
	switch {
	case uid != nil && gid != nil:
		return fmt.Sprintf("%d:%d", *uid, *gid)
	case uid != nil:
		return strconv.FormatInt(*uid, 10)
	case gid != nil:
		user, _, _ := strings.Cut(imageUser, ":")
		if user == "" {
			user = "0"
		}
		return fmt.Sprintf("%s:%d", user, *gid)
	}
	return ""
}

// needsImageUser tells whether the image's own user matters to how the container is started.
func needsImageUser(pod *corev1.Pod, c *corev1.Container) bool {
	return runAsUser(pod, c) == nil && (runAsNonRoot(pod, c) || runAsGroup(pod, c) != nil)
}

func supplementalGroups(pod *corev1.Pod) []string {
	sc := pod.Spec.SecurityContext
	if sc == nil {
		return nil
	}
	var out []string
	for _, g := range sc.SupplementalGroups {
		out = append(out, strconv.FormatInt(g, 10))
	}
	if sc.FSGroup != nil {
		out = append(out, strconv.FormatInt(*sc.FSGroup, 10))
	}
	return out
}

// checkNonRoot holds a container to runAsNonRoot, with the words of
// k8s.io/kubernetes/pkg/kubelet/kuberuntime/security_context_others.go.
func checkNonRoot(pod *corev1.Pod, c *corev1.Container, imageUser string) error {
	if !runAsNonRoot(pod, c) {
		return nil
	}
	where := fmt.Sprintf("(pod: %q, container: %s)", podText(pod), c.Name)
	if uid := runAsUser(pod, c); uid != nil {
		if *uid == 0 {
			return fmt.Errorf("container's runAsUser breaks non-root policy %s", where)
		}
		return nil
	}
	user, _, _ := strings.Cut(imageUser, ":")
	uid, err := strconv.ParseInt(user, 10, 64)
	switch {
	case user == "" || err == nil && uid == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", where)
	case err != nil:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", user, where)
	}
	return nil
}
