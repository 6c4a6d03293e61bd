package manifests

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/utils/ptr"

	"skiff/manifests/enginevolume"
)

// This file is unsupported.go's for persistent volumes and claims.

var unhonouredClaimFields = []unhonouredField[core.PersistentVolumeClaimSpec]{
	{"accessModes", func(s *core.PersistentVolumeClaimSpec) bool {
		return slices.Contains(s.AccessModes, core.ReadWriteOncePod)
	}, "skiff does not keep other pods from a ReadWriteOncePod volume, the mode has no effect"},
	{"volumeMode", func(s *core.PersistentVolumeClaimSpec) bool {
		return ptr.Deref(s.VolumeMode, core.PersistentVolumeFilesystem) != core.PersistentVolumeFilesystem
	}, "skiff has no block volumes, the claim stays pending"},
	{"dataSource", func(s *core.PersistentVolumeClaimSpec) bool { return s.DataSource != nil }, "skiff can not fill a volume from another, the claim stays pending"},
	{"dataSourceRef", func(s *core.PersistentVolumeClaimSpec) bool { return s.DataSourceRef != nil }, "skiff can not fill a volume from another, the claim stays pending"},
	{"volumeAttributesClassName", func(s *core.PersistentVolumeClaimSpec) bool { return s.VolumeAttributesClassName != nil }, "skiff's volumes have no such attributes, the field has no effect"},
}

// unhonouredVolumeSource warns of a persistent volume that no pod can mount.
func unhonouredVolumeSource(s *core.PersistentVolumeSpec) []string {
	var warnings []string
	if s.HostPath == nil && s.Local == nil && (s.CSI == nil || s.CSI.Driver != enginevolume.Driver) {
		warnings = append(warnings, "spec: skiff can mount hostPath and local volumes only, a pod that claims this one will not start")
	}
	for _, f := range []struct {
		set  bool
		name string
		why  string
	}{
		{len(s.MountOptions) > 0, "mountOptions", "skiff mounts with the engine's own options, the field has no effect"},
		{s.NodeAffinity != nil, "nodeAffinity", "skiff does not schedule by where a volume is, the field has no effect"},
		{s.PersistentVolumeReclaimPolicy == core.PersistentVolumeReclaimRecycle, "persistentVolumeReclaimPolicy", "skiff does not recycle volumes, a released one keeps its data"},
	} {
		if f.set {
			warnings = append(warnings, field.NewPath("spec", f.name).String()+": "+f.why)
		}
	}
	return warnings
}
