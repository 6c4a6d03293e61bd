package diff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pmezard/go-difflib/difflib"

	"skiff/cli/command"
)

// Names of the two sides, as kubectl has them.
const (
	liveName   = "LIVE"
	mergedName = "MERGED"
)

// show compares the pairs and ends with 1 if any of them differ.
func show(ctx context.Context, env *command.Env, all []pair) error {
	if words := env.Getenv("KUBECTL_EXTERNAL_DIFF"); words != "" {
		return external(ctx, env, strings.Split(words, " "), all)
	}
	differ := false
	for _, p := range all {
		if p.live == p.merged {
			continue
		}
		differ = true
		if err := unified(env.Out, p); err != nil {
			return err
		}
	}
	if differ {
		return command.Exit{Code: 1}
	}
	return nil
}

// unified writes a pair as diff -u does.
func unified(w io.Writer, p pair) error {
	from, to := filepath.Join(liveName, p.name), filepath.Join(mergedName, p.name)
	fmt.Fprintf(w, "diff -u -N %s %s\n", from, to)
	return difflib.WriteUnifiedDiff(w, difflib.UnifiedDiff{A: lines(p.live), B: lines(p.merged), FromFile: from, ToFile: to, Context: 3})
}

// lines are those of a text, with their ends.
func lines(text string) []string {
	all := strings.SplitAfter(text, "\n")
	return all[:len(all)-1] // YAML ends with a line's end
}

// plainWord is what kubectl passes on of the arguments in $KUBECTL_EXTERNAL_DIFF.
var plainWord = regexp.MustCompile(`^[a-zA-Z0-9-=]+$`)

// external has a program of the user's compare two directories.
func external(ctx context.Context, env *command.Env, words []string, all []pair) (err error) {
	root, err := os.MkdirTemp("", "skiff-diff-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	live, merged := filepath.Join(root, liveName), filepath.Join(root, mergedName)
	for _, dir := range []string{live, merged} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	for _, p := range all {
		if p.live != "" {
			err = os.WriteFile(filepath.Join(live, p.name), []byte(p.live), 0o600)
		}
		if err = errors.Join(err, os.WriteFile(filepath.Join(merged, p.name), []byte(p.merged), 0o600)); err != nil {
			return err
		}
	}
	var args []string
	for _, word := range words[1:] {
		if plainWord.MatchString(word) {
			args = append(args, word)
		}
	}
	cmd := exec.CommandContext(ctx, words[0], append(args, live, merged)...)
	cmd.Stdout, cmd.Stderr = env.Out, env.Err
	ran := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ran == nil:
		return nil
	case errors.As(ran, &exit) && exit.ExitCode() == 1:
		return command.Exit{Code: 1}
	}
	return fmt.Errorf("failed to run %q: %w", words[0], ran)
}
