// Package override changes generated objects by a person's own JSON: the flags --overrides and
// --override-type.
package override

import (
	"fmt"

	"github.com/urfave/cli/v2"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"
)

// Flags are --overrides and --override-type. what is the kind of the object.
func Flags(what string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "overrides", Usage: "`JSON` that changes the " + what + " before it is sent"},
		&cli.StringFlag{Name: "override-type", Value: "merge", Usage: "`HOW` the overrides change it: json (a list of patches), merge or strategic"},
	}
}

// Apply changes an object of a known type as the flags say.
func Apply(c *cli.Context, obj *unstructured.Unstructured, typed any) (*unstructured.Unstructured, error) {
	text := c.String("overrides")
	if text == "" {
		return obj, nil
	}
	patch, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("reading --overrides: %w", err)
	}
	before, err := obj.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var after []byte
	switch how := c.String("override-type"); how {
	case "merge":
		after, err = jsonpatch.MergePatch(before, patch)
	case "strategic":
		after, err = strategicpatch.StrategicMergePatch(before, patch, typed)
	case "json":
		var p jsonpatch.Patch
		if p, err = jsonpatch.DecodePatch(patch); err == nil {
			after, err = p.Apply(before)
		}
	default:
		return nil, fmt.Errorf("invalid override type: %v", how)
	}
	if err != nil {
		return nil, fmt.Errorf("applying --overrides: %w", err)
	}
	out := &unstructured.Unstructured{}
	return out, out.UnmarshalJSON(after)
}
