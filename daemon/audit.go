package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit"
	auditpolicy "k8s.io/apiserver/pkg/audit/policy"
	auditlog "k8s.io/apiserver/plugin/pkg/audit/log"

	"skiff/api/filters"
	"skiff/daemon/config"
)

// openAudit reads the audit policy and opens the audit log, if requests are to be recorded. It returns
// the file that has to be closed, if any. The log is only ever appended to, as kube-apiserver's is by
// default: whoever keeps it rotates it, by copying and truncating.
func openAudit(c config.Config) (*filters.Auditing, *os.File, error) {
	if c.AuditPolicyFile == "" {
		return nil, nil, nil
	}
	policy, err := readAuditPolicy(c.AuditPolicyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the audit policy %s: %w", c.AuditPolicyFile, err)
	}
	if c.AuditLogFile == "-" {
		return &filters.Auditing{Policy: policy, Sink: auditSink(os.Stdout)}, nil, nil
	}
	file, err := os.OpenFile(cmp.Or(c.AuditLogFile, c.Dir.AuditLog()), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the audit log: %w", err)
	}
	return &filters.Auditing{Policy: policy, Sink: auditSink(file)}, file, nil
}

func auditSink(out io.Writer) audit.Sink {
	return auditlog.NewBackend(out, auditlog.FormatJson, auditv1.SchemeGroupVersion)
}

// readAuditPolicy reads a policy. Unlike kube-apiserver it refuses fields that it does not know: a rule
// with a misspelt condition would match more than it says.
func readAuditPolicy(path string) (audit.PolicyRuleEvaluator, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	strict := serializer.NewCodecFactory(audit.Scheme, serializer.EnableStrict).UniversalDecoder()
	if _, _, err := strict.Decode(text, nil, nil); err != nil {
		return nil, err
	}
	policy, err := auditpolicy.LoadPolicyFromBytes(text)
	if err != nil {
		return nil, errors.New(err.Error()) // of several errors, each would be shown without the file's name
	}
	return auditpolicy.NewPolicyRuleEvaluator(policy), nil
}
