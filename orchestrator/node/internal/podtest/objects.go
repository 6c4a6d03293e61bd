package podtest

import (
	"errors"
	"io/fs"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Objects are the objects that a pod refers to.
type Objects struct {
	configMaps map[string]*corev1.ConfigMap
	secrets    map[string]*corev1.Secret
	// All are the services of every namespace.
	All []*corev1.Service
	// API is the Service of the API.
	API *corev1.Service
	// Files are the files in volumes, by volume and path.
	Files map[string]string
}

// Services returns the services of a namespace.
func (o Objects) Services(string) []*corev1.Service { return o.All }

// APIService returns API.
func (o Objects) APIService() *corev1.Service { return o.API }

// File returns one of Files.
func (o Objects) File(_ *corev1.Pod, volume, path string) ([]byte, error) {
	if content, ok := o.Files[volume+"/"+path]; ok {
		return []byte(content), nil
	}
	return nil, fs.ErrNotExist
}

// ConfigMap returns a ConfigMap; that of "broken" can't be read.
func (o Objects) ConfigMap(_, name string) (*corev1.ConfigMap, error) {
	if name == "broken" {
		return nil, errors.New("store is closed")
	}
	if m, ok := o.configMaps[name]; ok {
		return m, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), name)
}

// Secret returns a Secret.
func (o Objects) Secret(_, name string) (*corev1.Secret, error) {
	if s, ok := o.secrets[name]; ok {
		return s, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
}

// NewObjects returns ConfigMap app and Secret key.
func NewObjects() Objects {
	return Objects{
		configMaps: map[string]*corev1.ConfigMap{"app": {
			ObjectMeta: metav1.ObjectMeta{Name: "app", ResourceVersion: "5"},
			Data:       map[string]string{"colour": "red", "size": "2"}, BinaryData: map[string][]byte{"raw": {0, 1}},
		}},
		secrets: map[string]*corev1.Secret{"key": {
			ObjectMeta: metav1.ObjectMeta{Name: "key", ResourceVersion: "6"},
			Data:       map[string][]byte{"token": []byte("s3cret")},
		}},
	}
}
