package datadir

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ContextName names the daemon's context, cluster and user in a kubeconfig.
const ContextName = "skiff"

// ClientIdentity is what a client needs to reach and convince the API: PEM blocks, all inline, so
// that the one file suffices.
type ClientIdentity struct{ CA, Cert, Key []byte }

// NewKubeconfig describes the API at address (host:port) for kubectl and its kin.
func NewKubeconfig(address string, id ClientIdentity) *clientcmdapi.Config {
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[ContextName] = &clientcmdapi.Cluster{Server: "https://" + address, CertificateAuthorityData: id.CA}
	cfg.AuthInfos[ContextName] = &clientcmdapi.AuthInfo{ClientCertificateData: id.Cert, ClientKeyData: id.Key}
	cfg.Contexts[ContextName] = &clientcmdapi.Context{Cluster: ContextName, AuthInfo: ContextName, Namespace: "default"}
	cfg.CurrentContext = ContextName
	return cfg
}

// WriteKubeconfig puts the file in place, for its owner alone: whoever reads it owns the engine. On a
// full disk it takes the room of its predecessor.
func (d Dir) WriteKubeconfig(cfg *clientcmdapi.Config) error {
	raw, err := clientcmd.Write(*cfg)
	if err != nil {
		return fmt.Errorf("encoding the kubeconfig: %w", err)
	}
	err = WriteFile(d.Kubeconfig(), raw)
	if noRoom(err) && overwrite(d.lastKubeconfig(), raw) == nil {
		return os.Rename(d.lastKubeconfig(), d.Kubeconfig())
	}
	return err
}

// ReadKubeconfig returns the kubeconfig of a running daemon. One that a killed daemon left behind
// is refused.
func (d Dir) ReadKubeconfig() (*clientcmdapi.Config, error) {
	pid, err := d.Holder()
	if err != nil {
		return nil, err
	}
	if pid == 0 {
		return nil, fmt.Errorf("no daemon runs for %s: start one with `skiff daemon start`", d)
	}
	cfg, err := clientcmd.LoadFromFile(d.Kubeconfig())
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the daemon of %s, process %d, is starting or ending: wait for it with `skiff daemon start`", d, pid)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the daemon's kubeconfig: %w", err)
	}
	return cfg, nil
}

// Address is host:port of the API of a daemon that runs.
func (d Dir) Address() (string, error) {
	cfg, err := d.ReadKubeconfig()
	if err != nil {
		return "", err
	}
	cluster := cfg.Clusters[ContextName]
	if cluster == nil {
		return "", fmt.Errorf("the daemon's kubeconfig, %s, has no cluster %q", d.Kubeconfig(), ContextName)
	}
	return strings.TrimPrefix(cluster.Server, "https://"), nil
}

// RecallNamespace puts the namespace that the user has chosen in the last daemon's kubeconfig (kubectl
// config set-context --current --namespace) into a new one. A last one that cannot be read says
// nothing.
func (d Dir) RecallNamespace(cfg *clientcmdapi.Config) error {
	last, err := clientcmd.LoadFromFile(d.lastKubeconfig())
	if err != nil || last.Contexts[ContextName] == nil {
		return nil //nolint:nilerr // see above
	}
	if chosen := last.Contexts[ContextName].Namespace; chosen != "" {
		cfg.Contexts[ContextName].Namespace = chosen
	}
	return nil
}

// RemoveKubeconfig takes the file away from clients. It is kept as the last one.
func (d Dir) RemoveKubeconfig() error {
	if err := os.Rename(d.Kubeconfig(), d.lastKubeconfig()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the kubeconfig: %w", err)
	}
	return nil
}
