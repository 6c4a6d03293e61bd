package datadir

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// InstanceID returns the name by which this data directory's containers are known on the engine,
// and makes one up the first time. It is random rather than the directory's path: a directory that
// was deleted and made anew must not adopt what its predecessor left.
func (d Dir) InstanceID() (string, error) {
	raw, err := os.ReadFile(d.instanceFile())
	if err == nil {
		if id := strings.TrimSpace(string(raw)); id != "" {
			return id, nil
		}
		return "", fmt.Errorf("the file %s is empty: it should hold the instance's ID, the value of the label skiff/instance on its containers", d.instanceFile())
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading the instance's ID: %w", err)
	}
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("making up an instance ID: %w", err)
	}
	id := hex.EncodeToString(b[:])
	return id, WriteFile(d.instanceFile(), []byte(id+"\n"))
}
