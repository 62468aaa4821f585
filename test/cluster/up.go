// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/cluster/build"
	"github.com/bulkhead-cni/bulkhead/test/cluster/machine"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
	"github.com/bulkhead-cni/bulkhead/test/cluster/supervisor"
)

// session is a call of the command.
type session struct{ root, name string }

// name is what a cluster may be called: it is a folder, a context and a part of options.
var name = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// check refuses what the session cannot work with.
func (s *session) check() error {
	if !name.MatchString(s.name) {
		return fmt.Errorf("--name %q: want small letters, digits and hyphens, at most 40, a letter first", s.name)
	}
	if strings.ContainsAny(s.root, `:,\\'`) {
		return fmt.Errorf("the repository is in %s, and the options of mounts cannot have such signs; put it elsewhere", s.root)
	}
	return nil
}

// upFlags are those of up.
type upFlags struct {
	nodes, linuxNodes        int
	profile, isolation, conf string
	plugins                  []string
	kubernetes               string
	logLevel                 int
	dsr                      bool
}

// most is how many nodes the outer network has addresses for.
const most = 200

func (s *session) up() *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use: "up", Short: "Build what is missing and start a cluster", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.start(c.Context(), f) },
	}
	f.add(c)
	return c
}

func (f *upFlags) add(c *cobra.Command) {
	c.Flags().IntVar(&f.nodes, "nodes", 2, "`number` of Windows nodes")
	c.Flags().IntVar(&f.linuxNodes, "linux-nodes", 0, "`number` of Linux nodes beside them, which take pods that tolerate the taint of a control plane; for conflists of l2bridge, l2tunnel and overlay")
	c.Flags().StringVar(&f.profile, "profile", "2022", "Windows Server `release`: 2019, 2022, 2025; a list gives each node its own")
	c.Flags().StringVar(&f.isolation, "isolation", "", "`isolation` of the default runtime class: process or hyperv")
	c.Flags().StringVar(&f.conf, "conf", "", "`file` of a conflist, for the first node; the others get the ranges after its (default: plugins/bulkhead/conf/l2bridge.conflist)")
	c.Flags().StringArrayVar(&f.plugins, "plugin", nil, "`exe` of a CNI plugin to have beside bulkhead.exe")
	c.Flags().StringVar(&f.kubernetes, "kubernetes", "", "`version` of Kubernetes to build (default: that of test/cluster/kubernetes/go.mod)")
	c.Flags().BoolVar(&f.dsr, "dsr", false, "have kube-proxy.exe use direct server return, so that backends see a service's clients")
	c.Flags().IntVar(&f.logLevel, "v", 2, "log `level` of kubelet.exe and kube-proxy.exe")
}

func (s *session) builder(kubernetes string) build.Builder {
	return build.Builder{Root: s.root, Kubernetes: kubernetes, Progress: os.Stderr}
}

func (s *session) build() *cobra.Command {
	var kubernetes string
	c := &cobra.Command{
		Use: "build", Short: "Build what a cluster needs and start nothing", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return s.builder(kubernetes).All() },
	}
	c.Flags().StringVar(&kubernetes, "kubernetes", "", "`version` of Kubernetes to build")
	return c
}

// dir returns the cluster's folder.
func (s *session) dir() string { return filepath.Join(s.root, ".build", "cluster", "run", s.name) }

// start starts a cluster and waits until its nodes are ready. Of one that does not come up
// nothing is left but its logs.
func (s *session) start(ctx context.Context, f upFlags) error {
	if f.nodes < 1 || f.nodes > most {
		return fmt.Errorf("--nodes %d: want 1 to %d", f.nodes, most)
	}
	if f.linuxNodes < 0 || f.nodes+f.linuxNodes > most {
		return fmt.Errorf("--linux-nodes %d: want 0 to %d, beside %d Windows nodes", f.linuxNodes, most-f.nodes, f.nodes)
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if s.pid() != 0 {
		return fmt.Errorf("the cluster %s is up; take it down first, or give another --name", s.name)
	}
	b := s.builder(f.kubernetes)
	c, err := s.plan(b, f)
	if err != nil {
		return err // before anything is built
	}
	if err := room(filepath.Dir(c.Dir), len(c.All())); err != nil {
		return err
	}
	if err := b.All(); err != nil {
		return err
	}
	if len(c.LinuxNodes) > 0 {
		if err := b.Linux(); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		return err // what a cluster left that was killed
	}
	for _, dir := range []string{"control", "logs", "netns"} {
		if err := os.MkdirAll(c.In(dir), 0o755); err != nil {
			return err
		}
	}
	if err := c.Save(); err != nil {
		return err
	}
	begun := time.Now()
	cmd, err := launch(c)
	if err != nil {
		return err
	}
	if err := await(ctx, c); err != nil {
		_ = cmd.Process.Kill() // and everything in its namespace
		_ = cmd.Wait()
		return fmt.Errorf("%w\nthe cluster was taken down; its logs are in %s", err, c.In("logs"))
	}
	fmt.Fprintf(os.Stderr, "cluster: %d nodes are Ready after %s\n", len(c.All()), time.Since(begun).Round(100*time.Millisecond))
	fmt.Printf("KUBECONFIG=%s\n", c.In("kubeconfig"))
	return nil
}

// room refuses a disk that has not enough for a cluster: what two nodes with four pods took,
// and some more for logs.
func room(dir string, nodes int) error {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return err
	}
	const mebi = 1 << 20
	need, free := uint64(300+50*nodes)*mebi, disk.Bavail*uint64(disk.Bsize)
	if free < need {
		return fmt.Errorf("%s has %d MiB free, and a cluster of %d nodes needs %d MiB", dir, free/mebi, nodes, need/mebi)
	}
	return nil
}

// plan says what the cluster is to be.
func (s *session) plan(b build.Builder, f upFlags) (spec.Cluster, error) {
	version, err := b.KubernetesVersion()
	if err != nil {
		return spec.Cluster{}, err
	}
	c := spec.Cluster{
		Name: s.name, Dir: s.dir(), Programs: b.Dir(), Root: build.Root(b.Dir()), Version: version,
		Token: rand.Text(), LogLevel: f.logLevel, DSR: f.dsr,
	}
	for _, v := range os.Environ() {
		if (strings.HasPrefix(v, "WINE") || strings.HasPrefix(v, "LC_ALL=")) && !strings.HasPrefix(v, "WINEPREFIX=") {
			c.Wine = append(c.Wine, v)
		}
	}
	file := f.conf
	if file == "" {
		file = filepath.Join(s.root, "plugins/bulkhead/conf/l2bridge.conflist")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return spec.Cluster{}, fmt.Errorf("--conf: %w", err)
	}
	plugins := map[string]string{"bulkhead.exe": c.Program("bulkhead.exe"), "bulkhead-acl.exe": c.Program("bulkhead.exe")}
	for _, path := range f.plugins {
		if plugins[filepath.Base(path)], err = filepath.Abs(path); err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return spec.Cluster{}, fmt.Errorf("--plugin: %w", err)
		}
	}
	profiles := strings.Split(f.profile, ",")
	for i := range f.nodes {
		n := spec.Node{Name: fmt.Sprintf("win%d", i+1), Number: i + 1, Profile: profiles[i%len(profiles)], Plugins: plugins}
		if _, err := hnsemu.ProfileNamed(n.Profile); err != nil {
			return spec.Cluster{}, fmt.Errorf("--profile: %w", err)
		}
		own, err := spec.Renumber(string(text), n.Number)
		if err != nil {
			return spec.Cluster{}, fmt.Errorf("--conf %s: %w", file, err)
		}
		if n.Conf, err = isolated(own, f.isolation); err != nil {
			return spec.Cluster{}, fmt.Errorf("--isolation: %w", err)
		}
		if n.HyperVConf, err = isolated(own, "hyperv"); err != nil {
			return spec.Cluster{}, err
		}
		c.Nodes = append(c.Nodes, n)
	}
	if c.LinuxNodes, err = linuxNodes(string(text), c.Nodes[0], f); err != nil || len(c.LinuxNodes) == 0 {
		return c, err
	}
	for _, dir := range spec.LinuxFolders {
		if strings.HasPrefix(c.Dir, dir+"/") {
			return spec.Cluster{}, fmt.Errorf("--linux-nodes: the repository is in %s, and Linux nodes have a %s of their own; put it elsewhere", s.root, dir)
		}
	}
	return c, nil
}

// linuxNodes says what the Linux nodes are to be beside Windows nodes with a conflist, of
// which one is the first.
func linuxNodes(conflist string, first spec.Node, f upFlags) ([]spec.Node, error) {
	if f.linuxNodes == 0 {
		return nil, nil
	}
	// A nat network's pods are reached by ports of their nodes, and those of a transparent one
	// are on the network between the nodes.
	if _, driver := first.Network(); !driver.HasVFP() {
		return nil, fmt.Errorf("--linux-nodes %d: Linux nodes are for networks of l2bridge, l2tunnel and overlay, and the driver of --conf is %q", f.linuxNodes, driver)
	}
	var out []spec.Node
	for i := range f.linuxNodes {
		n := spec.Node{Name: fmt.Sprintf("linux%d", i+1), Number: f.nodes + i + 1, Linux: true}
		var err error
		if n.Subnets, err = spec.Subnets(conflist, n.Number); err != nil {
			return nil, fmt.Errorf("--linux-nodes: %w", err)
		}
		out = append(out, n)
	}
	return out, nil
}

// isolated returns a conflist whose own plugins have an isolation; empty leaves it alone.
func isolated(conflist, isolation string) (string, error) {
	switch isolation {
	case "":
		return conflist, nil
	case "process", "hyperv":
	default:
		return "", fmt.Errorf("%q is not one of process, hyperv", isolation)
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(conflist), &doc); err != nil {
		return "", err
	}
	plugins, _ := doc["plugins"].([]any)
	for _, p := range plugins {
		if p, ok := p.(map[string]any); ok && strings.HasPrefix(fmt.Sprint(p["type"]), "bulkhead") {
			p["isolation"] = isolation
		}
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	return string(out), err
}

// launch starts the supervisor in namespaces of its own.
func launch(c spec.Cluster) (*exec.Cmd, error) {
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer api.Close()
	commands, err := supervisor.Listen(c.Dir)
	if err != nil {
		return nil, err
	}
	commands.(*net.UnixListener).SetUnlinkOnClose(false)
	defer commands.Close()
	var files []*os.File
	for _, l := range []interface{ File() (*os.File, error) }{api.(*net.TCPListener), commands.(*net.UnixListener)} {
		f, err := l.File()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files = append(files, f)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(c.Log("supervisor"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self, "init", "supervise", "--dir", c.Dir)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, files
	machine.Isolate(cmd, true)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the cluster: %w", err)
	}
	if err := os.WriteFile(c.In("pid"), fmt.Append(nil, cmd.Process.Pid), 0o644); err != nil {
		_ = cmd.Process.Kill() // nobody would find it
		_ = cmd.Wait()
		return nil, err
	}
	return cmd, nil
}

// await waits until everything runs and the nodes are ready, and tells what it waits for.
func await(ctx context.Context, c spec.Cluster) error {
	client, last := supervisor.NewClient(c.Dir), ""
	for {
		st, err := client.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return errors.New("interrupted")
		case err != nil:
			return fmt.Errorf("the cluster has ended: %w; see %s", err, c.Log("supervisor"))
		case st.Failed != "":
			return errors.New(st.Failed)
		}
		if st.State != last {
			last = st.State
			fmt.Fprintf(os.Stderr, "cluster: %s\n", last)
		}
		if last == "running" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "cluster: waiting for the nodes to be Ready")
	for _, n := range c.All() {
		if err := ready(ctx, c, n); err != nil {
			return err
		}
	}
	return nil
}

// readyTime is how long a node may take to be Ready on a busy machine.
const readyTime = 12 * time.Minute

func ready(ctx context.Context, c spec.Cluster, n spec.Node) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		cmd := exec.CommandContext(ctx, c.Program("kubectl"), "--kubeconfig", c.In("kubeconfig"), "get", "node", n.Name,
			"-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		out, err := cmd.Output()
		if err == nil && string(out) == "True" {
			return nil
		}
		if st, err := supervisor.NewClient(c.Dir).Status(ctx); err == nil {
			for _, at := range st.Nodes {
				if at.Name == n.Name && !at.On {
					return fmt.Errorf("the node %s has gone off; see %s", n.Name, c.Log(n.Name))
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the node %s is not Ready (%w); see its logs in %s", n.Name, ctx.Err(), c.In("logs"))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// lock excludes other calls that start or end this cluster.
func (s *session) lock() (unlock func(), err error) {
	path := s.dir() + ".lock"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another call starts or ends the cluster %s", s.name)
	}
	return func() { f.Close() }, nil
}
