package daemon

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/daemon/config"
	"skiff/daemon/datadir"
)

// nodeName returns the name of the data directory's node: the first it was given, by --node-name or
// after the host. It is kept because pods, containers and volumes belong to the node of that name,
// and hosts are renamed.
func nodeName(c config.Config) (string, error) {
	raw, err := os.ReadFile(c.Dir.NodeFile())
	kept := strings.TrimSpace(string(raw))
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("reading the node's name: %w", err)
	case kept != "" && c.NodeName != "" && kept != c.NodeName:
		return "", fmt.Errorf("the node of %s is called %q and can not become %q: its pods belong to it (use another --data-dir, or `skiff daemon reset` first)", c.Dir, kept, c.NodeName)
	case kept != "":
		return kept, nil
	}
	name := c.NodeName
	if name == "" {
		if name, err = hostNodeName(os.Hostname); err != nil {
			return "", err
		}
	}
	if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
		return "", fmt.Errorf("%q can not be a node's name (name the node with --node-name): %s", name, strings.Join(wrong, "; "))
	}
	return name, datadir.WriteFile(c.Dir.NodeFile(), []byte(name+"\n"))
}

var unfitForNames = regexp.MustCompile(`[^a-z0-9.-]+`)

// hostNodeName makes a node's name of the host's.
func hostNodeName(hostname func() (string, error)) (string, error) {
	host, err := hostname()
	if err != nil {
		return "", fmt.Errorf("finding the host's name (name the node with --node-name): %w", err)
	}
	return strings.Trim(unfitForNames.ReplaceAllString(strings.ToLower(host), "-"), "-."), nil
}
