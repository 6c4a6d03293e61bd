package diagnosis

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Exit codes that shells and container runtimes use by convention.
const (
	exitEngine        = 125
	exitNotExecutable = 126
	exitNotFound      = 127
	exitNotStarted    = 128
	// exitSignal is what is added to the number of the signal that ended a process.
	exitSignal = 128
)

// deadly are the signals that end processes, by their numbers on Linux, where containers run whatever this
// machine is, and what they usually mean.
var deadly = map[int32]string{
	1:  "SIGHUP: its terminal was closed, or it was told to read its settings anew and does not know how",
	2:  "SIGINT: it was interrupted, as by Ctrl-C",
	3:  "SIGQUIT: it was told to quit",
	4:  "SIGILL: it has an instruction that this machine's processor lacks, so it may be built for another one",
	5:  "SIGTRAP: it ran into a breakpoint or a check of its own",
	6:  "SIGABRT: it gave up by itself, as after a failed assertion",
	7:  "SIGBUS: memory could not be reached, as when /dev/shm or a mapped file's disk is full",
	8:  "SIGFPE: it divided by zero or the like",
	9:  "SIGKILL: it was killed",
	11: "SIGSEGV: it used memory that is not its own, a fault of the program",
	13: "SIGPIPE: it wrote to somebody who no longer reads",
	15: "SIGTERM: it was asked to stop",
	31: "SIGSYS: it made a system call that its seccomp profile forbids",
}

// ExitMeaning says what an exit code stands for; "" for those that are the program's own affair.
func ExitMeaning(code int32) string {
	switch {
	case code == exitEngine:
		return "the engine itself failed to run it"
	case code == exitNotExecutable:
		return "a command was found but can not be executed"
	case code == exitNotFound:
		return "a command was not found"
	case code == exitNotStarted:
		return "it could not be started"
	case code == 255:
		return "its exit status was out of range, -1 as a rule"
	case code > exitSignal && code <= exitSignal+64:
		if known, ok := deadly[code-exitSignal]; ok {
			return "signal " + known
		}
		return fmt.Sprintf("signal %d ended it", code-exitSignal)
	}
	return ""
}

// startProblem is what matters of the engine's message about a container that could not be started.
func startProblem(message string) string {
	if _, rest, ok := strings.Cut(message, "unable to start container process: "); ok {
		return rest
	}
	return message
}

// outOfMemory is the reason of a container that used more memory than it may.
const outOfMemory = "OOMKilled"

// exitCause says why a container ended with a code, as far as its status tells; "" when that is the
// program's own affair.
func exitCause(c *corev1.Container, t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason == outOfMemory && !c.Resources.Limits.Memory().IsZero():
		return fmt.Sprintf("the kernel killed it, because it needed more memory than its limit of %s", c.Resources.Limits.Memory())
	case t.Reason == outOfMemory:
		return "the kernel killed it, because it needed more memory than there was for it"
	case t.ExitCode == exitNotStarted && t.Message != "":
		return "it could not be started: " + startProblem(t.Message)
	}
	meaning := ExitMeaning(t.ExitCode)
	if meaning == "" {
		return ""
	}
	return fmt.Sprintf("exit code %d: %s", t.ExitCode, meaning)
}
