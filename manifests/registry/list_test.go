package registry_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/store"
)

func selector(text string) labels.Selector { return must(labels.Parse(text)) }

func fieldSelector(text string) fields.Selector { return must(fields.ParseSelector(text)) }

func keys(items []store.Object) string {
	names := make([]string, len(items))
	for i, item := range items {
		names[i] = item.GetName()
		if item.GetNamespace() != "" {
			names[i] = item.GetNamespace() + "/" + item.GetName()
		}
	}
	return strings.Join(names, " ")
}

func TestListSelects(t *testing.T) {
	f := open(t)
	f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	f.create(inNamespace(configMap("x", "app", "kubia"), "a"))
	f.create(configMap("b", "app", "kubia", "tier", "web"))
	f.create(configMap("a", "app", "other"))
	for name, test := range map[string]struct {
		namespace string
		o         registry.ListOptions
		want      string
	}{
		"all":              {"", registry.ListOptions{}, "a/x default/a default/b"},
		"namespace":        {"default", registry.ListOptions{}, "default/a default/b"},
		"empty namespace":  {"nowhere", registry.ListOptions{}, ""},
		"labels":           {"", registry.ListOptions{Labels: selector("app=kubia")}, "a/x default/b"},
		"set labels":       {"", registry.ListOptions{Labels: selector("app in (kubia),!tier")}, "a/x"},
		"name":             {"", registry.ListOptions{Fields: fieldSelector("metadata.name=x")}, "a/x"},
		"namespace field":  {"", registry.ListOptions{Fields: fieldSelector("metadata.namespace=a")}, "a/x"},
		"other namespaces": {"", registry.ListOptions{Fields: fieldSelector("metadata.namespace!=a")}, "default/a default/b"},
		"both":             {"a", registry.ListOptions{Fields: fieldSelector("metadata.namespace=default")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			items, meta, err := f.resource("configmaps").List(f.ctx, test.namespace, test.o)
			if err != nil || keys(items) != test.want {
				t.Errorf("got %q, %v; want %q", keys(items), err, test.want)
			}
			if meta.ResourceVersion != fmt.Sprint(f.revision()) || meta.Continue != "" || meta.RemainingItemCount != nil {
				t.Errorf("%+v", meta)
			}
		})
	}
}

func TestListByFields(t *testing.T) {
	f := open(t)
	f.create(pod("free"))
	f.create(pod("bound", func(p *corev1.Pod) { p.Spec.NodeName = "n"; p.Spec.RestartPolicy = corev1.RestartPolicyNever }))
	f.create(event("e"))
	for name, test := range map[string]struct{ resource, fields, want string }{
		"node":           {"pods", "spec.nodeName=n", "default/bound"},
		"no node":        {"pods", "spec.nodeName=", "default/free"},
		"phase":          {"pods", "status.phase!=Running,spec.restartPolicy=Never", "default/bound"},
		"host network":   {"pods", "spec.hostNetwork=true", ""},
		"involved":       {"events", "involvedObject.kind=Pod,involvedObject.name=p,reason=Started", "default/e"},
		"other involved": {"events", "involvedObject.name=q", ""},
	} {
		t.Run(name, func(t *testing.T) {
			items, _, err := f.resource(test.resource).List(f.ctx, "", registry.ListOptions{Fields: fieldSelector(test.fields)})
			if err != nil || keys(items) != test.want {
				t.Errorf("got %q, %v; want %q", keys(items), err, test.want)
			}
		})
	}
}

// chunks lists in chunks and returns each as text: its keys and what remains.
func chunks(f fixture, namespace string, o registry.ListOptions, between func()) ([]string, error) {
	var out []string
	for {
		items, meta, err := f.resource("configmaps").List(f.ctx, namespace, o)
		if err != nil {
			return out, err
		}
		text := keys(items)
		if meta.RemainingItemCount != nil {
			text += fmt.Sprintf(" +%d", *meta.RemainingItemCount)
		}
		out = append(out, text)
		if meta.Continue == "" {
			return out, nil
		}
		o.Continue, o.ResourceVersion, o.Match = meta.Continue, "", ""
		between()
	}
}

func TestChunkedLists(t *testing.T) {
	for name, test := range map[string]struct {
		namespace string
		o         registry.ListOptions
		want      []string
	}{
		"all":       {"", registry.ListOptions{Limit: 2}, []string{"a/x a/y +3", "default/a default/b +1", "default/c"}},
		"namespace": {"default", registry.ListOptions{Limit: 1}, []string{"default/a +2", "default/b +1", "default/c"}},
		"exactly":   {"default", registry.ListOptions{Limit: 3}, []string{"default/a default/b default/c"}},
		"selected":  {"", registry.ListOptions{Limit: 1, Labels: selector("odd=true")}, []string{"a/x", "default/a", "default/c"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
			f.create(inNamespace(configMap("x", "odd", "true"), "a"))
			f.create(inNamespace(configMap("y"), "a"))
			for _, c := range []*corev1.ConfigMap{configMap("a", "odd", "true"), configMap("b"), configMap("c", "odd", "true")} {
				f.create(c)
			}
			n := 0
			// What is written between two chunks does not show.
			got, err := chunks(f, test.namespace, test.o, func() {
				n++
				f.create(configMap(fmt.Sprintf("c%d", n), "odd", "true"))
			})
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v\nwant %q", got, err, test.want)
			}
		})
	}
}

func TestChunkedListThatIsTooOld(t *testing.T) {
	f := open(t)
	for _, name := range []string{"a", "b", "c"} {
		f.create(configMap(name))
	}
	r := f.resource("configmaps")
	_, meta, err := r.List(f.ctx, "", registry.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	f.create(configMap("bb"))
	f.clock.Step(time.Hour)
	_, _, err = r.List(f.ctx, "", registry.ListOptions{Limit: 1, Continue: meta.Continue})
	if !apierrors.IsResourceExpired(err) || !strings.HasPrefix(err.Error(), "The provided continue parameter is too old to display a consistent list result. You can start a new list") {
		t.Fatalf("error %v", err)
	}
	var expired *apierrors.StatusError
	errors.As(err, &expired)
	again := expired.ErrStatus.Continue
	items, meta, err := r.List(f.ctx, "", registry.ListOptions{Limit: 2, Continue: again})
	if err != nil || keys(items) != "default/b default/bb" || ptr.Deref(meta.RemainingItemCount, 0) != 1 {
		t.Errorf("went on with %q, %+v, %v", keys(items), meta, err)
	}
	items, _, err = r.List(f.ctx, "", registry.ListOptions{Limit: 2, Continue: meta.Continue})
	if err != nil || keys(items) != "default/c" {
		t.Errorf("ended with %q, %v", keys(items), err)
	}
}

func TestListAtAVersion(t *testing.T) {
	f := open(t)
	r := f.resource("configmaps")
	f.create(configMap("a"))
	before := fmt.Sprint(f.revision())
	f.create(configMap("b"))
	now := fmt.Sprint(f.revision())
	f.create(pod("elsewhere")) // moves the revision, but not that of config maps
	for name, test := range map[string]struct {
		o    registry.ListOptions
		want string
	}{
		"any":                    {registry.ListOptions{ResourceVersion: "0"}, "default/a default/b"},
		"not older":              {registry.ListOptions{ResourceVersion: before, Match: metav1.ResourceVersionMatchNotOlderThan}, "default/a default/b"},
		"without a match":        {registry.ListOptions{ResourceVersion: before}, "default/a default/b"},
		"exact":                  {registry.ListOptions{ResourceVersion: now, Match: metav1.ResourceVersionMatchExact}, "default/a default/b"},
		"exact, gone":            {registry.ListOptions{ResourceVersion: before, Match: metav1.ResourceVersionMatchExact}, "The resourceVersion for the provided list is too old."},
		"limited is exact, gone": {registry.ListOptions{ResourceVersion: before, Limit: 5}, "The resourceVersion for the provided list is too old."},
		"nonsense":               {registry.ListOptions{ResourceVersion: "x"}, `invalid resource version: strconv.ParseUint: parsing "x": invalid syntax`},
		"with a token":           {registry.ListOptions{ResourceVersion: now, Continue: token(`{"v":"meta.k8s.io/v1","rv":1,"start":"default/a\u0000"}`)}, "specifying resource version is not allowed when using continue"},
	} {
		t.Run(name, func(t *testing.T) {
			items, _, err := r.List(f.ctx, "", test.o)
			got := keys(items)
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func token(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }

func TestContinueTokensThatAreNotOurs(t *testing.T) {
	f := open(t)
	for name, test := range map[string]struct{ token, want string }{
		"not base64":   {"!", "invalid continue token: continue key is not valid: illegal base64 data at input byte 0"},
		"not JSON":     {token("{"), "invalid continue token: continue key is not valid: unexpected end of JSON input"},
		"version":      {token(`{"v":"v9","rv":1,"start":"a/b"}`), "invalid continue token: continue key is not valid: server does not recognize this encoded version v9"},
		"no revision":  {token(`{"v":"meta.k8s.io/v1","start":"a/b"}`), "invalid continue token: continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"},
		"no start":     {token(`{"v":"meta.k8s.io/v1","rv":1}`), "invalid continue token: continue key is not valid: encoded start key empty (version meta.k8s.io/v1)"},
		"no namespace": {token(`{"v":"meta.k8s.io/v1","rv":1,"start":"ab"}`), "invalid continue token: continue key is not valid: ab"},
		"a path":       {token(`{"v":"meta.k8s.io/v1","rv":1,"start":"../a/b"}`), "invalid continue token: continue key is not valid: ../a/b"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := f.resource("configmaps").List(f.ctx, "", registry.ListOptions{Limit: 1, Continue: test.token})
			wantError(t, err, test.want)
			if !apierrors.IsBadRequest(err) {
				t.Errorf("%T is not a bad request", err)
			}
		})
	}
}

func TestReadAtAVersionThatIsYetToCome(t *testing.T) {
	f := open(t)
	f.create(configMap("a"))
	r := f.resource("configmaps")
	next := fmt.Sprint(f.revision() + 1)

	// It comes.
	type answer struct {
		items []store.Object
		err   error
	}
	listed := make(chan answer)
	go func() {
		items, _, err := r.List(f.ctx, "", registry.ListOptions{ResourceVersion: next})
		listed <- answer{items, err}
	}()
	f.waitForTimer()
	f.create(configMap("b"))
	if a := <-listed; a.err != nil || keys(a.items) != "default/a default/b" {
		t.Errorf("got %q, %v", keys(a.items), a.err)
	}

	// It does not come.
	got := make(chan error)
	go func() {
		_, err := r.GetAt(f.ctx, "default", "a", "1000")
		got <- err
	}()
	f.waitForTimer()
	f.clock.Step(3 * time.Second)
	err := <-got
	wantError(t, err, fmt.Sprintf("Timeout: Too large resource version: 1000, current: %d", f.revision()))
	if !apierrors.IsTimeout(err) || !apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) {
		t.Errorf("%#v", err)
	}
}

// waitForTimer returns when somebody waits for the clock, beside the store's own
// ticker.
func (f fixture) waitForTimer() {
	f.t.Helper()
	for f.clock.Waiters() < 2 {
		runtime.Gosched()
	}
}
