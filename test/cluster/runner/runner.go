// SPDX-License-Identifier: Apache-2.0

// Package runner runs Linux processes in the place of a Windows node's containers: each in
// a file tree, mounts and process ids of its own, those of a pod in the network namespace
// that the data plane makes of the pod's HCN namespace. It runs those of a Linux node, too.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/cluster/containerd/process"
)

// Runner runs the containers of a node. It must be in the node's network namespace, and in
// a mount namespace that ends with it.
type Runner struct {
	// Dir is a folder for what it needs, Root the file tree of all containers, Drive the
	// folder that is the node's drive C.
	Dir, Root, Drive string
	// HNS is the node's, as its operator sees it. A Linux node has none: its pods' network
	// namespaces are named by their files.
	HNS hnsemu.Control
	// Netns returns the file of the network namespace of an HCN namespace that has a
	// compartment.
	Netns func(id string) string

	mu         sync.Mutex
	pods       map[string]*pod
	containers map[string]*container
}

// Serve runs what the clients of a listener ask for, until ctx ends.
func (r *Runner) Serve(ctx context.Context, l net.Listener) error {
	r.pods, r.containers = map[string]*pod{}, map[string]*container{}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return err
	}
	// A tmpfs, since an overlay cannot be the upper layer of another.
	if err := unix.Mount("tmpfs", r.Dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", r.Dir, err)
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go func() {
			defer c.Close()
			if err := r.serve(c); err != nil {
				log.Printf("runner: %v", err)
			}
		}()
	}
}

func (r *Runner) serve(c net.Conn) error {
	var q process.Request
	if err := process.ReadJSON(c, &q); err != nil {
		return err
	}
	if q.Stats != "" {
		return process.WriteJSON(c, r.stats(q.Stats))
	}
	if q.Start == nil {
		return errors.New("a request for nothing")
	}
	conn := &process.Conn{ReadWriteCloser: c}
	var code int
	var err error
	switch s := *q.Start; {
	case s.Exec != "":
		code, err = r.exec(s, conn)
	default:
		code, err = r.run(s, conn)
	}
	if err != nil {
		// As a runtime would say it: what kubectl shows of a container that cannot start.
		_ = conn.Send(process.Stderr, []byte(err.Error()+"\n"))
		log.Printf("runner: container %.12s %q: %v", q.Start.Container, q.Start.Args, err)
	}
	return conn.SendNumber(process.Exited, uint32(code))
}

// podOf returns the pod of a container, which is made for the sandbox.
func (r *Runner) podOf(s process.Start) (*pod, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pods[s.Sandbox]; p != nil {
		return p, nil
	}
	if s.Container != s.Sandbox {
		return nil, fmt.Errorf("the sandbox %s does not run", s.Sandbox)
	}
	p, err := r.newPod(s)
	if err != nil {
		return nil, err
	}
	r.pods[s.Sandbox] = p
	return p, nil
}

// run runs a container until it ends.
func (r *Runner) run(s process.Start, conn *process.Conn) (int, error) {
	const cannotRun = 128
	p, err := r.podOf(s)
	if err != nil {
		return cannotRun, err
	}
	if s.Container == s.Sandbox {
		defer r.removePod(s.Sandbox)
	}
	c := &container{pod: p, dir: filepath.Join(r.Dir, s.Container)}
	defer os.RemoveAll(c.dir)
	if err := c.prepare(r, s); err != nil {
		return cannotRun, err
	}
	defer c.volumes.stop()
	begun := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.containers[s.Container] = c
	}
	if err := c.start(s, conn, begun); err != nil {
		return cannotRun, err
	}
	defer func() {
		r.mu.Lock()
		delete(r.containers, s.Container)
		r.mu.Unlock()
	}()
	return c.wait(), nil
}

// exec runs a further process in a container until it ends.
func (r *Runner) exec(s process.Start, conn *process.Conn) (int, error) {
	const notThere = 126
	r.mu.Lock()
	c := r.containers[s.Container]
	r.mu.Unlock()
	if c == nil {
		return notThere, fmt.Errorf("the container %s does not run", s.Container)
	}
	return c.exec(s, conn)
}

func (r *Runner) stats(id string) process.Stats {
	r.mu.Lock()
	c := r.containers[id]
	r.mu.Unlock()
	if c == nil {
		return process.Stats{}
	}
	return c.stats()
}
