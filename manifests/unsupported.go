package manifests

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/helper"
	"k8s.io/utils/ptr"
)

// This file is the one place that says which fields skiff does not honour. Each
// gets a warning that names it, so that nothing is ignored in silence. When a
// field comes to be honoured, its line goes.

// unhonouredField is a field that skiff stores but does not act on.
type unhonouredField[T any] struct {
	name string // below the object that holds it
	set  func(*T) bool
	why  string
}

// storedOnly are the kinds that are stored and served, but that nothing acts on
// yet.
var storedOnly = map[string]string{
	"NetworkPolicy":         "skiff enforces no network policies yet: the object is stored, and no traffic is kept out by it",
	"RuntimeClass":          "skiff has one runtime: the class's overhead and scheduling are given to its pods, its handler has no effect",
	"StorageClass":          "skiff keeps all volumes on the engine: the object is stored, and its provisioner and parameters have no effect",
	"CSIDriver":             "skiff runs no CSI drivers: the object is stored, and nothing uses it",
	"CSINode":               "skiff runs no CSI drivers: the object is stored, and nothing uses it",
	"CSIStorageCapacity":    "skiff runs no CSI drivers: the object is stored, and nothing uses it",
	"VolumeAttributesClass": "skiff keeps all volumes on the engine: the object is stored, and its parameters have no effect",
	"DeviceClass":           "skiff allocates no devices: the object is stored, and nothing uses it",
	"ResourceClaim":         "skiff allocates no devices: the object is stored, and stays pending",
	"ResourceClaimTemplate": "skiff allocates no devices: the object is stored, and no claims are made of it",
	"ResourceSlice":         "skiff allocates no devices: the object is stored, and nothing uses it",
	"VolumeAttachment":      "skiff attaches no volumes: the object is stored, and nothing comes of it",
}

// warnOfStoredOnly is the warning of a kind that nothing acts on.
func warnOfStoredOnly(kind string) []string {
	if why, ok := storedOnly[kind]; ok {
		return []string{why}
	}
	return nil
}

var unhonouredPodFields = []unhonouredField[core.PodSpec]{
	{"runtimeClassName", func(s *core.PodSpec) bool { return s.RuntimeClassName != nil }, "skiff has one runtime, the field has no effect"},
	{"overhead", func(s *core.PodSpec) bool { return len(s.Overhead) > 0 }, "skiff has one runtime, the field counts when a node is chosen and has no other effect"},
	{"subdomain", func(s *core.PodSpec) bool { return s.Subdomain != "" }, "skiff has no cluster DNS, other pods can not resolve the name"},
	{"dnsPolicy", func(s *core.PodSpec) bool { return s.DNSPolicy == core.DNSClusterFirstWithHostNet }, "skiff has no cluster DNS, the pod asks the node's name servers"},
	{"setHostnameAsFQDN", func(s *core.PodSpec) bool { return ptr.Deref(s.SetHostnameAsFQDN, false) }, "skiff has no cluster DNS, the field has no effect"},
	{"hostUsers", func(s *core.PodSpec) bool { return !ptr.Deref(s.HostUsers, true) }, "skiff does not use user namespaces, the field has no effect"},
	{"os", func(s *core.PodSpec) bool { return s.OS != nil && s.OS.Name != core.Linux }, "skiff runs Linux containers only"},
	{"resourceClaims", func(s *core.PodSpec) bool { return len(s.ResourceClaims) > 0 }, "skiff does not allocate devices, the field has no effect"},
	{"schedulerName", func(s *core.PodSpec) bool {
		return s.NodeName == "" && s.SchedulerName != "" && s.SchedulerName != corev1.DefaultSchedulerName
	}, "skiff's scheduler is " + corev1.DefaultSchedulerName + ", the pod stays pending until another one binds it"},
	{"evictionResponders", func(s *core.PodSpec) bool { return len(s.EvictionResponders) > 0 }, "skiff asks nobody before an eviction, the field has no effect"},
	{"schedulingGroup", func(s *core.PodSpec) bool { return s.SchedulingGroup != nil }, "skiff does not schedule pods in groups, the field has no effect"},
}

var unhonouredPodSecurity = []unhonouredField[core.PodSecurityContext]{
	{"seLinuxOptions", func(c *core.PodSecurityContext) bool { return c.SELinuxOptions != nil }, "skiff does not set SELinux labels, the field has no effect"},
	{"seLinuxChangePolicy", func(c *core.PodSecurityContext) bool { return c.SELinuxChangePolicy != nil }, "skiff does not set SELinux labels, the field has no effect"},
	{"windowsOptions", func(c *core.PodSecurityContext) bool { return c.WindowsOptions != nil }, "skiff runs Linux containers only"},
	{"fsGroupChangePolicy", func(c *core.PodSecurityContext) bool { return c.FSGroupChangePolicy != nil }, "skiff gives volumes their group when it makes them, the field has no effect"},
	{"seccompProfile", func(c *core.PodSecurityContext) bool { return localSeccomp(c.SeccompProfile) }, "skiff loads no seccomp profiles from the node, the pod will not start"},
}

var unhonouredContainerFields = []unhonouredField[core.Container]{
	{"volumeDevices", func(c *core.Container) bool { return len(c.VolumeDevices) > 0 }, "skiff has no block volumes, the container will not be created"},
	{"resources.claims", func(c *core.Container) bool { return len(c.Resources.Claims) > 0 }, "skiff does not allocate devices, the field has no effect"},
}

var unhonouredContainerSecurity = []unhonouredField[core.SecurityContext]{
	{"seLinuxOptions", func(c *core.SecurityContext) bool { return c.SELinuxOptions != nil }, "skiff does not set SELinux labels, the field has no effect"},
	{"windowsOptions", func(c *core.SecurityContext) bool { return c.WindowsOptions != nil }, "skiff runs Linux containers only"},
	{"procMount", func(c *core.SecurityContext) bool {
		return ptr.Deref(c.ProcMount, core.DefaultProcMount) != core.DefaultProcMount
	}, "skiff leaves /proc as the engine mounts it, the field has no effect"},
	{"seccompProfile", func(c *core.SecurityContext) bool { return localSeccomp(c.SeccompProfile) }, "skiff loads no seccomp profiles from the node, the pod will not start"},
}

var unhonouredMountFields = []unhonouredField[core.VolumeMount]{
	{"recursiveReadOnly", func(m *core.VolumeMount) bool {
		return ptr.Deref(m.RecursiveReadOnly, core.RecursiveReadOnlyDisabled) == core.RecursiveReadOnlyEnabled
	}, "skiff can not make submounts read-only, the pod will not start"},
	{"bindMountOptions", func(m *core.VolumeMount) bool { return len(m.BindMountOptions) > 0 }, "skiff mounts with the engine's own options, the field has no effect"},
}

var unhonouredEmptyDirFields = []unhonouredField[core.EmptyDirVolumeSource]{
	{"medium", func(d *core.EmptyDirVolumeSource) bool {
		return d.Medium != core.StorageMediumDefault && d.Medium != core.StorageMediumMemory
	}, "skiff can not make volumes of huge pages, the pod will not start"},
	{"sizeLimit", func(d *core.EmptyDirVolumeSource) bool {
		return d.SizeLimit != nil && d.Medium != core.StorageMediumMemory
	}, "skiff does not limit the size of volumes on disk, the field has no effect"},
}

var unhonouredProjections = []unhonouredField[core.VolumeProjection]{
	{"clusterTrustBundle", func(p *core.VolumeProjection) bool { return p.ClusterTrustBundle != nil }, "skiff has no trust bundles, the pod will not start"},
	{"podCertificate", func(p *core.VolumeProjection) bool { return p.PodCertificate != nil }, "skiff issues no certificates to pods, the pod will not start"},
}

// honouredVolumes are the volume sources that skiff can mount.
var honouredVolumes = []string{"configMap", "downwardAPI", "emptyDir", "hostPath", "image", "persistentVolumeClaim", "projected", "secret"}

// limitedResources are the resources whose limits skiff enforces.
var limitedResources = []core.ResourceName{core.ResourceCPU, core.ResourceMemory}

// leastMemory is the least memory limit that the engine takes; see docker.MinMemory.
var leastMemory = resource.MustParse("6Mi")

// unhonoured warns of what skiff can not honour in a pod's specification.
func unhonoured(path *field.Path, s *core.PodSpec) []string {
	warnings := warnOfFields(path, s, unhonouredPodFields)
	if s.SecurityContext != nil {
		warnings = append(warnings, warnOfFields(path.Child("securityContext"), s.SecurityContext, unhonouredPodSecurity)...)
	}
	for i := range s.Volumes {
		warnings = append(warnings, unhonouredVolume(path.Child("volumes").Index(i), &s.Volumes[i])...)
	}
	for i := range s.InitContainers {
		warnings = append(warnings, unhonouredContainer(path.Child("initContainers").Index(i), &s.InitContainers[i])...)
	}
	for i := range s.Containers {
		warnings = append(warnings, unhonouredContainer(path.Child("containers").Index(i), &s.Containers[i])...)
	}
	return warnings
}

// unhonouredEphemeral warns of the ephemeral containers that an update adds.
func unhonouredEphemeral(p, old *core.Pod) []string {
	var warnings []string
	for i := len(old.Spec.EphemeralContainers); i < len(p.Spec.EphemeralContainers); i++ {
		added := core.Container(p.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		at := field.NewPath("spec", "ephemeralContainers").Index(i)
		warnings = append(warnings, unhonouredContainer(at, &added)...)
	}
	return warnings
}

// localSeccomp says that a profile is a file on the node. The engine has the
// others.
func localSeccomp(p *core.SeccompProfile) bool {
	return p != nil && p.Type == core.SeccompProfileTypeLocalhost
}

func unhonouredContainer(path *field.Path, c *core.Container) []string {
	warnings := warnOfFields(path, c, unhonouredContainerFields)
	if c.SecurityContext != nil {
		warnings = append(warnings, warnOfFields(path.Child("securityContext"), c.SecurityContext, unhonouredContainerSecurity)...)
	}
	for i := range c.VolumeMounts {
		warnings = append(warnings, warnOfFields(path.Child("volumeMounts").Index(i), &c.VolumeMounts[i], unhonouredMountFields)...)
	}
	if limit := c.Resources.Limits.Memory(); !limit.IsZero() && limit.Cmp(leastMemory) < 0 {
		warnings = append(warnings, path.Child("resources", "limits").Key(string(core.ResourceMemory)).String()+
			": the Docker Engine takes no limit below "+leastMemory.String()+", the container will not be created")
	}
	return append(warnings, warnOfLimits(path.Child("resources", "limits"), c.Resources.Limits)...)
}

// warnOfLimits warns of limits that no container will feel. Those of extended resources and of huge
// pages are requests as well, and nodes offer such resources only when somebody has put them into
// their status.
func warnOfLimits(path *field.Path, limits core.ResourceList) []string {
	var warnings []string
	for _, name := range sortedResources(limits) {
		switch {
		case slices.Contains(limitedResources, name):
		case helper.IsExtendedResourceName(name), helper.IsHugePageResourceName(name):
			warnings = append(warnings, path.Key(string(name)).String()+": skiff's nodes do not offer "+string(name)+
				", the pod will stay Pending until one has it in its status.capacity")
		default:
			warnings = append(warnings, path.Key(string(name)).String()+": skiff limits cpu and memory only, the field has no effect")
		}
	}
	return warnings
}

func unhonouredVolume(path *field.Path, v *core.Volume) []string {
	source := reflect.ValueOf(&v.VolumeSource).Elem()
	var warnings []string
	for i, name := range volumeSourceNames() {
		if !source.Field(i).IsNil() && !slices.Contains(honouredVolumes, name) {
			warnings = append(warnings, path.Child(name).String()+": skiff can not mount volumes of this kind, the pod will not start")
		}
	}
	if v.EmptyDir != nil {
		warnings = append(warnings, warnOfFields(path.Child("emptyDir"), v.EmptyDir, unhonouredEmptyDirFields)...)
	}
	if v.Projected != nil {
		for i := range v.Projected.Sources {
			at := path.Child("projected", "sources").Index(i)
			warnings = append(warnings, warnOfFields(at, &v.Projected.Sources[i], unhonouredProjections)...)
		}
	}
	return warnings
}

func warnOfFields[T any](path *field.Path, obj *T, table []unhonouredField[T]) []string {
	var warnings []string
	for _, f := range table {
		if f.set(obj) {
			warnings = append(warnings, path.Child(f.name).String()+": "+f.why)
		}
	}
	return warnings
}

// volumeSourceNames are the fields of a volume's source, as they are written in
// a manifest, in the order of the internal type.
var volumeSourceNames = sync.OnceValue(func() []string {
	written := reflect.TypeFor[corev1.VolumeSource]()
	internal := reflect.TypeFor[core.VolumeSource]()
	names := make([]string, internal.NumField())
	for i := range names {
		if f, ok := written.FieldByName(internal.Field(i).Name); ok {
			names[i], _, _ = strings.Cut(f.Tag.Get("json"), ",")
		}
	}
	return names
})

func sortedResources(l core.ResourceList) []core.ResourceName {
	names := make([]core.ResourceName, 0, len(l))
	for name := range l {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
