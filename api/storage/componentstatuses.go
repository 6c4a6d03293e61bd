package storage

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
)

// ComponentStatuses serves the health of the parts of a control plane, under the names that upstream's
// have. Here they are one program: what is wrong with it is wrong with all. The kind is deprecated.
type ComponentStatuses struct {
	// Healthy is nil while all is well.
	Healthy func(context.Context) error
	Tables  Tables
}

var (
	_ rest.Getter               = (*ComponentStatuses)(nil)
	_ rest.Lister               = (*ComponentStatuses)(nil)
	_ rest.Scoper               = (*ComponentStatuses)(nil)
	_ rest.ShortNamesProvider   = (*ComponentStatuses)(nil)
	_ rest.SingularNameProvider = (*ComponentStatuses)(nil)
)

// componentResource names the resource in errors and tables.
func componentResource() schema.GroupResource {
	return schema.GroupResource{Resource: "componentstatuses"}
}

func components() []string { return []string{"controller-manager", "etcd-0", "scheduler"} }

// New implements rest.Storage.
func (c *ComponentStatuses) New() runtime.Object { return &corev1.ComponentStatus{} }

// NewList implements rest.Lister.
func (c *ComponentStatuses) NewList() runtime.Object { return &corev1.ComponentStatusList{} }

// Destroy implements rest.Storage.
func (c *ComponentStatuses) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (c *ComponentStatuses) NamespaceScoped() bool { return false }

// ShortNames implements rest.ShortNamesProvider.
func (c *ComponentStatuses) ShortNames() []string { return []string{"cs"} }

// GetSingularName implements rest.SingularNameProvider.
func (c *ComponentStatuses) GetSingularName() string { return "componentstatus" }

// Get implements rest.Getter.
func (c *ComponentStatuses) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if !slices.Contains(components(), name) {
		return nil, apierrors.NewNotFound(componentResource(), name)
	}
	return c.status(ctx, name), nil
}

// List implements rest.Lister.
func (c *ComponentStatuses) List(ctx context.Context, o *metainternalversion.ListOptions) (runtime.Object, error) {
	list := &corev1.ComponentStatusList{Items: []corev1.ComponentStatus{}}
	for _, name := range components() {
		if o != nil && o.LabelSelector != nil && !o.LabelSelector.Matches(labels.Set{}) ||
			o != nil && o.FieldSelector != nil && !o.FieldSelector.Matches(fields.Set{"metadata.name": name}) {
			continue
		}
		list.Items = append(list.Items, *c.status(ctx, name))
	}
	return list, nil
}

func (c *ComponentStatuses) status(ctx context.Context, name string) *corev1.ComponentStatus {
	health := corev1.ComponentCondition{Type: corev1.ComponentHealthy, Status: corev1.ConditionTrue, Message: "ok"}
	if err := c.Healthy(ctx); err != nil {
		health.Status, health.Message, health.Error = corev1.ConditionFalse, "", err.Error()
	}
	return &corev1.ComponentStatus{ObjectMeta: metav1.ObjectMeta{Name: name}, Conditions: []corev1.ComponentCondition{health}}
}

// ConvertToTable implements rest.TableConvertor.
func (c *ComponentStatuses) ConvertToTable(_ context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	t := &metav1.Table{}
	if options, ok := o.(*metav1.TableOptions); !ok || !options.NoHeaders {
		t.ColumnDefinitions = c.Tables.Columns(componentResource())
	}
	add := func(item runtime.Object) error {
		rows, err := c.Tables.Rows(componentResource(), item, c.Tables.Clock.Now())
		t.Rows = append(t.Rows, rows...)
		return err
	}
	if meta.IsListType(obj) {
		return t, meta.EachListItem(obj, add)
	}
	return t, add(obj)
}
