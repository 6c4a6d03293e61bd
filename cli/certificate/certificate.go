// Package certificate approves and denies requests for certificates: skiff certificate.
package certificate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// Command is skiff certificate.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "certificate", Usage: "Approve or deny requests for certificates", Subcommands: []*cli.Command{
			decide(env, decision{
				verb: "approve", done: "approved", condition: certificatesv1.CertificateApproved, opposite: certificatesv1.CertificateDenied,
				reason: "KubectlApprove", message: "This CSR was approved by kubectl certificate approve.",
			}),
			decide(env, decision{
				verb: "deny", done: "denied", condition: certificatesv1.CertificateDenied, opposite: certificatesv1.CertificateApproved,
				reason: "KubectlDeny", message: "This CSR was denied by kubectl certificate deny.",
			}),
		},
	}, "skiff certificate approve jane")
}

// decision is what becomes of a request.
type decision struct {
	verb, done          string
	condition, opposite certificatesv1.RequestConditionType
	reason, message     string
}

func decide(env *command.Env, d decision) *cli.Command {
	return command.New(cli.Command{
		Name: d.verb, Usage: strings.ToUpper(d.verb[:1]) + d.verb[1:] + " a request for a certificate", ArgsUsage: "(-f FILE | NAME...)",
		Flags: command.Flags(command.FileFlags(d.verb), command.OutputFlags(command.ObjectFormats), command.SelectorFlag(),
			&cli.BoolFlag{Name: "force", Usage: "update the request even if it is " + d.done + " already"}),
		Action: func(c *cli.Context) error { return d.run(c, env) },
	}, "skiff certificate "+d.verb+" jane")
}

func (d decision) run(c *cli.Context, env *command.Env) error {
	if !c.Args().Present() && !c.IsSet("filename") && c.String("selector") == "" {
		return errors.New("one or more CSRs must be specified as <name> or -f <filename>")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	report, err := output.NewReporter(env.Out, output.Read(c), "")
	if err != nil {
		return err
	}
	q := resource.Query{Files: command.Files(c), Labels: c.String("selector")}
	if c.Args().Present() || q.Labels != "" {
		q.Args = append([]string{"certificatesigningrequests.certificates.k8s.io"}, c.Args().Slice()...)
	}
	f := resource.Finder{Client: cl, In: env.In}
	return f.Find(c.Context, q, func(o resource.Object) error {
		made, err := d.write(c.Context, cl, o.Ref, c.Bool("force"))
		if err != nil {
			return err
		}
		return report.Report(made, d.done)
	})
}

// write adds the condition to the request, unless it is there.
func (d decision) write(ctx context.Context, cl *client.Client, r client.Ref, force bool) (*unstructured.Unstructured, error) {
	for {
		u, err := cl.Get(ctx, r)
		if err != nil {
			return nil, err
		}
		request := &certificatesv1.CertificateSigningRequest{}
		if err := client.Into(u, request); err != nil {
			return nil, err
		}
		if d.has(request, d.condition) && !force {
			return u, nil
		}
		if d.has(request, d.opposite) {
			return nil, fmt.Errorf("certificate signing request %q is already %s", request.Name, d.opposite)
		}
		d.add(request)
		next, err := client.From(request)
		if err != nil {
			return nil, err
		}
		next.SetGroupVersionKind(u.GroupVersionKind())
		made, err := cl.Replace(ctx, r.WithSubresource("approval"), next, client.WriteOptions{})
		if !apierrors.IsConflict(err) {
			return made, err
		}
	}
}

func (d decision) has(r *certificatesv1.CertificateSigningRequest, condition certificatesv1.RequestConditionType) bool {
	return slices.ContainsFunc(r.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == condition })
}

func (d decision) add(r *certificatesv1.CertificateSigningRequest) {
	r.Status.Conditions = slices.DeleteFunc(r.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == d.condition })
	r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: d.condition, Status: corev1.ConditionTrue, Reason: d.reason, Message: d.message,
	})
}
