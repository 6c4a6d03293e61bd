package create

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// generator makes an object from a name and flags.
type generator struct {
	name, usage string
	// what is the kind in the error of a refusal, if that is not what the server calls it.
	what string
	// bare says that a refusal by the server is printed as it is.
	bare     bool
	aliases  []string
	flags    []cli.Flag
	make     func(c *cli.Context, m *maker, name string) (runtime.Object, error)
	examples []string
}

func generators(env *command.Env) []*cli.Command {
	secrets := command.New(cli.Command{Name: "secret", Usage: "Create a secret", Subcommands: []*cli.Command{
		genericSecret().command(env), tlsSecret().command(env), registrySecret().command(env)}},
		"skiff create secret generic db --from-literal=password=hunter2")
	return []*cli.Command{
		namespace().command(env), configMap().command(env), secrets, serviceAccount().command(env), job().command(env),
		deployment().command(env), disruptionBudget().command(env), services(env), ingress().command(env),
		cronJob().command(env), quota().command(env), priorityClass().command(env), role().command(env), clusterRole().command(env),
		roleBinding().command(env), clusterRoleBinding().command(env), tokenCommand(env),
	}
}

func (g generator) command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: g.name, Aliases: g.aliases, Usage: g.usage, ArgsUsage: "NAME", Flags: command.Flags(g.flags, writeFlags()),
		Action: func(c *cli.Context) error { return g.run(c, env) },
	}, g.examples...)
}

func (g generator) run(c *cli.Context, env *command.Env) error {
	if c.NArg() == 0 {
		return command.UsageErrorf(strings.TrimPrefix(c.Command.HelpName, "skiff "), "exactly one NAME is required, got 0")
	}
	m, err := newMaker(c, env)
	if err != nil {
		return err
	}
	obj, err := g.make(c, m, c.Args().First())
	if err != nil {
		return err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{Object: content}
	t, err := m.target(u)
	if err != nil {
		return err
	}
	err = m.create(c.Context, t)
	if err != nil && g.name != "namespace" && !g.bare {
		return command.Verbatim{Message: fmt.Sprintf("error: failed to create %s: %s", cmp.Or(g.what, strings.ToLower(u.GetKind())), err)}
	}
	return err
}

// target finds where a generated object belongs.
func (m *maker) target(u *unstructured.Unstructured) (resource.Target, error) {
	if m.client.NamespaceGiven && u.GetKind() != "Namespace" {
		u.SetNamespace(m.client.Namespace)
	}
	if m.dryRun == command.DryRunClient {
		return resource.Target{Value: u}, nil
	}
	catalog, err := m.client.Catalog()
	if err != nil {
		return resource.Target{}, err
	}
	mapping, err := catalog.Kind(u.GroupVersionKind())
	if meta.IsNoMatchError(err) {
		return resource.Target{}, fmt.Errorf("the server does not serve %s of %s", u.GetKind(), u.GetAPIVersion())
	}
	if err != nil {
		return resource.Target{}, err
	}
	return resource.Target{Ref: client.Ref{Mapping: mapping, Namespace: m.client.Namespace, Name: u.GetName()}, Value: u}, nil
}

func typeMeta(gvk schema.GroupVersionKind) metav1.TypeMeta {
	api, kind := gvk.ToAPIVersionAndKind()
	return metav1.TypeMeta{APIVersion: api, Kind: kind}
}

func namespace() generator {
	return generator{name: "namespace", aliases: []string{"ns"}, usage: "Create a namespace",
		examples: []string{"skiff create namespace staging"},
		make: func(_ *cli.Context, _ *maker, name string) (runtime.Object, error) {
			return &corev1.Namespace{TypeMeta: typeMeta(corev1.SchemeGroupVersion.WithKind("Namespace")), ObjectMeta: metav1.ObjectMeta{Name: name}}, nil
		}}
}

func serviceAccount() generator {
	return generator{name: "serviceaccount", aliases: []string{"sa"}, usage: "Create a service account",
		examples: []string{"skiff create serviceaccount robot"},
		make: func(_ *cli.Context, _ *maker, name string) (runtime.Object, error) {
			return &corev1.ServiceAccount{TypeMeta: typeMeta(corev1.SchemeGroupVersion.WithKind("ServiceAccount")), ObjectMeta: metav1.ObjectMeta{Name: name}}, nil
		}}
}

func dataFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "from-literal", Usage: "`KEY=VALUE` to store; may be repeated"},
		&cli.StringSliceFlag{Name: "from-file", Usage: "`[KEY=]FILE` or directory to store; may be repeated"},
		&cli.StringSliceFlag{Name: "from-env-file", Usage: "`FILE` of KEY=VALUE lines to store; may be repeated"},
	}
}

func configMap() generator {
	return generator{name: "configmap", aliases: []string{"cm"}, usage: "Create a config map from literals, files or directories", flags: dataFlags(),
		examples: []string{"skiff create configmap app --from-literal=level=debug", "skiff create configmap app --from-file=settings.ini --from-file=conf.d/"},
		make: func(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
			data, err := readData(c)
			if err != nil {
				return nil, err
			}
			o := &corev1.ConfigMap{TypeMeta: typeMeta(corev1.SchemeGroupVersion.WithKind("ConfigMap")), ObjectMeta: metav1.ObjectMeta{Name: name}}
			for k, v := range data {
				if utf8.Valid(v) {
					o.Data = put(o.Data, k, string(v))
				} else {
					o.BinaryData = put(o.BinaryData, k, v)
				}
			}
			return o, nil
		}}
}

func put[V any](m map[string]V, k string, v V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[k] = v
	return m
}

func genericSecret() generator {
	return generator{name: "generic", usage: "Create a secret from literals, files or directories",
		flags:    append(dataFlags(), &cli.StringFlag{Name: "type", Usage: "`TYPE` of the secret (default: Opaque)"}),
		examples: []string{"skiff create secret generic db --from-literal=password=hunter2 --from-file=cert.pem"},
		make: func(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
			data, err := readData(c)
			return &corev1.Secret{TypeMeta: typeMeta(corev1.SchemeGroupVersion.WithKind("Secret")), ObjectMeta: metav1.ObjectMeta{Name: name},
				Type: corev1.SecretType(c.String("type")), Data: data}, err
		}}
}

// readData reads the flags of dataFlags. A key may be given only once.
func readData(c *cli.Context) (map[string][]byte, error) {
	data := map[string][]byte{}
	add := func(key string, value []byte) error {
		if errs := validation.IsConfigMapKey(key); len(errs) > 0 {
			return fmt.Errorf("%q is not a valid key name: %s", key, strings.Join(errs, ","))
		}
		if _, twice := data[key]; twice {
			return fmt.Errorf("cannot add key %q, another key by that name already exists", key)
		}
		data[key] = value
		return nil
	}
	for _, literal := range c.StringSlice("from-literal") {
		key, value, ok := strings.Cut(literal, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("invalid literal source %v, expected key=value", literal)
		}
		if err := add(key, []byte(strings.Trim(value, "'\""))); err != nil {
			return nil, err
		}
	}
	for _, source := range c.StringSlice("from-file") {
		if err := fileData(source, add); err != nil {
			return nil, err
		}
	}
	for _, file := range c.StringSlice("from-env-file") {
		if err := envData(file, add); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func fileData(source string, add func(string, []byte) error) error {
	key, path, named := strings.Cut(source, "=")
	if !named {
		key, path = filepath.Base(source), source
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("error reading %s: %w", path, err)
	}
	if !info.IsDir() {
		return addFile(key, path, add)
	}
	if named {
		return errors.New("cannot give a key name for a directory path")
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("error listing files in %s: %w", path, err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			if err := addFile(e.Name(), filepath.Join(path, e.Name()), add); err != nil {
				return err
			}
		}
	}
	return nil
}

func addFile(key, path string, add func(string, []byte) error) error {
	value, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return add(key, value)
}

func envData(file string, add func(string, []byte) error) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, l := range strings.Split(string(text), "\n") {
		l = strings.TrimSpace(strings.TrimSuffix(l, "\r"))
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		key, value, ok := strings.Cut(l, "=")
		if !ok {
			value = os.Getenv(key)
		}
		if err := add(key, []byte(value)); err != nil {
			return err
		}
	}
	return nil
}

func job() generator {
	return generator{name: "job", usage: "Create a job that runs an image, or one run of a cron job",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "image", Usage: "`IMAGE` to run"},
			&cli.StringFlag{Name: "from", Usage: "`cronjob/NAME` whose job to run now"},
		},
		examples: []string{"skiff create job hello --image=busybox -- echo hello", "skiff create job now --from=cronjob/nightly"},
		make:     makeJob}
}

func makeJob(c *cli.Context, m *maker, name string) (runtime.Object, error) {
	image, from := c.String("image"), c.String("from")
	words := c.Args().Slice()[1:]
	switch {
	case (image == "") == (from == ""):
		return nil, errors.New("either --image or --from must be specified")
	case from != "" && len(words) > 0:
		return nil, errors.New("cannot specify --from and command")
	case from != "":
		return jobFromCron(c, m, name, from)
	}
	o := &batchv1.Job{TypeMeta: typeMeta(batchv1.SchemeGroupVersion.WithKind("Job")), ObjectMeta: metav1.ObjectMeta{Name: name}}
	o.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: name, Image: image, Command: words}}}
	return o, nil
}

// jobFromCron runs a cron job's template now; the annotation tells such a job from those its
// schedule started.
func jobFromCron(c *cli.Context, m *maker, name, from string) (runtime.Object, error) {
	targets, err := m.finder.Targets(c.Context, resource.Query{Args: []string{from}})
	if err != nil {
		return nil, err
	}
	cron := &batchv1.CronJob{}
	if kind := targets[0].Mapping.GroupVersionKind.Kind; kind != "CronJob" {
		return nil, fmt.Errorf("from must be an existing cronjob, not a %s", kind)
	}
	if err := m.client.GetInto(c.Context, targets[0].Ref, cron); err != nil {
		return nil, err
	}
	annotations := map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}
	for k, v := range cron.Spec.JobTemplate.Annotations {
		annotations[k] = v
	}
	// Unlike a controller's own reference it does not hold up the deletion of the cron job.
	owner := metav1.NewControllerRef(cron, batchv1.SchemeGroupVersion.WithKind("CronJob"))
	owner.BlockOwnerDeletion = nil
	return &batchv1.Job{
		TypeMeta:   typeMeta(batchv1.SchemeGroupVersion.WithKind("Job")),
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations, Labels: cron.Spec.JobTemplate.Labels, OwnerReferences: []metav1.OwnerReference{*owner}},
		Spec:       cron.Spec.JobTemplate.Spec,
	}, nil
}
