package daemon

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// contextName is how the daemon's context, cluster and user are called in a kubeconfig.
const contextName = "skiff"

// clientIdentity is what a client needs to reach the API and be believed: PEM blocks, all inline, so that the one
// file can be carried about.
type clientIdentity struct{ ca, cert, key []byte }

// newKubeconfig describes the API at address (host:port) for kubectl and its kin.
func newKubeconfig(address string, id clientIdentity) *clientcmdapi.Config {
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[contextName] = &clientcmdapi.Cluster{Server: "https://" + address, CertificateAuthorityData: id.ca}
	cfg.AuthInfos[contextName] = &clientcmdapi.AuthInfo{ClientCertificateData: id.cert, ClientKeyData: id.key}
	cfg.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: contextName, Namespace: "default"}
	cfg.CurrentContext = contextName
	return cfg
}

// writeKubeconfig puts the file in place, for its owner alone: whoever reads it owns the engine.
func writeKubeconfig(path string, cfg *clientcmdapi.Config) error {
	raw, err := clientcmd.Write(*cfg)
	if err != nil {
		return fmt.Errorf("encoding the kubeconfig: %w", err)
	}
	return writeFile(path, raw)
}

// readKubeconfig returns the file of a daemon that runs. A file that a killed one has left behind leads nowhere.
func readKubeconfig(c Config) (*clientcmdapi.Config, error) {
	pid, err := holder(c)
	if err != nil {
		return nil, err
	}
	if pid == 0 {
		return nil, fmt.Errorf("no daemon runs for %s: start one with `skiff daemon start`", c.DataDir)
	}
	cfg, err := clientcmd.LoadFromFile(c.kubeconfig())
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the daemon of %s, process %d, is starting or ending: wait for it with `skiff daemon start`", c.DataDir, pid)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the daemon's kubeconfig: %w", err)
	}
	return cfg, nil
}

// keepNamespace notes the namespace that the user has chosen in the daemon's kubeconfig (kubectl config set-context --current
// --namespace), for the file of the next daemon. Without a readable file what was noted before stays.
func keepNamespace(c Config) error {
	cfg, err := clientcmd.LoadFromFile(c.kubeconfig())
	if err != nil || cfg.Contexts[contextName] == nil {
		return nil
	}
	return writeFile(c.namespaceFile(), []byte(cfg.Contexts[contextName].Namespace+"\n"))
}

// recallNamespace puts the namespace that was noted into a new kubeconfig.
func recallNamespace(c Config, cfg *clientcmdapi.Config) error {
	raw, err := os.ReadFile(c.namespaceFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the namespace that was chosen: %w", err)
	}
	if kept := strings.TrimSpace(string(raw)); kept != "" {
		cfg.Contexts[contextName].Namespace = kept
	}
	return nil
}

// mergeKubeconfig puts skiff's context into the user's own file and makes it the current one, leaving all others as they
// are. It returns the path of the file.
func mergeKubeconfig(skiff *clientcmdapi.Config) (string, error) {
	access := clientcmd.NewDefaultPathOptions()
	user, err := access.GetStartingConfig()
	if err != nil {
		return "", fmt.Errorf("reading your kubeconfig: %w", err)
	}
	cluster, identity, context := skiff.Clusters[contextName], skiff.AuthInfos[contextName], skiff.Contexts[contextName]
	// Otherwise they would be written back to where they were read from.
	cluster.LocationOfOrigin, identity.LocationOfOrigin, context.LocationOfOrigin = "", "", ""
	if before := user.Contexts[contextName]; before != nil && before.Namespace != "" {
		context.Namespace = before.Namespace // chosen by the user
	}
	user.Clusters[contextName], user.AuthInfos[contextName], user.Contexts[contextName] = cluster, identity, context
	user.CurrentContext = contextName
	if err := clientcmd.ModifyConfig(access, *user, false); err != nil {
		return "", fmt.Errorf("writing your kubeconfig: %w", err)
	}
	return access.GetDefaultFilename(), nil
}
