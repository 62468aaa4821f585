// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"os"
	"sync"

	eventstypes "github.com/containerd/containerd/api/events"
	task "github.com/containerd/containerd/api/runtime/task/v3"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/runtime"
	"github.com/containerd/containerd/v2/pkg/shim"
	"github.com/containerd/containerd/v2/pkg/shutdown"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/bulkhead-cni/bulkhead/test/cluster/containerd/process"
)

// key names a process: exec is empty for a container's own.
type key struct{ container, exec string }

// service is containerd's task API (runtime v2) for the containers of a pod.
type service struct {
	events shim.Publisher
	queue  chan event
	ending shutdown.Service
	ctx    context.Context

	mu        sync.Mutex
	processes map[key]*started
}

func (s *service) get(container, exec string) (*started, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.processes[key{container, exec}]; p != nil {
		return p, nil
	}
	return nil, errgrpc.ToGRPCf(errdefs.ErrNotFound, "process %q of container %s", exec, container)
}

func (s *service) put(p *started) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.processes[p.key] != nil {
		return errgrpc.ToGRPCf(errdefs.ErrAlreadyExists, "process %q of container %s", p.exec, p.container)
	}
	s.processes[p.key] = p
	return nil
}

// event is something that containerd is to be told.
type event struct {
	topic string
	what  any
}

// publish tells containerd, in the order of the calls, without making the caller wait.
// Where containerd is gone it asks for the state when it is back: what nobody takes is
// dropped.
func (s *service) publish(topic string, what any) {
	select {
	case s.queue <- event{topic, what}:
	default:
	}
}

// forward tells containerd, at that pipe, what was published, for as long as the shim
// lives.
func (s *service) forward(pipe string) {
	reserves, err := reserved(pipe)
	if err == nil {
		defer reserves.Close() // the next one reaches containerd
	}
	for e := range s.queue {
		_ = s.events.Publish(s.ctx, e.topic, e.what)
	}
}

// Create prepares a container. Its process starts with Start.
func (s *service) Create(_ context.Context, r *task.CreateTaskRequest) (*task.CreateTaskResponse, error) {
	spec, err := readSpec(r.Bundle)
	if err != nil {
		return nil, err
	}
	p := newProcess(key{r.ID, ""}, spec, spec.Process, stdio{r.Stdin, r.Stdout, r.Stderr, r.Terminal})
	p.bundle = r.Bundle
	if p.hyperV, err = isHyperV(r.Options); err != nil {
		return nil, err
	}
	if err := s.put(p); err != nil {
		return nil, err
	}
	s.publish(runtime.TaskCreateEventTopic, &eventstypes.TaskCreate{ContainerID: r.ID, Bundle: r.Bundle, Pid: p.pid()})
	return &task.CreateTaskResponse{Pid: p.pid()}, nil
}

// Exec prepares a further process in a container.
func (s *service) Exec(_ context.Context, r *task.ExecProcessRequest) (*emptypb.Empty, error) {
	main, err := s.get(r.ID, "")
	if err != nil {
		return nil, err
	}
	var of specs.Process
	if err := json.Unmarshal(r.Spec.GetValue(), &of); err != nil {
		return nil, errgrpc.ToGRPCf(errdefs.ErrInvalidArgument, "process: %v", err)
	}
	p := newProcess(key{r.ID, r.ExecID}, main.spec, &of, stdio{r.Stdin, r.Stdout, r.Stderr, r.Terminal})
	p.bundle = main.bundle
	if err := s.put(p); err != nil {
		return nil, err
	}
	s.publish(runtime.TaskExecAddedEventTopic, &eventstypes.TaskExecAdded{ContainerID: r.ID, ExecID: r.ExecID})
	return &emptypb.Empty{}, nil
}

// Start starts a container's process, or one that Exec prepared.
func (s *service) Start(_ context.Context, r *task.StartRequest) (*task.StartResponse, error) {
	p, err := s.get(r.ID, r.ExecID)
	if err != nil {
		return nil, err
	}
	// The end is told after the start, however short the process is.
	told := make(chan struct{})
	defer close(told)
	if err := p.start(func() { go func() { <-told; s.exited(p) }() }); err != nil {
		return nil, err
	}
	if r.ExecID == "" {
		s.publish(runtime.TaskStartEventTopic, &eventstypes.TaskStart{ContainerID: r.ID, Pid: p.pid()})
	} else {
		s.publish(runtime.TaskExecStartedEventTopic, &eventstypes.TaskExecStarted{ContainerID: r.ID, ExecID: r.ExecID, Pid: p.pid()})
	}
	return &task.StartResponse{Pid: p.pid()}, nil
}

func (s *service) exited(p *started) {
	id := p.exec
	if id == "" {
		id = p.container
	}
	_, code, at := p.status()
	s.publish(runtime.TaskExitEventTopic, &eventstypes.TaskExit{
		ContainerID: p.container, ID: id, Pid: p.pid(), ExitStatus: code, ExitedAt: timestamppb.New(at),
	})
}

// Kill sends a signal. A process that never started ends by it.
func (s *service) Kill(_ context.Context, r *task.KillRequest) (*emptypb.Empty, error) {
	p, err := s.get(r.ID, r.ExecID)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, p.kill(r.Signal, func() { s.exited(p) })
}

// Delete forgets a process that has ended or never started.
func (s *service) Delete(_ context.Context, r *task.DeleteRequest) (*task.DeleteResponse, error) {
	p, err := s.get(r.ID, r.ExecID)
	if err != nil {
		return nil, err
	}
	status, code, at := p.status()
	if status == tasktypes.Status_RUNNING {
		return nil, errgrpc.ToGRPCf(errdefs.ErrFailedPrecondition, "process %q of container %s runs", r.ExecID, r.ID)
	}
	s.mu.Lock()
	for k := range s.processes {
		// With a container go those that nobody deleted.
		if k == p.key || r.ExecID == "" && k.container == r.ID {
			delete(s.processes, k)
		}
	}
	s.mu.Unlock()
	if r.ExecID == "" {
		s.publish(runtime.TaskDeleteEventTopic, &eventstypes.TaskDelete{
			ContainerID: r.ID, Pid: p.pid(), ExitStatus: code, ExitedAt: timestamppb.New(at),
		})
	}
	return &task.DeleteResponse{Pid: p.pid(), ExitStatus: code, ExitedAt: timestamppb.New(at)}, nil
}

// State tells of a process.
func (s *service) State(_ context.Context, r *task.StateRequest) (*task.StateResponse, error) {
	p, err := s.get(r.ID, r.ExecID)
	if err != nil {
		return nil, err
	}
	status, code, at := p.status()
	return &task.StateResponse{
		ID: r.ID, ExecID: r.ExecID, Bundle: p.bundle, Pid: p.pid(), Status: status,
		Stdin: p.io.in, Stdout: p.io.out, Stderr: p.io.err, Terminal: p.io.terminal,
		ExitStatus: code, ExitedAt: timestamppb.New(at),
	}, nil
}

// Wait waits for the end of a process.
func (s *service) Wait(ctx context.Context, r *task.WaitRequest) (*task.WaitResponse, error) {
	p, err := s.get(r.ID, r.ExecID)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.done:
		_, code, at := p.status()
		return &task.WaitResponse{ExitStatus: code, ExitedAt: timestamppb.New(at)}, nil
	case <-ctx.Done():
		return nil, errgrpc.ToGRPC(ctx.Err())
	}
}

// Pids lists the processes in a container.
func (s *service) Pids(_ context.Context, r *task.PidsRequest) (*task.PidsResponse, error) {
	got, err := statsOf(r.ID)
	if err != nil {
		return nil, err
	}
	var out task.PidsResponse
	for _, pid := range got.Pids {
		out.Processes = append(out.Processes, &tasktypes.ProcessInfo{Pid: pid})
	}
	return &out, nil
}

// Stats tells what a container uses, as the platform's own runtime does.
func (s *service) Stats(_ context.Context, r *task.StatsRequest) (*task.StatsResponse, error) {
	p, err := s.get(r.ID, "")
	if err != nil {
		return nil, err
	}
	got, err := statsOf(r.ID)
	if err != nil {
		return nil, err
	}
	any, err := typeurl.MarshalAnyToProto(usage(got, p.begun))
	return &task.StatsResponse{Stats: any}, err
}

// CloseIO returns when a process has got all of its standard input: containerd has closed
// the pipe by then.
func (s *service) CloseIO(ctx context.Context, r *task.CloseIORequest) (*emptypb.Empty, error) {
	p, err := s.get(r.ID, r.ExecID)
	if err != nil || !r.Stdin {
		return &emptypb.Empty{}, err
	}
	select {
	case <-p.copied:
	case <-p.done:
	case <-ctx.Done():
		return nil, errgrpc.ToGRPC(ctx.Err())
	}
	return &emptypb.Empty{}, nil
}

// ResizePty tells a process the size of its terminal.
func (s *service) ResizePty(_ context.Context, r *task.ResizePtyRequest) (*emptypb.Empty, error) {
	p, err := s.get(r.ID, r.ExecID)
	if err != nil {
		return nil, err
	}
	p.send(process.Resize, r.Width<<16|r.Height&0xffff)
	return &emptypb.Empty{}, nil
}

// Connect tells which process serves a container.
func (s *service) Connect(context.Context, *task.ConnectRequest) (*task.ConnectResponse, error) {
	self := uint32(os.Getpid())
	return &task.ConnectResponse{ShimPid: self, TaskPid: self, Version: "emulated"}, nil
}

// Shutdown ends the shim when it has no more processes.
func (s *service) Shutdown(_ context.Context, r *task.ShutdownRequest) (*emptypb.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Now || len(s.processes) == 0 {
		s.ending.Shutdown()
	}
	return &emptypb.Empty{}, nil
}

// Update changes nothing: what a container may use is not limited.
func (s *service) Update(context.Context, *task.UpdateTaskRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

var errUnknown = errgrpc.ToGRPCf(errdefs.ErrNotImplemented, "Windows containers cannot do that")

// Pause fails, as with runhcs for process-isolated containers.
func (s *service) Pause(context.Context, *task.PauseRequest) (*emptypb.Empty, error) {
	return nil, errUnknown
}

// Resume fails, as Pause.
func (s *service) Resume(context.Context, *task.ResumeRequest) (*emptypb.Empty, error) {
	return nil, errUnknown
}

// Checkpoint fails, as with runhcs.
func (s *service) Checkpoint(context.Context, *task.CheckpointTaskRequest) (*emptypb.Empty, error) {
	return nil, errUnknown
}
