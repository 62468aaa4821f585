// SPDX-License-Identifier: Apache-2.0

// Package node is an emulated Windows machine: containerd.exe, kubelet.exe and
// kube-proxy.exe under Wine, and the runner of its containers; or one of Linux, with the same
// programs for Linux. It runs as a process in the machine's own process id, mount and network
// namespaces, with which all of it ends.
package node

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/wire"
	"github.com/bulkhead-cni/bulkhead/test/cluster/build"
	"github.com/bulkhead-cni/bulkhead/test/cluster/containerd/process"
	"github.com/bulkhead-cni/bulkhead/test/cluster/runner"
	"github.com/bulkhead-cni/bulkhead/test/cluster/service"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// Agent starts the machine's programs and restarts them when it is asked to.
type Agent struct {
	Cluster spec.Cluster
	Node    spec.Node

	mu                  sync.Mutex
	containerd, kubelet *service.Service
}

// Programs that can be restarted, as they are asked for.
const (
	Containerd = "containerd-restart"
	Kubelet    = "kubelet-restart"
)

// Run boots the machine and serves until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	install, boot := a.install, a.boot
	if a.Node.Linux {
		install, boot = a.installLinux, a.bootLinux
	}
	if err := install(); err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- a.runContainers(ctx) }()
	go func() { failed <- a.serve(ctx) }()
	booting, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	if err := boot(booting); err != nil {
		return err
	}
	log.Printf("%s has booted", a.Node.Name)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (a *Agent) in(elem ...string) string {
	return a.Cluster.In(append([]string{a.Node.Name}, elem...)...)
}

// template is the Wine prefix that every node begins with.
func (a *Agent) template() string { return filepath.Join(filepath.Dir(a.Cluster.Programs), "wine") }

// mount shows the node's own prefix: the template with what the node has changed.
func (a *Agent) mount() error {
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", a.template(), a.in("upper"), a.in("work"))
	if err := unix.Mount("overlay", a.in("prefix"), "overlay", 0, options); err != nil {
		return fmt.Errorf("mount the node's drive C in %s: %w; the folder must be on a file system that overlayfs can write to, such as ext4", a.Cluster.Dir, err)
	}
	return nil
}

// runContainers serves the runtime shims.
func (a *Agent) runContainers(ctx context.Context) error {
	r := &runner.Runner{Dir: a.in("pods"), Root: a.Cluster.Root}
	if !a.Node.Linux {
		hns, err := wire.Dial(fmt.Sprintf("127.0.0.1:%d", spec.HNSPort))
		if err != nil {
			return err
		}
		defer hns.Close()
		r.Drive, r.HNS, r.Netns = a.Cluster.Drive(a.Node), hns, func(id string) string { return a.Cluster.PodNetNS(a.Node, id) }
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", spec.RunnerPort))
	if err != nil {
		return err
	}
	return r.Serve(ctx, l)
}

// serve restarts programs for the supervisor, and serves images.
func (a *Agent) serve(ctx context.Context) error {
	archive := build.Images(a.Cluster.Programs)
	if a.Node.Linux {
		archive = build.LinuxImages(a.Cluster.Programs)
	}
	images, err := openRegistry(archive)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /v2/", images)
	mux.HandleFunc("POST /{verb}", func(w http.ResponseWriter, q *http.Request) {
		if err := a.restart(q.PathValue("verb")); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	server := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", spec.AgentPort), Handler: mux, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	return server.ListenAndServe()
}

func (a *Agent) restart(verb string) error {
	var s *service.Service
	a.mu.Lock()
	defer a.mu.Unlock()
	switch verb {
	case Containerd:
		s = a.containerd
	case Kubelet:
		s = a.kubelet
	default:
		return fmt.Errorf("no verb %q", verb)
	}
	if s == nil {
		return fmt.Errorf("%s has not booted yet", a.Node.Name)
	}
	s.Stop(0)
	return s.Start()
}

// env returns the variables of the node's Windows programs.
func (a *Agent) env(more ...string) []string {
	out := append([]string{}, a.Cluster.Wine...)
	for i, v := range out {
		if overrides, ok := strings.CutPrefix(v, "WINEDLLOVERRIDES="); ok {
			out[i] = "WINEDLLOVERRIDES=" + build.Overrides + ";" + overrides
		}
	}
	return append(append(out,
		"WINEPREFIX="+a.in("prefix"), "TMPDIR="+a.in("tmp"),
		fmt.Sprintf("HNSEMU_ADDR=127.0.0.1:%d", spec.HNSPort),
		fmt.Sprintf("%s=127.0.0.1:%d", process.AddrVar, spec.RunnerPort),
	), more...)
}

// lookup returns a variable of Wine's.
func (a *Agent) lookup(name string) string {
	for _, v := range a.Cluster.Wine {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// wine returns the command line of a Windows program.
func (a *Agent) wine(program string, args ...string) []string {
	return append(append(strings.Fields(a.lookup("WINELAUNCHER")), a.lookup("WINELOADER"), program), args...)
}

// once runs a Windows program until it ends, with its output in the node's log of that name.
func (a *Agent) once(ctx context.Context, name string, env []string, program string, args ...string) error {
	line := a.wine(program, args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), env...)
	out, err := os.OpenFile(a.log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w; see %s", filepath.Base(program), err, a.log(name))
	}
	return nil
}

func (a *Agent) log(name string) string { return a.Cluster.Log(a.Node.Name + "-" + name) }

// program starts a Windows program that is kept running.
func (a *Agent) program(name string, env []string, exe string, args ...string) (*service.Service, error) {
	return service.Start(service.Program{Name: name, Args: a.wine(a.Cluster.Program(exe), args...), Env: a.env(env...), Log: a.log(name), Dir: "/"})
}

// listens waits until something listens at an address of the node.
func listens(ctx context.Context, network, address string) error {
	for {
		c, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", address, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
