package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile puts a file of mode 0600 in place in one step: whoever reads it, and whatever crashes
// meanwhile, finds all of it or none.
func WriteFile(path string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already when the rename succeeded
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// overwrite writes over the beginning of a file that exists, in place.
func overwrite(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(raw, 0)
	return errors.Join(err, f.Truncate(int64(len(raw))), f.Sync(), f.Close())
}
