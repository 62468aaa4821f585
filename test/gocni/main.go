// SPDX-License-Identifier: Apache-2.0

// Gocni plays containerd with its own CNI client, github.com/containerd/go-cni,
// for tests: it does for pods what the CRI service on Windows does, in its order
// and with its options.
//
//	gocni run    FLAGS --pods N   a namespace and Setup for N pods, some at once
//	gocni stop   FLAGS            StopPodSandbox: Remove, then the namespace
//	gocni check  FLAGS            Check, which containerd itself never calls
//	gocni remove FLAGS            Remove alone, as containerd does after a failed Setup
//	gocni status FLAGS            Status once
//
// Each prints a line of JSON per pod: what it is and what go-cni returned. What
// run printed is what stop, check and remove read on stdin.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	gocni "github.com/containerd/go-cni"

	"github.com/bulkhead-cni/bulkhead/pkg/hcn/hcnwin"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gocni:", err)
		os.Exit(1)
	}
}

// options are the arguments.
type options struct {
	confDir, pluginDir string
	pods, parallel     int
	statusEvery        time.Duration
}

func parse(verb string, args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	flags.StringVar(&o.confDir, "conf-dir", gocni.DefaultNetDir, "`directory` of the configurations; the first in the alphabet counts")
	flags.StringVar(&o.pluginDir, "plugin-dir", gocni.DefaultCNIDir, "`directory` of the plugins' executables")
	flags.IntVar(&o.pods, "pods", 1, "`number` of pods that run starts")
	flags.IntVar(&o.parallel, "parallel", 8, "`number` of pods that are served at once")
	flags.DurationVar(&o.statusEvery, "status-every", 0, "`time` between calls of Status meanwhile, as kubelet asks; 0 for none")
	return o, flags.Parse(args)
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New("which command: run, stop, check, remove or status?")
	}
	o, err := parse(args[0], args[1:])
	if err != nil {
		return err
	}
	// containerd is a service, whose working directory is on the system's drive:
	// libcni's cache is \var\lib\cni there.
	if drive := os.Getenv("SystemDrive"); drive != "" {
		if err := os.Chdir(drive + `\`); err != nil {
			return err
		}
	}
	r, err := newRuntime(o)
	if err != nil {
		return err
	}
	verbs := map[string]func(context.Context, *pod) error{
		"run": r.runPodSandbox, "stop": r.stopPodSandbox, "check": r.check, "remove": r.teardownPodNetwork,
	}
	verb, ok := verbs[args[0]]
	var pods []*pod
	switch {
	case args[0] == "status":
		return json.NewEncoder(stdout).Encode(answer{Error: text(r.cni.Status())})
	case !ok:
		return fmt.Errorf("unknown command %q", args[0])
	case args[0] == "run":
		pods, err = newPods(o.pods)
	default:
		pods, err = readPods(stdin)
	}
	if err != nil {
		return err
	}
	return r.each(o, pods, verb, json.NewEncoder(stdout))
}

// newRuntime makes what containerd's CRI service has: go-cni with the options of
// internal/cri/server/service_windows.go, and HNS for the namespaces.
func newRuntime(o options) (*runtime, error) {
	client, err := hcnwin.Open(time.Minute)
	if err != nil {
		return nil, err
	}
	plugin, err := gocni.New(gocni.WithMinNetworkCount(1), gocni.WithPluginConfDir(o.confDir),
		gocni.WithPluginMaxConfNum(gocni.DefaultMaxConfNum), gocni.WithPluginDir([]string{o.pluginDir}))
	if err != nil {
		return nil, err
	}
	// There is no WithLoNetwork on Windows: each namespace has a loopback.
	return &runtime{cni: plugin, hns: client}, plugin.Load(gocni.WithDefaultConf)
}

func readPods(in io.Reader) ([]*pod, error) {
	var pods []*pod
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var p pod
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return nil, fmt.Errorf("stdin: %w: %s", err, lines.Bytes())
		}
		pods = append(pods, &p)
	}
	return pods, nil
}

// each carries out the verb for the pods, some at once, and prints what became
// of each.
func (r *runtime) each(o options, pods []*pod, verb func(context.Context, *pod) error, out *json.Encoder) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var status error
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		status = r.askStatus(ctx, o.statusEvery)
	}()
	var wg sync.WaitGroup
	turn := make(chan struct{}, o.parallel)
	for _, p := range pods {
		turn <- struct{}{}
		wg.Go(func() {
			p.Error = text(verb(ctx, p))
			<-turn
		})
	}
	wg.Wait()
	cancel()
	<-asked
	for _, p := range pods {
		if err := out.Encode(p); err != nil {
			return err
		}
	}
	return status
}

// askStatus asks again and again, until ctx ends, and returns all failures.
func (r *runtime) askStatus(ctx context.Context, every time.Duration) error {
	if every == 0 {
		return nil
	}
	var failures []error
	for {
		if err := r.cni.Status(); err != nil {
			failures = append(failures, fmt.Errorf("status meanwhile: %w", err))
		}
		select {
		case <-ctx.Done():
			return errors.Join(failures...)
		case <-time.After(every):
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
