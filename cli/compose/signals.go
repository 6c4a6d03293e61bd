package compose

import corev1 "k8s.io/api/core/v1"

// linuxSignals are the names of signals by their numbers on Linux, which is the system of containers,
// wherever the file is read (signal(7), x86 and ARM).
var linuxSignals = [...]corev1.Signal{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
	10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 16: "SIGSTKFLT", 17: "SIGCHLD",
	18: "SIGCONT", 19: "SIGSTOP", 20: "SIGTSTP", 21: "SIGTTIN", 22: "SIGTTOU", 23: "SIGURG", 24: "SIGXCPU", 25: "SIGXFSZ",
	26: "SIGVTALRM", 27: "SIGPROF", 28: "SIGWINCH", 29: "SIGIO", 30: "SIGPWR", 31: "SIGSYS",
}

// linuxSignal is the name of a signal, empty for a number that has none.
func linuxSignal(n int) corev1.Signal {
	if n < 0 || n >= len(linuxSignals) {
		return ""
	}
	return linuxSignals[n]
}
