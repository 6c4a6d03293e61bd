package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// batch/v1beta1 is served for old manifests, but upstream has dropped it and publishes no document of it any more. Its
// CronJob has the fields of batch/v1's, so its document is made from that one by renaming.
const (
	v1Document      = "apis__batch__v1_openapi.json"
	droppedDocument = "apis__batch__v1beta1_openapi.json"
)

// dropped renames batch/v1 to batch/v1beta1 in JSON whose keys are sorted.
var dropped = strings.NewReplacer(
	"/apis/batch/v1/", "/apis/batch/v1beta1/",
	"io.k8s.api.batch.v1.CronJob", "io.k8s.api.batch.v1beta1.CronJob",
	"io.k8s.api.batch.v1.JobTemplateSpec", "io.k8s.api.batch.v1beta1.JobTemplateSpec",
	`"group":"batch","kind":"CronJob","version":"v1"`, `"group":"batch","kind":"CronJob","version":"v1beta1"`,
	`"group":"batch","kind":"CronJobList","version":"v1"`, `"group":"batch","kind":"CronJobList","version":"v1beta1"`,
	"BatchV1", "BatchV1beta1",
	"batch_v1", "batch_v1beta1",
)

// readDocument reads one of upstream's v3 documents, or makes it if upstream has dropped it.
func readDocument(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) || filepath.Base(path) != droppedDocument {
		return raw, err
	}
	if raw, err = os.ReadFile(filepath.Join(filepath.Dir(path), v1Document)); err != nil {
		return nil, err
	}
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	return rename(doc)
}

// rename returns v as JSON of the dropped version.
func rename(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	return []byte(dropped.Replace(string(raw))), err
}

// addDropped adds to the v2 document the paths and definitions of the dropped version.
func addDropped(doc map[string]any) error {
	for section, keep := range map[string]func(string) bool{
		"paths":       func(p string) bool { return strings.HasPrefix(p, "/apis/batch/v1/") },
		"definitions": func(d string) bool { return strings.HasPrefix(d, "io.k8s.api.batch.v1.") },
	} {
		all := doc[section].(map[string]any)
		old := map[string]any{}
		for name, v := range all {
			if keep(name) {
				old[name] = v
			}
		}
		raw, err := rename(old)
		if err != nil {
			return err
		}
		renamed := map[string]any{}
		if err := json.Unmarshal(raw, &renamed); err != nil {
			return err
		}
		// A definition that both versions share keeps its name, and stays as it is.
		for name := range old {
			delete(renamed, name)
		}
		maps.Copy(all, renamed)
	}
	return nil
}
