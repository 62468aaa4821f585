// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/test/cluster/containerd/process"
)

// container is a container that runs.
type container struct {
	pod     *pod
	dir     string
	tree    tree
	volumes *volumes
	cmd     *exec.Cmd
	done    chan int // has the exit code
}

// outputTime is how long what a process left behind may hold its output open.
const outputTime = 2 * time.Second

// prepare makes the container's file tree ready to be mounted.
func (c *container) prepare(r *Runner, s process.Start) error {
	c.tree = tree{
		Lower: r.Root, Dir: c.dir, NetNS: c.pod.netns, Hostname: c.pod.hostname, Resolv: c.pod.resolv,
		Cwd: inContainer(s.Cwd), Args: s.Args, Env: environment(s.Env),
	}
	if len(s.Args) == 0 {
		return errors.New("neither the pod nor the image says what to run")
	}
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(c.dir, dir), 0o755); err != nil {
			return err
		}
	}
	c.volumes = newVolumes(filepath.Join(c.dir, "volumes"))
	for _, m := range s.Mounts {
		source, err := c.volumes.mount(onNode(r.Drive, m.Source))
		if err != nil {
			c.volumes.stop()
			return fmt.Errorf("mount %s: %w", m.Source, err)
		}
		c.tree.Mounts = append(c.tree.Mounts, bind{source, inContainer(m.Destination), m.ReadOnly})
	}
	return nil
}

// start starts the container's process. It calls begun when the program runs in the
// container's own tree, so that nobody enters before, or when it never will.
func (c *container) start(s process.Start, conn *process.Conn, begun func()) error {
	spec, err := json.Marshal(c.tree)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.cmd = exec.Command(self, TreeVerb)
	c.cmd.Env = []string{treeVar + "=" + string(spec)}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC}
	c.done = make(chan int, 1)
	// The end of this is the program's start: it is closed there.
	entering, entered, err := os.Pipe()
	if err != nil {
		return err
	}
	defer entering.Close()
	defer entered.Close()
	c.cmd.ExtraFiles = []*os.File{entered}
	return attach(c.cmd, s.Terminal, conn, func() {
		entered.Close()
		_, _ = entering.Read(make([]byte, 1)) // nothing is ever written
		begun()
	}, func(code int) { c.done <- code })
}

// wait waits for the end of the container's process, and returns its exit code.
func (c *container) wait() int { return <-c.done }

// exec runs a further process in the container and returns its exit code.
func (c *container) exec(s process.Start, conn *process.Conn) (int, error) {
	const notFound = 126
	if len(s.Args) == 0 {
		return notFound, errors.New("no program to run")
	}
	args := []string{"--target", strconv.Itoa(c.cmd.Process.Pid), "--mount", "--net", "--pid", "--uts", "--ipc", "--root", "--wdns=" + inContainer(s.Cwd), "--"}
	cmd := exec.Command("nsenter", append(args, s.Args...)...)
	cmd.Env = environment(s.Env)
	done := make(chan int, 1)
	if err := attach(cmd, s.Terminal, conn, func() {}, func(code int) { done <- code }); err != nil {
		return notFound, err
	}
	return <-done, nil
}

// attach starts a process whose input, output and signals are a connection's. It calls
// begun before it tells the connection that the process has started, and ended with its
// exit code.
func attach(cmd *exec.Cmd, terminal bool, conn *process.Conn, begun func(), ended func(int)) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	var input io.WriteCloser
	var console *os.File
	copied := make(chan struct{})
	if terminal {
		cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
		var err error
		if console, err = pty.StartWithAttrs(cmd, nil, cmd.SysProcAttr); err != nil {
			return err
		}
		input = console
		go func() {
			defer close(copied)
			_, _ = io.Copy(conn.Writer(process.Stdout), console) // ends with EIO
		}()
	} else {
		cmd.SysProcAttr.Setpgid = true
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = conn.Writer(process.Stdout), conn.Writer(process.Stderr), outputTime
		var err error
		if input, err = cmd.StdinPipe(); err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		close(copied)
	}
	begun()
	group := &group{pid: cmd.Process.Pid}
	if err := conn.SendNumber(process.Started, uint32(cmd.Process.Pid)); err != nil {
		group.kill(syscall.SIGKILL)
	}
	go control(group, conn, input, console)
	go func() {
		_ = cmd.Wait() // the state says how it ended
		group.ended.Store(true)
		select {
		case <-copied:
		case <-time.After(outputTime):
		}
		if console != nil {
			console.Close()
		}
		ended(exitCode(cmd.ProcessState))
	}()
	return nil
}

// group is the process group of a process.
type group struct {
	pid   int
	ended atomic.Bool // the process has: its number may be another's
}

func (g *group) kill(s syscall.Signal) {
	if !g.ended.Load() {
		_ = syscall.Kill(-g.pid, s) // it may have ended just now
	}
}

// control carries out what the connection asks for. Its end kills the process.
func control(g *group, conn *process.Conn, input io.WriteCloser, console *os.File) {
	written := newInput(input, console == nil)
	defer written.end()
	for {
		kind, data, err := conn.Receive()
		if err != nil {
			g.kill(syscall.SIGKILL)
			return
		}
		switch kind {
		case process.Stdin:
			written.add(data)
		case process.CloseStdin:
			written.end()
		case process.Signal:
			if n, err := process.Number(data); err == nil {
				g.kill(asOnWindows(g.pid, syscall.Signal(n)))
			}
		case process.Resize:
			if n, err := process.Number(data); err == nil && console != nil {
				_ = pty.Setsize(console, &pty.Winsize{Cols: uint16(n >> 16), Rows: uint16(n)})
			}
		}
	}
}

// asOnWindows returns what to send for a signal: the first process of a process id namespace
// is not ended by one that it does not handle, and a Windows program would be.
func asOnWindows(pid int, s syscall.Signal) syscall.Signal {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return s
	}
	_, after, _ := strings.Cut(string(status), "\nSigCgt:")
	line, _, _ := strings.Cut(after, "\n")
	if caught, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64); err == nil && caught&(1<<(s-1)) == 0 {
		return syscall.SIGKILL
	}
	return s
}

func exitCode(s *os.ProcessState) int {
	const lost, bySignal = 255, 128
	if s == nil {
		return lost
	}
	status, ok := s.Sys().(syscall.WaitStatus)
	switch {
	case !ok:
		return lost
	case status.Signaled():
		return bySignal + int(status.Signal())
	default:
		return status.ExitStatus()
	}
}

// environment returns a pod's variables, with the path of Linux programs in the place of
// Windows'.
func environment(of []string) []string {
	out := []string{"PATH=/bin:/usr/bin:/usr/local/bin:/", "HOME=/root"}
	for _, v := range of {
		name, _, _ := strings.Cut(v, "=")
		if !strings.EqualFold(name, "PATH") {
			out = append(out, v)
		}
	}
	return out
}

// stats adds up what the processes of the container use, by proc(5).
func (c *container) stats() process.Stats {
	var out process.Stats
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.cmd.Process.Pid))
	if err != nil {
		return out // it has ended
	}
	namespaces, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, file := range namespaces {
		if ns, err := os.Readlink(file); err != nil || ns != own {
			continue
		}
		dir := filepath.Dir(filepath.Dir(file))
		pid, _ := strconv.Atoi(filepath.Base(dir))
		text, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		// The fields after the name in brackets: state is the third of all.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		const user, system, resident, tick = 14 - 3, 15 - 3, 24 - 3, uint64(time.Second / 100)
		if len(fields) <= resident {
			continue
		}
		number := func(i int) uint64 { n, _ := strconv.ParseUint(fields[i], 10, 64); return n }
		// Ticks miss what a process does that sleeps most of the time, and the scheduler's
		// nanoseconds are those of its first thread.
		nanoseconds, _ := os.ReadFile(filepath.Join(dir, "schedstat"))
		running, _, _ := strings.Cut(string(nanoseconds), " ")
		first, _ := strconv.ParseUint(running, 10, 64)
		out.CPU += max((number(user)+number(system))*tick, first)
		out.Memory += number(resident) * uint64(os.Getpagesize())
		out.Pids = append(out.Pids, uint32(pid))
	}
	return out
}
