package halt

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

func TestPatches(t *testing.T) {
	for _, test := range []struct{ object, stop, start string }{
		{`{kind: Deployment, spec: {replicas: 3}}`, `{"metadata":{"annotations":{"skiff/replicas":"3"}},"spec":{"replicas":0}}`, ``},
		{`{kind: StatefulSet}`, `{"metadata":{"annotations":{"skiff/replicas":"1"}},"spec":{"replicas":0}}`, ``},
		{`{kind: ReplicationController, metadata: {annotations: {skiff/replicas: "2"}}, spec: {replicas: 0}}`, ``, `{"metadata":{"annotations":{"skiff/replicas":null}},"spec":{"replicas":2}}`},
		{`{kind: Deployment, metadata: {annotations: {skiff/replicas: "2"}}, spec: {replicas: 5}}`, `{"metadata":{"annotations":{"skiff/replicas":"5"}},"spec":{"replicas":0}}`, `{"metadata":{"annotations":{"skiff/replicas":null}}}`},
		{`{kind: Job}`, `{"spec":{"suspend":true}}`, ``},
		{`{kind: Job, spec: {suspend: true}}`, ``, `{"spec":{"suspend":false}}`},
		{`{kind: Job, status: {completionTime: "2026-11-30T12:00:00Z"}}`, ``, ``},
		{`{kind: Job, status: {conditions: [{type: Failed, status: "True"}]}}`, ``, ``},
		{`{kind: Deployment, metadata: {uid: one}}`, `{"metadata":{"annotations":{"skiff/replicas":"1"},"uid":"one"},"spec":{"replicas":0}}`, ``},
		{`{kind: Job, metadata: {uid: one}, spec: {suspend: true}}`, ``, `{"metadata":{"uid":"one"},"spec":{"suspend":false}}`},
		{`{kind: CronJob}`, `{"spec":{"suspend":true}}`, ``},
		{`{kind: DaemonSet}`, `{"spec":{"template":{"spec":{"nodeSelector":{"skiff/stopped":"true"}}}}}`, ``},
		{`{kind: DaemonSet, spec: {template: {spec: {nodeSelector: {skiff/stopped: "true"}}}}}`, ``, `{"spec":{"template":{"spec":{"nodeSelector":{"skiff/stopped":null}}}}}`},
	} {
		raw, err := yaml.YAMLToJSON([]byte(test.object))
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := utiljson.Unmarshal(raw, &o.Object); err != nil {
			t.Fatal(err)
		}
		stop, err := Stop(o)
		if err != nil || string(stop) != test.stop {
			t.Errorf("%s: stop %s, %v; want %s", test.object, stop, err, test.stop)
		}
		start, err := Start(o)
		if err != nil || string(start) != test.start {
			t.Errorf("%s: start %s, %v; want %s", test.object, start, err, test.start)
		}
	}
	if _, err := Stop(&unstructured.Unstructured{Object: map[string]any{"kind": "Pod"}}); err == nil || err.Error() != "a Pod can be deleted, but not stopped" {
		t.Error(err)
	}
	if _, err := Start(&unstructured.Unstructured{Object: map[string]any{"kind": "Deployment", "metadata": map[string]any{"annotations": map[string]any{Annotation: "many"}}, "spec": map[string]any{"replicas": int64(0)}}}); err == nil {
		t.Error("no error")
	}
}
