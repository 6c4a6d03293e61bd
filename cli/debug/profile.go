package debug

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/utils/ptr"
)

// The profiles are kubectl's, and so is what each of them gives and takes.
const (
	legacy     = "legacy"
	general    = "general"
	baseline   = "baseline"
	netadmin   = "netadmin"
	restricted = "restricted"
	sysadmin   = "sysadmin"
)

var profiles = []string{legacy, general, baseline, netadmin, restricted, sysadmin}

// style is how something is debugged.
type style int

const (
	inPod style = iota
	asCopy
	onNode
)

// applyProfile gives the debugging container the rights of the profile, and what the user's own file adds.
func (w *wishes) applyProfile(pod *corev1.Pod, container string, how style) error {
	c := containerOf(pod, container)
	if c == nil {
		return fmt.Errorf("unable to find the %s container in the pod %s", container, pod.Name)
	}
	switch {
	case how == asCopy && w.profile == legacy:
		pod.Labels = nil
	case how == asCopy:
		w.keep.apply(pod)
		if pod.Spec.ShareProcessNamespace == nil {
			pod.Spec.ShareProcessNamespace = ptr.To(true)
		}
	case how == onNode:
		w.onMachine(pod, c)
	}
	w.rights(c, how)
	return w.applyCustom(c)
}

// rights are what the profile says of the container alone.
func (w *wishes) rights(c *corev1.Container, how style) {
	switch w.profile {
	case general:
		if how == onNode {
			c.SecurityContext = nil
		} else {
			addCapability(c, "SYS_PTRACE")
		}
	case baseline:
		c.SecurityContext = nil
	case netadmin:
		addCapability(c, "NET_ADMIN")
		addCapability(c, "NET_RAW")
	case sysadmin:
		if c.SecurityContext == nil {
			c.SecurityContext = &corev1.SecurityContext{}
		}
		c.SecurityContext.Privileged = ptr.To(true)
	case restricted:
		c.SecurityContext = &corev1.SecurityContext{
			RunAsNonRoot: ptr.To(true), AllowPrivilegeEscalation: ptr.To(false),
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
	}
}

func addCapability(c *corev1.Container, name corev1.Capability) {
	if c.SecurityContext == nil {
		c.SecurityContext = &corev1.SecurityContext{}
	}
	if c.SecurityContext.Capabilities == nil {
		c.SecurityContext.Capabilities = &corev1.Capabilities{}
	}
	c.SecurityContext.Capabilities.Add = append(c.SecurityContext.Capabilities.Add, name)
}

// onMachine puts a node's pod into the machine's namespaces and shows it the machine's files, as far as
// the profile has it.
func (w *wishes) onMachine(pod *corev1.Pod, c *corev1.Container) {
	switch w.profile {
	case legacy, general, sysadmin:
		const root = "host-root"
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: root, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: root, MountPath: "/host"})
	case netadmin:
	default:
		return
	}
	pod.Spec.HostNetwork, pod.Spec.HostPID, pod.Spec.HostIPC = true, true, true
}

// apply takes from a copy what it is not to keep.
func (k keep) apply(pod *corev1.Pod) {
	if !k.labels {
		pod.Labels = nil
	}
	if !k.annotations {
		pod.Annotations = nil
	}
	if !k.init {
		pod.Spec.InitContainers = nil
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if !k.liveness {
			c.LivenessProbe = nil
		}
		if !k.readiness {
			c.ReadinessProbe = nil
		}
		if !k.startup {
			c.StartupProbe = nil
		}
	}
}

// applyCustom merges the user's part of a container into it.
func (w *wishes) applyCustom(c *corev1.Container) error {
	if w.custom == nil {
		return nil
	}
	w.custom.Name = c.Name
	before, err := json.Marshal(c)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(w.custom)
	if err != nil {
		return err
	}
	after, err := strategicpatch.StrategicMergePatch(before, patch, corev1.Container{})
	if err != nil {
		return fmt.Errorf("merging the custom profile: %w", err)
	}
	*c = corev1.Container{}
	return json.Unmarshal(after, c)
}
