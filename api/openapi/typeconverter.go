package openapi

import (
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// TypeConverter tells server-side apply of which type each field is. It reads the schemas at the
// first use, because most daemons are up long before anybody writes, and is one for all group
// versions, because they share most schemas.
func (d *Documents) TypeConverter() managedfields.TypeConverter { return d.fields }

type typeConverter struct {
	once sync.Once
	real managedfields.TypeConverter
	err  error
}

func (c *typeConverter) load() (managedfields.TypeConverter, error) {
	c.once.Do(func() {
		if c.real, c.err = parseTypes(); c.err != nil {
			c.err = fmt.Errorf("reading the types of fields: %w", c.err)
		}
	})
	return c.real, c.err
}

func parseTypes() (managedfields.TypeConverter, error) {
	gz, err := data.ReadFile("data/" + SchemasFile)
	if err != nil {
		return nil, err
	}
	raw, err := unpack(gz)
	if err != nil {
		return nil, err
	}
	schemas := map[string]*spec.Schema{}
	if err := json.Unmarshal(raw, &schemas); err != nil {
		return nil, err
	}
	return managedfields.NewTypeConverter(schemas, false)
}

// ObjectToTyped implements managedfields.TypeConverter.
func (c *typeConverter) ObjectToTyped(o runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	real, err := c.load()
	if err != nil {
		return nil, err
	}
	return real.ObjectToTyped(o, opts...)
}

// TypedToObject implements managedfields.TypeConverter.
func (c *typeConverter) TypedToObject(v *typed.TypedValue) (runtime.Object, error) {
	real, err := c.load()
	if err != nil {
		return nil, err
	}
	return real.TypedToObject(v)
}
