// SPDX-License-Identifier: Apache-2.0

// Bulkhead-emu is the plugin on the emulated HNS at HNSEMU_ADDR instead of
// Windows' own, for people who debug it on Linux. It is a program apart, so no
// release can contain the emulator.
package main

import (
	"errors"
	"os"
	"time"

	"github.com/bulkhead-cni/bulkhead/pkg/cli"
	"github.com/bulkhead-cni/bulkhead/pkg/cniplugin"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/wire"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

func main() {
	// There are no adapters but the emulator's: HNS chooses.
	this := node.Node{OpenHNS: open, Lock: nodelock.Acquire, NodeAddrs: node.InterfaceAddrs, SendsFrom: node.SendsFrom}
	if os.Getenv("CNI_COMMAND") != "" {
		cniplugin.Main(this, "CNI plugin bulkhead on an emulated HNS")
		return
	}
	env := cli.Env{Stdout: os.Stdout, Stderr: os.Stderr, Version: "on an emulated HNS", Node: this}
	os.Exit(env.Run(os.Args[1:]))
}

func open(perCall time.Duration) (hns.Client, error) {
	addr := os.Getenv("HNSEMU_ADDR")
	if addr == "" {
		return nil, &hns.Error{Op: "open", Object: "HNS", Err: errors.New("HNSEMU_ADDR is not set; it must hold the address that hnsemud prints")}
	}
	c, err := wire.Dial(addr)
	if err != nil {
		return nil, &hns.Error{Op: "open", Object: "HNS", Code: hns.NewHRESULT(0x6ba), Err: err}
	}
	return emuclient.NewTimeout(c, "bulkhead-emu", perCall), nil
}
