package create

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func newSecret(name string, kind corev1.SecretType, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{TypeMeta: typeMeta(corev1.SchemeGroupVersion.WithKind("Secret")), ObjectMeta: metav1.ObjectMeta{Name: name}, Type: kind, Data: data}
}

func tlsSecret() generator {
	return generator{name: "tls", usage: "Create a secret of a certificate and its key",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "cert", Usage: "`FILE` with the certificate in PEM"},
			&cli.StringFlag{Name: "key", Usage: "`FILE` with its private key in PEM"},
		},
		examples: []string{"skiff create secret tls web --cert=web.crt --key=web.key"},
		make: func(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
			cert, key := c.String("cert"), c.String("key")
			if cert == "" || key == "" {
				return nil, errors.New("key and cert must be specified")
			}
			data := map[string][]byte{}
			for field, file := range map[string]string{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key} {
				text, err := os.ReadFile(file)
				if err != nil {
					return nil, fmt.Errorf("Cannot read file %v, %w", file, err)
				}
				data[field] = text
			}
			if _, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]); err != nil {
				return nil, err
			}
			return newSecret(name, corev1.SecretTypeTLS, data), nil
		}}
}

func registrySecret() generator {
	return generator{name: "docker-registry", usage: "Create a secret for a registry that wants to know who pulls",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "docker-username", Usage: "`USER` of the registry"},
			&cli.StringFlag{Name: "docker-password", Usage: "`PASSWORD` of the user"},
			&cli.StringFlag{Name: "docker-email", Usage: "`ADDRESS` of the user"},
			&cli.StringFlag{Name: "docker-server", Value: "https://index.docker.io/v1/", Usage: "`SERVER` of the registry"},
			&cli.StringSliceFlag{Name: "from-file", Usage: "`FILE` of docker's with the credentials, such as ~/.docker/config.json"},
		},
		examples: []string{"skiff create secret docker-registry pull --docker-server=registry.example.org --docker-username=jane --docker-password=hunter2"},
		make:     makeRegistrySecret}
}

func makeRegistrySecret(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
	user, password, server := c.String("docker-username"), c.String("docker-password"), c.String("docker-server")
	data := map[string][]byte{}
	if files := c.StringSlice("from-file"); len(files) > 0 {
		for _, source := range files {
			if !strings.Contains(source, "=") {
				source = corev1.DockerConfigJsonKey + "=" + source
			}
			if err := fileData(source, func(key string, value []byte) error { data[key] = value; return nil }); err != nil {
				return nil, err
			}
		}
		return newSecret(name, corev1.SecretTypeDockerConfigJson, data), nil
	}
	if user == "" || password == "" || server == "" {
		return nil, errors.New("either --from-file or the combination of --docker-username, --docker-password and --docker-server is required")
	}
	type entry struct {
		Username string `json:"username,omitempty"`
		Password string `json:"password,omitempty"`
		Email    string `json:"email,omitempty"`
		Auth     string `json:"auth,omitempty"`
	}
	text, err := json.Marshal(map[string]any{"auths": map[string]entry{server: {
		Username: user, Password: password, Email: c.String("docker-email"), Auth: base64.StdEncoding.EncodeToString([]byte(user + ":" + password)),
	}}})
	data[corev1.DockerConfigJsonKey] = text
	return newSecret(name, corev1.SecretTypeDockerConfigJson, data), err
}
