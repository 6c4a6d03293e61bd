package compose

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

// claimSize is what a claim asks for. The volumes of skiff, as those of docker compose, have no size;
// other clusters take it for one.
var claimSize = resource.MustParse("1Gi")

// addClaims makes named volumes claims.
func (c *converter) addClaims() {
	c.claims = c.rename("volumes", slices.Collect(maps.Keys(c.project.Volumes)))
	for _, key := range sorted(c.project.Volumes) {
		v, path := c.project.Volumes[key], []string{"volumes", key}
		if v.External {
			c.claims[key] = ObjectName(v.Name)
			c.remark(path, "is external: a claim named %s must be there", c.claims[key])
			continue
		}
		if v.Driver != "" && v.Driver != "local" || len(v.DriverOpts) > 0 {
			c.refuse(path, "volumes of drivers are not supported; mount a path of the machine, or use a claim of a storage class")
		}
		c.add(path, &corev1.PersistentVolumeClaim{TypeMeta: typeMeta("v1", "PersistentVolumeClaim"), ObjectMeta: c.meta(c.claims[key], nil), Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: claimSize}},
		}})
	}
}

// addConfigs makes configs and secrets ConfigMaps and Secrets of one file each.
func (c *converter) addConfigs() {
	c.configMaps = c.rename("configs", slices.Collect(maps.Keys(c.project.Configs)))
	for _, key := range sorted(c.project.Configs) {
		f := types.FileObjectConfig(c.project.Configs[key])
		path := []string{"configs", key}
		if f.External {
			c.configMaps[key] = ObjectName(f.Name)
			c.remark(path, "is external: a ConfigMap named %s with the key %s must be there", c.configMaps[key], key)
			continue
		}
		o := &corev1.ConfigMap{TypeMeta: typeMeta("v1", "ConfigMap"), ObjectMeta: c.meta(c.configMaps[key], nil)}
		content := c.content(path, f)
		if c.contents["configs/"+key] = content; utf8.Valid(content) {
			o.Data = map[string]string{key: string(content)}
		} else {
			o.BinaryData = map[string][]byte{key: content}
		}
		c.add(path, o)
	}
	c.secrets = c.rename("secrets", slices.Collect(maps.Keys(c.project.Secrets)))
	for _, key := range sorted(c.project.Secrets) {
		f := types.FileObjectConfig(c.project.Secrets[key])
		path := []string{"secrets", key}
		if f.External {
			c.secrets[key] = ObjectName(f.Name)
			c.remark(path, "is external: a Secret named %s with the key %s must be there", c.secrets[key], key)
			continue
		}
		content := c.content(path, f)
		c.contents["secrets/"+key] = content
		c.add(path, &corev1.Secret{TypeMeta: typeMeta("v1", "Secret"), ObjectMeta: c.meta(c.secrets[key], nil), Data: map[string][]byte{key: content}})
	}
}

// content is what a config or a secret holds.
func (c *converter) content(path []string, f types.FileObjectConfig) []byte {
	if f.Driver != "" || f.TemplateDriver != "" {
		c.refuse(path, "drivers are not supported")
	}
	switch {
	case f.Content != "":
		return []byte(f.Content)
	case f.Environment != "":
		value, ok := c.project.Environment[f.Environment]
		if !ok {
			c.refuse(append(path, "environment"), "the variable %s is not set", f.Environment)
		}
		return []byte(value)
	case f.File != "":
		text, err := os.ReadFile(f.File)
		if err != nil {
			c.refuse(append(path, "file"), "%v", err)
		}
		return text
	}
	return nil
}

// filesAnnotation on a pod template changes with the files that are mounted into it: a running container
// does not see a new one, so its pod is replaced.
const filesAnnotation = "skiff/files"

// filesHash is the same as long as the configs and secrets of the service are; "" for one without any.
func (s *service) filesHash() string {
	sum := sha256.New()
	for _, f := range s.Configs {
		fmt.Fprintf(sum, "%q", s.contents["configs/"+f.Source])
	}
	for _, f := range s.Secrets {
		fmt.Fprintf(sum, "%q", s.contents["secrets/"+f.Source])
	}
	if len(s.Configs)+len(s.Secrets) == 0 {
		return ""
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8])
}

// mounts collects a pod's volumes.
type mounts struct {
	*service
	container *corev1.Container
	// named are the pod's volumes by what they are, so that one that is mounted twice is there once.
	named map[string]string
}

func (s *service) addVolumes(c *corev1.Container) {
	m := &mounts{service: s, container: c, named: map[string]string{}}
	for _, v := range s.Volumes {
		m.addVolume(v)
	}
	for _, t := range s.Tmpfs {
		target, options, _ := strings.Cut(t, ":")
		m.tmpfs(target, m.tmpfsSize(options))
	}
	if s.ShmSize > 0 {
		m.tmpfs("/dev/shm", int64(s.ShmSize))
	}
	for _, f := range s.Configs {
		m.file("configs", types.FileReferenceConfig(f), "/"+f.Source)
	}
	for _, f := range s.Secrets {
		m.file("secrets", types.FileReferenceConfig(f), "/run/secrets/"+f.Source)
	}
}

// mount mounts a volume of the pod, which is added the first time.
func (m *mounts) mount(name string, source corev1.VolumeSource, mount corev1.VolumeMount) {
	id := fmt.Sprint(name, source)
	if m.named[id] == "" || source.EmptyDir != nil { // each of those is a volume of its own
		m.named[id] = m.freeName(name)
		m.pod.Volumes = append(m.pod.Volumes, corev1.Volume{Name: m.named[id], VolumeSource: source})
	}
	mount.Name = m.named[id]
	m.container.VolumeMounts = append(m.container.VolumeMounts, mount)
}

func (m *mounts) freeName(name string) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(m.pod.Volumes, func(v corev1.Volume) bool { return v.Name == name })
	}
	free := name
	for i := 2; taken(free); i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	return free
}

func (m *mounts) addVolume(v types.ServiceVolumeConfig) {
	path := m.at("volumes")
	mount := corev1.VolumeMount{MountPath: v.Target, ReadOnly: v.ReadOnly}
	if v.Volume != nil {
		mount.SubPath = v.Volume.Subpath
	}
	switch v.Type {
	case types.VolumeTypeBind:
		m.bind(v, mount)
	case types.VolumeTypeVolume:
		if v.Source == "" {
			m.anonymous(mount)
			return
		}
		claim := m.claims[v.Source]
		m.writes = m.writes || !v.ReadOnly
		m.mount(claim, corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}, mount)
		if name := m.container.VolumeMounts[len(m.container.VolumeMounts)-1].Name; !v.ReadOnly && (v.Volume == nil || !v.Volume.NoCopy) && !slices.Contains(m.filled, name) {
			m.filled = append(m.filled, name)
		}
	case types.VolumeTypeTmpfs:
		size := int64(0)
		if v.Tmpfs != nil {
			size = int64(v.Tmpfs.Size)
			if v.Tmpfs.Mode != 0 {
				m.remark(path, "the mode of the tmpfs at %s has no effect: everybody may write there", v.Target)
			}
		}
		m.tmpfs(v.Target, size)
	case types.VolumeTypeImage:
		if v.Image != nil {
			mount.SubPath = v.Image.SubPath
		}
		mount.ReadOnly = true
		m.mount("image", corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: v.Source, PullPolicy: corev1.PullIfNotPresent}}, mount)
	default:
		m.refuse(path, "volumes of type %s are not supported", v.Type)
	}
}

// bind mounts a path of this machine.
func (m *mounts) bind(v types.ServiceVolumeConfig, mount corev1.VolumeMount) {
	kind := corev1.HostPathDirectoryOrCreate
	switch info, err := os.Stat(v.Source); {
	case err == nil && info.Mode()&os.ModeSocket != 0:
		kind = corev1.HostPathSocket
	case err == nil && info.Mode().IsRegular():
		kind = corev1.HostPathFile
	case err == nil:
		kind = corev1.HostPathDirectory
	case v.Bind != nil && !bool(v.Bind.CreateHostPath):
		m.refuse(m.at("volumes"), "%s does not exist", v.Source)
	}
	if v.Bind != nil {
		switch v.Bind.Propagation {
		case "", types.PropagationPrivate, types.PropagationRPrivate:
		case types.PropagationShared, types.PropagationRShared:
			mount.MountPropagation = ptr.To(corev1.MountPropagationBidirectional)
		case types.PropagationSlave, types.PropagationRSlave:
			mount.MountPropagation = ptr.To(corev1.MountPropagationHostToContainer)
		}
	}
	m.mount("host", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: v.Source, Type: &kind}}, mount)
}

// anonymous is a volume without a name. docker compose fills it with what the image has there. Files
// for which it matters lie below another volume, which hides the image's own (node_modules in a
// mounted source tree); there an init container does the same.
func (m *mounts) anonymous(mount corev1.VolumeMount) {
	name := "scratch-" + ObjectName(path.Base(mount.MountPath))
	m.mount(name, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}, mount)
	hidden := slices.ContainsFunc(m.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Source != "" && strings.HasPrefix(mount.MountPath, strings.TrimRight(v.Target, "/")+"/")
	})
	if !hidden {
		m.remark(m.at("volumes"), "%s begins empty: docker compose fills it with what the image has there", mount.MountPath)
		return
	}
	m.remark(m.at("volumes"), "%s is filled by an init container, which needs /bin/sh and cp in the image", mount.MountPath)
	m.pod.InitContainers = append(m.pod.InitContainers, corev1.Container{
		Name: m.freeInitName("fill-" + ObjectName(path.Base(mount.MountPath))), Image: m.container.Image, ImagePullPolicy: m.container.ImagePullPolicy, SecurityContext: m.container.SecurityContext,
		Command:      []string{"/bin/sh", "-c", `if [ -d "$0" ]; then cp -a "$0/." /scratch; fi`, mount.MountPath},
		VolumeMounts: []corev1.VolumeMount{{Name: m.container.VolumeMounts[len(m.container.VolumeMounts)-1].Name, MountPath: "/scratch"}},
	})
}

func (m *mounts) freeInitName(name string) string {
	free := name
	for i := 2; slices.ContainsFunc(m.pod.InitContainers, func(c corev1.Container) bool { return c.Name == free }); i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	return free
}

func (m *mounts) tmpfs(target string, size int64) {
	dir := &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}
	if size > 0 {
		dir.SizeLimit = resource.NewQuantity(size, resource.BinarySI)
	}
	m.mount("tmpfs-"+ObjectName(target), corev1.VolumeSource{EmptyDir: dir}, corev1.VolumeMount{MountPath: target})
}

// tmpfsSize reads the options of the short form: size=64m,mode=1777.
func (m *mounts) tmpfsSize(options string) (size int64) {
	for _, o := range strings.Split(options, ",") {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "", "rw":
		case "size":
			n, err := units.RAMInBytes(value)
			if err != nil {
				m.refuse(m.at("tmpfs"), "%q is no size", value)
			}
			size = n
		default:
			m.remark(m.at("tmpfs"), "%s has no effect", o)
		}
	}
	return size
}

// file mounts a config or a secret.
func (m *mounts) file(section string, f types.FileReferenceConfig, otherwise string) {
	target := f.Target
	switch {
	case target == "":
		target = otherwise
	case !path.IsAbs(target):
		target = path.Join(path.Dir(otherwise), target)
	}
	if f.UID != "" || f.GID != "" {
		m.remark(m.at(section), "uid and gid of %s have no effect: its file is root's", f.Source)
	}
	var mode *int32
	if f.Mode != nil {
		mode = ptr.To(int32(*f.Mode))
	}
	mount := corev1.VolumeMount{MountPath: target, SubPath: f.Source, ReadOnly: true}
	if section == "configs" {
		name := m.configMaps[f.Source]
		m.mount("config-"+name, corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}, DefaultMode: mode}}, mount)
		return
	}
	name := m.secrets[f.Source]
	m.mount("secret-"+name, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name, DefaultMode: mode}}, mount)
}
