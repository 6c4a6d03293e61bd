package manifests

import (
	"bytes"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// FuzzDecode: no bytes make decoding panic, and what was decoded stays what it
// is when it is stored and read again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		rcManifest, rsManifest, "",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a, creationTimestamp: 2025-03-01T12:00:00Z}\nspec: {containers: [{name: a, image: i, resources: {limits: {cpu: 1500m, memory: 1e3}}, ports: [{containerPort: 80}], livenessProbe: {httpGet: {port: http}}}]}",
		"apiVersion: events.k8s.io/v1\nkind: Event\nregarding: {name: p}\nnote: x\neventTime: 2025-03-01T12:00:00.123456Z",
		"apiVersion: v1\nkind: Secret\ndata: {a: YQ==}\nstringData: {b: c}",
		`{"apiVersion":"apps/v1","kind":"ControllerRevision","data":{"a":[1,2.5,null]},"revision":1}`,
		"apiVersion: batch/v1beta1\nkind: CronJob\nspec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {}}}}}",
		"a: &a [*a]",
		"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		obj, err := decode(data)
		if err != nil {
			return
		}
		k, known := kindByType(obj)
		if !known {
			return // it is decoded, but not stored
		}
		text, err := StoreCodec().Encode(obj)
		if err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		again, err := StoreCodec().Decode(k.GroupResource().String(), text)
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		twice, err := StoreCodec().Encode(again)
		if err != nil || !bytes.Equal(text, twice) {
			t.Fatalf("not stable: %v\n%s\n%s", err, text, twice)
		}
		third, err := StoreCodec().Decode(k.GroupResource().String(), twice)
		if err != nil || !equality.Semantic.DeepEqual(again, third) {
			t.Fatalf("not stable: %v\n%+v\n%+v", err, again, third)
		}
	})
}

func kindByType(obj Object) (*Kind, bool) {
	gvks, _, err := Scheme().ObjectKinds(obj)
	if err != nil {
		return nil, false
	}
	for _, k := range allKinds() {
		if k.GVK == gvks[0] {
			return k, true
		}
	}
	return nil, false
}

// FuzzSelector: no text makes parsing a label selector panic, and a selector
// selects the same after it was printed and parsed, and after it went through
// the form in which manifests have it.
func FuzzSelector(f *testing.F) {
	for _, seed := range []string{"", "a", "!a", "a=b", "a==b,c!=d", "a in (b,c),d notin (e)", "a in ()", "a>1,b<2", "x.y/z=1", "a=b,,c", "in in (in)"} {
		f.Add(seed, "a", "b")
	}
	f.Fuzz(func(t *testing.T, text, key, value string) {
		selector, err := labels.Parse(text)
		if err != nil {
			return
		}
		printed := selector.String()
		again, err := labels.Parse(printed)
		if err != nil {
			t.Fatalf("%q, printed as %q: %v", text, printed, err)
		}
		sets := []labels.Set{nil, {key: value}, {"a": "b"}, {"a": "b", "c": "d", key: value}}
		for _, set := range sets {
			if selector.Matches(set) != again.Matches(set) {
				t.Fatalf("%q and %q differ about %v", text, printed, set)
			}
		}
		written, err := metav1.ParseToLabelSelector(text)
		if err != nil {
			return // > and < have no such form
		}
		converted, err := metav1.LabelSelectorAsSelector(written)
		if err != nil {
			return // a set of no values, which the text can say
		}
		for _, set := range sets {
			if selector.Matches(set) != converted.Matches(set) {
				t.Fatalf("%q and %v differ about %v", text, written, set)
			}
		}
	})
}
