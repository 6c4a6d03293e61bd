package spec

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/docker"
	"skiff/manifests/podfacts"
	"skiff/orchestrator/node/pod"
)

// containerSecurity is what a container may do. What is not set is the engine's default, which
// includes its seccomp and AppArmor profiles.
func containerSecurity(pod *corev1.Pod, c *corev1.Container) (docker.Security, error) {
	var s docker.Security
	sc := c.SecurityContext
	if sc != nil {
		s.Privileged = ptr.Deref(sc.Privileged, false)
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

// effective is a field of the container's security context or, if it is not set there, of the
// pod's.
func effective[T any](pod *corev1.Pod, c *corev1.Container, ofContainer func(*corev1.SecurityContext) *T, ofPod func(*corev1.PodSecurityContext) *T) *T {
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
	return effective(pod, c,
		func(s *corev1.SecurityContext) *int64 { return s.RunAsUser },
		func(s *corev1.PodSecurityContext) *int64 { return s.RunAsUser })
}

func runAsGroup(pod *corev1.Pod, c *corev1.Container) *int64 {
	return effective(pod, c,
		func(s *corev1.SecurityContext) *int64 { return s.RunAsGroup },
		func(s *corev1.PodSecurityContext) *int64 { return s.RunAsGroup })
}

func runAsNonRoot(pod *corev1.Pod, c *corev1.Container) bool {
	return ptr.Deref(effective(pod, c,
		func(s *corev1.SecurityContext) *bool { return s.RunAsNonRoot },
		func(s *corev1.PodSecurityContext) *bool { return s.RunAsNonRoot }), false)
}

// containerUser is the user in the engine's form, empty for the image's. The engine gives a process
// the groups that the image's /etc/group lists for its user unless the group is named: that keeps
// them away from one that wants none but the pod's.
func containerUser(pod *corev1.Pod, c *corev1.Container, imageUser, passwd string) string {
	uid, gid := runAsUser(pod, c), runAsGroup(pod, c)
	user, group, _ := strings.Cut(imageUser, ":")
	if uid != nil {
		user, group = strconv.FormatInt(*uid, 10), ""
	}
	// Whether a name is root's is not known here.
	if named := pod.Annotations[podfacts.UserAnnotation+c.Name]; named != "" && uid == nil && gid == nil && !runAsNonRoot(pod, c) {
		return named
	}
	switch {
	case gid != nil:
		return cmp.Or(user, "0") + ":" + strconv.FormatInt(*gid, 10)
	case strictGroups(pod):
		user = cmp.Or(user, "0")
		return user + ":" + cmp.Or(group, primaryGroup(passwd, user))
	case uid != nil:
		return user
	}
	return ""
}

// strictGroups reports whether a pod's processes have no groups but those that the pod names.
func strictGroups(pod *corev1.Pod) bool {
	sc := pod.Spec.SecurityContext
	return sc != nil && ptr.Deref(sc.SupplementalGroupsPolicy, "") == corev1.SupplementalGroupsPolicyStrict
}

// primaryGroup is the group of a user, a name or a number, in an /etc/passwd; root's for one that
// is not there.
func primaryGroup(passwd, user string) string {
	for line := range strings.Lines(passwd) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) > 3 && (fields[0] == user || fields[2] == user) {
			return fields[3]
		}
	}
	return "0"
}

// NeedsImageUser reports whether the container's spec depends on the image's user.
func NeedsImageUser(pod *corev1.Pod, c *corev1.Container) bool {
	return runAsUser(pod, c) == nil && (runAsNonRoot(pod, c) || runAsGroup(pod, c) != nil || strictGroups(pod))
}

// NeedsPasswd reports whether the container's spec depends on the image's /etc/passwd.
func NeedsPasswd(pod *corev1.Pod, c *corev1.Container) bool {
	return strictGroups(pod) && runAsGroup(pod, c) == nil
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

// checkNonRoot enforces runAsNonRoot, in the words of
// k8s.io/kubernetes/pkg/kubelet/kuberuntime/security_context_others.go.
func checkNonRoot(p *corev1.Pod, c *corev1.Container, imageUser string) error {
	if !runAsNonRoot(p, c) {
		return nil
	}
	where := fmt.Sprintf("(pod: %q, container: %s)", pod.Format(p), c.Name)
	if uid := runAsUser(p, c); uid != nil {
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
