// Helper is the only program in the image of the engine tests. Its first argument says what to do.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	what, args := os.Args[1], os.Args[2:]
	switch what {
	case "sleep": // dies of SIGTERM as process 1 too
		await(syscall.SIGTERM)
	case "stubborn": // ignores SIGTERM
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "on": // <signal number> <exit code>
		number, _ := strconv.Atoi(args[0])
		await(syscall.Signal(number))
		exit(args[1])
	case "exit":
		exit(args[0])
	case "say": // to standard output, then to standard error
		fmt.Println(args[0])
		fmt.Fprintln(os.Stderr, args[1])
	case "lines":
		count, _ := strconv.Atoi(args[0])
		for i := range count {
			fmt.Println("line", i)
		}
	case "long": // <bytes> in one line between two short ones
		count, _ := strconv.Atoi(args[0])
		fmt.Println("before")
		fmt.Println(strings.Repeat("x", count))
		fmt.Println("after")
	case "echo": // copies input to output until it ends
		n, _ := io.Copy(os.Stdout, os.Stdin)
		fmt.Println("bytes", n)
	case "ask": // answers each line of input until it is "bye"
		fmt.Println("asking")
		for in := bufio.NewScanner(os.Stdin); in.Scan() && in.Text() != "bye"; {
			fmt.Printf("heard %q\n", in.Text())
		}
	case "size": // prints the terminal's size at each change, until it is 123 columns wide
		size()
	case "write": // <path> <text>
		check(os.WriteFile(args[0], []byte(args[1]), 0o644))
	case "read": // <path>
		content, err := os.ReadFile(args[0])
		check(err)
		fmt.Print(string(content))
	case "list": // <path>
		entries, err := os.ReadDir(args[0])
		check(err)
		for _, e := range entries {
			fmt.Print(e.Name())
		}
	case "link": // <target> <path>
		check(os.Symlink(args[0], args[1]))
	case "environment":
		name, _ := os.Hostname()
		dir, _ := os.Getwd()
		groups, _ := os.Getgroups()
		fmt.Println(strings.Join(args, " "), os.Getenv("GREETING"), name, dir, os.Getuid(), groups)
	case "eat": // memory, until it is killed, after a while
		wait, err := time.ParseDuration(args[0])
		check(err)
		time.Sleep(wait)
		var eaten [][]byte
		for {
			piece := make([]byte, 1<<20)
			for i := 0; i < len(piece); i += 4096 {
				piece[i] = 1
			}
			eaten = append(eaten, piece)
		}
	case "orphan": // leaves a child that outlives it a little
		check(exec.Command(os.Args[0], "nap").Start())
	case "zombies": // counts the dead that nobody has taken in, once the nap is over
		for count("nap", "") > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Println("zombies", count("", "Z"))
	case "count": // processes of this program doing <what>
		fmt.Println(count(args[0], ""))
	case "nap":
		time.Sleep(50 * time.Millisecond)
	default:
		fmt.Fprintln(os.Stderr, "what is", what)
		os.Exit(64)
	}
}

// count looks in /proc for processes of this program with that first argument, or in that state.
func count(argument, state string) int {
	found := 0
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		command, _ := os.ReadFile(dir + "/cmdline")
		status, _ := os.ReadFile(dir + "/stat")
		words := strings.Split(string(command), "\x00")
		if argument != "" && len(words) > 1 && words[1] == argument {
			found++
		}
		if state != "" && strings.Contains(string(status), ") "+state+" ") {
			found++
		}
	}
	return found
}

func await(s os.Signal) {
	came := make(chan os.Signal, 1)
	signal.Notify(came, s)
	fmt.Println("ready")
	<-came
}

func size() {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	for {
		rows, columns := terminal()
		fmt.Println("size", columns, rows)
		if columns == 123 {
			return
		}
		<-changed
	}
}

func exit(code string) {
	n, err := strconv.Atoi(code)
	check(err)
	os.Exit(n)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
