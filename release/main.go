// Command release prepares the go.mod with which a release is built, and prints where it is:
//
//	go build -modfile "$(go run ./release)" …
//
// It replaces two libraries by copies. urfave/cli has its help printer cut out: skiff has its own
// (cli/help.go), and the library's uses text/template, which calls methods by names that it reads. While
// that can be reached the linker must keep every exported method of every type. jsonschema, which compose-go
// checks files with, compiles the schemas of schemas when it is first used and not whenever any command
// begins: that took as long as all else that a command does. Nothing else differs, and without this skiff
// works as well, with a binary a sixth larger that starts half as fast.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// library is a module that is replaced by a copy.
type library struct {
	module, folder string
	// edit changes the copy.
	edit func(dir string) error
}

var libraries = []library{
	{"github.com/urfave/cli/v2", "cli", cutTemplates},
	{"github.com/santhosh-tekuri/jsonschema/v6", "jsonschema", deferSchemas},
}

// cutTemplates empties the functions that use text/template.
func cutTemplates(dir string) error {
	for file, function := range map[string]string{"help.go": "printHelpCustom", "fish.go": "writeFishCompletionTemplate"} {
		if err := cutOut(filepath.Join(dir, file), function); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// deferSchemas has the drafts' own schemas compiled before the first other one. Compiling them compiles
// schemas, hence the mark before the work; skiff reads one compose file at a time.
func deferSchemas(dir string) error {
	return errors.Join(
		replaceIn(filepath.Join(dir, "draft.go"), "func init() {\n", "var draftsCompiled bool\n\nfunc compileDrafts() {\n\tif draftsCompiled {\n\t\treturn\n\t}\n\tdraftsCompiled = true\n"),
		replaceIn(filepath.Join(dir, "compiler.go"), "func (c *Compiler) Compile(loc string) (*Schema, error) {\n", "func (c *Compiler) Compile(loc string) (*Schema, error) {\n\tcompileDrafts()\n"))
}

// replaceIn replaces a text that a file must have once.
func replaceIn(path, old, with string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if n := bytes.Count(text, []byte(old)); n != 1 {
		return fmt.Errorf("%s has %q %d times, and not once", filepath.Base(path), old, n)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path, bytes.Replace(text, []byte(old), []byte(with), 1), 0o644)
}

func main() {
	modfile, err := prepare()
	if err != nil {
		fmt.Fprintln(os.Stderr, "preparing the release's go.mod:", err)
		os.Exit(1)
	}
	fmt.Println(modfile)
}

// prepare writes the copies and the go.mod below bin/, and returns the latter's path.
func prepare() (string, error) {
	root, err := list("-m", "-f", "{{.Dir}}")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin", "release")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	for _, l := range libraries {
		// A machine on which nothing has been built yet does not have the library.
		if out, err := exec.Command("go", "mod", "download", l.module).CombinedOutput(); err != nil {
			return "", fmt.Errorf("downloading %s: %w: %s", l.module, err, out)
		}
		original, err := list("-m", "-f", "{{.Dir}}", l.module)
		if err != nil {
			return "", err
		}
		copied := filepath.Join(dir, l.folder)
		if err := os.CopyFS(copied, os.DirFS(original)); err != nil {
			return "", err
		}
		if err := l.edit(copied); err != nil {
			return "", fmt.Errorf("%s: %w", l.module, err)
		}
	}
	return writeModule(root, dir)
}

func list(args ...string) (string, error) {
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// cutOut empties a function and removes the imports that are then not used. What calls it all the
// same is told so.
func cutOut(path, function string) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(file.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Name.Name == function
	})
	if at < 0 {
		return fmt.Errorf("there is no function %s", function)
	}
	body := file.Decls[at].(*ast.FuncDecl).Body
	file.Comments = slices.DeleteFunc(file.Comments, func(c *ast.CommentGroup) bool { return body.Pos() <= c.Pos() && c.End() <= body.End() })
	body.List = []ast.Stmt{&ast.ExprStmt{X: &ast.CallExpr{Fun: ast.NewIdent("panic"), Args: []ast.Expr{
		&ast.BasicLit{Kind: token.STRING, Value: strconv.Quote(function + " is not in this build")}}}}}
	removeUnusedImports(file)
	var text bytes.Buffer
	if err := format.Node(&text, files, file); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// removeUnusedImports does what goimports would, for packages that are named as their paths end.
func removeUnusedImports(file *ast.File) {
	used := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				used[x.Name] = true
			}
		}
		return true
	})
	for _, d := range file.Decls {
		if d, ok := d.(*ast.GenDecl); ok && d.Tok == token.IMPORT {
			d.Specs = slices.DeleteFunc(d.Specs, func(s ast.Spec) bool {
				path := strings.Trim(s.(*ast.ImportSpec).Path.Value, `"`)
				return !used[path[strings.LastIndex(path, "/")+1:]]
			})
		}
	}
}

// writeModule writes the go.mod, with its go.sum beside it. The copies' paths are relative to the
// project, so that builds in other folders make the same binary.
func writeModule(root, dir string) (string, error) {
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		if name == "go.mod" {
			for _, l := range libraries {
				text = fmt.Appendf(text, "\nreplace %s => ./bin/release/%s\n", l.module, l.folder)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "go.mod"), nil
}
