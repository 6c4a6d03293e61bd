package manifests

import (
	"errors"
	"fmt"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"skiff/manifests/expression"
)

// maxMatchConditions is how many a webhook or a policy may have.
const maxMatchConditions = 64

// expressions validates those of one object.
type expressions struct {
	compiler plugincel.Compiler
	// params says that there is a variable params.
	params bool
	// stored are expressions that the old object has: they may use what is new in a version that other
	// servers do not have yet.
	stored map[string]bool
}

// environment is the one that an expression is compiled in.
func (e *expressions) environment(text string) environment.Type {
	if e.stored[text] {
		return environment.StoredExpressions
	}
	return environment.NewExpressions
}

// compile refuses an expression that does not compile, or to another type than it must have.
func (e *expressions) compile(at *field.Path, x plugincel.ExpressionAccessor, o plugincel.OptionalVariableDeclarations) field.ErrorList {
	return refusedExpression(at, x, e.compiler.CompileCELExpression(x, o, e.environment(x.GetExpression())).Error)
}

// declared are the variables that most expressions have.
func (e *expressions) declared() plugincel.OptionalVariableDeclarations {
	return plugincel.OptionalVariableDeclarations{HasParams: e.params, HasAuthorizer: true}
}

func refusedExpression(at *field.Path, x plugincel.ExpressionAccessor, err *cel.Error) field.ErrorList {
	if err == nil {
		return nil
	}
	switch err.Type {
	case cel.ErrorTypeRequired:
		return field.ErrorList{field.Required(at, err.Detail)}
	case cel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(at, x.GetExpression(), err.Detail)}
	default:
		return field.ErrorList{field.InternalError(at, err)}
	}
}

// matchConditions validates match conditions, which know no variables of a policy.
func (e *expressions) matchConditions(at *field.Path, conditions []arv1.MatchCondition) field.ErrorList {
	var errs field.ErrorList
	if n := len(conditions); n > maxMatchConditions {
		errs = append(errs, field.TooMany(at, n, maxMatchConditions))
	}
	names := map[string]bool{}
	for i, c := range conditions {
		errs = append(errs, e.matchCondition(at.Index(i), c)...)
		if c.Name != "" && names[c.Name] {
			errs = append(errs, field.Duplicate(at.Index(i).Child("name"), c.Name))
		}
		names[c.Name] = true
	}
	return errs
}

func (e *expressions) matchCondition(at *field.Path, c arv1.MatchCondition) field.ErrorList {
	var errs field.ErrorList
	stored := e.environment(c.Expression)
	if c.Expression = strings.TrimSpace(c.Expression); c.Expression == "" {
		errs = append(errs, field.Required(at.Child("expression"), ""))
	} else {
		condition := matchconditions.MatchCondition(c)
		errs = refusedExpression(at.Child("expression"), &condition, expression.Plain().CompileCELExpression(&condition, e.declared(), stored).Error)
	}
	if c.Name == "" {
		return append(errs, field.Required(at.Child("name"), ""))
	}
	return append(errs, qualifiedName(at.Child("name"), c.Name)...)
}

func qualifiedName(at *field.Path, name string) field.ErrorList {
	var errs field.ErrorList
	for _, wrong := range utilvalidation.IsQualifiedName(name) {
		errs = append(errs, field.Invalid(at, name, wrong))
	}
	return errs
}

// variables validates a policy's variables and has the expressions after them know them.
func (e *expressions) variables(at *field.Path, variables []arv1.Variable) field.ErrorList {
	var errs field.ErrorList
	for i := range variables {
		errs = append(errs, e.variable(at.Index(i), &variables[i])...)
	}
	return errs
}

func (e *expressions) variable(at *field.Path, v *arv1.Variable) field.ErrorList {
	var errs field.ErrorList
	switch {
	case strings.TrimSpace(v.Name) == "":
		errs = append(errs, field.Required(at.Child("name"), "name is not specified"))
	case !isIdentifier(v.Name):
		errs = append(errs, field.Invalid(at.Child("name"), v.Name, "must be a valid CEL identifier"))
	}
	if strings.TrimSpace(v.Expression) == "" {
		return append(errs, field.Required(at.Child("expression"), "expression is not specified"))
	}
	composed, ok := e.compiler.(*plugincel.CompositedCompiler)
	if !ok {
		return append(errs, field.InternalError(at, errors.New("variable composition is not allowed")))
	}
	x := (*expression.Variable)(v)
	result := composed.CompileAndStoreVariable(x, e.declared(), e.environment(v.Expression))
	return append(errs, refusedExpression(at.Child("expression"), x, result.Error)...)
}

// isIdentifier reports whether CEL takes a name for one of its own.
// https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
func isIdentifier(name string) bool {
	for i, c := range name {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	switch name {
	case "", "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
		"let", "loop", "package", "namespace", "return", "var", "void", "while":
		return false
	}
	return true
}

// newExpressions validates the expressions of a policy with parameters of a kind, nil for none.
func newExpressions(params *arv1.ParamKind, stored ...string) (*expressions, field.ErrorList) {
	compiler, err := expression.Composed()
	if err != nil {
		return nil, field.ErrorList{field.InternalError(nil, fmt.Errorf("failed to initialize CEL compiler: %w", err))}
	}
	e := &expressions{compiler: compiler, params: params != nil, stored: map[string]bool{}}
	for _, text := range stored {
		e.stored[text] = true
	}
	return e, nil
}
