// SPDX-License-Identifier: Apache-2.0

// Bulkhead is a CNI plugin for Windows nodes. A container runtime runs it with
// CNI_COMMAND set; a person has its commands.
package main

import (
	"os"

	"github.com/bulkhead-cni/bulkhead/pkg/cli"
	"github.com/bulkhead-cni/bulkhead/pkg/cniplugin"
	"github.com/bulkhead-cni/bulkhead/pkg/hcn/hcnwin"
)

// version is set by the linker in releases.
var version = "devel"

func main() {
	if os.Getenv("CNI_COMMAND") != "" {
		cniplugin.Main(hcnwin.Open, "CNI plugin bulkhead "+version)
		return
	}
	env := cli.Env{Stdout: os.Stdout, Stderr: os.Stderr, Version: version, Open: hcnwin.Open, Host: cniplugin.HostAddresses}
	os.Exit(env.Run(os.Args[1:]))
}
