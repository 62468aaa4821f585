// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/wire"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// runtimeTime bounds one call of the program that plays containerd.
const runtimeTime = 3 * time.Minute

// pod is a pod of the demo.
type pod struct {
	name, id, netns string
}

// node is an emulated Windows node, served on loopback to programs under Wine.
type node struct {
	options
	driver    hns.Driver
	isolation hns.Isolation
	// conf is the conflist, addr where the emulator answers, data where
	// host-local keeps its files.
	conf, addr, data string
	cache            string
	host             *hnsemu.Host
	pods             []*pod
	// wires carry out what the host is told, nil without --packets.
	wires *wires
	stop  func()
}

func startNode(o options, d hns.Driver, i hns.Isolation) (*node, error) {
	profile, err := hnsemu.ProfileNamed(o.profile)
	if err != nil {
		return nil, err
	}
	host, err := wine.NewHost(profile)
	if err != nil {
		return nil, err
	}
	var w *wires
	if o.packets {
		if w, err = openWires(host); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	// In the build folder, where an interrupted demo leaves it to the next one.
	cache := filepath.Join(filepath.Dir(o.exe), "cache")
	n := &node{
		options: o, driver: d, isolation: i, host: host, wires: w, cache: cache,
		conf: filepath.Join(o.conf, confName(d, i)), addr: listener.Addr().String(),
		data: filepath.Join(os.Getenv("WINEPREFIX"), "drive_c/ProgramData/bulkhead/networks"),
		pods: []*pod{
			{name: "web", id: strings.Repeat("a1", 32)},
			{name: "db", id: strings.Repeat("b2", 32)},
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- wire.Serve(ctx, listener, n.host) }()
	n.stop = func() {
		cancel()
		failed := []error{<-served, os.RemoveAll(cache)}
		if w != nil {
			failed = append(failed, w.close())
		}
		if err := errors.Join(failed...); err != nil {
			fmt.Fprintln(os.Stderr, "demo: stopping the node:", err)
		}
	}
	// What an interrupted demo left behind is not this one's business.
	return n, errors.Join(os.RemoveAll(n.data), os.RemoveAll(cache))
}

func confName(d hns.Driver, i hns.Isolation) string {
	if i == hns.HyperV {
		return string(d) + "-hyperv.conflist"
	}
	return string(d) + ".conflist"
}

// add has the runtime make the pod's namespace and call ADD, and starts the
// pod's sandbox container in it.
func (n *node) add(ctx context.Context, p *pod) error {
	out, err := n.runtimeCommand(ctx, "run", p)
	if err != nil {
		return err
	}
	var answer struct {
		NetNS  string          `json:"netns"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return fmt.Errorf("the runtime printed %q: %w", out, err)
	}
	p.netns = answer.NetNS
	fmt.Printf("\nADD pod %s -> %s\n", p.name, answer.Result)
	return n.host.StartContainer(hnsemu.Container{ID: p.id, NamespaceID: p.netns, Isolation: n.isolation})
}

// delete stops the pod's container and has the runtime call DEL and remove the
// namespace.
func (n *node) delete(ctx context.Context, p *pod) error {
	if err := n.host.StopContainer(p.id); err != nil {
		return err
	}
	_, err := n.runtimeCommand(ctx, "stop", p, "--netns", p.netns)
	if err == nil {
		fmt.Printf("DEL pod %s -> done\n", p.name)
	}
	return err
}

// runtimeCommand runs the program that plays containerd under Wine.
func (n *node) runtimeCommand(ctx context.Context, verb string, p *pod, more ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, runtimeTime)
	defer cancel()
	args := append([]string{
		n.runtime, verb, "--conf", windowsPath(n.conf), "--plugins", windowsPath(filepath.Dir(n.exe)),
		"--cache", windowsPath(n.cache), "--id", p.id, "--pod", p.name,
	}, more...)
	line := slices.Concat(strings.Fields(os.Getenv("WINELAUNCHER")), []string{os.Getenv("WINELOADER")}, args)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "HNSEMU_ADDR="+n.addr)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s pod %s: %w: %s%s", verb, p.name, err, stderr.String(), stdout.String())
	}
	return stdout.Bytes(), nil
}

// windowsPath returns the path as a program under Wine sees it.
func windowsPath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	return "Z:" + strings.ReplaceAll(abs, "/", `\`)
}

// nothingLeft fails when an endpoint, a pod's namespace or an address is.
func (n *node) nothingLeft() error {
	s, err := n.host.State()
	if err != nil {
		return err
	}
	var left []error
	for _, e := range s.Endpoints {
		left = append(left, fmt.Errorf("endpoint %s is left", e.Name))
	}
	for _, ns := range s.Namespaces {
		left = append(left, fmt.Errorf("namespace %s is left", ns.ID))
	}
	held, err := n.heldAddresses()
	for _, a := range held {
		left = append(left, fmt.Errorf("address %s is left", a))
	}
	if err := errors.Join(append(left, err)...); err != nil {
		return err
	}
	fmt.Printf("left on the node: 0 endpoints, 0 namespaces, 0 addresses; %d network\n", len(s.Networks))
	return nil
}

// heldAddresses returns the addresses that host-local has given away.
func (n *node) heldAddresses() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(n.data, "*", "*"))
	var out []string
	for _, f := range files {
		if name := filepath.Base(f); name != "lock" && !strings.HasPrefix(name, "last_reserved_ip") {
			out = append(out, name)
		}
	}
	return out, err
}
