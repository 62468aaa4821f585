// SPDX-License-Identifier: Apache-2.0

// Bulkhead is a CNI plugin for Windows nodes. A container runtime runs it with
// CNI_COMMAND set; a person has its commands.
package main

import (
	"os"

	"github.com/bulkhead-cni/bulkhead/pkg/cli"
	"github.com/bulkhead-cni/bulkhead/pkg/cniplugin"
	"github.com/bulkhead-cni/bulkhead/pkg/hcn/hcnwin"
	"github.com/bulkhead-cni/bulkhead/pkg/kubeproxy"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
	"github.com/bulkhead-cni/bulkhead/pkg/uplink"
)

// version is set by the linker in releases.
var version = "devel"

func main() {
	this := node.Node{
		OpenHNS: hcnwin.Open, Lock: nodelock.Acquire, Uplink: uplink.Windows{},
		NodeAddrs: node.InterfaceAddrs, SendsFrom: node.SendsFrom, KubeProxies: kubeproxy.Running,
		DisabledComponents: uplink.DisabledComponents,
	}
	if os.Getenv("CNI_COMMAND") != "" {
		cniplugin.Main(this, "CNI plugin bulkhead "+version)
		return
	}
	env := cli.Env{Stdout: os.Stdout, Stderr: os.Stderr, Version: version, Node: this}
	os.Exit(env.Run(os.Args[1:]))
}
