// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/Microsoft/go-winio"
	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options"
	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/stats"
	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/windows"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/bulkhead-cni/bulkhead/test/cluster/containerd/process"
)

// name is the runtime's, which the node's containerd calls runhcs.
const name = "io.containerd.runhcs.v1"

// end ends this process at once: under Wine, on a busy machine, one in some hundred processes
// hangs in ExitProcess, and containerd waits for it for ever.
func end() {
	fmt.Fprintln(os.Stderr, windows.TerminateProcess(windows.CurrentProcess(), 0))
}

// address is where a pod's shim serves.
func address(ctx context.Context, _ *bootapi.BootstrapParams, sandbox string) (string, error) {
	namespace, err := namespaces.NamespaceRequired(ctx)
	return fmt.Sprintf(`\\.\pipe\bulkhead-shim-%s-%s`, namespace, sandbox), err
}

// listen has the shim that a command starts serve at an address.
func listen(cmd *exec.Cmd, address string) error {
	cmd.Args = append(cmd.Args, "-socket", address)
	return nil
}

// isHyperV reads the isolation from the runtime's options, which are runhcs'.
func isHyperV(given *anypb.Any) (bool, error) {
	if given == nil {
		return false, nil
	}
	var of options.Options
	if err := given.UnmarshalTo(&of); err != nil {
		return false, errgrpc.ToGRPCf(errdefs.ErrInvalidArgument, "options of the runtime: %v", err)
	}
	return of.SandboxIsolation == options.Options_HYPERVISOR, nil
}

// networkOf returns the pod's HCN namespace, empty for the node's network.
func networkOf(s *specs.Spec) string {
	if w := s.Windows; w != nil && w.Network != nil && s.Annotations["microsoft.com/hostprocess-container"] != "true" {
		return w.Network.NetworkNamespace
	}
	return ""
}

// shows reports whether a mount shows something of the node.
func shows(specs.Mount) bool { return true }

// usage is what a container that began then uses, as runhcs says it.
func usage(got process.Stats, begun time.Time) any {
	now := timestamppb.Now()
	return &stats.Statistics{Container: &stats.Statistics_Windows{Windows: &stats.WindowsContainerStatistics{
		Timestamp: now, ContainerStartTime: timestamppb.New(begun), UptimeNS: uint64(now.AsTime().Sub(begun)),
		Processor: &stats.WindowsContainerProcessorStatistics{TotalRuntimeNS: got.CPU, RuntimeUserNS: got.CPU},
		Memory: &stats.WindowsContainerMemoryStatistics{
			MemoryUsageCommitBytes: got.Memory, MemoryUsageCommitPeakBytes: got.Memory, MemoryUsagePrivateWorkingSetBytes: got.Memory,
		},
		Storage: &stats.WindowsContainerStorageStatistics{},
	}}}
}

// openInput and openOutput connect to a pipe of go-winio. Under Wine the first client reaches
// the instance that only reserves the name, to which Windows would let nobody connect.
func openInput(name string) (io.ReadWriteCloser, error) {
	first, err := dial(name)
	if err != nil {
		return nil, err
	}
	defer first.Close()
	return dial(name)
}

func openOutput(name string) (io.ReadWriteCloser, error) { return openInput(name) }

// reserved connects to the instance of a pipe that reserves its name.
func reserved(pipe string) (io.Closer, error) { return dial(pipe) }

func dial(name string) (io.ReadWriteCloser, error) {
	timeout := pipeTime
	return winio.DialPipe(name, &timeout)
}
