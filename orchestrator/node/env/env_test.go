package env

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"skiff/orchestrator/node/internal/podtest"
)

func TestExpand(t *testing.T) {
	values := map[string]string{"A": "1", "B": "$(A)", "EMPTY": ""}
	lookup := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	for in, want := range map[string]string{
		"":                "",
		"plain":           "plain",
		"$(A)":            "1",
		"x$(A)y$(A)":      "x1y1",
		"$(B)":            "$(A)", // not expanded twice
		"$(EMPTY).":       ".",
		"$(NONE)":         "$(NONE)",
		"$$(A)":           "$(A)",
		"$$$(A)":          "$1",
		"$$$$(A)":         "$$(A)",
		"$(A":             "$(A",
		"$($(A)":          "$($(A)",
		"$()":             "$()",
		"$":               "$",
		"cost: 5$":        "cost: 5$",
		"$A":              "$A",
		"$é$(A)":          "$é1",
		"echo $(A) $HOME": "echo 1 $HOME",
	} {
		if got := Expand(in, lookup); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
	if ExpandAll(nil, lookup) != nil {
		t.Error("nil became a list: the image's command would be lost")
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("$(A)$$(B)$(")
	f.Fuzz(func(t *testing.T, in string) {
		none := func(string) (string, bool) { return "", false }
		got := Expand(in, none)
		// Without variables, all that changes is that each pair of $ becomes one.
		if want := strings.ReplaceAll(in, "$$", "$"); !strings.Contains(in, "$(") && got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	})
}

func TestEnvironment(t *testing.T) {
	f := Facts{PodIP: "172.30.0.9", HostIP: "192.168.1.2", Allocatable: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"),
	}}
	for _, c := range []struct{ name, container, want, err string }{
		{"literal", `env: [{name: A, value: one}, {name: B, value: "$(A) two $(C) $$(A)"}, {name: EMPTY}]`,
			"A=one B=one two $(C) $(A) EMPTY=", ""},
		{"later wins, and sees what came before", `env: [{name: A, value: "1"}, {name: A, value: "$(A)2"}]`, "A=12", ""},
		{"fields", `env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}},
			{name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}},
			{name: UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}},
			{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}},
			{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}},
			{name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}},
			{name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}},
			{name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['example.com/note']"}}},
			{name: GONE, valueFrom: {fieldRef: {fieldPath: "metadata.labels['gone']"}}}]`,
			"APP=kubia GONE= HOST=192.168.1.2 IP=172.30.0.9 NAME=kubia NODE=here NOTE=x NS=default UID=" + podtest.UID, ""},
		{"unknown field", `env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.hostname}}}]`, "", "unsupported fieldPath: spec.hostname"},
		{"resources", `
resources: {limits: {cpu: 1500m}, requests: {cpu: 250m, memory: 100Mi}}
env: [{name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.cpu}}},
  {name: MILLI, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}},
  {name: ASKED, valueFrom: {resourceFieldRef: {resource: requests.memory, divisor: 1Mi}}},
  {name: NODE, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Gi}}},
  {name: OTHER, valueFrom: {resourceFieldRef: {containerName: other, resource: limits.cpu}}}]`,
			"ASKED=100 LIMIT=2 MILLI=1500 NODE=4 OTHER=2", ""},
		{"objects", `
envFrom: [{configMapRef: {name: app}}, {prefix: S_, secretRef: {name: key}}]
env: [{name: size, value: "3"}, {name: C, valueFrom: {configMapKeyRef: {name: app, key: colour}}},
  {name: T, valueFrom: {secretKeyRef: {name: key, key: token}}}, {name: ALL, value: "$(colour) $(S_token)"}]`,
			"ALL=red s3cret C=red S_token=s3cret T=s3cret colour=red size=3", ""},
		{"optional", `
envFrom: [{configMapRef: {name: none, optional: true}}, {secretRef: {name: none, optional: true}}]
env: [{name: A, valueFrom: {configMapKeyRef: {name: none, key: x, optional: true}}},
  {name: B, valueFrom: {configMapKeyRef: {name: app, key: x, optional: true}}},
  {name: C, valueFrom: {secretKeyRef: {name: none, key: x, optional: true}}},
  {name: D, valueFrom: {secretKeyRef: {name: key, key: x, optional: true}}}]`, "", ""},
		{"no ConfigMap", `env: [{name: A, valueFrom: {configMapKeyRef: {name: none, key: x}}}]`, "", `configmap "none" not found`},
		{"no Secret", `env: [{name: A, valueFrom: {secretKeyRef: {name: none, key: x}}}]`, "", `secret "none" not found`},
		{"no key", `env: [{name: A, valueFrom: {configMapKeyRef: {name: app, key: x}}}]`, "", `couldn't find key x in ConfigMap default/app`},
		{"no key in the Secret", `env: [{name: A, valueFrom: {secretKeyRef: {name: key, key: x}}}]`, "", `couldn't find key x in Secret default/key`},
		{"all of no ConfigMap", `envFrom: [{configMapRef: {name: none}}]`, "", `configmap "none" not found`},
		{"store fails", `envFrom: [{configMapRef: {name: broken, optional: true}}]`, "", `store is closed`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var container corev1.Container
			if err := yaml.UnmarshalStrict([]byte("{name: kubia}"), &container); err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict([]byte(c.container), &container); err != nil {
				t.Fatal(err)
			}
			pod := podtest.Pod(t, "containers: [{name: kubia}, {name: other}]")
			values, err := Variables(pod, &container, f, podtest.NewObjects())
			if got := strings.Join(Pairs(values), " "); got != c.want || fmt.Sprint(err) != c.err && (err != nil || c.err != "") {
				t.Errorf("env %q, error %v; want %q, %q", got, err, c.want, c.err)
			}
		})
	}
}

func TestServiceLinks(t *testing.T) {
	service := func(name, ip string, ports ...corev1.ServicePort) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: ports}}
	}
	from := podtest.Objects{All: []*corev1.Service{
		service("my-db", "10.96.0.5", corev1.ServicePort{Port: 5432, Protocol: corev1.ProtocolTCP}, corev1.ServicePort{Name: "web-ui", Port: 80, Protocol: corev1.ProtocolUDP}),
		service("six", "fd00::1", corev1.ServicePort{Port: 1}),
		service("headless", corev1.ClusterIPNone, corev1.ServicePort{Port: 1}),
		service("external", ""),
	}}
	pod := podtest.Pod(t, `containers: [{name: kubia, env: [{name: MY_DB_PORT, value: mine}, {name: URL, value: "http://$(SIX_SERVICE_HOST)"}]}]`)
	values, err := Variables(pod, &pod.Spec.Containers[0], Facts{}, from)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"MY_DB_PORT=mine",
		"MY_DB_PORT_5432_TCP=tcp://10.96.0.5:5432", "MY_DB_PORT_5432_TCP_ADDR=10.96.0.5", "MY_DB_PORT_5432_TCP_PORT=5432", "MY_DB_PORT_5432_TCP_PROTO=tcp",
		"MY_DB_PORT_80_UDP=udp://10.96.0.5:80", "MY_DB_PORT_80_UDP_ADDR=10.96.0.5", "MY_DB_PORT_80_UDP_PORT=80", "MY_DB_PORT_80_UDP_PROTO=udp",
		"MY_DB_SERVICE_HOST=10.96.0.5", "MY_DB_SERVICE_PORT=5432", "MY_DB_SERVICE_PORT_WEB_UI=80",
		"SIX_PORT=tcp://[fd00::1]:1", "SIX_PORT_1_TCP=tcp://[fd00::1]:1", "SIX_PORT_1_TCP_ADDR=fd00::1", "SIX_PORT_1_TCP_PORT=1", "SIX_PORT_1_TCP_PROTO=tcp",
		"SIX_SERVICE_HOST=fd00::1", "SIX_SERVICE_PORT=1",
		"URL=http://fd00::1",
	}, "\n")
	if got := strings.Join(Pairs(values), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	pod.Spec.EnableServiceLinks = new(bool)
	pod.Spec.Containers[0].Env = nil
	if values, err := Variables(pod, &pod.Spec.Containers[0], Facts{}, from); err != nil || len(values) > 0 {
		t.Errorf("without links: %v, %v", values, err)
	}
}
