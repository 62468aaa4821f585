// SPDX-License-Identifier: Apache-2.0

// Command shim is a runtime shim for containerd, in the place of
// containerd-shim-runhcs-v1, which needs the Host Compute Service, and on Linux nodes of
// containerd-shim-runc-v2. Its containers are Linux processes that the node's runner starts
// (package process). One shim serves a pod.
package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	task "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/shim"
	"github.com/containerd/containerd/v2/pkg/shutdown"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
	"github.com/containerd/ttrpc"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Annotations of containers of a pod (containerd, internal/cri/annotations).
const (
	sandboxID     = "io.kubernetes.cri.sandbox-id"
	containerType = "io.kubernetes.cri.container-type"
)

func main() {
	shim.RunShim(context.Background(), manager{})
	end()
}

func init() { //nolint:gochecknoinits // as all of containerd's plugins register
	registry.Register(&plugin.Registration{
		Type: plugins.TTRPCPlugin, ID: "task",
		Requires: []plugin.Type{plugins.EventPlugin, plugins.InternalPlugin},
		InitFn: func(ic *plugin.InitContext) (any, error) {
			publisher, err := ic.GetByID(plugins.EventPlugin, "publisher")
			if err != nil {
				return nil, err
			}
			ending, err := ic.GetByID(plugins.InternalPlugin, "shutdown")
			if err != nil {
				return nil, err
			}
			const many = 1024 // more than a pod has events while containerd is busy
			s := &service{
				processes: map[key]*started{}, events: publisher.(shim.Publisher), queue: make(chan event, many),
				ending: ending.(shutdown.Service), ctx: ic.Context,
			}
			go s.forward(ic.Properties[plugins.PropertyTTRPCAddress])
			return s, nil
		},
	})
}

// RegisterTTRPC serves the task API.
func (s *service) RegisterTTRPC(server *ttrpc.Server) error { //nolint:unparam // containerd's interface
	task.RegisterTTRPCTaskService(server, s)
	return nil
}

// manager starts and ends shims for containerd.
type manager struct{}

// Name returns the runtime's.
func (manager) Name() string { return name }

// Info tells containerd which runtime this is.
func (manager) Info(context.Context, io.Reader) (*types.RuntimeInfo, error) {
	return &types.RuntimeInfo{Name: name, Version: &types.RuntimeVersion{Version: "emulated"}}, nil
}

// Start starts the pod's shim, or finds it where the container is one of a pod.
func (manager) Start(ctx context.Context, p *bootapi.BootstrapParams) (*bootapi.BootstrapResult, error) {
	spec, err := readSpec(".")
	if err != nil {
		return nil, err
	}
	namespace, err := namespaces.NamespaceRequired(ctx)
	if err != nil {
		return nil, err
	}
	id := p.GetInstanceID()
	at, err := address(ctx, p, sandboxOf(spec, id))
	if err != nil {
		return nil, err
	}
	result := &bootapi.BootstrapResult{Version: 3, Protocol: "ttrpc", Address: at}
	if sandboxOf(spec, id) != id {
		return result, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-namespace", namespace, "-id", id, "-address", p.GetContainerdGrpcAddress())
	cmd.Env = os.Environ()
	if err := listen(cmd, at); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return result, cmd.Process.Release()
}

// Stop is asked about a shim that is gone: its processes were killed with it.
func (manager) Stop(context.Context, string) (shim.StopStatus, error) {
	const killed = 128 + 9
	return shim.StopStatus{ExitedAt: time.Now(), ExitStatus: killed}, nil
}

func readSpec(bundle string) (*specs.Spec, error) {
	text, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		return nil, err
	}
	var s specs.Spec
	return &s, json.Unmarshal(text, &s)
}

// sandboxOf returns the id of the pod's sandbox, which is the container itself where it
// is none of a pod.
func sandboxOf(spec *specs.Spec, id string) string {
	if sandbox := spec.Annotations[sandboxID]; sandbox != "" {
		return sandbox
	}
	return id
}
