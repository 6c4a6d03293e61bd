// Package edit lets a person change objects in an editor.
package edit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

const manager = "kubectl-edit"

// Command is skiff edit.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "edit", Usage: "Edit a resource on the server", ArgsUsage: "(TYPE/NAME | TYPE NAME | -f FILE)",
		Description: "Opens the objects in $KUBE_EDITOR, $EDITOR or vi, and sends the changes when the editor ends. What the server refuses is\nopened again, with the reasons as comments.",
		Flags: command.Flags(command.FileFlags("edit"), command.SelectorFlag(), command.OutputFlags("yaml or json to edit in"), command.ValidateFlag(), command.ManagerFlag(manager),
			command.UnsupportedSwitch("windows-line-endings", "the file has the line endings of this machine, and may come back with either"),
			&cli.BoolFlag{Name: "output-patch", Usage: "print the patch that was sent"},
			&cli.BoolFlag{Name: "save-config", Usage: "save the outcome in an annotation, for a later apply"},
			&cli.StringFlag{Name: "subresource", Usage: "edit this `SUBRESOURCE`: status, scale or resize"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff edit rc kubia",
		"KUBE_EDITOR=nano skiff edit rc/kubia",
		"skiff edit job/batch-job -o json")
}

// Editor opens a file for the user and returns when they have finished.
type Editor func(ctx context.Context, path string) error

// session is one edit of some objects, over as many rounds as it takes.
type session struct {
	client      *client.Client
	report      *output.Reporter
	out, errOut io.Writer
	open        Editor
	extension   string
	print       printers.ResourcePrinter
	write       client.WriteOptions
	subresource string
	showPatch   bool
	saveConfig  bool
	// last means that what was applied last is edited, instead of the objects.
	last bool

	objects []resource.Object
	// file is where the text is kept, from the first round on.
	file string
}

func run(c *cli.Context, env *command.Env) error {
	s, err := newSession(c, env)
	if err != nil {
		return err
	}
	q := resource.Query{Args: c.Args().Slice(), Files: command.Files(c), Labels: c.String("selector"), Lists: true}
	err = resource.Finder{Client: s.client, In: env.In}.Find(c.Context, q, func(o resource.Object) error {
		s.objects = append(s.objects, o)
		return nil
	})
	if err != nil {
		return err
	}
	if len(s.objects) == 0 {
		return errors.New("edit cancelled, no objects found")
	}
	if s.subresource != "" {
		if err := s.fetchSubresource(c.Context); err != nil {
			return err
		}
	}
	return s.run(c.Context)
}

func newSession(c *cli.Context, env *command.Env) (*session, error) {
	s := &session{out: env.Out, errOut: env.Err, subresource: c.String("subresource"), showPatch: c.Bool("output-patch"), saveConfig: c.Bool("save-config"), open: editor(env)}
	switch format := c.String("output"); format {
	case "", "yaml":
		s.print, s.extension = &printers.YAMLPrinter{}, ".yaml"
	case "json":
		s.print, s.extension = &printers.JSONPrinter{}, ".json"
	default:
		return nil, fmt.Errorf("the output format must be 'yaml' or 'json', not %q", format)
	}
	validation, err := command.Validation(c)
	if err != nil {
		return nil, err
	}
	s.write = client.WriteOptions{Manager: c.String("field-manager"), Validation: validation}
	if s.report, err = output.NewReporter(env.Out, output.Options{}, ""); err != nil {
		return nil, err
	}
	s.client, err = env.Connect(c)
	return s, err
}

// editor is the user's own: $KUBE_EDITOR, $EDITOR or vi. It may hold arguments, so a shell runs it.
func editor(env *command.Env) Editor {
	words := env.Getenv("KUBE_EDITOR")
	if words == "" {
		words = env.Getenv("EDITOR")
	}
	if words == "" {
		words = "vi"
	}
	return func(ctx context.Context, path string) error {
		cmd := exec.CommandContext(ctx, "sh", "-c", words+` "$0"`, path)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = env.In, env.Out, env.Err
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("there was a problem with the editor %q", words)
		}
		return nil
	}
}

func (s *session) fetchSubresource(ctx context.Context) error {
	for i := range s.objects {
		o := &s.objects[i]
		o.Ref = o.WithSubresource(s.subresource)
		var err error
		if o.Value, err = s.client.Get(ctx, o.Ref); err != nil {
			return err
		}
	}
	return nil
}

const (
	unchanged = "Edit cancelled, no changes made."
	emptied   = "Edit cancelled, saved file was empty."
)

// run opens the editor until everything is accepted or the user gives up.
func (s *session) run(ctx context.Context) error {
	original, err := s.text()
	if err != nil {
		return err
	}
	body := original
	var reasons []string
	for {
		edited, err := s.round(ctx, body, reasons)
		if err != nil {
			return s.keep(err)
		}
		plain := withoutComments(edited)
		switch {
		case len(reasons) > 0 && bytes.Equal(plain, withoutComments(body)):
			return s.keep(errors.New("Edit cancelled, no valid changes were saved."))
		case bytes.Equal(plain, withoutComments(original)):
			return s.cancel(unchanged)
		case len(bytes.TrimSpace(plain)) == 0:
			return s.cancel(emptied)
		}
		var again bool
		if reasons, again, err = s.accept(ctx, edited); !again {
			return err
		}
		body = withoutHeader(edited)
	}
}

// text is what the user edits: one object or a list of several, without the fields that the server
// manages.
func (s *session) text() ([]byte, error) {
	var obj runtime.Object
	list := &unstructured.UnstructuredList{Object: map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{}}}
	for _, o := range s.objects {
		o.Value.SetManagedFields(nil)
		list.Items = append(list.Items, *o.Value)
		obj = o.Value
	}
	if len(s.objects) > 1 {
		obj = list
	}
	var buf bytes.Buffer
	err := s.print.PrintObj(obj, &buf)
	return buf.Bytes(), err
}

// round has the user edit body, with the reasons for another round above it, and returns the
// outcome.
func (s *session) round(ctx context.Context, body []byte, reasons []string) ([]byte, error) {
	var buf bytes.Buffer
	if s.extension == ".yaml" {
		buf.WriteString(header(reasons))
	}
	buf.Write(body)
	if err := s.save(buf.Bytes()); err != nil {
		return nil, err
	}
	if err := s.open(ctx, s.file); err != nil {
		return nil, err
	}
	return os.ReadFile(s.file)
}

// save writes the text to the session's file, readable by its owner alone: an object may hold
// secrets.
func (s *session) save(text []byte) error {
	if s.file != "" {
		return os.WriteFile(s.file, text, 0o600)
	}
	f, err := os.CreateTemp("", "skiff-edit-*"+s.extension)
	if err != nil {
		return err
	}
	s.file = f.Name()
	if _, err := f.Write(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func header(reasons []string) string {
	var b strings.Builder
	b.WriteString("# Please edit the object below. Lines beginning with a '#' will be ignored,\n" +
		"# and an empty file will abort the edit. If an error occurs while saving this file will be\n" +
		"# reopened with the relevant failures.\n#\n")
	for _, r := range reasons {
		b.WriteString("# " + strings.ReplaceAll(strings.TrimSpace(r), "\n", "\n# ") + "\n#\n")
	}
	return b.String()
}

// withoutComments drops comment lines, so that they do not count as changes.
func withoutComments(text []byte) []byte {
	var out [][]byte
	for _, l := range bytes.Split(text, []byte("\n")) {
		if !bytes.HasPrefix(bytes.TrimSpace(l), []byte("#")) {
			out = append(out, l)
		}
	}
	return bytes.TrimSpace(bytes.Join(out, []byte("\n")))
}

// withoutHeader drops the comments at the top and keeps the user's own below.
func withoutHeader(text []byte) []byte {
	for bytes.HasPrefix(text, []byte("#")) {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text
}

func (s *session) cancel(message string) error {
	fmt.Fprintln(s.errOut, message)
	return os.Remove(s.file)
}

// keep leaves the person's text where it is and says so.
func (s *session) keep(err error) error {
	if s.file != "" {
		fmt.Fprintf(s.errOut, "A copy of your changes has been stored to %q\n", s.file)
	}
	return err
}

// accept sends the edited objects. again means that the editor is to be opened once more, with the
// reasons.
func (s *session) accept(ctx context.Context, edited []byte) (reasons []string, again bool, err error) {
	manifests, err := resource.Reader{In: bytes.NewReader(edited)}.Read(ctx, resource.Files{Names: []string{"-"}})
	if err != nil {
		return []string{"The edited file had a syntax error: " + strings.ReplaceAll(err.Error(), "STDIN", "edited-file")}, true, nil
	}
	for _, m := range manifests {
		err := s.send(ctx, m.Object)
		switch {
		case err == nil:
		case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
			text, _ := command.Explain(err)
			fmt.Fprint(s.errOut, text)
			reasons = append(reasons, s.name(m.Object)+" was not valid:\n"+causes(err))
		case apierrors.IsNotFound(err):
			fmt.Fprintf(s.errOut, "The edits you made on deleted resources have been saved to %q\n", s.file)
			return nil, false, command.Exit{Code: 1}
		default:
			text, _ := command.Explain(err)
			fmt.Fprintf(s.errOut, "%sYou can run `skiff replace -f %s` to try this update again.\n", text, s.file)
			return nil, false, command.Exit{Code: 1}
		}
	}
	if len(reasons) > 0 {
		return reasons, true, nil
	}
	return nil, false, os.Remove(s.file)
}

func (s *session) name(u *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %q", strings.ToLower(u.GetKind()), u.GetName())
}

func causes(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return "* " + err.Error()
	}
	var out []string
	for _, c := range status.Status().Details.Causes {
		out = append(out, fmt.Sprintf("* %s: %s", c.Field, c.Message))
	}
	return strings.Join(out, "\n")
}

// before finds the object that u was edited from.
func (s *session) before(u *unstructured.Unstructured) (resource.Object, error) {
	for _, o := range s.objects {
		v := o.Value
		if v.GetUID() == u.GetUID() && v.GetName() == u.GetName() && v.GetNamespace() == u.GetNamespace() && v.GroupVersionKind() == u.GroupVersionKind() {
			return o, nil
		}
	}
	return resource.Object{}, apierrors.NewBadRequest(fmt.Sprintf("%s: kind, name, namespace and UID must stay as they are", s.name(u)))
}
