// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/cgroups/v3/cgroup1/stats"
	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	"github.com/containerd/containerd/v2/pkg/shim"
	"github.com/containerd/fifo"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/bulkhead-cni/bulkhead/test/cluster/containerd/process"
)

// name is the runtime's on Linux nodes.
const name = "io.containerd.bulkhead.v1"

// end leaves the end of this process to Go.
func end() {}

// address is where a pod's shim serves.
func address(ctx context.Context, p *bootapi.BootstrapParams, sandbox string) (string, error) {
	return shim.CreateSocketAddress(ctx, p.GetSocketDir(), p.GetContainerdGrpcAddress(), sandbox, false)
}

// listen has the shim that a command starts serve at an address: containerd connects as soon
// as this process has ended, so the socket is there before.
func listen(cmd *exec.Cmd, address string) error {
	l, err := shim.NewSocket(address)
	if err != nil {
		return err
	}
	f, err := l.File()
	if err != nil {
		return err
	}
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return nil
}

// isHyperV says no.
func isHyperV(*anypb.Any) (bool, error) { return false, nil }

// networkOf returns the file of the pod's network namespace, empty for the node's network.
func networkOf(s *specs.Spec) string {
	if s.Linux == nil {
		return ""
	}
	for _, n := range s.Linux.Namespaces {
		if n.Type == specs.NetworkNamespace {
			return n.Path
		}
	}
	return ""
}

// shows reports whether a mount shows something of the node: the runner knows the others.
func shows(m specs.Mount) bool {
	return slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// usage is what a container uses, as its cgroup would say it.
func usage(got process.Stats, _ time.Time) any {
	return &stats.Metrics{
		CPU:    &stats.CPUStat{Usage: &stats.CPUUsage{Total: got.CPU, User: got.CPU}},
		Memory: &stats.MemoryStat{RSS: got.Memory, Usage: &stats.MemoryEntry{Usage: got.Memory}},
		Pids:   &stats.PidsStat{Current: uint64(len(got.Pids))},
	}
}

// openInput opens a pipe that containerd writes to, openOutput one that it reads.
func openInput(name string) (io.ReadWriteCloser, error) { return open(name, syscall.O_RDONLY) }

func openOutput(name string) (io.ReadWriteCloser, error) { return open(name, syscall.O_WRONLY) }

// open opens a named pipe when the other end is open.
func open(name string, flag int) (io.ReadWriteCloser, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pipeTime)
	defer cancel()
	return fifo.OpenFifo(ctx, name, flag, 0)
}

// reserved is about Windows' pipes.
func reserved(string) (io.Closer, error) { return io.NopCloser(nil), nil }
