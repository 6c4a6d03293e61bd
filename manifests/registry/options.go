package registry

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/clock"

	"skiff/manifests/custom"
	"skiff/store"
)

// Options configure a Registry.
type Options struct {
	// Store is where objects are kept. It must have been opened with Indexes().
	Store *store.Store
	// Clock tells creation and deletion times and drives bookmarks. The default
	// is the real clock.
	Clock clock.WithTicker
	// Admission is asked, in order, about every create, update and delete. Those
	// that are a Validator are asked again later; one may be a Charger.
	Admission []Admitter
	// Extension, unless nil, is asked after them.
	Extension Extension
	// BookmarkPeriod is the time between a watch's bookmarks, one minute unless
	// set.
	BookmarkPeriod time.Duration
	// FutureVersionWait is how long a read at a resourceVersion that is yet to
	// come waits for it, three seconds unless set.
	FutureVersionWait time.Duration
	// ConversionWebhook converts custom resources whose definitions ask for a webhook. Without one such
	// definitions are refused.
	ConversionWebhook custom.Webhook
}

func (o *Options) complete() {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.BookmarkPeriod == 0 {
		o.BookmarkPeriod = time.Minute
	}
	if o.FutureVersionWait == 0 {
		o.FutureVersionWait = 3 * time.Second
	}
}

// ListOptions select what a list returns.
type ListOptions struct {
	Labels labels.Selector // nil: everything
	Fields fields.Selector // nil: everything
	// Limit is the most objects returned at once; 0 is no limit.
	Limit int64
	// Continue is the token that an earlier, limited list returned.
	Continue string
	// ResourceVersion and Match say how fresh, or exactly how old, the list is.
	// https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
	ResourceVersion string
	Match           metav1.ResourceVersionMatch
	// Stored asks for the objects as the store has them, of a kind whose objects are kept in another
	// form. Fields can not be selected then.
	Stored bool
}

// WatchOptions select what a watch reports.
type WatchOptions struct {
	Labels labels.Selector // nil: everything
	Fields fields.Selector // nil: everything
	// ResourceVersion is where the watch begins: after it, or, when empty or
	// "0", with the objects there are now.
	ResourceVersion string
	// SendInitialEvents asks for the present objects first, or for none of them.
	// When it is true and Bookmarks too, a bookmark annotated
	// k8s.io/initial-events-end follows them.
	SendInitialEvents *bool
	// Bookmarks asks for periodic bookmark events.
	Bookmarks bool
}

// CreateOptions modify a create.
type CreateOptions struct {
	// DryRun does everything but store the object.
	DryRun bool
	// Validate sees the object as it would be stored, and may refuse it.
	Validate func(ctx context.Context, obj store.Object) error
	// Options are the request's own, for the Extension.
	Options *metav1.CreateOptions
}

// UpdateOptions modify an update.
type UpdateOptions struct {
	// Subresource is the part that is updated: manifests.SubresourceNone for the
	// object itself, SubresourceStatus, or SubresourceFinalize of a namespace.
	Subresource string
	// DryRun does everything but store the object.
	DryRun bool
	// Create lets the update create an object that is not there, whatever the
	// kind says, as server-side apply does.
	Create bool
	// Preconditions must hold for the stored object.
	Preconditions *metav1.Preconditions
	// ValidateCreate and ValidateUpdate see the objects as they would be stored,
	// and may refuse.
	ValidateCreate func(ctx context.Context, obj store.Object) error
	ValidateUpdate func(ctx context.Context, obj, old store.Object) error

	// Options are the request's own, for the Extension.
	Options *metav1.UpdateOptions
	// Reviewed says that the Extension need not be asked: it sees the request in another form.
	Reviewed bool

	// existing never creates, whatever the kind says.
	existing bool
}

// DeleteOptions modify a delete, beside the request's own metav1.DeleteOptions.
type DeleteOptions struct {
	// Validate sees the object that is to be deleted, and may refuse.
	Validate func(ctx context.Context, obj store.Object) error
	// Reviewed says that the Extension need not be asked: it sees the request in another form.
	Reviewed bool
}
