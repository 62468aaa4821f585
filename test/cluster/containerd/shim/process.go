// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bulkhead-cni/bulkhead/test/cluster/containerd/process"
)

// stdio names the pipes that containerd listens on, empty for none.
type stdio struct {
	in, out, err string
	terminal     bool
}

// started is a process that was prepared, runs, or has ended.
type started struct {
	key
	bundle string
	hyperV bool
	spec   *specs.Spec
	of     *specs.Process
	io     stdio
	begun  time.Time
	done   chan struct{} // closed at the end, after code and at are set
	copied chan struct{} // closed when all input was handed over

	mu    sync.Mutex
	state tasktypes.Status
	busy  bool          // it is being started
	conn  *process.Conn // nil until the process was started
	code  uint32
	at    time.Time
}

func newProcess(k key, spec *specs.Spec, of *specs.Process, io stdio) *started {
	return &started{
		key: k, spec: spec, of: of, io: io, begun: time.Now(), state: tasktypes.Status_CREATED,
		done: make(chan struct{}), copied: make(chan struct{}),
	}
}

// pid is the shim's own: the process has none that Windows knows.
func (p *started) pid() uint32 { return uint32(os.Getpid()) }

// status returns what the process is doing and, once it has ended, how and when.
func (p *started) status() (tasktypes.Status, uint32, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, p.code, p.at
}

// send tells the process something that it may no longer be there for.
func (p *started) send(k process.Kind, n uint32) {
	p.mu.Lock()
	conn := p.conn
	p.mu.Unlock()
	if conn != nil {
		_ = conn.SendNumber(k, n)
	}
}

func (p *started) kill(signal uint32, exited func()) error {
	const term, byKill = 15, 128
	signal = cmp.Or(signal, term)
	p.mu.Lock()
	state, busy := p.state, p.busy
	p.mu.Unlock()
	switch {
	case state == tasktypes.Status_STOPPED:
		return errgrpc.ToGRPCf(errdefs.ErrNotFound, "process %q of container %s has ended", p.exec, p.container)
	case state == tasktypes.Status_CREATED && !busy:
		p.end(byKill+signal, exited)
	default:
		p.send(process.Signal, signal)
	}
	return nil
}

// end notes that the process has ended. Only the first end counts.
func (p *started) end(code uint32, exited func()) {
	p.mu.Lock()
	ended := p.state == tasktypes.Status_STOPPED
	if !ended {
		p.state, p.code, p.at = tasktypes.Status_STOPPED, code, time.Now()
		close(p.done)
	}
	p.mu.Unlock()
	if !ended {
		exited()
	}
}

// request is what the runner is asked for.
func (p *started) request() process.Start {
	out := process.Start{
		Sandbox: sandboxOf(p.spec, p.container), Container: p.container, Exec: p.exec, Hostname: p.spec.Hostname, HyperV: p.hyperV,
		Namespace: networkOf(p.spec),
		Args:      p.of.Args, Env: p.of.Env, Cwd: p.of.Cwd, Terminal: p.io.terminal,
	}
	if len(out.Args) == 0 {
		out.Args = strings.Fields(p.of.CommandLine)
	}
	if p.spec.Annotations[containerType] == "sandbox" {
		out.Args = []string{"/pause"} // whatever the image names
	}
	for _, m := range p.spec.Mounts {
		if shows(m) {
			out.Mounts = append(out.Mounts, process.Mount{Source: m.Source, Destination: m.Destination, ReadOnly: slices.Contains(m.Options, "ro")})
		}
	}
	return out
}

// start has the runner start the process and returns when it runs, or when it ended
// before it did. exited is called at its end.
func (p *started) start(exited func()) error {
	p.mu.Lock()
	ready := p.state == tasktypes.Status_CREATED && !p.busy
	p.busy = true
	p.mu.Unlock()
	if !ready {
		return errgrpc.ToGRPCf(errdefs.ErrFailedPrecondition, "process %q of container %s was started", p.exec, p.container)
	}
	pipes, conn, err := p.connect()
	if err != nil {
		p.mu.Lock()
		p.busy = false
		p.mu.Unlock()
		return err
	}
	p.mu.Lock()
	p.conn, p.state, p.busy = conn, tasktypes.Status_RUNNING, false
	p.mu.Unlock()
	go func() {
		defer close(p.copied)
		if pipes[0] != nil {
			_, _ = io.Copy(conn.Writer(process.Stdin), pipes[0]) // whatever ends it
		}
		p.send(process.CloseStdin, 0)
	}()
	runs := make(chan struct{})
	go func() {
		code := p.receive(pipes[1], pipes[2], sync.OnceFunc(func() { close(runs) }))
		closeAll(pipes[:])
		conn.Close()
		p.end(code, exited)
	}()
	<-runs
	return nil
}

// connect opens the pipes, for containerd waits for somebody at each, and then asks the
// runner.
func (p *started) connect() (pipes [3]io.ReadWriteCloser, conn *process.Conn, err error) {
	defer func() {
		if err != nil {
			closeAll(pipes[:])
		}
	}()
	for i, name := range []string{p.io.in, p.io.out, p.io.err} {
		if name == "" {
			continue
		}
		open := openOutput
		if i == 0 {
			open = openInput
		}
		if pipes[i], err = open(name); err != nil {
			return pipes, nil, fmt.Errorf("open %s: %w", name, err)
		}
	}
	c, err := net.Dial("tcp", os.Getenv(process.AddrVar))
	if err != nil {
		return pipes, nil, fmt.Errorf("ask the node's runner: %w", err)
	}
	request := p.request()
	if err := process.WriteJSON(c, process.Request{Start: &request}); err != nil {
		c.Close()
		return pipes, nil, fmt.Errorf("ask the node's runner: %w", err)
	}
	return pipes, &process.Conn{ReadWriteCloser: c}, nil
}

// receive copies what the process writes until it ends, and returns its exit code.
func (p *started) receive(stdout, stderr io.Writer, started func()) uint32 {
	const lost = 255
	defer started()
	for {
		kind, data, err := p.conn.Receive()
		if err != nil {
			return lost
		}
		switch kind {
		case process.Stdout:
			write(stdout, data)
		case process.Stderr:
			if stderr == nil {
				stderr = stdout
			}
			write(stderr, data)
		case process.Started:
			started()
		case process.Exited:
			code, err := process.Number(data)
			if err != nil {
				return lost
			}
			return code
		}
	}
}

// write passes over a reader that is gone, which is no reason for a process to end.
func write(to io.Writer, data []byte) {
	if to != nil {
		_, _ = to.Write(data)
	}
}

func closeAll(pipes []io.ReadWriteCloser) {
	for _, c := range pipes {
		if c != nil {
			c.Close()
		}
	}
}

// pipeTime is how long opening a pipe may take.
const pipeTime = 5 * time.Second

// statsOf asks the runner what a container uses.
func statsOf(container string) (process.Stats, error) {
	var out process.Stats
	conn, err := net.Dial("tcp", os.Getenv(process.AddrVar))
	if err != nil {
		return out, fmt.Errorf("ask the node's runner: %w", err)
	}
	defer conn.Close()
	if err := process.WriteJSON(conn, process.Request{Stats: container}); err != nil {
		return out, err
	}
	return out, process.ReadJSON(conn, &out)
}
