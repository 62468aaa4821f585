// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Demo shows Bulkhead at work: for each driver it adds two pods to an emulated
// Windows node through bulkhead.exe under Wine, prints what HNS then has and what
// becomes of a handful of packets, deletes the pods and proves that nothing is
// left. scripts/demo.sh builds and calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// options are the demo's arguments.
type options struct {
	drivers    []hns.Driver
	isolations []hns.Isolation
	keep       bool
	packets    bool
	profile    string
	conf       string
	exe        string
	runtime    string
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, o)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	var driver, isolation string
	flags := flag.NewFlagSet("scripts/demo.sh", flag.ContinueOnError)
	flags.StringVar(&driver, "driver", "all", "`driver` to show: nat, transparent, l2bridge, l2tunnel, overlay or all")
	flags.StringVar(&isolation, "isolation", "process", "`isolation` of the pods: process, hyperv or both")
	flags.BoolVar(&o.keep, "keep", false, "keep the pods and the node until Ctrl-C; needs one driver and one isolation")
	flags.BoolVar(&o.packets, "packets", false, "let the pods talk: carry out in Linux network namespaces what HNS is told; needs root")
	flags.StringVar(&o.profile, "profile", "2022", "Windows Server `release` of the node: 2019, 2022 or 2025")
	flags.StringVar(&o.conf, "conf", "plugins/bulkhead/conf", "`directory` of the conflists")
	flags.StringVar(&o.exe, "exe", ".build/demo/bulkhead.exe", "the plugin's executable")
	flags.StringVar(&o.runtime, "runtime", ".build/demo/runtime.exe", "the executable that plays containerd")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unknown argument %q; see --help", flags.Arg(0))
	}
	if o.drivers = hns.Drivers(); driver != "all" {
		d, err := hns.ParseDriver(driver)
		if err != nil {
			return options{}, fmt.Errorf("--driver: %w", err)
		}
		o.drivers = []hns.Driver{d}
	}
	switch isolation {
	case "process", "hyperv":
		o.isolations = []hns.Isolation{hns.Isolation(isolation)}
	case "both":
		o.isolations = []hns.Isolation{hns.Process, hns.HyperV}
	default:
		return options{}, fmt.Errorf("--isolation: %q is not one of process, hyperv, both", isolation)
	}
	if o.keep && len(o.drivers)*len(o.isolations) != 1 {
		return options{}, errors.New("--keep needs one --driver and one --isolation")
	}
	return o, nil
}

// run shows each driver on a node of its own.
func run(ctx context.Context, o options) error {
	var shown []string
	for _, d := range o.drivers {
		for _, i := range o.isolations {
			if err := show(ctx, o, d, i); err != nil {
				return fmt.Errorf("%s, %s isolation: %w", d, i, err)
			}
			shown = append(shown, string(d)+"/"+string(i))
		}
	}
	fmt.Printf("\ndemo: done. Two pods each were added, looked at and deleted for %s;\n"+
		"no endpoint, namespace or address is left.\n", strings.Join(shown, ", "))
	return nil
}

// show adds two pods, prints the node, and deletes them.
func show(ctx context.Context, o options, d hns.Driver, i hns.Isolation) error {
	n, err := startNode(o, d, i)
	if err != nil {
		return err
	}
	defer n.stop()
	heading(d, i, n.conf)
	for _, p := range n.pods {
		if err := n.add(ctx, p); err != nil {
			return err
		}
	}
	if err := errors.Join(n.printPods(), n.printACLs(), n.printPackets()); err != nil {
		return err
	}
	if o.packets {
		if err := n.printTraffic(); err != nil {
			return err
		}
	}
	if o.keep {
		waitForInterrupt(ctx, n)
		ctx = context.WithoutCancel(ctx)
	}
	for _, p := range slices.Backward(n.pods) {
		if err := n.delete(ctx, p); err != nil {
			return err
		}
	}
	return n.nothingLeft()
}

func heading(d hns.Driver, i hns.Isolation, conf string) {
	title := fmt.Sprintf("%s, %s isolation", d, i)
	fmt.Printf("\n%s\n%s\n%s\n", title, strings.Repeat("=", len(title)), conf)
}

func waitForInterrupt(ctx context.Context, n *node) {
	fmt.Printf("\ndemo: the node answers at HNSEMU_ADDR=%s (try: go run ./test/hnsemud dump --addr %s); Ctrl-C deletes the pods and ends it\n", n.addr, n.addr)
	<-ctx.Done()
	fmt.Println()
}
