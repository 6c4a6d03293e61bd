package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skiff/integration/harness"
)

// TestBadInput gives both command lines what people get wrong. Each must say what and where, in
// upstream's words, and end with a code other than 0; what was created before the mistake is
// reported.
func TestBadInput(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	for _, c := range []struct{ name, input, says string }{
		{"unknown field", podWith("  restartPolicyy: Always\n"), `strict decoding error: unknown field "spec.restartPolicyy"`},
		{"wrong type", strings.Replace(podWith(""), "name: bad", "name: 5", 1), `json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string`},
		{"invalid name", strings.Replace(podWith(""), "name: bad", "name: Bad_Name", 1), `metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain`},
		{"selector does not match", rsWith("other"), "`selector` does not match template `labels`"},
		{"invalid value", podWith("  restartPolicy: Sometimes\n"), `spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"`},
		{"kind not served", "apiVersion: example.com/v1\nkind: Fleet\nmetadata:\n  name: x\n", `no matches for kind "Fleet" in version "example.com/v1"`},
		{"tabs", "apiVersion: v1\nkind: Pod\nmetadata:\n\tname: x\n", `found character that cannot start any token`},
		{"no kind", "apiVersion: v1\nmetadata:\n  name: x\n", `kind not set`},
		{"yaml bomb", yamlBomb(), `excessive aliasing`},
		{"bad selector operator", strings.Replace(rsWith("kubia"), "matchLabels: {app: kubia}", "matchExpressions: [{key: app, operator: Like, values: [kubia]}]", 1), `spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`},
		{"nothing in it", "---\n---\n", `no objects passed to create`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, cli := range d.CLIs() {
				r := cli.Try(c.input, "create", "-f", "-")
				if r.Code == 0 || !strings.Contains(r.Err, c.says) {
					t.Errorf("%s: exit %d, says %q, want %q in it", cli.Name, r.Code, r.Err+r.Out, c.says)
				}
			}
		})
	}
	t.Run("duplicate key", func(t *testing.T) {
		// kubectl itself drops all but the last on the way to JSON, so the server is asked
		// directly.
		twice := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"1"},"data":{"a":"2"}}`
		for _, cli := range d.CLIs() {
			r := cli.Try(twice, "create", "--raw", "/api/v1/namespaces/default/configmaps?fieldValidation=Strict", "-f", "-")
			if r.Code == 0 || !strings.Contains(r.Err, `strict decoding error: duplicate field "data"`) {
				t.Errorf("server, through %s: exit %d, says %q", cli.Name, r.Code, r.Err)
			}
		}
		r := d.SkiffCLI().Try(podWith("  restartPolicy: Always\n  restartPolicy: Never\n"), "create", "-f", "-")
		if r.Code == 0 || !strings.Contains(r.Err, `key "restartPolicy" already set in map`) {
			t.Errorf("skiff: exit %d, says %q", r.Code, r.Err)
		}
	})
	t.Run("three megabytes", func(t *testing.T) {
		big := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: big\ndata:\n  a: " + strings.Repeat("x", 3<<20) + "\n"
		for _, cli := range d.CLIs() {
			if r := cli.Try(big, "create", "-f", "-"); r.Code == 0 || !strings.Contains(r.Err, "Request entity too large: limit is 3145728") {
				t.Errorf("%s: exit %d, says %q", cli.Name, r.Code, r.Err)
			}
		}
	})
	t.Run("a directory without manifests", func(t *testing.T) {
		dir := t.TempDir()
		for _, cli := range d.CLIs() {
			if r := cli.Try("", "create", "-f", dir); r.Code == 0 || !strings.Contains(r.Err, "error reading ["+dir+"]: recognized file extensions are [.json .yaml .yml]") {
				t.Errorf("%s: exit %d, says %q", cli.Name, r.Code, r.Err)
			}
		}
	})
	t.Run("carriage returns are fine", func(t *testing.T) {
		for _, cli := range d.CLIs() {
			in := strings.ReplaceAll("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: crlf-"+cli.Name+"\n---\n\n---\n", "\n", "\r\n")
			if r := cli.Try(in, "create", "-f", "-"); r.Code != 0 || r.Out != "configmap/crlf-"+cli.Name+" created\n" {
				t.Errorf("%s: exit %d, says %q", cli.Name, r.Code, r.Out+r.Err)
			}
		}
	})
	t.Run("what came before the mistake is reported", func(t *testing.T) {
		for _, cli := range d.CLIs() {
			good := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: before-" + cli.Name + "\n---\n"
			r := cli.Try(good+podWith("  restartPolicy: Sometimes\n"), "create", "-f", "-")
			if r.Code == 0 || r.Out != "configmap/before-"+cli.Name+" created\n" || !strings.Contains(r.Err, "spec.restartPolicy") {
				t.Errorf("%s: exit %d, prints %q, says %q", cli.Name, r.Code, r.Out, r.Err)
			}
		}
	})
	t.Run("a field skiff can not honour is warned of", func(t *testing.T) {
		for _, cli := range d.CLIs() {
			r := cli.Try(strings.Replace(podWith("  shareProcessNamespace: true\n  hostUsers: false\n"), "name: bad", "name: warned-"+cli.Name, 1), "create", "--dry-run=server", "-f", "-")
			if !strings.Contains(r.Err, "Warning:") || !strings.Contains(r.Err, "spec.hostUsers") {
				t.Errorf("%s: exit %d, prints %q, says %q", cli.Name, r.Code, r.Out, r.Err)
			}
		}
	})
}

func podWith(spec string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: bad\nspec:\n" + spec + "  containers:\n  - name: main\n    image: ksfzhaohui/kubia\n"
}

func rsWith(label string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata:\n  name: bad\nspec:\n  selector:\n    matchLabels: {app: kubia}\n  template:\n    metadata:\n      labels: {app: %s}\n    spec:\n      containers:\n      - name: main\n        image: ksfzhaohui/kubia\n", label)
}

// yamlBomb is nine levels of nine aliases each.
func yamlBomb() string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bomb\nx0: &x0 [a,a,a,a,a,a,a,a,a]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "x%d: &x%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d,", i-1), 9), ","))
	}
	return b.String()
}

// TestUpSaysWhyItCanNot runs `skiff up` on what can not come up.
func TestUpSaysWhyItCanNot(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	for _, c := range []struct{ name, manifest, says string }{
		{"no such image", strings.Replace(podWith(""), "image: ksfzhaohui/kubia", "image: localhost:1/nothing:v1", 1), "localhost:1/nothing:v1"},
		{"no such command", podWith("") + "    command: [/nothing]\n", "/nothing"},
		{"refused", podWith("  restartPolicy: Sometimes\n"), "spec.restartPolicy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "m.yaml")
			if err := os.WriteFile(file, []byte(c.manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			r := d.SkiffCLI().Try("", "up", "-d", "-f", file, "--timeout", "60s")
			if r.Code == 0 || !strings.Contains(r.Out+r.Err, c.says) {
				t.Errorf("exit %d, prints %q, says %q", r.Code, r.Out, r.Err)
			}
			d.SkiffCLI().Try("", "down", "-f", file)
		})
	}
}

// TestOddInput gives both command lines what is allowed although it does nothing, or nothing good:
// it is accepted as upstream accepts it, and harms nobody else's objects.
func TestOddInput(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	for i, cli := range d.CLIs() {
		t.Run(cli.Name, func(t *testing.T) {
			o := odd{t, d, cli, cli.Name}
			o.cron()
			o.immutable()
			o.rivals()
			o.ownerOfNobody()
			o.daemonSetOnNoNode()
			if i == 0 { // the server's doing, the same for both
				o.cronNeverRan()
			}
		})
	}
}

// odd is one command line, whose objects all bear its name.
type odd struct {
	*testing.T
	d    *harness.Daemon
	cli  harness.CLI
	name string
}

func (o odd) create(manifest string) harness.Result {
	return o.cli.Try(strings.ReplaceAll(manifest, "NAME", o.name), "create", "-f", "-")
}

func (o odd) refused(r harness.Result, says string) {
	o.Helper()
	if r.Code == 0 || !strings.Contains(r.Err, says) {
		o.Errorf("exit %d, says %q, want %q in it", r.Code, r.Out+r.Err, says)
	}
}

func (o odd) accepted(r harness.Result) {
	o.Helper()
	if r.Code != 0 {
		o.Errorf("exit %d, says %q", r.Code, r.Err)
	}
}

const oddPod = `{terminationGracePeriodSeconds: 0, containers: [{name: main, image: ksfzhaohui/kubia}]}`

const neverCron = `
apiVersion: batch/v1
kind: CronJob
metadata: {name: never-NAME}
spec: {schedule: "0 0 31 2 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: ksfzhaohui/kubia}]}}}}}
`

// cron: the thirty-first of February is a date like any other, and a place that does not exist is
// none.
func (o odd) cron() {
	o.Helper()
	o.accepted(o.create(neverCron))
	o.refused(o.create(strings.Replace(neverCron, "schedule:", "timeZone: Nowhere/Else, schedule:", 1)),
		`spec.timeZone: Invalid value: "Nowhere/Else": unknown time zone Nowhere/Else`)
}

// cronNeverRan looks at what came of cron, which had all the time of the other steps.
func (o odd) cronNeverRan() {
	o.Helper()
	if got := o.cli.Do("get", "cronjob", "never-"+o.name, "-o", "jsonpath={.status.lastScheduleTime}"); got != "" {
		o.Errorf("a job was made at %s", got)
	}
	if r := o.cli.Try("", "get", "jobs"); r.Out != "" || !strings.Contains(r.Err, "No resources found") {
		o.Errorf("jobs: %q %q", r.Out, r.Err)
	}
}

// immutable changes what may not be changed.
func (o odd) immutable() {
	o.Helper()
	o.accepted(o.create(`{apiVersion: v1, kind: ConfigMap, metadata: {name: fixed-NAME}, immutable: true, data: {a: "1"}}`))
	o.refused(o.cli.Try("", "patch", "cm", "fixed-"+o.name, "-p", `{"data":{"a":"2"}}`), "data: Forbidden: field is immutable when `immutable` is set")
	o.accepted(o.create(`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: fixed-NAME}, spec: {replicas: 0, selector: {matchLabels: {app: fixed-NAME}},
		template: {metadata: {labels: {app: fixed-NAME, other: label}}, spec: ` + oddPod + `}}}`))
	o.refused(o.cli.Try("", "patch", "rs", "fixed-"+o.name, "-p", `{"spec":{"selector":{"matchLabels":{"other":"label"}}}}`), "field is immutable")
}

// rivals: a second controller with the first one's selector takes none of its pods, and makes its
// own.
func (o odd) rivals() {
	o.Helper()
	set := `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: WHO-NAME}, spec: {replicas: 1, selector: {matchLabels: {app: rivals-NAME}},
		template: {metadata: {labels: {app: rivals-NAME}}, spec: ` + oddPod + `}}}`
	owners := func() []string {
		return strings.Fields(o.cli.Do("get", "pods", "-l", "app=rivals-"+o.name, "--sort-by=.metadata.creationTimestamp", "-o", "jsonpath={range .items[*]}{.metadata.name}={.metadata.ownerReferences[*].name} {end}"))
	}
	o.accepted(o.create(strings.ReplaceAll(set, "WHO", "first")))
	harness.Until(o.T, soon, "the first has its pod", func() bool { return len(owners()) == 1 })
	first := owners()[0]
	o.accepted(o.create(strings.ReplaceAll(set, "WHO", "second")))
	harness.Until(o.T, soon, "the second has a pod of its own", func() bool {
		now := owners()
		return len(now) == 2 && slices.Contains(now, first) && slices.ContainsFunc(now, func(p string) bool { return strings.HasSuffix(p, "=second-"+o.name) })
	})
	// The selector of a third, older kind covers both; what has a controller is not adopted.
	o.accepted(o.create(`{apiVersion: v1, kind: ReplicationController, metadata: {name: third-NAME}, spec: {replicas: 1, selector: {app: rivals-NAME},
		template: {metadata: {labels: {app: rivals-NAME}}, spec: ` + oddPod + `}}}`))
	harness.Until(o.T, soon, "the third has one of its own too", func() bool {
		now := owners()
		return len(now) == 3 && slices.Contains(now, first) && slices.ContainsFunc(now, func(p string) bool { return strings.HasSuffix(p, "=third-"+o.name) })
	})
	o.accepted(o.cli.Try("", "delete", "rs/first-"+o.name, "rs/second-"+o.name, "rc/third-"+o.name))
}

// ownerOfNobody: what belongs to an object that does not exist is collected.
func (o odd) ownerOfNobody() {
	o.Helper()
	o.accepted(o.create(`{apiVersion: v1, kind: ConfigMap, metadata: {name: orphan-NAME, ownerReferences: [{apiVersion: v1, kind: Pod, name: nobody, uid: 11111111-2222-3333-4444-555555555555}]}}`))
	harness.Until(o.T, soon, "the orphan is collected", func() bool { return o.cli.Try("", "get", "cm", "orphan-"+o.name).Code != 0 })
}

// daemonSetOnNoNode wants nothing, has nothing, and says that it is so.
func (o odd) daemonSetOnNoNode() {
	o.Helper()
	o.accepted(o.create(`{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: nowhere-NAME}, spec: {selector: {matchLabels: {app: nowhere-NAME}},
		template: {metadata: {labels: {app: nowhere-NAME}}, spec: {nodeSelector: {disk: tape}, containers: [{name: main, image: ksfzhaohui/kubia}]}}}}`))
	harness.Until(o.T, soon, "the set has been looked at", func() bool {
		return o.cli.Do("get", "ds", "nowhere-"+o.name, "-o", "jsonpath={.status.observedGeneration} {.status.desiredNumberScheduled} {.status.currentNumberScheduled}") == "1 0 0"
	})
	o.accepted(o.cli.Try("", "rollout", "status", "ds", "nowhere-"+o.name, "--timeout=10s"))
}
