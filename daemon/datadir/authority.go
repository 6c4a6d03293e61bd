package datadir

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// keptFile says that the authority is to outlive a reset.
func (d Dir) keptFile() string { return d.path("authority-is-known") }

// KeepAuthority lets a reset leave the authority and the API's address, because somebody relies on them: a
// context in another kubeconfig, a browser that trusts the certificate.
func (d Dir) KeepAuthority() error {
	if err := WriteFile(d.keptFile(), nil); err != nil {
		return fmt.Errorf("noting that the authority is to outlive a reset: %w", err)
	}
	return nil
}

// ForgetAuthority lets the next reset remove the authority too, or removes it now if a reset has left nothing
// else.
func (d Dir) ForgetAuthority() error {
	if d.IsInstance() {
		return remove(d.keptFile())
	}
	var errs []error
	for _, file := range d.ofAuthority() {
		errs = append(errs, os.RemoveAll(file))
	}
	if left, err := os.ReadDir(string(d)); err == nil && len(left) == 0 {
		errs = append(errs, remove(string(d)))
	}
	return errors.Join(errs...)
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (d Dir) ofAuthority() []string {
	return []string{d.keptFile(), d.Credentials(), d.AuthorityFile(), d.addressFile()}
}

// Resettable are the files that a reset removes: all of skiff's, but those of an authority that is to stay.
func (d Dir) Resettable() []string {
	if _, err := os.Stat(d.keptFile()); err != nil {
		return d.Files()
	}
	kept := d.ofAuthority()
	return slices.DeleteFunc(d.Files(), func(file string) bool { return slices.Contains(kept, file) })
}
