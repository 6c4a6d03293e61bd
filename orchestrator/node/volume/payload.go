package volume

import (
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/node/env"
)

// payload is what the files of a volume that is made from objects are to contain.
func (v *Manager) payload(pod *corev1.Pod, volume *corev1.Volume, f env.Facts) (map[string]file, error) {
	files := map[string]file{}
	w := &payloadWriter{pod: pod, volume: volume.Name, facts: f, sources: v.Sources, tokens: v.tokens(), files: files}
	var err error
	switch {
	case volume.ConfigMap != nil:
		s := volume.ConfigMap
		err = w.configMap(s.Name, s.Optional, s.Items, s.DefaultMode)
	case volume.Secret != nil:
		s := volume.Secret
		err = w.secret(s.SecretName, s.Optional, s.Items, s.DefaultMode)
	case volume.DownwardAPI != nil:
		err = w.downwardAPI(volume.DownwardAPI.Items, volume.DownwardAPI.DefaultMode)
	case volume.Projected != nil:
		err = w.projected(volume.Projected)
	}
	return files, err
}

// payloadWriter collects the files of one volume.
type payloadWriter struct {
	pod     *corev1.Pod
	volume  string
	facts   env.Facts
	sources env.Sources
	tokens  *tokens
	files   map[string]file
}

// defaultMode is the mode of files unless the volume or the item has one.
const defaultMode = 0o644

func fileMode(item, volume *int32) os.FileMode {
	switch {
	case item != nil:
		return os.FileMode(*item)
	case volume != nil:
		return os.FileMode(*volume)
	}
	return defaultMode
}

func (w *payloadWriter) projected(p *corev1.ProjectedVolumeSource) error {
	for _, s := range p.Sources {
		var err error
		switch {
		case s.ConfigMap != nil:
			err = w.configMap(s.ConfigMap.Name, s.ConfigMap.Optional, s.ConfigMap.Items, p.DefaultMode)
		case s.Secret != nil:
			err = w.secret(s.Secret.Name, s.Secret.Optional, s.Secret.Items, p.DefaultMode)
		case s.DownwardAPI != nil:
			err = w.downwardAPI(s.DownwardAPI.Items, p.DefaultMode)
		case s.ServiceAccountToken != nil:
			err = w.addToken(s.ServiceAccountToken, p.DefaultMode)
		default:
			err = errors.New("skiff does not support this source of a projected volume")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *payloadWriter) configMap(name string, optional *bool, items []corev1.KeyToPath, mode *int32) error {
	m, err := w.sources.ConfigMap(w.pod.Namespace, name)
	if apierrors.IsNotFound(err) {
		if ptr.Deref(optional, false) {
			return nil
		}
		return fmt.Errorf("configmap %q not found", name)
	}
	if err != nil {
		return err
	}
	data := make(map[string][]byte, len(m.Data)+len(m.BinaryData))
	for k, v := range m.Data {
		data[k] = []byte(v)
	}
	for k, v := range m.BinaryData {
		data[k] = v
	}
	return w.keys(data, "configmap references non-existent config key", optional, items, mode)
}

func (w *payloadWriter) secret(name string, optional *bool, items []corev1.KeyToPath, mode *int32) error {
	s, err := w.sources.Secret(w.pod.Namespace, name)
	if apierrors.IsNotFound(err) {
		if ptr.Deref(optional, false) {
			return nil
		}
		return fmt.Errorf("secret %q not found", name)
	}
	if err != nil {
		return err
	}
	return w.keys(s.Data, "references non-existent secret key", optional, items, mode)
}

// keys adds an object's keys as files: all of them, or those that items name.
func (w *payloadWriter) keys(data map[string][]byte, missing string, optional *bool, items []corev1.KeyToPath, mode *int32) error {
	if len(items) == 0 {
		for k, v := range data {
			w.files[k] = file{data: v, mode: fileMode(nil, mode)}
		}
		return nil
	}
	for _, item := range items {
		v, ok := data[item.Key]
		if !ok {
			if ptr.Deref(optional, false) {
				continue
			}
			return fmt.Errorf("%s: %s", missing, item.Key)
		}
		w.files[path.Clean(item.Path)] = file{data: v, mode: fileMode(item.Mode, mode)}
	}
	return nil
}

func (w *payloadWriter) downwardAPI(items []corev1.DownwardAPIVolumeFile, mode *int32) error {
	for _, item := range items {
		var value string
		var err error
		switch {
		case item.FieldRef != nil:
			value, err = env.FieldValue(w.pod, item.FieldRef.FieldPath, w.facts)
		case item.ResourceFieldRef != nil:
			value, err = env.ResourceValue(w.pod, nil, item.ResourceFieldRef, w.facts.Allocatable)
		}
		if err != nil {
			return err
		}
		w.files[path.Clean(item.Path)] = file{data: []byte(value), mode: fileMode(item.Mode, mode)}
	}
	return nil
}

// Versions are the versions of the objects that the pod's volumes are made from, by kind and name.
func (v *Manager) Versions(pod *corev1.Pod) map[string]string {
	if v.Dir == "" {
		return nil
	}
	out := map[string]string{}
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		switch {
		case volume.ConfigMap != nil:
			v.addConfigMap(out, pod, volume.ConfigMap.Name)
		case volume.Secret != nil:
			v.addSecret(out, pod, volume.Secret.SecretName)
		case volume.DownwardAPI != nil:
			addMetadata(out, pod)
		case volume.Projected != nil:
			for _, s := range volume.Projected.Sources {
				switch {
				case s.ConfigMap != nil:
					v.addConfigMap(out, pod, s.ConfigMap.Name)
				case s.Secret != nil:
					v.addSecret(out, pod, s.Secret.Name)
				case s.DownwardAPI != nil:
					addMetadata(out, pod)
				case s.ServiceAccountToken != nil:
					out["token "+tokenKey(volume.Name, s.ServiceAccountToken)] = v.tokens().version(pod.UID, volume.Name, s.ServiceAccountToken)
				}
			}
		}
	}
	return out
}

func (v *Manager) addConfigMap(out map[string]string, pod *corev1.Pod, name string) {
	if m, err := v.Sources.ConfigMap(pod.Namespace, name); err == nil {
		out["configmap "+name] = m.ResourceVersion
	}
}

func (v *Manager) addSecret(out map[string]string, pod *corev1.Pod, name string) {
	if s, err := v.Sources.Secret(pod.Namespace, name); err == nil {
		out["secret "+name] = s.ResourceVersion
	}
}

// addMetadata adds a hash of the metadata that may change while a pod exists.
func addMetadata(out map[string]string, pod *corev1.Pod) {
	h := fnv.New128a()
	h.Write([]byte(env.FormatMap(pod.Labels) + "\x00" + env.FormatMap(pod.Annotations)))
	out["metadata of the pod"] = base64.StdEncoding.EncodeToString(h.Sum(nil))
}
