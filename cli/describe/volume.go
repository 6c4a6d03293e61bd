package describe

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
)

// volumes writes a pod's volumes. In a template everything stands one space further in.
func (s *sheet) volumes(all []corev1.Volume, template bool) {
	space, nameSpace := "", ""
	if template {
		space, nameSpace = "  ", " "
	}
	if len(all) == 0 {
		s.line("%sVolumes:\t%s", space, none)
		return
	}
	s.line("%sVolumes:", space)
	for i := range all {
		s.in(func() { s.line("%s%s:", nameSpace, all[i].Name) })
		s.at(2, func() { s.volume(&all[i].VolumeSource) })
	}
}

func (s *sheet) volume(v *corev1.VolumeSource) {
	switch {
	case v.HostPath != nil:
		kind := none
		if v.HostPath.Type != nil {
			kind = string(*v.HostPath.Type)
		}
		s.source("HostPath (bare host directory volume)", "Path", v.HostPath.Path, "HostPathType", kind)
	case v.EmptyDir != nil:
		s.source("EmptyDir (a temporary directory that shares a pod's lifetime)", "Medium", v.EmptyDir.Medium, "SizeLimit", sizeLimit(v.EmptyDir.SizeLimit))
	case v.Secret != nil:
		s.source("Secret (a volume populated by a Secret)", "SecretName", v.Secret.SecretName, "Optional", ptr.Deref(v.Secret.Optional, false))
	case v.ConfigMap != nil:
		s.source("ConfigMap (a volume populated by a ConfigMap)", "Name", v.ConfigMap.Name, "Optional", ptr.Deref(v.ConfigMap.Optional, false))
	case v.PersistentVolumeClaim != nil:
		s.source("PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
			"ClaimName", v.PersistentVolumeClaim.ClaimName, "ReadOnly", v.PersistentVolumeClaim.ReadOnly)
	case v.NFS != nil:
		s.source("NFS (an NFS mount that lasts the lifetime of a pod)", "Server", v.NFS.Server, "Path", v.NFS.Path, "ReadOnly", v.NFS.ReadOnly)
	case v.Image != nil:
		s.source("Image (a container image or OCI artifact)", "Reference", v.Image.Reference, "PullPolicy", v.Image.PullPolicy)
	default:
		s.composedVolume(v)
	}
}

// composedVolume writes the volumes that are made of others.
func (s *sheet) composedVolume(v *corev1.VolumeSource) {
	switch {
	case v.Projected != nil:
		s.source("Projected (a volume that contains injected data from multiple sources)")
		for i := range v.Projected.Sources {
			s.projection(&v.Projected.Sources[i])
		}
	case v.DownwardAPI != nil:
		s.source("DownwardAPI (a volume populated by information about the pod)")
		s.title("Items")
		for _, i := range v.DownwardAPI.Items {
			s.in(func() { s.downward(i) })
		}
	case v.Ephemeral != nil:
		s.source("EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)")
		if t := v.Ephemeral.VolumeClaimTemplate; t != nil {
			s.claimSpec(&corev1.PersistentVolumeClaim{ObjectMeta: t.ObjectMeta, Spec: t.Spec}, false)
		}
	case v.CSI != nil:
		fs := ""
		if v.CSI.FSType != nil {
			fs = *v.CSI.FSType
		}
		s.source("CSI (a Container Storage Interface (CSI) volume source)", "Driver", v.CSI.Driver, "FSType", fs, "ReadOnly", ptr.Deref(v.CSI.ReadOnly, false))
		s.labels("VolumeAttributes", v.CSI.VolumeAttributes)
	default:
		s.otherVolume(v)
	}
}

// otherVolume writes the fields of a kind of volume not described above: those exist only in
// clouds.
func (s *sheet) otherVolume(v *corev1.VolumeSource) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(v)
	if err != nil || len(content) == 0 {
		s.line("<unknown>")
		return
	}
	for kind, fields := range content {
		s.field("Type", label(kind))
		if m, ok := fields.(map[string]any); ok {
			s.content(m, "", nil)
		}
	}
}

// source writes a volume's type, and names and values below it.
func (s *sheet) source(kind string, fields ...any) {
	s.field("Type", kind)
	for i := 0; i+1 < len(fields); i += 2 {
		s.field(fmt.Sprint(fields[i]), fields[i+1])
	}
}

func sizeLimit(q *resource.Quantity) string {
	if q == nil || q.Sign() <= 0 {
		return unset
	}
	return q.String()
}

func (s *sheet) projection(p *corev1.VolumeProjection) {
	switch {
	case p.Secret != nil:
		s.field("SecretName", p.Secret.Name)
		s.field("Optional", ptr.Deref(p.Secret.Optional, false))
	case p.DownwardAPI != nil:
		s.field("DownwardAPI", true)
	case p.ConfigMap != nil:
		s.field("ConfigMapName", p.ConfigMap.Name)
		s.field("Optional", ptr.Deref(p.ConfigMap.Optional, false))
	case p.ServiceAccountToken != nil && p.ServiceAccountToken.ExpirationSeconds != nil:
		s.field("TokenExpirationSeconds", *p.ServiceAccountToken.ExpirationSeconds)
	}
}

func (s *sheet) downward(i corev1.DownwardAPIVolumeFile) {
	if i.FieldRef != nil {
		s.line("%s -> %s", i.FieldRef.FieldPath, i.Path)
	}
	if i.ResourceFieldRef != nil {
		s.line("%s -> %s", i.ResourceFieldRef.Resource, i.Path)
	}
}
