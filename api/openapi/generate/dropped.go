package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/api/openapi"
)

// droppedVersion is a group version that is served for old manifests, but that upstream has dropped
// and publishes no document of any more. Its kinds have the fields of those that replaced them, but
// for what amend changes: so its document is made from theirs by renaming.
type droppedVersion struct {
	gv, replacement schema.GroupVersion
	kinds           []string
	// schemas are the beginnings of the names, after the version, of what is renamed.
	schemas []string
	// optional are schemas whose selector may be left out.
	optional []string
	// added are properties that the replacement has not, by schema.
	added map[string]map[string]any
}

func droppedVersions() []droppedVersion {
	apps, workloads := schema.GroupVersion{Group: "apps", Version: "v1"}, []string{"DaemonSet", "Deployment", "ReplicaSet", "RollingUpdate", "StatefulSet"}
	rollbackTo := map[string]any{
		"description": "DEPRECATED. The revision to roll back to. Cleared after the rollback.",
		"type":        "object",
		"properties": map[string]any{"revision": map[string]any{
			"description": "The revision to roll back to. If 0, the last one before the present.", "type": "integer", "format": "int64",
		}},
	}
	templateGeneration := map[string]any{
		"description": "DEPRECATED. A number that says which generation of the template this is. Set by the system.",
		"type":        "integer", "format": "int64",
	}
	return []droppedVersion{
		{
			gv: schema.GroupVersion{Group: "batch", Version: "v1beta1"}, replacement: schema.GroupVersion{Group: "batch", Version: "v1"},
			kinds: []string{"CronJob"}, schemas: []string{"CronJob", "JobTemplateSpec"},
		},
		{
			gv: schema.GroupVersion{Group: "apps", Version: "v1beta1"}, replacement: apps,
			kinds: []string{"Deployment", "StatefulSet"}, schemas: workloads,
			optional: []string{"DeploymentSpec", "StatefulSetSpec"},
			added:    map[string]map[string]any{"DeploymentSpec": {"rollbackTo": rollbackTo}},
		},
		{
			gv: schema.GroupVersion{Group: "apps", Version: "v1beta2"}, replacement: apps,
			kinds: []string{"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"}, schemas: workloads,
		},
		{
			gv: schema.GroupVersion{Group: "extensions", Version: "v1beta1"}, replacement: apps,
			kinds: []string{"DaemonSet", "Deployment", "ReplicaSet"}, schemas: workloads,
			optional: []string{"DaemonSetSpec", "DeploymentSpec", "ReplicaSetSpec"},
			added: map[string]map[string]any{
				"DaemonSetSpec": {"templateGeneration": templateGeneration}, "DeploymentSpec": {"rollbackTo": rollbackTo},
			},
		},
	}
}

// readDocument reads one of upstream's v3 documents, or makes it if upstream has dropped it.
func readDocument(dir string, gv schema.GroupVersion) (map[string]any, error) {
	path := func(gv schema.GroupVersion) string {
		return filepath.Join(dir, "v3", openapi.FileName(gv)+"_openapi.json")
	}
	doc := map[string]any{}
	raw, err := os.ReadFile(path(gv))
	if err == nil {
		return doc, json.Unmarshal(raw, &doc)
	}
	all := droppedVersions()
	at := slices.IndexFunc(all, func(d droppedVersion) bool { return d.gv == gv })
	if at < 0 || !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d := all[at]
	if raw, err = os.ReadFile(path(d.replacement)); err != nil {
		return nil, err
	}
	var given any
	if err := json.Unmarshal(raw, &given); err != nil {
		return nil, err
	}
	if err := d.rename(given, &doc); err != nil {
		return nil, err
	}
	d.amend(schemasOf(doc))
	return doc, nil
}

// rename makes of v, a part of the replacement's document, the same part of the dropped version's.
func (d droppedVersion) rename(v, out any) error {
	raw, err := json.Marshal(v) // with its keys sorted
	if err != nil {
		return err
	}
	pairs := []string{
		"/apis/" + d.replacement.String() + "/", "/apis/" + d.gv.String() + "/",
		label(d.replacement, ""), label(d.gv, ""),
		strings.ToLower(label(d.replacement, "_")), strings.ToLower(label(d.gv, "_")),
	}
	for _, name := range d.schemas {
		pairs = append(pairs, schemaName(d.replacement, name), schemaName(d.gv, name))
	}
	for _, kind := range d.kinds {
		for _, k := range []string{kind, kind + "List"} {
			pairs = append(pairs, kindTag(d.replacement, k), kindTag(d.gv, k))
		}
	}
	return json.Unmarshal([]byte(strings.NewReplacer(pairs...).Replace(string(raw))), out)
}

// label is a group version in an operation's name, as AppsV1, or with "_" in its tag.
func label(gv schema.GroupVersion, between string) string {
	return strings.ToUpper(gv.Group[:1]) + gv.Group[1:] + between + strings.ToUpper(gv.Version[:1]) + gv.Version[1:]
}

func schemaName(gv schema.GroupVersion, name string) string {
	return "io.k8s.api." + gv.Group + "." + gv.Version + "." + name
}

func kindTag(gv schema.GroupVersion, kind string) string {
	return `"group":"` + gv.Group + `","kind":"` + kind + `","version":"` + gv.Version + `"`
}

// amend gives the renamed schemas what the dropped version has of its own.
func (d droppedVersion) amend(schemas map[string]any) {
	for _, name := range d.optional {
		s := schemas[schemaName(d.gv, name)].(map[string]any)
		required := slices.DeleteFunc(s["required"].([]any), func(field any) bool { return field == "selector" })
		if s["required"] = required; len(required) == 0 {
			delete(s, "required")
		}
	}
	for name, properties := range d.added {
		s := schemas[schemaName(d.gv, name)].(map[string]any)
		maps.Copy(s["properties"].(map[string]any), properties)
	}
}

// addDropped adds to the v2 document the paths and definitions of the dropped versions.
func addDropped(doc map[string]any) error {
	for _, d := range droppedVersions() {
		for section, prefix := range map[string]string{
			"paths":       "/apis/" + d.replacement.String() + "/",
			"definitions": schemaName(d.replacement, ""),
		} {
			all := doc[section].(map[string]any)
			old, renamed := map[string]any{}, map[string]any{}
			for name, v := range all {
				if strings.HasPrefix(name, prefix) {
					old[name] = v
				}
			}
			if err := d.rename(old, &renamed); err != nil {
				return err
			}
			// A definition that both versions share keeps its name, and stays as it is.
			for name := range old {
				delete(renamed, name)
			}
			maps.Copy(all, renamed)
		}
		d.amend(doc["definitions"].(map[string]any))
	}
	return nil
}
