package command

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/tools/clientcmd"

	"skiff/cli/args"
	"skiff/cli/client"
)

// Exit ends the program with Code and prints nothing: everything has been said.
type Exit struct{ Code int }

func (e Exit) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// Verbatim is an error whose message is printed unchanged, without "error: " before it.
type Verbatim struct {
	Message string
	Code    int // exit code; 0 stands for 1
}

func (e Verbatim) Error() string { return e.Message }

// Errorf returns an error for the user.
func Errorf(format string, a ...any) error { return fmt.Errorf(format, a...) }

// UsageErrorf returns an error that ends in a pointer to the command's help.
func UsageErrorf(command, format string, a ...any) error {
	return fmt.Errorf("%s\nSee 'skiff %s -h' for help and examples", fmt.Sprintf(format, a...), command)
}

// Join makes one error of those that are not nil: nil for none, the error itself for one.
func Join(errs ...error) error {
	agg := utilerrors.NewAggregate(errs)
	if agg == nil {
		return nil
	}
	if all := agg.Errors(); len(all) == 1 {
		return all[0]
	}
	return agg
}

// interrupted is the exit code after Ctrl-C; the user knows why.
const interrupted = 130

// Explain returns the text for stderr and the exit code for err, in kubectl's words where kubectl
// fails likewise.
func Explain(err error) (string, int) {
	if err == nil {
		return "", 0
	}
	var agg utilerrors.Aggregate
	if errors.As(err, &agg) {
		return explainAll(agg)
	}
	if exit, ok := asType[Exit](err); ok {
		return "", exit.Code
	}
	if v, ok := asType[Verbatim](err); ok {
		return line(v.Message), max(v.Code, 1)
	}
	if errors.Is(err, context.Canceled) {
		return "", interrupted
	}
	if msg, ok := explainServer(err); ok {
		return line(msg), 1
	}
	if msg := err.Error(); !strings.HasPrefix(msg, "error: ") {
		return line("error: " + msg), 1
	}
	return line(err.Error()), 1
}

// explainAll puts each of several errors on a line of its own, without the prefix that a single one
// gets.
func explainAll(agg utilerrors.Aggregate) (string, int) {
	all := utilerrors.Flatten(agg).Errors()
	if len(all) == 1 {
		return Explain(all[0])
	}
	var b strings.Builder
	for _, err := range all {
		msg, ok := explainServer(err)
		if !ok {
			msg = err.Error()
		}
		b.WriteString(line(msg))
	}
	return b.String(), 1
}

// explainServer explains errors that come from the server, or from not reaching it.
func explainServer(err error) (string, bool) {
	var usage *args.Error
	if errors.As(err, &usage) {
		return "error: " + usage.Error(), true
	}
	if msg, ok := explainNoMatch(err); ok {
		return msg, true
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return explainStatus(err, status.Status()), true
	}
	if clientcmd.IsConfigurationInvalid(err) {
		return "Error in configuration: " + err.Error(), true
	}
	return explainConnection(err)
}

func explainNoMatch(err error) (string, bool) {
	var none *meta.NoResourceMatchError
	if !errors.As(err, &none) {
		return "", false
	}
	msg := fmt.Sprintf("error: the server doesn't have a resource type %q", none.PartialResource.Resource)
	if g := none.PartialResource.Group; g != "" {
		msg += fmt.Sprintf(" in group %q", g)
	}
	return msg, true
}

func explainStatus(err error, s metav1.Status) string {
	switch {
	case s.Reason == metav1.StatusReasonUnauthorized:
		return fmt.Sprintf("error: You must be logged in to the server (%s)", s.Message)
	case s.Reason == metav1.StatusReasonInvalid && isBare(err):
		return explainInvalid(s)
	case s.Reason != "":
		return fmt.Sprintf("Error from server (%s): %s", s.Reason, err.Error())
	}
	return "Error from server: " + err.Error()
}

// isBare reports whether err is the server's own error, not one that says what was being done.
func isBare(err error) bool {
	_, ok := err.(*apierrors.StatusError) //nolint:errorlint // a wrapped one says what was being done
	return ok
}

// explainInvalid lists the fields that validation refused.
func explainInvalid(s metav1.Status) string {
	d := s.Details
	if d == nil || (d.Kind == "" && d.Name == "" && len(d.Causes) == 0) {
		return strings.TrimSuffix("The request is invalid: "+s.Message, ": ")
	}
	head := "The request is invalid"
	if d.Kind != "" || d.Name != "" {
		head = fmt.Sprintf("The %s %q is invalid", d.Kind, d.Name)
	}
	var causes []string
	seen := map[string]bool{}
	for _, c := range d.Causes {
		if msg := c.Field + ": " + c.Message; !seen[msg] {
			seen[msg] = true
			causes = append(causes, msg)
		}
	}
	switch len(causes) {
	case 0:
		return head
	case 1:
		return head + ": " + causes[0]
	}
	return head + ": \n* " + strings.Join(causes, "\n* ")
}

func explainConnection(err error) (string, bool) {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return "", false
	}
	if !strings.Contains(failed.Err.Error(), "connection refused") {
		return fmt.Sprintf("Unable to connect to the server: %v", failed.Err), true
	}
	host := failed.URL
	if u, perr := url.Parse(failed.URL); perr == nil {
		host = u.Host
	}
	msg := fmt.Sprintf("The connection to the server %s was refused - did you specify the right host or port?", host)
	var own *client.OwnClusterError
	if errors.As(err, &own) {
		msg = fmt.Sprintf("error: no skiff daemon answers at %s: start it with 'skiff daemon start' or 'skiff up'", host)
	}
	return msg, true
}

func asType[T error](err error) (T, bool) {
	var t T
	ok := errors.As(err, &t)
	return t, ok
}

func line(s string) string {
	if strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}

// SourceError adds what was being done, and with which file, to the server's refusal. The kind of
// refusal stays known.
func SourceError(verb, source string, err error) error {
	if err == nil || source == "" {
		return err
	}
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		s := status.ErrStatus
		s.Message = fmt.Sprintf("error when %s %q: %v", verb, source, s.Message)
		return &apierrors.StatusError{ErrStatus: s}
	}
	return fmt.Errorf("error when %s %q: %w", verb, source, err)
}
