// Package expression has the kinds of CEL expressions that admission knows, and compilers for them. It
// imports nothing of skiff, so that both can ask it: the rules, which refuse expressions that do not
// compile, and admission, which evaluates them.
package expression

import (
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	arv1 "k8s.io/api/admissionregistration/v1"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Validation must be true for what a policy lets in.
type Validation arv1.Validation

// GetExpression implements plugincel.ExpressionAccessor.
func (v *Validation) GetExpression() string { return v.Expression }

// ReturnTypes implements plugincel.ExpressionAccessor.
func (v *Validation) ReturnTypes() []*cel.Type { return []*cel.Type{cel.BoolType} }

// Message says why a Validation is not true.
type Message string

// GetExpression implements plugincel.ExpressionAccessor.
func (m Message) GetExpression() string { return string(m) }

// ReturnTypes implements plugincel.ExpressionAccessor.
func (m Message) ReturnTypes() []*cel.Type { return []*cel.Type{cel.StringType} }

// AuditAnnotation is the value of an annotation in the audit log, null for none.
type AuditAnnotation arv1.AuditAnnotation

// GetExpression implements plugincel.ExpressionAccessor.
func (a *AuditAnnotation) GetExpression() string { return strings.TrimSpace(a.ValueExpression) }

// ReturnTypes implements plugincel.ExpressionAccessor.
func (a *AuditAnnotation) ReturnTypes() []*cel.Type {
	return []*cel.Type{cel.StringType, cel.NullType}
}

// Variable has a name by which the expressions after it know its value.
type Variable arv1.Variable

// GetExpression implements plugincel.ExpressionAccessor.
func (v *Variable) GetExpression() string { return v.Expression }

// ReturnTypes implements plugincel.ExpressionAccessor.
func (v *Variable) ReturnTypes() []*cel.Type { return []*cel.Type{cel.AnyType, cel.DynType} }

// GetName implements plugincel.NamedExpressionAccessor.
func (v *Variable) GetName() string { return v.Name }

// Environment is what expressions may name. It is built at the first call, which takes milliseconds.
var Environment = sync.OnceValue(func() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
})

// Conditions compiles the expressions of webhooks' match conditions, which have no variables.
var Conditions = sync.OnceValue(func() plugincel.ConditionCompiler { return plugincel.NewConditionCompiler(Environment()) })

// Plain compiles single expressions without variables.
var Plain = sync.OnceValue(func() plugincel.Compiler { return plugincel.NewCompiler(Environment()) })

// Composed returns a compiler for the expressions of one policy, which share its variables.
func Composed() (*plugincel.CompositedCompiler, error) {
	return plugincel.NewCompositedCompiler(Environment())
}
