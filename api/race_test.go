package api_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// TestManyClients has clients read and write the same objects in every way at once. What the
// registry hands out is shared between them: under -race, this shows that nobody writes to it.
func TestManyClients(t *testing.T) {
	h := start(t, options{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client := h.client.CoreV1().Pods("default")
	must[*corev1.Pod](t)(client.Create(ctx, pod("a"), metav1.CreateOptions{}))
	var watches, writers sync.WaitGroup
	for _, o := range []metav1.ListOptions{{}, {LabelSelector: "app=kubia"}, {AllowWatchBookmarks: true}} {
		w := must[watch.Interface](t)(client.Watch(ctx, o))
		watches.Add(1)
		go func() {
			defer watches.Done()
			for range w.ResultChan() {
			}
		}()
		defer w.Stop()
	}
	const rounds = 20
	for name, act := range map[string]func(i int) error{
		"get":  func(int) error { _, err := client.Get(ctx, "a", metav1.GetOptions{}); return err },
		"list": func(int) error { _, err := client.List(ctx, metav1.ListOptions{}); return err },
		"events": func(int) error {
			_, err := h.client.EventsV1().Events("default").List(ctx, metav1.ListOptions{})
			return err
		},
		"table": func(int) error {
			_, err := h.client.CoreV1().RESTClient().Get().AbsPath(pods).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(ctx)
			return err
		},
		"yaml": func(int) error {
			_, err := h.client.CoreV1().RESTClient().Get().AbsPath(pods+"/a").SetHeader("Accept", "application/yaml").DoRaw(ctx)
			return err
		},
		"patch": func(i int) error {
			_, err := client.Patch(ctx, "a", types.StrategicMergePatchType, []byte(fmt.Sprintf(`{"metadata":{"labels":{"patched":"%d"}}}`, i)), metav1.PatchOptions{})
			return err
		},
		"apply": func(i int) error {
			body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"applied":"%d"}}}`, i)
			_, err := client.Patch(ctx, "a", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "applier"})
			return err
		},
		"status": func(i int) error {
			_, err := client.Patch(ctx, "a", types.MergePatchType, []byte(fmt.Sprintf(`{"status":{"message":"%d"}}`, i)), metav1.PatchOptions{}, "status")
			return err
		},
		"update": func(i int) error {
			p, err := client.Get(ctx, "a", metav1.GetOptions{})
			if err != nil {
				return err
			}
			p.Annotations = map[string]string{"updated": fmt.Sprint(i)}
			if _, err = client.Update(ctx, p, metav1.UpdateOptions{}); apierrors.IsConflict(err) {
				return nil // another was first
			}
			return err
		},
		"create": func(i int) error {
			_, err := client.Create(ctx, pod(fmt.Sprint("more-", i)), metav1.CreateOptions{})
			return err
		},
	} {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for i := range rounds {
				if err := act(i); err != nil {
					t.Errorf("%s %d: %v", name, i, err)
					return
				}
			}
		}()
	}
	writers.Wait()
	cancel()
	watches.Wait()
	p := must[*corev1.Pod](t)(client.Get(context.Background(), "a", metav1.GetOptions{}))
	last := fmt.Sprint(rounds - 1)
	equal(t, "what was written last", p.Labels["patched"]+" "+p.Labels["applied"]+" "+p.Status.Message, last+" "+last+" "+last)
}

func TestLargeListsAreCompressed(t *testing.T) {
	h := start(t, options{})
	big := newMap("big")
	big.Data = map[string]string{"x": strings.Repeat("x", 200<<10)}
	must[*corev1.ConfigMap](t)(h.client.CoreV1().ConfigMaps("default").Create(context.Background(), big, metav1.CreateOptions{}))
	got := h.do("GET", configMaps, "", "Accept-Encoding: gzip")
	equal(t, "encoding", got.header.Get("Content-Encoding"), "gzip")
	if len(got.body) > 10<<10 {
		t.Errorf("%d bytes", len(got.body))
	}
	equal(t, "encoding of a small answer", h.do("GET", pods, "", "Accept-Encoding: gzip").header.Get("Content-Encoding"), "")
}

// TestHostileBodies are refused at once, whatever they would cost to decode.
func TestHostileBodies(t *testing.T) {
	h := start(t, options{})
	const limit = 3 << 20
	for name, test := range map[string]struct {
		body    io.Reader
		headers []string
		want    string
	}{
		"nested JSON":  {strings.NewReader(strings.Repeat("[", limit-1)), []string{asJSON}, "400"},
		"nested map":   {strings.NewReader(strings.Repeat(`{"a":`, limit/5)), []string{asJSON}, "400"},
		"nested YAML":  {strings.NewReader(strings.Repeat("[", limit-1)), []string{asYAML}, "400"},
		"bomb":         {strings.NewReader(bomb()), []string{asYAML}, "400"},
		"endless":      {endless{}, []string{asJSON}, "413"},
		"bad protobuf": {strings.NewReader("k8s\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff"), []string{"Content-Type: application/vnd.kubernetes.protobuf"}, "400"},
	} {
		began := time.Now()
		got := h.doWith(h.http(), "POST", configMaps, test.body, test.headers...).String()
		if !strings.HasPrefix(got, test.want+" ") {
			t.Errorf("%s: %.200s", name, got)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	got := h.do("PATCH", configMaps+"/m?fieldManager=x", bomb(), "Content-Type: application/apply-patch+yaml").String()
	if !strings.Contains(got, "excessive aliasing") {
		t.Errorf("applied: %.200s", got)
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
